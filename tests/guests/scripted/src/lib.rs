//! A destination that answers each call as its script says, and keeps a journal of what it was handed.
//!
//! Made without the SDK, which would not let a receipt break the contract. The setting `script` has an answer for each `write`, parted by
//! `;`, and `opens` one for each `open`; from their end on all is well. An answer is made of words:
//!
//! | word | what it does |
//! | --- | --- |
//! | `2-4` | calls these records delivered; `$` stands for the end of the batch |
//! | `2-4=KIND` | calls them `warned`, `untried`, or failed in this way |
//! | `+2-4` | reports them through `progress` |
//! | `fail=KIND` | fails as a whole; `long` instead says so at length |
//! | `trap`, `nothing`, `sleep=MILLISECONDS`, `hoard=COUNT` | ends; says nothing; waits; keeps handles |
//!
//! `KIND/MILLISECONDS` asks for patience. It has the actions `plain`, which it takes where nothing is said, `other` and `filed`, which it does not
//! serve. The journal, which tells the action of what is for another than the first, and in which calls are counted across instances, is `/journal/calls`.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::panic, clippy::expect_used, reason = "a script that cannot be read ends in a trap, which fails the test")]

use std::{cell::RefCell, fs, io::Write as _, time::Duration};

use exports::wharf::connector::{
    connector::{Guest as Connector, Problem},
    destination::{Batch, Failure, Guest, GuestSession, Receipt, Session as Handle},
};
use wharf::connector::{
    progress,
    types::{FailureKind, Outcome, Settings, Span, Verdict},
};

#[allow(missing_docs, clippy::all)]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "write-destination" });
}
use bindings::{exports, wharf};

const JOURNAL: &str = "/journal/calls";

struct Scripted;

struct Session {
    script: String,
    hoard: RefCell<Vec<Handle>>,
}

impl Connector for Scripted {
    fn describe() -> String {
        let parameters = r#"[{"name": "script", "default": ""}, {"name": "opens", "default": ""}]"#;
        let about = r#"{"name": "guest-scripted", "version": "0.1.0"}"#;
        let actions = r#"[{"name": "plain"}, {"name": "other"}, {"name": "filed", "delivery": "bulk"}]"#;
        let guarantees = r#"{"order": "batch"}"#;
        format!(
            r#"{{"format": 1, "about": {about}, "parameters": {parameters}, "actions": {actions}, "guarantees": {guarantees}}}"#
        )
    }

    fn check(_: Settings) -> Vec<Problem> {
        Vec::new()
    }
}

impl Guest for Scripted {
    type Session = Session;
}

impl GuestSession for Session {
    fn open(settings: Settings) -> Result<Handle, Failure> {
        let setting = |name| settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default();
        let opened = journal("open", "");
        match setting("opens").split(';').nth(opened).and_then(|word| failure(word.trim().strip_prefix("fail=")?)) {
            Some(failure) => Err(failure),
            None => Ok(Handle::new(Self { script: setting("script"), hoard: RefCell::default() })),
        }
    }

    fn write(&self, batch: Batch) -> Result<Receipt, Failure> {
        let Batch { id, start, count, attempt, action, after } = batch;
        let values = after.offsets.windows(2).map(|at| String::from_utf8_lossy(&after.data[at[0] as usize..at[1] as usize]));
        let records = values.collect::<Vec<_>>().join(",");
        let to = if action > 0 { format!(" action {action}") } else { String::new() };
        let written = journal("write", &format!("{id} {start}+{count} attempt {attempt}{to} [{records}]"));
        let mut receipt = Receipt { delivered: Vec::new(), verdicts: Vec::new() };
        let answer = self.script.split(';').nth(written).filter(|answer| !answer.trim().is_empty()).unwrap_or("0-$");
        for word in answer.split_whitespace() {
            match word.split_once('=') {
                None if word == "nothing" => {}
                None if word == "trap" => panic!("told to trap"),
                None if word == "long" => {
                    let message = "\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}é".repeat(1 << 16);
                    return Err(Failure {
                        kind: FailureKind::Fatal,
                        message,
                        code: Some("9".repeat(1 << 16)),
                        retry_after_ms: None,
                    });
                }
                Some(("fail", kind)) => return Err(failure(kind).expect("a kind of failure")),
                Some(("sleep", millis)) => std::thread::sleep(Duration::from_millis(millis.parse().expect("a number"))),
                Some(("hoard", count)) => {
                    let handle = |_| Handle::new(Self { script: String::new(), hoard: RefCell::default() });
                    self.hoard.borrow_mut().extend((0..count.parse().expect("a number")).map(handle));
                }
                None => match word.strip_prefix('+') {
                    Some(reported) => progress::delivered(span(reported, count)),
                    None => receipt.delivered.push(span(word, count)),
                },
                Some((records, what)) => {
                    let outcome = match what {
                        "warned" => Outcome::Warned("told to".into()),
                        "untried" => Outcome::Untried,
                        kind => Outcome::Failed(failure(kind).expect("a kind of failure")),
                    };
                    receipt.verdicts.push(Verdict { records: span(records, count), outcome });
                }
            }
        }
        Ok(receipt)
    }

    fn ack(&self, batches: Vec<String>) {
        for id in batches {
            journal("ack", &id);
        }
    }

    fn close(&self) -> Result<(), Failure> {
        journal("close", "");
        Ok(())
    }
}

/// Writes down a call; gives how many of its kind there were before.
fn journal(call: &str, what: &str) -> usize {
    let before = fs::read_to_string(JOURNAL).unwrap_or_default();
    if let Ok(mut file) = fs::OpenOptions::new().append(true).create(true).open(JOURNAL) {
        file.write_all(format!("{call} {what}\n").as_bytes()).expect("writes its journal");
    }
    before.lines().filter(|line| line.split(' ').next() == Some(call)).count()
}

fn span(text: &str, count: u32) -> Span {
    let (start, end) = text.split_once('-').expect("a span");
    let place = |text: &str| if text == "$" { count } else { text.parse().expect("a number") };
    Span { start: place(start), end: place(end) }
}

fn failure(text: &str) -> Option<Failure> {
    let (kind, wait) = text.split_once('/').unwrap_or((text, ""));
    let kind = match kind {
        "transient" => FailureKind::Transient,
        "throttled" => FailureKind::Throttled,
        "unauthorized" => FailureKind::Unauthorized,
        "uncertain" => FailureKind::Uncertain,
        "rejected" => FailureKind::Rejected,
        "fatal" => FailureKind::Fatal,
        _ => return None,
    };
    Some(Failure { kind, message: "told to".into(), code: Some("42".into()), retry_after_ms: wait.parse().ok() })
}

bindings::export!(Scripted with_types_in bindings);
