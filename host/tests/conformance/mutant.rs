//! Runs conformance on mutants, several at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use futures::StreamExt as _;
use serde_json::Value;
use wharf::{
    clock::Clock,
    conformance::{About, Came, Report, cases, conform},
    connector::Loader,
    sandbox::{Engine, cache::Cache},
};
use wharf_tests::Scratch;

/// A fault, and the cases that have to fail because of it.
pub type Fault = (&'static str, &'static [&'static str]);

/// A fault in what it says of itself: its name, what it says, and the cases that have to fail because of it.
pub type Said = (&'static str, String, &'static [&'static str]);

/// A mutant in a folder of its own, to be given faults.
pub struct Mutant {
    pub folder: Scratch,
    component: Vec<u8>,
    suite: &'static str,
}

/// Bytes of the place in a mutant where it says who it is.
const SLOT: usize = 6_000;

/// What loads components, with the code of those that were compiled before.
pub fn loader() -> Loader {
    static LOADER: OnceLock<Loader> = OnceLock::new();
    let loader = LOADER.get_or_init(|| {
        // Lines are kept, so that too many are seen.
        let _set = tracing_subscriber::fmt().with_env_filter("error").with_writer(std::io::sink).try_init();
        let engine = Engine::new(Some(Cache::open(&wharf_tests::cache().unwrap()).unwrap())).unwrap();
        Loader::new(engine, Clock::system()).unwrap()
    });
    loader.clone()
}

impl Mutant {
    /// In the suite, `FAULT` stands for the fault, and `BATCHES` for how many of them an instance is not to grow in.
    pub fn new(guest: &str, suite: &'static str) -> Self {
        let component = fs::read(wharf_tests::component(guest).unwrap()).unwrap();
        Self { folder: Scratch::new().unwrap(), component, suite }
    }

    /// The component, saying this of itself.
    fn saying(&self, name: &str, said: &str) -> PathBuf {
        let mut bytes = self.component.clone();
        let marks: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"SLOT!trap")).collect();
        assert_eq!(marks.len(), 1, "one place that says who it is");
        assert!(said.len() + 4 <= SLOT, "{} bytes", said.len());
        let slot = &mut bytes[marks[0]..marks[0] + SLOT];
        assert!(slot[9..].iter().all(|byte| *byte == b' '));
        slot[4..].fill(b' ');
        slot[4..4 + said.len()].copy_from_slice(said.as_bytes());
        self.folder.write(&format!("{name}.wasm"), bytes).unwrap()
    }

    async fn run(&self, name: &str, fault: &str, said: &str) -> Report {
        let component = self.saying(name, said);
        // One that grows, and one that does not, are held to as many batches as a suite file asks for where it does not say; the others to fewer.
        let batches = if ["none", "leaks"].contains(&name) { "1000" } else { "200" };
        let suite = self.suite.replace("FAULT", fault).replace("BATCHES", batches);
        let suite = self.folder.write(&format!("{name}.yaml"), suite).unwrap();
        let loader = loader();
        let ran = tokio::spawn(async move { conform(&component, Some(&suite), &[], &loader, &mut |_| ()).await });
        ran.await.unwrap().unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// With each fault, exactly its cases fail; with none, none does. `said` are faults in what it says of itself.
    pub async fn hold(self, descriptor: &Value, faults: &[Fault], said: &[Said], about: &[About]) {
        let own = descriptor.to_string();
        let mut all: Vec<(String, String, String, BTreeSet<&str>)> =
            vec![("none".into(), "none".into(), own.clone(), BTreeSet::new())];
        for (fault, due) in faults {
            all.push(((*fault).into(), (*fault).into(), own.clone(), due.iter().copied().collect()));
        }
        for (name, said, due) in said {
            all.push(((*name).into(), "none".into(), said.clone(), due.iter().copied().collect()));
        }
        let due: BTreeSet<&str> = cases().filter(|case| about.contains(&case.about)).map(|case| case.id).collect();
        let mutant = Arc::new(self);
        let reports: BTreeMap<String, (Report, BTreeSet<&str>)> = futures::stream::iter(all)
            .map(|(name, fault, said, due)| {
                let mutant = mutant.clone();
                async move { (name.clone(), (mutant.run(&name, &fault, &said).await, due)) }
            })
            .buffer_unordered(4)
            .collect()
            .await;
        let mut wrong = Vec::new();
        for (name, (report, due)) in &reports {
            let failed: BTreeSet<&str> = report
                .outcomes
                .iter()
                .filter(|outcome| matches!(outcome.came, Came::Failed { .. }))
                .map(|outcome| outcome.case.id)
                .collect();
            if failed != *due {
                let told: Vec<String> = report
                    .outcomes
                    .iter()
                    .filter(|outcome| failed.contains(outcome.case.id) != due.contains(outcome.case.id))
                    .map(|outcome| format!("{}: {:?}", outcome.case.id, outcome.came))
                    .collect();
                wrong.push(format!("{name}: {}", told.join("\n    ")));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        // The one without a fault is exercised, and not passed over.
        let skipped: Vec<&str> = reports["none"]
            .0
            .outcomes
            .iter()
            .filter(|outcome| due.contains(outcome.case.id) && matches!(outcome.came, Came::Skipped { .. }))
            .map(|outcome| outcome.case.id)
            .collect();
        assert_eq!(skipped, [""; 0]);
    }
}
