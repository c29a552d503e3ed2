//! Which portions are settled: a portion counts once every destination has dealt with it and all before it count.
//!
//! Upholds the second promise: a checkpoint moves past a record only when that record is delivered or on disk as a dead letter.
//!
//! A destination that is quarantined deals with nothing more. From there on no portion is settled as a whole; those that all others dealt
//! with are let go, so that the others can go on within the window and nothing is kept of what they went past.

use std::{collections::VecDeque, sync::Arc};

use super::delivery::{Dealt, Follows};
use crate::{
    source::Portion,
    store::{DeadLetter, Owed, Replayed, Settled},
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
    open: VecDeque<Entry>,
}

/// A portion that was read.
#[derive(Debug)]
pub(super) struct Entry {
    pub number: u64,
    portion: Arc<Portion>,
    /// For each destination, the first sequence that it has not dealt with; `None` where it has not begun.
    dealt: Vec<Option<u64>>,
    dead_letters: Vec<DeadLetter>,
    /// What of promises follows.
    follows: Vec<Follows>,
    /// Whether all but those in quarantine have dealt with it.
    let_go: bool,
}

/// What a report brought about.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What is settled by it, in order.
    pub settled: Vec<Entry>,
    /// What is to be written of portions that are let go, though they are not settled.
    pub given_up: Vec<DeadLetter>,
    /// What is owed of these.
    pub owed: Vec<Owed>,
    /// How many portions more may be read.
    pub permits: usize,
}

impl Ledger {
    pub fn new(destinations: usize, rereads: bool, whole: bool) -> Self {
        Self { quarantined: vec![false; destinations], rereads, whole, open: VecDeque::new() }
    }

    /// Whether a later run can read again what this one does not settle.
    pub fn rereads(&self) -> bool {
        self.rereads
    }

    /// Enters a portion that was read, by a number greater than any before it, together with what the source itself gave up of it; `gets` tells
    /// which columns get it.
    pub fn enter(&mut self, number: u64, portion: Arc<Portion>, dead_letters: Vec<DeadLetter>, gets: impl Fn(usize) -> bool) {
        // Who does not get it is done with it.
        let dealt = (0..self.quarantined.len()).map(|column| (!gets(column)).then_some(portion.next)).collect();
        self.open.push_back(Entry { number, portion, dealt, dead_letters, follows: Vec::new(), let_go: false });
    }

    /// Notes how far a destination has dealt with a portion.
    pub fn dealt(&mut self, destination: usize, dealt: Dealt) -> Outcome {
        let known = self.open.binary_search_by_key(&dealt.portion, |entry| entry.number);
        // Whoever is in quarantine has reported what it ever will, or is left behind.
        if let (Ok(at), false) = (known, self.quarantined[destination]) {
            let entry = &mut self.open[at];
            entry.dealt[destination] = Some(dealt.until.unwrap_or(entry.portion.next));
            entry.follows.extend(dealt.follows);
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

    /// The same for all columns of a destination whose own dead letters have no room, with what was settled and is not after all, in order: what it
    /// had given up is pending.
    pub fn leave_behind(&mut self, columns: &[usize], destination: &str, unsettled: Vec<Entry>) -> Outcome {
        unsettled.into_iter().rev().for_each(|entry| self.open.push_front(entry));
        for entry in &mut self.open {
            let own = |letter: &DeadLetter| letter.destination.as_deref() == Some(destination);
            let first = entry.dead_letters.iter().filter(|letter| own(letter)).map(|letter| letter.sequence).min();
            entry.dead_letters.retain(|letter| !own(letter));
            if let Some(first) = first {
                columns.iter().for_each(|column| entry.dealt[*column] = Some(first));
                entry.follows.retain(|follows| *follows.destination != *destination);
            }
        }
        columns.iter().for_each(|column| self.quarantined[*column] = true);
        self.outcome()
    }

    /// What was given up of a portion so far, where all of these columns have dealt with all of it.
    pub fn all_but(&self, portion: u64, others: &[usize]) -> Option<&[DeadLetter]> {
        let at = self.open.binary_search_by_key(&portion, |entry| entry.number).ok()?;
        let entry = &self.open[at];
        let next = Some(entry.portion.next);
        others.iter().all(|other| entry.dealt[*other] == next).then_some(&entry.dead_letters)
    }

    /// The first sequence of a portion that one of these columns has not dealt with, and what was given up of it so far; `None` where one has not
    /// begun.
    pub fn dealt_to(&self, portion: u64, columns: &[usize]) -> Option<(u64, &[DeadLetter])> {
        let at = self.open.binary_search_by_key(&portion, |entry| entry.number).ok()?;
        let entry = &self.open[at];
        let to = columns.iter().map(|column| entry.dealt[*column]).min().flatten()?;
        Some((to, &entry.dead_letters))
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
        while let Some(entry) = self.open.pop_front_if(|entry| entry.is_settled()) {
            outcome.settled.push(entry);
        }
        // Dead letters that are sent again wait for no others: no checkpoint is to move past them.
        let mut at = 0;
        while let Some(entry) = self.open.get(at) {
            if entry.portion.again.is_some() && entry.is_settled() {
                outcome.settled.extend(self.open.remove(at));
            } else {
                at += 1;
            }
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
                outcome.owed.extend(entry.owed(None));
            }
            kept
        });
        outcome
    }

