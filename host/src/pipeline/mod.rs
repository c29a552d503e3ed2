//! The worker: from the source through the destinations to the checkpoint.
//!
//! One task reads ahead and keeps the ledger, and one works for each lane of a destination: reading and writing overlap, with a bounded
//! number of portions (the window) that are read and not settled. A portion is settled in the store once every destination has
//! dealt with it, in the order of reading. A destination that is quarantined is left behind: the others go on, and the checkpoint stays
//! where it left off.

mod actions;
mod cuts;
mod delivery;
mod far;
mod gate;
mod keeper;
mod ledger;
mod outlet;
mod process;
mod progress;
mod rate;
mod reader;
mod retry;
mod routing;
mod schedule;
mod spooled;
mod stage;
mod together;
mod tolerance;
mod writing;

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

pub use actions::{Actions, SPOOL, Sooner, Spooling};
pub use cuts::ends;
pub(crate) use delivery::Suspicion;
pub use delivery::{DestinationError, Holds, LOGGED};
pub use far::{Bounds, Far, FarSession};
pub use gate::{Gate, Pause, State as GateState};
pub use outlet::{Delivery, Destination, Outlet};
pub use process::{Process, ProcessSession, Step};
pub use progress::{Counts, DestinationCounts, DestinationProgress, Progress};
pub use rate::Rate;
pub use retry::Policy;
pub use routing::{Router, Routing, Way};
pub use schedule::Timetable;
pub use spooled::{SpoolCounts, Spooled, Stall, Worker};
pub use stage::ProcessorError;
pub use tolerance::Tolerance;
pub use writing::Patience;

use self::{
    cuts::Exact,
    delivery::{Inlet, Lane, Which},
    keeper::{Column, Keeper, Pending},
    ledger::Ledger,
    reader::{Ahead, Reader},
    stage::{Around, Stage},
    together::together,
    writing::Writing,
};
use crate::{
    clock::Clock,
    source::{Source, SourceError},
    store::{Store, StoreError, StoredCut},
};

/// A pipeline that is ready to run.
pub struct Pipeline {
    /// Its id.
    pub id: Arc<str>,
    /// Where its records come from, standing where the checkpoints say.
    pub source: Box<dyn Source>,
    /// What changes them on their way to all outlets, in this order.
    pub processors: Vec<Step>,
    /// Where they go.
    pub outlets: Vec<Outlet>,
    /// How many portions may be read and not settled, at least one.
    pub window: u32,
    /// How long a checkpoint may wait for more to be settled.
    pub checkpoint_interval: Duration,
    /// Of so many records that the source gives, the last ones at any time, how many may be unreadable.
    pub tolerance: (u32, u32),
    /// How far the source had been read before this run, by partition.
    pub read_before: HashMap<String, u64>,
    /// Where each cut is to be on disk before its first write: those that are, at which the source cuts again ([`ends`]).
    pub exact_batches: Option<Vec<StoredCut>>,
}

/// What a pipeline works with.
#[derive(Clone)]
pub struct Surroundings {
    /// Where it keeps what must outlive it.
    pub store: Arc<dyn Store>,
    /// Whose time it goes by.
    pub clock: Clock,
    /// Whether it should come to an end.
    pub stop: watch::Receiver<Stopping>,
    /// Whether it reads.
    pub entrance: Gate,
}

/// Whether pipelines should come to an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stopping {
    /// They go on.
    #[default]
    No,
    /// Nothing more is read, and what is in flight is finished where it can be.
    Finish,
    /// Whatever is in flight is left.
    Now,
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
    /// A processor of the pipeline takes no more.
    #[error(transparent)]
    Processor(#[from] ProcessorError),
    /// More of what was read is no record than the pipeline tolerates.
    #[error("source: of the last {window} records more than {tolerance} could not be read; this was one too many: {reason}")]
    TooMany {
        /// Of how many.
        window: u32,
        /// How many may.
        tolerance: u32,
        /// What is wrong with it, and where it stands.
        reason: String,
    },
    /// The host's own fault.
    #[error("the host's reader ended unexpectedly: {0}")]
    Reader(String),
}

