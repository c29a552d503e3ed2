//! What is asked of a spool, by a person or a schedule, and what it tells.

use std::{collections::BTreeMap, sync::Arc};

use super::{Millis, SpoolState};
use crate::record::Span;

/// What waits to be put into files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Records that were in no file so far.
    pub records: u64,
    /// Their bytes, before they were compressed.
    pub bytes: u64,
    /// When the first of them was taken.
    pub oldest: Option<Millis>,
    /// When the first of those that failed is due.
    pub failed: Option<Millis>,
}

/// Which records that have reached no end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Those in this state.
    pub state: Option<SpoolState>,
    /// Those of the batch with this number.
    pub batch: Option<i64>,
    /// Those that were taken before this moment.
    pub before: Option<Millis>,
    /// Those of this run, as their metadata [`RUN`](crate::record::RUN) says.
    pub run: Option<Arc<str>>,
    /// Those of the action with this index.
    pub action: Option<u32>,
}

/// What a spool makes of the actions that a component has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Of each in turn, the number of the folder with its staged files. It stays the same wherever the action stands.
    pub folders: Vec<u32>,
    /// Those of actions that the component does not have any more: nothing is to be found there that is still wanted.
    pub gone: Vec<u32>,
}

/// Neighbouring records of a batch of which all is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolRecords {
    /// Number of the batch in the spool.
    pub row: i64,
    /// Their action, by its index.
    pub action: u32,
    /// Which of its records.
    pub span: Span,
    /// What became of them so far.
    pub state: SpoolState,
    /// How often they failed, as the retry policy counts.
    pub attempts: u32,
    /// When they are due, of failed ones.
    pub due: Millis,
    /// In which upload they are, of uploading ones.
    pub upload: Option<i64>,
    /// When they were taken.
    pub taken: Millis,
    /// The version of the far side's interface that they came for.
    pub version: Option<Arc<str>>,
    /// Their partition.
    pub partition: Arc<str>,
    /// What people call it.
    pub label: Arc<str>,
    /// Sequence of the first.
    pub first: u64,
    /// Sequence of the last.
    pub last: u64,
    /// Why the first is what it is.
    pub reason: Option<String>,
}

/// How much there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Records by action and state; those that reached an end are counted although they are gone.
    pub records: BTreeMap<(u32, SpoolState), u64>,
    /// Batches that are kept.
    pub batches: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// When the oldest of them was taken.
    pub oldest: Option<Millis>,
    /// Uploads that nobody has released so far.
    pub uploads: u64,
    /// Records that have reached no end and were born of what became of others.
    pub follow_ups: u64,
    /// Follow-ups that wait for what becomes of their causes, and come to be with it or not.
    pub promised: u64,
    /// Bytes that these take.
    pub promised_bytes: u64,
}

impl SpoolStatus {
    /// Records in a state, over all actions.
    pub fn of(&self, state: SpoolState) -> u64 {
        self.records.iter().filter(|((_, of), _)| *of == state).map(|(_, records)| records).sum()
    }
}
