//! The parts in which a batch is handed over.

use std::collections::VecDeque;

use crate::{
    connector::Room,
    pipeline::{actions::SPOOL, far::Bounds},
    record::{Batch, Span},
};

/// A part of a cut that is to be sent.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub batch: Batch,
    /// Index of the action that it is for.
    pub action: u32,
    /// How often it was handed over.
    pub sent: u32,
    /// How often that counted as an attempt.
    pub attempts: u32,
    /// Whether it failed for now while others came through.
    pub singled: bool,
    /// How often it was not answered for.
    pub silent: u32,
    /// Whether it is counted as unknown.
    pub unknown: bool,
    /// How many instances it ended, alone or with others, since it was last answered for.
    pub ends: u32,
}

impl Part {
    /// A whole batch, not sent so far, for no action.
    pub fn whole(batch: &Batch) -> Self {
        Self { batch: batch.clone(), action: SPOOL, sent: 0, attempts: 0, singled: false, silent: 0, unknown: false, ends: 0 }
    }

    /// Some of its records, with its history.
    pub fn slice(&self, records: Span) -> Self {
        let whole = records == Span::new(0, self.batch.count());
        let batch = if whole { self.batch.clone() } else { self.batch.slice(records.start..records.end) };
        Self { batch, ..*self }
    }

    /// What is left of it, in smaller pieces: its halves, where it is in one piece, or else each piece as it is.
    pub fn divided(&self, left: &[Span]) -> Vec<Self> {
        match left {
            [Span { start, end }] if end - start > 1 => {
                let middle = start + (end - start) / 2;
                vec![self.slice(Span::new(*start, middle)), self.slice(Span::new(middle, *end))]
            }
            left => left.iter().map(|records| self.slice(*records)).collect(),
        }
    }

    /// Cuts it into parts that keep to bounds, in order, and gives the records that are over them by themselves, each with its bytes.
    /// `bytes` tells what some of the records come to, at the same cost for one and for many.
    pub fn within(&self, bounds: Bounds, bytes: impl Fn(Span) -> u64) -> (VecDeque<Self>, Vec<(u32, u64)>) {
        let Bounds { records: most_records, bytes: most_bytes, largest } = bounds;
        let (count, mut too_large) = (self.batch.count(), Vec::new());
        // No record has more bytes than all together: the rule, and no record is looked at for it.
        if count <= most_records && bytes(Span::new(0, count)) <= most_bytes.min(largest) {
            return (VecDeque::from([self.clone()]), too_large);
        }
        let mut parts = VecDeque::new();
        let (mut start, mut together) = (0, 0);
        for record in 0..count {
            let size = bytes(Span::new(record, record + 1));
            let skipped = size > largest;
            if start < record && (skipped || record - start == most_records || together + size > most_bytes) {
                parts.push_back(self.slice(Span::new(start, record)));
                (start, together) = (record, 0);
            }
            if skipped {
                too_large.push((record, size));
                start = record + 1;
            } else {
                together += size;
            }
        }
        if start < count {
            parts.push_back(self.slice(Span::new(start, count)));
        }
        (parts, too_large)
    }
}

/// What parts may hold so that a component's memory can.
///
/// A connector may copy what it is handed once, and some more memory is left to it. A record that goes beyond that goes alone, since
/// many a connector copies nothing. One that took nearly all memory when it was opened may have much of it free: it still gets
/// more than a record at a time, and where that is too much, halving finds out.
pub(super) fn in_memory(room: Room) -> Bounds {
    const SPARE: u64 = 1 << 20;
    const LEAST: u64 = 64 << 10;
    let spare = SPARE.min(room.usual / 4);
    Bounds { records: u32::MAX, bytes: ((room.usual - spare) / 2).max(LEAST), largest: u64::MAX }
}

/// What records take in a component's memory where it asks for all of their columns: values, offsets, validity, sequences and ordinals.
pub(super) fn lowered(batch: &Batch, records: Span) -> u64 {
    let columns = 1 + u64::from(batch.key().is_some()) + u64::from(batch.before().is_some()) + batch.metadata().len() as u64;
    let each = u64::from(records.len()) * (5 * columns + 13);
    batch.bytes_of(records) as u64 + each
}

/// What the records take in a component's memory before its first instruction runs: less cannot be.
pub(super) fn pushed(batch: &Batch) -> u64 {
    batch.after().bytes() as u64 + 4 * (u64::from(batch.count()) + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::BatchBuilder;

    fn part(sizes: &[u8]) -> Part {
        let mut batch = BatchBuilder::with_capacity(sizes.len(), 0, false, None);
        for (sequence, size) in sizes.iter().enumerate() {
            batch.push(sequence as u64, None, &vec![b'r'; (*size).into()]).unwrap();
        }
        Part::whole(&batch.finish("p", "partition".into()))
    }

    proptest! {
        #[test]
        fn parts_keep_to_bounds_and_order_and_leave_nothing_out(
            sizes in prop::collection::vec(any::<u8>(), 1..50),
            (records, bytes, largest) in (1u32..60, 1u64..2000, 1u64..300),
        ) {
            let whole = part(&sizes);
            let size = |batch: &Batch, records: Span| batch.bytes_of(records) as u64;
            let (parts, too_large) = whole.within(Bounds { records, bytes, largest }, |records| size(&whole.batch, records));
            let over: Vec<_> = sizes.iter().enumerate().map(|(at, size)| (at as u32, u64::from(*size))).collect();
            let over: Vec<_> = over.into_iter().filter(|(_, size)| *size > largest).collect();
            prop_assert_eq!(&too_large, &over);
            let mut seen: Vec<u64> = over.iter().map(|(at, _)| u64::from(*at)).collect();
            let mut last = 0;
            for Part { batch, .. } in &parts {
                prop_assert!(batch.count() <= records && (batch.count() == 1 || batch.bytes() as u64 <= bytes));
                prop_assert!(batch.start() >= last);
                last = batch.start() + batch.count();
                seen.extend(batch.sequences());
            }
            seen.sort_unstable();
            prop_assert!(seen.into_iter().eq(0..sizes.len() as u64));
        }

        #[test]
        fn a_part_is_divided_without_loss_down_to_single_records(count in 1u8..40) {
            let mut parts = vec![part(&vec![1; count.into()])];
            let mut single = Vec::new();
            while let Some(part) = parts.pop() {
                let count = part.batch.count();
                if count == 1 {
                    single.push(part.batch.sequences()[0]);
                    continue;
                }
                let halves = part.divided(&[Span::new(0, count)]);
                prop_assert_eq!(halves.len(), 2);
                parts.extend(halves.into_iter().rev());
            }
            prop_assert!(single.into_iter().eq(0..u64::from(count)));
        }
    }

    #[test]
    fn half_of_the_memory_that_is_left_is_for_records() {
        let kib = |kib: u64| kib << 10;
        for (usual, bytes) in [(0, 64), (40, 64), (1024, 384), (15 << 10, 7 << 10), (255 << 10, 127 << 10)] {
            let bounds = in_memory(Room { most: u64::MAX, usual: kib(usual) });
            assert_eq!((bounds.bytes, bounds.records, bounds.largest), (kib(bytes), u32::MAX, u64::MAX));
        }
    }

    #[test]
    fn what_is_in_pieces_already_is_sent_in_these() {
        let pieces = part(&[1; 9]).divided(&[Span::new(0, 3), Span::new(5, 6)]);
        let pieces: Vec<_> = pieces.iter().map(|part| (part.batch.start(), part.batch.count())).collect();
        assert_eq!(pieces, [(0, 3), (5, 1)]);
    }
}
