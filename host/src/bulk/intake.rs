//! The entrance of a spool, as the rest of a pipeline sees it: a destination that takes what it is handed at once, and whose word holds.
//!
//! **Threat.** The source is told that it may forget a record which is not on disk; a spool that is full takes the machine with it. **Answer.** It
//! answers once what it was handed is on disk. One that has no room says so, as a far side that is down does: the pipeline waits, and with it the source.

use std::sync::Arc;

use async_trait::async_trait;

use super::Tallied;
use crate::{
    clock::Clock,
    connector::{Answer, OpenError, Opening, Room, Trouble, descriptor::Order},
    pipeline::{Bounds, Far, FarSession},
    record::{Batch, Failure, FailureKind, Fate, Run, Span},
    sandbox::{Ended, log::Log},
    store::spool::{Incoming, Spool, SpoolError},
};

/// The entrance of a spool.
#[derive(Clone)]
pub struct Intake {
    /// Name and version of the connector behind it.
    pub title: Arc<str>,
    /// The spool.
    pub spool: Tallied,
    /// The action that records are for.
    pub action: u32,
    /// The version of the far side's interface that they come for.
    pub version: Option<Arc<str>>,
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
        Ok(Box::new(Entrance { intake: self.clone(), label: "".into() }))
    }

    fn log(&self, clock: &Clock) -> Log {
        let Opening { scope, usage, limits, .. } = &self.opening;
        Log::new(scope.clone(), usage.clone(), clock.clone(), limits.log_lines)
    }
}

struct Entrance {
    intake: Intake,
    label: Arc<str>,
}

#[async_trait]
impl FarSession for Entrance {
    async fn write(&mut self, batch: &Batch, _action: u32, _attempt: u32) -> Answer {
        let Intake { spool, action, version, again, clock, .. } = &self.intake;
        let (version, label) = (version.clone(), self.label.clone());
        let incoming = Incoming { action: *action, version, label, batch: batch.clone(), again: *again };
        let records = Span::new(0, batch.count());
        match spool.take(vec![incoming], clock.millis()).await {
            Ok(_) => Answer { runs: vec![Run { records, fate: Fate::Delivered }], trouble: None },
            Err(error) => {
                let kind = if passes(&error) { FailureKind::Transient } else { FailureKind::Fatal };
                let failure = Arc::new(Failure { kind, message: error.to_string(), code: None, retry_after: None });
                let runs = vec![Run { records, fate: Fate::Failed(failure.clone()) }];
                Answer { runs, trouble: Some(Trouble::Failed(failure)) }
            }
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
        SpoolError::Damaged { .. } | SpoolError::Misused { .. } => false,
    }
}
