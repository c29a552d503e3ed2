//! The life of one pipeline: it is started, started again by its policy where it ends in an error, and stopped, whatever the others do.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, watch};

use super::{
    Report, StartError, Used,
    feed::Feeds,
    overview::{DestinationOverview, PipelineOverview, ProcessorOverview, State},
    removed::Removed,
    report::Total,
    source::source,
    switched_off,
    uploads::Spools,
};
use crate::{
    bulk::BulkError,
    clock::Clock,
    config,
    connector::{Lifecycle, Opening, Processor},
    pipeline::{
        self, Counts, Destination, Ended, Gate, Outlet, Patience, Pause, Pipeline, PipelineError, Progress, Step, Stopping,
        Surroundings,
    },
    plan::{PlannedPipeline, Until},
    sandbox::output::printable,
    source::Source,
    store::{Kept, PipelineStore, SqliteState, SqliteStore, Store, StoreError, StoredCut, spool::SpoolError},
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

/// A pipeline from its first start to its last.
pub(super) struct Life {
    pub planned: Arc<PlannedPipeline>,
    means: Arc<Means>,
    kept: Arc<Kept<SqliteStore>>,
    stop: watch::Sender<Stopping>,
    gates: Gates,
    /// To be started now rather than when its time has come.
    hurry: Arc<Notify>,
    shown: Arc<Mutex<Shown>>,
    /// Whether its report is there.
    done: watch::Receiver<bool>,
}

/// The gates of a pipeline and its spools, which stay the same from start to start.
#[derive(Clone, Default)]
pub(super) struct Gates {
    /// Shut, nothing is read.
    entrance: Gate,
    outlets: HashMap<Arc<str>, Gate>,
    spools: Spools,
}

/// How it stands.
struct Shown {
    state: State,
    /// Since when it has stood so, by the clock's elapsed time.
    since: Duration,
    progress: Arc<Progress>,
    /// Whether these counters are among the total already.
    counted: bool,
    restarts: u64,
    /// Why its last start ended, and what to do.
    error: Option<(Arc<str>, Arc<str>)>,
    total: Total,
    report: Option<Report>,
}

/// A pipeline that is ready to run, and its counters.
pub(super) struct Prepared {
    pipeline: Pipeline,
    progress: Arc<Progress>,
}

impl Gates {
    /// Those of a pipeline. Those that the pipeline before it by this name had stay as a person left them.
    pub fn of(planned: &PlannedPipeline, before: Option<&Life>) -> Self {
        let before = before.map(|life| life.gates.clone()).unwrap_or_default();
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

impl Life {
    /// Begins it with a first start that is prepared, or could not be.
    pub fn begin(
        planned: Arc<PlannedPipeline>,
        means: Arc<Means>,
        kept: Arc<Kept<SqliteStore>>,
        gates: Gates,
        first: Result<Prepared, PipelineError>,
    ) -> Arc<Self> {
        let (stop, stopped) = watch::channel(Stopping::No);
        let (tell, done) = watch::channel(false);
        let ids = planned.destinations.iter().map(|destination| (destination.id.clone(), destination.delivery.lanes));
        let shown = Shown {
            state: State::Running,
            since: means.clock.elapsed(),
            progress: match &first {
                Ok(first) => first.progress.clone(),
                Err(_) => {
                    let spools = planned.destinations.iter().map(|destination| gates.spools.counts(&destination.id));
                    Arc::new(Progress::new(planned.id.clone(), ids).over(spools))
                }
            },
            counted: false,
            restarts: 0,
            error: None,
            total: Total::default(),
            report: None,
        };
        let (shown, hurry) = (Arc::new(Mutex::new(shown)), Arc::new(Notify::new()));
        let settling = means.feeds.of(&planned.id);
        settling.send_modify(|settling| settling.over = false);
        let course = Course {
            planned: planned.clone(),
            means: means.clone(),
            kept: kept.clone(),
            gates: gates.clone(),
            stop: stopped,
            hurry: hurry.clone(),
            shown: shown.clone(),
        };
        tokio::spawn(async move {
            let shown = course.shown.clone();
            let report = course.run(first).await;
            settling.send_modify(|settling| settling.over = true);
            locked(&shown).report = Some(report);
            // Nobody may be waiting.
            let _ended = tell.send(true);
        });
        Arc::new(Self { planned, means, kept, stop, gates, hurry, shown, done })
    }

    /// Asks it to stop reading, finish what is in flight and close; once `timeout` is over, to leave what is in flight.
    pub fn stop(self: &Arc<Self>, timeout: Duration) {
        let first = self.stop.send_if_modified(|stop| {
            let first = *stop == Stopping::No;
            *stop = Stopping::Finish.max(*stop);
            first
        });
        if !first {
            return;
        }
        let life = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = life.ended() => return,
                () = life.means.clock.sleep(timeout) => {}
            }
            let id = &life.planned.id;
            tracing::warn!(pipeline = %id, "stopped at once, since shutdown-timeout ({timeout:?}) is over: {}", life.left());
            life.stop.send_replace(Stopping::Now);
        });
    }

    /// What is in flight, in words.
    pub fn left(&self) -> String {
        let counts = locked(&self.shown).progress.counts();
        let left: Vec<String> = counts
            .destinations
            .iter()
            .filter(|destination| destination.pending > 0)
            .map(|destination| format!("{} of {}", destination.pending, destination.id))
            .collect();
        if left.is_empty() { "nothing is pending".to_owned() } else { format!("pending are {}", left.join(", ")) }
    }

    /// Waits until it has ended for good.
    pub async fn ended(&self) {
        // Where the sender is gone, so is what it would have told of.
        let mut done = self.done.clone();
        let _ended = done.wait_for(|done| *done).await;
    }

    /// What came of it, once it has ended; it is given out once.
    pub fn report(&self) -> Option<Report> {
        locked(&self.shown).report.take()
    }

    /// Whether it has ended for good.
    pub fn is_over(&self) -> bool {
        *self.done.borrow()
    }

    /// Whether it ended in an error for good.
    pub fn has_failed(&self) -> bool {
        self.is_over() && locked(&self.shown).error.is_some()
    }

    /// Pauses all of it by hand; false where it was paused.
    pub fn pause(&self, pause: &Pause) -> bool {
        // Its processors may have shut it, and not for a person.
        let was_open = self.gates.entrance.state().pause.is_none_or(|pause| !pause.by_hand);
        self.gates.entrance.shut(pause.clone());
        if was_open {
            self.gates.outlets.values().for_each(|gate| gate.hold(Some(pause.clone())));
        }
        was_open
    }

    /// Lets all of it go on, and starts it now where it waits for that; false where there was nothing to be done.
    pub fn resume(&self) -> bool {
        let was_shut = self.gates.entrance.resume();
        self.gates.outlets.values().for_each(|gate| gate.hold(None));
        let waits = matches!(locked(&self.shown).state, State::Restarting { .. });
        if waits {
            self.hurry.notify_one();
        }
        was_shut || waits
    }

    /// The destinations that have dealt with all that was read so far.
    pub fn idle(&self) -> Vec<String> {
        let counts = locked(&self.shown).progress.counts();
        counts.destinations.iter().filter(|one| one.pending == 0).map(|one| one.id.to_string()).collect()
    }

    /// Its spools.
    pub fn spools(&self) -> &Spools {
        &self.gates.spools
    }

    /// The store as it sees it.
    pub fn kept(&self) -> &Arc<Kept<SqliteStore>> {
        &self.kept
    }

    /// The gate of a destination.
    pub fn gate(&self, destination: &str) -> Option<&Gate> {
        self.gates.outlets.get(destination)
    }

    /// How it stands.
    pub fn overview(&self) -> PipelineOverview {
        let shown = locked(&self.shown);
        let pause = self.gates.entrance.state().pause;
        let (state, since) = match (shown.state, &pause) {
            (State::Running, _) if *self.stop.borrow() != Stopping::No => (State::Stopping, shown.since),
            (State::Running, Some(pause)) => (State::Paused, pause.since),
            (state, _) => (state, shown.since),
        };
        let destinations = self.planned.destinations.iter().map(|destination| DestinationOverview {
            id: destination.id.clone(),
            connector: destination.connector.title().into(),
            used: Used::from(destination),
            gate: self.gates.outlets.get(&destination.id).cloned().unwrap_or_default(),
        });
        PipelineOverview {
            id: self.planned.id.clone(),
            state,
            since,
            progress: shown.progress.clone(),
            earlier: shown.total.counts.clone(),
            counted: shown.counted,
            destinations: destinations.collect(),
            processors: processors(&self.planned),
            restarts: shown.restarts,
            error: shown.error.clone(),
            pause,
        }
    }
}

