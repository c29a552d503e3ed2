//! What came of a pipeline.

use std::{sync::Arc, time::Duration};

use super::ProcessorOverview;
use crate::{
    config,
    pipeline::{Counts, Destination, DestinationCounts, PipelineError},
    sandbox::Usage,
};

/// What came of a pipeline, over all of its starts.
#[derive(Debug)]
pub struct Report {
    /// Its id.
    pub pipeline: Arc<str>,
    /// What became of its records: the sum over its starts, of which pending, unknown and paused are as the last left them.
    pub counts: Counts,
    /// How often it was started again after it had ended in an error.
    pub restarts: u64,
    /// How many records its starts but the last left pending, for each destination in the order of the counts. A later start read these
    /// again: read + carried = delivered + filtered + dead-lettered + pending + left.
    pub left: Vec<u64>,
    /// What each of its destinations used, in the order of the counts.
    pub used: Vec<Used>,
    /// Its processors, and behind them those of each destination, with what each used.
    pub processors: Vec<ProcessorOverview>,
    /// How many dead letters were removed for their age.
    pub purged: u64,
    /// Destinations that are switched off, and of which something was given up.
    pub switched_off: Vec<SwitchedOff>,
    /// How long it ran.
    pub took: Duration,
    /// Why it ended before its source did.
    pub error: Option<PipelineError>,
    /// Whether a later run reads again what this one left pending.
    pub rereads: bool,
}

/// A destination that is switched off, and what was given up of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchedOff {
    /// Its id.
    pub id: Arc<str>,
    /// How many records of its spool were given up.
    pub dead_lettered: u64,
    /// Why, as it stands in the dead letters.
    pub reason: &'static str,
}

/// What a destination used over all of its instances, and of how much.
#[derive(Clone, Debug)]
pub struct Used {
    /// What it used and tried.
    pub usage: Arc<Usage>,
    /// The most memory that an instance may hold.
    pub memory_limit: config::Size,
}

impl From<&Destination> for Used {
    fn from(destination: &Destination) -> Self {
        Self { usage: destination.opening.usage.clone(), memory_limit: destination.opening.limits.memory }
    }
}

/// What became of records over several starts of a pipeline.
#[derive(Clone, Debug, Default)]
pub(super) struct Total {
    /// The sum; `None` before the first has ended.
    pub counts: Option<Counts>,
    /// What all but the last left pending, for each destination.
    pub left: Vec<u64>,
}

impl Total {
    /// Adds a start that has ended.
    pub fn add(&mut self, start: Counts) {
        let Some(Counts { read, carried, stalled, destinations }) = &mut self.counts else {
            self.left = vec![0; start.destinations.len()];
            self.counts = Some(start);
            return;
        };
        *read += start.read;
        *carried += start.carried;
        *stalled = start.stalled;
        self.left.resize(destinations.len(), 0);
        for ((sum, later), left) in destinations.iter_mut().zip(start.destinations).zip(&mut self.left) {
            *left += sum.pending;
            *sum = DestinationCounts {
                delivered: sum.delivered + later.delivered,
                warned: sum.warned + later.warned,
                filtered: sum.filtered + later.filtered,
                dead_lettered: sum.dead_lettered + later.dead_lettered,
                elsewhere: sum.elsewhere + later.elsewhere,
                retries: sum.retries + later.retries,
                bytes: sum.bytes + later.bytes,
                ..later
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(read: u64, carried: u64, delivered: u64) -> Counts {
        let destination = DestinationCounts {
            id: "there".into(),
            delivered,
            warned: 0,
            filtered: 0,
            dead_lettered: 1,
            elsewhere: 0,
            pending: read + carried - delivered - 1,
            unknown: 0,
            retries: 2,
            bytes: 10,
            paused: None,
            waiting: None,
            oldest: None,
            spool: None,
        };
        Counts { read, carried, stalled: None, destinations: vec![destination] }
    }

    #[test]
    fn what_became_of_records_adds_up_over_several_starts() {
        let mut total = Total::default();
        for counts in [start(100, 5, 90), start(0, 14, 3), start(50, 10, 59)] {
            total.add(counts);
        }
        let Counts { read, carried, destinations, .. } = total.counts.unwrap();
        let DestinationCounts { delivered, dead_lettered, pending, retries, .. } = destinations[0];
        assert_eq!((read, carried, delivered, dead_lettered, pending, retries), (150, 29, 152, 3, 0, 6));
        assert_eq!(total.left, [14 + 10]);
        assert_eq!(read + carried, delivered + dead_lettered + pending + total.left[0]);
    }
}
