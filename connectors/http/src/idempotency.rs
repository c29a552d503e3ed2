//! By what a far side knows a request that it saw before.

use sha2::{Digest, Sha256};
use wharf_sdk::{Batch, Parameters, Record};

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Key {
    /// Where the records stand in the pipeline's source: the same records give the same, however they are sent again.
    Position,
    /// The record's own key.
    Key,
    /// The cut and which of its records: the same as long as the same part of it is sent again.
    Cut,
    /// There is none.
    Off,
}

/// What the header says of a request with these records; `None` where there is none.
pub fn value(key: Key, owner: &str, batch: &Batch, records: &[Record<'_>]) -> Option<String> {
    match key {
        Key::Off => None,
        Key::Key => records.first()?.key().map(visible),
        Key::Cut => {
            let (first, last) = (records.first()?, records.last()?);
            Some(format!("{}:{}-{}", batch.id(), batch.start() + first.index(), batch.start() + last.index()))
        }
        Key::Position => {
            let mut digest = Sha256::new();
            digest.update(owner);
            digest.update([0]);
            digest.update(batch.partition());
            digest.update([0]);
            for record in records {
                digest.update(record.sequence().to_be_bytes());
                digest.update(record.ordinal().to_be_bytes());
            }
            let digest = digest.finalize();
            Some(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
        }
    }
}

/// A key as a header can hold it, different for different ones.
fn visible(key: &[u8]) -> String {
    let mut text = String::with_capacity(key.len());
    wharf_json::percent_encode(key, &mut text);
    text
}
