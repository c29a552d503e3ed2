//! The entrance of a spool, as the rest of a pipeline sees it: a destination that takes what it is handed at once, and whose word holds.
//!
//! **Threat.** The source is told that it may forget a record which is not on disk; a spool that is full takes the machine with it. **Answer.** It
//! answers once what it was handed is on disk. One that has no room says so, as a far side that is down does: the pipeline waits, and with it the source.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::Tallied;
use crate::{
    clock::Clock,
    connector::{Answer, OpenError, Opening, Room, Trouble, descriptor::Order},
    pipeline::{Actions, Bounds, Far, FarSession, Policy, Router, Spooled, Way},
    record::{Batch, Failure, FailureKind, Fate, FollowUps, Promised, Run, Span, follow_up_of},
    sandbox::{Ended, log::Log},
    store::spool::{Incoming, Spool, SpoolError, Written},
};

/// The entrance of a spool.
#[derive(Clone)]
pub struct Intake {
    /// Name and version of the connector behind it.
    pub title: Arc<str>,
    /// The spool.
    pub spool: Tallied,
    /// Which records are for which action.
    pub actions: Arc<Actions>,
    /// The pipeline.
    pub pipeline: Arc<str>,
    /// Whether they were given up once, and are sent again.
    pub again: bool,
    /// What the connector is opened with, for the log.
    pub opening: Opening,
    /// The clock.
    pub clock: Clock,
}

#[async_trait]
impl Far for Intake {
    fn title(&self) -> Arc<str> {
        self.title.clone()
    }

    /// What comes later in its partition must not overtake: the spool knows by where it got to what it has.
    fn order(&self) -> Order {
        Order::Batch
    }

    fn is_idempotent(&self) -> bool {
        !self.again
    }

    fn bounds(&self) -> Bounds {
        Bounds::default()
    }

    fn memory(&self) -> String {
        self.opening.limits.memory.to_string()
    }

    async fn open(&self, _lane: u32, _lanes: u32) -> Result<Box<dyn FarSession>, OpenError> {
        Ok(Box::new(Entrance::new(self.clone())))
    }

    fn eases(&self) -> Option<watch::Receiver<()>> {
        Some(self.spool.eases())
    }

    fn log(&self, clock: &Clock) -> Log {
        let Opening { scope, usage, limits, .. } = &self.opening;
        Log::new(scope.clone(), usage.clone(), clock.clone(), limits.log_lines)
    }
}

/// A session of it.
pub(super) struct Entrance {
    intake: Intake,
    router: Router,
    label: Arc<str>,
}

impl Entrance {
    pub(super) fn new(intake: Intake) -> Self {
        let router = Router::new(&intake.actions.routing);
        Self { intake, router, label: "".into() }
    }

    /// What becomes of what it takes.
    pub(super) fn counts(&self) -> &Spooled {
        self.intake.spool.counts()
    }

    /// Takes records, each for the action that its route says: all or none. What is for one action goes in as one.
    async fn take(&mut self, batch: &Batch) -> Result<(), Arc<Failure>> {
        let ways = self.router.ways(batch);
        let Intake { spool, actions, pipeline, again, clock, .. } = &self.intake;
        let mut incoming = Vec::new();
        for one in &actions.spooled {
            let own = ways.iter().filter(|(_, way)| *way == Way::To(one.action));
            let spans: Vec<Span> = own.map(|(span, _)| *span).collect();
            let batch = match spans.as_slice() {
                [] => continue,
                [span] => batch.slice(span.start..span.end),
                spans => {
                    let ordinal = |at: u32| batch.ordinals().get(at as usize).copied().unwrap_or_default();
                    let places: Vec<(u32, u32)> =
                        spans.iter().flat_map(|span| span.start..span.end).map(|at| (at, ordinal(at))).collect();
                    batch.picked(pipeline, &places).map_err(|error| failure(FailureKind::Fatal, error.to_string()))?
                }
            };
            let (action, version, label, again) = (one.action, one.version.clone(), self.label.clone(), *again);
            incoming.push(Incoming { action, version, label, batch, again });
        }
        let taken = spool.take(incoming, clock.millis()).await;
        taken.map(drop).map_err(|error| refused(&error))
    }
}

