//! Computing without an end, in every call and in everything that runs around one.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    raw::Raw,
    row::{Outcome, Row, delivers, ends, refused},
};

/// The calls of a connector, by their names in the contract.
const CALLS: [&str; 6] = ["describe", "check", "open", "write", "ack", "close"];

/// What a call is spent with.
const WAYS: &[(&str, &str)] = &[
    ("a loop", "(loop (br 0))"),
    ("the clock", "(loop (drop (call $now)) (br 0))"),
    ("random numbers", "(loop (drop (call $random)) (br 0))"),
    ("the log's threshold", "(loop (drop (call $threshold)) (br 0))"),
    ("filling its memory", "(loop (memory.fill (i32.const 131072) (i32.const 1) (i32.const 8388608)) (br 0))"),
    ("copying its memory", "(loop (memory.copy (i32.const 131072) (i32.const 131073) (i32.const 8388608)) (br 0))"),
    ("filling its table", "(loop (table.fill $filled (i32.const 0) (ref.null func) (i32.const 1000)) (br 0))"),
    ("a large table of branches", "(loop (call $branches))"),
];

/// A function with a branch of 10,000 ways in it, called for ever.
fn branches() -> &'static str {
    let ways = "0 1 ".repeat(5000);
    format!("(func $branches (loop $on (block $out (br_table {ways} 1 (i32.wrap_i64 (call $now)))) (br $on)))").leak()
}

const FIELDS: &str = "(table $filled 1000 funcref) (func $deeper (call $deeper) (call $deeper))";

/// An animal that does this in a call.
fn in_call(call: &str, does: &'static str) -> Raw {
    let fields = format!("{FIELDS} {}", branches()).leak();
    // Room to fill and to copy.
    let grown = format!("(drop (memory.grow (i32.const 160))) {does}").leak();
    let mut raw = Raw { fields, ..Raw::default() };
    let place = match call {
        "describe" => &mut raw.describe,
        "check" => &mut raw.check,
        "open" => &mut raw.open,
        "write" => &mut raw.write,
        "ack" => &mut raw.ack,
        _ => &mut raw.close,
    };
    *place = grown;
    raw
}

/// Where a call ends its instance: what comes of it.
fn ended(call: &str, why: &str) -> Outcome {
    let words = format!("{call} ended its instance: {why}");
    match call {
        "describe" | "check" => refused(words),
        "open" | "write" => ends(words),
        // All is delivered by then: what goes wrong is told and hurts nobody.
        _ => delivers(words),
    }
}

/// No fuel but time.
fn timed(call: &str) -> Value {
    json!({"memory": "16MiB", "fuel-per-call": u64::MAX, "time": {call: "50ms"}})
}

/// The same with room for something large.
fn with_memory(mut limits: Value) -> Value {
    limits["memory"] = json!("64MiB");
    limits
}

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for call in CALLS {
        // Each way out of the fuel in each call is due in the long run alone: the limits are one code for all calls.
        let ways = if call == "write" || wharf_tests::long() { WAYS } else { &WAYS[..2] };
        for (way, does) in ways {
            let late = ended(call, &format!("took longer than 50ms (limits.time.{call})"));
            rows.push(Row::raw(format!("{way} in {call}, by time"), in_call(call, does), late).limits(timed(call)));
        }
        let fuel = if call == "write" { "20000001 units of fuel (limits.fuel-per-call and " } else { "20000000 units of fuel (" };
        let spent = ended(call, &format!("computed more than {fuel}"));
        let limits = json!({"memory": "16MiB", "fuel-per-call": 20_000_000, "fuel-per-record": 1});
        rows.push(Row::raw(format!("a loop in {call}, by fuel"), in_call(call, "(loop (br 0))"), spent).limits(limits));
        let deep = ended(call, "called itself too deeply: its stack has 512 KiB");
        rows.push(Row::raw(format!("recursion in {call}"), in_call(call, "(call $deeper)"), deep));
    }
    let start = "(func $forever (loop (br 0))) (start $forever)";
    let realloc = "(loop (br 0))";
    // Around the calls: what runs before the first, where arguments are copied in, and where an answer has been read.
    let around: [(&str, Raw, &str, Outcome); 4] = [
        (
            "the start function",
            Raw { fields: start, ..Raw::default() },
            "describe",
            ended("describe", "took longer than 50ms (limits.time.describe)"),
        ),
        (
            "cabi_realloc",
            Raw { realloc: "(if (i32.eq (local.get 3) (i32.const 8)) (then (loop (br 0))))", ..Raw::default() },
            "write",
            ended("write", "took longer than 50ms (limits.time.write)"),
        ),
        (
            "post-return",
            Raw { post_return: realloc, ..Raw::default() },
            "write",
            ended("write", "took longer than 50ms (limits.time.write)"),
        ),
        (
            "a destructor",
            Raw { destructor: "(loop (br 0))", write: "(call $drop (call $new (i32.const 1)))", ..Raw::default() },
            "write",
            ended("write", "took longer than 50ms (limits.time.write)"),
        ),
    ];
    for (place, raw, call, outcome) in around {
        rows.push(Row::raw(format!("a loop in {place}, by time"), raw, outcome).limits(timed(call)));
        let limits = json!({"fuel-per-call": 20_000_000, "fuel-per-record": 1});
        let spent = if call == "write" { "computed more than 20000001 units" } else { "computed more than 20000000 units" };
        rows.push(Row::raw(format!("a loop in {place}, by fuel"), raw, ended(call, spent)).limits(limits));
    }
    // The host itself drops no session: its store goes whole.
    let raw = Raw { destructor: "(loop (br 0))", ..Raw::default() };
    rows.push(Row::raw("a loop in the destructor of the session that the host holds", raw, delivers("")));
    // Each call of the host copies 8 MiB, and little fuel is used: hundreds of them would fit into one slice of it.
    let late = ended("write", "took longer than 50ms (limits.time.write)");
    let row = Row::hostile("ask-for-state-at-length", "write", 8 << 20, late);
    rows.push(row.limits(with_memory(timed("write"))).longest(Duration::from_secs(10)));
    for act in
        ["log", "count", "clock", "random", "ask-for-state", "ask-for-tokens", "lines-without-end", "timer-spin", "ready-spin"]
    {
        let late = ended("write", "took longer than 50ms (limits.time.write)");
        rows.push(Row::hostile(act, "write", 0, late).limits(timed("write")));
    }
    rows
}
