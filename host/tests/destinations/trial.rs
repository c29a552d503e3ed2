//! Runs of a pipeline in which everything is as in the program but the clock.

use std::{
    fs,
    io::Write,
    pin::pin,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;
use wharf::{
    clock::VirtualClock,
    config,
    connector::Loader,
    pipeline::{Counts, DestinationCounts},
    plan,
    record::{Batch, BatchBuilder},
    runtime::{self, Report, Running, Used},
    sandbox::{
        Engine, Usage,
        address::{Resolver, SystemResolver},
        cache::Cache,
    },
    store::{Checkpoint, DeadLetter, SqliteStore, Store},
};
use wharf_tests::Scratch;

/// A folder with a file of records, in which pipelines are run one after another.
pub struct Trial {
    pub folder: Scratch,
    pub time: VirtualClock,
    /// The most records in a batch.
    pub batch: u32,
    /// What looks up names.
    pub resolver: Arc<dyn Resolver>,
    /// The most bytes in a batch.
    pub bytes: &'static str,
    /// How many batches may be read and not settled.
    pub window: u32,
    /// How many records may be given up, and what becomes of them: by default, any.
    pub dead_letters: Value,
    /// Providers of access tokens.
    pub tokens: Vec<Value>,
    log: Log,
    _log: tracing::subscriber::DefaultGuard,
}

/// What came of a run.
pub struct Ran {
    pub counts: Counts,
    used: Vec<Used>,
    /// Why it ended before its source did; empty where it did not.
    pub error: String,
    /// For how long it waited, one wait after the other.
    pub waits: Vec<u64>,
}

impl Trial {
    pub fn new<T: AsRef<[u8]>>(records: impl IntoIterator<Item = T>) -> Self {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter("info,wharf::call=off")
            .with_writer(log.clone())
            .with_ansi(false)
            .without_time()
            .finish();
        let trial = Self {
            folder: Scratch::new().unwrap(),
            time: VirtualClock::new(),
            batch: 1000,
            resolver: Arc::new(SystemResolver),
            bytes: "4MiB",
            window: 4,
            dead_letters: json!({"window": 0}),
            tokens: Vec::new(),
            log,
            _log: tracing::subscriber::set_default(subscriber),
        };
        trial.append(records);
        trial
    }

    /// Adds records to the file.
    pub fn append<T: AsRef<[u8]>>(&self, records: impl IntoIterator<Item = T>) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.folder.path("records.txt")).unwrap();
        for record in records {
            file.write_all(record.as_ref()).unwrap();
            file.write_all(b"\n").unwrap();
        }
    }

    /// Starts a pipeline with these destinations; what refuses it otherwise, with the hints.
    pub async fn start(&self, destinations: &[Value]) -> Result<Running, String> {
        let source = json!({"kind": "file", "path": "records.txt", "format": "lines"});
        self.start_from(&source, destinations).await
    }

    /// The same with another source.
    pub async fn start_from(&self, source: &Value, destinations: &[Value]) -> Result<Running, String> {
        self.start_all(&[self.pipeline("trial", source, destinations)]).await
    }

    pub fn pipeline(&self, id: &str, source: &Value, destinations: &[Value]) -> Value {
        let Self { batch, bytes, window, dead_letters, .. } = self;
        let batch = json!({"records": batch, "bytes": bytes});
        let mut pipeline = json!({"id": id, "source": source, "batch": batch, "window": window, "destinations": destinations});
        pipeline["dead-letters"] = dead_letters.clone();
        pipeline["checkpoint-interval"] = json!("0");
        pipeline
    }

    /// Starts pipelines side by side.
    pub async fn start_all(&self, pipelines: &[Value]) -> Result<Running, String> {
        let file = json!({"version": 1, "tokens": self.tokens, "pipelines": pipelines}).to_string();
        let file = config::parse(&file, "trial.yaml", &self.folder.path(""), &|_| None).unwrap();
        let clock = self.time.clock();
        let loader = Loader::new(engine(), clock.clone()).unwrap().with_resolver(self.resolver.clone());
        let told = |errors: Vec<plan::PlanError>| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let plan = plan::plan(file, &loader, "run-1").await.map_err(told)?;
        runtime::start(plan, clock, "run-1").await.map_err(|error| error.to_string())
    }

    /// Runs a pipeline to its end, letting time pass wherever something waits.
    pub async fn run(&self, destinations: &[Value]) -> Ran {
        self.end(self.start(destinations).await.unwrap()).await
    }

    /// Runs what was started to its end.
    pub async fn end(&self, running: Running) -> Ran {
        self.end_all(running).await.pop().unwrap()
    }

    /// The same for several pipelines. The waits are those of all together.
    pub async fn end_all(&self, running: Running) -> Vec<Ran> {
        let (reports, waits) = self.reports(running).await;
        let ran = reports.into_iter().map(|report| Ran {
            counts: report.counts,
            used: report.used,
            error: report.error.map(|error| error.to_string()).unwrap_or_default(),
            waits: waits.clone(),
        });
        ran.collect()
    }

    /// The same as the host tells it, with the waits.
    pub async fn reports(&self, running: Running) -> (Vec<Report>, Vec<u64>) {
        let clock = self.time.clock();
        let mut waits = Vec::new();
        let mut ended = pin!(running.ended());
        let reports = loop {
            tokio::select! {
                reports = &mut ended => break reports,
                () = self.at_rest() => {
                    let before = clock.elapsed();
                    self.time.advance_to_next();
                    waits.push(duration(clock.elapsed() - before));
                }
            }
        };
        (reports, waits)
    }

    /// Waits until somebody sleeps and nobody else has anything to do. Files are read and components called by threads of their own, of
    /// which the clock knows nothing: they are given a moment.
    async fn at_rest(&self) {
        self.time.sleepers(1).await;
        tokio::time::sleep(Duration::from_millis(15)).await;
        self.time.sleepers(1).await;
    }

    /// What was logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.0.lock().unwrap()).into_owned()
    }

    /// The calls that a `guest-scripted` was given, without the ids of batches.
    pub fn journal(&self) -> Vec<String> {
        let journal = fs::read_to_string(self.folder.path("journal/calls")).unwrap_or_default();
        let without_id = |line: &str| match line.split_once(' ') {
            Some(("write", rest)) => format!("write {}", rest.split_once(' ').unwrap().1),
            Some((call, _)) => call.to_owned(),
            None => line.to_owned(),
        };
        journal.lines().map(without_id).collect()
    }

    /// The ids of the batches that were written, in order.
    pub fn ids(&self) -> Vec<String> {
        let journal = fs::read_to_string(self.folder.path("journal/calls")).unwrap();
        let id = |line: &str| line.strip_prefix("write ").map(|rest| rest.split(' ').next().unwrap().to_owned());
        journal.lines().filter_map(id).collect()
    }

    pub async fn dead_letters(&self) -> Vec<DeadLetter> {
        self.store().dead_letters("trial").await.unwrap()
    }

    pub async fn checkpoint(&self) -> Option<Checkpoint> {
        self.store().checkpoints("trial").await.unwrap().pop()
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.folder.path(".wharf/wharf.db")).unwrap()
    }

    /// A `guest-scripted` that answers its writes with this.
    pub fn scripted(&self, script: &str) -> Value {
        self.scripted_with(json!({"script": script}))
    }

    pub fn scripted_with(&self, settings: Value) -> Value {
        self.with_journal(destination("scripted", "guest-scripted", settings))
    }

    /// A `guest-poison`.
    pub fn poison(&self, settings: Value) -> Value {
        self.with_journal(destination("poison", "guest-poison", settings))
    }

    fn with_journal(&self, mut destination: Value) -> Value {
        fs::create_dir_all(self.folder.path("journal")).unwrap();
        destination["grants"] = json!({"directories": [{"host": "journal", "guest": "/journal", "access": "read-write"}]});
        destination
    }

    /// The lines of a file of the journal.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let lines = fs::read_to_string(self.folder.path("journal").join(name)).unwrap_or_default();
        lines.lines().map(str::to_owned).collect()
    }
}

