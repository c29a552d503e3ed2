//! What comes again is known.

use wharf_sdk::{
    FailureKind,
    testing::{Answer, Fate, TestRecord, batch, record},
};

use crate::server::Database;

fn rows(numbers: std::ops::Range<u64>) -> Vec<TestRecord> {
    // Every tenth is refused.
    numbers
        .map(|n| record(format!(r#"{{"n": {}}}"#, if n % 10 == 9 { "-1".into() } else { n.to_string() })).sequence(n))
        .collect()
}

fn verdicts(answer: &Answer) -> Vec<Option<String>> {
    let verdict = |fate: &Fate| match fate {
        Fate::Delivered => None,
        Fate::Failed(failure) => Some(failure.to_string()),
        other => panic!("{other:?}"),
    };
    answer.fates().iter().map(verdict).collect()
}

#[test]
fn what_comes_again_however_it_is_cut_is_written_once_and_answered_as_the_first_time() {
    let database = Database::new("CREATE TABLE t (n int CHECK (n >= 0))");
    let destination = database.destination(&[("table", "t")]);
    let first = destination.open();
    let answers = verdicts(&first.write(&batch(rows(0..40)).id("cut-1")));
    assert_eq!(answers.iter().flatten().count(), 4);
    // The first session was lost with its answer. Another has the same records in other cuts, and some that are new.
    let second = destination.open();
    let again = verdicts(&second.write(&batch(rows(0..15)).id("cut-2")));
    assert_eq!(again, answers[..15]);
    let more = second.write(&batch(rows(15..60)).id("cut-3"));
    assert_eq!(verdicts(&more)[..25], answers[15..]);
    assert_eq!(database.psql("SELECT count(*), count(DISTINCT n) FROM t"), "54|54");
    // Of another partition nothing is known.
    second.write(&batch(rows(0..5)).partition("other")).assert_all_delivered();
    assert_eq!(database.psql("SELECT count(*) FROM t"), "59");
}

#[test]
fn once_the_host_has_settled_a_refusal_the_record_is_tried_anew() {
    let database = Database::new("CREATE TABLE t (n int CONSTRAINT c CHECK (n >= 0))");
    let destination = database.destination(&[("table", "t")]);
    let session = destination.open();
    session.write(&batch(rows(0..10)).id("cut-1")).assert_failed(9, FailureKind::Rejected);
    session.ack(["cut-1"]);
    session.write(&batch(rows(10..11)).id("cut-2")).assert_all_delivered();
    session.close().unwrap();
    database.psql("ALTER TABLE t DROP CONSTRAINT c");
    let again = destination.open();
    again.write(&batch(rows(9..10)).id("cut-1")).assert_all_delivered();
    again.write(&batch(rows(9..10)).id("cut-1")).assert_all_delivered();
    assert_eq!(database.psql("SELECT count(*) FROM t"), "11");
}

#[test]
fn what_a_person_sends_again_is_written_though_others_came_after_it() {
    let database = Database::new("CREATE TABLE t (n int)");
    let destination = database.destination(&[("table", "t")]);
    // The host gave up what stands between, which never came here.
    destination.open().write(&batch(rows(5..8))).assert_all_delivered();
    destination.open().write(&batch(rows(2..3))).assert_all_delivered();
    assert_eq!(database.psql("SELECT count(*) FROM t"), "3");
    let by_hand = database.destination(&[("table", "t")]).context("replay", "true");
    by_hand.open().write(&batch(rows(2..3))).assert_all_delivered();
    assert_eq!(database.psql("SELECT count(*) FROM t"), "4");
}

#[test]
fn without_it_records_that_come_again_are_written_again() {
    let database = Database::new("CREATE TABLE t (n int)");
    let destination = database.destination(&[("table", "t"), ("exactly-once", "false")]);
    let session = destination.open();
    session.write(&batch(rows(0..5))).assert_all_delivered();
    session.write(&batch(rows(0..5))).assert_all_delivered();
    assert_eq!(database.psql("SELECT count(*) FROM t"), "10");
    assert_eq!(database.psql("SELECT count(*) FROM pg_namespace WHERE nspname = 'wharf'"), "0");
}
