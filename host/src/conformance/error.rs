//! Why a run came to nothing, or ended early.

use std::{fmt::Display, io};

use thiserror::Error;

use super::report::Report;
use crate::{
    config::{ConfigError, Place},
    connector::LoadError,
};

/// Why a run came to nothing, or ended early.
#[derive(Debug, Error)]
pub enum ConformError {
    /// What the run was given is wrong: all of it at once.
    #[error("{}", .0.iter().map(Mistake::to_string).collect::<Vec<_>>().join("; "))]
    Mistakes(Vec<Mistake>),
    /// The component cannot be asked who it is.
    #[error(transparent)]
    Load(#[from] LoadError),
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
    /// A case could not be run, which ended the run.
    #[error("{cause}")]
    Stopped {
        /// What came of the cases up to that one, which is the last.
        report: Box<Report>,
        /// Why.
        cause: Box<ConformError>,
    },
    /// This machine did not do something.
    #[error("{0}")]
    Host(String),
}

/// Something that is wrong with what the run was given.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{what}", .place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default())]
pub struct Mistake {
    /// What.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where it stands in the suite file, where it stands there.
    pub place: Option<Place>,
}

impl Mistake {
    /// With nothing to be done about it, and nowhere.
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, place: None }
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(super) fn at(self, place: Option<&Place>) -> Self {
        Self { place: place.cloned(), ..self }
    }
}

impl From<ConfigError> for Mistake {
    fn from(error: ConfigError) -> Self {
        Self { what: error.what().into(), hint: error.hint().map(str::to_owned), place: error.place().cloned() }
    }
}

impl From<Mistake> for ConformError {
    fn from(mistake: Mistake) -> Self {
        Self::Mistakes(vec![mistake])
    }
}

impl From<ConfigError> for ConformError {
    fn from(error: ConfigError) -> Self {
        Mistake::from(error).into()
    }
}

impl ConformError {
    pub(super) fn host(what: &str, cause: &io::Error) -> Self {
        Self::Host(format!("cannot {what}: {cause}"))
    }

    /// All that is to be told of it, in the order of the suite file.
    pub fn mistakes(&self) -> Vec<Mistake> {
        match self {
            Self::Mistakes(mistakes) => mistakes.clone(),
            Self::Load(error) => vec![Mistake { what: error.to_string(), hint: error.hint(), place: None }],
            Self::Command { place, .. } => vec![
                Mistake::new(self.to_string())
                    .with_hint(
                        "mend it in the suite file; of the component nothing is known by that, and no case was tried from here on",
                    )
                    .at(Some(place)),
            ],
            Self::Stopped { cause, .. } => cause.mistakes(),
            Self::Host(what) => vec![Mistake::new(what)],
        }
    }
}

/// Several of something, for a sentence.
pub(super) fn listed<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
