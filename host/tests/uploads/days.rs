//! A month of schedules, in virtual time: earthquakes come in as they happened, files are made by the hour, and the service that takes them works through
//! each in its own time, with whatever goes wrong on the way. The service is the stand-in that also listens to components, asked within the process.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use serde::Deserialize;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use wharf::{
    bulk::{
        AnyFar, BulkFar, BulkPolicy, CallTrouble, Driver, Engine, Exit, FileBounds, Letters, OnLost, OnUndecidable, Parts, Rest,
        Staging, Tallied, Told,
    },
    clock::VirtualClock,
    config::{Size, UploadKeys, Zone},
    connector::{BulkTrouble, UploadContext},
    pipeline::{Gate, Sooner, Spooling, Timetable},
    record::{
        Batch, BatchBuilder, ColumnParts, Failure, FailureKind, Found, Handle, Outcome, Receipt, Run, Span, SpanSet, Transformed,
        UploadRequest, UploadStatus, Uploaded, Verdict,
    },
    sandbox::Staged,
    store::{
        DeadLetter, StoreError,
        spool::{Incoming, Spool, SpoolState, SqliteSpool},
    },
};
use wharf_tests::{
    checkout,
    far::{Reply, Seen},
    imports::{Fault, Service, rejects},
    long,
};

const HOUR: Duration = Duration::from_secs(3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// How much time passes between two looks at what there is to do: short beside all that anybody waits for.
const STEP: Duration = Duration::from_secs(600);

/// Records of a file at the most.
const FILE: u32 = 200;

/// Dead letters by sequence, and why.
#[derive(Default)]
struct Kept(Mutex<BTreeMap<u64, String>>);

#[async_trait]
impl Letters for Kept {
    async fn give_up(&self, letters: Vec<DeadLetter>) -> Result<(), StoreError> {
        let kept = letters.into_iter().map(|letter| (letter.sequence, letter.reason.kind.to_string()));
        self.0.lock().unwrap().extend(kept);
        Ok(())
    }
}

/// What the component for the service is when it runs: the service in the same process, by the same clock.
#[derive(Clone)]
struct Near {
    service: Arc<Mutex<Service>>,
    time: VirtualClock,
    /// Whether it can be asked for an import by its key.
    asks: bool,
}

/// An import as the service has it.
#[derive(Deserialize)]
struct Stands {
    id: u64,
    state: String,
}

/// What became of a line.
#[derive(Deserialize)]
struct Said {
    line: u32,
    kind: String,
}

fn failed(kind: FailureKind, message: &str, retry_after: Option<Duration>) -> CallTrouble {
    BulkTrouble::Failed(Arc::new(Failure { kind, message: message.into(), code: None, retry_after })).into()
}

/// A verdict of one record.
fn verdict(record: u32, kind: FailureKind, message: &str) -> Verdict {
    let failure = Failure { kind, message: message.into(), code: None, retry_after: None };
    Verdict { records: Span::new(record, record + 1), outcome: Outcome::Failed(failure) }
}

impl Near {
    fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap()
    }

    /// Asks it, and gives the answer where it is whole and well.
    fn ask(&self, method: &str, path: &str, intent: &str, body: Vec<u8>) -> Result<Reply, CallTrouble> {
        let headers = vec![("idempotency-key".to_owned(), intent.to_owned())];
        let seen = Seen { method: method.into(), path: path.into(), headers, body };
        let reply = self.service().answer(self.time.clock().elapsed(), &seen);
        let after = reply.headers.iter().find(|(name, _)| name == "retry-after");
        let after = after.map(|(_, seconds)| Duration::from_secs(seconds.parse().unwrap()));
        match reply.status {
            _ if reply.cut => Err(failed(FailureKind::Uncertain, "the connection was cut", None)),
            401 => Err(failed(FailureKind::Unauthorized, "the token has expired", None)),
            429 => Err(failed(FailureKind::Throttled, "too many requests", after)),
            500.. => Err(failed(FailureKind::Transient, "the service is broken", None)),
            _ => Ok(reply),
        }
    }

    fn stands(reply: &Reply) -> Result<Stands, CallTrouble> {
        serde_json::from_slice(&reply.body).map_err(|_| failed(FailureKind::Uncertain, "the answer is cut short", None))
    }

    fn working(id: u64, records: u32) -> Uploaded {
        let handle = id.to_string().into_bytes();
        Uploaded::verify(records, Receipt::default(), vec![Span::new(0, records)], Some(handle)).unwrap()
    }
}

