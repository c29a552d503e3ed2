//! Runs of records within a batch.

use std::ops::Range;

use crate::Record;
pub use crate::bindings::wharf::connector::types::Span;

impl Span {
    /// How many records; 0 where `end` does not lie behind `start`.
    pub fn len(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Whether no record stands in it.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

impl PartialEq for Span {
    fn eq(&self, other: &Self) -> bool {
        (self.start, self.end) == (other.start, other.end)
    }
}

impl Eq for Span {}

impl From<u32> for Span {
    fn from(record: u32) -> Self {
        Self { start: record, end: record + 1 }
    }
}

impl From<Range<u32>> for Span {
    fn from(records: Range<u32>) -> Self {
        Self { start: records.start, end: records.end }
    }
}

impl From<Record<'_>> for Span {
    fn from(record: Record<'_>) -> Self {
        record.index().into()
    }
}
