//! A processor with a fault.

use serde_json::json;
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
read: { capture: true }
refused: [ { settings: { address: "a..b:1" }, names: address } ]
manners: { batches: BATCHES, time: 3s, fuel-per-record: 200000 }
"#;

/// The fault, by the name that the setting has, and the cases that fail.
pub const FAULTS: &[Fault] = &[
    ("refuses-all", &["W-SETT-001"]),
    ("checks-nothing", &["W-SETT-005"]),
    ("tells-secrets", &["W-SETT-006"]),
    ("checks-by-chance", &["W-SETT-007"]),
    ("closes-after-work", &["W-SESS-001"]),
    ("unwraps-open", &["W-SESS-002"]),
    ("leaves-a-lock", &["W-SESS-003"]),
    // Whoever closes after three records spoils it for the next.
    ("lives-once", &["W-SESS-004", "W-PROC-008", "W-PROC-011", "W-PROC-013"]),
    ("works-alone", &["W-SESS-005"]),
    ("rejects-one", &["W-SESS-003", "W-PROC-001", "W-PROC-014"]),
    ("unwraps-absent", &["W-PROC-002", "W-PROC-006"]),
    ("small-batches", &["W-PROC-003"]),
    ("short-payloads", &["W-PROC-004"]),
    ("text-keys", &["W-PROC-005"]),
    ("knows-no-snapshots", &["W-PROC-006"]),
    ("plain-metadata", &["W-PROC-007"]),
    ("recurses", &["W-PROC-008"]),
    ("trusts-text", &["W-PROC-009"]),
    ("miscounts", &["W-PROC-011"]),
    ("parents-fall", &["W-PROC-011"]),
    ("fails-and-passes", &["W-PROC-011"]),
    ("filters-beyond", &["W-PROC-011"]),
    ("silent", &["W-PROC-012"]),
    ("wordy", &["W-PROC-012"]),
    ("by-chance", &["W-PROC-013", "W-PROC-014"]),
    ("by-place", &["W-PROC-014"]),
    ("odd-operations", &["W-PROC-015"]),
    ("a-key-less", &["W-PROC-015"]),
    ("hoards", &["W-MANN-001"]),
    ("burns", &["W-MANN-002"]),
    ("dawdles", &["W-MANN-003"]),
    ("leaks", &["W-MANN-004"]),
    ("tries-elsewhere", &["W-MANN-005"]),
    ("chatters", &["W-MANN-006"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_a_processor_fails_exactly_its_cases() {
    let descriptor = said::descriptor(&json!({}));
    let said = said::said(&descriptor, "write");
    let about = [About::Connector, About::Processor];
    Mutant::new("guest-mutant-process", SUITE).hold(&descriptor, FAULTS, &said, &about).await;
}
