//! A SQLite file for each destination.
//!
//! **Threat.** A connector that writes without end holds up everybody who writes to the same file, and one that finds a way around its
//! prefix reads another's keys. **Answer.** No two destinations share a file, a lock or a table: `state/PIPELINE/DESTINATION.db` in the
//! data directory, WAL mode with `synchronous=FULL`. Keys are kept as bytes, so that their order is that of UTF-8 and a zero byte ends nothing.

use std::{
    collections::HashMap,
    fmt,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Change, Entries, Quota, StateStore};
use crate::store::StoreError;

/// The number of the schema below.
const FORMAT: i64 = 1;

const SCHEMA: &str = "CREATE TABLE entries (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;";

/// Greater than whatever begins a key: no UTF-8 has this byte.
const BEHIND_ALL: &[u8] = b"\xff";

/// The state of all destinations, in a folder.
#[derive(Clone, Debug)]
pub struct SqliteState {
    folder: PathBuf,
    opened: Arc<Mutex<HashMap<PathBuf, Arc<One>>>>,
}

impl SqliteState {
    /// In this folder of the data directory, which is made when something is kept. Nobody else may use it.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, opened: Arc::default() }
    }
}

impl StateStore for SqliteState {
    fn of(&self, pipeline: &str, destination: &str) -> Arc<dyn Entries> {
        // Ids are safe in a file name.
        let path = self.folder.join(pipeline).join(format!("{destination}.db"));
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.entry(path.clone()).or_insert_with(|| Arc::new(One { path, inner: Arc::default() })).clone()
    }
}

/// One destination's file, opened when it is first used.
struct One {
    path: PathBuf,
    inner: Arc<Mutex<Option<Open>>>,
}

impl fmt::Debug for One {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("One").field("path", &self.path).finish_non_exhaustive()
    }
}

/// An open file, and what is in it: nobody else changes it.
struct Open {
    connection: Connection,
    used: Quota,
}

impl One {
    /// Runs blocking work on the file, off the executor's threads; not at all where nobody waits for it any more when its turn comes.
    async fn on<R: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Open) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (inner, path) = (self.inner.clone(), self.path.clone());
        let name = self.path.display().to_string();
        let failed = move |cause: String| StoreError::Engine { doing, path: name.clone(), cause, passes: true };
        let wanted = Arc::new(());
        let waits = Arc::downgrade(&wanted);
        let answer = failed.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
            // From here on until the lock is given back nothing else is made: whatever comes later comes behind this.
            if waits.strong_count() == 0 {
                return Err(failed("nobody waits for it".into()));
            }
            let open = match &mut *inner {
                Some(open) => open,
                none => none.insert(open(&path)?),
            };
            work(open).map_err(|error| failed(error.to_string()))
        });
        let done = done.await;
        drop(wanted);
        done.map_err(|error| answer(error.to_string()))?
    }
}

/// Opens a file, and makes it where it does not exist. Blocks.
fn open(path: &Path) -> Result<Open, StoreError> {
    let failed = |cause: String| StoreError::Engine { doing: "open", path: path.display().to_string(), cause, passes: true };
    if let Some(folder) = path.parent() {
        durable_folder(folder).map_err(|error| failed(error.to_string()))?;
    }
    let engine = |cause: rusqlite::Error| failed(cause.to_string());
    let mut connection = Connection::open(path).map_err(engine)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(engine)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(engine)?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(engine)?;
    match found {
        FORMAT => {}
        0 => {
            let transaction = connection.transaction().map_err(engine)?;
            transaction.execute_batch(SCHEMA).map_err(engine)?;
            transaction.pragma_update(None, "user_version", FORMAT).map_err(engine)?;
            transaction.commit().map_err(engine)?;
        }
        found => return Err(StoreError::Format { path: path.display().to_string(), found, known: FORMAT }),
    }
    let used = connection
        .query_row("SELECT coalesce(sum(length(key) + length(value)), 0), count(*) FROM entries", [], |row| {
            Ok(Quota { bytes: row.get::<_, i64>(0)?.unsigned_abs(), keys: row.get::<_, i64>(1)?.unsigned_abs() })
        })
        .map_err(engine)?;
    Ok(Open { connection, used })
}

