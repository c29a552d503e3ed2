//! Memory, tables, and whatever else is counted: what a component is made of, what it grows to, and the handles that it keeps.

use serde_json::json;

use crate::{
    raw::Raw,
    row::{Row, delivers, ends, refused},
};

/// Asks for more and traps where it is not given any.
fn or_trap(grow: &str) -> &'static str {
    format!("(if (i32.eq {grow} (i32.const -1)) (then unreachable))").leak()
}

pub fn rows() -> Vec<Row> {
    [made_of(), grown(), kept()].into_iter().flatten().collect()
}

/// Held before the first instruction.
fn made_of() -> Vec<Row> {
    let fields = |fields| Raw { fields, ..Raw::default() };
    let many = |what: &str, count: usize| -> &'static str { what.repeat(count).leak() };
    let instances = many("(core instance (instantiate $tiny)) ", 900);
    vec![
        Row::raw(
            "a memory that is over the limit from the beginning",
            fields("(memory 512)"),
            refused("describe ended its instance: wanted 33685504 bytes of memory and may have 16MiB (limits.memory)"),
        )
        .limits(json!({"memory": "16MiB"})),
        Row::raw(
            "a memory of 4 GiB",
            fields("(memory 65536)"),
            refused("describe ended its instance: wanted 4295098368 bytes of memory and may have 256MiB (limits.memory)"),
        ),
        Row::raw(
            "a second memory",
            fields("(memory 1)"),
            refused("describe ended its instance: is made of more than 1 memories (limits.memories)"),
        )
        .limits(json!({"memories": 1})),
        Row::raw(
            "memories that are over the limit together",
            fields(many("(memory 8) ", 15)),
            refused("describe ended its instance: wanted 1179648 bytes of memory and may have 1MiB (limits.memory)"),
        )
        .limits(json!({"memory": "1MiB"})),
        Row::raw(
            "50 memories",
            fields(many("(memory 0) ", 50)),
            refused("describe ended its instance: is made of more than 16 memories (limits.memories)"),
        ),
        Row::raw(
            "50 tables",
            fields(many("(table 1 funcref) ", 50)),
            refused("describe ended its instance: is made of more than 16 tables (limits.tables)"),
        ),
        Row::raw(
            "tables that are over the limit together",
            fields("(table 600 funcref) (table 600 funcref)"),
            refused("describe ended its instance: wanted 1200 table entries and may have 1000 (limits.table-elements)"),
        )
        .limits(json!({"table-elements": 1000})),
        Row::raw(
            "a table of 4 billion entries",
            fields("(table 4294967295 funcref)"),
            refused("describe ended its instance: wanted 4294967295 table entries and may have 100000 (limits.table-elements)"),
        ),
        Row::raw(
            "900 core instances",
            Raw { beside: format!("(core module $tiny) {instances}").leak(), ..Raw::default() },
            refused("describe ended its instance: is made of more than 64 instances (limits.instances)"),
        ),
        Row::raw("64-bit memory", fields("(memory i64 1)"), refused("memory64 must be enabled for 64-bit memories")),
        Row::raw("a 64-bit table", fields("(table i64 1 funcref)"), refused("memory64 must be enabled for 64-bit tables")),
        Row::raw("a shared memory", fields("(memory 1 1 shared)"), refused("threads must be enabled for shared memories")),
        Row::raw("garbage-collected types", fields("(type (struct (field i32)))"), refused("gc")),
    ]
}

