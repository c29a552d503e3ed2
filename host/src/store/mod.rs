//! What must outlive the process: how far each source got, which records were given up, and what connectors keep.
//!
//! Nothing outside this room knows the engine behind [`Store`].

mod data_dir;
mod letters;
mod sqlite;
pub mod state;
mod tokens;

use async_trait::async_trait;
use thiserror::Error;

pub use data_dir::{DataDir, DataDirError};
pub use letters::{DeadLetter, Reason};
pub use sqlite::SqliteStore;
pub use state::{SqliteState, StateStore};
pub use tokens::{SealedToken, TokenStore};

/// Keeps what must outlive the process. Every method is durable against the end of the process when it returns; where it says
/// so, against the end of the machine too.
#[async_trait]
pub trait Store: Send + Sync {
    /// How far a pipeline's source got, a row for each partition.
    async fn checkpoints(&self, pipeline: &str) -> Result<Vec<Checkpoint>, StoreError>;

    /// Records what became of a stretch: all of it or, on failure, nothing. Dead letters are on disk when it returns.
    async fn settle(&self, pipeline: &str, settled: Settled) -> Result<(), StoreError>;

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
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// Where the source goes on: partition, label, first sequence that is not settled. `None` where that has not moved.
    pub checkpoint: Option<(String, String, u64)>,
    /// The records of the stretch that were given up.
    pub dead_letters: Vec<DeadLetter>,
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