/// The processors of a pipeline, and behind them those of each destination.
fn processors(planned: &PlannedPipeline) -> Vec<ProcessorOverview> {
    let of = |destination: Option<&Arc<str>>, processors: &[Processor]| -> Vec<ProcessorOverview> {
        let overview = |processor: &Processor| ProcessorOverview {
            id: processor.id.clone(),
            destination: destination.cloned(),
            connector: processor.connector.title().into(),
            used: Used { usage: processor.opening.usage.clone(), memory_limit: processor.opening.limits.memory },
        };
        processors.iter().map(overview).collect()
    };
    let mut processors = of(None, &planned.processors);
    for destination in &planned.destinations {
        processors.extend(of(Some(&destination.id), &destination.processors));
    }
    processors
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a life's own task works with.
struct Course {
    planned: Arc<PlannedPipeline>,
    means: Arc<Means>,
    kept: Arc<Kept<SqliteStore>>,
    gates: Gates,
    stop: watch::Receiver<Stopping>,
    hurry: Arc<Notify>,
    shown: Arc<Mutex<Shown>>,
}

impl Course {
    async fn run(mut self, first: Result<Prepared, PipelineError>) -> Report {
        let clock = self.means.clock.clone();
        let began = clock.elapsed();
        let (mut prepared, mut attempts) = (first, 0_u32);
        let switched_off = switched_off::look(&self.means, &self.planned, &self.kept).await;
        let removed = Removed::begin(&self.planned, &self.means);
        let engines = self.gates.spools.begin(&self.kept, &self.stop);
        let (error, rereads) = loop {
            let at = clock.elapsed();
            let (counts, error, rereads) = match prepared {
                Ok(prepared) => self.start(prepared).await,
                Err(error) => (None, Some(error), true),
            };
            {
                let mut shown = locked(&self.shown);
                if let Some(counts) = counts {
                    shown.total.add(counts);
                    shown.counted = true;
                }
                let told = |error: &PipelineError| (error.to_string().into(), error.hint().into());
                shown.error = error.as_ref().map(told);
            }
            let Some(failed) = &error else {
                let error = self.gates.spools.until_done(&mut self.stop).await;
                break (error, rereads);
            };
            // One that ran well for so long begins to count anew.
            attempts = match &self.planned.restart {
                Some(policy) if clock.elapsed().saturating_sub(at) >= policy.max_delay => 1,
                _ => attempts.saturating_add(1),
            };
            if !self.again(failed, attempts).await {
                break (error, rereads);
            }
            prepared = self.prepare().await;
        };
        engines.end().await;
        removed.end(&self.stop).await;
        if let Err(error) = self.note_spools().await {
            let pipeline = &self.planned.id;
            tracing::warn!(%pipeline, "what is left in spools cannot be noted, so that all of them count as having some: {error}");
        }
        if error.is_some() {
            let told = |error: &PipelineError| (error.to_string().into(), error.hint().into());
            locked(&self.shown).error = error.as_ref().map(told);
        }
        let used = self.planned.destinations.iter().map(Used::from).collect();
        let mut shown = locked(&self.shown);
        (shown.state, shown.since) = (State::Ended, clock.elapsed());
        let Total { counts, left } = shown.total.clone();
        Report {
            pipeline: self.planned.id.clone(),
            counts: shown.progress.settled(counts.unwrap_or_else(|| shown.progress.raw())),
            restarts: shown.restarts,
            left,
            used,
            processors: processors(&self.planned),
            purged: self.kept.purged(),
            switched_off,
            took: clock.elapsed().saturating_sub(began),
            error,
            rereads,
        }
    }

    async fn start(&self, prepared: Prepared) -> (Option<Counts>, Option<PipelineError>, bool) {
        let Prepared { pipeline, progress } = prepared;
        {
            let mut shown = locked(&self.shown);
            (shown.state, shown.since) = (State::Running, self.means.clock.elapsed());
            shown.progress = progress.clone();
            shown.counted = false;
        }
        let patience = Patience {
            pipeline: self.planned.id.clone(),
            clock: self.means.clock.clone(),
            progress: progress.clone(),
            stop: self.stop.clone(),
        };
        let rereads = pipeline.source.rereads();
        // A store that cannot be written to for now is waited for here as it is later.
        let owed = match patience.until(|| self.begin_to_owe(rereads)).await {
            Ok(owed) => owed,
            Err(error) => return (None, Some(error.into()), true),
        };
        if let Err(error) = patience.until(|| self.begin_to_follow()).await {
            return (None, Some(error.into()), true);
        }
        let (store, clock, stop) = (self.kept.clone(), self.means.clock.clone(), self.stop.clone());
        let surroundings = Surroundings { store, clock, stop, entrance: self.gates.entrance.clone() };
        match tokio::spawn(pipeline.run(surroundings, progress.clone())).await {
            Ok(Ended { counts, error, rereads }) => {
                if rereads && let Err(error) = patience.until(|| self.still_owed(&owed, &counts)).await {
                    let pipeline = &self.planned.id;
                    tracing::warn!(%pipeline, "which destinations are owed records cannot be noted, so that all of them count as owed some: {error}");
                }
                (Some(counts), error, rereads)
            }
            Err(error) => (Some(progress.raw()), Some(PipelineError::Reader(error.to_string())), true),
        }
    }

    /// What is to follow records of earlier starts is in the spools once this is done.
    async fn begin_to_follow(&self) -> Result<(), StoreError> {
        self.gates.spools.begin_anew().await.map_err(|error| match error {
            BulkError::Letters(error) | BulkError::Spool(SpoolError::Store(error)) => error,
            error => {
                let (path, cause) = (self.means.spools.display().to_string(), error.to_string());
                StoreError::Engine { doing: "read", path, cause, passes: false }
            }
        })
    }

    /// From now on every destination may be owed records, whatever becomes of this process. Gives who was before.
    async fn begin_to_owe(&self, rereads: bool) -> Result<Vec<String>, StoreError> {
        let (store, id) = (&self.means.store, &self.planned.id);
        let owed = store.destinations(id).await?;
        // What cannot be read again is owed to nobody.
        if rereads {
            let all = self.planned.destinations.iter().map(|destination| destination.id.to_string());
            // One that is not in the file any more is owed what it was.
            store.keep_destinations(id, all.chain(owed.iter().cloned()).collect()).await?;
        }
        Ok(owed)
    }

    /// Notes which destinations are owed records still: those that left some, and as long as anything is left, those that were owed some before.
    async fn still_owed(&self, before: &[String], counts: &Counts) -> Result<(), StoreError> {
        let (store, id) = (&self.means.store, &self.planned.id);
        let checkpoints = store.checkpoints(id).await?;
        let left = counts.destinations.iter().filter(|destination| destination.pending > 0);
        let mut owed: Vec<String> = left.map(|destination| destination.id.to_string()).collect();
        if checkpoints.iter().any(|checkpoint| checkpoint.next < checkpoint.read_to) {
            owed.extend(before.iter().cloned());
        }
        // Whatever becomes of this process from here on.
        owed.extend(self.gates.spools.left().filter(|(_, left)| *left > 0).map(|(destination, _)| destination.to_owned()));
        store.keep_destinations(id, owed).await
    }

    /// Notes which destinations have records in their spools, which they are owed wherever the source stands.
    async fn note_spools(&self) -> Result<(), StoreError> {
        if self.gates.spools.is_empty() {
            return Ok(());
        }
        let (store, id) = (&self.means.store, &self.planned.id);
        let mut owed = store.destinations(id).await?;
        // Read by now is what a start left pending; whatever went into a spool is not among it.
        let raw = locked(&self.shown).total.counts.clone();
        let pending = |id: &str| {
            let counts = raw.iter().flat_map(|counts| &counts.destinations).find(|counts| *counts.id == *id);
            counts.is_none_or(|counts| counts.pending > 0)
        };
        for (destination, left) in self.gates.spools.left() {
            let known = owed.iter().any(|known| known == destination);
            match (left > 0, known) {
                (true, false) => owed.push(destination.to_owned()),
                (false, true) if !pending(destination) => owed.retain(|known| known != destination),
                _ => {}
            }
        }
        store.keep_destinations(id, owed).await
    }

    async fn prepare(&self) -> Result<Prepared, PipelineError> {
        self.means.prepare(&self.planned, &self.kept, &self.gates).await.map_err(PipelineError::from)
    }

    /// Waits until it is to be started again after a failure; false where it is not.
    async fn again(&mut self, failed: &PipelineError, attempts: u32) -> bool {
        let Some(policy) = &self.planned.restart else { return false };
        let id = &self.planned.id;
        if *self.stop.borrow() != Stopping::No {
            return false;
        }
        if policy.is_over(attempts, Duration::ZERO) {
            tracing::error!(pipeline = %id, "ended in an error {attempts} times in a row, and is not started again (restart.max-attempts)");
            return false;
        }
        let clock = &self.means.clock;
        let wait = policy.wait(attempts, clock);
        let why = failed.to_string();
        tracing::error!(pipeline = %id, hint = failed.hint(), "ended in an error, to be started again in {wait:?}: {}", printable(&why, false));
        {
            let mut shown = locked(&self.shown);
            let now = clock.elapsed();
            (shown.state, shown.since) = (State::Restarting { again: now + wait }, now);
        }
        tokio::select! {
            biased;
            // Where the sender is gone, nobody wants it any more.
            _asked = self.stop.wait_for(|stop| *stop != Stopping::No) => return false,
            () = self.hurry.notified() => {}
            () = clock.sleep(wait) => {}
        }
        locked(&self.shown).restarts += 1;
        true
    }
}
