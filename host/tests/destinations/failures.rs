//! What becomes of records where instances end: the one that does it is found, and a connector that does nothing else is let alone.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::trial::{Ran, Trial, destination, honest};

fn records(count: u32, poison: &[u32]) -> Vec<String> {
    let name = |record| if poison.contains(&record) { "poison" } else { "record" };
    (0..count).map(|record| format!("{} {record}", name(record))).collect()
}

fn limited(mut destination: Value, limits: Value) -> Value {
    destination["limits"] = limits;
    destination
}

/// How many sessions were opened.
fn opened(trial: &Trial) -> usize {
    trial.lines("calls").iter().filter(|call| *call == "open").count()
}

/// Holds what came of a run against the poison that was in it: that and nothing else is given up, the rest is delivered once and in order.
async fn only_poison_is_given_up(trial: &Trial, ran: &Ran, count: u32, poison: &[u32]) {
    assert_eq!(ran.error, "");
    let (count_, poisoned) = (u64::from(count), poison.len() as u64);
    assert_eq!(ran.account(), [count_, 0, count_ - poisoned, poisoned, 0]);
    let (bad, good): (Vec<String>, Vec<String>) =
        records(count, poison).into_iter().partition(|record| record.starts_with("poison"));
    assert_eq!(trial.lines("delivered"), good);
    let letters = trial.dead_letters().await;
    let given_up: Vec<_> = letters.iter().map(|letter| String::from_utf8_lossy(letter.record.after().unwrap())).collect();
    assert_eq!(given_up, bad);
}

#[tokio::test]
async fn one_record_that_ends_instances_is_found_among_a_thousand_and_the_others_are_delivered_once_and_in_order() {
    // What it does, the limits, the kind of dead letter and what stands in it.
    let cases = [
        ("trap", json!({}), "trapped", "write ended its instance: wasm trap: wasm `unreachable` instruction executed"),
        (
            "loop",
            json!({"fuel-per-call": 300_000_000, "fuel-per-record": 1}),
            "limit",
            "units of fuel (limits.fuel-per-call and limits.fuel-per-record)",
        ),
        ("memory", json!({"memory": "16MiB"}), "limit", "bytes of memory and may have 16MiB (limits.memory)"),
    ];
    for (fault, limits, kind, message) in cases {
        for at in [0, 617, 999] {
            let trial = Trial::new(records(1000, &[at]));
            let ran = trial.run(&[limited(trial.poison(json!({"fault": fault})), limits.clone())]).await;
            only_poison_is_given_up(&trial, &ran, 1000, &[at]).await;
            let letter = &trial.dead_letters().await[0];
            assert_eq!((&*letter.reason.kind, letter.reason.connector.as_deref()), (kind, Some("guest-poison 0.1.0")));
            assert!(letter.reason.message.contains(message), "{}", letter.reason.message);
            // Twice whole, then once for each halving, and not once more for those that come through.
            assert!((11..=13).contains(&opened(&trial)), "{fault} at {at}: {} sessions", opened(&trial));
            assert_eq!(letter.attempts as usize, opened(&trial) - usize::from(at < 999), "{fault} at {at}");
            // Only where nothing came through before is it waited for longer.
            let waits: &[u64] = if at == 0 { &[1000, 2000] } else { &[1000] };
            assert_eq!(ran.waits, waits, "{fault} at {at}");
        }
    }
}

#[tokio::test]
async fn a_record_at_which_time_runs_out_is_found_likewise() {
    let trial = Trial::new(records(8, &[5]));
    let bad = limited(trial.poison(json!({"fault": "wait"})), json!({"time": {"write": "2s"}}));
    let ran = trial.run(&[bad]).await;
    only_poison_is_given_up(&trial, &ran, 8, &[5]).await;
    let letter = &trial.dead_letters().await[0];
    assert_eq!(
        (&*letter.reason.kind, &*letter.reason.message),
        ("limit", "write ended its instance: took longer than 2s (limits.time.write)")
    );
}