/// Asked for later.
fn grown() -> Vec<Row> {
    let small = || json!({"memory": "16MiB"});
    let thrown = "(loop $on (block $caught (try_table (catch_all $caught) (throw $t))) (br $on))";
    let in_steps = "(loop (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) (br 0))";
    let refused_for_ever = "(loop (drop (memory.grow (i32.const 65535))) (br 0))";
    let touched = "(drop (memory.grow (i32.const 4000))) (memory.fill (i32.const 131072) (i32.const 1) (i32.const 262000000))";
    vec![
        Row::raw(
            "grows in steps of 64 KiB",
            Raw { write: in_steps, ..Raw::default() },
            ends("write ended its instance: wanted 16842752 bytes of memory and may have 16MiB (limits.memory)"),
        )
        .limits(small()),
        Row::raw(
            "grows a second memory",
            Raw { fields: "(memory 1)", write: or_trap("(memory.grow 1 (i32.const 4096))"), ..Raw::default() },
            ends("write ended its instance: wanted 268632064 bytes of memory and may have 16MiB (limits.memory)"),
        )
        .limits(small()),
        Row::raw(
            "grows again and again, though it is refused",
            Raw { write: refused_for_ever, ..Raw::default() },
            ends("write ended its instance: took longer than 50ms (limits.time.write)"),
        )
        .limits(json!({"memory": "16MiB", "fuel-per-call": u64::MAX, "time": {"write": "50ms"}})),
        Row::raw("uses all the memory that it may have", Raw { write: touched, ..Raw::default() }, delivers("")),
        Row::raw(
            "grows a table",
            Raw {
                fields: "(table $t 1 funcref)",
                write: or_trap("(table.grow $t (ref.null func) (i32.const 5000))"),
                ..Raw::default()
            },
            ends("write ended its instance: wanted 5001 table entries and may have 1000 (limits.table-elements)"),
        )
        .limits(json!({"table-elements": 1000})),
        Row::raw(
            "grows a table by 4 billion entries",
            Raw {
                fields: "(table $t 1 funcref)",
                write: or_trap("(table.grow $t (ref.null func) (i32.const -1))"),
                ..Raw::default()
            },
            ends("table entries and may have 100000 (limits.table-elements)"),
        ),
        // Every exception that is thrown takes memory of the host's, which counts like the component's own.
        Row::raw("throws exceptions", Raw { fields: "(tag $t)", write: thrown, ..Raw::default() }, ends("(limits.memory)"))
            .limits(json!({"memory": "1MiB"})),
        Row::hostile("grow", "write", 0, ends("write ended its instance: wanted ")).limits(small()),
        Row::hostile("churn", "write", 12 << 20, ends("took longer than 50ms (limits.time.write)"))
            .limits(json!({"memory": "16MiB", "fuel-per-call": u64::MAX, "time": {"write": "50ms"}})),
        Row::faulty("memory", "write", 64 << 20, ends("bytes of memory and may have 16MiB (limits.memory)")).limits(small()),
        // What was denied before and got over is not blamed for it.
        Row::faulty("panic", "write", 0, ends("write ended its instance: wasm trap: wasm `unreachable` instruction executed"))
            .limits(small()),
    ]
}

/// Handles to things of the host, and of its own.
fn kept() -> Vec<Row> {
    let too_many = |limit: u32| ends(format!("write ended its instance: held more than {limit} handles (limits.handles)"));
    let trap = |words: &str| ends(format!("write ended its instance: {words}"));
    let granted = json!({"directories": [{"host": "granted", "guest": "/granted", "access": "read-write"}]});
    let few = || json!({"handles": 100});
    // New sessions of its own that are never dropped.
    let hoard = "(loop (drop (call $new (i32.const 1))) (br 0))";
    vec![
        Row::hostile("keep-pollables", "write", 1_000_000, too_many(100)).limits(few()),
        // A path has up to 64 KiB, and what else a request is made of next to nothing.
        Row::hostile("keep-full-requests", "write", 300, delivers("")).growth(60),
        Row::hostile("keep-streams", "write", 1_000_000, too_many(100)).limits(few()),
        Row::hostile("keep-fields", "write", 1_000_000, too_many(100)).limits(few()),
        Row::hostile("keep-files", "write", 1_000_000, too_many(100)).limits(few()).grants(granted),
        Row::raw("keeps resources of its own", Raw { write: hoard, ..Raw::default() }, too_many(100)).limits(few()),
        Row::raw("keeps resources of its own, by the usual limits", Raw { write: hoard, ..Raw::default() }, too_many(4096)),
        Row::raw(
            "drops a resource twice",
            Raw {
                write: "(local.set $i (call $new (i32.const 1))) (call $drop (local.get $i)) (call $drop (local.get $i))",
                ..Raw::default()
            },
            trap("unknown handle index"),
        ),
        Row::raw("drops a resource that is the host's", Raw { write: "(call $drop (i32.const 1))", ..Raw::default() }, trap("")),
        Row::raw(
            "drops a resource that never was",
            Raw { write: "(call $drop (i32.const 77))", ..Raw::default() },
            trap("unknown handle index 77"),
        ),
        Row::hostile("forge", "write", 77, trap("unknown handle index 77")),
        Row::hostile("forge", "write", 1 << 31, trap("unknown handle index 2147483648")).named("forge the last"),
        Row::hostile("use-a-forged-one", "write", 12345, trap("unknown handle index 12345")),
        Row::hostile("of-another-kind", "write", 0, trap("handle index")),
        Row::hostile("drop-twice", "write", 0, trap("unknown handle index")),
        // A million times one pollable: what the host makes of the list counts as handed over.
        Row::hostile("poll-many", "write", 1_000_000, trap("")).limits(json!({"time": {"write": "1s"}})),
        Row::hostile("poll-different", "write", 1_000_000, too_many(4096)),
        Row::hostile("poll-nothing", "write", 0, trap("empty poll list")),
    ]
}
