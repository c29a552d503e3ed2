//! A spool in one SQLite file.
//!
//! WAL mode with `synchronous=FULL`: a source is told that it may forget what was taken, and a far side is sent what cannot be taken back. The
//! file gives pages that are free back to the disk when it is pruned.

mod actions;
mod asked;
mod claim;
mod follow_ups;
mod look;
mod schema;
mod spans;
#[cfg(test)]
mod tests;
mod uploads;

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use self::{
    follow_ups::Births,
    schema::FORMAT,
    spans::{Note, Stretch},
};
use super::{
    Adopted, Backlog, Born, Claim, Incoming, Millis, NewUpload, Part, Promise, Selection, Settling, Spool, SpoolError,
    SpoolRecords, SpoolState, SpoolStatus, Step, StoredUpload, Taken, Transition, Written,
};
use crate::{
    config::Size,
    record::{Batch, Damaged, Span},
    store::{StoreError, sqlite},
};

/// Bytes of the write-ahead log that stay on disk between transactions.
const LOG_KEPT: i64 = 16 << 20;

/// How long it waits for somebody else to let go of the file.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fast rather than small: it is read once and thrown away.
const LEVEL: i32 = 1;

/// Pages that are given back to the disk at a time.
const PAGES: u32 = 4096;

/// A spool in one file.
#[derive(Clone)]
pub struct SqliteSpool {
    connection: Arc<Mutex<Connection>>,
    path: Arc<Path>,
    most: Size,
    born: Arc<(AtomicU64, AtomicU64)>,
}

impl fmt::Debug for SqliteSpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSpool").field("path", &self.path).field("most", &self.most).finish_non_exhaustive()
    }
}

/// Why something in a transaction could not be done; nothing of it is done then.
enum Fault {
    Engine(rusqlite::Error),
    Damaged { row: i64, cause: Damaged },
    Full { bytes: u64 },
    NoAction { name: String, records: u64 },
    Misused(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

impl SqliteSpool {
    /// Opens a file, and makes it and its folder where they do not exist. It takes `most` of batches, compressed, and always one. Nobody else may
    /// use the file. Blocks.
    pub fn open(path: &Path, most: Size) -> Result<Self, StoreError> {
        let name = path.display().to_string();
        let failed = |doing, cause: rusqlite::Error| sqlite::failed(doing, &name, &cause);
        let engine = |cause| failed("open", cause);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|cause| StoreError::Engine {
                doing: "open",
                path: name.clone(),
                cause: cause.to_string(),
                passes: true,
            })?;
        }
        let mut connection = Connection::open(path).map_err(engine)?;
        // Before the first table: it cannot be had later.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(engine)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(engine)?;
        connection.pragma_update(None, "journal_size_limit", LOG_KEPT).map_err(engine)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(engine)?;
        connection.pragma_update(None, "foreign_keys", false).map_err(engine)?;
        // Whoever looks at it with a tool of SQLite's does not end it.
        connection.busy_timeout(PATIENCE).map_err(engine)?;
        connection.set_prepared_statement_cache_capacity(64);
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(engine)?;
        match found {
            FORMAT => {}
            0..FORMAT => schema::migrate(&mut connection, found).map_err(|cause| failed("migrate", cause))?,
            found => return Err(StoreError::Format { path: name, found, known: FORMAT }),
        }
        Ok(Self { connection: Arc::new(Mutex::new(connection)), path: path.into(), most, born: Arc::default() })
    }

    /// Brings what is in here to where the names of its actions stand in a component that has these; one without any has one that is called nothing.
    ///
    /// # Errors
    /// Where records wait for one that is not among them: nothing is changed then.
    pub async fn adopt(&self, names: Vec<String>) -> Result<Adopted, SpoolError> {
        self.on("write to", move |transaction| actions::adopt(transaction, &names)).await
    }

