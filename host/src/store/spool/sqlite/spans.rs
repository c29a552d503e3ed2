//! Spans of a batch's records: splitting them where something becomes of some, and joining neighbours that are alike.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::{Fault, code, state};
use crate::{
    record::Span,
    store::spool::{Millis, Settling, SpoolState},
};

/// Neighbouring records of which all is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) span: Span,
    pub(super) state: SpoolState,
    pub(super) attempts: u32,
    pub(super) due: Millis,
    pub(super) upload: Option<i64>,
}

impl Stretch {
    /// The same with what `settling` makes of it.
    pub(super) fn settled(self, settling: &Settling) -> Self {
        let (state, counted, due) = match settling {
            Settling::Succeeded(_) => (SpoolState::Succeeded, true, 0),
            Settling::Failed { due, counted, .. } => (SpoolState::Failed, *counted, *due),
            Settling::Discarded(_) => (SpoolState::Discarded, true, 0),
            Settling::Unknown(_) => (SpoolState::Unknown, true, 0),
        };
        Self { state, attempts: self.attempts.saturating_add(counted.into()), due, upload: None, ..self }
    }

    fn is_like(&self, other: &Self) -> bool {
        Self { span: other.span, ..*self } == *other
    }
}

/// What is noted of a change.
pub(super) struct Note<'a> {
    pub(super) at: Millis,
    pub(super) upload: Option<i64>,
    pub(super) reason: Option<&'a str>,
}

const COLUMNS: &str = "start, end, state, attempts, due, upload";

fn stretch(row: &Row<'_>) -> rusqlite::Result<Stretch> {
    Ok(Stretch {
        span: Span::new(row.get(0)?, row.get(1)?),
        state: state(row.get(2)?)?,
        attempts: row.get(3)?,
        due: row.get::<_, i64>(4)? as u64,
        upload: row.get(5)?,
    })
}

/// Changes records of a batch: all of them or, where one is none of those that `change` knows what to make of, none.
pub(super) fn change(
    transaction: &Transaction<'_>,
    batch: i64,
    span: Span,
    note: &Note<'_>,
    change: impl Fn(Stretch) -> Option<Stretch>,
) -> Result<(), Fault> {
    let misused = |what: &str| Fault::Misused(format!("records {span} of batch {batch} {what}"));
    let action: u32 = transaction
        .prepare_cached("SELECT action FROM batches WHERE id = ?")?
        .query_row([batch], |row| row.get(0))
        .optional()?
        .ok_or_else(|| misused("are not there"))?;
    // Those that it touches, and the neighbours on both sides, which may come to be alike.
    let touched: Vec<Stretch> = transaction
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM spans WHERE batch = ?1 AND start <= ?3
             AND start >= coalesce((SELECT max(start) FROM spans WHERE batch = ?1 AND start < ?2), 0) ORDER BY start"
        ))?
        .query_map(params![batch, span.start, span.end], stretch)?
        .collect::<Result<_, _>>()?;
    if span.is_empty() || touched.last().is_none_or(|last| last.span.end < span.end) {
        return Err(misused("are not there"));
    }
    let mut after: Vec<Stretch> = Vec::with_capacity(touched.len() + 2);
    let mut put = |piece: Stretch| match after.last_mut() {
        _ if piece.span.is_empty() => {}
        Some(last) if last.is_like(&piece) => last.span.end = piece.span.end,
        _ => after.push(piece),
    };
    let mut changes = Vec::new();
    for whole in &touched {
        let cut =
            |start: u32, end: u32| Stretch { span: Span::new(start.max(whole.span.start), end.min(whole.span.end)), ..*whole };
        put(cut(0, span.start));
        let inside = cut(span.start, span.end);
        if !inside.span.is_empty() {
            let made = change(inside).ok_or_else(|| misused(&format!("are {}", inside.state.name())))?;
            changes.push((inside, made));
            put(made);
        }
        put(cut(span.end, u32::MAX));
    }
    let mut delete = transaction.prepare_cached("DELETE FROM spans WHERE batch = ? AND start = ?")?;
    for stretch in &touched {
        delete.execute(params![batch, stretch.span.start])?;
    }
    for stretch in &after {
        insert(transaction, batch, action, stretch)?;
    }
    for (before, after) in &changes {
        count(transaction, action, before.state, -i64::from(before.span.len()))?;
        count(transaction, action, after.state, i64::from(after.span.len()))?;
        let upload = note.upload.or(before.upload);
        written(transaction, batch, before.span, Some(before.state), after.state, &Note { upload, ..*note })?;
    }
    if changes.iter().any(|(_, after)| after.state.is_final()) {
        transaction
            .prepare_cached(
                "DELETE FROM batches WHERE id = ?1
                 AND NOT EXISTS (SELECT 1 FROM spans WHERE batch = ?1 AND state NOT IN (3, 5))",
            )?
            .execute([batch])?;
    }
    Ok(())
}

/// Keeps a stretch.
pub(super) fn insert(transaction: &Transaction<'_>, batch: i64, action: u32, stretch: &Stretch) -> rusqlite::Result<()> {
    let Stretch { span, state, attempts, due, upload } = stretch;
    transaction
        .prepare_cached(
            "INSERT INTO spans (batch, start, end, action, state, attempts, due, upload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![batch, span.start, span.end, action, code(*state), attempts, *due as i64, upload])?;
    Ok(())
}

/// Counts records in a state.
pub(super) fn count(transaction: &Transaction<'_>, action: u32, state: SpoolState, records: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO totals (action, state, records) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET records = records + ?3",
        )?
        .execute(params![action, code(state), records])?;
    Ok(())
}

/// Notes a transition.
pub(super) fn written(
    transaction: &Transaction<'_>,
    batch: i64,
    span: Span,
    before: Option<SpoolState>,
    after: SpoolState,
    note: &Note<'_>,
) -> rusqlite::Result<()> {
    let Note { at, upload, reason } = note;
    transaction
        .prepare_cached(
            "INSERT INTO transitions (at, batch, start, end, before, after, upload, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![*at as i64, batch, span.start, span.end, before.map(code), code(after), upload, reason])?;
    Ok(())
}

/// The spans of an action that have not reached an end, in order, with their batches.
pub(super) const OPEN: &str = "SELECT start, end, state, attempts, due, upload, batch FROM spans
    WHERE action = ?1 AND state NOT IN (3, 5) ORDER BY batch, start";

/// A row of [`OPEN`].
pub(super) fn open(row: &Row<'_>) -> rusqlite::Result<(i64, Stretch)> {
    Ok((row.get(6)?, stretch(row)?))
}
