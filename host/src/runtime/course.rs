//! The course of a pipeline's life: start after start, by its policy.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, watch};

use super::{
    Report, Used,
    means::{Gates, Means, Prepared},
    overview::{ProcessorOverview, State},
    removed::Removed,
    report::Total,
    switched_off,
};
use crate::{
    bulk::BulkError,
    connector::Processor,
    pipeline::{Counts, Ended, Patience, PipelineError, Progress, Stopping, Surroundings},
    plan::PlannedPipeline,
    sandbox::output::printable,
    store::{Kept, PipelineStore, SqliteStore, Store, StoreError, spool::SpoolError},
};
/// What a life's own task works with.
pub(super) struct Course {
    pub planned: Arc<PlannedPipeline>,
    pub means: Arc<Means>,
    pub kept: Arc<Kept<SqliteStore>>,
    pub gates: Gates,
    pub stop: watch::Receiver<Stopping>,
    pub hurry: Arc<Notify>,
    pub shown: Arc<Mutex<Shown>>,
}

/// How it stands.
pub(super) struct Shown {
    pub state: State,
    /// Since when it has stood so, by the clock's elapsed time.
    pub since: Duration,
    pub progress: Arc<Progress>,
    /// Whether these counters are among the total already.
    pub counted: bool,
    pub restarts: u64,
    /// Why its last start ended, and what to do.
    pub error: Option<(Arc<str>, Arc<str>)>,
    pub total: Total,
    pub report: Option<Report>,
}

impl Course {
    /// Starts it, and again by its policy, until it is over.
    pub async fn run(mut self, first: Result<Prepared, PipelineError>) -> Report {
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
        let mut counts = shown.progress.settled(counts.unwrap_or_else(|| shown.progress.raw()));
        // Who works on a spool pauses its destination where no lane hears of it.
        for destination in counts.destinations.iter_mut().filter(|destination| destination.spool.is_some()) {
            let pause = self.gates.outlets.get(&destination.id).and_then(|gate| gate.state().pause);
            destination.paused = destination.paused.take().or(pause.map(|pause| pause.why));
        }
        Report {
            pipeline: self.planned.id.clone(),
            counts,
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

/// The processors of a pipeline, and behind them those of each destination.
pub(super) fn processors(planned: &PlannedPipeline) -> Vec<ProcessorOverview> {
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

/// What is shown is whole whenever it is let go of.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
