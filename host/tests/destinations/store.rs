//! What a store that refuses does to a run.

use rusqlite::Connection;
use wharf::store::{DataDir, SqliteStore};

use super::trial::Trial;

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
    let ran = trial.run(&[trial.scripted(&script)]).await;
    assert_eq!(ran.account(), [3, 0, 1, 0, 2], "{}", ran.error);
    assert!(trial.dead_letters().await.is_empty());

    let after = trial.run(&[trial.scripted(&script)]).await;
    assert_eq!(after.account(), [0, 3, 3, 0, 0], "{}", after.error);
    assert!(trial.dead_letters().await.is_empty(), "nothing is a dead letter and delivered");
}
