//! A write destination that keeps the contract but for the fault that its setting `fault` names: the cases of conformance have to find it.
//!
//! It posts records as lines to an HTTP server, over a connection for each write, and keeps in `/kept` which it delivered. What it says of
//! itself stands in its `SLOT`, which tests write over in the component's file. Each fault stands in the code where it happens, as `self.has("name")`.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::panic, clippy::expect_used, reason = "what is not as it should be ends in a trap, which a case finds")]

use std::{
    cell::{Cell, RefCell},
    collections::{HashSet, hash_map::RandomState},
    fs,
    hash::{BuildHasher as _, Hasher as _},
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

use bindings::wharf::connector::{
    context, log, records, tokens,
    types::{FailureKind, Outcome, Settings, Span, Verdict},
};
use exports::wharf::connector::{
    connector::{Guest as Connector, Problem},
    destination::{Batch, Failure, Guest, GuestSession, Receipt, Session as Handle},
    probe::Guest as Probe,
};

#[allow(missing_docs, clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "package wharf:mutant; world mutant { include wharf:connector/write-destination@0.1.0; export wharf:connector/probe@0.1.0; export wharf:connector/lifecycle@0.1.0; }",
        world: "wharf:mutant/mutant",
        generate_all,
    });
}
use bindings::exports;

mod life;
mod shared;
use shared::{failure, misbehave, refused, said, setting, too_many, value};

/// Files that outlive an instance.
const KEPT: &str = "/kept";

struct Mutant;

struct Session {
    fault: String,
    address: String,
    token: String,
    /// What it delivered in its own life, where a fault forgets all else.
    own: RefCell<HashSet<String>>,
    /// Ids of batches, and records, that it was handed.
    batches: RefCell<HashSet<String>>,
    records: Cell<u32>,
    broke: Cell<bool>,
    kept: RefCell<Vec<Vec<u8>>>,
}

impl Connector for Mutant {
    fn describe() -> String {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        // `!count` makes it say something else each time.
        let text = said();
        match text.strip_prefix("!count") {
            Some(text) => format!("{text}{}", " ".repeat(ASKED.fetch_add(1, Relaxed) as usize)),
            None => text,
        }
    }

    fn check(settings: Settings) -> Vec<Problem> {
        let (fault, address) = (setting(&settings, "fault"), setting(&settings, "address"));
        let problem = |message: String| vec![Problem { parameter: "address".into(), message }];
        match fault.as_str() {
            "checks-nothing" => return Vec::new(),
            "refuses-all" => return problem("is never good enough".into()),
            "checks-by-chance" if address.contains("..") => {
                return problem(format!("is number {}", RandomState::new().build_hasher().finish()));
            }
            _ => {}
        }
        if address.contains("..") { problem("has two dots".into()) } else { Vec::new() }
    }
}

impl Probe for Mutant {
    fn reachable(settings: Settings) -> Result<(), Failure> {
        match setting(&settings, "fault").as_str() {
            "never-reachable" => Err(failure(FailureKind::Transient, "it is not there")),
            "always-reachable" => Ok(()),
            fault => match greet(&setting(&settings, "address")) {
                Ok(401) if fault != "asks-without-credentials" => Err(failure(FailureKind::Unauthorized, "the server says 401")),
                Ok(_) => Ok(()),
                Err(gone) if fault == "gone-is-rejected-when-probed" => Err(failure(FailureKind::Rejected, gone.message)),
                Err(gone) => Err(gone),
            },
        }
    }
}

impl Guest for Mutant {
    type Session = Session;
}

impl GuestSession for Session {
    fn open(settings: Settings) -> Result<Handle, Failure> {
        let session = Self {
            fault: setting(&settings, "fault"),
            address: setting(&settings, "address"),
            token: setting(&settings, "token"),
            own: RefCell::default(),
            batches: RefCell::default(),
            records: Cell::default(),
            broke: Cell::default(),
            kept: RefCell::default(),
        };
        let lock = format!("{KEPT}/lock");
        if session.has("leaves-a-lock") {
            if fs::remove_file(&lock).is_ok() {
                return Err(failure(FailureKind::Transient, "somebody holds the lock"));
            }
            let _bare = fs::write(&lock, "");
        }
        if session.has("lives-once") && fs::remove_file(format!("{KEPT}/lived")).is_ok() {
            return Err(failure(FailureKind::Transient, "it has lived"));
        }
        if session.has("works-alone") && context::get("instances").is_some_and(|instances| instances != "1") {
            return Err(failure(FailureKind::Fatal, "it works alone"));
        }
        if let Err(mut gone) = greet(&session.address) {
            if session.has("unwraps-open") && gone.message.contains("denied") {
                panic!("called `unwrap` on {}", gone.message);
            }
            if session.has("gone-is-fatal-at-open") {
                gone.kind = FailureKind::Fatal;
            }
            return Err(gone);
        }
        let _free = fs::remove_file(&lock);
        Ok(Handle::new(session))
    }

