//! What is known of pipelines beside their records: what they read, where they deliver to, how they were cut.

use std::fmt;

use async_trait::async_trait;

use super::{Checkpoint, StoreError};

/// What a pipeline reads, by which another source is told from the one that its checkpoints are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceIdentity {
    /// The source's kind, as in the pipeline file.
    pub kind: String,
    /// What it reads, for a person: a path, a pattern; empty where the kind says it all.
    pub reads: String,
}

impl fmt::Display for SourceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if self.reads.is_empty() { Ok(()) } else { write!(f, " {}", self.reads) }
    }
}

/// A pipeline that the store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPipeline {
    /// Its id.
    pub id: String,
    /// What it reads; `None` where no run has told so far.
    pub source: Option<SourceIdentity>,
    /// How far that got.
    pub checkpoints: Vec<Checkpoint>,
}

/// A stretch of one partition that was, or is about to be, written as one batch, and has to be the same batch when it is written again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCut {
    /// The batch's id.
    pub id: String,
    /// The destination that was cut for; `None` where it was cut for all of them.
    pub destination: Option<String>,
    /// The partition.
    pub partition: String,
    /// Sequence and ordinal of the first record.
    pub first: (u64, u32),
    /// Sequence and ordinal of the last record.
    pub last: (u64, u32),
    /// How many records.
    pub count: u32,
    /// Where the next stretch begins.
    pub next: u64,
}

/// Keeps what is known of pipelines.
#[async_trait]
pub trait PipelineStore: Send + Sync {
    /// All pipelines that have checkpoints or of which something else is known, by id.
    async fn pipelines(&self) -> Result<Vec<KnownPipeline>, StoreError>;

    /// Forgets how far a pipeline got, in one partition or in all of them, and the cuts of these, and with all of them what it reads and to whom it may owe records. Gives how many
    /// checkpoints there were.
    async fn reset(&self, pipeline: &str, partition: Option<&str>) -> Result<u64, StoreError>;

    /// What a pipeline read when it last ran.
    async fn source(&self, pipeline: &str) -> Result<Option<SourceIdentity>, StoreError>;

    /// Notes what a pipeline reads.
    async fn keep_source(&self, pipeline: &str, source: SourceIdentity) -> Result<(), StoreError>;

    /// The destinations of a pipeline that may be owed records, by id.
    async fn destinations(&self, pipeline: &str) -> Result<Vec<String>, StoreError>;

    /// Notes which destinations of a pipeline may be owed records, in the place of what was noted before.
    async fn keep_destinations(&self, pipeline: &str, destinations: Vec<String>) -> Result<(), StoreError>;

    /// The identity of the spool that a destination has; `None` where it has had none.
    async fn spool(&self, pipeline: &str, destination: &str) -> Result<Option<String>, StoreError>;

    /// Notes which spool a destination has, by its identity; or forgets that it had one.
    async fn keep_spool(&self, pipeline: &str, destination: &str, identity: Option<&str>) -> Result<(), StoreError>;
}
