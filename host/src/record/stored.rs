//! A batch as bytes, to be kept and found again.
//!
//! Whole columns are copied; nothing is done for one record but for its numbers, which are laid side by side. What is read back is checked
//! as what a component hands over is: a damaged store makes an error and no wrong record.

use std::{borrow::Cow, sync::Arc};

use thiserror::Error;

use super::{
    Batch, Column, ColumnFault, ColumnParts, ContentTypes,
    batch::{MOST_METADATA, Made},
};

/// The number of the layout below.
const LAYOUT: u8 = 1;

/// Why bytes are no batch.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Damaged {
    /// They end too early.
    #[error("the batch is cut short")]
    Short,
    /// They go on behind its end.
    #[error("the batch goes on behind its end")]
    Long,
    /// Another layout.
    #[error("the batch has the layout {0}; {LAYOUT} is known")]
    Layout(u8),
    /// A name or a media type is no text.
    #[error("a name in the batch is no text")]
    Text,
    /// More columns of metadata than a batch has.
    #[error("the batch has {0} columns of metadata")]
    Metadata(u32),
    /// A column is none.
    #[error("a column of the batch {0}")]
    Column(#[from] ColumnFault),
}

impl Batch {
    /// All there is of it, appended to `into`: id and place in the cut too.
    pub fn store(&self, into: &mut Vec<u8>) {
        let mut to = Writer(into);
        to.0.push(LAYOUT);
        to.text(self.id());
        to.text(self.partition());
        to.number(self.start());
        to.number(self.count());
        for sequence in self.sequences() {
            to.0.extend_from_slice(&sequence.to_le_bytes());
        }
        to.numbers(self.ordinals());
        to.bytes(self.operations());
        to.column(self.after());
        to.maybe(self.before(), |to, column| to.column(column));
        to.maybe(self.key(), |to, column| to.column(column));
        to.number(self.metadata().len() as u32);
        for (name, column) in self.metadata() {
            to.text(name);
            to.column(column);
        }
        let ContentTypes { after, before, key } = self.content_types();
        for content_type in [after, before, key] {
            to.maybe(content_type.as_deref(), |to, content_type| to.text(content_type));
        }
    }

