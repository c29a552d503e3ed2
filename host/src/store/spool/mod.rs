//! The spool: the durable queue between a source and a destination that does not take records as they come.
//!
//! A batch is taken whole, as one compressed row; what becomes of its records is kept as spans beside it, so that nothing is written for one
//! record. What was taken is on disk, and can be acknowledged to the source. Each destination has a spool of its own.
//!
//! **Threat.** The process ends at any instant, the disk is full, a connector fails every second record of a million, a source sends again what
//! is in here already. **Answer.** Every change is one transaction, on disk when it returns; a spool is bounded and says so before it is
//! full; what failed is a span, and what is alike and neighbouring is one; what was taken once is known by where its partition had got to.

mod discard;
mod sqlite;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use thiserror::Error;

use super::{DeadLetter, Reason, StoreError};
use crate::{
    config::Size,
    record::{Batch, Damaged, FollowUps, Handle, Record, Span, SpanSet},
};

pub use discard::{Letters, discard};
pub use sqlite::SqliteSpool;

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

/// Where an upload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum UploadState {
    /// File and intent are on disk; it was not sent, or did not take effect.
    Staged = 0,
    /// It is being sent, or its answer never came: whether it took effect is asked before it is sent again.
    Sending = 1,
    /// The far side works on it.
    Working = 2,
    /// The far side is done; outcomes are to be asked for.
    Asking = 3,
    /// Nothing is done with it until a person says so.
    Held = 4,
    /// What became of every record is known; the far side has not been told so far.
    Settled = 5,
    /// Nobody will ask for it again.
    Released = 6,
}

impl UploadState {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Staged, Self::Sending, Self::Working, Self::Asking, Self::Held, Self::Settled, Self::Released];

    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Sending => "sending",
            Self::Working => "working",
            Self::Asking => "asking",
            Self::Held => "held",
            Self::Settled => "settled",
            Self::Released => "released",
        }
    }
}

/// A moment, in milliseconds since 1970.
pub type Millis = u64;

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

/// Follow-ups that a call added: each is born once its cause comes to what it is to follow.
#[derive(Clone, Debug)]
pub struct Promise {
    /// What the call counts as its records.
    pub causes: Causes,
    /// What it added.
    pub follow_ups: Vec<FollowUps>,
    /// The pipeline, which is a part of each record's key.
    pub pipeline: Arc<str>,
    /// How many follow-ups there may be in a row, each the cause of the next.
    pub max_depth: u32,
}

/// What a call that added follow-ups counts as its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Causes {
    /// The records of the batch with this number.
    Batch(i64),
    /// The lines of the upload with this number.
    Upload(i64),
}

/// Follow-ups of records that are not in the spool: they are written as they come, and what becomes of them is kept elsewhere.
#[derive(Clone, Debug)]
pub struct Written {
    /// The action that they are for.
    pub action: u32,
    /// The version of the far side's interface that their causes came for.
    pub version: Option<Arc<str>>,
    /// What people call the partition that they are of.
    pub label: Arc<str>,
    /// The pipeline, which is a part of each record's key.
    pub pipeline: Arc<str>,
    /// They themselves.
    pub batch: Batch,
}

/// Follow-ups since the spool was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Born {
    /// Records that were born, and are in the spool since.
    pub records: u64,
    /// Those that were cut, since their causes lie as deep as may be.
    pub cut: u64,
}

/// A new upload: its file is on disk.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Idempotency key, of this upload and no other.
    pub intent: Arc<str>,
    /// The action.
    pub action: u32,
    /// SHA-256 of the component that made the lines: the one that it is uploaded and polled with.
    pub digest: Arc<str>,
    /// The version that its records came for.
    pub version: Option<Arc<str>>,
    /// Name of the staged file.
    pub file: Arc<str>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Number of the file within one firing of the schedule.
    pub part: u32,
    /// What its lines were made of, in order: the batch's number and records.
    pub lines: Vec<(i64, Span)>,
}

