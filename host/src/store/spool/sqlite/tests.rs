//! The spool against a model that keeps a word for each record, and what a disk can do to it.

mod actions;
mod follow_ups;

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use super::*;
use crate::{
    record::{BatchBuilder, SpanSet},
    store::{
        DeadLetter,
        spool::{ClaimOrder, UploadState, discard},
    },
};

const LARGE: Size = Size::from_mib(64);

fn batch(partition: &str, records: impl IntoIterator<Item = u64>, key: impl Fn(u64) -> String) -> Batch {
    let mut builder = BatchBuilder::with_capacity(4, 16, true, None);
    for sequence in records {
        builder.push(sequence, Some(key(sequence).as_bytes()), format!("value {sequence}").as_bytes()).unwrap();
    }
    builder.finish("pipe", partition.into())
}

fn incoming(action: u32, batch: Batch) -> Incoming {
    Incoming { action, version: None, label: "a file".into(), batch, again: false }
}

fn numbers(records: impl IntoIterator<Item = u64>) -> Incoming {
    incoming(0, batch("p", records, |sequence| sequence.to_string()))
}

fn all(now: Millis) -> Claim {
    Claim { action: 0, now, records: u32::MAX, bytes: u64::MAX, order: ClaimOrder::Any }
}

fn upload(intent: &str, parts: &[Part]) -> NewUpload {
    let lines = parts.iter().map(|part| (part.row, part.span)).collect();
    NewUpload {
        intent: intent.into(),
        action: 0,
        digest: "d".into(),
        version: None,
        file: format!("{intent}.lines").into(),
        bytes: 7,
        part: 0,
        lines,
    }
}

fn failed(due: Millis) -> Settling {
    Settling::Failed { due, counted: true, reason: "later".into() }
}

async fn open(folder: &Path) -> SqliteSpool {
    let spool = SqliteSpool::open(&folder.join("spool.db"), LARGE).unwrap();
    spool.recover(None, 0).await.unwrap();
    spool
}

/// Sequences of the records of some parts.
fn sequences(parts: &[Part]) -> Vec<u64> {
    parts.iter().flat_map(|part| part.records.sequences().to_vec()).collect()
}

#[tokio::test]
async fn a_record_goes_from_taken_to_its_end_and_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path()).await;
    assert_eq!(spool.take(vec![numbers(0..6)], 5).await.unwrap(), Taken { records: 6, known: 0 });
    let parts = spool.claim(Claim { records: 4, ..all(10) }).await.unwrap();
    assert_eq!(sequences(&parts), [0, 1, 2, 3]);
    assert_eq!((parts[0].taken, &*parts[0].label, parts[0].attempts), (5, "a file", 0));
    // The first has no line; the others are the lines of a file.
    let lines = vec![Part { span: Span::new(1, 4), ..parts[0].clone() }];
    let rejected = (1, Span::new(0, 1), Settling::Discarded("no value".into()));
    let id = spool.stage(upload("i", &lines), vec![rejected], 11).await.unwrap();
    let sent = spool.step(id, Step { state: Some(UploadState::Sending), sends: true, ..Step::default() }, 12).await.unwrap();
    assert_eq!((sent.attempt, sent.sent, sent.open.records()), (1, Some(12), 3));
    let working = Step { state: Some(UploadState::Working), handle: Some(b"h"[..].into()), next: Some(99), ..Step::default() };
    spool.step(id, working, 13).await.unwrap();
    let outcomes = vec![(Span::new(0, 1), Settling::Succeeded(None)), (Span::new(2, 3), failed(50))];
    let left = spool.step(id, Step { outcomes, ..Step::default() }, 14).await.unwrap();
    assert_eq!((left.state, left.open.iter().collect::<Vec<_>>()), (UploadState::Working, vec![Span::new(1, 2)]));
    // What was kept of it is kept.
    drop(spool);
    let spool = open(folder.path()).await;
    assert_eq!(spool.uploads().await.unwrap(), [left]);
    assert_eq!(sequences(&spool.lines(id, Span::new(0, 3)).await.unwrap()), [1, 2, 3]);
    let outcomes = vec![(Span::new(1, 2), Settling::Unknown("forgotten".into()))];
    assert_eq!(spool.step(id, Step { outcomes, ..Step::default() }, 15).await.unwrap().state, UploadState::Settled);
    spool.step(id, Step { state: Some(UploadState::Released), ..Step::default() }, 16).await.unwrap();
    assert!(spool.uploads().await.unwrap().is_empty());
    let status = spool.status().await.unwrap();
    let of = [SpoolState::Waiting, SpoolState::Succeeded, SpoolState::Failed, SpoolState::Discarded, SpoolState::Unknown];
    assert_eq!(of.map(|state| status.of(state)), [2, 1, 1, 1, 1]);
    assert_eq!((spool.due(0).await.unwrap(), spool.due(1).await.unwrap()), (Some(0), None));
    assert_eq!(sequences(&spool.claim(all(49)).await.unwrap()), [4, 5]);
    assert_eq!(spool.due(0).await.unwrap(), Some(50));
    let retried = spool.claim(all(50)).await.unwrap();
    assert_eq!((sequences(&retried), retried[0].attempts), (vec![3], 1));
    let done = |span| (1, span, Settling::Succeeded(None));
    spool.settle([2, 3, 4, 5].map(|at| done(Span::new(at, at + 1))).to_vec(), 60).await.unwrap();
    let status = spool.status().await.unwrap();
    assert_eq!((status.batches, status.bytes, status.oldest, status.of(SpoolState::Succeeded)), (0, 0, None, 5));
}

