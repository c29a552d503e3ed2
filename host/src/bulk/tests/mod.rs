//! Random far sides, verdicts, faults and crashes, in virtual time.
//!
//! Each case is made from one seed, which a failure prints; `WHARF_TEST_SEED=n` runs that one alone. A case runs an engine over and over on one
//! spool, each ended at a random instant as a crash ends it, and the last until everything is settled. Threads of the disk's run beside, so that
//! two runs of a seed are alike and not the same.

mod blame;
mod service;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;

use super::*;
use crate::{
    clock::{Clock, VirtualClock},
    config::{OnUnknown, Size, Then},
    pipeline::{Gate, Policy},
    record::{Batch, BatchBuilder},
    store::{
        DeadLetter,
        spool::{Claim, ClaimOrder, Incoming, Selection, Spool, SpoolState, SpoolStatus, SqliteSpool},
    },
};
use service::{Fake, Service};

/// What comes of a record by itself.
pub enum Kind {
    Plain,
    /// No line can be made of it.
    Rejected,
    /// Its line has a line break.
    Broken,
    /// Its line is too large.
    Large,
    /// It ends every instance.
    Poison,
}

pub fn kind(sequence: u64) -> Kind {
    match sequence % 40 {
        7 => Kind::Rejected,
        17 => Kind::Broken,
        27 => Kind::Large,
        37 => Kind::Poison,
        _ => Kind::Plain,
    }
}

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

fn batch(sequences: std::ops::Range<u64>) -> Batch {
    let mut builder = BatchBuilder::with_capacity(4, 16, true, None);
    for sequence in sequences {
        builder.push(sequence, Some(format!("key {}", sequence % 5).as_bytes()), b"value").unwrap();
    }
    builder.finish("pipe", "p".into())
}

fn incoming(sequences: std::ops::Range<u64>) -> Incoming {
    Incoming { action: 0, version: None, label: "file".into(), batch: batch(sequences), again: false }
}

struct World {
    folder: tempfile::TempDir,
    time: VirtualClock,
    fake: Fake,
    letters: Arc<Kept>,
    policy: BulkPolicy,
}

/// An engine under way.
struct Life {
    spool: SqliteSpool,
    orders: tokio::sync::mpsc::Sender<Order>,
    stand: tokio::sync::watch::Receiver<Stand>,
    run: tokio::task::JoinHandle<Result<(), BulkError>>,
    gate: Gate,
}

impl World {
    fn new(seed: u64, tells: bool, faults: u32, policy: BulkPolicy) -> Self {
        let fake = Fake(Arc::new(Mutex::new(Service::new(seed, tells, faults))));
        Self { folder: tempfile::tempdir().unwrap(), time: VirtualClock::seeded(seed), fake, letters: Arc::default(), policy }
    }

    async fn live(&self) -> Life {
        let path: &Path = self.folder.path();
        let clock: Clock = self.time.clock();
        let spool = SqliteSpool::open(&path.join("spool.db"), Size::from_mib(16)).unwrap();
        spool.recover(None, clock.millis()).await.unwrap();
        self.fake.service().spool = Some(Arc::new(spool.clone()));
        let gate = Gate::default();
        let engine = Engine::new(Parts {
            pipeline: "p".into(),
            destination: "leads".into(),
            action: 0,
            called: None,
            exit: Exit::Files(Arc::new(self.fake.clone())),
            earlier: Vec::new(),
            spool: Arc::new(spool.clone()),
            staging: Staging::open(&path.join("staging")).unwrap(),
            letters: self.letters.clone(),
            policy: self.policy,
            clock,
            gate: gate.clone(),
            log: None,
        });
        let (orders, taken) = tokio::sync::mpsc::channel(16);
        let stand = engine.watch();
        Life { spool, orders, stand, run: tokio::spawn(engine.run(taken)), gate }
    }

    /// Lets the engine work, and then time pass to where somebody waits for it.
    async fn pass(&self) {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
        // Where nobody waits there may be a record that is due later: a schedule would fire then.
        if !self.time.advance_to_next() {
            self.time.advance(Duration::from_secs(5));
        }
    }

    fn staged(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("staging")).unwrap().count()
    }
}

