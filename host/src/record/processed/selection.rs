//! Which records of a batch a processor is given.

use crate::record::{Batch, ColumnFull};
/// Which records of a batch a processor is given; the others pass it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// These, in order and each once; there may be none.
    Some(Vec<u32>),
}

impl Selection {
    /// Those of `count` records that `selects` picks.
    pub fn of(count: u32, mut selects: impl FnMut(u32) -> bool) -> Self {
        let Some(first) = (0..count).find(|record| !selects(*record)) else { return Self::All };
        let mut records: Vec<u32> = Vec::with_capacity(count as usize);
        records.extend(0..first);
        records.extend((first + 1..count).filter(|record| selects(*record)));
        Self::Some(records)
    }

    /// How many of `count` records it picks.
    pub fn count(&self, count: u32) -> u32 {
        match self {
            Self::All => count,
            Self::Some(records) => records.len() as u32,
        }
    }

    /// Whether it picks none.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Some(records) if records.is_empty())
    }

    /// The records that it picks of a batch, as a batch: the whole as it is, or a cut of its own with an id of its own.
    ///
    /// # Errors
    /// Past 4 GiB a column, which no part of a batch is.
    ///
    /// # Panics
    /// Where the batch has no such record.
    pub fn of_batch(&self, pipeline: &str, batch: &Batch) -> Result<Batch, ColumnFull> {
        match self {
            Self::All => Ok(batch.clone()),
            Self::Some(records) => {
                let ordinals = batch.ordinals();
                let key = |record: &u32| (*record, ordinals.get(*record as usize).copied().unwrap_or_default());
                batch.picked(pipeline, &records.iter().map(key).collect::<Vec<_>>())
            }
        }
    }
}
