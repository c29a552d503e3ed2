//! Processors: what harms in a destination harms here, in the calls that a processor has; and answers that break the contract, of which each
//! is halved down to the record that it is wrong for.

use serde_json::{Value, json};

use crate::row::{Outcome, Role, Row, delivers, ends, refused};

pub fn rows() -> Vec<Row> {
    [spent(), waited(), taken(), said(), answered(), bounded()].into_iter().flatten().collect()
}

const CALLS: [&str; 4] = ["check", "open", "process", "close"];

/// Where a call ends its instance: what comes of it.
fn ended(call: &str, why: &str) -> Outcome {
    let words = format!("{call} ended its instance: {why}");
    match call {
        "check" => refused(words),
        "open" | "process" => ends(words),
        // All is delivered by then: what goes wrong is told and hurts nobody.
        _ => delivers(words),
    }
}

fn late(call: &str) -> Outcome {
    ended(call, &format!("took longer than 50ms (limits.time.{call})"))
}

/// No fuel but time.
fn timed(call: &str) -> Value {
    json!({"memory": "16MiB", "fuel-per-call": u64::MAX, "time": {call: "50ms"}})
}

/// Computes without an end.
fn spent() -> Vec<Row> {
    let mut rows = Vec::new();
    for call in CALLS {
        rows.push(
            Row::hostile_processor("loop", call, 0, late(call)).limits(timed(call)).named(format!("loop in {call}, by time")),
        );
        let fuel =
            if call == "process" { "20000001 units of fuel (limits.fuel-per-call and " } else { "20000000 units of fuel (" };
        let limits = json!({"memory": "16MiB", "fuel-per-call": 20_000_000, "fuel-per-record": 1});
        let row = Row::hostile_processor("loop", call, 0, ended(call, &format!("computed more than {fuel}")));
        rows.push(row.limits(limits).named(format!("loop in {call}, by fuel")));
    }
    for act in
        ["log", "count", "clock", "random", "ask-for-state", "ask-for-tokens", "lines-without-end", "timer-spin", "ready-spin"]
    {
        rows.push(Row::hostile_processor(act, "process", 0, late("process")).limits(timed("process")));
    }
    let of_destination = Row::hostile_processor("loop", "process", 0, late("process")).limits(timed("process"));
    rows.push(of_destination.role(Role::OfDestination).named("loop in process, on the way to one destination"));
    rows
}

/// Waits without an end.
fn waited() -> Vec<Row> {
    let row = |call: &&str| Row::hostile_processor("sleep", call, 0, late(call)).limits(json!({"time": {*call: "50ms"}}));
    let mut rows: Vec<Row> = CALLS.iter().map(row).collect();
    let of_destination = row(&"process").role(Role::OfDestination);
    rows.push(of_destination.named("sleep in process, on the way to one destination"));
    rows
}

/// Takes what it may not: memory, handles, files; or ends.
fn taken() -> Vec<Row> {
    let small = || json!({"memory": "16MiB", "handles": 100});
    let too_many = || ended("process", "held more than 100 handles (limits.handles)");
    let mut rows = Vec::new();
    for call in CALLS {
        rows.push(Row::hostile_processor("grow", call, 0, ended(call, "wanted ")).limits(small()));
        rows.push(Row::hostile_processor("panic", call, 0, ended(call, "wasm trap: wasm `unreachable` instruction executed")));
        rows.push(Row::hostile_processor("exit", call, 0, ended(call, "called exit(0), which a connector must not")));
    }
    let granted = json!({"directories": [{"host": "granted", "guest": "/granted", "access": "read-write"}]});
    rows.extend([
        Row::hostile_processor("churn", "process", 12 << 20, late("process")).limits(timed("process")),
        Row::hostile_processor("keep-pollables", "process", 1_000_000, too_many()).limits(small()),
        Row::hostile_processor("keep-files", "process", 1_000_000, too_many()).limits(small()).grants(granted),
        Row::hostile_processor("forge", "process", 77, ended("process", "unknown handle index 77")),
        Row::hostile_processor(
            "random-bytes",
            "process",
            0,
            ended("process", "asked for more than 64KiB of random bytes in one call (limits.random-bytes)"),
        ),
        Row::mangles("panic", 0, ended("process", "")).role(Role::OfDestination),
        Row::mangles("nonsense", 0, ended("process", "")),
    ]);
    rows
}

