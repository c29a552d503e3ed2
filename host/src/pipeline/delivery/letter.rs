//! Records that are given up, as they stand in the store.

use std::sync::Arc;

use super::{Worker, account::Account, parts::Part};
use crate::{
    record::{Batch, Failure},
    sandbox::Ended,
    store::{DeadLetter, Reason},
};

/// Why records are given up.
#[derive(Debug)]
pub(super) enum Why<'a> {
    /// The connector rejected them.
    Rejected(&'a Failure),
    /// They are larger than what the connector takes, or its memory: in words for a person.
    TooLarge(String),
    /// They end an instance.
    Ended(&'a Ended),
}

/// What records that are given up together have in common.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    destination: Arc<str>,
    label: Arc<str>,
    reason: Arc<Reason>,
    attempts: u32,
    at: Arc<str>,
}

impl Why<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Rejected(failure) => failure.kind.name(),
            Self::TooLarge(_) => "too-large",
            Self::Ended(ended) if ended.reason.is_limit() => "limit",
            Self::Ended(_) => "trapped",
        }
    }

    fn message(&self) -> Arc<str> {
        match self {
            Self::Rejected(failure) => failure.message.as_str().into(),
            Self::TooLarge(message) => message.as_str().into(),
            Self::Ended(ended) => ended.to_string().into(),
        }
    }

    fn code(&self) -> Option<Arc<str>> {
        match self {
            Self::Rejected(failure) => failure.code.as_deref().map(Arc::from),
            Self::TooLarge(_) | Self::Ended(_) => None,
        }
    }
}

impl Letter {
    /// A record of a part as a dead letter, which shares what it consists of.
    pub fn of(&self, part: &Batch, record: u32) -> DeadLetter {
        let at = record as usize;
        DeadLetter {
            destination: Some(self.destination.clone()),
            partition: part.partition().clone(),
            label: self.label.clone(),
            sequence: part.sequences()[at],
            ordinal: part.ordinals().get(at).copied().unwrap_or_default(),
            key: part.key().and_then(|key| key.shared(at)),
            record: part.after().shared(at),
            reason: self.reason.clone(),
            attempts: self.attempts,
            at: self.at.clone(),
        }
    }
}

impl Worker {
    /// For records of a part that are given up together.
    pub(super) fn letter(&self, part: &Part, account: &Account, why: &Why<'_>) -> Letter {
        let connector = Some(self.destination.connector.title().into());
        Letter {
            destination: self.destination.id.clone(),
            label: account.portion.label.clone(),
            reason: Arc::new(Reason { kind: why.kind().into(), code: why.code(), message: why.message(), connector }),
            attempts: part.sent,
            at: self.clock.rfc3339().into(),
        }
    }
}
