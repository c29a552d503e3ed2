//! Far sides that go wrong in all the ways that the contract has words for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    clock::Clock,
    connector::{Answer, OpenError, Room, Trouble, descriptor::Order},
    pipeline::{Bounds, Far, FarSession},
    record::{Batch, Failure, FailureKind, Fate, Run, Span},
    sandbox::{Call, Ended, Scope, instance::Reason, log::Log},
};

/// What is at one far side, and what it is going to do.
pub struct World {
    rng: fastrand::Rng,
    /// How many more faults there are.
    faults: u32,
    /// Every delivery of each run, the repeated ones too: partition, sequence and ordinal.
    pub delivered: Vec<Vec<(String, u64, u32)>>,
    /// The moment before which nobody may write: it has said that nothing can succeed.
    shut: Option<Duration>,
    /// Whether what comes twice comes in the same cut, and in which each record came.
    pub exact: Option<HashMap<(String, u64, u32), String>>,
    /// How many records may be rejected in a run before nothing more is delivered; `None` where that does not matter.
    pub tolerance: Option<u32>,
    /// How many were, in this run.
    rejected: u32,
    /// What the host did that it must not do.
    pub fault: Option<String>,
}

impl World {
    pub fn new(seed: u64, faults: u32) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            faults,
            delivered: Vec::new(),
            shut: None,
            exact: None,
            tolerance: None,
            rejected: 0,
            fault: None,
        }
    }

    /// A run begins, with a clock of its own.
    pub fn begin(&mut self) {
        self.shut = None;
        self.rejected = 0;
        self.delivered.push(Vec::new());
    }

    /// A person has seen to it.
    pub fn mended(&mut self) {
        self.shut = None;
    }

    fn fails(&mut self) -> bool {
        let fails = self.faults > 0 && self.rng.u32(0..3) == 0;
        self.faults -= u32::from(fails);
        fails
    }

    /// A record that comes again comes in the cut that it came in before.
    fn note_cut(&mut self, batch: &Batch) {
        let Some(cuts) = &mut self.exact else { return };
        for (at, sequence) in batch.sequences().iter().enumerate() {
            let ordinal = ordinal(batch, at);
            let cut = cuts.entry((batch.partition().to_string(), *sequence, ordinal)).or_insert_with(|| batch.id().to_owned());
            if cut != batch.id() {
                self.fault = Some(format!("{}/{sequence} came in cut {cut} and then in {}", batch.partition(), batch.id()));
            }
        }
    }

    fn failure(&mut self, kinds: &[FailureKind]) -> Failure {
        let kind = kinds[self.rng.usize(0..kinds.len())];
        let retry_after = self.rng.bool().then(|| Duration::from_millis(self.rng.u64(0..5000)));
        Failure { kind, message: "no".into(), code: None, retry_after }
    }
}

/// One that answers at random.
pub struct Fake {
    pub world: Arc<Mutex<World>>,
    pub clock: Clock,
    pub order: Order,
}

struct FakeSession {
    world: Arc<Mutex<World>>,
    clock: Clock,
    order: Order,
}

const FOR_NOW: [FailureKind; 3] = [FailureKind::Transient, FailureKind::Uncertain, FailureKind::Throttled];

#[async_trait]
impl Far for Fake {
    fn title(&self) -> Arc<str> {
        "fake 1.0.0".into()
    }

    fn order(&self) -> Order {
        self.order
    }

    fn is_idempotent(&self) -> bool {
        false
    }

    fn bounds(&self) -> Bounds {
        Bounds::default()
    }

    fn memory(&self) -> String {
        String::new()
    }

    async fn open(&self, _: u32, _: u32) -> Result<Box<dyn FarSession>, OpenError> {
        let Self { world, clock, order } = self;
        let (wait, failed) = {
            let mut world = world.lock().unwrap();
            let wait = Duration::from_millis(world.rng.u64(0..50));
            let failed =
                world.fails().then(|| world.failure(&[FailureKind::Transient, FailureKind::Throttled, FailureKind::Fatal]));
            (wait, failed)
        };
        clock.sleep(wait).await;
        match failed {
            Some(failure) => Err(OpenError::Failed(failure)),
            None => Ok(Box::new(FakeSession { world: world.clone(), clock: clock.clone(), order: *order })),
        }
    }

    fn log(&self, clock: &Clock) -> Log {
        Log::new(Scope::default(), Arc::default(), clock.clone(), 0)
    }
}

