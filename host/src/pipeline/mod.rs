//! The worker: from the source through the destinations to the checkpoint.
//!
//! One task reads ahead, one works for each destination, and this one keeps the ledger: reading and writing overlap, with a bounded
//! number of portions (the window) that are read and not settled. A portion is settled in the store once every destination has
//! dealt with it, in the order of reading. A destination that is quarantined is left behind: the others go on, and the checkpoint stays
//! where it left off.

mod delivery;
mod keeper;
mod ledger;
mod progress;
mod reader;
mod tolerance;

use std::{collections::HashMap, sync::Arc};

use futures::{StreamExt, stream::FuturesUnordered};
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc, watch};

pub use delivery::DestinationError;
pub use progress::{Counts, DestinationCounts, DestinationProgress, Progress};
pub use tolerance::Tolerance;

use self::{
    delivery::Worker,
    keeper::Keeper,
    ledger::Ledger,
    reader::{Entered, Reader},
};
use crate::{
    clock::Clock,
    config::Isolation,
    connector::{Connector, Opening},
    source::{Source, SourceError},
    store::{Store, StoreError},
};

/// A pipeline that is ready to run.
pub struct Pipeline {
    /// Its id.
    pub id: Arc<str>,
    /// Where its records come from, standing where the checkpoints say.
    pub source: Box<dyn Source>,
    /// Where they go.
    pub destinations: Vec<Destination>,
    /// How many portions may be read and not settled, at least one.
    pub window: u32,
    /// How far the source had been read before this run, by partition.
    pub read_before: HashMap<String, u64>,
}

/// Where records go.
#[derive(Clone)]
pub struct Destination {
    /// Its id.
    pub id: Arc<str>,
    /// Its connector.
    pub connector: Connector,
    /// What its sessions are opened with.
    pub opening: Opening,
    /// How long an instance lives.
    pub isolation: Isolation,
}

/// What a pipeline works with.
#[derive(Clone)]
pub struct Surroundings {
    /// Where it keeps what must outlive it.
    pub store: Arc<dyn Store>,
    /// Whose time it goes by.
    pub clock: Clock,
    /// True once it should come to an end.
    pub stop: watch::Receiver<bool>,
}

/// Why a pipeline ended before its source did.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// Its source cannot go on.
    #[error("source: {0}")]
    Source(#[from] SourceError),
    /// Its store cannot go on. Nothing was acknowledged that is not in it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A destination takes no more.
    #[error("destination {id} ({connector}): {cause}")]
    Destination {
        /// Which.
        id: Arc<str>,
        /// Name and version of its connector.
        connector: String,
        /// Why.
        cause: DestinationError,
    },
    /// The host's own fault.
    #[error("the host's reader ended unexpectedly: {0}")]
    Reader(String),
}

impl PipelineError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Source(_) => "mend the source and run again: it goes on where it stood",
            Self::Store(error) => error.hint(),
            Self::Destination { cause, .. } => cause.hint(),
            Self::Reader(_) => "run again: it goes on where it stood; and report this as a fault of wharf",
        }
    }
}

/// What came out of a run of a pipeline.
#[derive(Debug)]
pub struct Ended {
    /// What became of the records.
    pub counts: Counts,
    /// Why it ended before its source did; the first of several reasons.
    pub error: Option<PipelineError>,
    /// Whether a later run reads again what this one left pending.
    pub rereads: bool,
}

impl Pipeline {
    /// Counters for this pipeline, to be read while it runs.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::new(Progress::new(self.id.clone(), self.destinations.iter().map(|destination| destination.id.clone())))
    }

    /// Runs until the source ends, something fails, or it is asked to stop; what is in flight then is finished where it can be.
    pub async fn run(self, surroundings: Surroundings, progress: Arc<Progress>) -> Ended {
        let Self { id, source, destinations, window, read_before } = self;
        let Surroundings { store, clock, stop } = surroundings;
        let window = window.max(1) as usize;
        let (cancel, cancelled) = watch::channel(false);
        let permits = Arc::new(Semaphore::new(window));
        let (dealt, mut dealings) = mpsc::channel(window * destinations.len().max(1));
        let (entered, mut entering) = mpsc::channel(1);
        let (mut senders, mut tellers, mut workers) = (Vec::new(), Vec::new(), FuturesUnordered::new());
        for (index, destination) in destinations.iter().enumerate() {
            let (sender, portions) = mpsc::channel(window);
            let (teller, settled) = mpsc::unbounded_channel();
            let worker = Worker::new(destination.clone(), index, (clock.clone(), stop.clone()), progress.clone(), settled);
            senders.push(sender);
            tellers.push(teller);
            let worker = crate::sandbox::thread::spawn(worker.run(portions, dealt.clone()));
            workers.push(async move { (index, worker.await) });
        }
        drop(dealt);
        let rereads = source.rereads();
        let ledger = Ledger::new(destinations.len(), rereads);
        let mut keeper = Keeper {
            id,
            store,
            clock,
            destinations,
            progress: progress.clone(),
            ledger,
            permits: permits.clone(),
            tellers,
            cancel,
            error: None,
        };
        let reader = Reader { source, senders, permits, entered, progress: progress.clone(), read_before, stop, cancelled };
        let mut reader = tokio::spawn(reader.run());

        let mut read = None;
        let (mut working, mut dealing) = (true, true);
        // Not before every report is heard: a worker that ends has sent its last, which counts first.
        while working || dealing || read.is_none() {
            tokio::select! {
                biased;
                // A portion is in the ledger before any destination has it.
                Some(Entered { portion, number }) = entering.recv() => {
                    // Where the reader is gone, nothing was handed on.
                    let _gone = number.send(keeper.enter(portion));
                }
                dealt = dealings.recv(), if dealing => match dealt {
                    Some((destination, dealt)) => keeper.dealt(destination, dealt).await,
                    None => {
                        dealing = false;
                        keeper.all_dealt();
                    }
                },
                ended = &mut reader, if read.is_none() => read = Some(keeper.reader_ended(ended)),
                ended = workers.next(), if working => match ended {
                    Some((destination, ended)) => keeper.worker_ended(destination, ended).await,
                    None => working = false,
                },
            }
        }
        let error = keeper.finish(read.unwrap_or_default()).await;
        Ended { counts: progress.counts(), error, rereads }
    }
}
