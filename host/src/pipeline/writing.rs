//! Writing to the store, and waiting where it cannot be written to.
//!
//! A disk that is full, or fails for now, is no reason to end: nothing is acknowledged meanwhile, so that reading ends with the window, and the same
//! is written again after a back-off (`Policy::OUTAGE`), without an end. Whoever is asked to stop tries once more.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Policy, Progress, Stopping};
use crate::{
    clock::Clock,
    store::{Settled, Store, StoreError, StoredCut},
};

/// What is written for one pipeline.
#[derive(Debug)]
pub(super) enum Write {
    /// What became of a stretch.
    Settle(Arc<Settled>),
    /// Checkpoints: partition, label, first sequence that is not settled.
    Advance(Vec<(String, String, u64)>),
    /// How far partitions were read.
    ReadTo(Vec<(String, u64)>),
    /// A cut.
    Cut(StoredCut),
}

/// Waits for a store that cannot be written to, on behalf of a pipeline.
#[derive(Clone)]
pub struct Patience {
    /// The pipeline's id.
    pub pipeline: Arc<str>,
    /// Whose time it goes by.
    pub clock: Clock,
    /// Where it is told that the pipeline is stalled.
    pub progress: Arc<Progress>,
    /// Whether it is time to stop.
    pub stop: watch::Receiver<Stopping>,
}

/// Writes to a pipeline's store; clones write to the same.
#[derive(Clone)]
pub(super) struct Writing {
    pub store: Arc<dyn Store>,
    pub patience: Patience,
}

impl Patience {
    /// Writes, however long that takes. Fails where trying again is of no use, or it is time to stop.
    pub async fn until<T, F: Future<Output = Result<T, StoreError>>>(&self, write: impl Fn() -> F) -> Result<T, StoreError> {
        let (mut tried, mut stop) = (0, self.stop.clone());
        let written = loop {
            let error = match write().await {
                Ok(written) => break written,
                Err(error) => error,
            };
            let stopping = *stop.borrow() != Stopping::No;
            tried += 1;
            if !error.passes() || stopping && tried > 1 {
                return Err(error);
            }
            let wait = Policy::OUTAGE.wait(tried, &self.clock);
            let hint = error.hint();
            tracing::error!(pipeline = %self.pipeline, hint, ?wait, "nothing is acknowledged until it can be written to the store: {error}");
            self.progress.stall(Some(&error.to_string()));
            tokio::select! {
                () = self.clock.sleep(wait) => {}
                // The sender outlives every pipeline.
                _asked = stop.wait_for(|stop| *stop != Stopping::No), if !stopping => {}
            }
        };
        if tried > 0 {
            tracing::info!(pipeline = %self.pipeline, "the store is written to again, and it goes on");
            self.progress.stall(None);
        }
        Ok(written)
    }
}

impl Writing {
    /// Writes as [`Patience`] has it.
    pub async fn write(&self, write: &Write) -> Result<(), StoreError> {
        self.patience.until(|| self.once(write)).await
    }

    async fn once(&self, write: &Write) -> Result<(), StoreError> {
        let (store, pipeline) = (&self.store, &self.patience.pipeline);
        match write {
            Write::Settle(settled) => store.settle(pipeline, settled.clone()).await,
            Write::Advance(checkpoints) => store.advance(pipeline, checkpoints.clone()).await,
            Write::ReadTo(partitions) => store.read_to(pipeline, partitions.clone()).await,
            Write::Cut(cut) => store.cut(pipeline, cut.clone()).await,
        }
    }
}
