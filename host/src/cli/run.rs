//! `wharf run`.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    Output, STOPPED, loader,
    logging::Logging,
    report::{Refusal, finished, grouped},
};
use crate::{
    clock::Clock,
    config,
    operate::Refused,
    pipeline::Counts,
    plan::{PlanError, plan},
    runtime::{self, Origin, Overview, Reload, Stop},
    sandbox::output::printable,
};

/// How often bars move.
const BARS: Duration = Duration::from_millis(200);

/// How often a line is written where there are no bars.
const LINES: Duration = Duration::from_secs(10);

/// Runs a pipeline file.
pub async fn run(pipeline: &Path, data_dir: Option<PathBuf>, output: Output, logging: &Logging) -> Result<u8, Refusal> {
    let clock = Clock::system();
    let run = runtime::run_id(&clock);
    // The loader is made of what the file says.
    let mut file = config::load(pipeline, &config::environment).map_err(|error| Refusal::from(vec![PlanError::from(error)]))?;
    let (loader, process) = (loader(&clock, file.process)?, file.process);
    let origin = Origin { path: pipeline.to_owned(), data_dir, process, loader, run: run.clone() };
    if origin.data_dir.is_some() {
        file.data_dir.clone_from(&origin.data_dir);
    }
    let plan = plan(file, &origin.loader, &run).await?;
    for remark in &plan.remarks {
        tracing::warn!("{}", printable(remark, false));
    }
    let mut running = runtime::start(plan, clock.clone(), &run)
        .await
        .map_err(|error| Refusal::with_hint(error.to_string(), Some(error.hint())).at(error.place()))?;
    let asked = stop_on_signals(running.stopper(), running.reloader(origin.clone()))?;
    if let Err(error) = running.listen(Some(origin)) {
        tracing::warn!("{error}; `wharf status` and the like will not reach this host");
    }
    let store = running.store();
    let shown = tokio::spawn(show(running.overview(), logging.bars.clone(), clock));
    let reports = running.ended().await;
    shown.abort();
    // Bars are cleared before anything else is printed.
    let _ended = shown.await;
    let _cleared = logging.bars.clear();
    Ok(finished(&reports, &store, asked.load(Relaxed), output))
}

/// The first Ctrl-C or SIGTERM asks the pipelines to stop, the second ends the process; SIGHUP has the file read again.
fn stop_on_signals(stop: Stop, reload: Reload) -> Result<Arc<AtomicBool>, Refusal> {
    let failed = |error: std::io::Error| Refusal::new(format!("cannot listen for signals: {error}"));
    let mut interrupted = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hung_up = signal(SignalKind::hangup()).map_err(failed)?;
    tokio::spawn(async move {
        while hung_up.recv().await.is_some() {
            if let Err(Refused { what, hint }) = reload.reload().await {
                tracing::error!(hint, "not reloaded: {}", printable(&what, true));
            }
        }
    });
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
    Ok(asked)
}

/// Shows how far the pipelines are: bars on a terminal, lines elsewhere.
async fn show(overview: Overview, bars: indicatif::MultiProgress, clock: Clock) {
    if bars.is_hidden() {
        loop {
            clock.sleep(LINES).await;
            for pipeline in overview.pipelines() {
                tracing::info!("{}: {}", pipeline.id, line(&pipeline.progress.counts()));
            }
        }
    }
    let style = ProgressStyle::with_template("{spinner} {prefix} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let mut shown: HashMap<Arc<str>, (ProgressBar, u64)> = HashMap::new();
    loop {
        let pipelines = overview.pipelines();
        // A reload may have taken some away.
        shown.retain(|id, (bar, _)| {
            let there = pipelines.iter().any(|pipeline| pipeline.id == *id);
            if !there {
                bars.remove(bar);
            }
            there
        });
        for pipeline in pipelines {
            let (bar, before) = shown.entry(pipeline.id.clone()).or_insert_with(|| {
                let bar = bars.add(ProgressBar::new_spinner().with_style(style.clone()));
                bar.set_prefix(pipeline.id.to_string());
                (bar, 0)
            });
            let counts = pipeline.progress.counts();
            let settled = counts.destinations.iter().map(|d| d.delivered + d.dead_lettered).min().unwrap_or_default();
            let rate = settled.saturating_sub(*before) as f64 / BARS.as_secs_f64();
            *before = settled;
            bar.set_message(format!("{} · {}/s", line(&counts), grouped(rate as u64)));
            bar.tick();
        }
        clock.sleep(BARS).await;
    }
}

fn line(counts: &Counts) -> String {
    let mut line = format!("{} read", grouped(counts.read + counts.carried));
    for destination in &counts.destinations {
        line.push_str(&format!(" · {} {} delivered", destination.id, grouped(destination.delivered)));
        if destination.dead_lettered > 0 {
            line.push_str(&format!(", {} dead letters", grouped(destination.dead_lettered)));
        }
        if let Some(why) = &destination.paused {
            line.push_str(&format!(", paused: {}", printable(why, false)));
        }
        if destination.retries > 0 {
            line.push_str(&format!(", {} retries", grouped(destination.retries)));
        }
    }
    line
}
