//! What became of the records of one portion so far.

use std::{sync::Arc, time::Duration};

use super::{
    following::{Following, Follows},
    letter::Letter,
};
use crate::{
    pipeline::tolerance::Tolerance,
    record::{Batch, On, Promised, Span, SpanSet},
    source::Portion,
    store::DeadLetter,
};

/// What a lane reports of a portion.
#[derive(Debug)]
pub(in crate::pipeline) struct Dealt {
    /// The portion's number.
    pub portion: u64,
    /// The first sequence that is not settled for its lane; `None` where all are.
    pub until: Option<u64>,
    /// The records that were given up.
    pub dead_letters: Vec<DeadLetter>,
    /// What of promises follows from what became of the records.
    pub follows: Vec<Follows>,
    /// The records of which a processor made several, for all lanes of the destination together: whether one that was read is delivered is
    /// known once all of these are dealt with.
    pub derived: Option<Batch>,
}

/// When a portion came, by the clock's elapsed time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// From the source.
    pub read: Duration,
    /// To the lane.
    pub taken: Duration,
}

/// What became of the records of one portion so far.
#[derive(Debug)]
pub(super) struct Account {
    pub number: u64,
    pub portion: Arc<Portion>,
    /// What of it is the lane's own.
    pub batch: Option<Arc<Batch>>,
    /// Whether a processor made several records of some: what was read is settled once all of these are.
    derived: bool,
    pub times: Times,
    /// Counted within the cut.
    settled: SpanSet,
    dead_letters: Vec<DeadLetter>,
    following: Following,
    /// Records that ended an instance by themselves, by their place in the cut, until it is known whether they are to blame.
    suspects: Vec<(u32, DeadLetter)>,
    /// How many remarks and reasons were logged.
    pub logged: usize,
}

impl Account {
    pub fn new(
        (number, portion): (u64, Arc<Portion>),
        batch: Option<Arc<Batch>>,
        dead_letters: Vec<DeadLetter>,
        derived: bool,
        times: Times,
    ) -> Self {
        let (settled, suspects, following) = Default::default();
        Self { number, portion, batch, derived, times, settled, dead_letters, following, suspects, logged: 0 }
    }

    /// Records of a part are dealt with.
    pub fn settle(&mut self, part: &Batch, records: Span) {
        self.settled.insert(within(part, records));
    }

    /// Records of a part are delivered.
    pub fn delivered(&mut self, part: &Batch, records: Span) {
        self.settle(part, records);
        self.following.note(On::Succeeded, within(part, records));
    }

    /// Records of a part failed for now.
    pub fn failed(&mut self, part: &Batch, records: Span) {
        self.following.note(On::Failed, within(part, records));
    }

    /// Keeps in mind what was promised for records of a part. Gives the promises that these take the place of.
    pub fn promise(&mut self, part: &Batch, promised: Vec<Promised>) -> Vec<i64> {
        let mut replaced = Vec::new();
        for mut promised in promised {
            promised.causes.iter_mut().for_each(|causes| *causes = within(part, *causes));
            replaced.extend(self.following.promise(promised));
        }
        replaced
    }

    /// Records are given up, and dealt with: as they came, in whatever shape they were handed over. They are of the lane's own batch.
    pub fn give_up(&mut self, part: &Batch, records: Span, letter: &Letter) {
        self.settle(part, records);
        self.following.note(On::Discarded, within(part, records));
        let Some(cut) = &self.batch else { return };
        self.dead_letters.extend((records.start..records.end).map(|record| letter.of(cut, part.start() + record)));
    }

    /// A record ended an instance by itself: it is given up if it is found guilty.
    pub fn suspect(&mut self, part: &Batch, record: u32, letter: &Letter) {
        let Some(cut) = &self.batch else { return };
        let record = part.start() + record;
        self.suspects.push((record, letter.of(cut, record)));
    }

    /// Whether there are records of which it is not known yet whether they are to blame.
    pub fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// The suspects are guilty. Gives why the first is that is one too many; those from it on are suspects still.
    pub fn convict(&mut self, tolerance: &mut Tolerance) -> Option<Arc<str>> {
        let accepted = tolerance.failed(self.suspects.len() as u64) as usize;
        for (record, letter) in self.suspects.drain(..accepted) {
            self.settled.insert(Span::new(record, record + 1));
            self.following.note(On::Discarded, Span::new(record, record + 1));
            self.dead_letters.push(letter);
        }
        self.suspects.first().map(|(_, letter)| letter.reason.message.clone())
    }

    /// Whether a processor made several records of some.
    pub fn is_derived(&self) -> bool {
        self.derived
    }

    /// The report to go to the others of a destination's pipeline. Those who are suspects still are pending.
    pub fn report(self, destination: &Arc<str>) -> Dealt {
        let derived = if self.is_derived() { self.portion.batch.clone() } else { None };
        let until = self.batch.as_ref().and_then(|batch| {
            let open = self.settled.gaps(batch.count());
            // All records of a sequence are settled together: several may have been made of one.
            open.first().map(|gap| batch.sequences()[gap.start as usize])
        });
        let follows = self.batch.map(|cut| self.following.report(destination, &cut)).unwrap_or_default();
        Dealt { portion: self.number, until, dead_letters: self.dead_letters, follows, derived }
    }
}

/// Records of a part, counted within its cut.
fn within(part: &Batch, records: Span) -> Span {
    Span::new(part.start() + records.start, part.start() + records.end)
}
