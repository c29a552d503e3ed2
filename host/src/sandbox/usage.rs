//! What a destination used and tried so far, over all of its instances: shown when a run ends, so that limits and grants can be set
//! from facts.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    bucket::Bucket,
    figures::Figures,
    histogram::{FUEL, Histogram, SECONDS, Seen},
    instance::Call,
    log::Flow,
};

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

/// What calls of one name took.
#[derive(Debug, Default)]
struct Calls {
    /// In microseconds.
    time: Histogram<{ SECONDS.len() }>,
    /// In units.
    fuel: Histogram<{ FUEL.len() }>,
}

/// Counted over all instances of a destination; whoever has a reference may read it while they run.
#[derive(Debug, Default)]
pub struct Usage {
    events: [AtomicU64; Event::ALL.len()],
    memory_peak: AtomicU64,
    memory_held: AtomicU64,
    instances: AtomicU64,
    started: AtomicU64,
    ended: AtomicU64,
    calls: [Calls; Call::ALL.len()],
    fuel: AtomicU64,
    records: AtomicU64,
    figures: Figures,
    lines: Mutex<Flow>,
    /// Digests of what was let through before.
    places: Mutex<HashSet<u64>>,
    lookups: Mutex<Bucket>,
    looking_up: AtomicU32,
}

/// What was let through and is remembered. A component that goes to more places than these fills no more memory.
const PLACES: usize = 256;

impl Usage {
    /// Whether something of a capability is let through for the first time, as far as that is remembered.
    pub(super) fn is_new(&self, capability: &str, what: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        (capability, what).hash(&mut hasher);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.len() < PLACES && places.insert(hasher.finish())
    }

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

    /// An instance was started.
    pub(super) fn began(&self) {
        self.started.fetch_add(1, Relaxed);
        self.instances.fetch_add(1, Relaxed);
    }

    /// An instance holds so many bytes of memory now, and so many before.
    pub(super) fn holds(&self, now: u64, before: u64) {
        match now.checked_sub(before) {
            Some(more) => self.memory_held.fetch_add(more, Relaxed),
            None => self.memory_held.fetch_sub(before - now, Relaxed),
        };
    }

    /// An instance that held so many bytes of memory is gone.
    pub(super) fn let_go(&self, held: u64) {
        self.memory_held.fetch_sub(held, Relaxed);
        self.instances.fetch_sub(1, Relaxed);
    }

    /// A call ended its instance.
    pub(super) fn ended(&self) {
        self.ended.fetch_add(1, Relaxed);
    }

    /// The memory that all instances hold together, in bytes, as of the last call of each.
    pub fn memory_held(&self) -> u64 {
        self.memory_held.load(Relaxed)
    }

    /// How many instances there are.
    pub fn instances(&self) -> u64 {
        self.instances.load(Relaxed)
    }

    /// How many instances were started so far.
    pub fn instances_started(&self) -> u64 {
        self.started.load(Relaxed)
    }

    /// How many instances were ended by a call so far: by a trap or at a limit.
    pub fn instances_ended(&self) -> u64 {
        self.ended.load(Relaxed)
    }

    /// Notes what a call took.
    pub fn called(&self, call: Call, time: Duration, fuel: u64) {
        let calls = &self.calls[call as usize];
        calls.time.observe(&SECONDS, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        calls.fuel.observe(&FUEL, fuel);
    }

    /// What calls of that name took so far: microseconds, and units of fuel. `None` where there was none.
    pub fn calls(&self, call: Call) -> Option<(Seen, Seen)> {
        let calls = &self.calls[call as usize];
        let time = calls.time.seen(&SECONDS);
        (time.count > 0).then(|| (time, calls.fuel.seen(&FUEL)))
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

    /// The connector's own figures.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Its lines of the log.
    pub(super) fn lines(&self) -> MutexGuard<'_, Flow> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a look-up where no more than `most` were begun within a second and no more are under way; `now` is a clock's elapsed time.
    pub(super) fn look_up(self: &Arc<Self>, now: Duration, most: u32) -> Option<LookingUp> {
        // Taken back where it was one too many.
        let looking_up = LookingUp(self.clone());
        let others = self.looking_up.fetch_add(1, Relaxed);
        let mut lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        (others < most && lookups.take(now, most)).then_some(looking_up)
    }
}

/// A look-up that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct LookingUp(Arc<Usage>);

impl Drop for LookingUp {
    fn drop(&mut self) {
        self.0.looking_up.fetch_sub(1, Relaxed);
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

    #[test]
    fn every_call_has_figures_of_its_own() {
        let usage = Usage::default();
        for (index, call) in Call::ALL.into_iter().enumerate() {
            assert_eq!(call as usize, index);
            assert!(usage.calls(call).is_none());
            usage.called(call, Duration::from_millis(2), 5_000_000);
            let (time, fuel) = usage.calls(call).unwrap();
            assert_eq!((time.count, time.sum, fuel.count, fuel.sum), (1, 2000, 1, 5_000_000));
        }
    }

    #[test]
    fn what_instances_hold_is_given_back() {
        let usage = Usage::default();
        (0..2).for_each(|_| usage.began());
        usage.holds(100, 0);
        usage.holds(50, 0);
        usage.holds(70, 100);
        assert_eq!((usage.memory_held(), usage.instances()), (120, 2));
        usage.let_go(70);
        assert_eq!((usage.memory_held(), usage.instances(), usage.instances_started()), (50, 1, 2));
    }

    #[test]
    fn look_ups_are_bounded_by_the_second_and_by_what_is_under_way() {
        let (usage, second) = (Arc::new(Usage::default()), Duration::from_secs(1));
        let under_way: Vec<_> = (0..5).map_while(|_| usage.look_up(second, 3)).collect();
        assert_eq!(under_way.len(), 3);
        assert!(usage.look_up(second * 9, 3).is_none(), "three are under way");
        drop(under_way);
        assert!(usage.look_up(second * 9, 3).is_some());
        assert!(usage.look_up(second * 9, 3).is_some());
        assert!(usage.look_up(second * 9, 3).is_some());
        assert!(usage.look_up(second * 9, 3).is_none(), "three were begun in this second");
        assert_eq!(usage.looking_up.load(Relaxed), 0);
    }
}
