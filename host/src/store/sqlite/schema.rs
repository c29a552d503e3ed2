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

/// Format 2:
///
/// - A reason stands once for each pipeline, however many records were given up for it, and goes with the last of them. Ids of dead letters are
///   never given again. What a pipeline's dead letters come to is kept beside them by triggers, so that it holds whoever writes.
/// - What a pipeline reads and where it delivers to is known, so that a change of these is noticed.
/// - Cuts that have to be the same when they are written again stand in `cuts` until the checkpoint moves past them.
const FORMAT_2: &str = "
    CREATE TABLE reasons (
        id INTEGER PRIMARY KEY,
        pipeline TEXT NOT NULL,
        digest BLOB NOT NULL, -- of the columns that follow
        kind TEXT NOT NULL,
        code TEXT,
        message TEXT NOT NULL,
        connector TEXT,
        UNIQUE (pipeline, digest)
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
        UNIQUE (pipeline, partition, sequence, ordinal, destination) -- the order in which they are sent again
    );
    CREATE INDEX dead_letters_by_reason ON dead_letters (reason);
    CREATE INDEX dead_letters_by_time ON dead_letters (pipeline, at);
    CREATE VIEW dead_letters_in_words AS
        SELECT dead_letters.id, dead_letters.pipeline, destination, partition, label, sequence, ordinal, key, record,
            kind, code, message, connector, attempts, at
        FROM dead_letters JOIN reasons ON reasons.id = dead_letters.reason;

    CREATE TABLE dead_letter_totals (
        pipeline TEXT NOT NULL PRIMARY KEY,
        letters INTEGER NOT NULL,
        bytes INTEGER NOT NULL -- key and record of each and 256, and text and code of each reason and 256
    ) WITHOUT ROWID;
    CREATE TRIGGER dead_letter_written AFTER INSERT ON dead_letters BEGIN
        INSERT INTO dead_letter_totals VALUES
            (new.pipeline, 1, 256 + coalesce(length(new.key), 0) + coalesce(length(new.record), 0))
            ON CONFLICT DO UPDATE SET letters = letters + 1, bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER dead_letter_changed AFTER UPDATE ON dead_letters BEGIN
        UPDATE dead_letter_totals SET bytes = bytes
            + coalesce(length(new.key), 0) + coalesce(length(new.record), 0)
            - coalesce(length(old.key), 0) - coalesce(length(old.record), 0)
            WHERE pipeline = new.pipeline;
        DELETE FROM reasons
            WHERE id = old.reason AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE reason = old.reason);
    END;
    CREATE TRIGGER dead_letter_removed AFTER DELETE ON dead_letters BEGIN
        UPDATE dead_letter_totals SET letters = letters - 1,
            bytes = bytes - 256 - coalesce(length(old.key), 0) - coalesce(length(old.record), 0)
            WHERE pipeline = old.pipeline;
        DELETE FROM reasons
            WHERE id = old.reason AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE reason = old.reason);
    END;
    CREATE TRIGGER reason_written AFTER INSERT ON reasons BEGIN
        INSERT INTO dead_letter_totals VALUES
            (new.pipeline, 0, 256 + length(CAST(new.message AS BLOB)) + coalesce(length(CAST(new.code AS BLOB)), 0))
            ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER reason_removed AFTER DELETE ON reasons BEGIN
        UPDATE dead_letter_totals SET bytes = bytes
            - 256 - length(CAST(old.message AS BLOB)) - coalesce(length(CAST(old.code AS BLOB)), 0)
            WHERE pipeline = old.pipeline;
    END;

    CREATE TABLE sources (
        pipeline TEXT NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        reads TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE destinations (
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL,
        PRIMARY KEY (pipeline, destination)
    ) WITHOUT ROWID;
    CREATE TABLE cuts (
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL, -- empty where it is the same for all
        partition TEXT NOT NULL,
        first INTEGER NOT NULL, -- sequence and ordinal of the first record
        first_ordinal INTEGER NOT NULL,
        last INTEGER NOT NULL, -- and of the last
        last_ordinal INTEGER NOT NULL,
        count INTEGER NOT NULL,
        next INTEGER NOT NULL, -- the sequence where the next stretch begins
        id TEXT NOT NULL,
        PRIMARY KEY (pipeline, destination, partition, first, first_ordinal)
    ) WITHOUT ROWID;
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
    let mut old = transaction.prepare("SELECT id, kind, code, message, connector, pipeline FROM dead_letters_1 ORDER BY id")?;
    let mut old = old.query([])?;
    while let Some(row) = old.next()? {
        let id: i64 = row.get(0)?;
        let reason = letters::reason(row, 1)?;
        let reason = letters::reason_id(transaction, row.get_ref(5)?.as_str()?, &reason)?;
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
    use crate::store::{
        Checkpoint, DeadLetter, PipelineStore, Reason, SealedToken, Settled, SourceIdentity, SqliteStore, Store, StoreError,
        StoredCut, TokenStore,
    };

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
            let store = SqliteStore::open(&path).unwrap();
            let known = (format >= 2).then_some(2);
            assert_eq!(store.source("orders").await.unwrap(), known.map(|_| source()));
            assert_eq!(store.destinations("orders").await.unwrap().len(), known.unwrap_or_default());
            assert_eq!(store.cuts("orders").await.unwrap(), known.map(|_| cut()).into_iter().collect::<Vec<_>>());
            let connection = Connection::open(&path).unwrap();
            let one = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
            assert_eq!(one("PRAGMA user_version"), FORMAT);
            assert_eq!(one("SELECT count(*) FROM reasons"), 5, "two of the letters share one");
            assert_eq!(one("SELECT count(*) FROM dead_letters_in_words WHERE message LIKE 'not a number%'"), 4);
            assert_eq!(one("SELECT count(*) FROM sqlite_master WHERE tbl_name = 'dead_letters_1'"), 0);
            assert_eq!(one("SELECT count(*) FROM pragma_foreign_key_check"), 0);
            let words = "256 + length(CAST(message AS BLOB)) + coalesce(length(code), 0)";
            let bytes = "256 + coalesce(length(key), 0) + coalesce(length(record), 0)";
            let sum = format!("SELECT (SELECT sum({words}) FROM reasons) + (SELECT sum({bytes}) FROM dead_letters)");
            assert_eq!(one("SELECT sum(bytes) FROM dead_letter_totals"), one(&sum));
            assert_eq!(one("SELECT sum(letters) FROM dead_letter_totals"), 6);
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
        store.keep_source("orders", source()).await.unwrap();
        store.keep_destinations("orders", vec!["warehouse".into(), "audit".into()]).await.unwrap();
        store.cut("orders", cut()).await.unwrap();
    }

    fn source() -> SourceIdentity {
        SourceIdentity { kind: "file".into(), reads: "/data/*.ndjson".into() }
    }

    fn cut() -> StoredCut {
        StoredCut {
            id: "c0ffee".into(),
            destination: None,
            partition: "file-0a1b".into(),
            first: (26, 0),
            last: (32, 1),
            count: 3,
            next: 40,
        }
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
