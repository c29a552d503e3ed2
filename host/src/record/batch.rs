//! Records of one partition, in columns.

use std::{ops::Range, sync::Arc};

use super::{Column, ColumnFull, Span};

/// No batch has more columns of metadata: another name ends it.
pub const MOST_METADATA: usize = 64;

/// What was done to an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// It came into being; the case where nothing is said.
    #[default]
    Create = 0,
    /// It changed.
    Update = 1,
    /// It went away.
    Delete = 2,
    /// It was there when the source first looked.
    Snapshot = 3,
}

impl Operation {
    /// As OpenCDC and pipeline files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Snapshot => "snapshot",
        }
    }

    /// What [`Operation::name`] gives, read back.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Create, Self::Update, Self::Delete, Self::Snapshot].into_iter().find(|operation| operation.name() == name)
    }

    /// What the contract's byte stands for.
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Create, Self::Update, Self::Delete, Self::Snapshot].into_iter().find(|operation| *operation as u8 == byte)
    }
}

/// Media types of a batch's columns, such as `application/json`; `None` where nothing is known of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentTypes {
    /// Of `after`.
    pub after: Option<Arc<str>>,
    /// Of `before`.
    pub before: Option<Arc<str>>,
    /// Of `key`.
    pub key: Option<Arc<str>>,
}

impl ContentTypes {
    /// That of a column by the contract's name for it.
    pub fn get(&self, column: &str) -> Option<&str> {
        match column {
            "after" => self.after.as_deref(),
            "before" => self.before.as_deref(),
            "key" => self.key.as_deref(),
            _ => None,
        }
    }
}

/// Records of one partition of one source: a few flat buffers, no object per record.
///
/// Clones and slices share the buffers. A record's key is its pipeline, partition, sequence and ordinal; [`Batch::id`] names the cut
/// and stays with every part of it.
#[derive(Clone, Debug)]
pub struct Batch {
    id: Arc<str>,
    partition: Arc<str>,
    start: u32,
    sequences: Shared<u64>,
    ordinals: Option<Shared<u32>>,
    operations: Option<Shared<u8>>,
    after: Column,
    before: Option<Column>,
    key: Option<Column>,
    metadata: Arc<[(Arc<str>, Column)]>,
    content_types: ContentTypes,
}

impl Batch {
    /// Names the cut: a digest of pipeline, partition, sequences and ordinals of exactly its records.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The partition that all its records come from.
    pub fn partition(&self) -> &Arc<str> {
        &self.partition
    }

    /// Where this part begins in the cut; 0 for the whole of it.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// How many records.
    pub fn count(&self) -> u32 {
        self.sequences.len as u32
    }

    /// One number a record, never falling, the same on every delivery.
    pub fn sequences(&self) -> &[u64] {
        self.sequences.get()
    }

    /// Which of several records that a processor made of one; empty where all are 0.
    pub fn ordinals(&self) -> &[u32] {
        self.ordinals.as_ref().map_or(&[], Shared::get)
    }

    /// [`Operation`] as a byte a record; empty where every record is a create.
    pub fn operations(&self) -> &[u8] {
        self.operations.as_ref().map_or(&[], Shared::get)
    }

    /// Each entity after its change, or the whole record where there is no change to speak of.
    pub fn after(&self) -> &Column {
        &self.after
    }

    /// Each entity before its change, where the source tells.
    pub fn before(&self) -> Option<&Column> {
        self.before.as_ref()
    }

    /// What identifies the entity, where the source tells.
    pub fn key(&self) -> Option<&Column> {
        self.key.as_ref()
    }

    /// Further columns by name.
    pub fn metadata(&self) -> &[(Arc<str>, Column)] {
        &self.metadata
    }

    /// The metadata column of that name.
    pub fn meta(&self, name: &str) -> Option<&Column> {
        self.metadata.iter().find(|(known, _)| **known == *name).map(|(_, column)| column)
    }

    /// Media types of the columns.
    pub fn content_types(&self) -> &ContentTypes {
        &self.content_types
    }

    /// What was done to the entity of one record.
    ///
    /// # Panics
    /// Where there is no such record, as indexing a slice does.
    pub fn operation(&self, record: u32) -> Operation {
        assert!(record < self.count(), "record {record} of {}", self.count());
        self.operations().get(record as usize).and_then(|byte| Operation::from_byte(*byte)).unwrap_or_default()
    }

