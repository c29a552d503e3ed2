//! What a pipeline is made with, and a pipeline that is made.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use super::{StartError, feed::Feeds, source::source, uploads::Spools};
use crate::{
    clock::Clock,
    config,
    connector::{Lifecycle, Opening},
    pipeline::{self, Destination, Gate, Outlet, Pipeline, Progress, Step},
    plan::{PlannedPipeline, Until},
    source::Source,
    store::{Kept, SqliteState, SqliteStore, Store, StoredCut},
};
/// What all pipelines of a host work with.
pub(super) struct Means {
    pub store: SqliteStore,
    /// What connectors keep.
    pub state: SqliteState,
    /// Where instances' private directories are.
    pub scratch: PathBuf,
    /// Where the spools are.
    pub spools: PathBuf,
    /// Where it is noted what destinations were told of their lives.
    pub lifecycle: PathBuf,
    pub clock: Clock,
    /// The name of this run.
    pub run: String,
    /// Who reads whose dead letters.
    pub feeds: Feeds,
    /// How long destinations that take files are served.
    pub until: Until,
}

/// The gates of a pipeline and its spools, which stay the same from start to start.
#[derive(Clone, Default)]
pub(super) struct Gates {
    /// Shut, nothing is read.
    pub entrance: Gate,
    pub outlets: HashMap<Arc<str>, Gate>,
    pub spools: Spools,
}

/// A pipeline that is ready to run, and its counters.
pub(super) struct Prepared {
    pub pipeline: Pipeline,
    pub progress: Arc<Progress>,
}

impl Gates {
    /// Those of a pipeline. Those that the pipeline before it by this name had stay as a person left them.
    pub fn of(planned: &PlannedPipeline, before: Option<&Gates>) -> Self {
        let before = before.cloned().unwrap_or_default();
        let held = before.entrance.state().pause.filter(|pause| pause.by_hand);
        let gate = |destination: &Destination| {
            let gate = before.outlets.get(&destination.id).cloned().unwrap_or_default();
            gate.hold(held.clone());
            (destination.id.clone(), gate)
        };
        let outlets = planned.destinations.iter().map(gate).collect();
        Self { entrance: before.entrance, outlets, spools: Spools::default() }
    }

    /// The same with the spools of a pipeline. `again` tells that what they take was given up once.
    pub async fn with_spools(self, means: &Means, planned: &PlannedPipeline, again: bool) -> Result<Self, StartError> {
        let gate = |id: &str| self.outlets.get(id).cloned().unwrap_or_default();
        let spools = Spools::open(means, planned, gate, again).await?;
        Ok(Self { spools, ..self })
    }
}

impl Means {
    /// Makes a pipeline, standing where its checkpoints say.
    pub async fn prepare(
        &self,
        planned: &PlannedPipeline,
        kept: &Arc<Kept<SqliteStore>>,
        gates: &Gates,
    ) -> Result<Prepared, StartError> {
        let checkpoints = kept.checkpoints(&planned.id).await?;
        let read_before = checkpoints.iter().map(|checkpoint| (checkpoint.partition.clone(), checkpoint.read_to)).collect();
        let checkpoints = checkpoints.into_iter().map(|checkpoint| (checkpoint.partition, checkpoint.next)).collect();
        let exact_batches = if planned.exact_batches { Some(kept.cuts(&planned.id).await?) } else { None };
        let cuts = pipeline::ends(exact_batches.as_deref().unwrap_or_default());
        let source = source(planned, (checkpoints, cuts), self)?;
        Ok(self.assemble(planned, source, read_before, exact_batches, gates))
    }

    /// The same with a source that is there.
    pub fn assemble(
        &self,
        planned: &PlannedPipeline,
        source: Box<dyn Source>,
        read_before: HashMap<String, u64>,
        exact_batches: Option<Vec<StoredCut>>,
        gates: &Gates,
    ) -> Prepared {
        let PlannedPipeline { id, mut processors, mut destinations, window, dead_letters, checkpoint_interval, .. } =
            planned.clone();
        let keep = |name: &str, opening: &mut Opening| self.keep(&id, name, opening);
        let pipeline = &id;
        for Destination { id, opening, processors, .. } in &mut destinations {
            keep(id, opening);
            opening.lifecycle = Some(self.lifecycle(pipeline, id));
            processors.iter_mut().for_each(|processor| keep(&processor.id, &mut processor.opening));
        }
        if destinations.is_empty() {
            // Nothing comes to them.
            processors.clear();
        }
        processors.iter_mut().for_each(|processor| keep(&processor.id, &mut processor.opening));
        let outlet = |destination: Destination| {
            // Whether what is behind a spool takes anything is not the pipeline's concern.
            if let Some(entrance) = gates.spools.entrance(&destination) {
                return entrance;
            }
            let mut outlet = gates.spools.beside(&destination).unwrap_or_else(|| Outlet::from(destination));
            if let Some(gate) = gates.outlets.get(&outlet.id) {
                gate.begin();
                outlet.gate = gate.clone();
            }
            outlet
        };
        gates.entrance.begin();
        let outlets = destinations.into_iter().map(outlet).collect();
        let processors = processors.into_iter().map(Step::from).collect();
        let (checkpoint_interval, tolerance) = (checkpoint_interval.into(), (dead_letters.window, dead_letters.tolerance));
        let pipeline =
            Pipeline { id, source, processors, outlets, window, checkpoint_interval, tolerance, read_before, exact_batches };
        let progress = pipeline.progress();
        Prepared { pipeline, progress }
    }

    /// Gives a component its state and its private directory.
    pub fn keep(&self, pipeline: &str, name: &str, opening: &mut Opening) {
        if let Some(granted) = &mut opening.grants.state {
            granted.keep_in(&self.state, pipeline, name);
        }
        opening.grants.directories.scratch_in(&self.scratch);
    }

    /// Where it is noted what a destination was told of its life.
    pub fn lifecycle(&self, pipeline: &str, destination: &str) -> Lifecycle {
        Lifecycle::new(self.lifecycle.join(pipeline).join(format!("{destination}.json")))
    }

    /// The store as a pipeline sees it, within what holds for its dead letters.
    pub fn kept(&self, planned: &PlannedPipeline) -> Arc<Kept<SqliteStore>> {
        let config::DeadLetters { max_bytes, max_age, copy_to, .. } = &planned.dead_letters;
        let copy_to = copy_to.as_ref().map(|copy| copy.value.clone());
        let max_age = max_age.map(Into::into);
        let kept = Kept::new(self.store.clone(), max_bytes.bytes(), max_age, copy_to, self.clock.clone());
        Arc::new(kept.telling(self.feeds.of(&planned.id)))
    }
}
