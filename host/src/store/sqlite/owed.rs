//! What is owed to spools: follow-ups of records that are written as they come.
//!
//! A row of `owed` is written in the transaction that keeps the outcome of the causes, and goes once the spool has what it names. A spool forgets a promise with
//! what was born of it: a row that is worked off a second time, after a crash, finds nothing.

use rusqlite::{Transaction, params, types::Type};

use super::SqliteStore;
use crate::{
    record::Span,
    store::{Owed, StoreError},
};

/// Notes what is owed.
pub(super) fn owe(transaction: &Transaction<'_>, pipeline: &str, owed: &[Owed]) -> rusqlite::Result<()> {
    for Owed { destination, promise, born } in owed {
        let born: Vec<(u32, u32)> = born.iter().map(|span| (span.start, span.end)).collect();
        let born = serde_json::to_string(&born).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        transaction
            .prepare_cached("INSERT INTO owed (pipeline, destination, promise, born) VALUES (?, ?, ?, ?)")?
            .execute(params![pipeline, &**destination, promise, born])?;
    }
    Ok(())
}

impl SqliteStore {
    /// What is owed to the spool of a destination, the oldest first, and the number of the last of it: at most so much.
    pub async fn owed(&self, pipeline: &str, destination: &str, most: u32) -> Result<Option<(i64, Vec<Owed>)>, StoreError> {
        let (pipeline, destination) = (pipeline.to_owned(), destination.to_owned());
        self.on("read", move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT id, promise, born FROM owed WHERE pipeline = ? AND destination = ? ORDER BY id LIMIT ?",
            )?;
            let mut rows = query.query(params![pipeline, destination, most])?;
            let (mut last, mut owed) = (None, Vec::new());
            while let Some(row) = rows.next()? {
                let unreadable =
                    |error: serde_json::Error| rusqlite::Error::FromSqlConversionFailure(2, Type::Text, error.into());
                let born: Vec<(u32, u32)> = serde_json::from_str(row.get_ref(2)?.as_str()?).map_err(unreadable)?;
                let born = born.into_iter().map(|(start, end)| Span::new(start, end)).collect();
                last = Some(row.get(0)?);
                owed.push(Owed { destination: destination.as_str().into(), promise: row.get(1)?, born });
            }
            Ok(last.map(|last| (last, owed)))
        })
        .await
    }

    /// The spool of a destination has what is owed to it, up to that number.
    pub async fn paid(&self, pipeline: &str, destination: &str, last: i64) -> Result<(), StoreError> {
        let (pipeline, destination) = (pipeline.to_owned(), destination.to_owned());
        self.on("write to", move |connection| {
            let mut paid = connection.prepare_cached("DELETE FROM owed WHERE pipeline = ? AND destination = ? AND id <= ?")?;
            paid.execute(params![pipeline, destination, last]).map(drop)
        })
        .await
    }
}
