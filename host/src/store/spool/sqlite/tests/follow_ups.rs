//! Follow-ups: born with the outcome of their cause, once, whenever the process ends.

use super::*;
use crate::{
    record::{ColumnParts, FollowUpBounds, FollowUpIntake, FollowUps, GivenFollowUps, On},
    store::spool::{Born, Causes, Promise, Written},
};

const ACTIONS: [&str; 3] = ["load", "tell", "tidy"];

fn column(values: impl IntoIterator<Item = String>) -> ColumnParts {
    let mut parts = ColumnParts { offsets: vec![0], ..ColumnParts::default() };
    for value in values {
        parts.data.extend_from_slice(value.as_bytes());
        parts.offsets.push(parts.data.len() as u32);
    }
    parts
}

/// As a call about so many records adds them: each value says what it is of.
fn added(count: u32, action: u32, on: On, causes: &[Span], word: &str) -> FollowUps {
    let mut intake = FollowUpIntake::new(count, FollowUpBounds { records: u32::MAX, bytes: u64::MAX });
    let each = || causes.iter().flat_map(|span| span.start..span.end);
    let payloads = column(each().map(|cause| format!("{word} {cause}")));
    let given = GivenFollowUps {
        on: on.name().into(),
        causes: causes.to_vec(),
        keys: column(each().map(|cause| format!("k{cause}"))),
        payloads,
    };
    intake.add((action, ACTIONS[action as usize].into()), given).unwrap();
    intake.taken().remove(0)
}

fn promise(causes: Causes, follow_ups: Vec<FollowUps>) -> Promise {
    Promise { causes, follow_ups, pipeline: "pipe".into(), max_depth: 3 }
}

/// What was born for an action and nobody took so far: partition, sequence, key and payload.
async fn born(spool: &SqliteSpool, action: u32) -> Vec<(String, u64, String, String)> {
    let parts = spool.claim(Claim { action, ..all(0) }).await.unwrap();
    let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap().to_vec()).unwrap();
    let told = parts.iter().flat_map(|Part { records, .. }| {
        (0..records.count() as usize).map(|at| {
            let (key, after) = (records.key().and_then(|key| key.get(at)), records.after().get(at));
            (records.partition().to_string(), records.sequences()[at], text(key), text(after))
        })
    });
    let told = told.collect();
    spool.give_back(parts.iter().map(|part| (part.row, part.span)).collect(), 0).await.unwrap();
    told
}

