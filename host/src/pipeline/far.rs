//! A destination as its lanes see it: something that opens sessions, and sessions that take records.
//!
//! Components are behind it in the program ([`Destination`]); what tests the order of things puts others there.

use std::{future::Future, pin::Pin, sync::Arc};

use async_trait::async_trait;
use tokio::{sync::watch, task::JoinHandle};

use super::Destination;
use crate::{
    clock::Clock,
    connector::{
        Answer, OpenError, Opening, Room, Session,
        descriptor::{Order, Redelivery},
    },
    record::{Batch, Failure, Promised},
    sandbox::{Ended, log::Log, thread},
};

/// What a lane runs until its end.
pub type Run<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Opens sessions of one destination.
#[async_trait]
pub trait Far: Send + Sync + 'static {
    /// Name and version of the connector.
    fn title(&self) -> Arc<str>;

    /// What stays in order when something in it is to be retried.
    fn order(&self) -> Order;

    /// Whether a second delivery of a record has no second effect.
    fn is_idempotent(&self) -> bool;

    /// The most records, bytes of all columns, and bytes of one record that a call takes.
    fn bounds(&self) -> Bounds;

    /// The bound of an instance's memory, in words.
    fn memory(&self) -> String;

    /// Whether it is to be told of its life in this run, whether there are records for it or not.
    fn is_told(&self) -> bool {
        false
    }

    /// Whether it can be asked if the far side is there.
    fn can_be_probed(&self) -> bool {
        false
    }

    /// Asks whether the far side is there.
    async fn probe(&self) -> Result<(), OpenError> {
        Ok(())
    }

    /// Opens a session for one of so many lanes.
    async fn open(&self, lane: u32, lanes: u32) -> Result<Box<dyn FarSession>, OpenError>;

    /// The far side refused the credentials: whatever the host fetched for it is fetched anew before it is handed out again.
    fn renew(&self) {}

    /// Promises that [sessions](FarSession::promised) gave, and that others have taken the place of: nothing comes of them any more. Best effort.
    async fn forget(&self, _promises: Vec<i64>) {}

    /// To be told when what it had no room for may have some; `None` where nobody could know.
    fn eases(&self) -> Option<watch::Receiver<()>> {
        None
    }

    /// What the lines of the log that it causes share.
    fn log(&self, clock: &Clock) -> Log;
}

/// A session of a destination.
#[async_trait]
pub trait FarSession: Send {
    /// Hands over a batch or a part of one, for the action with that index. `attempt` is 1 on the first delivery and one more on each that
    /// follows.
    async fn write(&mut self, batch: &Batch, action: u32, attempt: u32) -> Answer;

    /// What is to follow what becomes of the records that were handed over last, counted as that batch counts them. It is on disk.
    fn promised(&mut self) -> Vec<Promised> {
        Vec::new()
    }

    /// What people call the partition of the batch that comes next.
    fn label(&mut self, label: &Arc<str>) {
        let _ = label;
    }

    /// Tells that these cuts are settled and will not be asked for again.
    async fn ack(&mut self, batches: &[&str]) -> Result<(), Ended>;

    /// Brings the session to an end.
    async fn close(self: Box<Self>) -> Result<Result<(), Failure>, Ended>;

    /// How much memory is left for records.
    fn room(&self) -> Room;
}

/// The most that a call takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most records.
    pub records: u32,
    /// The most bytes; a record that has more goes alone.
    pub bytes: u64,
    /// The most bytes of one record; one that has more is not handed over at all.
    pub largest: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { records: u32::MAX, bytes: u64::MAX, largest: u64::MAX }
    }
}

/// Starts what runs a lane to its end.
pub type Start<T> = fn(Run<T>) -> JoinHandle<T>;

/// Starts it on a thread of its own, as whatever calls components has to be.
pub fn on_a_thread<T: Send + 'static>(run: Run<T>) -> JoinHandle<T> {
    thread::spawn(run)
}

#[async_trait]
impl Far for Destination {
    fn title(&self) -> Arc<str> {
        self.connector.title().into()
    }

    fn order(&self) -> Order {
        self.connector.descriptor.guarantees.order
    }

    fn is_idempotent(&self) -> bool {
        self.connector.descriptor.guarantees.redelivery == Redelivery::Idempotent
    }

    fn bounds(&self) -> Bounds {
        let bounds = &self.connector.descriptor.bounds;
        Bounds {
            records: bounds.records.unwrap_or(u32::MAX),
            bytes: bounds.bytes.map_or(u64::MAX, |bytes| bytes.bytes()),
            largest: bounds.largest_record(),
        }
    }

    fn memory(&self) -> String {
        self.opening.limits.memory.to_string()
    }

    fn can_be_probed(&self) -> bool {
        self.connector.can_be_probed() || self.is_told()
    }

    fn is_told(&self) -> bool {
        self.opening.lifecycle.is_some() && self.connector.is_told_of_its_life()
    }

    async fn probe(&self) -> Result<(), OpenError> {
        self.connector.announce(&self.opening).await?;
        self.connector.probe(&self.opening).await.unwrap_or(Ok(())).map_err(OpenError::from)
    }

    async fn open(&self, lane: u32, lanes: u32) -> Result<Box<dyn FarSession>, OpenError> {
        let session = if lanes > 1 {
            self.connector.open(&self.opening.for_lane(lane, lanes)).await?
        } else {
            self.connector.open(&self.opening).await?
        };
        Ok(Box::new(session))
    }

    fn renew(&self) {
        self.opening.grants.tokens.refused();
    }

    fn log(&self, clock: &Clock) -> Log {
        let Opening { scope, usage, limits, .. } = &self.opening;
        Log::new(scope.clone(), usage.clone(), clock.clone(), limits.log_lines)
    }
}

#[async_trait]
impl FarSession for Session {
    async fn write(&mut self, batch: &Batch, action: u32, attempt: u32) -> Answer {
        self.write_to(action, batch, attempt).await
    }

    async fn ack(&mut self, batches: &[&str]) -> Result<(), Ended> {
        self.ack(batches).await
    }

    async fn close(self: Box<Self>) -> Result<Result<(), Failure>, Ended> {
        (*self).close().await
    }

    fn room(&self) -> Room {
        self.room()
    }
}
