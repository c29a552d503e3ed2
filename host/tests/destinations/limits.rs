//! Whatever a component does too much of ends its instance with an error that says who, when, what and how to allow more, and nothing
//! else comes to harm.

use serde_json::{Value, json};

use crate::{
    raw::Raw,
    trial::{Ran, Trial, destination, from_file, honest},
};

fn faulty(settings: Value, limits: Value) -> Value {
    let mut destination = destination("bad", "guest-faults", settings);
    destination["limits"] = limits;
    destination
}

/// Runs it beside an honest destination, which has to come through.
async fn beside_an_honest_one(trial: &Trial, bad: Value) -> Ran {
    let ran = trial.run(&[bad, honest()]).await;
    let honest = ran.destination("honest");
    assert_eq!((honest.delivered, honest.pending), (ran.counts.read, 0));
    ran
}

#[tokio::test]
async fn each_limit_on_what_a_call_may_use_ends_the_call_and_is_named() {
    let cases = [
        (
            json!({"fault": "memory", "amount": 64 << 20}),
            json!({"memory": "16MiB"}),
            "bytes of memory and may have 16MiB (limits.memory)",
        ),
        (
            json!({"fault": "loop"}),
            json!({"fuel-per-call": 20_000_000, "fuel-per-record": 1}),
            "computed more than 20000001 units of fuel (limits.fuel-per-call and limits.fuel-per-record)",
        ),
        (
            json!({"fault": "loop", "at": "open"}),
            json!({"fuel-per-call": 20_000_000}),
            "open ended its instance: computed more than 20000000 units of fuel (limits.fuel-per-call)",
        ),
        (json!({"fault": "handles", "amount": 1000}), json!({"handles": 100}), "held more than 100 handles (limits.handles)"),
        (
            json!({"fault": "random", "amount": 100_000}),
            json!({"random-bytes": "1KiB"}),
            "asked for more than 1KiB of random bytes in one call (limits.random-bytes)",
        ),
        (
            json!({"fault": "log", "amount": 200_000}),
            json!({"host-call-bytes": "64KiB"}),
            "handed over more than 64KiB in one call (limits.host-call-bytes)",
        ),
        (
            json!({"fault": "remark", "amount": 200_000}),
            json!({"host-call-bytes": "64KiB"}),
            "handed over more than 64KiB in one call (limits.host-call-bytes)",
        ),
        (json!({"fault": "recursion"}), json!({}), "called itself too deeply: its stack has 512 KiB"),
        (json!({"fault": "exit"}), json!({}), "called exit(1), which a connector must not"),
        (json!({"fault": "panic"}), json!({"memory": "16MiB"}), "wasm trap: wasm `unreachable` instruction executed"),
    ];
    for (settings, limits, expected) in cases {
        let trial = Trial::new(["a"]);
        let ran = beside_an_honest_one(&trial, faulty(settings.clone(), limits)).await;
        let call = settings["at"].as_str().unwrap_or("write");
        let who = format!("destination bad (guest-faults 0.1.0): {call} ended its instance: ");
        assert!(ran.error.starts_with(&who) && ran.error.contains(expected), "{settings}: {}", ran.error);
        assert_eq!(ran.account(), [1, 0, 0, 0, 1], "{settings}");
    }
}

#[tokio::test]
async fn each_call_has_its_time_whether_it_computes_or_waits() {
    let calls = ["open", "write", "ack", "close"];
    for (call, fault) in calls.iter().flat_map(|call| [(*call, "loop"), (*call, "wait")]) {
        let trial = Trial::new(["a"]);
        let limits = json!({"fuel-per-call": u64::MAX, "fuel-per-record": u64::MAX, "time": {call: "50ms"}});
        let ran = beside_an_honest_one(&trial, faulty(json!({"fault": fault, "at": call}), limits)).await;
        let expected = format!("{call} ended its instance: took longer than 50ms (limits.time.{call})");
        match call {
            "open" | "write" => {
                let who = format!("destination bad (guest-faults 0.1.0): {expected}");
                assert!(ran.error.starts_with(&who), "{fault}: {}", ran.error);
                assert_eq!(ran.account(), [1, 0, 0, 0, 1]);
            }
            // All is delivered by then: what goes wrong is told and hurts nobody.
            _ => {
                let log = trial.log();
                assert!(log.contains(&expected), "{fault}: {log}");
                assert_eq!((ran.account(), &*ran.error), ([1, 0, 1, 0, 0], ""));
            }
        }
    }
}

