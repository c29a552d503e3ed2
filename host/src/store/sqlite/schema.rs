//! The tables of the store, and how a store of an earlier version becomes one of this.
//!
//! `user_version` tells the format. A store is brought from one format to the next in one transaction: a process that ends meanwhile leaves the
//! store as it was. One of a later format is refused: who does not know it might lose what it holds.

use rusqlite::{Connection, Transaction};

use super::letters;

/// The number of the format below.
pub(super) const FORMAT: i64 = 2;

/// What the store was made of at first.
const FORMAT_1: &str = "
    CREATE TABLE checkpoints (
        pipeline TEXT NOT NULL,
        partition TEXT NOT NULL,
        label TEXT NOT NULL,
        next INTEGER NOT NULL,
        read_to INTEGER NOT NULL,
        PRIMARY KEY (pipeline, partition)
    ) WITHOUT ROWID;
    CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY,
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL, -- empty where the source could not read the record
        partition TEXT NOT NULL,
        label TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        ordinal INTEGER NOT NULL,
        key BLOB,
        record BLOB,
        kind TEXT NOT NULL,
        code TEXT,
        message TEXT NOT NULL,
        connector TEXT,
        attempts INTEGER NOT NULL,
        at TEXT NOT NULL,
        UNIQUE (pipeline, destination, partition, sequence, ordinal)
    );
";

/// A reason stands once, however many records were given up for it, and ids of dead letters are never given again.
const FORMAT_2: &str = "
    CREATE TABLE reasons (
        id INTEGER PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE, -- of the other columns
        kind TEXT NOT NULL,
        code TEXT,
        message TEXT NOT NULL,
        connector TEXT
    );
    ALTER TABLE dead_letters RENAME TO dead_letters_1;
    CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL, -- empty where the source could not read the record
        partition TEXT NOT NULL,
        label TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        ordinal INTEGER NOT NULL,
        key BLOB,
        record BLOB,
        reason INTEGER NOT NULL REFERENCES reasons (id),
        attempts INTEGER NOT NULL,
        at TEXT NOT NULL,
        UNIQUE (pipeline, destination, partition, sequence, ordinal)
    );
    CREATE INDEX dead_letters_by_reason ON dead_letters (reason);
    CREATE VIEW dead_letters_in_words AS
        SELECT dead_letters.id, pipeline, destination, partition, label, sequence, ordinal, key, record,
            kind, code, message, connector, attempts, at
        FROM dead_letters JOIN reasons ON reasons.id = dead_letters.reason;
";

/// Brings a store that has the format `from` to the one above; 0 is one that has nothing yet.
pub(super) fn migrate(connection: &mut Connection, from: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    if from < 1 {
        transaction.execute_batch(FORMAT_1)?;
    }
    if from < 2 {
        transaction.execute_batch(FORMAT_2)?;
        share_reasons(&transaction)?;
        transaction.execute_batch("DROP TABLE dead_letters_1")?;
    }
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}

