//! Dead letters in the SQLite store.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, Transaction, params, params_from_iter, types::Value};
use sha2::{Digest, Sha256};

use super::envelopes::{self, Envelope};
use crate::{
    record::{Batch, Entity, Operation, Record},
    store::{
        DeadLetter, KeptLetter, LetterFilter, LetterStore, LetterTotals, Reason, ReplayPlace, Replayed, SqliteStore, StoreError,
    },
};

/// Writes dead letters within a transaction. SQLite writes pages that do not fit into its cache to the log on disk, so that memory does
/// not grow with their number.
///
/// A record that is given up again, after a kill between this and its checkpoint, is the same row.
pub(super) fn give_up(transaction: &Transaction<'_>, pipeline: &str, letters: &[DeadLetter]) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(&format!("{INSERT}excluded.attempts"))?;
    each(transaction, pipeline, letters, |values| insert.execute(values).map(drop))
}

/// Removes dead letters that were sent again, but for those that are given up anew: these stay what they are, with what is new of them.
pub(super) fn send_again(
    transaction: &Transaction<'_>,
    pipeline: &str,
    letters: &[DeadLetter],
    Replayed { ids }: &Replayed,
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(&format!("{INSERT}attempts + excluded.attempts RETURNING id"))?;
    let mut kept = HashSet::new();
    each(transaction, pipeline, letters, |values| {
        kept.insert(insert.query_row(values, |row| row.get::<_, i64>(0))?);
        Ok(())
    })?;
    let mut remove = transaction.prepare_cached("DELETE FROM dead_letters WHERE id = ?")?;
    for id in ids.iter().filter(|id| !kept.contains(id)) {
        remove.execute([id])?;
    }
    Ok(())
}

/// What writes a letter, up to how its attempts are counted where it is there already.
const INSERT: &str =
    "INSERT INTO dead_letters (pipeline, destination, processor, action, partition, label, sequence, ordinal, operation, key, before, record,
         metadata, envelope, reason, at, attempts)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET action = excluded.action, label = excluded.label, operation = excluded.operation, key = excluded.key, before = excluded.before,
         record = excluded.record, metadata = excluded.metadata, envelope = excluded.envelope, reason = excluded.reason,
         at = excluded.at, attempts = ";

/// The columns of each letter in turn. What it shares with its neighbours is written where it does not stand yet.
fn each(
    transaction: &Transaction<'_>,
    pipeline: &str,
    letters: &[DeadLetter],
    mut write: impl FnMut(&[&dyn ToSql]) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut last_reason: Option<(&Arc<Reason>, &str, i64)> = None;
    let mut last_envelope: Option<(&Arc<Batch>, &str, Envelope, Option<i64>)> = None;
    for letter in letters {
        let DeadLetter { partition, label, sequence, ordinal, record, whole, reason, attempts, at, .. } = letter;
        let destination = letter.destination.as_deref().unwrap_or_default();
        let processor = letter.processor.as_deref().unwrap_or_default();
        let action = letter.action.as_deref().unwrap_or_default();
        // Neighbours have one in common.
        let reason_id = match last_reason {
            Some((same, of, id)) if Arc::ptr_eq(same, reason) && of == destination => id,
            _ => reason_id(transaction, pipeline, destination, reason)?,
        };
        last_reason = Some((reason, destination, reason_id));
        let (own, envelope) = match (record.batch(), &last_envelope) {
            (Some((batch, _)), Some((same, of, envelope, id))) if Arc::ptr_eq(same, batch) && *of == destination => {
                (envelope.others(record)?, *id)
            }
            (batch, _) => {
                let envelope = Envelope::of(record);
                let id = envelopes::id(transaction, pipeline, destination, &envelope)?;
                let own = envelope.others(record)?;
                last_envelope = batch.map(|(batch, _)| (batch, destination, envelope, id));
                (own, id)
            }
        };
        let operation = whole.then(|| record.operation().name());
        write(params![
            pipeline,
            destination,
            processor,
            action,
            partition,
            label,
            *sequence as i64,
            ordinal,
            operation,
            record.key(),
            record.before(),
            record.after(),
            own,
            envelope,
            reason_id,
            at,
            attempts
        ])?;
    }
    Ok(())
}

