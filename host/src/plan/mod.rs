//! Config, components and grants, checked together, into a plan that can only be right.
//!
//! `wharf check` stops here, `wharf run` goes on with it. Nothing is opened at a far side and nothing is written.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

mod actions;
mod alone;
mod delivery;
mod error;
mod explain;
mod format;
mod grants;
mod remedy;
mod routes;
mod tokens;
mod variables;
mod version;

pub use alone::{Alone, alone};
pub use error::{Part, PlanError, SetBy};
pub use explain::{ExplainedPart, explain};
pub use tokens::{ProviderError, Providers};

use self::{
    error::because,
    grants::{Means, Short},
};
use crate::{
    config::{self, At, Digest, TokenProvider},
    connector::{Connector, Loader, Opening, Processor, settings},
    pipeline::{Destination, Policy},
    record::{Condition, Looked, Operation, Pointer, Test},
    sandbox::{Broker, Directories, Kept, Scope},
    source::{Cut, Files, SourceError},
    store,
};

/// What is to run.
pub struct Plan {
    /// The folder for what must outlive the process.
    pub data_dir: PathBuf,
    /// The pipelines, with destinations that can be opened.
    pub pipelines: Vec<PlannedPipeline>,
    /// Who hands out access tokens, to all of them.
    pub tokens: Providers,
    /// How long they may finish what is in flight when they are asked to stop.
    pub shutdown_timeout: config::Interval,
    /// What an operator should know and what is not wrong.
    pub remarks: Vec<String>,
    /// How long destinations that take files are served.
    pub until: Until,
}

/// How long destinations that take files are served, and when they get some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Until {
    /// Until all is settled, rather than until told otherwise.
    pub settled: bool,
    /// They get files at once, whatever their schedules say.
    pub now: bool,
}

/// A pipeline whose parts are all there.
#[derive(Clone)]
pub struct PlannedPipeline {
    /// Its id.
    pub id: Arc<str>,
    /// Where its records come from.
    pub source: At<config::Source>,
    /// How they are cut.
    pub batch: Cut,
    /// Whether cuts are made again after a crash.
    pub exact_batches: bool,
    /// How many portions may be read and not settled.
    pub window: u32,
    /// What becomes of those that are given up.
    pub dead_letters: config::DeadLetters,
    /// How long a checkpoint may wait for more to be settled.
    pub checkpoint_interval: config::Interval,
    /// When it is started again where it ends in an error; `None` for never.
    pub restart: Option<Policy>,
    /// What changes them on their way to all destinations, in this order.
    pub processors: Vec<Processor>,
    /// Where they go; none where all are removed: nothing is read then.
    pub destinations: Vec<Destination>,
    /// Where each destination stands in the pipeline file.
    pub places: HashMap<Arc<str>, config::Place>,
    /// Destinations that are switched off: what is in their spools is given up.
    pub switched_off: Vec<Arc<str>>,
    /// Where they went: they are told that they are deleted.
    pub removed: Vec<Destination>,
    /// All that it is made of: what the file says of it, its components, and the files that its grants name. Of two plans, it is the same pipeline
    /// where these are equal.
    pub digest: Digest,
}

/// Makes a plan of a pipeline file, or tells all that is wrong with it.
pub async fn plan(file: config::File, loader: &Loader, run: &str) -> Result<Plan, Vec<PlanError>> {
    again(file, loader, run, None).await
}