#[tokio::test]
async fn several_are_found_wherever_they_stand() {
    for poison in [&[0, 1, 2][..], &[0, 500, 999], &[996, 997, 998, 999], &[3, 4, 5, 600, 601, 602, 603]] {
        let trial = Trial::new(records(1000, poison));
        let ran = trial.run(&[trial.poison(json!({}))]).await;
        only_poison_is_given_up(&trial, &ran, 1000, poison).await;
    }
}

#[tokio::test]
async fn a_record_is_found_guilty_by_what_comes_after_it_in_a_later_batch_too() {
    for (batch, window, poison) in [(1, 4, &[0, 1, 2][..]), (2, 3, &[0, 1, 2, 3]), (1, 2, &[2, 5]), (1, 1, &[3, 4, 9])] {
        let mut trial = Trial::new(records(10, poison));
        (trial.batch, trial.window) = (batch, window);
        let ran = trial.run(&[trial.poison(json!({}))]).await;
        only_poison_is_given_up(&trial, &ran, 10, poison).await;
    }
}

#[tokio::test]
async fn where_every_record_ends_an_instance_nothing_is_given_up_and_the_destination_is_quarantined() {
    // Records, records in a batch, window; the most sessions; what is waited.
    let cases: [(u32, u32, u32, usize, &[u64]); 5] = [
        (1000, 1000, 4, 2 + 10 + 6, &[1000, 2000, 4000, 8000, 16000]),
        (1000, 10, 4, 2 + 4 + 5, &[1000, 2000, 4000, 8000, 16000]),
        (100, 1, 8, 10, &[1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]),
        // Nobody else can be asked.
        (100, 1, 2, 4, &[1000, 2000, 4000]),
        (1, 1, 4, 2, &[1000]),
    ];
    for (count, batch, window, most, waits) in cases {
        let mut trial = Trial::new(records(count, &(0..count).collect::<Vec<_>>()));
        (trial.batch, trial.window) = (batch, window);
        let ran = trial.run(&[trial.poison(json!({}))]).await;
        assert_eq!((ran.counts.destinations[0].delivered, ran.counts.destinations[0].dead_lettered), (0, 0));
        assert_eq!(ran.counts.destinations[0].pending, ran.counts.read);
        assert!(trial.dead_letters().await.is_empty() && trial.checkpoint().await.is_none_or(|checkpoint| checkpoint.next == 0));
        let sessions = opened(&trial);
        assert!(sessions <= most, "{count} in {batch}: {sessions} sessions");
        assert_eq!(ran.waits, waits, "{count} in {batch}");
        assert!(ran.error.starts_with("destination poison (guest-poison 0.1.0): write ended its instance: wasm trap: "));
        let end = format!("; quarantined, since {sessions} instances in a row ended and no record came through");
        assert!(ran.error.ends_with(&end), "{}", ran.error);
        let log = trial.log();
        assert!(log.contains("destination poison is quarantined: ") && log.contains("connector=guest-poison 0.1.0"), "{log}");
    }
}

#[tokio::test]
async fn a_connector_that_fails_for_good_halfway_gives_up_nothing_of_what_comes_then() {
    let poison: Vec<u32> = (500..1000).collect();
    let mut trial = Trial::new(records(1000, &poison));
    trial.batch = 300;
    let ran = trial.run(&[trial.poison(json!({})), honest()]).await;
    assert!(ran.error.contains("; quarantined, since "), "{}", ran.error);
    assert_eq!(ran.account(), [1000, 0, 500, 0, 500]);
    assert_eq!(ran.destination("honest").delivered, 1000);
    assert!(trial.dead_letters().await.is_empty());
    let sum = |records: &[String]| records.iter().map(|record| record.len() as u64 + 1).sum::<u64>();
    assert_eq!(trial.checkpoint().await.unwrap().next, sum(&records(1000, &poison)[..500]));
}

