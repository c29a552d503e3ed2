//! `wharf run`.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};

use super::{Output, STOPPED, loader, logging::Logging, progress::show, refusal::Refusal, report::finished};
use crate::{
    clock::Clock,
    config,
    connector::Loader,
    monitoring::{Monitor, Watched},
    operate::Refused,
    plan::{Plan, Until, plan},
    runtime::{self, Origin, Reload, Report, Running, Stop},
    sandbox::output::printable,
};

/// What of a run can be chosen.
#[derive(Debug)]
pub struct Options {
    /// The folder for what must outlive the process, in place of that in the file.
    pub data_dir: Option<PathBuf>,
    /// Where to answer who asks for metrics and health.
    pub listen: Option<String>,
    /// How long destinations that take files are served.
    pub until: Until,
    /// What to print at the end.
    pub output: Output,
}

/// Runs a pipeline file.
pub async fn run(pipeline: &Path, options: Options, logging: &Logging) -> Result<u8, Refusal> {
    let Options { data_dir, listen, until, output } = options;
    let clock = Clock::system();
    let run = runtime::run_id(&clock);
    // The loader is made of what the file says.
    let mut file = config::load(pipeline, &config::OwnEnvironment)?;
    let (loader, process) = (loader(&clock, file.process)?, file.process);
    let origin = Origin { path: pipeline.to_owned(), data_dir, process, loader, run: run.clone() };
    if origin.data_dir.is_some() {
        file.data_dir.clone_from(&origin.data_dir);
    }
    let monitored = match listen {
        Some(address) => Some(monitor(&address, &origin.loader).await?),
        None => None,
    };
    let plan = Plan { until, ..plan(file, &origin.loader, &run).await? };
    for remark in &plan.remarks {
        tracing::warn!("{}", printable(remark, false));
    }
    // Whoever sees that it runs may ask it to stop.
    let (signals, hung_up) = (Signals::listen()?, signal(SignalKind::hangup()).map_err(listens)?);
    let mut running = runtime::start(plan, clock.clone(), &run)
        .await
        .map_err(|error| Refusal::with_hint(error.to_string(), Some(error.hint())).at(error.place()))?;
    reload_on_signal(hung_up, running.reloader(origin.clone()));
    if let Err(error) = running.listen(Some(origin)) {
        tracing::warn!("{error}; `wharf status` and the like will not reach this host");
    }
    let store = running.store();
    if let Some(Monitored { running: seen, .. }) = &monitored {
        // It is set here alone.
        let _set = seen.set(running.overview());
    }
    let (reports, asked) = to_the_end(running, signals, logging, clock).await?;
    Ok(finished(&reports, &store, asked, output))
}

/// Shows how far it is until it has ended. Gives what came of it, and whether it was asked to stop.
pub async fn to_the_end(
    running: Running,
    signals: Signals,
    logging: &Logging,
    clock: Clock,
) -> Result<(Vec<Report>, bool), Refusal> {
    let asked = signals.stop(running.stopper());
    let shown = tokio::spawn(show(running.overview(), logging.bars.clone(), clock));
    let reports = running.ended().await;
    shown.abort();
    // Bars are cleared before anything else is printed.
    let _ended = shown.await;
    let _cleared = logging.bars.clear();
    Ok((reports, asked.load(Relaxed)))
}

/// Who asks for metrics and health is answered, until this is dropped.
struct Monitored {
    running: Arc<OnceLock<runtime::Overview>>,
    _answering: JoinSet<()>,
}

/// Listens before anything runs, so that it is told before that where it cannot.
async fn monitor(address: &str, loader: &Loader) -> Result<Monitored, Refusal> {
    let monitor =
        Monitor::bind(address).await.map_err(|error| Refusal::with_hint(error.to_string(), Some(error.hint().into())))?;
    tracing::info!("metrics and health at http://{}", monitor.address());
    let running = Arc::new(OnceLock::new());
    let watched = Watched { running: running.clone(), compilations: loader.compilations().clone() };
    let mut answering = JoinSet::new();
    answering.spawn(monitor.serve(watched));
    Ok(Monitored { running, _answering: answering })
}

fn listens(error: std::io::Error) -> Refusal {
    Refusal::new(format!("cannot listen for signals: {error}"))
}

/// SIGHUP has the file read again.
fn reload_on_signal(mut hung_up: Signal, reload: Reload) {
    tokio::spawn(async move {
        while hung_up.recv().await.is_some() {
            if let Err(Refused { what, hint }) = reload.reload().await {
                tracing::error!(hint, "not reloaded: {}", printable(&what, true));
            }
        }
    });
}

/// Ctrl-C and SIGTERM, which end nothing by themselves from the moment that they are listened for.
pub struct Signals {
    interrupted: Signal,
    terminated: Signal,
}

impl Signals {
    /// Listens.
    pub fn listen() -> Result<Self, Refusal> {
        let interrupted = signal(SignalKind::interrupt()).map_err(listens)?;
        let terminated = signal(SignalKind::terminate()).map_err(listens)?;
        Ok(Self { interrupted, terminated })
    }

    /// The first asks the pipelines to stop, the second ends the process.
    fn stop(self, stop: Stop) -> Arc<AtomicBool> {
        let Self { mut interrupted, mut terminated } = self;
        let asked = Arc::new(AtomicBool::new(false));
        let told = asked.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupted.recv() => {}
                    _ = terminated.recv() => {}
                }
                if told.swap(true, Relaxed) {
                    tracing::error!("stopped at once; what was in flight is pending");
                    std::process::exit(STOPPED.into());
                }
                tracing::info!("stopping: finishing what is in flight; once more stops at once");
                stop.stop();
            }
        });
        asked
    }
}