    /// What is known at the end of portions that are not settled as a whole: the first may be up to some record, and where dead letters are sent
    /// again, each may.
    ///
    /// What was given up beyond that is read again by the next run, where the source can be, and may fare otherwise then: it is
    /// pending, and no dead letter as well. So is all of a portion that is settled as a whole. Where the source cannot be read again, all that was given up is kept.
    pub fn rest(self) -> Vec<Settled> {
        let (mut again, mut rest): (Vec<Entry>, Vec<Entry>) =
            self.open.into_iter().partition(|entry| entry.portion.again.is_some());
        let mut settled: Vec<Settled> = again.iter_mut().filter_map(Entry::settled_in_part).collect();
        let rereads = self.rereads;
        let first = rest.first();
        let to = first.filter(|_| !self.whole).and_then(Entry::settled_to);
        let checkpoint =
            first.zip(to).map(|(entry, to)| (entry.portion.partition.to_string(), entry.portion.label.to_string(), to));
        let mut owed = Vec::new();
        for (index, entry) in rest.iter().enumerate() {
            match (rereads, to) {
                (false, _) => owed.extend(entry.owed(None)),
                (true, Some(to)) if index == 0 => owed.extend(entry.owed(Some(to))),
                (true, _) => {}
            }
        }
        let kept = rest.iter_mut().enumerate().flat_map(|(index, entry)| {
            let settled = move |letter: &DeadLetter| !rereads || (index == 0 && to.is_some_and(|to| letter.sequence < to));
            std::mem::take(&mut entry.dead_letters).into_iter().filter(settled)
        });
        let rest = Settled::new(checkpoint, kept.collect()).owing(owed);
        settled.extend((!rest.is_empty()).then_some(rest));
        settled
    }
}

impl Entry {
    /// The first sequence that some destination has not dealt with; `None` where one has not begun.
    fn settled_to(&self) -> Option<u64> {
        self.dealt.iter().copied().min().flatten()
    }

    fn is_settled(&self) -> bool {
        self.settled_to() == Some(self.portion.next)
    }

    /// Whether it still has a place in the window.
    pub fn has_permit(&self) -> bool {
        !self.let_go
    }

    /// What is to be written now that it is settled. Its dead letters are taken out of it.
    pub fn settled(&mut self) -> Settled {
        let dead_letters = std::mem::take(&mut self.dead_letters);
        let settled = match &self.portion.again {
            None => {
                let Portion { partition, label, next, .. } = &*self.portion;
                Settled::new(Some((partition.to_string(), label.to_string(), *next)), dead_letters)
            }
            Some(again) => {
                let ids = again.letters.iter().map(|(id, _)| *id).collect();
                Settled::sent_again(Replayed { ids }, dead_letters)
            }
        };
        settled.owing(self.owed(None))
    }

    /// What is owed of it, as far as the causes have smaller sequences than `before`.
    fn owed(&self, before: Option<u64>) -> Vec<Owed> {
        self.follows.iter().map(|follows| follows.owed(before)).collect()
    }

