//! Counters that a running pipeline turns and anybody may read.

use super::{SpoolCounts, Spooled};

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// How far a pipeline is. Counts are of records from the source, in this run.
#[derive(Debug)]
pub struct Progress {
    /// The pipeline's id.
    pub pipeline: Arc<str>,
    read: AtomicU64,
    carried: AtomicU64,
    /// Since when the portion is read that is on its way to all destinations.
    processing: Moment,
    /// Why nothing is acknowledged.
    stalled: Mutex<Option<Arc<str>>>,
    destinations: Vec<DestinationProgress>,
    /// What became of records that went into spools, for each destination that has one.
    spools: Vec<Option<Arc<Spooled>>>,
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
    elsewhere: AtomicU64,
    unknown: AtomicU64,
    retries: AtomicU64,
    bytes: AtomicU64,
    paused: Mutex<Option<Arc<str>>>,
    waiting: Mutex<Option<Arc<str>>>,
    /// Since when the portion is read that its own processors have in hand.
    processing: Moment,
    /// Since when the oldest portion is read that is not dealt with, for each lane.
    oldest: Box<[Moment]>,
}

/// A moment by the clock's elapsed time, or none.
#[derive(Debug)]
struct Moment(AtomicU64);

impl Default for Moment {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl Moment {
    fn set(&self, at: Option<Duration>) {
        self.0.store(at.map_or(u64::MAX, |at| at.as_millis() as u64), Relaxed);
    }

    fn get(&self) -> Option<Duration> {
        let millis = self.0.load(Relaxed);
        (millis != u64::MAX).then(|| Duration::from_millis(millis))
    }
}

/// The same at one moment. For each destination read + carried = delivered + filtered + dead-lettered + elsewhere + pending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Read for the first time, as far as the store knows.
    pub read: u64,
    /// Read again: an earlier run had read them and left them pending.
    pub carried: u64,
    /// Why nothing is acknowledged, or nothing goes on that has a spool: the disk does not take what has to be kept.
    pub stalled: Option<Arc<str>>,
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
    /// Dead letters that are sent again, and are other destinations' alone.
    pub elsewhere: u64,
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
    /// Why what it is to get waits, where its far side is down.
    pub waiting: Option<Arc<str>>,
    /// When the oldest record was read that it has not dealt with, by the clock's elapsed time, to the millisecond.
    pub oldest: Option<Duration>,
    /// What stands beside these where the destination has a spool.
    pub spool: Option<SpoolCounts>,
}

impl Progress {
    /// Nothing yet, for destinations of so many lanes each.
    pub fn new(pipeline: Arc<str>, destinations: impl IntoIterator<Item = (Arc<str>, u32)>) -> Self {
        let destinations = destinations.into_iter().map(|(id, lanes)| DestinationProgress {
            id,
            delivered: AtomicU64::new(0),
            filtered: AtomicU64::new(0),
            warned: AtomicU64::new(0),
            dead_lettered: AtomicU64::new(0),
            elsewhere: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            paused: Mutex::default(),
            waiting: Mutex::default(),
            processing: Moment::default(),
            oldest: (0..lanes).map(|_| Moment::default()).collect(),
        });
        let (read, carried, processing, stalled) = Default::default();
        Self { pipeline, read, carried, processing, stalled, destinations: destinations.collect(), spools: Vec::new() }
    }

    /// The same, where some destinations have a spool.
    #[must_use]
    pub fn over(self, spools: impl IntoIterator<Item = Option<Arc<Spooled>>>) -> Self {
        Self { spools: spools.into_iter().collect(), ..self }
    }

    pub(super) fn read(&self, new: u64, again: u64) {
        self.read.fetch_add(new, Relaxed);
        self.carried.fetch_add(again, Relaxed);
    }

    /// A portion that was read then is on its way to all destinations, or none is.
    pub(super) fn processes(&self, read_at: Option<Duration>) {
        self.processing.set(read_at);
    }

