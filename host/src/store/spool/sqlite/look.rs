//! What can be told of a spool without using it: whoever looks writes nothing, and a host may be at work on it.

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection, OpenFlags};

use super::{FORMAT, PATIENCE, SpoolState, SqliteSpool, code};
use crate::store::{StoreError, sqlite};

impl SqliteSpool {
    /// How many records of each version are in no upload and have reached no end. A spool that is not there, or of another format, has none. Blocks.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn versions(path: &Path) -> Result<BTreeMap<String, u64>, StoreError> {
        if !path.is_file() {
            return Ok(BTreeMap::new());
        }
        let name = path.display().to_string();
        let failed = |cause: rusqlite::Error| sqlite::failed("read", &name, &cause);
        let look = || -> rusqlite::Result<BTreeMap<String, u64>> {
            let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            connection.busy_timeout(PATIENCE)?;
            let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if found != FORMAT {
                return Ok(BTreeMap::new());
            }
            let away = [SpoolState::Uploading, SpoolState::Succeeded, SpoolState::Discarded].map(|state| code(state).to_string());
            let mut query = connection.prepare(&format!(
                "SELECT version, sum(end - start) FROM spans JOIN batches ON batches.id = spans.batch
                 WHERE version IS NOT NULL AND state NOT IN ({}) GROUP BY version",
                away.join(", ")
            ))?;
            query.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?.collect()
        };
        look().map_err(failed)
    }
}
