//! What a component hands over as bytes in its memory: pointers and lengths that lead nowhere, and values that its types do not have.

use serde_json::json;

use crate::{
    raw::Raw,
    row::{Row, delivers, ends, refused},
};

/// An answer of `write` that is a failure: kind, message at and of this length, no code, no wait.
fn failure(kind: &str, at: &str, length: &str) -> Option<&'static str> {
    Some(
        format!(r"\01\00\00\00 \{kind}\00\00\00 {at} {length} \00\00\00\00 \00\00\00\00 \00\00\00\00 \00\00\00\00 \00\00\00\00")
            .leak(),
    )
}

/// An answer that is a receipt: where its lists are and how long, as little-endian numbers of four bytes.
fn receipt(delivered: [&str; 2], verdicts: [&str; 2]) -> Option<&'static str> {
    let ([at, length], [verdicts, many]) = (delivered, verdicts);
    Some(format!(r"\00\00\00\00 {at} {length} {verdicts} {many}").leak())
}

const ZERO: &str = r"\00\00\00\00";
const ONE: &str = r"\01\00\00\00";
/// 512, where `lists` stand.
const LISTS: &str = r"\00\02\00\00";
/// 2^32 - 1.
const LAST: &str = r"\ff\ff\ff\ff";
/// Zeroes that `write` asked for: 15 million items of 16 bytes are 240 MB.
const ROOM: &str = "(drop (memory.grow (i32.const 3700)))";
const AT_ROOM: &str = r"\00\00\02\00";
const FIFTEEN_MILLION: &str = r"\c0\e1\e4\00";

pub fn rows() -> Vec<Row> {
    [answers(), lists(), reallocations(), descriptions()].into_iter().flatten().collect()
}

/// What `write` answers with.
fn answers() -> Vec<Row> {
    let answer = |answer: Option<&'static str>| Raw { answer, ..Raw::default() };
    let bad = |words: &str| ends(format!("destination bad (raw 1.2.3): write ended its instance: {words}"));
    let at = |pointer: &str| Raw { write: format!("(return (i32.const {pointer}))").leak(), ..Raw::default() };
    let text = |bytes| Raw { answer: failure("04", LISTS, r"\04\00\00\00"), lists: bytes, ..Raw::default() };
    vec![
        Row::raw("an answer that is not aligned", at("209"), bad("return pointer not aligned")),
        Row::raw("an answer beyond its memory", at("131064"), bad("pointer out of bounds")),
        Row::raw("an answer at the end of the address space", at("-4"), bad("pointer out of bounds")),
        Row::raw("a result that is neither", answer(Some(r"\05")), bad("invalid expected discriminant")),
        Row::raw("a failure of no kind", answer(failure("09", LISTS, ZERO)), bad("unexpected discriminant")),
        Row::raw("a failure of the kind 255", answer(failure("ff", LISTS, ZERO)), bad("unexpected discriminant")),
        Row::raw(
            "an outcome of no kind",
            Raw { answer: receipt([ZERO, ZERO], [LISTS, ONE]), lists: r"\00\00\00\00\01\00\00\00\07", ..Raw::default() },
            bad("unexpected discriminant"),
        ),
        Row::raw(
            "an option that is neither",
            answer(Some(r"\01\00\00\00 \00\00\00\00 \00\02\00\00 \00\00\00\00 \02\00\00\00")),
            bad("invalid option discriminant"),
        ),
        Row::raw("a message of 4 GiB - 1", answer(failure("00", ZERO, LAST)), bad("string pointer/length out of bounds")),
        Row::raw(
            "a message at the end of the address space",
            answer(failure("00", LAST, LAST)),
            bad("string pointer/length out of bounds"),
        ),
        Row::raw("a message that is not UTF-8", text(r"\ff\fe\fd\fc"), bad("invalid utf-8")),
        Row::raw("a message with a surrogate", text(r"a\ed\a0\80"), bad("invalid utf-8")),
        Row::raw("a message that is cut in a character", text(r"abc\c3"), bad("incomplete utf-8")),
        Row::raw(
            "a message of 60 MiB",
            Raw { write: ROOM, answer: failure("05", AT_ROOM, r"\00\00\c0\03"), ..Raw::default() },
            bad("handed over more than 32MiB in one call (limits.host-call-bytes)"),
        )
        .growth(128),
    ]
}

/// Lists in an answer.
fn lists() -> Vec<Row> {
    let raw = |write, answer| Raw { write, answer, ..Raw::default() };
    let bad = |words: &str| ends(format!("destination bad (raw 1.2.3): write ended its instance: {words}"));
    let too_much = || bad("handed over more than 32MiB in one call (limits.host-call-bytes)");
    // 2,000 verdicts at `ROOM`, each a remark with the same text of 1 MiB of zeroes.
    let aliased = "(drop (memory.grow (i32.const 100)))
        (loop $next
            (i32.store (i32.add (i32.const 131076) (i32.mul (local.get $i) (i32.const 44))) (i32.const 1))
            (i32.store (i32.add (i32.const 131084) (i32.mul (local.get $i) (i32.const 44))) (i32.const 1048576))
            (i32.store (i32.add (i32.const 131088) (i32.mul (local.get $i) (i32.const 44))) (i32.const 1048576))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const 2000))))";
    vec![
        Row::raw(
            "a list of 2^32 - 1 spans",
            raw("", receipt([ZERO, LAST], [ZERO, ZERO])),
            bad("list pointer/length out of bounds of memory"),
        ),
        Row::raw("a list that begins beyond its memory", raw("", receipt([LAST, ONE], [ZERO, ZERO])), bad("")),
        Row::raw(
            "a list that is not aligned",
            raw("", receipt([r"\01\01\00\00", ONE], [ZERO, ZERO])),
            bad("list pointer is not aligned"),
        ),
        Row::raw("15 million spans of nothing", raw(ROOM, receipt([AT_ROOM, FIFTEEN_MILLION], [ZERO, ZERO])), too_much()),
        Row::raw("5 million verdicts of nothing", raw(ROOM, receipt([ZERO, ZERO], [AT_ROOM, r"\40\4b\4c\00"])), too_much()),
        Row::raw(
            "2,000 remarks with one text of 1 MiB",
            raw(aliased, receipt([ZERO, ZERO], [AT_ROOM, r"\d0\07\00\00"])),
            too_much(),
        )
        .growth(160),
        // The same as an honest one has it, but for 3 million spans: within what it may hand over, and no receipt for one record.
        Row::raw(
            "3 million spans of nothing",
            raw(ROOM, receipt([AT_ROOM, r"\c0\c6\2d\00"], [ZERO, ZERO])),
            ends("the receipt has the span 0..0, which holds no record"),
        ),
    ]
}