    /// What no other spool has.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub async fn identity(&self) -> Result<String, SpoolError> {
        self.on("read", |transaction| Ok(transaction.query_row("SELECT id FROM identity", [], |row| row.get(0))?)).await
    }

    /// Counts what was born, once that is on disk.
    fn bore(&self, born: Born) {
        self.born.0.fetch_add(born.records, Relaxed);
        self.born.1.fetch_add(born.cut, Relaxed);
    }

    /// Runs one transaction, off the executor's threads.
    async fn on<R: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<R, Fault> + Send + 'static,
    ) -> Result<R, SpoolError> {
        let connection = self.connection.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction()?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        });
        let (name, path) = (self.path.display().to_string(), || PathBuf::from(&*self.path));
        let ended = |error: tokio::task::JoinError| StoreError::Engine {
            doing,
            path: name.clone(),
            cause: error.to_string(),
            passes: false,
        };
        done.await.map_err(ended)?.map_err(|fault| match fault {
            Fault::Engine(error) => sqlite::failed(doing, &name, &error).into(),
            Fault::Damaged { row, cause } => SpoolError::Damaged { path: path(), row, cause },
            Fault::Full { bytes } => SpoolError::Full { path: path(), bytes, most: self.most },
            Fault::NoAction { name, records } => SpoolError::NoAction { path: path(), name, records },
            Fault::Misused(what) => SpoolError::Misused { path: path(), what },
        })
    }
}

#[async_trait]
impl Spool for SqliteSpool {
    async fn take(&self, incoming: Vec<Incoming>, now: Millis) -> Result<Taken, SpoolError> {
        let most = self.most.bytes();
        self.on("write to", move |transaction| {
            let mut taken = Taken::default();
            for incoming in &incoming {
                take(transaction, incoming, now, &mut taken)?;
            }
            // One that alone is larger than the spool would never have room.
            if taken.records > 0 {
                has_room(transaction, most, 1)?;
            }
            Ok(taken)
        })
        .await
    }

    async fn forget(&self, partition: Option<&str>) -> Result<(), SpoolError> {
        let partition = partition.map(str::to_owned);
        self.on("write to", move |transaction| {
            transaction.execute("DELETE FROM marks WHERE ?1 IS NULL OR partition = ?1", [partition])?;
            Ok(())
        })
        .await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Part>, SpoolError> {
        self.on("write to", move |transaction| claim::claim(transaction, &claim)).await
    }

    async fn give_back(&self, parts: Vec<(i64, Span)>, now: Millis) -> Result<(), SpoolError> {
        self.on("write to", move |transaction| {
            for (row, span) in parts {
                given_back(transaction, row, span, now)?;
            }
            Ok(())
        })
        .await
    }

    async fn due(&self, action: u32) -> Result<Option<Millis>, SpoolError> {
        self.on("read", move |transaction| {
            let mut query = transaction.prepare_cached("SELECT min(due) FROM spans WHERE action = ? AND state = ?")?;
            let mut of = |state| query.query_row(params![action, code(state)], |row| row.get::<_, Option<i64>>(0));
            let due = [of(SpoolState::Waiting)?, of(SpoolState::Failed)?].into_iter().flatten().min();
            Ok(due.map(|due| due as u64))
        })
        .await
    }

    async fn backlog(&self, action: u32) -> Result<Backlog, SpoolError> {
        self.on("read", move |transaction| asked::backlog(transaction, action)).await
    }

    async fn records(&self, selection: Selection, after: (i64, u32), most: u32) -> Result<Vec<SpoolRecords>, SpoolError> {
        self.on("read", move |transaction| asked::records(transaction, &selection, after, most)).await
    }

    async fn hurry(&self, selection: Selection, now: Millis) -> Result<u64, SpoolError> {
        self.on("write to", move |transaction| asked::hurry(transaction, &selection, now)).await
    }

    async fn reserve(&self, selection: Selection, most: u32, now: Millis) -> Result<Vec<Part>, SpoolError> {
        self.on("write to", move |transaction| asked::reserve(transaction, &selection, most, now)).await
    }

    async fn stage(&self, upload: NewUpload, settled: Vec<(i64, Span, Settling)>, now: Millis) -> Result<i64, SpoolError> {
        let staged = self.on("write to", move |transaction| {
            let id = uploads::stage(transaction, &upload, now)?;
            Ok((id, settle(transaction, &settled, now)?))
        });
        let (id, born) = staged.await?;
        self.bore(born);
        Ok(id)
    }

    async fn promise(&self, mut promises: Vec<Promise>) -> Result<(), SpoolError> {
        self.on("write to", move |transaction| {
            for one in promises.iter_mut().flat_map(|promise| &mut promise.follow_ups) {
                actions::resolve(transaction, one)?;
            }
            promises.iter().try_for_each(|one| follow_ups::promise(transaction, one))
        })
        .await
    }

    async fn promise_written(&self, written: Vec<Written>) -> Result<Vec<i64>, SpoolError> {
        let promise = move |transaction: &Transaction<'_>| {
            written.iter().map(|written| follow_ups::promise_written(transaction, written)).collect()
        };
        self.on("write to", promise).await
    }

