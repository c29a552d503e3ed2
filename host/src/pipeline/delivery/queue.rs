//! What is still to be sent by one lane, and which part of it may go next.
//!
//! Upholds the third promise: what is to be sent again later holds back what must not overtake it, and nothing else.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::Arc,
    time::Duration,
};

use super::parts::Part;
use crate::record::{Batch, Span};

/// What a part that waits holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Everything of its partition that comes after it.
    Partition,
    /// What comes after it with one of its keys. A record without a key counts as one with the same.
    Key,
    /// Nothing.
    Nothing,
}

/// What there is to do.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is looked at once, where it is made")]
pub(super) enum Next {
    /// A part of this portion may go.
    Part(u64, Part),
    /// None may go before this moment.
    At(Duration),
    /// Nothing is left to be sent.
    Empty,
}

/// The parts that are still to be sent, in the order of reading.
#[derive(Debug)]
pub(super) struct Queue {
    holds: Holds,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    portion: u64,
    part: Part,
    /// The moment before which it does not go.
    ready: Duration,
    /// A digest of each record's key, made once it matters.
    keys: Option<Arc<[u64]>>,
}

impl Waiting {
    fn place(&self) -> (u64, u32) {
        (self.portion, self.part.batch.start())
    }

    fn keys(&mut self) -> Option<&Arc<[u64]>> {
        if self.keys.is_none() {
            self.keys = digests(&self.part.batch);
        }
        self.keys.as_ref()
    }
}

/// What the parts that were passed over hold back.
#[derive(Default)]
struct Held {
    partitions: Vec<Arc<str>>,
    keys: HashSet<(Arc<str>, u64)>,
}

impl Queue {
    pub fn new(holds: Holds) -> Self {
        Self { holds, waiting: VecDeque::new() }
    }

    /// Puts a part where it belongs. It does not go before `ready`.
    pub fn put(&mut self, portion: u64, part: Part, ready: Duration) {
        let waiting = Waiting { portion, part, ready, keys: None };
        let at = self.waiting.partition_point(|other| other.place() < waiting.place());
        self.waiting.insert(at, waiting);
    }

    /// Whether anything of the portion is left.
    pub fn has(&self, portion: u64) -> bool {
        let at = self.waiting.partition_point(|waiting| waiting.portion < portion);
        self.waiting.get(at).is_some_and(|waiting| waiting.portion == portion)
    }

    /// Whether nothing is left to be sent.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether something is left, and nothing of it waits for a moment.
    pub fn is_ready(&self, now: Duration) -> bool {
        !self.waiting.is_empty() && self.waiting.iter().all(|waiting| waiting.ready <= now)
    }

    /// Takes out all that is left of the portions before this one.
    pub fn take_before(&mut self, portion: u64) -> Vec<(u64, Part)> {
        let past = self.waiting.partition_point(|waiting| waiting.portion < portion);
        self.waiting.drain(..past).map(|waiting| (waiting.portion, waiting.part)).collect()
    }

    /// Lets everything go at once that waits for a moment.
    pub fn hurry(&mut self) {
        for waiting in &mut self.waiting {
            waiting.ready = Duration::ZERO;
        }
    }

    /// The first part that may go now, taken out. One of which only some records may go is divided.
    pub fn next(&mut self, now: Duration) -> Next {
        let mut held = Held::default();
        let mut earliest: Option<Duration> = None;
        for at in 0..self.waiting.len() {
            let waiting = &mut self.waiting[at];
            let partition = waiting.part.batch.partition().clone();
            if held.partitions.contains(&partition) {
                continue;
            }
            if waiting.ready > now {
                earliest = Some(earliest.map_or(waiting.ready, |earliest| earliest.min(waiting.ready)));
                match self.holds {
                    Holds::Nothing => {}
                    Holds::Partition => held.partitions.push(partition),
                    Holds::Key => match waiting.keys() {
                        Some(keys) => held.keys.extend(keys.iter().map(|key| (partition.clone(), *key))),
                        None => held.partitions.push(partition),
                    },
                }
                continue;
            }
            if held.keys.is_empty() {
                return self.taken(at);
            }
            let Some(keys) = waiting.keys().cloned() else {
                // All its records have the same key, as those of other batches without keys have.
                if held.keys.iter().any(|(of, _)| *of == partition) {
                    held.partitions.push(partition);
                    continue;
                }
                return self.taken(at);
            };
            let free = |key: &u64| !held.keys.contains(&(partition.clone(), *key));
            let Some(start) = keys.iter().position(free) else { continue };
            let end = keys[start..].iter().position(|key| !free(key)).map_or(keys.len(), |len| start + len);
            if start > 0 || end < keys.len() {
                self.divide(at, Span::new(start as u32, end as u32));
            }
            return self.taken(if start > 0 { at + 1 } else { at });
        }
        earliest.map_or(Next::Empty, Next::At)
    }

    fn taken(&mut self, at: usize) -> Next {
        match self.waiting.remove(at) {
            Some(Waiting { portion, part, .. }) => Next::Part(portion, part),
            None => Next::Empty,
        }
    }

    /// Puts what comes before some records of a part, they themselves, and what comes after them in its place.
    fn divide(&mut self, at: usize, records: Span) {
        let Some(Waiting { portion, part, ready, keys }) = self.waiting.remove(at) else {
            return;
        };
        let pieces = [Span::new(0, records.start), records, Span::new(records.end, part.batch.count())];
        for piece in pieces.into_iter().rev().filter(|piece| !piece.is_empty()) {
            let keys = keys.as_ref().map(|keys| keys[piece.range()].into());
            self.waiting.insert(at, Waiting { portion, part: part.slice(piece), ready, keys });
        }
    }
}