#[tokio::test]
async fn what_follows_is_there_with_the_outcome_and_bears_the_key_of_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path()).await;
    spool.take(vec![numbers(10..14)], 1).await.unwrap();
    let parts = spool.claim(all(1)).await.unwrap();
    let id = spool.stage(upload("i", &parts), Vec::new(), 2).await.unwrap();
    let of = |action, on, word| added(4, action, on, &[Span::new(0, 2), Span::new(3, 4)], word);
    let follow_ups = vec![of(1, On::Succeeded, "done"), of(1, On::Discarded, "gone"), of(2, On::Failed, "later")];
    spool.promise(vec![promise(Causes::Upload(id), follow_ups)]).await.unwrap();
    assert_eq!((born(&spool, 1).await, spool.born()), (Vec::new(), Born::default()), "nothing has become of anything");
    let outcomes = vec![
        (Span::new(0, 1), Settling::Succeeded(None)),
        (Span::new(1, 2), Settling::Discarded("no".into())),
        (Span::new(2, 3), Settling::Succeeded(None)),
        (Span::new(3, 4), failed(5)),
    ];
    spool.step(id, Step { outcomes, ..Step::default() }, 3).await.unwrap();
    // All of it is on disk, and what is still to come of the last is too.
    drop(spool);
    let spool = open(folder.path()).await;
    let record = |action: &str, sequence, cause, word: &str| {
        (format!("follow-up/{action}/p"), sequence, format!("k{cause}"), format!("{word} {cause}"))
    };
    assert_eq!(born(&spool, 1).await, [record("tell", 10, 0, "done"), record("tell", 11, 1, "gone")]);
    assert_eq!(born(&spool, 2).await, [record("tidy", 13, 3, "later")]);
    let parts = spool.claim(all(5)).await.unwrap();
    // It fails once more, and is delivered then, in another file, whose calls add nothing.
    spool.settle(vec![(parts[0].row, parts[0].span, failed(6))], 5).await.unwrap();
    let parts = spool.claim(all(6)).await.unwrap();
    spool.settle(vec![(parts[0].row, parts[0].span, Settling::Succeeded(None))], 7).await.unwrap();
    assert_eq!(born(&spool, 1).await.last().unwrap(), &record("tell", 13, 3, "done"));
    assert_eq!(born(&spool, 2).await.len(), 1, "one of an action");
    assert_eq!(spool.status().await.unwrap().batches, 3, "those of the causes are gone");
    let left: i64 = spool
        .connection
        .lock()
        .unwrap()
        .query_row("SELECT (SELECT count(*) FROM promises) + (SELECT count(*) FROM followed)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_was_added_last_holds_and_what_only_failed_to_be_tried_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path()).await;
    spool.take(vec![numbers(0..3)], 1).await.unwrap();
    let row = spool.claim(all(1)).await.unwrap()[0].row;
    let add = async |span, on, word| {
        spool.promise(vec![promise(Causes::Batch(row), vec![added(3, 1, on, &[span], word)])]).await.unwrap();
    };
    add(Span::new(0, 3), On::Succeeded, "first").await;
    add(Span::new(1, 2), On::Succeeded, "second").await;
    add(Span::new(0, 3), On::Failed, "failed").await;
    let untried = Settling::Failed { due: 1, counted: false, reason: "not attempted".into() };
    spool.settle(vec![(row, Span::new(0, 3), untried)], 1).await.unwrap();
    assert!(born(&spool, 1).await.is_empty());
    spool.claim(all(1)).await.unwrap();
    spool.settle(vec![(row, Span::new(0, 3), Settling::Succeeded(None))], 2).await.unwrap();
    let words: Vec<String> = born(&spool, 1).await.into_iter().map(|(.., word)| word).collect();
    assert_eq!(words, ["first 0", "second 1", "first 2"]);
}

#[tokio::test]
async fn a_cycle_is_cut_where_it_is_as_deep_as_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path()).await;
    spool.take(vec![numbers(7..9)], 1).await.unwrap();
    for depth in 0..5 {
        let parts = spool.claim(all(1)).await.unwrap();
        let expected = if depth < 4 { format!("{}p", "follow-up/load/".repeat(depth)) } else { String::new() };
        assert_eq!(parts.first().map_or("", |part| &**part.records.partition()), expected);
        let Some(part) = parts.first() else { break };
        assert_eq!(&*part.label, format!("{}a file", "follow-up/load/".repeat(depth)));
        // A component that answers to each of its own.
        let causes = [Span::new(0, 2)];
        spool.promise(vec![promise(Causes::Batch(part.row), vec![added(2, 0, On::Succeeded, &causes, "again")])]).await.unwrap();
        spool.settle(vec![(part.row, part.span, Settling::Succeeded(None))], 2).await.unwrap();
    }
    assert_eq!(spool.born(), Born { records: 6, cut: 2 });
    assert_eq!(spool.status().await.unwrap().of(SpoolState::Succeeded), 8);
}

#[tokio::test]
async fn a_spool_that_is_full_has_room_for_what_follows_and_for_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let spool = SqliteSpool::open(&folder.path().join("spool.db"), Size::from_kib(1)).unwrap();
    let mut taken = 0;
    while spool.take(vec![numbers(taken..taken + 20)], 1).await.is_ok() {
        taken += 20;
    }
    for part in spool.claim(all(1)).await.unwrap() {
        let causes = [Span::new(0, part.span.len())];
        let long = "long enough to take more room than its cause does".repeat(20);
        let follow_ups = vec![added(part.span.len(), 1, On::Succeeded, &causes, &long)];
        spool.promise(vec![promise(Causes::Batch(part.row), follow_ups)]).await.unwrap();
        spool.settle(vec![(part.row, part.span, Settling::Succeeded(None))], 2).await.unwrap();
    }
    assert_eq!((born(&spool, 1).await.len() as u64, spool.status().await.unwrap().of(SpoolState::Waiting)), (taken, taken));
}

