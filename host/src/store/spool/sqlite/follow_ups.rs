//! What is to be born of records, and what was.
//!
//! What a call added is kept beside its causes until they have come to their end. Whatever transaction notes their outcome puts what follows from
//! it into the spool, so that there is one of both or none. A cause makes one record of an action at the most: that it did is known as long as it is there.

use std::{collections::BTreeMap, sync::Arc};

use rusqlite::{Transaction, params};

use super::{Fault, New, claim::Kept, insert, packed, unpacked};
use crate::{
    record::{Batch, FollowUps, On, Span, SpanSet, bundled, follow_up_of},
    store::spool::{Born, Causes, Millis, Promise, Settling, Written},
};

/// Keeps what a call added.
pub(super) fn promise(transaction: &Transaction<'_>, promise: &Promise) -> Result<(), Fault> {
    let Promise { causes, follow_ups, .. } = promise;
    for follow_ups in follow_ups {
        let (Some(first), Some(last)) = (follow_ups.causes.first(), follow_ups.causes.last()) else { continue };
        let places = match causes {
            // The records of a batch, counted from its first.
            Causes::Batch(row) => vec![(*row, 0, first.start, last.end)],
            Causes::Upload(id) => lines(transaction, *id, Span::new(first.start, last.end))?,
        };
        for (row, start, first, end) in places {
            let known = transaction.prepare_cached("SELECT 1 FROM batches WHERE id = ?")?.exists([row])?;
            if !known {
                // What has come to its end before is no cause any more.
                continue;
            }
            let kept = Kept::load(transaction, row)?;
            if !kept.holds(Span::new(first, end)) {
                return Err(Fault::Misused(format!("batch {row} has no records {}", Span::new(first, end))));
            }
            let start = if matches!(causes, Causes::Batch(_)) { first } else { start };
            for (place, born) in follow_ups.born_of(&promise.pipeline, &kept.batch.slice(first..end), start) {
                let causes = Span::new(first + place, first + place + born.count());
                keep(transaction, promise, follow_ups, (row, causes), &born)?;
            }
        }
    }
    Ok(())
}

