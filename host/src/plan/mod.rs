//! Config, components and grants, checked together, into a plan that can only be right.
//!
//! `wharf check` stops here, `wharf run` goes on with it. Nothing is opened at a far side and nothing is written.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

mod actions;
mod alone;
mod delivery;
mod error;
mod explain;
mod files;
mod format;
mod grants;
mod planner;
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
    files::{files, kept, unreadable, unwritable},
    planner::Planner,
};
use crate::{
    config::{self, At, Digest},
    connector::{Loader, Processor},
    pipeline::{Destination, Policy},
    source::Cut,
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