/// As a call of `write` about so many records adds them, to be kept.
fn written(count: u64, word: &str) -> Written {
    let causes = batch("p", 50..50 + count, |sequence| sequence.to_string());
    let added = added(count as u32, 1, On::Succeeded, &[Span::new(0, 1), Span::new(2, count as u32)], word);
    let (spans, batch) = added.bundles("pipe", &causes).unwrap().remove(0);
    assert_eq!(spans, [Span::new(0, 1), Span::new(2, count as u32)]);
    Written { action: 1, version: Some("v2".into()), label: "follow-up/tell/a file".into(), pipeline: "pipe".into(), batch }
}

#[tokio::test]
async fn what_follows_records_that_are_not_in_the_spool_is_born_once_however_often_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path()).await;
    let numbers = spool.promise_written(vec![written(6, "one"), written(3, "two")]).await.unwrap();
    assert!(born(&spool, 1).await.is_empty());
    let status = spool.status().await.unwrap();
    assert!((status.promised, status.follow_ups) == (7, 0) && status.promised_bytes > 512, "{status:?}");
    // Of the first the causes 0, 3 and 4: the follow-ups 0, 2 and 3.
    let owed = vec![(numbers[0], vec![Span::new(0, 1), Span::new(2, 4)]), (numbers[1], Vec::new()), (99, vec![Span::new(0, 9)])];
    for _ in 0..2 {
        spool.bear(owed.clone(), 7).await.unwrap();
        assert_eq!(spool.born(), Born { records: 3, cut: 0 });
    }
    drop(spool);
    let spool = open(folder.path()).await;
    let record = |sequence, cause: u32| ("follow-up/tell/p".to_owned(), sequence, format!("k{cause}"), format!("one {cause}"));
    assert_eq!(born(&spool, 1).await, [record(50, 0), record(53, 3), record(54, 4)]);
    let part = spool.claim(Claim { action: 1, ..all(8) }).await.unwrap().remove(0);
    assert_eq!((part.version.as_deref(), &*part.label, part.taken), (Some("v2"), "follow-up/tell/a file", 7));
    let again = spool.promise_written(vec![written(4, "three")]).await.unwrap();
    assert!(again[0] > numbers[1], "a number is given once");
    assert!(matches!(spool.bear(vec![(again[0], vec![Span::new(2, 4)])], 8).await, Err(SpoolError::Misused { .. })));
    spool.forget_written().await.unwrap();
    let status = spool.status().await.unwrap();
    assert_eq!((status.promised, status.promised_bytes, status.follow_ups), (0, 0, 3));
}

