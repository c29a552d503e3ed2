//! The `postgres` connector in the whole program, against a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    fmt::Write as _,
    fs,
    hash::{BuildHasher, Hasher},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wharf_tests::{Ran, Scratch, checkout, component, host::Host, long, postgres::Postgres};

/// The server of all tests of this process.
fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start().unwrap())
}

/// A database of a test's own, made by these statements.
fn database(server: &Postgres, statements: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("whole_{}", NEXT.fetch_add(1, Relaxed));
    server.psql("postgres", &format!("CREATE DATABASE {name}")).unwrap();
    server.psql(&name, statements).unwrap();
    name
}

/// A pipeline of a file of lines of JSON with a key at `/id` into a database; `more` are further keys of the pipeline or, without the prefix, of
/// the destination.
fn pipeline(scratch: &Scratch, server: &Postgres, database: &str, settings: &Value, more: &Value) {
    let to = format!("127.0.0.1:{}", server.port());
    let mut destination = json!({
        "id": "db",
        "component": component("wharf-postgres").unwrap(),
        "settings": {
            "host": "127.0.0.1", "port": server.port(), "database": database, "user": Postgres::USER,
            "password": "${PASSWORD}", "tls": "off", "table": "t",
        },
        "grants": {"tcp": [{"to": to, "private": true}]},
        "outage": {"max-delay": "1s"},
    });
    for (name, value) in settings.as_object().unwrap() {
        destination["settings"][name] = value.clone();
    }
    let mut pipeline = json!({"id": "p", "source": {"kind": "file", "path": "in.ndjson", "key": "/id"}});
    for (name, value) in more.as_object().unwrap() {
        match name.strip_prefix("pipeline.") {
            Some(name) => pipeline[name] = value.clone(),
            None => destination[name] = value.clone(),
        }
    }
    pipeline["destinations"] = json!([destination]);
    scratch.write("p.yaml", json!({"version": 1, "pipelines": [pipeline]}).to_string()).unwrap();
}

