//! What a processor made of a batch, held to the contract as the host holds it.

use std::{collections::BTreeMap, fmt};

use super::Columns;
use crate::{
    Column, Failure, FailureKind, Operation, Span,
    bindings::wharf::connector::types,
    processed::{Change, Parts},
};

/// How an answer breaks the contract. The host believes nothing of it then.
///
/// The SDK builds no such answer but where a name or a media type is none, or there are more metadata columns than a batch may have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessBreach {
    /// A span that holds no record, or leaves the batch.
    Span(Span),
    /// A record in two places.
    Twice(u32),
    /// A record that nothing was said of.
    Nowhere(u32),
    /// `unauthorized` or `fatal` for records that others come after.
    NotLast(Span),
    /// A verdict that is not `failed`.
    Verdict(Span),
    /// Parents that are not one a record, in order, each of the batch.
    Parents,
    /// A column that has not one value a record; which.
    Column(String),
    /// The name of a metadata column, or a media type, that is none.
    Name(String),
    /// More than 64 metadata columns.
    Metadata(usize),
}

impl fmt::Display for ProcessBreach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Span(Span { start, end }) => write!(f, "the span {start}..{end} holds no record of the batch"),
            Self::Twice(record) => write!(f, "record {record} stands in two places"),
            Self::Nowhere(record) => write!(f, "nothing came of record {record}, and it was neither dropped nor failed"),
            Self::NotLast(Span { start, end }) => {
                write!(f, "unauthorized or fatal is for one last span that reaches to the end, not for {start}..{end}")
            }
            Self::Verdict(Span { start, end }) => write!(f, "the verdict on {start}..{end} is not `failed`"),
            Self::Parents => f.write_str("the parents are not one a record, in order, each of the batch"),
            Self::Column(name) => write!(f, "the column {name} has not one value a record"),
            Self::Name(name) => write!(f, "{name:?} is no name: 1 to 255 bytes without control characters are due"),
            Self::Metadata(columns) => write!(f, "{columns} metadata columns; 64 are the most"),
        }
    }
}

impl std::error::Error for ProcessBreach {}

/// A record that came out of a processor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestOutput {
    /// The record that it came of.
    pub parent: u32,
    /// Its value; `None` is absent, which is not the same as empty.
    pub after: Option<Vec<u8>>,
    /// Its value before its change.
    pub before: Option<Vec<u8>>,
    /// What identifies the entity.
    pub key: Option<Vec<u8>>,
    /// What was done to the entity.
    pub operation: Operation,
    /// The metadata that it has.
    pub metadata: BTreeMap<String, Vec<u8>>,
}

/// What a processor made of a batch.
#[derive(Clone, Debug)]
pub struct Processing {
    outputs: Vec<TestOutput>,
    content_type: Option<String>,
    filtered: Vec<u32>,
    failed: Vec<(u32, Failure)>,
    failure: Option<Failure>,
}

impl Processing {
    pub(super) fn new(
        count: u32,
        after: types::Column,
        columns: &Columns,
        answer: Result<Parts, types::Failure>,
    ) -> Result<Self, ProcessBreach> {
        let parts = match answer {
            Ok(parts) => parts,
            Err(failure) => {
                let failure = Failure::from(failure);
                let failed = (0..count).map(|record| (record, failure.clone())).collect();
                let failure = Some(failure);
                return Ok(Self { outputs: Vec::new(), content_type: None, filtered: Vec::new(), failed, failure });
            }
        };
        let parents = parts.parents.unwrap_or_else(|| (0..count).collect());
        let out = parents.len();
        if out != parts.count as usize || !parents.is_sorted() || parents.iter().any(|parent| *parent >= count) {
            return Err(ProcessBreach::Parents);
        }
        let (filtered, failed) = account(count, &parents, &parts.filtered, parts.verdicts)?;
        let named = |name: &str| (1..=255).contains(&name.len()) && !name.chars().any(char::is_control);
        if let Some(name) = parts.content_type.iter().chain(parts.metadata.iter().map(|(name, _)| name)).find(|name| !named(name))
        {
            return Err(ProcessBreach::Name(name.clone()));
        }

        let kept =
            |name: &str| columns.named.iter().find(|(other, _)| other == name).map(|(_, column)| Column::new(column.clone()));
        let after = Lane::new("after", Some(Column::new(after)), parts.after, out)?;
        let before = Lane::new("before", kept("before"), parts.before, out)?;
        let key = Lane::new("key", kept("key"), parts.key, out)?;
        let mut metadata: BTreeMap<String, Lane> = BTreeMap::new();
        for (name, column) in &columns.named {
            if let Some(name) = name.strip_prefix("meta/") {
                metadata.insert(name.to_owned(), Lane { kept: Some(Column::new(column.clone())), set: None });
            }
        }
        for (name, change) in parts.metadata {
            let lane = Lane::new(&name, kept(&format!("meta/{name}")), change, out)?;
            metadata.insert(name, lane);
        }
        let columns_out = metadata.values().filter(|lane| lane.kept.is_some() || lane.set.is_some()).count();
        if columns_out > 64 {
            return Err(ProcessBreach::Metadata(columns_out));
        }
        if parts.operations.as_ref().is_some_and(|operations| operations.len() != out) {
            return Err(ProcessBreach::Column("operations".into()));
        }
        let operation = |output: usize, parent: u32| {
            let known = parts.operations.as_ref().map_or_else(|| columns.operations.get(parent as usize), |set| set.get(output));
            Operation::from_byte(known.copied().unwrap_or_default())
        };
        let outputs = parents.iter().enumerate().map(|(output, parent)| TestOutput {
            parent: *parent,
            after: after.get(output, *parent),
            before: before.get(output, *parent),
            key: key.get(output, *parent),
            operation: operation(output, *parent),
            metadata: metadata.iter().filter_map(|(name, lane)| Some((name.clone(), lane.get(output, *parent)?))).collect(),
        });
        let outputs = outputs.collect();
        let content_type = parts.content_type.or_else(|| columns.content_type("after"));
        Ok(Self { outputs, content_type, filtered, failed, failure: None })
    }

