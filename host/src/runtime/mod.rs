//! Starts, supervises and stops the pipelines of a plan.

mod error;
mod report;
mod source;
mod start;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use tokio::{sync::watch, task::JoinHandle};

pub use error::StartError;
pub use report::{Report, Used};
pub use source::recognised;
pub use start::start;

use crate::{
    clock::Clock,
    pipeline::{Ended, PipelineError, Progress, Stopping},
    sandbox::{Broker, allocator, files::scratch},
    store::{DataDir, Kept, SqliteStore},
};

/// Threads beside those of the executor: one for each destination while it runs, and some for files and the store.
const THREADS: usize = 4096;

/// The executor on which everything runs, with a thread for each processor. What its threads allocate is given back to the system.
pub fn executor() -> std::io::Result<tokio::runtime::Runtime> {
    allocator::give_back();
    tokio::runtime::Builder::new_multi_thread().max_blocking_threads(THREADS).enable_all().build()
}

/// Pipelines that are running.
pub struct Running {
    pipelines: Vec<Started>,
    stop: watch::Sender<Stopping>,
    clock: Clock,
    tokens: Arc<Broker>,
    /// Locked for as long as anything runs.
    data_dir: DataDir,
}

/// A pipeline that is running.
struct Started {
    progress: Arc<Progress>,
    used: Vec<Used>,
    kept: Arc<Kept<SqliteStore>>,
    /// How it ended, and when by the clock.
    task: JoinHandle<(Ended, Duration)>,
    /// When it began by the clock.
    at: Duration,
}

/// Asks running pipelines to stop; clones ask the same ones.
#[derive(Clone, Debug)]
pub struct Stop(watch::Sender<Stopping>);

impl Stop {
    /// They stop reading, finish what is in flight, and close.
    pub fn stop(&self) {
        self.0.send_replace(Stopping::Finish);
    }
}

/// A name for this run that no other has.
pub fn run_id(clock: &Clock) -> String {
    let now = clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", now.as_nanos(), std::process::id())
}

impl Running {
    /// The counters of each pipeline, to be read while they run.
    pub fn progress(&self) -> Vec<Arc<Progress>> {
        self.pipelines.iter().map(|started| started.progress.clone()).collect()
    }

    /// To ask them to stop.
    pub fn stopper(&self) -> Stop {
        Stop(self.stop.clone())
    }

    /// The file that the store is.
    pub fn store(&self) -> PathBuf {
        self.data_dir.store()
    }

    /// Waits until all have ended.
    pub async fn ended(self) -> Vec<Report> {
        let mut reports = Vec::new();
        for Started { progress, used, kept, task, at } in self.pipelines {
            let (Ended { counts, error, rereads }, until) = match task.await {
                Ok(ended) => ended,
                Err(error) => {
                    let error = Some(PipelineError::Reader(error.to_string()));
                    (Ended { counts: progress.counts(), error, rereads: true }, self.clock.elapsed())
                }
            };
            let took = until.saturating_sub(at);
            let (pipeline, purged) = (progress.pipeline.clone(), kept.purged());
            reports.push(Report { pipeline, counts, used, purged, took, error, rereads });
        }
        self.tokens.settled().await;
        // What instances leave is removed beside everything else, and a process that ends does not wait for that.
        let scratch = self.data_dir.scratch();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || scratch::sweep(&scratch)).await {
            tracing::warn!(%error, "scratch directories cannot be removed");
        }
        reports
    }
}