impl Ran {
    pub fn destination(&self, id: &str) -> &DestinationCounts {
        self.counts.destinations.iter().find(|destination| *destination.id == *id).unwrap()
    }

    /// What the first destination used and tried.
    pub fn usage(&self) -> &Usage {
        &self.used[0].usage
    }

    /// Read and carried, and what became of these at the first destination: delivered, dead letters, pending.
    pub fn account(&self) -> [u64; 5] {
        let Counts { read, carried, destinations, .. } = &self.counts;
        let DestinationCounts { delivered, dead_lettered, pending, .. } = destinations[0];
        [*read, *carried, delivered, dead_lettered, pending]
    }
}

pub fn destination(id: &str, guest: &str, settings: Value) -> Value {
    let component = wharf_tests::component(guest).unwrap();
    json!({"id": id, "component": component, "settings": settings})
}

/// Records to be written without a pipeline.
pub fn batch(records: &[&str]) -> Batch {
    let mut builder = BatchBuilder::with_capacity(records.len(), 1 << 10, false, None);
    for (sequence, record) in (0..).zip(records) {
        builder.push(sequence, None, record.as_bytes()).unwrap();
    }
    builder.finish("p", "records".into())
}

/// A destination that does nothing wrong.
pub fn honest() -> Value {
    destination("honest", "guest-faults", json!({}))
}

/// One for all tests, as in the program.
pub fn engine() -> Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(Some(Cache::open(&wharf_tests::cache().unwrap()).unwrap())).unwrap()).clone()
}

fn duration(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap()
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
