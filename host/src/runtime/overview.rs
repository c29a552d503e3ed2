//! What is running and how it stands, for whoever only looks: progress, figures, health, `wharf status`.

use std::{sync::Arc, time::Duration};

use super::{Used, lives::Lives, report::Total};
use crate::{
    config::Size,
    pipeline::{Counts, Gate, Pause, Progress},
    store::{
        LetterStore, LetterTotals, StoreError,
        spool::{SpoolError, SpoolState, UploadState},
    },
};

/// Looks at the pipelines of a host. Clones look at the same ones; each look costs a few reference counts, takes no lock that a running
/// pipeline waits for, and shows what there is at that moment: pipelines that were started again or came by a reload have other counters than before.
/// It holds on to what it looks at, and stops nothing.
#[derive(Clone)]
pub struct Overview(pub(super) Arc<Lives>);

/// How a pipeline stands.
#[derive(Clone, Debug)]
pub struct PipelineOverview {
    /// Its id.
    pub id: Arc<str>,
    /// What it is doing.
    pub state: State,
    /// Since when, by the clock's elapsed time.
    pub since: Duration,
    /// The counters of this start, or of the last one where none is running.
    pub progress: Arc<Progress>,
    /// The counts of the starts that have ended, added up, as [`Progress::raw`] has them; `None` before the first has. Once none is running, these are all.
    pub earlier: Option<Counts>,
    /// Whether the counters are of a start that has ended, and among `earlier`.
    pub counted: bool,
    /// Its destinations, in the order of the file and of the counters.
    pub destinations: Vec<DestinationOverview>,
    /// Its processors, and behind them those of each destination.
    pub processors: Vec<ProcessorOverview>,
    /// How often it was started again after an error.
    pub restarts: u64,
    /// Why its last start ended early, and what to do; `None` where it did not.
    pub error: Option<(Arc<str>, Arc<str>)>,
    /// Why all of it is paused: a person said so, or its processors take no more.
    pub pause: Option<Pause>,
}

/// How the spool of a destination stands.
#[derive(Clone, Debug)]
pub struct SpoolOverview {
    /// The pipeline.
    pub pipeline: Arc<str>,
    /// The destination.
    pub destination: Arc<str>,
    /// Records that have reached no end, by state.
    pub records: [(SpoolState, u64); 5],
    /// Bytes that its batches take, compressed, and what waits beside them to follow.
    pub bytes: u64,
    /// Bytes that these may take.
    pub most: Size,
    /// Age of the oldest batch in it; zero where there is none.
    pub oldest: Duration,
    /// Uploads that are not settled, by state.
    pub uploads: [(UploadState, u64); 5],
    /// How long until what waits goes out, by the name of its action; one for which nothing waits is not there.
    pub next: Vec<(String, Duration)>,
}

/// What a pipeline is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It reads and writes, or waits for something to read.
    Running,
    /// All of it is paused.
    Paused,
    /// It ended in an error, and is to be started again.
    Restarting {
        /// When, by the clock's elapsed time.
        again: Duration,
    },
    /// It was asked to stop, and finishes what is in flight.
    Stopping,
    /// It has ended for good: its source has, or it was stopped, or it failed.
    Ended,
}

/// A destination of it. Its counts stand in the pipeline's progress, at the same place.
#[derive(Clone, Debug)]
pub struct DestinationOverview {
    /// Its id.
    pub id: Arc<str>,
    /// Name and version of its connector.
    pub connector: Arc<str>,
    /// What it used and tried over all of its instances, in all starts.
    pub used: Used,
    /// Whether it takes records, and why not.
    pub gate: Gate,
}

/// A processor of it.
#[derive(Clone, Debug)]
pub struct ProcessorOverview {
    /// Its id.
    pub id: Arc<str>,
    /// On the way to which destination alone it stands; `None` where on the way to all.
    pub destination: Option<Arc<str>>,
    /// Name and version of its connector.
    pub connector: Arc<str>,
    /// What it used and tried over all of its instances, in all starts.
    pub used: Used,
}

impl PipelineOverview {
    /// What became of records in all starts, up to now; pending, unknown, paused and the like are as the last start has them. No sum ever falls.
    pub fn counts(&self) -> Counts {
        let raw = match (&self.earlier, self.counted) {
            (None, _) => self.progress.raw(),
            (Some(earlier), true) => earlier.clone(),
            (Some(earlier), false) => {
                let mut total = Total { counts: Some(earlier.clone()), ..Total::default() };
                total.add(self.progress.raw());
                total.counts.unwrap_or_else(|| earlier.clone())
            }
        };
        self.progress.settled(raw)
    }
}

impl State {
    /// All of their words.
    pub const WORDS: [&str; 5] = ["running", "paused", "restarting", "stopping", "ended"];

    /// In one word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting { .. } => "restarting",
            Self::Stopping => "stopping",
            Self::Ended => "ended",
        }
    }
}

impl Overview {
    /// All pipelines, in the order of the file.
    pub fn pipelines(&self) -> Vec<PipelineOverview> {
        self.0.all().iter().map(|life| life.overview()).collect()
    }

    /// What the dead letters in the store come to, by pipeline and destination; the destination is empty for those that were given up for all of
    /// a pipeline's.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn dead_letters(&self) -> Result<Vec<(Arc<str>, String, LetterTotals)>, StoreError> {
        let mut all = Vec::new();
        for life in self.0.all() {
            let of = self.0.means.store.letter_totals(&life.planned.id).await?;
            all.extend(of.into_iter().map(|(destination, totals)| (life.planned.id.clone(), destination, totals)));
        }
        Ok(all)
    }

    /// How the spools stand.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub async fn spools(&self) -> Result<Vec<SpoolOverview>, SpoolError> {
        let mut all = Vec::new();
        for life in self.0.all() {
            for uploading in life.spools().all() {
                all.push(uploading.overview().await?);
            }
        }
        Ok(all)
    }

    /// How long this run has lasted, as `since` and the like count.
    pub fn elapsed(&self) -> Duration {
        self.0.means.clock.elapsed()
    }
}
