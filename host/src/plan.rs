//! Config, components and grants, checked together, into a plan that can only be right.
//!
//! `wharf check` stops here, `wharf run` goes on with it. Nothing is opened at a far side and nothing is written.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use thiserror::Error;

use crate::{
    config::{self, Access, At, ConfigError, Limits, Place},
    connector::{
        Connector, LoadError, Loader, OpenError, Opening,
        descriptor::Request,
        settings::{Given, Problem},
    },
    pipeline::Destination,
    sandbox::{Directories, DirectoryError, Scope},
};

/// What is to run.
pub struct Plan {
    /// The folder for what must outlive the process.
    pub data_dir: PathBuf,
    /// The pipelines, with destinations that can be opened.
    pub pipelines: Vec<PlannedPipeline>,
    /// What an operator should know and what is not wrong.
    pub remarks: Vec<String>,
}

/// A pipeline whose parts are all there.
pub struct PlannedPipeline {
    /// Its id.
    pub id: Arc<str>,
    /// Where its records come from.
    pub source: config::Source,
    /// How they are cut.
    pub batch: config::Batch,
    /// How many portions may be read and not settled.
    pub window: u32,
    /// Where they go.
    pub destinations: Vec<Destination>,
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
    /// A directory that the connector asks for is not granted.
    #[error(
        "destination {destination}: {connector} asks for the directory {guest}{}, which is {}",
        because(reason),
        if *read_only { "granted for reading alone" } else { "not granted" }
    )]
    NotGranted {
        /// Whose.
        destination: String,
        /// Where it stands.
        place: Place,
        /// Name and version.
        connector: String,
        /// The guest's path.
        guest: String,
        /// Why the connector asks for it.
        reason: String,
        /// Whether a grant is there that lets it read only.
        read_only: bool,
    },
}

fn described(problem: &Problem) -> String {
    match problem.parameter.as_str() {
        "" => problem.message.clone(),
        parameter => format!("`{parameter}` {}", problem.message),
    }
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

impl PlanError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint().map(str::to_owned),
            Self::Source { .. } => Some("correct the path; it counts from the pipeline file's own folder".into()),
            Self::Component { cause, .. } => cause.hint(),
            Self::NotAWriteDestination { .. } => None,
            Self::Setting { problem, .. } => problem.hint.clone(),
            Self::Check { .. } => Some("ask the connector's author; `check` has to work without any grant".into()),
            Self::Directory { cause, .. } => Some(cause.hint()),
            Self::NotGranted { guest, read_only: true, .. } => Some(format!("add `access: read-write` to the grant of {guest}")),
            Self::NotGranted { guest, .. } => {
                Some(format!("add under `grants:`\n  directories:\n    - {{ host: PATH, guest: {guest}, access: read-write }}"))
            }
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
            | Self::Component { place, .. }
            | Self::NotAWriteDestination { place, .. }
            | Self::Setting { place, .. }
            | Self::Check { place, .. }
            | Self::Directory { place, .. }
            | Self::NotGranted { place, .. } => Some(place),
        }
    }
}

/// Makes a plan of a pipeline file, or tells all that is wrong with it.
pub async fn plan(file: config::File, loader: &Loader, run: &str) -> Result<Plan, Vec<PlanError>> {
    let data_dir = file.data_dir();
    let mut planner = Planner { loader, run, loaded: HashMap::new(), errors: Vec::new(), remarks: Vec::new() };
    let mut pipelines = Vec::new();
    for At { value: pipeline, .. } in file.pipelines {
        let id: Arc<str> = pipeline.id.value.as_str().into();
        planner.errors.extend(unreadable(&id, &pipeline.source.value));
        let mut destinations = Vec::new();
        for destination in &pipeline.destinations {
            destinations.extend(planner.destination(&id, destination).await);
        }
        let config::Pipeline { source, batch, window, .. } = pipeline;
        pipelines.push(PlannedPipeline { id, source: source.value, batch, window, destinations });
    }
    let Planner { errors, remarks, .. } = planner;
    if errors.is_empty() { Ok(Plan { data_dir, pipelines, remarks }) } else { Err(errors) }
}

/// What can be known to be wrong with a source without reading it.
fn unreadable(pipeline: &Arc<str>, source: &config::Source) -> Option<PlanError> {
    let config::Source::File(config::FileSource { path, follow: false, .. }) = source else {
        // A file that is followed may come to be.
        return None;
    };
    let At { value: config::PathOrGlob::Path(file), place } = path else {
        return None;
    };
    // A pipe that is opened waits for whoever writes to it, so only what a file's own data tells is looked at.
    let cause = match std::fs::metadata(file) {
        Err(cause) => cause,
        Ok(found) if found.is_dir() => std::io::ErrorKind::IsADirectory.into(),
        Ok(found) if found.is_file() => std::fs::File::open(file).err()?,
        Ok(_) => return None,
    };
    Some(PlanError::Source { pipeline: pipeline.clone(), place: place.clone(), path: file.display().to_string(), cause })
}

