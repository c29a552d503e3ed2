//! Runs of records within a batch.

use std::{fmt, ops::Range};

/// The records `start .. end`, counted from 0; `end` is not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first.
    pub start: u32,
    /// The one after the last.
    pub end: u32,
}

impl Span {
    /// `start .. end`.
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// How many records; 0 where `end` does not lie behind `start`.
    pub const fn len(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Whether no record stands in it.
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// As indices into a slice.
    pub const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

impl FromIterator<Span> for SpanSet {
    /// Fast where they come in order.
    fn from_iter<I: IntoIterator<Item = Span>>(spans: I) -> Self {
        let mut set = Self::default();
        spans.into_iter().for_each(|span| set.insert(span));
        set
    }
}

/// A set of records, kept as spans that neither touch nor overlap, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanSet(Vec<Span>);

impl SpanSet {
    /// Adds the records of a span; those that are in already stay in.
    pub fn insert(&mut self, span: Span) {
        if span.is_empty() {
            return;
        }
        let first = self.0.partition_point(|kept| kept.end < span.start);
        let past = self.0.partition_point(|kept| kept.start <= span.end);
        let mut merged = span;
        if first < past {
            merged.start = merged.start.min(self.0[first].start);
            merged.end = merged.end.max(self.0[past - 1].end);
        }
        self.0.splice(first..past, [merged]);
    }

    /// Whether the record is in.
    pub fn contains(&self, record: u32) -> bool {
        let at = self.0.partition_point(|kept| kept.end <= record);
        self.0.get(at).is_some_and(|kept| kept.start <= record)
    }

    /// Whether any of the records is in.
    pub fn intersects(&self, span: Span) -> bool {
        self.first_of(span).is_some()
    }

    /// The first of the records that is in.
    pub fn first_of(&self, span: Span) -> Option<u32> {
        let at = self.0.partition_point(|kept| kept.end <= span.start);
        let first = self.0.get(at)?.start.max(span.start);
        (first < span.end).then_some(first)
    }

    /// The first of the records that is not in.
    pub fn first_not_of(&self, span: Span) -> Option<u32> {
        if span.is_empty() {
            return None;
        }
        let at = self.0.partition_point(|kept| kept.end <= span.start);
        match self.0.get(at) {
            Some(kept) if kept.start <= span.start => (kept.end < span.end).then_some(kept.end),
            _ => Some(span.start),
        }
    }

    /// The spans, in order.
    pub fn iter(&self) -> impl Iterator<Item = Span> + '_ {
        self.0.iter().copied()
    }

    /// What of `0 .. count` is not in, in order.
    pub fn gaps(&self, count: u32) -> Vec<Span> {
        let mut gaps = Vec::new();
        let mut at = 0;
        for span in self.iter() {
            if at < span.start.min(count) {
                gaps.push(Span::new(at, span.start.min(count)));
            }
            at = at.max(span.end);
        }
        if at < count {
            gaps.push(Span::new(at, count));
        }
        gaps
    }

    /// How many spans it takes to say it.
    pub fn spans(&self) -> usize {
        self.0.len()
    }

    /// How many records are in.
    pub fn records(&self) -> u64 {
        self.0.iter().map(|span| u64::from(span.len())).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_span_set_holds_what_a_set_of_records_would(spans in prop::collection::vec((0u32..60, 0u32..12), 0..30)) {
            let mut set = SpanSet::default();
            let mut records = BTreeSet::new();
            for (start, len) in spans {
                set.insert(Span::new(start, start + len));
                records.extend(start..start + len);
            }
            for record in 0..80 {
                prop_assert_eq!(set.contains(record), records.contains(&record));
                let span = Span::new(record, record + 3);
                prop_assert_eq!(set.first_of(span), (record..record + 3).find(|r| records.contains(r)));
                prop_assert_eq!(set.intersects(span), set.first_of(span).is_some());
                prop_assert_eq!(set.first_not_of(span), (record..record + 3).find(|r| !records.contains(r)));
            }
            prop_assert_eq!(set.records(), records.len() as u64);
            let gaps: Vec<u32> = set.gaps(70).into_iter().flat_map(|gap| gap.start..gap.end).collect();
            prop_assert_eq!(gaps, (0..70).filter(|r| !records.contains(r)).collect::<Vec<_>>());
            prop_assert!(set.0.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
