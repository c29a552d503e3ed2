//! A destination's own processors, on the way to its lanes.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{PAUSE, ProcessorError, Stage, Through};
use crate::{
    pipeline::{
        DestinationError, Progress,
        delivery::{LaneEnded, Left},
    },
    record::Batch,
    source::{Portion, SentAgain},
    store::DeadLetter,
};

/// A portion on its way to a lane.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Handed {
    /// Its number in the ledger.
    pub number: u64,
    /// It, with what processors made of its records.
    pub portion: Arc<Portion>,
    /// What the destination's own processors gave up of it.
    pub letters: Vec<DeadLetter>,
    /// When it was read, by the clock's elapsed time.
    pub read_at: Duration,
    /// Sequences of which processors gave something up and something else goes on, in order.
    pub partly: Arc<[u64]>,
}

/// Hands portions through a destination's own processors on their way to its lanes.
pub(in crate::pipeline) async fn ahead(
    mut stage: Stage,
    mut portions: mpsc::Receiver<Handed>,
    lanes: Vec<mpsc::Sender<Handed>>,
    (progress, destination): (Arc<Progress>, usize),
    best_effort: bool,
) -> LaneEnded {
    let mut ended = Ok(());
    while let Some(handed) = portions.recv().await {
        let Handed { number, mut portion, letters: mut given_up, mut partly, read_at } = handed;
        progress.destination(destination).processes(Some(read_at));
        // What this destination itself had given up has been through.
        let from = match portion.again.as_deref() {
            Some(SentAgain { destination: Some(_), processor, .. }) => processor.as_deref().map(Some),
            _ => Some(None),
        };
        if let (Some(batch), Some(from)) = (&portion.batch, from) {
            let through = stage.through(batch, number, &portion.label, (from, &partly), best_effort).await;
            let (batch, letters, filtered);
            Through { batch, letters, filtered, partly } = match through {
                Ok(through) => through,
                Err(left) => {
                    ended = Err(left);
                    break;
                }
            };
            progress.destination(destination).filtered(filtered);
            given_up.extend(letters);
            let Portion { partition, label, next, again, .. } = &*portion;
            let (partition, label, next, again) = (partition.clone(), label.clone(), *next, again.clone());
            portion = Arc::new(Portion { partition, label, batch, unreadable: Vec::new(), next, again });
        }
        for lane in &lanes {
            let letters = std::mem::take(&mut given_up);
            let handed = Handed { number, portion: portion.clone(), letters, partly: partly.clone(), read_at };
            // A lane that has ended gets no more.
            let _ended = lane.send(handed).await;
        }
        progress.destination(destination).processes(None);
    }
    stage.close().await;
    ended
}

impl Stage {
    /// Hands a batch through. A best-effort destination pauses where it takes no more, and misses what nobody waits for.
    async fn through(
        &mut self,
        batch: &Batch,
        number: u64,
        label: &Arc<str>,
        before: (Option<&str>, &[u64]),
        best_effort: bool,
    ) -> Result<Through, Left> {
        loop {
            // Nobody may have waited for the portion over which it paused.
            let open = if self.paused { self.until_open(number).await } else { Ok(()) };
            let error = match open {
                Ok(()) => match self.process(batch, number, label, before).await {
                    Ok(through) => return Ok(through),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            let error = match error {
                ProcessorError::LetGo | ProcessorError::Paused { .. } | ProcessorError::Asked => error,
                error if best_effort => {
                    self.shut(&error, Some(PAUSE));
                    match self.until_open(number).await {
                        Ok(()) => continue,
                        Err(error) => error,
                    }
                }
                error => error,
            };
            return match error {
                ProcessorError::Asked => Err(Left::Asked),
                _ if best_effort => {
                    Ok(Through { batch: None, letters: self.missed(batch, label), filtered: 0, partly: Arc::default() })
                }
                error => Err(Left::Destination(DestinationError::Processor(Box::new(error)))),
            };
        }
    }
}