#[tokio::test]
async fn what_is_promised_takes_room_and_what_is_in_the_spool_gives_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let spool = SqliteSpool::open(&folder.path().join("spool.db"), Size::from_kib(4)).unwrap();
    let promised = spool.promise_written(vec![written(1000, &"0123456789abcdef".repeat(20))]).await.unwrap();
    assert!(spool.status().await.unwrap().promised_bytes > 4 << 10);
    // With nothing in it that could come to an end there is always room.
    spool.room().await.unwrap();
    spool.take(vec![numbers(0..3)], 1).await.unwrap();
    assert!(matches!(spool.room().await, Err(SpoolError::Full { .. })));
    assert!(matches!(spool.take(vec![numbers(3..6)], 1).await, Err(SpoolError::Full { .. })));
    let part = spool.claim(all(1)).await.unwrap().remove(0);
    spool.settle(vec![(part.row, part.span, Settling::Succeeded(None))], 2).await.unwrap();
    spool.room().await.unwrap();
    spool.take(vec![numbers(3..6)], 3).await.unwrap();
    spool.bear(vec![(promised[0], Vec::new())], 3).await.unwrap();
    spool.take(vec![numbers(6..9)], 3).await.unwrap();
    // What is beside records in here counts likewise, and goes with them.
    let parts = spool.claim(all(4)).await.unwrap();
    let long = "fedcba9876543210".repeat(2000);
    let long: Vec<FollowUps> = [1, 2].map(|action| added(3, action, On::Failed, &[Span::new(0, 3)], &long)).to_vec();
    spool.promise(vec![promise(Causes::Batch(parts[0].row), long)]).await.unwrap();
    assert_eq!(spool.status().await.unwrap().promised, 6);
    for part in parts {
        spool.settle(vec![(part.row, part.span, Settling::Succeeded(None))], 5).await.unwrap();
    }
    let status = spool.status().await.unwrap();
    assert_eq!((status.promised, status.promised_bytes, status.batches), (0, 0, 0));
}

#[tokio::test]
async fn a_spool_of_the_first_format_becomes_one_of_this_and_keeps_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool.db");
    let mut connection = Connection::open(&path).unwrap();
    schema::earlier(&mut connection, 1).unwrap();
    let mut raw = Vec::new();
    batch("p", 0..3, |sequence| sequence.to_string()).store(&mut raw);
    let insert = "INSERT INTO batches (action, label, count, taken, raw, data) VALUES (0, 'a file', 3, 1, ?, ?)";
    connection.execute(insert, params![raw.len() as i64, packed(&raw).unwrap()]).unwrap();
    connection
        .execute("INSERT INTO spans (batch, start, end, action, state, attempts, due) VALUES (1, 0, 3, 0, 0, 0, 0)", [])
        .unwrap();
    drop(connection);
    let spool = open(folder.path()).await;
    assert_eq!(sequences(&spool.claim(all(1)).await.unwrap()), [0, 1, 2]);
    let follow_ups = vec![added(3, 1, On::Discarded, &[Span::new(0, 3)], "x")];
    spool.promise(vec![promise(Causes::Batch(1), follow_ups)]).await.unwrap();
    spool.settle(vec![(1, Span::new(0, 3), Settling::Discarded("no".into()))], 2).await.unwrap();
    assert_eq!(born(&spool, 1).await.len(), 3);
}

/// What is known of a cause.
#[derive(Default)]
struct Cause {
    added: BTreeMap<(u8, u32), String>,
    followed: BTreeMap<u32, String>,
}

