//! A processor that answers in the way that it is told to, right or wrong.
//!
//! Made without the SDK, which would not let an answer break the contract. The setting `act` says how to answer, `amount` how much of it.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::panic, reason = "that is a fault")]

use exports::wharf::connector::{
    connector::{Guest as Connector, Problem},
    processor::{Batch, Change, Failure, Guest, GuestSession, Processed, Session as Handle, Span, Verdict},
};
use wharf::connector::{
    follow_ups, progress, records,
    types::{Column, FailureKind, Outcome, Settings},
};

#[allow(missing_docs, clippy::all)]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "record-processor" });
}
use bindings::{exports, wharf};

struct Mangles;

struct Session {
    act: String,
    amount: usize,
}

impl Connector for Mangles {
    fn describe() -> String {
        let parameters = r#"[{"name": "act", "default": "pass"}, {"name": "amount", "type": "int", "default": "0"}]"#;
        let about = r#"{"name": "guest-mangles", "version": "0.1.0"}"#;
        format!(r#"{{"format": 1, "about": {about}, "parameters": {parameters}}}"#)
    }

    fn check(_: Settings) -> Vec<Problem> {
        Vec::new()
    }
}

impl Guest for Mangles {
    type Session = Session;
}

fn failure(message: String) -> Failure {
    Failure { kind: FailureKind::Rejected, message, code: None, retry_after_ms: None }
}

fn failed(start: u32, end: u32, kind: FailureKind) -> Verdict {
    let failure = Failure { kind, ..failure("told to fail".into()) };
    Verdict { records: Span { start, end }, outcome: Outcome::Failed(failure) }
}

fn column(values: impl IntoIterator<Item = Vec<u8>>) -> Column {
    let (mut offsets, mut data) = (vec![0], Vec::new());
    for value in values {
        data.extend(value);
        offsets.push(data.len() as u32);
    }
    Column { offsets, data, validity: None }
}

impl GuestSession for Session {
    fn open(settings: Settings) -> Result<Handle, Failure> {
        let get = |name: &str| settings.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
        let amount = get("amount").and_then(|amount| amount.parse().ok()).unwrap_or(0);
        let session = Self { act: get("act").unwrap_or_default(), amount };
        if session.act == "fail-open" {
            return Err(failure("told not to open".into()));
        }
        Ok(Handle::new(session))
    }

