//! The embedded store: one SQLite file, readable with any SQLite tool.
//!
//! WAL mode. A transaction that gives up records is on disk when it returns (`synchronous=FULL`): they are nowhere else then. One that
//! only moves a checkpoint need not be (`synchronous=NORMAL`): should the machine fail, the source reads a little again, and what
//! is delivered twice bears the same keys.

mod cuts;
mod letters;
mod pipelines;
mod schema;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags, Row, Transaction, params};

use self::schema::FORMAT;
use super::{Checkpoint, DeadLetter, Keeping, LetterTotals, Settled, Store, StoreError, StoredCut, line, tokens};
use crate::config::Size;

/// Bytes of the write-ahead log that stay on disk between transactions.
const LOG_KEPT: i64 = 16 << 20;

/// A store in one file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    connection: Arc<Mutex<Connection>>,
    path: Arc<str>,
}

impl SqliteStore {
    /// Opens a file, and makes it where it does not exist. Blocks.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let name: Arc<str> = path.display().to_string().into();
        let failed_to =
            |doing, cause: rusqlite::Error| StoreError::Engine { doing, path: name.to_string(), cause: cause.to_string() };
        let failed = |cause| failed_to("open", cause);
        let mut connection = Connection::open(path).map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        // What one large transaction needed is given back after it.
        connection.pragma_update(None, "journal_size_limit", LOG_KEPT).map_err(failed)?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(32);
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        match found {
            FORMAT => {}
            0..FORMAT => schema::migrate(&mut connection, found).map_err(|cause| failed_to("migrate", cause))?,
            found => return Err(StoreError::Format { path: name.to_string(), found, known: FORMAT }),
        }
        connection.execute_batch(tokens::SCHEMA).map_err(failed)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), path: name })
    }

    /// Opens a file to be looked at, whoever else uses it; `None` where there is none, or it is of another format. Blocks.
    pub fn look(path: &Path) -> Result<Option<Self>, StoreError> {
        if !path.exists() {
            return Ok(None);
        }
        let name: Arc<str> = path.display().to_string().into();
        let failed =
            |cause: rusqlite::Error| StoreError::Engine { doing: "read", path: name.to_string(), cause: cause.to_string() };
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        Ok((found == FORMAT).then(|| Self { connection: Arc::new(Mutex::new(connection)), path: name.clone() }))
    }

    /// Runs blocking work on the connection, off the executor's threads.
    pub(super) async fn on<R: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let connection = self.connection.clone();
        let failed = |cause: String| StoreError::Engine { doing, path: self.path.to_string(), cause };
        let done = tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut connection)
        });
        done.await.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn checkpoints(&self, pipeline: &str) -> Result<Vec<Checkpoint>, StoreError> {
        let pipeline = pipeline.to_owned();
        self.on("read", move |connection| {
            let mut rows = connection.prepare_cached(
                "SELECT partition, label, next, read_to FROM checkpoints WHERE pipeline = ? ORDER BY partition",
            )?;
            rows.query_map([pipeline], row_of_checkpoint)?.collect()
        })
        .await
    }

    async fn settle_within(&self, pipeline: &str, settled: Settled, keeping: &Keeping) -> Result<(), StoreError> {
        let (pipeline, keeping) = (pipeline.to_owned(), keeping.clone());
        let settled = self.on("write to", move |connection| match settled.dead_letters.is_empty() {
            true => settle(connection, &pipeline, &settled, &keeping),
            false => on_disk(connection, |connection| settle(connection, &pipeline, &settled, &keeping)),
        });
        settled.await?
    }

    async fn advance(&self, pipeline: &str, checkpoints: Vec<(String, String, u64)>) -> Result<(), StoreError> {
        let pipeline = pipeline.to_owned();
        self.on("write to", move |connection| {
            let transaction = connection.transaction()?;
            for checkpoint in &checkpoints {
                move_to(&transaction, &pipeline, checkpoint)?;
            }
            transaction.commit()
        })
        .await
    }

    async fn cut(&self, pipeline: &str, cut: StoredCut) -> Result<(), StoreError> {
        let pipeline = pipeline.to_owned();
        self.on("write to", move |connection| on_disk(connection, |connection| cuts::keep(connection, &pipeline, &cut))).await
    }

    async fn cuts(&self, pipeline: &str) -> Result<Vec<StoredCut>, StoreError> {
        let pipeline = pipeline.to_owned();
        self.on("read", move |connection| cuts::all(connection, &pipeline)).await
    }

    async fn read_to(&self, pipeline: &str, partitions: Vec<(String, u64)>) -> Result<(), StoreError> {
        let pipeline = pipeline.to_owned();
        self.on("write to", move |connection| {
            let transaction = connection.transaction()?;
            for (partition, read_to) in partitions {
                transaction
                    .prepare_cached(
                        "INSERT INTO checkpoints (pipeline, partition, label, next, read_to) VALUES (?1, ?2, '', 0, ?3)
                         ON CONFLICT DO UPDATE SET read_to = max(read_to, excluded.read_to)",
                    )?
                    .execute(params![pipeline, partition, read_to as i64])?;
            }
            transaction.commit()
        })
        .await
    }

    async fn dead_letters(&self, pipeline: &str) -> Result<Vec<DeadLetter>, StoreError> {
        let pipeline = pipeline.to_owned();
        self.on("read", move |connection| letters::all(connection, &pipeline)).await
    }
}

