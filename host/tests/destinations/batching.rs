//! Batches are cut as the pipeline says, else as its connectors prefer.

use serde_json::{Value, json};

use crate::trial::{Ran, Trial, destination};

/// What each call was handed: instance and instances, place in the batch and count.
fn handed(trial: &Trial) -> Vec<String> {
    let lines = trial.log();
    let lines = lines.lines().filter_map(|line| line.split_once("stdout: "));
    lines.map(|(_, line)| line.split(" pipeline=").next().unwrap().to_owned()).collect()
}

fn prefers() -> Value {
    destination("prefers", "guest-prefers", json!({}))
}

/// A run of twenty records of one byte, with these in the place of the pipeline's keys.
async fn run(trial: &Trial, source: &Value, batch: Value, destinations: &[Value]) -> Ran {
    let mut pipeline = trial.pipeline("trial", source, destinations);
    pipeline["batch"] = batch;
    trial.end(trial.start_all(&[pipeline]).await.unwrap()).await
}

fn lines() -> Value {
    json!({"kind": "file", "path": "records.txt", "format": "lines"})
}

#[tokio::test]
async fn a_batch_is_as_the_pipeline_says_else_as_the_connector_prefers() {
    let one = |parts: &[&str]| parts.iter().map(|part| format!("0/1 {part}")).collect::<Vec<_>>();
    let cases = [
        (json!({}), json!({}), one(&["0+7", "0+7", "0+6"])),
        (json!({"records": 20}), json!({}), one(&["0+20"])),
        (json!({"records": 5}), json!({}), one(&["0+5"; 4])),
        // What the destination says holds for it, within what it is cut to.
        (json!({}), json!({"records": 4}), one(&["0+4"; 5])),
        (json!({"records": 10}), json!({"records": 6}), one(&["0+6", "6+4", "0+6", "6+4"])),
        (json!({"bytes": "1KiB"}), json!({"bytes": "3B"}), one(&["0+3", "3+3", "6+1", "0+3", "3+3", "6+1", "0+3", "3+3"])),
    ];
    for (of_pipeline, of_destination, expected) in cases {
        let trial = Trial::new(["x"; 20]);
        let mut destination = prefers();
        destination["batch"] = of_destination.clone();
        let ran = run(&trial, &lines(), of_pipeline.clone(), &[destination]).await;
        assert_eq!((ran.account(), &*ran.error), ([20, 0, 20, 0, 0], ""));
        assert_eq!(handed(&trial), expected, "{of_pipeline} {of_destination}");
    }

    let trial = Trial::new(vec!["x".repeat(60); 3]);
    run(&trial, &lines(), json!({}), &[prefers()]).await;
    assert_eq!(handed(&trial), one(&["0+1"; 3]), "a hundred bytes have room for one of sixty");
}

#[tokio::test]
async fn of_several_destinations_the_largest_preference_cuts_and_the_others_get_parts() {
    let trial = Trial::new(["x"; 14]);
    let bounded = destination("bounded", "guest-bounded", json!({}));
    run(&trial, &lines(), json!({}), &[bounded, prefers()]).await;
    let mut handed = handed(&trial);
    handed.sort();
    // One takes three at the most and prefers nothing.
    let parts = ["0+3 x,x,x", "0+3 x,x,x", "0/1 0+7", "0/1 0+7", "3+3 x,x,x", "3+3 x,x,x", "6+1 x", "6+1 x"];
    assert_eq!(handed, parts);
}

#[tokio::test]
async fn a_batch_waits_for_others_as_long_as_the_connector_prefers() {
    for (batch, parts) in [(json!({}), 3), (json!({"delay": "300ms"}), 6), (json!({"delay": "5s"}), 2)] {
        let trial = Trial::new([""; 0]);
        let slow = json!({"kind": "generator", "count": 6, "rate": 1, "size": "10B"});
        let mut batch = batch.clone();
        batch["records"] = json!(100);
        let mut destination = prefers();
        destination["parallel"] = json!(1);
        let ran = run(&trial, &slow, batch.clone(), &[destination]).await;
        assert_eq!(ran.destination("prefers").delivered, 6);
        assert_eq!(handed(&trial).len(), parts, "{batch}: {:?}", handed(&trial));
    }
}

#[tokio::test]
async fn as_many_instances_as_the_connector_prefers_share_records_by_key_where_there_are_keys() {
    let keyed = json!({"kind": "file", "path": "records.txt", "format": "json-lines", "key": "/k"});
    for (source, parallel, instances) in
        [(lines(), None, "1"), (keyed.clone(), None, "2"), (keyed.clone(), Some(1), "1"), (keyed, Some(3), "3")]
    {
        let trial = Trial::new((0..40).map(|key| json!({"k": key.to_string()}).to_string()));
        let mut destination = prefers();
        if let Some(parallel) = parallel {
            destination["parallel"] = json!(parallel);
        }
        let ran = run(&trial, &source, json!({"records": 40, "bytes": "4MiB"}), &[destination]).await;
        assert_eq!((ran.account(), &*ran.error), ([40, 0, 40, 0, 0], ""));
        let handed = handed(&trial);
        assert!(handed.iter().all(|line| line.split(' ').next().unwrap().ends_with(&format!("/{instances}"))), "{handed:?}");
        assert_eq!(handed.len().to_string(), instances, "{handed:?}");
    }
}