/// Moves the dead letters of format 1, one at a time.
fn share_reasons(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut old = transaction.prepare("SELECT id, kind, code, message, connector FROM dead_letters_1 ORDER BY id")?;
    let mut old = old.query([])?;
    while let Some(row) = old.next()? {
        let id: i64 = row.get(0)?;
        let reason = letters::reason(row, 1)?;
        let reason = letters::reason_id(transaction, &reason)?;
        transaction
            .prepare_cached(
                "INSERT INTO dead_letters (id, pipeline, destination, partition, label, sequence, ordinal, key, record, reason, attempts, at)
                 SELECT id, pipeline, destination, partition, label, sequence, ordinal, key, record, ?, attempts, at
                 FROM dead_letters_1 WHERE id = ?",
            )?
            .execute([reason, id])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use bytes::Bytes;

    use super::*;
    use crate::store::{Checkpoint, DeadLetter, Reason, SealedToken, Settled, SqliteStore, Store, StoreError, TokenStore};

    /// A store as a version of wharf that knew no other format wrote it.
    fn store_of(format: i64) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wharf.db");
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/store-{format}.db"));
        fs::copy(kept, &path).unwrap();
        let connection = Connection::open(&path).unwrap();
        assert_eq!(connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap(), format);
        (folder, path)
    }

    fn reason(kind: &str, code: Option<&str>, message: &str, connector: Option<&str>) -> Reason {
        Reason { kind: kind.into(), code: code.map(Into::into), message: message.into(), connector: connector.map(Into::into) }
    }

    /// What every kept store holds of the pipeline `orders`.
    fn letters() -> Vec<DeadLetter> {
        let postgres = Some("postgres 1.2.0");
        let no_number = |code| reason("rejected", code, "not a number: é\u{1F4E6}", postgres);
        let letter = |destination: Option<&str>, sequence: u64, reason: Reason| DeadLetter {
            destination: destination.map(Into::into),
            partition: "file-0a1b".into(),
            label: "/data/orders.ndjson".into(),
            sequence,
            ordinal: 0,
            key: None,
            record: Some(Bytes::from(format!("{{\"id\":{sequence}}}"))),
            reason: reason.into(),
            attempts: 1,
            at: format!("2026-01-0{}T00:00:00.000Z", 1 + sequence % 9).into(),
        };
        let too_large = reason("too-large", None, "the record has 9 bytes, and this connector takes 8 at the most", postgres);
        let unreadable = reason("unreadable", None, "line 3 is no JSON", None);
        let key = Some(Bytes::from_static(b"\xff\0k"));
        vec![
            letter(Some("warehouse"), 0, no_number(Some("22P02"))),
            letter(Some("warehouse"), 8, no_number(Some("22P02"))),
            DeadLetter { key, record: None, attempts: 3, ordinal: 7, ..letter(Some("warehouse"), 17, no_number(None)) },
            DeadLetter { record: Some(Bytes::new()), ..letter(Some("audit"), 17, too_large) },
            DeadLetter { attempts: 0, record: Some(Bytes::from_static(b"\x80 no json")), ..letter(None, u64::MAX, unreadable) },
        ]
    }

    #[tokio::test]
    async fn a_store_of_every_format_so_far_holds_what_it_held() {
        for format in 1..=FORMAT {
            let (_folder, path) = store_of(format);
            // It is opened twice: migrated, and as it is then.
            for _ in 0..2 {
                let store = SqliteStore::open(&path).unwrap();
                let of = |partition: &str, label: &str, next, read_to| Checkpoint {
                    partition: partition.into(),
                    label: label.into(),
                    next,
                    read_to,
                };
                let orders = [of("file-0a1b", "/data/orders.ndjson", 26, 40), of("file-2c3d", "", 0, 5)];
                assert_eq!(store.checkpoints("orders").await.unwrap(), orders);
                assert_eq!(store.checkpoints("numbers").await.unwrap(), [of("generator-7", "generator", u64::MAX, u64::MAX)]);
                assert_eq!(store.dead_letters("orders").await.unwrap(), letters());
                let numbers = store.dead_letters("numbers").await.unwrap();
                assert_eq!((numbers.len(), &*numbers[0].reason.kind, numbers[0].sequence), (1, "limit", 8));
                let token = store.refresh_token("ads").await.unwrap().unwrap();
                let (key_id, configured, sealed) = (vec![1, 2], vec![0, 255], b"sealed".to_vec());
                assert_eq!(token, SealedToken { key_id, configured, sealed, at: "2026-01-01T00:00:00.000Z".into() });
            }
            let connection = Connection::open(&path).unwrap();
            let one = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
            assert_eq!(one("PRAGMA user_version"), FORMAT);
            assert_eq!(one("SELECT count(*) FROM reasons"), 5, "two of the letters share one");
            assert_eq!(one("SELECT count(*) FROM dead_letters_in_words WHERE message LIKE 'not a number%'"), 4);
            assert_eq!(one("SELECT count(*) FROM sqlite_master WHERE tbl_name = 'dead_letters_1'"), 0);
            assert_eq!(one("SELECT count(*) FROM pragma_foreign_key_check"), 0);
        }
    }

    /// To be run once for each format, by the version that brings it, and the file committed:
    /// `cargo test -p wharf --lib write_the_store_that_is_kept -- --ignored`.
    #[tokio::test]
    #[ignore = "writes the store that is kept of the latest format"]
    async fn write_the_store_that_is_kept() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/store-{FORMAT}.db"));
        assert!(!path.exists(), "what is kept of a format is not written again");
        let store = SqliteStore::open(&path).unwrap();
        let checkpoint = |partition: &str, label: &str, next| Some((partition.into(), label.into(), next));
        let settled = Settled { checkpoint: checkpoint("file-0a1b", "/data/orders.ndjson", 26), dead_letters: letters() };
        store.settle("orders", settled).await.unwrap();
        let reason = reason("limit", Some("22P02"), "not a number: é\u{1F4E6}", Some("postgres 1.2.0")).into();
        let limit = DeadLetter { partition: "generator-7".into(), label: "generator".into(), reason, ..letters()[1].clone() };
        let checkpoint = checkpoint("generator-7", "generator", u64::MAX);
        store.settle("numbers", Settled { checkpoint, dead_letters: vec![limit] }).await.unwrap();
        store.read_to("orders", vec![("file-0a1b".into(), 40), ("file-2c3d".into(), 5)]).await.unwrap();
        let (key_id, configured, sealed) = (vec![1, 2], vec![0, 255], b"sealed".to_vec());
        let token = SealedToken { key_id, configured, sealed, at: "2026-01-01T00:00:00.000Z".into() };
        store.keep_refresh_token("ads", token).await.unwrap();
    }

    /// The schema, one statement a line.
    fn schema(path: &Path) -> Vec<String> {
        let connection = Connection::open(path).unwrap();
        let mut rows = connection.prepare("SELECT coalesce(sql, name) FROM sqlite_master ORDER BY name").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_store_that_was_migrated_is_one_that_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("new.db");
        SqliteStore::open(&new).unwrap();
        for format in 1..=FORMAT {
            let (_folder, path) = store_of(format);
            SqliteStore::open(&path).unwrap();
            assert_eq!(schema(&path), schema(&new), "from format {format}");
        }
    }

    #[test]
    fn a_migration_that_fails_leaves_the_store_as_it_was() {
        let (_folder, path) = store_of(1);
        let connection = Connection::open(&path).unwrap();
        // In the way of a statement among the last.
        connection.execute_batch("CREATE TABLE dead_letters_in_words (words TEXT)").unwrap();
        let before = schema(&path);
        let failed = SqliteStore::open(&path).unwrap_err();
        assert!(matches!(failed, StoreError::Engine { doing: "migrate", .. }), "{failed}");
        assert_eq!(schema(&path), before);
        connection.execute_batch("DROP TABLE dead_letters_in_words").unwrap();
        SqliteStore::open(&path).unwrap();
    }

    #[test]
    fn a_store_of_a_later_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wharf.db");
        SqliteStore::open(&path).unwrap();
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let error = SqliteStore::open(&path).unwrap_err().to_string();
        assert!(error.ends_with(&format!("has the format 99; this version of wharf reads up to {FORMAT}")), "{error}");
    }
}