/// The same beside a plan that runs: its token providers are shared where nothing changed in them, since of two that use up one refresh
/// token one is left with nothing.
pub async fn again(file: config::File, loader: &Loader, run: &str, before: Option<&Providers>) -> Result<Plan, Vec<PlanError>> {
    let (data_dir, shutdown_timeout) = (file.data_dir(), file.shutdown_timeout);
    let kept = kept(&file, loader);
    let mut errors = Vec::new();
    let tokens = tokens::providers(&file, before, loader.clock(), &mut errors);
    let (loaded, remarks, providers) = (HashMap::new(), Vec::new(), file.tokens.as_slice());
    let mut planner = Planner { loader, run, kept, tokens: tokens.broker.clone(), providers, loaded, errors, remarks };
    let mut pipelines = Vec::new();
    for At { value: pipeline, .. } in file.pipelines {
        let id: Arc<str> = pipeline.id.value.as_str().into();
        // Before they are used: what changes meanwhile is seen the next time.
        let files = files(&pipeline);
        let reads = pipeline.destinations.iter().any(|destination| destination.enabled && !destination.removed);
        planner.errors.extend(reads.then(|| unreadable(&id, &pipeline.source.value)).flatten());
        planner
            .errors
            .extend(pipeline.dead_letters.copy_to.as_ref().and_then(|copy| unwritable(&id, &pipeline.source.value, copy)));
        let mut before = Vec::new();
        let keyed = pipeline.source.value.is_keyed();
        let processors = planner.processors(&id, None, &pipeline.processors, &mut before).await;
        let (mut destinations, mut removed) = (Vec::new(), Vec::new());
        let is_on = |destination: &&At<config::Destination>| destination.enabled || destination.removed;
        let (on, off): (Vec<_>, Vec<_>) = pipeline.destinations.iter().partition(is_on);
        let switched_off = off.into_iter().map(|destination| destination.id.as_str().into()).collect();
        for destination in on {
            let own = Some(destination.id.as_str());
            let processors = planner.processors(&id, own, &destination.processors, &mut before).await;
            let planned = planner.destination(&pipeline, keyed, destination, &mut before).await;
            let planned = planned.map(|planned| Destination { processors, ..planned });
            if destination.removed { &mut removed } else { &mut destinations }.extend(planned);
        }
        let place = |of: &At<config::Destination>| (of.id.as_str().into(), of.place.clone());
        let places = pipeline.destinations.iter().map(place).collect();
        let exact_batches = pipeline.exact_batches();
        let digest = planner.digest(&pipeline, files, &tokens);
        let config::Pipeline { source, batch, window, dead_letters, checkpoint_interval, restart, .. } = pipeline;
        let batch = delivery::cut(&batch, &destinations);
        pipelines.push(PlannedPipeline {
            id,
            source,
            batch,
            exact_batches,
            window,
            dead_letters,
            checkpoint_interval,
            restart: restart.as_ref().and_then(|given| given.retry()).map(|given| Policy::RESTART.with(given)),
            processors,
            destinations,
            places,
            switched_off,
            removed,
            digest,
        });
    }
    let Planner { errors, remarks, .. } = planner;
    if errors.is_empty() {
        Ok(Plan { data_dir, pipelines, tokens, shutdown_timeout, remarks, until: Until::default() })
    } else {
        Err(errors)
    }
}

/// The grants of all destinations and processors.
fn all_grants(pipeline: &config::Pipeline) -> impl Iterator<Item = &config::Grants> {
    let destinations = pipeline.destinations.iter().map(|destination| &destination.grants);
    destinations.chain(pipeline.all_processors().map(|processor| &processor.grants))
}

/// What the files say that a pipeline's grants name.
fn files(pipeline: &config::Pipeline) -> Digest {
    let http = || all_grants(pipeline).flat_map(|grants| &grants.http);
    let values = http().flat_map(|grant| &grant.headers).filter_map(|header| match &header.value.value {
        config::HeaderFrom::File(path) => Some(path.as_path()),
        config::HeaderFrom::Text(_) | config::HeaderFrom::Token(_) => None,
    });
    tokens::contents(values.chain(http().filter_map(|grant| grant.roots.as_deref())))
}

/// Whether anything of a pipeline uses access tokens.
fn uses_tokens(pipeline: &config::Pipeline) -> bool {
    let from_token = |grants: &config::Grants| {
        let mut headers = grants.http.iter().flat_map(|grant| &grant.headers);
        headers.any(|header| matches!(header.value.value, config::HeaderFrom::Token(_)))
    };
    all_grants(pipeline).any(|grants| !grants.tokens.is_empty() || from_token(grants))
}

/// What can be known to be wrong with a source without reading it.
fn unreadable(pipeline: &Arc<str>, source: &config::Source) -> Option<PlanError> {
    let config::Source::File(config::FileSource { path, follow: false, .. }) = source else {
        // A file that is followed may come to be.
        return None;
    };
    let At { value: named, place } = path;
    let cause = match named {
        config::PathOrGlob::Glob(pattern) => match Files::are_there(pattern.clone()).err()? {
            SourceError::Io { cause, .. } => cause,
            SourceError::Format { reason, .. } | SourceError::Rewritten { reason, .. } => {
                std::io::Error::new(std::io::ErrorKind::NotFound, reason)
            }
        },
        // A pipe that is opened waits for whoever writes to it, so only what a file's own data tells is looked at.
        config::PathOrGlob::Path(file) => match std::fs::metadata(file) {
            Err(cause) => cause,
            Ok(found) if found.is_dir() => std::io::ErrorKind::IsADirectory.into(),
            Ok(found) if found.is_file() => std::fs::File::open(file).err()?,
            Ok(_) => {
                let why = "not a regular file; a pipe is read through standard input";
                std::io::Error::new(std::io::ErrorKind::InvalidInput, why)
            }
        },
    };
    Some(PlanError::Source { pipeline: pipeline.clone(), place: place.clone(), path: named.to_string(), cause })
}

