//! Batches in the making.

use std::sync::Arc;

use thiserror::Error;

use super::{
    Batch, ColumnBuilder, ColumnFull, ContentTypes, Operation,
    batch::{MOST_METADATA, Made},
};

/// Bytes that a value's place takes in a column, absent or not.
const PLACE: usize = 4;

/// A value and its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// The value.
    pub bytes: &'a [u8],
    /// Such as `application/json`; `None` where nothing is known.
    pub content_type: Option<&'a str>,
}

/// A record to be added, but for its metadata. What is `None` is absent, which is not the same as empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'a> {
    /// Must not be below that of the record before.
    pub sequence: u64,
    /// Which of several records that a processor made of one.
    pub ordinal: u32,
    /// What was done to the entity.
    pub operation: Operation,
    /// The entity after its change.
    pub after: Option<Value<'a>>,
    /// The entity before its change.
    pub before: Option<Value<'a>>,
    /// What identifies the entity.
    pub key: Option<Value<'a>>,
}

/// Why a record does not go into a batch. Into an empty one it goes, unless it is too large by itself or has too many names.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NoRoom {
    /// A column is full.
    #[error(transparent)]
    Full(#[from] ColumnFull),
    /// With it the batch would have more than [`MOST_METADATA`] columns of metadata.
    #[error("more than {MOST_METADATA} names of metadata")]
    Names,
    /// A column of the batch has another media type.
    #[error("another media type")]
    ContentType,
}

/// How large a batch is, column by column: about what the one after it will be.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    records: usize,
    /// Bytes of `after`, `before` and `key`.
    lanes: [usize; 3],
    metadata: Vec<(Arc<str>, usize)>,
}

/// Builds a [`Batch`] record by record; its buffers grow, nothing is allocated per record.
#[derive(Debug)]
pub struct BatchBuilder {
    sequences: Vec<u64>,
    /// These two reach as far as the last record that needs them, as columns other than `after` do.
    ordinals: Vec<u32>,
    operations: Vec<u8>,
    after: Lane,
    before: Option<Lane>,
    key: Option<Lane>,
    metadata: Vec<(Arc<str>, ColumnBuilder)>,
    /// Of all columns, and of the names of metadata.
    bytes: usize,
    likely: Shape,
}

/// A column of one media type.
#[derive(Debug)]
struct Lane {
    values: ColumnBuilder,
    content_type: Option<Arc<str>>,
    /// Whether a value is there that the media type is of.
    decided: bool,
}

impl BatchBuilder {
    /// With room for so many records and so many bytes of them. `keyed` batches have a key column, though it may be of absent ones.
    /// `content_type` is that of entities which are added with none of their own.
    pub fn with_capacity(records: usize, bytes: usize, keyed: bool, content_type: Option<Arc<str>>) -> Self {
        Self::like(Shape { records, lanes: [bytes, 0, 0], metadata: Vec::new() }, keyed, content_type)
    }

    /// With room for a batch of that shape and an eighth more, otherwise as [`BatchBuilder::with_capacity`].
    pub fn like(mut likely: Shape, keyed: bool, content_type: Option<Arc<str>>) -> Self {
        let columns = likely.metadata.iter_mut().map(|(_, bytes)| bytes);
        for size in std::iter::once(&mut likely.records).chain(&mut likely.lanes).chain(columns) {
            *size += *size / 8;
        }
        let Shape { records, lanes: [after, _, key], .. } = likely;
        Self {
            sequences: Vec::with_capacity(records),
            ordinals: Vec::new(),
            operations: Vec::new(),
            after: Lane { content_type, ..Lane::with_capacity(records, after) },
            before: None,
            key: keyed.then(|| Lane::with_capacity(records, key)),
            metadata: Vec::new(),
            bytes: 0,
            likely,
        }
    }