#[tokio::test]
async fn what_goes_wrong_while_settings_are_checked_refuses_the_pipeline() {
    let cases = [
        (
            json!({"fault": "loop", "at": "check"}),
            json!({"time": {"check": "50ms"}, "fuel-per-call": u64::MAX}),
            "took longer than 50ms (limits.time.check)",
        ),
        (
            json!({"fault": "wait", "at": "check"}),
            json!({"time": {"check": "50ms"}}),
            "took longer than 50ms (limits.time.check)",
        ),
        (json!({"fault": "panic", "at": "check"}), json!({}), "told to panic"),
    ];
    for (settings, limits, expected) in cases {
        let trial = Trial::new(["a"]);
        let refused = trial.start(&[faulty(settings, limits)]).await.err().unwrap();
        assert!(refused.starts_with("destination bad (guest-faults 0.1.0): check ended its instance: "), "{refused}");
        assert!(refused.contains(expected), "{refused}");
        assert_eq!(trial.run(&[honest()]).await.account(), [1, 0, 1, 0, 0]);
    }
}

#[tokio::test]
async fn what_a_component_is_made_of_is_limited_before_its_first_instruction() {
    let cases: &[(Raw, Value, &str)] = &[
        (
            Raw { fields: "(memory 512)", ..Raw::default() },
            json!({"memory": "16MiB"}),
            "describe ended its instance: wanted 33685504 bytes of memory and may have 16MiB (limits.memory)",
        ),
        (
            Raw { fields: "(memory 1)", ..Raw::default() },
            json!({"memories": 1}),
            "describe ended its instance: is made of more than 1 memories (limits.memories)",
        ),
        (
            Raw { fields: "(table 1 funcref) (table 1 funcref)", ..Raw::default() },
            json!({"tables": 1}),
            "describe ended its instance: is made of more than 1 tables (limits.tables)",
        ),
        (
            Raw { fields: "(table 600 funcref) (table 600 funcref)", ..Raw::default() },
            json!({"table-elements": 1000}),
            "describe ended its instance: wanted 1200 table entries and may have 1000 (limits.table-elements)",
        ),
        (
            Raw { fields: "(func $forever (loop (br 0))) (start $forever)", ..Raw::default() },
            json!({"fuel-per-call": 20_000_000}),
            "describe ended its instance: computed more than 20000000 units of fuel (limits.fuel-per-call)",
        ),
        (
            Raw { fields: "(func $forever (loop (br 0))) (start $forever)", ..Raw::default() },
            json!({"fuel-per-call": u64::MAX, "time": {"describe": "50ms"}}),
            "describe ended its instance: took longer than 50ms (limits.time.describe)",
        ),
        (
            Raw { describe: "(loop (br 0))", ..Raw::default() },
            json!({"fuel-per-call": u64::MAX, "time": {"describe": "50ms"}}),
            "describe ended its instance: took longer than 50ms (limits.time.describe)",
        ),
    ];
    for (raw, limits, expected) in cases {
        let trial = Trial::new(["a"]);
        let mut bad = from_file("bad", &raw.component(&trial.folder, "raw.wasm"));
        bad["limits"] = limits.clone();
        let refused = trial.start(&[bad]).await.err().unwrap();
        // Its name is not known yet, its file is.
        assert!(refused.starts_with("destination bad: /") && refused.contains("raw.wasm: "), "{refused}");
        assert!(refused.contains(expected), "{refused}");
        assert_eq!(trial.run(&[honest()]).await.account(), [1, 0, 1, 0, 0]);
    }
    let trial = Trial::new(["a"]);
    let refused = trial.start(&[faulty(json!({}), json!({"instances": 1}))]).await.err().unwrap();
    assert!(refused.contains("is made of more than 1 instances (limits.instances)"), "{refused}");
}