/// A digest of each record's key; `None` where the batch has none.
fn digests(batch: &Batch) -> Option<Arc<[u64]>> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    batch.key().map(|keys| keys.iter().map(|key| hasher.hash_one(key)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::BatchBuilder;

    fn part(partition: &str, keys: &[Option<u8>]) -> Part {
        let mut batch = BatchBuilder::with_capacity(keys.len(), 0, true, None);
        for (sequence, key) in keys.iter().enumerate() {
            batch.push(sequence as u64, key.as_ref().map(std::slice::from_ref), b"r").unwrap();
        }
        Part::whole(&batch.finish("p", partition.into()))
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// What goes at this moment, one part after the other: portion, start and count.
    fn going(queue: &mut Queue, now: u64) -> Vec<(u64, u32, u32)> {
        let mut gone = Vec::new();
        while let Next::Part(portion, part) = queue.next(at(now)) {
            gone.push((portion, part.batch.start(), part.batch.count()));
        }
        gone
    }

    #[test]
    fn a_part_that_waits_holds_back_its_partition_and_no_other() {
        let mut queue = Queue::new(Holds::Partition);
        queue.put(1, part("a", &[None; 3]), at(5));
        queue.put(2, part("b", &[None; 2]), at(0));
        queue.put(3, part("a", &[None; 1]), at(0));
        assert_eq!(going(&mut queue, 0), [(2, 0, 2)]);
        assert!(matches!(queue.next(at(0)), Next::At(moment) if moment == at(5)));
        assert_eq!(going(&mut queue, 5), [(1, 0, 3), (3, 0, 1)]);
        assert!(matches!(queue.next(at(5)), Next::Empty));
    }

    #[test]
    fn a_part_that_waits_holds_back_its_keys_and_the_others_of_a_batch_go_by() {
        let key = |keys: &[u8]| keys.iter().map(|key| Some(*key)).collect::<Vec<_>>();
        let mut queue = Queue::new(Holds::Key);
        queue.put(1, part("a", &key(&[7])), at(5));
        queue.put(2, part("a", &key(&[1, 2, 7, 3, 7, 7, 4])), at(0));
        queue.put(3, part("b", &key(&[7])), at(0));
        assert_eq!(going(&mut queue, 0), [(2, 0, 2), (2, 3, 1), (2, 6, 1), (3, 0, 1)]);
        assert!(queue.has(2) && !queue.has(3));
        assert_eq!(going(&mut queue, 5), [(1, 0, 1), (2, 2, 1), (2, 4, 2)]);
    }

    #[test]
    fn records_without_a_key_count_as_of_one_key() {
        let mut queue = Queue::new(Holds::Key);
        queue.put(1, part("a", &[None, Some(1)]), at(5));
        queue.put(2, part("a", &[None, Some(2)]), at(0));
        let mut keyless = BatchBuilder::with_capacity(1, 0, false, None);
        keyless.push(9, None, b"r").unwrap();
        queue.put(3, Part::whole(&keyless.finish("p", "a".into())), at(0));
        assert_eq!(going(&mut queue, 0), [(2, 1, 1)]);
        assert_eq!(going(&mut queue, 5), [(1, 0, 2), (2, 0, 1), (3, 0, 1)]);
    }

    #[test]
    fn what_is_let_go_of_is_taken_out_and_what_came_later_stays() {
        let mut queue = Queue::new(Holds::Nothing);
        for portion in 1..=3 {
            queue.put(portion, part("a", &[None; 2]), at(5));
        }
        let gone: Vec<_> = queue.take_before(3).into_iter().map(|(portion, _)| portion).collect();
        assert_eq!(gone, [1, 2]);
        queue.hurry();
        assert_eq!(going(&mut queue, 0), [(3, 0, 2)]);
    }

    proptest! {
        #[test]
        fn whatever_waits_nothing_overtakes_what_it_must_not(
            portions in prop::collection::vec((0u8..2, prop::collection::vec(prop::option::of(0u8..3), 1..6), 0u64..4), 1..8),
            holds in prop::sample::select(vec![Holds::Partition, Holds::Key, Holds::Nothing]),
        ) {
            let mut queue = Queue::new(holds);
            let mut last = std::collections::HashMap::new();
            let mut expected = 0;
            for (number, (partition, keys, ready)) in portions.iter().enumerate() {
                queue.put(number as u64, part(&partition.to_string(), keys), at(*ready));
                expected += keys.len();
            }
            let mut gone = 0;
            for now in 0..4 {
                while let Next::Part(portion, part) = queue.next(at(now)) {
                    let (partition, keys, ready) = &portions[portion as usize];
                    prop_assert!(*ready <= now, "sent before its time");
                    for record in part.batch.start()..part.batch.start() + part.batch.count() {
                        gone += 1;
                        let group = match holds {
                            Holds::Partition => (*partition, None),
                            Holds::Key => (*partition, Some(keys[record as usize])),
                            Holds::Nothing => continue,
                        };
                        let place = (portion, record);
                        let before = last.insert(group, place);
                        prop_assert!(before < Some(place), "{place:?} of {group:?} behind {before:?}");
                    }
                }
            }
            prop_assert_eq!(gone, expected);
        }
    }
}
