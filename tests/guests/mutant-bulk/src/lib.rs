//! A bulk destination that keeps the contract but for the fault that its setting `fault` names: the cases of conformance have to find it.
//!
//! It posts the lines of an upload to an HTTP server, which it can ask what came. The far side's job is a file in `/kept`, named by the intent, with how
//! often it was polled and how many records it has: it is at its end at the second poll, and `stats` tells the outcomes, or with `tells…` for a fault the
//! poll itself. What it says of itself stands in its `SLOT`, which tests write over in the component's
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
    time::{Duration, Instant},
};

use bindings::wharf::connector::{
    staged,
    types::{FailureKind, Outcome, Settings, Span, Verdict},
};
use exports::wharf::connector::{
    bulk::{
        Batch, Column, Failure, Found, Guest, GuestSession, Handle, Receipt, Session as Opened, Transformed, UploadRequest,
        UploadStatus, Uploaded, Waiting,
    },
    connector::{Guest as Connector, Problem},
};

#[allow(missing_docs, clippy::all)]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "bulk-destination" });
}
use bindings::exports;

mod follow;
#[path = "../../mutant-write/src/shared.rs"]
mod shared;
#[path = "../../mutant-write/src/token.rs"]
mod token;
use shared::{Common, KEPT, failure, problem, said, setting, value};

struct Mutant;

struct Session {
    common: Common,
    uploaded: Cell<bool>,
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
    fn open(settings: Settings) -> Result<Opened, Failure> {
        follow::elsewhere(&setting(&settings, "fault"), "follows-while-it-opens");
        Ok(Opened::new(Self { common: Common::open(&settings)?, uploaded: Cell::default() }))
    }

