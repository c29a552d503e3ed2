//! Uploads and what their lines were made of.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::{
    Fault,
    claim::Kept,
    code,
    follow_ups::Births,
    spans::{self, Note, Stretch},
};
use crate::{
    record::{Handle, Span, SpanSet},
    store::spool::{Born, Millis, NewUpload, Part, Settling, SpoolState, Step, StoredUpload, UploadState},
};

/// Keeps an upload of records that are executing.
pub(super) fn stage(transaction: &Transaction<'_>, upload: &NewUpload, now: Millis) -> Result<i64, Fault> {
    let NewUpload { intent, action, digest, version, file, bytes, part, lines } = upload;
    let records: u64 = lines.iter().map(|(_, span)| u64::from(span.len())).sum();
    let records = u32::try_from(records).map_err(|_| Fault::Misused("an upload of over four milliards of records".into()))?;
    if records == 0 {
        return Err(Fault::Misused("an upload of no records".into()));
    }
    transaction
        .prepare_cached(
            "INSERT INTO uploads
                (intent, action, asked_as, digest, version, file, bytes, records, part, state, attempt, next, failures, created, changed)
             VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10, 0, ?10, ?10)",
        )?
        .execute(params![
            &**intent,
            action,
            &**digest,
            version.as_deref(),
            &**file,
            *bytes as i64,
            records,
            part,
            UploadState::Staged as i64,
            now as i64,
        ])?;
    let id = transaction.last_insert_rowid();
    let mut line = 0;
    for (row, span) in lines {
        transaction
            .prepare_cached("INSERT INTO lines (upload, start, end, batch, first) VALUES (?, ?, ?, ?, ?)")?
            .execute(params![id, line, line + span.len(), row, span.start])?;
        line += span.len();
        let note = Note { at: now, upload: Some(id), reason: None };
        spans::change(transaction, *row, *span, &note, |was| {
            let uploading = Stretch { state: SpoolState::Uploading, upload: Some(id), ..was };
            (was.state == SpoolState::Executing).then_some(uploading)
        })?;
    }
    Ok(id)
}

/// Changes an upload, and what its lines came to. Gives what was born of that, too.
pub(super) fn step(transaction: &Transaction<'_>, id: i64, step: &Step, now: Millis) -> Result<(StoredUpload, Born), Fault> {
    let mut births = Births::default();
    for (lines, settling) in &step.outcomes {
        settle(transaction, id, *lines, settling, &mut births, now)?;
    }
    let born = births.bear(transaction, now)?;
    let was = load(transaction, id)?;
    let ended = |state| matches!(state, UploadState::Settled | UploadState::Released);
    let state = match step.state.unwrap_or(was.state) {
        UploadState::Released if was.open.spans() == 0 => UploadState::Released,
        _ if was.open.spans() == 0 => UploadState::Settled,
        state if ended(state) => return Err(Fault::Misused(format!("upload {id} has lines that are not settled"))),
        state => state,
    };
    let attempt = was.attempt + u32::from(step.sends);
    let sent = was.sent.or(step.sends.then_some(now));
    let handle = step.handle.clone().or(was.handle.clone());
    let next = step.next.unwrap_or(was.next);
    let failures = step.failures.unwrap_or(was.failures);
    let reason = step.reason.clone().or(was.reason.clone());
    transaction
        .prepare_cached(
            "UPDATE uploads SET state = ?2, attempt = ?3, handle = ?4, next = ?5, failures = ?6, sent = ?7, changed = ?8, reason = ?9
             WHERE id = ?1",
        )?
        .execute(params![
            id,
            state as i64,
            attempt,
            handle.as_deref(),
            next as i64,
            failures,
            sent.map(|sent| sent as i64),
            now as i64,
            reason.as_deref(),
        ])?;
    Ok((StoredUpload { state, attempt, handle, next, failures, sent, reason, ..was }, born))
}

fn settle(
    transaction: &Transaction<'_>,
    id: i64,
    lines: Span,
    settling: &Settling,
    births: &mut Births,
    now: Millis,
) -> Result<(), Fault> {
    let reason = match settling {
        Settling::Succeeded(remark) => remark.as_deref(),
        Settling::Failed { reason, .. } | Settling::Discarded(reason) | Settling::Unknown(reason) => Some(&**reason),
    };
    let note = Note { at: now, upload: Some(id), reason };
    for (row, records) in records(transaction, id, lines)? {
        births.add(transaction, row, records, settling)?;
        spans::change(transaction, row, records, &note, |was| {
            (was.state == SpoolState::Uploading && was.upload == Some(id)).then(|| was.settled(settling))
        })?;
    }
    Ok(())
}

