//! Where records come from.
//!
//! A source cuts what it reads into [`Portion`]s, each of one partition, and names with each where a later run goes on once all of
//! it is settled. It holds nothing back and settles nothing itself.

mod building;
mod compression;
mod csv;
mod file;
mod follow;
mod format;
mod generator;
mod identity;
mod lines;
mod opencdc;
mod pace;
mod paths;
mod records;
mod stdin;
mod stream;
mod window;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

use crate::record::Batch;

pub use compression::Compression;
pub use file::{FileOptions, FileSource};
pub use format::{Format, Reading};
pub use generator::{GeneratorOptions, GeneratorSource};
pub use paths::Files;
pub use stdin::StdinSource;

pub use crate::record::{Pointer, PointerError};

/// Reads records, batch by batch.
#[async_trait]
pub trait Source: Send {
    /// The next portion; `None` at the end. Waits for as long as there may be more.
    ///
    /// Dropping the future loses nothing but the waiting: what was read comes with the next call.
    async fn read(&mut self) -> Result<Option<Portion>, SourceError>;

    /// Whether a later run can read again what this one read and did not settle.
    fn rereads(&self) -> bool;

    /// Nothing more is taken in: from here on [`Source::read`] gives what was taken in already and cannot be taken in again, and then ends.
    fn drain(&mut self) {}
}

/// What one call of [`Source::read`] brings: the records of a stretch of one partition.
#[derive(Debug)]
pub struct Portion {
    /// Which partition the stretch is of.
    pub partition: Arc<str>,
    /// What people call the partition, such as the file's path.
    pub label: Arc<str>,
    /// The records that could be read; `None` where none could.
    pub batch: Option<Batch>,
    /// What stood in the stretch and is no record.
    pub unreadable: Vec<Unreadable>,
    /// Where the next stretch begins: the sequence to go on from once everything here is settled.
    pub next: u64,
    /// Where these are dead letters that are sent again: which, and where they enter.
    pub again: Option<Arc<SentAgain>>,
}

/// Dead letters that are sent again from where they were given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentAgain {
    /// The destination that alone gets them; `None` where all do.
    pub destination: Option<Arc<str>>,
    /// The processor that they come to first; `None` where they come to the destination itself.
    pub processor: Option<Arc<str>>,
    /// Number in the store and sequence of each, in order.
    pub letters: Vec<(i64, u64)>,
}

/// Something a source came upon that is no record, such as a line that is not JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Where it stands.
    pub sequence: u64,
    /// As it stands.
    pub bytes: Bytes,
    /// What is wrong with it, for a person: place, cause.
    pub reason: String,
}

/// Where a source goes on, by partition: the first sequence that is not settled.
pub type Checkpoints = BTreeMap<String, u64>;

/// Where portions ended that are to be made again as they were, by partition: for each the place where the next stretch began, never
/// falling. Up to the last of these a source cuts nowhere else, whatever [`Cut`] says.
pub type Cuts = BTreeMap<String, VecDeque<u64>>;

/// When a source cuts a batch: whichever comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// So many records, at least one.
    pub records: u32,
    /// So many bytes; a record that is larger stands alone.
    pub bytes: u64,
    /// So long after the first record was read.
    pub delay: std::time::Duration,
}

/// Why a source cannot go on.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The operating system said no.
    #[error("{what} {path}: {cause}")]
    Io {
        /// What was tried, such as `cannot read`.
        what: &'static str,
        /// On what.
        path: String,
        /// What came back.
        cause: std::io::Error,
    },
    /// What is there is not what the pipeline file says it is.
    #[error("{path}: {reason}")]
    Format {
        /// Where.
        path: String,
        /// What is wrong, for a person.
        reason: String,
    },
    /// What was read of it is not what stands there now.
    #[error("{path}: {reason}")]
    Rewritten {
        /// Where.
        path: String,
        /// What is wrong, for a person.
        reason: String,
    },
}

impl SourceError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } | Self::Format { .. } => "mend the source and run again: it goes on where it stood",
            Self::Rewritten { .. } => {
                "put the file back as it was and run again; or have it read from its beginning: `wharf checkpoints reset PIPELINE --partition PATH`"
            }
        }
    }
}

#[cfg(test)]
mod tests;
