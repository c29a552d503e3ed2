//! The parts of a pipeline, each with its component, held against what that says of itself.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use super::{
    Part, PlanError, Providers, SetBy, actions, delivery,
    error::because,
    files::all_grants,
    format,
    grants::{self, Means, Short},
    remedy,
    routes::{self, condition},
    variables, version,
};
use crate::{
    config::{self, At, Digest, TokenProvider},
    connector::{Connector, Loader, Opening, Processor, settings},
    pipeline::Destination,
    sandbox::{Broker, Directories, Kept, Scope},
};

/// Plans part after part, and notes what is wrong with each.
pub(super) struct Planner<'a> {
    pub loader: &'a Loader,
    pub run: &'a str,
    /// The host's own.
    pub kept: Vec<Kept>,
    pub tokens: Arc<Broker>,
    pub providers: &'a [At<TokenProvider>],
    /// Several destinations may be of one component.
    pub loaded: HashMap<PathBuf, Connector>,
    pub errors: Vec<PlanError>,
    pub remarks: Vec<String>,
}

/// A component of the pipeline file, and whom it works for.
pub(super) struct Named<'a> {
    pub part: Part,
    pub of: config::Component<'a>,
    pub scope: Scope,
}

impl Planner<'_> {
    /// All that a pipeline is made of.
    pub fn digest(&self, pipeline: &config::Pipeline, files: Digest, tokens: &Providers) -> Digest {
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
    pub async fn destination(
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
    pub async fn processors(
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
    pub async fn opening(&mut self, named: &Named<'_>, connector: &Connector, before: &mut Vec<Directories>) -> Option<Opening> {
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
    pub fn scope(&self, whose: &[(&str, &str)], ordered: bool, connector: &Connector, version: Option<&str>) -> Scope {
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

/// Whether anything of a pipeline uses access tokens.
fn uses_tokens(pipeline: &config::Pipeline) -> bool {
    let from_token = |grants: &config::Grants| {
        let mut headers = grants.http.iter().flat_map(|grant| &grant.headers);
        headers.any(|header| matches!(header.value.value, config::HeaderFrom::Token(_)))
    };
    all_grants(pipeline).any(|grants| !grants.tokens.is_empty() || from_token(grants))
}

/// A request's pattern with `{parameter}` replaced by what that is set to.
fn filled_in(pattern: &str, settings: &[(String, String)]) -> String {
    settings.iter().fold(pattern.to_owned(), |pattern, (name, value)| pattern.replace(&format!("{{{name}}}"), value))
}