    fn write(&self, batch: Batch) -> Result<Receipt, Failure> {
        misbehave(&self.fault, &batch);
        self.use_up(&batch);
        self.records.set(self.records.get() + batch.count);
        if self.has("never-recovers") && self.broke.get() {
            return Err(failure(FailureKind::Transient, "it broke before"));
        }
        too_many(&self.fault, &batch)?;
        let known = self.known(&batch);
        let keys = keys(&batch);
        let (mut lines, mut verdicts, mut sent, mut delivered) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for record in 0..batch.count {
            let value = value(&batch, record);
            match self.refused(&batch, value) {
                Some(why) => verdicts.push(Verdict {
                    records: Span { start: record, end: record + 1 },
                    outcome: Outcome::Failed(failure(FailureKind::Rejected, why)),
                }),
                None => {
                    delivered.push(Span { start: record, end: record + 1 });
                    if !known.contains(&keys[record as usize]) {
                        sent.push(keys[record as usize].clone());
                        lines.push(value.unwrap_or_default().to_vec());
                    }
                }
            }
        }
        if self.has("swaps") && batch.count == 200 {
            lines.reverse();
        }
        if !lines.is_empty()
            && let Err(failed) = self.send(&batch, &lines)
        {
            self.broke.set(true);
            if self.has("overtakes") && batch.count > 1 {
                let outcome = Outcome::Failed(failed);
                let first = Verdict { records: Span { start: 0, end: 1 }, outcome };
                return Ok(Receipt { delivered: vec![Span { start: 1, end: batch.count }], verdicts: vec![first] });
            }
            return Err(failed);
        }
        self.keep(&batch, &sent);
        if batch.count == 7 {
            match self.fault.as_str() {
                "forgets" => drop(delivered.pop()),
                "names-twice" => delivered.extend(delivered.last().copied()),
                "beyond" => delivered.push(Span { start: 7, end: 8 }),
                _ => {}
            }
        }
        Ok(Receipt { delivered, verdicts })
    }

    fn ack(&self, batches: Vec<String>) {
        let known = self.batches.borrow();
        assert!(!self.has("trusts-acks") || batches.iter().all(|id| known.contains(id)), "no such batch");
    }

    fn close(&self) -> Result<(), Failure> {
        if self.has("closes-after-work") && self.records.get() == 0 {
            return Err(failure(FailureKind::Transient, "there was no work"));
        }
        if self.has("lives-once") && self.records.get() == 3 {
            fs::write(format!("{KEPT}/lived"), "").expect("notes its life");
        }
        Ok(())
    }
}

impl Session {
    fn has(&self, fault: &str) -> bool {
        self.fault == fault
    }

    /// More than is allowed, of what a case has it hand over.
    fn use_up(&self, batch: &Batch) {
        match (self.fault.as_str(), batch.count) {
            ("hoards", 1_000) => drop(std::hint::black_box(vec![1_u8; 80 << 20])),
            ("burns", 1_000) => {
                for at in 0..80_000_000_u64 {
                    std::hint::black_box(at);
                }
            }
            ("dawdles", 1_000) => std::thread::sleep(Duration::from_millis(3_300)),
            ("leaks", 10) => self.kept.borrow_mut().push(vec![1; 32 << 10]),
            ("tries-elsewhere", 10) => assert!(TcpStream::connect("203.0.113.1:9").is_err(), "let through"),
            ("chatters", 1_000) => (0..1_000).for_each(|at| log::write(log::Level::Error, &format!("record {at}"), &[])),
            _ => {}
        }
    }

    /// Why a value cannot be sent.
    fn refused(&self, batch: &Batch, value: Option<&[u8]>) -> Option<String> {
        let why = refused(&self.fault, batch, value.unwrap_or_default())?;
        match self.fault.as_str() {
            "changes-its-mind" if batch.attempt > 1 && batch.count == 6 => None,
            "tells-secrets" => Some(format!("no object, says {}", self.token)),
            _ => Some(why),
        }
    }

