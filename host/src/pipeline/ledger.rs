//! Which portions are settled: a portion counts once every destination has dealt with it and all before it count.
//!
//! Upholds the second promise: a checkpoint moves past a record only when that record is delivered or on disk as a dead letter.
//!
//! A destination that is quarantined deals with nothing more. From there on no portion is settled as a whole; those that all others dealt
//! with are let go, so that the others can go on within the window and nothing is kept of what they went past.

use std::{collections::VecDeque, sync::Arc};

use super::delivery::Dealt;
use crate::{
    source::Portion,
    store::{DeadLetter, Settled},
};

/// The portions that are read and not settled, in the order in which they were read.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Which destinations are quarantined.
    quarantined: Vec<bool>,
    /// Whether a later run can read again what this one does not settle.
    rereads: bool,
    /// Whether a portion is settled as a whole or not at all, since it has to be made again as it was.
    whole: bool,
    /// The number of the next portion.
    next: u64,
    open: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    portion: Arc<Portion>,
    /// For each destination, the first sequence that it has not dealt with; `None` where it has not begun.
    dealt: Vec<Option<u64>>,
    dead_letters: Vec<DeadLetter>,
    /// Whether all but those in quarantine have dealt with it.
    let_go: bool,
}

/// What a report brought about.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What is settled by it, in order, each with its portion's number.
    pub settled: Vec<(u64, Settled)>,
    /// What is to be written of portions that are let go, though they are not settled.
    pub given_up: Vec<DeadLetter>,
    /// How many portions more may be read.
    pub permits: usize,
}

impl Ledger {
    pub fn new(destinations: usize, rereads: bool, whole: bool) -> Self {
        Self { quarantined: vec![false; destinations], rereads, whole, next: 0, open: VecDeque::new() }
    }

    /// Whether a later run can read again what this one does not settle.
    pub fn rereads(&self) -> bool {
        self.rereads
    }

    /// Enters a portion that was read, together with what the source itself gave up of it. Gives its number.
    pub fn enter(&mut self, portion: Arc<Portion>, dead_letters: Vec<DeadLetter>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.open.push_back(Entry { number, portion, dealt: vec![None; self.quarantined.len()], dead_letters, let_go: false });
        number
    }

    /// Notes how far a destination has dealt with a portion.
    pub fn dealt(&mut self, destination: usize, dealt: Dealt) -> Outcome {
        if let Ok(at) = self.open.binary_search_by_key(&dealt.portion, |entry| entry.number) {
            let entry = &mut self.open[at];
            entry.dealt[destination] = Some(dealt.until.unwrap_or(entry.portion.next));
            // The rule, and there may be many.
            match entry.dead_letters.is_empty() {
                true => entry.dead_letters = dealt.dead_letters,
                false => entry.dead_letters.extend(dealt.dead_letters),
            }
        }
        self.outcome()
    }

    /// Notes that a destination deals with nothing more. The others need not wait for it.
    pub fn quarantine(&mut self, destination: usize) -> Outcome {
        self.quarantined[destination] = true;
        self.outcome()
    }

    /// What was given up of a portion so far, where all of these columns have dealt with all of it.
    pub fn all_but(&self, portion: u64, others: &[usize]) -> Option<&[DeadLetter]> {
        let at = self.open.binary_search_by_key(&portion, |entry| entry.number).ok()?;
        let entry = &self.open[at];
        let next = Some(entry.portion.next);
        others.iter().all(|other| entry.dealt[*other] == next).then_some(&entry.dead_letters)
    }

    /// How many portions are open.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// The number behind the oldest portion, where only columns of these keep it open.
    pub fn held_up_to(&self, only: &[bool]) -> Option<u64> {
        let oldest = self.open.front()?;
        self.is_held_by(oldest, only).then_some(oldest.number + 1)
    }

    /// Whether all portions are kept open by columns of these alone.
    pub fn waits_for(&self, only: &[bool]) -> bool {
        self.open.iter().all(|entry| self.is_held_by(entry, only))
    }