#[tokio::test]
async fn a_connector_that_recovers_goes_on_as_if_nothing_had_been() {
    let trial = Trial::new(["a", "b", "c", "d"]);
    let ran = trial.run(&[trial.scripted("trap;0-$")]).await;
    assert_eq!((ran.account(), &*ran.error, &*ran.waits), ([4, 0, 4, 0, 0], "", &[1000][..]));

    // Halved in vain, since it was no record that did it.
    let trial = Trial::new(["a", "b", "c", "d"]);
    let ran = trial.run(&[trial.scripted("trap;trap;trap")]).await;
    assert_eq!((ran.account(), &*ran.error, &*ran.waits), ([4, 0, 4, 0, 0], "", &[1000][..]));
    let calls = trial.journal();
    let writes: Vec<_> = calls.iter().filter_map(|call| call.strip_prefix("write ")).collect();
    let expected = [
        "0+4 attempt 1 [a,b,c,d]",
        "0+4 attempt 2 [a,b,c,d]",
        "0+2 attempt 3 [a,b]",
        "0+1 attempt 4 [a]",
        "1+1 attempt 4 [b]",
        "2+2 attempt 3 [c,d]",
    ];
    assert_eq!(writes, expected);
}

#[tokio::test]
async fn what_is_rejected_whole_is_halved_down_to_what_is_rejected_alone() {
    for poison in [&[7][..], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], &[0, 99], &(20..60).collect::<Vec<_>>()] {
        let trial = Trial::new(records(100, poison));
        let ran = trial.run(&[trial.poison(json!({"fault": "reject", "report": 3}))]).await;
        only_poison_is_given_up(&trial, &ran, 100, poison).await;
        assert_eq!((opened(&trial), ran.waits.len()), (1, 0), "no instance ends of that, and nothing is waited for");
        let letter = &trial.dead_letters().await[0];
        assert_eq!((&*letter.reason.kind, &*letter.reason.message), ("rejected", "there is poison in it"));
    }
    // All of them: the connector says so itself.
    let trial = Trial::new(records(10, &(0..10).collect::<Vec<_>>()));
    let ran = trial.run(&[trial.poison(json!({"fault": "reject"}))]).await;
    assert_eq!((ran.account(), &*ran.error), ([10, 0, 0, 10, 0], ""));
}

#[tokio::test]
async fn a_session_whose_opening_ends_its_instance_is_tried_four_times_and_no_record_is_blamed() {
    for (fault, limits, message) in [
        ("exit", json!({}), "open ended its instance: called exit(1), which a connector must not"),
        ("loop", json!({"fuel-per-call": 20_000_000}), "open ended its instance: computed more than 20000000 units of fuel"),
    ] {
        let trial = Trial::new(["a", "b"]);
        let bad = limited(destination("bad", "guest-faults", json!({"fault": fault, "at": "open"})), limits);
        let ran = trial.run(&[bad, honest()]).await;
        assert_eq!((ran.account(), &*ran.waits), ([2, 0, 0, 0, 2], &[1000, 2000, 4000][..]));
        assert_eq!(ran.destination("honest").delivered, 2);
        assert!(trial.dead_letters().await.is_empty());
        assert!(ran.error.contains(message), "{}", ran.error);
        assert!(
            ran.error.ends_with("; quarantined, since 4 instances in a row ended and no record came through"),
            "{}",
            ran.error
        );
    }
}

#[tokio::test]
async fn one_in_quarantine_keeps_no_other_from_any_record_of_its_own_pipeline_or_of_another() {
    let mut trial = Trial::new(records(200, &(40..200).collect::<Vec<_>>()));
    (trial.batch, trial.window) = (7, 2);
    let source = json!({"kind": "file", "path": "records.txt", "format": "lines"});
    let both = [trial.poison(json!({})), destination("rejects", "guest-poison", json!({"fault": "none"})), honest()];
    let pipelines = [trial.pipeline("trial", &source, &both), trial.pipeline("neighbour", &source, &[honest()])];
    let ran = trial.end_all(trial.start_all(&pipelines).await.unwrap()).await;
    assert_eq!((ran[0].account(), ran[1].account()), ([200, 0, 40, 0, 160], [200, 0, 200, 0, 0]));
    assert!(ran[0].error.contains("; quarantined, since ") && ran[1].error.is_empty(), "{}", ran[0].error);
    for other in ["rejects", "honest"] {
        assert_eq!(ran[0].destination(other).delivered, 200, "{other}");
    }
    // The next run begins where the quarantined one left off, for all.
    assert_eq!(trial.checkpoint().await.unwrap().next, 10 * 9 + 30 * 10);
    let cured = [trial.poison(json!({"fault": "none"})), both[1].clone(), both[2].clone()];
    let again = trial.end(trial.start_from(&source, &cured).await.unwrap()).await;
    assert_eq!((again.account(), &*again.error), ([0, 160, 160, 0, 0], ""));
    assert_eq!(trial.lines("delivered"), records(200, &(40..200).collect::<Vec<_>>()));
}