/// What can be known to be wrong with the copy of dead letters without writing to it: that it would come to light with the first of them is too late.
fn unwritable(pipeline: &Arc<str>, source: &config::Source, copy: &At<PathBuf>) -> Option<PlanError> {
    let invalid = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidInput, why);
    let read = match source {
        config::Source::File(config::FileSource { path, .. }) => match &path.value {
            config::PathOrGlob::Path(file) => *file == copy.value,
            config::PathOrGlob::Glob(pattern) => {
                glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches_path(&copy.value))
            }
        },
        config::Source::Stdin(_) | config::Source::Generator(_) | config::Source::DeadLetters(_) => false,
    };
    let cause = match std::fs::symlink_metadata(&copy.value) {
        _ if read => invalid("the pipeline reads it"),
        Ok(found) if found.is_dir() => std::io::ErrorKind::IsADirectory.into(),
        // What was there before is not to be written into, and where a link leads may change.
        Ok(found) if found.is_file() => store::is_copy(&copy.value).err()?,
        Ok(_) => invalid("not a regular file"),
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
    let components = || file.pipelines.iter().flat_map(|pipeline| pipeline.components());
    kept.extend(components().map(|part| Kept { path: part.component.value.clone(), what: "a component", readable: true }));
    let copies = file.pipelines.iter().filter_map(|pipeline| pipeline.dead_letters.copy_to.clone());
    kept.extend(copies.map(|copy| Kept { path: copy.value, what: "the copy of dead letters", readable: false }));
    let key = file.key_file().and_then(|path| std::path::absolute(path).ok());
    kept.extend(key.map(|path| Kept { path, what: "the key of refresh tokens", readable: false }));
    let secrets = file.tokens.iter().flat_map(|provider| provider.files()).map(Path::to_owned);
    kept.extend(secrets.map(|path| Kept { path, what: "a token provider's secret", readable: false }));
    let headers = components().flat_map(|part| &part.grants.http).flat_map(|grant| &grant.headers);
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

/// A component of the pipeline file, and whom it works for.
struct Named<'a> {
    part: Part,
    of: config::Component<'a>,
    scope: Scope,
}