#[async_trait]
impl FarSession for FakeSession {
    async fn write(&mut self, batch: &Batch, _action: u32, _: u32) -> Answer {
        let now = self.clock.elapsed();
        let wait = {
            let mut world = self.world.lock().unwrap();
            if world.shut.is_some_and(|shut| now < shut) {
                world.fault = Some(format!("it was written to at {now:?} and had said that nothing can succeed"));
            }
            if world.tolerance.is_some_and(|most| world.rejected > most) {
                world.fault = Some(format!("it was written to when {} records had been rejected", world.rejected));
            }
            world.note_cut(batch);
            let longest = if world.rng.u32(0..20) == 0 { 20_000 } else { 100 };
            Duration::from_millis(world.rng.u64(0..longest))
        };
        self.clock.sleep(wait).await;
        let mut world = self.world.lock().unwrap();
        let answer = world.answer(batch, self.order);
        for Run { records, fate } in &answer.runs {
            if matches!(fate, Fate::Delivered | Fate::Warned(_)) {
                let delivered = records.range();
                let delivered = delivered.map(|at| (batch.partition().to_string(), batch.sequences()[at], ordinal(batch, at)));
                world.delivered.last_mut().unwrap().extend(delivered);
            }
            let alone = answer.trouble.is_none() || batch.count() == 1;
            if let Fate::Failed(failure) = fate
                && failure.kind == FailureKind::Rejected
                && alone
            {
                world.rejected += records.len();
            }
            if let Fate::Failed(failure) = fate
                && failure.kind == FailureKind::Fatal
            {
                world.shut = Some(self.clock.elapsed() + Duration::from_secs(299));
            }
        }
        answer
    }

    async fn ack(&mut self, _: &[&str]) -> Result<(), Ended> {
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<Result<(), Failure>, Ended> {
        Ok(Ok(()))
    }

    fn room(&self) -> Room {
        Room { most: u64::MAX, usual: u64::MAX }
    }
}

/// Which of several that a processor made of one.
pub fn ordinal(batch: &Batch, at: usize) -> u32 {
    batch.ordinals().get(at).copied().unwrap_or_default()
}

impl World {
    /// What becomes of records, within what the order that it keeps allows.
    fn answer(&mut self, batch: &Batch, order: Order) -> Answer {
        let count = batch.count();
        let whole = |fate| vec![Run { records: Span::new(0, count), fate }];
        if !self.fails() {
            return Answer { runs: whole(Fate::Delivered), trouble: None };
        }
        match self.rng.u32(0..10) {
            0 | 1 => {
                let failure = Arc::new(self.failure(&FOR_NOW));
                Answer { runs: whole(Fate::Failed(failure.clone())), trouble: Some(Trouble::Failed(failure)) }
            }
            2 => {
                let failure = Arc::new(self.failure(&[FailureKind::Unauthorized, FailureKind::Fatal]));
                Answer { runs: whole(Fate::Failed(failure.clone())), trouble: Some(Trouble::Failed(failure)) }
            }
            3 => {
                let delivered = self.rng.u32(0..=count);
                let failure = Arc::new(self.failure(&[FailureKind::Uncertain]));
                let runs = [(0, delivered, Fate::Delivered), (delivered, count, Fate::Failed(failure))];
                let runs = runs.into_iter().map(|(start, end, fate)| Run { records: Span::new(start, end), fate });
                let reason = Reason::Time { call: Call::Write, limit: Duration::ZERO };
                let ended = Ended { call: Call::Write, reason, stderr: None };
                Answer { runs: runs.filter(|run| !run.records.is_empty()).collect(), trouble: Some(Trouble::Ended(ended)) }
            }
            4 => {
                let failure = Arc::new(self.failure(&[FailureKind::Rejected]));
                Answer { runs: whole(Fate::Failed(failure.clone())), trouble: Some(Trouble::Failed(failure)) }
            }
            _ => Answer { runs: self.one_by_one(batch, order), trouble: None },
        }
    }

    fn one_by_one(&mut self, batch: &Batch, order: Order) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut held: Vec<Option<Option<Vec<u8>>>> = Vec::new();
        for at in 0..batch.count() {
            let key = batch.key().map(|keys| keys.get(at as usize).map(<[u8]>::to_vec));
            let group = match order {
                Order::Batch => None,
                Order::Key | Order::None => Some(key.flatten()),
            };
            let again = order != Order::None && held.contains(&group);
            let fate = match self.rng.u32(0..12) {
                _ if again => Fate::Untried,
                0 => Fate::Failed(Arc::new(self.failure(&FOR_NOW))),
                1 => Fate::Failed(Arc::new(self.failure(&[FailureKind::Rejected]))),
                2 => Fate::Untried,
                3 => Fate::Unknown,
                4 => Fate::Warned("so".into()),
                _ => Fate::Delivered,
            };
            let settled = match &fate {
                Fate::Delivered | Fate::Warned(_) => true,
                Fate::Failed(failure) => failure.kind == FailureKind::Rejected,
                Fate::Untried | Fate::Unknown => false,
            };
            if !settled {
                held.push(group);
            }
            runs.push(Run { records: Span::new(at, at + 1), fate });
        }
        runs
    }
}
