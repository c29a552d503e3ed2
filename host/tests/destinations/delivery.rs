//! What is sent again, when, and what is not.

use serde_json::json;

use crate::trial::{Ran, Trial, destination, honest};

/// Runs a script over `a`, `b`, `c`; gives what came of it and the writes that the connector saw.
async fn scripted(script: &str) -> (Trial, Ran, Vec<String>) {
    let trial = Trial::new(["a", "b", "c"]);
    let mut destination = trial.scripted(script);
    destination["outage"] = json!({"max-attempts": 4});
    let ran = trial.run(&[destination]).await;
    let writes = trial.journal().iter().filter_map(|call| call.strip_prefix("write ").map(str::to_owned)).collect();
    (trial, ran, writes)
}

/// The script; how long is waited; read, carried, delivered, given up, pending; the writes; the end of the error.
type Case = (&'static str, &'static [u64], [u64; 5], &'static [&'static str], &'static str);

#[tokio::test]
async fn each_kind_of_answer_is_followed_by_what_the_contract_says() {
    const TRANSIENT: &str = "fail=transient;fail=transient;fail=transient;fail=transient";
    let cases: &[Case] = &[
        ("", &[], [3, 0, 3, 0, 0], &["0+3 attempt 1 [a,b,c]"], ""),
        (
            "fail=transient;fail=transient;fail=transient",
            &[1000, 2000, 4000],
            [3, 0, 3, 0, 0],
            &["0+3 attempt 1 [a,b,c]", "0+3 attempt 2 [a,b,c]", "0+3 attempt 3 [a,b,c]", "0+3 attempt 4 [a,b,c]"],
            "",
        ),
        (
            TRANSIENT,
            &[1000, 2000, 4000],
            [3, 0, 0, 0, 3],
            &["0+3 attempt 1 [a,b,c]", "0+3 attempt 2 [a,b,c]", "0+3 attempt 3 [a,b,c]", "0+3 attempt 4 [a,b,c]"],
            "transient: told to (code 42) (tried 4 times)",
        ),
        ("fail=uncertain", &[1000], [3, 0, 3, 0, 0], &["0+3 attempt 1 [a,b,c]", "0+3 attempt 2 [a,b,c]"], ""),
        // Patience that is asked for is kept, and counts no attempt; nor does it wear out.
        (
            "fail=throttled/700;fail=throttled/9;fail=throttled;fail=throttled/5000;fail=throttled/90000000;fail=transient",
            &[700, 100, 1000, 5000, 3_600_000, 1000],
            [3, 0, 3, 0, 0],
            &[
                "0+3 attempt 1 [a,b,c]",
                "0+3 attempt 2 [a,b,c]",
                "0+3 attempt 3 [a,b,c]",
                "0+3 attempt 4 [a,b,c]",
                "0+3 attempt 5 [a,b,c]",
                "0+3 attempt 6 [a,b,c]",
                "0+3 attempt 7 [a,b,c]",
            ],
            "",
        ),
        // What was not tried goes again at once, for as long as anything is.
        (
            "0-1 1-3=untried;0-1 1-2=untried",
            &[],
            [3, 0, 3, 0, 0],
            &["0+3 attempt 1 [a,b,c]", "1+2 attempt 2 [b,c]", "2+1 attempt 3 [c]"],
            "",
        ),
        (
            "0-3=untried;0-3=untried;0-3=untried;0-3=untried",
            &[1000, 2000, 4000],
            [3, 0, 0, 0, 3],
            &["0+3 attempt 1 [a,b,c]", "0+3 attempt 2 [a,b,c]", "0+3 attempt 3 [a,b,c]", "0+3 attempt 4 [a,b,c]"],
            "transient: the connector tries none of the records that it is given (tried 4 times)",
        ),
        ("0-1 1-2=rejected 2-3", &[], [3, 0, 2, 1, 0], &["0+3 attempt 1 [a,b,c]"], ""),
        (
            "fail=rejected;fail=rejected;0-1 1-2=rejected",
            &[],
            [3, 0, 1, 2, 0],
            &["0+3 attempt 1 [a,b,c]", "0+1 attempt 2 [a]", "1+2 attempt 2 [b,c]"],
            "",
        ),
        ("0-1 1-3=fatal", &[], [3, 0, 1, 0, 2], &["0+3 attempt 1 [a,b,c]"], "fatal: told to (code 42)"),
        ("fail=fatal", &[], [3, 0, 0, 0, 3], &["0+3 attempt 1 [a,b,c]"], "fatal: told to (code 42)"),
        // Once more, with renewed credentials in a fresh instance.
        ("fail=unauthorized", &[], [3, 0, 3, 0, 0], &["0+3 attempt 1 [a,b,c]", "0+3 attempt 2 [a,b,c]"], ""),
        (
            "fail=unauthorized;fail=unauthorized",
            &[],
            [3, 0, 0, 0, 3],
            &["0+3 attempt 1 [a,b,c]", "0+3 attempt 2 [a,b,c]"],
            "unauthorized: told to (code 42)",
        ),
        ("trap", &[1000], [3, 0, 3, 0, 0], &["0+3 attempt 1 [a,b,c]", "0+3 attempt 2 [a,b,c]"], ""),
        // Nothing that came later overtakes what is sent again.
        (
            "0-1 1-2=transient 2-3=untried",
            &[1000],
            [3, 0, 3, 0, 0],
            &["0+3 attempt 1 [a,b,c]", "1+1 attempt 2 [b]", "2+1 attempt 2 [c]"],
            "",
        ),
    ];
    for (script, waits, account, expected, error) in cases {
        let (trial, ran, writes) = scripted(script).await;
        assert_eq!(ran.waits, *waits, "{script}");
        assert_eq!(ran.account(), *account, "{script}");
        assert_eq!(writes, *expected, "{script}");
        let error =
            if error.is_empty() { String::new() } else { format!("destination scripted (guest-scripted 0.1.0): {error}") };
        assert_eq!(ran.error, error, "{script}");
        let ids = trial.ids();
        assert!(ids.iter().all(|id| *id == ids[0] && !id.is_empty()), "{script}: every part bears the id of its cut");
    }
}