fn number(handle: &Handle) -> &str {
    std::str::from_utf8(handle).unwrap()
}

async fn text(file: &Staged) -> Vec<u8> {
    let mut text = Vec::new();
    loop {
        let piece = file.read(text.len() as u64, 1 << 16).await.unwrap();
        if piece.is_empty() {
            return text;
        }
        text.extend(piece);
    }
}

impl AnyFar for Near {
    fn title(&self) -> Arc<str> {
        "imports 1.0.0".into()
    }

    fn digest(&self) -> Arc<str> {
        "digest".into()
    }

    fn bounds(&self) -> FileBounds {
        FileBounds { records: FILE, ..FileBounds::default() }
    }

    fn keeps_order(&self) -> bool {
        false
    }
}

#[async_trait]
impl BulkFar for Near {
    async fn transform(&self, batch: &Batch, _: Option<&str>, _: u32, _: u32) -> Result<Told<Transformed>, CallTrouble> {
        let mut lines = ColumnParts { offsets: vec![0], ..ColumnParts::default() };
        for record in 0..batch.count() as usize {
            lines.data.extend_from_slice(batch.after().get(record).unwrap());
            lines.offsets.push(lines.data.len() as u32);
        }
        Ok(Transformed::verify(batch.count(), lines, Vec::new()).unwrap().into())
    }

    async fn upload(&self, request: &UploadRequest, _: &UploadContext, file: Staged) -> Result<Told<Uploaded>, CallTrouble> {
        let reply = self.ask("POST", "/imports", &request.intent, text(&file).await)?;
        Ok(Self::working(Self::stands(&reply)?.id, request.records).into())
    }

    async fn poll(
        &self,
        handle: &Handle,
        _: &UploadContext,
        _: &SpanSet,
        _: u32,
        _: Staged,
    ) -> Result<Told<UploadStatus>, CallTrouble> {
        let reply = self.ask("GET", &format!("/imports/{}", number(handle)), "", Vec::new())?;
        if reply.status == 404 {
            return Err(failed(FailureKind::Rejected, "the service knows no such import", None));
        }
        let stands = Self::stands(&reply)?;
        let status = match stands.state.as_str() {
            "queued" | "processing" => UploadStatus::working(None, Some(STEP), None).unwrap(),
            "done" => UploadStatus::AskStats(None),
            other => {
                let message = format!("the import was {other}");
                UploadStatus::Failed(Arc::new(Failure { kind: FailureKind::Transient, message, code: None, retry_after: None }))
            }
        };
        Ok(status.into())
    }

    async fn stats(
        &self,
        handle: &Handle,
        _: &UploadContext,
        working: &SpanSet,
        records: u32,
        _: Staged,
    ) -> Result<Told<Vec<Run>>, CallTrouble> {
        let reply = self.ask("GET", &format!("/imports/{}/lines", number(handle)), "", Vec::new())?;
        let said: Vec<Said> = serde_json::from_slice(&reply.body).unwrap();
        let mut receipt = Receipt::default();
        let mut next = 0;
        for Said { line, kind } in said {
            let record = line - 1;
            receipt.delivered.extend((next < record).then(|| Span::new(next, record)));
            next = record + 1;
            receipt.verdicts.push(match kind.as_str() {
                "warned" => Verdict {
                    records: Span::new(record, record + 1),
                    outcome: Outcome::Warned("the service did not like it".into()),
                },
                "again" => verdict(record, FailureKind::Transient, "the service was busy with it"),
                _ => verdict(record, FailureKind::Rejected, "the service does not take it"),
            });
        }
        receipt.delivered.extend((next < records).then(|| Span::new(next, records)));
        Ok(receipt.verify_of(working, records).unwrap().into())
    }