    /// How many records so far.
    pub fn len(&self) -> usize {
        self.sequences.len()
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Bytes of all records so far, and what their metadata takes beside the values: the names, and four bytes a record for each of them,
    /// so that many small records with many names do not fill the memory.
    pub fn bytes(&self) -> usize {
        self.bytes + PLACE * self.metadata.len() * self.len()
    }

    /// How large it is by now.
    pub fn shape(&self) -> Shape {
        let bytes = |lane: &Option<Lane>| lane.as_ref().map_or(0, |lane| lane.values.bytes());
        Shape {
            records: self.len(),
            lanes: [self.after.values.bytes(), bytes(&self.before), bytes(&self.key)],
            metadata: self.metadata.iter().map(|(name, values)| (name.clone(), values.bytes())).collect(),
        }
    }

    /// Adds a record, a create of no more than an entity, which `after` appends to the buffer, and a key. `sequence` must not be below
    /// that of the record before. The key counts only where the batch is keyed; `None` is an absent one. A record that finds no room
    /// leaves the batch as it was.
    pub fn push_with<R>(
        &mut self,
        sequence: u64,
        key: Option<&[u8]>,
        after: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Result<(), ColumnFull> {
        let len = self.len();
        let before = self.after.values.bytes();
        self.after.values.push_with(after)?;
        if let Some(lane) = &mut self.key
            && let Err(full) = lane.values.pad(len).and_then(|()| lane.values.add(key))
        {
            self.after.values.pop();
            return Err(full);
        }
        self.after.decided = true;
        self.bytes += self.after.values.bytes() - before + self.key.as_ref().and(key).map_or(0, <[u8]>::len);
        self.sequences.push(sequence);
        Ok(())
    }

    /// Adds a record, as [`BatchBuilder::push_with`] does.
    pub fn push(&mut self, sequence: u64, key: Option<&[u8]>, after: &[u8]) -> Result<(), ColumnFull> {
        self.push_with(sequence, key, |data| data.extend_from_slice(after))
    }

    /// Whether a batch of its media types and names takes such a record. An empty batch takes any that some batch does.
    pub fn takes<'m>(&self, record: &NewRecord<'_>, metadata: impl Iterator<Item = (&'m str, &'m [u8])>) -> bool {
        let unknown = metadata.enumerate().filter(|(at, (name, _))| place(&self.metadata, name, *at).is_none()).count();
        self.is_empty() || self.has_types_of(record) && self.metadata.len() + unknown <= MOST_METADATA
    }

    fn has_types_of(&self, record: &NewRecord<'_>) -> bool {
        let lanes = [(Some(&self.after), record.after), (self.before.as_ref(), record.before), (self.key.as_ref(), record.key)];
        lanes.into_iter().all(|(lane, value)| lane.zip(value).is_none_or(|(lane, value)| lane.takes(value)))
    }

    /// Adds a record with all that it has. A name of metadata that comes twice counts with its last value. A record that finds no room
    /// leaves the batch as it was.
    pub fn push_record<'m>(
        &mut self,
        record: &NewRecord<'_>,
        metadata: impl IntoIterator<Item = (&'m str, &'m [u8])>,
    ) -> Result<(), NoRoom> {
        if !self.has_types_of(record) {
            return Err(NoRoom::ContentType);
        }
        let (bytes, columns) = (self.bytes, self.metadata.len());
        if let Err(no_room) = self.push_values(record, metadata) {
            let len = self.len();
            let lanes = [Some(&mut self.after), self.before.as_mut(), self.key.as_mut()];
            let columns_ = lanes.into_iter().flatten().map(|lane| &mut lane.values);
            self.metadata.truncate(columns);
            for values in columns_.chain(self.metadata.iter_mut().map(|(_, values)| values)) {
                if values.len() > len {
                    values.pop();
                }
            }
            self.bytes = bytes;
            return Err(no_room);
        }
        let lanes =
            [(Some(&mut self.after), record.after), (self.before.as_mut(), record.before), (self.key.as_mut(), record.key)];
        for (lane, value) in lanes {
            if let Some((lane, value)) = lane.zip(value) {
                lane.decide(value);
            }
        }
        self.sequences.push(record.sequence);
        let (before, room) = (self.sequences.len() - 1, self.sequences.capacity());
        if record.ordinal != 0 {
            self.ordinals.reserve(room - self.ordinals.len());
            self.ordinals.resize(before, 0);
            self.ordinals.push(record.ordinal);
        }
        if record.operation != Operation::Create {
            self.operations.reserve(room - self.operations.len());
            self.operations.resize(before, 0);
            self.operations.push(record.operation as u8);
        }
        Ok(())
    }

