//! `wharf dev`.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal as Kill, kill_process};
use tokio::{
    process::{Child, Command},
    signal::unix::{Signal, SignalKind, signal},
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{SETTLED, refusal::Refusal};
use crate::{
    kit::{
        Trouble,
        build::{self, Effort},
        dev::{Changes, Parts, Snapshot},
    },
    sandbox::output::printable,
};

/// How often files are looked at.
const LOOKS: Duration = Duration::from_millis(200);
/// How long a run may take to end that was asked to, before it is asked once more and then ended.
const PATIENCE: Duration = Duration::from_secs(5);

/// What of a run can be chosen.
#[derive(Debug)]
pub struct Options {
    /// The folder for what must outlive a run; each run begins anew where there is none.
    pub data_dir: Option<PathBuf>,
    /// As this program was told: what to log, and how.
    pub log: [String; 4],
}

/// Whether it goes on.
enum Next {
    /// With these crates to be built.
    Changed(Changes),
    /// It was told to end.
    End,
}

/// Builds what a pipeline is made of and runs it, again after each change.
pub async fn dev(pipeline: &Path, options: &Options) -> Result<u8, Refusal> {
    let listens = |error| Refusal::new(format!("cannot listen for signals: {error}"));
    let mut asked = Asked {
        interrupted: signal(SignalKind::interrupt()).map_err(listens)?,
        terminated: signal(SignalKind::terminate()).map_err(listens)?,
    };
    let program = std::env::current_exe().map_err(|error| Refusal::new(format!("cannot find this program: {error}")))?;
    let pipeline = pipeline.canonicalize().map_err(|error| {
        let hint = "name a pipeline file; `wharf new NAME` writes a connector with one";
        Refusal::with_hint(format!("cannot read the pipeline file {}: {error}", pipeline.display()), Some(hint.into()))
    })?;
    let mut parts = known(&pipeline, Parts::default()).await?;
    let mut changes = Changes { crates: parts.crates.keys().cloned().collect(), file: None };
    loop {
        // Looked at before it is built: what is changed meanwhile is built again.
        let seen = looked(&parts).await?;
        let mut run = if built(&changes).await? { Some(Run::start(&program, &pipeline, options)?) } else { None };
        let next = changed(&parts, seen, &mut run, &mut asked).await?;
        if let Some(run) = run {
            run.end(&mut asked).await;
        }
        match next {
            Next::End => return Ok(SETTLED),
            Next::Changed(now) => changes = now,
        }
        let before = parts.clone();
        parts = known(&pipeline, parts).await?;
        if parts != before {
            changes.crates.extend(parts.crates.keys().filter(|folder| !before.crates.contains_key(*folder)).cloned());
        }
        if let Some(file) = &changes.file {
            tracing::info!("changed: {}", printable(&file.display().to_string(), false));
        }
    }
}

/// Waits for a change, while a run goes on or has ended. A change is over once two looks are alike.
async fn changed(parts: &Parts, seen: Snapshot, run: &mut Option<Run>, asked: &mut Asked) -> Result<Next, Refusal> {
    let mut last = seen.clone();
    loop {
        let over = async {
            match run.as_mut().filter(|run| !run.over) {
                Some(run) => run.over().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = asked.heard() => return Ok(Next::End),
            () = over => {}
            () = sleep(LOOKS) => {
                let now = looked(parts).await?;
                if let Some(changes) = parts.changes(&seen, &now).filter(|_| now == last) {
                    return Ok(Next::Changed(changes));
                }
                last = now;
            }
        }
    }
}

/// Builds the crates that changed. False where one does not build, which is told.
async fn built(changes: &Changes) -> Result<bool, Refusal> {
    let mut all = true;
    for folder in changes.crates.clone() {
        let built = off_thread(move || build::build(&folder, Effort::Quick)).await?;
        match built {
            Ok(built) => tracing::info!("built: {} {}", built.name, built.version),
            Err(trouble) => {
                all = false;
                told(trouble);
            }
        }
    }
    if !all {
        tracing::info!("waiting for a change");
    }
    Ok(all)
}

fn told(trouble: Trouble) {
    let _code = Refusal::from(trouble).print(super::Output::Text);
}

async fn known(pipeline: &Path, before: Parts) -> Result<Parts, Refusal> {
    let pipeline = pipeline.to_owned();
    off_thread(move || Parts::of(&pipeline, &before)).await
}

async fn looked(parts: &Parts) -> Result<Snapshot, Refusal> {
    let parts = parts.clone();
    off_thread(move || parts.look()).await
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    spawn_blocking(work).await.map_err(|error| Refusal::new(error.to_string()))
}

/// Ctrl-C and SIGTERM.
struct Asked {
    interrupted: Signal,
    terminated: Signal,
}

impl Asked {
    async fn heard(&mut self) {
        tokio::select! {
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
        }
    }
}

/// `wharf run`, as a process of its own: whatever a change does to it, this one goes on.
struct Run {
    child: Child,
    over: bool,
    /// Gone with the run.
    _data: Option<tempfile::TempDir>,
}

impl Run {
    fn start(program: &Path, pipeline: &Path, options: &Options) -> Result<Self, Refusal> {
        let own = match &options.data_dir {
            Some(_) => None,
            None => {
                Some(tempfile::tempdir().map_err(|error| Refusal::new(format!("cannot make a folder for the run: {error}")))?)
            }
        };
        let mut command = Command::new(program);
        command.args(&options.log).arg("run").arg(pipeline).args(["--once", "--now"]);
        if let Some(folder) = options.data_dir.as_deref().or(own.as_ref().map(tempfile::TempDir::path)) {
            command.arg("--data-dir").arg(folder);
        }
        // In a group of its own, so that Ctrl-C reaches it through this process alone, which waits for its end.
        let child = command.stdin(Stdio::null()).process_group(0).kill_on_drop(true).spawn();
        let child = child.map_err(|error| Refusal::new(format!("cannot start {}: {error}", program.display())))?;
        Ok(Self { child, over: false, _data: own })
    }

    /// Waits until it has ended by itself, and says so.
    async fn over(&mut self) {
        let ended = self.child.wait().await;
        self.over = true;
        let how = ended.map_or_else(|error| error.to_string(), told_of);
        tracing::info!("the run ended {how}; waiting for a change");
    }

    /// Asks it to end, and waits until it has.
    async fn end(mut self, asked: &mut Asked) {
        for _ in 0..2 {
            if self.over {
                return;
            }
            self.ask();
            tokio::select! {
                ended = timeout(PATIENCE, self.child.wait()) => self.over = ended.is_ok(),
                () = asked.heard() => {}
            }
        }
        if !self.over {
            // It may have ended meanwhile.
            let _killed = self.child.kill().await;
        }
    }

    fn ask(&self) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended meanwhile.
            let _asked = kill_process(pid, Kill::TERM);
        }
    }
}

fn told_of(status: ExitStatus) -> String {
    status.code().map_or_else(|| status.to_string(), |code| format!("with exit code {code}"))
}
