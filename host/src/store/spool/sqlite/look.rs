//! What can be told of a spool without using it: whoever looks writes nothing, and a host may be at work on it.

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection, OpenFlags};

use super::{FORMAT, Fault, PATIENCE, SpoolState, SqliteSpool, actions, code};
use crate::store::{StoreError, sqlite};

impl SqliteSpool {
    /// How many records of each version are in no upload and have reached no end. A spool that is not there, or of another format, has none. Blocks.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn versions(path: &Path) -> Result<BTreeMap<String, u64>, StoreError> {
        let versions = |connection: &Connection| {
            let away = [SpoolState::Uploading, SpoolState::Succeeded, SpoolState::Discarded].map(|state| code(state).to_string());
            let mut query = connection.prepare(&format!(
                "SELECT version, sum(end - start) FROM spans JOIN batches ON batches.id = spans.batch
                 WHERE version IS NOT NULL AND state NOT IN ({}) GROUP BY version",
                away.join(", ")
            ))?;
            query.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?.collect()
        };
        looked(path, versions)
    }

    /// Actions that are not among these, and for which there are records that have reached no end: how many there are, with follow-ups to come. A spool that is not there,
    /// or of another format, has none. Blocks.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn astray(path: &Path, names: &[String]) -> Result<Vec<(String, u64)>, StoreError> {
        looked(path, |connection| match actions::astray_of(connection, names) {
            Err(Fault::Engine(error)) => Err(error),
            found => Ok(found.unwrap_or_default()),
        })
    }

    /// The identity of a spool. `None` where there is none, or one of another format. Blocks.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn identity_of(path: &Path) -> Result<Option<String>, StoreError> {
        looked(path, |connection| connection.query_row("SELECT id FROM identity", [], |row| row.get(0)).map(Some))
    }

    /// How many records have reached no end. `None` where there is no spool, or one of another format. Blocks.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn left(path: &Path) -> Result<Option<u64>, StoreError> {
        let ended = SpoolState::ALL.into_iter().filter(|state| state.is_final()).map(|state| code(state).to_string());
        let ended = ended.collect::<Vec<_>>().join(", ");
        looked(path, |connection| {
            let sum = format!("SELECT coalesce(sum(end - start), 0) FROM spans WHERE state NOT IN ({ended})");
            connection.query_row(&sum, [], |row| row.get::<_, i64>(0)).map(|left| Some(left as u64))
        })
    }
}

/// Looks at a spool; nothing is found where there is none, or it has another format.
fn looked<R: Default>(path: &Path, look: impl FnOnce(&Connection) -> rusqlite::Result<R>) -> Result<R, StoreError> {
    if !path.is_file() {
        return Ok(R::default());
    }
    let name = path.display().to_string();
    let looked = || -> rusqlite::Result<R> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(PATIENCE)?;
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found == FORMAT { look(&connection) } else { Ok(R::default()) }
    };
    looked().map_err(|cause| sqlite::failed("read", &name, &cause))
}
