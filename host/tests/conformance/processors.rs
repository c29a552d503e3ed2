//! A processor with a fault.

use serde_json::json;
use wharf::conformance::About;

use crate::mutant::{Fault, Mutant};

const SUITE: &str = "settings: { fault: FAULT }\nmanners: { batches: BATCHES }\n";

/// The fault, by the name that the setting has, and the cases that fail.
pub const FAULTS: &[Fault] = &[
    ("rejects-one", &["W-PROC-001", "W-PROC-014"]),
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
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_a_processor_fails_exactly_its_cases() {
    let descriptor = json!({
        "format": 1,
        "about": {"name": "mutant", "version": "1.0.0", "summary": "Has a fault.", "author": "The Wharf authors"},
        "parameters": [{"name": "fault", "type": "string", "summary": "What is wrong with it.", "default": "none"}],
    });
    Mutant::new("guest-mutant-process", SUITE).hold(&descriptor, FAULTS, &[], &[About::Processor]).await;
}