/// What some lines were made of: batches, and records of them, in order.
fn records(transaction: &Transaction<'_>, id: i64, lines: Span) -> Result<Vec<(i64, Span)>, Fault> {
    let mut query = transaction
        .prepare_cached("SELECT start, end, batch, first FROM lines WHERE upload = ? AND end > ? AND start < ? ORDER BY start")?;
    let mut rows = query.query(params![id, lines.start, lines.end])?;
    let (mut records, mut found) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let (start, end, batch, first): (u32, u32, i64, u32) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let (from, to) = (start.max(lines.start), end.min(lines.end));
        records.push((batch, Span::new(first + (from - start), first + (to - start))));
        found += to - from;
    }
    match found == lines.len() && found > 0 {
        true => Ok(records),
        false => Err(Fault::Misused(format!("upload {id} has no lines {lines}"))),
    }
}

/// The records of some lines, as they were taken.
pub(super) fn parts(transaction: &Transaction<'_>, id: i64, lines: Span) -> Result<Vec<Part>, Fault> {
    let mut parts = Vec::new();
    let mut kept: Option<Kept> = None;
    for (row, span) in records(transaction, id, lines)? {
        let kept = match &mut kept {
            Some(known) if known.row == row => known,
            other => other.insert(Kept::load(transaction, row)?),
        };
        if !kept.holds(span) {
            return Err(Fault::Misused(format!("batch {row} has no records {span}")));
        }
        let attempts = transaction
            .prepare_cached("SELECT attempts FROM spans WHERE batch = ?1 AND start = (SELECT max(start) FROM spans WHERE batch = ?1 AND start <= ?2)")?
            .query_row(params![row, span.start], |row| row.get(0))?;
        parts.push(kept.part(span, attempts));
    }
    Ok(parts)
}

/// Uploads that are not released.
pub(super) fn all(transaction: &Transaction<'_>) -> Result<Vec<StoredUpload>, Fault> {
    let mut query = transaction.prepare_cached("SELECT id FROM uploads WHERE state <> ? ORDER BY id")?;
    let ids: Vec<i64> = query.query_map([UploadState::Released as i64], |row| row.get(0))?.collect::<Result<_, _>>()?;
    ids.into_iter().map(|id| load(transaction, id)).collect()
}

fn load(transaction: &Transaction<'_>, id: i64) -> Result<StoredUpload, Fault> {
    let mut query = transaction.prepare_cached(
        "SELECT id, intent, action, digest, version, file, bytes, records, part, state, attempt, handle, next, failures, created, sent, reason,
             asked_as
         FROM uploads WHERE id = ?",
    )?;
    let found = query.query_row([id], upload).optional()?;
    let found = found.ok_or_else(|| Fault::Misused(format!("upload {id} is not there")))?;
    Ok(StoredUpload { open: open(transaction, id)?, ..found })
}

/// The lines that are still to be settled.
fn open(transaction: &Transaction<'_>, id: i64) -> Result<SpanSet, Fault> {
    let mut query = transaction.prepare_cached(
        "SELECT lines.start, lines.first, max(spans.start, lines.first), min(spans.end, lines.first + lines.end - lines.start)
         FROM lines JOIN spans ON spans.batch = lines.batch AND spans.upload = ?1 AND spans.state = ?2
             AND spans.end > lines.first AND spans.start < lines.first + lines.end - lines.start
         WHERE lines.upload = ?1 ORDER BY lines.start, spans.start",
    )?;
    let spans = query.query_map(params![id, code(SpoolState::Uploading)], |row| {
        let (line, first, start, end): (u32, u32, u32, u32) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(Span::new(line + (start - first), line + (end - first)))
    })?;
    Ok(spans.collect::<Result<_, _>>()?)
}

fn upload(row: &Row<'_>) -> rusqlite::Result<StoredUpload> {
    let text = |index| row.get::<_, String>(index).map(Arc::<str>::from);
    let maybe = |index| row.get::<_, Option<String>>(index).map(|text| text.map(Arc::<str>::from));
    let millis = |index| row.get::<_, i64>(index).map(|millis| millis as u64);
    let state: i64 = row.get(9)?;
    let state = UploadState::ALL.into_iter().find(|known| *known as i64 == state);
    Ok(StoredUpload {
        id: row.get(0)?,
        intent: text(1)?,
        action: row.get(2)?,
        asked_as: row.get(17)?,
        digest: text(3)?,
        version: maybe(4)?,
        file: text(5)?,
        bytes: millis(6)?,
        records: row.get(7)?,
        part: row.get(8)?,
        state: state.ok_or(rusqlite::Error::IntegralValueOutOfRange(9, i64::MAX))?,
        attempt: row.get(10)?,
        handle: row.get::<_, Option<Vec<u8>>>(11)?.map(Handle::from),
        next: millis(12)?,
        failures: row.get(13)?,
        created: millis(14)?,
        sent: row.get::<_, Option<i64>>(15)?.map(|sent| sent as u64),
        reason: maybe(16)?,
        open: SpanSet::default(),
    })
}