    /// What [`Batch::store`] wrote.
    ///
    /// # Errors
    /// Where the bytes are none.
    pub fn restore(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut from = Reader(bytes);
        match from.byte()? {
            LAYOUT => {}
            layout => return Err(Damaged::Layout(layout)),
        }
        let (id, partition) = (from.text()?, from.text()?);
        let (start, count) = (from.number()?, from.number()?);
        let len = count as usize;
        let sequences = from.take(len.checked_mul(size_of::<u64>()).ok_or(Damaged::Short)?)?;
        let sequences = sequences.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let ordinals = from.numbers()?;
        let operations = from.bytes()?.to_vec();
        let for_each = |values: usize| match values {
            0 => Ok(()),
            values if values == len => Ok(()),
            values => Err(ColumnFault::Values { values: Some(values), len }),
        };
        for_each(ordinals.len())?;
        for_each(operations.len())?;
        let after = from.column(len)?;
        let before = from.maybe(|from| from.column(len))?;
        let key = from.maybe(|from| from.column(len))?;
        let columns = from.number()?;
        if columns as usize > MOST_METADATA {
            return Err(Damaged::Metadata(columns));
        }
        let metadata = (0..columns).map(|_| Ok((from.text()?, from.column(len)?))).collect::<Result<Vec<_>, Damaged>>()?;
        let content_types =
            ContentTypes { after: from.maybe(Reader::text)?, before: from.maybe(Reader::text)?, key: from.maybe(Reader::text)? };
        if !from.0.is_empty() {
            return Err(Damaged::Long);
        }
        let metadata = metadata.into();
        let made = Made { sequences, ordinals, operations, after, before, key, metadata, content_types };
        Ok(made.part(id, partition, start))
    }
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn number(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn numbers(&mut self, numbers: &[u32]) {
        self.number(numbers.len() as u32);
        for number in numbers {
            self.number(*number);
        }
    }

    /// At most 4 GiB, as in every column.
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn maybe<T: ?Sized>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.0.push(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn column(&mut self, column: &Column) {
        self.numbers(&column.offsets());
        self.bytes(column.data());
        let validity: Option<Cow<'_, [u8]>> = column.validity();
        self.maybe(validity.as_deref(), |to, validity| to.bytes(validity));
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(Damaged::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Damaged> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u32, Damaged> {
        let bytes = self.take(size_of::<u32>())?.first_chunk().ok_or(Damaged::Short)?;
        Ok(u32::from_le_bytes(*bytes))
    }

    fn numbers(&mut self) -> Result<Vec<u32>, Damaged> {
        let len = self.number()? as usize;
        let bytes = self.take(len.checked_mul(size_of::<u32>()).ok_or(Damaged::Short)?)?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
    }

    fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let len = self.number()? as usize;
        self.take(len)
    }

    fn text(&mut self) -> Result<Arc<str>, Damaged> {
        std::str::from_utf8(self.bytes()?).map(Arc::from).map_err(|_| Damaged::Text)
    }

    fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Damaged>) -> Result<Option<T>, Damaged> {
        match self.byte()? {
            0 => Ok(None),
            _ => read(self).map(Some),
        }
    }

    fn column(&mut self, len: usize) -> Result<Column, Damaged> {
        let (offsets, data) = (self.numbers()?, self.bytes()?.to_vec());
        let validity = self.maybe(|from| from.bytes().map(<[u8]>::to_vec))?;
        Ok(Column::from_parts(ColumnParts { offsets, data, validity }, len)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{BatchBuilder, Operation};

    fn full() -> Batch {
        let mut builder = BatchBuilder::with_capacity(4, 16, true, Some("application/json".into()));
        for (sequence, value) in [(10, "a"), (20, ""), (30, "c"), (u64::MAX, "dd")] {
            builder.push(sequence, Some(value.as_bytes()), value.as_bytes()).unwrap();
        }
        let batch = builder.finish("pipe", "p\u{e9}".into());
        let trace = [Some(&b"one"[..]), None, Some(b""), None].into_iter().collect();
        let before = [None, Some(&b"x"[..]), None, Some(b"")].into_iter().collect();
        let operations = vec![Operation::Create, Operation::Update, Operation::Delete, Operation::Snapshot];
        batch.with_metadata("trace", trace).with_before(Some(before)).with_operations(operations)
    }

    fn same(one: &Batch, other: &Batch) {
        assert_eq!((one.id(), one.partition(), one.start()), (other.id(), other.partition(), other.start()));
        assert_eq!(
            (one.sequences(), one.ordinals(), one.operations()),
            (other.sequences(), other.ordinals(), other.operations())
        );
        assert_eq!((one.after(), one.before(), one.key()), (other.after(), other.before(), other.key()));
        assert_eq!((one.metadata(), one.content_types()), (other.metadata(), other.content_types()));
    }

    fn stored(batch: &Batch) -> Vec<u8> {
        let mut bytes = Vec::new();
        batch.store(&mut bytes);
        bytes
    }

    #[test]
    fn a_batch_and_every_part_of_it_comes_back_as_it_was() {
        let whole = full().picked("pipe", &[(0, 0), (1, 0), (1, 1), (3, 0)]).unwrap();
        for batch in [full(), whole] {
            for start in 0..4 {
                for end in start + 1..=4 {
                    let part = batch.slice(start..end);
                    same(&Batch::restore(&stored(&part)).unwrap(), &part);
                }
            }
        }
    }

    #[test]
    fn what_is_cut_short_or_goes_on_is_no_batch() {
        let bytes = stored(&full());
        for end in 0..bytes.len() {
            assert!(Batch::restore(&bytes[..end]).is_err(), "{end}");
        }
        assert_eq!(Batch::restore(&[&bytes[..], b"x"].concat()).unwrap_err(), Damaged::Long);
        assert_eq!(Batch::restore(&[2]).unwrap_err(), Damaged::Layout(2));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in 0usize..200, byte in any::<u8>(), rest in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = stored(&full());
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(batch) = Batch::restore(&bytes) {
                // Whatever it is, it can be looked at.
                prop_assert!((0..batch.count()).all(|record| batch.record_bytes(record) <= bytes.len()));
            }
            drop(Batch::restore(&rest));
        }
    }
}