/// Says more than anybody reads, or what a processor may not.
fn said() -> Vec<Row> {
    let patient = || json!({"fuel-per-call": u64::MAX, "time": {"process": "300s"}});
    let long = |row: Row| row.limits(patient()).longest(std::time::Duration::from_secs(300)).growth(96);
    let over = || ended("process", "handed over more than 1MiB in one call (limits.host-call-bytes)");
    let brief = || json!({"host-call-bytes": "1MiB"});
    vec![
        long(Row::hostile_processor("one-line", "process", 256, delivers("cut="))),
        long(Row::hostile_processor("lines", "process", 20_000, delivers(r"line 0 \u{1b}[2J"))),
        Row::hostile_processor("cardinality", "process", 100_000, delivers("")),
        Row::mangles("fail", 100_000, Outcome::Each(&["no "])),
        Row::mangles("fail-a-record-at-length", 100_000, Outcome::Each(&[r"\u{1b}[2J\u{7}é"])),
        Row::mangles("answer-at-length", 3 << 20, over()).limits(brief()),
        Row::mangles("progress", 0, ended("process", "progress was reported outside of write")),
        Row::mangles("follow-ups", 0, Outcome::Each(&["not granted"])),
        Row::mangles("fail-open", 0, ends("fatal: open failed: told not to open")),
        Row::mangles("fail-close", 0, delivers("told not to close")),
    ]
}

/// Answers that break the contract. What is wrong for four records and not for one comes right in the end.
fn answered() -> Vec<Row> {
    let each = |act: &str, amount: u64, words: &'static [&'static str]| Row::mangles(act, amount, Outcome::Each(words));
    let healed = |act: &str, words: &str| Row::mangles(act, 0, delivers(words));
    vec![
        each("nothing", 0, &["the processor leaves out record 0: nothing came of it"]),
        each("forget", 0, &["the processor leaves out record 0: nothing came of it"]),
        each("count-without-end", 0, &["the processor made 4294967295 records, and 100000 are the most (limits.records-out)"]),
        each("many", 100_001, &["the processor made 100001 records, and 100000 are the most (limits.records-out)"]),
        each("parents-short", 0, &["the processor made 1 records and named 0 parents"]),
        each("parents-outside", 0, &["the processor says that record 0 came of record 1 in a batch of 1"]),
        healed("parents-falling", "the processor says that record 1 came of record 2, and the one before it of a later one"),
        each("twice", 0, &["the processor names record 0 twice"]),
        each("filtered-outside", 0, &["the processor has the span 0..4294967295 in a batch of 1 records"]),
        each("filtered-backwards", 0, &["the processor has the span 3..1, which holds no record"]),
        each("warn", 0, &["the processor has a verdict on the records 0..1 that is not `failed`"]),
        // Of one record it is the last.
        Row::mangles("fatal-first", 0, ends("processor bad (guest-mangles 0.1.0): fatal: told to fail")),
        each("column-short", 0, &["the processor's column after has 0 values for 1 records"]),
        each("column-empty", 0, &["the processor's column key has no offset for 1 records"]),
        each("column-start", 0, &["the processor's column before has offsets that start at 1, not at 0"]),
        healed("column-falls", "the processor's column after has offsets that fall after value 1"),
        each("column-end", 0, &["the processor's column after has offsets up to 4294967295 in 2 bytes"]),
        each("validity", 0, &["the processor's column after has 7 bytes of validity for 1 records"]),
        each("operations-short", 0, &["the processor made 1 records and named 0 operations"]),
        each("operation", 0, &["the processor gave record 0 the operation 200; 0 to 3 are all there are"]),
        each("content-type", 0, &["the processor gave the media type \"text/"]),
        each("metadata", 65, &["the processor made 65 metadata columns; 64 are the most"]),
        each("metadata", 100_000, &["the processor made 100000 metadata columns; 64 are the most"]),
        each("name", 300, &["the processor named a metadata column \"xxx"]),
        each("name", 0, &["the processor named a metadata column \"\""]),
        each("name", 8 << 20, &["the processor named a metadata column \"xxx"]),
        each("name-twice", 0, &["the processor named the metadata column x twice"]),
        each("nothing", 0, &["the processor leaves out record 0: nothing came of it"])
            .role(Role::OfDestination)
            .named("a processor's answer on the way to one destination: nothing"),
    ]
}

/// As many and as much as may be is no breach; one more is.
fn bounded() -> Vec<Row> {
    let kib = || json!({"bytes-out": "1KiB"});
    vec![
        Row::mangles("many", 100_000, delivers("")).records(1, 1),
        Row::mangles("metadata", 64, delivers("")),
        Row::mangles("many", 1024, delivers("")).records(1, 1).limits(kib()).named("as many bytes as may come out"),
        Row::mangles(
            "many",
            1025,
            Outcome::Each(&["the processor made 1025 bytes of records, and 1024 are the most (limits.bytes-out)"]),
        )
        .records(1, 1)
        .limits(kib())
        .named("more bytes than may come out"),
    ]
}