async fn one_life(seed: u64) {
    let random = &mut fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path()).await;
    let quick = |spool: &SqliteSpool| spool.connection.lock().unwrap().pragma_update(None, "synchronous", "OFF").unwrap();
    quick(&spool);
    spool.take(vec![numbers(0..20), numbers(20..33)], 0).await.unwrap();
    // By batch and record.
    let mut causes: BTreeMap<(i64, u32), Cause> = BTreeMap::new();
    let mut claimed: Vec<(i64, Span)> = Vec::new();
    let mut uploads: BTreeMap<i64, Vec<(i64, u32)>> = BTreeMap::new();
    for step in 0..80 {
        let mut settled: Vec<((i64, u32), Settling)> = Vec::new();
        match random.u32(0..5) {
            0 => {
                let parts = spool.claim(Claim { records: random.u32(1..12), ..all(step) }).await.unwrap();
                claimed.extend(parts.iter().map(|part| (part.row, part.span)));
            }
            1 => {
                // A call adds some: about records in hand, or lines of a file.
                let on = random.choice(On::ALL).unwrap();
                let action = random.u32(1..3);
                let word = format!("{} {step}", on.name());
                let places: Vec<(i64, u32)> = match random.choice(uploads.keys()) {
                    Some(id) if random.bool() => {
                        let id = *id;
                        let span = random_span(random, Span::new(0, uploads[&id].len() as u32));
                        let added = added(uploads[&id].len() as u32, action, on, &[span], &word);
                        spool.promise(vec![promise(Causes::Upload(id), vec![added])]).await.unwrap();
                        uploads[&id][span.range()].to_vec()
                    }
                    _ => match claimed.first() {
                        Some((row, span)) => {
                            let span = random_span(random, *span);
                            let added = added(span.end, action, on, &[span], &word);
                            spool.promise(vec![promise(Causes::Batch(*row), vec![added])]).await.unwrap();
                            (span.start..span.end).map(|record| (*row, record)).collect()
                        }
                        None => Vec::new(),
                    },
                };
                for at in places {
                    causes.entry(at).or_default().added.insert((on as u8, action), word.clone());
                }
            }
            2 if !claimed.is_empty() => {
                let (row, span) = claimed.swap_remove(random.usize(0..claimed.len()));
                if random.bool() {
                    let settling = random_settling(random, step);
                    spool.settle(vec![(row, span, settling.clone())], step).await.unwrap();
                    settled.extend((span.start..span.end).map(|record| ((row, record), settling.clone())));
                } else {
                    let new = NewUpload { lines: vec![(row, span)], ..upload(&format!("{seed}-{step}"), &[]) };
                    let id = spool.stage(new, Vec::new(), step).await.unwrap();
                    uploads.insert(id, (span.start..span.end).map(|record| (row, record)).collect());
                }
            }
            3 => {
                let open = spool.uploads().await.unwrap();
                let Some(stored) = random.choice(&open) else { continue };
                let outcomes: Vec<_> =
                    stored.open.iter().map(|span| (random_span(random, span), random_settling(random, step))).collect();
                spool.step(stored.id, Step { outcomes: outcomes.clone(), ..Step::default() }, step).await.unwrap();
                for (lines, settling) in outcomes {
                    settled.extend(lines.range().map(|line| (uploads[&stored.id][line], settling.clone())));
                }
            }
            _ => {
                drop(spool);
                spool = open(folder.path()).await;
                quick(&spool);
                claimed.clear();
            }
        }
        for (at, settling) in settled {
            let on = match settling {
                Settling::Succeeded(_) => On::Succeeded,
                Settling::Failed { counted: true, .. } => On::Failed,
                Settling::Discarded(_) => On::Discarded,
                _ => continue,
            };
            let cause = causes.entry(at).or_default();
            for ((of, action), word) in &cause.added {
                if *of == on as u8 {
                    cause.followed.entry(*action).or_insert_with(|| word.clone());
                }
            }
        }
        for action in 1..3 {
            let mut told: Vec<(u64, String)> =
                born(&spool, action).await.into_iter().map(|(_, sequence, _, word)| (sequence, word)).collect();
            told.sort();
            // The second batch begins with the sequence 20. What a word ends in is the place in its call.
            let sequence = |(row, record): &(i64, u32)| u64::from(*record) + if *row == 1 { 0 } else { 20 };
            let mut expected: Vec<(u64, String)> =
                causes.iter().filter_map(|(at, cause)| Some((sequence(at), cause.followed.get(&action)?.clone()))).collect();
            expected.sort();
            assert_eq!(told.len(), expected.len(), "step {step}: {told:?} {expected:?}");
            for ((sequence, word), (of, begins)) in told.iter().zip(&expected) {
                assert!(
                    sequence == of && word.starts_with(&format!("{begins} ")),
                    "step {step}: {sequence} {word} {of} {begins}"
                );
            }
        }
    }
    assert!(spool.status().await.unwrap().of(SpoolState::Executing) <= 33);
}

#[test]
fn whatever_becomes_of_causes_each_makes_one_record_of_an_action_at_the_most() {
    let given = std::env::var("WHARF_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in given.map_or(0..30, |seed: u64| seed..seed + 1) {
        let run = || tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(one_life(seed));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("WHARF_TEST_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
