//! Reading ahead.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::Progress;
use crate::source::{Portion, Source, SourceError};

/// How reading ended.
#[derive(Debug)]
pub(super) struct Read {
    /// Why the source cannot go on.
    pub error: Option<SourceError>,
    /// How far each partition was read.
    pub to: BTreeMap<String, u64>,
}

/// A portion on its way into the ledger, and the way back for its number.
#[derive(Debug)]
pub(super) struct Entered {
    pub portion: Arc<Portion>,
    pub number: oneshot::Sender<u64>,
}

/// Reads ahead, as far as the window lets it.
pub(super) struct Reader {
    pub source: Box<dyn Source>,
    pub senders: Vec<mpsc::Sender<(u64, Arc<Portion>)>>,
    pub permits: Arc<Semaphore>,
    pub entered: mpsc::Sender<Entered>,
    pub progress: Arc<Progress>,
    pub read_before: HashMap<String, u64>,
    pub stop: watch::Receiver<bool>,
    pub cancelled: watch::Receiver<bool>,
}

impl Reader {
    pub async fn run(mut self) -> Read {
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
            let (number, numbered) = oneshot::channel();
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
