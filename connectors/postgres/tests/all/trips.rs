//! How often a batch goes to the server and back, and what becomes of one whose way back is cut.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    thread,
};

use wharf_postgres::connector::Postgres as Connector;
use wharf_sdk::{
    FailureKind,
    testing::{Harness, TestRecord, batch, deletion, record},
};

use crate::server::{Database, server};

/// Stands between a destination and the server, and counts how often the destination speaks after the server did.
struct Between {
    port: u16,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Whether the server spoke last.
    answered: AtomicBool,
    trips: AtomicU32,
    /// The trip whose answer is thrown away, and the connection with it.
    cut: AtomicU32,
}

impl Between {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let between = Self { port: listener.local_addr().unwrap().port(), seen: Arc::default() };
        let seen = between.seen.clone();
        thread::spawn(move || {
            for client in listener.incoming().map(Result::unwrap) {
                let server = TcpStream::connect(("127.0.0.1", server().port())).unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (one, other) = ((client.try_clone().unwrap(), server.try_clone().unwrap()), seen.clone());
                thread::spawn(move || relay(one.0, one.1, &|| other.asked()));
                let other = seen.clone();
                thread::spawn(move || relay(server, client, &|| other.answered()));
            }
        });
        between
    }

    fn destination(&self, database: &Database, settings: &[(&str, &str)]) -> Harness<Connector> {
        let port = self.port.to_string();
        let settings: Vec<_> = [("table", "t"), ("port", port.as_str())].iter().chain(settings).copied().collect();
        database.destination(&settings)
    }

    /// How many round trips something takes.
    fn trips<T>(&self, what: impl FnOnce() -> T) -> (u32, T) {
        let before = self.seen.trips.load(SeqCst);
        let came = what();
        (self.seen.trips.load(SeqCst) - before, came)
    }

    /// Loses the answer of a trip to come, counted from 1.
    fn cut(&self, trip: u32) {
        self.seen.cut.store(self.seen.trips.load(SeqCst) + trip, SeqCst);
    }
}

impl Seen {
    fn asked(&self) -> bool {
        if self.answered.swap(false, SeqCst) {
            self.trips.fetch_add(1, SeqCst);
        }
        true
    }

    fn answered(&self) -> bool {
        self.answered.store(true, SeqCst);
        let trip = self.trips.load(SeqCst);
        // Before the first there is none to be cut.
        trip == 0 || self.cut.compare_exchange(trip, 0, SeqCst, SeqCst).is_err()
    }
}