#[tokio::test]
async fn a_record_that_was_not_tried_has_all_its_attempts_before_it() {
    // Each record fails for now once, more records than there are attempts: each has only its own failures against it.
    let trial = Trial::new(["a", "b", "c", "d", "e", "f"]);
    let script = format!("{}0-1=transient", "0-1=transient 1-$=untried;0-1;".repeat(5));
    let ran = trial.run(&[trial.scripted(&script)]).await;
    assert_eq!((ran.account(), &*ran.error, &*ran.waits), ([6, 0, 6, 0, 0], "", &[1000; 6][..]));
}

#[tokio::test]
async fn nothing_overtakes_a_part_that_is_sent_again() {
    let mut trial = Trial::new(["a", "b", "c", "d"]);
    trial.batch = 2;
    trial.run(&[trial.scripted("0-1 1-2=transient")]).await;
    let calls: Vec<_> = trial.journal().into_iter().filter(|call| call.starts_with("write")).collect();
    assert_eq!(calls, ["write 0+2 attempt 1 [a,b]", "write 1+1 attempt 2 [b]", "write 0+2 attempt 1 [c,d]"]);
}

#[tokio::test]
async fn a_rejected_record_is_a_dead_letter_with_its_reason_and_the_rest_is_delivered() {
    let (trial, ran, _) = scripted("0-1 1-2=rejected 2-3=transient;0-1=rejected").await;
    assert_eq!(ran.account(), [3, 0, 1, 2, 0]);
    let letters = trial.dead_letters().await;
    let told: Vec<_> = letters.iter().map(|letter| (letter.record.after().unwrap(), letter.sequence, letter.attempts)).collect();
    assert_eq!(told, [(&b"b"[..], 2, 1), (b"c", 4, 2)]);
    let first = &letters[0];
    let reason = &first.reason;
    let words = [&reason.kind, &reason.message, reason.code.as_ref().unwrap(), reason.connector.as_ref().unwrap()];
    assert_eq!(words.map(|word| &**word), ["rejected", "told to", "42", "guest-scripted 0.1.0"]);
    assert_eq!(first.destination.as_deref(), Some("scripted"));
}

