//! A bulk destination that answers each call as its scripts say, and keeps a journal of what it was handed.
//!
//! Made without the SDK, which would not let an answer break the contract. There is a setting for each call, with an answer for the first, the
//! second, …, parted by `;`; from their end on all is well: every record gets its value as a line, an upload is worked on, a poll says
//! `delivered`, an upload is found by what the journal says. An answer is made of words:
//!
//! | call | word | what it does |
//! | --- | --- | --- |
//! | any | `fail=KIND`, `trap`, `loop`, `sleep=MILLISECONDS`, `memory=MIB` | fails, ends, or takes too much |
//! | any | `follow=ACTION/ON/0-2,3-4`, and behind it `/keys`, `/absent`, `/BYTES` | adds follow-ups, one key short, without payloads, or each so large |
//! | `transform` | `2-4=KIND`, `newline=3`, `absent=3`, `without=3`, `more` | fails these; a line break; no value; one line less; one more |
//! | `upload`, `reconcile` | `2-4`, `2-4=KIND`, `~2-4` | these are delivered; failed, `warned`, `untried`; worked on |
//! | `upload`, `reconcile` | `handle=BYTES`, `no-handle` | a handle of that size; none |
//! | `upload` | `lost` | takes effect, and then fails as `uncertain`; with `trap` it ends instead |
//! | `reconcile` | `absent`, `present`, `cannot-tell` | whatever the journal says |
//! | `poll` | `working`, `again=MILLISECONDS`, `done=PART`, `stats`, `handle=BYTES`, `failed=KIND`, `delivered` | says so |
//! | `poll`, `stats` | `2-4`, `2-4=KIND` | settles these |
//!
//! `$` stands for the end of the file, `KIND/MILLISECONDS` asks for patience. The journal, in which calls are counted across instances, is
//! `/journal/calls`; a file of `/journal/uploads` says that an upload took effect, a byte for each time.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::panic, clippy::expect_used, reason = "a script that cannot be read ends in a trap, which fails the test")]

use std::{fs, io::Write as _, time::Duration};

use exports::wharf::connector::{
    bulk::{
        Batch, Failure, Found, Guest, GuestSession, Handle, Receipt, Session as Opened, Transformed, UploadRequest, UploadStatus,
        Uploaded, Waiting,
    },
    connector::{Guest as Connector, Problem},
};
use wharf::connector::{
    context, follow_ups, staged,
    types::{Column, FailureKind, Outcome, Settings, Span, Verdict},
};

#[allow(missing_docs, clippy::all)]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "bulk-destination" });
}
use bindings::{exports, wharf};

const JOURNAL: &str = "/journal/calls";
const UPLOADS: &str = "/journal/uploads";

struct Scripted;

struct Session {
    settings: Settings,
}