    /// The records that came out, in order.
    pub fn outputs(&self) -> &[TestOutput] {
        &self.outputs
    }

    /// The values of the records that came out, as text; `-` where there is none.
    pub fn texts(&self) -> Vec<String> {
        let text = |output: &TestOutput| match &output.after {
            Some(after) => String::from_utf8_lossy(after).into_owned(),
            None => "-".to_owned(),
        };
        self.outputs.iter().map(text).collect()
    }

    /// Media type of the values that came out, where one is known.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The records that were dropped on purpose, in order.
    pub fn filtered(&self) -> &[u32] {
        &self.filtered
    }

    /// The records that failed, in order, each with why.
    pub fn failed(&self) -> &[(u32, Failure)] {
        &self.failed
    }

    /// The failure of the call as a whole.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// These records were dropped on purpose, and no other.
    #[track_caller]
    pub fn assert_filtered(&self, records: impl IntoIterator<Item = u32>) -> &Self {
        let records: Vec<u32> = records.into_iter().collect();
        assert_eq!(self.filtered, records, "the records that were dropped");
        self
    }

    /// This record failed in that way, with these words in its message.
    #[track_caller]
    pub fn assert_failed(&self, record: u32, kind: FailureKind, words: &str) -> &Self {
        let failure = self.failed.iter().find(|(failed, _)| *failed == record).map(|(_, failure)| failure);
        let as_expected = |failure: &Failure| failure.kind() == kind && failure.message().contains(words);
        assert!(failure.is_some_and(as_expected), "record {record} should have failed, {kind}: {words}; it has {failure:?}");
        self
    }
}

/// A column of what came out.
struct Lane {
    /// As it came in; `None` also where it was cleared.
    kept: Option<Column>,
    set: Option<Column>,
}

impl Lane {
    fn new(name: &str, kept: Option<Column>, change: Change, out: usize) -> Result<Self, ProcessBreach> {
        match change {
            Change::Keep => Ok(Self { kept, set: None }),
            Change::Clear => Ok(Self { kept: None, set: None }),
            Change::Set(column) => {
                let column = Column::new(column);
                match column.len() == out {
                    true => Ok(Self { kept: None, set: Some(column) }),
                    false => Err(ProcessBreach::Column(name.to_owned())),
                }
            }
        }
    }

    fn get(&self, output: usize, parent: u32) -> Option<Vec<u8>> {
        let value = match &self.set {
            Some(set) => set.get(output),
            None => self.kept.as_ref()?.get(parent as usize),
        };
        value.map(<[u8]>::to_vec)
    }
}

/// What was dropped and what failed, where every record stands in exactly one place.
#[allow(clippy::type_complexity, reason = "two lists")]
fn account(
    count: u32,
    parents: &[u32],
    filtered: &[Span],
    verdicts: Vec<types::Verdict>,
) -> Result<(Vec<u32>, Vec<(u32, Failure)>), ProcessBreach> {
    let mut seen = vec![false; count as usize];
    for parent in parents {
        seen[*parent as usize] = true;
    }
    let mut mark = |span: Span| {
        if span.is_empty() || span.end > count {
            return Err(ProcessBreach::Span(span));
        }
        let twice = (span.start..span.end).find(|record| std::mem::replace(&mut seen[*record as usize], true));
        twice.map_or(Ok(()), |record| Err(ProcessBreach::Twice(record)))
    };
    let mut dropped = Vec::new();
    for span in filtered {
        mark(*span)?;
        dropped.extend(span.start..span.end);
    }
    let mut failed = Vec::new();
    for types::Verdict { records, outcome } in verdicts {
        mark(records)?;
        let types::Outcome::Failed(failure) = outcome else { return Err(ProcessBreach::Verdict(records)) };
        let failure = Failure::from(failure);
        if failure.kind().ends_the_batch() && records.end != count {
            return Err(ProcessBreach::NotLast(records));
        }
        failed.extend((records.start..records.end).map(|record| (record, failure.clone())));
    }
    match seen.iter().position(|seen| !seen) {
        Some(record) => Err(ProcessBreach::Nowhere(record as u32)),
        None => Ok((dropped, failed)),
    }
}
