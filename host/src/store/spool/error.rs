//! Why a spool could not do something.

use std::path::PathBuf;

use thiserror::Error;

use crate::{config::Size, record::Damaged, store::StoreError};

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
