//! Records that one processor is still to be given, and what came of those that it was.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use crate::{
    record::{Batch, Span},
    store::{DeadLetter, Reason},
};

/// A portion on its way through a chain.
pub(super) struct Portion {
    /// Its number in the ledger.
    pub number: u64,
    /// What people call the place that it is from.
    pub label: Arc<str>,
    /// When it came, by the clock's elapsed time.
    pub since: Duration,
    /// What was given up of it.
    pub letters: Vec<DeadLetter>,
}

/// What one processor has of a portion.
pub(super) struct Task<'a> {
    pub portion: &'a mut Portion,
    /// Still to be given to it, in order.
    pub left: VecDeque<Work>,
    /// What went through, in order.
    pub done: Vec<Batch>,
    /// Records that ended an instance by themselves, until it is known whether they are to blame. Nothing went through behind them.
    pub suspects: Vec<(Work, Arc<Reason>)>,
}

/// Records that one processor is still to be given.
#[derive(Clone)]
pub(super) struct Work {
    pub batch: Batch,
    /// How often they were handed over.
    pub sent: u32,
    /// How often that counted as an attempt of the first of them.
    pub attempts: u32,
    /// Whether the first of them failed for now while others went through.
    pub singled: bool,
    /// How often the answer broke the contract.
    pub silent: u32,
    /// How many instances they ended since they were last answered for.
    pub ends: u32,
}

impl Work {
    /// A whole batch, not handed over so far.
    pub fn whole(batch: Batch) -> Self {
        Self { batch, sent: 0, attempts: 0, singled: false, silent: 0, ends: 0 }
    }

    /// Some of its records, with its history.
    pub fn slice(&self, records: Span) -> Self {
        Self { batch: self.batch.slice(records.start..records.end), ..*self }
    }

    /// Its halves, cut where a sequence begins; `None` where it is of one sequence.
    pub fn halves(&self) -> Option<[Self; 2]> {
        let count = self.batch.count();
        let middle = match self.batch.sequence_start(count / 2) {
            0 => self.head(),
            middle => middle,
        };
        (0 < middle && middle < count)
            .then(|| [Span::new(0, middle), Span::new(middle, count)].map(|records| self.slice(records)))
    }

    /// Where the records of the first sequence end.
    pub fn head(&self) -> u32 {
        let sequences = self.batch.sequences();
        let Some(first) = sequences.first() else { return 0 };
        sequences.partition_point(|sequence| sequence <= first) as u32
    }
}

impl Task<'_> {
    /// Puts back what is to be handed over next, in order.
    pub fn put_back(&mut self, work: impl IntoIterator<Item = Work, IntoIter: DoubleEndedIterator>) {
        work.into_iter().rev().for_each(|work| self.left.push_front(work));
    }
}