impl Life {
    /// Whatever is to be done is begun, and what is held is asked for once more.
    async fn go_on(&self) {
        let stand = self.stand.borrow().clone();
        if !stand.firing {
            let _full = self.orders.try_send(Order::Fire);
        }
        if stand.held > 0 {
            for upload in self.spool.uploads().await.unwrap() {
                let _full = self.orders.try_send(Order::Resolve(upload.id, Resolve::Ask));
            }
        }
    }

    /// As the end of the process does.
    async fn crash(self) {
        self.run.abort();
        let _aborted = self.run.await;
        // What a thread was doing in the spool comes to its end first: it holds the file.
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.spool.status().await.unwrap();
    }

    async fn close(self) {
        drop(self.orders);
        self.run.await.unwrap().unwrap();
    }
}

/// For how long nothing has happened.
#[derive(Default)]
struct Standstill {
    looks: u32,
    was: Option<SpoolStatus>,
}

impl Standstill {
    /// Whether the engine had nothing to do at so many looks that whatever is due later was due at one of them.
    fn is_so(&mut self, life: &Life, status: &SpoolStatus) -> bool {
        let idle = *life.stand.borrow() == Stand::default() && self.was.as_ref() == Some(status);
        self.looks = if idle { self.looks + 1 } else { 0 };
        self.was = Some(status.clone());
        self.looks >= 30
    }
}

impl Life {
    /// Whether it waits for a record that comes through before it can tell whose fault it is that instances end.
    fn suspects(&self) -> bool {
        self.gate.state().shut().is_some_and(|pause| pause.why.contains("ended its instance"))
    }
}

/// At a standstill all that waits does so behind a record of its key that was not answered for; a person has that sent again.
async fn decide(life: &Life, ordered: bool, now: u64) {
    let open = life.spool.records(Selection::default(), (0, 0), u32::MAX).await.unwrap();
    assert!(ordered, "nothing is held back: {open:?}");
    let mut unknown: BTreeSet<u64> = BTreeSet::new();
    for stretch in open.iter().filter(|stretch| stretch.label.as_ref() == "file") {
        for sequence in stretch.first..=stretch.last {
            match stretch.state {
                SpoolState::Unknown => _ = unknown.insert(sequence % 5),
                _ => assert!(unknown.contains(&(sequence % 5)), "{sequence} waits for nobody: {open:?}"),
            }
        }
    }
    let those = Selection { state: Some(SpoolState::Unknown), ..Selection::default() };
    assert!(life.spool.hurry(those, now).await.unwrap() > 0);
}

