//! Why a component cannot be loaded, asked or opened.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::{binary::NotAConnector, descriptor::DescriptorError};
use crate::{
    config::Size,
    record::Failure,
    sandbox::{DirectoryError, Ended, EngineError, output::told},
};

/// Why a component could not be asked something.
#[derive(Debug, Error)]
pub enum Loading {
    /// It ended its instance.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// It lacks an export, or has it in another shape.
    #[error("does not export what the contract names, as it names it: {}", told(.0))]
    Exports(wasmtime::Error),
    /// It has ended before.
    #[error("its instance is gone")]
    Gone,
}

/// Why a session could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The connector said why.
    #[error("open failed: {0}")]
    Failed(Failure),
    /// The connector was asked before whether its far side is there, and said why it is not.
    #[error("the far side is not there: {0}")]
    Unreachable(Failure),
    /// The component could not be asked.
    #[error(transparent)]
    Loading(#[from] Loading),
    /// A granted directory is gone.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// Why a far side is not known to be there.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The connector says that it is not, and why.
    #[error("{0}")]
    Failed(Failure),
    /// The component could not be asked.
    #[error(transparent)]
    Loading(#[from] Loading),
    /// A granted directory is gone.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl From<ProbeError> for OpenError {
    /// A session that is not worth opening, or could not be.
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Failed(failure) => Self::Unreachable(failure),
            ProbeError::Loading(loading) => Self::Loading(loading),
            ProbeError::Directory(directory) => Self::Directory(directory),
        }
    }
}

impl From<Ended> for OpenError {
    fn from(ended: Ended) -> Self {
        Self::Loading(ended.into())
    }
}

/// Why a file is not a connector that can be run. Every message names the file.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the component {}: {cause}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What came back.
        cause: io::Error,
    },
    /// It is larger than any component should be.
    #[error("{} has {size} bytes, and a component may have {most} (process.component-size)", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Its bytes.
        size: u64,
        /// How large it may be.
        most: Size,
    },
    /// It is something else.
    #[error("{} {cause}", path.display())]
    NotAConnector {
        /// Which.
        path: PathBuf,
        /// What it is.
        cause: NotAConnector,
    },
    /// It is not valid, or uses what this host does not offer.
    #[error("{} cannot be compiled: {cause}", path.display())]
    Compile {
        /// Which.
        path: PathBuf,
        /// What came back.
        cause: EngineError,
    },
    /// It imports what this host does not offer, or in another shape.
    #[error("{} cannot be linked: {}", path.display(), told(cause))]
    Link {
        /// Which.
        path: PathBuf,
        /// What came back.
        cause: wasmtime::Error,
    },
    /// It could not say who it is.
    #[error("{}: {cause}", path.display())]
    Describe {
        /// Which.
        path: PathBuf,
        /// What came back.
        cause: Loading,
    },
    /// What it says of itself makes no sense.
    #[error("{}: {cause}", path.display())]
    Descriptor {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        cause: DescriptorError,
    },
    /// The host itself failed.
    #[error("cannot load {}: {cause}", path.display())]
    Host {
        /// Which.
        path: PathBuf,
        /// What came back.
        cause: String,
    },
}

impl LoadError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { cause, .. } if cause.kind() == io::ErrorKind::NotFound => {
                Some("build the component first, or correct the path".into())
            }
            Self::Read { .. } | Self::Host { .. } => None,
            Self::TooLarge { .. } => {
                Some("strip it of debugging information, or raise process.component-size in the pipeline file".into())
            }
            Self::NotAConnector { cause, .. } => Some(cause.hint().into()),
            Self::Compile { cause: EngineError::Compile(cause), .. } => Some(cause.hint().into()),
            Self::Compile { .. } => None,
            Self::Link { .. } => Some("build it against the contract of this host and WASI 0.2".into()),
            Self::Describe { cause: Loading::Ended(ended), .. } if ended.reason.is_limit() => {
                Some("raise that limit, or ask the connector's author".into())
            }
            Self::Describe { .. } | Self::Descriptor { .. } => {
                Some("ask the connector's author; `describe` has to work without any grant".into())
            }
        }
    }
}
