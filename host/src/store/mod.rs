//! What must outlive the process: how far each source got, which records were given up, and what connectors keep.
//!
//! Nothing outside this room knows the engine behind [`Store`].

mod data_dir;
mod kept;
pub mod letters;
mod lifecycle;
mod line;
mod pipelines;
pub mod spool;
mod sqlite;
pub mod state;
mod tokens;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use async_trait::async_trait;
use thiserror::Error;

use crate::{config::Size, record::Span};

pub use data_dir::{DataDir, DataDirError};
pub use kept::{Kept, Settling};
pub use letters::{DeadLetter, Keeping, KeptLetter, LetterFilter, LetterStore, LetterTotals, Reason, ReplayPlace, Replayed};
pub use lifecycle::{Due, Kept as KeptSettings, Notes, Told};
pub use line::{LetterDocument, Payload, is_copy};
pub use pipelines::{KnownPipeline, PipelineStore, SourceIdentity, StoredCut};
pub use sqlite::SqliteStore;
pub use state::{SqliteState, StateStore};
pub use tokens::{SealedToken, TokenStore};

/// Keeps what must outlive the process. Every method is durable against the end of the process when it returns; where it says
/// so, against the end of the machine too.
#[async_trait]
pub trait Store: Send + Sync {
    /// How far a pipeline's source got, a row for each partition.
    async fn checkpoints(&self, pipeline: &str) -> Result<Vec<Checkpoint>, StoreError>;

    /// Records what became of a stretch: all of it or, on failure, nothing. Dead letters are on disk when it returns. Whoever tries again what failed
    /// gives the same.
    async fn settle(&self, pipeline: &str, settled: Arc<Settled>) -> Result<(), StoreError> {
        self.settle_within(pipeline, settled, &Keeping::default()).await
    }

    /// The same, where dead letters are kept within bounds. Where they would go beyond and take more than before, it fails with
    /// [`StoreError::DeadLettersFull`] and nothing is written.
    async fn settle_within(&self, pipeline: &str, settled: Arc<Settled>, keeping: &Keeping) -> Result<(), StoreError>;

    /// Moves checkpoints of several partitions at once: each with partition, label, and the first sequence that is not settled. The dead letters of
    /// what lies before have been settled by then.
    async fn advance(&self, pipeline: &str, checkpoints: Vec<(String, String, u64)>) -> Result<(), StoreError>;

    /// Notes a cut, before anything of it is written. It is on disk when this returns. It goes with the checkpoint that moves past it.
    async fn cut(&self, pipeline: &str, cut: StoredCut) -> Result<(), StoreError>;

    /// The cuts that are not settled, in order: by partition and place in it.
    async fn cuts(&self, pipeline: &str) -> Result<Vec<StoredCut>, StoreError>;

    /// Notes how far a source has read beyond its checkpoints, so that what a later run reads again is known as such.
    async fn read_to(&self, pipeline: &str, partitions: Vec<(String, u64)>) -> Result<(), StoreError>;

    /// The records of a pipeline that were given up, oldest first.
    async fn dead_letters(&self, pipeline: &str) -> Result<Vec<DeadLetter>, StoreError>;
}

/// How far a source got in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which partition.
    pub partition: String,
    /// What people call it.
    pub label: String,
    /// The first sequence that is not settled: where a run goes on.
    pub next: u64,
    /// The first sequence that was never read, as far as is known; not below `next`.
    pub read_to: u64,
}

/// What became of a stretch of one partition.
#[derive(Debug, Default)]
pub struct Settled {
    /// Where the source goes on: partition, label, first sequence that is not settled. `None` where that has not moved.
    pub checkpoint: Option<(String, String, u64)>,
    /// The records of the stretch that were given up.
    pub dead_letters: Vec<DeadLetter>,
    /// Where dead letters were sent again, which these are. Of those that are given up anew at the same place, the attempts are counted on.
    pub replayed: Option<Replayed>,
    /// What of promises in spools follows from that, each once.
    pub owed: Vec<Owed>,
    /// Whether the file that gets dead letters too has them: it is not written to again where the rest of it failed.
    copied: AtomicBool,
}

