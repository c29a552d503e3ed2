//! What a store that refuses does to a run.

use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use wharf::store::{DataDir, SqliteStore};

use super::trial::{Trial, honest};

#[tokio::test]
async fn what_the_store_does_not_take_is_pending_and_read_again() {
    let trial = Trial::new(["a", "b", "c"]);
    let data_dir = DataDir::open(&trial.folder.path(".wharf")).unwrap();
    let store = data_dir.store();
    SqliteStore::open(&store).unwrap();
    drop(data_dir);
    let full = "CREATE TRIGGER full BEFORE INSERT ON dead_letters BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";
    Connection::open(&store).unwrap().execute_batch(full).unwrap();

    // What it says in the first run and in the second.
    let script = "0-1 1-2=rejected 2-3;0-1 1-2=rejected 2-3";
    let ran = trial.run(&[trial.scripted(script)]).await;
    assert_eq!(ran.account(), [3, 0, 2, 0, 1], "no dead letter is counted that is not on disk");
    assert!(ran.error.starts_with("cannot write to the store "), "{}", ran.error);
    assert!(ran.error.ends_with("database or disk is full"), "{}", ran.error);

    Connection::open(&store).unwrap().execute_batch("DROP TRIGGER full").unwrap();
    let again = trial.run(&[trial.scripted(script)]).await;
    assert_eq!(again.account(), [3, 0, 2, 1, 0], "{}", again.error);
    assert_eq!(trial.dead_letters().await.len(), 1);
}

#[tokio::test]
async fn what_was_given_up_behind_a_record_that_is_pending_is_pending_too_and_may_fare_otherwise() {
    let trial = Trial::new(["a", "b", "c"]);
    let fails = "0-1=transient 1-2=rejected 2-3";
    let again = "0-1=transient";
    let script = format!("{fails};{again};{again};{again};0-3");
    let mut destination = trial.scripted(&script);
    destination["retry"] = json!({"max-attempts": 4, "then": "stop"});
    let ran = trial.run(&[destination]).await;
    assert_eq!(ran.account(), [3, 0, 1, 0, 2], "{}", ran.error);
    assert!(trial.dead_letters().await.is_empty());

    let after = trial.run(&[trial.scripted(&script)]).await;
    assert_eq!(after.account(), [0, 3, 3, 0, 0], "{}", after.error);
    assert!(trial.dead_letters().await.is_empty(), "nothing is a dead letter and delivered");
}

#[tokio::test]
async fn dead_letters_that_have_no_room_stop_the_pipeline_and_are_not_dropped() {
    // Of three records of 40 KiB, 64 KiB have room for one.
    let trial = Trial::new(["a", "b", "c"].map(|record| record.repeat(40 << 10)));
    let source = json!({"kind": "file", "path": "records.txt", "format": "lines"});
    let pipeline = |keys: Value| {
        let mut pipeline = trial.pipeline("trial", &source, &[trial.scripted("0-1=rejected;0-1=rejected;0-1=rejected")]);
        pipeline["batch"]["records"] = 1.into();
        pipeline["window"] = 1.into();
        pipeline["dead-letters"] = keys;
        pipeline
    };
    let small = pipeline(json!({"max-bytes": "64KiB", "window": 0}));
    let ran = trial.end(trial.start_all(&[small]).await.unwrap()).await;
    assert_eq!(ran.account()[3], 1, "{}", ran.error);
    assert!(ran.error.starts_with("the dead letters of pipeline trial, destination scripted, would take 82"), "{}", ran.error);
    assert!(ran.error.ends_with("and may take 64KiB (dead-letters.max-bytes)"), "{}", ran.error);
    assert_eq!(trial.dead_letters().await.len(), 1);
    assert_eq!(trial.checkpoint().await.unwrap().next, (40 << 10) + 1, "the next run goes on with what had no room");

    let large = pipeline(json!({"max-bytes": "1MiB", "max-age": "1d", "window": 0, "copy-to": "copy"}));
    let again = trial.end(trial.start_all(&[large]).await.unwrap()).await;
    assert_eq!((again.error.as_str(), again.account()[3] + again.account()[2]), ("", 2));
    let rejected = again.account()[3] as usize;
    assert_eq!(trial.dead_letters().await.len(), 1 + rejected);
    let copied = std::fs::read_to_string(trial.folder.path("copy")).unwrap();
    assert_eq!(copied.lines().count(), rejected);

    trial.time.advance(Duration::from_secs(2 * 86_400));
    let large = pipeline(json!({"max-age": "1d", "window": 0}));
    let last = trial.end(trial.start_all(&[large]).await.unwrap()).await;
    assert_eq!((last.account()[0], trial.dead_letters().await.len()), (0, 0));
    assert!(trial.log().contains(" dead letters are older than 86400s and removed (dead-letters.max-age)"), "{}", trial.log());
}

#[tokio::test]
async fn no_component_is_granted_the_copy_of_dead_letters() {
    let trial = Trial::new(["a"]);
    let source = json!({"kind": "file", "path": "records.txt", "format": "lines"});
    let mut pipeline = trial.pipeline("trial", &source, &[trial.scripted("")]);
    pipeline["dead-letters"] = json!({"copy-to": "journal/copy"});
    let Err(refused) = trial.start_all(&[pipeline]).await else { panic!("it is granted") };
    assert!(refused.contains("the copy of dead letters"), "{refused}");
}

#[tokio::test]
async fn a_copy_of_dead_letters_that_cannot_be_written_is_refused_before_anything_runs() {
    let trial = Trial::new(["a"]);
    let source = json!({"kind": "file", "path": "records.txt", "format": "lines"});
    for (path, cause) in [("none/copy", "No such file or directory"), (".", "is a directory")] {
        let mut pipeline = trial.pipeline("trial", &source, &[honest()]);
        pipeline["dead-letters"] = json!({"copy-to": path});
        let Err(refused) = trial.start_all(&[pipeline]).await else { panic!("{path} is taken") };
        assert!(refused.starts_with("pipeline trial: cannot write dead letters to ") && refused.contains(cause), "{refused}");
    }
}
