//! What a destination may write to the log.
//!
//! **Threat.** A component floods the log until the disk is full or nothing else can be found in it: with lines of its own, or with attempts
//! of which the host notes each. **Answer.** All lines that a component causes, over all instances of its destination, share one rate; what is
//! over it is dropped, counted, and told in one line a second at the most.

use std::{fmt::Display, sync::Arc, time::Duration};

use super::{
    bucket::Bucket,
    host::Scope,
    usage::{Event, Usage},
};
use crate::clock::Clock;

/// How often is told that lines were dropped, at the most.
const TOLD: Duration = Duration::from_secs(1);

/// One destination's share of the log. Clones share it, as do all that have the same [`Usage`].
#[derive(Clone, Debug)]
pub struct Log {
    scope: Scope,
    usage: Arc<Usage>,
    clock: Clock,
    rate: u32,
}

/// What of a destination's lines was let through and dropped.
#[derive(Debug, Default)]
pub(super) struct Flow {
    bucket: Bucket,
    /// Not yet told.
    dropped: u64,
    /// When that was told last, or when the first of those not yet told was dropped.
    since: Duration,
}

impl Flow {
    /// Whether a line is let through, and how many are to be told as dropped.
    fn line(&mut self, now: Duration, rate: u32) -> (bool, Option<u64>) {
        let through = self.bucket.take(now, rate);
        if !through {
            if self.dropped == 0 {
                self.since = self.since.max(now);
            }
            self.dropped += 1;
        }
        (through, if now.saturating_sub(self.since) >= TOLD { self.take_dropped(now) } else { None })
    }

    fn take_dropped(&mut self, now: Duration) -> Option<u64> {
        let dropped = std::mem::take(&mut self.dropped);
        (dropped > 0).then(|| {
            self.since = now;
            dropped
        })
    }
}

impl Log {
    /// So many lines a second, and as many at once.
    pub fn new(scope: Scope, usage: Arc<Usage>, clock: Clock, rate: u32) -> Self {
        Self { scope, usage, clock, rate }
    }

    /// Whom the lines are of.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What their counts go to.
    pub(super) fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// Whether a line may be written now; it counts as written then, and as dropped otherwise. To be asked for every line that a component
    /// causes, and only where its level is enabled.
    pub fn admits(&self) -> bool {
        let (through, dropped) = self.usage.lines().line(self.clock.elapsed(), self.rate);
        if !through {
            self.usage.note(Event::LineDropped);
        }
        self.tell(dropped);
        through
    }

    /// Tells what was dropped and is not told yet.
    pub fn finish(&self) {
        let dropped = self.usage.lines().take_dropped(self.clock.elapsed());
        self.tell(dropped);
    }

    /// Notes that something of a capability was tried and refused, and why. What it was is harmless to print.
    pub fn refused(&self, event: Event, capability: &str, what: impl Display, why: impl Display) {
        self.usage.note(event);
        if tracing::enabled!(tracing::Level::WARN) && self.admits() {
            let (pipeline, destination, processor) = (self.scope.pipeline(), self.scope.destination(), self.scope.processor());
            let (what, why) = (what.to_string(), why.to_string());
            let (what, why) = (self.scope.redactor().text(&what), self.scope.redactor().text(&why));
            tracing::warn!(pipeline, destination, processor, capability, %what, "refused: {why}");
        }
    }

    /// Notes that something of a capability was tried and let through. What it was is harmless to print. The first time it is said, and every
    /// other time to those alone who look for it.
    pub fn allowed(&self, event: Event, capability: &str, what: impl Display) {
        self.usage.note(event);
        if !tracing::enabled!(tracing::Level::INFO) {
            return;
        }
        let what = what.to_string();
        let first = self.usage.is_new(capability, &what);
        if !(first || tracing::enabled!(tracing::Level::DEBUG)) || !self.admits() {
            return;
        }
        let (pipeline, destination, processor) = (self.scope.pipeline(), self.scope.destination(), self.scope.processor());
        let what = self.scope.redactor().text(&what);
        match first {
            true => tracing::info!(pipeline, destination, processor, capability, %what, "allowed"),
            false => tracing::debug!(pipeline, destination, processor, capability, %what, "allowed"),
        }
    }

    fn tell(&self, dropped: Option<u64>) {
        if let Some(dropped) = dropped {
            let (pipeline, destination, processor) = (self.scope.pipeline(), self.scope.destination(), self.scope.processor());
            let rate = self.rate;
            tracing::warn!(
                pipeline,
                destination,
                processor,
                "{dropped} lines dropped: more than {rate} a second (limits.log-lines)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_told_at_most_once_a_second() {
        let mut flow = Flow::default();
        let mut told = Vec::new();
        let mut through = 0;
        // A line a millisecond for ten seconds, at ten a second.
        for millisecond in 0..10_000 {
            let (let_through, dropped) = flow.line(Duration::from_millis(millisecond), 10);
            through += u64::from(let_through);
            told.extend(dropped);
        }
        told.extend(flow.take_dropped(Duration::from_secs(10)));
        assert_eq!((through, told.iter().sum::<u64>()), (109, 10_000 - 109));
        assert!((9..=11).contains(&told.len()), "{told:?}");
        assert_eq!(flow.take_dropped(Duration::from_secs(10)), None);
    }

    #[test]
    fn a_flood_that_ends_is_told_with_the_next_line() {
        let mut flow = Flow::default();
        let now = Duration::from_secs(5);
        for _ in 0..10 {
            assert_eq!(flow.line(now, 10), (true, None));
        }
        for _ in 0..7 {
            assert_eq!(flow.line(now, 10), (false, None));
        }
        assert_eq!(flow.line(Duration::from_secs(60), 10), (true, Some(7)));
        assert_eq!(flow.line(Duration::from_secs(60), 10), (true, None));
    }
}
