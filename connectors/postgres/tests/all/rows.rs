//! What a record becomes in a table.

use wharf_sdk::{
    FailureKind, Operation,
    testing::{Fate, batch, deletion, record},
};

use crate::server::Database;

#[test]
fn values_are_what_the_types_of_the_columns_read() {
    let database = Database::new(
        "CREATE TABLE t (i int4, n numeric(30,10), t text, b boolean, ts timestamptz, d date, a int[], ta text[], j jsonb, y bytea, v varchar(5))",
    );
    let destination = database.destination(&[("table", "t")]);
    let session = destination.open();
    let good = r#"{"i": 7, "n": 12345678901234567890.0123456789, "t": "tab\t line\n \\N \"ü\"", "b": true, "ts": 1517966773840, "d": "2018-02-07",
        "a": [1, null, 3], "ta": ["x", "a\"b,{}"], "j": {"x": [1.50, "\\"]}, "y": "AP8=", "v": "12345"}"#;
    let records = [
        record(good),
        record(r#"{"i": null, "t": "", "unmentioned": null}"#),
        record(r#"{"t": "nul\u0000"}"#),
        record(r#"{"i": 99999999999}"#),
        record(r#"{"v": "123456"}"#),
        record("[1]"),
        record("{"),
        record(r#"{"t": "last"}"#),
    ];
    let answer = session.write(&batch(records));
    answer.assert_delivered(0).assert_failed(1..7, FailureKind::Rejected).assert_delivered(7);
    let why = |at: usize| match &answer.fates()[at] {
        Fate::Failed(failure) => failure.message().to_owned(),
        other => panic!("{other:?}"),
    };
    assert!(why(1).starts_with("t has no column `unmentioned`: add it"), "{}", why(1));
    assert!(why(2).ends_with("has a NUL in it, which text in PostgreSQL cannot have"), "{}", why(2));
    assert!(why(3).contains("out of range"), "{}", why(3));
    // What does not fit is refused, not cut.
    assert_eq!(why(4), "value too long for type character varying(5)");
    let read = "SELECT i, n, t = E'tab\\t line\\n \\\\N \"ü\"', b, ts, d, a, ta, j, y, v FROM t WHERE i = 7";
    let expected = r#"7|12345678901234567890.0123456789|t|t|2018-02-07 01:26:13.84+00|2018-02-07|{1,NULL,3}|{x,"a\"b,{}"}|{"x": [1.50, "\\"]}|\x00ff|12345"#;
    assert_eq!(database.psql(&format!("SET timezone = 'UTC'; {read}")), expected);
    assert_eq!(database.psql("SELECT count(*) FROM t"), "2");
}

#[test]
fn a_column_that_a_record_says_nothing_of_has_its_default() {
    let database = Database::new("CREATE TABLE t (id serial PRIMARY KEY, a int DEFAULT 5, b int)");
    let destination = database.destination(&[("table", "t")]);
    destination.open().write(&batch([r#"{"b": 1}"#, r#"{"a": null, "b": 2}"#, "{}"])).assert_all_delivered();
    assert_eq!(database.psql("SELECT a, b FROM t ORDER BY b"), "5|1\n|2\n5|");
}

#[test]
fn rows_are_put_in_place_by_their_key_and_deletes_remove_them() {
    let database = Database::new(
        "CREATE TABLE t (k text, n int, v text DEFAULT 'd', w text, PRIMARY KEY (k, n)); INSERT INTO t VALUES ('old', 1, 'x', 'y')",
    );
    let destination = database.destination(&[("table", "public.t"), ("mode", "upsert")]);
    let session = destination.open();
    let update = |text: &str| record(text).operation(Operation::Update);
    let records = [
        record(r#"{"k": "a", "n": 1, "v": "first", "w": "w"}"#),
        update(r#"{"k": "a", "n": 1, "v": "second"}"#),
        record(r#"{"k": "b", "n": 1, "v": "x"}"#),
        deletion(r#"{"k": "b", "n": 1}"#),
        record(r#"{"k": "c", "n": 1, "v": "x", "w": "gone with the delete"}"#),
        deletion("unused").before(r#"{"k": "c", "n": 1, "v": "x"}"#),
        record(r#"{"k": "c", "n": 1}"#),
        deletion(r#"{"k": "old", "n": 1}"#),
        deletion("not the whole key"),
        record(r#"{"k": "d", "v": "no n"}"#),
    ];
    let answer = session.write(&batch(records));
    answer.assert_delivered(0..8).assert_failed(8..10, FailureKind::Rejected);
    assert_eq!(database.psql("SELECT * FROM t ORDER BY k"), "a|1|second|w\nc|1|d|");
}

#[test]
fn where_the_last_of_a_key_is_refused_the_one_before_it_stands() {
    let database = Database::new("CREATE TABLE t (k int PRIMARY KEY, v int CHECK (v < 100))");
    let destination = database.destination(&[("table", "t"), ("mode", "upsert")]);
    let rows: Vec<String> =
        (0..200).map(|n| format!(r#"{{"k": {}, "v": {}}}"#, n % 7, if n % 10 == 9 { 500 } else { n % 90 })).collect();
    let answer = destination.open().write(&batch(&rows));
    for (n, fate) in answer.fates().iter().enumerate() {
        // One that another took the place of is not there to be seen, whatever it was.
        let overtaken = (n + 7..200).step_by(7).any(|later| later % 10 != 9);
        assert_eq!(*fate == Fate::Delivered, n % 10 != 9 || overtaken, "{n}: {fate:?}");
    }
    assert!(answer.fates().iter().any(|fate| *fate != Fate::Delivered));
    let expected: Vec<String> = (0..7)
        .map(|key| {
            let last = (0..200).rev().find(|n| n % 7 == key && n % 10 != 9).unwrap();
            format!("{key}|{}", last % 90)
        })
        .collect();
    assert_eq!(database.psql("SELECT * FROM t ORDER BY k"), expected.join("\n"));
}

#[test]
fn a_key_that_is_too_large_for_the_index_is_refused_and_no_other() {
    // Random, so that it does not get smaller.
    let mut seed = 1_u64;
    let letters = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + (seed >> 33) as u8 % 26)
    });
    let large: String = letters.take(20_000).collect();
    for mode in ["append", "upsert"] {
        let database = Database::new("CREATE TABLE t (id text PRIMARY KEY)");
        let destination = database.destination(&[("table", "t"), ("mode", mode)]);
        let rows = [r#"{"id": "a"}"#.to_owned(), format!(r#"{{"id": "{large}"}}"#), r#"{"id": "b"}"#.to_owned()];
        let answer = destination.open().write(&batch(&rows));
        answer.assert_delivered(0).assert_failed(1, FailureKind::Rejected).assert_delivered(2);
        assert_eq!(database.psql("SELECT id FROM t ORDER BY id"), "a\nb");
    }
}

#[test]
fn columns_may_come_from_anywhere_in_the_record() {
    let database = Database::new(
        "CREATE TABLE \"His\"\"tory\" (at bigint, ord int, op text, id text, mag numeric, who text, doc jsonb, part text)",
    );
    let destination = database.destination(&[
        ("table", "{{meta:t}}"),
        ("columns.at", "sequence"),
        ("columns.ord", "ordinal"),
        ("columns.op", "operation"),
        ("columns.id", "key"),
        ("columns.mag", "/properties/mag"),
        ("columns.who", "meta:who"),
        ("columns.doc", "after"),
        ("columns.part", "partition"),
    ]);
    let first =
        record(r#"{"properties": {"mag": 1.10}}"#).key("k1").meta("who", "me").meta("t", "His\"tory").sequence(4).ordinal(2);
    let second = deletion("k2").meta("t", "His\"tory").sequence(9);
    destination.open().write(&batch([first, second]).partition("here")).assert_all_delivered();
    let read = "SELECT * FROM \"His\"\"tory\" ORDER BY at";
    assert_eq!(database.psql(read), "4|2|create|k1|1.10|me|{\"properties\": {\"mag\": 1.10}}|here\n9|0|delete|k2||||here");
}

#[test]
fn a_table_is_made_and_widened_where_it_may_be_and_the_rest_goes_into_one_column() {
    let database = Database::new("CREATE TABLE kept (a int, rest jsonb)");
    let missing = database.destination(&[("table", "made")]);
    let answer = missing.open().write(&batch([r#"{"a": 1}"#]));
    answer.assert_failed(0, FailureKind::Fatal);
    assert!(answer.failure().unwrap().message().contains("there is no table made"));

    let settings = [("table", "made"), ("mode", "upsert"), ("create", "true"), ("widen", "true"), ("key.0", "id")];
    let made = database.destination(&settings);
    let session = made.open();
    session
        .write(&batch([r#"{"id": 1, "n": 1, "f": true}"#, r#"{"id": 2, "n": 1.5, "s": "x", "o": {"a": 1}, "z": null}"#]))
        .assert_all_delivered();
    let next = batch([record(r#"{"id": 2, "more": [1]}"#).sequence(5), record(r#"{"id": 3, "n": 2}"#).sequence(6)]);
    session.write(&next).assert_all_delivered();
    let kinds = "SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_name = 'made'";
    assert_eq!(database.psql(kinds), "id bigint, n numeric, f boolean, s text, o jsonb, z text, more jsonb");
    assert_eq!(database.psql("SELECT id, n, s, more FROM made ORDER BY id"), "1|1||\n2|1.5|x|[1]\n3|2||");

    let rest = database.destination(&[("table", "kept"), ("rest", "rest"), ("progress-schema", "other")]);
    rest.open().write(&batch([r#"{"a": 1, "b": "x", "c": {"d": 1.0}}"#, r#"{"a": 2}"#])).assert_all_delivered();
    assert_eq!(database.psql("SELECT * FROM kept ORDER BY a"), "1|{\"b\": \"x\", \"c\": {\"d\": 1.0}}\n2|");
}

#[test]
fn settings_that_make_no_sense_are_told_by_name() {
    let database = Database("none".into());
    for (given, says) in [
        (&[("columns.a", "b")][..], "`columns.a` is `b`: neither a JSON pointer"),
        (&[("table", "{{a}}")], "`table` has the place {{a}}"),
        (&[("key.0", "id")], "`key` is for `mode: upsert`"),
        (&[("mode", "upsert"), ("key.0", "id"), ("columns.a", "/a")], "`key` has the column `id`"),
        (&[("mode", "upsert"), ("create", "true")], "`key` is missing"),
        (&[("root-certificate", "x")], "`root-certificate` is for `tls: verify-full` alone"),
        (&[("rest", "a"), ("columns.a", "/a")], "`rest` is a column of `columns` too"),
    ] {
        let mut settings = given.to_vec();
        if given.iter().all(|(name, _)| *name != "table") {
            settings.push(("table", "t"));
        }
        let problems: Vec<String> = database.destination(&settings).check().iter().map(ToString::to_string).collect();
        assert!(problems.len() == 1 && problems[0].starts_with(says), "{given:?}: {problems:?}");
    }
}
