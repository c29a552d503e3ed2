//! Cuts that have to be the same when they are written again.
//!
//! A row of `cuts` says which records a batch is made of: from which sequence and ordinal to which, how many, and where in its partition the next
//! stretch begins. It stands from before the first write of the batch until the checkpoint moves past it, in the transaction that moves it.

use rusqlite::{Connection, Row, Transaction, params};

use crate::store::StoredCut;

/// A cut that is made again is the same row.
pub(super) fn keep(connection: &Connection, pipeline: &str, cut: &StoredCut) -> rusqlite::Result<()> {
    let StoredCut { id, destination, partition, first, last, count, next } = cut;
    let mut keep = connection.prepare_cached(
        "INSERT OR REPLACE INTO cuts (pipeline, destination, partition, first, first_ordinal, last, last_ordinal, count, next, id)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let destination = destination.as_deref().unwrap_or_default();
    let (from, to) = ((first.0 as i64, first.1), (last.0 as i64, last.1));
    keep.execute(params![pipeline, destination, partition, from.0, from.1, to.0, to.1, count, *next as i64, id]).map(drop)
}

/// Those of a pipeline that are not settled, in order.
pub(super) fn all(connection: &Connection, pipeline: &str) -> rusqlite::Result<Vec<StoredCut>> {
    let mut rows = connection.prepare_cached(
        "SELECT id, destination, partition, first, first_ordinal, last, last_ordinal, count, next
         FROM cuts WHERE pipeline = ? ORDER BY partition, first, first_ordinal, destination",
    )?;
    rows.query_map([pipeline], cut)?.collect()
}

/// Lets go of those that end at a place or before it.
pub(super) fn settle(transaction: &Transaction<'_>, pipeline: &str, partition: &str, next: i64) -> rusqlite::Result<()> {
    let mut settle = transaction.prepare_cached("DELETE FROM cuts WHERE pipeline = ? AND partition = ? AND next <= ?")?;
    settle.execute(params![pipeline, partition, next]).map(drop)
}

fn cut(row: &Row<'_>) -> rusqlite::Result<StoredCut> {
    let place = |at| Ok::<_, rusqlite::Error>((row.get::<_, i64>(at)? as u64, row.get(at + 1)?));
    let destination: String = row.get(1)?;
    Ok(StoredCut {
        id: row.get(0)?,
        destination: (!destination.is_empty()).then_some(destination),
        partition: row.get(2)?,
        first: place(3)?,
        last: place(5)?,
        count: row.get(7)?,
        next: row.get::<_, i64>(8)? as u64,
    })
}
