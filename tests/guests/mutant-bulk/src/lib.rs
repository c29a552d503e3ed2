//! A bulk destination that keeps the contract but for the fault that its setting `fault` names: the cases of conformance have to find it.
//!
//! It posts the lines of an upload to an HTTP server. The far side's job is a file in `/kept`, named by the intent, with how often it was polled: it is
//! at its end at the second poll, and `stats` tells the outcomes. What it says of itself stands in its `SLOT`, which tests write over in the component's
//! file. Each fault stands in the code where it happens, as `self.has("name")`.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::panic, clippy::expect_used, reason = "what is not as it should be ends in a trap, which a case finds")]

use std::{
    cell::Cell,
    collections::hash_map::RandomState,
    fs,
    hash::{BuildHasher as _, Hasher as _},
    io::{Read as _, Write as _},
    net::TcpStream,
};

use exports::wharf::connector::{
    bulk::{
        Batch, Column, Failure, Found, Guest, GuestSession, Handle, Receipt, Session as Opened, Transformed, UploadRequest,
        UploadStatus, Uploaded, Waiting,
    },
    connector::{Guest as Connector, Problem},
};
use wharf::connector::{
    records, staged,
    types::{FailureKind, Outcome, Settings, Span, Verdict},
};

#[allow(missing_docs, clippy::all)]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "bulk-destination" });
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

/// Files that outlive an instance.
const KEPT: &str = "/kept";

struct Mutant;

struct Session {
    fault: String,
    address: String,
    uploaded: Cell<bool>,
}

