//! A portion in the making.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Cut, Portion, Unreadable};
use crate::record::{BatchBuilder, ColumnFull, NewRecord, NoRoom, Shape};

/// More bytes are never cut into one batch, whatever the options say: a column holds 4 GiB.
const MOST_BYTES: u64 = 512 << 20;

/// Gathers records and what is none until the cut.
#[derive(Debug)]
pub(super) struct Building {
    cut: Cut,
    keyed: bool,
    content_type: Option<Arc<str>>,
    batch: Option<BatchBuilder>,
    unreadable: Vec<Unreadable>,
    /// Of all that is unreadable.
    bytes: u64,
    /// When the first thing came.
    since: Duration,
    /// What the portion before was like: about what this one will be.
    last: Shape,
    /// Where portions ended that are to be made again: nothing else cuts before the last of these.
    ends: VecDeque<u64>,
}

impl Building {
    pub(super) fn new(cut: &Cut, keyed: bool, content_type: Option<&str>) -> Self {
        let cut = Cut { records: cut.records.max(1), bytes: cut.bytes.clamp(1, MOST_BYTES), delay: cut.delay };
        let content_type = content_type.map(Arc::from);
        Self {
            cut,
            keyed,
            content_type,
            batch: None,
            unreadable: Vec::new(),
            bytes: 0,
            since: Duration::ZERO,
            last: Shape::default(),
            ends: VecDeque::new(),
        }
    }

    /// Makes the portions again that ended at these places, which never fall.
    pub(super) fn end_at(&mut self, ends: VecDeque<u64>) {
        self.ends = ends;
    }

    /// Whether a portion that is made again ends where what comes next stands.
    pub(super) fn ends_at(&mut self, next: u64) -> bool {
        while self.ends.front().is_some_and(|end| *end <= next) {
            if !self.is_empty() {
                return true;
            }
            self.ends.pop_front();
        }
        false
    }

    /// Whether what it makes was cut before, and records, bytes and delay have nothing to say.
    fn is_made_again(&self) -> bool {
        !self.ends.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.things() == 0
    }

    /// Records and what is none.
    fn things(&self) -> usize {
        self.batch.as_ref().map_or(0, BatchBuilder::len) + self.unreadable.len()
    }

    fn bytes(&self) -> u64 {
        self.bytes + self.batch.as_ref().map_or(0, BatchBuilder::bytes) as u64
    }

    /// Whether something of so many bytes goes in without passing the cut; the first always does.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.is_empty() || self.is_made_again() || self.bytes() + bytes as u64 <= self.cut.bytes
    }

    /// Whether it is to be cut before anything else comes.
    pub(super) fn is_full(&self) -> bool {
        !self.is_made_again() && (self.things() >= self.cut.records as usize || self.bytes() >= self.cut.bytes)
    }

    /// When it is to be cut, full or not; `None` while there is nothing in it.
    pub(super) fn due(&self) -> Option<Duration> {
        (!self.is_empty() && !self.is_made_again()).then(|| self.since.saturating_add(self.cut.delay))
    }

    /// Adds a record, as [`BatchBuilder::push_with`] does.
    pub(super) fn push_with(
        &mut self,
        now: Duration,
        sequence: u64,
        key: Option<&[u8]>,
        after: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), ColumnFull> {
        if self.is_empty() {
            self.since = now;
        }
        self.batch().push_with(sequence, key, after)
    }

    /// Whether such a record goes into the batch that is there; where it does not, it may go into the next one.
    pub(super) fn takes<'m>(&self, record: &NewRecord<'_>, metadata: impl Iterator<Item = (&'m str, &'m [u8])>) -> bool {
        self.batch.as_ref().is_none_or(|batch| batch.takes(record, metadata))
    }

    /// Adds a record, as [`BatchBuilder::push_record`] does.
    pub(super) fn push_record<'m>(
        &mut self,
        now: Duration,
        record: &NewRecord<'_>,
        metadata: impl Iterator<Item = (&'m str, &'m [u8])>,
    ) -> Result<(), NoRoom> {
        if self.is_empty() {
            self.since = now;
        }
        self.batch().push_record(record, metadata)
    }

    fn batch(&mut self) -> &mut BatchBuilder {
        self.batch
            .get_or_insert_with(|| BatchBuilder::like(std::mem::take(&mut self.last), self.keyed, self.content_type.clone()))
    }

    /// Adds what is no record.
    pub(super) fn push_unreadable(&mut self, now: Duration, sequence: u64, bytes: Bytes, reason: String) {
        if self.is_empty() {
            self.since = now;
        }
        self.bytes += bytes.len() as u64;
        self.unreadable.push(Unreadable { sequence, bytes, reason });
    }

    /// The portion, cut here; `None` where nothing is in it.
    pub(super) fn finish(&mut self, pipeline: &str, partition: &Arc<str>, label: &Arc<str>, next: u64) -> Option<Portion> {
        if self.is_empty() {
            return None;
        }
        let batch = self.batch.take().filter(|batch| !batch.is_empty());
        if let Some(batch) = &batch {
            self.last = batch.shape();
        }
        self.bytes = 0;
        Some(Portion {
            partition: partition.clone(),
            label: label.clone(),
            batch: batch.map(|batch| batch.finish(pipeline, partition.clone())),
            unreadable: std::mem::take(&mut self.unreadable),
            next,
            again: None,
        })
    }
}
