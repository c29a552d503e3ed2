//! Processors that make of each record what they always make of it, and go wrong in all the ways that the contract has words for.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

use super::far::ordinal;
use crate::{
    clock::Clock,
    connector::{OpenError, ProcessTrouble, Room},
    pipeline::{Process, ProcessSession},
    record::{
        Batch, BatchBuilder, Chooser, Derived, Failure, FailureKind, Outcome, Passed, ProcessBounds, Processed, Selection, Span,
        Verdict,
    },
    sandbox::{Call, Ended, Scope, instance::Reason, log::Log},
};

/// What a processor does to each record.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    Pass,
    Filter,
    Explode,
    Reject,
}

/// How many records one becomes at the most.
pub const COPIES: u32 = 3;

/// What becomes of a record.
#[derive(Clone, Copy, PartialEq)]
enum Comes {
    On(u32),
    Rejected,
}

/// A processor, and what it is going to do.
pub struct Shop {
    pub act: Act,
    salt: u64,
    rng: fastrand::Rng,
    /// How many more faults there are.
    faults: u32,
    /// Whether none of them costs a record that another time goes through.
    pub harmless: bool,
    /// The moment before which nobody may call: it has said that nothing can succeed.
    shut: Option<Duration>,
    /// What the host did that it must not do.
    pub fault: Option<String>,
}

impl Shop {
    pub fn new(rng: &mut fastrand::Rng) -> Self {
        let act = [Act::Pass, Act::Filter, Act::Explode, Act::Reject][rng.usize(0..4)];
        let (salt, faults) = (rng.u64(..), rng.u32(0..12));
        Self { act, salt, rng: rng.fork(), faults, harmless: false, shut: None, fault: None }
    }

    /// A run begins with a clock of its own, or a person has seen to it.
    pub fn mended(&mut self) {
        self.shut = None;
    }

    fn comes(&self, sequence: u64, ordinal: u32) -> Comes {
        let mut hasher = DefaultHasher::new();
        (sequence, ordinal, self.salt).hash(&mut hasher);
        let hash = hasher.finish();
        match self.act {
            Act::Pass => Comes::On(1),
            Act::Filter => Comes::On(u32::from(!hash.is_multiple_of(4))),
            Act::Explode => Comes::On((hash % (1 + u64::from(COPIES))) as u32),
            Act::Reject if hash.is_multiple_of(9) => Comes::Rejected,
            Act::Reject => Comes::On(1),
        }
    }

    /// What it says of a batch up to some record, and of those from there on that they failed.
    fn account(&self, batch: &Batch, failed: Option<(Span, Failure)>) -> Processed {
        let (mut parents, mut filtered, mut verdicts) = (Vec::new(), Vec::new(), Vec::new());
        for at in 0..batch.count() {
            let records = Span::new(at, at + 1);
            if failed.as_ref().is_some_and(|(span, _)| span.range().contains(&(at as usize))) {
                continue;
            }
            match self.comes(batch.sequences()[at as usize], ordinal(batch, at as usize)) {
                Comes::On(0) => filtered.push(records),
                Comes::On(copies) => parents.extend((0..copies).map(|_| at)),
                Comes::Rejected => verdicts.push(Verdict { records, outcome: Outcome::Failed(failure(FailureKind::Rejected)) }),
            }
        }
        verdicts.extend(failed.map(|(records, failure)| Verdict { records, outcome: Outcome::Failed(failure) }));
        Processed { count: parents.len() as u32, parents: Some(parents), filtered, verdicts, ..Processed::default() }
    }

    fn process(&mut self, batch: &Batch) -> Result<Derived, ProcessTrouble> {
        let fails = self.faults > 0 && self.rng.u32(0..3) == 0;
        self.faults -= u32::from(fails);
        let count = batch.count();
        let failed = match fails.then(|| self.rng.u32(if self.harmless { 3..10 } else { 0..10 })) {
            None => None,
            Some(0) => return Err(ProcessTrouble::Failed(failure(FailureKind::Rejected).into())),
            Some(1 | 2) => {
                let reason = Reason::Time { call: Call::Process, limit: Duration::ZERO };
                return Err(ProcessTrouble::Ended(Ended { call: Call::Process, reason, stderr: None }));
            }
            Some(3 | 4) => {
                let kinds = [FailureKind::Transient, FailureKind::Uncertain, FailureKind::Throttled];
                return Err(ProcessTrouble::Failed(self.failure(&kinds).into()));
            }
            Some(5) => {
                return Err(ProcessTrouble::Failed(self.failure(&[FailureKind::Unauthorized, FailureKind::Fatal]).into()));
            }
            Some(6) => {
                let nothing = Processed { parents: Some(Vec::new()), ..Processed::default() };
                return nothing.apply("p", batch, &Selection::All, BOUNDS).map_err(ProcessTrouble::Breach);
            }
            Some(7) => {
                let from = self.rng.u32(0..count);
                let kinds = [FailureKind::Unauthorized, FailureKind::Fatal, FailureKind::Throttled];
                Some((Span::new(from, count), self.failure(&kinds)))
            }
            Some(_) => {
                let from = self.rng.u32(0..count);
                let kinds = [FailureKind::Transient, FailureKind::Uncertain, FailureKind::Throttled];
                Some((Span::new(from, self.rng.u32(from + 1..=count)), self.failure(&kinds)))
            }
        };
        self.account(batch, failed).apply("p", batch, &Selection::All, BOUNDS).map_err(ProcessTrouble::Breach)
    }

