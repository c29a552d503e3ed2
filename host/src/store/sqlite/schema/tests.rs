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
        let sum =
            ["reasons", "dead_letters", "envelopes"].map(|table| one(&format!("SELECT coalesce(sum(bytes), 0) FROM {table}")));
        assert_eq!(one("SELECT sum(bytes) FROM dead_letter_totals"), sum.iter().sum::<i64>());
        assert_eq!(one(&format!("SELECT sum(letters) FROM dead_letter_totals {own}")), 6);
        assert_eq!(one("SELECT count(*) FROM dead_letter_totals"), if format >= 3 { 6 } else { 4 }, "one for each destination");
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
