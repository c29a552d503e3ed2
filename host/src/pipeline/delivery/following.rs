//! What follows from what becomes of the records of one portion.
//!
//! Promises are kept elsewhere, and are known here by their numbers. A cause makes one record of an action at the most: what came first of several outcomes. Of several
//! promises for one cause, action and outcome the last holds.

use std::sync::Arc;

use crate::{
    record::{Batch, On, Promised, Span, SpanSet},
    store::Owed,
};

/// What is promised for the records of a portion, and what of it is due.
#[derive(Debug, Default)]
pub(super) struct Following {
    promises: Vec<(Promised, Due)>,
    /// Which records have made one of an action.
    followed: Vec<(u32, SpanSet)>,
}

/// Of a promise, what is due: some of its follow-ups, and the place of the cause of the first of them in the cut.
type Due = Vec<(Span, u32)>;

/// What of a promise follows from what became of the records of a portion.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Follows {
    /// The destination whose promise it is.
    pub destination: Arc<str>,
    /// The promise.
    promise: i64,
    due: Due,
    cut: Arc<Batch>,
}

impl Follows {
    /// What is owed of it, as far as its causes have smaller sequences than `before`.
    pub fn owed(&self, before: Option<u64>) -> Owed {
        // They are in order.
        let sequences = self.cut.sequences();
        let end = before.map_or(sequences.len(), |before| sequences.partition_point(|sequence| *sequence < before)) as u32;
        let kept = |(span, cause): &(Span, u32)| Span::new(span.start, span.start + span.len().min(end.saturating_sub(*cause)));
        let born = self.due.iter().map(kept).filter(|span| !span.is_empty()).collect();
        Owed { destination: self.destination.clone(), promise: self.promise, born }
    }
}

impl Following {
    /// One more promise, its causes counted within the cut. Gives those that it takes the place of as a whole.
    pub fn promise(&mut self, promised: Promised) -> Vec<i64> {
        let causes: SpanSet = promised.causes.iter().copied().collect();
        let mut replaced = Vec::new();
        self.promises.retain(|(other, due)| {
            let same = (other.action, other.on) == (promised.action, promised.on);
            let covered = || other.causes.iter().all(|span| causes.first_not_of(*span).is_none());
            let goes = same && due.is_empty() && covered();
            replaced.extend(goes.then_some(other.promise));
            !goes
        });
        self.promises.push((promised, Vec::new()));
        replaced
    }

    /// Something became of records of the cut.
    pub fn note(&mut self, on: On, records: Span) {
        let Self { promises, followed } = self;
        for (promised, due) in promises.iter_mut().rev().filter(|(promised, _)| promised.on == on) {
            let mut place = 0;
            for causes in &promised.causes {
                let both = Span::new(causes.start.max(records.start), causes.end.min(records.end));
                for fresh in fresh(followed, promised.action, both) {
                    let first = place + (fresh.start - causes.start);
                    due.push((Span::new(first, first + fresh.len()), fresh.start));
                }
                place += causes.len();
            }
        }
    }

    /// All promises, and what is due of each. Of most nothing may be: they are to be forgotten.
    pub fn report(self, destination: &Arc<str>, cut: &Arc<Batch>) -> Vec<Follows> {
        let follows = self.promises.into_iter().map(|(promised, mut due)| {
            due.sort_unstable_by_key(|(span, _)| span.start);
            Follows { destination: destination.clone(), promise: promised.promise, due, cut: cut.clone() }
        });
        follows.collect()
    }
}

