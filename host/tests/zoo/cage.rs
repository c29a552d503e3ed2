//! Runs one animal beside an honest connector, and holds it to its row.

use std::{
    fs, io,
    net::IpAddr,
    os::unix::fs::symlink,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;
use wharf::{
    clock::{Clock, Sleep, Time},
    config::{self, Interval, Process},
    connector::Loader,
    plan,
    runtime::{self, Report},
    sandbox::{
        Engine,
        address::{Resolver, SystemResolver},
        cache::Cache,
        compile::Compiler,
    },
    store::{DeadLetter, SqliteStore, Store},
};
use wharf_tests::Scratch;

use crate::{
    process::{self, Holdings},
    row::{Animal, Outcome, Role, Row},
};

/// What the honest connector is given in each of its rounds, and in what batches.
const HONEST: (u32, u32) = (100, 10);

/// The longest that a round may take on a busy machine: it takes some tens of milliseconds.
const ROUND: Duration = Duration::from_secs(20);

/// What may be left in memory of an animal that is gone: what allocators keep back for later.
const LEFT: u64 = 32 << 20;

/// All rows of a section, each in a process of its own. Tells of all that fail.
pub fn run_all(section: &str, rows: &[Row]) {
    // Built before the processes would wait for each other.
    for row in rows {
        if let Animal::Guest(guest, _) = row.animal {
            wharf_tests::component(guest).unwrap();
        }
    }
    wharf_tests::component("guest-faults").unwrap();
    let mut failed = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let task = format!("{section} {index}");
        match process::child("one_animal", &task, row.time_bound() + 2 * ROUND) {
            Ok(told) => println!("{section}: {}: {}", row.name, told.lines().find(|line| line.starts_with("took ")).unwrap()),
            Err(error) => failed.push(format!("== {section}: {}: {error}", row.name)),
        }
    }
    assert!(failed.is_empty(), "{} of {} rows failed\n{}", failed.len(), rows.len(), failed.join("\n"));
}

/// As the system has it, but for a name that leads to this machine.
#[derive(Debug)]
struct Inside;

#[async_trait]
impl Resolver for Inside {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        match name {
            "inside.test" => Ok(vec![IpAddr::from([127, 0, 0, 1])]),
            name => SystemResolver.addresses(name).await,
        }
    }
}

/// What became of an animal.
struct Came {
    delivered: u64,
    /// The refusal, the error and the dead letters' reasons.
    told: String,
    refused: bool,
    /// What was given up, and why.
    letters: Vec<(String, String)>,
    read: u64,
}

/// What a pipeline is made of, as in the pipeline file.
struct Stages {
    processors: Value,
    destination: Value,
}

