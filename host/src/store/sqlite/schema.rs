//! The tables of the store, and how a store of an earlier version becomes one of this.
//!
//! `user_version` tells the format. A store is brought from one format to the next in one transaction: a process that ends meanwhile leaves the
//! store as it was. One of a later format is refused: who does not know it might lose what it holds.

use rusqlite::{Connection, Transaction};

use super::letters;

/// The number of the format below.
pub(super) const FORMAT: i64 = 6;

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

/// Moves the dead letters of format 1. A reason was told apart by a digest, which is told apart anew with the next format: here the text itself does.
const SHARE_REASONS: &str = "
    INSERT INTO reasons (pipeline, digest, kind, code, message, connector)
        SELECT pipeline, CAST(json_array(kind, code, message, connector) AS BLOB) AS digest, kind, code, message, connector
        FROM dead_letters_1 GROUP BY pipeline, digest ORDER BY min(id);
    INSERT INTO dead_letters (id, pipeline, destination, partition, label, sequence, ordinal, key, record, reason, attempts, at)
        SELECT old.id, old.pipeline, destination, partition, label, sequence, ordinal, key, record, reasons.id, attempts, at
        FROM dead_letters_1 AS old JOIN reasons ON reasons.pipeline = old.pipeline
            AND reasons.digest = CAST(json_array(old.kind, old.code, old.message, old.connector) AS BLOB)
        ORDER BY old.id;
    DROP TABLE dead_letters_1;
";

