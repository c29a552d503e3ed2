//! Uploads of what is in a spool.

use std::sync::Arc;

use super::{Millis, Settling};
use crate::record::{Handle, Span, SpanSet};

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
