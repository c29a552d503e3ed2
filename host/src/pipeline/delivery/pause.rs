//! A destination that pauses.

use std::time::Duration;

use super::{DestinationError, Lane, Left, run::Stepped};
use crate::pipeline::gate::Pause;

impl Lane {
    /// Shuts the gate of the destination.
    pub(super) fn pause(&mut self, error: &DestinationError, again: Option<Duration>) {
        let now = self.clock.elapsed();
        let connector = self.outlet.far.title();
        let why = error.to_string().into();
        let pause = Pause { why, since: now, again: again.map(|again| now + again), by_hand: false };
        self.counts().waits(None);
        self.counts().pause(Some(&pause.why));
        self.session = None;
        self.renewed = false;
        if !self.outlet.gate.shut(pause) {
            // Another lane found out before, and told it.
            return;
        }
        let (pipeline, destination, hint) = (&self.progress.pipeline, &self.outlet.id, error.hint());
        match again {
            Some(again) => {
                tracing::error!(%pipeline, %destination, %connector, hint, "destination {destination} pauses, to be tried again in {again:?}: {error}")
            }
            None => {
                tracing::error!(%pipeline, %destination, %connector, hint, "destination {destination} pauses, and is not tried again by itself: {error}")
            }
        }
    }

    /// The gate is shut and nothing more comes: this run ends here, and a best-effort destination misses what is left.
    pub(super) fn end_paused(&mut self, pause: &Pause) -> Result<Stepped, Left> {
        let done = self.accounts.is_empty() && pause.by_hand;
        if !done && !self.outlet.delivery.best_effort {
            return Err(Left::Destination(DestinationError::Paused { why: pause.why.clone() }));
        }
        self.miss_before(u64::MAX);
        Ok(Stepped::Done)
    }
}
