//! A write destination with a fault.

use serde_json::{Value, json};
use wharf::conformance::About;

use crate::{
    mutant::{Fault, Mutant},
    said,
};

const SUITE: &str = r#"
settings: { fault: FAULT, address: "${CAPTURE_ADDRESS}", token: hunter2-is-secret }
grants:
  tcp: [ { to: "${CAPTURE_ADDRESS}", private: true } ]
  directories: [ { host: "${SCRATCH}/kept", guest: /kept, access: read-write } ]
  tokens: [ crm ]
read: { capture: true }
refused: [ { settings: { address: "a..b:1" }, names: address } ]
manners: { batches: BATCHES, time: 3s, stall: 6s, fuel-per-record: 200000 }
"#;

/// The fault, by the name that the setting has, and the cases that fail.
pub const FAULTS: &[Fault] = &[
    ("refuses-all", &["W-SETT-001"]),
    ("checks-nothing", &["W-SETT-005"]),
    ("tells-secrets", &["W-SETT-006"]),
    ("checks-by-chance", &["W-SETT-007"]),
    ("closes-after-work", &["W-SESS-001"]),
    ("unwraps-open", &["W-SESS-002"]),
    ("leaves-a-lock", &["W-SESS-003", "W-FAIL-001"]),
    // Whoever closes after three records spoils it for the next.
    ("lives-once", &["W-SESS-004", "W-DEST-008", "W-DEST-011"]),
    ("works-alone", &["W-SESS-005"]),
    ("trusts-acks", &["W-SESS-006"]),
    ("never-reachable", &["W-SESS-007", "W-SESS-009"]),
    ("always-reachable", &["W-SESS-008", "W-SESS-009"]),
    ("gone-is-rejected-when-probed", &["W-SESS-008"]),
    ("asks-without-credentials", &["W-SESS-009"]),
    (
        "rejects-one",
        &[
            "W-SESS-003",
            "W-SESS-006",
            "W-LIFE-001",
            "W-LIFE-007",
            "W-LIFE-008",
            "W-DEST-001",
            "W-FAIL-001",
            "W-FAIL-002",
            "W-FAIL-003",
            "W-FAIL-005",
            "W-FAIL-006",
            "W-FAIL-007",
            "W-FAIL-008",
            "W-FAIL-009",
            "W-FAIL-010",
        ],
    ),
    ("unwraps-absent", &["W-DEST-002", "W-DEST-006"]),
    ("small-batches", &["W-DEST-003"]),
    ("short-payloads", &["W-DEST-004"]),
    ("text-keys", &["W-DEST-005"]),
    ("knows-no-snapshots", &["W-DEST-006"]),
    ("plain-metadata", &["W-DEST-007"]),
    ("recurses", &["W-DEST-008"]),
    ("trusts-text", &["W-DEST-009"]),
    ("swaps", &["W-DEST-010"]),
    ("forgets", &["W-DEST-011"]),
    ("names-twice", &["W-DEST-011"]),
    ("takes-back-its-word", &["W-DEST-011"]),
    ("holds-back", &["W-DEST-014"]),
    ("beyond", &["W-DEST-011"]),
    ("silent", &["W-DEST-012"]),
    ("wordy", &["W-DEST-012"]),
    ("overtakes", &["W-DEST-013", "W-FAIL-005", "W-FAIL-009", "W-FAIL-010"]),
    ("repeats-in-a-session", &["W-REDO-001"]),
    ("repeats-parts", &["W-REDO-002"]),
    ("repeats-other-cuts", &["W-REDO-003"]),
    ("repeats-elsewhere", &["W-REDO-004", "W-REDO-006"]),
    ("knows-no-ordinals", &["W-REDO-006"]),
    ("knows-no-partitions", &["W-REDO-006"]),
    ("changes-its-mind", &["W-REDO-005"]),
    ("gone-is-fatal-at-open", &["W-FAIL-001"]),
    ("gone-is-fatal", &["W-FAIL-002", "W-FAIL-003", "W-FAIL-008"]),
    ("cut-is-delivered", &["W-FAIL-002", "W-FAIL-003", "W-FAIL-008"]),
    ("impatient", &["W-FAIL-004"]),
    ("unauthorized-is-rejected", &["W-LIFE-005", "W-FAIL-005", "W-FAIL-009"]),
    ("throttled-is-transient", &["W-LIFE-006", "W-FAIL-006"]),
    ("never-recovers", &["W-FAIL-007"]),
    ("reports-ahead", &["W-FAIL-010"]),
    ("waits-for-ever", &["W-FAIL-008"]),
    ("keeps-its-token", &["W-FAIL-009"]),
    ("refuses-updates", &["W-LIFE-001", "W-LIFE-002", "W-LIFE-003", "W-LIFE-004", "W-LIFE-005", "W-LIFE-006"]),
    ("takes-each-for-new", &["W-LIFE-002"]),
    ("told-once", &["W-LIFE-002"]),
    ("wants-old-secrets", &["W-LIFE-001", "W-LIFE-002", "W-LIFE-003", "W-LIFE-004", "W-LIFE-005", "W-LIFE-006", "W-LIFE-009"]),
    ("wants-old-settings", &["W-LIFE-003"]),
    ("gone-is-fatal-to-events", &["W-LIFE-004"]),
    ("notes-events-first", &["W-LIFE-007", "W-LIFE-009"]),
    (
        "stays-deleted",
        &["W-LIFE-001", "W-LIFE-002", "W-LIFE-003", "W-LIFE-004", "W-LIFE-005", "W-LIFE-006", "W-LIFE-007", "W-LIFE-008"],
    ),
    ("unwraps-events", &["W-LIFE-009"]),
    ("hoards", &["W-MANN-001"]),
    ("burns", &["W-MANN-002"]),
    ("dawdles", &["W-MANN-003"]),
    ("leaks", &["W-MANN-004"]),
    ("tries-elsewhere", &["W-MANN-005"]),
    ("chatters", &["W-MANN-006"]),
    ("follows-to-nowhere", &["W-FOLL-001"]),
    ("follows-on-a-whim", &["W-FOLL-001"]),
    ("follows-others", &["W-FOLL-001"]),
    ("follows-twice", &["W-FOLL-001"]),
    ("follows-without-words", &["W-FOLL-001"]),
    ("follows-while-it-opens", &["W-FOLL-002", "W-MANN-005"]),
    ("follows-at-length", &["W-DEST-003", "W-FOLL-003"]),
    ("follows-by-chance", &["W-FOLL-004"]),
    ("passes-over-refusals", &["W-FOLL-005"]),
];

/// What it says of itself.
pub fn descriptor() -> Value {
    said::descriptor(&json!({
        "actions": [
            {"name": "put", "summary": "Puts records.", "delivery": "write"},
            {"name": "note", "summary": "Notes what became of them.", "delivery": "write"},
        ],
        "default-action": "put",
        "guarantees": {"order": "batch", "redelivery": "idempotent"},
        "requests": [{"capability": "token", "pattern": "crm", "reason": "the server asks for one"}],
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_a_write_destination_fails_exactly_its_cases() {
    let descriptor = descriptor();
    let about = [About::Connector, About::Destination, About::Probe, About::Lifecycle, About::FollowUps];
    let said = said::said(&descriptor, "bulk");
    Mutant::new("guest-mutant-write", SUITE).hold(&descriptor, FAULTS, &said, &about).await;
}
