//! Dead letters in the SQLite store.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use rusqlite::{Connection, Row, Transaction, params};
use sha2::{Digest, Sha256};

use crate::store::{DeadLetter, Reason};

/// Writes dead letters within a transaction. SQLite writes pages that do not fit into its cache to the log on disk, so that memory does
/// not grow with their number.
///
/// A record that is given up again, after a kill between this and its checkpoint, is the same row.
pub(super) fn give_up(transaction: &Transaction<'_>, pipeline: &str, letters: &[DeadLetter]) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO dead_letters (pipeline, destination, partition, label, sequence, ordinal, key, record, reason, attempts, at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET label = excluded.label, key = excluded.key, record = excluded.record, reason = excluded.reason,
             attempts = excluded.attempts, at = excluded.at",
    )?;
    let mut last: Option<(&Arc<Reason>, i64)> = None;
    for letter in letters {
        let DeadLetter { destination, partition, label, sequence, ordinal, key, record, reason, attempts, at } = letter;
        // Neighbours have one in common.
        let id = match last {
            Some((same, id)) if Arc::ptr_eq(same, reason) => id,
            _ => reason_id(transaction, reason)?,
        };
        last = Some((reason, id));
        insert.execute(params![
            pipeline,
            destination.as_deref().unwrap_or_default(),
            partition,
            label,
            *sequence as i64,
            ordinal,
            key.as_deref(),
            record.as_deref(),
            id,
            attempts,
            at
        ])?;
    }
    Ok(())
}

/// Where a reason stands, which is written where it does not stand yet.
pub(super) fn reason_id(transaction: &Transaction<'_>, reason: &Reason) -> rusqlite::Result<i64> {
    let Reason { kind, code, message, connector } = reason;
    let digest = digest(reason);
    transaction
        .prepare_cached(
            "INSERT INTO reasons (digest, kind, code, message, connector) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )?
        .execute(params![digest, kind, code, message, connector])?;
    transaction.prepare_cached("SELECT id FROM reasons WHERE digest = ?")?.query_row([digest], |row| row.get(0))
}

/// Tells reasons apart.
fn digest(reason: &Reason) -> [u8; 32] {
    let Reason { kind, code, message, connector } = reason;
    let mut digest = Sha256::new();
    for part in [Some(kind), code.as_ref(), Some(message), connector.as_ref()] {
        // Nobody's text has so many bytes.
        digest.update(part.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
        digest.update(part.map_or("", |text| text));
    }
    digest.finalize().into()
}

/// A reason that stands in a row from this column on.
pub(super) fn reason(row: &Row<'_>, at: usize) -> rusqlite::Result<Reason> {
    Ok(Reason { kind: row.get(at)?, code: row.get(at + 1)?, message: row.get(at + 2)?, connector: row.get(at + 3)? })
}

/// The columns of [`read`].
const COLUMNS: &str =
    "destination, partition, label, sequence, ordinal, key, record, attempts, at, reason, kind, code, message, connector";

/// All of a pipeline, oldest first.
pub(super) fn all(connection: &Connection, pipeline: &str) -> rusqlite::Result<Vec<DeadLetter>> {
    let query = format!(
        "SELECT {COLUMNS} FROM dead_letters JOIN reasons ON reasons.id = reason WHERE pipeline = ? ORDER BY dead_letters.id"
    );
    let mut rows = connection.prepare_cached(&query)?;
    let mut rows = rows.query([pipeline])?;
    let (mut shared, mut letters) = (Shared::default(), Vec::new());
    while let Some(row) = rows.next()? {
        letters.push(shared.read(row)?);
    }
    Ok(letters)
}

/// What dead letters that are read together have in common.
#[derive(Default)]
struct Shared {
    reasons: HashMap<i64, Arc<Reason>>,
    /// Destination, partition and label of the last one.
    texts: [Arc<str>; 3],
}

impl Shared {
    /// The dead letter in a row of [`COLUMNS`].
    fn read(&mut self, row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
        for (at, text) in self.texts.iter_mut().enumerate() {
            let found = row.get_ref(at)?.as_str()?;
            if **text != *found {
                *text = found.into();
            }
        }
        let [destination, partition, label] = self.texts.clone();
        let bytes = |index| Ok::<_, rusqlite::Error>(row.get::<_, Option<Vec<u8>>>(index)?.map(Bytes::from));
        let sequence: i64 = row.get(3)?;
        let id: i64 = row.get(9)?;
        let reason = match self.reasons.get(&id) {
            Some(reason) => reason.clone(),
            None => self.reasons.entry(id).or_insert(Arc::new(reason(row, 10)?)).clone(),
        };
        Ok(DeadLetter {
            destination: (!destination.is_empty()).then_some(destination),
            partition,
            label,
            sequence: sequence as u64,
            ordinal: row.get(4)?,
            key: bytes(5)?,
            record: bytes(6)?,
            reason,
            attempts: row.get(7)?,
            at: row.get(8)?,
        })
    }
}
