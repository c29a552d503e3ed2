//! The records in hand.

use std::cell::OnceCell;

use crate::{Column, bindings::wharf::connector::types, sys};

/// What was done to an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Operation {
    /// It came into being; also where nothing is said.
    #[default]
    Create,
    /// It changed.
    Update,
    /// It went away.
    Delete,
    /// It was there when the source first looked.
    Snapshot,
}

impl Operation {
    pub(crate) fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Update,
            2 => Self::Delete,
            3 => Self::Snapshot,
            _ => Self::Create,
        }
    }
}

/// Records of one partition, on their way to one action.
///
/// Reading it copies nothing: a [`Record`] borrows from the columns as they crossed the boundary. What a batch has beyond
/// [`Record::after`] is fetched from the host when it is first asked for, a column at a time, and kept as long as the batch.
///
/// ```
/// use wharf_sdk::Batch;
///
/// fn bytes(batch: &Batch) -> usize {
///     batch.records().filter_map(|record| record.after()).map(<[u8]>::len).sum()
/// }
/// ```
#[derive(Debug)]
pub struct Batch {
    id: String,
    start: u32,
    count: u32,
    attempt: u32,
    action: u32,
    after: Column,
    before: OnceCell<Option<Column>>,
    key: OnceCell<Option<Column>>,
    metadata: Metadata,
    operations: OnceCell<Vec<u8>>,
    sequences: OnceCell<Vec<u64>>,
    ordinals: OnceCell<Vec<u32>>,
    partition: OnceCell<String>,
}

impl Batch {
    pub(crate) fn new(batch: types::Batch) -> Self {
        let types::Batch { id, start, count, attempt, action, after } = batch;
        Self {
            id,
            start,
            count,
            attempt,
            action,
            after: Column::new(after),
            before: OnceCell::new(),
            key: OnceCell::new(),
            metadata: Metadata::default(),
            operations: OnceCell::new(),
            sequences: OnceCell::new(),
            ordinals: OnceCell::new(),
            partition: OnceCell::new(),
        }
    }

    /// Names the cut. A part of it that is sent again bears the same id with a start and a count of its own.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where this part begins in the cut; 0 for the whole of it.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// How many records; never 0.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// 1 on the first delivery, one more on each that follows.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Index into the actions of the [`Descriptor`](crate::Descriptor); 0 where there are none.
    pub fn action(&self) -> u32 {
        self.action
    }

    /// The partition that all records come from. Within it they are in order.
    pub fn partition(&self) -> &str {
        self.partition.get_or_init(sys::records::partition)
    }

    /// The records in order.
    pub fn records(&self) -> Records<'_> {
        Records { batch: self, next: 0, end: self.count }
    }

    /// The record at `index`, counted from 0.
    pub fn get(&self, index: u32) -> Option<Record<'_>> {
        (index < self.count).then_some(Record { batch: self, index })
    }

    /// Each entity after its change, or the whole record.
    pub fn after(&self) -> &Column {
        &self.after
    }

    /// Each entity before its change, where the source tells.
    pub fn before(&self) -> Option<&Column> {
        self.before.get_or_init(|| pull("before")).as_ref()
    }

    /// What identifies each entity, where the source tells.
    pub fn key(&self) -> Option<&Column> {
        self.key.get_or_init(|| pull("key")).as_ref()
    }

    /// The metadata column of that name, where the batch has one.
    pub fn meta(&self, name: &str) -> Option<&Column> {
        self.metadata.get(name)
    }

    /// Names of the metadata columns that the batch has.
    pub fn meta_names(&self) -> impl Iterator<Item = &str> {
        let names = self.metadata.names.get_or_init(|| {
            let names = sys::records::names().into_iter();
            names.filter_map(|name| name.strip_prefix("meta/").map(str::to_owned)).collect()
        });
        names.iter().map(String::as_str)
    }

    /// Media type of `after`, `before` or `key`, such as `application/json`. Asked of the host each time.
    pub fn content_type(&self, column: &str) -> Option<String> {
        sys::records::content_type(column)
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = Record<'a>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.records()
    }
}

fn pull(name: &str) -> Option<Column> {
    sys::records::get(name).map(Column::new)
}

/// The metadata columns that were asked for, each fetched once. A list whose links are set once lends out what it holds
/// while it grows.
#[derive(Debug, Default)]
struct Metadata {
    names: OnceCell<Vec<String>>,
    first: Link,
}

type Link = OnceCell<Box<Named>>;

#[derive(Debug)]
struct Named {
    name: String,
    column: Option<Column>,
    next: Link,
}

impl Metadata {
    fn get(&self, name: &str) -> Option<&Column> {
        let mut link = &self.first;
        loop {
            let named = link.get_or_init(|| {
                Box::new(Named { name: name.to_owned(), column: pull(&format!("meta/{name}")), next: OnceCell::new() })
            });
            if named.name == name {
                return named.column.as_ref();
            }
            link = &named.next;
        }
    }
}

/// The records of a [`Batch`], in order.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    batch: &'a Batch,
    next: u32,
    end: u32,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        (self.next < self.end).then(|| {
            self.next += 1;
            Record { batch: self.batch, index: self.next - 1 }
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.end - self.next) as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Records<'_> {}

/// One record of a [`Batch`]: a place to look from, as cheap to copy as a reference.
///
/// Absent is not empty: `None` where the record has no such value, `Some(&[])` where the value has no bytes.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    batch: &'a Batch,
    index: u32,
}

impl<'a> Record<'a> {
    /// Where it stands in the batch, counted from 0: what a receipt calls it.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The entity after its change, or the whole record; `None` where it was deleted.
    pub fn after(&self) -> Option<&'a [u8]> {
        self.batch.after.get(self.at())
    }

    /// The entity before its change, where the source tells.
    pub fn before(&self) -> Option<&'a [u8]> {
        self.batch.before()?.get(self.at())
    }

    /// What identifies the entity, where the source tells.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.batch.key()?.get(self.at())
    }

    /// The metadata of that name, where the record has it.
    pub fn meta(&self, name: &str) -> Option<&'a [u8]> {
        self.batch.meta(name)?.get(self.at())
    }

    /// What was done to the entity.
    pub fn operation(&self) -> Operation {
        let operations = self.batch.operations.get_or_init(sys::records::operations);
        operations.get(self.at()).copied().map_or(Operation::Create, Operation::from_byte)
    }

    /// Never falls within the partition, and is the same on every delivery.
    pub fn sequence(&self) -> u64 {
        let sequences = self.batch.sequences.get_or_init(sys::records::sequences);
        sequences.get(self.at()).copied().unwrap_or_default()
    }

    /// Which of several records that a processor made of one, from 0. With pipeline, partition and sequence it makes the record's key
    /// on every delivery.
    pub fn ordinal(&self) -> u32 {
        let ordinals = self.batch.ordinals.get_or_init(sys::records::ordinals);
        ordinals.get(self.at()).copied().unwrap_or_default()
    }

    fn at(&self) -> usize {
        self.index as usize
    }
}
