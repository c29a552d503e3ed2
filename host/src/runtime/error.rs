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
    store::{DataDirError, StoreError},
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
    /// A source cannot be read as the pipeline file says.
    #[error("pipeline {pipeline}: source: {cause}")]
    Source {
        /// Whose.
        pipeline: Arc<str>,
        /// Why.
        cause: SourceError,
    },
}

impl StartError {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Tokens(error) => return error.hint(),
            Self::OtherSource { cause, data_dir, .. } => return cause.hint(data_dir),
            Self::Gone { cause, data_dir } => return cause.hint(data_dir),
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
            Self::DataDir(_)
            | Self::Store(_)
            | Self::Tokens(_)
            | Self::Gone { .. }
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