#[tokio::test]
async fn what_was_taken_once_is_known_until_it_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path()).await;
    spool.take(vec![numbers(0..5)], 1).await.unwrap();
    // Cut otherwise, with the first new one in the middle; for another action, and of another partition, all is new.
    assert_eq!(spool.take(vec![numbers(3..8)], 2).await.unwrap(), Taken { records: 3, known: 2 });
    assert_eq!(spool.take(vec![numbers(0..8)], 3).await.unwrap(), Taken { records: 0, known: 8 });
    let other = incoming(1, batch("p", 0..2, |_| String::new()));
    assert_eq!(spool.take(vec![other, incoming(0, batch("q", 0..2, |_| String::new()))], 4).await.unwrap().records, 4);
    assert_eq!(sequences(&spool.claim(all(9)).await.unwrap()), [0, 1, 2, 3, 4, 5, 6, 7, 0, 1]);
    // One that was given up and is sent again is taken, and moves nothing.
    assert_eq!(spool.take(vec![Incoming { again: true, ..numbers([2]) }], 5).await.unwrap().records, 1);
    assert_eq!(spool.take(vec![numbers(0..8)], 6).await.unwrap().known, 8);
    spool.forget(Some("q")).await.unwrap();
    assert_eq!(spool.take(vec![numbers(0..8)], 6).await.unwrap().known, 8);
    spool.forget(None).await.unwrap();
    assert_eq!(spool.take(vec![numbers(0..8)], 7).await.unwrap().records, 8);
}

#[tokio::test]
async fn in_order_a_record_waits_for_the_one_before_that_has_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path()).await;
    let key = |sequence: u64| ["a", "b", "c"][sequence as usize % 3].to_owned();
    spool.take(vec![incoming(0, batch("p", 0..6, key)), incoming(0, batch("q", 0..3, key))], 1).await.unwrap();
    let ordered = |now| Claim { order: ClaimOrder::HeldBack, ..all(now) };
    let parts = spool.claim(Claim { records: 3, ..ordered(1) }).await.unwrap();
    assert_eq!(sequences(&parts), [0, 1, 2]);
    // While these are worked on, those of the same keys wait; another partition has keys of its own.
    assert_eq!(sequences(&spool.claim(ordered(1)).await.unwrap()), [0, 1, 2]);
    let done = |start, end, settling| (1, Span::new(start, end), settling);
    let settled = vec![done(0, 1, Settling::Succeeded(None)), done(1, 2, failed(50)), done(2, 3, Settling::Unknown("x".into()))];
    spool.settle(settled, 2).await.unwrap();
    assert_eq!(sequences(&spool.claim(ordered(3)).await.unwrap()), [3]);
    let retried = spool.claim(ordered(50)).await.unwrap();
    assert_eq!(sequences(&retried), [1, 4], "both go in one file, in order; the one behind an unknown one waits");
    spool.give_back(retried.iter().map(|part| (part.row, part.span)).collect(), 51).await.unwrap();
    let one_each = spool.claim(Claim { order: ClaimOrder::OneEach, ..all(50) }).await.unwrap();
    assert_eq!(sequences(&one_each), [1], "the other has its key");
}