/// Runs one row in this process.
pub fn run(row: &Row) {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_env_filter("info,wharf::call=off")
        .with_writer(log.clone())
        .with_ansi(false)
        .without_time()
        .init();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    let folder = Scratch::new().unwrap();
    let stages = runtime.block_on(prepare(row, &folder));
    let honest = wharf_tests::component("guest-faults").unwrap();
    let loader = Loader::new(engine(), Clock::system()).unwrap().with_resolver(Arc::new(Inside));

    // Whatever is made once is there before anything is measured.
    runtime.block_on(round(&loader, &honest));
    let before = Holdings::now();
    process::forget_peak();

    let done = Arc::new(AtomicBool::new(false));
    let neighbour = runtime.spawn({
        let (done, loader, honest) = (done.clone(), loader.clone(), honest.clone());
        async move {
            let (mut rounds, mut slowest) = (0, Duration::ZERO);
            while !done.load(Relaxed) {
                let started = Instant::now();
                round(&loader, &honest).await;
                slowest = slowest.max(started.elapsed());
                rounds += 1;
            }
            (rounds, slowest)
        }
    });
    let started = Instant::now();
    let came = runtime.block_on(runtime.spawn(cage(loader.clone(), folder, stages, row.batch, row.life))).unwrap();
    let took = started.elapsed();
    done.store(true, Relaxed);
    let (rounds, slowest) = runtime.block_on(neighbour).unwrap();
    runtime.block_on(round(&loader, &honest));
    let grown = process::peak().saturating_sub(before.memory);
    drop(loader);
    // The listener of a server beside it stays.
    let files = before.files + usize::from(row.served.is_some());
    let mut after = Holdings::now();
    for _ in 0..100 {
        if after.files <= files {
            break;
        }
        // Whatever is closing is closed by a thread of its own.
        std::thread::sleep(Duration::from_millis(50));
        after = Holdings::now();
    }
    let left = after.memory.saturating_sub(before.memory);

    let mib = |bytes: u64| bytes >> 20;
    println!(
        "\ntook {} of {} ms, grew by {} of {} MiB and left {} of {}; {rounds} rounds beside it, the slowest {} ms",
        took.as_millis(),
        row.time_bound().as_millis(),
        mib(grown),
        mib(row.growth_bound()),
        mib(left),
        mib(LEFT),
        slowest.as_millis()
    );
    let (log, told) = (log.text(), &came.told);
    let records = u64::from(row.records);
    match &row.outcome {
        Outcome::Refused(words) => assert!(came.refused && told.contains(words), "refused with {words:?}: {told:?}\n{log}"),
        Outcome::Ends(words) => {
            assert_eq!((came.delivered, came.refused), (0, false), "{told}\n{log}");
            assert!(words.split(" | ").any(|words| told.contains(words)), "{words:?} not in {told:?}\n{log}");
        }
        Outcome::Part(delivered, words) => {
            assert_eq!(came.delivered, *delivered, "{told}\n{log}");
            assert!(told.contains(words), "{words:?} not in {told:?}\n{log}");
        }
        Outcome::Each(words) => {
            assert_eq!((came.delivered, came.letters.len() as u64), (0, came.read), "{told}\n{log}");
            for (record, message) in &came.letters {
                assert!(words.iter().any(|words| message.contains(words)), "{record}: {message:?} has none of {words:?}");
            }
        }
        Outcome::Delivers(words) => {
            assert_eq!((came.delivered, &**told), (records, ""), "{log}");
            assert!(log.contains(words), "{words:?} not in the log:\n{log}");
        }
    }
    for text in [told, &log] {
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "a control character came through: {text:?}");
    }
    assert!(told.len() < 64 << 10, "{} bytes are more than a person reads", told.len());
    assert!(rounds > 0 && slowest < ROUND, "the honest connector: {rounds} rounds, the slowest {slowest:?}");
    assert!(took < row.time_bound(), "took {took:?}");
    assert!(grown < row.growth_bound(), "grew by {grown} bytes");
    assert!(left < LEFT, "left {left} bytes");
    assert!(after.files <= files, "{before:?} {after:?}");
}

/// What the animal's pipeline is made of. Its code is compiled here, so that this is not measured.
async fn prepare(row: &Row, folder: &Scratch) -> Stages {
    let mut animal = json!({"id": "bad", "grants": row.grants, "limits": row.limits});
    let bytes = match &row.animal {
        Animal::Guest(guest, settings) => {
            animal["settings"] = settings.clone();
            fs::read(wharf_tests::component(guest).unwrap()).unwrap()
        }
        Animal::Raw(raw) => raw.component(),
        Animal::File(make) => make(),
    };
    animal["component"] = json!(folder.write("animal.wasm", &bytes).unwrap());
    fs::create_dir(folder.path("granted")).unwrap();
    folder.write("secret", "secret").unwrap();
    symlink("../secret", folder.path("granted/out")).unwrap();
    symlink("/etc", folder.path("granted/etc")).unwrap();
    let mut records = row.lines.clone();
    if records.is_empty() {
        records = (0..row.records).map(|record| record.to_string()).collect();
    }
    if let Some(served) = row.served {
        (animal["grants"], records) = served();
    }
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    folder.write("records.txt", lines).unwrap();
    if !matches!(row.animal, Animal::File(_)) {
        use sha2::{Digest as _, Sha256};
        // What does not compile is refused later.
        let digest = Sha256::digest(&bytes).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let _refused = engine().compile(&digest, bytes.into()).await;
    }
    let mut behind = json!({"id": "behind", "component": wharf_tests::component("guest-faults").unwrap()});
    match row.role {
        Role::Destination => {
            animal["on-unknown"] = json!("hold");
            Stages { processors: json!([]), destination: animal }
        }
        Role::Processor => {
            animal["on-unknown"] = json!("dead-letter");
            Stages { processors: json!([animal]), destination: behind }
        }
        Role::OfDestination => {
            animal["on-unknown"] = json!("dead-letter");
            behind["processors"] = json!([animal]);
            Stages { processors: json!([]), destination: behind }
        }
    }
}

