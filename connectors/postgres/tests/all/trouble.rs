//! What goes wrong, and what becomes of the records.

use std::{io::Write as _, process::Stdio, thread, time::Duration};

use wharf_sdk::{FailureKind, testing::batch};
use wharf_tests::postgres::Postgres;

use crate::server::{Database, server};

#[test]
fn a_role_that_is_not_let_in_is_told_so_and_its_password_is_not_shown() {
    let database = Database::new("CREATE TABLE t (n int)");
    for (given, kind, says) in [
        (("password", "hunter2"), FailureKind::Unauthorized, "password authentication failed for user \"wharf\""),
        (("database", "nowhere"), FailureKind::Fatal, "database \"nowhere\" does not exist"),
        (("port", "1"), FailureKind::Transient, "Connection refused"),
        (("tls", "verify-full"), FailureKind::Fatal, "certificate is not one that is trusted"),
    ] {
        let refused = database.destination(&[("table", "t"), given]).try_open().err().unwrap().to_string();
        assert!(refused.contains(says) && !refused.contains("hunter2"), "{refused}");
        assert!(refused.contains(&format!("{kind}")), "{kind}: {refused}");
    }
}

#[test]
fn a_connection_is_encrypted_to_whom_it_should_be() {
    let database = Database::new("CREATE TABLE t (n int)");
    let encrypted = "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE s.ssl AND a.application_name LIKE 'wharf %' AND a.datname = current_database()";
    for settings in
        [&[("tls", "require")][..], &[("tls", "verify-full"), ("host", "localhost"), ("root-certificate", server().root())]]
    {
        let settings: Vec<_> = settings.iter().copied().chain([("table", "t")]).collect();
        let destination = database.destination(&settings);
        let session = destination.open();
        session.write(&batch([r#"{"n": 1}"#])).assert_all_delivered();
        assert_eq!(database.psql(encrypted), "1");
        session.close().unwrap();
    }
    // The certificate is of another name.
    let other = database.destination(&[("table", "t"), ("tls", "verify-full"), ("root-certificate", server().root())]);
    let refused = other.try_open().err().unwrap().to_string();
    assert!(refused.contains("certificate is not one that is trusted"), "{refused}");
}

#[test]
fn of_many_rows_those_that_break_a_constraint_are_refused_and_no_other() {
    let database = Database::new(
        "CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o SELECT generate_series(0, 99);
         CREATE TABLE t (id int PRIMARY KEY, o int REFERENCES o DEFERRABLE INITIALLY DEFERRED, n int CHECK (n < 1000))",
    );
    for mode in ["append", "upsert"] {
        database.psql("TRUNCATE t");
        let destination = database.destination(&[("table", "t"), ("mode", mode), ("exactly-once", "false")]);
        let rows: Vec<String> = (0..1000)
            .map(|id| match id % 100 {
                7 => format!(r#"{{"id": {id}, "o": 5, "n": 1000}}"#),
                8 => format!(r#"{{"id": {id}, "o": 100, "n": 0}}"#),
                9 => format!(r#"{{"id": {id}, "o": 5, "n": "many"}}"#),
                _ => format!(r#"{{"id": {id}, "o": {}, "n": {id}}}"#, id % 100),
            })
            .collect();
        let answer = destination.open().write(&batch(&rows));
        for id in 0..1000_u32 {
            match id % 100 {
                7..=9 => answer.assert_failed(id, FailureKind::Rejected),
                _ => answer.assert_delivered(id),
            };
        }
        assert_eq!(database.psql("SELECT count(*) FROM t"), "970");
    }
}

#[test]
fn a_deadlock_is_for_later_and_the_connection_goes_on() {
    let database = Database::new("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0)");
    database.psql(&format!("ALTER DATABASE {} SET deadlock_timeout = '100ms'", database.0));
    let destination = database.destination(&[("table", "t"), ("mode", "upsert"), ("exactly-once", "false")]);
    let session = destination.open();
    // Another takes the second row, and then wants the first.
    let mut other =
        server().client(&database.0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut script = other.stdin.take().unwrap();
    script.write_all(b"SET deadlock_timeout = '1h'; BEGIN; UPDATE t SET n = 1 WHERE id = 2;\n").unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let held = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relname = 't' AND l.mode = 'RowExclusiveLock'";
    until(&database, held, "1");
    let writing = thread::spawn({
        let name = database.0.clone();
        move || {
            let database = Database(name);
            until(&database, waits, "1");
            script.write_all(b"UPDATE t SET n = 1 WHERE id = 1; COMMIT;\n").unwrap();
        }
    });
    let rows = [r#"{"id": 1, "n": 2}"#, r#"{"id": 2, "n": 2}"#];
    session.write(&batch(rows)).assert_failed(0..2, FailureKind::Transient);
    writing.join().unwrap();
    assert!(other.wait().unwrap().success());
    session.write(&batch(rows)).assert_all_delivered();
    assert_eq!(database.psql("SELECT * FROM t ORDER BY id"), "1|2\n2|2");
}

fn until(database: &Database, question: &str, answer: &str) {
    for _ in 0..600 {
        if database.psql(question) == answer {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{question} never was {answer}");
}

#[test]
fn a_server_that_is_killed_and_back_is_written_to_on_a_new_connection() {
    // One of its own: others would be in its way.
    let own = Postgres::start().unwrap();
    own.psql("wharf", "CREATE TABLE t (n int)").unwrap();
    let port = own.port().to_string();
    let database = Database("wharf".into());
    let destination = database.destination(&[("table", "t"), ("port", &port)]);
    let session = destination.open();
    session.write(&batch([r#"{"n": 0}"#])).assert_all_delivered();
    own.kill().unwrap();
    let next = batch([wharf_sdk::testing::record(r#"{"n": 1}"#).sequence(1)]);
    session.write(&next).assert_failed(0, FailureKind::Transient);
    own.up().unwrap();
    session.write(&next).assert_all_delivered();
    // An idle connection that went is nobody's failure.
    own.stop().unwrap();
    own.up().unwrap();
    let last = batch([wharf_sdk::testing::record(r#"{"n": 2}"#).sequence(2)]);
    session.write(&last).assert_all_delivered();
    assert_eq!(own.psql("wharf", "SELECT count(*) FROM t").unwrap(), "3");
}

#[test]
fn too_many_connections_are_for_later() {
    let own = Postgres::start().unwrap();
    let port = own.port().to_string();
    let database = Database("wharf".into());
    own.psql("wharf", "CREATE TABLE t (n int); CREATE ROLE poor LOGIN PASSWORD 'p' CONNECTION LIMIT 1; GRANT ALL ON t TO poor")
        .unwrap();
    let settings = [("table", "t"), ("port", port.as_str()), ("user", "poor"), ("password", "p"), ("exactly-once", "false")];
    let destination = database.destination(&settings);
    let first = destination.open();
    let second = destination.try_open().err().unwrap().to_string();
    assert!(second.contains("transient") && second.contains("too many connections"), "{second}");
    first.write(&batch([r#"{"n": 0}"#])).assert_all_delivered();
}

#[test]
fn a_statement_is_given_up_before_the_call_that_waits_for_it_is_ended() {
    let database = Database::new(
        "CREATE TABLE t (n int);
         CREATE FUNCTION slow() RETURNS trigger AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END' LANGUAGE plpgsql;
         CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    let destination = database.destination(&[("table", "t")]).context("write-limit-ms", "4000");
    let answer = destination.open().write(&batch([r#"{"n": 1}"#]));
    answer.assert_failed(0, FailureKind::Transient);
    assert!(answer.failure().unwrap().message().contains("statement timeout"), "{:?}", answer.failure());
}