    async fn forgo(&self, action: u32) -> Result<u64, SpoolError> {
        self.on("write to", move |transaction| {
            let sum = "SELECT coalesce(sum(end - start), 0) FROM promises WHERE action = ?";
            let follow_ups: i64 = transaction.query_row(sum, [action], |row| row.get(0))?;
            transaction.execute("DELETE FROM promises WHERE action = ?", [action])?;
            Ok(follow_ups as u64)
        })
        .await
    }

    async fn bear(&self, promises: Vec<(i64, Vec<Span>)>, now: Millis) -> Result<(), SpoolError> {
        let born = self.on("write to", move |transaction| {
            promises.iter().try_fold(0, |sum, (promise, born)| Ok(sum + follow_ups::bear(transaction, *promise, born, now)?))
        });
        let records = born.await?;
        self.bore(Born { records, cut: 0 });
        Ok(())
    }

    async fn forget_written(&self) -> Result<(), SpoolError> {
        self.on("write to", |transaction| {
            transaction.execute("DELETE FROM written", [])?;
            Ok(())
        })
        .await
    }

    async fn room(&self) -> Result<(), SpoolError> {
        let most = self.most.bytes();
        self.on("read", move |transaction| has_room(transaction, most, 0)).await
    }

    fn born(&self) -> Born {
        let (records, cut) = &*self.born;
        Born { records: records.load(Relaxed), cut: cut.load(Relaxed) }
    }

    async fn settle(&self, settled: Vec<(i64, Span, Settling)>, now: Millis) -> Result<(), SpoolError> {
        let born = self.on("write to", move |transaction| settle(transaction, &settled, now)).await?;
        self.bore(born);
        Ok(())
    }

    async fn step(&self, upload: i64, step: Step, now: Millis) -> Result<StoredUpload, SpoolError> {
        let (stored, born) = self.on("write to", move |transaction| uploads::step(transaction, upload, &step, now)).await?;
        self.bore(born);
        Ok(stored)
    }

    async fn uploads(&self) -> Result<Vec<StoredUpload>, SpoolError> {
        self.on("read", uploads::all).await
    }

    async fn lines(&self, upload: i64, lines: Span) -> Result<Vec<Part>, SpoolError> {
        self.on("read", move |transaction| uploads::parts(transaction, upload, lines)).await
    }

    async fn recover(&self, action: Option<u32>, now: Millis) -> Result<(), SpoolError> {
        self.on("write to", move |transaction| {
            let mut query = transaction
                .prepare_cached("SELECT batch, start, end FROM spans WHERE state = ?1 AND (?2 IS NULL OR action = ?2)")?;
            let left = query.query_map(params![code(SpoolState::Executing), action], |row| {
                Ok((row.get::<_, i64>(0)?, Span::new(row.get(1)?, row.get(2)?)))
            })?;
            for (row, span) in left.collect::<Result<Vec<_>, _>>()? {
                given_back(transaction, row, span, now)?;
            }
            Ok(())
        })
        .await
    }

    async fn actions(&self) -> Result<BTreeMap<u32, String>, SpoolError> {
        self.on("read", |transaction| Ok(actions::names(transaction)?)).await
    }

    async fn status(&self) -> Result<SpoolStatus, SpoolError> {
        self.on("read", status).await
    }

    async fn transitions(&self, after: i64, most: u32) -> Result<Vec<(i64, Transition)>, SpoolError> {
        self.on("read", move |transaction| transitions(transaction, after, most)).await
    }

