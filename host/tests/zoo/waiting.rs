//! Waiting without an end, and asking for patience.

use std::time::Duration;

use serde_json::json;

use crate::row::{Animal, Outcome, Row, delivers, ends, refused};

/// Where a call ends its instance by time: what comes of it.
fn late(call: &str) -> Outcome {
    let words = format!("{call} ended its instance: took longer than 50ms (limits.time.{call})");
    match call {
        "check" => refused(words),
        "open" | "write" => ends(words),
        _ => delivers(words),
    }
}

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for call in ["check", "open", "write", "ack", "close"] {
        for act in ["sleep", "wait-for-ever"] {
            let row = match act {
                "sleep" => Row::hostile("sleep", call, 0, late(call)),
                _ => Row::faulty("wait", call, 0, late(call)),
            };
            rows.push(row.limits(json!({"time": {call: "50ms"}})));
        }
    }
    // Nothing ever comes in: it is at its end, which is ready.
    rows.push(Row::hostile("wait-for-input", "write", 0, delivers("")));
    // Patience is given between a tenth of a second and an hour.
    let throttled = |millis: u64| {
        let settings = json!({"script": format!("fail=throttled/{millis}")});
        Row::new(format!("asks for {millis} ms"), Animal::Guest("guest-scripted", settings), delivers(""))
            .grants(json!({"directories": [{"host": "granted", "guest": "/journal", "access": "read-write"}]}))
            .longest(Duration::from_secs(30))
    };
    rows.push(throttled(0));
    rows.push(throttled(u32::MAX.into()));
    rows
}