/// An upload as the spool has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUpload {
    /// Its number.
    pub id: i64,
    /// Idempotency key.
    pub intent: Arc<str>,
    /// The action.
    pub action: u32,
    /// What the action is to the component that it belongs to: its index there.
    pub asked_as: u32,
    /// SHA-256 of the component that it belongs to.
    pub digest: Arc<str>,
    /// The version that its records came for.
    pub version: Option<Arc<str>>,
    /// Name of the staged file.
    pub file: Arc<str>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Its records, and lines.
    pub records: u32,
    /// Number of the file within one firing of the schedule.
    pub part: u32,
    /// Where it stands.
    pub state: UploadState,
    /// How often it was sent.
    pub attempt: u32,
    /// What finds it at the far side.
    pub handle: Option<Handle>,
    /// When something is to be done with it.
    pub next: Millis,
    /// How often in a row what was tried with it failed.
    pub failures: u32,
    /// When it was staged.
    pub created: Millis,
    /// When it was first sent.
    pub sent: Option<Millis>,
    /// Why it stands where it stands.
    pub reason: Option<Arc<str>>,
    /// Its lines that are still to be settled.
    pub open: SpanSet,
}

/// What changes of an upload: what is not said stays.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// Where it stands.
    pub state: Option<UploadState>,
    /// Whether it is being sent once more: the attempt is counted.
    pub sends: bool,
    /// What finds it from now on.
    pub handle: Option<Handle>,
    /// When something is to be done with it.
    pub next: Option<Millis>,
    /// How often in a row what was tried with it failed.
    pub failures: Option<u32>,
    /// Why.
    pub reason: Option<Arc<str>>,
    /// What becomes of lines, which are still open. Once none is open any more it is settled, whatever else is said.
    pub outcomes: Vec<(Span, Settling)>,
}

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

/// Keeps the records of one destination until each has reached an end, and what was made of them on the way. Every change is on disk when it
/// returns, against the end of the machine too; where it fails nothing has changed.
#[async_trait]
pub trait Spool: Send + Sync {
    /// Takes batches: all or none. What is taken can be acknowledged to the source.
    ///
    /// Records of a partition come in order. Those that do not lie behind all that was taken of it for the action are known, and not taken
    /// a second time.
    async fn take(&self, incoming: Vec<Incoming>, now: Millis) -> Result<Taken, SpoolError>;

    /// Forgets how far a partition was taken, or all of them, so that what is read again is taken again.
    async fn forget(&self, partition: Option<&str>) -> Result<(), SpoolError>;

    /// What is to be worked on next, the oldest first; it is executing from now on.
    async fn claim(&self, claim: Claim) -> Result<Vec<Part>, SpoolError>;

    /// Makes records that are executing what they were before.
    async fn give_back(&self, parts: Vec<(i64, Span)>, now: Millis) -> Result<(), SpoolError>;

    /// When something of this action is there to be claimed: the moment at which the first is due, 0 for one that is waiting; `None`
    /// where there is nothing.
    async fn due(&self, action: u32) -> Result<Option<Millis>, SpoolError>;

    /// What of this action waits to be put into files.
    async fn backlog(&self, action: u32) -> Result<Backlog, SpoolError>;

    /// Keeps an upload of records that are executing, and notes what became of others of which no line could be made.
    async fn stage(&self, upload: NewUpload, settled: Vec<(i64, Span, Settling)>, now: Millis) -> Result<i64, SpoolError>;

    /// Keeps follow-ups beside their causes. Whatever notes the outcome of these puts what follows into the spool with it, also where that is full.
    ///
    /// Of one cause, action and outcome the last that was added holds. A cause makes one record of an action at the most.
    async fn promise(&self, promises: Vec<Promise>) -> Result<(), SpoolError>;

    /// Keeps follow-ups of records that are not in here, each under a number that no other has had. Whoever keeps what becomes of these has them
    /// [born](Self::bear) by it.
    async fn promise_written(&self, written: Vec<Written>) -> Result<Vec<i64>, SpoolError>;

    /// Puts those of a promise that come to be into the spool, also where that is full, and forgets the promise. Of one that is not there any more
    /// nothing is born: it was before.
    async fn bear(&self, promises: Vec<(i64, Vec<Span>)>, now: Millis) -> Result<(), SpoolError>;

