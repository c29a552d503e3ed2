//! Starts pipelines: the data directory, the store, and what each pipeline is made of.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::watch;

use super::{
    Running, StartError, Started, Used,
    source::{recognised, source},
};
use crate::{
    clock::Clock,
    config,
    connector::Opening,
    operate::sources,
    pipeline::{self, Destination, Outlet, Pipeline, Stopping, Surroundings},
    plan::{Plan, PlannedPipeline},
    sandbox::files::scratch,
    store::{DataDir, DataDirError, Kept, PipelineStore, SqliteState, SqliteStore, Store},
};

/// Starts all pipelines of a plan.
pub async fn start(plan: Plan, clock: Clock, run: &str) -> Result<Running, StartError> {
    let opened = tokio::task::spawn_blocking({
        let path = plan.data_dir.clone();
        move || -> Result<_, StartError> {
            let data_dir = DataDir::open(&path)?;
            let store = SqliteStore::open(&data_dir.store())?;
            // A process that was killed left its own behind.
            let (scratch, unusable) = (data_dir.scratch(), |cause| DataDirError::Unusable { path: path.clone(), cause });
            scratch::sweep(&scratch).map_err(unusable)?;
            Ok((data_dir, store))
        }
    });
    let (data_dir, store) = match opened.await {
        Ok(opened) => opened?,
        Err(error) => {
            let (path, cause) = (plan.data_dir, std::io::Error::other(error));
            return Err(DataDirError::Unusable { path, cause }.into());
        }
    };
    plan.tokens.open(Arc::new(store.clone())).await?;
    // Before anything runs.
    for remark in recognised(&store, &plan.pipelines, &plan.data_dir).await? {
        tracing::warn!("{remark}");
    }
    for planned in &plan.pipelines {
        store.keep_source(&planned.id, sources::identity(&planned.source)).await?;
    }
    let state = SqliteState::new(data_dir.state());
    let (stop, stopped) = watch::channel(Stopping::No);
    let mut pipelines = Vec::new();
    for planned in plan.pipelines {
        let kept = Arc::new(kept(&store, &planned.dead_letters, &clock));
        let store: Arc<dyn Store> = kept.clone();
        let checkpoints = store.checkpoints(&planned.id).await?;
        let read_before: HashMap<String, u64> =
            checkpoints.iter().map(|checkpoint| (checkpoint.partition.clone(), checkpoint.read_to)).collect();
        let checkpoints = checkpoints.into_iter().map(|checkpoint| (checkpoint.partition, checkpoint.next)).collect();
        let exact_batches = if planned.exact_batches { Some(store.cuts(&planned.id).await?) } else { None };
        let cuts = pipeline::ends(exact_batches.as_deref().unwrap_or_default());
        let source = source(&planned, (checkpoints, cuts), &clock, run)?;
        let PlannedPipeline { id, mut processors, mut destinations, window, dead_letters, checkpoint_interval, .. } = planned;
        let checkpoint_interval = checkpoint_interval.into();
        let tolerance = (dead_letters.window, dead_letters.tolerance);
        let keep = |name: &str, opening: &mut Opening| {
            if let Some(granted) = &mut opening.grants.state {
                granted.keep_in(&state, &id, name);
            }
            opening.grants.directories.scratch_in(&data_dir.scratch());
        };
        for Destination { id, opening, processors, .. } in &mut destinations {
            keep(id, opening);
            processors.iter_mut().for_each(|processor| keep(&processor.id, &mut processor.opening));
        }
        processors.iter_mut().for_each(|processor| keep(&processor.id, &mut processor.opening));
        let used = destinations.iter().map(Used::from).collect();
        let outlets = destinations.into_iter().map(Outlet::from).collect();
        let pipeline =
            Pipeline { id, source, processors, outlets, window, checkpoint_interval, tolerance, read_before, exact_batches };
        let progress = pipeline.progress();
        let surroundings = Surroundings { store, clock: clock.clone(), stop: stopped.clone() };
        let (at, time) = (clock.elapsed(), clock.clone());
        let run = pipeline.run(surroundings, progress.clone());
        let task = tokio::spawn(async move {
            let ended = run.await;
            (ended, time.elapsed())
        });
        pipelines.push(Started { progress, used, kept, task, at });
    }
    Ok(Running { pipelines, stop, clock, tokens: plan.tokens, data_dir })
}

/// The store as a pipeline sees it, within what holds for its dead letters.
fn kept(store: &SqliteStore, dead_letters: &config::DeadLetters, clock: &Clock) -> Kept<SqliteStore> {
    let config::DeadLetters { max_bytes, max_age, copy_to, .. } = dead_letters;
    let copy_to = copy_to.as_ref().map(|copy| copy.value.clone());
    Kept::new(store.clone(), max_bytes.bytes(), max_age.map(Into::into), copy_to, clock.clone())
}