#[tokio::test]
async fn a_claim_keeps_to_records_and_bytes_and_gives_one_at_least() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path()).await;
    spool.take(vec![numbers(0..10), Incoming { version: Some("v2".into()), ..numbers(10..12) }], 1).await.unwrap();
    // Key and value: eight bytes each.
    let bytes = |bytes| Claim { bytes, ..all(1) };
    assert_eq!(sequences(&spool.claim(bytes(1)).await.unwrap()), [0]);
    assert_eq!(sequences(&spool.claim(bytes(27)).await.unwrap()), [1, 2, 3]);
    assert_eq!(sequences(&spool.claim(bytes(31)).await.unwrap()), [4, 5, 6]);
    assert_eq!(sequences(&spool.claim(all(1)).await.unwrap()), [7, 8, 9], "those of another version go by themselves");
    assert_eq!(sequences(&spool.claim(all(1)).await.unwrap()), [10, 11]);
    assert!(spool.claim(all(1)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_spool_that_is_full_takes_nothing_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spool = SqliteSpool::open(&folder.path().join("spool.db"), Size::from_kib(2)).unwrap();
    let mut taken = 0;
    let full = loop {
        match spool.take(vec![numbers(taken..taken + 20)], 1).await {
            Ok(_) => taken += 20,
            Err(error) => break error,
        }
    };
    assert!(taken > 20 && matches!(full, SpoolError::Full { .. }), "{taken} {full}");
    let parts = spool.claim(all(1)).await.unwrap();
    assert_eq!(sequences(&parts), (0..taken).collect::<Vec<_>>());
    let settled = parts.iter().map(|part| (part.row, part.span, Settling::Succeeded(None))).collect();
    spool.settle(settled, 2).await.unwrap();
    assert_eq!(
        spool.take(vec![numbers(taken..taken + 20)], 3).await.unwrap().records,
        20,
        "there is room, and none was taken before"
    );
    // One that has no room at all goes alone.
    let spool = SqliteSpool::open(&folder.path().join("small.db"), Size::from_bytes(1)).unwrap();
    assert_eq!(spool.take(vec![numbers(0..20)], 1).await.unwrap().records, 20);
}

#[derive(Default)]
struct Letters(std::sync::Mutex<Vec<DeadLetter>>, bool);

#[async_trait]
impl super::super::Letters for Letters {
    async fn give_up(&self, letters: Vec<DeadLetter>) -> Result<(), StoreError> {
        if self.1 {
            let (path, cause) = ("store.db".into(), "full".into());
            return Err(StoreError::Engine { doing: "write to", path, cause, passes: true });
        }
        self.0.lock().unwrap().extend(letters);
        Ok(())
    }
}

#[tokio::test]
async fn what_is_of_a_run_or_too_old_is_given_up_and_nothing_that_is_in_hands() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path()).await;
    // The runs: a a b - a, and then a whole batch without any.
    let runs = [Some(&b"a"[..]), Some(b"a"), Some(b"b"), None, Some(b"a")].into_iter().collect();
    let with_runs = batch("p", 0..5, |sequence| sequence.to_string()).with_metadata("run-id", runs);
    spool.take(vec![incoming(0, with_runs)], 100).await.unwrap();
    spool.take(vec![numbers(5..8)], 200).await.unwrap();
    let reason = Arc::new(crate::store::Reason { kind: "gone".into(), code: None, message: "told to".into(), connector: None });
    let clock = crate::clock::VirtualClock::new().clock();
    let destination: Arc<str> = "d".into();
    let discard = async |selection: Selection, letters: &Letters| {
        discard(&spool, &selection, &destination, reason.clone(), &clock, letters).await
    };
    let given_up = |letters: &Letters| letters.0.lock().unwrap().iter().map(|letter| letter.sequence).collect::<Vec<_>>();
    let in_hand = spool.claim(Claim { records: 1, ..all(200) }).await.unwrap();
    let (of_run, old) = (Selection { run: Some("a".into()), ..Selection::default() }, |before| Selection {
        before: Some(before),
        ..Selection::default()
    });
    // Where they cannot be kept, nothing is gone.
    assert!(discard(of_run.clone(), &Letters(Default::default(), true)).await.is_err());
    assert_eq!(spool.records(of_run.clone(), (0, 0), 10).await.unwrap().len(), 3, "one is in hand, two are alone");
    let letters = Letters::default();
    assert_eq!(discard(of_run.clone(), &letters).await.unwrap(), 2);
    assert_eq!((given_up(&letters), letters.0.lock().unwrap()[0].attempts), (vec![1, 4], 1));
    spool.give_back(vec![(in_hand[0].row, in_hand[0].span)], 201).await.unwrap();
    assert_eq!(discard(of_run, &letters).await.unwrap(), 1, "it came back");
    let letters = Letters::default();
    assert_eq!(discard(old(100), &letters).await.unwrap(), 0);
    assert_eq!((discard(old(200), &letters).await.unwrap(), given_up(&letters)), (2, vec![2, 3]));
    assert_eq!((discard(Selection::default(), &letters).await.unwrap(), given_up(&letters)), (3, vec![2, 3, 5, 6, 7]));
    assert_eq!(spool.status().await.unwrap().of(SpoolState::Discarded), 8);
}