    /// The same records with other entities.
    ///
    /// # Panics
    /// Where the column has not as many values as the batch has records; so do the other changes of a column.
    #[must_use]
    pub fn with_after(mut self, after: Column) -> Self {
        self.check("after", after.len());
        self.after = after;
        self
    }

    /// The same records with other entities before their change.
    #[must_use]
    pub fn with_before(mut self, before: Option<Column>) -> Self {
        self.check("before", before.as_ref().map_or(self.count() as usize, Column::len));
        self.before = before;
        self
    }

    /// The same records with other keys.
    #[must_use]
    pub fn with_key(mut self, key: Option<Column>) -> Self {
        self.check("key", key.as_ref().map_or(self.count() as usize, Column::len));
        self.key = key;
        self
    }

    /// The same records with other operations; with none, each is a create.
    #[must_use]
    pub fn with_operations(mut self, operations: Vec<Operation>) -> Self {
        self.check("operations", if operations.is_empty() { self.count() as usize } else { operations.len() });
        let plain = operations.iter().all(|operation| *operation == Operation::Create);
        self.operations = (!plain).then(|| operations.into_iter().map(|operation| operation as u8).collect::<Vec<_>>().into());
        self
    }

    /// The same records with this column of metadata: in the place of the one of that name, else behind those that are there.
    #[must_use]
    pub fn with_metadata(mut self, name: &str, column: Column) -> Self {
        self.check(name, column.len());
        let mut metadata = self.metadata.to_vec();
        match metadata.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, known)) => *known = column,
            None => metadata.push((name.into(), column)),
        }
        self.metadata = metadata.into();
        self
    }

    /// The same records without the metadata of that name.
    #[must_use]
    pub fn without_metadata(mut self, name: &str) -> Self {
        self.metadata = self.metadata.iter().filter(|(known, _)| **known != *name).cloned().collect();
        self
    }

    /// The same records with other media types.
    #[must_use]
    pub fn with_content_types(mut self, content_types: ContentTypes) -> Self {
        self.content_types = content_types;
        self
    }

    /// Another cut, of these records: each by its place in this batch and its ordinal. A record may come several times, and then each time
    /// with another ordinal.
    ///
    /// # Panics
    /// Where a place does not lie within the batch, as indexing a slice does.
    ///
    /// # Errors
    /// Where a column would pass 4 GiB.
    pub fn picked(&self, pipeline: &str, records: &[(u32, u32)]) -> Result<Self, ColumnFull> {
        let sequences: Vec<u64> = records.iter().map(|(at, _)| self.sequences()[*at as usize]).collect();
        let plain = records.iter().all(|(_, ordinal)| *ordinal == 0);
        let ordinals: Vec<u32> = if plain { Vec::new() } else { records.iter().map(|(_, ordinal)| *ordinal).collect() };
        let operations = self.operations.as_ref().map(Shared::get);
        let places = || records.iter().map(|(at, _)| *at as usize);
        let pick = |column: &Column| column.picked(places());
        let metadata = self.metadata.iter().map(|(name, column)| Ok((name.clone(), pick(column)?)));
        Ok(Self {
            id: cut_id(pipeline, &self.partition, &sequences, &ordinals),
            partition: self.partition.clone(),
            start: 0,
            sequences: sequences.into(),
            ordinals: (!plain).then(|| ordinals.into()),
            operations: operations.map(|operations| places().map(|at| operations[at]).collect::<Vec<_>>().into()),
            after: pick(&self.after)?,
            before: self.before.as_ref().map(pick).transpose()?,
            key: self.key.as_ref().map(pick).transpose()?,
            metadata: metadata.collect::<Result<_, ColumnFull>>()?,
            content_types: self.content_types.clone(),
        })
    }

    /// Batches of one partition, one behind the other, as one cut; `None` where there is none. A single one stays as it is. Media types on which
    /// they do not agree are not known any more.
    ///
    /// # Errors
    /// Where a column would pass 4 GiB.
    pub fn joined(pipeline: &str, batches: &[Self]) -> Result<Option<Self>, ColumnFull> {
        let [first, others @ ..] = batches else {
            return Ok(None);
        };
        if others.is_empty() {
            return Ok(Some(first.clone()));
        }
        let column = |of: &dyn Fn(&Self) -> Option<Column>| -> Result<Option<Column>, ColumnFull> {
            let columns: Vec<(Option<Column>, usize)> = batches.iter().map(|batch| (of(batch), batch.count() as usize)).collect();
            let any = columns.iter().any(|(column, _)| column.is_some());
            if any { Column::joined(&columns).map(Some) } else { Ok(None) }
        };
        let sequences: Vec<u64> = batches.iter().flat_map(|batch| batch.sequences().iter().copied()).collect();
        let filled = |numbers: &[u32], count: u32| if numbers.is_empty() { vec![0; count as usize] } else { numbers.to_vec() };
        let plain = batches.iter().all(|batch| batch.ordinals().is_empty());
        let ordinals = || batches.iter().flat_map(|batch| filled(batch.ordinals(), batch.count()));
        let ordinals: Vec<u32> = if plain { Vec::new() } else { ordinals().collect() };
        let operations = batches.iter().any(|batch| batch.operations.is_some());
        let operations = operations.then(|| {
            let of = |batch: &Self| (0..batch.count()).map(|record| batch.operation(record) as u8).collect::<Vec<_>>();
            batches.iter().flat_map(of).collect::<Vec<u8>>().into()
        });
        let mut names: Vec<&Arc<str>> = Vec::new();
        for (name, _) in batches.iter().flat_map(|batch| batch.metadata.iter()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let named = |name: &Arc<str>| Ok((name.clone(), column(&|batch| batch.meta(name).cloned())?));
        let metadata = names.into_iter().map(named).collect::<Result<Vec<_>, ColumnFull>>()?;
        let agreed = |of: fn(&ContentTypes) -> &Option<Arc<str>>| {
            let first = of(&first.content_types);
            others.iter().all(|other| of(&other.content_types) == first).then(|| first.clone()).flatten()
        };
        Ok(Some(Self {
            id: cut_id(pipeline, &first.partition, &sequences, &ordinals),
            partition: first.partition.clone(),
            start: 0,
            sequences: sequences.into(),
            ordinals: (!plain).then(|| ordinals.into()),
            operations,
            after: column(&|batch| Some(batch.after.clone()))?.unwrap_or_else(|| first.after.clone()),
            before: column(&|batch| batch.before.clone())?,
            key: column(&|batch| batch.key.clone())?,
            metadata: metadata.into_iter().filter_map(|(name, column)| Some((name, column?))).collect(),
            content_types: ContentTypes {
                after: agreed(|types| &types.after),
                before: agreed(|types| &types.before),
                key: agreed(|types| &types.key),
            },
        }))
    }

    /// Bytes of all columns together, without offsets.
    pub fn bytes(&self) -> usize {
        self.columns().map(Column::bytes).sum()
    }

    /// Bytes of some records in all columns together, at the same cost for one and for many.
    ///
    /// # Panics
    /// Where the span does not lie within the batch, as slicing a slice does.
    pub fn bytes_of(&self, records: Span) -> usize {
        self.columns().map(|column| column.bytes_of(records.range())).sum()
    }

    /// Bytes of one record in all columns together.
    pub fn record_bytes(&self, record: u32) -> usize {
        self.columns().map(|column| column.size(record as usize)).sum()
    }

    /// A part, which bears the id of the cut with a start and a count of its own, and shares the buffers.
    ///
    /// # Panics
    /// Where the range does not lie within the batch, as slicing a slice does.
    #[must_use]
    pub fn slice(&self, range: Range<u32>) -> Self {
        let range_ = range.start as usize..range.end as usize;
        let metadata = self.metadata.iter().map(|(name, column)| (name.clone(), column.slice(range_.clone()))).collect();
        Self {
            id: self.id.clone(),
            partition: self.partition.clone(),
            start: self.start + range.start,
            sequences: self.sequences.slice(range_.clone()),
            ordinals: self.ordinals.as_ref().map(|ordinals| ordinals.slice(range_.clone())),
            operations: self.operations.as_ref().map(|operations| operations.slice(range_.clone())),
            after: self.after.slice(range_.clone()),
            before: self.before.as_ref().map(|column| column.slice(range_.clone())),
            key: self.key.as_ref().map(|column| column.slice(range_)),
            metadata,
            content_types: self.content_types.clone(),
        }
    }

    /// These records as a cut of their own, with an id and a beginning of its own, in the same buffers.
    #[must_use]
    pub fn recut(self, pipeline: &str) -> Self {
        let id = cut_id(pipeline, &self.partition, self.sequences(), self.ordinals());
        Self { id, start: 0, ..self }
    }

    /// Where the records of the sequence that `record` has begin: several have one sequence where a processor made them of one. A
    /// batch that is cut for a processor is cut there.
    ///
    /// # Panics
    /// Where the batch has no such record.
    pub fn sequence_start(&self, record: u32) -> u32 {
        let sequences = self.sequences();
        let sequence = sequences[record as usize];
        sequences[..record as usize].partition_point(|earlier| *earlier < sequence) as u32
    }

    /// The same records of the same cut, with other values: of `made`, keys are not looked at.
    pub(super) fn rewritten(&self, made: Made) -> Self {
        let Made { operations, after, before, key, metadata, content_types, .. } = made;
        let operations = (!operations.is_empty()).then(|| operations.into());
        Self { operations, after, before, key, metadata, content_types, ..self.clone() }
    }

    fn check(&self, column: &str, values: usize) {
        assert_eq!(values, self.count() as usize, "values of {column} for so many records");
    }

    fn columns(&self) -> impl Iterator<Item = &Column> {
        let named = self.metadata.iter().map(|(_, column)| column);
        std::iter::once(&self.after).chain(&self.before).chain(&self.key).chain(named)
    }
}

