//! What an upload came to so far.

use std::time::Duration;

use serde::Serialize;

use super::{Job, Upload};
use crate::{Failure, Receipt, Span, bindings::wharf::connector::types};

/// An upload that took effect: what is settled already, and what the far side works on.
#[derive(Clone, Debug)]
#[must_use]
pub struct Uploaded<H> {
    records: u32,
    settled: Option<Receipt>,
    working: Vec<Span>,
    handle: Option<H>,
}

impl<H> Uploaded<H> {
    /// The far side works on all of it.
    pub fn working(upload: &Upload, handle: H) -> Self {
        Self { records: upload.records, settled: None, working: vec![upload.all()], handle: Some(handle) }
    }

    /// All is settled already: there is nothing to ask later. A record that stands nowhere in the receipt is unknown.
    pub fn settled(upload: &Upload, receipt: Receipt) -> Self {
        Self { records: upload.records, settled: Some(receipt), working: Vec::new(), handle: None }
    }

    /// What stands in the receipt is settled; the far side works on the rest.
    pub fn partly(upload: &Upload, receipt: Receipt, handle: H) -> Self {
        let working = receipt.rest(upload.records);
        Self { records: upload.records, settled: Some(receipt), working, handle: Some(handle) }
    }
}

/// What the host hears of an upload.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub struct Parts {
    pub settled: types::Receipt,
    pub working: Vec<Span>,
    pub handle: Option<Vec<u8>>,
}

impl<H: Serialize> Uploaded<H> {
    pub(crate) fn parts(self) -> Result<Parts, Failure> {
        let Self { records, settled, working, handle } = self;
        let handle = handle.map(|handle| Job::keep(&handle, records, &working)).transpose()?;
        let settled = settled.map_or(types::Receipt { delivered: Vec::new(), verdicts: Vec::new() }, Into::into);
        Ok(Parts { settled, working, handle })
    }
}

/// How far the far side is with an upload.
#[derive(Clone, Debug)]
#[must_use]
pub enum UploadStatus<H> {
    /// Not at its end: see [`Waiting`].
    Working(Waiting<H>),
    /// Every record that was being worked on is delivered.
    Delivered,
    /// The outcome of every record that was being worked on.
    Settled(Receipt),
    /// Done: [`BulkDestination::stats`](crate::BulkDestination::stats) tells the outcomes, of this handle where one is given.
    AskStats(Option<H>),
    /// The upload as a whole came to nothing.
    Failed(Failure),
}

/// What is known of an upload that is not at its end.
#[derive(Clone, Debug)]
#[must_use]
pub struct Waiting<H> {
    done: Option<f64>,
    again: Option<Duration>,
    handle: Option<H>,
}

impl<H> UploadStatus<H> {
    /// Not at its end, and nothing else is known.
    pub fn working() -> Self {
        Waiting { done: None, again: None, handle: None }.into()
    }
}

impl<H> Waiting<H> {
    /// Not at its end.
    pub fn new() -> Self {
        Self { done: None, again: None, handle: None }
    }

    /// So much of it is done, from 0 to 1.
    pub fn done(mut self, done: f64) -> Self {
        self.done = Some(done);
        self
    }

    /// It is worth asking again after so long; the host keeps to bounds of its own.
    pub fn again_in(mut self, again: Duration) -> Self {
        self.again = Some(again);
        self
    }

    /// From now on this is what finds it.
    pub fn keep(mut self, handle: H) -> Self {
        self.handle = Some(handle);
        self
    }
}

impl<H> Default for Waiting<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H> From<Waiting<H>> for UploadStatus<H> {
    fn from(waiting: Waiting<H>) -> Self {
        Self::Working(waiting)
    }
}

/// What the host hears of a status.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub enum StatusParts {
    Working { done: Option<f64>, again_in_ms: Option<u32>, handle: Option<Vec<u8>> },
    Delivered,
    Settled(types::Receipt),
    AskStats(Option<Vec<u8>>),
    Failed(types::Failure),
}

impl<H: Serialize> UploadStatus<H> {
    /// `job` is what was asked for.
    pub(crate) fn parts(self, job: &Job<H>) -> Result<StatusParts, Failure> {
        let kept = |handle: Option<H>| handle.map(|handle| Job::keep(&handle, job.records, &job.working)).transpose();
        Ok(match self {
            Self::Working(Waiting { done, again, handle }) => {
                let again_in_ms = again.map(|again| u32::try_from(again.as_millis()).unwrap_or(u32::MAX));
                StatusParts::Working { done, again_in_ms, handle: kept(handle)? }
            }
            Self::Delivered => StatusParts::Delivered,
            Self::Settled(receipt) => StatusParts::Settled(receipt.into()),
            Self::AskStats(handle) => StatusParts::AskStats(kept(handle)?),
            Self::Failed(failure) => StatusParts::Failed(failure.into()),
        })
    }
}

/// Whether an upload took effect whose answer never came.
#[derive(Clone, Debug)]
#[must_use]
pub enum Found<H> {
    /// The far side knows nothing of it: it can be sent.
    Absent,
    /// It took effect, and this is what `upload` would have answered.
    Present(Uploaded<H>),
    /// The far side does not say.
    CannotTell,
}
