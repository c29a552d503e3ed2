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
//! | several rejected as a whole | halved and processed again at once, down to those that are rejected alone |
//! | transient or uncertain, and others go through | they and what comes after them are processed again after a back-off (`retry`); then dead letters |
//! | transient or uncertain, all of them, or `open` | processed again after a back-off (`outage`) without end, every second time by a fresh instance |
//! | throttled | processed again after as long as was asked, without counting |
//! | unauthorized | credentials are renewed and they are processed once more by a fresh instance; then the chain pauses |
//! | fatal | the chain pauses |
//! | an answer that breaks the contract | processed again by a fresh instance a few times; then the chain pauses (`on-unknown`) |
//! | an instance that ended | processed again by a fresh one after 1 s, or 2 s, 4 s … up to a minute while nothing goes through |
//! | the same a second time | halved, and so on down to the record that does it: a dead letter once others went through |
//! | five such records in a row, and nothing between them | the chain pauses; they are pending |
//!
//! A chain that pauses is tried again every five minutes, or when a person says so; it keeps what it has in hand. A destination's own chain pauses with
//! the destination. Where nothing more is read, a pause ends the run; a best-effort destination misses what is left.

mod ahead;
mod error;
mod give_up;
mod pause;
mod step;
mod weigh;
mod work;

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use self::work::{Portion, Work};
use super::{
    Gate, ProcessSession, Progress, Step, Stopping,
    delivery::{PAUSE, Suspicion},
    tolerance::Tolerance,
};
use crate::{
    clock::Clock,
    record::{Batch, Chooser},
    sandbox::log::Log,
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
    /// Sequences of which something goes on and something else was given up, here or before, in order.
    pub partly: Arc<[u64]>,
}

/// What a chain goes by.
pub(super) struct Around {
    /// The pipeline's id.
    pub pipeline: Arc<str>,
    /// Whose records they are; `None` where they are for all destinations.
    pub destination: Option<Arc<str>>,
    /// Whose time it goes by.
    pub clock: Clock,
    /// Whether it should come to an end.
    pub stop: watch::Receiver<Stopping>,
    /// Whether nobody wants what comes of it any more.
    pub cancelled: watch::Receiver<bool>,
    /// Whether nothing more comes after what it has.
    pub ended: watch::Receiver<bool>,
    /// The portion before which nobody waits for it.
    pub let_go: watch::Receiver<u64>,
    /// Shut while it pauses.
    pub gate: Gate,
    /// The counters of the destination that it is of, by its place among them.
    pub progress: Option<(Arc<Progress>, usize)>,
    /// Of so many records, how many may be given up.
    pub tolerance: (u32, u32),
}

/// Processors, one behind the other.
pub(super) struct Stage {
    steps: Vec<Running>,
    around: Around,
    window: Tolerance,
    /// Whether it paused and has not seen the gate open since.
    paused: bool,
    /// How often a person had opened the gate when it was looked at last.
    resumed: u64,
}

/// A processor at work.
struct Running {
    step: Step,
    chooser: Option<Chooser>,
    session: Option<Box<dyn ProcessSession>>,
    log: Log,
    /// Whether its far side was there once in this run.
    reached: bool,
    /// How often in a row all failed for now.
    down: u32,
    /// How often in a row an instance ended as it was opened.
    opens: u32,
    /// Whether credentials were renewed since anything went through.
    renewed: bool,
    /// How many records were given up for failing too often since anything went through.
    given_up: u32,
    suspicion: Suspicion,
}

impl Stage {
    /// `None` where there is nothing to do.
    pub fn new(steps: Vec<Step>, around: Around) -> Option<Self> {
        let running = |step: Step| Running {
            chooser: step.processor.chooser(),
            session: None,
            log: step.processor.log(&around.clock),
            step,
            reached: false,
            down: 0,
            opens: 0,
            renewed: false,
            given_up: 0,
            suspicion: Suspicion::default(),
        };
        let steps: Vec<Running> = steps.into_iter().map(running).collect();
        let window = Tolerance::new(around.tolerance.0, around.tolerance.1);
        (!steps.is_empty()).then(|| Self { steps, around, window, paused: false, resumed: 0 })
    }

