//! What is no store, and what stands in one: whole records, and what is sent again.

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;
use crate::{
    record::{BatchBuilder, ContentTypes, NewRecord, Operation, Value},
    store::Replayed,
};

#[test]
fn what_is_no_store_is_told_from_one_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    mknodat(CWD, path("pipe"), FileType::Fifo, Mode::from_bits_truncate(0o600), 0).unwrap();
    fs::write(path("notes"), "my notes, which are longer than the header of a database has to be".repeat(10)).unwrap();
    for (name, expected) in [("pipe", "not a regular file"), ("", "not a regular file"), ("notes", "it holds something else")] {
        let refused = SqliteStore::open(&path(name)).unwrap_err();
        assert!(matches!(refused, StoreError::NoStore { .. }) && refused.to_string().ends_with(expected), "{refused}");
        assert_eq!((refused.hint(), refused.passes()), ("move it away, or name another folder with --data-dir", false));
    }
    assert!(fs::read_to_string(path("notes")).unwrap().starts_with("my notes"));
    assert!(SqliteStore::look(&path("pipe")).unwrap().is_none());
}

/// Records of one batch: `count` of them, with metadata that are the same for all and some that are not.
fn letters(count: u64, reason: &Arc<Reason>) -> Vec<DeadLetter> {
    let mut batch = BatchBuilder::with_capacity(count as usize, 0, true, None);
    let value = |bytes| Some(Value { bytes, content_type: Some("application/json") });
    for sequence in 0..count {
        let (operation, after) = match sequence % 3 {
            0 => (Operation::Delete, None),
            1 => (Operation::Update, value(b"")),
            _ => (Operation::Snapshot, value(b"{}")),
        };
        let before = (sequence % 2 == 0).then_some(value(b"{\"b\":1}")).flatten();
        let record = NewRecord { sequence, ordinal: 0, operation, after, before, key: value(b"7") };
        let at = sequence.to_string();
        let own = (sequence % 4 > 0).then_some(("own", at.as_bytes()));
        let shared = [("opencdc.version", &b"v1"[..]), ("empty", b""), ("raw", b"\xff")];
        batch.push_record(&record, shared.into_iter().chain(own)).unwrap();
    }
    let batch = Arc::new(batch.finish("x", "p".into()));
    let of = |at: u32| DeadLetter { record: Record::of(&batch, at), ..letter(Some("a"), "p", at.into(), reason) };
    (0..count as u32).map(of).collect()
}

#[tokio::test]
async fn a_letter_keeps_the_whole_record_and_what_many_share_stands_once() {
    let (folder, store) = store();
    let reason = reason("rejected", "no");
    let letters = letters(20, &reason);
    store.settle("x", given_up(letters.clone())).await.unwrap();
    drop(store);
    let store = SqliteStore::open(&folder.path().join("wharf.db")).unwrap();
    let kept = store.dead_letters("x").await.unwrap();
    assert_eq!(kept, letters);
    let types: Vec<*const ContentTypes> = kept.iter().map(|letter| std::ptr::from_ref(letter.record.content_types())).collect();
    assert!(types.iter().all(|one| *one == types[0]), "they share what they have in common");
    let one = |query: &'static str| {
        let store = &store;
        async move {
            store.on("read", move |connection| connection.query_row(query, [], |row| row.get::<_, String>(0))).await.unwrap()
        }
    };
    let shared = r#"{"empty":"","opencdc.version":"v1","raw":{"base64":"/w=="}}"#;
    assert_eq!(one("SELECT group_concat(metadata) FROM envelopes").await, shared);
    assert_eq!(one("SELECT group_concat(metadata) FROM dead_letters WHERE id <= 3").await, r#"{"own":"1"},{"own":"2"}"#);

    // All of it counts, and goes.
    let sum = store.on("read", |connection| {
        let sum = "SELECT (SELECT sum(bytes) FROM dead_letters) + (SELECT sum(bytes) FROM reasons) + (SELECT sum(bytes) FROM envelopes)";
        connection.query_row(sum, [], |row| row.get::<_, i64>(0))
    });
    let expected = sum.await.unwrap() as u64;
    assert_eq!(store.letter_totals("x").await.unwrap(), [("a".to_owned(), LetterTotals { letters: 20, bytes: expected })]);
    store.remove_letters(&of("x")).await.unwrap();
    assert_eq!(store.letter_totals("x").await.unwrap(), []);
    assert_eq!(one("SELECT count(*) || '' FROM envelopes").await, "0");
}