/// What a batch is made of; empty ordinals and operations stand for all 0.
pub(super) struct Made {
    pub(super) sequences: Vec<u64>,
    pub(super) ordinals: Vec<u32>,
    pub(super) operations: Vec<u8>,
    pub(super) after: Column,
    pub(super) before: Option<Column>,
    pub(super) key: Option<Column>,
    pub(super) metadata: Arc<[(Arc<str>, Column)]>,
    pub(super) content_types: ContentTypes,
}

impl Made {
    /// As a whole cut.
    pub(super) fn cut(self, pipeline: &str, partition: Arc<str>) -> Batch {
        let id = cut_id(pipeline, &partition, &self.sequences, &self.ordinals);
        self.part(id, partition, 0)
    }

    /// As a part of a cut, with its id and from a place in it on.
    pub(super) fn part(self, id: Arc<str>, partition: Arc<str>, start: u32) -> Batch {
        Batch {
            id,
            partition,
            start,
            sequences: self.sequences.into(),
            ordinals: (!self.ordinals.is_empty()).then(|| self.ordinals.into()),
            operations: (!self.operations.is_empty()).then(|| self.operations.into()),
            after: self.after,
            before: self.before,
            key: self.key,
            metadata: self.metadata,
            content_types: self.content_types,
        }
    }
}