#[tokio::test]
async fn a_session_that_cannot_be_opened_for_now_is_tried_again_and_otherwise_not() {
    let cases: &[(&str, &[u64], u64, &str)] = &[
        ("fail=transient;fail=uncertain;fail=transient", &[1000, 2000, 4000], 3, ""),
        ("fail=throttled/300;fail=throttled/300;fail=throttled/300;fail=throttled/300", &[300, 300, 300, 300], 3, ""),
        (
            "fail=transient;fail=transient;fail=transient;fail=transient",
            &[1000, 2000, 4000],
            0,
            "transient: open failed: told to (code 42) (tried 4 times)",
        ),
        ("fail=fatal", &[], 0, "fatal: open failed: told to (code 42)"),
        ("fail=unauthorized", &[], 3, ""),
        ("fail=unauthorized;fail=unauthorized", &[], 0, "unauthorized: open failed: told to (code 42)"),
        // What is wrong with the settings is wrong with no record.
        ("fail=rejected", &[], 0, "fatal: open failed: told to (code 42)"),
    ];
    for (opens, waits, delivered, error) in cases {
        let trial = Trial::new(["a", "b", "c"]);
        let mut destination = trial.scripted_with(json!({"opens": opens}));
        destination["outage"] = json!({"max-attempts": 4});
        let ran = trial.run(&[destination]).await;
        assert_eq!((&*ran.waits, ran.account()), (*waits, [3, 0, *delivered, 0, 3 - delivered]), "{opens}");
        assert!(ran.error.ends_with(error) && ran.error.is_empty() == error.is_empty(), "{opens}: {}", ran.error);
    }
}

#[tokio::test]
async fn parts_keep_to_the_connectors_bounds_and_a_record_over_them_is_a_dead_letter() {
    // Three records, twenty bytes, ten bytes a record.
    let trial = Trial::new(["1", "2", "3", "4", "over-ten-bytes", "5", "ten--bytes", "ten--bytes", "6"]);
    let ran = trial.run(&[destination("bounded", "guest-bounded", json!({}))]).await;
    assert_eq!((ran.account(), &*ran.error), ([9, 0, 8, 1, 0], ""));
    let log = trial.log();
    let handed: Vec<_> = log
        .lines()
        .filter_map(|line| line.split_once("stdout: "))
        .map(|(_, line)| line.split(" pipeline=").next().unwrap())
        .collect();
    assert_eq!(handed, ["0+3 1,2,3", "3+1 4", "5+2 5,ten--bytes", "7+2 ten--bytes,6"]);
    let letter = &trial.dead_letters().await[0];
    assert_eq!((&*letter.reason.kind, letter.record.after(), letter.attempts), ("too-large", Some(&b"over-ten-bytes"[..]), 0));
    assert_eq!(&*letter.reason.message, "the record has 14 bytes, and this connector takes 10 at the most");
}

#[tokio::test]
async fn where_one_destination_fails_the_others_deliveries_are_finished_and_a_later_run_delivers_the_rest() {
    let mut trial = Trial::new(["a", "b", "c", "d", "e", "f"]);
    trial.batch = 2;
    let ran = trial.run(&[trial.scripted("0-2;0-1 1-2=fatal"), honest()]).await;
    let (failed, whole) = (ran.destination("scripted"), ran.destination("honest"));
    assert_eq!((failed.delivered, failed.pending), (3, ran.counts.read - 3));
    assert_eq!((whole.delivered, whole.pending), (ran.counts.read, 0));
    let checkpoint = trial.checkpoint().await.unwrap();
    assert_eq!((checkpoint.next, checkpoint.read_to), (6, 2 * ran.counts.read), "the fourth record begins at byte 6");

    // The script has come to its end: all is well now.
    let again = trial.run(&[trial.scripted("0-2;0-1 1-2=fatal"), honest()]).await;
    assert_eq!(again.error, "");
    assert_eq!((again.counts.read, again.counts.carried), (6 - ran.counts.read, ran.counts.read - 3));
    assert_eq!(again.counts.destinations.iter().map(|to| (to.delivered, to.pending)).collect::<Vec<_>>(), [(3, 0), (3, 0)]);

    let nothing = trial.run(&[trial.scripted(""), honest()]).await;
    assert_eq!(nothing.account(), [0; 5], "a file that was finished is not read again");
    trial.append(["g"]);
    assert_eq!(trial.run(&[trial.scripted(""), honest()]).await.account(), [1, 0, 1, 0, 0]);
}

