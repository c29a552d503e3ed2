//! Which portions are settled: a portion counts once every destination has dealt with it and all before it count.
//!
//! Upholds the second promise: a checkpoint moves past a record only when that record is delivered or on disk as a dead letter.

use std::{collections::VecDeque, sync::Arc};

use super::delivery::Dealt;
use crate::{
    source::Portion,
    store::{DeadLetter, Settled},
};

/// The portions that are read and not settled, in the order in which they were read.
#[derive(Debug)]
pub(super) struct Ledger {
    destinations: usize,
    /// The number of the first open portion.
    first: u64,
    open: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    portion: Arc<Portion>,
    /// For each destination, the first sequence that it has not dealt with; `None` where it has not begun.
    dealt: Vec<Option<u64>>,
    dead_letters: Vec<DeadLetter>,
}

impl Ledger {
    pub fn new(destinations: usize) -> Self {
        Self { destinations, first: 0, open: VecDeque::new() }
    }

    /// Enters a portion that was read, together with what the source itself gave up of it. Gives its number.
    pub fn enter(&mut self, portion: Arc<Portion>, dead_letters: Vec<DeadLetter>) -> u64 {
        self.open.push_back(Entry { portion, dealt: vec![None; self.destinations], dead_letters });
        self.first + self.open.len() as u64 - 1
    }

    /// Notes how far a destination has dealt with a portion. Gives what is settled by that, in order, each with its portion.
    pub fn dealt(&mut self, destination: usize, dealt: Dealt) -> Vec<(Arc<Portion>, Settled)> {
        if let Some(entry) = dealt.portion.checked_sub(self.first).and_then(|at| self.open.get_mut(at as usize)) {
            entry.dealt[destination] = Some(dealt.until.unwrap_or(entry.portion.next));
            entry.dead_letters.extend(dealt.dead_letters);
        }
        let mut settled = Vec::new();
        while let Some(entry) = self.open.pop_front_if(|entry| entry.settled_to() == Some(entry.portion.next)) {
            self.first += 1;
            let Entry { portion, dead_letters, .. } = entry;
            let checkpoint = Some((portion.partition.to_string(), portion.label.to_string(), portion.next));
            settled.push((portion, Settled { checkpoint, dead_letters }));
        }
        settled
    }

    /// What is known at the end of portions that are not settled as a whole: the first may be up to some record.
    ///
    /// What was given up beyond that is read again by the next run, where the source can be, and may fare otherwise then: it is
    /// pending, and no dead letter as well. Where the source cannot be read again, all that was given up is kept.
    pub fn rest(self, rereads: bool) -> Option<Settled> {
        let first = self.open.front();
        let to = first.and_then(Entry::settled_to);
        let checkpoint =
            first.zip(to).map(|(entry, to)| (entry.portion.partition.to_string(), entry.portion.label.to_string(), to));
        let kept = self.open.into_iter().enumerate().flat_map(|(index, entry)| {
            let settled = move |letter: &DeadLetter| !rereads || (index == 0 && to.is_some_and(|to| letter.sequence < to));
            entry.dead_letters.into_iter().filter(settled)
        });
        let dead_letters: Vec<_> = kept.collect();
        (checkpoint.is_some() || !dead_letters.is_empty()).then_some(Settled { checkpoint, dead_letters })
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

    fn portion(next: u64) -> Arc<Portion> {
        Arc::new(Portion { partition: "p".into(), label: "l".into(), batch: None, unreadable: Vec::new(), next })
    }

    #[test]
    fn a_portion_is_settled_once_all_destinations_dealt_with_it_and_with_all_before_it() {
        let mut ledger = Ledger::new(2);
        let numbers: Vec<u64> = [10, 20, 30].into_iter().map(|next| ledger.enter(portion(next), Vec::new())).collect();
        let mut settled = |destination, number| -> Vec<u64> {
            ledger
                .dealt(destination, Dealt { portion: number, until: None, dead_letters: Vec::new() })
                .iter()
                .map(|(portion, _)| portion.next)
                .collect()
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
        let mut ledger = Ledger::new(2);
        let number = ledger.enter(portion(10), Vec::new());
        assert!(ledger.dealt(0, Dealt { portion: number, until: Some(4), dead_letters: Vec::new() }).is_empty());
        assert!(ledger.dealt(1, Dealt { portion: number, until: None, dead_letters: Vec::new() }).is_empty());
        assert_eq!(ledger.rest(true).unwrap().checkpoint, Some(("p".into(), "l".into(), 4)));

        let mut ledger = Ledger::new(2);
        let number = ledger.enter(portion(10), Vec::new());
        ledger.dealt(0, Dealt { portion: number, until: Some(4), dead_letters: Vec::new() });
        assert!(ledger.rest(true).is_none(), "the other has not begun");
    }
}