#[tokio::test]
async fn a_disk_that_is_full_corrupts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path()).await;
    {
        let connection = spool.connection.lock().unwrap();
        connection.pragma_update(None, "max_page_count", 60).unwrap();
    }
    let mut taken = 0;
    let full = loop {
        match spool.take(vec![numbers(taken..taken + 500)], 1).await {
            Ok(_) => taken += 500,
            Err(error) => break error,
        }
    };
    let SpoolError::Store(error) = &full else { panic!("{full}") };
    assert!(error.passes() && error.to_string().contains("full"), "{error}");
    drop(spool);
    let spool = open(folder.path()).await;
    let check: String = spool.connection.lock().unwrap().pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    assert_eq!(sequences(&spool.claim(all(1)).await.unwrap()), (0..taken).collect::<Vec<_>>());
    assert_eq!(spool.take(vec![numbers(taken..taken + 500)], 2).await.unwrap().records, 500);
}

#[tokio::test]
async fn a_batch_that_was_damaged_is_an_error_and_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path()).await;
    spool.take(vec![numbers(0..100)], 1).await.unwrap();
    spool
        .connection
        .lock()
        .unwrap()
        .execute("UPDATE batches SET data = CAST(substr(data, 1, 40) || 'damage' AS BLOB)", [])
        .unwrap();
    assert!(matches!(spool.claim(all(1)).await.unwrap_err(), SpoolError::Damaged { row: 1, .. }));
}

#[tokio::test]
async fn a_spool_of_a_later_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool.db");
    drop(open(folder.path()).await);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", FORMAT + 1).unwrap();
    assert!(matches!(SqliteSpool::open(&path, LARGE).unwrap_err(), StoreError::Format { .. }));
}

#[tokio::test]
async fn what_is_old_is_pruned_and_the_disk_gets_its_room_back() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path()).await;
    let noise: Vec<u64> = (0..20_000).map(|at: u64| at * 1_000_003).collect();
    spool.take(vec![numbers(noise)], 1).await.unwrap();
    let parts = spool.claim(all(2)).await.unwrap();
    let id = spool.stage(upload("i", &parts), Vec::new(), 3).await.unwrap();
    let outcomes = vec![(Span::new(0, 20_000), Settling::Succeeded(Some("remark".into())))];
    spool.step(id, Step { outcomes, ..Step::default() }, 4).await.unwrap();
    spool.step(id, Step { state: Some(UploadState::Released), ..Step::default() }, 5).await.unwrap();
    let pages = |spool: &SqliteSpool| -> i64 {
        spool.connection.lock().unwrap().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap()
    };
    let before = pages(&spool);
    assert_eq!(spool.prune(4).await.unwrap(), 3, "taken, executing, uploading");
    let left = spool.transitions(0, 10).await.unwrap();
    assert_eq!((left.len(), left[0].1.after, left[0].1.upload), (1, SpoolState::Succeeded, Some(id)));
    assert_eq!(left[0].1.reason.as_deref(), Some("remark"));
    assert_eq!(spool.prune(6).await.unwrap(), 1);
    assert!(pages(&spool) < before, "{} of {before} pages", pages(&spool));
    assert!(matches!(spool.step(id, Step::default(), 9).await.unwrap_err(), SpoolError::Misused { .. }), "it is forgotten");
    assert_eq!(spool.status().await.unwrap().of(SpoolState::Succeeded), 20_000, "how many there were is not");
}

/// What a record came to, in the model.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    records: BTreeMap<(i64, u32), Word>,
    /// Records that reached an end, of batches that are gone too.
    ended: BTreeMap<SpoolState, u64>,
    uploads: BTreeMap<i64, Vec<(i64, u32)>>,
    rows: i64,
    next: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Word {
    sequence: u64,
    state: SpoolState,
    attempts: u32,
    due: Millis,
    /// The upload that it was last in.
    upload: Option<i64>,
}