/// A part of a shared buffer.
#[derive(Clone, Debug)]
struct Shared<T> {
    data: Arc<[T]>,
    start: usize,
    len: usize,
}

impl<T> Shared<T> {
    fn get(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }

    fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {} records", self.len);
        Self { data: self.data.clone(), start: self.start + range.start, len: range.end - range.start }
    }
}

impl<T> From<Vec<T>> for Shared<T> {
    fn from(data: Vec<T>) -> Self {
        Self { start: 0, len: data.len(), data: data.into() }
    }
}

/// A digest of what makes up the keys of exactly these records, in 32 hexadecimal digits.
fn cut_id(pipeline: &str, partition: &str, sequences: &[u64], ordinals: &[u32]) -> Arc<str> {
    let mut digest = blake3::Hasher::new();
    for name in [pipeline, partition] {
        digest.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
    }
    // As much at a time as the digest can work on side by side.
    let mut numbers = [0; 8 * 1024];
    for chunk in sequences.chunks(1024) {
        for (bytes, sequence) in numbers.chunks_exact_mut(8).zip(chunk) {
            bytes.copy_from_slice(&sequence.to_le_bytes());
        }
        digest.update(&numbers[..chunk.len() * 8]);
    }
    for ordinal in ordinals {
        digest.update(&ordinal.to_le_bytes());
    }
    digest.finalize().to_hex()[..32].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BatchBuilder;

    fn batch(pipeline: &str, sequences: &[u64]) -> Batch {
        let mut builder = BatchBuilder::with_capacity(4, 16, true, None);
        for sequence in sequences {
            builder.push(*sequence, Some(b"k"), sequence.to_string().as_bytes()).unwrap();
        }
        builder.finish(pipeline, "p".into())
    }

    #[test]
    fn a_part_bears_the_id_of_its_cut_and_counts_from_its_own_start() {
        let whole = batch("a", &[10, 20, 30, 40]);
        let part = whole.slice(1..4).slice(1..2);
        assert_eq!((part.id(), part.start(), part.count()), (whole.id(), 2, 1));
        assert_eq!(part.sequences(), [30]);
        assert_eq!(part.after().get(0), Some(&b"30"[..]));
        assert_eq!(part.bytes(), 3);
    }

    #[test]
    fn a_column_that_is_added_is_sliced_and_weighed_with_the_rest() {
        let trace = [Some(&b"one"[..]), None, Some(b"three")].into_iter().collect();
        let whole = batch("a", &[10, 20, 30]).with_metadata("trace", trace);
        let part = whole.slice(1..3);
        assert_eq!(part.metadata()[0].1.iter().collect::<Vec<_>>(), [None, Some(&b"three"[..])]);
        assert_eq!(whole.bytes_of(Span::new(1, 3)), part.bytes());
        assert_eq!(part.bytes(), 2 * "20".len() + 2 * "k".len() + "three".len());
    }

    #[test]
    fn batches_that_are_joined_have_all_that_each_had() {
        let trace = |values: [Option<&'static [u8]>; 2]| values.into_iter().collect::<Column>();
        let one = batch("a", &[1, 2]).with_metadata("one", trace([Some(b"x"), None]));
        let two = batch("a", &[5, 7]).with_metadata("two", trace([None, Some(b"")])).with_operations(vec![Operation::Delete; 2]);
        let both = Batch::joined("a", &[one.clone(), two]).unwrap().unwrap();
        assert_eq!((both.sequences(), both.operations(), both.start()), (&[1, 2, 5, 7][..], &[0, 0, 2, 2][..], 0));
        assert_eq!(both.after().iter().flatten().collect::<Vec<_>>(), [b"1", b"2", b"5", b"7"]);
        let meta = |name| both.meta(name).unwrap().iter().collect::<Vec<_>>();
        assert_eq!((meta("one"), meta("two")), (vec![Some(&b"x"[..]), None, None, None], vec![None, None, None, Some(&b""[..])]));
        assert_eq!(both.id(), batch("a", &[1, 2, 5, 7]).id());
        assert_eq!(Batch::joined("a", std::slice::from_ref(&one)).unwrap().unwrap().id(), one.id());
        assert!(Batch::joined("a", &[]).unwrap().is_none());
    }

    #[test]
    fn a_cut_of_other_records_has_another_id() {
        let ids = [batch("a", &[1, 2]), batch("a", &[1, 3]), batch("a", &[1]), batch("b", &[1, 2])].map(|b| b.id().to_owned());
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
        assert_eq!(batch("a", &[1, 2]).id(), ids[0]);
    }

    #[test]
    fn picked_records_are_another_cut_and_keep_all_they_have() {
        let trace = [Some(&b"one"[..]), None, Some(b"")].into_iter().collect();
        let operations = vec![Operation::Create, Operation::Update, Operation::Delete];
        let whole = batch("a", &[10, 20, 30]).with_metadata("trace", trace).with_operations(operations);
        let picked = whole.picked("a", &[(0, 0), (2, 0), (2, 1)]).unwrap();
        assert_eq!((picked.sequences(), picked.ordinals()), (&[10, 30, 30][..], &[0, 0, 1][..]));
        assert_eq!(picked.operations(), [0, 2, 2]);
        assert_eq!(picked.after().iter().flatten().collect::<Vec<_>>(), [b"10", b"30", b"30"]);
        assert_eq!(picked.meta("trace").unwrap().iter().collect::<Vec<_>>(), [Some(&b"one"[..]), Some(b""), Some(b"")]);
        assert_ne!(picked.id(), whole.id());
        assert_eq!(whole.picked("a", &[(0, 0), (1, 0), (2, 0)]).unwrap().id(), whole.id());
    }

    #[test]
    fn a_column_takes_the_place_of_the_one_of_its_name() {
        let column = |text: &'static str| [Some(text.as_bytes())].into_iter().collect::<Column>();
        let batch =
            batch("a", &[1]).with_metadata("a", column("1")).with_metadata("b", column("2")).with_metadata("a", column("3"));
        assert_eq!(batch.metadata().iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(batch.meta("a"), Some(&column("3")));
        assert!(batch.without_metadata("a").meta("a").is_none());
    }
}