#[tokio::test]
async fn what_others_give_up_while_one_is_in_quarantine_is_pending_like_the_rest() {
    let mut trial = Trial::new(records(20, &(0..20).collect::<Vec<_>>()));
    trial.batch = 5;
    let rejects = destination("rejects", "guest-poison", json!({"fault": "reject"}));
    let ran = trial.run(&[trial.poison(json!({})), rejects.clone()]).await;
    let rejected = ran.destination("rejects");
    assert_eq!((rejected.delivered, rejected.dead_lettered, rejected.pending), (0, 0, 20));
    assert!(trial.dead_letters().await.is_empty());
    let again = trial.run(&[trial.poison(json!({"fault": "none"})), rejects]).await;
    assert_eq!((again.destination("rejects").dead_lettered, again.destination("poison").delivered), (20, 20));
}

#[tokio::test]
async fn asked_to_stop_in_the_middle_of_halving_it_starts_no_instance_more() {
    let trial = Trial::new(records(100, &(0..100).collect::<Vec<_>>()));
    let running = trial.start(&[trial.poison(json!({}))]).await.unwrap();
    let stop = running.stopper();
    let reports = tokio::join!(running.ended(), async {
        trial.time.sleepers(1).await;
        trial.time.advance_to_next();
        // The first record was found by now.
        trial.time.sleepers(1).await;
        stop.stop();
    });
    let report = &reports.0[0];
    let counts = &report.counts.destinations[0];
    assert_eq!((counts.delivered, counts.dead_lettered, counts.pending), (0, 0, 100));
    assert!(report.error.is_none() && opened(&trial) == 2 + 6, "{} sessions", opened(&trial));
    assert!(trial.dead_letters().await.is_empty());
    let again = trial.run(&[trial.poison(json!({"fault": "none"}))]).await;
    assert_eq!(again.account(), [0, 100, 100, 0, 0]);
}

#[tokio::test]
async fn with_isolation_by_batch_nothing_that_an_instance_remembers_outlives_a_batch() {
    for (isolation, expected) in [
        (
            "batch",
            &["open", "write 0 0+2", "open", "write 0 0+2", "open", "write 0 0+2", "open", "write 0 0+2", "open", "write 0 0+1"]
                [..],
        ),
        ("destination", &["open", "write 0 0+2", "write 1 0+2", "write 2 0+2", "write 3 0+2", "write 4 0+1"]),
    ] {
        let mut trial = Trial::new(records(9, &[]));
        trial.batch = 2;
        let mut poison = trial.poison(json!({}));
        poison["isolation"] = isolation.into();
        let ran = trial.run(&[poison]).await;
        only_poison_is_given_up(&trial, &ran, 9, &[]).await;
        let calls = trial.lines("calls");
        let acks = calls.iter().filter(|call| *call == "ack").count();
        let calls: Vec<_> = calls.iter().filter(|call| *call != "ack").collect();
        assert_eq!(calls, expected);
        assert_eq!(acks == 0, isolation == "batch", "an instance that is gone is told nothing");
    }
    // What ends an instance is dealt with likewise.
    let mut trial = Trial::new(records(30, &[4, 5, 29]));
    trial.batch = 10;
    let mut poison = trial.poison(json!({}));
    poison["isolation"] = "batch".into();
    let ran = trial.run(&[poison]).await;
    only_poison_is_given_up(&trial, &ran, 30, &[4, 5, 29]).await;
}