#[tokio::test]
async fn a_line_that_is_no_record_is_one_dead_letter_of_the_source() {
    let trial = Trial::new([r#"{"a": 1}"#, "not json", r#"{"a": 2}"#]);
    let source = json!({"kind": "file", "path": "records.txt", "format": "json-lines"});
    let ran =
        trial.end(trial.start_from(&source, &[honest(), destination("other", "guest-faults", json!({}))]).await.unwrap()).await;
    assert_eq!((ran.account(), &*ran.error), ([3, 0, 2, 1, 0], ""));
    assert_eq!(ran.destination("other").dead_lettered, 1);
    let letters = trial.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (&*letters[0].reason.kind, &letters[0].destination, letters[0].record.after()),
        ("unreadable", &None, Some(&b"not json"[..]))
    );
}

#[tokio::test]
async fn asked_to_stop_it_waits_for_nothing_and_leaves_pending_what_was_to_be_sent_again() {
    let trial = Trial::new(["a", "b", "c"]);
    let running = trial.start(&[trial.scripted("0-1 1-3=transient")]).await.unwrap();
    let stop = running.stopper();
    let reports = tokio::join!(running.ended(), async {
        trial.time.sleepers(1).await;
        stop.stop();
    });
    let report = &reports.0[0];
    let counts = &report.counts.destinations[0];
    assert_eq!((counts.delivered, counts.pending, report.error.is_none()), (1, 2, true));
    assert_eq!(trial.run(&[trial.scripted("")]).await.account(), [0, 2, 2, 0, 0]);
}

#[tokio::test]
async fn a_second_host_is_kept_out_of_a_data_directory_in_use() {
    let trial = Trial::new(["a"]);
    let running = trial.start(&[honest()]).await.unwrap();
    let refused = trial.start(&[honest()]).await.err().unwrap();
    assert!(refused.starts_with("another wharf is using the data directory "), "{refused}");
    assert_eq!(trial.end(running).await.account(), [1, 0, 1, 0, 0]);
}

#[tokio::test]
async fn an_outage_that_is_given_up_gives_up_each_call_after_attempts_of_its_own() {
    for fails in ["fail=transient", "0-$=untried"] {
        let mut trial = Trial::new(["a", "b", "c", "d"]);
        trial.batch = 2;
        let mut destination = trial.scripted(&[fails; 20].join(";"));
        destination["outage"] = json!({"max-attempts": 3, "then": "dead-letter"});
        let ran = trial.run(&[destination]).await;
        assert_eq!(ran.account(), [4, 0, 0, 4, 0], "{fails}");
        let writes = trial.journal().iter().filter(|call| call.starts_with("write")).count();
        assert_eq!((writes, &*ran.waits), (6, &[1000, 2000, 4000, 1000, 2000][..]), "{fails}");
    }
}

#[tokio::test]
async fn nobody_waits_for_a_best_effort_destination_once_all_others_are_done() {
    let trial = Trial::new((0..40).map(|n| n.to_string()));
    for script in ["fail=transient", "fail=throttled/100", "fail=fatal", "trap", "nothing"] {
        let mut destination = trial.scripted(&[script; 200].join(";"));
        destination["best-effort"] = json!(true);
        let id = format!("b-{}", script.replace(['=', '/'], "-"));
        let source = json!({"kind": "file", "path": "records.txt", "format": "lines"});
        let pipeline = trial.pipeline(&id, &source, &[destination, honest()]);
        let ran = trial.end(trial.start_all(&[pipeline]).await.unwrap()).await;
        assert_eq!((&*ran.error, ran.destination("honest").delivered), ("", 40), "{script}");
        let missed = ran.destination("scripted");
        assert_eq!((missed.delivered, missed.dead_lettered, missed.pending), (0, 40, 0), "{script}");
    }
}

#[tokio::test]
async fn a_best_effort_destination_that_goes_wrong_for_good_does_not_hold_the_others() {
    let mut trial = Trial::new((0..200).map(|n| n.to_string()));
    trial.batch = 2;
    let mut destination = trial.scripted(&["trap"; 2000].join(";"));
    destination["best-effort"] = json!(true);
    let ran = trial.run(&[destination, honest()]).await;
    assert_eq!((&*ran.error, ran.destination("honest").delivered), ("", 200));
    let missed = ran.destination("scripted");
    assert_eq!((missed.delivered, missed.dead_lettered), (0, 200));
}

#[tokio::test]
async fn one_call_that_leaves_many_pieces_costs_few_lines_of_the_log() {
    let trial = Trial::new((0..1000).map(|n| n.to_string()));
    let progress: String = (0..1000).step_by(2).map(|at| format!("+{at}-{} ", at + 1)).collect();
    let mut destination = trial.scripted(&format!("{progress}trap"));
    destination["limits"] = json!({"log-lines": 2});
    let ran = trial.run(&[destination]).await;
    assert_eq!(ran.account(), [1000, 0, 1000, 0, 0], "{}", ran.error);
    let lines = trial.log().lines().filter(|line| line.contains("WARN")).count();
    assert!(lines < 10, "{lines} lines");
}
