//! The embedded store: one SQLite file, readable with any SQLite tool.
//!
//! WAL mode. A transaction that gives up records, or owes what follows from their outcome, is on disk when it returns (`synchronous=FULL`): that is nowhere else then. One that
//! only moves a checkpoint need not be (`synchronous=NORMAL`): should the machine fail, the source reads a little again, and what
//! is delivered twice bears the same keys.

mod cuts;
mod envelopes;
mod letters;
mod owed;
mod pipelines;
mod schema;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
};

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Transaction, params};

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
        // A pipe would be waited for, and a folder has no better words.
        match fs::metadata(path) {
            Ok(found) if !found.is_file() => {
                return Err(StoreError::NoStore { path: name.to_string(), cause: "not a regular file".into() });
            }
            _ => {}
        }
        let failed_to = |doing, cause: rusqlite::Error| failed(doing, &name, &cause);
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
        if !fs::metadata(path).is_ok_and(|found| found.is_file()) {
            return Ok(None);
        }
        let name: Arc<str> = path.display().to_string().into();
        let failed = |cause: rusqlite::Error| failed("read", &name, &cause);
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
        let done = tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut connection)
        });
        let ended = |error: tokio::task::JoinError| {
            let path = self.path.to_string();
            StoreError::Engine { doing, path, cause: error.to_string(), passes: false }
        };
        done.await.map_err(ended)?.map_err(|error| failed(doing, &self.path, &error))
    }
}

/// What the engine said, in the store's words.
pub(super) fn failed(doing: &'static str, path: &str, cause: &rusqlite::Error) -> StoreError {
    use ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, NotADatabase, OutOfMemory, ReadOnly, SystemIoFailure};
    let (path, code) = (path.to_owned(), cause.sqlite_error_code());
    if code == Some(NotADatabase) {
        return StoreError::NoStore { path, cause: "it holds something else".into() };
    }
    let passing = [CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, OutOfMemory, ReadOnly, SystemIoFailure];
    let passes = code.is_some_and(|code| passing.contains(&code));
    StoreError::Engine { doing, path, cause: cause.to_string(), passes }
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

    async fn settle_within(&self, pipeline: &str, settled: Arc<Settled>, keeping: &Keeping) -> Result<(), StoreError> {
        let (pipeline, keeping) = (pipeline.to_owned(), keeping.clone());
        let settled = self.on("write to", move |connection| match settled.dead_letters.is_empty() && settled.owed.is_empty() {
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
    let Settled { checkpoint, dead_letters, replayed, owed, copied } = settled;
    let transaction = connection.transaction()?;
    let mut before = BTreeMap::new();
    for letter in dead_letters {
        let destination = letter.destination.as_deref().unwrap_or_default();
        if !before.contains_key(destination) {
            before.insert(destination, letters::totals(&transaction, pipeline, destination)?.bytes);
        }
    }
    match replayed {
        Some(replayed) => letters::send_again(&transaction, pipeline, dead_letters, replayed)?,
        None => letters::give_up(&transaction, pipeline, dead_letters)?,
    }
    for (destination, before) in before {
        let Some(most) = keeping.max_bytes else { break };
        let LetterTotals { bytes, .. } = letters::totals(&transaction, pipeline, destination)?;
        // What takes no more than before has room, also where the bound was made narrower.
        if bytes > most && bytes > before {
            let destination = (!destination.is_empty()).then(|| destination.to_owned());
            let (pipeline, most) = (pipeline.to_owned(), Size::from_bytes(most));
            return Ok(Err(StoreError::DeadLettersFull { pipeline, destination, bytes, most }));
        }
    }
    if let Some(checkpoint) = checkpoint {
        move_to(&transaction, pipeline, checkpoint)?;
    }
    owed::owe(&transaction, pipeline, owed)?;
    // Before they are given up for good: one that is copied twice is no loss.
    if let Some(path) = keeping.copy_to.as_ref().filter(|_| !dead_letters.is_empty() && !copied.load(Relaxed)) {
        if let Err(cause) = line::append(path, pipeline, dead_letters) {
            return Ok(Err(StoreError::Copy { path: path.clone(), cause }));
        }
        copied.store(true, Relaxed);
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
