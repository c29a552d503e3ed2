//! The tables of the store, and how a store of an earlier version becomes one of this.
//!
//! `user_version` tells the format. A store is brought from one format to the next in one transaction: a process that ends meanwhile leaves the
//! store as it was. One of a later format is refused: who does not know it might lose what it holds.

mod formats;

use rusqlite::{Connection, Transaction};

use self::formats::{AFTER_3, FORMAT_1, FORMAT_2, FORMAT_3, FORMAT_4, FORMAT_5, FORMAT_6, SHARE_REASONS};
use super::letters;

/// The number of the last of the formats.
pub(super) const FORMAT: i64 = 6;

/// Brings a store that has the format `from` to the last; 0 is one that has nothing yet.
pub(super) fn migrate(connection: &mut Connection, from: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    if from < 1 {
        transaction.execute_batch(FORMAT_1)?;
    }
    if from < 2 {
        transaction.execute_batch(FORMAT_2)?;
        transaction.execute_batch(SHARE_REASONS)?;
    }
    if from < 3 {
        transaction.execute_batch(FORMAT_3)?;
        move_letters(&transaction)?;
        transaction.execute_batch(AFTER_3)?;
    }
    if from < 4 {
        transaction.execute_batch(FORMAT_4)?;
    }
    if from < 5 {
        transaction.execute_batch(FORMAT_5)?;
    }
    if from < 6 {
        transaction.execute_batch(FORMAT_6)?;
    }
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}

/// Moves the dead letters of format 2, one at a time: each destination has its own reasons.
fn move_letters(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut old = transaction.prepare(
        "SELECT dead_letters_2.id, kind, code, message, connector, dead_letters_2.pipeline, destination
         FROM dead_letters_2 JOIN reasons_2 ON reasons_2.id = reason ORDER BY dead_letters_2.id",
    )?;
    let mut old = old.query([])?;
    while let Some(row) = old.next()? {
        let id: i64 = row.get(0)?;
        let reason = letters::reason(row, 1)?;
        let reason = letters::reason_id(transaction, row.get_ref(5)?.as_str()?, row.get_ref(6)?.as_str()?, &reason)?;
        transaction
            .prepare_cached(
                "INSERT INTO dead_letters
                    (id, pipeline, destination, processor, partition, label, sequence, ordinal, key, record, reason, attempts, at)
                 SELECT id, pipeline, destination, '', partition, label, sequence, ordinal, key, record, ?, attempts, at
                 FROM dead_letters_2 WHERE id = ?",
            )?
            .execute([reason, id])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
