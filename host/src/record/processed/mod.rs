//! What a processor says that it made of a batch, and what the host makes of that.
//!
//! **Threat.** A processor that loses records, makes more of them than anyone has room for, or names records that are not there.
//! **Answer.** [`Processed::apply`] believes nothing before every record that came in stands in exactly one place: it is the parent of
//! at least one record that came out, or filtered, or failed. One that stands nowhere breaks the contract. How many records and bytes
//! may come out is known before one is copied.

mod breach;
mod derived;
mod selection;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::{Batch, Column, ColumnFault, ColumnParts, Failure, FailureKind, MOST_METADATA, Outcome, Span, Verdict};

pub use breach::ProcessBreach;
pub use derived::Derived;
pub use selection::Selection;

/// The longest name of a metadata column, and the longest media type, in bytes.
pub const NAME: usize = 255;

/// What a processor does to a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change {
    /// Each record that comes out has the value of the one that it came from.
    #[default]
    Keep,
    /// No record that comes out has a value.
    Clear,
    /// These are the values.
    Set(ColumnParts),
}

/// A processor's own account of a call. Nothing in it is believed before [`Processed::apply`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processed {
    /// How many records come out.
    pub count: u32,
    /// For each record that comes out the one that it came from, never falling; `None` where they are the same, one for one.
    pub parents: Option<Vec<u32>>,
    /// The entities after their change.
    pub after: Change,
    /// The entities before their change.
    pub before: Change,
    /// What identifies the entities.
    pub key: Change,
    /// [`Operation`](super::Operation) as a byte a record that comes out; `None` where unchanged.
    pub operations: Option<Vec<u8>>,
    /// Media type of the entities that it set; `None` where unchanged.
    pub content_type: Option<String>,
    /// Further columns by name; those that are not named are kept.
    pub metadata: Vec<(String, Change)>,
    /// Came in and were dropped on purpose.
    pub filtered: Vec<Span>,
    /// Came in and failed.
    pub verdicts: Vec<Verdict>,
}

/// The most that may come out of a batch; never less than went in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessBounds {
    /// Records (`limits.records-out`).
    pub records: u32,
    /// Bytes of all columns together (`limits.bytes-out`).
    pub bytes: u64,
}

/// What became of a record that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed {
    /// It goes on, changed or not, as one record or as several.
    On,
    /// It was dropped on purpose: acknowledged, never written.
    Filtered,
    /// It failed.
    Failed(Arc<Failure>),
}

/// Neighbouring records that came in and that the same became of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Which.
    pub records: Span,
    /// What became of them.
    pub passed: Passed,
}

/// What a processor said, held against a batch of so many records.
#[derive(Debug)]
struct Verified {
    count: u32,
    parents: Option<Vec<u32>>,
    after: Checked,
    before: Checked,
    key: Checked,
    operations: Option<Vec<u8>>,
    content_type: Option<Arc<str>>,
    metadata: Vec<(String, Checked)>,
    /// In order, without a gap.
    passages: Vec<Passage>,
}

/// A [`Change`] whose column is one.
#[derive(Debug)]
enum Checked {
    Keep,
    Clear,
    Set(Column),
}

impl Processed {
    /// All records go on as they came.
    pub fn unchanged(count: u32) -> Self {
        Self { count, ..Self::default() }
    }

    /// Every record failed in the same way, as where a call fails as a whole.
    pub fn failed(count: u32, failure: Failure) -> Self {
        let verdicts = vec![Verdict { records: Span::new(0, count), outcome: Outcome::Failed(failure) }];
        Self { parents: Some(Vec::new()), verdicts, ..Self::default() }
    }

    /// Holds the account against the contract, and makes of `batch` what the processor says, where it was given the records of
    /// `selection`: the others go on as they came, in their order.
    ///
    /// # Errors
    /// Where the account breaks the contract, or more comes out than `bounds` say.
    pub fn apply(
        self,
        pipeline: &str,
        batch: &Batch,
        selection: &Selection,
        bounds: ProcessBounds,
    ) -> Result<Derived, ProcessBreach> {
        let most = bounds.records.max(batch.count());
        let verified = self.verify(selection.count(batch.count()), most)?;
        derived::derive(verified, pipeline, batch, selection, bounds)
    }

