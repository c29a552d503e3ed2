//! Config, components and grants, checked together, into a plan that can only be right.
//!
//! `wharf check` stops here, `wharf run` goes on with it. Nothing is opened at a far side and nothing is written.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

mod delivery;
mod error;
mod format;
mod grants;
mod remedy;
mod tokens;

pub use error::PlanError;
pub use tokens::ProviderError;

use self::{
    error::because,
    grants::{Means, Short},
};
use crate::{
    config::{self, At, Limits, TokenProvider},
    connector::{
        Connector, Loader, Opening,
        settings::{self, Given},
    },
    pipeline::Destination,
    sandbox::{Broker, Kept, Scope},
};

/// What is to run.
pub struct Plan {
    /// The folder for what must outlive the process.
    pub data_dir: PathBuf,
    /// The pipelines, with destinations that can be opened.
    pub pipelines: Vec<PlannedPipeline>,
    /// Who hands out access tokens, to all of them.
    pub tokens: Arc<Broker>,
    /// What an operator should know and what is not wrong.
    pub remarks: Vec<String>,
}

/// A pipeline whose parts are all there.
pub struct PlannedPipeline {
    /// Its id.
    pub id: Arc<str>,
    /// Where its records come from.
    pub source: At<config::Source>,
    /// How they are cut.
    pub batch: config::Batch,
    /// How many portions may be read and not settled.
    pub window: u32,
    /// What becomes of those that are given up.
    pub dead_letters: config::DeadLetters,
    /// How long a checkpoint may wait for more to be settled.
    pub checkpoint_interval: config::Interval,
    /// Where they go.
    pub destinations: Vec<Destination>,
}

/// Makes a plan of a pipeline file, or tells all that is wrong with it.
pub async fn plan(file: config::File, loader: &Loader, run: &str) -> Result<Plan, Vec<PlanError>> {
    let data_dir = file.data_dir();
    let kept = kept(&file, loader);
    let mut errors = Vec::new();
    let tokens = tokens::broker(&file.tokens, file.key_file(), loader.clock(), &mut errors);
    let (loaded, remarks, providers) = (HashMap::new(), Vec::new(), file.tokens.as_slice());
    let mut planner = Planner { loader, run, kept, tokens: tokens.clone(), providers, loaded, errors, remarks };
    let mut pipelines = Vec::new();
    for At { value: pipeline, .. } in file.pipelines {
        let id: Arc<str> = pipeline.id.value.as_str().into();
        planner.errors.extend(unreadable(&id, &pipeline.source.value));
        planner.errors.extend(pipeline.dead_letters.copy_to.as_ref().and_then(|copy| unwritable(&id, copy)));
        let mut destinations: Vec<Destination> = Vec::new();
        let keyed = pipeline.source.value.is_keyed();
        for destination in &pipeline.destinations {
            if let Some(planned) = planner.destination(&pipeline, keyed, destination).await {
                planner.errors.extend(grants::beside(&planned, destination, &destinations));
                destinations.push(planned);
            }
        }
        let config::Pipeline { source, batch, window, dead_letters, checkpoint_interval, .. } = pipeline;
        pipelines.push(PlannedPipeline { id, source, batch, window, dead_letters, checkpoint_interval, destinations });
    }
    let Planner { errors, remarks, .. } = planner;
    if errors.is_empty() { Ok(Plan { data_dir, pipelines, tokens, remarks }) } else { Err(errors) }
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

/// What can be known to be wrong with the copy of dead letters without writing to it: that it would come to light with the first of them is too late.
fn unwritable(pipeline: &Arc<str>, copy: &At<PathBuf>) -> Option<PlanError> {
    let cause = match std::fs::metadata(&copy.value) {
        Ok(found) if found.is_dir() => std::io::ErrorKind::IsADirectory.into(),
        Ok(found) if found.is_file() => return None,
        Ok(_) => std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file"),
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => cause,
        // It is made with the first dead letter; its folder is not.
        Err(_) => std::fs::metadata(copy.value.parent()?).err()?,
    };
    Some(PlanError::CopyTo {
        pipeline: pipeline.clone(),
        place: copy.place.clone(),
        path: copy.value.display().to_string(),
        cause,
    })
}

/// What no component is granted: the store, compiled code, and what says what is granted.
fn kept(file: &config::File, loader: &Loader) -> Vec<Kept> {
    let mut kept = vec![
        Kept { path: file.data_dir(), what: "the data directory", readable: false },
        Kept { path: file.folder().to_owned(), what: "the folder of the pipeline file", readable: true },
    ];
    let compiled = loader.compiled().map(Path::to_owned);
    kept.extend(compiled.map(|path| Kept { path, what: "the folder of compiled components", readable: false }));
    let destinations = file.pipelines.iter().flat_map(|pipeline| &pipeline.destinations);
    let components = destinations.map(|destination| destination.component.value.clone());
    kept.extend(components.map(|path| Kept { path, what: "a component", readable: true }));
    let copies = file.pipelines.iter().filter_map(|pipeline| pipeline.dead_letters.copy_to.clone());
    kept.extend(copies.map(|copy| Kept { path: copy.value, what: "the copy of dead letters", readable: false }));
    let key = file.key_file().and_then(|path| std::path::absolute(path).ok());
    kept.extend(key.map(|path| Kept { path, what: "the key of refresh tokens", readable: false }));
    let secrets = file.tokens.iter().flat_map(|provider| provider.files()).map(Path::to_owned);
    kept.extend(secrets.map(|path| Kept { path, what: "a token provider's secret", readable: false }));
    let destinations = file.pipelines.iter().flat_map(|pipeline| &pipeline.destinations);
    let headers = destinations.flat_map(|destination| &destination.grants.http).flat_map(|grant| &grant.headers);
    let values = headers.filter_map(|header| match &header.value.value {
        config::HeaderFrom::File(path) => Some(path.clone()),
        config::HeaderFrom::Text(_) | config::HeaderFrom::Token(_) => None,
    });
    kept.extend(values.map(|path| Kept { path, what: "the value of an added header", readable: false }));
    kept
}

struct Planner<'a> {
    loader: &'a Loader,
    run: &'a str,
    /// The host's own.
    kept: Vec<Kept>,
    tokens: Arc<Broker>,
    providers: &'a [At<TokenProvider>],
    /// Several destinations may be of one component.
    loaded: HashMap<PathBuf, Connector>,
    errors: Vec<PlanError>,
    remarks: Vec<String>,
}

