//! Byte strings laid end to end.

use std::{borrow::Cow, ops::Range, sync::Arc};

use bytes::Bytes;
use thiserror::Error;

/// Values of one kind, one a record: the layout of Arrow's variable-size binary array.
///
/// Clones and slices share the buffers. Offsets are 32 bits wide, so that one column holds 4 GiB at most.
#[derive(Clone, Debug)]
pub struct Column {
    /// `n + 1` of them for the `n` values of the whole buffer, not of this slice.
    offsets: Arc<[u32]>,
    data: Bytes,
    /// One bit a value of the whole buffer, lowest bit first, 0 for an absent one; `None` where every value is present.
    validity: Option<Arc<[u8]>>,
    start: usize,
    len: usize,
}

impl Column {
    /// How many values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value at `index`; `None` where it is absent, which is not the same as empty.
    ///
    /// # Panics
    /// Where `index` is not below [`Column::len`], as indexing a slice does.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        assert!(index < self.len, "value {index} of a column of {}", self.len);
        self.is_present(index).then(|| {
            let at = self.start + index;
            &self.data[self.offsets[at] as usize..self.offsets[at + 1] as usize]
        })
    }

    /// The value at `index` as a slice that shares the buffer, and keeps all of it for as long as it lives; `None` where it is absent.
    ///
    /// # Panics
    /// Where `index` is not below [`Column::len`], as indexing a slice does.
    pub fn shared(&self, index: usize) -> Option<Bytes> {
        self.get(index).map(|value| self.data.slice_ref(value))
    }

    /// Bytes of the value at `index`; what a component left behind an absent one counts too.
    pub fn size(&self, index: usize) -> usize {
        let at = self.start + index;
        (self.offsets[at + 1] - self.offsets[at]) as usize
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> + '_ {
        (0..self.len).map(|index| self.get(index))
    }

    /// Bytes of all values together.
    pub fn bytes(&self) -> usize {
        self.data().len()
    }

    /// Bytes of some of the values together.
    ///
    /// # Panics
    /// Where the range does not lie within the column, as slicing a slice does.
    pub fn bytes_of(&self, range: Range<usize>) -> usize {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of a column of {}", self.len);
        (self.offsets[self.start + range.end] - self.offsets[self.start + range.start]) as usize
    }

    /// A part of it, which shares the buffers.
    ///
    /// # Panics
    /// Where the range does not lie within the column, as slicing a slice does.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of a column of {}", self.len);
        Self { start: self.start + range.start, len: range.end - range.start, ..self.clone() }
    }

    /// The values at these places, in this order.
    ///
    /// # Panics
    /// Where a place is not below [`Column::len`].
    ///
    /// # Errors
    /// Where they pass 4 GiB.
    pub fn picked(&self, places: impl Iterator<Item = usize> + Clone) -> Result<Self, ColumnFull> {
        let bytes = places.clone().map(|place| self.size(place)).sum();
        let mut picked = ColumnBuilder::with_capacity(places.size_hint().0, bytes);
        for place in places {
            picked.add(self.get(place))?;
        }
        Ok(picked.finish())
    }

    /// Columns one behind the other; where there is none, so many absent values.
    pub(super) fn joined(columns: &[(Option<Self>, usize)]) -> Result<Self, ColumnFull> {
        let bytes = columns.iter().map(|(column, _)| column.as_ref().map_or(0, Self::bytes)).sum();
        let mut joined = ColumnBuilder::with_capacity(columns.iter().map(|(_, len)| len).sum(), bytes);
        for (column, len) in columns {
            for at in 0..*len {
                joined.add(column.as_ref().and_then(|column| column.get(at)))?;
            }
        }
        Ok(joined.finish())
    }

    /// `len + 1` offsets into [`Column::data`] that start at 0 and never fall. Copies only where this is a slice.
    pub fn offsets(&self) -> Cow<'_, [u32]> {
        let offsets = &self.offsets[self.start..=self.start + self.len];
        match offsets[0] {
            0 => Cow::Borrowed(offsets),
            first => Cow::Owned(offsets.iter().map(|offset| offset - first).collect()),
        }
    }

    /// The values end to end.
    pub fn data(&self) -> &[u8] {
        &self.data[self.offsets[self.start] as usize..self.offsets[self.start + self.len] as usize]
    }

    /// One bit a value, lowest bit first, 0 for an absent one; `None` where every value is present. Copies only where this is a
    /// slice that does not begin on a byte.
    pub fn validity(&self) -> Option<Cow<'_, [u8]>> {
        let bits = self.validity.as_deref()?;
        let len = self.len.div_ceil(8);
        if self.start.is_multiple_of(8) {
            return Some(Cow::Borrowed(&bits[self.start / 8..self.start / 8 + len]));
        }
        let mut aligned = vec![0; len];
        for index in (0..self.len).filter(|index| self.is_present(*index)) {
            aligned[index / 8] |= 1 << (index % 8);
        }
        Some(Cow::Owned(aligned))
    }

    /// A column of so many values, none of which is there.
    pub fn absent(len: usize) -> Self {
        let validity = Some(vec![0; len.div_ceil(8)].into());
        Self { offsets: vec![0; len + 1].into(), data: Bytes::new(), validity, start: 0, len }
    }

    /// Takes what a component says is a column of `len` values; the bytes are not copied.
    ///
    /// # Errors
    /// Where it is none.
    pub fn from_parts(parts: ColumnParts, len: usize) -> Result<Self, ColumnFault> {
        let ColumnParts { offsets, data, validity } = parts;
        if offsets.len() != len + 1 {
            return Err(ColumnFault::Values { values: offsets.len().checked_sub(1), len });
        }
        if offsets[0] != 0 {
            return Err(ColumnFault::Start(offsets[0]));
        }
        if let Some(at) = offsets.windows(2).position(|pair| pair[1] < pair[0]) {
            return Err(ColumnFault::Falls(at));
        }
        if offsets[len] as usize > data.len() {
            return Err(ColumnFault::End { end: offsets[len], bytes: data.len() });
        }
        if let Some(validity) = validity.as_ref().filter(|validity| validity.len() != len.div_ceil(8)) {
            return Err(ColumnFault::Validity { bytes: validity.len(), len });
        }
        Ok(Self { offsets: offsets.into(), data: data.into(), validity: validity.map(Arc::from), start: 0, len })
    }

    fn is_present(&self, index: usize) -> bool {
        let at = self.start + index;
        self.validity.as_ref().is_none_or(|bits| bits[at / 8] & (1 << (at % 8)) != 0)
    }
}

