//! Records on their way through a spool: what comes in, what is asked for, and what becomes of it.

use std::sync::Arc;

use super::Millis;
use crate::{
    record::{Batch, Record, Span},
    store::{DeadLetter, Reason},
};

/// What became of a record so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SpoolState {
    /// Taken, and not handed over so far.
    Waiting = 0,
    /// In the hands of this process: lines are being made of it. One that the process left so is as it was before.
    Executing = 1,
    /// In an upload, from its intent until its outcome.
    Uploading = 2,
    /// Delivered for good.
    Succeeded = 3,
    /// Failed for now: it will be retried.
    Failed = 4,
    /// Given up: a dead letter.
    Discarded = 5,
    /// The connector did not say.
    Unknown = 6,
}

impl SpoolState {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Waiting, Self::Executing, Self::Uploading, Self::Succeeded, Self::Failed, Self::Discarded, Self::Unknown];

    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Executing => "executing",
            Self::Uploading => "uploading",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Discarded => "discarded",
            Self::Unknown => "unknown",
        }
    }

    /// Whether nothing more becomes of it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Discarded)
    }
}

/// A batch to be taken, for one action.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Index into the descriptor's actions; 0 where there are none.
    pub action: u32,
    /// The version of the far side's interface that it came for.
    pub version: Option<Arc<str>>,
    /// What people call its partition.
    pub label: Arc<str>,
    /// The records.
    pub batch: Batch,
    /// Whether it is taken although its partition has got further before: it was given up once and is sent again.
    pub again: bool,
}

/// What was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Records that are new.
    pub records: u64,
    /// Records that had been taken before.
    pub known: u64,
}

/// What is asked for, to be worked on.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Of this action.
    pub action: u32,
    /// Which of those that failed are due.
    pub now: Millis,
    /// At most so many records.
    pub records: u32,
    /// At most so many bytes of them, but at least one record.
    pub bytes: u64,
    /// What waits for what.
    pub order: ClaimOrder,
}

/// What of a claim waits for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClaimOrder {
    /// Nothing.
    #[default]
    Any,
    /// A record waits for those before it of its partition that have its key and are pending; one without a key, for all that have none.
    HeldBack,
    /// So it does, and it waits also for those that are given together with it: no key comes twice.
    OneEach,
}

/// A part of a batch in the spool.
#[derive(Clone, Debug)]
pub struct Part {
    /// Number of the batch in the spool.
    pub row: i64,
    /// The name of their action; `None` where the component names none.
    pub action: Option<Arc<str>>,
    /// Which of its records.
    pub span: Span,
    /// How often they failed so far, as the retry policy counts.
    pub attempts: u32,
    /// When they were taken.
    pub taken: Millis,
    /// The version that they came for.
    pub version: Option<Arc<str>>,
    /// What people call their partition.
    pub label: Arc<str>,
    /// The records.
    pub records: Batch,
}

impl Part {
    /// Its records as dead letters of a destination, given up at that moment after RFC 3339.
    pub fn letters(&self, destination: Arc<str>, reason: Arc<Reason>, at: Arc<str>) -> impl Iterator<Item = DeadLetter> {
        let (batch, label) = (Arc::new(self.records.clone()), self.label.clone());
        let (attempts, action) = (self.attempts.saturating_add(1), self.action.clone());
        (0..batch.count()).map(move |record| DeadLetter {
            destination: Some(destination.clone()),
            processor: None,
            action: action.clone(),
            partition: batch.partition().clone(),
            label: label.clone(),
            sequence: batch.sequences()[record as usize],
            ordinal: batch.ordinals().get(record as usize).copied().unwrap_or_default(),
            record: Record::of(&batch, record),
            whole: true,
            reason: reason.clone(),
            attempts,
            at: at.clone(),
        })
    }
}

/// What becomes of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settling {
    /// Delivered, perhaps with a remark.
    Succeeded(Option<Arc<str>>),
    /// Failed for now.
    Failed {
        /// When they are tried again.
        due: Millis,
        /// Whether the attempt counts.
        counted: bool,
        /// Why.
        reason: Arc<str>,
    },
    /// Given up, for that reason. They are dead letters already.
    Discarded(Arc<str>),
    /// The connector did not say.
    Unknown(Arc<str>),
}

/// A change of state of some records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: Millis,
    /// Number of their batch.
    pub row: i64,
    /// Which.
    pub span: Span,
    /// What they were; `None` for those that were taken.
    pub before: Option<SpoolState>,
    /// What they became.
    pub after: SpoolState,
    /// The upload that it is about.
    pub upload: Option<i64>,
    /// Why.
    pub reason: Option<Arc<str>>,
}