    fn verify(self, count: u32, most: u32) -> Result<Verified, ProcessBreach> {
        let out = self.count;
        if out > most {
            return Err(ProcessBreach::Records { out, most });
        }
        let mut places = Vec::new();
        match &self.parents {
            None if out != count => return Err(ProcessBreach::NotOneForOne { out, count }),
            None => places.extend((count > 0).then(|| Place { records: Span::new(0, count), what: What::On })),
            Some(parents) if parents.len() != out as usize => {
                return Err(ProcessBreach::Parents { parents: parents.len(), out });
            }
            Some(parents) => follow(parents, count, &mut places)?,
        }
        let after = check("after", self.after, out)?;
        let before = check("before", self.before, out)?;
        let key = check("key", self.key, out)?;
        if let Some(operations) = &self.operations {
            if operations.len() != out as usize {
                return Err(ProcessBreach::Operations { operations: operations.len(), out });
            }
            if let Some(record) = operations.iter().position(|operation| *operation > 3) {
                return Err(ProcessBreach::Operation { operation: operations[record], record: record as u32 });
            }
        }
        if let Some(name) = self.content_type.as_ref().filter(|name| !is_named(name) || !name.is_ascii()) {
            return Err(ProcessBreach::ContentType(breach::shown(name)));
        }
        if self.metadata.len() > MOST_METADATA {
            return Err(ProcessBreach::Metadata(self.metadata.len()));
        }
        let mut metadata: Vec<(String, Checked)> = Vec::with_capacity(self.metadata.len());
        for (name, change) in self.metadata {
            if !is_named(&name) {
                return Err(ProcessBreach::Name(breach::shown(&name)));
            }
            if metadata.iter().any(|(other, _)| *other == name) {
                return Err(ProcessBreach::NamedTwice(breach::shown(&name)));
            }
            let change = check(&name, change, out)?;
            metadata.push((name, change));
        }
        places.extend(self.filtered.into_iter().map(|records| Place { records, what: What::Filtered }));
        for Verdict { records, outcome } in self.verdicts {
            let Outcome::Failed(failure) = outcome else { return Err(ProcessBreach::Verdict(records)) };
            let last = matches!(failure.kind, FailureKind::Unauthorized | FailureKind::Fatal);
            if last && records.end != count {
                return Err(ProcessBreach::NotLast { span: records, kind: failure.kind, count });
            }
            places.push(Place { records, what: What::Failed(Arc::new(failure)) });
        }
        let passages = account(places, count)?;
        Ok(Verified {
            count: out,
            parents: self.parents,
            after,
            before,
            key,
            operations: self.operations,
            content_type: self.content_type.map(Arc::from),
            metadata,
            passages,
        })
    }
}

/// Where some records stand in the account.
struct Place {
    records: Span,
    what: What,
}

enum What {
    On,
    Filtered,
    Failed(Arc<Failure>),
}

/// The records that something came of, as spans.
fn follow(parents: &[u32], count: u32, places: &mut Vec<Place>) -> Result<(), ProcessBreach> {
    let mut span: Option<Span> = None;
    for (record, parent) in parents.iter().copied().enumerate() {
        let record = record as u32;
        if parent >= count {
            return Err(ProcessBreach::Parent { record, parent, count });
        }
        match &mut span {
            Some(span) if parent + 1 < span.end => return Err(ProcessBreach::Falling { record, parent }),
            Some(span) if parent <= span.end => span.end = parent + 1,
            _ => {
                let next = Span::new(parent, parent + 1);
                places.extend(span.replace(next).map(|records| Place { records, what: What::On }));
            }
        }
    }
    places.extend(span.map(|records| Place { records, what: What::On }));
    Ok(())
}

/// Every one of `count` records stands in exactly one place.
fn account(mut places: Vec<Place>, count: u32) -> Result<Vec<Passage>, ProcessBreach> {
    for Place { records, .. } in &places {
        if records.is_empty() {
            return Err(ProcessBreach::Empty(*records));
        }
        if records.end > count {
            return Err(ProcessBreach::Outside { span: *records, count });
        }
    }
    places.sort_unstable_by_key(|place| place.records);
    let mut at = 0;
    let mut passages: Vec<Passage> = Vec::with_capacity(places.len());
    for Place { records, what } in places {
        if records.start < at {
            return Err(ProcessBreach::Twice(records.start));
        }
        if records.start > at {
            return Err(ProcessBreach::Nowhere { record: at, of: records.start - at });
        }
        at = records.end;
        let passed = match what {
            What::On => Passed::On,
            What::Filtered => Passed::Filtered,
            What::Failed(failure) => Passed::Failed(failure),
        };
        derived::push(&mut passages, Passage { records, passed });
    }
    if at < count {
        return Err(ProcessBreach::Nowhere { record: at, of: count - at });
    }
    Ok(passages)
}

fn check(name: &str, change: Change, out: u32) -> Result<Checked, ProcessBreach> {
    match change {
        Change::Keep => Ok(Checked::Keep),
        Change::Clear => Ok(Checked::Clear),
        Change::Set(parts) => match Column::from_parts(parts, out as usize) {
            Ok(column) => Ok(Checked::Set(column)),
            Err(fault) => Err(ProcessBreach::Column { name: breach::shown(name), fault }),
        },
    }
}

/// Whether a name can stand in logs, files and headers.
fn is_named(name: &str) -> bool {
    (1..=NAME).contains(&name.len()) && !name.chars().any(char::is_control)
}