/// Two columns are equal where their values are.
impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<'a> FromIterator<Option<&'a [u8]>> for Column {
    /// For tests and small columns.
    ///
    /// # Panics
    /// Past 4 GiB.
    fn from_iter<I: IntoIterator<Item = Option<&'a [u8]>>>(values: I) -> Self {
        let mut builder = ColumnBuilder::default();
        for value in values {
            assert!(builder.add(value).is_ok(), "a column of over 4 GiB");
        }
        builder.finish()
    }
}

/// A column as a component lays it out. Nothing in it is believed before [`Column::from_parts`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnParts {
    /// One more than there are values; value `i` is `data[offsets[i] .. offsets[i + 1]]`.
    pub offsets: Vec<u32>,
    /// The values end to end.
    pub data: Vec<u8>,
    /// One bit a value, lowest bit first, 0 for an absent one; `None` where every value is present.
    pub validity: Option<Vec<u8>>,
}

/// Why what a component handed over is no column.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ColumnFault {
    /// Too few values, or too many.
    #[error("has {} for {len} records", .values.map_or("no offset".into(), |values| format!("{values} values")))]
    Values {
        /// How many; `None` without any offset.
        values: Option<usize>,
        /// How many there should be.
        len: usize,
    },
    /// The first value does not begin where the bytes do.
    #[error("has offsets that start at {0}, not at 0")]
    Start(u32),
    /// A value ends before it begins.
    #[error("has offsets that fall after value {0}")]
    Falls(usize),
    /// The last value ends behind the bytes.
    #[error("has offsets up to {end} in {bytes} bytes")]
    End {
        /// Where it ends.
        end: u32,
        /// How many bytes there are.
        bytes: usize,
    },
    /// Not one bit a value.
    #[error("has {bytes} bytes of validity for {len} records")]
    Validity {
        /// How many bytes.
        bytes: usize,
        /// How many values there are.
        len: usize,
    },
}

/// The column's data would pass 4 GiB.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a column holds 4 GiB at most")]
pub struct ColumnFull;

/// Builds a [`Column`] value by value, allocating as its buffers grow and never once a value.
#[derive(Debug)]
pub struct ColumnBuilder {
    offsets: Vec<u32>,
    data: Vec<u8>,
    validity: Option<Vec<u8>>,
}

impl Default for ColumnBuilder {
    fn default() -> Self {
        Self::with_capacity(0, 0)
    }
}

impl ColumnBuilder {
    /// With room for so many values and so many bytes of them.
    pub fn with_capacity(values: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(values + 1);
        offsets.push(0);
        Self { offsets, data: Vec::with_capacity(bytes), validity: None }
    }