impl Entrance {
    /// Whether there is room for what may follow what is written next.
    pub(super) async fn room(&self) -> Result<(), Arc<Failure>> {
        self.intake.spool.room().await.map_err(|error| refused(&error))
    }

    /// Keeps what is to follow records that are written as they come, however long that takes: they were delivered, and are not to be a second time.
    ///
    /// # Errors
    /// Where it never will.
    pub(super) async fn promise(&self, causes: &Batch, added: Vec<FollowUps>) -> Result<Vec<Promised>, Arc<Failure>> {
        let Intake { spool, actions, pipeline, opening, clock, .. } = &self.intake;
        let version = actions.spooled.first().and_then(|one| one.version.clone());
        let (mut promised, mut written) = (Vec::new(), Vec::new());
        for added in added {
            let bundles = added.bundles(pipeline, causes);
            for (causes, batch) in bundles.map_err(|full| failure(FailureKind::Fatal, full.to_string()))? {
                let (action, on, label) = (added.action, added.on, follow_up_of(&added.name, &self.label));
                promised.push(Promised { promise: 0, action, on, causes });
                written.push(Written { action, version: version.clone(), label, pipeline: pipeline.clone(), batch });
            }
        }
        let (mut tried, stall) = (0, spool.counts().keeper());
        let numbers = loop {
            match spool.promise_written(written.clone()).await {
                Ok(numbers) => break numbers,
                Err(error) if !passes(&error) => return Err(refused(&error)),
                Err(error) => {
                    tried += 1;
                    let wait = Policy::OUTAGE.wait(tried, clock);
                    let (destination, hint) = (opening.scope.destination(), error.hint());
                    tracing::error!(%pipeline, destination, hint, ?wait, "follow-ups wait to be kept, and what they follow with them: {error}");
                    if matches!(error, SpoolError::Store(_)) {
                        stall.say(&error);
                    }
                    clock.sleep(wait).await;
                }
            }
        };
        drop(stall);
        promised.iter_mut().zip(numbers).for_each(|(promised, number)| promised.promise = number);
        Ok(promised)
    }
}

/// What is said of records of which nothing was kept.
pub(super) fn none_written(batch: &Batch, failure: Arc<Failure>) -> Answer {
    let runs = vec![Run { records: Span::new(0, batch.count()), fate: Fate::Failed(failure.clone()) }];
    Answer { runs, trouble: Some(Trouble::Failed(failure)) }
}

fn refused(error: &SpoolError) -> Arc<Failure> {
    let kind = if passes(error) { FailureKind::Transient } else { FailureKind::Fatal };
    failure(kind, error.to_string())
}

fn failure(kind: FailureKind, message: String) -> Arc<Failure> {
    Arc::new(Failure { kind, message, code: None, retry_after: None })
}

#[async_trait]
impl FarSession for Entrance {
    async fn write(&mut self, batch: &Batch, _action: u32, _attempt: u32) -> Answer {
        let records = Span::new(0, batch.count());
        match self.take(batch).await {
            Ok(()) => Answer { runs: vec![Run { records, fate: Fate::Delivered }], trouble: None },
            Err(failure) => none_written(batch, failure),
        }
    }

    fn label(&mut self, label: &Arc<str>) {
        self.label = label.clone();
    }

    async fn ack(&mut self, _batches: &[&str]) -> Result<(), Ended> {
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<Result<(), Failure>, Ended> {
        Ok(Ok(()))
    }

    /// It copies nothing into anything small.
    fn room(&self) -> Room {
        Room { most: u64::MAX, usual: u64::MAX }
    }
}

/// Whether it may go by itself, or once records are delivered.
fn passes(error: &SpoolError) -> bool {
    match error {
        SpoolError::Full { .. } => true,
        SpoolError::Store(error) => error.passes(),
        SpoolError::Damaged { .. } | SpoolError::Misused { .. } | SpoolError::NoAction { .. } => false,
    }
}