/// Where a reason stands, which is written where it does not stand yet.
pub(super) fn reason_id(
    transaction: &Transaction<'_>,
    pipeline: &str,
    destination: &str,
    reason: &Reason,
) -> rusqlite::Result<i64> {
    let Reason { kind, code, message, connector } = reason;
    let digest = digest([Some(kind), code.as_deref(), Some(message), connector.as_deref()]);
    let mut find = transaction.prepare_cached("SELECT id FROM reasons WHERE pipeline = ? AND destination = ? AND digest = ?")?;
    if let Some(id) = find.query_row(params![pipeline, destination, digest], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO reasons (pipeline, destination, digest, kind, code, message, connector) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    insert.insert(params![pipeline, destination, digest, kind, code, message, connector])
}

/// Tells texts apart.
pub(super) fn digest(parts: [Option<&str>; 4]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        // Nobody's text has so many bytes.
        digest.update(part.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
        digest.update(part.unwrap_or_default());
    }
    digest.finalize().into()
}

/// A reason that stands in a row from this column on.
pub(super) fn reason(row: &Row<'_>, at: usize) -> rusqlite::Result<Reason> {
    Ok(Reason { kind: row.get(at)?, code: row.get(at + 1)?, message: row.get(at + 2)?, connector: row.get(at + 3)? })
}

/// What those of a destination come to; of none, those that were given up for all of them.
pub(super) fn totals(connection: &Connection, pipeline: &str, destination: &str) -> rusqlite::Result<LetterTotals> {
    let mut find =
        connection.prepare_cached("SELECT letters, bytes FROM dead_letter_totals WHERE pipeline = ? AND destination = ?")?;
    Ok(find.query_row([pipeline, destination], |row| row_of_totals(row, 0)).optional()?.unwrap_or_default())
}

fn row_of_totals(row: &Row<'_>, at: usize) -> rusqlite::Result<LetterTotals> {
    let (letters, bytes): (i64, i64) = (row.get(at)?, row.get(at + 1)?);
    Ok(LetterTotals { letters: letters.max(0) as u64, bytes: bytes.max(0) as u64 })
}

fn all_totals(connection: &Connection, pipeline: &str) -> rusqlite::Result<Vec<(String, LetterTotals)>> {
    let mut rows = connection.prepare_cached(
        "SELECT destination, letters, bytes FROM dead_letter_totals WHERE pipeline = ? AND bytes > 0 ORDER BY destination",
    )?;
    rows.query_map([pipeline], |row| Ok((row.get(0)?, row_of_totals(row, 1)?)))?.collect()
}

/// The columns that [`Shared::read`] reads.
const COLUMNS: &str = "dead_letters.destination, processor, partition, label, dead_letters.pipeline, dead_letters.id, sequence, ordinal, \
     operation, key, before, record, dead_letters.metadata, attempts, at, reason, kind, code, message, connector, envelope, \
     content_type, before_content_type, key_content_type, envelopes.metadata, action";

/// Where they stand: the letters lead, so that their order does.
const TABLES: &str = "dead_letters CROSS JOIN reasons ON reasons.id = reason LEFT JOIN envelopes ON envelopes.id = envelope";

/// Bytes of the letters that are read in one piece.
const PIECE: usize = 8 << 20;

/// Letters that are removed in one transaction, so that neither memory nor the log grows with the number of all.
const REMOVED: u32 = 10_000;

/// A condition and its parameters.
struct Condition(String, Vec<Value>);

impl Condition {
    /// What a filter means, looked up by whatever is the quickest.
    fn of(filter: &LetterFilter) -> Self {
        Self::led_by("TRUE", filter, "")
    }

    /// The same among what is gone through in an order anyway: `+` keeps an index from changing that, after which all would have to be sorted for
    /// the first few.
    fn in_order(led: &str, filter: &LetterFilter) -> Self {
        Self::led_by(led, filter, "+")
    }

    fn led_by(led: &str, filter: &LetterFilter, plus: &str) -> Self {
        let LetterFilter { pipeline, destination, kind, since, before, id } = filter;
        let text = |text: &Option<String>| text.clone().map(Value::from);
        let mut condition = Self(led.to_owned(), Vec::new());
        condition.and(plus, "dead_letters.pipeline = ?", text(pipeline));
        condition.and(plus, "dead_letters.destination = ?", text(destination));
        condition.and(plus, "reason IN (SELECT id FROM reasons WHERE kind = ?)", text(kind));
        condition.and(plus, "at >= ?", text(since));
        condition.and(plus, "at < ?", text(before));
        condition.and("", "dead_letters.id = ?", id.map(Value::from));
        condition
    }

    fn and(&mut self, plus: &str, what: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.0.push_str(" AND ");
            self.0.push_str(plus);
            self.0.push_str(what);
            self.1.push(value);
        }
    }
}