    /// Adds the record's values, or some of them.
    fn push_values<'m>(
        &mut self,
        record: &NewRecord<'_>,
        metadata: impl IntoIterator<Item = (&'m str, &'m [u8])>,
    ) -> Result<(), NoRoom> {
        let (len, records) = (self.len(), self.likely.records);
        let value = |value: Option<Value<'_>>| value.map_or(0, |value| value.bytes.len());
        self.after.values.add(record.after.map(|value| value.bytes))?;
        let [_, before, key] = self.likely.lanes;
        for (lane, given, bytes) in [(&mut self.before, record.before, before), (&mut self.key, record.key, key)] {
            if let Some(given) = given {
                let lane = lane.get_or_insert_with(|| Lane::with_capacity(records, bytes));
                lane.values.pad(len)?;
                lane.values.push(given.bytes)?;
            }
        }
        self.bytes += value(record.after) + value(record.before) + value(record.key);
        for (at, (name, value)) in metadata.into_iter().enumerate() {
            let at = match place(&self.metadata, name, at) {
                Some(at) => at,
                None if self.metadata.len() == MOST_METADATA => return Err(NoRoom::Names),
                None => {
                    let likely = place(&self.likely.metadata, name, at).map(|at| self.likely.metadata[at].clone());
                    let (name, bytes) = likely.unwrap_or_else(|| (name.into(), 0));
                    self.bytes += name.len();
                    self.metadata.push((name, ColumnBuilder::with_capacity(records, bytes)));
                    self.metadata.len() - 1
                }
            };
            let values = &mut self.metadata[at].1;
            let before = values.bytes();
            if values.len() > len {
                values.pop();
            }
            values.pad(len)?;
            values.push(value)?;
            self.bytes = self.bytes + values.bytes() - before;
        }
        Ok(())
    }

    /// The batch, cut here: its id is a digest of `pipeline`, `partition`, the sequences and the ordinals.
    pub fn finish(mut self, pipeline: &str, partition: Arc<str>) -> Batch {
        let len = self.len();
        if !self.ordinals.is_empty() {
            self.ordinals.resize(len, 0);
        }
        if !self.operations.is_empty() {
            self.operations.resize(len, 0);
        }
        let padded = |mut values: ColumnBuilder| {
            // What is absent takes no bytes, and so no more room.
            values.pad(len).ok();
            values.finish()
        };
        let content_types = ContentTypes {
            after: self.after.content_type,
            before: self.before.as_ref().and_then(|lane| lane.content_type.clone()),
            key: self.key.as_ref().and_then(|lane| lane.content_type.clone()),
        };
        let made = Made {
            sequences: self.sequences,
            ordinals: self.ordinals,
            operations: self.operations,
            after: padded(self.after.values),
            before: self.before.map(|lane| padded(lane.values)),
            key: self.key.map(|lane| padded(lane.values)),
            metadata: self.metadata.into_iter().map(|(name, values)| (name, padded(values))).collect(),
            content_types,
        };
        made.cut(pipeline, partition)
    }
}

/// Where the name is, which is most often where it was in the record before.
fn place<T>(columns: &[(Arc<str>, T)], name: &str, likely: usize) -> Option<usize> {
    let is = |at: &usize| columns.get(*at).is_some_and(|(known, _)| **known == *name);
    Some(likely).filter(is).or_else(|| (0..columns.len()).find(is))
}

impl Lane {
    fn with_capacity(records: usize, bytes: usize) -> Self {
        Self { values: ColumnBuilder::with_capacity(records, bytes), content_type: None, decided: false }
    }

    fn takes(&self, value: Value<'_>) -> bool {
        !self.decided || self.content_type.as_deref() == value.content_type
    }

    fn decide(&mut self, value: Value<'_>) {
        if !self.decided && self.content_type.as_deref() != value.content_type {
            self.content_type = value.content_type.map(Arc::from);
        }
        self.decided = true;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    struct Given {
        operation: Operation,
        ordinal: u32,
        values: [Option<Vec<u8>>; 3],
        json: [bool; 3],
        metadata: Vec<(String, Vec<u8>)>,
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..5)
    }

    fn given() -> impl Strategy<Value = Given> {
        let operation = prop::sample::select(vec![Operation::Create, Operation::Update, Operation::Delete, Operation::Snapshot]);
        let value = || prop::option::of(bytes());
        let name = (0usize..90).prop_map(|name| format!("name-{name}"));
        let metadata = prop::collection::vec((name, bytes()), 0..12);
        (operation, 0u32..3, [value(), value(), value()], prop::array::uniform3(prop::bool::weighted(0.9)), metadata)
            .prop_map(|(operation, ordinal, values, json, metadata)| Given { operation, ordinal, values, json, metadata })
    }

