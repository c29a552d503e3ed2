//! Why there is no plan.

use std::{fmt, sync::Arc, time::Duration};

use thiserror::Error;

use super::tokens::ProviderError;
use crate::{
    config::{ConfigError, Mistakes, NotASchedule, Place, nearest},
    connector::{LoadError, OpenError, settings::Problem},
    record::format::TemplateError,
    sandbox::{DirectoryError, HttpError, output::printable},
};

/// A part of a pipeline that is a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A destination, by its id.
    Destination(String),
    /// A processor, by its id.
    Processor(String),
}

impl Part {
    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Self::Destination(id) | Self::Processor(id) => id,
        }
    }

    /// What it is.
    pub const fn noun(&self) -> &'static str {
        match self {
            Self::Destination(_) => "destination",
            Self::Processor(_) => "processor",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.noun(), self.id())
    }
}

/// Who says what a setting is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetBy {
    /// The pipeline file, where it stands or should.
    File(Place),
    /// A variable of the environment, by its name.
    Variable(String),
}

impl fmt::Display for SetBy {
    /// For the end of a sentence about the setting.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(_) => Ok(()),
            Self::Variable(name) => write!(f, ", as the variable `{}` of the environment has it", printable(name, false)),
        }
    }
}

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
    #[error("{part}: {cause}")]
    Component {
        /// Whose.
        part: Part,
        /// Where it is named.
        place: Place,
        /// Why.
        cause: LoadError,
    },
    /// A component is a connector, and not one that records can be written to.
    #[error("{part}: {connector} is {what}, where a destination is due")]
    NotADestination {
        /// Whose.
        part: Part,
        /// Where it is named.
        place: Place,
        /// Name and version.
        connector: String,
        /// What it is.
        what: &'static str,
    },
    /// A component is a connector, and no processor.
    #[error("{part}: {connector} is {what}, and no processor")]
    NotAProcessor {
        /// Whose.
        part: Part,
        /// Where it is named.
        place: Place,
        /// Name and version.
        connector: String,
        /// What it is.
        what: &'static str,
    },
    /// It is said how files are made, and the component takes none.
    #[error("{part}: {connector} takes records as they come, and no files")]
    NoFiles {
        /// Whose.
        part: Part,
        /// Where it stands.
        place: Place,
        /// Name and version.
        connector: String,
    },
    /// A key that does nothing where records go out as files.
    #[error("{part}: `{key}` does nothing where records go out as files")]
    NotForFiles {
        /// Whose.
        part: Part,
        /// Where the destination stands.
        place: Place,
        /// Which.
        key: &'static str,
    },
    /// A route to an action that the connector does not have.
    #[error("{part}: {connector} has no action `{action}`")]
    NoAction {
        /// Whose.
        part: Part,
        /// Where it is named.
        place: Place,
        /// Name and version.
        connector: String,
        /// Which.
        action: String,
        /// The one that was probably meant.
        near: Option<String>,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A route that takes everything, and others behind it.
    #[error("{part}: the route to `{action}` takes every record, so that none behind it gets any")]
    Unreached {
        /// Whose.
        part: Part,
        /// Where it is named.
        place: Place,
        /// Its action.
        action: String,
    },
    /// It is said what becomes of records that no route takes, and there is no route.
    #[error("{part}: `otherwise` does nothing without `routes`")]
    NoRoutes {
        /// Whose.
        part: Part,
        /// Where it stands.
        place: Place,
    },
    /// An action is named twice.
    #[error("{part}: the action `{named}` stands there twice")]
    ActionTwice {
        /// Whose.
        part: Part,
        /// Where it stands for the second time.
        place: Place,
        /// The name.
        named: String,
    },
    /// A key that does nothing for records that are written as they come.
    #[error("{part}: `{key}` does nothing for the action `{named}`, to which records are written as they come")]
    AtOnce {
        /// Whose.
        part: Part,
        /// Where the action stands.
        place: Place,
        /// The name.
        named: String,
        /// Which.
        key: &'static str,
    },
    /// What the connector itself has for a schedule is none.
    #[error("{part}: the schedule that {connector} has for itself is {cause}")]
    Schedule {
        /// Whose.
        part: Part,
        /// Where it stands.
        place: Place,
        /// Name and version.
        connector: String,
        /// What is wrong with it.
        cause: NotASchedule,
    },
    /// A variable of the environment means no setting, or several.
    #[error("{part}: the variable `{}` of the environment {}", printable(variable, false), mistaken(connector, meant))]
    Variable {
        /// Whose.
        part: Part,
        /// Name and version of the connector.
        connector: String,
        /// Its name.
        variable: String,
        /// The settings that it could mean.
        meant: Vec<String>,
        /// The name that was probably meant.
        near: Option<String>,
    },
    /// A version of the far side's interface is named that the connector does not list.
    #[error("{part}: {connector} does not speak the version `{}` of its far side", printable(named, false))]
    Version {
        /// Whose.
        part: Part,
        /// Where it is named.
        place: Place,
        /// Name and version of the connector.
        connector: String,
        /// The one that is named.
        named: String,
        /// Those that it lists.
        listed: Vec<String>,
    },
    /// Records are to stay in order, and the connector keeps none.
    #[error("{part}: {connector} keeps no order among records, and the pipeline asks for it")]
    Unordered {
        /// Whose.
        part: Part,
        /// Where it stands.
        place: Place,
        /// Name and version.
        connector: String,
    },
    /// The shortest wait is longer than the longest.
    #[error("{part}: `{key}` has a `min-delay` of {min:?} and a `max-delay` of {max:?}")]
    Delays {
        /// Whose.
        part: Part,
        /// Where it stands.
        place: Place,
        /// In which block.
        key: &'static str,
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// Several instances are to keep the order of each key, and there are no keys.
    #[error("{part}: `parallel` splits records by their keys, and this source gives them none")]
    Keyless {
        /// Whose.
        part: Part,
        /// Where it stands.
        place: Place,
    },
    /// A setting is wrong or missing.
    #[error("{part} ({connector}): {}{set_by}", described(problem))]
    Setting {
        /// Whose.
        part: Part,
        /// Where it stands, or where it should.
        set_by: SetBy,
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
    #[error("{part} ({connector}): {cause}")]
    Check {
        /// Whose.
        part: Part,
        /// Where it stands.
        place: Place,
        /// Name and version.
        connector: String,
        /// What happened.
        cause: OpenError,
    },
    /// A directory that is granted cannot be.
    #[error("{part}: {cause}")]
    Directory {
        /// Whose.
        part: Part,
        /// Where it is granted.
        place: Place,
        /// Why.
        cause: DirectoryError,
    },
    /// HTTP requests that are granted cannot be.
    #[error("{part}: {cause}")]
    Http {
        /// Whose.
        part: Part,
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
    #[error("{part}: {connector} asks for {what}{}, which is {how}", because(reason))]
    NotGranted {
        /// Whose.
        part: Part,
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

impl From<Mistakes> for Vec<PlanError> {
    fn from(mistakes: Mistakes) -> Self {
        mistakes.into_iter().map(PlanError::Config).collect()
    }
}

fn mistaken(connector: &str, meant: &[String]) -> String {
    match meant {
        [] => format!("names no setting of {connector}"),
        several => {
            let several: Vec<_> = several.iter().map(|name| format!("`{}`", printable(name, false))).collect();
            format!("could mean {} of {connector}", several.join(" and "))
        }
    }
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
    /// The connector has no action of that name, and those.
    pub(super) fn no_action<'a>(
        part: Part,
        place: Place,
        connector: String,
        action: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) -> Self {
        let near = nearest(action, known.clone()).map(str::to_owned);
        let (action, known) = (action.to_owned(), known.map(str::to_owned).collect());
        Self::NoAction { part, place, connector, action, near, known }
    }

    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint().map(str::to_owned),
            Self::Source { .. } => Some("correct the path; it counts from the pipeline file's own folder".into()),
            Self::CopyTo { .. } => {
                Some("name a new file, or one with dead letters, in a folder that is there; the path counts from the pipeline file's own folder".into())
            }
            Self::Component { cause, .. } => cause.hint(),
            Self::NotADestination { what: "a processor", .. } => Some("name it under `processors:`".into()),
            Self::NotAProcessor { what: "a destination", .. } => Some("name it under `destinations:`".into()),
            Self::NotADestination { .. } | Self::NotAProcessor { .. } => None,
            Self::NoFiles { .. } => Some("leave out the block `bulk`, or name a component that takes files".into()),
            Self::NotForFiles { .. } => Some("leave it out; the block `bulk` says how files are made and uploaded".into()),
            Self::NoAction { near: Some(near), .. } => Some(format!("did you mean `{near}`?")),
            Self::NoAction { known, .. } if known.is_empty() => Some("leave `routes` out: it has no actions to choose from".into()),
            Self::NoAction { known, .. } => Some(format!("there are {}; `wharf inspect` tells what each does", known.join(", "))),
            Self::Unreached { .. } => Some("put it last, or say `when` it takes a record".into()),
            Self::NoRoutes { .. } => Some("leave it out, or say in `routes` which records go to which action".into()),
            Self::ActionTwice { .. } => Some("say all of it in one place".into()),
            Self::AtOnce { key: "retry", .. } => Some("write it into the destination; it holds for all that is written as it comes".into()),
            Self::AtOnce { .. } => Some("leave it out, or give the action a `schedule`".into()),
            Self::Schedule { .. } => Some("say `bulk: { schedule: '@every 1h' }` in the destination, and tell the connector's author".into()),
            Self::Variable { near: Some(near), meant, .. } if meant.is_empty() => Some(format!("did you mean `{near}`?")),
            Self::Variable { meant, .. } if meant.is_empty() => {
                Some("`wharf inspect` lists the settings; an entry of a mapping is written in the file".into())
            }
            Self::Variable { .. } => Some("write the setting into the file, with `${NAME}` for its value, and unset the variable".into()),
            Self::Version { listed, .. } if listed.is_empty() => {
                Some("leave out `api-version`: this connector lists no versions".into())
            }
            Self::Version { named, listed, .. } => Some(match nearest(named, listed.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it lists {}", listed.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
            }),
            Self::Unordered { .. } => Some("say `ordered: false` in the destination where the order does not matter".into()),
            Self::Delays { .. } => Some("make `max-delay` at least as long as `min-delay`; what is left out has its default".into()),
            Self::Keyless { .. } => Some(
                "name the key in the source (`key`), or say `ordered: false` in the destination where the order does not matter"
                    .into(),
            ),
            Self::Template { cause, .. } => Some(cause.hint().into()),
            Self::Setting { problem, set_by: SetBy::Variable(name), .. } if problem.hint.is_none() => {
                Some(format!("correct the variable `{name}`, or unset it: then what the file says holds"))
            }
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

    /// Where in the pipeline file; none where it is not there that something is wrong.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Config(error) => error.place(),
            Self::Variable { .. } | Self::Setting { set_by: SetBy::Variable(_), .. } => None,
            Self::Source { place, .. }
            | Self::CopyTo { place, .. }
            | Self::Component { place, .. }
            | Self::NotADestination { place, .. }
            | Self::NoFiles { place, .. }
            | Self::NotForFiles { place, .. }
            | Self::NoAction { place, .. }
            | Self::Unreached { place, .. }
            | Self::NoRoutes { place, .. }
            | Self::Schedule { place, .. }
            | Self::ActionTwice { place, .. }
            | Self::AtOnce { place, .. }
            | Self::Version { place, .. }
            | Self::Unordered { place, .. }
            | Self::Delays { place, .. }
            | Self::Keyless { place, .. }
            | Self::NotAProcessor { place, .. }
            | Self::Setting { set_by: SetBy::File(place), .. }
            | Self::Template { place, .. }
            | Self::Check { place, .. }
            | Self::Directory { place, .. }
            | Self::Http { place, .. }
            | Self::Tokens { place, .. }
            | Self::NotGranted { place, .. } => Some(place),
        }
    }
}
