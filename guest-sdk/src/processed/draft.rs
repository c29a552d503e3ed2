//! A column in the making, of which only what differs is said.

use super::Change;
use crate::column::{Column, ColumnBuilder};

/// A column of the records that come out. As long as nothing is set it is no column at all; it lags behind the records then, and is
/// filled with what their parents have when the next value is set.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// What is not set is absent, and not as the parent has it.
    cleared: bool,
    values: Option<ColumnBuilder>,
}

impl Draft {
    pub(super) fn clear(&mut self) {
        self.cleared = true;
    }

    /// Sets the value of the last of the records that came of these parents.
    pub(super) fn put<'a>(&mut self, parents: &[u32], kept: impl Fn() -> Option<&'a Column>, value: Option<&[u8]>) {
        let last = parents.len() - 1;
        self.truncate(last);
        self.values.get_or_insert_with(ColumnBuilder::new);
        self.fill(&parents[..last], kept);
        self.push(value);
    }

    /// Forgets the values of all records but so many.
    pub(super) fn truncate(&mut self, records: usize) {
        if let Some(values) = &mut self.values {
            values.truncate(records);
        }
    }

    pub(super) fn finish<'a>(mut self, parents: &[u32], kept: impl Fn() -> Option<&'a Column>) -> Change {
        self.fill(parents, kept);
        match self.values {
            Some(values) => Change::Set(values.finish()),
            None if self.cleared => Change::Clear,
            None => Change::Keep,
        }
    }

    fn fill<'a>(&mut self, parents: &[u32], kept: impl Fn() -> Option<&'a Column>) {
        let Some(values) = &self.values else { return };
        let lags = &parents[values.len().min(parents.len())..];
        if lags.is_empty() {
            return;
        }
        let kept = if self.cleared { None } else { kept() };
        for parent in lags {
            self.push(kept.and_then(|kept| kept.get(*parent as usize)));
        }
    }

    fn push(&mut self, value: Option<&[u8]>) {
        if let Some(values) = &mut self.values {
            assert!(values.push(value), "a column of more than 4 GiB");
        }
    }
}
