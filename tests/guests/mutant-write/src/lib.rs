//! A write destination that keeps the contract but for the fault that its setting `fault` names: the cases of conformance have to find it.
//!
//! It posts records as lines to an HTTP server, over a connection for each write, and keeps in `/kept` which it delivered. What it says of
//! itself stands in its `SLOT`, which tests write over in the component's file. Each fault stands in the code where it happens, as `self.has("name")`.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::panic, clippy::expect_used, reason = "what is not as it should be ends in a trap, which a case finds")]

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use bindings::wharf::connector::{
    progress, records,
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

#[allow(dead_code, reason = "it takes no files")]
#[path = "../../mutant-bulk/src/follow.rs"]
mod follow;
mod life;
mod shared;
mod token;
use shared::{Common, KEPT, failure, greet, problem, read_status, said, setting, value};
use token::shown;

struct Mutant;

struct Session {
    common: Common,
    /// What it delivered in its own life, where a fault forgets all else.
    own: RefCell<HashSet<String>>,
    /// Ids of batches that it was handed.
    batches: RefCell<HashSet<String>>,
    broke: Cell<bool>,
    /// What it holds back for a fault.
    held: RefCell<Vec<Vec<u8>>>,
}

impl Connector for Mutant {
    fn describe() -> String {
        said()
    }

    fn check(settings: Settings) -> Vec<Problem> {
        problem(&settings).map(|message| Problem { parameter: "address".into(), message }).into_iter().collect()
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
        follow::elsewhere(&setting(&settings, "fault"), "follows-while-it-opens");
        Ok(Handle::new(Self {
            common: Common::open(&settings)?,
            own: RefCell::default(),
            batches: RefCell::default(),
            broke: Cell::default(),
            held: RefCell::default(),
        }))
    }

    fn write(&self, batch: Batch) -> Result<Receipt, Failure> {
        self.common.take(&batch)?;
        if self.has("never-recovers") && self.broke.get() {
            return Err(failure(FailureKind::Transient, "it broke before"));
        }
        let mut known = self.known(&batch);
        let keys = self.keys(&batch);
        let (mut lines, mut verdicts, mut sent, mut delivered) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for record in 0..batch.count {
            let value = value(&batch, record);
            match self.common.refused(&batch, value.unwrap_or_default()) {
                Some(why) => verdicts.push(Verdict {
                    records: Span { start: record, end: record + 1 },
                    outcome: Outcome::Failed(failure(FailureKind::Rejected, why)),
                }),
                None => {
                    delivered.push(Span { start: record, end: record + 1 });
                    if known.insert(keys[record as usize].clone()) {
                        sent.push(keys[record as usize].clone());
                        lines.push(value.unwrap_or_default().to_vec());
                    }
                }
            }
        }
        // Before anything is sent: what comes of a record that is delivered is not to be lost.
        follow::records(&self.common.fault, &batch)?;
        if self.has("swaps") && batch.count == 200 {
            lines.reverse();
        }
        if self.has("reports-ahead") && batch.count == 45 {
            progress::delivered(Span { start: 0, end: batch.count });
        }
        if self.has("holds-back") && batch.count == 31 {
            self.held.replace(lines.split_off(30));
        }
        if !lines.is_empty()
            && let Err(failed) = self.send(batch.count, &lines)
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
            match self.common.fault.as_str() {
                "forgets" => drop(delivered.pop()),
                "names-twice" => delivered.extend(delivered.last().copied()),
                "beyond" => delivered.push(Span { start: 7, end: 8 }),
                "takes-back-its-word" => {
                    progress::delivered(Span { start: 0, end: 1 });
                    let outcome = Outcome::Failed(failure(FailureKind::Rejected, "it was not delivered"));
                    verdicts.push(Verdict { records: delivered.remove(0), outcome });
                }
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
        let held = self.held.take();
        if !held.is_empty() {
            self.send(0, &held)?;
        }
        self.common.close()
    }
}

impl Session {
    fn has(&self, fault: &str) -> bool {
        self.common.has(fault)
    }

    /// Where it is kept what was delivered.
    fn path(&self, batch: &Batch) -> String {
        if self.has("knows-no-partitions") && batch.count == 12 {
            return format!("{KEPT}/any");
        }
        format!("{KEPT}/{}", records::partition())
    }

    /// Records that were delivered before.
    fn known(&self, batch: &Batch) -> HashSet<String> {
        let path = self.path(batch);
        let kept = fs::read_to_string(path).unwrap_or_default();
        let kept = || kept.lines().map(str::to_owned).collect::<HashSet<String>>();
        let seen_here = !self.batches.borrow_mut().insert(batch.id.clone());
        match self.common.fault.as_str() {
            "repeats-in-a-session" if seen_here && batch.start == 0 && batch.count == 60 => HashSet::new(),
            "repeats-parts" if batch.start > 0 && batch.attempt > 1 => HashSet::new(),
            "repeats-other-cuts" if batch.start == 0 && batch.attempt == 1 && !seen_here => HashSet::new(),
            "repeats-elsewhere" => self.own.borrow().clone(),
            _ => kept(),
        }
    }

    fn keep(&self, batch: &Batch, sent: &[String]) {
        self.own.borrow_mut().extend(sent.iter().cloned());
        let idempotent = matches!(batch.count, 20 | 25 | 10 | 12 | 40 | 60 | 30);
        if sent.is_empty() || !idempotent {
            return;
        }
        let path = self.path(batch);
        let file = fs::OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all((sent.join("\n") + "\n").as_bytes())).expect("keeps what it sent");
    }

    /// Posts lines. What came of it is in the status.
    fn send(&self, count: u32, lines: &[Vec<u8>]) -> Result<(), Failure> {
        let kind = if self.has("gone-is-fatal") { FailureKind::Fatal } else { FailureKind::Transient };
        let mut stream = TcpStream::connect(&self.common.address)
            .map_err(|error| failure(kind, format!("connecting to {}: {error}", self.common.address)))?;
        if !self.has("waits-for-ever") {
            stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a bound on what it waits for");
        }
        let mut body = lines.join(&b'\n');
        body.push(b'\n');
        let began = Instant::now();
        let (address, length, token) = (&self.common.address, body.len(), shown(&self.common.fault)?);
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        let mut answer = Vec::new();
        let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        // What came until then is all that counts.
        let _came = sent.and_then(|()| stream.read_to_end(&mut answer));
        let status = String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        if self.has("impatient") && count == 100 && began.elapsed() > Duration::from_millis(60) {
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
            _ if self.has("cut-is-delivered") && count == 50 => Ok(()),
            _ => Err(failure(FailureKind::Uncertain, format!("posting to {}: no answer", self.common.address))),
        }
    }

    /// The keys of a batch's records.
    fn keys(&self, batch: &Batch) -> Vec<String> {
        let (sequences, mut ordinals) = (records::sequences(), records::ordinals());
        if self.has("knows-no-ordinals") {
            ordinals.clear();
        }
        (0..batch.count as usize).map(|at| format!("{} {}", sequences[at], ordinals.get(at).copied().unwrap_or(0))).collect()
    }
}

bindings::export!(Mutant with_types_in bindings);
