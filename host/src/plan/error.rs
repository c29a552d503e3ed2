//! Why there is no plan.

use std::sync::Arc;

use thiserror::Error;

use super::tokens::ProviderError;
use crate::{
    config::{ConfigError, Place},
    connector::{LoadError, OpenError, settings::Problem},
    record::format::TemplateError,
    sandbox::{DirectoryError, HttpError, output::printable},
};

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The pipeline file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file that is to be read is not there.
    #[error("pipeline {pipeline}: cannot read {path}: {cause}")]
    Source {
        /// Whose.
        pipeline: Arc<str>,
        /// Where it is named.
        place: Place,
        /// The path.
        path: String,
        /// What came back.
        cause: std::io::Error,
    },
    /// Dead letters could not be copied to a file.
    #[error("pipeline {pipeline}: cannot write dead letters to {path}: {cause}")]
    CopyTo {
        /// Whose.
        pipeline: Arc<str>,
        /// Where it is named.
        place: Place,
        /// The path.
        path: String,
        /// What came back.
        cause: std::io::Error,
    },
    /// A component cannot be used.
    #[error("destination {destination}: {cause}")]
    Component {
        /// Whose.
        destination: String,
        /// Where it is named.
        place: Place,
        /// Why.
        cause: LoadError,
    },
    /// A component is a connector, and not one that records can be written to.
    #[error("destination {destination}: {connector} is {what}, and this host runs write destinations alone")]
    NotAWriteDestination {
        /// Whose.
        destination: String,
        /// Where it is named.
        place: Place,
        /// Name and version.
        connector: String,
        /// What it is.
        what: &'static str,
    },
    /// Records are to stay in order, and the connector keeps none.
    #[error("destination {destination}: {connector} keeps no order among records, and the pipeline asks for it")]
    Unordered {
        /// Whose.
        destination: String,
        /// Where it stands.
        place: Place,
        /// Name and version.
        connector: String,
    },
    /// Several instances are to keep the order of each key, and there are no keys.
    #[error("destination {destination}: `parallel` splits records by their keys, and this source gives them none")]
    Keyless {
        /// Whose.
        destination: String,
        /// Where it stands.
        place: Place,
    },
    /// A setting is wrong or missing.
    #[error("destination {destination} ({connector}): {}", described(problem))]
    Setting {
        /// Whose.
        destination: String,
        /// Where it stands, or where it should.
        place: Place,
        /// Name and version.
        connector: String,
        /// What is wrong.
        problem: Problem,
    },
    /// A template cannot be read.
    #[error("destination {destination}: {cause}")]
    Template {
        /// Whose.
        destination: String,
        /// Where it stands.
        place: Place,
        /// What is wrong with it.
        cause: TemplateError,
    },
    /// The component could not say whether its settings are right.
    #[error("destination {destination} ({connector}): {cause}")]
    Check {
        /// Whose.
        destination: String,
        /// Where it stands.
        place: Place,
        /// Name and version.
        connector: String,
        /// What happened.
        cause: OpenError,
    },
    /// A directory that is granted cannot be.
    #[error("destination {destination}: {cause}")]
    Directory {
        /// Whose.
        destination: String,
        /// Where it is granted.
        place: Place,
        /// Why.
        cause: DirectoryError,
    },
    /// HTTP requests that are granted cannot be.
    #[error("destination {destination}: {cause}")]
    Http {
        /// Whose.
        destination: String,
        /// Where it is granted.
        place: Place,
        /// Why.
        cause: HttpError,
    },
    /// Tokens cannot be had of a provider.
    #[error("token provider {provider}: {cause}")]
    Tokens {
        /// Whose.
        provider: String,
        /// Where it stands.
        place: Place,
        /// Why.
        cause: ProviderError,
    },
    /// Something that the connector asks for is not granted.
    #[error("destination {destination}: {connector} asks for {what}{}, which is {how}", because(reason))]
    NotGranted {
        /// Whose.
        destination: String,
        /// Where it stands.
        place: Place,
        /// Name and version.
        connector: String,
        /// What it asks for.
        what: String,
        /// Why it asks for it.
        reason: String,
        /// `not granted`, or what is short of it.
        how: &'static str,
        /// What to write into the pipeline file, for this and all before it that the destination lacks: at the last of them.
        remedy: Option<String>,
    },
}

fn described(problem: &Problem) -> String {
    match problem.parameter.as_str() {
        "" => problem.message.clone(),
        parameter => format!("`{parameter}` {}", problem.message),
    }
}

pub(super) fn because(reason: &str) -> String {
    // On one line: a second one could look like the host's own.
    if reason.is_empty() { String::new() } else { format!(" ({})", printable(reason, false)) }
}

impl PlanError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint().map(str::to_owned),
            Self::Source { .. } => Some("correct the path; it counts from the pipeline file's own folder".into()),
            Self::CopyTo { .. } => {
                Some("name a file in a folder that is there; the path counts from the pipeline file's own folder".into())
            }
            Self::Component { cause, .. } => cause.hint(),
            Self::NotAWriteDestination { .. } => None,
            Self::Unordered { .. } => Some("say `ordered: false` in the destination where the order does not matter".into()),
            Self::Keyless { .. } => Some(
                "name the key in the source (`key`), or say `ordered: false` in the destination where the order does not matter"
                    .into(),
            ),
            Self::Template { cause, .. } => Some(cause.hint().into()),
            Self::Setting { problem, .. } => problem.hint.clone(),
            Self::Check { .. } => Some("ask the connector's author; `check` has to work without any grant".into()),
            Self::Directory { cause, .. } => Some(cause.hint()),
            Self::Http { cause, .. } => Some(cause.hint()),
            Self::Tokens { cause, .. } => Some(cause.hint()),
            Self::NotGranted { remedy, .. } => remedy.clone(),
        }
    }

    /// What is wrong, without the place.
    pub fn what(&self) -> String {
        match self {
            Self::Config(error) => error.what().to_owned(),
            other => other.to_string(),
        }
    }

    /// Where in the pipeline file.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Config(error) => error.place(),
            Self::Source { place, .. }
            | Self::CopyTo { place, .. }
            | Self::Component { place, .. }
            | Self::NotAWriteDestination { place, .. }
            | Self::Unordered { place, .. }
            | Self::Keyless { place, .. }
            | Self::Setting { place, .. }
            | Self::Template { place, .. }
            | Self::Check { place, .. }
            | Self::Directory { place, .. }
            | Self::Http { place, .. }
            | Self::Tokens { place, .. }
            | Self::NotGranted { place, .. } => Some(place),
        }
    }
}
