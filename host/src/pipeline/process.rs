//! A processor as a chain sees it: something that opens sessions, and sessions that change records.
//!
//! Components are behind it in the program ([`Processor`]); what tests the order of things puts others there.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::Policy;
use crate::{
    clock::Clock,
    config::{Handling, OnUnknown},
    connector::{OpenError, Opening, ProbeError, ProcessTrouble, Processor, ProcessorSession, Room},
    record::{Batch, Chooser, Derived, Failure, Selection},
    sandbox::{Ended, log::Log},
};

/// Opens sessions of one processor.
#[async_trait]
pub trait Process: Send + Sync + 'static {
    /// Its id.
    fn id(&self) -> Arc<str>;

    /// Name and version of the connector.
    fn title(&self) -> Arc<str>;

    /// What picks the records that it is given; `None` where it is given all of them.
    fn chooser(&self) -> Option<Chooser>;

    /// Asks whether the far side is there, where it has one that can be asked for.
    async fn probe(&self) -> Result<(), ProbeError> {
        Ok(())
    }

    /// Opens a session.
    async fn open(&self) -> Result<Box<dyn ProcessSession>, OpenError>;

    /// The far side refused the credentials: whatever the host fetched for it is fetched anew before it is handed out again.
    fn renew(&self) {}

    /// What the lines of the log that it causes share.
    fn log(&self, clock: &Clock) -> Log;
}

/// A session of a processor.
#[async_trait]
pub trait ProcessSession: Send {
    /// Hands over the records of a batch that `selection` picks. `attempt` is 1 on the first delivery and one more on each that follows.
    async fn process(&mut self, batch: &Batch, selection: &Selection, attempt: u32) -> Result<Derived, ProcessTrouble>;

    /// How much memory is left for records.
    fn room(&self) -> Room;

    /// Brings the session to an end.
    async fn close(self: Box<Self>) -> Result<Result<(), Failure>, Ended>;
}

/// A processor, and what happens where it fails.
#[derive(Clone)]
pub struct Step {
    /// What opens its sessions.
    pub processor: Arc<dyn Process>,
    /// What is processed again, and when, where a record fails for now and others go through.
    pub retry: Policy,
    /// The same where all fail for now.
    pub outage: Policy,
    /// The shortest and the longest wait where it asks for patience.
    pub throttle: (Duration, Duration),
    /// What becomes of records where its answer breaks the contract.
    pub on_unknown: OnUnknown,
    /// Whether it computes, and needs a thread of its own for that.
    pub(super) computes: bool,
}

impl From<Processor> for Step {
    fn from(processor: Processor) -> Self {
        let Handling { retry, outage, throttle, on_unknown } = processor.handling;
        Self {
            processor: Arc::new(processor),
            retry: Policy::RECORD.with(&retry),
            outage: Policy::OUTAGE.with(&outage),
            throttle: (throttle.min_delay.into(), throttle.max_delay.into()),
            on_unknown,
            computes: true,
        }
    }
}

#[async_trait]
impl Process for Processor {
    fn id(&self) -> Arc<str> {
        self.id.clone()
    }

    fn title(&self) -> Arc<str> {
        self.connector.title().into()
    }

    fn chooser(&self) -> Option<Chooser> {
        self.chooser()
    }

    async fn probe(&self) -> Result<(), ProbeError> {
        self.probe().await
    }

    async fn open(&self) -> Result<Box<dyn ProcessSession>, OpenError> {
        Ok(Box::new(self.open().await?))
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
impl ProcessSession for ProcessorSession {
    async fn process(&mut self, batch: &Batch, selection: &Selection, attempt: u32) -> Result<Derived, ProcessTrouble> {
        self.process(batch, selection, attempt).await
    }

    fn room(&self) -> Room {
        self.room()
    }

    async fn close(self: Box<Self>) -> Result<Result<(), Failure>, Ended> {
        (*self).close().await
    }
}
