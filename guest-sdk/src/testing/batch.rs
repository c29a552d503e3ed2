//! Batches made of records, for tests.

use std::collections::BTreeSet;

use crate::{Operation, bindings::wharf::connector::types, column::ColumnBuilder};

/// One record, for a [`TestBatch`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TestRecord {
    after: Option<Vec<u8>>,
    before: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    metadata: Vec<(String, Vec<u8>)>,
    operation: Operation,
    sequence: Option<u64>,
    ordinal: u32,
}

/// A record with that value.
pub fn record(after: impl AsRef<[u8]>) -> TestRecord {
    TestRecord { after: Some(after.as_ref().into()), ..TestRecord::default() }
}

/// A record that says that an entity went away: it has no value.
pub fn deletion(key: impl AsRef<[u8]>) -> TestRecord {
    TestRecord { operation: Operation::Delete, ..TestRecord::default() }.key(key)
}

impl TestRecord {
    /// With the entity before its change.
    pub fn before(mut self, before: impl AsRef<[u8]>) -> Self {
        self.before = Some(before.as_ref().into());
        self
    }

    /// With what identifies the entity.
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Some(key.as_ref().into());
        self
    }

    /// With metadata of that name.
    pub fn meta(mut self, name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        self.metadata.push((name.into(), value.as_ref().into()));
        self
    }

    /// With what was done to the entity.
    pub fn operation(mut self, operation: Operation) -> Self {
        self.operation = operation;
        self
    }

    /// With that sequence; otherwise the one after that of the record before, from 0.
    pub fn sequence(mut self, sequence: u64) -> Self {
        self.sequence = Some(sequence);
        self
    }

    /// As one of several records that a processor made of one.
    pub fn ordinal(mut self, ordinal: u32) -> Self {
        self.ordinal = ordinal;
        self
    }
}

impl<T: AsRef<[u8]>> From<T> for TestRecord {
    fn from(after: T) -> Self {
        record(after)
    }
}

/// A batch, for tests: records, and what the host says of all of them.
#[derive(Clone, Debug)]
#[must_use]
pub struct TestBatch {
    id: String,
    partition: String,
    start: u32,
    attempt: u32,
    action: u32,
    content_types: Vec<(String, String)>,
    records: Vec<TestRecord>,
}

/// A batch of these records: values alone, or what [`record`] made.
///
/// # Panics
/// Where there is none: no host hands over an empty batch.
pub fn batch<R: Into<TestRecord>>(records: impl IntoIterator<Item = R>) -> TestBatch {
    let records: Vec<TestRecord> = records.into_iter().map(Into::into).collect();
    assert!(!records.is_empty(), "a batch has at least one record");
    TestBatch {
        id: "batch-1".into(),
        partition: "partition-0".into(),
        start: 0,
        attempt: 1,
        action: 0,
        content_types: Vec::new(),
        records,
    }
}

impl TestBatch {
    /// With the id of another cut.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// From another partition.
    pub fn partition(mut self, partition: impl Into<String>) -> Self {
        self.partition = partition.into();
        self
    }

    /// As a part of a cut that begins there.
    pub fn start(mut self, start: u32) -> Self {
        self.start = start;
        self
    }

    /// As it is sent for the second time, or the third.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// For that action of the descriptor.
    pub fn action(mut self, action: u32) -> Self {
        self.action = action;
        self
    }

    /// With the media type of `after` and `before`.
    pub fn content_type(self, content_type: impl Into<String>) -> Self {
        let content_type = content_type.into();
        self.content_type_of("after", content_type.clone()).content_type_of("before", content_type)
    }

    /// With the media type of `after`, `before` or `key`.
    pub fn content_type_of(mut self, column: impl Into<String>, content_type: impl Into<String>) -> Self {
        let column = column.into();
        self.content_types.retain(|(known, _)| *known != column);
        self.content_types.push((column, content_type.into()));
        self
    }

    /// As a host lays it out: what is pushed, and what waits to be pulled.
    pub(crate) fn lay_out(&self) -> (types::Batch, Columns) {
        let records = &self.records;
        let mut named = Vec::new();
        for (name, get) in [
            ("before", (|record| record.before.as_deref()) as fn(&TestRecord) -> Option<&[u8]>),
            ("key", |record| record.key.as_deref()),
        ] {
            if records.iter().any(|record| get(record).is_some()) {
                named.push((name.to_owned(), column(records.iter().map(get))));
            }
        }
        let names: BTreeSet<&str> = records.iter().flat_map(|record| &record.metadata).map(|(name, _)| name.as_str()).collect();
        for name in names {
            let value = |record: &'_ TestRecord| -> Option<usize> { record.metadata.iter().position(|(other, _)| other == name) };
            let values = records.iter().map(|record| value(record).map(|at| record.metadata[at].1.as_slice()));
            named.push((format!("meta/{name}"), column(values)));
        }
        let mut next = 0;
        let sequences = records.iter().map(|record| {
            let sequence = record.sequence.unwrap_or(next);
            next = sequence + 1;
            sequence
        });
        let sequences: Vec<u64> = sequences.collect();
        assert!(sequences.is_sorted(), "sequences never fall within a partition");
        let plain = |record: &TestRecord| record.operation == Operation::Create;
        let columns = Columns {
            partition: self.partition.clone(),
            sequences,
            ordinals: match records.iter().all(|record| record.ordinal == 0) {
                true => Vec::new(),
                false => records.iter().map(|record| record.ordinal).collect(),
            },
            operations: match records.iter().all(plain) {
                true => Vec::new(),
                false => records.iter().map(|record| record.operation as u8).collect(),
            },
            named,
            content_types: self.content_types.clone(),
        };
        let pushed = types::Batch {
            id: self.id.clone(),
            start: self.start,
            count: records.len() as u32,
            attempt: self.attempt,
            action: self.action,
            after: column(records.iter().map(|record| record.after.as_deref())),
        };
        (pushed, columns)
    }
}

/// What of a batch is pulled.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    pub(crate) partition: String,
    pub(crate) sequences: Vec<u64>,
    pub(crate) ordinals: Vec<u32>,
    pub(crate) operations: Vec<u8>,
    pub(crate) named: Vec<(String, types::Column)>,
    pub(crate) content_types: Vec<(String, String)>,
}

impl Columns {
    /// The media type of `after`, `before` or `key`.
    pub(crate) fn content_type(&self, column: &str) -> Option<String> {
        self.content_types.iter().find(|(known, _)| known == column).map(|(_, content_type)| content_type.clone())
    }
}

fn column<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> types::Column {
    let mut column = ColumnBuilder::new();
    for value in values {
        assert!(column.push(value), "a column holds 4 GiB at most");
    }
    column.finish()
}