/// All of a pipeline, oldest first.
pub(super) fn all(connection: &Connection, pipeline: &str) -> rusqlite::Result<Vec<DeadLetter>> {
    let query = format!("SELECT {COLUMNS} FROM {TABLES} WHERE dead_letters.pipeline = ? ORDER BY dead_letters.id");
    let kept = read(connection, &query, vec![pipeline.to_owned().into()], usize::MAX)?;
    Ok(kept.into_iter().map(|kept| kept.letter).collect())
}

/// A piece, in the order of their numbers.
fn by_number(connection: &Connection, filter: &LetterFilter, after: i64, most: u32) -> rusqlite::Result<Vec<KeptLetter>> {
    let (query, values) = numbered(filter, after, most);
    read(connection, &query, values, PIECE)
}

fn numbered(filter: &LetterFilter, after: i64, most: u32) -> (String, Vec<Value>) {
    let Condition(condition, filtered) = Condition::in_order("dead_letters.id > ?", filter);
    let query = format!("SELECT {COLUMNS} FROM {TABLES} WHERE {condition} ORDER BY dead_letters.id LIMIT ?");
    (query, [after.into()].into_iter().chain(filtered).chain([most.into()]).collect())
}

/// A piece of a pipeline's, in the order in which their records were read.
fn to_replay(
    connection: &Connection,
    pipeline: &str,
    filter: &LetterFilter,
    after: &ReplayPlace,
    upto: i64,
    most: u32,
) -> rusqlite::Result<Vec<KeptLetter>> {
    let (query, values) = replayed(pipeline, filter, after, upto, most);
    read(connection, &query, values, PIECE)
}

fn replayed(pipeline: &str, filter: &LetterFilter, after: &ReplayPlace, upto: i64, most: u32) -> (String, Vec<Value>) {
    let order = "partition, sequence, ordinal, dead_letters.destination, processor";
    let led = format!("dead_letters.pipeline = ? AND ({order}) > (?, ?, ?, ?, ?) AND +dead_letters.id <= ?");
    let filter = LetterFilter { pipeline: None, ..filter.clone() };
    let Condition(condition, filtered) = Condition::in_order(&led, &filter);
    let query = format!("SELECT {COLUMNS} FROM {TABLES} WHERE {condition} ORDER BY {order} LIMIT ?");
    let text = |text: &str| Value::from(text.to_owned());
    let (partition, sequence, ordinal, destination, processor) = after.parts();
    let place = [text(partition), sequence.into(), ordinal.into(), text(destination), text(processor)];
    let led = [text(pipeline)].into_iter().chain(place).chain([upto.into()]);
    (query, led.chain(filtered).chain([most.into()]).collect())
}

