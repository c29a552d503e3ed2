//! Dead letters, what is known of pipelines, and cuts.

mod records;

use std::{fs, sync::Arc, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    clock::VirtualClock,
    record::{Entity, Record},
    store::{
        Kept, KnownPipeline, LetterDocument, LetterFilter, LetterStore, Payload, PipelineStore, Reason, ReplayPlace,
        SourceIdentity, StoredCut,
    },
};

fn store() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("wharf.db")).unwrap();
    (folder, store)
}

fn reason(kind: &str, message: &str) -> Arc<Reason> {
    Arc::new(Reason { kind: kind.into(), code: None, message: message.into(), connector: Some("c 1.0.0".into()) })
}

/// A letter with a record of ten bytes.
fn letter(destination: Option<&str>, partition: &str, sequence: u64, reason: &Arc<Reason>) -> DeadLetter {
    DeadLetter {
        destination: destination.map(Into::into),
        partition: partition.into(),
        label: "file".into(),
        sequence,
        ordinal: 0,
        processor: None,
        action: None,
        record: Record::plain(Bytes::from_static(b"0123456789")),
        whole: true,
        reason: reason.clone(),
        attempts: 1,
        at: format!("2026-01-01T00:00:0{}.000Z", sequence % 10).into(),
    }
}

fn given_up(dead_letters: Vec<DeadLetter>) -> Arc<Settled> {
    Settled::new(None, dead_letters).into()
}