impl Model {
    fn in_state(&self, state: SpoolState) -> u64 {
        match state.is_final() {
            true => self.ended.get(&state).copied().unwrap_or_default(),
            false => self.records.values().filter(|word| word.state == state).count() as u64,
        }
    }

    fn settle(&mut self, row: i64, span: Span, settling: &Settling) {
        for record in span.start..span.end {
            let word = self.records.get_mut(&(row, record)).unwrap();
            let (state, counted, due) = match settling {
                Settling::Succeeded(_) => (SpoolState::Succeeded, true, 0),
                Settling::Failed { due, counted, .. } => (SpoolState::Failed, *counted, *due),
                Settling::Discarded(_) => (SpoolState::Discarded, true, 0),
                Settling::Unknown(_) => (SpoolState::Unknown, true, 0),
            };
            *word = Word { state, due, attempts: word.attempts + u32::from(counted), ..*word };
            if state.is_final() {
                *self.ended.entry(state).or_default() += 1;
            }
        }
    }

    fn recover(&mut self) {
        for word in self.records.values_mut().filter(|word| word.state == SpoolState::Executing) {
            word.state = if word.attempts == 0 { SpoolState::Waiting } else { SpoolState::Failed };
        }
    }
}

fn random_settling(random: &mut fastrand::Rng, now: Millis) -> Settling {
    match random.u32(0..5) {
        0 | 1 => Settling::Succeeded(None),
        2 => Settling::Failed { due: now + random.u64(0..30), counted: random.bool(), reason: "later".into() },
        3 => Settling::Discarded("never".into()),
        _ => Settling::Unknown("nobody knows".into()),
    }
}

fn random_span(random: &mut fastrand::Rng, within: Span) -> Span {
    let start = random.u32(within.start..within.end);
    Span::new(start, random.u32(start + 1..=within.end))
}