/// Format 3:
///
/// - A dead letter keeps the whole record, and at which processor it was given up. What all records of a batch have in common stands once, in
///   `envelopes`, and goes with the last letter that it is of.
/// - What dead letters come to is known for each destination, so that each has its own room.
const FORMAT_3: &str = "
    DROP VIEW dead_letters_in_words;
    DROP TRIGGER dead_letter_written;
    DROP TRIGGER dead_letter_changed;
    DROP TRIGGER dead_letter_removed;
    DROP TRIGGER reason_written;
    DROP TRIGGER reason_removed;
    DROP INDEX dead_letters_by_reason;
    DROP INDEX dead_letters_by_time;
    DROP TABLE dead_letter_totals;
    ALTER TABLE dead_letters RENAME TO dead_letters_2;
    ALTER TABLE reasons RENAME TO reasons_2;

    CREATE TABLE reasons (
        id INTEGER PRIMARY KEY,
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL,
        digest BLOB NOT NULL, -- of the columns that follow
        kind TEXT NOT NULL,
        code TEXT,
        message TEXT NOT NULL,
        connector TEXT,
        bytes INTEGER AS (256 + length(CAST(message AS BLOB)) + coalesce(length(CAST(code AS BLOB)), 0)),
        UNIQUE (pipeline, destination, digest)
    );
    CREATE TABLE envelopes (
        id INTEGER PRIMARY KEY,
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL,
        digest BLOB NOT NULL, -- of the columns that follow
        content_type TEXT, -- of the record
        before_content_type TEXT,
        key_content_type TEXT,
        metadata TEXT, -- a JSON object: what is the same for all records of the batch
        bytes INTEGER AS (256 + coalesce(length(CAST(content_type AS BLOB)), 0) + coalesce(length(CAST(before_content_type AS BLOB)), 0)
            + coalesce(length(CAST(key_content_type AS BLOB)), 0) + coalesce(length(CAST(metadata AS BLOB)), 0)),
        UNIQUE (pipeline, destination, digest)
    );
    CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL, -- empty where it was given up for all of them
        processor TEXT NOT NULL, -- which gave it up; empty where the destination did, or the source could not read it
        partition TEXT NOT NULL,
        label TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        ordinal INTEGER NOT NULL,
        operation TEXT, -- null where an earlier version kept no more than key and record, and not which processor gave it up
        key BLOB,
        before BLOB,
        record BLOB,
        metadata TEXT, -- a JSON object: what is not in the envelope
        envelope INTEGER REFERENCES envelopes (id),
        reason INTEGER NOT NULL REFERENCES reasons (id),
        attempts INTEGER NOT NULL,
        at TEXT NOT NULL,
        bytes INTEGER AS (256 + coalesce(length(key), 0) + coalesce(length(before), 0) + coalesce(length(record), 0)
            + coalesce(length(CAST(metadata AS BLOB)), 0)),
        UNIQUE (pipeline, partition, sequence, ordinal, destination, processor) -- the order in which they are sent again
    );
    CREATE INDEX dead_letters_by_reason ON dead_letters (reason);
    CREATE INDEX dead_letters_by_envelope ON dead_letters (envelope) WHERE envelope IS NOT NULL;
    CREATE INDEX dead_letters_by_time ON dead_letters (pipeline, at);
    CREATE VIEW dead_letters_in_words AS
        SELECT dead_letters.id, dead_letters.pipeline, dead_letters.destination, processor, partition, label, sequence, ordinal,
            operation, key, before, record,
            json_patch(coalesce(envelopes.metadata, '{}'), coalesce(dead_letters.metadata, '{}')) AS metadata,
            content_type, before_content_type, key_content_type, kind, code, message, connector, attempts, at
        FROM dead_letters JOIN reasons ON reasons.id = dead_letters.reason
            LEFT JOIN envelopes ON envelopes.id = dead_letters.envelope;

    CREATE TABLE dead_letter_totals (
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL,
        letters INTEGER NOT NULL,
        bytes INTEGER NOT NULL, -- of dead_letters, reasons and envelopes together
        PRIMARY KEY (pipeline, destination)
    ) WITHOUT ROWID;
    CREATE TRIGGER dead_letter_written AFTER INSERT ON dead_letters BEGIN
        INSERT INTO dead_letter_totals VALUES (new.pipeline, new.destination, 1, new.bytes)
            ON CONFLICT DO UPDATE SET letters = letters + 1, bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER dead_letter_changed AFTER UPDATE ON dead_letters BEGIN
        UPDATE dead_letter_totals SET bytes = bytes + new.bytes - old.bytes
            WHERE pipeline = new.pipeline AND destination = new.destination;
        DELETE FROM reasons
            WHERE id = old.reason AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE reason = old.reason);
        DELETE FROM envelopes
            WHERE id = old.envelope AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE envelope = old.envelope);
    END;
    CREATE TRIGGER dead_letter_removed AFTER DELETE ON dead_letters BEGIN
        UPDATE dead_letter_totals SET letters = letters - 1, bytes = bytes - old.bytes
            WHERE pipeline = old.pipeline AND destination = old.destination;
        DELETE FROM reasons
            WHERE id = old.reason AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE reason = old.reason);
        DELETE FROM envelopes
            WHERE id = old.envelope AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE envelope = old.envelope);
    END;
    CREATE TRIGGER reason_written AFTER INSERT ON reasons BEGIN
        INSERT INTO dead_letter_totals VALUES (new.pipeline, new.destination, 0, new.bytes)
            ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER reason_removed AFTER DELETE ON reasons BEGIN
        UPDATE dead_letter_totals SET bytes = bytes - old.bytes
            WHERE pipeline = old.pipeline AND destination = old.destination;
    END;
    CREATE TRIGGER envelope_written AFTER INSERT ON envelopes BEGIN
        INSERT INTO dead_letter_totals VALUES (new.pipeline, new.destination, 0, new.bytes)
            ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER envelope_removed AFTER DELETE ON envelopes BEGIN
        UPDATE dead_letter_totals SET bytes = bytes - old.bytes
            WHERE pipeline = old.pipeline AND destination = old.destination;
    END;
";

/// What was moved out of the tables of format 2 is let go of, and numbers that were given go on being given to nobody else.
const AFTER_3: &str = "
    DELETE FROM sqlite_sequence WHERE name = 'dead_letters';
    INSERT INTO sqlite_sequence (name, seq) SELECT 'dead_letters', seq FROM sqlite_sequence WHERE name = 'dead_letters_2';
    DROP TABLE dead_letters_2;
    DROP TABLE reasons_2;
";

/// Format 4: what spools are owed since the outcome of its cause is here.
const FORMAT_4: &str = "
    CREATE TABLE owed (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL,
        promise INTEGER NOT NULL, -- its number in the spool
        born TEXT NOT NULL -- which of its follow-ups: a JSON array of [start, end]
    );
    CREATE INDEX owed_by_destination ON owed (pipeline, destination, id);
";

