//! Counters that a running pipeline turns and anybody may read.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// How far a pipeline is. Counts are of records from the source, in this run.
#[derive(Debug)]
pub struct Progress {
    /// The pipeline's id.
    pub pipeline: Arc<str>,
    read: AtomicU64,
    carried: AtomicU64,
    destinations: Vec<DestinationProgress>,
}

/// How far one destination is.
#[derive(Debug)]
pub struct DestinationProgress {
    /// The destination's id.
    pub id: Arc<str>,
    delivered: AtomicU64,
    filtered: AtomicU64,
    warned: AtomicU64,
    dead_lettered: AtomicU64,
    unknown: AtomicU64,
    retries: AtomicU64,
    bytes: AtomicU64,
    paused: Mutex<Option<Arc<str>>>,
}

/// The same at one moment. For each destination read + carried = delivered + filtered + dead-lettered + pending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Read for the first time, as far as the store knows.
    pub read: u64,
    /// Read again: an earlier run had read them and left them pending.
    pub carried: u64,
    /// What became of them, for each destination.
    pub destinations: Vec<DestinationCounts>,
}

/// What became of records at one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationCounts {
    /// The destination's id.
    pub id: Arc<str>,
    /// Delivered, with or without a remark.
    pub delivered: u64,
    /// Of the delivered, those with a remark.
    pub warned: u64,
    /// Dropped on purpose.
    pub filtered: u64,
    /// Given up.
    pub dead_lettered: u64,
    /// Not settled.
    pub pending: u64,
    /// Of the pending, those that the connector did not answer for.
    pub unknown: u64,
    /// Parts that were sent again.
    pub retries: u64,
    /// Bytes of what was delivered.
    pub bytes: u64,
    /// Why it takes no records, where it is paused.
    pub paused: Option<Arc<str>>,
}

impl Progress {
    /// Nothing yet.
    pub fn new(pipeline: Arc<str>, destinations: impl IntoIterator<Item = Arc<str>>) -> Self {
        let destinations = destinations.into_iter().map(|id| DestinationProgress {
            id,
            delivered: AtomicU64::new(0),
            filtered: AtomicU64::new(0),
            warned: AtomicU64::new(0),
            dead_lettered: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            paused: Mutex::default(),
        });
        Self { pipeline, read: AtomicU64::new(0), carried: AtomicU64::new(0), destinations: destinations.collect() }
    }

    pub(super) fn read(&self, new: u64, again: u64) {
        self.read.fetch_add(new, Relaxed);
        self.carried.fetch_add(again, Relaxed);
    }

    /// Dropped on purpose on the way to all destinations.
    pub(super) fn filtered(&self, records: u64) {
        self.destinations.iter().for_each(|destination| destination.filtered(records));
    }

    pub(super) fn destination(&self, index: usize) -> &DestinationProgress {
        &self.destinations[index]
    }

    /// The counts at this moment.
    pub fn counts(&self) -> Counts {
        // What is settled is read first: it is never more than what was read by then.
        let destinations: Vec<_> = self.destinations.iter().map(DestinationProgress::counts).collect();
        let (read, carried) = (self.read.load(Relaxed), self.carried.load(Relaxed));
        let with_pending = |counts: DestinationCounts| DestinationCounts {
            pending: (read + carried).saturating_sub(counts.delivered + counts.filtered + counts.dead_lettered),
            ..counts
        };
        Counts { read, carried, destinations: destinations.into_iter().map(with_pending).collect() }
    }
}

impl DestinationProgress {
    pub(super) fn delivered(&self, records: u64, bytes: u64) {
        self.delivered.fetch_add(records, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn filtered(&self, records: u64) {
        self.filtered.fetch_add(records, Relaxed);
    }

    pub(super) fn warned(&self, records: u64) {
        self.warned.fetch_add(records, Relaxed);
    }

    pub(super) fn dead_lettered(&self, records: u64) {
        self.dead_lettered.fetch_add(records, Relaxed);
    }

    pub(super) fn unknown(&self, records: u64) {
        self.unknown.fetch_add(records, Relaxed);
    }

    /// What was unknown before is answered for, or asked again.
    pub(super) fn known(&self, records: u64) {
        self.unknown.fetch_sub(records, Relaxed);
    }

    /// It pauses, or goes on.
    pub(super) fn pause(&self, why: Option<&str>) {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        if paused.as_deref() != why {
            *paused = why.map(Arc::from);
        }
    }

    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    fn counts(&self) -> DestinationCounts {
        DestinationCounts {
            id: self.id.clone(),
            delivered: self.delivered.load(Relaxed),
            warned: self.warned.load(Relaxed),
            filtered: self.filtered.load(Relaxed),
            dead_lettered: self.dead_lettered.load(Relaxed),
            pending: 0,
            unknown: self.unknown.load(Relaxed),
            retries: self.retries.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            paused: self.paused.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