    /// The access token that it shows.
    fn shown(&self) -> Result<String, Failure> {
        let kept = format!("{KEPT}/token");
        if self.has("keeps-its-token")
            && let Ok(token) = fs::read_to_string(&kept)
        {
            return Ok(token);
        }
        let token = tokens::get("crm").map_err(|refusal| failure(FailureKind::Fatal, format!("no token: {refusal:?}")))?;
        fs::write(kept, &token).expect("keeps the token");
        Ok(token)
    }

    /// Records that were delivered before.
    fn known(&self, batch: &Batch) -> HashSet<String> {
        let path = format!("{KEPT}/{}", records::partition());
        let kept = fs::read_to_string(path).unwrap_or_default();
        let kept = || kept.lines().map(str::to_owned).collect::<HashSet<String>>();
        let seen_here = !self.batches.borrow_mut().insert(batch.id.clone());
        match self.fault.as_str() {
            "repeats-in-a-session" if seen_here && batch.start == 0 && batch.count == 60 => HashSet::new(),
            "repeats-parts" if batch.start > 0 && batch.attempt > 1 => HashSet::new(),
            "repeats-other-cuts" if batch.start == 0 && batch.attempt == 1 && !seen_here => HashSet::new(),
            "repeats-elsewhere" => self.own.borrow().clone(),
            _ => kept(),
        }
    }

    fn keep(&self, batch: &Batch, sent: &[String]) {
        self.own.borrow_mut().extend(sent.iter().cloned());
        let idempotent = matches!(batch.count, 20 | 25 | 10 | 40 | 60 | 30);
        if sent.is_empty() || !idempotent {
            return;
        }
        let path = format!("{KEPT}/{}", records::partition());
        let file = fs::OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all((sent.join("\n") + "\n").as_bytes())).expect("keeps what it sent");
    }

    /// Posts lines. What came of it is in the status.
    fn send(&self, batch: &Batch, lines: &[Vec<u8>]) -> Result<(), Failure> {
        let kind = if self.has("gone-is-fatal") { FailureKind::Fatal } else { FailureKind::Transient };
        let mut stream = TcpStream::connect(&self.address)
            .map_err(|error| failure(kind, format!("connecting to {}: {error}", self.address)))?;
        if !self.has("waits-for-ever") {
            stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a bound on what it waits for");
        }
        let mut body = lines.join(&b'\n');
        body.push(b'\n');
        let began = Instant::now();
        let (address, length, token) = (&self.address, body.len(), self.shown()?);
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        let mut answer = Vec::new();
        let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        // What came until then is all that counts.
        let _came = sent.and_then(|()| stream.read_to_end(&mut answer));
        let status = String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        if self.has("impatient") && batch.count == 100 && began.elapsed() > Duration::from_millis(60) {
            return Err(failure(FailureKind::Fatal, "it took too long"));
        }
        match status {
            Some(200) => Ok(()),
            Some(401) if self.has("unauthorized-is-rejected") => Err(failure(FailureKind::Rejected, "status 401")),
            Some(401) => Err(failure(FailureKind::Unauthorized, "the server says 401")),
            Some(429) if self.has("throttled-is-transient") => Err(failure(FailureKind::Transient, "status 429")),
            Some(429) => Err(Failure { retry_after_ms: Some(1_000), ..failure(FailureKind::Throttled, "the server says 429") }),
            _ if self.has("gone-is-fatal") => Err(failure(FailureKind::Fatal, "the server is gone")),
            // The connection stood, and what came of it nobody knows.
            _ if self.has("cut-is-delivered") && batch.count == 50 => Ok(()),
            _ => Err(failure(FailureKind::Uncertain, format!("posting to {}: no answer", self.address))),
        }
    }
}

/// The status that somebody answers who takes a connection.
fn greet(address: &str) -> Result<u16, Failure> {
    let gone = |error: std::io::Error| failure(FailureKind::Transient, format!("connecting to {address}: {error}"));
    let mut stream = TcpStream::connect(address).map_err(gone)?;
    stream.write_all(b"OPTIONS / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").map_err(gone)?;
    read_status(&mut stream).map_err(gone)?.ok_or_else(|| failure(FailureKind::Transient, format!("{address} says nothing")))
}

/// The status of an answer; `None` where it is none.
fn read_status(stream: &mut TcpStream) -> std::io::Result<Option<u16>> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok()))
}

/// The keys of a batch's records.
fn keys(batch: &Batch) -> Vec<String> {
    let (sequences, ordinals) = (records::sequences(), records::ordinals());
    (0..batch.count as usize).map(|at| format!("{} {}", sequences[at], ordinals.get(at).copied().unwrap_or(0))).collect()
}

bindings::export!(Mutant with_types_in bindings);