    fn process(&self, batch: Batch) -> Result<Processed, Failure> {
        let (count, amount) = (batch.count, self.amount);
        let mut same = Processed {
            count,
            parents: None,
            after: Change::Keep,
            before: Change::Keep,
            key: Change::Keep,
            operations: None,
            content_type: None,
            metadata: Vec::new(),
            filtered: Vec::new(),
            verdicts: Vec::new(),
        };
        let values = |offsets: &[u32], data: &str, validity: Option<&[u8]>| {
            Change::Set(Column { offsets: offsets.into(), data: data.into(), validity: validity.map(Into::into) })
        };
        match &*self.act {
            "pass" | "fail-close" => {}
            // What an honest one does with all that it may ask for.
            "honest" => {
                assert_eq!(records::sequences().len(), count as usize);
                let keys = records::get("key").expect("there are keys");
                let names = records::names();
                let key = |at: usize| keys.data[keys.offsets[at] as usize..keys.offsets[at + 1] as usize].to_vec();
                let ordinals = records::ordinals();
                let of = |at: usize, ordinal: u32| {
                    [&key(at)[..], b"/", ordinal.to_string().as_bytes(), names.join(",").as_bytes()].concat()
                };
                let made = (0..count as usize).flat_map(|at| (0..2).map(move |twin| (at, twin)));
                same.after = Change::Set(column(made.map(|(at, twin)| of(at, ordinals.get(at).copied().unwrap_or(0) + twin))));
                same.count = count * 2;
                same.parents = Some((0..count).flat_map(|at| [at, at]).collect());
            }
            "drop-and-fail" => {
                (same.count, same.parents) = (count - 2, Some((1..count - 1).collect()));
                same.filtered = vec![Span { start: 0, end: 1 }];
                same.verdicts = vec![failed(count - 1, count, FailureKind::Rejected)];
            }
            "panic" => panic!("told to panic"),
            "fail" => return Err(failure("no \u{1b}[2J\u{202e}".repeat(amount))),
            "fail-a-record-at-length" => {
                (same.count, same.parents) = (0, Some(Vec::new()));
                let outcome = Outcome::Failed(failure("\u{1b}[2J\u{7}é".repeat(amount)));
                same.verdicts = vec![Verdict { records: Span { start: 0, end: count }, outcome }];
            }
            "progress" => progress::delivered(Span { start: 0, end: 1 }),
            "follow-ups" => {
                let of = || column([b"x".to_vec()]);
                let refused = follow_ups::add("x", "succeeded", &[Span { start: 0, end: 1 }], &of(), &of());
                return Err(failure(format!("{refused:?}")));
            }
            "answer-at-length" => same.after = Change::Set(column([vec![b'x'; amount]])),
            "many" => {
                same.count = amount as u32;
                same.parents = Some((0..amount as u32).map(|at| at * count / amount as u32).collect());
            }
            "count-without-end" => same.count = u32::MAX,
            "nothing" => (same.count, same.parents) = (0, Some(Vec::new())),
            "parents-short" => same.parents = Some(vec![0; count as usize - 1]),
            "parents-outside" => same.parents = Some((1..=count).collect()),
            "parents-falling" => same.parents = Some((0..count).rev().collect()),
            "forget" => (same.count, same.parents) = (count - 1, Some((0..count - 1).collect())),
            "twice" => same.filtered = vec![Span { start: count - 1, end: count }],
            "filtered-outside" => same.filtered = vec![Span { start: 0, end: u32::MAX }],
            "filtered-backwards" => same.filtered = vec![Span { start: 3, end: 1 }],
            "warn" => {
                same.verdicts = vec![Verdict { records: Span { start: 0, end: 1 }, outcome: Outcome::Warned("x".into()) }];
            }
            "fatal-first" => {
                (same.count, same.parents) = (count - 1, Some((1..count).collect()));
                same.verdicts = vec![failed(0, 1, FailureKind::Fatal)];
            }
            "column-short" => same.after = values(&vec![0; count as usize], "", None),
            "column-empty" => same.key = values(&[], "", None),
            "column-start" => same.before = values(&vec![1; count as usize + 1], "xx", None),
            "column-falls" => same.after = values(&[&[0, 9], &vec![2; count as usize - 1][..]].concat(), "xxxxxxxxx", None),
            "column-end" => same.after = values(&[&vec![0; count as usize][..], &[u32::MAX]].concat(), "xx", None),
            "validity" => same.after = values(&vec![0; count as usize + 1], "", Some(&[0; 7])),
            "operations-short" => same.operations = Some(vec![1; count as usize - 1]),
            "operation" => same.operations = Some(vec![200; count as usize]),
            "content-type" => same.content_type = Some("text/\u{1b}[2J".into()),
            "metadata" => {
                let names = (0..amount).map(|name| (format!("m{name}"), Change::Set(column((0..count).map(|_| Vec::new())))));
                same.metadata = names.collect();
            }
            "name" => same.metadata = vec![("x".repeat(amount), Change::Clear)],
            "name-twice" => same.metadata = vec![("x".into(), Change::Clear), ("x".into(), Change::Keep)],
            act => panic!("{act} is no act"),
        }
        Ok(same)
    }

    fn close(&self) -> Result<(), Failure> {
        match &*self.act {
            "fail-close" => Err(failure("told not to close".into())),
            _ => Ok(()),
        }
    }
}

bindings::export!(Mangles with_types_in bindings);