/// Runs the animal's pipeline to its end.
async fn cage(loader: Loader, folder: Scratch, mut stages: Stages, batch: u32, life: Option<(&str, &str)>) -> Came {
    let source = json!({"kind": "file", "path": "records.txt", "format": "lines"});
    if let Some((event, act)) = life {
        if event != "created" {
            // It was told of itself before there was anything to read.
            let records = fs::read(folder.path("records.txt")).unwrap();
            folder.write("records.txt", "").unwrap();
            let mut before = Stages { processors: json!([]), destination: stages.destination.clone() };
            before.destination["settings"] = json!({"topic": "before"});
            let ran = pipeline(&loader, &folder, &source, &before, batch, &hasty()).await.unwrap();
            assert!(ran.error.is_none(), "{:?}", ran.error);
            folder.write("records.txt", records).unwrap();
        }
        folder.write("granted/then", format!("{act};")).unwrap();
        stages.destination["removed"] = json!(event == "deleted");
    }
    let came = pipeline(&loader, &folder, &source, &stages, batch, &hasty()).await;
    let report = match came {
        Ok(report) => report,
        Err(told) => return Came { delivered: 0, told, refused: true, letters: Vec::new(), read: 0 },
    };
    let store = SqliteStore::open(&folder.path(".wharf/wharf.db")).unwrap();
    let letters = store.dead_letters("zoo").await.unwrap();
    let error = report.error.map(|error| error.to_string());
    let text = |letter: &DeadLetter| String::from_utf8_lossy(letter.record.after().unwrap_or_default()).into_owned();
    let letters: Vec<_> = letters.iter().map(|letter| (text(letter), letter.reason.message.to_string())).collect();
    let told: Vec<_> = error.into_iter().chain(letters.iter().map(|(_, message)| message.clone())).collect();
    let delivered = report.counts.destinations.first().map_or(0, |destination| destination.delivered);
    let read = report.counts.read;
    Came { delivered, told: told.join("\n"), refused: false, letters, read }
}

/// One run of the honest connector: all of its records arrive.
async fn round(loader: &Loader, component: &std::path::Path) {
    let folder = Scratch::new().unwrap();
    let source = json!({"kind": "generator", "count": HONEST.0, "size": "100B"});
    let stages = Stages { processors: json!([]), destination: json!({"id": "honest", "component": component}) };
    let report = pipeline(loader, &folder, &source, &stages, HONEST.1, &Clock::system()).await.unwrap();
    let counts = &report.counts.destinations[0];
    assert!(report.error.is_none(), "the honest connector: {:?}", report.error);
    assert_eq!((counts.delivered, counts.dead_lettered), (HONEST.0.into(), 0), "the honest connector");
}

async fn pipeline(
    loader: &Loader,
    folder: &Scratch,
    source: &Value,
    Stages { processors, destination }: &Stages,
    batch: u32,
    clock: &Clock,
) -> Result<Report, String> {
    let mut pipeline = json!({"id": "zoo", "source": source, "processors": processors, "destinations": [destination]});
    (pipeline["batch"], pipeline["dead-letters"]) = (json!({"records": batch}), json!({"window": 0}));
    let file = json!({"version": 1, "pipelines": [pipeline]}).to_string();
    let file = config::parse(&file, "zoo.yaml", &folder.path(""), &|_| None).map_err(|error| error.to_string())?;
    let told = |errors: Vec<plan::PlanError>| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let plan = plan::plan(file, loader, "run-1").await.map_err(told)?;
    let running = runtime::start(plan, clock.clone(), "run-1").await.map_err(|error| error.to_string())?;
    Ok(running.ended().await.pop().unwrap())
}

/// As the program has it: components are compiled in a child.
fn engine() -> Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine = || {
        let cache = Cache::open(&wharf_tests::cache().unwrap()).unwrap();
        let process = Process { compile_time: Interval::from_secs(20), ..Process::default() };
        Engine::within(Some(cache), Compiler::Child(env!("CARGO_BIN_EXE_wharf").into()), process).unwrap()
    };
    ENGINE.get_or_init(engine).clone()
}

/// A clock by which hours pass in a second, where something waits: restarts back off, and nobody has the time.
fn hasty() -> Clock {
    Clock::new(Hasty(Instant::now()))
}

#[derive(Debug)]
struct Hasty(Instant);

const HASTE: u32 = 10_000;

impl Time for Hasty {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed() * HASTE
    }

    fn sleep(&self, for_: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(for_ / HASTE))
    }
}

/// The beginning of the log: floods are not kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        const KEPT: usize = 1 << 20;
        let mut log = self.0.lock().unwrap();
        let room = KEPT.saturating_sub(log.len());
        std::io::Write::write_all(&mut *log, &bytes[..bytes.len().min(room)])?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
