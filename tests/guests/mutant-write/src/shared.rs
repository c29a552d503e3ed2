//! What mutants of every kind have in common: what they say of themselves, and faults in how records are taken.

use std::{
    cell::{Cell, RefCell},
    collections::hash_map::RandomState,
    fs,
    hash::{BuildHasher as _, Hasher as _},
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use crate::bindings::wharf::connector::{
    context, log, records,
    types::{Batch, Failure, FailureKind, Settings},
};

/// Files that outlive an instance.
pub const KEPT: &str = "/kept";

/// What it says of itself, and blanks. Tests write over it in the component's file. `!trap` in front makes it trap, `!count` say something else each time.
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

/// What it says of itself.
pub fn said() -> String {
    let slot = std::hint::black_box(&SLOT);
    let text = String::from_utf8_lossy(&slot[4..]).trim_end().to_owned();
    assert!(!text.starts_with("!trap"), "told to trap");
    static ASKED: AtomicU32 = AtomicU32::new(0);
    match text.strip_prefix("!count") {
        Some(text) => format!("{text}{}", " ".repeat(ASKED.fetch_add(1, Relaxed) as usize)),
        None => text,
    }
}

/// What is wrong with the setting `address`.
pub fn problem(settings: &Settings) -> Option<String> {
    let dots = setting(settings, "address").contains("..");
    match setting(settings, "fault").as_str() {
        "checks-nothing" => None,
        "refuses-all" => Some("is never good enough".into()),
        "checks-by-chance" if dots => Some(format!("is number {}", RandomState::new().build_hasher().finish())),
        _ => dots.then(|| "has two dots".into()),
    }
}

/// What sessions of every kind have in common.
pub struct Common {
    pub fault: String,
    pub address: String,
    token: String,
    /// Records that it was handed.
    records: Cell<u32>,
    leaked: RefCell<Vec<Vec<u8>>>,
}

impl Common {
    /// Begins a session, where the far side is there.
    pub fn open(settings: &Settings) -> Result<Self, Failure> {
        let set = |name| setting(settings, name);
        let (fault, address, token) = (set("fault"), set("address"), set("token"));
        let common = Self { fault, address, token, records: Cell::default(), leaked: RefCell::default() };
        let lock = format!("{KEPT}/lock");
        if common.has("leaves-a-lock") {
            if fs::remove_file(&lock).is_ok() {
                return Err(failure(FailureKind::Transient, "somebody holds the lock"));
            }
            let _bare = fs::write(&lock, "");
        }
        if common.has("lives-once") && fs::remove_file(format!("{KEPT}/lived")).is_ok() {
            return Err(failure(FailureKind::Transient, "it has lived"));
        }
        if common.has("works-alone") && context::get("instances").is_some_and(|instances| instances != "1") {
            return Err(failure(FailureKind::Fatal, "it works alone"));
        }
        if let Err(mut gone) = greet(&common.address) {
            if common.has("unwraps-open") && gone.message.contains("denied") {
                panic!("called `unwrap` on {}", gone.message);
            }
            if common.has("gone-is-fatal-at-open") {
                gone.kind = FailureKind::Fatal;
            }
            return Err(gone);
        }
        let _free = fs::remove_file(&lock);
        Ok(common)
    }

    pub fn has(&self, fault: &str) -> bool {
        self.fault == fault
    }

    /// The faults of one that is handed a batch.
    pub fn take(&self, batch: &Batch) -> Result<(), Failure> {
        misbehave(&self.fault, batch);
        self.use_up(batch);
        self.records.set(self.records.get() + batch.count);
        too_many(&self.fault, batch)
    }

    /// Why a value is not taken.
    pub fn refused(&self, batch: &Batch, value: &[u8]) -> Option<String> {
        let why = refused(&self.fault, batch, value)?;
        match self.fault.as_str() {
            "changes-its-mind" if batch.attempt > 1 && batch.count == 6 => None,
            "tells-secrets" => Some(format!("no object, says {}", self.token)),
            _ => Some(why),
        }
    }

    /// Ends a session.
    pub fn close(&self) -> Result<(), Failure> {
        if self.has("closes-after-work") && self.records.get() == 0 {
            return Err(failure(FailureKind::Transient, "there was no work"));
        }
        if self.has("lives-once") && self.records.get() == 3 {
            fs::write(format!("{KEPT}/lived"), "").expect("notes its life");
        }
        Ok(())
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
            ("leaks", 10) => self.leaked.borrow_mut().push(vec![1; 32 << 10]),
            ("tries-elsewhere", 10) => assert!(TcpStream::connect("203.0.113.1:9").is_err(), "let through"),
            ("chatters", 1_000) => (0..1_000).for_each(|at| log::write(log::Level::Error, &format!("record {at}"), &[])),
            _ => {}
        }
    }
}

/// The status that somebody answers who takes a connection.
pub fn greet(address: &str) -> Result<u16, Failure> {
    let gone = |error: std::io::Error| failure(FailureKind::Transient, format!("connecting to {address}: {error}"));
    let mut stream = TcpStream::connect(address).map_err(gone)?;
    stream.write_all(b"OPTIONS / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").map_err(gone)?;
    read_status(&mut stream).map_err(gone)?.ok_or_else(|| failure(FailureKind::Transient, format!("{address} says nothing")))
}

/// The status of an answer; `None` where it is none.
pub fn read_status(stream: &mut TcpStream) -> std::io::Result<Option<u16>> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok()))
}

pub fn setting(settings: &Settings, name: &str) -> String {
    settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

pub fn failure(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { kind, message: message.into(), code: None, retry_after_ms: None }
}

/// The faults of one that looks at records and takes more for granted than there is.
fn misbehave(fault: &str, batch: &Batch) {
    let values = || (0..batch.count).map(|record| value(batch, record).unwrap_or_default());
    match fault {
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

/// A failure of one that takes no large batches.
fn too_many(fault: &str, batch: &Batch) -> Result<(), Failure> {
    match fault == "small-batches" && batch.count > 5_000 {
        true => Err(failure(FailureKind::Fatal, "it is too much")),
        false => Ok(()),
    }
}

/// A value; `None` where it is absent.
pub fn value(batch: &Batch, record: u32) -> Option<&[u8]> {
    let at = record as usize;
    let there = batch.after.validity.as_ref().is_none_or(|bits| bits[at / 8] & (1 << (at % 8)) != 0);
    there.then(|| &batch.after.data[batch.after.offsets[at] as usize..batch.after.offsets[at + 1] as usize])
}

/// Why a value is not taken: it is no line that holds an object.
fn refused(fault: &str, batch: &Batch, value: &[u8]) -> Option<String> {
    if fault == "rejects-one" && batch.count == 1 {
        return Some("a record alone is none".into());
    }
    if value.starts_with(b"{") && value.ends_with(b"}") && (!value.contains(&b'\n') || fault == "keeps-newlines") {
        return None;
    }
    Some(match fault {
        "silent" => String::new(),
        "wordy" => "no object. ".repeat(300),
        _ => "the payload is no JSON object on one line".into(),
    })
}
