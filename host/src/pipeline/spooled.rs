//! What became of records that are taken into a spool and reach their end from there, in this life of a pipeline.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::DestinationCounts;

/// Counters of one spool; whoever changes the spool turns them.
#[derive(Debug, Default)]
pub struct Spooled {
    /// In it when it was opened.
    pub before: AtomicU64,
    /// Taken.
    pub taken: AtomicU64,
    /// Born of what became of others.
    pub follow_ups: AtomicU64,
    /// Follow-ups that did not come to be, since their causes lie as deep as may be.
    pub cut: AtomicU64,
    /// Known from an earlier run, and not taken a second time.
    pub known: AtomicU64,
    /// Delivered out of it.
    pub succeeded: AtomicU64,
    /// Delivered beside it, at once.
    pub direct: AtomicU64,
    /// Of the delivered, those with a remark.
    pub warned: AtomicU64,
    /// Given up.
    pub discarded: AtomicU64,
    /// Those that the connector did not answer for.
    pub unknown: AtomicU64,
    /// Parts that failed for now.
    pub retries: AtomicU64,
    /// When what waits goes out next, in milliseconds since 1970, by action; one for which nothing waits is not there.
    next: Mutex<BTreeMap<u32, u64>>,
    /// Why who works on it stands still, by who that is: the disk does not take what has to be kept.
    stalls: Mutex<BTreeMap<Worker, Arc<str>>>,
    /// How many had something to keep beside it so far.
    keepers: AtomicU64,
}

/// Who works on a spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worker {
    /// What sends what waits for an action, by its index.
    Engine(u32),
    /// What puts into it what is owed to it.
    Payer,
    /// A session that keeps in it what is to follow what it wrote, by a number of its own.
    Keeper(u64),
}

/// What tells that somebody stands still; from where it is dropped on, nobody does.
#[derive(Debug)]
pub struct Stall {
    of: Arc<Spooled>,
    who: Worker,
}

impl Stall {
    /// It stands still, and why.
    pub fn say(&self, why: &impl ToString) {
        self.of.stalls().insert(self.who, why.to_string().into());
    }

    /// It goes on.
    pub fn over(&self) {
        self.of.stalls().remove(&self.who);
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.over();
    }
}

/// What stands beside the counts of a destination that has a spool: read + carried + before + follow-ups = delivered + filtered + dead-lettered + elsewhere +
/// known + pending. Where processors make several of one record, what was made is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolCounts {
    /// Records that were in the spool when it was opened.
    pub before: u64,
    /// Records that had been taken before, by a run that ended before it could acknowledge them.
    pub known: u64,
    /// Records that were born of what became of others.
    pub follow_ups: u64,
    /// Follow-ups that did not come to be, since their causes lie as deep as may be.
    pub cut: u64,
    /// Records that are in it now.
    pub open: u64,
    /// When the first of what waits goes out, in milliseconds since 1970; `None` where nothing waits for a moment.
    pub next: Option<u64>,
}

impl Spooled {
    /// Records that have reached no end.
    pub fn open(&self) -> u64 {
        let ended = self.succeeded.load(Relaxed) + self.discarded.load(Relaxed);
        let came = [&self.before, &self.taken, &self.follow_ups].map(|counter| counter.load(Relaxed));
        came.into_iter().sum::<u64>().saturating_sub(ended)
    }

    /// What waits for an action goes out at this moment, in milliseconds since 1970; or nothing waits for it.
    pub fn goes_out(&self, action: u32, at: Option<u64>) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        match at {
            Some(at) => next.insert(action, at),
            None => next.remove(&action),
        };
    }

    /// When what waits goes out next, in milliseconds since 1970, by action.
    pub fn next(&self) -> BTreeMap<u32, u64> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stalls(&self) -> MutexGuard<'_, BTreeMap<Worker, Arc<str>>> {
        self.stalls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For what sends what waits for an action, by its index.
    pub fn engine(self: &Arc<Self>, action: u32) -> Stall {
        Stall { of: self.clone(), who: Worker::Engine(action) }
    }

    /// For what puts into it what is owed to it.
    pub fn payer(self: &Arc<Self>) -> Stall {
        Stall { of: self.clone(), who: Worker::Payer }
    }

    /// For a session that keeps in it what is to follow what it wrote.
    pub fn keeper(self: &Arc<Self>) -> Stall {
        Stall { of: self.clone(), who: Worker::Keeper(self.keepers.fetch_add(1, Relaxed)) }
    }

    /// What sends what waits goes on: of this action, or of all.
    pub fn goes_on(&self, action: Option<u32>) {
        let over = |who: &Worker| matches!(who, Worker::Engine(one) if action.is_none_or(|action| action == *one));
        self.stalls().retain(|who, _| !over(who));
    }

    /// Why somebody stands still who works on it.
    pub fn stalled(&self) -> Option<Arc<str>> {
        self.stalls().values().next().cloned()
    }

    /// What a destination comes to, of which so far it was counted what went into the spool.
    pub(super) fn settle(&self, counts: &mut DestinationCounts) {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        let open = self.open();
        counts.pending += open;
        counts.delivered = of(&self.succeeded) + of(&self.direct);
        counts.warned = of(&self.warned);
        counts.dead_lettered += of(&self.discarded);
        counts.unknown += of(&self.unknown);
        counts.retries += of(&self.retries);
        counts.spool = Some(SpoolCounts {
            before: of(&self.before),
            known: of(&self.known),
            follow_ups: of(&self.follow_ups),
            cut: of(&self.cut),
            open,
            next: self.next().into_values().min(),
        });
    }
}
