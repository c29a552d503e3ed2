//! The worker: from the source through the destinations to the checkpoint.
//!
//! One task reads ahead, one works for each destination, and this one keeps the ledger: reading and writing overlap, with a bounded
//! number of portions (the window) that are read and not settled. A portion is settled in the store once every destination has
//! dealt with it, in the order of reading.

mod delivery;
mod ledger;
mod progress;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use thiserror::Error;
use tokio::sync::{Semaphore, mpsc, watch};

pub use delivery::DestinationError;
pub use progress::{Counts, DestinationCounts, DestinationProgress, Progress};

use self::{
    delivery::{Left, Worker},
    ledger::Ledger,
};
use crate::{
    clock::Clock,
    connector::{Connector, Opening},
    source::{Portion, Source, SourceError},
    store::{DeadLetter, Store, StoreError},
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
            Self::Store(_) => "see that the data directory can be written to and has room, then run again",
            Self::Destination { .. } => "mend the destination and run again: what is pending is sent again",
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
    /// Whether it was asked to stop.
    pub asked: bool,
}

/// How reading ended, and how far each partition was read.
struct Read {
    error: Option<SourceError>,
    to: BTreeMap<String, u64>,
}

/// A portion on its way to the ledger.
struct Entered {
    portion: Arc<Portion>,
    number: tokio::sync::oneshot::Sender<u64>,
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
        let (entered, mut entering) = mpsc::channel::<Entered>(1);
        let (mut senders, mut tellers, mut workers) = (Vec::new(), Vec::new(), Vec::new());
        for (index, destination) in destinations.iter().enumerate() {
            let (sender, portions) = mpsc::channel(window);
            let (teller, settled) = mpsc::unbounded_channel();
            let worker = Worker {
                destination: destination.clone(),
                clock: clock.clone(),
                stop: stop.clone(),
                progress: progress.clone(),
                index,
                session: None,
                settled,
            };
            senders.push(sender);
            tellers.push(teller);
            workers.push(tokio::spawn(worker.run(portions, dealt.clone())));
        }
        drop(dealt);
        let reader = Reader {
            source,
            senders,
            permits: permits.clone(),
            entered,
            progress: progress.clone(),
            read_before,
            stop: stop.clone(),
            cancelled,
        };
        let mut reader = tokio::spawn(reader.run());

        let mut ledger = Ledger::new(destinations.len());
        let mut error: Option<PipelineError> = None;
        let mut read = None;
        let mut workers: futures::stream::FuturesUnordered<_> =
            workers.into_iter().enumerate().map(|(index, worker)| async move { (index, worker.await) }).collect();
        let (mut working, mut dealt_with) = (true, false);
        while working || read.is_none() {
            use futures::StreamExt;
            tokio::select! {
                // A portion is in the ledger before any destination has it.
                Some(Entered { portion, number }) = entering.recv() => {
                    let unreadable = unreadable(&portion, &clock);
                    // Where the reader is gone, nothing was handed on.
                    let _gone = number.send(ledger.enter(portion, unreadable));
                }
                dealing = dealings.recv(), if !dealt_with => {
                    let Some((index, dealt)) = dealing else {
                        // The workers are done with their portions, and wait to be told of what they settled last.
                        dealt_with = true;
                        tellers.clear();
                        continue;
                    };
                    for (portion, settled) in ledger.dealt(index, dealt) {
                        if error.as_ref().is_some_and(|error| matches!(error, PipelineError::Store(_))) {
                            break;
                        }
                        if let Err(failed) = store.settle(&id, settled).await {
                            error = Some(failed.into());
                            cancel.send_replace(true);
                            break;
                        }
                        permits.add_permits(1);
                        if let Some(batch) = &portion.batch {
                            let id: Arc<str> = batch.id().into();
                            for teller in &tellers {
                                // A worker that has ended need not be told.
                                let _ended = teller.send(id.clone());
                            }
                        }
                    }
                }
                ended = &mut reader, if read.is_none() => {
                    match ended {
                        Ok(Read { error: None, to }) => read = Some(to),
                        Ok(Read { error: Some(failed), to }) => {
                            error.get_or_insert(failed.into());
                            read = Some(to);
                        }
                        Err(failed) => {
                            error.get_or_insert(PipelineError::Reader(failed.to_string()));
                            read = Some(BTreeMap::new());
                        }
                    }
                }
                ended = workers.next(), if working => match ended {
                    None => working = false,
                    Some((index, ended)) => {
                        let cause = match ended {
                            Ok(Ok(()) | Err(Left::Asked)) => None,
                            Ok(Err(Left::Destination(cause))) => Some(cause),
                            Err(failed) => Some(DestinationError::Worker(failed.to_string())),
                        };
                        if let Some(cause) = cause {
                            let Destination { id, connector, .. } = &destinations[index];
                            let failed = PipelineError::Destination { id: id.clone(), connector: connector.title(), cause };
                            tracing::error!("destination {} takes no more: finishing what others have in hand", destinations[index].id);
                            error.get_or_insert(failed);
                            cancel.send_replace(true);
                        }
                    }
                },
            }
        }
        let last = finish(&*store, &id, ledger, read.unwrap_or_default()).await;
        if let Err(failed) = last {
            error.get_or_insert(failed.into());
        }
        let asked = *stop.borrow();
        Ended { counts: progress.counts(), error, asked }
    }
}

