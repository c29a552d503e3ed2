//! Records that were given up.

use std::sync::Arc;

use bytes::Bytes;

/// A record that was given up.
///
/// What many have in common they share, and the bytes are slices of the batch that the record came in: giving up a batch costs no more
/// memory than a few words a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The destination that it could not be delivered to; `None` where the source could not read it.
    pub destination: Option<Arc<str>>,
    /// Where it came from.
    pub partition: Arc<str>,
    /// What people call that.
    pub label: Arc<str>,
    /// Where it stands there.
    pub sequence: u64,
    /// Which of several that a processor made of one.
    pub ordinal: u32,
    /// What identifies the entity, if anything.
    pub key: Option<Bytes>,
    /// The record itself; `None` where it is absent.
    pub record: Option<Bytes>,
    /// Why it was given up.
    pub reason: Arc<Reason>,
    /// How often it was handed over.
    pub attempts: u32,
    /// When it was given up, after RFC 3339.
    pub at: Arc<str>,
}

/// Why records were given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What kind of failure: the contract's word, `unreadable`, `too-large`, `limit`, or `trapped`.
    pub kind: Arc<str>,
    /// The far side's code.
    pub code: Option<Arc<str>>,
    /// What was tried and what came back, for a person.
    pub message: Arc<str>,
    /// Name and version of the connector.
    pub connector: Option<Arc<str>>,
}