    /// How many values so far.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no value yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all values so far.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Adds a value.
    pub fn push(&mut self, value: &[u8]) -> Result<(), ColumnFull> {
        self.push_with(|data| data.extend_from_slice(value))
    }

    /// Adds the value that `write` appends. What it returns is not looked at; it must append only.
    pub fn push_with<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> Result<(), ColumnFull> {
        let before = self.data.len();
        write(&mut self.data);
        let Ok(end) = u32::try_from(self.data.len()) else {
            self.data.truncate(before);
            return Err(ColumnFull);
        };
        self.mark(true);
        self.offsets.push(end);
        Ok(())
    }

    /// Adds a value that is not there.
    pub fn push_absent(&mut self) -> Result<(), ColumnFull> {
        self.mark(false);
        self.offsets.push(self.data.len() as u32);
        Ok(())
    }

    /// Adds a value, or one that is not there.
    pub fn add(&mut self, value: Option<&[u8]>) -> Result<(), ColumnFull> {
        match value {
            Some(value) => self.push(value),
            None => self.push_absent(),
        }
    }

    /// Adds values that are not there until there are so many.
    pub(super) fn pad(&mut self, len: usize) -> Result<(), ColumnFull> {
        (self.len()..len).try_for_each(|_| self.push_absent())
    }

    /// Takes the last value away.
    pub(super) fn pop(&mut self) {
        if self.offsets.len() < 2 {
            return;
        }
        self.offsets.pop();
        self.data.truncate(self.offsets.last().map_or(0, |end| *end as usize));
        let len = self.len();
        if let Some(bits) = &mut self.validity {
            bits.truncate(len.div_ceil(8));
            if let Some(last) = bits.last_mut().filter(|_| !len.is_multiple_of(8)) {
                *last &= (1 << (len % 8)) - 1;
            }
        }
    }

    /// The column.
    pub fn finish(self) -> Column {
        let len = self.len();
        Column { offsets: self.offsets.into(), data: self.data.into(), validity: self.validity.map(Arc::from), start: 0, len }
    }

    /// Notes whether the value about to be added is present.
    fn mark(&mut self, present: bool) {
        let index = self.len();
        if present && self.validity.is_none() {
            return;
        }
        let bits = self.validity.get_or_insert_with(|| {
            let mut bits = vec![0xff; index.div_ceil(8)];
            if let Some(last) = bits.last_mut().filter(|_| !index.is_multiple_of(8)) {
                *last = (1 << (index % 8)) - 1;
            }
            bits
        });
        if index.is_multiple_of(8) {
            bits.push(0);
        }
        bits[index / 8] |= u8::from(present) << (index % 8);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
        prop::collection::vec(prop::option::weighted(0.8, prop::collection::vec(any::<u8>(), 0..6)), 0..40)
    }

    proptest! {
        #[test]
        fn a_value_taken_away_leaves_the_column_as_it_was(values in values(), extra in prop::option::of(Just(vec![7u8]))) {
            let mut builder = ColumnBuilder::default();
            for value in values.iter().map(Option::as_deref) {
                for (value, keep) in [(extra.as_deref(), false), (value, true)] {
                    match value {
                        Some(value) => builder.push(value).unwrap(),
                        None => builder.push_absent().unwrap(),
                    }
                    if !keep {
                        builder.pop();
                    }
                }
            }
            prop_assert_eq!(builder.finish(), values.iter().map(Option::as_deref).collect());
        }

        #[test]
        fn every_slice_holds_the_values_that_its_range_names(values in values(), cut in (0usize..41, 0usize..41)) {
            let column: Column = values.iter().map(Option::as_deref).collect();
            let (a, b) = (cut.0.min(values.len()), cut.1.min(values.len()));
            let range = a.min(b)..a.max(b);
            let slice = column.slice(range.clone());
            prop_assert_eq!(column.bytes_of(range.clone()), slice.bytes());
            prop_assert!(slice.iter().eq(values[range.clone()].iter().map(Option::as_deref)));
            let shared = (0..slice.len()).map(|index| slice.shared(index));
            prop_assert!(shared.eq(values[range.clone()].iter().cloned().map(|value| value.map(Bytes::from))));

            let offsets = slice.offsets();
            prop_assert_eq!(offsets.len(), range.len() + 1);
            prop_assert_eq!(offsets[0], 0);
            let validity = slice.validity();
            for (index, value) in values[range].iter().enumerate() {
                let seen = &slice.data()[offsets[index] as usize..offsets[index + 1] as usize];
                prop_assert_eq!(seen, value.as_deref().unwrap_or_default());
                let present = validity.as_ref().is_none_or(|bits| bits[index / 8] & (1 << (index % 8)) != 0);
                prop_assert_eq!(present, value.is_some());
            }
        }
    }
}
