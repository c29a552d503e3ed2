//! A destination of which some actions are written to as records come, and some have a spool in front, as the rest of a pipeline sees it.
//!
//! **Threat.** What is written and what waits is of one partition: one of the two fails, and what comes behind it in the partition is taken into the spool, which
//! knows by where it got to what it has. **Answer.** A lane hands over what is for one of the two at a time, and holds the rest of the partition back until it
//! came through.
//!
//! **Threat.** What is to follow a record that is written as it comes is lost, or made twice: what becomes of the record is kept in the store, and what follows belongs into
//! the spool, which is another file. **Answer.** What a call adds is a promise in the spool, on disk before anybody hears how the call came out. The transaction that keeps the outcome in the store
//! says there what of the promise is owed; the spool puts that among its records and forgets the promise in one transaction of its own, as often as it is told to. A promise that
//! nobody has in hand after a crash is of records that come once more, and is forgotten.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Intake, Told,
    intake::{Entrance, none_written},
    shaped,
};
use crate::{
    clock::Clock,
    connector::{Answer, OpenError, Room, Session, descriptor::Order},
    pipeline::{Bounds, Destination, Far, FarSession, SPOOL},
    record::{Batch, Failure, Fate, Promised, format::Format},
    sandbox::{Ended, log::Log},
    store::spool::Spool as _,
};

/// A destination of which some actions are written to as records come, and some have a spool in front.
#[derive(Clone)]
pub struct Mixed {
    destination: Destination,
    intake: Intake,
    /// Whether a call added follow-ups so far.
    follows: Arc<AtomicBool>,
}

impl Mixed {
    /// One with the entrance of its spool.
    pub fn new(destination: Destination, intake: Intake) -> Self {
        Self { destination, intake, follows: Arc::default() }
    }
}

#[async_trait]
impl Far for Mixed {
    fn title(&self) -> Arc<str> {
        self.destination.title()
    }

    /// What goes into a spool must not be overtaken in its partition: the spool knows by where it got to what it has.
    fn order(&self) -> Order {
        Order::Batch
    }

    fn is_idempotent(&self) -> bool {
        self.destination.is_idempotent() && self.intake.is_idempotent()
    }

    fn bounds(&self) -> Bounds {
        self.destination.bounds()
    }

    fn memory(&self) -> String {
        self.destination.memory()
    }

    fn can_be_probed(&self) -> bool {
        Far::can_be_probed(&self.destination)
    }

    fn is_told(&self) -> bool {
        Far::is_told(&self.destination)
    }

    async fn probe(&self) -> Result<(), OpenError> {
        Far::probe(&self.destination).await
    }

    async fn open(&self, _lane: u32, _lanes: u32) -> Result<Box<dyn FarSession>, OpenError> {
        let Destination { connector, opening, delivery, .. } = &self.destination;
        let session = connector.open(opening).await?.taking_follow_ups();
        let (entrance, format, follows) = (Entrance::new(self.intake.clone()), delivery.format.clone(), self.follows.clone());
        Ok(Box::new(Split { session, entrance, format, follows, promised: Vec::new() }))
    }

    fn renew(&self) {
        Far::renew(&self.destination);
    }

    async fn forget(&self, promises: Vec<i64>) {
        let forgotten = promises.into_iter().map(|promise| (promise, Vec::new())).collect();
        if let Err(error) = self.intake.spool.bear(forgotten, self.intake.clock.millis()).await {
            // The next start forgets them.
            tracing::debug!(
                pipeline = &*self.intake.pipeline,
                destination = &*self.destination.id,
                "promises that nothing comes of stay: {error}"
            );
        }
    }

    fn eases(&self) -> Option<watch::Receiver<()>> {
        self.intake.eases()
    }

    fn log(&self, clock: &Clock) -> Log {
        Far::log(&self.destination, clock)
    }
}

/// A session, and the entrance of the spool beside it.
struct Split {
    session: Session,
    entrance: Entrance,
    format: Format,
    follows: Arc<AtomicBool>,
    promised: Vec<Promised>,
}

#[async_trait]
impl FarSession for Split {
    async fn write(&mut self, batch: &Batch, action: u32, attempt: u32) -> Answer {
        if action == SPOOL {
            return self.entrance.write(batch, action, attempt).await;
        }
        self.promised.clear();
        if self.follows.load(Relaxed)
            && let Err(failure) = self.entrance.room().await
        {
            return none_written(batch, failure);
        }
        let Told { answer, follow_ups } = shaped::write(&mut self.session, batch, &self.format, action, attempt).await;
        if !follow_ups.is_empty() {
            self.follows.store(true, Relaxed);
            match self.entrance.promise(batch, follow_ups).await {
                Ok(promised) => self.promised = promised,
                Err(failure) => return none_written(batch, failure),
            }
        }
        let count = |counter: &AtomicU64, wanted: fn(&Fate) -> bool| {
            let records = answer.runs.iter().filter(|run| wanted(&run.fate)).map(|run| u64::from(run.records.len()));
            counter.fetch_add(records.sum(), Relaxed)
        };
        let counts = self.entrance.counts();
        count(&counts.direct, |fate| matches!(fate, Fate::Delivered | Fate::Warned(_)));
        count(&counts.warned, |fate| matches!(fate, Fate::Warned(_)));
        answer
    }

    fn promised(&mut self) -> Vec<Promised> {
        std::mem::take(&mut self.promised)
    }

    fn label(&mut self, label: &Arc<str>) {
        self.entrance.label(label);
    }

    async fn ack(&mut self, batches: &[&str]) -> Result<(), Ended> {
        self.session.ack(batches).await
    }

    async fn close(self: Box<Self>) -> Result<Result<(), Failure>, Ended> {
        self.session.close().await
    }

    fn room(&self) -> Room {
        self.session.room()
    }
}