/// How many there are.
fn count(connection: &Connection, filter: &LetterFilter) -> rusqlite::Result<u64> {
    let Condition(condition, values) = Condition::of(filter);
    let query = format!("SELECT count(*) FROM dead_letters WHERE {condition}");
    let count: i64 = connection.prepare_cached(&query)?.query_row(params_from_iter(values), |row| row.get(0))?;
    Ok(count.max(0) as u64)
}

/// Removes some, and gives how many, and whether there may be more.
fn remove(connection: &Connection, filter: &LetterFilter) -> rusqlite::Result<(usize, bool)> {
    let Condition(condition, mut values) = Condition::of(filter);
    values.push(REMOVED.into());
    let query =
        format!("DELETE FROM dead_letters WHERE id IN (SELECT dead_letters.id FROM dead_letters WHERE {condition} LIMIT ?)");
    let removed = connection.prepare_cached(&query)?.execute(params_from_iter(values))?;
    Ok((removed, removed == REMOVED as usize))
}

/// Removes these.
fn remove_by_id(connection: &mut Connection, ids: &[i64]) -> rusqlite::Result<u64> {
    let transaction = connection.transaction()?;
    let mut removed = 0;
    for id in ids {
        removed += transaction.prepare_cached("DELETE FROM dead_letters WHERE id = ?")?.execute([id])? as u64;
    }
    transaction.commit()?;
    Ok(removed)
}

/// Rows of [`COLUMNS`] up to so many bytes.
fn read(connection: &Connection, query: &str, values: Vec<Value>, most: usize) -> rusqlite::Result<Vec<KeptLetter>> {
    let mut rows = connection.prepare_cached(query)?;
    let mut rows = rows.query(params_from_iter(values))?;
    let (mut shared, mut letters, mut bytes) = (Shared::default(), Vec::new(), 0_usize);
    while let Some(row) = rows.next()? {
        let kept = shared.read(row)?;
        bytes += kept.letter.record.bytes();
        letters.push(kept);
        if bytes >= most {
            break;
        }
    }
    Ok(letters)
}

/// What dead letters that are read together have in common.
#[derive(Default)]
struct Shared {
    reasons: HashMap<i64, Arc<Reason>>,
    envelopes: HashMap<i64, Arc<Envelope>>,
    /// Destination, processor, partition, label and pipeline of the last one.
    texts: [Arc<str>; 5],
    /// And its action.
    action: Arc<str>,
}

impl Shared {
    /// The letter in a row of [`COLUMNS`].
    fn read(&mut self, row: &Row<'_>) -> rusqlite::Result<KeptLetter> {
        for (at, text) in self.texts.iter_mut().enumerate() {
            let found = row.get_ref(at)?.as_str()?;
            if **text != *found {
                *text = found.into();
            }
        }
        let [destination, processor, partition, label, pipeline] = self.texts.clone();
        let action = row.get_ref(25)?.as_str()?;
        if *self.action != *action {
            self.action = action.into();
        }
        let named = |text: Arc<str>| (!text.is_empty()).then_some(text);
        let bytes = |index| Ok::<_, rusqlite::Error>(row.get::<_, Option<Vec<u8>>>(index)?.map(Bytes::from));
        let sequence: i64 = row.get(6)?;
        let operation: Option<String> = row.get(8)?;
        let id: i64 = row.get(15)?;
        let reason = match self.reasons.get(&id) {
            Some(reason) => reason.clone(),
            None => self.reasons.entry(id).or_insert(Arc::new(reason(row, 16)?)).clone(),
        };
        let envelope = match row.get::<_, Option<i64>>(20)? {
            None => None,
            Some(id) => Some(match self.envelopes.get(&id) {
                Some(envelope) => envelope.clone(),
                None => self.envelopes.entry(id).or_insert(Arc::new(Envelope::read(row, 21)?)).clone(),
            }),
        };
        let own: Option<String> = row.get(12)?;
        let metadata = envelope.as_deref().map(Envelope::metadata).unwrap_or_default();
        let own = own.as_deref().map(envelopes::pairs).transpose()?.unwrap_or_default();
        let entity = Entity {
            operation: operation.as_deref().and_then(Operation::named).unwrap_or_default(),
            key: bytes(9)?,
            before: bytes(10)?,
            after: bytes(11)?,
            metadata: metadata.iter().cloned().chain(own).collect(),
            content_types: envelope.map(|envelope| envelope.content_types().clone()).unwrap_or_default(),
        };
        let letter = DeadLetter {
            destination: named(destination),
            processor: named(processor),
            action: named(self.action.clone()),
            partition,
            label,
            sequence: sequence as u64,
            ordinal: row.get(7)?,
            record: Record::from(entity),
            whole: operation.is_some(),
            reason,
            attempts: row.get(13)?,
            at: row.get(14)?,
        };
        Ok(KeptLetter { id: row.get(5)?, pipeline, letter })
    }
}