    fn content_type(json: bool) -> Option<&'static str> {
        Some(if json { "application/json" } else { "application/octet-stream" })
    }

    fn push(builder: &mut BatchBuilder, sequence: u64, given: &Given) -> Result<(), NoRoom> {
        let value = |at: usize| {
            let content_type = content_type(given.json[at]);
            given.values[at].as_deref().map(|bytes| Value { bytes, content_type })
        };
        let Given { operation, ordinal, .. } = *given;
        let record = NewRecord { sequence, ordinal, operation, after: value(0), before: value(1), key: value(2) };
        builder.push_record(&record, given.metadata.iter().map(|(name, value)| (name.as_str(), value.as_slice())))
    }

    fn check(batch: &Batch, expected: &[&Given]) {
        assert_eq!(batch.count() as usize, expected.len());
        let names: Vec<&str> = batch.metadata().iter().map(|(name, _)| &**name).collect();
        let known: std::collections::BTreeSet<&str> =
            expected.iter().flat_map(|given| &given.metadata).map(|(name, _)| &**name).collect();
        assert!(names.len() <= MOST_METADATA && names.len() == known.len(), "{names:?}");
        for (at, given) in expected.iter().enumerate() {
            let columns = [(Some(batch.after()), "after"), (batch.before(), "before"), (batch.key(), "key")];
            for (index, (column, name)) in columns.into_iter().enumerate() {
                let value = given.values[index].as_deref();
                assert_eq!(column.and_then(|column| column.get(at)), value, "{name} of {at}");
                if value.is_some() {
                    assert_eq!(batch.content_types().get(name), content_type(given.json[index]), "{name} of {at}");
                }
            }
            assert_eq!(batch.operation(at as u32), given.operation);
            assert_eq!(batch.ordinals().get(at).copied().unwrap_or_default(), given.ordinal);
            let metadata: BTreeMap<&str, &[u8]> = given.metadata.iter().map(|(name, value)| (&**name, &**value)).collect();
            for name in &names {
                assert_eq!(batch.meta(name).unwrap().get(at), metadata.get(name).copied(), "{name} of {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn records_come_out_as_they_went_in_whatever_ends_a_batch(records in prop::collection::vec(given(), 1..40)) {
            let mut builder = BatchBuilder::with_capacity(0, 0, false, None);
            let mut within: Vec<&Given> = Vec::new();
            for (sequence, given) in (0..).zip(&records) {
                if let Err(reason) = push(&mut builder, sequence, given) {
                    prop_assert_ne!(reason, NoRoom::Full(ColumnFull));
                    prop_assert!(!within.is_empty(), "an empty batch takes it");
                    let shape = builder.shape();
                    let size = builder.bytes();
                    let batch = std::mem::replace(&mut builder, BatchBuilder::like(shape, false, None)).finish("p", "a".into());
                    let names: usize = batch.metadata().iter().map(|(name, _)| name.len()).sum();
                    let places = PLACE * batch.metadata().len() * batch.count() as usize;
                    prop_assert_eq!(size, batch.bytes() + names + places);
                    check(&batch, &within);
                    within.clear();
                    prop_assert_eq!(push(&mut builder, sequence, given), Ok(()));
                }
                within.push(given);
            }
            check(&builder.finish("p", "a".into()), &within);
        }
    }

    #[test]
    fn the_sixty_fifth_name_ends_the_batch_and_alone_it_fits_nowhere() {
        let names: Vec<String> = (0..=MOST_METADATA).map(|name| name.to_string()).collect();
        let push = |builder: &mut BatchBuilder, names: &[String]| {
            builder.push_record(&NewRecord::default(), names.iter().map(|name| (name.as_str(), &b"v"[..])))
        };
        let mut builder = BatchBuilder::with_capacity(0, 0, true, None);
        assert_eq!(push(&mut builder, &names[..60]), Ok(()));
        assert_eq!(push(&mut builder, &names[..MOST_METADATA]), Ok(()));
        assert_eq!(push(&mut builder, &names[60..]), Err(NoRoom::Names));
        assert_eq!(push(&mut builder, &names[10..20]), Ok(()));
        let batch = builder.finish("p", "a".into());
        assert_eq!((batch.count(), batch.metadata().len()), (3, MOST_METADATA));
        assert_eq!(batch.key().unwrap().iter().collect::<Vec<_>>(), [None; 3]);
        let sixtieth: Vec<_> = batch.meta("60").unwrap().iter().collect();
        assert_eq!(sixtieth, [None, Some(&b"v"[..]), None]);

        let mut empty = BatchBuilder::with_capacity(0, 0, false, None);
        assert_eq!(push(&mut empty, &names), Err(NoRoom::Names));
        assert!(empty.is_empty() && empty.bytes() == 0 && empty.finish("p", "a".into()).metadata().is_empty());
    }

    #[test]
    fn a_record_that_is_only_an_entity_stands_beside_those_that_have_more() {
        let mut builder = BatchBuilder::with_capacity(0, 0, true, Some("application/json".into()));
        builder.push(1, Some(b"k"), b"{}").unwrap();
        let json = |bytes| Value { bytes, content_type: Some("application/json") };
        let record = NewRecord { sequence: 2, operation: Operation::Delete, before: Some(json(b"1")), ..NewRecord::default() };
        builder.push_record(&record, [("m", &b""[..])]).unwrap();
        builder.push(3, None, b"3").unwrap();
        let batch = builder.finish("p", "a".into());
        assert_eq!(batch.operations(), [0, 2, 0]);
        assert_eq!(batch.after().iter().collect::<Vec<_>>(), [Some(&b"{}"[..]), None, Some(b"3")]);
        assert_eq!(batch.before().unwrap().iter().collect::<Vec<_>>(), [None, Some(&b"1"[..]), None]);
        assert_eq!(batch.key().unwrap().iter().collect::<Vec<_>>(), [Some(&b"k"[..]), None, None]);
        assert_eq!(batch.meta("m").unwrap().iter().collect::<Vec<_>>(), [None, Some(&b""[..]), None]);
    }
}
