//! Bulk delivery: records out of the spool, as files, to far sides that work through them in their own time.
//!
//! ```text
//! spool ─► claim ─► transform ─► stage (file and intent on disk) ─► upload ─► poll … ─► stats ─► settle ─► release
//!                                                                    ▲  └─ no answer: reconcile
//!                                                                    └──── absent: the same file, the same intent
//! ```
//!
//! An [`Engine`] serves one action of one destination. What it knows is in the spool and in the staged files: it can end at any instant, and
//! the next one goes on where it was. Every call into a component is in an instance of its own.
//!
//! **Threat.** The answer to an upload never comes, and sending it again doubles it; a status that cannot be had is taken for a failure; a far
//! side forgets a job; one upload that takes days holds up the others; a process ends between the far side's yes and the note of it. **Answer.** The
//! intent is on disk before the upload, and after anything that is no answer the far side is asked before anything is sent again. A poll that fails
//! says nothing about the upload. What nobody can decide is held for a person, unless the pipeline says otherwise.

mod blame;
mod component;
mod driver;
mod engine;
mod far;
mod flight;
mod intake;
mod mixed;
mod outcome;
mod policy;
mod shaped;
mod stage;
mod staging;
mod tallied;
#[cfg(test)]
mod tests;
mod written;

use std::{path::PathBuf, sync::Arc};

use thiserror::Error;

use crate::store::{StoreError, spool::SpoolError};

pub use crate::store::spool::Letters;

pub use component::Component;
pub use driver::{Driver, Rest};
pub use engine::{Engine, Order, Parts, Resolve, Stand};
pub use far::{AnyFar, BulkFar, CallTrouble, Exit, FileBounds, Told, WriteFar};
pub use intake::Intake;
pub use mixed::Mixed;
pub use policy::{BulkPolicy, OnLost, OnUndecidable};
pub use staging::Staging;
pub use tallied::Tallied;

/// Why bulk delivery cannot go on. Nothing is lost: the next engine goes on where this one was.
#[derive(Debug, Error)]
pub enum BulkError {
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Dead letters.
    #[error(transparent)]
    Letters(#[from] StoreError),
    /// The staging directory.
    #[error("cannot {doing} the staged file {}: {cause}", path.display())]
    Staging {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What came back.
        cause: std::io::Error,
    },
    /// The copy of a component.
    #[error("cannot {doing} the component {}: {cause}", path.display())]
    Component {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What came back.
        cause: std::io::Error,
    },
    /// An upload was made by another component than the one at hand.
    #[error("upload {intent} was made by the component sha256:{made}, and is polled with no other")]
    OtherComponent {
        /// Which.
        intent: Arc<str>,
        /// By which component.
        made: Arc<str>,
    },
    /// A part of it ended in a way that it should not.
    #[error("bulk delivery ended unexpectedly: {0}")]
    Ended(String),
}

impl BulkError {
    /// Whether the disk is what fails: it does not take what has to be kept.
    pub fn is_of_the_disk(&self) -> bool {
        match self {
            Self::Spool(SpoolError::Store(error)) | Self::Letters(error) => error.passes(),
            Self::Staging { .. } | Self::Component { .. } => true,
            Self::Spool(_) | Self::OtherComponent { .. } | Self::Ended(_) => false,
        }
    }

    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Spool(error) => error.hint(),
            Self::Letters(error) => error.hint(),
            Self::Staging { .. } => "see that the data directory can be written to and has room, then run again",
            Self::Component { .. } => {
                "see that the data directory can be written to and has room, and that the component is the one that was checked; then run again"
            }
            Self::OtherComponent { .. } => "run it with that component until its uploads are settled",
            Self::Ended(_) => "this is a fault of wharf: please report it",
        }
    }
}
