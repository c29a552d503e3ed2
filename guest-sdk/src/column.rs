//! Byte strings laid end to end.

use crate::bindings::wharf::connector::types;

/// One value a record, any of which may be absent. It is read where it lies: nothing is copied or allocated.
#[derive(Clone, Debug)]
pub struct Column(types::Column);

impl Column {
    pub(crate) fn new(column: types::Column) -> Self {
        Self(column)
    }

    /// How many values.
    pub fn len(&self) -> usize {
        self.0.offsets.len().saturating_sub(1)
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at `index`; `None` where it is absent, which is not the same as empty.
    ///
    /// # Panics
    /// Where `index` is not below [`Column::len`], as indexing a slice does.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let (start, end) = (self.0.offsets[index], self.0.offsets[index + 1]);
        self.is_present(index).then(|| &self.0.data[start as usize..end as usize])
    }

    /// The values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&[u8]>> {
        let ends = self.0.offsets.get(1..).unwrap_or_default();
        // Each end is the next one's start: half the looking up, on the path that every record takes.
        let mut start = 0;
        ends.iter().enumerate().map(move |(index, end)| {
            let value = std::mem::replace(&mut start, *end) as usize..*end as usize;
            self.is_present(index).then(|| &self.0.data[value])
        })
    }

    fn is_present(&self, index: usize) -> bool {
        self.0.validity.as_ref().is_none_or(|validity| validity[index / 8] >> (index % 8) & 1 == 1)
    }

    /// Bytes of all values together.
    pub fn bytes(&self) -> usize {
        self.0.data.len()
    }
}

/// Lays values end to end.
#[derive(Clone, Debug)]
pub(crate) struct ColumnBuilder {
    offsets: Vec<u32>,
    data: Vec<u8>,
    absent: Vec<usize>,
}

impl ColumnBuilder {
    pub(crate) fn new() -> Self {
        Self { offsets: vec![0], data: Vec::new(), absent: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Adds a value. False where the column would grow beyond the 4 GiB that its offsets can say; nothing is added then.
    #[must_use]
    pub(crate) fn push(&mut self, value: Option<&[u8]>) -> bool {
        let value = value.unwrap_or_else(|| {
            self.absent.push(self.offsets.len() - 1);
            &[]
        });
        let Ok(end) = u32::try_from(self.data.len() + value.len()) else { return false };
        self.data.extend_from_slice(value);
        self.offsets.push(end);
        true
    }

    /// Takes away what comes after so many values.
    pub(crate) fn truncate(&mut self, values: usize) {
        if values < self.len() {
            self.offsets.truncate(values + 1);
            self.data.truncate(self.offsets[values] as usize);
            self.absent.truncate(self.absent.partition_point(|index| *index < values));
        }
    }

    pub(crate) fn finish(self) -> types::Column {
        let len = self.len();
        let validity = (!self.absent.is_empty()).then(|| {
            let mut validity = vec![u8::MAX; len.div_ceil(8)];
            self.absent.iter().for_each(|index| validity[index / 8] &= !(1 << (index % 8)));
            validity
        });
        types::Column { offsets: self.offsets, data: self.data, validity }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_not_empty() {
        let mut builder = ColumnBuilder::new();
        for index in 0..20 {
            assert!(builder.push([None, Some(&b""[..]), Some(b"x")][index % 3]));
        }
        let column = Column::new(builder.finish());
        assert_eq!(column.len(), 20);
        for (index, value) in column.iter().enumerate() {
            assert_eq!(value, [None, Some(&b""[..]), Some(b"x")][index % 3]);
        }
    }

    #[test]
    fn a_column_without_an_absent_value_says_nothing_of_absence() {
        let mut builder = ColumnBuilder::new();
        assert!(builder.push(Some(b"a")));
        assert!(builder.finish().validity.is_none());
    }
}
