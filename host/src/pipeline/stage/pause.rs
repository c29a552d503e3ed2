//! A chain that pauses.

use std::{sync::Arc, time::Duration};

use super::{Around, ProcessorError, Stage, Stopping, holds};
use crate::pipeline::{
    DestinationProgress,
    gate::{Pause, State},
};

impl Stage {
    /// Shuts the gate, and waits until it is open.
    pub(super) async fn pause(
        &mut self,
        at: usize,
        error: &ProcessorError,
        again: Option<Duration>,
        number: u64,
    ) -> Result<(), ProcessorError> {
        let step = &mut self.steps[at];
        step.session = None;
        step.renewed = false;
        step.suspicion.rested();
        self.shut(error, again);
        self.until_open(number).await
    }

    /// Shuts the gate.
    pub(super) fn shut(&mut self, error: &ProcessorError, again: Option<Duration>) {
        self.paused = true;
        let Around { pipeline, destination, clock, gate, .. } = &self.around;
        if let Some(progress) = self.progress() {
            progress.pause(Some(&error.to_string()));
        }
        let now = clock.elapsed();
        let why: Arc<str> = error.to_string().into();
        if !gate.shut(Pause { why, since: now, again: again.map(|again| now + again), by_hand: false }) {
            return;
        }
        let (hint, destination) = (error.hint(), destination.as_deref());
        let what = if destination.is_some() { "the destination" } else { "the pipeline" };
        match again {
            Some(again) => {
                tracing::error!(%pipeline, destination, hint, "{what} pauses, to be tried again in {again:?}: {error}")
            }
            None => tracing::error!(%pipeline, destination, hint, "{what} pauses, and is not tried again by itself: {error}"),
        }
    }

    /// Waits until the gate is open. Where nothing more comes after what is in hand, a pause is the end.
    pub(super) async fn until_open(&mut self, number: u64) -> Result<(), ProcessorError> {
        let Around { clock, stop, cancelled, ended, let_go, gate, progress, .. } = &mut self.around;
        let mut watched = gate.watch();
        loop {
            let now = clock.elapsed();
            gate.retry(now);
            let State { pause, resumed, closed, .. } = watched.borrow_and_update().clone();
            if closed {
                // Nobody opens it any more, and nobody waits for what is in hand.
                return Err(ProcessorError::Asked);
            }
            self.resumed = resumed;
            let Some(pause) = pause else {
                self.paused = false;
                if let Some((progress, destination)) = progress {
                    progress.destination(*destination).pause(None);
                }
                return Ok(());
            };
            let again = async {
                match pause.again {
                    Some(again) => clock.sleep(again.saturating_sub(now)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = holds(stop, |stop| *stop != Stopping::No) => return Err(ProcessorError::Asked),
                () = holds(cancelled, |cancelled| *cancelled) => return Err(ProcessorError::Asked),
                () = holds(let_go, |before| number < *before) => return Err(ProcessorError::LetGo),
                // Whoever would say so may be gone.
                _ended = ended.wait_for(|ended| *ended) => return Err(ProcessorError::Paused { why: pause.why }),
                _changed = watched.changed() => {}
                () = again => {}
            }
        }
    }

    /// The counters of its destination, where it is of one.
    fn progress(&self) -> Option<&DestinationProgress> {
        self.around.progress.as_ref().map(|(progress, destination)| progress.destination(*destination))
    }

    /// The id of a processor, and name and version of its connector.
    pub(super) fn named(&self, at: usize) -> (Arc<str>, String) {
        let processor = &self.steps[at].step.processor;
        (processor.id(), processor.title().to_string())
    }

    /// Its instances keep ending.
    pub(super) fn blamed(&self, at: usize, reason: Arc<str>) -> ProcessorError {
        let (id, connector) = self.named(at);
        ProcessorError::Blamed { id, connector, reason, instances: self.steps[at].suspicion.instances() }
    }
}
