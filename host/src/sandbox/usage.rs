//! What a destination used and tried so far, over all of its instances: shown when a run ends, so that limits and grants can be set
//! from facts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Something that is counted and not only logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An HTTP request that was let through.
    HttpAllowed,
    /// An HTTP request that was refused.
    HttpRefused,
    /// A connection that was let through.
    ConnectAllowed,
    /// A connection that was refused.
    ConnectRefused,
    /// A look-up of a name that was let through.
    LookupAllowed,
    /// A look-up of a name that was refused.
    LookupRefused,
    /// Anything else that was tried without a grant.
    Refused,
    /// A line of the log, or of standard output or error, that was dropped.
    LineDropped,
    /// A figure of the connector's own that was dropped.
    MetricDropped,
}

impl Event {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::HttpAllowed,
        Self::HttpRefused,
        Self::ConnectAllowed,
        Self::ConnectRefused,
        Self::LookupAllowed,
        Self::LookupRefused,
        Self::Refused,
        Self::LineDropped,
        Self::MetricDropped,
    ];

    /// Its name in figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HttpAllowed => "http_allowed",
            Self::HttpRefused => "http_refused",
            Self::ConnectAllowed => "connects_allowed",
            Self::ConnectRefused => "connects_refused",
            Self::LookupAllowed => "lookups_allowed",
            Self::LookupRefused => "lookups_refused",
            Self::Refused => "refused",
            Self::LineDropped => "lines_dropped",
            Self::MetricDropped => "metrics_dropped",
        }
    }
}

/// Counted over all instances of a destination; whoever has a reference may read it while they run.
#[derive(Debug, Default)]
pub struct Usage {
    events: [AtomicU64; Event::ALL.len()],
    memory_peak: AtomicU64,
    fuel: AtomicU64,
    records: AtomicU64,
}

impl Usage {
    /// Notes that something happened.
    pub fn note(&self, event: Event) {
        self.events[event as usize].fetch_add(1, Relaxed);
    }

    /// How often something happened.
    pub fn count(&self, event: Event) -> u64 {
        self.events[event as usize].load(Relaxed)
    }

    /// Notes what one instance holds by way of memory, in bytes.
    pub fn memory(&self, bytes: u64) {
        self.memory_peak.fetch_max(bytes, Relaxed);
    }

    /// The most memory that one instance held, in bytes.
    pub fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Relaxed)
    }

    /// Notes what a call that took so many records computed, in units of fuel.
    pub fn computed(&self, fuel: u64, records: u32) {
        self.fuel.fetch_add(fuel, Relaxed);
        self.records.fetch_add(records.into(), Relaxed);
    }

    /// Units of fuel for each record handed over, on average; `None` before the first.
    pub fn fuel_per_record(&self) -> Option<u64> {
        self.fuel.load(Relaxed).checked_div(self.records.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_counter_and_a_name_of_its_own() {
        let usage = Usage::default();
        for (index, event) in Event::ALL.into_iter().enumerate() {
            assert_eq!(event as usize, index);
            usage.note(event);
            assert_eq!(usage.count(event), 1);
            assert!(Event::ALL.into_iter().filter(|other| other.name() == event.name()).count() == 1);
        }
    }
}
