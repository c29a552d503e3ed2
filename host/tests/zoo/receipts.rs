//! Receipts that leave records out, name them twice, or name what is none of theirs. All the ways that a receipt can be wrong, and
//! what the host makes of each, stand in `tests/destinations/receipts.rs`; here is one of each kind, beside a neighbour.

use serde_json::json;

use crate::row::{Animal, Outcome, Row, delivers, ends, part};

pub fn rows() -> Vec<Row> {
    let row = |name: &str, script: &str, outcome: Outcome| {
        Row::new(name, Animal::Guest("guest-scripted", json!({"script": script})), outcome)
            .grants(json!({"directories": [{"host": "granted", "guest": "/journal", "access": "read-write"}]}))
            .records(4, 4)
    };
    vec![
        row("no span at all", "nothing", ends("the receipt leaves out 4 of 4 records; what became of them is unknown")),
        row("a record left out", "0-1 2-4", part(3, "the receipt leaves out 1 of 4 records; what became of them is unknown")),
        row("a record twice", "0-2 1-4", ends("the receipt names record 1 twice; what became of 4 records is unknown")),
        row("a record delivered and failed", "0-4 2-3=transient", ends("the receipt names record 2 twice")),
        row("a span of another batch", "4-8", ends("the receipt has the span 4..8 in a batch of 4 records")),
        row("a span past the batch", "0-4294967295", ends("the receipt has the span 0..4294967295 in a batch of 4 records")),
        row("a span that runs backwards", "3-1", ends("the receipt has the span 3..1, which holds no record")),
        row("a span of nothing", "0-4 4-4", ends("the receipt has the span 4..4, which holds no record")),
        row("what was reported, taken back", "+1-2 0-4=rejected", part(1, "the receipt takes back record 1")),
        row("progress past the batch", &"+3-5;".repeat(50), ends("progress reported the span 3..5 of a batch of")),
        row("nothing wrong", "0-2 2-4", delivers("")),
    ]
}