    /// Of dead letters that were sent again, those before the first that is not dealt with.
    fn settled_in_part(&mut self) -> Option<Settled> {
        let (to, again) = (self.settled_to()?, self.portion.again.as_ref()?);
        let ids: Vec<i64> = again.letters.iter().filter(|(_, sequence)| *sequence < to).map(|(id, _)| *id).collect();
        self.dead_letters.retain(|letter| letter.sequence < to);
        let dead_letters = std::mem::take(&mut self.dead_letters);
        let owed = self.owed(Some(to));
        (!ids.is_empty()).then(|| Settled::sent_again(Replayed { ids }, dead_letters).owing(owed))
    }

    /// It could not be written: what was given up is given back.
    pub fn unsettled(&mut self, settled: Settled) {
        self.dead_letters = settled.dead_letters;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{record::Entity, source::SentAgain, store::Reason};

    fn portion(next: u64) -> Arc<Portion> {
        Arc::new(Portion { partition: "p".into(), label: "l".into(), batch: None, unreadable: Vec::new(), next, again: None })
    }

    /// How many portions more may be read once all of it is settled.
    fn permits(outcome: &Outcome) -> usize {
        outcome.permits + outcome.settled.iter().filter(|entry| entry.has_permit()).count()
    }

    fn checkpoints(outcome: Outcome) -> Vec<u64> {
        outcome.settled.into_iter().map(|mut entry| entry.settled().checkpoint.unwrap().2).collect()
    }

    fn rest(ledger: Ledger) -> Option<Settled> {
        ledger.rest().pop()
    }

    fn all(portion: u64) -> Dealt {
        Dealt { portion, until: None, dead_letters: Vec::new(), follows: Vec::new(), derived: None }
    }

    fn up_to(portion: u64, until: u64) -> Dealt {
        Dealt { portion, until: Some(until), dead_letters: Vec::new(), follows: Vec::new(), derived: None }
    }

    /// Enters portions that both columns get, and gives their numbers.
    fn enter(ledger: &mut Ledger, next: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let enter = |next| {
            ledger.enter(next, portion(next), Vec::new(), |_| true);
            next
        };
        next.into_iter().map(enter).collect()
    }

    #[test]
    fn a_portion_is_settled_once_all_destinations_dealt_with_it_and_with_all_before_it() {
        let mut ledger = Ledger::new(2, true, false);
        let numbers = enter(&mut ledger, [10, 20, 30]);
        let mut settled = |destination, number| -> Vec<u64> {
            let outcome = ledger.dealt(destination, all(number));
            assert_eq!((permits(&outcome), outcome.permits), (outcome.settled.len(), 0));
            checkpoints(outcome)
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
        let number = enter(&mut ledger, [10])[0];
        assert!(ledger.dealt(0, up_to(number, 4)).settled.is_empty());
        assert!(ledger.dealt(1, all(number)).settled.is_empty());
        assert_eq!(rest(ledger).unwrap().checkpoint, Some(("p".into(), "l".into(), 4)));

        let mut ledger = Ledger::new(2, true, false);
        let number = enter(&mut ledger, [10])[0];
        ledger.dealt(0, up_to(number, 4));
        assert!(rest(ledger).is_none(), "the other has not begun");
    }

    #[test]
    fn the_others_go_on_past_one_in_quarantine_and_nothing_is_kept_of_what_they_went_past() {
        let mut ledger = Ledger::new(2, true, false);
        let numbers = enter(&mut ledger, [10, 20, 30]);
        assert_eq!(permits(&ledger.dealt(0, all(numbers[0]))), 0);
        assert_eq!(permits(&ledger.dealt(0, up_to(numbers[1], 14))), 0);
        assert_eq!(permits(&ledger.dealt(1, all(numbers[2]))), 0);
        assert_eq!(permits(&ledger.quarantine(0)), 1, "the other had dealt with one of them");
        // The first is dealt with by both.
        let outcome = ledger.dealt(1, all(numbers[0]));
        assert_eq!((permits(&outcome), checkpoints(outcome)), (1, vec![10]));
        assert_eq!(permits(&ledger.dealt(1, all(numbers[1]))), 1);
        for next in 4..1000 {
            let number = enter(&mut ledger, [10 * next])[0];
            let outcome = ledger.dealt(1, all(number));
            assert_eq!((permits(&outcome), outcome.settled.len()), (1, 0));
            assert!(ledger.open.len() <= 2);
        }
        assert!(ledger.goes_on() && permits(&ledger.quarantine(1)) == 0 && !ledger.goes_on());
        assert_eq!(rest(ledger).unwrap().checkpoint, Some(("p".into(), "l".into(), 14)));
    }

    #[test]
    fn what_the_others_gave_up_is_written_at_once_only_where_nobody_reads_it_again() {
        let letter = letter("other", 15);
        for (rereads, written) in [(true, 0), (false, 1)] {
            let mut ledger = Ledger::new(2, rereads, false);
            let numbers = enter(&mut ledger, [10, 20]);
            ledger.quarantine(0);
            ledger.dealt(1, all(numbers[0]));
            let outcome = ledger.dealt(1, Dealt { dead_letters: vec![letter.clone()], ..all(numbers[1]) });
            assert_eq!(outcome.given_up.len(), written);
            assert!(rest(ledger).is_none());
        }
    }

    fn letter(destination: &str, sequence: u64) -> DeadLetter {
        DeadLetter {
            destination: Some(destination.into()),
            processor: None,
            action: None,
            partition: "p".into(),
            label: "l".into(),
            sequence,
            ordinal: 0,
            record: Entity::default().into(),
            whole: true,
            reason: Arc::new(Reason { kind: "rejected".into(), code: None, message: "no".into(), connector: None }),
            attempts: 1,
            at: "".into(),
        }
    }

    #[test]
    fn the_others_go_on_past_one_whose_letters_have_no_room_and_what_it_gave_up_is_pending() {
        let mut ledger = Ledger::new(2, true, false);
        let numbers = enter(&mut ledger, [10, 20, 30]);
        let of = |destination, sequence| vec![letter(destination, sequence)];
        ledger.dealt(0, Dealt { dead_letters: of("full", 4), ..all(numbers[0]) });
        ledger.dealt(0, Dealt { dead_letters: of("full", 15), ..all(numbers[1]) });
        let mut outcome = ledger.dealt(1, Dealt { dead_letters: of("other", 7), ..all(numbers[0]) });
        let mut entry = outcome.settled.pop().unwrap();
        let settled = entry.settled();
        assert_eq!(settled.dead_letters.len(), 2);
        entry.unsettled(settled);
        // It has no room: the other goes on.
        assert_eq!(permits(&ledger.leave_behind(&[0], "full", vec![entry])), 1);
        let outcome = ledger.dealt(1, all(numbers[1]));
        assert_eq!((permits(&outcome), outcome.settled.len()), (1, 0));
        assert_eq!(
            permits(&ledger.dealt(0, Dealt { dead_letters: of("full", 25), ..all(numbers[2]) })),
            0,
            "nobody asks it any more"
        );
        let rest = rest(ledger).unwrap();
        assert_eq!(rest.checkpoint, Some(("p".into(), "l".into(), 4)));
        assert_eq!(rest.dead_letters, [], "that of the other is behind the checkpoint");
    }

    #[test]
    fn what_is_sent_again_is_settled_in_any_order_and_by_those_alone_who_get_it() {
        let mut ledger = Ledger::new(2, true, false);
        let again = |destination: &str, letters: Vec<(i64, u64)>| {
            let again = SentAgain { destination: Some(destination.into()), processor: None, letters };
            Arc::new(Portion { again: Some(again.into()), ..Arc::into_inner(portion(10)).unwrap() })
        };
        let ids = |settled: &Settled| settled.replayed.as_ref().unwrap().ids.clone();
        let (first, second) = (1, 2);
        ledger.enter(first, again("a", vec![(1, 4), (2, 6)]), Vec::new(), |column| column == 0);
        ledger.enter(second, again("b", vec![(3, 4)]), Vec::new(), |column| column == 1);
        let mut outcome = ledger.dealt(1, Dealt { dead_letters: vec![letter("b", 4)], ..all(second) });
        let settled = outcome.settled[0].settled();
        assert_eq!((permits(&outcome), ids(&settled), settled.dead_letters.len()), (1, vec![3], 1));
        assert!(settled.checkpoint.is_none());
        // The end comes in the middle.
        ledger.dealt(0, up_to(first, 6));
        assert_eq!(ledger.rest().iter().map(ids).collect::<Vec<_>>(), [[1]]);
    }
}
