//! Processors under the host's eye: what an honest one makes of a batch, what is told of one that is not, and the shipped ones one behind
//! the other. The session is driven directly; hostile ones, in a pipeline and beside a neighbour, are in the zoo.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use wharf::{
    clock::Clock,
    config::Limits,
    connector::{Connector, Loader, Opening, ProcessTrouble, ProcessorSession, settings::Given},
    record::{Batch, BatchBuilder, Derived, Passed, Selection, Span},
    sandbox::{Engine, Redactor, Scope, Usage, cache::Cache},
};
use wharf_tests::component;

/// A processor in its cage.
struct Cage {
    connector: Connector,
    usage: Arc<Usage>,
    secrets: Vec<String>,
}

impl Cage {
    async fn new() -> Self {
        // Without any subscriber a place that logs is switched off for good, also for the test that has one of its own later.
        let _first = tracing_subscriber::fmt().with_writer(io::sink).try_init();
        let cache = Cache::open(&wharf_tests::cache().unwrap()).unwrap();
        let loader = Loader::new(Engine::new(Some(cache)).unwrap(), Clock::system()).unwrap();
        let connector = loader.load(&component("guest-mangles").unwrap()).await.unwrap();
        assert!(connector.outline.offers("processor") && !connector.outline.offers("destination"));
        Self { connector, usage: Arc::default(), secrets: Vec::new() }
    }

    async fn open(&self, act: &str, amount: u64) -> ProcessorSession {
        let mut opening = Opening {
            settings: vec![("act".into(), act.into()), ("amount".into(), amount.to_string())],
            scope: Scope::new([("pipeline", "pipe"), ("processor", "mangles")]),
            usage: self.usage.clone(),
            ..Opening::default()
        };
        opening.grants.redactor = Redactor::new(self.secrets.iter().map(String::as_str));
        self.connector.open_processor(&opening).await.unwrap()
    }

    /// What it comes to, in a session of its own.
    async fn process(&self, act: &str, amount: u64) -> Result<Derived, ProcessTrouble> {
        self.open(act, amount).await.process(&batch(), &Selection::All, 1).await
    }
}

fn batch() -> Batch {
    let mut builder = BatchBuilder::with_capacity(4, 16, true, Some("text/plain".into()));
    for (sequence, value) in [(10, "a"), (20, "b"), (30, "c"), (40, "d")] {
        builder.push(sequence, Some(value.to_uppercase().as_bytes()), value.as_bytes()).unwrap();
    }
    builder.finish("pipe", "p".into())
}