    /// Dropped on purpose on the way to all destinations.
    pub(super) fn filtered(&self, records: u64) {
        self.destinations.iter().for_each(|destination| destination.filtered(records));
    }

    /// Records are for one destination alone, by its id. Gives its place.
    pub(super) fn only(&self, destination: &str, records: u64) -> Option<usize> {
        let place = self.destinations.iter().position(|progress| *progress.id == *destination)?;
        let others = self.destinations.iter().enumerate().filter(|(at, _)| *at != place);
        others.for_each(|(_, other)| other.elsewhere(records));
        Some(place)
    }

    pub(super) fn destination(&self, index: usize) -> &DestinationProgress {
        &self.destinations[index]
    }

    /// The counts at this moment.
    pub fn counts(&self) -> Counts {
        self.settled(self.raw())
    }

    /// Counts with what became of records in spools, in place of that they went there.
    pub fn settled(&self, mut counts: Counts) -> Counts {
        for (destination, spool) in counts.destinations.iter_mut().zip(&self.spools) {
            if let Some(spool) = spool {
                spool.settle(destination);
                counts.stalled = counts.stalled.take().or_else(|| spool.stalled());
            }
        }
        counts
    }

    /// The counts at this moment, where a record that went into a spool is delivered: of several starts they can be added up.
    pub fn raw(&self) -> Counts {
        // What is settled is read first: it is never more than what was read by then.
        let destinations: Vec<_> = self.destinations.iter().map(DestinationProgress::counts).collect();
        let (read, carried) = (self.read.load(Relaxed), self.carried.load(Relaxed));
        let with_pending = |counts: DestinationCounts| {
            let settled = counts.delivered + counts.filtered + counts.dead_lettered + counts.elsewhere;
            let pending = (read + carried).saturating_sub(settled);
            DestinationCounts {
                pending,
                // Of several that a processor made of one, each may be unknown.
                unknown: counts.unknown.min(pending),
                oldest: earlier(self.processing.get(), counts.oldest),
                ..counts
            }
        };
        let stalled = self.stalled.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Counts { read, carried, stalled, destinations: destinations.into_iter().map(with_pending).collect() }
    }

    /// Nothing is acknowledged any more, or again.
    pub(super) fn stall(&self, why: Option<&str>) {
        *self.stalled.lock().unwrap_or_else(PoisonError::into_inner) = why.map(Arc::from);
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

    pub(super) fn elsewhere(&self, records: u64) {
        self.elsewhere.fetch_add(records, Relaxed);
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
        say(&self.paused, why);
    }

    /// Its far side is down, or there again.
    pub(super) fn waits(&self, why: Option<&str>) {
        say(&self.waiting, why);
    }

    /// A portion that was read then is with its own processors, or none is.
    pub(super) fn processes(&self, read_at: Option<Duration>) {
        self.processing.set(read_at);
    }

    /// When the oldest portion was read that a lane has not dealt with.
    pub(super) fn holds(&self, lane: u32, read_at: Option<Duration>) {
        if let Some(oldest) = self.oldest.get(lane as usize) {
            oldest.set(read_at);
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
            elsewhere: self.elsewhere.load(Relaxed),
            pending: 0,
            unknown: self.unknown.load(Relaxed),
            retries: self.retries.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            paused: said(&self.paused).clone(),
            waiting: said(&self.waiting).clone(),
            oldest: self.oldest.iter().chain([&self.processing]).filter_map(Moment::get).min(),
            spool: None,
        }
    }
}

fn earlier(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

fn said(what: &Mutex<Option<Arc<str>>>) -> MutexGuard<'_, Option<Arc<str>>> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

fn say(what: &Mutex<Option<Arc<str>>>, why: Option<&str>) {
    let mut said = said(what);
    if said.as_deref() != why {
        *said = why.map(Arc::from);
    }
}
