//! A processor's session.

use std::sync::Arc;

use thiserror::Error;

use super::{Connector, OpenError, Opening, ProbeError, Room, Standing, v0_1};
use crate::{
    config::Handling,
    record::{Batch, Chooser, ColumnFull, Condition, Derived, Failure, ProcessBounds, ProcessBreach, Processed, Selection},
    sandbox::{Ended, Host},
};

/// A processor of a plan, ready to be opened.
#[derive(Clone, Debug)]
pub struct Processor {
    /// Its id in the pipeline.
    pub id: Arc<str>,
    /// The component.
    pub connector: Connector,
    /// What its session is opened with.
    pub opening: Opening,
    /// Which records it is given; all of them where nothing is said.
    pub when: Option<Condition>,
    /// What happens where it fails.
    pub handling: Handling,
}

/// A session of a processor. After a trouble that ended it, every call fails: open another.
pub struct ProcessorSession {
    inner: v0_1::ProcessorSession,
    title: Arc<str>,
    pipeline: Arc<str>,
    bounds: ProcessBounds,
}

/// Why a call of `process` did not come out as it should. Nothing became of any record then.
#[derive(Debug, Error)]
pub enum ProcessTrouble {
    /// The processor failed as a whole: each record that it was given has failed so.
    #[error("{0}")]
    Failed(Arc<Failure>),
    /// Its answer breaks the contract, or more came out than may. The instance lives.
    #[error(transparent)]
    Breach(#[from] ProcessBreach),
    /// Its instance is gone.
    #[error(transparent)]
    Ended(#[from] Ended),
}

impl ProcessTrouble {
    /// Whether more came out than may, of more records perhaps than it need have been given at once.
    pub fn is_too_much(&self) -> bool {
        matches!(self, Self::Breach(ProcessBreach::Records { .. } | ProcessBreach::Bytes { .. }))
    }
}

impl From<ColumnFull> for ProcessTrouble {
    fn from(_: ColumnFull) -> Self {
        Self::Breach(ProcessBreach::Bytes { out: 4 << 30, most: 4 << 30 })
    }
}

impl Processor {
    /// Starts an instance with its grants and opens a session in it.
    ///
    /// # Errors
    /// Where the processor does not open, or its instance ended.
    pub async fn open(&self) -> Result<ProcessorSession, OpenError> {
        self.connector.open_processor(&self.opening).await
    }

    /// Asks whether the far side is there, where it has one that it can be asked for.
    ///
    /// # Errors
    /// Where the far side is not there, or the component ended its instance.
    pub async fn probe(&self) -> Result<(), ProbeError> {
        self.connector.probe(&self.opening).await.unwrap_or(Ok(()))
    }

    /// What picks the records that it is given; `None` where it is given all of them.
    pub fn chooser(&self) -> Option<Chooser> {
        self.when.as_ref().map(Chooser::new)
    }
}

impl Connector {
    /// Starts an instance with its grants and opens a processor's session in it.
    ///
    /// # Errors
    /// Where the component is no processor, too; [`Outline::offers`](super::binary::Outline::offers) tells before.
    pub async fn open_processor(&self, opening: &Opening) -> Result<ProcessorSession, OpenError> {
        let Opening { settings, grants, limits, scope, usage, .. } = opening;
        let host = Host::new(scope.clone(), limits, grants, usage.clone(), &self.clock)?;
        let standing = Standing { engine: &self.engine, host, limits: limits.clone() };
        let inner = v0_1::ProcessorSession::open(&self.component, standing, settings).await?;
        let bounds = ProcessBounds { records: limits.records_out, bytes: limits.bytes_out.bytes() };
        Ok(ProcessorSession { inner, title: self.title().into(), pipeline: scope.pipeline().unwrap_or_default().into(), bounds })
    }
}

impl ProcessorSession {
    /// Name and version of the connector.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Hands over the records of a batch that `selection` picks, and makes of the batch what the processor answers, once that is held
    /// against the contract; the others go on as they came. `attempt` is 1 on the first delivery and one more on each that follows.
    ///
    /// Where a batch holds several records of one sequence they are handed over together: see [`Derived`].
    ///
    /// # Errors
    /// Where the processor failed as a whole, broke the contract, or ended its instance.
    pub async fn process(&mut self, batch: &Batch, selection: &Selection, attempt: u32) -> Result<Derived, ProcessTrouble> {
        if selection.is_empty() {
            return Ok(Derived::unchanged(batch));
        }
        let picked = selection.of_batch(&self.pipeline, batch)?;
        let processed = self.inner.process(&picked, attempt).await?.map_err(ProcessTrouble::Failed)?;
        Ok(self.apply(processed, batch, selection)?)
    }

    /// What becomes of a batch where the records of `selection` have all failed in the same way, and the others go on.
    ///
    /// # Errors
    /// None: what passes by is never more than went in.
    pub fn give_up(&self, batch: &Batch, selection: &Selection, failure: &Failure) -> Result<Derived, ProcessBreach> {
        self.apply(Processed::failed(selection.count(batch.count()), failure.clone()), batch, selection)
    }

    /// Brings the session to an end, and its instance with it.
    pub async fn close(self) -> Result<Result<(), Failure>, Ended> {
        self.inner.close().await
    }

    /// How much memory is left to the instance for records.
    pub fn room(&self) -> Room {
        self.inner.room()
    }

    /// The most memory that the instance held so far, in bytes.
    pub fn memory_peak(&self) -> u64 {
        self.inner.memory_peak()
    }

    fn apply(&self, processed: Processed, batch: &Batch, selection: &Selection) -> Result<Derived, ProcessBreach> {
        processed.apply(&self.pipeline, batch, selection, self.bounds)
    }
}