    fn is_held_by(&self, entry: &Entry, only: &[bool]) -> bool {
        let others = entry.dealt.iter().zip(only).zip(&self.quarantined);
        let mut others = others.filter(|((_, only), quarantined)| !**only && !**quarantined);
        others.all(|((dealt, _), _)| *dealt == Some(entry.portion.next))
    }

    /// Whether there is a destination that is not in quarantine.
    pub fn goes_on(&self) -> bool {
        self.quarantined.contains(&false)
    }

    fn outcome(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        while let Some(entry) = self.open.pop_front_if(|entry| entry.settled_to() == Some(entry.portion.next)) {
            outcome.permits += usize::from(!entry.let_go);
            let Entry { number, portion, dead_letters, .. } = entry;
            let checkpoint = Some((portion.partition.to_string(), portion.label.to_string(), portion.next));
            outcome.settled.push((number, Settled::new(checkpoint, dead_letters)));
        }
        if !self.quarantined.contains(&true) || !self.goes_on() {
            return outcome;
        }
        for entry in &mut self.open {
            let mut others = entry.dealt.iter().zip(&self.quarantined).filter(|(_, quarantined)| !**quarantined);
            if !entry.let_go && others.all(|(dealt, _)| *dealt == Some(entry.portion.next)) {
                entry.let_go = true;
                outcome.permits += 1;
            }
        }
        // The first is where the checkpoint will stand. Of what lies behind it nothing is known to the next run.
        let first = self.open.front().map(|entry| entry.number);
        let rereads = self.rereads;
        self.open.retain_mut(|entry| {
            let kept = !entry.let_go || Some(entry.number) == first;
            if !kept && !rereads {
                outcome.given_up.append(&mut entry.dead_letters);
            }
            kept
        });
        outcome
    }

    /// What is known at the end of portions that are not settled as a whole: the first may be up to some record.
    ///
    /// What was given up beyond that is read again by the next run, where the source can be, and may fare otherwise then: it is
    /// pending, and no dead letter as well. So is all of a portion that is settled as a whole. Where the source cannot be read again, all that was given up is kept.
    pub fn rest(self) -> Option<Settled> {
        let rereads = self.rereads;
        let first = self.open.front();
        let to = first.filter(|_| !self.whole).and_then(Entry::settled_to);
        let checkpoint =
            first.zip(to).map(|(entry, to)| (entry.portion.partition.to_string(), entry.portion.label.to_string(), to));
        let kept = self.open.into_iter().enumerate().flat_map(|(index, entry)| {
            let settled = move |letter: &DeadLetter| !rereads || (index == 0 && to.is_some_and(|to| letter.sequence < to));
            entry.dead_letters.into_iter().filter(settled)
        });
        let dead_letters: Vec<_> = kept.collect();
        (checkpoint.is_some() || !dead_letters.is_empty()).then(|| Settled::new(checkpoint, dead_letters))
    }
}

