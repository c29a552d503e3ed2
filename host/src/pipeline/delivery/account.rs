//! What became of the records of one portion so far.

use std::sync::Arc;

use super::letter::Letter;
use crate::{
    record::{Batch, Span, SpanSet},
    source::Portion,
    store::DeadLetter,
};

/// What a worker reports of a portion.
#[derive(Debug)]
pub(in crate::pipeline) struct Dealt {
    /// The portion's number.
    pub portion: u64,
    /// The first sequence that is not settled for its destination; `None` where all are.
    pub until: Option<u64>,
    /// The records that were given up.
    pub dead_letters: Vec<DeadLetter>,
}

/// What became of the records of one portion so far.
pub(super) struct Account {
    number: u64,
    pub portion: Arc<Portion>,
    /// Counted within the cut.
    settled: SpanSet,
    dead_letters: Vec<DeadLetter>,
    /// Records that ended an instance by themselves, by their place in the cut, until it is known whether they are to blame.
    suspects: Vec<(u32, DeadLetter)>,
    /// How many remarks and reasons were logged.
    pub logged: usize,
}

impl Account {
    pub fn new(number: u64, portion: Arc<Portion>) -> Self {
        Self { number, portion, settled: SpanSet::default(), dead_letters: Vec::new(), suspects: Vec::new(), logged: 0 }
    }

    /// Records of a part are dealt with.
    pub fn settle(&mut self, part: &Batch, records: Span) {
        self.settled.insert(Span::new(part.start() + records.start, part.start() + records.end));
    }

    /// Records are given up, and dealt with.
    pub fn give_up(&mut self, part: &Batch, records: Span, letter: &Letter) {
        self.settle(part, records);
        self.dead_letters.extend((records.start..records.end).map(|record| letter.of(part, record)));
    }

    /// A record ended an instance by itself: it is given up if it is found guilty.
    pub fn suspect(&mut self, part: &Batch, record: u32, letter: DeadLetter) {
        self.suspects.push((part.start() + record, letter));
    }

    /// The suspects are guilty.
    pub fn convict(&mut self) {
        for (record, letter) in self.suspects.drain(..) {
            self.settled.insert(Span::new(record, record + 1));
            self.dead_letters.push(letter);
        }
    }

    /// The report. Those who are suspects still are pending.
    pub fn report(self) -> Dealt {
        let until = self.portion.batch.as_ref().and_then(|batch| {
            let open = self.settled.gaps(batch.count());
            open.first().map(|gap| batch.sequences()[gap.start as usize])
        });
        Dealt { portion: self.number, until, dead_letters: self.dead_letters }
    }
}
