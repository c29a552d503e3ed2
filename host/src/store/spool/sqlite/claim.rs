//! What is to be worked on next.

use std::{collections::HashSet, sync::Arc};

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::{
    Fault,
    spans::{self, Note, Stretch},
    unpacked,
};
use crate::{
    record::{Batch, Span},
    store::spool::{Claim, ClaimOrder, Millis, Part, SpoolState},
};

/// A batch as it is kept, without what became of its records.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) row: i64,
    action: Option<Arc<str>>,
    version: Option<Arc<str>>,
    label: Arc<str>,
    taken: Millis,
    pub(super) batch: Batch,
}

impl Kept {
    pub(super) fn load(transaction: &Transaction<'_>, row: i64) -> Result<Self, Fault> {
        let mut query = transaction.prepare_cached(
            "SELECT version, label, taken, raw, data, (SELECT nullif(name, '') FROM actions WHERE actions.action = batches.action)
             FROM batches WHERE id = ?",
        )?;
        let found = query.query_row([row], |found| {
            let (raw, data): (i64, Vec<u8>) = (found.get(3)?, found.get(4)?);
            let (version, action): (Option<String>, Option<String>) = (found.get(0)?, found.get(5)?);
            Ok((version, found.get::<_, String>(1)?, found.get::<_, i64>(2)?, raw, data, action))
        });
        let missing = || Fault::Misused(format!("batch {row} is not there"));
        let (version, label, taken, raw, data, action) = found.optional()?.ok_or_else(missing)?;
        let batch = unpacked(&data, raw as usize).map_err(|cause| Fault::Damaged { row, cause })?;
        let action = action.map(Arc::from);
        Ok(Self { row, action, version: version.map(Arc::from), label: label.into(), taken: taken as u64, batch })
    }

    pub(super) fn part(&self, span: Span, attempts: u32) -> Part {
        let Self { row, action, version, label, taken, batch } = self;
        let (action, version, label) = (action.clone(), version.clone(), label.clone());
        Part { row: *row, action, span, attempts, taken: *taken, version, label, records: batch.slice(span.start..span.end) }
    }

    pub(super) fn holds(&self, span: Span) -> bool {
        span.end <= self.batch.count()
    }
}

/// Gives what a claim asks for, and makes it executing.
pub(super) fn claim(transaction: &Transaction<'_>, claim: &Claim) -> Result<Vec<Part>, Fault> {
    let mut parts: Vec<Part> = Vec::new();
    let mut taking = Taking {
        records: claim.records,
        bytes: claim.bytes,
        pending: HashSet::new(),
        one_each: claim.order == ClaimOrder::OneEach,
        is_over: false,
    };
    {
        let mut query = transaction.prepare_cached(spans::OPEN)?;
        let mut rows = query.query(params![claim.action])?;
        let mut kept: Option<Kept> = None;
        while let Some(row) = rows.next()? {
            let (row, stretch) = spans::open(row)?;
            let wanted = match stretch.state {
                SpoolState::Waiting => true,
                SpoolState::Failed => stretch.due <= claim.now,
                _ => false,
            };
            if !wanted && claim.order == ClaimOrder::Any {
                continue;
            }
            let kept = match &mut kept {
                Some(known) if known.row == row => known,
                other => other.insert(Kept::load(transaction, row)?),
            };
            if !kept.holds(stretch.span) {
                return Err(Fault::Misused(format!("batch {row} has no records {}", stretch.span)));
            }
            if !wanted {
                taking.hold(kept, stretch.span);
                continue;
            }
            if parts.first().is_some_and(|first| first.version != kept.version) {
                break;
            }
            taking.take(kept, &stretch, &mut parts);
            if taking.is_over {
                break;
            }
        }
    }
    let note = Note { at: claim.now, upload: None, reason: None };
    for part in &parts {
        spans::change(transaction, part.row, part.span, &note, |was| Some(Stretch { state: SpoolState::Executing, ..was }))?;
    }
    Ok(parts)
}

/// What there is still room for, and what must wait.
struct Taking {
    records: u32,
    bytes: u64,
    /// Keys of records that are pending: what comes behind one has to wait for it.
    pending: HashSet<blake3::Hash>,
    /// Whether what is given is pending itself.
    one_each: bool,
    is_over: bool,
}

impl Taking {
    fn hold(&mut self, kept: &Kept, span: Span) {
        self.pending.extend((span.start..span.end).map(|record| key(&kept.batch, record)));
    }

    /// Takes of a stretch what may go, as far as there is room.
    fn take(&mut self, kept: &Kept, stretch: &Stretch, parts: &mut Vec<Part>) {
        if self.pending.is_empty() && !self.one_each {
            self.take_run(kept, stretch.span, stretch.attempts, parts);
            return;
        }
        let mut start = stretch.span.start;
        for record in stretch.span.start..stretch.span.end {
            let key = key(&kept.batch, record);
            let waits = if self.one_each { !self.pending.insert(key) } else { self.pending.contains(&key) };
            if waits {
                self.take_run(kept, Span::new(start, record), stretch.attempts, parts);
                start = record + 1;
            }
            if self.is_over {
                return;
            }
        }
        self.take_run(kept, Span::new(start, stretch.span.end), stretch.attempts, parts);
    }

    fn take_run(&mut self, kept: &Kept, span: Span, attempts: u32, parts: &mut Vec<Part>) {
        if span.is_empty() || self.is_over {
            return;
        }
        let room = span.start + span.len().min(self.records);
        let bytes = |end: u32| kept.batch.bytes_of(Span::new(span.start, end)) as u64;
        // Bytes grow with the end: half the stretch is looked at, then half of that.
        let (mut fits, mut least_too_many) = (span.start, room + 1);
        while fits + 1 < least_too_many {
            let middle = fits + (least_too_many - fits) / 2;
            if bytes(middle) <= self.bytes { fits = middle } else { least_too_many = middle }
        }
        if fits == span.start && parts.is_empty() && self.records > 0 {
            fits = span.start + 1;
        }
        self.is_over = fits < span.end;
        if fits > span.start {
            self.bytes = self.bytes.saturating_sub(bytes(fits));
            self.records -= fits - span.start;
            parts.push(kept.part(Span::new(span.start, fits), attempts));
            self.is_over |= self.records == 0;
        }
    }
}

/// What stands for a record's key; records of a partition that have none all wait for each other.
fn key(batch: &Batch, record: u32) -> blake3::Hash {
    let partition = batch.partition();
    let mut digest = blake3::Hasher::new();
    digest.update(&(partition.len() as u64).to_le_bytes()).update(partition.as_bytes());
    if let Some(key) = batch.key().and_then(|keys| keys.get(record as usize)) {
        digest.update(b"k").update(key);
    }
    digest.finalize()
}