async fn one_case(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed);
    let (tells, ordered) = (random.bool(), random.u32(0..3) == 0);
    let policy = BulkPolicy {
        batch_records: random.u32(1..12),
        max_uploads: random.u32(1..5),
        ordered,
        on_undecidable: if random.bool() { OnUndecidable::Resend } else { OnUndecidable::Hold },
        on_unknown: random.choice([OnUnknown::Retry, OnUnknown::DeadLetter, OnUnknown::Hold]).unwrap(),
        retry: Policy { max_attempts: Some(5), then: Then::DeadLetter, ..Policy::RECORD },
        upload_max_age: Duration::from_secs(30 * 86_400),
        ..BulkPolicy::default()
    };
    let world = World::new(seed, tells, random.choice([0, 5, 25]).unwrap(), policy);
    let mut total = random.u64(20..90);
    let mut taken = 0;
    for _ in 0..random.u32(0..6) {
        let life = world.live().await;
        for _ in 0..random.u32(1..40) {
            if taken < total && random.bool() {
                // A part of it may have come before.
                let next = (taken + random.u64(1..20)).min(total);
                life.spool.take(vec![incoming(taken.saturating_sub(3)..next)], world.time.clock().millis()).await.unwrap();
                taken = next;
            }
            life.go_on().await;
            world.pass().await;
        }
        life.crash().await;
    }
    let life = world.live().await;
    life.spool.take(vec![incoming(0..total)], world.time.clock().millis()).await.unwrap();
    let (mut left, mut still) = (6000, Standstill::default());
    let status = loop {
        life.go_on().await;
        world.pass().await;
        let status = life.spool.status().await.unwrap();
        let ended = status.of(SpoolState::Succeeded) + status.of(SpoolState::Discarded) + status.of(SpoolState::Unknown);
        if ended == total && status.uploads == 0 {
            break status;
        }
        if still.is_so(&life, &status) {
            decide(&life, ordered, world.time.clock().millis()).await;
        }
        // Where all that is left ends instances, another has to come through first: the source goes on.
        if life.suspects() && life.gate.resume() {
            life.spool.take(vec![incoming(total..total + 1)], world.time.clock().millis()).await.unwrap();
            total += 1;
        }
        left -= 1;
        assert!(left > 0, "it comes to no end: {status:?} {:?}", life.spool.uploads().await);
    };
    life.close().await;
    let told = what_followed(&world).await;
    let (service, letters) = (world.fake.service(), world.letters.0.lock().unwrap());
    let mut applied: BTreeMap<u64, u32> = BTreeMap::new();
    service.applied.iter().for_each(|sequence| *applied.entry(*sequence).or_default() += 1);
    let unknown = status.of(SpoolState::Unknown);
    assert_eq!(status.of(SpoolState::Discarded), letters.len() as u64, "each that is given up is a dead letter");
    assert_eq!(status.of(SpoolState::Succeeded), applied.len() as u64);
    assert_eq!(applied.len() as u64 + letters.len() as u64 + unknown, total);
    let given_up: BTreeSet<u64> = letters.keys().copied().collect();
    assert!(applied.keys().all(|sequence| !given_up.contains(sequence)));
    assert!(applied.values().all(|times| *times == 1), "{applied:?}");
    for sequence in 0..total {
        let kept = letters.get(&sequence).map(String::as_str);
        match kind(sequence) {
            Kind::Rejected | Kind::Broken => assert_eq!(kept, Some("rejected"), "{sequence}"),
            Kind::Large => assert_eq!(kept, Some("too-large"), "{sequence}"),
            Kind::Poison => assert_eq!(kept, Some("trapped"), "{sequence}"),
            Kind::Plain => {}
        }
    }
    if ordered {
        for key in 0..5 {
            let of_key: Vec<u64> = service.applied.iter().copied().filter(|sequence| sequence % 5 == key).collect();
            assert!(of_key.is_sorted(), "{of_key:?}");
        }
    }
    assert_eq!(world.staged(), 0, "no file is left");
    for sequence in 0..total {
        // No call about one that ends every instance ever came back; and what nobody knows has come to no end.
        let poison = matches!(kind(sequence), Kind::Poison);
        let word = match (applied.contains_key(&sequence), letters.contains_key(&sequence)) {
            (true, _) => Some("succeeded"),
            (_, true) if !poison => Some("discarded"),
            _ => None,
        };
        let told: Vec<&str> = told.get(&sequence).into_iter().flatten().map(|told| told.split(' ').next().unwrap()).collect();
        assert_eq!(told, word.into_iter().collect::<Vec<_>>(), "{sequence}");
    }
}

/// What was told of each record by its end; that it failed was told at the most once.
async fn what_followed(world: &World) -> BTreeMap<u64, Vec<String>> {
    let life = world.live().await;
    let claim = |action| Claim { action, now: u64::MAX, records: u32::MAX, bytes: u64::MAX, order: ClaimOrder::Any };
    let mut told: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for part in life.spool.claim(claim(1)).await.unwrap() {
        assert_eq!((&**part.records.partition(), &*part.label), ("follow-up/action-1/p", "follow-up/action-1/file"));
        for (sequence, word) in part.records.sequences().iter().zip(part.records.after().iter()) {
            told.entry(*sequence).or_default().push(String::from_utf8(word.unwrap().to_vec()).unwrap());
        }
    }
    let mut failed: Vec<u64> = Vec::new();
    for part in life.spool.claim(claim(2)).await.unwrap() {
        failed.extend(part.records.sequences());
    }
    let times = failed.len();
    failed.sort_unstable();
    failed.dedup();
    assert_eq!(failed.len(), times, "one of a cause");
    life.close().await;
    told
}

#[test]
fn whatever_a_far_side_does_and_whenever_it_ends_each_record_comes_to_one_end() {
    let given = std::env::var("WHARF_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = given.map_or(0..30, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let run = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(one_case(seed));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("WHARF_TEST_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
