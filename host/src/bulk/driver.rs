//! Has records go out of the spool when the schedule says so, as files or written.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::sync::{mpsc, watch};

use super::{Order, Stand, Tallied};
use crate::{
    clock::Clock,
    pipeline::{Gate, Sooner, Spooling, Timetable},
    store::spool::{Millis, Spool as _, SpoolError, SpoolState},
};

/// The shortest time between two moments at which records go out.
const LEAST: Duration = Duration::from_secs(1);

/// How often it is looked for what is too old to be kept.
const PRUNED: Duration = Duration::from_secs(600);

/// How long nothing is looked at, at the most: the time of day may jump.
const NAP: Duration = Duration::from_secs(60);

/// Has an engine see to what waits in a spool for one action: make files of it, or write it.
///
/// It outlives engines: what is due follows from what is in the spool, and from nothing that it remembers.
pub struct Driver {
    spool: Tallied,
    of: Arc<Spooling>,
    timetable: Timetable,
    clock: Clock,
    gate: Gate,
    /// How often it was asked whether anything is left, and what was found when it had been asked so often.
    asked: AtomicU64,
    rest: watch::Sender<(u64, Rest)>,
    next: watch::Sender<Option<Millis>>,
}

/// Whether there is anything left that goes on by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Rest {
    /// There is.
    #[default]
    Moving,
    /// There is not: all is settled, or waits for a person.
    Done,
    /// There is, and it does not go on.
    Stuck(Arc<str>),
}

impl Driver {
    /// One for an action, on a timetable that need not be its own.
    pub fn new(spool: Tallied, of: Arc<Spooling>, timetable: Timetable, clock: Clock, gate: Gate) -> Self {
        let (asked, rest, next) = Default::default();
        Self { spool, of, timetable, clock, gate, asked, rest, next }
    }

    /// Has records go out until the engine ends.
    ///
    /// # Errors
    /// Where the spool cannot be read or written.
    pub async fn drive(&self, orders: mpsc::Sender<Order>, mut stand: watch::Receiver<Stand>) -> Result<(), SpoolError> {
        let (mut fired, mut pruned) = (None, None);
        let (mut gate, mut changes) = (self.gate.watch(), self.spool.changes());
        loop {
            let elapsed = self.clock.elapsed();
            if pruned.is_none_or(|pruned| elapsed >= pruned) {
                let history: Duration = self.of.keys.spool.history.into();
                self.spool.prune(self.clock.millis().saturating_sub(millis(history))).await?;
                pruned = Some(elapsed + PRUNED);
            }
            gate.borrow_and_update();
            changes.borrow_and_update();
            let asked = self.asked.load(SeqCst);
            // Before it is looked what there is: what an upload leaves is in the spool before it is told of.
            let now = stand.borrow_and_update().clone();
            let due = self.due(fired).await?;
            self.goes_out(due);
            self.rests(&now, due.is_none(), asked).await?;
            let wait = due.map(|at| at.saturating_sub(self.clock.millis()));
            if wait == Some(0) && !now.firing {
                if orders.send(Order::Fire).await.is_err() {
                    return Ok(());
                }
                fired = Some(self.clock.millis());
                continue;
            }
            let nap = wait.filter(|_| !now.firing).map_or(NAP, |wait| Duration::from_millis(wait).min(NAP));
            tokio::select! {
                () = self.clock.sleep(nap) => {}
                // The senders of both are its own.
                _changed = changes.changed() => {}
                _changed = gate.changed() => {}
                changed = stand.changed() => if changed.is_err() {
                    return Ok(());
                },
            }
        }
    }

    /// Tells when records go out next. A moment that never comes is none.
    fn goes_out(&self, due: Option<Millis>) {
        let next = due.filter(|at| *at != Millis::MAX);
        self.spool.counts().goes_out(self.of.action, next);
        self.next.send_if_modified(|was| std::mem::replace(was, next) != next);
    }

    /// When records go out next, in milliseconds since 1970; `None` where none wait for a moment.
    pub fn next(&self) -> watch::Receiver<Option<Millis>> {
        self.next.subscribe()
    }

    /// When records are to go out next, where there are any.
    async fn due(&self, fired: Option<Millis>) -> Result<Option<Millis>, SpoolError> {
        let backlog = self.spool.backlog(self.of.action).await?;
        let Sooner { records, bytes, delay } = self.of.sooner;
        // What did not go out when some did last waits for the moment after that.
        let scheduled = |at: Millis| self.timetable.after(at.max(fired.unwrap_or_default())).unwrap_or(Millis::MAX);
        let waiting = backlog.oldest.map(|oldest| {
            let enough = records.is_some_and(|most| backlog.records >= u64::from(most))
                || bytes.is_some_and(|most| backlog.bytes >= most.bytes());
            let late = delay.map(|most| oldest.saturating_add(most.millis()));
            let soonest = if enough { 0 } else { scheduled(oldest) };
            soonest.min(late.unwrap_or(Millis::MAX))
        });
        let due = waiting.into_iter().chain(backlog.failed.map(scheduled)).min();
        Ok(due.map(|at| at.max(fired.map_or(0, |fired| fired.saturating_add(millis(LEAST))))))
    }

    /// Tells whether anything goes on by itself.
    async fn rests(&self, stand: &Stand, nothing_due: bool, asked: u64) -> Result<(), SpoolError> {
        let held = stand.held as u64;
        let open = self.spool.uploads().await?.into_iter().filter(|upload| upload.action == self.of.action).count() as u64;
        let idle = nothing_due && !stand.firing && stand.in_flight == 0 && open == held;
        // What somebody has in hand to give it up comes to an end, or back.
        let idle = idle
            && self
                .spool
                .status()
                .await?
                .records
                .get(&(self.of.action, SpoolState::Executing))
                .is_none_or(|records| *records == 0);
        let pause = self.gate.state().pause.filter(|pause| !pause.by_hand);
        let rest = match (idle, pause) {
            (true, _) => {
                // There is nothing left that has to be kept.
                self.spool.counts().goes_on(Some(self.of.action));
                Rest::Done
            }
            (false, Some(pause)) => Rest::Stuck(pause.why),
            (false, None) => Rest::Moving,
        };
        self.tells(asked, rest);
        Ok(())
    }

    fn tells(&self, asked: u64, rest: Rest) {
        let found = (asked, rest);
        self.rest.send_if_modified(|was| {
            let changed = *was != found;
            *was = found;
            changed
        });
    }

    /// What it has goes on no more, and why.
    pub fn stuck(&self, why: Arc<str>) {
        self.tells(self.asked.load(SeqCst), Rest::Stuck(why));
    }

    /// Has it found out anew whether anything is left. Gives how often that was asked for.
    pub fn ask(&self) -> u64 {
        let asked = self.asked.fetch_add(1, SeqCst) + 1;
        self.spool.look();
        asked
    }

    /// What was found, and when it had been asked how often.
    pub fn rest(&self) -> watch::Receiver<(u64, Rest)> {
        self.rest.subscribe()
    }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