#[async_trait]
impl LetterStore for SqliteStore {
    async fn letters(&self, filter: &LetterFilter, after: i64, most: u32) -> Result<Vec<KeptLetter>, StoreError> {
        let filter = filter.clone();
        self.on("read", move |connection| by_number(connection, &filter, after, most)).await
    }

    async fn count_letters(&self, filter: &LetterFilter) -> Result<u64, StoreError> {
        let filter = filter.clone();
        self.on("read", move |connection| count(connection, &filter)).await
    }

    async fn letter_totals(&self, pipeline: &str) -> Result<Vec<(String, LetterTotals)>, StoreError> {
        let pipeline = pipeline.to_owned();
        self.on("read", move |connection| all_totals(connection, &pipeline)).await
    }

    async fn last_letter(&self) -> Result<i64, StoreError> {
        let last = |connection: &mut Connection| {
            connection.query_row("SELECT coalesce(max(id), 0) FROM dead_letters", [], |row| row.get(0))
        };
        self.on("read", last).await
    }

    async fn letters_to_replay(
        &self,
        pipeline: &str,
        filter: &LetterFilter,
        after: &ReplayPlace,
        upto: i64,
        most: u32,
    ) -> Result<Vec<KeptLetter>, StoreError> {
        let (pipeline, filter, after) = (pipeline.to_owned(), filter.clone(), after.clone());
        self.on("read", move |connection| to_replay(connection, &pipeline, &filter, &after, upto, most)).await
    }

    async fn remove_letters(&self, filter: &LetterFilter) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let filter = filter.clone();
            let (some, more) = self.on("write to", move |connection| remove(connection, &filter)).await?;
            removed += some as u64;
            if !more {
                return Ok(removed);
            }
        }
    }

    async fn remove_letters_by_id(&self, ids: Vec<i64>) -> Result<u64, StoreError> {
        self.on("write to", move |connection| remove_by_id(connection, &ids)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page costs what is on it and not what there is, however many dead letters there are.
    #[test]
    fn no_page_is_made_by_sorting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wharf.db");
        SqliteStore::open(&path).unwrap();
        let connection = Connection::open(&path).unwrap();
        let text = |text: &str| Some(text.to_owned());
        let (pipeline, destination, kind) = (text("p"), text("d"), text("rejected"));
        let all = LetterFilter { pipeline, destination, kind, since: text("2026"), before: text("2027"), id: None };
        let some = LetterFilter { pipeline: text("p"), ..LetterFilter::default() };
        for filter in [LetterFilter::default(), some, all] {
            for (query, values) in [numbered(&filter, 7, 50), replayed("p", &filter, &ReplayPlace::default(), 99, 50)] {
                let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
                let plan = plan.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
                let plan: Vec<String> = plan.map(Result::unwrap).collect();
                assert!(plan[0].starts_with("SEARCH dead_letters USING "), "{plan:?}");
                assert!(plan.iter().all(|step| !step.contains("TEMP B-TREE")), "{plan:?}");
            }
        }
    }
}
