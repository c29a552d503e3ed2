//! What it adds for its other action: a note of each record that is given up, and one of the first that an upload delivered.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
};

use crate::{
    bindings::wharf::connector::{
        follow_ups,
        types::{Batch, Column, Failure, FailureKind, Span},
    },
    shared::failure,
};

/// The action that follow-ups are for.
const NOTE: &str = "note";

/// Follow-ups of all records of a batch.
pub fn records(fault: &str, batch: &Batch) -> Result<(), Failure> {
    let all = Span { start: 0, end: batch.count };
    let text = match fault {
        "follows-by-chance" if batch.count == 50 => format!("note {}", RandomState::new().build_hasher().finish()),
        "follows-at-length" if batch.count == 10_000 => "note ".repeat(200),
        _ => "note".into(),
    };
    let added = add(NOTE, "discarded", &[all], batch.count, &text);
    if fault != "passes-over-refusals" {
        added?;
    }
    // What is refused is passed over, so that nothing else comes of it.
    let _refused = match fault {
        _ if batch.count != 40 => Ok(()),
        "follows-to-nowhere" => add("nowhere", "failed", &[all], batch.count, "note"),
        "follows-on-a-whim" => add(NOTE, "pleased", &[all], batch.count, "note"),
        "follows-others" => add(NOTE, "failed", &[Span { start: batch.count, end: batch.count + 1 }], 1, "note"),
        "follows-twice" => add(NOTE, "discarded", &[Span { start: 0, end: 1 }], 1, "note"),
        "follows-without-words" => add(NOTE, "failed", &[all], batch.count - 1, "note"),
        _ => Ok(()),
    };
    Ok(())
}

/// A follow-up of the first record of a file.
pub fn upload(fault: &str) -> Result<(), Failure> {
    let _refused = match fault {
        "follows-nothing" => add(NOTE, "succeeded", &[], 0, "note"),
        _ => Ok(()),
    };
    add(NOTE, "succeeded", &[Span { start: 0, end: 1 }], 1, "note")
}

/// One where there is nothing to follow.
pub fn elsewhere(fault: &str, named: &str) {
    if fault == named {
        let _refused = add(NOTE, "succeeded", &[Span { start: 0, end: 1 }], 1, "note");
    }
}

fn add(action: &str, on: &str, causes: &[Span], count: u32, text: &str) -> Result<(), Failure> {
    let size = u32::try_from(text.len()).unwrap_or_default();
    let payloads =
        Column { offsets: (0..=count).map(|at| at * size).collect(), data: text.repeat(count as usize).into(), validity: None };
    let keys =
        Column { offsets: vec![0; count as usize + 1], data: Vec::new(), validity: Some(vec![0; (count as usize).div_ceil(8)]) };
    let added = follow_ups::add(action, on, causes, &keys, &payloads);
    added.map_err(|why| failure(FailureKind::Fatal, format!("adding notes: {why}")))
}