/// What is given where the host asks for room.
fn reallocations() -> Vec<Row> {
    // Where the offsets of the batch are to lie, which are 8 bytes; `open` and `check` take no settings, and ask for no bytes before.
    let for_offsets = |answer: &str| {
        let realloc = format!("(if (i32.eq (local.get 3) (i32.const 8)) (then {answer}))").leak();
        Raw { realloc, ..Raw::default() }
    };
    let always = |realloc| Raw { realloc, ..Raw::default() };
    let bad = |words: &str| ends(format!("destination bad (raw 1.2.3): write ended its instance: {words}"));
    let at_once = |words: &str| refused(format!("destination bad (raw 1.2.3): check ended its instance: {words}"));
    let grows = "(if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1)) (then unreachable))";
    vec![
        Row::raw("room at 0", always("(return (i32.const 0))"), delivers("")),
        Row::raw("the same room each time", always("(return (i32.const 65536))"), delivers("")),
        Row::raw(
            "no room but what is not aligned",
            always("(return (i32.const 65537))"),
            at_once("realloc return: result not aligned"),
        ),
        Row::raw(
            "no room but beyond its memory",
            always("(return (i32.const -8))"),
            at_once("realloc return: beyond end of memory"),
        ),
        Row::raw(
            "room that is not aligned",
            for_offsets("(return (i32.const 65537))"),
            bad("realloc return: result not aligned"),
        ),
        Row::raw(
            "room that ends beyond its memory",
            for_offsets("(return (i32.const 131068))"),
            bad("realloc return: beyond end of memory"),
        ),
        Row::raw(
            "room at the end of the address space",
            for_offsets("(return (i32.const -8))"),
            bad("realloc return: beyond end of memory"),
        ),
        Row::raw("room that traps", for_offsets("unreachable"), bad("wasm trap: wasm `unreachable` instruction executed")),
        Row::raw(
            "room that calls the host",
            for_offsets("(drop (call $now))"),
            bad("wasm trap: cannot leave component instance"),
        ),
        Row::raw(
            "room that grows the memory",
            for_offsets(grows),
            bad("wanted 65667072 bytes of memory and may have 16MiB (limits.memory)"),
        )
        .limits(json!({"memory": "16MiB"})),
    ]
}

/// What `describe` and `open` answer with.
fn descriptions() -> Vec<Row> {
    let described = |text, length| Raw { described: Some((text, length)), ..Raw::default() };
    // 100,000 brackets, from 131072 on.
    let deep = "(drop (memory.grow (i32.const 2))) (memory.fill (i32.const 131072) (i32.const 91) (i32.const 100000))
        (i32.store (i32.const 0) (i32.const 131072)) (i32.store (i32.const 4) (i32.const 100000))";
    let large = "(drop (memory.grow (i32.const 1000))) (memory.fill (i32.const 131072) (i32.const 32) (i32.const 60000000))
        (i32.store (i32.const 0) (i32.const 131072)) (i32.store (i32.const 4) (i32.const 60000000))";
    vec![
        Row::raw("a description of 4 GiB - 1", described("", u32::MAX), refused("string pointer/length out of bounds")),
        Row::raw("a description that is not UTF-8", described(r"\ff\ff", 2), refused("invalid utf-8")),
        Row::raw("a description that is no JSON", described("hello", 5), refused("its descriptor cannot be read: expected value at line 1")),
        Row::raw("an empty description", described("", 0), refused("its descriptor cannot be read: EOF while parsing")),
        Row::raw("a description of 100,000 brackets", Raw { describe: deep, ..Raw::default() }, refused("its descriptor cannot be read: invalid type: sequence")),
        Row::raw("a description of 60 MB", Raw { describe: large, ..Raw::default() }, refused("limits.host-call-bytes")),
        Row::raw(
            "an answer of describe beyond its memory",
            Raw { describe: "(return (i32.const -8))", ..Raw::default() },
            refused("pointer out of bounds"),
        ),
        Row::raw(
            "a session that never was",
            Raw { open: "(i32.store8 (i32.const 32) (i32.const 0)) (i32.store (i32.const 36) (i32.const 77)) (return (i32.const 32))", ..Raw::default() },
            ends("open ended its instance: unknown handle index 77"),
        ),
        Row::raw(
            "a session that it dropped",
            Raw {
                open: "(local $s i32) (local.set $s (call $new (i32.const 7))) (call $drop (local.get $s)) (i32.store8 (i32.const 32) (i32.const 0))
                    (i32.store (i32.const 36) (local.get $s)) (return (i32.const 32))",
                ..Raw::default()
            },
            ends("open ended its instance: unknown handle index"),
        ),
    ]
}
