//! A record that is given up, as it stands in the store.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Worker, account::Account};
use crate::{
    record::{Batch, Failure},
    sandbox::Ended,
    store::DeadLetter,
};

/// Why a record is given up.
#[derive(Debug)]
pub(super) enum Reason<'a> {
    /// The connector rejected it.
    Rejected(&'a Failure),
    /// It is larger than what the connector takes, or its memory: in words for a person.
    TooLarge(String),
    /// It ends an instance.
    Ended(&'a Ended),
}

impl Reason<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Rejected(failure) => failure.kind.name(),
            Self::TooLarge(_) => "too-large",
            Self::Ended(ended) if ended.reason.is_limit() => "limit",
            Self::Ended(_) => "trapped",
        }
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Rejected(failure) => Cow::Borrowed(&failure.message),
            Self::TooLarge(message) => Cow::Borrowed(message),
            Self::Ended(ended) => Cow::Owned(ended.to_string()),
        }
    }
}

impl Worker {
    /// A record of a part as a dead letter. `sent` is how often it was handed over.
    pub(super) fn dead_letter(&self, part: &Batch, record: u32, account: &Account, reason: &Reason<'_>, sent: u32) -> DeadLetter {
        let at = record as usize;
        let copy = Bytes::copy_from_slice;
        DeadLetter {
            destination: Some(self.destination.id.to_string()),
            partition: part.partition().to_string(),
            label: account.portion.label.to_string(),
            sequence: part.sequences()[at],
            ordinal: part.ordinals().get(at).copied().unwrap_or_default(),
            key: part.key().and_then(|key| key.get(at)).map(copy),
            record: part.after().get(at).map(copy),
            kind: reason.kind().into(),
            code: match reason {
                Reason::Rejected(failure) => failure.code.clone(),
                Reason::TooLarge(_) | Reason::Ended(_) => None,
            },
            message: reason.message().into_owned(),
            connector: Some(self.destination.connector.title()),
            attempts: sent,
            at: self.clock.rfc3339(),
        }
    }
}