fn setting(settings: &Settings, name: &str) -> String {
    settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

fn failure(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { kind, message: message.into(), code: None, retry_after_ms: None }
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
    fn open(settings: Settings) -> Result<Opened, Failure> {
        let (fault, address) = (setting(&settings, "fault"), setting(&settings, "address"));
        Ok(Opened::new(Self { fault, address, uploaded: Cell::default() }))
    }

    fn transform(&self, batch: Batch) -> Result<Transformed, Failure> {
        self.misbehave(&batch);
        if self.has("small-batches") && batch.count > 5_000 {
            return Err(failure(FailureKind::Fatal, "it is too much"));
        }
        let (mut offsets, mut data, mut verdicts) = (vec![0_u32], Vec::new(), Vec::new());
        for record in 0..batch.count {
            let value = value(&batch, record);
            if let Some(why) = self.refused(&batch, value) {
                verdicts.push(Verdict {
                    records: Span { start: record, end: record + 1 },
                    outcome: Outcome::Failed(failure(FailureKind::Rejected, why)),
                });
                continue;
            }
            data.extend_from_slice(value);
            if self.has("by-chance") && batch.count == 50 {
                data.extend_from_slice(format!(" {}", RandomState::new().build_hasher().finish()).as_bytes());
            }
            offsets.push(u32::try_from(data.len()).unwrap_or(u32::MAX));
        }
        if self.has("a-line-less") && batch.count == 7 {
            offsets.pop();
            data.truncate(*offsets.last().expect("a line") as usize);
        }
        Ok(Transformed { lines: Column { offsets, data, validity: None }, verdicts })
    }

    fn upload(&self, request: UploadRequest) -> Result<Uploaded, Failure> {
        let UploadRequest { intent, records, .. } = request;
        self.uploaded.set(true);
        if !job(&intent).is_some_and(|_| !self.has("sends-again")) {
            let mut text = Vec::new();
            loop {
                let piece = staged::read(text.len() as u64, 1 << 16).expect("the staged file");
                if piece.is_empty() {
                    break;
                }
                text.extend_from_slice(&piece);
            }
            if self.has("swaps") {
                let mut lines: Vec<&[u8]> = text.strip_suffix(b"\n").unwrap_or(&text).split(|byte| *byte == b'\n').collect();
                lines.reverse();
                text = lines.join(&b'\n');
            }
            self.send(&text)?;
            fs::write(path(&intent), "0").expect("notes the job");
        }
        let mut account = account(&intent, records);
        if self.has("forgets-a-record") {
            account.settled.delivered.clear();
        }
        if self.has("a-large-handle") {
            account.handle = Some(vec![b'h'; (64 << 10) + 1]);
        }
        Ok(account)
    }

    fn poll(&self, handle: Handle) -> Result<UploadStatus, Failure> {
        let intent = String::from_utf8_lossy(&handle).into_owned();
        if let Err(gone) = self.send(b"") {
            if self.has("forgets-on-failure") {
                let _gone = fs::remove_file(path(&intent));
            }
            return Err(gone);
        }
        if self.has("remembers") && !self.uploaded.get() {
            return Err(failure(FailureKind::Rejected, "it sent nothing"));
        }
        let Some(polled) = job(&intent) else {
            assert!(!self.has("trusts-handles"), "no such job");
            return Err(failure(FailureKind::Rejected, "there is no such job"));
        };
        fs::write(path(&intent), (polled + 1).to_string()).expect("notes the job");
        match polled {
            0 => Ok(UploadStatus::Working(Waiting { done: Some(0.5), again_in_ms: Some(10), handle: None })),
            1 => Ok(UploadStatus::AskStats(None)),
            _ if self.has("polls-once") => Err(failure(FailureKind::Rejected, "it was told already")),
            _ => Ok(UploadStatus::AskStats(None)),
        }
    }

    fn stats(&self, handle: Handle) -> Result<Receipt, Failure> {
        let intent = String::from_utf8_lossy(&handle).into_owned();
        let told = format!("{KEPT}/told-{intent}");
        if self.has("stats-once") && fs::exists(&told).unwrap_or_default() {
            return Err(failure(FailureKind::Rejected, "it was told already"));
        }
        fs::write(told, "").expect("notes what it told");
        let start = u32::from(!self.has("stats-of-all"));
        Ok(Receipt { delivered: vec![Span { start, end: 40 }], verdicts: Vec::new() })
    }

    fn reconcile(&self, request: UploadRequest) -> Result<Found, Failure> {
        let there = job(&request.intent).is_some();
        Ok(match self.fault.as_str() {
            "finds-nothing" => Found::Absent,
            "finds-all" => Found::Present(account(&request.intent, request.records)),
            _ if there => Found::Present(account(&request.intent, request.records)),
            _ => Found::Absent,
        })
    }

    fn release(&self, handle: Handle) {
        let removed = fs::remove_file(path(&String::from_utf8_lossy(&handle)));
        assert!(!self.has("releases-once") || removed.is_ok(), "no such job");
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

    /// Why there is no line of a value: it is no line that holds an object.
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

    /// Posts some text; nothing, to see whether anybody is there.
    fn send(&self, text: &[u8]) -> Result<(), Failure> {
        let kind = if self.has("gone-is-fatal") { FailureKind::Fatal } else { FailureKind::Uncertain };
        let gone = |error: std::io::Error| failure(kind, format!("posting to {}: {error}", self.address));
        let mut stream = TcpStream::connect(&self.address).map_err(gone)?;
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(text)).map_err(gone)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(gone)?;
        if answer.starts_with(b"HTTP/1.1 200") { Ok(()) } else { Err(failure(kind, "no answer")) }
    }
}

fn path(intent: &str) -> String {
    let plain: String = intent.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{KEPT}/job-{plain}")
}

/// How often a job was polled, where there is one.
fn job(intent: &str) -> Option<u32> {
    fs::read_to_string(path(intent)).ok()?.parse().ok()
}

/// The first record is settled at once, the others are worked on.
fn account(intent: &str, records: u32) -> Uploaded {
    Uploaded {
        settled: Receipt { delivered: vec![Span { start: 0, end: 1 }], verdicts: Vec::new() },
        working: vec![Span { start: 1, end: records }],
        handle: Some(intent.as_bytes().to_vec()),
    }
}

/// A value; of one that is absent, nothing.
fn value(batch: &Batch, record: u32) -> &[u8] {
    let at = record as usize;
    &batch.after.data[batch.after.offsets[at] as usize..batch.after.offsets[at + 1] as usize]
}

bindings::export!(Mutant with_types_in bindings);