    fn transform(&self, batch: Batch) -> Result<Transformed, Failure> {
        self.common.take(&batch)?;
        let (mut offsets, mut data, mut verdicts) = (vec![0_u32], Vec::new(), Vec::new());
        for record in 0..batch.count {
            let value = value(&batch, record).unwrap_or_default();
            if let Some(why) = self.common.refused(&batch, value) {
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
        follow::records(&self.common.fault, &batch)?;
        Ok(Transformed { lines: Column { offsets, data, validity: None }, verdicts })
    }

    fn upload(&self, request: UploadRequest) -> Result<Uploaded, Failure> {
        let UploadRequest { intent, records, .. } = request;
        self.uploaded.set(true);
        let broke = format!("{}-broke", path(&intent));
        if self.has("never-recovers") && fs::exists(&broke).unwrap_or_default() {
            return Err(failure(FailureKind::Transient, "it broke before"));
        }
        let text = self.text();
        let known = job(&intent).is_some() || self.knows(&text)?;
        if !known || self.has("sends-again") {
            if self.has("notes-first") {
                note(&intent, 0, records);
            }
            if let Err(failed) = self.send(&text) {
                fs::write(broke, "").expect("notes that it broke");
                return Err(failed);
            }
        }
        if job(&intent).is_none() {
            note(&intent, 0, records);
        }
        follow::upload(&self.common.fault)?;
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
        if let Err(gone) = self.ask("POST", b"") {
            if self.has("forgets-on-failure") {
                let _gone = fs::remove_file(path(&intent));
            }
            return Err(gone);
        }
        if self.has("remembers") && !self.uploaded.get() {
            return Err(failure(FailureKind::Rejected, "it sent nothing"));
        }
        let Some((polled, records)) = job(&intent) else {
            assert!(!self.has("trusts-handles"), "no such job");
            return Err(failure(FailureKind::Rejected, "there is no such job"));
        };
        note(&intent, polled + 1, records);
        match polled {
            0 => Ok(UploadStatus::Working(Waiting { done: Some(0.5), again_in_ms: Some(10), handle: None })),
            _ if self.common.fault.starts_with("tells") => Ok(UploadStatus::Settled(self.outcomes(polled, records))),
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
        let (polled, records) = job(&intent).unwrap_or_default();
        Ok(self.outcomes(polled, records))
    }

    fn reconcile(&self, request: UploadRequest) -> Result<Found, Failure> {
        let UploadRequest { intent, records, .. } = request;
        let there = job(&intent).is_some() || !self.has("asks-nobody") && self.knows(&self.text())?;
        if there && job(&intent).is_none() {
            note(&intent, 0, records);
        }
        Ok(match self.common.fault.as_str() {
            "finds-nothing" => Found::Absent,
            "finds-all" => Found::Present(account(&intent, records)),
            _ if there => Found::Present(account(&intent, records)),
            _ => Found::Absent,
        })
    }

    fn release(&self, handle: Handle) {
        follow::elsewhere(&self.common.fault, "follows-behind");
        let removed = fs::remove_file(path(&String::from_utf8_lossy(&handle)));
        assert!(!self.has("releases-once") || removed.is_ok(), "no such job");
    }

    fn close(&self) -> Result<(), Failure> {
        self.common.close()
    }
}

impl Session {
    fn has(&self, fault: &str) -> bool {
        self.common.has(fault)
    }

    /// The outcomes of the records that were worked on.
    fn outcomes(&self, polled: u32, records: u32) -> Receipt {
        let start = u32::from(!self.has("stats-of-all") && !self.has("tells-of-all"));
        let mut outcomes = Receipt { delivered: vec![Span { start, end: records }], verdicts: Vec::new() };
        if self.has("tells-otherwise") && polled > 1 {
            let outcome = Outcome::Failed(failure(FailureKind::Rejected, "another answer"));
            outcomes.delivered[0].end -= 1;
            outcomes.verdicts.push(Verdict { records: Span { start: records - 1, end: records }, outcome });
        }
        outcomes
    }

    /// The staged file.
    fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        loop {
            let piece = staged::read(text.len() as u64, 1 << 20).expect("the staged file");
            text.extend_from_slice(&piece);
            if piece.is_empty() || self.has("reads-once") {
                return text;
            }
        }
    }

    /// Whether the far side has a file: its first line is there.
    fn knows(&self, text: &[u8]) -> Result<bool, Failure> {
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let (_, there) = self.ask("GET", b"")?;
        Ok(there.windows(line.len().max(1)).any(|part| part == line))
    }

    /// Posts a file.
    fn send(&self, text: &[u8]) -> Result<(), Failure> {
        let mut lines: Vec<&[u8]> = text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n').collect();
        if self.has("swaps") {
            lines.reverse();
        }
        let began = Instant::now();
        let came = self.ask("POST", &lines.join(&b'\n'));
        if self.has("impatient") && lines.len() == 100 && began.elapsed() > Duration::from_millis(60) {
            return Err(failure(FailureKind::Fatal, "it took too long"));
        }
        match came {
            Err(lost) if self.has("cut-is-delivered") && lost.kind == FailureKind::Uncertain => Ok(()),
            came => came.map(drop),
        }
    }

    /// Asks the far side. Gives the status, and what came behind the head.
    fn ask(&self, method: &str, text: &[u8]) -> Result<(u16, Vec<u8>), Failure> {
        let kind = if self.has("gone-is-fatal") { FailureKind::Fatal } else { FailureKind::Uncertain };
        let gone = |error: std::io::Error| failure(kind, format!("{method} to {}: {error}", self.common.address));
        let mut stream = TcpStream::connect(&self.common.address).map_err(gone)?;
        let (length, token) = (text.len(), token::shown(&self.common.fault)?);
        let head =
            format!("{method} / HTTP/1.1\r\nHost: x\r\nToken: {token}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(text)).map_err(gone)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(gone)?;
        let end = answer.windows(4).position(|part| part == b"\r\n\r\n").ok_or_else(|| failure(kind, "no answer"))?;
        let body = answer.split_off(end + 4);
        match String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok()) {
            Some(401) if self.has("unauthorized-is-rejected") => Err(failure(FailureKind::Rejected, "status 401")),
            Some(401) => Err(failure(FailureKind::Unauthorized, "the server says 401")),
            Some(429) if self.has("throttled-is-transient") => Err(failure(FailureKind::Transient, "status 429")),
            Some(429) => Err(Failure { retry_after_ms: Some(1_000), ..failure(FailureKind::Throttled, "the server says 429") }),
            Some(status) => Ok((status, body)),
            None => Err(failure(kind, "no answer")),
        }
    }
}

fn path(intent: &str) -> String {
    let plain: String = intent.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{KEPT}/job-{plain}")
}

/// How often a job was polled and how many records it has, where there is one.
fn job(intent: &str) -> Option<(u32, u32)> {
    let noted = fs::read_to_string(path(intent)).ok()?;
    let (polled, records) = noted.split_once(' ')?;
    Some((polled.parse().ok()?, records.parse().ok()?))
}

fn note(intent: &str, polled: u32, records: u32) {
    fs::write(path(intent), format!("{polled} {records}")).expect("notes the job");
}

/// The first record is settled at once, the others are worked on.
fn account(intent: &str, records: u32) -> Uploaded {
    Uploaded {
        settled: Receipt { delivered: vec![Span { start: 0, end: 1 }], verdicts: Vec::new() },
        working: vec![Span { start: 1, end: records }],
        handle: Some(intent.as_bytes().to_vec()),
    }
}

bindings::export!(Mutant with_types_in bindings);
