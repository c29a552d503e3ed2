//! Why a chain of processors takes no more.

use std::sync::Arc;

use thiserror::Error;

use crate::{
    connector::OpenError,
    record::{ColumnFull, Failure},
};

/// Why a chain takes no more records.
#[derive(Debug, Error)]
pub enum ProcessorError {
    /// A processor could not be opened.
    #[error("processor {id} ({connector}): {cause}")]
    Open {
        /// Which.
        id: Arc<str>,
        /// Name and version.
        connector: String,
        /// Why.
        cause: Box<OpenError>,
    },
    /// It said that nothing can succeed, or refused the credentials.
    #[error("processor {id} ({connector}): {failure}")]
    Failed {
        /// Which.
        id: Arc<str>,
        /// Name and version.
        connector: String,
        /// What it said.
        failure: Arc<Failure>,
    },
    /// It failed for now, too often.
    #[error("processor {id} ({connector}): {failure} (tried {tried} times)")]
    TooOften {
        /// Which.
        id: Arc<str>,
        /// Name and version.
        connector: String,
        /// What it said last.
        failure: Arc<Failure>,
        /// How often it was tried.
        tried: u32,
    },
    /// Its answer breaks the contract.
    #[error("processor {id} ({connector}): {breach}")]
    Breach {
        /// Which.
        id: Arc<str>,
        /// Name and version.
        connector: String,
        /// How.
        breach: String,
    },
    /// Its instances keep ending, and nothing goes through.
    #[error("processor {id} ({connector}): {reason}; {instances} instances in a row ended and no record went through")]
    Blamed {
        /// Which.
        id: Arc<str>,
        /// Name and version.
        connector: String,
        /// What happened last.
        reason: Arc<str>,
        /// How many instances ended since a record went through last.
        instances: u32,
    },
    /// It paused, and nothing more comes after what it has.
    #[error("{why}")]
    Paused {
        /// Why.
        why: Arc<str>,
    },
    /// More records failed than the pipeline tolerates.
    #[error(
        "processor {id} ({connector}): of the last {window} records more than {tolerance} failed; this was one too many: {reason}"
    )]
    TooMany {
        /// Which.
        id: Arc<str>,
        /// Name and version.
        connector: String,
        /// Of how many.
        window: u32,
        /// How many may.
        tolerance: u32,
        /// Why the one that was too many failed.
        reason: Arc<str>,
    },
    /// Together they would be larger than a column can be.
    #[error(transparent)]
    Full(#[from] ColumnFull),
    /// It was asked to stop while something was to be processed again.
    #[error("asked to stop")]
    Asked,
    /// Nobody waits for the portion any more.
    #[error("nobody waits for it")]
    LetGo,
}

impl ProcessorError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooMany { .. } => {
                "mend the record or the processor and run again; or let more be given up (dead-letters.window, dead-letters.tolerance)"
            }
            Self::Breach { .. } => "ask the processor's author; then run again: what is pending is processed again",
            _ => "mend the processor and run again: what is pending is processed again",
        }
    }
}