#[tokio::test]
async fn a_batch_that_does_not_fit_into_memory_is_cut_before_the_call() {
    let record = |at: usize| format!("{{\"key\":\"{at}\",\"payload\":\"{}\"}}", "x".repeat(4000));
    let mut trial = Trial::new((0..5000).map(record));
    (trial.batch, trial.bytes) = (100_000, "8MiB");
    let source = json!({"kind": "file", "path": "records.txt", "format": "json-lines", "key": "/key"});
    for (memory, copies) in [("16MiB", true), ("4MiB", true), ("4MiB", false), ("256MiB", true)] {
        let _gone = std::fs::remove_dir_all(trial.folder.path(".wharf"));
        let _gone = std::fs::remove_dir_all(trial.folder.path("journal"));
        let bad = limited(trial.poison(json!({"copies": copies})), json!({"memory": memory}));
        let ran = trial.end(trial.start_from(&source, &[bad]).await.unwrap()).await;
        assert_eq!((ran.account(), &*ran.error, ran.waits.len()), ([5000, 0, 5000, 0, 0], "", 0), "{memory}");
        assert_eq!(opened(&trial), 1, "{memory}: no instance ended");
        let writes = trial.lines("calls").iter().filter(|call| call.starts_with("write")).count();
        let least = match memory {
            "4MiB" => 14,
            "16MiB" => 4,
            _ => 3,
        };
        assert!((least..3 * least).contains(&writes), "{memory}: {writes} writes");
    }
}

#[tokio::test]
async fn a_record_that_does_not_fit_into_memory_is_a_dead_letter_before_the_call() {
    let trial = Trial::new(["small".to_owned(), "x".repeat(9 << 20), "also small".to_owned(), "x".repeat(2 << 20)]);
    let bad = limited(trial.poison(json!({})), json!({"memory": "4MiB"}));
    let ran = trial.run(&[bad]).await;
    assert_eq!((ran.account(), &*ran.error, ran.waits.len(), opened(&trial)), ([4, 0, 3, 1, 0], "", 0, 1));
    let letter = &trial.dead_letters().await[0];
    assert_eq!((&*letter.reason.kind, letter.attempts), ("too-large", 0));
    assert!(
        letter
            .reason
            .message
            .starts_with("the record takes 9437192 bytes of memory, and of 4MiB (limits.memory) the component has ")
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_poison_and_the_progress_each_record_is_delivered_once_or_given_up_or_pending(
        poison in prop::collection::btree_set(0u32..60, 0..25),
        (batch, window, report) in (1u32..40, 1u32..4, 0u32..4),
        fault in prop::sample::select(vec!["trap", "reject"]),
        isolation in prop::sample::select(vec!["destination", "batch"]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let list: Vec<u32> = poison.iter().copied().collect();
            let mut trial = Trial::new(records(60, &list));
            (trial.batch, trial.window) = (batch, window);
            let mut destination = trial.poison(json!({"fault": fault, "report": report}));
            destination["isolation"] = isolation.into();
            let ran = trial.run(&[destination, honest()]).await;
            assert_eq!(ran.destination("honest").delivered, 60);
            if fault == "reject" || ran.error.is_empty() {
                only_poison_is_given_up(&trial, &ran, 60, &list).await;
                return;
            }
            // Quarantined: only where so many stand in a row, or nothing came through at all within a window.
            assert!(ran.error.contains("; quarantined, since "), "{}", ran.error);
            let row = |at: &u32| (*at..*at + 5).all(|record| poison.contains(&record));
            let beginning = (0..batch * window).all(|record| poison.contains(&record));
            assert!(poison.iter().any(row) || beginning, "{poison:?}");
            // What was delivered are the first of the good ones, and nothing that was given up stands behind.
            let good: Vec<_> = records(60, &list).into_iter().filter(|record| record.starts_with("record")).collect();
            let delivered = trial.lines("delivered");
            assert_eq!(delivered, good[..delivered.len()]);
            let letters: BTreeSet<u64> = trial.dead_letters().await.iter().map(|letter| letter.sequence).collect();
            let [read, _, delivered, dead_lettered, pending] = ran.account();
            assert_eq!((read, dead_lettered, pending), (60, letters.len() as u64, 60 - delivered - dead_lettered));
        });
    }
}
