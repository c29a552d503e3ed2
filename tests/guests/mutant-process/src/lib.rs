//! A processor that keeps the contract but for the fault that its setting `fault` names: the cases of conformance have to find it.
//!
//! It passes on records whose payload is a JSON object on one line, and fails the others. What it says of itself stands in its `SLOT`, which tests write
//! over in the component's file. Each fault stands in the code where it happens, as `self.has("name")`.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::panic, reason = "what is not as it should be ends in a trap, which a case finds")]

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
};

use exports::wharf::connector::{
    connector::{Guest as Connector, Problem},
    processor::{Batch, Change, Column, Failure, Guest, GuestSession, Processed, Session as Handle},
};
use wharf::connector::{
    records,
    types::{FailureKind, Outcome, Settings, Span, Verdict},
};

#[allow(missing_docs, clippy::all)]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "record-processor" });
}
use bindings::{exports, wharf};

/// What it says of itself, and blanks.
#[unsafe(no_mangle)]
static SLOT: [u8; 6000] = slot();

const fn slot() -> [u8; 6000] {
    let text = b"SLOT!trap";
    let mut slot = [b' '; 6000];
    let mut at = 0;
    while at < text.len() {
        slot[at] = text[at];
        at += 1;
    }
    slot
}

struct Mutant;

struct Session {
    fault: String,
}

impl Connector for Mutant {
    fn describe() -> String {
        let slot = std::hint::black_box(&SLOT);
        let text = String::from_utf8_lossy(&slot[4..]).trim_end().to_owned();
        assert!(!text.starts_with("!trap"), "told to trap");
        text
    }

    fn check(_: Settings) -> Vec<Problem> {
        Vec::new()
    }
}

impl Guest for Mutant {
    type Session = Session;
}

impl GuestSession for Session {
    fn open(settings: Settings) -> Result<Handle, Failure> {
        let fault = settings.iter().find(|(known, _)| known == "fault").map(|(_, value)| value.clone());
        Ok(Handle::new(Self { fault: fault.unwrap_or_default() }))
    }

    fn process(&self, batch: Batch) -> Result<Processed, Failure> {
        self.misbehave(&batch);
        if self.has("small-batches") && batch.count > 5_000 {
            let message = "it is too much".into();
            return Err(Failure { kind: FailureKind::Fatal, message, code: None, retry_after_ms: None });
        }
        let (mut parents, mut offsets, mut data, mut verdicts) = (Vec::new(), vec![0_u32], Vec::new(), Vec::new());
        for record in 0..batch.count {
            let value = value(&batch, record);
            match self.refused(&batch, value) {
                Some(message) => verdicts.push(Verdict {
                    records: Span { start: record, end: record + 1 },
                    outcome: Outcome::Failed(Failure { kind: FailureKind::Rejected, message, code: None, retry_after_ms: None }),
                }),
                None => {
                    parents.push(record);
                    data.extend_from_slice(value);
                    if self.has("by-chance") && batch.count == 50 {
                        data.extend_from_slice(format!(" {}", RandomState::new().build_hasher().finish()).as_bytes());
                    }
                    if self.has("by-place") && batch.count == 1 {
                        data.extend_from_slice(b" ");
                    }
                    offsets.push(u32::try_from(data.len()).unwrap_or(u32::MAX));
                }
            }
        }
        let mut count = u32::try_from(parents.len()).unwrap_or(u32::MAX);
        let mut filtered = Vec::new();
        if batch.count == 7 {
            match self.fault.as_str() {
                "miscounts" => count += 1,
                "parents-fall" => parents.reverse(),
                "fails-and-passes" => {
                    let span = Span { start: 6, end: 7 };
                    filtered.push(span);
                }
                "filters-beyond" => filtered.push(Span { start: 7, end: 8 }),
                _ => {}
            }
        }
        Ok(Processed {
            count,
            parents: Some(parents),
            after: Change::Set(Column { offsets, data, validity: None }),
            before: Change::Keep,
            key: Change::Keep,
            operations: None,
            content_type: None,
            metadata: Vec::new(),
            filtered,
            verdicts,
        })
    }

    fn close(&self) -> Result<(), Failure> {
        Ok(())
    }
}

impl Session {
    fn has(&self, fault: &str) -> bool {
        self.fault == fault
    }

    /// What it does wrong whatever it answers.
    fn misbehave(&self, batch: &Batch) {
        let values = || (0..batch.count).map(|record| value(batch, record));
        match self.fault.as_str() {
            "unwraps-absent" => assert!(batch.after.validity.is_none(), "no value"),
            "short-payloads" => assert!(values().all(|value| value.len() <= 512 << 10), "too long"),
            "trusts-text" => assert!(values().all(|value| std::str::from_utf8(value).is_ok()), "no text"),
            "recurses" => {
                let deep = |value: &[u8]| value.iter().filter(|byte| **byte == b'[').count() > 1_000;
                assert!(!values().any(deep), "too deep");
            }
            "text-keys" => {
                let text = records::get("key").is_none_or(|keys| std::str::from_utf8(&keys.data).is_ok());
                assert!(text, "a key that is no text");
            }
            "knows-no-snapshots" => assert!(!records::operations().contains(&3), "no such operation"),
            "plain-metadata" => assert!(records::names().iter().all(|name| name.is_ascii()), "a name"),
            _ => {}
        }
    }

    /// Why a value cannot be passed on: it is no line that holds an object.
    fn refused(&self, batch: &Batch, value: &[u8]) -> Option<String> {
        if self.has("rejects-one") && batch.count == 1 {
            return Some("a record alone is none".into());
        }
        if value.starts_with(b"{") && value.ends_with(b"}") && !value.contains(&b'\n') {
            return None;
        }
        Some(match self.fault.as_str() {
            "silent" => String::new(),
            "wordy" => "no object. ".repeat(300),
            _ => "the payload is no JSON object on one line".into(),
        })
    }
}

/// A value; of one that is absent, nothing.
fn value(batch: &Batch, record: u32) -> &[u8] {
    let at = record as usize;
    &batch.after.data[batch.after.offsets[at] as usize..batch.after.offsets[at + 1] as usize]
}

bindings::export!(Mutant with_types_in bindings);