/// Writes down what is known at the end: what was given up beyond the checkpoints, and how far the source was read.
async fn finish(store: &dyn Store, id: &str, ledger: Ledger, read: BTreeMap<String, u64>) -> Result<(), StoreError> {
    if let Some(settled) = ledger.rest() {
        store.settle(id, settled).await?;
    }
    if read.is_empty() { Ok(()) } else { store.read_to(id, read.into_iter().collect()).await }
}

/// What a source could not read, as dead letters of the pipeline.
fn unreadable(portion: &Portion, clock: &Clock) -> Vec<DeadLetter> {
    let letters = portion.unreadable.iter().map(|unreadable| {
        tracing::warn!("given up: {}", unreadable.reason);
        DeadLetter {
            destination: None,
            partition: portion.partition.to_string(),
            label: portion.label.to_string(),
            sequence: unreadable.sequence,
            ordinal: 0,
            key: None,
            record: Some(unreadable.bytes.clone()),
            kind: "unreadable".into(),
            code: None,
            message: unreadable.reason.clone(),
            connector: None,
            attempts: 0,
            at: clock.rfc3339(),
        }
    });
    letters.collect()
}

/// Reads ahead, as far as the window lets it.
struct Reader {
    source: Box<dyn Source>,
    senders: Vec<mpsc::Sender<(u64, Arc<Portion>)>>,
    permits: Arc<Semaphore>,
    entered: mpsc::Sender<Entered>,
    progress: Arc<Progress>,
    read_before: HashMap<String, u64>,
    stop: watch::Receiver<bool>,
    cancelled: watch::Receiver<bool>,
}

impl Reader {
    async fn run(mut self) -> Read {
        let mut to = BTreeMap::new();
        let error = loop {
            let portion = tokio::select! {
                biased;
                // The senders outlive this task.
                _stop = self.stop.wait_for(|stop| *stop) => break None,
                _cancel = self.cancelled.wait_for(|cancelled| *cancelled) => break None,
                portion = next(&mut self.source, &self.permits) => portion,
            };
            let portion = match portion {
                Ok(Some(portion)) => Arc::new(portion),
                Ok(None) => break None,
                Err(error) => break Some(error),
            };
            self.count(&portion);
            to.insert(portion.partition.to_string(), portion.next);
            let (number, numbered) = tokio::sync::oneshot::channel();
            if self.entered.send(Entered { portion: portion.clone(), number }).await.is_err() {
                break None;
            }
            let Ok(number) = numbered.await else { break None };
            for sender in &self.senders {
                // The channel is as long as the window: it is full only where its worker has ended.
                let _ended = sender.try_send((number, portion.clone()));
            }
        };
        Read { error, to }
    }

    /// Counts what an earlier run had read as carried, the rest as read.
    fn count(&self, portion: &Portion) {
        let before = self.read_before.get(&*portion.partition).copied().unwrap_or_default();
        let records = portion.batch.as_ref().map_or(&[][..], |batch| batch.sequences());
        let again = records.partition_point(|sequence| *sequence < before)
            + portion.unreadable.iter().filter(|unreadable| unreadable.sequence < before).count();
        let all = records.len() + portion.unreadable.len();
        self.progress.read((all - again) as u64, again as u64);
    }
}

/// The next portion, once there is room for it in the window.
async fn next(source: &mut Box<dyn Source>, permits: &Semaphore) -> Result<Option<Portion>, SourceError> {
    if let Ok(permit) = permits.acquire().await {
        let portion = source.read().await?;
        // Given back when the portion is settled.
        permit.forget();
        return Ok(portion);
    }
    Ok(None)
}