#[tokio::test]
async fn a_letter_of_a_processor_is_not_that_of_the_destination_behind_it() {
    let (_folder, store) = store();
    let reason = reason("rejected", "no");
    let at = |processor: Option<&str>| DeadLetter { processor: processor.map(Into::into), ..letter(Some("a"), "p", 1, &reason) };
    let letters = vec![at(None), at(Some("mask")), at(Some("flatten"))];
    store.settle("x", given_up(letters.clone())).await.unwrap();
    store.settle("x", given_up(letters)).await.unwrap();
    assert_eq!(store.count_letters(&of("x")).await.unwrap(), 3);
}

#[tokio::test]
async fn each_destination_has_room_of_its_own() {
    let (_folder, store) = store();
    let reason = reason("rejected", "no");
    let keeping = Keeping { max_bytes: Some(258 + 266), copy_to: None };
    let settle = |destination, sequence| {
        let letters = given_up(vec![letter(destination, "p", sequence, &reason)]);
        let (store, keeping) = (store.clone(), keeping.clone());
        async move { store.settle_within("x", letters, &keeping).await }
    };
    for destination in [Some("a"), Some("b"), None] {
        settle(destination, 1).await.unwrap();
        let full = settle(destination, 2).await.unwrap_err();
        assert!(matches!(&full, StoreError::DeadLettersFull { destination: of, .. } if of.as_deref() == destination), "{full}");
    }
    let full = settle(None, 2).await.unwrap_err().to_string();
    assert!(full.starts_with("the dead letters of pipeline x that no destination was given would take 790 bytes"), "{full}");
    // Where the bound was made narrower, what takes no more than before still has room.
    let narrow = Keeping { max_bytes: Some(1), copy_to: None };
    store.settle_within("x", given_up(vec![letter(Some("a"), "p", 1, &reason)]), &narrow).await.unwrap();
}

#[tokio::test]
async fn what_was_sent_again_is_removed_and_what_failed_again_is_kept_with_its_attempts_counted_on() {
    let (_folder, store) = store();
    let (first, second) = (reason("rejected", "no"), reason("transient", "still no"));
    let letters = (1..=4).map(|sequence| letter(Some("a"), "p", sequence, &first)).collect();
    store.settle("x", given_up(letters)).await.unwrap();
    // The first is delivered, the second fails again, of the third a processor made something else that fails; the fourth is not among them.
    let again = DeadLetter { attempts: 2, ..letter(Some("a"), "p", 2, &second) };
    let other = DeadLetter { processor: Some("mask".into()), ..letter(Some("a"), "p", 3, &second) };
    let replayed = Some(Replayed { ids: vec![1, 2, 3] });
    let settled = Settled { replayed, ..Settled::new(None, vec![again.clone(), other.clone()]) };
    store.settle("x", settled.into()).await.unwrap();
    let kept = store.letters(&of("x"), 0, 9).await.unwrap();
    let kept: Vec<_> = kept
        .iter()
        .map(|kept| (kept.id.min(5), kept.letter.sequence, kept.letter.attempts, &*kept.letter.reason.message))
        .collect();
    assert_eq!(kept, [(2, 2, 3, "still no"), (4, 4, 1, "no"), (5, 3, 1, "still no")]);
    assert_eq!(reasons(&store).await, 2);
}
