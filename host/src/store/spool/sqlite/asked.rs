//! What a person asks of a spool, and what a schedule does.

use rusqlite::{Transaction, params};

use super::{
    Fault,
    claim::Kept,
    code,
    spans::{self, Note, Stretch},
    state,
};
use crate::{
    record::{RUN, Span},
    store::spool::{Backlog, Millis, Part, Selection, SpoolRecords, SpoolState},
};

/// What waits for its first file.
pub(super) fn backlog(transaction: &Transaction<'_>, action: u32) -> Result<Backlog, Fault> {
    let mut query = transaction.prepare_cached(
        "SELECT coalesce(sum(spans.end - spans.start), 0),
                coalesce(sum(batches.raw * (spans.end - spans.start) / batches.count), 0),
                min(batches.taken)
         FROM spans JOIN batches ON batches.id = spans.batch WHERE spans.action = ? AND spans.state = ?",
    )?;
    let (records, bytes, oldest) = query.query_row(params![action, code(SpoolState::Waiting)], |row| {
        Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64, row.get::<_, Option<i64>>(2)?))
    })?;
    let mut query = transaction.prepare_cached("SELECT min(due) FROM spans WHERE action = ? AND state = ?")?;
    let failed: Option<i64> = query.query_row(params![action, code(SpoolState::Failed)], |row| row.get(0))?;
    Ok(Backlog { records, bytes, oldest: oldest.map(|at| at as u64), failed: failed.map(|at| at as u64) })
}

/// Spans that are selected, behind a place, in order: batch and stretch.
fn selected(
    transaction: &Transaction<'_>,
    selection: &Selection,
    among: &[SpoolState],
    after: (i64, u32),
    most: u32,
) -> Result<Vec<(i64, Stretch)>, Fault> {
    let wanted = among.iter().filter(|state| selection.state.is_none_or(|one| one == **state));
    let states: Vec<String> = wanted.map(|state| code(*state).to_string()).collect();
    if states.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = transaction.prepare_cached(&format!(
        "SELECT start, end, state, attempts, due, upload, batch FROM spans
         WHERE state IN ({}) AND (?1 IS NULL OR batch = ?1) AND (batch > ?2 OR batch = ?2 AND start >= ?3)
             AND (?5 IS NULL OR batch IN (SELECT id FROM batches WHERE taken < ?5)) AND (?6 IS NULL OR action = ?6)
         ORDER BY batch, start LIMIT ?4",
        states.join(", ")
    ))?;
    // Of which run a record is stands in it alone.
    let limit = if selection.run.is_some() { i64::MAX } else { most.into() };
    let before = selection.before.map(|before| before as i64);
    let mut rows = query.query_map(params![selection.batch, after.0, after.1, limit, before, selection.action], |row| {
        let span = Span::new(row.get(0)?, row.get(1)?);
        let (state, attempts, due, upload) = (state(row.get(2)?)?, row.get(3)?, row.get::<_, i64>(4)? as u64, row.get(5)?);
        Ok((row.get(6)?, Stretch { span, state, attempts, due, upload }))
    })?;
    let Some(run) = selection.run.as_deref() else { return Ok(rows.collect::<Result<_, _>>()?) };
    let (mut found, mut kept): (Vec<(i64, Stretch)>, Option<Kept>) = (Vec::new(), None);
    while let Some((row, stretch)) = rows.next().transpose()?.filter(|_| found.len() < most as usize) {
        let kept = match &mut kept {
            Some(known) if known.row == row => known,
            other => other.insert(Kept::load(transaction, row)?),
        };
        let Some(runs) = kept.batch.meta(RUN).filter(|runs| runs.len() >= stretch.span.end as usize) else { continue };
        let is_of_it = |record: &u32| runs.get(*record as usize) == Some(run.as_bytes());
        let mut next = stretch.span.start;
        while let Some(start) = (next..stretch.span.end).find(is_of_it) {
            next = (start..stretch.span.end).find(|record| !is_of_it(record)).unwrap_or(stretch.span.end);
            found.push((row, Stretch { span: Span::new(start, next), ..stretch }));
        }
    }
    Ok(found)
}

