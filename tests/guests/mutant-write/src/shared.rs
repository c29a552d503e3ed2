//! What mutants of every kind have in common: what they say of themselves, and faults in how records are taken.

use crate::bindings::wharf::connector::{
    records,
    types::{Batch, Failure, FailureKind, Settings},
};

/// What it says of itself, and blanks. Tests write over it in the component's file. `!trap` in front makes it trap.
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
    text
}

pub fn setting(settings: &Settings, name: &str) -> String {
    settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

pub fn failure(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { kind, message: message.into(), code: None, retry_after_ms: None }
}

/// The faults of one that looks at records and takes more for granted than there is.
pub fn misbehave(fault: &str, batch: &Batch) {
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
pub fn too_many(fault: &str, batch: &Batch) -> Result<(), Failure> {
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
pub fn refused(fault: &str, batch: &Batch, value: &[u8]) -> Option<String> {
    if fault == "rejects-one" && batch.count == 1 {
        return Some("a record alone is none".into());
    }
    if value.starts_with(b"{") && value.ends_with(b"}") && !value.contains(&b'\n') {
        return None;
    }
    Some(match fault {
        "silent" => String::new(),
        "wordy" => "no object. ".repeat(300),
        _ => "the payload is no JSON object on one line".into(),
    })
}
