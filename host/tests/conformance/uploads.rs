//! A bulk destination with a fault.

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
  tokens: [ crm ]
read: { capture: true }
refused: [ { settings: { address: "a..b:1" }, names: address } ]
manners: { batches: BATCHES, time: 3s, fuel-per-record: 200000 }
"#;

/// All that ask for an upload until its end, with more.
macro_rules! asking {
    ($($more:literal),*) => {
        &[
            "W-BULK-015", "W-BULK-016", "W-BULK-017", "W-BULK-018", "W-BULK-020", "W-BULK-021", "W-BULK-023", "W-BULK-024",
            "W-BULK-027", "W-BULK-030", "W-BULK-031", "W-BULK-032", $($more),*
        ]
    };
}

/// All that wait for an upload to come to its end.
const SETTLING: &[&str] = asking!("W-FOLL-001", "W-FOLL-002");

/// All that ask for an upload in another instance than that which sent it.
const REMEMBERING: &[&str] = asking!("W-BULK-034");

/// The fault, by the name that the setting has, and the cases that fail.
pub const FAULTS: &[Fault] = &[
    ("refuses-all", &["W-SETT-001"]),
    ("checks-nothing", &["W-SETT-005"]),
    ("tells-secrets", &["W-SETT-006"]),
    ("checks-by-chance", &["W-SETT-007"]),
    ("closes-after-work", &["W-SESS-001"]),
    ("unwraps-open", &["W-SESS-002"]),
    ("leaves-a-lock", &["W-SESS-003", "W-BULK-030"]),
    // Whoever closes after three records spoils it for the next.
    ("lives-once", &["W-SESS-004", "W-BULK-008", "W-BULK-011", "W-BULK-013", "W-BULK-025"]),
    ("works-alone", &["W-SESS-005"]),
    ("rejects-one", &["W-SESS-003", "W-BULK-001"]),
    ("unwraps-absent", &["W-BULK-002", "W-BULK-006"]),
    ("small-batches", &["W-BULK-003"]),
    ("short-payloads", &["W-BULK-004"]),
    ("text-keys", &["W-BULK-005"]),
    ("knows-no-snapshots", &["W-BULK-006"]),
    ("plain-metadata", &["W-BULK-007"]),
    ("recurses", &["W-BULK-008"]),
    ("trusts-text", &["W-BULK-009"]),
    ("a-line-less", &["W-BULK-011"]),
    ("silent", &["W-BULK-012"]),
    ("wordy", &["W-BULK-012"]),
    ("by-chance", &["W-BULK-013"]),
    ("forgets-a-record", &["W-BULK-014", "W-BULK-027", "W-BULK-030", "W-BULK-031", "W-BULK-032"]),
    ("a-large-handle", asking!("W-BULK-014", "W-BULK-034", "W-FOLL-001", "W-FOLL-002")),
    ("remembers", REMEMBERING),
    ("stats-of-all", SETTLING),
    // That a poll tells the outcomes itself is no fault.
    ("tells", &[]),
    ("tells-of-all", SETTLING),
    ("tells-otherwise", &["W-BULK-016", "W-BULK-018"]),
    // A file that is sent again is a job that was asked for before.
    ("polls-once", &["W-BULK-016", "W-BULK-018"]),
    ("stats-once", &["W-BULK-017", "W-BULK-018"]),
    ("sends-again", &["W-BULK-018"]),
    ("finds-all", &["W-BULK-019", "W-BULK-031"]),
    ("finds-nothing", &["W-BULK-020", "W-BULK-031"]),
    ("forgets-on-failure", &["W-BULK-021", "W-BULK-034"]),
    ("trusts-handles", &["W-BULK-022"]),
    ("releases-once", &["W-BULK-023"]),
    ("swaps", &["W-BULK-018", "W-BULK-021", "W-BULK-024", "W-BULK-030", "W-BULK-031", "W-BULK-032"]),
    ("gone-is-fatal", &["W-BULK-025", "W-BULK-026"]),
    ("cut-is-delivered", &["W-BULK-026", "W-BULK-031"]),
    ("impatient", &["W-BULK-027"]),
    ("unauthorized-is-rejected", &["W-BULK-028", "W-BULK-034"]),
    ("throttled-is-transient", &["W-BULK-029"]),
    ("never-recovers", &["W-BULK-030", "W-BULK-031"]),
    ("notes-first", &["W-BULK-030", "W-BULK-031"]),
    ("asks-nobody", &["W-BULK-031"]),
    ("follows-to-nowhere", &["W-FOLL-001"]),
    ("follows-on-a-whim", &["W-FOLL-001"]),
    ("follows-others", &["W-FOLL-001"]),
    ("follows-twice", &["W-FOLL-001"]),
    ("follows-without-words", &["W-FOLL-001"]),
    ("follows-nothing", &["W-FOLL-001"]),
    ("follows-while-it-opens", &["W-FOLL-002", "W-MANN-005"]),
    ("follows-behind", &["W-FOLL-002"]),
    ("follows-at-length", &["W-BULK-003", "W-FOLL-003"]),
    ("follows-by-chance", &["W-FOLL-004"]),
    ("passes-over-refusals", &["W-FOLL-005"]),
    ("reads-once", &["W-BULK-032"]),
    ("keeps-newlines", &["W-BULK-033"]),
    ("keeps-its-token", &["W-BULK-034"]),
    ("hoards", &["W-MANN-001"]),
    ("burns", &["W-MANN-002"]),
    ("dawdles", &["W-MANN-003"]),
    ("leaks", &["W-MANN-004"]),
    ("tries-elsewhere", &["W-MANN-005"]),
    ("chatters", &["W-MANN-006"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_a_bulk_destination_fails_exactly_its_cases() {
    let descriptor = said::descriptor(&json!({
        "actions": [
            {"name": "load", "summary": "Loads records.", "delivery": "bulk"},
            {"name": "note", "summary": "Notes what became of them.", "delivery": "bulk"},
        ],
        "default-action": "load",
        "guarantees": {"order": "batch", "redelivery": "idempotent", "reconciles": true},
        "requests": [{"capability": "token", "pattern": "crm", "reason": "the server asks for one"}],
    }));
    let said = said::said(&descriptor, "write");
    let about = [About::Connector, About::Bulk, About::FollowUps];
    Mutant::new("guest-mutant-bulk", SUITE).hold(&descriptor, FAULTS, &said, &about).await;
}
