//! The life of one pipeline: it is started, started again by its policy where it ends in an error, and stopped, whatever the others do.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{Notify, watch};

use super::{
    Report, Used,
    course::{Course, Shown, locked, processors},
    means::{Gates, Means, Prepared},
    overview::{DestinationOverview, PipelineOverview, State},
    report::Total,
    uploads::Spools,
};
use crate::{
    pipeline::{Gate, Pause, PipelineError, Progress, Stopping},
    plan::PlannedPipeline,
    store::{Kept, SqliteStore},
};

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

    /// Its gates and its spools.
    pub fn gates(&self) -> &Gates {
        &self.gates
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