/// Hands on what comes, as long as `seen` lets it.
fn relay(mut from: TcpStream, mut to: TcpStream, seen: &dyn Fn() -> bool) {
    let mut piece = [0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        if !seen() || to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    // Whichever of them is gone already.
    let _gone = from.shutdown(Shutdown::Both);
    let _gone = to.shutdown(Shutdown::Both);
}

fn rows(from: u64, values: &[&str]) -> Vec<TestRecord> {
    (from..).zip(values).map(|(n, v)| record(format!(r#"{{"n": {n}, "v": {v}}}"#)).sequence(n)).collect()
}

const TABLE: &str = "CREATE TABLE t (n int PRIMARY KEY, v int CHECK (v < 100))";

#[test]
fn a_batch_takes_two_round_trips_and_one_more_for_each_step_of_a_search() {
    let between = Between::new();
    for mode in ["append", "upsert"] {
        let database = Database::new(TABLE);
        let destination = between.destination(&database, &[("mode", mode)]);
        let session = destination.open();
        // The first asks what the table is.
        session.write(&batch(rows(0, &["1", "2"])).id("cut-1")).assert_all_delivered();
        let (trips, answer) = between.trips(|| session.write(&batch(rows(2, &["3", "4", "5"])).id("cut-2")));
        answer.assert_all_delivered();
        assert_eq!(trips, 2, "{mode}");
        // What the host has settled goes with it.
        session.ack(["cut-1", "cut-2"]);
        let (trips, answer) = between.trips(|| session.write(&batch(rows(5, &["6"])).id("cut-3")));
        answer.assert_all_delivered();
        assert_eq!(trips, 2, "{mode}");
        // What makes no row is known before: it is noted in the same trip.
        let unfit = vec![record("[]").sequence(6), record(r#"{"n": 7, "v": 8}"#).sequence(7)];
        let (trips, answer) = between.trips(|| session.write(&batch(unfit).id("cut-4")));
        answer.assert_failed(0, FailureKind::Rejected).assert_delivered(1);
        assert_eq!(trips, 2, "{mode}");
        // Where `COPY` says which line it was, those before it go in, and those behind it; else four are halved three times down to the third of them,
        // with one trip for each piece. What came of them is noted in one more.
        let (trips, answer) = between.trips(|| session.write(&batch(rows(8, &["9", "10", "100", "12"])).id("cut-5")));
        answer.assert_delivered(0..2).assert_failed(2, FailureKind::Rejected).assert_delivered(3);
        assert_eq!(trips, if mode == "append" { 1 + 3 + 1 } else { 1 + 5 + 1 }, "{mode}");
        // All of it is of before: nothing but what is known of it is asked.
        let (trips, answer) = between.trips(|| session.write(&batch(rows(8, &["9", "10", "100", "12"])).id("cut-5")));
        answer.assert_delivered(0..2).assert_failed(2, FailureKind::Rejected).assert_delivered(3);
        assert_eq!(trips, 3, "{mode}");
        assert_eq!(database.psql("SELECT count(*), sum(v) FROM t"), "10|60", "{mode}");
    }
}

#[test]
fn rows_put_in_place_and_rows_removed_and_several_tables_take_one_more_each() {
    let between = Between::new();
    let database = Database::new(&format!("{TABLE}; CREATE TABLE u (LIKE t INCLUDING ALL)"));
    let destination = between.destination(&database, &[("mode", "upsert"), ("table", "{{meta:to}}")]);
    let session = destination.open();
    let to = |table: &str, rows: Vec<TestRecord>| rows.into_iter().map(|row| row.meta("to", table)).collect::<Vec<_>>();
    let both = |from| [to("t", rows(from, &["1", "2"])), to("u", rows(from + 2, &["3"]))].concat();
    session.write(&batch(both(0)).id("cut-1")).assert_all_delivered();
    let (trips, answer) = between.trips(|| session.write(&batch(both(10)).id("cut-2")));
    answer.assert_all_delivered();
    assert_eq!(trips, 3);
    let removed = vec![deletion(r#"{"n": 0}"#).sequence(20), record(r#"{"n": 21, "v": 4}"#).sequence(21)];
    let (trips, answer) = between.trips(|| session.write(&batch(to("t", removed)).id("cut-3")));
    answer.assert_all_delivered();
    assert_eq!(trips, 3);
    assert_eq!(database.psql("SELECT string_agg(n::text, ',' ORDER BY n) FROM t"), "1,10,11,21");
    assert_eq!(database.psql("SELECT string_agg(n::text, ',' ORDER BY n) FROM u"), "2,12");
}

#[test]
fn where_the_answer_to_the_last_round_trip_is_lost_nothing_is_written_twice() {
    let between = Between::new();
    for mode in ["append", "upsert"] {
        // There is no key to hide a row that is there twice.
        let database = Database::new("CREATE TABLE t (n int, v int CHECK (v < 100), place bigserial, UNIQUE (n, place))");
        let settings = [("mode", mode), ("key.0", "n"), ("key.1", "place")];
        let settings = if mode == "append" { &settings[..1] } else { &settings };
        let rows = |from| -> Vec<TestRecord> {
            (from..from + 3).map(|n| record(format!(r#"{{"n": {n}, "v": 1, "place": {n}}}"#)).sequence(n)).collect()
        };
        let destination = between.destination(&database, settings);
        let session = destination.open();
        session.write(&batch(rows(0)).id("cut-1")).assert_all_delivered();
        // It was committed.
        between.cut(2);
        session.write(&batch(rows(3)).id("cut-2")).assert_failed(0..3, FailureKind::Transient);
        session.write(&batch(rows(3)).id("cut-2")).assert_all_delivered();
        assert_eq!(database.psql("SELECT count(*), count(DISTINCT n) FROM t"), "6|6", "{mode}");
        // Without the tables that tell, rows are sent before the `COMMIT`: that their answer is lost is known to have written nothing.
        let settings: Vec<_> = settings.iter().copied().chain([("exactly-once", "false")]).collect();
        let destination = between.destination(&database, &settings);
        let session = destination.open();
        session.write(&batch(rows(6)).id("cut-3")).assert_all_delivered();
        let (trips, answer) = between.trips(|| session.write(&batch(rows(9)).id("cut-4")));
        answer.assert_all_delivered();
        assert_eq!(trips, 3, "{mode}");
        between.cut(2);
        session.write(&batch(rows(12)).id("cut-5")).assert_failed(0..3, FailureKind::Transient);
        session.write(&batch(rows(12)).id("cut-5")).assert_all_delivered();
        assert_eq!(database.psql("SELECT count(*), count(DISTINCT n) FROM t"), "15|15", "{mode}");
        between.cut(3);
        session.write(&batch(rows(15)).id("cut-6")).assert_failed(0..3, FailureKind::Uncertain);
        assert_eq!(database.psql("SELECT count(*), count(DISTINCT n) FROM t"), "18|18", "{mode}");
    }
}