/// Makes a folder that is still there when the machine failed: each folder's entry is on disk, up to the data directory.
fn durable_folder(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let Some(parent) = folder.parent() else {
        return Ok(());
    };
    durable_folder(parent)?;
    fs::create_dir(folder)?;
    File::open(parent)?.sync_all()
}

#[async_trait]
impl Entries for One {
    async fn get(&self, key: String) -> Result<Option<Vec<u8>>, StoreError> {
        self.on("read", move |open| {
            let mut found = open.connection.prepare_cached("SELECT value FROM entries WHERE key = ?")?;
            found.query_row([key.as_bytes()], |row| row.get(0)).optional()
        })
        .await
    }

    async fn put(&self, key: String, value: Vec<u8>, quota: Quota) -> Result<Change, StoreError> {
        self.on("write to", move |open| open.set(&key, None, Some(&value), quota)).await
    }

    async fn swap(
        &self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        quota: Quota,
    ) -> Result<Change, StoreError> {
        self.on("write to", move |open| open.set(&key, Some(expected.as_deref()), value.as_deref(), quota)).await
    }

    async fn keys(&self, prefix: String, after: String, count: u32, bytes: u64) -> Result<Vec<String>, StoreError> {
        self.on("read", move |open| {
            let mut found = open
                .connection
                .prepare_cached("SELECT key FROM entries WHERE key > ?1 AND key >= ?2 AND key < ?3 ORDER BY key LIMIT ?4")?;
            let mut rows = found.query(params![after.as_bytes(), prefix.as_bytes(), behind(&prefix), count])?;
            let (mut keys, mut total) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                let key = row.get_ref(0)?.as_blob()?;
                total += key.len() as u64;
                if total > bytes && !keys.is_empty() {
                    break;
                }
                keys.push(String::from_utf8_lossy(key).into_owned());
            }
            Ok(keys)
        })
        .await
    }
}

/// The least that comes behind everything with this prefix.
fn behind(prefix: &str) -> Vec<u8> {
    match prefix.as_bytes().split_last() {
        // The last byte of UTF-8 is never the greatest there is.
        Some((last, before)) => [before, &[last.saturating_add(1)]].concat(),
        None => BEHIND_ALL.to_vec(),
    }
}

impl Open {
    /// Sets or removes an entry, in one transaction with the look at what stands there.
    fn set(
        &mut self,
        key: &str,
        expected: Option<Option<&[u8]>>,
        value: Option<&[u8]>,
        quota: Quota,
    ) -> rusqlite::Result<Change> {
        let transaction = self.connection.transaction()?;
        let key = key.as_bytes();
        // How long what stands there is, and whether it is what is expected; compared where it lies.
        let stands: Option<(i64, bool)> = transaction
            .prepare_cached("SELECT length(value), value IS ?2 FROM entries WHERE key = ?1")?
            .query_row(params![key, expected.flatten()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let as_expected = match (expected, stands) {
            (None, _) | (Some(None), None) => true,
            (Some(Some(_)), Some((_, same))) => same,
            (Some(None), Some(_)) | (Some(Some(_)), None) => false,
        };
        if !as_expected {
            return Ok(Change::Other);
        }
        let size = |value: usize| Quota { bytes: (key.len() + value) as u64, keys: 1 };
        let nothing = Quota { bytes: 0, keys: 0 };
        let before = stands.map_or(nothing, |(value, _)| size(usize::try_from(value).unwrap_or_default()));
        let after = value.map_or(nothing, |value| size(value.len()));
        let used = Quota {
            bytes: self.used.bytes.saturating_sub(before.bytes).saturating_add(after.bytes),
            keys: self.used.keys.saturating_sub(before.keys).saturating_add(after.keys),
        };
        let too_large = used.bytes > quota.bytes && after.bytes > before.bytes;
        let too_many = used.keys > quota.keys && after.keys > before.keys;
        if too_large || too_many {
            return Ok(Change::OverQuota);
        }
        match value {
            Some(value) => transaction
                .prepare_cached(
                    "INSERT INTO entries (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value",
                )?
                .execute(params![key, value])?,
            None => transaction.prepare_cached("DELETE FROM entries WHERE key = ?")?.execute([key])?,
        };
        transaction.commit()?;
        self.used = used;
        Ok(Change::Made)
    }
}

#[cfg(test)]
mod tests;