    async fn prune(&self, before: Millis) -> Result<u64, SpoolError> {
        let pruned = self.on("write to", move |transaction| {
            let released = super::UploadState::Released as i64;
            let old = "SELECT id FROM uploads WHERE state = ?1 AND changed < ?2";
            transaction.execute(&format!("DELETE FROM lines WHERE upload IN ({old})"), params![released, before as i64])?;
            transaction.execute(&format!("DELETE FROM uploads WHERE id IN ({old})"), params![released, before as i64])?;
            Ok(transaction.execute("DELETE FROM transitions WHERE at < ?", [before as i64])? as u64)
        });
        let pruned = pruned.await?;
        self.on("give back room of", |transaction| {
            let mut vacuum = transaction.prepare_cached(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
            // It goes page by page, as it is asked for rows.
            let mut pages = vacuum.query([])?;
            while pages.next()?.is_some() {}
            Ok(())
        })
        .await?;
        Ok(pruned)
    }
}

fn code(state: SpoolState) -> i64 {
    state as i64
}

fn state(code: i64) -> rusqlite::Result<SpoolState> {
    let known = SpoolState::ALL.into_iter().find(|state| *state as i64 == code);
    known.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, code))
}

fn take(transaction: &Transaction<'_>, incoming: &Incoming, now: Millis, taken: &mut Taken) -> Result<(), Fault> {
    let Incoming { action, version, label, batch, again } = incoming;
    let new = if *again { batch.clone() } else { unknown(transaction, *action, batch)? };
    let records = new.count();
    taken.known += u64::from(batch.count() - records);
    taken.records += u64::from(records);
    if records == 0 {
        return Ok(());
    }
    insert(transaction, &New { action: *action, version: version.as_deref(), label, depth: 0 }, &new, now)
}

/// What a new batch is for.
struct New<'a> {
    action: u32,
    version: Option<&'a str>,
    label: &'a str,
    depth: u32,
}

/// Puts records into the spool; they wait.
fn insert(transaction: &Transaction<'_>, new: &New<'_>, batch: &Batch, now: Millis) -> Result<(), Fault> {
    let (New { action, version, label, depth }, records) = (new, batch.count());
    let (raw, data) = follow_ups::stored(batch)?;
    transaction
        .prepare_cached(
            "INSERT INTO batches (action, version, label, count, taken, raw, data, depth) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![action, version, label, records, now as i64, raw, data, depth])?;
    let row = transaction.last_insert_rowid();
    let span = Span::new(0, records);
    let stretch = Stretch { span, state: SpoolState::Waiting, attempts: 0, due: 0, upload: None };
    spans::insert(transaction, row, *action, &stretch)?;
    spans::count(transaction, *action, SpoolState::Waiting, records.into())?;
    spans::written(transaction, row, span, None, SpoolState::Waiting, &Note { at: now, upload: None, reason: None })?;
    Ok(())
}

/// What of a batch lies behind all that was taken of its partition; the mark is moved behind it.
fn unknown(transaction: &Transaction<'_>, action: u32, batch: &Batch) -> Result<Batch, Fault> {
    let partition = &**batch.partition();
    let mark = transaction
        .prepare_cached("SELECT sequence, ordinal FROM marks WHERE action = ? AND partition = ?")?
        .query_row(params![action, partition], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, u32>(1)?)))
        .optional()?;
    let place = |record: u32| {
        let at = record as usize;
        (batch.sequences()[at], batch.ordinals().get(at).copied().unwrap_or_default())
    };
    // They are in order.
    let (mut first, mut end) = (0, batch.count());
    while let Some(mark) = mark.filter(|_| first < end) {
        let middle = first + (end - first) / 2;
        if place(middle) <= mark { first = middle + 1 } else { end = middle }
    }
    let new = batch.slice(first..batch.count());
    if new.count() > 0 {
        let (sequence, ordinal) = place(batch.count() - 1);
        transaction
            .prepare_cached(
                "INSERT INTO marks (action, partition, sequence, ordinal) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET sequence = ?3, ordinal = ?4",
            )?
            .execute(params![action, partition, sequence as i64, ordinal])?;
    }
    Ok(new)
}

fn packed(raw: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    compressor.compress(raw)
}

fn unpacked(data: &[u8], raw: usize) -> Result<Batch, Damaged> {
    let raw = zstd::bulk::decompress(data, raw).map_err(|_| Damaged::Short)?;
    Batch::restore(&raw)
}