impl Planner<'_> {
    /// A destination that can be opened; `None` where something is wrong with it, which is noted.
    async fn destination(
        &mut self,
        pipeline: &config::Pipeline,
        keyed: bool,
        given: &At<config::Destination>,
    ) -> Option<Destination> {
        let At { value: config::Destination { id, component, settings, grants, limits, .. }, place } = given;
        let errors = self.errors.len();
        let limits = Arc::new(*limits);
        let destination = id.value.to_string();
        let format = format::format(&destination, given, &mut self.errors);
        let connector = self.connector(pipeline.id.value.as_str(), &destination, component, &limits).await?;
        let title = connector.title();
        let scope = self.scope(pipeline.id.value.as_str(), given, &connector);
        self.errors.extend(delivery::refused(given, &connector, keyed));

        let texts: BTreeMap<String, Given> = settings
            .iter()
            .map(|(name, setting)| (name.to_owned(), Given { value: setting.value().into(), written: setting.written().into() }))
            .collect();
        let secrets = settings::secrets(&connector.descriptor.parameters, &texts).map(config::Secret::new).collect();
        let means = Means { resolver: self.loader.resolver(), kept: &self.kept, tokens: &self.tokens };
        let grants = grants::granted(&destination, place, grants, &means, secrets, &mut self.errors);

        let settings = match connector.check(&texts, &limits, &scope).await {
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

        let (mut lacking, mut remedies) = (Vec::new(), Vec::new());
        for request in &connector.descriptor.requests {
            let pattern = filled_in(&request.pattern, &settings);
            // What is not set is not asked for.
            if connector.descriptor.parameters.iter().any(|parameter| pattern.contains(&format!("{{{}}}", parameter.name))) {
                continue;
            }
            match grants::short(request, &pattern, &grants) {
                None => {}
                Some(Err(what)) => self.remarks.push(format!(
                    "destination {destination}: {title} asks for {what}{}, which this host does not grant",
                    because(&request.reason)
                )),
                // What is wrong with a grant is told first.
                Some(Ok(_)) if self.errors.len() > errors => {}
                Some(Ok(Short { what, how, remedy })) => {
                    let (destination, connector) = (destination.clone(), title.clone());
                    let (place, reason) = (place.clone(), request.reason.clone());
                    lacking.push(PlanError::NotGranted { destination, place, connector, what, reason, how, remedy: None });
                    remedies.push(remedy);
                }
            }
        }
        if let Some(PlanError::NotGranted { remedy, .. }) = lacking.last_mut() {
            // Once for all: lines that are pasted twice are keys that stand twice.
            *remedy = Some(remedy::told(&remedies, &given.value.grants, self.providers));
        }
        self.errors.extend(lacking);
        if self.errors.len() > errors {
            return None;
        }
        let delivery = delivery::planned(&given.value, format?, pipeline, &connector);
        Some(Destination {
            id: destination.into(),
            connector,
            opening: Opening { settings, grants, limits, scope, usage: Arc::default() },
            delivery,
        })
    }

    /// Whom a destination's instances work for.
    fn scope(&self, pipeline: &str, given: &At<config::Destination>, connector: &Connector) -> Scope {
        // The far side's version that the connector speaks where nothing else is asked of it.
        let version = connector.descriptor.default_version.as_deref();
        let title = connector.title();
        let mut context = vec![
            ("pipeline", pipeline),
            ("destination", given.value.id.value.as_str()),
            ("connector", &title),
            ("instance", "0"),
            ("instances", "1"),
            ("run", self.run),
            ("actions", ""),
            ("ordered", if given.value.ordered { "true" } else { "false" }),
            ("host-version", env!("CARGO_PKG_VERSION")),
        ];
        context.extend(version.map(|version| ("api-version", version)));
        Scope::new(context)
    }

    /// The connector in a file, which is asked who it is once, for the destination that names it first and under its limits.
    async fn connector(
        &mut self,
        pipeline: &str,
        destination: &str,
        component: &At<PathBuf>,
        limits: &Arc<Limits>,
    ) -> Option<Connector> {
        let At { value: path, place } = component;
        if !self.loaded.contains_key(path) {
            let scope = Scope::new([("pipeline", pipeline), ("destination", destination)]);
            match self.loader.load_within(path, limits.clone(), &scope).await {
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
