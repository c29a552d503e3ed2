//! Starts pipelines: the data directory, the store, and what each pipeline is made of.

use std::sync::Arc;

use super::{
    Running, StartError,
    feed::Feeds,
    life::Life,
    lives::Lives,
    means::{Gates, Means},
    source::recognised,
};
use crate::{
    clock::Clock,
    operate::sources,
    plan::Plan,
    sandbox::files::scratch,
    store::{DataDir, DataDirError, PipelineStore, SqliteState, SqliteStore},
};

/// A data directory with all that pipelines work with.
pub(super) struct Opened {
    pub means: Arc<Means>,
    /// Held for its lock.
    pub data_dir: DataDir,
}

/// Opens the data directory of a plan; `is_there` says whether it has to be there already.
pub(super) async fn open(plan: &Plan, clock: Clock, run: &str, is_there: bool) -> Result<Opened, StartError> {
    let opened = tokio::task::spawn_blocking({
        let path = plan.data_dir.clone();
        move || -> Result<_, StartError> {
            let data_dir = if is_there { DataDir::existing(&path)? } else { DataDir::open(&path)? };
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
            let (path, cause) = (plan.data_dir.clone(), std::io::Error::other(error));
            return Err(DataDirError::Unusable { path, cause }.into());
        }
    };
    plan.tokens.broker.open(Arc::new(store.clone())).await?;
    let (state, scratch, spools) = (SqliteState::new(data_dir.state()), data_dir.scratch(), data_dir.spools());
    let lifecycle = data_dir.lifecycle();
    let (run, feeds) = (run.to_owned(), Feeds::default());
    let means = Arc::new(Means { store, state, scratch, spools, lifecycle, clock, run, feeds, until: plan.until });
    Ok(Opened { means, data_dir })
}

/// Starts all pipelines of a plan.
pub async fn start(plan: Plan, clock: Clock, run: &str) -> Result<Running, StartError> {
    let Opened { means, data_dir } = open(&plan, clock, run, false).await?;
    // Before anything runs.
    for remark in recognised(&means.store, &plan.pipelines, &plan.data_dir, &|_| Vec::new()).await? {
        tracing::warn!("{remark}");
    }
    for planned in &plan.pipelines {
        means.store.keep_source(&planned.id, sources::identity(&planned.source)).await?;
    }
    let mut first = Vec::new();
    for planned in plan.pipelines {
        let (kept, gates) = (means.kept(&planned), Gates::of(&planned, None).with_spools(&means, &planned, false).await?);
        let prepared = means.prepare(&planned, &kept, &gates).await?;
        first.push((Arc::new(planned), kept, gates, prepared));
    }
    let lives = first.into_iter();
    let lives = lives.map(|(planned, kept, gates, first)| Life::begin(planned, means.clone(), kept, gates, Ok(first))).collect();
    let lives = Arc::new(Lives::new(means, plan.data_dir, lives, plan.tokens, plan.shutdown_timeout.into()));
    Ok(Running { lives, data_dir, desk: None })
}
