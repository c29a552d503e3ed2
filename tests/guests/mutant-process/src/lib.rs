//! A processor that keeps the contract but for the fault that its setting `fault` names: the cases of conformance have to find it.
//!
//! It greets an HTTP server when it is opened, passes on records whose payload is a JSON object on one line, and fails the others. What it says of itself stands in its `SLOT`, which tests write
//! over in the component's file. Each fault stands in the code where it happens, as `self.has("name")`.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::panic, clippy::expect_used, reason = "what is not as it should be ends in a trap, which a case finds")]

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
};

use bindings::wharf::connector::types::{FailureKind, Outcome, Settings, Span, Verdict};
use exports::wharf::connector::{
    connector::{Guest as Connector, Problem},
    processor::{Batch, Change, Column, Failure, Guest, GuestSession, Processed, Session as Handle},
};

#[allow(missing_docs, clippy::all)]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "record-processor" });
}
use bindings::exports;

#[path = "../../mutant-write/src/shared.rs"]
mod shared;
use shared::{Common, failure, problem, said, value};

struct Mutant;

struct Session {
    common: Common,
}

impl Connector for Mutant {
    fn describe() -> String {
        said()
    }

    fn check(settings: Settings) -> Vec<Problem> {
        problem(&settings).map(|message| Problem { parameter: "address".into(), message }).into_iter().collect()
    }
}

impl Guest for Mutant {
    type Session = Session;
}

impl GuestSession for Session {
    fn open(settings: Settings) -> Result<Handle, Failure> {
        Ok(Handle::new(Self { common: Common::open(&settings)? }))
    }

    fn process(&self, batch: Batch) -> Result<Processed, Failure> {
        self.common.take(&batch)?;
        let (mut parents, mut offsets, mut data, mut verdicts) = (Vec::new(), vec![0_u32], Vec::new(), Vec::new());
        for record in 0..batch.count {
            let value = value(&batch, record).unwrap_or_default();
            match self.common.refused(&batch, value) {
                Some(message) => verdicts.push(Verdict {
                    records: Span { start: record, end: record + 1 },
                    outcome: Outcome::Failed(failure(FailureKind::Rejected, message)),
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
            match self.common.fault.as_str() {
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
            key: if self.has("a-key-less") && batch.count == 9 { Change::Set(empty(count - 1)) } else { Change::Keep },
            operations: (self.has("odd-operations") && batch.count == 9).then(|| vec![4; count as usize]),
            content_type: None,
            metadata: Vec::new(),
            filtered,
            verdicts,
        })
    }

    fn close(&self) -> Result<(), Failure> {
        self.common.close()
    }
}

impl Session {
    fn has(&self, fault: &str) -> bool {
        self.common.has(fault)
    }
}

/// So many values with nothing in them.
fn empty(count: u32) -> Column {
    Column { offsets: vec![0; count as usize + 1], data: Vec::new(), validity: None }
}

bindings::export!(Mutant with_types_in bindings);
