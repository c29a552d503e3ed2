//! The spool: the durable queue between a source and a destination that does not take records as they come.
//!
//! A batch is taken whole, as one compressed row; what becomes of its records is kept as spans beside it, so that nothing is written for one
//! record. What was taken is on disk, and can be acknowledged to the source. Each destination has a spool of its own.
//!
//! **Threat.** The process ends at any instant, the disk is full, a connector fails every second record of a million, a source sends again what
//! is in here already. **Answer.** Every change is one transaction, on disk when it returns; a spool is bounded and says so before it is
//! full; what failed is a span, and what is alike and neighbouring is one; what was taken once is known by where its partition had got to.

mod asked;
mod discard;
mod error;
mod follow_ups;
mod records;
mod sqlite;
mod uploads;

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::record::Span;

pub use asked::{Adopted, Backlog, Selection, SpoolRecords, SpoolStatus};
pub use discard::{Letters, discard};
pub use error::SpoolError;
pub use follow_ups::{Born, Causes, Promise, Written};
pub use records::{Claim, ClaimOrder, Incoming, Part, Settling, SpoolState, Taken, Transition};
pub use sqlite::SqliteSpool;
pub use uploads::{NewUpload, Step, StoredUpload, UploadState};

/// A moment, in milliseconds since 1970.
pub type Millis = u64;

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

    /// Forgets what is still to follow for an action, whatever becomes of the causes. Gives how many follow-ups that were.
    async fn forgo(&self, action: u32) -> Result<u64, SpoolError>;

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