fn texts(batch: &Batch) -> Vec<&str> {
    batch.after().iter().map(|value| std::str::from_utf8(value.unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn what_a_processor_makes_of_records_has_keys_of_its_own_and_parents() {
    let cage = Cage::new().await;
    let mut session = cage.open("honest", 0).await;
    assert_eq!(session.title(), "guest-mangles 0.1.0");
    let batch = batch();
    let derived = session.process(&batch, &Selection::Some(vec![1, 3]), 1).await.unwrap();
    let out = derived.batch().unwrap();
    assert_eq!(texts(out), ["a", "B/0key", "B/1key", "c", "D/0key", "D/1key"]);
    assert_eq!((out.sequences(), out.ordinals()), (&[10, 20, 20, 30, 40, 40][..], &[0, 0, 1, 0, 0, 1][..]));
    assert_eq!(derived.parents(), Some(&[0, 1, 1, 2, 3, 3][..]));
    // What came out of one goes into the next, and is asked for its ordinals there.
    let again = session.process(out, &Selection::All, 1).await.unwrap();
    let out = again.batch().unwrap();
    assert_eq!(texts(out)[2..6], ["B/0key", "B/1key", "B/1key", "B/2key"]);
    assert_eq!(out.ordinals()[..8], [0, 1, 0, 1, 2, 3, 0, 1]);
    // None picked: it is not even asked.
    let passed = session.process(&batch, &Selection::Some(Vec::new()), 1).await.unwrap();
    assert_eq!(passed.batch().unwrap().id(), batch.id());
    session.close().await.unwrap().unwrap();
    assert!(cage.usage.fuel_per_record().is_some());
}

#[tokio::test]
async fn records_are_dropped_and_fail_each_by_itself() {
    let cage = Cage::new().await;
    let derived = cage.process("drop-and-fail", 0).await.unwrap();
    assert_eq!(texts(derived.batch().unwrap()), ["b", "c"]);
    let [dropped, on, failed] = derived.passages() else { panic!("three passages") };
    assert_eq!((dropped.records, &dropped.passed), (Span::new(0, 1), &Passed::Filtered));
    assert_eq!((on.records, &on.passed), (Span::new(1, 3), &Passed::On));
    assert!(matches!(&failed.passed, Passed::Failed(failure) if failure.message == "told to fail"));
    let session = cage.open("pass", 0).await;
    let failure =
        wharf::record::Failure { kind: wharf::record::FailureKind::Fatal, message: "no".into(), code: None, retry_after: None };
    let given_up = session.give_up(&batch(), &Selection::Some(vec![2]), &failure).unwrap();
    assert_eq!(texts(given_up.batch().unwrap()), ["a", "b", "d"]);
}

#[tokio::test]
async fn whoever_breaks_the_contract_is_not_believed_and_lives() {
    let cage = Cage::new().await;
    let mut session = cage.open("twice", 0).await;
    for attempt in 1..3 {
        let trouble = session.process(&batch(), &Selection::All, attempt).await.unwrap_err();
        assert!(matches!(trouble, ProcessTrouble::Breach(_)), "{trouble}");
        assert_eq!(trouble.to_string(), "the processor names record 3 twice");
    }
    session.close().await.unwrap().unwrap();
}

#[tokio::test]
async fn whoever_ended_its_instance_is_asked_nothing_more() {
    let cage = Cage::new().await;
    let mut session = cage.open("panic", 0).await;
    for attempt in 1..3 {
        let trouble = session.process(&batch(), &Selection::All, attempt).await.unwrap_err();
        assert!(matches!(trouble, ProcessTrouble::Ended(_)), "{trouble}");
    }
}

#[tokio::test]
async fn what_it_says_at_length_is_cut_and_no_secret_is_in_it() {
    let mut cage = Cage::new().await;
    let ProcessTrouble::Failed(failure) = cage.process("fail", 100_000).await.unwrap_err() else { panic!("it failed") };
    assert!(failure.message.len() < 32 << 10 && !failure.message.contains('\u{1b}'), "{:.200}", failure.message);
    let derived = cage.process("fail-a-record-at-length", 100_000).await.unwrap();
    let Passed::Failed(failure) = &derived.passages()[0].passed else { panic!("they failed") };
    assert!(failure.message.len() < 32 << 10 && !failure.message.contains('\u{1b}'), "{:.200}", failure.message);
    let ProcessTrouble::Failed(failure) = cage.process("follow-ups", 0).await.unwrap_err() else { panic!("it failed") };
    assert!(failure.message.contains("not granted"), "{}", failure.message);
    cage.secrets = vec!["told to fail".into()];
    let derived = cage.process("drop-and-fail", 0).await.unwrap();
    let Passed::Failed(failure) = &derived.passages()[2].passed else { panic!("it failed") };
    assert!(!failure.message.contains("told"), "{}", failure.message);
}

/// What is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_it_prints_is_logged_with_its_name() {
    let lines = Lines::default();
    let to = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("info,wharf::call=off")
        .with_writer(move || to.clone())
        .with_ansi(false)
        .without_time()
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    Cage::new().await.process("panic", 0).await.unwrap_err();
    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let line = logged.lines().find(|line| line.contains("told to panic")).unwrap_or_else(|| panic!("{logged}"));
    assert!(line.contains(r#"pipeline="pipe" processor="mangles""#), "{line}");
}

#[tokio::test]
async fn a_processor_that_does_not_open_or_close_says_why() {
    let cage = Cage::new().await;
    let settings = vec![("act".into(), "fail-open".into())];
    let error = cage.connector.open_processor(&Opening { settings, ..Opening::default() }).await.err().unwrap();
    assert_eq!(error.to_string(), "open failed: rejected: told not to open");
    // A processor is no destination.
    let error = cage.connector.open(&Opening::default()).await.err().unwrap();
    assert!(error.to_string().contains("does not export what the contract names"), "{error}");
    let session = cage.open("fail-close", 0).await;
    assert_eq!(session.close().await.unwrap().unwrap_err().message, "told not to close");
}

/// One component after another, each given what the one before it made.
async fn chain(records: &[&str], steps: &[(&str, &[(&str, &str)])]) -> Vec<String> {
    let cache = Cache::open(&wharf_tests::cache().unwrap()).unwrap();
    let loader = Loader::new(Engine::new(Some(cache)).unwrap(), Clock::system()).unwrap();
    let mut builder = BatchBuilder::with_capacity(4, 16, true, Some("application/json".into()));
    for (index, record) in records.iter().enumerate() {
        builder.push(index as u64, Some(b"k"), record.as_bytes()).unwrap();
    }
    let mut batch = builder.finish("pipe", "p".into());
    for (name, settings) in steps {
        let connector = loader.load(&component(&format!("wharf-{name}")).unwrap()).await.unwrap();
        assert_eq!(connector.descriptor.about.name, *name);
        let given = settings.iter().map(|(name, value)| {
            let given = Given { value: (*value).into(), written: (*value).into() };
            ((*name).to_owned(), given)
        });
        let limits = Arc::new(Limits::default());
        let settings = connector.check(&given.collect(), &limits, &Scope::default()).await.unwrap().unwrap();
        let opening = Opening { settings, scope: Scope::new([("pipeline", "pipe")]), ..Opening::default() };
        let mut session = connector.open_processor(&opening).await.unwrap();
        let derived = session.process(&batch, &Selection::All, 1).await.unwrap();
        assert!(!derived.passages().iter().any(|passage| matches!(passage.passed, Passed::Failed(_))), "{name}: {derived:?}");
        session.close().await.unwrap().unwrap();
        batch = derived.batch().unwrap().clone();
    }
    texts(&batch).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_shipped_processors_are_components_that_work_one_after_another() {
    let envelope = |id: &str, mail: &str, items: &str| {
        format!(
            r#"{{"schema":{{}},"payload":{{"op":"c","after":{{"id":{id},"user":{{"mail":"{mail}"}},"items":{items}}},"source":{{"table":"orders"}}}}}}"#
        )
    };
    let records = [envelope("12345678901234567890.10", "a@b", r#"[{"n":1.0},{"n":2}]"#), envelope("7", "c@d", r#"[{"n":3e2}]"#)];
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let made = chain(
        &records,
        &[
            ("unwrap", &[]),
            ("filter", &[("conditions.0.metadata", "opencdc.collection"), ("conditions.0.equals", "orders")]),
            ("explode", &[("pointer", "/items"), ("keep", "true")]),
            ("flatten", &[]),
            ("filter", &[("conditions.0.pointer", "/items.n"), ("conditions.0.above", "1")]),
            ("mask", &[("redact.0", "/user.mail")]),
            ("select", &[("rename.0.from", "/items.n"), ("rename.0.to", "/n")]),
            ("template", &[("template", r#"{"key":{{key}},"record":{{after}},"ordinal":{{ordinal}}}"#)]),
        ],
    )
    .await;
    let expected = [
        r#"{"key":"k","record":{"id":12345678901234567890.10,"user.mail":"***","n":2},"ordinal":1}"#,
        r#"{"key":"k","record":{"id":7,"user.mail":"***","n":3e2},"ordinal":0}"#,
    ];
    assert_eq!(made, expected);
}