impl Settled {
    /// Records of a stretch that were given up, and where the source goes on.
    pub fn new(checkpoint: Option<(String, String, u64)>, dead_letters: Vec<DeadLetter>) -> Self {
        Self { checkpoint, dead_letters, ..Self::default() }
    }

    /// Dead letters that were sent again, and those that were given up of these.
    pub fn sent_again(replayed: Replayed, dead_letters: Vec<DeadLetter>) -> Self {
        Self { replayed: Some(replayed), ..Self::new(None, dead_letters) }
    }

    /// The same with what follows.
    #[must_use]
    pub fn owing(self, owed: Vec<Owed>) -> Self {
        Self { owed, ..self }
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.checkpoint.is_none() && self.dead_letters.is_empty() && self.replayed.is_none() && self.owed.is_empty()
    }
}

/// What of a promise in the spool of a destination comes to be, since the outcome of its causes is in the store. It stays owed until the spool has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// The destination.
    pub destination: Arc<str>,
    /// Number of the promise.
    pub promise: i64,
    /// Which of its follow-ups; none where nothing comes of it, and it is to be forgotten.
    pub born: Vec<Span>,
}

/// Why the store could not do it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The engine behind it said no.
    #[error("cannot {doing} the store {path}: {cause}")]
    Engine {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: String,
        /// What came back.
        cause: String,
        /// Whether it may go by itself, or once there is room: a full disk, an I/O error, a lock.
        passes: bool,
    },
    /// What is there is no store.
    #[error("{path} is no store of wharf: {cause}")]
    NoStore {
        /// What.
        path: String,
        /// Why not.
        cause: String,
    },
    /// There is no room for more dead letters.
    #[error(
        "the dead letters of {} would take {bytes} bytes, and may take {most} (dead-letters.max-bytes)",
        whose(pipeline, destination.as_deref())
    )]
    DeadLettersFull {
        /// Whose.
        pipeline: String,
        /// The destination; `None` where they were given up for all of them.
        destination: Option<String>,
        /// What they would take, in bytes.
        bytes: u64,
        /// What they may take.
        most: Size,
    },
    /// Dead letters cannot be written to the file that gets them too.
    #[error("cannot write dead letters to {}: {cause} (dead-letters.copy-to)", path.display())]
    Copy {
        /// Which file.
        path: PathBuf,
        /// What came back.
        cause: io::Error,
    },
    /// It was written by a later version of this program.
    #[error("the store {path} has the format {found}; this version of wharf reads up to {known}")]
    Format {
        /// Which file.
        path: String,
        /// Its format.
        found: i64,
        /// The latest one known here.
        known: i64,
    },
}

fn whose(pipeline: &str, destination: Option<&str>) -> String {
    match destination {
        Some(destination) => format!("pipeline {pipeline}, destination {destination},"),
        None => format!("pipeline {pipeline} that no destination was given"),
    }
}

impl StoreError {
    /// Whether the same may succeed later: what was to be written waits for that.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Engine { passes: true, .. } | Self::Copy { .. })
    }

    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Engine { passes: true, .. } => "see that the data directory can be written to and has room, then run again",
            Self::Engine { .. } => {
                "look at the store with an SQLite tool (`PRAGMA integrity_check`), or name another --data-dir; connectors and sources lose nothing by that but their place"
            }
            Self::NoStore { .. } => "move it away, or name another folder with --data-dir",
            Self::DeadLettersFull { .. } => {
                "look at them with `wharf dead-letters list`, remove what is not needed with `wharf dead-letters purge`, or raise \
                 dead-letters.max-bytes; then run again: nothing was dropped"
            }
            Self::Copy { .. } => "see that the file can be written to and has room, then run again: nothing was dropped",
            Self::Format { .. } => "run it with the version of wharf that wrote it, or name another --data-dir",
        }
    }
}