/// Partition, label, where to go on, and how far it was read.
fn row_of_checkpoint(row: &Row<'_>) -> rusqlite::Result<Checkpoint> {
    let (next, read_to): (i64, i64) = (row.get(2)?, row.get(3)?);
    Ok(Checkpoint { partition: row.get(0)?, label: row.get(1)?, next: next as u64, read_to: read_to as u64 })
}

/// Does what is to be on disk, against the end of the machine too, once it is done.
fn on_disk<R>(connection: &mut Connection, work: impl FnOnce(&mut Connection) -> rusqlite::Result<R>) -> rusqlite::Result<R> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    let done = work(connection);
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    done
}

/// What the store itself refuses is given within; nothing is written then.
fn settle(
    connection: &mut Connection,
    pipeline: &str,
    settled: &Settled,
    keeping: &Keeping,
) -> rusqlite::Result<Result<(), StoreError>> {
    let Settled { checkpoint, dead_letters } = settled;
    let transaction = connection.transaction()?;
    if !dead_letters.is_empty() {
        letters::give_up(&transaction, pipeline, dead_letters)?;
        if let Some(most) = keeping.max_bytes {
            let LetterTotals { bytes, .. } = letters::totals(&transaction, pipeline)?;
            if bytes > most {
                return Ok(Err(StoreError::DeadLettersFull { pipeline: pipeline.into(), bytes, most: Size::from_bytes(most) }));
            }
        }
    }
    if let Some(checkpoint) = checkpoint {
        move_to(&transaction, pipeline, checkpoint)?;
    }
    // Before they are given up for good: one that is copied twice is no loss.
    if let Some(path) = keeping.copy_to.as_ref().filter(|_| !dead_letters.is_empty())
        && let Err(cause) = line::append(path, pipeline, dead_letters)
    {
        return Ok(Err(StoreError::Copy { path: path.clone(), cause }));
    }
    transaction.commit()?;
    Ok(Ok(()))
}

/// Moves a checkpoint, and lets go of the cuts that lie before it.
fn move_to(transaction: &Transaction<'_>, pipeline: &str, checkpoint: &(String, String, u64)) -> rusqlite::Result<()> {
    let (partition, label, next) = checkpoint;
    let next = *next as i64;
    transaction
        .prepare_cached(
            "INSERT INTO checkpoints (pipeline, partition, label, next, read_to) VALUES (?1, ?2, ?3, ?4, ?4)
             ON CONFLICT DO UPDATE SET label = excluded.label, next = excluded.next, read_to = max(read_to, excluded.next)",
        )?
        .execute(params![pipeline, partition, label, next])?;
    cuts::settle(transaction, pipeline, partition, next)
}
