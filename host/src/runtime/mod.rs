//! Starts, supervises and stops the pipelines of a plan.

mod at_rest;
mod components;
mod control;
mod course;
mod desk;
mod error;
mod feed;
mod life;
mod lives;
mod means;
mod origin;
mod overview;
mod owed;
mod probe;
mod reload;
mod removed;
mod replay;
mod report;
mod source;
mod start;
mod switched_off;
mod uploads;

use std::{path::PathBuf, sync::Arc, time::UNIX_EPOCH};

use tokio::task::JoinHandle;

pub use control::Control;
pub use error::{NoAction, StartError};
pub use origin::Origin;
pub use overview::{DestinationOverview, Overview, PipelineOverview, ProcessorOverview, SpoolOverview, State};
pub use probe::{Probed, Reached, probe};
pub use replay::{Left, Replaying, replay};
pub use report::{Report, SwitchedOff, Used};
pub use source::recognised;
pub use start::start;

use self::{desk::Desk, lives::Lives};
use crate::{
    clock::Clock,
    operate::{
        Refused, Reloaded,
        socket::{Socket, SocketError},
    },
    sandbox::{allocator, files::scratch},
    store::DataDir,
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
    lives: Arc<Lives>,
    /// Answers at the control socket.
    desk: Option<JoinHandle<()>>,
    /// Locked for as long as anything runs.
    data_dir: DataDir,
}

/// Asks running pipelines to stop; clones ask the same ones.
#[derive(Clone)]
pub struct Stop(Arc<Lives>);

impl Stop {
    /// They stop reading, finish what is in flight, and close; what is in flight longer than `shutdown-timeout` is left.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// A name for this run that no other has.
pub fn run_id(clock: &Clock) -> String {
    let now = clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", now.as_nanos(), std::process::id())
}

impl Running {
    /// To look at what is running, for as long as anybody likes.
    pub fn overview(&self) -> Overview {
        Overview(self.lives.clone())
    }

    /// To pause and resume them.
    pub fn control(&self) -> Control {
        Control(self.lives.clone())
    }

    /// To ask them to stop.
    pub fn stopper(&self) -> Stop {
        Stop(self.lives.clone())
    }

    /// The file that the store is.
    pub fn store(&self) -> PathBuf {
        self.data_dir.store()
    }

    /// Opens the control socket in the data directory, and answers there until all have ended. With an `origin` it can be told to reload.
    ///
    /// # Errors
    /// Where the socket cannot be opened. Everything runs on without it.
    pub fn listen(&mut self, origin: Option<Origin>) -> Result<(), SocketError> {
        let desk = Desk { lives: self.lives.clone(), origin };
        let socket = Socket::open(self.data_dir.path())?;
        self.desk = Some(tokio::spawn(socket.serve(Arc::new(desk), self.lives.means.clock.clone())));
        Ok(())
    }

    /// To have the file read again.
    pub fn reloader(&self, origin: Origin) -> Reload {
        Reload { lives: self.lives.clone(), origin }
    }

    /// Waits until all have ended.
    pub async fn ended(self) -> Vec<Report> {
        let reports = self.lives.ended().await;
        self.lives.tokens().broker.settled().await;
        if let Some(desk) = self.desk {
            desk.abort();
            // The socket is gone before the lock.
            let _aborted = desk.await;
        }
        // What instances leave is removed beside everything else, and a process that ends does not wait for that.
        let scratch = self.data_dir.scratch();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || scratch::sweep(&scratch)).await {
            tracing::warn!(%error, "scratch directories cannot be removed");
        }
        reports
    }
}

/// Has a running host read its pipeline file again; clones are of the same host.
#[derive(Clone)]
pub struct Reload {
    lives: Arc<Lives>,
    origin: Origin,
}

impl Reload {
    /// Swaps just the pipelines that changed. Where the file is refused, everything goes on as it was.
    ///
    /// # Errors
    /// What is wrong with the file, or that the host is ending.
    pub async fn reload(&self) -> Result<Reloaded, Refused> {
        self.lives.reload(&self.origin).await
    }
}