fn records(scratch: &Scratch, count: u32) {
    let mut lines = String::new();
    (0..count).for_each(|id| writeln!(lines, r#"{{"id":{id},"text":"record {id}"}}"#).unwrap());
    scratch.write("in.ndjson", lines).unwrap();
}

fn run(scratch: &Scratch) -> Ran {
    wharf(scratch, Postgres::PASSWORD).output().unwrap().into()
}

/// The program with a password, to be run.
fn wharf(scratch: &Scratch, password: &str) -> Command {
    let mut wharf = scratch.wharf(&["run", "p.yaml", "--output", "json"]).unwrap();
    wharf.env("PASSWORD", password).stdout(Stdio::piped()).stderr(Stdio::piped());
    wharf
}

/// What became of the records at the destination.
fn counts(ran: &Ran) -> Value {
    ran.json().unwrap()["pipelines"][0]["destinations"][0].clone()
}

#[test]
fn real_events_arrive_and_are_read_back_with_psql() {
    let server = server();
    let example = fs::read_to_string(checkout().join("examples/postgres.yaml")).unwrap();
    let made =
        example.split_once("-c \"").and_then(|(_, rest)| rest.split_once('"')).expect("the example says how its table is made").0;
    let name = database(server, made);
    let scratch = Scratch::new().unwrap();
    let events = fs::read_to_string(checkout().join("examples/data/earthquakes.ndjson")).unwrap();
    scratch.write("data/earthquakes.ndjson", &events).unwrap();
    let example = fs::read_to_string(checkout().join("examples/postgres.yaml")).unwrap();
    let example =
        example.replace("../target/connectors/postgres.wasm", &component("wharf-postgres").unwrap().display().to_string());
    let example = example.replace("5432", &server.port().to_string()).replace("database: quakes", &format!("database: {name}"));
    scratch.write("p.yaml", example).unwrap();
    let ran = run(&scratch);
    assert_eq!((ran.code, counts(&ran)["delivered"].as_u64()), (Some(0), Some(1707)), "{}", ran.stderr);

    let rows = server.psql(&name, "SELECT id, mag, place, at AT TIME ZONE 'UTC', doc FROM earthquakes").unwrap();
    let mut arrived: BTreeMap<&str, Vec<&str>> =
        rows.lines().map(|row| (row.split('|').next().unwrap(), row.splitn(5, '|').collect())).collect();
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let row = arrived.remove(event["id"].as_str().unwrap()).unwrap();
        let properties = &event["properties"];
        assert_eq!(row[1], properties["mag"].as_number().map(ToString::to_string).unwrap_or_default());
        assert_eq!(row[2], properties["place"].as_str().unwrap());
        assert_eq!(serde_json::from_str::<Value>(row[4]).unwrap(), event);
        let date = server_date(properties["time"].as_i64().unwrap());
        assert!(row[3].starts_with(&date), "{} is not at {date}", row[3]);
    }
    assert!(arrived.is_empty(), "{} rows too many", arrived.len());
}

/// The time of day of a moment, which is what can be told without a calendar, behind the day that the server says.
fn server_date(milliseconds: i64) -> String {
    let seconds = milliseconds.div_euclid(1000);
    let day = server().psql("postgres", &format!("SELECT (to_timestamp({seconds}) AT TIME ZONE 'UTC')::text")).unwrap();
    day.split('.').next().unwrap_or_default().to_owned()
}

#[test]
fn a_server_that_is_down_at_the_start_and_killed_on_the_way_gets_every_row_once() {
    let server = Postgres::start().unwrap();
    server.psql("wharf", "CREATE TABLE t (id int, text text)").unwrap();
    let scratch = Scratch::new().unwrap();
    records(&scratch, 60_000);
    let source = json!({"kind": "file", "path": "in.ndjson", "key": "/id", "rate": 20_000});
    pipeline(&scratch, &server, "wharf", &json!({}), &json!({"pipeline.source": source}));
    server.stop().unwrap();
    // Its log goes to a file, which is read while it waits.
    let log = scratch.path("log");
    let mut waiting = wharf(&scratch, Postgres::PASSWORD);
    let running = waiting.stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while !fs::read_to_string(&log).unwrap().contains("Connection refused") {
        assert!(Instant::now() < end, "it does not say what it waits for: {}", fs::read_to_string(&log).unwrap());
        thread::sleep(Duration::from_millis(20));
    }
    server.up().unwrap();
    let count = || server.psql("wharf", "SELECT count(*) FROM t").ok().and_then(|text| text.parse().ok()).unwrap_or(0_u32);
    for least in [5_000, 25_000] {
        let end = Instant::now() + Duration::from_secs(60);
        while count() < least {
            assert!(Instant::now() < end, "only {} rows arrive", count());
            thread::sleep(Duration::from_millis(20));
        }
        server.kill().unwrap();
        thread::sleep(Duration::from_millis(300));
        server.up().unwrap();
    }
    let ran: Ran = running.wait_with_output().unwrap().into();
    let told = fs::read_to_string(&log).unwrap();
    assert_eq!((ran.code, counts(&ran)["delivered"].as_u64()), (Some(0), Some(60_000)), "{told}");
    let read = "SELECT count(*), count(DISTINCT id), min(id), max(id) FROM t";
    assert_eq!(server.psql("wharf", read).unwrap(), "60000|60000|0|59999");
}

#[test]
fn credentials_that_are_refused_and_then_mended_lose_nothing() {
    let server = server();
    let name = database(server, "CREATE TABLE t (id int, text text)");
    let scratch = Scratch::new().unwrap();
    records(&scratch, 100);
    pipeline(&scratch, server, &name, &json!({}), &json!({}));
    let ran: Ran = wharf(&scratch, "not the password").output().unwrap().into();
    assert_eq!((ran.code, counts(&ran)["pending"].as_u64()), (Some(1), Some(100)), "{}", ran.stderr);
    assert!(ran.stderr.contains("password authentication failed") && !ran.stderr.contains("not the password"), "{}", ran.stderr);
    let ran = run(&scratch);
    assert_eq!((ran.code, counts(&ran)["delivered"].as_u64()), (Some(0), Some(100)), "{}", ran.stderr);
    assert!(!ran.stderr.contains(Postgres::PASSWORD), "{}", ran.stderr);
}

/// A source that does not end, so that the host runs until it is told otherwise.
fn endless() -> Value {
    json!({"pipeline.source": {"kind": "file", "path": "in.ndjson", "key": "/id", "follow": true}})
}

#[test]
fn a_destination_whose_password_is_mended_goes_on_when_it_is_resumed() {
    let server = server();
    let name = database(server, "CREATE TABLE t (id int, text text)");
    server
        .psql(
            &name,
            &format!("CREATE ROLE late LOGIN PASSWORD 'old'; GRANT ALL ON t TO late; GRANT CREATE ON DATABASE {name} TO late"),
        )
        .unwrap();
    let scratch = Scratch::new().unwrap();
    records(&scratch, 100);
    pipeline(&scratch, server, &name, &json!({"user": "late", "password": "new"}), &endless());
    let mut host = Host::start(&scratch, "p.yaml").unwrap();
    host.until(|host| Ok(host.status("p")?["destinations"][0]["state"] == "paused")).unwrap();
    let stands = &host.status("p").unwrap()["destinations"][0];
    assert!(stands["why"].as_str().unwrap().contains("password authentication failed"), "{stands}");
    server.psql(&name, "ALTER ROLE late PASSWORD 'new'").unwrap();
    host.ask(&["resume", "p/db"]).unwrap();
    host.delivered("p", 0, 100).unwrap();
    assert_eq!(server.psql(&name, "SELECT count(*), count(DISTINCT id) FROM t").unwrap(), "100|100");
}

#[test]
fn a_server_with_no_connection_left_gets_everything_once_it_has_one() {
    let server = Postgres::start().unwrap();
    server.psql("wharf", "CREATE TABLE t (id int, text text); CREATE ROLE app LOGIN PASSWORD 'right'; GRANT ALL ON t TO app; GRANT CREATE ON DATABASE wharf TO app").unwrap();
    let held = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(600%'";
    // Of 20 connections three are kept for the server's own people.
    let mut holders: Vec<Child> = (0..17)
        .map(|_| {
            server
                .client("wharf")
                .args(["-c", "SELECT pg_sleep(600)"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let end = Instant::now() + Duration::from_secs(60);
    while server.psql("wharf", held).unwrap() != "17" {
        assert!(Instant::now() < end, "the connections are not taken");
        thread::sleep(Duration::from_millis(50));
    }
    let scratch = Scratch::new().unwrap();
    records(&scratch, 100);
    pipeline(&scratch, &server, "wharf", &json!({"user": "app", "password": "right"}), &endless());
    let mut host = Host::start(&scratch, "p.yaml").unwrap();
    host.until(|host| Ok(host.log().contains("remaining connection slots are reserved"))).unwrap();
    assert_eq!(host.status("p").unwrap()["destinations"][0]["delivered"], 0);
    for holder in &mut holders {
        holder.kill().unwrap();
        holder.wait().unwrap();
    }
    server
        .psql("wharf", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(600%'")
        .unwrap();
    host.delivered("p", 0, 100).unwrap();
    assert_eq!(server.psql("wharf", "SELECT count(*), count(DISTINCT id) FROM t").unwrap(), "100|100");
}

#[test]
fn of_many_records_those_that_the_server_refuses_are_dead_letters_with_its_reason() {
    let server = server();
    let name = database(server, "CREATE TABLE t (id int CONSTRAINT is_not_37 CHECK (id % 100 <> 37), text text)");
    let scratch = Scratch::new().unwrap();
    records(&scratch, 100_000);
    pipeline(&scratch, server, &name, &json!({}), &json!({"pipeline.dead-letters": {"window": 100, "tolerance": 10}}));
    let ran = run(&scratch);
    let counts = counts(&ran);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert_eq!((counts["delivered"].as_u64(), counts["dead_lettered"].as_u64()), (Some(99_000), Some(1_000)));
    assert_eq!(server.psql(&name, "SELECT count(*), count(DISTINCT id) FROM t").unwrap(), "99000|99000");
    let listed = scratch.run(&["dead-letters", "list", "--limit", "1000", "--output", "json"]).unwrap();
    let says =
        r#"new row for relation \"t\" violates check constraint \"is_not_37\": Failing row contains (99937, record 99937)."#;
    assert!(listed.stdout.contains(says), "{}", &listed.stdout[..2000.min(listed.stdout.len())]);
}

#[test]
fn a_host_that_is_killed_again_and_again_writes_every_row_once() {
    const RECORDS: u32 = 100_000;
    let kills = if long() { 50 } else { 5 };
    let server = server();
    // A refused row on the way is refused once.
    let name = database(server, "CREATE TABLE t (id int CHECK (id <> 777), text text)");
    let scratch = Scratch::new().unwrap();
    records(&scratch, RECORDS);
    let rate = RECORDS / if long() { 40 } else { 6 };
    let source = |rate: Option<u32>| match rate {
        Some(rate) => json!({"kind": "file", "path": "in.ndjson", "key": "/id", "rate": rate}),
        None => json!({"kind": "file", "path": "in.ndjson", "key": "/id"}),
    };
    let of = |rate: Option<u32>| json!({"pipeline.source": source(rate), "pipeline.dead-letters": {"window": 100, "tolerance": 10}, "pipeline.batch": {"records": 700}});
    pipeline(&scratch, server, &name, &json!({}), &of(Some(rate)));
    let checked = scratch.wharf(&["check", "p.yaml"]).unwrap().env("PASSWORD", "").output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let mut instants = Vec::new();
    let count = || server.psql(&name, "SELECT count(*) FROM t").unwrap().parse::<u32>().unwrap();
    for kill in 0..kills {
        // Every other one falls into the start as it may; the rest come once rows of this run have arrived.
        let (instant, before) = (Duration::from_millis(RandomState::new().build_hasher().finish() % 900), count());
        instants.push(instant);
        let mut running = wharf(&scratch, Postgres::PASSWORD).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while kill % 2 == 1 && count() == before && running.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(instant / if kill % 2 == 1 { 3 } else { 1 });
        running.kill().unwrap();
        running.wait().unwrap();
    }
    assert!(count() < RECORDS - 1, "the last kill came too late: {instants:?}");
    pipeline(&scratch, server, &name, &json!({}), &of(None));
    let ran = run(&scratch);
    assert!(matches!(ran.code, Some(0 | 3)), "{instants:?}: {}", ran.stderr);
    let read = "SELECT count(*), count(DISTINCT id), min(id), max(id) FROM t";
    assert_eq!(server.psql(&name, read).unwrap(), "99999|99999|0|99999", "{instants:?}");
    let listed = scratch.run(&["dead-letters", "list", "--output", "json"]).unwrap();
    assert!(listed.stdout.contains("Failing row contains (777, record 777)"), "{instants:?}: {}", listed.stdout);
}

#[test]
fn the_page_has_the_example_and_every_setting_with_its_default() {
    wharf_tests::page::holds_connector("postgres", "examples/postgres.yaml");
}

#[test]
fn whether_the_server_is_there_and_lets_the_role_in_is_asked_without_a_trace() {
    let server = Postgres::start().unwrap();
    let database = database(&server, "CREATE TABLE t (id int)");
    let scratch = Scratch::new().unwrap();
    records(&scratch, 1);
    pipeline(&scratch, &server, &database, &json!({}), &json!({}));
    let probed = |password: &str| -> Ran {
        let mut wharf = scratch.wharf(&["check", "p.yaml", "--probe"]).unwrap();
        wharf.env("PASSWORD", password).output().unwrap().into()
    };
    let there = probed(Postgres::PASSWORD);
    assert!(there.code == Some(0) && there.stdout.contains("  db: reachable ("), "{}{}", there.stdout, there.stderr);
    let refused = probed("hunter2");
    let told = "NOT reachable: unauthorized: PostgreSQL at 127.0.0.1:";
    assert!(refused.code == Some(1) && refused.stdout.contains(told), "{}{}", refused.stdout, refused.stderr);
    assert!(!refused.stdout.contains("hunter2") && !refused.stderr.contains("hunter2"), "{}", refused.stdout);
    // The schema for how far it got is made by a run and not by this.
    let schemas = server.psql(&database, "SELECT count(*) FROM information_schema.schemata WHERE schema_name LIKE 'wharf%'");
    assert_eq!(schemas.unwrap().trim(), "0");
    drop(server);
    let gone = probed(Postgres::PASSWORD);
    assert!(
        gone.code == Some(1) && gone.stdout.contains("NOT reachable: transient: PostgreSQL at "),
        "{}{}",
        gone.stdout,
        gone.stderr
    );
}