impl Planner<'_> {
    /// All that a pipeline is made of.
    fn digest(&self, pipeline: &config::Pipeline, files: Digest, tokens: &Providers) -> Digest {
        let destinations = pipeline.destinations.iter().map(|destination| &destination.component.value);
        let components = destinations.chain(pipeline.all_processors().map(|processor| &processor.component.value));
        let component = |digest: Digest, path: &PathBuf| {
            let of = self.loaded.get(path).map(|connector| connector.digest.as_str());
            digest.with(of.unwrap_or_default().as_bytes())
        };
        let digest = components.fold(pipeline.digest().and(files), component);
        if uses_tokens(pipeline) { digest.and(tokens.digest) } else { digest }
    }

    /// A destination that can be opened; `None` where something is wrong with it, which is noted. `before` has what was granted to the
    /// parts of the pipeline before it.
    async fn destination(
        &mut self,
        pipeline: &config::Pipeline,
        keyed: bool,
        given: &At<config::Destination>,
        before: &mut Vec<Directories>,
    ) -> Option<Destination> {
        let id = given.id.value.to_string();
        let whose = [("pipeline", pipeline.id.value.as_str()), ("destination", &id)];
        let part = Part::Destination(id.clone());
        let named = Named { part, of: given.into(), scope: Scope::new(whose) };
        let errors = self.errors.len();
        let format = format::format(&id, given, &mut self.errors);
        let connector = self.connector(&named).await?;
        // A processor may give records keys.
        let may_be_keyed = keyed || !pipeline.processors.is_empty() || !given.value.processors.is_empty();
        let version = version::chosen(given, &connector, &mut self.errors);
        self.remarks.extend(version::deprecated(&id, version.as_deref(), &connector, self.loader.clock().millis()));
        let actions = actions::planned(given, &connector, version.as_ref(), &mut self.errors);
        self.errors.extend(actions.as_ref().and_then(|actions| delivery::refused(given, &connector, actions, may_be_keyed)));
        let mut opening = self.opening(&named, &connector, before).await?;
        if self.errors.len() > errors {
            return None;
        }
        let actions = actions?;
        opening.scope = self.scope(&whose, delivery::is_ordered(given, &actions), &connector, version.as_deref());
        opening.scope = opening.scope.with([("actions", routes::in_use(&actions.routing, &connector))]);
        let delivery = delivery::planned(&given.value, format?, pipeline, (&connector, &actions), keyed);
        let (id, processors, actions) = (id.into(), Vec::new(), Arc::new(actions));
        Some(Destination { id, connector, opening, delivery, processors, actions })
    }

    /// Processors that can be opened, of the pipeline or of one destination; what is wrong with others is noted.
    async fn processors(
        &mut self,
        pipeline: &str,
        destination: Option<&str>,
        given: &[At<config::Processor>],
        before: &mut Vec<Directories>,
    ) -> Vec<Processor> {
        let mut processors = Vec::with_capacity(given.len());
        for processor in given {
            let handling = processor.handling();
            let id = processor.id.value.to_string();
            let whose: Vec<(&str, &str)> = [("pipeline", Some(pipeline)), ("destination", destination), ("processor", Some(&id))]
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect();
            let part = Part::Processor(id.clone());
            let scope = Scope::new(whose.iter().copied());
            let named = Named { part, of: processor.into(), scope };
            let place_of = |key: &str| processor.place_of(key).unwrap_or(&processor.place).clone();
            self.errors.extend(delivery::contradiction(&named.part, &place_of, &handling));
            let Some(connector) = self.connector(&named).await else { continue };
            let Some(mut opening) = self.opening(&named, &connector, before).await else { continue };
            opening.scope = self.scope(&whose, true, &connector, connector.descriptor.default_version.as_deref());
            let when = processor.when.as_ref().map(condition);
            processors.push(Processor { id: id.into(), connector, opening, when, handling });
        }
        processors
    }

    /// What a component is opened with, but for its scope.
    async fn opening(&mut self, named: &Named<'_>, connector: &Connector, before: &mut Vec<Directories>) -> Option<Opening> {
        let Named { part, of, scope } = named;
        let config::Component { settings, grants: given, limits, place, .. } = *of;
        let errors = self.errors.len();
        let limits = Arc::new(*limits);
        let title = connector.title();

        let (texts, set) = variables::settings(part, *of, connector, &mut self.errors);
        if self.errors.len() > errors {
            return None;
        }
        let secrets = settings::secrets(&connector.descriptor.parameters, &texts).map(config::Secret::new).collect();
        let means = Means { resolver: self.loader.resolver(), kept: &self.kept, tokens: &self.tokens };
        let grants = grants::granted(part, place, given, &means, secrets, &mut self.errors);

        let settings = match connector.check(&texts, &limits, scope).await {
            Ok(Ok(complete)) => complete,
            Ok(Err(problems)) => {
                for problem in problems {
                    let set_by = match set.get(&problem.parameter) {
                        Some(variable) => SetBy::Variable(variable.clone()),
                        None => SetBy::File(settings.place_of(&problem.parameter).unwrap_or(place).clone()),
                    };
                    let (part, connector) = (part.clone(), title.clone());
                    self.errors.push(PlanError::Setting { part, set_by, connector, problem });
                }
                return None;
            }
            Err(cause) => {
                let (part, place, connector) = (part.clone(), place.clone(), title);
                self.errors.push(PlanError::Check { part, place, connector, cause });
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
                Some(Err(what)) => self
                    .remarks
                    .push(format!("{part}: {title} asks for {what}{}, which this host does not grant", because(&request.reason))),
                // What is wrong with a grant is told first.
                Some(Ok(_)) if self.errors.len() > errors => {}
                Some(Ok(Short { what, how, remedy })) => {
                    let (part, connector) = (part.clone(), title.clone());
                    let (place, reason) = (place.clone(), request.reason.clone());
                    lacking.push(PlanError::NotGranted { part, place, connector, what, reason, how, remedy: None });
                    remedies.push(remedy);
                }
            }
        }
        if let Some(PlanError::NotGranted { remedy, .. }) = lacking.last_mut() {
            // Once for all: lines that are pasted twice are keys that stand twice.
            *remedy = Some(remedy::told(&remedies, part.noun(), given, self.providers));
        }
        self.errors.extend(lacking);
        if self.errors.len() > errors {
            return None;
        }
        let opening = Opening { settings, grants, limits, scope: Scope::default(), usage: Arc::default(), lifecycle: None };
        self.errors.extend(grants::beside(part, place, &opening, given, before));
        before.push(opening.grants.directories.clone());
        Some(opening)
    }

    /// Whom instances work for: pipeline, destination and processor by name, and all else that `context` answers.
    fn scope(&self, whose: &[(&str, &str)], ordered: bool, connector: &Connector, version: Option<&str>) -> Scope {
        let title = connector.title();
        let mut context = whose.to_vec();
        context.extend([
            ("connector", title.as_str()),
            ("instance", "0"),
            ("instances", "1"),
            ("run", self.run),
            ("actions", ""),
            ("ordered", if ordered { "true" } else { "false" }),
            ("host-version", env!("CARGO_PKG_VERSION")),
        ]);
        context.extend(version.map(|version| ("api-version", version)));
        Scope::new(context)
    }

    /// The connector in a file, which is asked who it is once, for the part that names it first and under its limits.
    async fn connector(&mut self, named: &Named<'_>) -> Option<Connector> {
        let Named { part, of: config::Component { component: At { value: path, place }, limits, .. }, scope } = named;
        if !self.loaded.contains_key(path) {
            match self.loader.load_within(path, Arc::new(**limits), scope).await {
                Ok(connector) => {
                    self.loaded.insert(path.clone(), connector);
                }
                Err(cause) => {
                    let (part, place) = (part.clone(), place.clone());
                    self.errors.push(PlanError::Component { part, place, cause });
                    return None;
                }
            }
        }
        let connector = self.loaded.get(path)?.clone();
        let offers = |interface: &str| connector.outline.offers(interface);
        let what = match () {
            () if offers("destination") => "a destination",
            () if offers("bulk") => "a bulk destination",
            () if offers("processor") => "a processor",
            () => "no destination",
        };
        let (place, title) = (place.clone(), connector.title());
        let error = match part {
            Part::Destination(_) if !offers("destination") && !offers("bulk") => {
                PlanError::NotADestination { part: part.clone(), place, connector: title, what }
            }
            Part::Processor(_) if !offers("processor") => {
                PlanError::NotAProcessor { part: part.clone(), place, connector: title, what }
            }
            _ => return Some(connector),
        };
        self.errors.push(error);
        None
    }
}