    fn failure(&mut self, kinds: &[FailureKind]) -> Failure {
        let retry_after = self.rng.bool().then(|| Duration::from_millis(self.rng.u64(0..5000)));
        Failure { retry_after, ..failure(kinds[self.rng.usize(0..kinds.len())]) }
    }
}

const BOUNDS: ProcessBounds = ProcessBounds { records: u32::MAX, bytes: u64::MAX };

fn failure(kind: FailureKind) -> Failure {
    Failure { kind, message: "no".into(), code: None, retry_after: None }
}

/// What comes of a record at the end of a chain that makes no mistakes: the ordinals that it has then, and whether anything of it was rejected.
pub fn made(shops: &[Arc<Mutex<Shop>>], sequence: u64) -> (Vec<u32>, bool) {
    let mut builder = BatchBuilder::with_capacity(1, 1, false, None);
    builder.push(sequence, None, b"record").unwrap();
    let (mut batch, mut rejected) = (Some(builder.finish("p", "p".into())), false);
    for shop in shops {
        let Some(before) = batch else { break };
        let derived = shop.lock().unwrap().account(&before, None).apply("p", &before, &Selection::All, BOUNDS).unwrap();
        rejected |= derived.passages().iter().any(|passage| matches!(passage.passed, Passed::Failed(_)));
        batch = derived.batch().cloned();
    }
    let ordinals = batch.map(|batch| (0..batch.count() as usize).map(|at| ordinal(&batch, at)).collect());
    (ordinals.unwrap_or_default(), rejected)
}

/// A processor as a chain sees it.
pub struct FakeProcessor {
    pub shop: Arc<Mutex<Shop>>,
    pub clock: Clock,
}

struct FakeSession {
    shop: Arc<Mutex<Shop>>,
    clock: Clock,
}

#[async_trait]
impl Process for FakeProcessor {
    fn id(&self) -> Arc<str> {
        "maker".into()
    }

    fn title(&self) -> Arc<str> {
        "maker 1.0.0".into()
    }

    fn chooser(&self) -> Option<Chooser> {
        None
    }

    async fn open(&self) -> Result<Box<dyn ProcessSession>, OpenError> {
        let (shop, clock) = (self.shop.clone(), self.clock.clone());
        let failed = {
            let mut shop = shop.lock().unwrap();
            let fails = shop.faults > 0 && shop.rng.u32(0..8) == 0;
            shop.faults -= u32::from(fails);
            fails.then(|| shop.failure(&[FailureKind::Transient, FailureKind::Throttled, FailureKind::Fatal]))
        };
        match failed {
            Some(failure) => Err(OpenError::Failed(failure)),
            None => Ok(Box::new(FakeSession { shop, clock })),
        }
    }

    fn log(&self, clock: &Clock) -> Log {
        Log::new(Scope::default(), Arc::default(), clock.clone(), 0)
    }
}

#[async_trait]
impl ProcessSession for FakeSession {
    async fn process(&mut self, batch: &Batch, _: &Selection, _: u32) -> Result<Derived, ProcessTrouble> {
        let now = self.clock.elapsed();
        let wait = {
            let mut shop = self.shop.lock().unwrap();
            if shop.shut.is_some_and(|shut| now < shut) {
                shop.fault = Some(format!("it was called at {now:?} and had said that nothing can succeed"));
            }
            Duration::from_millis(shop.rng.u64(0..50))
        };
        self.clock.sleep(wait).await;
        let mut shop = self.shop.lock().unwrap();
        let answer = shop.process(batch);
        let fatal = |failure: &Failure| failure.kind == FailureKind::Fatal;
        let halts = match &answer {
            Ok(derived) => {
                derived.passages().iter().any(|passage| matches!(&passage.passed, Passed::Failed(failure) if fatal(failure)))
            }
            Err(ProcessTrouble::Failed(failure)) => fatal(failure),
            Err(_) => false,
        };
        if halts {
            shop.shut = Some(self.clock.elapsed() + Duration::from_secs(299));
        }
        answer
    }

    fn room(&self) -> Room {
        Room { most: u64::MAX, usual: u64::MAX }
    }

    async fn close(self: Box<Self>) -> Result<Result<(), Failure>, Ended> {
        Ok(Ok(()))
    }
}
