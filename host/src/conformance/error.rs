//! Why no case was run.

use std::{fmt::Display, io};

use thiserror::Error;

use crate::{
    config::{ConfigError, Place},
    connector::LoadError,
    plan::PlanError,
};

/// Why no case was run.
#[derive(Debug, Error)]
pub enum ConformError {
    /// The suite file is wrong.
    #[error("{}", .0.what())]
    Suite(#[from] ConfigError),
    /// The component cannot be asked who it is.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What the suite grants does not do.
    #[error("{}", .0.iter().map(PlanError::what).collect::<Vec<_>>().join("; "))]
    Plan(Vec<PlanError>),
    /// There is no such case.
    #[error("there is no case `{id}`")]
    NoCase {
        /// The id that was given.
        id: String,
        /// What to do.
        hint: String,
        /// Where it stands in the suite file.
        place: Option<Place>,
    },
    /// What the suite file gives did not work.
    #[error("`{key}` of the suite file does not work: {why}")]
    Command {
        /// The key.
        key: &'static str,
        /// What came of it.
        why: String,
        /// Where it stands in the suite file.
        place: Place,
    },
    /// This machine did not do something.
    #[error("{0}")]
    Host(String),
}

impl ConformError {
    pub(super) fn host(what: &str, cause: &io::Error) -> Self {
        Self::Host(format!("cannot {what}: {cause}"))
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Suite(error) => error.hint().map(str::to_owned),
            Self::Load(error) => error.hint(),
            Self::Plan(errors) => {
                let hints: Vec<String> = errors.iter().filter_map(PlanError::hint).collect();
                (!hints.is_empty())
                    .then(|| hints.join("\n"))
                    .map(|hints| hints.replace("in the destination", "in the suite file"))
            }
            Self::NoCase { hint, .. } => Some(hint.clone()),
            Self::Command { .. } => Some(
                "mend it in the suite file; of the component nothing is known by that, and no case was tried from here on".into(),
            ),
            Self::Host(_) => None,
        }
    }

    /// Where in the suite file.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Suite(error) => error.place(),
            Self::NoCase { place, .. } => place.as_ref(),
            Self::Command { place, .. } => Some(place),
            Self::Plan(errors) => errors.first().and_then(PlanError::place).filter(|place| &*place.file != "suite"),
            Self::Load(_) | Self::Host(_) => None,
        }
    }
}

/// Several of something, for a sentence.
pub(super) fn listed<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