    /// Hands a batch through all processors, or through one and those behind it. It is of the portion with this number, which is from the place that
    /// people call so. `partly` are sequences of which something was given up before.
    pub async fn process(
        &mut self,
        batch: &Batch,
        number: u64,
        label: &Arc<str>,
        (from, partly): (Option<&str>, &[u64]),
    ) -> Result<Through, ProcessorError> {
        let since = self.around.clock.elapsed();
        let mut portion = Portion { number, label: label.clone(), since, letters: Vec::new() };
        let mut left = Some(batch.clone());
        let is_first = |running: &Running, from: &str| *running.step.processor.id() == *from;
        let first = from.and_then(|from| self.steps.iter().position(|running| is_first(running, from))).unwrap_or_default();
        for at in first..self.steps.len() {
            let Some(batch) = left.take() else { break };
            left = self.step(at, batch, &mut portion).await?;
        }
        let letters = portion.letters;
        let came = distinct(batch.sequences().iter().copied());
        let on = left.as_ref().map_or(&[][..], Batch::sequences);
        let goes_on = |sequence: &u64| on.binary_search(sequence).is_ok();
        let mut given_up: Vec<u64> = letters.iter().map(|letter| letter.sequence).chain(partly.iter().copied()).collect();
        given_up.sort_unstable();
        given_up.dedup();
        let gone = given_up.iter().filter(|sequence| !goes_on(sequence)).count() as u64;
        let filtered = came.saturating_sub(distinct(on.iter().copied()) + gone);
        given_up.retain(goes_on);
        self.window.succeeded(came.saturating_sub(letters.len() as u64));
        Ok(Through { batch: left, letters, filtered, partly: given_up.into() })
    }

    /// Closes what is open, unless nobody waits for that any more.
    pub async fn close(&mut self) {
        if *self.around.stop.borrow() == Stopping::Now {
            return;
        }
        for Running { step, session, log, .. } in &mut self.steps {
            let Some(session) = session.take() else { continue };
            let error = match session.close().await {
                Ok(Ok(())) => None,
                Ok(Err(failure)) => Some(failure.to_string()),
                Err(ended) => Some(ended.to_string()),
            };
            if let Some(error) = error.filter(|_| tracing::enabled!(tracing::Level::WARN) && log.admits()) {
                let (pipeline, processor) = (&self.around.pipeline, step.processor.id());
                tracing::warn!(%pipeline, %processor, %error, "close failed; every record had been answered for");
            }
            log.finish();
        }
    }

    /// Waits, unless somebody calls meanwhile: to stop, to go on at once, or to let go of the portion with this number.
    async fn wait(&mut self, wait: Duration, number: u64) -> Result<(), ProcessorError> {
        let Around { clock, stop, cancelled, let_go, gate, .. } = &mut self.around;
        let (mut gate, before) = (gate.watch(), self.resumed);
        tokio::select! {
            () = clock.sleep(wait) => Ok(()),
            () = holds(stop, |stop| *stop != Stopping::No) => Err(ProcessorError::Asked),
            () = holds(cancelled, |cancelled| *cancelled) => Err(ProcessorError::Asked),
            () = holds(let_go, |before| number < *before) => Err(ProcessorError::LetGo),
            () = holds(&mut gate, |state| state.resumed != before) => {
                self.resumed = gate.borrow().resumed;
                Ok(())
            }
        }
    }
}

/// Waits until something is so; for ever where nobody will say so any more.
async fn holds<T>(watched: &mut watch::Receiver<T>, so: impl FnMut(&T) -> bool) {
    if watched.wait_for(so).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// How many different ones there are among numbers that never fall.
pub(super) fn distinct(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut last = None;
    numbers.filter(|number| last.replace(*number) != Some(*number)).count() as u64
}
