//! Limits that go by what a component is handed and by what it writes. What it does too much of itself ends it in the zoo.

use serde_json::{Value, json};

use crate::trial::{Trial, destination};

fn faulty(settings: Value, limits: Value) -> Value {
    let mut destination = destination("bad", "guest-faults", settings);
    destination["limits"] = limits;
    destination
}

#[tokio::test]
async fn a_batch_of_many_records_may_compute_more_than_one_of_few() {
    let limits = json!({"fuel-per-call": 10_000_000, "fuel-per-record": 10_000_000});
    let trial = Trial::new((0..50).map(|number| number.to_string()));
    let ran = trial.run(&[faulty(json!({"fault": "per-record", "amount": 500_000}), limits.clone())]).await;
    assert_eq!((ran.account(), &*ran.error), ([50, 0, 50, 0, 0], ""));

    let trial = Trial::new(["a"]);
    let ran = trial.run(&[faulty(json!({"fault": "per-record", "amount": 25_000_000}), limits)]).await;
    assert!(ran.error.contains("computed more than 20000000 units of fuel"), "{}", ran.error);
}

#[tokio::test]
async fn output_is_cut_into_lines_and_its_end_stands_in_the_error() {
    let trial = Trial::new(["a"]);
    let ran = trial.run(&[faulty(json!({"fault": "line", "amount": 100_000}), json!({"output": "1KiB"}))]).await;
    let log = trial.log();
    let line = log.lines().find(|line| line.contains("wharf::stderr: ooo")).unwrap();
    assert_eq!(line.matches('o').count() - "destination".matches('o').count(), 1024, "{line}");
    assert!(line.contains("cut=98976"), "{line}");
    assert_eq!(ran.error, "");

    let trial = Trial::new(["a"]);
    let ran = trial.run(&[faulty(json!({"fault": "flood", "amount": 5000}), json!({}))]).await;
    assert!(ran.error.contains("    | line 4999\n    | panicked at ") && ran.error.contains(": told to panic"), "{}", ran.error);
    assert!(!ran.error.contains("line 4000\n") && ran.error.len() < 8 << 10, "{} bytes", ran.error.len());

    let trial = Trial::new(["a"]);
    trial.run(&[faulty(json!({"fault": "half-a-line"}), json!({}))]).await;
    assert!(trial.log().contains("wharf::stderr: half a line"), "{}", trial.log());
}