    async fn reconcile(&self, request: &UploadRequest, _: &UploadContext, _: Staged) -> Result<Told<Found>, CallTrouble> {
        if !self.asks {
            return Ok(Found::CannotTell.into());
        }
        let reply = self.ask("GET", &format!("/imports?key={}", request.intent), "", Vec::new())?;
        let found = match reply.status {
            404 => Found::Absent,
            _ => Found::Present(Self::working(Self::stands(&reply)?.id, request.records)),
        };
        Ok(found.into())
    }

    async fn release(&self, handle: &Handle, _: &UploadContext) -> Result<(), CallTrouble> {
        self.ask("DELETE", &format!("/imports/{}", number(handle)), "", Vec::new()).map(drop)
    }
}

/// An event as it comes in: when, and its line.
type Event = (Duration, String);

/// All earthquakes in the order in which they happened, their days stretched over a month.
fn events() -> Vec<Event> {
    #[derive(Deserialize)]
    struct Line {
        properties: Properties,
    }
    #[derive(Deserialize)]
    struct Properties {
        time: u64,
    }
    let text = std::fs::read_to_string(checkout().join("examples/data/earthquakes.ndjson")).unwrap();
    let mut events: Vec<(u64, String)> =
        text.lines().map(|line| (serde_json::from_str::<Line>(line).unwrap().properties.time, line.to_owned())).collect();
    events.sort();
    let (first, last) = (events[0].0, events[events.len() - 1].0);
    let share = |time: u64| MONTH.mul_f64((time - first) as f64 / (last - first) as f64);
    events.into_iter().map(|(time, line)| (share(time), line)).collect()
}

/// A month.
struct Month {
    folder: tempfile::TempDir,
    time: VirtualClock,
    near: Near,
    letters: Arc<Kept>,
    of: Arc<Spooling>,
    policy: BulkPolicy,
}

/// A process that lives in it.
struct Life {
    spool: Tallied,
    rest: watch::Receiver<(u64, Rest)>,
    engine: JoinHandle<()>,
    driver: JoinHandle<()>,
}

impl Month {
    /// A month in which so many times something of these goes wrong.
    fn new(seed: u64, schedule: &str, asks: bool, faults: &[Fault], times: u32) -> Self {
        let time = VirtualClock::seeded(seed);
        let service = Service::new(faults, times, HOUR / 6, HOUR / 2);
        let near = Near { service: Arc::new(Mutex::new(service)), time: time.clone(), asks };
        let policy = BulkPolicy {
            on_lost: OnLost::Resend,
            on_undecidable: if asks { OnUndecidable::Hold } else { OnUndecidable::Resend },
            ..BulkPolicy::default()
        };
        let timetable = Timetable { schedule: schedule.parse().unwrap(), zone: Zone("Europe/Berlin".parse().unwrap()) };
        let of = Spooling {
            action: 0,
            name: "".into(),
            writes: false,
            routed: true,
            timetable,
            sooner: Sooner::default(),
            ordered: false,
            retry: policy.retry,
            keys: UploadKeys::default(),
            version: None,
        };
        let folder = tempfile::tempdir().unwrap();
        Self { folder, time, near, letters: Arc::default(), of: Arc::new(of), policy }
    }

    async fn live(&self) -> Life {
        let (clock, path, gate) = (self.time.clock(), self.folder.path(), Gate::default());
        let spool = SqliteSpool::open(&path.join("spool.db"), Size::from_mib(64)).unwrap();
        spool.recover(None, clock.millis()).await.unwrap();
        let spool = Tallied::new(Arc::new(spool)).await.unwrap();
        let engine = Engine::new(Parts {
            pipeline: "month".into(),
            destination: "service".into(),
            action: 0,
            called: None,
            exit: Exit::Files(Arc::new(self.near.clone())),
            earlier: Vec::new(),
            spool: Arc::new(spool.clone()),
            staging: Staging::open(&path.join("staging")).unwrap(),
            letters: self.letters.clone(),
            policy: self.policy,
            clock: clock.clone(),
            gate: gate.clone(),
            log: None,
        });
        let (orders, taken) = mpsc::channel(4);
        let stand = engine.watch();
        let engine = tokio::spawn(async move { engine.run(taken).await.unwrap() });
        let driver = Driver::new(spool.clone(), self.of.clone(), self.of.timetable.clone(), clock, gate);
        let rest = driver.rest();
        let driver = tokio::spawn(async move { driver.drive(orders, stand).await.unwrap() });
        Life { spool, rest, engine, driver }
    }
}