/// All states that a record can be in while it is in the spool.
const OPEN: [SpoolState; 5] =
    [SpoolState::Waiting, SpoolState::Executing, SpoolState::Uploading, SpoolState::Failed, SpoolState::Unknown];

/// Those that are in nobody's hands.
const FREE: [SpoolState; 3] = [SpoolState::Waiting, SpoolState::Failed, SpoolState::Unknown];

pub(super) fn records(
    transaction: &Transaction<'_>,
    selection: &Selection,
    after: (i64, u32),
    most: u32,
) -> Result<Vec<SpoolRecords>, Fault> {
    let mut found = Vec::new();
    for (row, stretch) in selected(transaction, selection, &OPEN, after, most)? {
        let Stretch { span, state, attempts, due, upload } = stretch;
        let kept = Kept::load(transaction, row)?;
        if !kept.holds(span) {
            return Err(Fault::Misused(format!("batch {row} has no records {span}")));
        }
        let Part { taken, version, label, records, .. } = kept.part(span, attempts);
        let sequences = records.sequences();
        let (first, last) = (sequences.first().copied().unwrap_or_default(), sequences.last().copied().unwrap_or_default());
        let reason = transaction
            .prepare_cached("SELECT reason FROM transitions WHERE batch = ? AND start <= ? AND end > ? ORDER BY id DESC LIMIT 1")?
            .query_row(params![row, span.start, span.start], |row| row.get::<_, Option<String>>(0));
        let reason = match reason {
            Ok(reason) => reason,
            Err(rusqlite::Error::QueryReturnedNoRows) => None,
            Err(error) => return Err(error.into()),
        };
        let partition = records.partition().clone();
        let mut of = transaction.prepare_cached("SELECT action FROM batches WHERE id = ?")?;
        let action = of.query_row([row], |row| row.get(0))?;
        found.push(SpoolRecords {
            row,
            action,
            span,
            state,
            attempts,
            due,
            upload,
            taken,
            version,
            partition,
            label,
            first,
            last,
            reason,
        });
    }
    Ok(found)
}

/// Makes what is selected and failed, or was not answered for, due at once. Gives how many records that are.
pub(super) fn hurry(transaction: &Transaction<'_>, selection: &Selection, now: Millis) -> Result<u64, Fault> {
    let among = [SpoolState::Failed, SpoolState::Unknown];
    let note = Note { at: now, upload: None, reason: Some("a person decided so") };
    let mut hurried = 0;
    for (row, Stretch { span, .. }) in selected(transaction, selection, &among, (0, 0), u32::MAX)? {
        // Neighbours may have become one with it meanwhile, and are alike then.
        spans::change(transaction, row, span, &note, |was| Some(Stretch { state: SpoolState::Failed, due: now, ..was }))?;
        hurried += u64::from(span.len());
    }
    Ok(hurried)
}

/// Takes some records that are selected, and in nobody's hands, into the caller's: they are executing from now on.
pub(super) fn reserve(transaction: &Transaction<'_>, selection: &Selection, most: u32, now: Millis) -> Result<Vec<Part>, Fault> {
    let note = Note { at: now, upload: None, reason: Some("a person decides about them") };
    let mut parts = Vec::new();
    for (row, Stretch { span, attempts, .. }) in selected(transaction, selection, &FREE, (0, 0), most)? {
        let kept = Kept::load(transaction, row)?;
        if !kept.holds(span) {
            return Err(Fault::Misused(format!("batch {row} has no records {span}")));
        }
        spans::change(transaction, row, span, &note, |was| Some(Stretch { state: SpoolState::Executing, ..was }))?;
        parts.push(kept.part(span, attempts));
    }
    Ok(parts)
}
