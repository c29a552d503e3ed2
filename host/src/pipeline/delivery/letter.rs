//! Records that are given up, as they stand in the store.

use std::sync::Arc;

use super::{Lane, parts::Part};
use crate::{
    record::{Batch, Failure, Record},
    sandbox::Ended,
    store::{DeadLetter, Reason},
};

/// Why records are given up.
#[derive(Debug)]
pub(super) enum Why<'a> {
    /// The connector rejected them, or they failed for now too often.
    Failed(&'a Failure),
    /// They are larger than what the connector takes, or its memory: in words for a person.
    TooLarge(String),
    /// They end an instance.
    Ended(&'a Ended),
    /// The connector did not say what became of them: in words for a person.
    Unknown(String),
    /// No route takes them.
    Unrouted,
    /// Their destination fell behind, and the others did not wait for it.
    Missed,
}

/// What records that are given up together have in common.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    destination: Arc<str>,
    action: Option<Arc<str>>,
    label: Arc<str>,
    pub reason: Arc<Reason>,
    attempts: u32,
    at: Arc<str>,
}

impl Why<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Failed(failure) => failure.kind.name(),
            Self::TooLarge(_) => "too-large",
            Self::Ended(ended) if ended.reason.is_limit() => "limit",
            Self::Ended(_) => "trapped",
            Self::Unknown(_) => "unknown",
            Self::Unrouted => "unrouted",
            Self::Missed => "missed",
        }
    }

    fn message(&self) -> Arc<str> {
        match self {
            Self::Failed(failure) => failure.message.as_str().into(),
            Self::TooLarge(message) | Self::Unknown(message) => message.as_str().into(),
            Self::Missed => "the destination fell behind, and the others did not wait for it (best-effort)".into(),
            Self::Unrouted => "no route takes the record (routes, otherwise: dead-letter)".into(),
            Self::Ended(ended) => ended.to_string().into(),
        }
    }

    fn code(&self) -> Option<Arc<str>> {
        match self {
            Self::Failed(failure) => failure.code.as_deref().map(Arc::from),
            Self::TooLarge(_) | Self::Ended(_) | Self::Unknown(_) | Self::Unrouted | Self::Missed => None,
        }
    }
}

impl Letter {
    /// Why, in words.
    pub fn failure(&self) -> Arc<str> {
        format!("{}: {}", self.reason.kind, self.reason.message).into()
    }

    /// A record of a cut as a dead letter, which shares what it consists of.
    pub fn of(&self, cut: &Arc<Batch>, record: u32) -> DeadLetter {
        let at = record as usize;
        DeadLetter {
            destination: Some(self.destination.clone()),
            processor: None,
            action: self.action.clone(),
            partition: cut.partition().clone(),
            label: self.label.clone(),
            sequence: cut.sequences()[at],
            ordinal: cut.ordinals().get(at).copied().unwrap_or_default(),
            record: Record::of(cut, record),
            whole: true,
            reason: self.reason.clone(),
            attempts: self.attempts,
            at: self.at.clone(),
        }
    }
}

impl Lane {
    /// For records of a part that are given up together.
    pub(super) fn letter(&self, number: u64, part: &Part, why: &Why<'_>) -> Letter {
        let at = self.accounts.binary_search_by_key(&number, |account| account.number);
        let label =
            at.ok().and_then(|at| self.accounts.get(at)).map_or_else(|| "".into(), |account| account.portion.label.clone());
        let connector = Some(self.outlet.far.title());
        Letter {
            destination: self.outlet.id.clone(),
            action: self.outlet.actions.get(part.action as usize).cloned(),
            label,
            reason: Arc::new(Reason { kind: why.kind().into(), code: why.code(), message: why.message(), connector }),
            attempts: part.sent,
            at: self.clock.rfc3339().into(),
        }
    }
}