impl Entry {
    /// The first sequence that some destination has not dealt with; `None` where one has not begun.
    fn settled_to(&self) -> Option<u64> {
        self.dealt.iter().copied().min().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{record::Entity, store::Reason};

    fn portion(next: u64) -> Arc<Portion> {
        Arc::new(Portion { partition: "p".into(), label: "l".into(), batch: None, unreadable: Vec::new(), next })
    }

    fn all(portion: u64) -> Dealt {
        Dealt { portion, until: None, dead_letters: Vec::new(), derived: None }
    }

    fn up_to(portion: u64, until: u64) -> Dealt {
        Dealt { portion, until: Some(until), dead_letters: Vec::new(), derived: None }
    }

    #[test]
    fn a_portion_is_settled_once_all_destinations_dealt_with_it_and_with_all_before_it() {
        let mut ledger = Ledger::new(2, true, false);
        let numbers: Vec<u64> = [10, 20, 30].into_iter().map(|next| ledger.enter(portion(next), Vec::new())).collect();
        let mut settled = |destination, number| -> Vec<u64> {
            let outcome = ledger.dealt(destination, all(number));
            assert_eq!(outcome.permits, outcome.settled.len());
            outcome.settled.iter().map(|(_, settled)| settled.checkpoint.as_ref().unwrap().2).collect()
        };
        assert!(settled(0, numbers[1]).is_empty());
        assert!(settled(1, numbers[1]).is_empty());
        assert!(settled(0, numbers[0]).is_empty());
        assert_eq!(settled(1, numbers[0]), [10, 20]);
        assert!(settled(1, numbers[2]).is_empty());
        assert_eq!(settled(0, numbers[2]), [30]);
    }

    #[test]
    fn a_portion_that_is_left_in_the_middle_is_settled_up_to_the_first_record_that_is_open() {
        let mut ledger = Ledger::new(2, true, false);
        let number = ledger.enter(portion(10), Vec::new());
        assert!(ledger.dealt(0, up_to(number, 4)).settled.is_empty());
        assert!(ledger.dealt(1, all(number)).settled.is_empty());
        assert_eq!(ledger.rest().unwrap().checkpoint, Some(("p".into(), "l".into(), 4)));

        let mut ledger = Ledger::new(2, true, false);
        let number = ledger.enter(portion(10), Vec::new());
        ledger.dealt(0, up_to(number, 4));
        assert!(ledger.rest().is_none(), "the other has not begun");
    }

    #[test]
    fn the_others_go_on_past_one_in_quarantine_and_nothing_is_kept_of_what_they_went_past() {
        let mut ledger = Ledger::new(2, true, false);
        let numbers: Vec<u64> = [10, 20, 30].into_iter().map(|next| ledger.enter(portion(next), Vec::new())).collect();
        assert_eq!(ledger.dealt(0, all(numbers[0])).permits, 0);
        assert_eq!(ledger.dealt(0, up_to(numbers[1], 14)).permits, 0);
        assert_eq!(ledger.dealt(1, all(numbers[2])).permits, 0);
        assert_eq!(ledger.quarantine(0).permits, 1, "the other had dealt with one of them");
        // The first is dealt with by both.
        let outcome = ledger.dealt(1, all(numbers[0]));
        assert_eq!((outcome.permits, outcome.settled[0].1.checkpoint.as_ref().unwrap().2), (1, 10));
        assert_eq!(ledger.dealt(1, all(numbers[1])).permits, 1);
        for next in 4..1000 {
            let number = ledger.enter(portion(10 * next), Vec::new());
            let outcome = ledger.dealt(1, all(number));
            assert_eq!((outcome.permits, outcome.settled.len()), (1, 0));
            assert!(ledger.open.len() <= 2);
        }
        assert!(ledger.goes_on() && ledger.quarantine(1).permits == 0 && !ledger.goes_on());
        assert_eq!(ledger.rest().unwrap().checkpoint, Some(("p".into(), "l".into(), 14)));
    }

    #[test]
    fn what_the_others_gave_up_is_written_at_once_only_where_nobody_reads_it_again() {
        let letter = DeadLetter {
            destination: Some("other".into()),
            processor: None,
            partition: "p".into(),
            label: "l".into(),
            sequence: 15,
            ordinal: 0,
            record: Entity::default().into(),
            whole: true,
            reason: Arc::new(Reason { kind: "rejected".into(), code: None, message: "no".into(), connector: None }),
            attempts: 1,
            at: "".into(),
        };
        for (rereads, written) in [(true, 0), (false, 1)] {
            let mut ledger = Ledger::new(2, rereads, false);
            let numbers: Vec<u64> = [10, 20].into_iter().map(|next| ledger.enter(portion(next), Vec::new())).collect();
            ledger.quarantine(0);
            ledger.dealt(1, all(numbers[0]));
            let outcome = ledger.dealt(1, Dealt { dead_letters: vec![letter.clone()], ..all(numbers[1]) });
            assert_eq!(outcome.given_up.len(), written);
            assert!(ledger.rest().is_none());
        }
    }
}