struct Planner<'a> {
    loader: &'a Loader,
    run: &'a str,
    /// Several destinations may be of one component.
    loaded: HashMap<PathBuf, Connector>,
    errors: Vec<PlanError>,
    remarks: Vec<String>,
}

impl Planner<'_> {
    /// A destination that can be opened; `None` where something is wrong with it, which is noted.
    async fn destination(&mut self, pipeline: &str, given: &At<config::Destination>) -> Option<Destination> {
        let At { value: config::Destination { id, component, settings, grants, limits }, place } = given;
        let errors = self.errors.len();
        let limits = Arc::new(*limits);
        let connector = self.connector(id.value.as_str(), component, &limits).await?;
        let title = connector.title();
        let destination = id.value.to_string();

        let mut directories = Directories::default();
        match Directories::find(grants.directories.iter().map(|grant| &grant.value)) {
            Ok(found) => directories = found,
            Err((index, cause)) => {
                let place = grants.directories.get(index).map_or(place, |grant| &grant.place).clone();
                self.errors.push(PlanError::Directory { destination: destination.clone(), place, cause });
            }
        }

        let texts: BTreeMap<String, Given> = settings
            .iter()
            .map(|(name, setting)| (name.to_owned(), Given { value: setting.value().into(), written: setting.written().into() }))
            .collect();
        let settings = match connector.check(&texts, &limits).await {
            Ok(Ok(complete)) => complete,
            Ok(Err(problems)) => {
                for problem in problems {
                    let place = settings.get(&problem.parameter).map_or(place, |setting| setting.name_place()).clone();
                    let (destination, connector) = (destination.clone(), title.clone());
                    self.errors.push(PlanError::Setting { destination, place, connector, problem });
                }
                return None;
            }
            Err(cause) => {
                let (place, connector) = (place.clone(), title);
                self.errors.push(PlanError::Check { destination, place, connector, cause });
                return None;
            }
        };

        for Request { capability, pattern, reason } in &connector.descriptor.requests {
            let pattern = filled_in(pattern, &settings);
            if capability != "directory" {
                self.remarks.push(format!(
                    "destination {destination}: {title} asks for {capability} {pattern}{}, which this host does not grant",
                    because(reason)
                ));
            } else if errors == self.errors.len() && !directories.allow(&pattern, Access::ReadWrite) {
                let read_only = directories.allow(&pattern, Access::ReadOnly);
                self.errors.push(PlanError::NotGranted {
                    destination: destination.clone(),
                    place: place.clone(),
                    connector: title.clone(),
                    guest: pattern,
                    reason: reason.clone(),
                    read_only,
                });
            }
        }
        if self.errors.len() > errors {
            return None;
        }
        // The far side's version that the connector speaks where nothing else is asked of it.
        let version = connector.descriptor.default_version.as_deref();
        let mut context = vec![
            ("pipeline", pipeline),
            ("destination", &destination),
            ("connector", &title),
            ("instance", "0"),
            ("instances", "1"),
            ("run", self.run),
            ("actions", ""),
            ("ordered", "true"),
            ("host-version", env!("CARGO_PKG_VERSION")),
        ];
        context.extend(version.map(|version| ("api-version", version)));
        let scope = Scope::new(context);
        Some(Destination { id: destination.into(), connector, opening: Opening { settings, directories, limits, scope } })
    }

    /// The connector in a file, which is asked who it is once, under the limits of the destination that names it first.
    async fn connector(&mut self, destination: &str, component: &At<PathBuf>, limits: &Arc<Limits>) -> Option<Connector> {
        let At { value: path, place } = component;
        if !self.loaded.contains_key(path) {
            match self.loader.load_within(path, limits.clone()).await {
                Ok(connector) => {
                    self.loaded.insert(path.clone(), connector);
                }
                Err(cause) => {
                    let (destination, place) = (destination.to_owned(), place.clone());
                    self.errors.push(PlanError::Component { destination, place, cause });
                    return None;
                }
            }
        }
        let connector = self.loaded.get(path)?.clone();
        if !connector.outline.offers("destination") {
            let what = match () {
                () if connector.outline.offers("bulk") => "a bulk destination",
                () if connector.outline.offers("processor") => "a processor",
                () => "no destination",
            };
            self.errors.push(PlanError::NotAWriteDestination {
                destination: destination.to_owned(),
                place: place.clone(),
                connector: connector.title(),
                what,
            });
            return None;
        }
        Some(connector)
    }
}

/// A request's pattern with `{parameter}` replaced by what that is set to.
fn filled_in(pattern: &str, settings: &[(String, String)]) -> String {
    settings.iter().fold(pattern.to_owned(), |pattern, (name, value)| pattern.replace(&format!("{{{name}}}"), value))
}
