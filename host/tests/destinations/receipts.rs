//! What a connector says became of its records, and what the host makes of it.

use serde_json::json;
use wharf::pipeline::DestinationCounts;

use crate::trial::{Trial, honest};

#[tokio::test]
async fn what_a_receipt_leaves_out_or_gets_wrong_is_unknown_and_never_taken_for_delivered() {
    // The answer to four records; of these delivered, warned, pending and unknown; the error.
    let cases = [
        ("nothing", [0, 0, 4, 4], "the receipt leaves out 4 of 4 records; what became of them is unknown"),
        ("0-1 2-4", [3, 0, 1, 1], "the receipt leaves out 1 of 4 records; what became of them is unknown"),
        ("+0-1 2-4", [3, 0, 1, 1], "the receipt leaves out 1 of 4 records; what became of them is unknown"),
        ("0-2 1-4", [0, 0, 4, 4], "the receipt names record 1 twice; what became of 4 records is unknown"),
        ("0-4 3-4=warned", [0, 0, 4, 4], "the receipt names record 3 twice; what became of 4 records is unknown"),
        ("0-5", [0, 0, 4, 4], "the receipt has the span 0..5 in a batch of 4 records; what became of 4 records is unknown"),
        ("0-4 4-4", [0, 0, 4, 4], "the receipt has the span 4..4, which holds no record; what became of 4 records is unknown"),
        ("3-1", [0, 0, 4, 4], "the receipt has the span 3..1, which holds no record; what became of 4 records is unknown"),
        (
            "+1-2 0-4=rejected",
            [1, 0, 3, 3],
            "the receipt takes back record 1, which had been reported delivered; what became of 3 records is unknown",
        ),
        (
            "0-1=fatal 1-4",
            [0, 0, 4, 4],
            "the receipt calls the records 0..1 fatal, which only the last of a batch of 4 can be; what became of 4 records is unknown",
        ),
        // Everything was reported before: nothing is unknown, and the contract is broken all the same.
        ("+0-4 0-9", [4, 0, 0, 0], "the receipt has the span 0..9 in a batch of 4 records; what became of 0 records is unknown"),
        ("0-3 3-4=warned", [4, 1, 0, 0], ""),
        ("+0-2 2-4", [4, 0, 0, 0], ""),
        ("+0-2 0-4", [4, 0, 0, 0], ""),
    ];
    for (answer, expected, error) in cases {
        let trial = Trial::new(["a", "b", "c", "d"]);
        let mut held = trial.scripted(answer);
        held["on-unknown"] = json!("hold");
        let ran = trial.run(&[held, honest()]).await;
        let DestinationCounts { delivered, warned, pending, unknown, .. } = ran.destination("scripted");
        assert_eq!([*delivered, *warned, *pending, *unknown], expected, "{answer}");
        let error =
            if error.is_empty() { String::new() } else { format!("destination scripted (guest-scripted 0.1.0): {error}") };
        assert_eq!(ran.error, error, "{answer}");
        assert_eq!(ran.destination("honest").delivered, 4, "{answer}");
        assert_eq!(ran.waits, [0_u64; 0], "{answer}: nothing is sent again that is not known to have failed");
    }
}

#[tokio::test]
async fn what_was_reported_before_a_trap_stays_delivered_and_only_the_rest_is_sent_again() {
    let trial = Trial::new(["a", "b", "c", "d"]);
    let ran = trial.run(&[trial.scripted("+0-1 +2-3 trap")]).await;
    assert_eq!((ran.account(), &*ran.error), ([4, 0, 4, 0, 0], ""));
    let calls =
        ["open", "write 0+4 attempt 1 [a,b,c,d]", "open", "write 1+1 attempt 2 [b]", "write 3+1 attempt 2 [d]", "ack", "close"];
    assert_eq!(trial.journal(), calls);
}

#[tokio::test]
async fn progress_outside_of_the_batch_ends_the_instance_with_words_for_it() {
    let trial = Trial::new(["a"]);
    let ran = trial.run(&[trial.scripted("+1-3;+1-3")]).await;
    assert!(
        ran.error.contains("write ended its instance: progress reported the span 1..3 of a batch of 1 records"),
        "{}",
        ran.error
    );
}

#[tokio::test]
async fn a_very_long_message_full_of_control_characters_is_cut_and_made_harmless() {
    let trial = Trial::new(["a"]);
    let ran = trial.run(&[trial.scripted("long;long;long;long")]).await;
    assert_eq!(ran.account(), [1, 0, 0, 0, 1]);
    assert!(ran.error.contains(r"fatal: \u{1b}[2J\u{1b}]0;title\u{7}\u{202e}é"), "{}", ran.error);
    for told in [&ran.error, &trial.log()] {
        assert!(!told.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{told}");
        assert!(told.len() < 32 << 10, "{} bytes", told.len());
    }
}