    /// Forgets all promises of records that are not in here: nobody has them in hand.
    async fn forget_written(&self) -> Result<(), SpoolError>;

    /// Whether there is room for more; what is in here by itself has.
    ///
    /// # Errors
    /// [`SpoolError::Full`] where there is none.
    async fn room(&self) -> Result<(), SpoolError>;

    /// What was born so far, since it was opened.
    fn born(&self) -> Born;

    /// Notes what became of records that are executing or unknown.
    async fn settle(&self, settled: Vec<(i64, Span, Settling)>, now: Millis) -> Result<(), SpoolError>;

    /// Changes an upload, and what its lines came to.
    async fn step(&self, upload: i64, step: Step, now: Millis) -> Result<StoredUpload, SpoolError>;

    /// Uploads that are not released, by number.
    async fn uploads(&self) -> Result<Vec<StoredUpload>, SpoolError>;

    /// The records of some lines of an upload, in order.
    async fn lines(&self, upload: i64, lines: Span) -> Result<Vec<Part>, SpoolError>;

    /// Records that have reached no end, from a place on (batch and record), in order: at most so many stretches.
    async fn records(&self, selection: Selection, after: (i64, u32), most: u32) -> Result<Vec<SpoolRecords>, SpoolError>;

    /// Makes records that failed, or were not answered for, due at once. Gives how many there were.
    async fn hurry(&self, selection: Selection, now: Millis) -> Result<u64, SpoolError>;

    /// Makes records executing that are in nobody's hands, for somebody to decide about them: at most so many stretches.
    async fn reserve(&self, selection: Selection, most: u32, now: Millis) -> Result<Vec<Part>, SpoolError>;

    /// After a start: what was executing is what it was before.
    ///
    /// Of one action alone where only what worked on that has ended.
    async fn recover(&self, action: Option<u32>, now: Millis) -> Result<(), SpoolError>;

    /// What the actions are called, by index.
    async fn actions(&self) -> Result<BTreeMap<u32, String>, SpoolError>;

    /// How much there is.
    async fn status(&self) -> Result<SpoolStatus, SpoolError>;

    /// Changes of state after a number, with their numbers: oldest first, at most so many.
    async fn transitions(&self, after: i64, most: u32) -> Result<Vec<(i64, Transition)>, SpoolError>;

    /// Removes transitions, and released uploads, from before a moment. Gives room back to the disk. Gives how many transitions there were.
    async fn prune(&self, before: Millis) -> Result<u64, SpoolError>;
}

/// Why the spool could not do it.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// The engine behind it said no: the disk is full, or it cannot be written to.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It would take more than it may.
    #[error("the spool {} would take {bytes} bytes, and may take {most}", path.display())]
    Full {
        /// Which file.
        path: PathBuf,
        /// What it would take, in bytes.
        bytes: u64,
        /// What it may take.
        most: Size,
    },
    /// What it holds is no batch.
    #[error("the spool {}: batch {row}: {cause}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Number of the batch.
        row: i64,
        /// What is wrong.
        cause: Damaged,
    },
    /// Records wait for an action that the component does not have.
    #[error("the spool {}: {records} records are there for the action `{name}`, which the component does not have", path.display())]
    NoAction {
        /// Which file.
        path: PathBuf,
        /// The name of the action.
        name: String,
        /// How many, with follow-ups to come.
        records: u64,
    },
    /// The host asked for a change that cannot be, such as of a record that is not there: a fault of its own.
    #[error("the spool {}: {what}", path.display())]
    Misused {
        /// Which file.
        path: PathBuf,
        /// What was asked.
        what: String,
    },
}

impl SpoolError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Store(error) => error.hint(),
            Self::Full { .. } => "nothing was lost: the source waits until records are delivered, or the spool may take more",
            Self::Damaged { .. } => "the file was changed or the disk fails: bring it back from a copy",
            Self::NoAction { .. } => {
                "run it with the component that has it until they are settled, or give them up with `wharf spool discard`"
            }
            Self::Misused { .. } => "this is a fault of wharf: please report it",
        }
    }
}
