//! Processors: what happens to records between being read and being delivered.
//!
//! A portion goes through all of a chain before it is handed on, so that what comes behind it finds the order of reading. What a processor
//! says of a record it says to all that come after it:
//!
//! | what comes back | what happens to the records |
//! | --- | --- |
//! | they go on, changed or not, as one or as several | they are handed to the next processor |
//! | filtered | acknowledged to the source, and handed to nobody |
//! | rejected | dead letters, as far as the pipeline tolerates them |
//! | failed otherwise, one or all | they and what comes after them are processed again after a back-off (`Policy::RECORD`), then dead letters |
//! | unauthorized, fatal | the pipeline stops |
//! | all rejected as one, an answer that breaks the contract, an instance that ended twice | halved, down to the record that does it: a dead letter |

mod ahead;
mod error;
mod give_up;
mod step;
mod work;

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use self::work::Work;
use super::{Stopping, tolerance::Tolerance};
use crate::{
    clock::Clock,
    connector::{Processor, ProcessorSession},
    record::{Batch, Chooser},
    store::DeadLetter,
};

pub(super) use self::ahead::{Handed, ahead};

pub use self::error::ProcessorError;

/// What came of a batch.
#[derive(Debug)]
pub(super) struct Through {
    /// The records that go on; `None` where none does.
    pub batch: Option<Batch>,
    /// Those that were given up.
    pub letters: Vec<DeadLetter>,
    /// Sequences of which nothing goes on and nothing failed.
    pub filtered: u64,
}
/// Processors, one behind the other.
pub(super) struct Stage {
    steps: Vec<Step>,
    pipeline: Arc<str>,
    /// Whose records are given up; `None` where it is for all destinations.
    destination: Option<Arc<str>>,
    clock: Clock,
    stop: watch::Receiver<Stopping>,
    tolerance: (u32, u32),
    window: Tolerance,
}

struct Step {
    processor: Processor,
    chooser: Option<Chooser>,
    session: Option<ProcessorSession>,
    /// Whether its far side was there once in this run.
    reached: bool,
    /// How often in a row it failed to be there.
    down: u32,
    opens: u32,
}

impl Stage {
    /// `None` where there is nothing to do.
    pub fn new(
        processors: Vec<Processor>,
        (pipeline, destination): (Arc<str>, Option<Arc<str>>),
        clock: Clock,
        stop: watch::Receiver<Stopping>,
        tolerance: (u32, u32),
    ) -> Option<Self> {
        let step = |processor: Processor| {
            let chooser = processor.chooser();
            Step { processor, chooser, session: None, reached: false, down: 0, opens: 0 }
        };
        let steps: Vec<Step> = processors.into_iter().map(step).collect();
        let window = Tolerance::new(tolerance.0, tolerance.1);
        (!steps.is_empty()).then(|| Self { steps, pipeline, destination, clock, stop, tolerance, window })
    }

    /// Hands a batch through all processors, or through one and those behind it.
    pub async fn process(&mut self, batch: &Batch, label: &Arc<str>, from: Option<&str>) -> Result<Through, ProcessorError> {
        let (mut letters, mut left) = (Vec::new(), Some(batch.clone()));
        let first = from.and_then(|from| self.steps.iter().position(|step| *step.processor.id == *from)).unwrap_or_default();
        for at in first..self.steps.len() {
            let Some(batch) = left.take() else { break };
            left = self.step(at, batch, label, &mut letters).await?;
        }
        let came = distinct(batch.sequences().iter().copied());
        let on = left.as_ref().map_or(&[][..], Batch::sequences);
        let mut dealt: Vec<u64> = on.iter().copied().chain(letters.iter().map(|letter: &DeadLetter| letter.sequence)).collect();
        dealt.sort_unstable();
        let filtered = came.saturating_sub(distinct(dealt.into_iter()));
        self.window.succeeded(came.saturating_sub(letters.len() as u64));
        Ok(Through { batch: left, letters, filtered })
    }

    /// Closes what is open, unless nobody waits for that any more.
    pub async fn close(&mut self) {
        if *self.stop.borrow() == Stopping::Now {
            return;
        }
        for Step { processor, session, .. } in &mut self.steps {
            let Some(session) = session.take() else { continue };
            let error = match session.close().await {
                Ok(Ok(())) => continue,
                Ok(Err(failure)) => failure.to_string(),
                Err(ended) => ended.to_string(),
            };
            tracing::warn!(pipeline = %self.pipeline, processor = %processor.id, %error, "close failed; every record had been answered for");
        }
    }

    /// Waits, unless it is asked to stop meanwhile.
    async fn wait(&mut self, wait: Duration) -> Result<(), ProcessorError> {
        tokio::select! {
            () = self.clock.sleep(wait) => Ok(()),
            // The sender outlives every stage.
            _asked = self.stop.wait_for(|stop| *stop != Stopping::No) => Err(ProcessorError::Asked),
        }
    }
}

/// How many different ones there are among numbers that never fall.
pub(super) fn distinct(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut last = None;
    numbers.filter(|number| last.replace(*number) != Some(*number)).count() as u64
}