fn of(pipeline: &str) -> LetterFilter {
    LetterFilter { pipeline: Some(pipeline.into()), ..LetterFilter::default() }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Of all destinations together.
async fn totals(store: &SqliteStore, pipeline: &str) -> LetterTotals {
    store.letter_totals(pipeline).await.unwrap().into_iter().map(|(_, totals)| totals).sum()
}

async fn reasons(store: &SqliteStore) -> i64 {
    let count = |connection: &mut Connection| connection.query_row("SELECT count(*) FROM reasons", [], |row| row.get(0));
    store.on("read", count).await.unwrap()
}

#[tokio::test]
async fn what_was_settled_is_there_after_opening_again_and_only_for_its_pipeline() {
    let (folder, store) = store();
    let checkpoint = |next| Some(("p".to_owned(), "file".to_owned(), next));
    let reason = reason("rejected", "no");
    let letters = vec![letter(Some("d"), "p", 7, &reason), letter(Some("d"), "p", 9, &reason)];
    let settled = Settled::new(checkpoint(u64::MAX), letters.clone());
    store.settle("a", settled.into()).await.unwrap();
    store.settle("b", Settled::new(checkpoint(3), vec![]).into()).await.unwrap();
    store.read_to("b", vec![("p".into(), 12), ("q".into(), 5)]).await.unwrap();
    drop(store);

    let store = SqliteStore::open(&folder.path().join("wharf.db")).unwrap();
    let of = |partition: &str, label: &str, next, read_to| Checkpoint {
        partition: partition.into(),
        label: label.into(),
        next,
        read_to,
    };
    assert_eq!(store.checkpoints("a").await.unwrap(), [of("p", "file", u64::MAX, u64::MAX)]);
    assert_eq!(store.checkpoints("b").await.unwrap(), [of("p", "file", 3, 12), of("q", "", 0, 5)]);
    assert_eq!(store.dead_letters("a").await.unwrap(), letters);
    assert_eq!(store.dead_letters("b").await.unwrap(), []);
}

#[tokio::test]
async fn a_record_that_is_given_up_twice_is_one_dead_letter() {
    let (_folder, store) = store();
    let times = ["first", "second"].map(|message| letter(Some("d"), "p", 7, &reason("rejected", message)));
    for letter in &times {
        store.settle("a", given_up(vec![letter.clone()])).await.unwrap();
    }
    assert_eq!(store.dead_letters("a").await.unwrap(), times[1..]);
    assert_eq!(reasons(&store).await, 1);
}

#[tokio::test]
async fn letters_are_found_counted_and_removed_by_what_they_are() {
    let (_folder, store) = store();
    let (rejected, trapped) = (reason("rejected", "no"), reason("trapped", "unreachable"));
    let letters =
        vec![letter(Some("a"), "p", 1, &rejected), letter(Some("b"), "p", 2, &rejected), letter(Some("a"), "p", 3, &trapped)];
    store.settle("x", given_up(letters)).await.unwrap();
    store.settle("y", given_up(vec![letter(None, "q", 4, &rejected)])).await.unwrap();

    let cases = [
        (LetterFilter::default(), vec![1, 2, 3, 4]),
        (of("x"), vec![1, 2, 3]),
        (LetterFilter { destination: some("a"), ..of("x") }, vec![1, 3]),
        (LetterFilter { destination: some(""), ..LetterFilter::default() }, vec![4]),
        (LetterFilter { kind: some("rejected"), ..LetterFilter::default() }, vec![1, 2, 4]),
        (LetterFilter { since: some("2026-01-01T00:00:02.000Z"), ..LetterFilter::default() }, vec![2, 3, 4]),
        (LetterFilter { before: some("2026-01-01T00:00:02.000Z"), ..LetterFilter::default() }, vec![1]),
        (LetterFilter { kind: some("trapped"), destination: some("b"), ..of("x") }, vec![]),
        (LetterFilter { id: Some(2), ..LetterFilter::default() }, vec![2]),
        (LetterFilter { id: Some(2), ..of("y") }, vec![]),
    ];
    for (filter, expected) in &cases {
        let found = store.letters(filter, 0, 100).await.unwrap();
        let found: Vec<u64> = found.iter().map(|kept| kept.letter.sequence).collect();
        assert_eq!((&found, found.len() as u64), (expected, store.count_letters(filter).await.unwrap()), "{filter:?}");
    }
    let page = store.letters(&LetterFilter::default(), 1, 2).await.unwrap();
    assert_eq!(page.iter().map(|kept| (kept.id, &*kept.pipeline)).collect::<Vec<_>>(), [(2, "x"), (3, "x")]);
    assert!(Arc::ptr_eq(&page[0].letter.partition, &page[1].letter.partition), "what they have in common they share");
    assert_eq!(reasons(&store).await, 4, "each destination has its own");

    assert_eq!(store.remove_letters(&LetterFilter { kind: some("rejected"), ..of("x") }).await.unwrap(), 2);
    assert_eq!(store.count_letters(&LetterFilter::default()).await.unwrap(), 2);
    assert_eq!(reasons(&store).await, 2, "a reason goes with the last letter that it is of");
    assert_eq!(store.remove_letters_by_id(vec![3, 4, 99]).await.unwrap(), 2);
    assert_eq!((reasons(&store).await, totals(&store, "x").await), (0, LetterTotals::default()));
    // A number is not given again.
    store.settle("x", given_up(vec![letter(Some("a"), "p", 1, &rejected)])).await.unwrap();
    assert_eq!(store.letters(&of("x"), 0, 1).await.unwrap()[0].id, 5);
}

#[tokio::test]
async fn more_letters_than_are_removed_at_once_are_removed() {
    let (_folder, store) = store();
    let reason = reason("rejected", "no");
    let letters = (0..25_000).map(|sequence| letter(Some("a"), "p", sequence, &reason)).collect();
    store.settle("x", given_up(letters)).await.unwrap();
    assert_eq!(totals(&store, "x").await, LetterTotals { letters: 25_000, bytes: 25_000 * 266 + 258 });
    assert_eq!(store.remove_letters(&of("x")).await.unwrap(), 25_000);
    assert_eq!(totals(&store, "x").await, LetterTotals::default());
}

#[tokio::test]
async fn a_replay_sees_letters_in_the_order_of_their_records_piece_by_piece() {
    let (_folder, store) = store();
    let reason = reason("rejected", "no");
    let mut letters: Vec<_> =
        [("q", 1), ("p", 30), ("p", 4), ("q", 0)].map(|(partition, at)| letter(Some("a"), partition, at, &reason)).into();
    letters.push(DeadLetter { ordinal: 1, ..letters[2].clone() });
    letters.push(DeadLetter { destination: Some("b".into()), ..letters[2].clone() });
    store.settle("x", given_up(letters)).await.unwrap();
    let (mut place, mut seen) = (ReplayPlace::default(), Vec::new());
    loop {
        let piece = store.letters_to_replay("x", &LetterFilter::default(), &place, i64::MAX, 2).await.unwrap();
        let Some(last) = piece.last() else { break };
        assert!(piece.len() <= 2);
        place = last.place();
        // What was delivered is removed meanwhile, and nothing is passed over for it.
        store.remove_letters_by_id(vec![piece[0].id]).await.unwrap();
        seen.extend(piece.into_iter().map(|kept| (kept.letter.partition.to_string(), kept.letter.sequence, kept.letter.ordinal)));
    }
    let expected = [("p", 4, 0), ("p", 4, 0), ("p", 4, 1), ("p", 30, 0), ("q", 0, 0), ("q", 1, 0)];
    assert_eq!(seen, expected.map(|(partition, at, ordinal)| (partition.to_owned(), at, ordinal)));
    assert_eq!(store.count_letters(&of("x")).await.unwrap(), 3);
}

#[tokio::test]
async fn large_letters_are_read_in_pieces() {
    let (_folder, store) = store();
    let reason = reason("rejected", "no");
    let large =
        |sequence| DeadLetter { record: Record::plain(vec![b'r'; 5 << 20].into()), ..letter(Some("a"), "p", sequence, &reason) };
    store.settle("x", given_up((0..5).map(large).collect())).await.unwrap();
    let (mut after, mut pieces) = (0, Vec::new());
    while let Some(last) = {
        let piece = store.letters(&of("x"), after, 100).await.unwrap();
        pieces.push(piece.len());
        piece.last().map(|kept| kept.id)
    } {
        after = last;
    }
    assert_eq!(pieces, [2, 2, 1, 0]);
}

#[tokio::test]
async fn dead_letters_keep_to_their_size_and_what_would_go_beyond_is_not_written() {
    let (folder, store) = store();
    let (short, long) = (reason("rejected", "no"), reason("rejected", &"m".repeat(1000)));
    // A reason of 258 and two letters of 266 each.
    let keeping = Keeping { max_bytes: Some(258 + 2 * 266), copy_to: Some(folder.path().join("copy")) };
    let first = vec![letter(Some("a"), "p", 1, &short)];
    store.settle_within("x", given_up(first.clone()), &keeping).await.unwrap();
    // Another pipeline's are its own.
    store.settle("y", given_up((0..9).map(|sequence| letter(None, "p", sequence, &long)).collect())).await.unwrap();

    let too_many = (2..4).map(|sequence| letter(Some("a"), "p", sequence, &short)).collect();
    let checkpoint = Some(("p".to_owned(), "file".to_owned(), 9));
    let full = store.settle_within("x", Settled::new(checkpoint, too_many).into(), &keeping).await.unwrap_err();
    assert!(matches!(&full, StoreError::DeadLettersFull { bytes: 1056, .. }), "{full}");
    assert!(
        full.to_string().ends_with("destination a, would take 1056 bytes, and may take 790B (dead-letters.max-bytes)"),
        "{full}"
    );
    assert!(full.hint().contains("wharf dead-letters purge"));
    let other_reason = vec![letter(Some("a"), "p", 2, &long)];
    assert!(store.settle_within("x", given_up(other_reason), &keeping).await.is_err());
    assert_eq!(store.checkpoints("x").await.unwrap(), []);
    assert_eq!(store.dead_letters("x").await.unwrap(), first);
    assert_eq!(fs::read_to_string(folder.path().join("copy")).unwrap().lines().count(), 1);

    // The same again is no more, and one more fits.
    store.settle_within("x", given_up(first), &keeping).await.unwrap();
    store.settle_within("x", given_up(vec![letter(Some("a"), "p", 2, &short)]), &keeping).await.unwrap();
    // Whoever removes a row by other means makes room too.
    store.on("write to", |connection| connection.execute("DELETE FROM dead_letters WHERE sequence = 1", [])).await.unwrap();
    store.settle_within("x", given_up(vec![letter(Some("a"), "p", 3, &short)]), &keeping).await.unwrap();
    assert_eq!(totals(&store, "x").await, LetterTotals { letters: 2, bytes: 790 });
}

#[tokio::test]
async fn a_dead_letter_is_copied_as_a_line_of_json() {
    let (folder, store) = store();
    let path = folder.path().join("copy.ndjson");
    let keeping = Keeping { max_bytes: None, copy_to: Some(path.clone()) };
    fs::write(&path, r#"{"torn":"#).unwrap();
    let reason = reason("rejected", "no\nway");
    let keyed = Entity { key: Some(Bytes::from_static(b"\xff")), ..Entity::default() };
    let binary = DeadLetter { record: keyed.into(), ..letter(None, "p", 2, &reason) };
    store.settle_within("x", given_up(vec![letter(Some("a"), "p", 1, &reason), binary]), &keeping).await.unwrap();
    let copied = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = copied.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, r#"{"torn":"#), "what stood there is left as it is");
    let read: Vec<LetterDocument> = lines[1..].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected: Vec<LetterDocument> = store.letters(&of("x"), 0, 9).await.unwrap().iter().map(LetterDocument::from).collect();
    assert_eq!(read, expected.into_iter().map(|document| LetterDocument { id: None, ..document }).collect::<Vec<_>>());
    assert_eq!((&read[0].record, &read[0].key), (&Some(Payload::Text("0123456789".into())), &None));
    assert_eq!((&read[1].record, &read[1].key), (&None, &Some(Payload::Binary { base64: "/w==".into() })));

    // Where it cannot be copied it is not given up.
    for (path, cause) in [(folder.path().to_owned(), "directory"), ("/dev/null".into(), "not a regular file")] {
        let keeping = Keeping { max_bytes: None, copy_to: Some(path) };
        let failed = store.settle_within("x", given_up(vec![letter(None, "p", 3, &reason)]), &keeping).await.unwrap_err();
        assert!(failed.to_string().contains(cause), "{failed}");
    }
    assert_eq!(store.count_letters(&of("x")).await.unwrap(), 2);
}

#[tokio::test]
async fn old_letters_make_room_for_new_ones() {
    let (_folder, store) = store();
    let (time, reason) = (VirtualClock::new(), reason("rejected", "no"));
    let clock = time.clock();
    let day = Duration::from_secs(86_400);
    // There is room for one, and a letter is kept for a day.
    let kept = Kept::new(store.clone(), 258 + 266, Some(day), None, clock.clone());
    let given_up = |sequence| given_up(vec![DeadLetter { at: clock.rfc3339().into(), ..letter(None, "p", sequence, &reason) }]);
    kept.settle("x", given_up(1)).await.unwrap();
    time.advance(day);
    assert!(kept.settle("x", given_up(2)).await.is_err(), "it is a day old, and not older");
    time.advance(Duration::from_millis(1));
    kept.settle("x", given_up(2)).await.unwrap();
    assert_eq!((kept.purged(), store.letters(&of("x"), 0, 9).await.unwrap()[0].letter.sequence), (1, 2));
    // Another pipeline's is left alone, also by a run that begins.
    store.settle("y", given_up(1)).await.unwrap();
    time.advance(3 * day);
    kept.checkpoints("x").await.unwrap();
    assert_eq!((kept.purged(), store.count_letters(&LetterFilter::default()).await.unwrap()), (2, 1));
    // And while nothing is given up.
    store.settle("x", given_up(3)).await.unwrap();
    time.advance(2 * day);
    kept.settle("x", Settled::new(Some(("p".into(), "file".into(), 9)), Vec::new()).into()).await.unwrap();
    assert_eq!((kept.purged(), store.count_letters(&of("x")).await.unwrap()), (3, 0));
}

fn cut(destination: Option<&str>, partition: &str, first: u64, next: u64) -> StoredCut {
    StoredCut {
        id: format!("{partition}-{first}"),
        destination: destination.map(Into::into),
        partition: partition.into(),
        first: (first, 0),
        last: (next - 1, 3),
        count: 7,
        next,
    }
}

#[tokio::test]
async fn a_cut_stands_until_the_checkpoint_moves_past_it() {
    let (folder, store) = store();
    let cuts =
        [cut(None, "p", 0, 10), cut(Some("a"), "p", 0, 20), cut(None, "p", 10, 20), cut(None, "q", 0, 5), cut(None, "q", 5, 9)];
    for cut in cuts.iter().rev() {
        store.cut("x", cut.clone()).await.unwrap();
    }
    store.cut("y", cuts[0].clone()).await.unwrap();
    // The same again is the same.
    store.cut("x", cuts[3].clone()).await.unwrap();
    drop(store);
    let store = SqliteStore::open(&folder.path().join("wharf.db")).unwrap();
    assert_eq!(store.cuts("x").await.unwrap(), cuts);

    let checkpoint = |partition: &str, next| (partition.to_owned(), "file".to_owned(), next);
    store.settle("x", Settled::new(Some(checkpoint("p", 19)), vec![]).into()).await.unwrap();
    assert_eq!(store.cuts("x").await.unwrap(), cuts[1..]);
    store.advance("x", vec![checkpoint("p", 20), checkpoint("q", 5)]).await.unwrap();
    assert_eq!(store.cuts("x").await.unwrap(), cuts[4..]);
    let reached: Vec<_> = store.checkpoints("x").await.unwrap().into_iter().map(|checkpoint| checkpoint.next).collect();
    assert_eq!((reached, store.cuts("y").await.unwrap()), (vec![20, 5], vec![cuts[0].clone()]));
}

#[tokio::test]
async fn what_is_known_of_a_pipeline_is_kept_until_it_is_reset() {
    let (_folder, store) = store();
    let source = |reads: &str| SourceIdentity { kind: "file".into(), reads: reads.into() };
    store.keep_source("x", source("/a")).await.unwrap();
    store.keep_source("x", source("/b")).await.unwrap();
    store.keep_destinations("x", vec!["b".into(), "a".into()]).await.unwrap();
    store.keep_destinations("x", vec!["c".into(), "a".into()]).await.unwrap();
    assert_eq!((store.source("x").await.unwrap(), store.source("y").await.unwrap()), (Some(source("/b")), None));
    assert_eq!(store.destinations("x").await.unwrap(), ["a", "c"]);
    assert_eq!(store.destinations("y").await.unwrap(), [""; 0]);

    let checkpoint = |partition: &str| (partition.to_owned(), "file".to_owned(), 7);
    for pipeline in ["x", "y"] {
        store.advance(pipeline, vec![checkpoint("p"), checkpoint("q")]).await.unwrap();
        store.cut(pipeline, cut(None, "p", 7, 9)).await.unwrap();
    }
    let known = store.pipelines().await.unwrap();
    let places = |known: &KnownPipeline| known.checkpoints.iter().map(|at| at.partition.clone()).collect::<Vec<_>>();
    assert_eq!(known.iter().map(|known| (&*known.id, places(known).len())).collect::<Vec<_>>(), [("x", 2), ("y", 2)]);
    assert_eq!((&known[0].source, &known[1].source), (&Some(source("/b")), &None));

    assert_eq!(store.reset("x", Some("q")).await.unwrap(), 1);
    let known = store.pipelines().await.unwrap();
    assert_eq!((places(&known[0]), known[0].source.is_some()), (vec!["p".to_owned()], true));
    assert_eq!(store.reset("x", None).await.unwrap(), 1);
    assert_eq!(store.reset("x", None).await.unwrap(), 0);
    assert_eq!((store.cuts("x").await.unwrap().len(), store.cuts("y").await.unwrap().len()), (0, 1));
    assert_eq!(store.pipelines().await.unwrap().into_iter().map(|known| known.id).collect::<Vec<_>>(), ["y"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(debug_assertions) { 40 } else { 200 }, ..ProptestConfig::default() })]

    /// However letters come and go, what they come to is what is there.
    #[test]
    fn totals_are_the_sum_of_what_is_there(
        changes in prop::collection::vec((any::<bool>(), 0u64..6, 0usize..4, prop::option::of(0usize..40)), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (_folder, store) = store();
        let reasons = [reason("rejected", "é"), reason("rejected", "no"), reason("trapped", "no"), reason("trapped", "")];
        runtime.block_on(async {
            for (writes, sequence, why, size) in changes {
                if writes {
                    let after = size.map(|size| vec![b'r'; size].into());
                    let record = Entity { after, ..Entity::default() }.into();
                    let letter = DeadLetter { record, ..letter(None, "p", sequence, &reasons[why]) };
                    store.settle("x", given_up(vec![letter])).await.unwrap();
                } else {
                    let kind = some(&reasons[why].kind);
                    store.remove_letters(&LetterFilter { kind, before: Some(format!("2026-01-01T00:00:0{sequence}")), ..of("x") }).await.unwrap();
                }
                let letters = store.dead_letters("x").await.unwrap();
                let mut expected: u64 = letters.iter().map(|letter| 256 + letter.record.bytes() as u64).sum();
                for reason in &reasons {
                    if letters.iter().any(|letter| letter.reason == *reason) {
                        expected += 256 + reason.message.len() as u64;
                    }
                }
                let totals = totals(&store, "x").await;
                assert_eq!(totals, LetterTotals { letters: letters.len() as u64, bytes: expected });
            }
        });
    }
}