impl PipelineError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Source(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Processor(error) => error.hint(),
            Self::TooMany { .. } => {
                "mend the line and run again; or let more be given up (dead-letters.window, dead-letters.tolerance)"
            }
            Self::Destination { cause, .. } => cause.hint(),
            Self::Reader(_) => "run again: it goes on where it stood; and report this as a fault of wharf",
        }
    }
}

/// What came out of a run of a pipeline.
#[derive(Debug)]
pub struct Ended {
    /// What became of the records, as [`Progress::raw`] has them.
    pub counts: Counts,
    /// Why it ended before its source did; the first of several reasons.
    pub error: Option<PipelineError>,
    /// Whether a later run reads again what this one left pending.
    pub rereads: bool,
}

impl Pipeline {
    /// Counters for this pipeline, to be read while it runs.
    pub fn progress(&self) -> Arc<Progress> {
        let ids = self.outlets.iter().map(|outlet| (outlet.id.clone(), outlet.delivery.lanes));
        Arc::new(Progress::new(self.id.clone(), ids).over(self.outlets.iter().map(|outlet| outlet.spooled.clone())))
    }

    /// Runs until the source ends, something fails, or it is asked to stop; what is in flight then is finished where it can be.
    pub async fn run(self, surroundings: Surroundings, progress: Arc<Progress>) -> Ended {
        let Self { id, source, processors, outlets, window, checkpoint_interval, tolerance, read_before, exact_batches } = self;
        let Surroundings { store, clock, stop, entrance } = surroundings;
        let window = window.max(1) as usize;
        let (cancel, cancelled) = watch::channel(false);
        let permits = Arc::new(Semaphore::new(window));
        let (entered, mut entering) = mpsc::unbounded_channel();
        let (read_all, all_read) = watch::channel(false);
        let (mut senders, mut columns) = (Vec::new(), Vec::new());
        let columns_in_all: usize = outlets.iter().map(|outlet| outlet.delivery.lanes as usize).sum();
        let (dealt, mut dealings) = mpsc::channel(window * columns_in_all.max(1));
        let mut workers = FuturesUnordered::new();
        for (destination, outlet) in outlets.iter().enumerate() {
            let first = columns.len();
            let mut entrances = Vec::new();
            for lane in 0..outlet.delivery.lanes {
                let (sender, portions) = mpsc::channel(window);
                let (teller, settled) = mpsc::unbounded_channel();
                let (let_go, letting_go) = watch::channel(0);
                let which = Which { destination, column: columns.len(), lane };
                let inlet = Inlet { portions, settled, let_go: letting_go, stop: stop.clone() };
                let lane = Lane::new(outlet.clone(), which, clock.clone(), progress.clone(), inlet);
                let worker = (outlet.start)(Box::pin(lane.run(dealt.clone())));
                workers.push(Box::pin(async move { (which.column, worker.await) }) as Pin<Box<dyn Future<Output = _> + Send>>);
                entrances.push(sender);
                columns.push(Column { destination, teller: Some(teller), let_go });
            }
            let (_never, cancelled) = watch::channel(false);
            let around = Around {
                pipeline: id.clone(),
                destination: Some(outlet.id.clone()),
                clock: clock.clone(),
                stop: stop.clone(),
                cancelled,
                ended: all_read.clone(),
                let_go: columns[first].let_go.subscribe(),
                gate: outlet.gate.clone(),
                progress: Some((progress.clone(), destination)),
                tolerance: outlet.tolerates(),
            };
            let chain = Stage::new(outlet.processors.clone(), around);
            let Some(chain) = chain else {
                senders.extend(entrances.into_iter().map(|sender| (destination, sender)));
                continue;
            };
            let (sender, portions) = mpsc::channel(window);
            senders.push((destination, sender));
            let ahead = stage::ahead(chain, portions, entrances, (progress.clone(), destination), outlet.delivery.best_effort);
            let worker = (outlet.start)(Box::pin(ahead));
            workers.push(Box::pin(async move { (first, worker.await) }));
        }
        drop(dealt);
        let rereads = source.rereads();
        let ledger = Ledger::new(columns.len(), rereads, exact_batches.is_some());
        let (pipeline, stopped) = (id.clone(), stop.clone());
        let patience = Patience { pipeline, clock: clock.clone(), progress: progress.clone(), stop: stopped };
        let writing = Writing { store, patience };
        let exact = exact_batches.map(|known| Exact::new(writing.clone(), known));
        let mut keeper = Keeper {
            id,
            writing,
            clock,
            outlets,
            columns,
            progress: progress.clone(),
            ledger,
            permits: permits.clone(),
            window,
            pending: Pending::new(checkpoint_interval),
            partial: HashMap::new(),
            gone: HashSet::new(),
            read: false,
            cancel,
            error: None,
        };
        let computes = processors.iter().any(|step| step.computes);
        let (last, ended) = watch::channel(false);
        let (_never, let_go) = watch::channel(0);
        let around = Around {
            pipeline: keeper.id.clone(),
            destination: None,
            clock: keeper.clock.clone(),
            stop: stop.clone(),
            cancelled: cancelled.clone(),
            ended,
            let_go,
            gate: entrance.clone(),
            progress: None,
            tolerance,
        };
        let stage = Stage::new(processors, around);
        let reader = Reader {
            source,
            exact,
            stage,
            senders,
            permits,
            entered,
            progress: progress.clone(),
            read_before,
            number: 0,
            waiting: Vec::new(),
            together: (window * 3 / 4).max(1),
            entrance,
            stop,
            cancelled,
            tolerance,
            clock: keeper.clock.clone(),
            ahead: Ahead::Unknown,
            last,
            read_all,
        };
        let (done, mut reading_ended) = oneshot::channel();
        // In one task with what keeps the ledger: each has most of its work from the other, and to wake a task elsewhere costs more than that
        // work. What calls components does so on a thread of its own.
        let reading = async {
            let read = if computes {
                crate::sandbox::thread::spawn(reader.run()).await.map_err(|failed| failed.to_string())
            } else {
                let read = AssertUnwindSafe(reader.run()).catch_unwind().await;
                read.map_err(|_told| "it panicked".to_owned())
            };
            // Whoever waits for it outlives it.
            let _waits = done.send(read);
        };
        let keeping = async {
            let mut read = None;
            let (mut working, mut dealing) = (true, true);
            // Not before every report is heard: a worker that ends has sent its last, which counts first.
            while working || dealing || read.is_none() {
                tokio::select! {
                    biased;
                    // A portion is on its way here before any destination has it, and in the ledger before anybody reports of it.
                    Some(entered) = entering.recv() => keeper.enter(entered),
                    dealt = dealings.recv(), if dealing => match dealt {
                        Some((destination, dealt)) => {
                            std::iter::from_fn(|| entering.try_recv().ok()).for_each(|entered| keeper.enter(entered));
                            keeper.dealt(destination, dealt).await;
                        }
                        None => {
                            dealing = false;
                            keeper.all_dealt().await;
                        }
                    },
                    () = due(&keeper), if keeper.pending.due.is_some() => keeper.flush_due().await,
                    Ok(ended) = &mut reading_ended, if read.is_none() => {
                        std::iter::from_fn(|| entering.try_recv().ok()).for_each(|entered| keeper.enter(entered));
                        read = Some(keeper.reader_ended(ended));
                    }
                    ended = workers.next(), if working => match ended {
                        Some((column, ended)) => keeper.worker_ended(column, ended).await,
                        None => working = false,
                    },
                }
            }
            keeper.finish(read.unwrap_or_default()).await
        };
        let (error, ()) = together(keeping, reading).await;
        Ended { counts: progress.raw(), error, rereads }
    }
}

/// Waits until checkpoints are to be written.
async fn due(keeper: &Keeper) {
    match keeper.pending.due {
        Some(due) => keeper.clock.sleep(due.saturating_sub(keeper.clock.elapsed())).await,
        None => std::future::pending().await,
    }
}
