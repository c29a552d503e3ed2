//! Records of one partition, in columns.

use std::{ops::Range, sync::Arc};

use super::{Column, ColumnBuilder, ColumnFull, Span};

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
    content_type: Option<Arc<str>>,
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

    /// Media type of `after` and `before`, such as `application/json`.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The same records with one more column, behind those that are there.
    ///
    /// # Panics
    /// Where the column has not as many values as the batch has records.
    #[must_use]
    pub fn with_metadata(mut self, name: &str, column: Column) -> Self {
        assert_eq!(column.len(), self.count() as usize, "values of {name} for so many records");
        self.metadata = self.metadata.iter().cloned().chain([(name.into(), column)]).collect();
        self
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
            content_type: self.content_type.clone(),
        }
    }

    fn columns(&self) -> impl Iterator<Item = &Column> {
        let named = self.metadata.iter().map(|(_, column)| column);
        std::iter::once(&self.after).chain(&self.before).chain(&self.key).chain(named)
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

/// Builds a [`Batch`] record by record; its buffers grow, nothing is allocated per record.
#[derive(Debug)]
pub struct BatchBuilder {
    sequences: Vec<u64>,
    after: ColumnBuilder,
    key: Option<ColumnBuilder>,
    content_type: Option<Arc<str>>,
}

impl BatchBuilder {
    /// With room for so many records and so many bytes of them. `keyed` batches have a key column.
    pub fn with_capacity(records: usize, bytes: usize, keyed: bool, content_type: Option<Arc<str>>) -> Self {
        Self {
            sequences: Vec::with_capacity(records),
            after: ColumnBuilder::with_capacity(records, bytes),
            key: keyed.then(|| ColumnBuilder::with_capacity(records, 0)),
            content_type,
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

    /// Bytes of all records so far.
    pub fn bytes(&self) -> usize {
        self.after.bytes() + self.key.as_ref().map_or(0, ColumnBuilder::bytes)
    }

    /// Adds a record whose entity `after` appends to the buffer. `sequence` must not be below that of the record before. The key
    /// counts only where the batch is keyed; `None` is an absent one. A record that finds no room leaves the batch as it was.
    pub fn push_with<R>(
        &mut self,
        sequence: u64,
        key: Option<&[u8]>,
        after: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Result<(), ColumnFull> {
        self.after.push_with(after)?;
        if let Some(column) = &mut self.key {
            let pushed = match key {
                Some(key) => column.push(key),
                None => column.push_absent(),
            };
            if let Err(full) = pushed {
                self.after.pop();
                return Err(full);
            }
        }
        self.sequences.push(sequence);
        Ok(())
    }

    /// Adds a record.
    pub fn push(&mut self, sequence: u64, key: Option<&[u8]>, after: &[u8]) -> Result<(), ColumnFull> {
        self.push_with(sequence, key, |data| data.extend_from_slice(after))
    }

    /// The batch, cut here: its id is a digest of `pipeline`, `partition` and the sequences.
    pub fn finish(self, pipeline: &str, partition: Arc<str>) -> Batch {
        let id = cut_id(pipeline, &partition, &self.sequences, &[]);
        Batch {
            id,
            partition,
            start: 0,
            sequences: self.sequences.into(),
            ordinals: None,
            operations: None,
            after: self.after.finish(),
            before: None,
            key: self.key.map(ColumnBuilder::finish),
            metadata: Arc::new([]),
            content_type: self.content_type,
        }
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
    fn a_cut_of_other_records_has_another_id() {
        let ids = [batch("a", &[1, 2]), batch("a", &[1, 3]), batch("a", &[1]), batch("b", &[1, 2])].map(|b| b.id().to_owned());
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
        assert_eq!(batch("a", &[1, 2]).id(), ids[0]);
    }
}