impl Life {
    /// As the end of the process does.
    async fn kill(self) {
        for task in [self.driver, self.engine] {
            task.abort();
            let _aborted = task.await;
        }
        // What a thread was doing in the spool comes to its end first: it holds the file.
        self.spool.status().await.unwrap();
    }

    /// Lets it do what there is to be done at this moment.
    async fn work(&self) {
        // Some of it is done by threads that wait for the disk.
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }
}

/// A month of events, killed so often. Gives how often each line was applied, and holds what must be so in any case.
async fn month(month: &Month, kills: u32) -> BTreeMap<String, u32> {
    let events = events();
    let mut random = fastrand::Rng::with_seed(u64::from(kills));
    let mut killed: Vec<Duration> = (0..kills).map(|_| MONTH.mul_f64(random.f64())).collect();
    killed.sort();
    killed.reverse();
    let (mut life, mut taken) = (month.live().await, 0);
    loop {
        life.work().await;
        let now = month.time.clock().elapsed();
        if killed.last().is_some_and(|at| *at <= now) {
            killed.pop();
            life.kill().await;
            life = month.live().await;
            continue;
        }
        // What happened in the meantime comes in together.
        let due = events[taken..].iter().take_while(|(at, _)| *at <= now).count();
        if due > 0 {
            let mut builder = BatchBuilder::with_capacity(due, 1000, false, Some("application/json".into()));
            for (at, (_, line)) in events[taken..taken + due].iter().enumerate() {
                builder.push((taken + at) as u64, None, line.as_bytes()).unwrap();
            }
            taken += due;
            let batch = builder.finish("earthquakes", "events".into());
            let incoming = Incoming { action: 0, version: None, label: "events".into(), batch, again: false };
            life.spool.take(vec![incoming], month.time.clock().millis()).await.unwrap();
            continue;
        }
        if taken == events.len() && life.rest.borrow().1 == Rest::Done {
            break;
        }
        month.time.advance(STEP);
    }
    let status = life.spool.status().await.unwrap();
    life.kill().await;
    assert!(month.time.clock().elapsed() >= MONTH);
    let service = month.near.service();
    let (applied, letters) = (service.applied().clone(), month.letters.0.lock().unwrap());
    let rejected = events.iter().filter(|(_, line)| rejects(line)).count();
    assert!(rejected > 0 && letters.values().all(|kind| kind == "rejected"), "{letters:?}");
    assert_eq!((letters.len(), service.faults_left()), (rejected, 0));
    assert_eq!(status.of(SpoolState::Succeeded) as usize, events.len() - rejected, "{status:?}");
    assert_eq!((status.of(SpoolState::Discarded) as usize, status.batches, status.uploads), (rejected, 0, 0), "{status:?}");
    for (_, line) in &events {
        assert_eq!(applied.contains_key(line), !rejects(line), "{line}");
    }
    let (made, deleted) = service.imports();
    assert!(made > 100 && deleted > 0, "{made} imports, {deleted} released: a month of hours has more");
    applied
}

fn run(month: impl Future<Output = BTreeMap<String, u32>>) -> BTreeMap<String, u32> {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(month)
}

#[test]
fn a_month_of_events_is_applied_once_whatever_goes_wrong_where_the_service_can_be_asked() {
    let kills = if long() { 50 } else { 10 };
    let one_by_one = Fault::ALL.iter().map(|fault| vec![*fault]).filter(|_| long());
    for (seed, faults) in (1..).zip([Fault::ALL.to_vec()].into_iter().chain(one_by_one)) {
        let applied = run(month(&Month::new(seed, "@every 1h", true, &faults, 60), kills));
        assert!(applied.values().all(|times| *times == 1), "{faults:?}");
    }
}

#[test]
fn a_month_of_events_is_applied_at_least_once_in_office_hours_where_the_service_cannot_be_asked() {
    let faults = [Fault::CutAfter, Fault::Truncated];
    let applied = run(month(&Month::new(1, "*/15 8-18 * * MON-FRI", false, &faults, 30), 10));
    assert!(applied.values().any(|times| *times > 1), "nothing was sent twice, and this test holds nothing");
}
