//! Starts, supervises and stops the pipelines of a plan.

use std::{
    collections::HashMap,
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use thiserror::Error;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    clock::Clock,
    config::{self, At, PathOrGlob, Place},
    connector::Opening,
    operate::sources::{self, OtherSource},
    pipeline::{Counts, Destination, Ended, Outlet, Pipeline, PipelineError, Progress, Stopping, Surroundings},
    plan::{Plan, PlannedPipeline},
    sandbox::{Broker, Usage, allocator, files::scratch, tokens::vault::VaultError},
    source::{
        Checkpoints, Compression, Cut, FileOptions, FileSource, Format, GeneratorOptions, GeneratorSource, PointerError, Reading,
        Source, SourceError, StdinSource,
    },
    store::{DataDir, DataDirError, Kept, PipelineStore, SqliteState, SqliteStore, Store, StoreError},
};

/// Why nothing was started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The store in it cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The refresh tokens in the store cannot be used.
    #[error(transparent)]
    Tokens(#[from] VaultError),
    /// The checkpoints of a pipeline are of another source.
    #[error("{cause}")]
    OtherSource {
        /// What it is and was.
        cause: Box<OtherSource>,
        /// Where the source stands in the pipeline file.
        place: Place,
        /// Where the checkpoints are.
        data_dir: PathBuf,
    },
    /// A source cannot be read as the pipeline file says.
    #[error("pipeline {pipeline}: source: {cause}")]
    Source {
        /// Whose.
        pipeline: Arc<str>,
        /// Why.
        cause: SourceError,
    },
}

impl StartError {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Tokens(error) => return error.hint(),
            Self::OtherSource { cause, data_dir, .. } => return cause.hint(data_dir),
            Self::DataDir(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Source { .. } => "mend the source, or correct the pipeline file",
        }
        .to_owned()
    }
}

impl StartError {
    /// Where it stands in the pipeline file, where that can be told.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::OtherSource { place, .. } => Some(place),
            Self::DataDir(_) | Self::Store(_) | Self::Tokens(_) | Self::Source { .. } => None,
        }
    }
}

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

/// What came of a pipeline.
#[derive(Debug)]
pub struct Report {
    /// Its id.
    pub pipeline: Arc<str>,
    /// What became of its records.
    pub counts: Counts,
    /// What each of its destinations used, in the order of the counts.
    pub used: Vec<Used>,
    /// How many dead letters were removed for their age.
    pub purged: u64,
    /// How long it ran.
    pub took: Duration,
    /// Why it ended before its source did.
    pub error: Option<PipelineError>,
    /// Whether a later run reads again what this one left pending.
    pub rereads: bool,
}

/// What a destination used over all of its instances, and of how much.
#[derive(Clone, Debug)]
pub struct Used {
    /// What it used and tried.
    pub usage: Arc<Usage>,
    /// The most memory that an instance may hold.
    pub memory_limit: config::Size,
}

impl From<&Destination> for Used {
    fn from(destination: &Destination) -> Self {
        Self { usage: destination.opening.usage.clone(), memory_limit: destination.opening.limits.memory }
    }
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
        let source = source(&planned, checkpoints, &clock, run)?;
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
        let pipeline = Pipeline { id, source, processors, outlets, window, checkpoint_interval, tolerance, read_before };
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

/// Holds what each pipeline reads against what its checkpoints are of. Gives in words what an operator should know.
pub async fn recognised(
    store: &impl PipelineStore,
    pipelines: &[PlannedPipeline],
    data_dir: &Path,
) -> Result<Vec<String>, StartError> {
    let all: Vec<&str> = pipelines.iter().map(|planned| &*planned.id).collect();
    let mut remarks = Vec::new();
    for PlannedPipeline { id, source, .. } in pipelines {
        match sources::recognised(store, id, source, &all).await? {
            Ok(remark) => remarks.extend(remark),
            Err(cause) => {
                let (cause, place) = (Box::new(cause), source.place.clone());
                return Err(StartError::OtherSource { cause, place, data_dir: data_dir.to_owned() });
            }
        }
    }
    Ok(remarks)
}

/// The store as a pipeline sees it, within what holds for its dead letters.
fn kept(store: &SqliteStore, dead_letters: &config::DeadLetters, clock: &Clock) -> Kept<SqliteStore> {
    let config::DeadLetters { max_bytes, max_age, copy_to, .. } = dead_letters;
    let copy_to = copy_to.as_ref().map(|copy| copy.value.clone());
    Kept::new(store.clone(), max_bytes.bytes(), max_age.map(Into::into), copy_to, clock.clone())
}

/// What a stream is made of, as the source room has it.
fn format(given: config::Format, key: Option<&At<String>>) -> Result<Format, SourceError> {
    let text = || key.map(|key| key.value.clone());
    Ok(match given {
        config::Format::JsonLines => {
            let pointer = key.map(|key| key.value.parse()).transpose();
            let failed = |error: PointerError| SourceError::Format { path: "the source".into(), reason: error.to_string() };
            Format::JsonLines { key: pointer.map_err(failed)? }
        }
        config::Format::Csv => Format::Csv { key: text() },
        config::Format::OpenCdc => Format::OpenCdc,
        config::Format::Lines => Format::Lines,
    })
}

/// The source of a pipeline, standing where the checkpoints say.
fn source(planned: &PlannedPipeline, checkpoints: Checkpoints, clock: &Clock, run: &str) -> Result<Box<dyn Source>, StartError> {
    let PlannedPipeline { id, batch, .. } = planned;
    let cut = Cut { records: batch.records, bytes: batch.bytes.bytes(), delay: batch.delay.duration() };
    let rate = |rate: Option<u32>| rate.and_then(|rate| NonZeroU64::new(rate.into()));
    let failed = |cause: SourceError| StartError::Source { pipeline: id.clone(), cause };
    Ok(match &planned.source.value {
        config::Source::File(given) => {
            let path = match &given.path.value {
                PathOrGlob::Path(path) => path.to_string_lossy().into_owned(),
                PathOrGlob::Glob(pattern) => pattern.clone(),
            };
            let mut reading = Reading::new(format(given.format, given.key.as_ref()).map_err(failed)?, cut);
            reading.rate = rate(given.rate);
            let compression = match given.compression {
                config::Compression::Auto => Compression::Detect,
                config::Compression::None => Compression::Plain,
                config::Compression::Gzip => Compression::Gzip,
                config::Compression::Zstd => Compression::Zstd,
            };
            let follow = given.follow.then(|| given.poll.duration());
            let options = FileOptions { path, compression, follow, reading };
            Box::new(FileSource::new(options, id, checkpoints, clock.clone()))
        }
        config::Source::Stdin(given) => {
            let mut reading = Reading::new(format(given.format, given.key.as_ref()).map_err(failed)?, cut);
            reading.rate = rate(given.rate);
            Box::new(StdinSource::new(std::io::stdin(), &reading, id, run, clock.clone()).map_err(failed)?)
        }
        config::Source::Generator(given) => {
            let (count, size, seed) = (given.count, given.size.bytes() as usize, given.seed);
            let options = GeneratorOptions { count, size, rate: rate(given.rate), seed, entities: rate(given.entities), cut };
            Box::new(GeneratorSource::new(options, id, &checkpoints, clock.clone()))
        }
    })
}
