//! Which records go to which action of a destination.
//!
//! Upholds the first promise: whatever a record says, it goes one way and no other.

use std::sync::Arc;

use crate::record::{Batch, Chooser, Condition, FOLLOW_UP, Span};

/// Which records go to which action of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// What a record has to be, and the action that it goes to then, by its index; the first that takes a record has it.
    pub routes: Vec<(Option<Condition>, u32)>,
    /// Where those go that none takes.
    pub otherwise: Way,
    /// Of dead letters that are sent again: actions by name. A follow-up goes to the one that it was born for, whatever it looks like.
    pub follow_ups: Vec<(Arc<str>, u32)>,
}

impl Default for Routing {
    /// Everything goes to the first action, or the only one.
    fn default() -> Self {
        Self { routes: Vec::new(), otherwise: Way::To(0), follow_ups: Vec::new() }
    }
}

/// Where a record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the action with this index.
    To(u32),
    /// Nowhere, on purpose.
    Filtered,
    /// To the dead letters.
    Refused,
}

/// Finds the ways of records, on buffers that it keeps.
#[derive(Debug)]
pub struct Router {
    routes: Vec<(Option<Chooser>, u32)>,
    otherwise: Way,
    follow_ups: Vec<(Arc<str>, u32)>,
}

impl Router {
    /// By that routing.
    pub fn new(routing: &Routing) -> Self {
        let routes = routing.routes.iter().map(|(when, action)| (when.as_ref().map(Chooser::new), *action)).collect();
        Self { routes, otherwise: routing.otherwise, follow_ups: routing.follow_ups.clone() }
    }

    /// The ways of a batch's records: neighbours that go the same way together, in order and without a gap.
    pub fn ways(&mut self, batch: &Batch) -> Vec<(Span, Way)> {
        let whole = Span::new(0, batch.count());
        if let Some(action) = self.born_for(batch) {
            return vec![(whole, Way::To(action))];
        }
        if self.routes.is_empty() {
            return vec![(whole, self.otherwise)];
        }
        let mut ways: Vec<(Span, Way)> = Vec::new();
        for record in 0..batch.count() {
            let way = self.way(batch, record);
            match ways.last_mut() {
                Some((records, last)) if *last == way => records.end = record + 1,
                _ => ways.push((Span::new(record, record + 1), way)),
            }
        }
        ways
    }

    /// The action of follow-ups that are sent again.
    fn born_for(&self, batch: &Batch) -> Option<u32> {
        let (name, _) = batch.partition().strip_prefix(FOLLOW_UP).filter(|_| !self.follow_ups.is_empty())?.split_once('/')?;
        self.follow_ups.iter().find(|(known, _)| **known == *name).map(|(_, action)| *action)
    }

    fn way(&mut self, batch: &Batch, record: u32) -> Way {
        let takes = |when: &mut Option<Chooser>| when.as_mut().is_none_or(|when| when.takes(batch, record));
        let found = self.routes.iter_mut().find_map(|(when, action)| takes(when).then_some(Way::To(*action)));
        found.unwrap_or(self.otherwise)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{BatchBuilder, Looked, Test};

    fn is(letter: u8) -> Condition {
        let text = char::from(b'a' + letter).to_string();
        Condition::Of(Looked::Pointer("/t".parse().unwrap()), Test::OneOf(vec![text]))
    }

    proptest! {
        #[test]
        fn every_record_goes_one_way_and_the_first_route_that_takes_it_has_it(
            records in prop::collection::vec(0u8..5, 1..40),
            routes in prop::collection::vec((prop::option::weighted(0.9, 0u8..5), 0u32..4), 0..5),
            otherwise in prop::sample::select(vec![Way::To(9), Way::Filtered, Way::Refused]),
        ) {
            let mut batch = BatchBuilder::with_capacity(records.len(), 0, false, None);
            for (sequence, letter) in records.iter().enumerate() {
                let text = format!(r#"{{"t":"{}"}}"#, char::from(b'a' + letter));
                batch.push(sequence as u64, None, text.as_bytes()).unwrap();
            }
            let batch = batch.finish("p", "partition".into());
            let routing = Routing { routes: routes.iter().map(|(when, to)| (when.map(is), *to)).collect(), otherwise, follow_ups: vec![("b".into(), 7)] };
            let ways = Router::new(&routing).ways(&batch);
            let mut next = 0;
            for (span, way) in ways {
                prop_assert_eq!(span.start, next);
                prop_assert!(!span.is_empty());
                next = span.end;
                for letter in &records[span.range()] {
                    let first = routes.iter().find(|(when, _)| when.is_none_or(|when| when == *letter));
                    prop_assert_eq!(way, first.map_or(otherwise, |(_, to)| Way::To(*to)));
                }
            }
            prop_assert_eq!(next as usize, records.len());
        }
    }
}