impl Connector for Scripted {
    fn describe() -> String {
        let calls = ["open", "transform", "upload", "poll", "stats", "reconcile", "release"];
        let parameters: Vec<String> = calls.iter().map(|call| format!(r#"{{"name": "{call}", "default": ""}}"#)).collect();
        let parameters = parameters.join(", ");
        let about = r#"{"name": "guest-uploads", "version": "0.1.0"}"#;
        let actions = ["load", "tell", "tidy"].map(|name| format!(r#"{{"name": "{name}", "delivery": "bulk"}}"#)).join(", ");
        let guarantees = r#"{"reconciles": true}"#;
        format!(
            r#"{{"format": 1, "about": {about}, "parameters": [{parameters}], "actions": [{actions}], "guarantees": {guarantees}}}"#
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
    fn open(settings: Settings) -> Result<Opened, Failure> {
        let session = Self { settings };
        for word in session.script("open", "").split_whitespace() {
            harm(word)?;
        }
        Ok(Opened::new(session))
    }

    fn transform(&self, batch: Batch) -> Result<Transformed, Failure> {
        let Batch { id, start, count, attempt, after, action } = batch;
        let script = self.script("transform", &format!("{id} {start}+{count} attempt {attempt} action {action}"));
        let values = after.offsets.windows(2).map(|at| after.data[at[0] as usize..at[1] as usize].to_vec());
        let mut lines: Vec<Option<Vec<u8>>> = values.map(Some).collect();
        let mut verdicts = Vec::new();
        let mut without = Vec::new();
        for word in script.split_whitespace() {
            harm(word)?;
            match word.split_once('=') {
                Some(("newline", record)) => {
                    let line = lines[number::<usize>(record)].as_mut().expect("a line");
                    line.insert(0, b'\n');
                }
                Some(("absent", record)) => lines[number::<usize>(record)] = None,
                Some(("without", record)) => without.push(span(&format!("{record}-{}", number::<u32>(record) + 1), count)),
                Some((records, kind)) if records.contains('-') => {
                    let verdict = verdict(records, kind, count);
                    if matches!(verdict.outcome, Outcome::Failed(_)) {
                        without.push(verdict.records);
                    }
                    verdicts.push(verdict);
                }
                None if word == "more" => lines.push(Some(Vec::new())),
                _ => {}
            }
        }
        let left = |at: &u32| !without.iter().any(|span: &Span| (span.start..span.end).contains(at));
        let lines = (0..).zip(lines).filter(|(at, _)| left(at)).map(|(_, line)| line);
        Ok(Transformed { lines: column(lines.collect()), verdicts })
    }

    fn upload(&self, request: UploadRequest) -> Result<Uploaded, Failure> {
        let UploadRequest { intent, action, records, bytes, attempt } = request;
        let mut text = Vec::new();
        loop {
            let piece = staged::read(text.len() as u64, 7).expect("the staged file");
            if piece.is_empty() {
                break;
            }
            text.extend_from_slice(&piece);
        }
        assert_eq!(text.len() as u64, bytes);
        let text = String::from_utf8_lossy(&text).replace('\n', "|");
        let known = |name| context::get(name).is_some();
        let part = context::get("part").expect("a part");
        assert!(known("created-at"));
        let script = self.script("upload", &format!("{intent} {records} attempt {attempt} action {action} part {part} [{text}]"));
        if script.split_whitespace().any(|word| word == "lost") {
            applied(&intent);
        }
        for word in script.split_whitespace() {
            harm(word)?;
        }
        if script.split_whitespace().any(|word| word == "lost") {
            return Err(failure("uncertain").expect("a kind"));
        }
        applied(&intent);
        Ok(uploaded(&script, &intent, records))
    }

    fn poll(&self, handle: Handle) -> Result<UploadStatus, Failure> {
        let script = self.script("poll", &shown(&handle));
        let mut waiting = Waiting { done: None, again_in_ms: None, handle: None };
        let (mut working, mut stats) = (false, false);
        for word in script.split_whitespace() {
            harm(word)?;
            match word.split_once('=') {
                Some(("again", millis)) => (working, waiting.again_in_ms) = (true, Some(number(millis))),
                Some(("done", part)) => (working, waiting.done) = (true, Some(number(part))),
                Some(("handle", bytes)) => waiting.handle = Some(vec![b'h'; number(bytes)]),
                Some(("failed", kind)) => return Ok(UploadStatus::Failed(failure(kind).expect("a kind"))),
                None if word == "working" => working = true,
                None if word == "stats" => stats = true,
                _ => {}
            }
        }
        let receipt = receipt(&script, records(&handle));
        Ok(match () {
            () if stats => UploadStatus::AskStats(waiting.handle),
            () if working => UploadStatus::Working(waiting),
            () if receipt.delivered.is_empty() && receipt.verdicts.is_empty() && !script.contains("nothing") => {
                UploadStatus::Delivered
            }
            () => UploadStatus::Settled(receipt),
        })
    }

    fn stats(&self, handle: Handle) -> Result<Receipt, Failure> {
        let script = self.script("stats", &shown(&handle));
        for word in script.split_whitespace() {
            harm(word)?;
        }
        let script = if script.trim().is_empty() { "0-$" } else { &script };
        Ok(receipt(script, records(&handle)))
    }

    fn reconcile(&self, request: UploadRequest) -> Result<Found, Failure> {
        let UploadRequest { intent, records, attempt, .. } = request;
        let script = self.script("reconcile", &format!("{intent} attempt {attempt}"));
        let present = fs::exists(format!("{UPLOADS}/{intent}")).unwrap_or_default();
        let mut found = if present { Found::Present(uploaded(&script, &intent, records)) } else { Found::Absent };
        for word in script.split_whitespace() {
            harm(word)?;
            match word {
                "absent" => found = Found::Absent,
                "present" => found = Found::Present(uploaded(&script, &intent, records)),
                "cannot-tell" => found = Found::CannotTell,
                _ => {}
            }
        }
        Ok(found)
    }

    fn release(&self, handle: Handle) {
        for word in self.script("release", &shown(&handle)).split_whitespace() {
            // It can say nothing; only what ends it does.
            let _failed = harm(word);
        }
    }

    fn close(&self) -> Result<(), Failure> {
        Ok(())
    }
}

impl Session {
    /// Writes down a call, and gives what it is to do.
    fn script(&self, call: &str, what: &str) -> String {
        let before = fs::read_to_string(JOURNAL).unwrap_or_default();
        if let Ok(mut file) = fs::OpenOptions::new().append(true).create(true).open(JOURNAL) {
            file.write_all(format!("{call} {what}\n").as_bytes()).expect("writes its journal");
        }
        let nth = before.lines().filter(|line| line.split(' ').next() == Some(call)).count();
        let script = self.settings.iter().find(|(known, _)| known == call).map(|(_, value)| value.as_str()).unwrap_or_default();
        script.split(';').nth(nth).unwrap_or_default().to_owned()
    }
}

/// What any call may be told to do to its host.
fn harm(word: &str) -> Result<(), Failure> {
    match word.split_once('=') {
        None if word == "trap" => panic!("told to trap"),
        None if word == "loop" => loop {
            std::hint::black_box(word);
        },
        Some(("fail", kind)) => Err(failure(kind).expect("a kind of failure")),
        Some(("sleep", millis)) => {
            std::thread::sleep(Duration::from_millis(number(millis)));
            Ok(())
        }
        Some(("memory", mib)) => {
            std::hint::black_box(vec![1_u8; number::<usize>(mib) << 20]);
            Ok(())
        }
        Some(("follow", what)) => follow(what),
        _ => Ok(()),
    }
}

/// Adds follow-ups; what the host says to that fails the call.
fn follow(what: &str) -> Result<(), Failure> {
    let parts: Vec<&str> = what.split('/').collect();
    let causes: Vec<Span> = parts[2].split(',').filter(|part| !part.is_empty()).map(|part| span(part, 0)).collect();
    let how = parts.get(3).copied().unwrap_or_default();
    let each = causes.iter().flat_map(|span| span.start..span.end.min(span.start + 10));
    let payload = |cause| match how.parse() {
        Ok(bytes) => Some(vec![b'x'; bytes]),
        Err(_) if how == "absent" => None,
        Err(_) => Some(format!("{}: {} {cause}", parts[0], parts[1]).into_bytes()),
    };
    let payloads: Vec<_> = each.map(payload).collect();
    let keys = payloads.len() - usize::from(how == "keys");
    let keys = column(vec![None; keys]);
    follow_ups::add(parts[0], parts[1], &causes, &keys, &column(payloads)).map_err(|message| Failure {
        kind: FailureKind::Fatal,
        message,
        code: None,
        retry_after_ms: None,
    })
}

/// Notes that an upload took effect.
fn applied(intent: &str) {
    let _there = fs::create_dir(UPLOADS);
    let file = fs::OpenOptions::new().append(true).create(true).open(format!("{UPLOADS}/{intent}"));
    file.and_then(|mut file| file.write_all(b"x")).expect("notes an upload");
}

fn uploaded(script: &str, intent: &str, records: u32) -> Uploaded {
    let settled = receipt(script, records);
    let working: Vec<Span> =
        script.split_whitespace().filter_map(|word| word.strip_prefix('~')).map(|at| span(at, records)).collect();
    let mut handle = Some(format!("{intent} {records}").into_bytes());
    for word in script.split_whitespace() {
        match word.split_once('=') {
            Some(("handle", bytes)) => handle = Some(vec![b'h'; number(bytes)]),
            None if word == "no-handle" => handle = None,
            _ => {}
        }
    }
    let said = !settled.delivered.is_empty() || !settled.verdicts.is_empty() || !working.is_empty();
    let working = if said { working } else { vec![Span { start: 0, end: records }] };
    Uploaded { settled, working, handle }
}

fn receipt(script: &str, count: u32) -> Receipt {
    let mut receipt = Receipt { delivered: Vec::new(), verdicts: Vec::new() };
    for word in script.split_whitespace().filter(|word| word.starts_with(|c: char| c.is_ascii_digit())) {
        match word.split_once('=') {
            None => receipt.delivered.push(span(word, count)),
            Some((records, kind)) => receipt.verdicts.push(verdict(records, kind, count)),
        }
    }
    receipt
}

fn verdict(records: &str, kind: &str, count: u32) -> Verdict {
    let outcome = match kind {
        "warned" => Outcome::Warned("told to".into()),
        "untried" => Outcome::Untried,
        kind => Outcome::Failed(failure(kind).expect("a kind of failure")),
    };
    Verdict { records: span(records, count), outcome }
}

fn column(lines: Vec<Option<Vec<u8>>>) -> Column {
    let mut column = Column { offsets: vec![0], data: Vec::new(), validity: None };
    let mut validity = vec![0_u8; lines.len().div_ceil(8)];
    for (at, line) in lines.iter().enumerate() {
        column.data.extend_from_slice(line.as_deref().unwrap_or_default());
        column.offsets.push(column.data.len() as u32);
        validity[at / 8] |= u8::from(line.is_some()) << (at % 8);
    }
    column.validity = lines.contains(&None).then_some(validity);
    column
}

fn shown(handle: &[u8]) -> String {
    let text = String::from_utf8_lossy(handle);
    if text.len() > 100 { format!("{} bytes", text.len()) } else { text.into_owned() }
}

/// How many records the upload has that a handle is of.
fn records(handle: &[u8]) -> u32 {
    String::from_utf8_lossy(handle).split(' ').nth(1).and_then(|count| count.parse().ok()).unwrap_or_default()
}

fn number<N: std::str::FromStr>(text: &str) -> N {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

fn span(text: &str, count: u32) -> Span {
    let (start, end) = text.split_once('-').expect("a span");
    let place = |text: &str| if text == "$" { count } else { number(text) };
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