/// A condition as the host asks it.
fn condition(when: &config::When) -> Condition {
    let test = |is: &config::Is| match is {
        config::Is::There(exists) => Test::Exists(*exists),
        config::Is::OneOf(texts) => Test::OneOf(texts.clone()),
    };
    let each = |conditions: &[config::When]| conditions.iter().map(condition).collect();
    match when {
        config::When::All(conditions) => Condition::All(each(conditions)),
        config::When::Any(conditions) => Condition::Any(each(conditions)),
        config::When::Not(inner) => Condition::Not(Box::new(condition(inner))),
        config::When::Operation(operation) => Condition::Operation(match operation {
            config::Operation::Create => Operation::Create,
            config::Operation::Update => Operation::Update,
            config::Operation::Delete => Operation::Delete,
            config::Operation::Snapshot => Operation::Snapshot,
        }),
        config::When::Metadata(name, is) => Condition::Of(Looked::Metadata(name.as_str().into()), test(is)),
        // It was held against the rules of pointers where it was read.
        config::When::Pointer(text, is) => match text.parse::<Pointer>() {
            Ok(pointer) => Condition::Of(Looked::Pointer(pointer), test(is)),
            Err(_) => Condition::Any(Vec::new()),
        },
    }
}

/// A request's pattern with `{parameter}` replaced by what that is set to.
fn filled_in(pattern: &str, settings: &[(String, String)]) -> String {
    settings.iter().fold(pattern.to_owned(), |pattern, (name, value)| pattern.replace(&format!("{{{name}}}"), value))
}