/// What some lines of an upload were made of: batch, first line, and first and last record.
fn lines(transaction: &Transaction<'_>, id: i64, lines: Span) -> Result<Vec<(i64, u32, u32, u32)>, Fault> {
    let mut query = transaction
        .prepare_cached("SELECT start, end, batch, first FROM lines WHERE upload = ? AND end > ? AND start < ? ORDER BY start")?;
    let rows = query.query_map(params![id, lines.start, lines.end], |row| {
        let (start, end, batch, first): (u32, u32, i64, u32) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok((batch, start, first, first + (end - start)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn keep(
    transaction: &Transaction<'_>,
    promise: &Promise,
    follow_ups: &FollowUps,
    (row, causes): (i64, Span),
    born: &Batch,
) -> Result<(), Fault> {
    let (Promise { pipeline, max_depth, .. }, FollowUps { action, name, on, .. }) = (promise, follow_ups);
    // What is added again takes the place of what was added before.
    transaction
        .prepare_cached("DELETE FROM promises WHERE batch = ? AND outcome = ? AND action = ? AND start >= ? AND end <= ?")?
        .execute(params![row, *on as i64, action, causes.start, causes.end])?;
    let (raw, data) = stored(born)?;
    transaction
        .prepare_cached(
            "INSERT INTO promises (batch, start, end, outcome, action, name, pipeline, most, raw, data)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![row, causes.start, causes.end, *on as i64, action, &**name, &**pipeline, max_depth, raw, data])?;
    Ok(())
}

/// What is born in one transaction.
#[derive(Default)]
pub(super) struct Births {
    born: BTreeMap<Kind, Vec<Batch>>,
    cut: u64,
}

/// What is alike of births.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    action: u32,
    partition: Arc<str>,
    label: Arc<str>,
    version: Option<Arc<str>>,
    pipeline: Arc<str>,
    depth: u32,
}

impl Births {
    /// Notes what follows from what becomes of some records. It comes before that is noted: a batch may go with it.
    pub(super) fn add(&mut self, transaction: &Transaction<'_>, row: i64, span: Span, settling: &Settling) -> Result<(), Fault> {
        let on = match settling {
            Settling::Succeeded(_) => On::Succeeded,
            Settling::Failed { counted: true, .. } => On::Failed,
            Settling::Discarded(_) => On::Discarded,
            Settling::Failed { counted: false, .. } | Settling::Unknown(_) => return Ok(()),
        };
        let mut query = transaction.prepare_cached(
            "SELECT promises.start, promises.end, promises.action, promises.name, promises.pipeline, promises.raw, promises.data,
                    batches.label, batches.version, batches.depth, promises.most
             FROM promises JOIN batches ON batches.id = promises.batch
             WHERE promises.batch = ? AND promises.outcome = ? AND promises.end > ? AND promises.start < ? ORDER BY promises.id DESC",
        )?;
        let mut rows = query.query(params![row, on as i64, span.start, span.end])?;
        while let Some(found) = rows.next()? {
            let promised = Span::new(found.get(0)?, found.get(1)?);
            let (action, name): (u32, String) = (found.get(2)?, found.get(3)?);
            let within = Span::new(promised.start.max(span.start), promised.end.min(span.end));
            let fresh = fresh(transaction, row, action, within)?;
            if fresh.is_empty() {
                continue;
            }
            for span in &fresh {
                transaction
                    .prepare_cached("INSERT INTO followed (batch, action, start, end) VALUES (?, ?, ?, ?)")?
                    .execute(params![row, action, span.start, span.end])?;
            }
            let (depth, most): (u32, u32) = (found.get(9)?, found.get(10)?);
            if depth >= most {
                self.cut += fresh.iter().map(|span| u64::from(span.len())).sum::<u64>();
                continue;
            }
            let (raw, data): (i64, Vec<u8>) = (found.get(5)?, found.get(6)?);
            let born = unpacked(&data, raw as usize).map_err(|cause| Fault::Damaged { row, cause })?;
            if born.count() != promised.len() {
                return Err(Fault::Misused(format!("batch {row} has {} follow-ups for records {promised}", born.count())));
            }
            let label: String = found.get(7)?;
            for span in fresh {
                let kind = Kind {
                    action,
                    partition: born.partition().clone(),
                    label: follow_up_of(&name, &label),
                    version: found.get::<_, Option<String>>(8)?.map(Arc::from),
                    pipeline: found.get::<_, String>(4)?.into(),
                    depth: depth + 1,
                };
                self.born.entry(kind).or_default().push(born.slice(span.start - promised.start..span.end - promised.start));
            }
        }
        Ok(())
    }

    /// Puts all of it into the spool, also where that is full: what is in it already could not come to its end otherwise. Gives how much
    /// that is.
    pub(super) fn bear(self, transaction: &Transaction<'_>, now: Millis) -> Result<Born, Fault> {
        let mut records = 0;
        for (kind, mut born) in self.born {
            // In the order of their causes, which came to their end in any.
            born.sort_by_key(|batch| (batch.sequences().first().copied(), batch.ordinals().first().copied().unwrap_or_default()));
            for some in bundled(&born) {
                let full = |cause| Fault::Misused(format!("follow-ups cannot be put together: {cause}"));
                let Some(batch) = Batch::joined(&kind.pipeline, some).map_err(full)? else { continue };
                let Kind { action, label, version, depth, .. } = &kind;
                let new = New { action: *action, version: version.as_deref(), label, depth: *depth };
                insert(transaction, &new, &batch, now)?;
                records += u64::from(batch.count());
            }
        }
        Ok(Born { records, cut: self.cut })
    }
}

/// Those causes that have made no record of an action so far.
fn fresh(transaction: &Transaction<'_>, row: i64, action: u32, within: Span) -> Result<Vec<Span>, Fault> {
    let mut query =
        transaction.prepare_cached("SELECT start, end FROM followed WHERE batch = ? AND action = ? AND end > ? AND start < ?")?;
    let known = query.query_map(params![row, action, within.start, within.end], |row| Ok(Span::new(row.get(0)?, row.get(1)?)))?;
    let known: SpanSet = known.collect::<Result<_, _>>()?;
    let gaps = known.gaps(within.end).into_iter();
    Ok(gaps.map(|gap| Span::new(gap.start.max(within.start), gap.end)).filter(|gap| !gap.is_empty()).collect())
}

/// Keeps what is to follow records that are not in the spool. Gives its number.
pub(super) fn promise_written(transaction: &Transaction<'_>, written: &Written) -> Result<i64, Fault> {
    let Written { action, version, label, pipeline, batch } = written;
    let (raw, data) = stored(batch)?;
    transaction
        .prepare_cached("INSERT INTO written (action, version, label, pipeline, count, raw, data) VALUES (?, ?, ?, ?, ?, ?, ?)")?
        .execute(params![action, version.as_deref(), &**label, &**pipeline, batch.count(), raw, data])?;
    Ok(transaction.last_insert_rowid())
}

/// Puts what comes to be of a promise into the spool, and forgets it. Gives how much that is.
pub(super) fn bear(transaction: &Transaction<'_>, promise: i64, born: &[Span], now: Millis) -> Result<u64, Fault> {
    let records = if born.is_empty() { 0 } else { bear_some(transaction, promise, born, now)? };
    transaction.prepare_cached("DELETE FROM written WHERE id = ?")?.execute([promise])?;
    Ok(records)
}

fn bear_some(transaction: &Transaction<'_>, promise: i64, born: &[Span], now: Millis) -> Result<u64, Fault> {
    let mut query = transaction.prepare_cached("SELECT action, version, label, pipeline, raw, data FROM written WHERE id = ?")?;
    let mut rows = query.query([promise])?;
    let Some(row) = rows.next()? else { return Ok(0) };
    let (version, label, pipeline): (Option<String>, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let (raw, data): (i64, Vec<u8>) = (row.get(4)?, row.get(5)?);
    let batch = unpacked(&data, raw as usize).map_err(|cause| Fault::Damaged { row: promise, cause })?;
    if let Some(span) = born.iter().find(|span| span.end > batch.count()) {
        return Err(Fault::Misused(format!("the promise {promise} has no follow-ups {span}")));
    }
    let born: Vec<Batch> = born.iter().map(|span| batch.slice(span.start..span.end)).collect();
    let full = |cause| Fault::Misused(format!("follow-ups cannot be put together: {cause}"));
    let Some(batch) = Batch::joined(&pipeline, &born).map_err(full)? else { return Ok(0) };
    insert(transaction, &New { action: row.get(0)?, version: version.as_deref(), label: &label, depth: 1 }, &batch, now)?;
    Ok(batch.count().into())
}

/// How much is promised: records, and bytes.
pub(super) fn promised(transaction: &Transaction<'_>) -> Result<(u64, u64), Fault> {
    let mut query = transaction.prepare_cached("SELECT records, bytes FROM promised")?;
    Ok(query.query_row([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)))?)
}

/// A batch as it is stored, and its bytes before it was compressed.
pub(super) fn stored(batch: &Batch) -> Result<(i64, Vec<u8>), Fault> {
    let mut raw = Vec::with_capacity(batch.bytes() + batch.count() as usize * 16);
    batch.store(&mut raw);
    let data = packed(&raw).map_err(|cause| Fault::Misused(format!("a batch cannot be compressed: {cause}")))?;
    Ok((raw.len() as i64, data))
}
