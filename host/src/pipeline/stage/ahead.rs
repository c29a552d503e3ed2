//! A destination's own processors, on the way to its lanes.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{ProcessorError, Stage, Through};
use crate::{
    pipeline::{
        DestinationError, Progress,
        delivery::{LaneEnded, Left},
    },
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
}

/// Hands portions through a destination's own processors on their way to its lanes.
pub(in crate::pipeline) async fn ahead(
    mut stage: Stage,
    mut portions: mpsc::Receiver<Handed>,
    lanes: Vec<mpsc::Sender<Handed>>,
    (progress, destination): (Arc<Progress>, usize),
) -> LaneEnded {
    while let Some(Handed { number, mut portion, letters: mut given_up, read_at }) = portions.recv().await {
        progress.destination(destination).processes(Some(read_at));
        // What this destination itself had given up has been through.
        let from = match portion.again.as_deref() {
            Some(SentAgain { destination: Some(_), processor, .. }) => processor.as_deref().map(Some),
            _ => Some(None),
        };
        if let (Some(batch), Some(from)) = (&portion.batch, from) {
            let Through { batch, letters, filtered } = match stage.process(batch, &portion.label, from).await {
                Ok(through) => through,
                Err(ProcessorError::Asked) => {
                    stage.close().await;
                    return Err(Left::Asked);
                }
                Err(error) => return Err(Left::Destination(DestinationError::Processor(Box::new(error)))),
            };
            progress.destination(destination).filtered(filtered);
            given_up.extend(letters);
            let Portion { partition, label, next, again, .. } = &*portion;
            let (partition, label, next, again) = (partition.clone(), label.clone(), *next, again.clone());
            portion = Arc::new(Portion { partition, label, batch, unreadable: Vec::new(), next, again });
        }
        for lane in &lanes {
            let handed = Handed { number, portion: portion.clone(), letters: std::mem::take(&mut given_up), read_at };
            // A lane that has ended gets no more.
            let _ended = lane.send(handed).await;
        }
        progress.destination(destination).processes(None);
    }
    stage.close().await;
    Ok(())
}
