//! Records that go to one of several actions of a destination.

use serde_json::{Value, json};

use crate::trial::Trial;

const RECORDS: [&str; 6] =
    [r#"{"t":"a","n":1}"#, r#"{"t":"b","n":2}"#, r#"{"t":"b","n":3}"#, r#"{"t":"c","n":4}"#, r#"{"t":"a","n":5}"#, "no json"];

fn routed(trial: &Trial, script: &str, otherwise: &str) -> Value {
    let mut routed = trial.scripted(script);
    let is = |letter: &str| json!({"pointer": "/t", "equals": letter});
    // The second takes nothing any more that the first has.
    routed["routes"] = json!([{"when": is("b"), "action": "other"}, {"when": {"any": [is("a"), is("b")]}, "action": "plain"}]);
    routed["otherwise"] = json!(otherwise);
    routed
}

#[tokio::test]
async fn a_batch_is_cut_where_the_action_changes_and_stays_in_order() {
    let trial = Trial::new(RECORDS);
    let ran = trial.run(&[routed(&trial, "", "default")]).await;
    assert_eq!((ran.account(), &*ran.error), ([6, 0, 6, 0, 0], ""));
    let [a, b, c, d, e, f] = RECORDS;
    let calls = [
        "open".to_owned(),
        format!("write 0+1 attempt 1 [{a}]"),
        format!("write 1+2 attempt 1 action 1 [{b},{c}]"),
        format!("write 3+3 attempt 1 [{d},{e},{f}]"),
        "ack".to_owned(),
        "close".to_owned(),
    ];
    assert_eq!(trial.journal(), calls);
}

#[tokio::test]
async fn what_is_sent_again_goes_to_the_action_that_it_was_for_and_holds_back_the_others() {
    let trial = Trial::new(RECORDS);
    let ran = trial.run(&[routed(&trial, ";0-1 1-2=transient;", "default")]).await;
    assert_eq!((ran.account(), &*ran.error), ([6, 0, 6, 0, 0], ""));
    let [_, b, c, ..] = RECORDS;
    let calls = trial.journal();
    assert_eq!(calls[2], format!("write 1+2 attempt 1 action 1 [{b},{c}]"));
    assert_eq!(calls[3], format!("write 2+1 attempt 2 action 1 [{c}]"));
    assert!(calls[4].starts_with("write 3+3 attempt 1 ["), "{calls:?}");
}

#[tokio::test]
async fn what_no_route_takes_is_filtered_or_a_dead_letter_and_the_counts_add_up() {
    let trial = Trial::new(RECORDS);
    let ran = trial.run(&[routed(&trial, "", "filter")]).await;
    let counts = ran.destination("scripted");
    assert_eq!([counts.delivered, counts.filtered, counts.dead_lettered, counts.pending], [4, 2, 0, 0], "{}", ran.error);
    let trial = Trial::new(RECORDS);
    let ran = trial.run(&[routed(&trial, "", "dead-letter")]).await;
    let counts = ran.destination("scripted");
    assert_eq!([counts.delivered, counts.filtered, counts.dead_lettered, counts.pending], [4, 0, 2, 0], "{}", ran.error);
}