#[tokio::test]
async fn tables_memories_exceptions_and_resources_of_its_own_cannot_grow_for_ever() {
    let or_trap = |grow: &str| format!("(if (i32.eq {grow} (i32.const -1)) (then unreachable))");
    let table = or_trap("(table.grow $t (ref.null func) (i32.const 5000))").leak();
    let memory = or_trap("(memory.grow 1 (i32.const 4096))").leak();
    let cases: &[(Raw, Value, &str)] = &[
        (
            Raw { fields: "(table $t 1 funcref)", write: table, ..Raw::default() },
            json!({"table-elements": 1000}),
            "wanted 5001 table entries and may have 1000 (limits.table-elements)",
        ),
        (
            Raw { fields: "(memory 1)", write: memory, ..Raw::default() },
            json!({"memory": "16MiB"}),
            "wanted 268632064 bytes of memory and may have 16MiB (limits.memory)",
        ),
        // Every exception that is thrown takes memory of the host's, which counts like the component's own.
        (
            Raw {
                fields: "(tag $t)",
                write: "(loop $on (block $caught (try_table (catch_all $caught) (throw $t))) (br $on))",
                ..Raw::default()
            },
            json!({"memory": "16MiB"}),
            "(limits.memory)",
        ),
    ];
    for (raw, limits, expected) in cases {
        let trial = Trial::new(["a"]);
        let mut bad = from_file("bad", &raw.component(&trial.folder, "raw.wasm"));
        bad["limits"] = limits.clone();
        let ran = beside_an_honest_one(&trial, bad).await;
        assert!(ran.error.starts_with("destination bad (raw 1.2.3): write ended its instance: "), "{}", ran.error);
        assert!(ran.error.contains(expected), "{}", ran.error);
    }
    let trial = Trial::new(["a"]);
    let mut hoarder = trial.scripted(&"hoard=1000;".repeat(4));
    hoarder["limits"] = json!({"handles": 100});
    let ran = beside_an_honest_one(&trial, hoarder).await;
    assert!(ran.error.contains("write ended its instance: held more than 100 handles (limits.handles)"), "{}", ran.error);
}

#[tokio::test]
async fn a_batch_of_many_records_may_compute_more_than_one_of_few() {
    let limits = json!({"fuel-per-call": 10_000_000, "fuel-per-record": 10_000_000});
    let trial = Trial::new((0..50).map(|number| number.to_string()));
    let ran = trial.run(&[faulty(json!({"fault": "per-record", "amount": 500_000}), limits.clone())]).await;
    assert_eq!((ran.account(), &*ran.error), ([50, 0, 50, 0, 0], ""));

    let trial = Trial::new(["a"]);
    let ran = trial.run(&[faulty(json!({"fault": "per-record", "amount": 25_000_000}), limits)]).await;
    assert!(ran.error.contains("computed more than 20000000 units of fuel"), "{}", ran.error);
}

#[tokio::test]
async fn a_batch_that_the_components_memory_cannot_hold_is_told_as_that() {
    let trial = Trial::new(["x".repeat(3 << 20)]);
    let ran = beside_an_honest_one(&trial, faulty(json!({}), json!({"memory": "2MiB"}))).await;
    assert!(ran.error.contains("bytes of memory and may have 2MiB (limits.memory)"), "{}", ran.error);
}

#[tokio::test]
async fn output_is_cut_into_lines_and_its_end_stands_in_the_error() {
    let trial = Trial::new(["a"]);
    let ran = trial.run(&[faulty(json!({"fault": "line", "amount": 100_000}), json!({"output": "1KiB"}))]).await;
    let log = trial.log();
    let line = log.lines().find(|line| line.contains("wharf::stderr: ooo")).unwrap();
    assert_eq!(line.matches('o').count() - "destination".matches('o').count(), 1024, "{line}");
    assert!(line.contains("cut=98976"), "{line}");
    assert_eq!(ran.error, "");

    let trial = Trial::new(["a"]);
    let ran = trial.run(&[faulty(json!({"fault": "flood", "amount": 5000}), json!({}))]).await;
    assert!(ran.error.contains("line 4999\npanicked at ") && ran.error.contains(": told to panic"), "{}", ran.error);
    assert!(!ran.error.contains("line 4000\n") && ran.error.len() < 5 << 10, "{} bytes", ran.error.len());

    let trial = Trial::new(["a"]);
    trial.run(&[faulty(json!({"fault": "half-a-line"}), json!({}))]).await;
    assert!(trial.log().contains("wharf::stderr: half a line"), "{}", trial.log());
}