async fn holds(spool: &SqliteSpool, model: &Model) {
    let status = spool.status().await.unwrap();
    for state in SpoolState::ALL {
        assert_eq!(status.of(state), model.in_state(state), "{}", state.name());
    }
    let due = model.records.values().filter_map(|word| match word.state {
        SpoolState::Waiting => Some(0),
        SpoolState::Failed => Some(word.due),
        _ => None,
    });
    assert_eq!(spool.due(0).await.unwrap(), due.min());
    for stored in spool.uploads().await.unwrap() {
        let lines = &model.uploads[&stored.id];
        let open: SpanSet = (0..)
            .zip(lines)
            .map(|(line, at)| (line, &model.records[at]))
            .filter(|(_, word)| word.state == SpoolState::Uploading && word.upload == Some(stored.id))
            .map(|(line, _)| Span::new(line, line + 1))
            .collect();
        assert_eq!((stored.records as usize, stored.open), (lines.len(), open));
    }
    let connection = spool.connection.lock().unwrap();
    let neighbours: i64 = connection
        .query_row(
            "SELECT count(*) FROM spans a JOIN spans b ON a.batch = b.batch AND a.end = b.start
             WHERE a.state = b.state AND a.attempts = b.attempts AND a.due = b.due AND a.upload IS b.upload",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(neighbours, 0, "neighbours that are alike are one");
}

async fn one_life(seed: u64) {
    let random = &mut fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path()).await;
    // Speed: what the machine's end does is not tried here.
    let quick = |spool: &SqliteSpool| spool.connection.lock().unwrap().pragma_update(None, "synchronous", "OFF").unwrap();
    quick(&spool);
    let mut model = Model { records: BTreeMap::new(), ended: BTreeMap::new(), uploads: BTreeMap::new(), rows: 0, next: 0 };
    let mut claimed: Vec<(i64, Span)> = Vec::new();
    for step in 0..60 {
        let now = step * 10;
        match random.u32(0..8) {
            0 | 1 => {
                // A stretch that begins at or before what was read so far.
                let first = model.next.saturating_sub(random.u64(0..4));
                let end = first + random.u64(1..12);
                let taken = spool.take(vec![numbers(first..end)], now).await.unwrap();
                let new = end.saturating_sub(model.next.max(first));
                assert_eq!((taken.records, taken.known), (new, end - first - new));
                if new > 0 {
                    model.rows += 1;
                    for (record, sequence) in (0..).zip(end - new..end) {
                        let word = Word { sequence, state: SpoolState::Waiting, attempts: 0, due: 0, upload: None };
                        model.records.insert((model.rows, record), word);
                    }
                    model.next = end;
                }
            }
            2 | 3 => {
                let records = random.u32(1..20);
                let order = random.choice([ClaimOrder::Any, ClaimOrder::HeldBack, ClaimOrder::OneEach]).unwrap();
                let parts = spool.claim(Claim { records, order, ..all(now) }).await.unwrap();
                // Every record has a key of its own, so that order holds back none.
                let is_due = |word: &Word| match word.state {
                    SpoolState::Waiting => true,
                    SpoolState::Failed => word.due <= now,
                    _ => false,
                };
                let due: Vec<_> = model.records.iter().filter(|(_, word)| is_due(word)).take(records as usize).collect();
                assert_eq!(sequences(&parts), due.iter().map(|(_, word)| word.sequence).collect::<Vec<_>>());
                let due: Vec<_> = due.into_iter().map(|(at, _)| *at).collect();
                for at in due {
                    model.records.get_mut(&at).unwrap().state = SpoolState::Executing;
                }
                claimed.extend(parts.iter().map(|part| (part.row, part.span)));
            }
            4 if !claimed.is_empty() => {
                let (row, span) = claimed.swap_remove(random.usize(0..claimed.len()));
                spool.give_back(vec![(row, span)], now).await.unwrap();
                for record in span.start..span.end {
                    let word = model.records.get_mut(&(row, record)).unwrap();
                    word.state = if word.attempts == 0 { SpoolState::Waiting } else { SpoolState::Failed };
                }
            }
            5 if !claimed.is_empty() => {
                let mut lines = Vec::new();
                let mut settled = Vec::new();
                for (row, span) in claimed.drain(..) {
                    match random.u32(0..4) {
                        0 => settled.push((row, span, random_settling(random, now))),
                        _ => lines.push((row, span)),
                    }
                }
                if lines.is_empty() {
                    spool.settle(settled.clone(), now).await.unwrap();
                } else {
                    let new = NewUpload { lines: lines.clone(), ..upload(&format!("{seed}-{step}"), &[]) };
                    let id = spool.stage(new, settled.clone(), now).await.unwrap();
                    let records = lines.iter().flat_map(|(row, span)| (span.start..span.end).map(|record| (*row, record)));
                    model.uploads.insert(id, records.collect());
                    for at in &model.uploads[&id] {
                        let word = model.records.get_mut(at).unwrap();
                        (word.state, word.upload) = (SpoolState::Uploading, Some(id));
                    }
                }
                settled.iter().for_each(|(row, span, settling)| model.settle(*row, *span, settling));
            }
            6 => {
                let uploads = spool.uploads().await.unwrap();
                let Some(stored) = random.choice(&uploads) else { continue };
                let mut outcomes = Vec::new();
                for open in stored.open.iter() {
                    if random.bool() {
                        outcomes.push((random_span(random, open), random_settling(random, now)));
                    }
                }
                let released = stored.open.spans() == 0 && random.bool();
                let state = released.then_some(UploadState::Released);
                let after =
                    spool.step(stored.id, Step { outcomes: outcomes.clone(), state, ..Step::default() }, now).await.unwrap();
                for (lines, settling) in outcomes {
                    for line in lines.start..lines.end {
                        let (row, record) = model.uploads[&stored.id][line as usize];
                        model.settle(row, Span::new(record, record + 1), &settling);
                    }
                }
                let ended = matches!(after.state, UploadState::Settled | UploadState::Released);
                assert_eq!(ended, after.open.spans() == 0);
            }
            7 => {
                drop(spool);
                spool = open(folder.path()).await;
                quick(&spool);
                model.recover();
                claimed.clear();
            }
            _ => {}
        }
        holds(&spool, &model).await;
    }
    // Each change can be told from the transitions alone.
    let told = spool.transitions(0, u32::MAX).await.unwrap();
    let mut states: BTreeMap<(i64, u32), SpoolState> = BTreeMap::new();
    for (_, Transition { row, span, before, after, .. }) in &told {
        for record in span.start..span.end {
            assert_eq!(states.insert((*row, record), *after), *before);
        }
    }
    for (at, word) in &model.records {
        assert_eq!(states[at], word.state);
    }
    assert_eq!(told.iter().map(|(id, _)| id).collect::<HashSet<_>>().len(), told.len());
}

#[test]
fn whatever_is_done_to_it_the_spool_holds_what_a_model_holds() {
    let given = std::env::var("WHARF_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = given.map_or(0..40, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let run = || tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(one_life(seed));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("WHARF_TEST_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
