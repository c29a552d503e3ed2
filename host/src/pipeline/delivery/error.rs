//! Why a destination takes no more records.

use std::sync::Arc;

use thiserror::Error;

use crate::{connector::OpenError, pipeline::ProcessorError, record::Failure, sandbox::Ended};

/// Why a destination takes no more records.
#[derive(Debug, Error)]
pub enum DestinationError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It said that nothing can succeed, or refused the credentials.
    #[error("{0}")]
    Failed(Arc<Failure>),
    /// It failed for now, too often.
    #[error("{failure} (tried {tried} times)")]
    TooOften {
        /// What it said last.
        failure: Arc<Failure>,
        /// How often it was tried.
        tried: u32,
    },
    /// Its instances keep ending, and no record comes through: it is let alone, and the rest of its pipeline goes on.
    #[error("{ended}; quarantined, since {instances} instances in a row ended and no record came through")]
    Quarantined {
        /// What happened last.
        ended: Ended,
        /// How many instances ended since a record came through last.
        instances: u32,
    },
    /// It did not answer for some records.
    #[error("the receipt leaves out {records} of {count} records; what became of them is unknown")]
    Silent {
        /// How many.
        records: u32,
        /// Of how many.
        count: u32,
    },
    /// Its receipt breaks the contract.
    #[error("{breach}; what became of {unknown} records is unknown")]
    Breach {
        /// How.
        breach: String,
        /// How many records that `progress` had not reported.
        unknown: u32,
    },
    /// More records failed than the pipeline tolerates.
    #[error("of the last {window} records more than {tolerance} failed; this was one too many: {failure}")]
    TooMany {
        /// Of how many.
        window: u32,
        /// How many may.
        tolerance: u32,
        /// Why the one that was too many failed.
        failure: Arc<str>,
    },
    /// A processor on the way to it takes no more records.
    #[error(transparent)]
    Processor(Box<ProcessorError>),
    /// Its own dead letters have no room, and it is a best-effort destination, which pauses alone.
    #[error("{why}")]
    LettersFull {
        /// Which, and what they may take.
        why: Arc<str>,
    },
    /// It paused, and nothing else is left to be done.
    #[error("{why}")]
    Paused {
        /// Why.
        why: Arc<str>,
    },
    /// The host's own fault.
    #[error("the host's worker ended unexpectedly: {0}")]
    Worker(String),
}

impl DestinationError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Quarantined { ended, .. } if ended.reason.is_limit() => {
                "raise that limit if its use is honest, else ask the connector's author; then run again: what is pending is sent again"
            }
            Self::Quarantined { .. } => {
                "ask the connector's author, or name another version of it; then run again: what is pending is sent again"
            }
            Self::LettersFull { .. } => {
                "look at them with `wharf dead-letters list`, send them again with `wharf dead-letters replay`, remove what is not needed with `wharf dead-letters purge`, or raise dead-letters.max-bytes; then run again: nothing was dropped, and what is pending is sent again"
            }
            Self::Processor(error) => error.hint(),
            Self::TooMany { .. } => {
                "mend the record or the destination and run again: what is pending is sent again; or let more records be given up (dead-letters.window, dead-letters.tolerance)"
            }
            Self::Silent { .. } | Self::Breach { .. } => {
                "ask the connector's author; then run again: what is pending is sent again, perhaps for a second time"
            }
            _ => "mend the destination and run again: what is pending is sent again",
        }
    }
}

/// Why a worker left off.
#[derive(Debug)]
pub(in crate::pipeline) enum Left {
    /// It was asked to stop while something was to be sent again.
    Asked,
    /// The destination takes no more.
    Destination(DestinationError),
}

impl<E: Into<DestinationError>> From<E> for Left {
    fn from(error: E) -> Self {
        Self::Destination(error.into())
    }
}
