//! The embedded store: one SQLite file, readable with any SQLite tool.
//!
//! WAL mode. A transaction that gives up records is on disk when it returns (`synchronous=FULL`): they are nowhere else then. One that
//! only moves a checkpoint need not be (`synchronous=NORMAL`): should the machine fail, the source reads a little again, and what
//! is delivered twice bears the same keys.

mod letters;
mod schema;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use rusqlite::{Connection, params};

use self::schema::FORMAT;
use super::{Checkpoint, DeadLetter, Settled, Store, StoreError, tokens};

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
            let rows = rows.query_map([pipeline], |row| {
                let (next, read_to): (i64, i64) = (row.get(2)?, row.get(3)?);
                Ok(Checkpoint { partition: row.get(0)?, label: row.get(1)?, next: next as u64, read_to: read_to as u64 })
            })?;
            rows.collect()
        })
        .await
    }

    async fn settle(&self, pipeline: &str, settled: Settled) -> Result<(), StoreError> {
        let pipeline = pipeline.to_owned();
        self.on("write to", move |connection| {
            let gives_up = !settled.dead_letters.is_empty();
            if gives_up {
                connection.pragma_update(None, "synchronous", "FULL")?;
            }
            let written = settle(connection, &pipeline, &settled);
            if gives_up {
                connection.pragma_update(None, "synchronous", "NORMAL")?;
            }
            written
        })
        .await
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

fn settle(connection: &mut Connection, pipeline: &str, settled: &Settled) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    letters::give_up(&transaction, pipeline, &settled.dead_letters)?;
    if let Some((partition, label, next)) = &settled.checkpoint {
        transaction
            .prepare_cached(
                "INSERT INTO checkpoints (pipeline, partition, label, next, read_to) VALUES (?1, ?2, ?3, ?4, ?4)
                 ON CONFLICT DO UPDATE SET label = excluded.label, next = excluded.next, read_to = max(read_to, excluded.next)",
            )?
            .execute(params![pipeline, partition, label, *next as i64])?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::store::Reason;

    fn letter(sequence: u64, message: &str) -> DeadLetter {
        DeadLetter {
            destination: Some("d".into()),
            partition: "p".into(),
            label: "file".into(),
            sequence,
            ordinal: 0,
            key: None,
            record: Some(Bytes::from_static(b"\xff\0")),
            reason: Arc::new(Reason {
                kind: "rejected".into(),
                code: Some("22P02".into()),
                message: message.into(),
                connector: Some("c 1.0.0".into()),
            }),
            attempts: 1,
            at: "2026-01-01T00:00:00.000Z".into(),
        }
    }

    #[tokio::test]
    async fn what_was_settled_is_there_after_opening_again_and_only_for_its_pipeline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wharf.db");
        let store = SqliteStore::open(&path).unwrap();
        let checkpoint = |next| Some(("p".to_owned(), "file".to_owned(), next));
        let settled = Settled { checkpoint: checkpoint(u64::MAX), dead_letters: vec![letter(7, "no"), letter(9, "no")] };
        store.settle("a", settled).await.unwrap();
        store.settle("b", Settled { checkpoint: checkpoint(3), dead_letters: vec![] }).await.unwrap();
        store.read_to("b", vec![("p".into(), 12), ("q".into(), 5)]).await.unwrap();
        drop(store);

        let store = SqliteStore::open(&path).unwrap();
        let of = |partition: &str, label: &str, next, read_to| Checkpoint {
            partition: partition.into(),
            label: label.into(),
            next,
            read_to,
        };
        assert_eq!(store.checkpoints("a").await.unwrap(), [of("p", "file", u64::MAX, u64::MAX)]);
        assert_eq!(store.checkpoints("b").await.unwrap(), [of("p", "file", 3, 12), of("q", "", 0, 5)]);
        assert_eq!(store.dead_letters("a").await.unwrap(), [letter(7, "no"), letter(9, "no")]);
        assert_eq!(store.dead_letters("b").await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_record_that_is_given_up_twice_is_one_dead_letter() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("wharf.db")).unwrap();
        for message in ["first", "second"] {
            store.settle("a", Settled { checkpoint: None, dead_letters: vec![letter(7, message)] }).await.unwrap();
        }
        assert_eq!(store.dead_letters("a").await.unwrap(), [letter(7, "second")]);
    }
}
