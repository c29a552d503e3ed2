//! Floods: of output, of words, of figures, of random bytes; and what a program has and a component has not.

use serde_json::json;

use crate::row::{Row, delivers, ends};

pub fn rows() -> Vec<Row> {
    // 64 KiB each: 64 MiB on one line, and 1 GiB where time is no object.
    let pieces = if wharf_tests::long() { 16 << 10 } else { 1 << 10 };
    let patient = || json!({"fuel-per-call": u64::MAX, "time": {"write": "300s"}});
    let long = |row: Row| row.limits(patient()).longest(std::time::Duration::from_secs(300)).growth(96);
    let cut = pieces * (64 << 10) - (64 << 10);
    vec![
        long(Row::hostile("one-line", "write", pieces, delivers(format!("cut={cut}")))),
        long(Row::hostile("lines", "write", 20_000, delivers(r"line 0 \u{1b}[2J"))),
        long(Row::hostile("noise", "write", 4_000, delivers(""))),
        // A megabyte of escapes.
        Row::hostile("fail-at-length", "write", 1 << 16, ends(r"fatal: \u{1b}[2J\u{1b}]0;title\u{7}\u{202e}é")),
        Row::hostile("remark-at-length", "write", 1 << 16, delivers("delivered with a remark: ")),
        Row::hostile(
            "fail-at-length",
            "write",
            8 << 20,
            ends("handed over more than 32MiB in one call (limits.host-call-bytes)"),
        )
        .named("fails at a length of 140 MiB"),
        Row::faulty(
            "log",
            "write",
            200_000,
            ends("write ended its instance: handed over more than 64KiB in one call (limits.host-call-bytes)"),
        )
        .limits(json!({"host-call-bytes": "64KiB"})),
        Row::faulty(
            "remark",
            "write",
            200_000,
            ends("write ended its instance: handed over more than 64KiB in one call (limits.host-call-bytes)"),
        )
        .limits(json!({"host-call-bytes": "64KiB"})),
        Row::hostile("cardinality", "write", 100_000, delivers("")),
        Row::hostile(
            "random-bytes",
            "write",
            0,
            ends("asked for more than 64KiB of random bytes in one call (limits.random-bytes)"),
        ),
        Row::hostile(
            "random-bytes",
            "write",
            1 << 32,
            ends("asked for more than 64KiB of random bytes in one call (limits.random-bytes)"),
        )
        .named("4 GiB of random bytes"),
        Row::hostile("random-bytes-without-end", "write", 64 << 10, ends("took longer than 50ms (limits.time.write)"))
            .limits(json!({"fuel-per-call": u64::MAX, "time": {"write": "50ms"}})),
        Row::hostile("exit", "write", 0, ends("write ended its instance: called exit(0), which a connector must not")),
        Row::hostile("exit", "open", 0, ends("open ended its instance: called exit(0), which a connector must not")),
        Row::faulty("exit", "write", 0, ends("write ended its instance: called exit(1), which a connector must not")),
    ]
}