/// Those of some records that have made none of an action so far. From now on they have.
fn fresh(followed: &mut Vec<(u32, SpanSet)>, action: u32, records: Span) -> Vec<Span> {
    if records.is_empty() {
        return Vec::new();
    }
    let at = followed.iter().position(|(of, _)| *of == action).unwrap_or_else(|| {
        followed.push((action, SpanSet::default()));
        followed.len() - 1
    });
    let known = &mut followed[at].1;
    let gaps = known.gaps(records.end).into_iter().map(|gap| Span::new(gap.start.max(records.start), gap.end));
    let fresh: Vec<Span> = gaps.filter(|gap| !gap.is_empty()).collect();
    known.insert(records);
    fresh
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BatchBuilder;

    fn promised(promise: i64, action: u32, on: On, causes: &[(u32, u32)]) -> Promised {
        Promised { promise, action, on, causes: causes.iter().map(|(start, end)| Span::new(*start, *end)).collect() }
    }

    /// Records with the sequences 10, 11, …
    fn cut(count: u64) -> Arc<Batch> {
        let mut batch = BatchBuilder::with_capacity(count as usize, 0, false, None);
        (0..count).for_each(|at| batch.push(10 + at, None, b"r").unwrap());
        Arc::new(batch.finish("p", "partition".into()))
    }

    /// What is owed in the end: promise and follow-ups.
    fn owed(following: Following, before: Option<u64>) -> Vec<(i64, Vec<(u32, u32)>)> {
        let follows = following.report(&"desk".into(), &cut(10));
        let owed = follows.iter().map(|follows| follows.owed(before));
        owed.map(|owed| (owed.promise, owed.born.iter().map(|span| (span.start, span.end)).collect())).collect()
    }

    #[test]
    fn a_cause_makes_one_record_of_an_action_by_what_became_of_it_first() {
        let mut following = Following::default();
        for (number, action, on) in [(1, 0, On::Succeeded), (2, 0, On::Failed), (3, 1, On::Succeeded), (4, 1, On::Discarded)] {
            assert!(following.promise(promised(number, action, on, &[(0, 2), (4, 8)])).is_empty());
        }
        following.note(On::Failed, Span::new(1, 5));
        following.note(On::Failed, Span::new(4, 6));
        following.note(On::Succeeded, Span::new(0, 6));
        following.note(On::Discarded, Span::new(6, 9));
        // Of each promise, by place in it: the causes 0, 1, 4, 5, 6, 7.
        let due = [(1, vec![(0, 1)]), (2, vec![(1, 2), (2, 3), (3, 4)]), (3, vec![(0, 2), (2, 4)]), (4, vec![(4, 6)])];
        assert_eq!(owed(following, None), due);
    }

    #[test]
    fn what_is_promised_last_holds_and_what_it_takes_the_place_of_is_given_back() {
        let mut following = Following::default();
        assert!(following.promise(promised(1, 0, On::Succeeded, &[(0, 10)])).is_empty());
        assert!(following.promise(promised(2, 0, On::Succeeded, &[(2, 4), (6, 7)])).is_empty());
        assert!(following.promise(promised(3, 0, On::Discarded, &[(2, 7)])).is_empty(), "it is for something else");
        assert!(following.promise(promised(4, 0, On::Succeeded, &[(2, 3), (6, 7)])).is_empty(), "one cause is left");
        assert_eq!(following.promise(promised(5, 0, On::Succeeded, &[(2, 4), (5, 8)])), [2, 4]);
        following.note(On::Succeeded, Span::new(0, 10));
        assert_eq!(owed(following, None), [(1, vec![(0, 2), (4, 5), (8, 10)]), (3, vec![]), (5, vec![(0, 2), (2, 5)])]);
    }

    #[test]
    fn what_has_come_to_be_due_is_not_replaced() {
        let mut following = Following::default();
        following.promise(promised(1, 0, On::Failed, &[(0, 2)]));
        following.note(On::Failed, Span::new(0, 1));
        assert!(following.promise(promised(2, 0, On::Failed, &[(0, 2)])).is_empty());
        following.note(On::Failed, Span::new(0, 2));
        assert_eq!(owed(following, None), [(1, vec![(0, 1)]), (2, vec![(1, 2)])]);
    }

    #[test]
    fn of_a_portion_that_is_left_in_the_middle_no_more_is_owed_than_is_settled() {
        for (before, due) in [(0, vec![]), (12, vec![(0, 1)]), (15, vec![(0, 1), (1, 3)]), (99, vec![(0, 1), (1, 6)])] {
            let mut following = Following::default();
            following.promise(promised(1, 0, On::Succeeded, &[(1, 2), (3, 8)]));
            following.note(On::Succeeded, Span::new(0, 9));
            assert_eq!(owed(following, Some(before)), [(1, due)], "{before}");
        }
    }
}
