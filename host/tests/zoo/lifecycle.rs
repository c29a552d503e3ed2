//! Ending in the middle of things: what was acknowledged stays, and the rest goes to a fresh instance, once.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use wharf::{
    clock::Clock,
    config::Limits,
    connector::{Loader, Opening, Session, Trouble},
    record::{Batch, BatchBuilder, Fate},
    sandbox::{Call, Ended, Engine, instance::Reason},
};

use crate::{
    raw::Raw,
    row::{Animal, Row, delivers, ends, part},
};

pub fn rows() -> Vec<Row> {
    let trap = "wasm trap: wasm `unreachable` instruction executed";
    let ended = |call: &str| format!("{call} ended its instance: {trap}");
    let scripted = |name: &str, script: &str, outcome| {
        Row::new(name, Animal::Guest("guest-scripted", json!({"script": script})), outcome)
            .grants(json!({"directories": [{"host": "granted", "guest": "/journal", "access": "read-write"}]}))
    };
    let mut rows = vec![
        Row::hostile("panic", "open", 0, ends(ended("open"))),
        Row::hostile("panic", "write", 0, ends(ended("write"))),
        Row::hostile("panic", "ack", 0, delivers(ended("ack"))),
        Row::hostile("panic", "close", 0, delivers(ended("close"))),
        Row::raw("traps in a destructor", Raw { destructor: "unreachable", ..Raw::default() }, delivers("")),
        Row::raw(
            "traps in a destructor of its own calling",
            Raw { destructor: "unreachable", write: "(call $drop (call $new (i32.const 1)))", ..Raw::default() },
            ends(ended("write")),
        ),
        Row::raw("traps in post-return", Raw { post_return: "unreachable", ..Raw::default() }, ends(ended("write"))),
        // Every instance takes two batches of ten.
        Row::hostile("trap-at-the-nth", "write", 3, delivers("to be sent to a fresh instance")).records(20, 2),
        // The one that does it is found by halving; the others are delivered.
        Row::hostile("trap-on-a-record", "write", 7, part(15, ended("write"))).records(16, 16),
        Row::hostile("panic", "ack", 0, delivers(ended("ack"))).named("panic in each ack").records(20, 2),
        scripted("traps once", "trap", delivers("to be sent to a fresh instance")).records(20, 5),
        scripted("traps after what it reported", "+0-2 trap", delivers("to be sent to a fresh instance")).records(5, 5),
    ];
    for event in ["created", "updated", "deleted"] {
        // It is told again, and answers then; one that is removed gets no records.
        for (act, ended) in [
            ("loop", format!("{event} ended its instance: took longer than 500ms (limits.time.{event})")),
            ("memory", format!("{event} ended its instance: wanted ")),
            ("trap", format!("{event} ended its instance: wasm trap: ")),
            // Its share of the log is used up.
            ("flood", String::new()),
        ] {
            let limits = json!({"memory": "16MiB", "time": {event: "500ms"}});
            rows.push(Row::told(act, event, delivers(ended)).limits(limits).records(u32::from(event != "deleted"), 1));
        }
    }
    rows
}

/// Some records for a session.
pub fn batch(records: u64) -> Batch {
    let mut builder = BatchBuilder::with_capacity(records as usize, 100, false, None);
    for sequence in 0..records {
        builder.push(sequence, None, b"a record").unwrap();
    }
    builder.finish("zoo", "p".into())
}

/// What a `guest-hostile` is opened with.
pub fn opening(act: &str, amount: u64, limits: Limits) -> Opening {
    let settings = [("act", act), ("at", "write"), ("amount", &amount.to_string())];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Opening { settings, limits: Arc::new(limits), ..Opening::default() }
}

/// Where a host gives a call up in the middle, the instance is gone with it: nothing that was under way is entered again, and nothing
/// is taken for delivered.
#[tokio::test]
async fn lifecycle_a_call_that_is_given_up_takes_its_instance_with_it() {
    let loader = Loader::new(Engine::new(None).unwrap(), Clock::system()).unwrap();
    let hostile = loader.load(&wharf_tests::component("guest-hostile").unwrap()).await.unwrap();
    for act in ["loop", "sleep", "log"] {
        let mut session: Session = hostile.open(&opening(act, 0, Limits::default())).await.unwrap();
        let records = batch(3);
        let given_up = tokio::time::timeout(Duration::from_millis(50), session.write(&records, 1)).await;
        assert!(given_up.is_err(), "{act}: it was to run for ever");
        for attempt in 2..4 {
            let answer = session.write(&records, attempt).await;
            let abandoned = Ended { call: Call::Write, reason: Reason::Abandoned, stderr: None };
            assert!(matches!(&answer.trouble, Some(Trouble::Ended(ended)) if *ended == abandoned), "{act}: {:?}", answer.trouble);
            assert!(answer.runs.iter().all(|run| matches!(run.fate, Fate::Failed(_))), "{act}: {:?}", answer.runs);
        }
        assert!(matches!(session.ack(&["x"]).await, Err(Ended { reason: Reason::Abandoned, .. })), "{act}");
        assert!(matches!(session.close().await, Err(Ended { reason: Reason::Abandoned, .. })), "{act}");
    }
}