/// Format 5: a dead letter knows which action it was for.
const FORMAT_5: &str = "
    ALTER TABLE dead_letters ADD COLUMN action TEXT NOT NULL DEFAULT ''; -- empty where the component names none, it was for none, or an earlier version gave it up
    DROP VIEW dead_letters_in_words;
    CREATE VIEW dead_letters_in_words AS
        SELECT dead_letters.id, dead_letters.pipeline, dead_letters.destination, processor, action, partition, label, sequence, ordinal,
            operation, key, before, record,
            json_patch(coalesce(envelopes.metadata, '{}'), coalesce(dead_letters.metadata, '{}')) AS metadata,
            content_type, before_content_type, key_content_type, kind, code, message, connector, attempts, at
        FROM dead_letters JOIN reasons ON reasons.id = dead_letters.reason
            LEFT JOIN envelopes ON envelopes.id = dead_letters.envelope;
";

/// Format 6: it is known which spool a destination has, so that one that is lost is missed.
const FORMAT_6: &str = "
    CREATE TABLE spools (
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL,
        identity TEXT NOT NULL, -- as it stands in the spool
        PRIMARY KEY (pipeline, destination)
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
mod tests {
    use std::{fs, path::Path};

    use bytes::Bytes;

    use super::*;
    use crate::{
        record::{BatchBuilder, Entity, NewRecord, Operation, Record, Span, Value},
        store::{
            Checkpoint, DeadLetter, LetterStore, Owed, PipelineStore, Reason, SealedToken, Settled, SourceIdentity, SqliteStore,
            Store, StoreError, StoredCut, TokenStore,
        },
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
            processor: None,
            action: None,
            record: Record::plain(Bytes::from(format!("{{\"id\":{sequence}}}"))),
            whole: false,
            reason: reason.into(),
            attempts: 1,
            at: format!("2026-01-0{}T00:00:00.000Z", 1 + sequence % 9).into(),
        };
        let too_large = reason("too-large", None, "the record has 9 bytes, and this connector takes 8 at the most", postgres);
        let unreadable = reason("unreadable", None, "line 3 is no JSON", None);
        let keyed = Record::from(Entity { key: Some(Bytes::from_static(b"\xff\0k")), ..Entity::default() });
        vec![
            letter(Some("warehouse"), 0, no_number(Some("22P02"))),
            letter(Some("warehouse"), 8, no_number(Some("22P02"))),
            DeadLetter { record: keyed, attempts: 3, ordinal: 7, ..letter(Some("warehouse"), 17, no_number(None)) },
            DeadLetter { record: Record::plain(Bytes::new()), ..letter(Some("audit"), 17, too_large) },
            DeadLetter {
                attempts: 0,
                record: Record::plain(Bytes::from_static(b"\x80 no json")),
                ..letter(None, u64::MAX, unreadable)
            },
        ]
    }

    /// What stores hold of the pipeline `whole` since format 3.
    fn whole_letters() -> Vec<DeadLetter> {
        let value = |bytes, content_type| Some(Value { bytes, content_type: Some(content_type) });
        let mut batch = BatchBuilder::with_capacity(2, 0, true, None);
        let first = NewRecord {
            sequence: 4,
            ordinal: 3,
            operation: Operation::Update,
            after: value(br#"{"a":2}"#, "application/json"),
            before: value(br#"{"a":1}"#, "application/json"),
            key: value(b"\xff", "application/octet-stream"),
        };
        let second = NewRecord { sequence: 5, operation: Operation::Delete, before: value(b"", "application/json"), ..first };
        let metadata = |own: &'static [u8]| [("opencdc.version", &b"v1"[..]), ("opencdc.createdAt", own), ("binary", b"\x80")];
        batch.push_record(&first, metadata(b"17")).unwrap();
        batch.push_record(&NewRecord { after: None, ..second }, metadata(b"")).unwrap();
        let batch = std::sync::Arc::new(batch.finish("whole", "file-0a1b".into()));
        let reason = std::sync::Arc::new(reason("rejected", None, "no", Some("mask 1.0.0")));
        let letter = |processor: Option<&str>, destination: Option<&str>, at: u32| DeadLetter {
            destination: destination.map(Into::into),
            processor: processor.map(Into::into),
            action: None,
            partition: "file-0a1b".into(),
            label: "/data/orders.ndjson".into(),
            sequence: batch.sequences()[at as usize],
            ordinal: batch.ordinals()[at as usize],
            record: Record::of(&batch, at),
            whole: true,
            reason: reason.clone(),
            attempts: 1,
            at: "2026-01-01T00:00:00.000Z".into(),
        };
        vec![
            letter(None, Some("warehouse"), 0),
            DeadLetter { action: Some("merge".into()), ..letter(None, Some("warehouse"), 1) },
            letter(Some("mask"), Some("warehouse"), 1),
            letter(Some("select"), None, 0),
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
            let due = store.owed("orders", "warehouse", 9).await.unwrap();
            assert_eq!(due, (format >= 4).then(|| (2, owed())));
            let spool = store.spool("orders", "warehouse").await.unwrap();
            assert_eq!(spool.as_deref(), (format >= 6).then_some("c0ffee"));
            let connection = Connection::open(&path).unwrap();
            let one = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
            assert_eq!(one("PRAGMA user_version"), FORMAT);
            let own = "WHERE pipeline <> 'whole'";
            assert_eq!(one(&format!("SELECT count(*) FROM reasons {own}")), 5, "two of the letters share one");
            let mut whole = if format >= 3 { whole_letters() } else { Vec::new() };
            if format < 5 {
                whole.iter_mut().for_each(|letter| letter.action = None);
            }
            assert_eq!(store.dead_letters("whole").await.unwrap(), whole);
            assert_eq!(one("SELECT count(*) FROM envelopes"), if format >= 3 { 2 } else { 0 }, "one for each destination");
            let text = |query: &str| connection.query_row(query, [], |row| row.get::<_, String>(0)).unwrap();
            if format >= 3 {
                let words = text("SELECT metadata FROM dead_letters_in_words WHERE pipeline = 'whole' LIMIT 1");
                assert_eq!(words, r#"{"binary":{"base64":"gA=="},"opencdc.version":"v1","opencdc.createdAt":"17"}"#);
            }
            let given = store.letters(&Default::default(), 0, 99).await.unwrap().into_iter().map(|kept| kept.id).max().unwrap();
            assert_eq!(one("SELECT seq FROM sqlite_sequence WHERE name = 'dead_letters'"), given);
            assert_eq!(one("SELECT count(*) FROM dead_letters_in_words WHERE message LIKE 'not a number%'"), 4);
            assert_eq!(one("SELECT count(*) FROM sqlite_master WHERE tbl_name = 'dead_letters_1'"), 0);
            assert_eq!(one("SELECT count(*) FROM pragma_foreign_key_check"), 0);
            let sum = ["reasons", "dead_letters", "envelopes"]
                .map(|table| one(&format!("SELECT coalesce(sum(bytes), 0) FROM {table}")));
            assert_eq!(one("SELECT sum(bytes) FROM dead_letter_totals"), sum.iter().sum::<i64>());
            assert_eq!(one(&format!("SELECT sum(letters) FROM dead_letter_totals {own}")), 6);
            assert_eq!(
                one("SELECT count(*) FROM dead_letter_totals"),
                if format >= 3 { 6 } else { 4 },
                "one for each destination"
            );
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
        let settled = Settled::new(checkpoint("file-0a1b", "/data/orders.ndjson", 26), letters());
        store.settle("orders", settled.owing(owed()).into()).await.unwrap();
        store.settle("whole", Settled::new(None, whole_letters()).into()).await.unwrap();
        let reason = reason("limit", Some("22P02"), "not a number: é\u{1F4E6}", Some("postgres 1.2.0")).into();
        let limit = DeadLetter { partition: "generator-7".into(), label: "generator".into(), reason, ..letters()[1].clone() };
        let checkpoint = checkpoint("generator-7", "generator", u64::MAX);
        store.settle("numbers", Settled::new(checkpoint, vec![limit]).into()).await.unwrap();
        store.read_to("orders", vec![("file-0a1b".into(), 40), ("file-2c3d".into(), 5)]).await.unwrap();
        let (key_id, configured, sealed) = (vec![1, 2], vec![0, 255], b"sealed".to_vec());
        let token = SealedToken { key_id, configured, sealed, at: "2026-01-01T00:00:00.000Z".into() };
        store.keep_refresh_token("ads", token).await.unwrap();
        store.keep_source("orders", source()).await.unwrap();
        store.keep_destinations("orders", vec!["warehouse".into(), "audit".into()]).await.unwrap();
        store.cut("orders", cut()).await.unwrap();
        store.keep_spool("orders", "warehouse", Some("c0ffee")).await.unwrap();
    }

    fn owed() -> Vec<Owed> {
        let owed = |promise, born| Owed { destination: "warehouse".into(), promise, born };
        vec![owed(7, vec![Span::new(0, 3), Span::new(5, 6)]), owed(9, Vec::new())]
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
