//! Why nothing was started.

use std::{path::PathBuf, sync::Arc};

use thiserror::Error;

use crate::{
    bulk::BulkError,
    config::Place,
    operate::{destinations::Gone, sources::OtherSource},
    pipeline::PipelineError,
    sandbox::tokens::vault::VaultError,
    source::SourceError,
    store::{DataDir, DataDirError, StoreError},
};

/// Why nothing was started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The store in it cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The refresh tokens in the store cannot be used.
    #[error(transparent)]
    Tokens(#[from] VaultError),
    /// The checkpoints of a pipeline are of another source.
    #[error("{cause}")]
    OtherSource {
        /// What it is and was.
        cause: Box<OtherSource>,
        /// Where the source stands in the pipeline file.
        place: Place,
        /// Where the checkpoints are.
        data_dir: PathBuf,
    },
    /// A destination left its pipeline, and may be owed records.
    #[error("{cause}")]
    Gone {
        /// Which.
        cause: Gone,
        /// Where the data directory is.
        data_dir: PathBuf,
    },
    /// A destination that takes files cannot be served.
    #[error("pipeline {pipeline}: destination {destination}: {cause}")]
    Uploads {
        /// Whose.
        pipeline: Arc<str>,
        /// Which.
        destination: Arc<str>,
        /// Why.
        cause: BulkError,
    },
    /// Records wait in a spool for an action that the component does not have.
    #[error(transparent)]
    NoAction(Box<NoAction>),
    /// The spool of a destination is not the one that it had.
    #[error(transparent)]
    Lost(Box<LostSpool>),
    /// Records wait in the spool of a destination that is removed.
    #[error(transparent)]
    Removed(Box<StillWaits>),
    /// A source cannot be read as the pipeline file says.
    #[error("pipeline {pipeline}: source: {cause}")]
    Source {
        /// Whose.
        pipeline: Arc<str>,
        /// Why.
        cause: SourceError,
    },
}

/// Records wait in a spool for an action that the component does not have any more.
#[derive(Debug, Error)]
#[error(
    "pipeline {pipeline}: destination {destination}: {records} records in its spool are for the action `{action}`, which {connector} does not have"
)]
pub struct NoAction {
    /// Whose.
    pub pipeline: Arc<str>,
    /// Which destination.
    pub destination: Arc<str>,
    /// Where it stands in the pipeline file.
    pub place: Option<Place>,
    /// Name and version of its connector.
    pub connector: String,
    /// The name of the action.
    pub action: String,
    /// How many records, with follow-ups to come.
    pub records: u64,
    /// Where the data directory is.
    pub data_dir: PathBuf,
}

impl NoAction {
    /// What to do.
    pub fn hint(&self) -> String {
        let Self { pipeline, destination, action, data_dir, .. } = self;
        let copies = DataDir::spools_in(data_dir).join(&**pipeline).join(&**destination).join("components");
        let (copies, on) = (copies.display(), data_dir.display());
        format!(
            "to deliver them, run with the component that has it (a copy is kept in {copies}) until nothing waits for it; to give them up, as dead \
             letters: `wharf spool discard {pipeline}/{destination} --action {action} --data-dir {on}`, and `wharf uploads abandon` for what is in an \
             upload"
        )
    }
}

/// The spool of a destination is not the one that it had: what was in that would be missed by nobody.
#[derive(Debug, Error)]
#[error("pipeline {pipeline}: destination {destination}: {what}: {}", path.display())]
pub struct LostSpool {
    /// Whose.
    pub pipeline: Arc<str>,
    /// Which destination.
    pub destination: Arc<str>,
    /// Where it is looked for.
    pub path: PathBuf,
    /// What was found there.
    pub what: &'static str,
    /// Where the data directory is.
    pub data_dir: PathBuf,
}

impl LostSpool {
    /// What to do.
    pub fn hint(&self) -> String {
        let Self { pipeline, destination, data_dir, .. } = self;
        format!(
            "bring it back to where it was, with all that lay beside it; where it is lost, with what waited in it, `wharf spool lost {pipeline}/{destination} \
             --data-dir {}` says so, and the next run goes on with another",
            data_dir.display()
        )
    }
}

/// Records wait in the spool of a destination that is removed.
#[derive(Debug, Error)]
#[error("pipeline {pipeline}: destination {destination} is removed, and {records} records in its spool have reached no end")]
pub struct StillWaits {
    /// Whose.
    pub pipeline: Arc<str>,
    /// Which destination.
    pub destination: Arc<str>,
    /// Where it stands in the pipeline file.
    pub place: Option<Place>,
    /// How many records.
    pub records: u64,
    /// Where the data directory is.
    pub data_dir: PathBuf,
}

impl StillWaits {
    /// What to do.
    pub fn hint(&self) -> String {
        let Self { pipeline, destination, data_dir, .. } = self;
        format!(
            "to deliver them, leave `removed` out and run until nothing waits; to give them up, as dead letters: `wharf spool discard \
             {pipeline}/{destination} --all --data-dir {}`, and `wharf uploads abandon` for what is in an upload",
            data_dir.display()
        )
    }
}

impl StartError {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Tokens(error) => return error.hint(),
            Self::OtherSource { cause, data_dir, .. } => return cause.hint(data_dir),
            Self::Gone { cause, data_dir } => return cause.hint(data_dir),
            Self::NoAction(cause) => return cause.hint(),
            Self::Removed(cause) => return cause.hint(),
            Self::Lost(cause) => return cause.hint(),
            Self::DataDir(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Uploads { cause, .. } => cause.hint(),
            Self::Source { .. } => "mend the source, or correct the pipeline file",
        }
        .to_owned()
    }
}

impl StartError {
    /// Where it stands in the pipeline file, where that can be told.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::OtherSource { place, .. } => Some(place),
            Self::NoAction(cause) => cause.place.as_ref(),
            Self::Removed(cause) => cause.place.as_ref(),
            Self::DataDir(_)
            | Self::Store(_)
            | Self::Tokens(_)
            | Self::Gone { .. }
            | Self::Lost(_)
            | Self::Uploads { .. }
            | Self::Source { .. } => None,
        }
    }
}

impl From<StartError> for PipelineError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => Self::Store(error),
            StartError::Source { cause, .. } => Self::Source(cause),
            error => Self::Reader(error.to_string()),
        }
    }
}