fn given_back(transaction: &Transaction<'_>, row: i64, span: Span, now: Millis) -> Result<(), Fault> {
    spans::change(transaction, row, span, &Note { at: now, upload: None, reason: None }, |was| {
        let (state, due) = if was.attempts == 0 { (SpoolState::Waiting, 0) } else { (SpoolState::Failed, was.due) };
        (was.state == SpoolState::Executing).then_some(Stretch { state, due, ..was })
    })
}

/// Notes what became of records. Gives what was born of that.
fn settle(transaction: &Transaction<'_>, settled: &[(i64, Span, Settling)], now: Millis) -> Result<Born, Fault> {
    let mut births = Births::default();
    for (row, span, settling) in settled {
        births.add(transaction, *row, *span, settling)?;
        let reason = match settling {
            Settling::Succeeded(remark) => remark.as_deref(),
            Settling::Failed { reason, .. } | Settling::Discarded(reason) | Settling::Unknown(reason) => Some(&**reason),
        };
        spans::change(transaction, *row, *span, &Note { at: now, upload: None, reason }, |was| {
            (!was.state.is_final() && was.state != SpoolState::Uploading).then(|| was.settled(settling))
        })?;
    }
    births.bear(transaction, now)
}

fn sizes(transaction: &Transaction<'_>) -> rusqlite::Result<(u64, u64)> {
    let sizes = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64));
    transaction.prepare_cached("SELECT batches, bytes FROM sizes")?.query_row([], sizes)
}

/// Refuses more where it takes more than it may, what is promised included, and more than so many batches are in it: with these it comes to have room.
fn has_room(transaction: &Transaction<'_>, most: u64, unless: u64) -> Result<(), Fault> {
    let (batches, bytes) = sizes(transaction)?;
    let bytes = bytes + follow_ups::promised(transaction)?.1;
    if bytes > most && batches > unless { Err(Fault::Full { bytes }) } else { Ok(()) }
}

fn status(transaction: &Transaction<'_>) -> Result<SpoolStatus, Fault> {
    let (batches, bytes) = sizes(transaction)?;
    let mut query = transaction.prepare_cached("SELECT action, state, records FROM totals WHERE records <> 0")?;
    let totals = query.query_map([], |row| Ok(((row.get(0)?, state(row.get(1)?)?), row.get::<_, i64>(2)? as u64)))?;
    let records = totals.collect::<Result<_, _>>()?;
    let oldest: Option<i64> = transaction.query_row("SELECT min(taken) FROM batches", [], |row| row.get(0))?;
    let released = super::UploadState::Released as i64;
    let uploads: i64 = transaction.query_row("SELECT count(*) FROM uploads WHERE state <> ?", [released], |row| row.get(0))?;
    let follow_ups: i64 = transaction.query_row(
        "SELECT coalesce(sum(end - start), 0) FROM spans
         WHERE state NOT IN (3, 5) AND batch IN (SELECT id FROM batches WHERE depth > 0)",
        [],
        |row| row.get(0),
    )?;
    let (promised, promised_bytes) = follow_ups::promised(transaction)?;
    Ok(SpoolStatus {
        records,
        batches,
        bytes,
        oldest: oldest.map(|oldest| oldest as u64),
        uploads: uploads as u64,
        follow_ups: follow_ups as u64,
        promised,
        promised_bytes,
    })
}

fn transitions(transaction: &Transaction<'_>, after: i64, most: u32) -> Result<Vec<(i64, Transition)>, Fault> {
    let mut query = transaction.prepare_cached(
        "SELECT id, at, batch, start, end, before, after, upload, reason FROM transitions WHERE id > ? ORDER BY id LIMIT ?",
    )?;
    let rows = query.query_map(params![after, most], |row| {
        let before: Option<i64> = row.get(5)?;
        let transition = Transition {
            at: row.get::<_, i64>(1)? as u64,
            row: row.get(2)?,
            span: Span::new(row.get(3)?, row.get(4)?),
            before: before.map(state).transpose()?,
            after: state(row.get(6)?)?,
            upload: row.get(7)?,
            reason: row.get::<_, Option<String>>(8)?.map(Arc::from),
        };
        Ok((row.get(0)?, transition))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
