//! The engine of one action: makes files when it is told to, and drives their uploads side by side.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
};

use super::{AnyFar, BulkError, BulkFar, BulkPolicy, Exit, Letters, Staging, blame::Blame, stage::Round, written::Written};
use crate::{
    clock::Clock,
    pipeline::{Gate, Pause},
    record::Failure,
    sandbox::log::Log,
    store::spool::{Millis, Settling, Spool, Step, StoredUpload, UploadState},
};

/// What an engine is told to do.
#[derive(Clone, Debug)]
pub enum Order {
    /// Make files of all that is due, one after the other. The schedule says when.
    Fire,
    /// Decide about an upload that is held.
    Resolve(i64, Resolve),
}

/// What is to become of an upload that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// The far side is asked again: how far it is, or whether it took effect.
    Ask,
    /// Its records are sent again, in another file.
    Resend,
    /// Its records are dead letters.
    Abandon,
}

/// How an engine stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stand {
    /// Whether files are being made, or are to be made as soon as there is room.
    pub firing: bool,
    /// Uploads under way.
    pub in_flight: usize,
    /// Uploads that wait for a person.
    pub held: usize,
}

/// Makes files of what is in the spool and drives their uploads, for one action of one destination.
///
/// It holds nothing that is not in the spool or staged: dropping it at any instant is what a crash is, and the next one goes on from there.
pub struct Engine {
    shared: Arc<Shared>,
    stand: watch::Sender<Stand>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("destination", &self.shared.destination).field("action", &self.shared.action).finish()
    }
}

/// What all uploads share.
pub(super) struct Shared {
    pub(super) pipeline: Arc<str>,
    pub(super) destination: Arc<str>,
    pub(super) action: u32,
    /// What the action is called.
    pub(super) called: Option<Arc<str>>,
    pub(super) exit: Exit,
    /// Components besides the one at hand that have uploads which are not settled.
    pub(super) earlier: Vec<Arc<dyn BulkFar>>,
    pub(super) spool: Arc<dyn Spool>,
    pub(super) staging: Staging,
    pub(super) letters: Arc<dyn Letters>,
    pub(super) policy: BulkPolicy,
    pub(super) clock: Clock,
    pub(super) gate: Gate,
    pub(super) log: Option<Log>,
    pub(super) blame: Blame,
    stopping: watch::Sender<bool>,
}

/// What an engine works with.
pub struct Parts {
    /// The pipeline's id.
    pub pipeline: Arc<str>,
    /// The destination's id.
    pub destination: Arc<str>,
    /// Index of the action.
    pub action: u32,
    /// What the action is called, for the log; `None` where the component has none.
    pub called: Option<Arc<str>>,
    /// How its records leave the spool, with the component at hand.
    pub exit: Exit,
    /// Others that have uploads which are not settled: an upload stays with the component that made it.
    pub earlier: Vec<Arc<dyn BulkFar>>,
    /// Where records wait.
    pub spool: Arc<dyn Spool>,
    /// Where files are kept, of this action alone.
    pub staging: Staging,
    /// Where records go that are given up.
    pub letters: Arc<dyn Letters>,
    /// What holds for its uploads.
    pub policy: BulkPolicy,
    /// The clock.
    pub clock: Clock,
    /// Whether the destination takes anything.
    pub gate: Gate,
    /// What the lines of the log share that its records cause; `None` where they share nothing.
    pub log: Option<Log>,
}

impl Engine {
    /// For what was left by the one before. Several engines may be at work on one spool, each on an action of its own.
    pub fn new(parts: Parts) -> Self {
        let Parts { pipeline, destination, action, called, exit, earlier, spool, staging, letters, policy, clock, gate, log } =
            parts;
        let stopping = watch::Sender::new(false);
        let blame = Blame::default();
        let shared = Shared {
            pipeline,
            destination,
            action,
            called,
            exit,
            earlier,
            spool,
            staging,
            letters,
            policy,
            clock,
            gate,
            log,
            blame,
            stopping,
        };
        Self { shared: shared.into(), stand: watch::Sender::default() }
    }

    /// To be told how it stands.
    pub fn watch(&self) -> watch::Receiver<Stand> {
        self.stand.subscribe()
    }

    /// Goes on with what was left, and with what it is told, until nobody can tell it anything any more; then it finishes the calls that are
    /// under way. The spool has recovered by then ([`Spool::recover`]).
    ///
    /// # Errors
    /// Where it cannot go on. Nothing is lost by that: another engine can.
    pub async fn run(self, mut orders: mpsc::Receiver<Order>) -> Result<(), BulkError> {
        let Self { shared, stand } = self;
        let mut running = Running { flights: JoinSet::new(), held: 0, shared, stand, firing: None, failures: 0 };
        running.begin().await?;
        loop {
            let wait = running.make_files().await?;
            let clock = running.shared.clock.clone();
            let nap = async {
                match wait {
                    Some(wait) => clock.sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => running.take(order).await?,
                    None => break,
                },
                Some(flown) = running.flights.join_next() => running.landed(flown)?,
                () = nap => {}
            }
        }
        running.shared.stopping.send_replace(true);
        while let Some(flown) = running.flights.join_next().await {
            running.landed(flown)?;
        }
        Ok(())
    }
}

/// An engine under way.
struct Running {
    shared: Arc<Shared>,
    stand: watch::Sender<Stand>,
    flights: JoinSet<Result<bool, BulkError>>,
    held: usize,
    /// Number of the next file of this firing; `None` where nothing is to be made.
    firing: Option<u32>,
    /// How often in a row nothing could go out.
    failures: u32,
}

impl Running {
    async fn begin(&mut self) -> Result<(), BulkError> {
        let Shared { spool, staging, action, .. } = &*self.shared;
        let mut left = spool.uploads().await?;
        left.retain(|upload| upload.action == *action);
        let (staging, names) = (staging.clone(), left.iter().map(|upload| upload.file.clone()).collect::<HashSet<_>>());
        self.shared.blocking(move || staging.keep_only(&names)).await?;
        left.into_iter().for_each(|upload| self.fly(upload));
        self.tell();
        Ok(())
    }

    fn fly(&mut self, upload: StoredUpload) {
        if upload.state == UploadState::Held {
            self.held += 1;
            return;
        }
        let shared = self.shared.clone();
        self.flights.spawn(async move { shared.fly(upload).await });
    }

    fn landed(&mut self, flown: Result<Result<bool, BulkError>, JoinError>) -> Result<(), BulkError> {
        let held = flown.map_err(|error| BulkError::Ended(error.to_string()))??;
        self.held += usize::from(held);
        self.tell();
        Ok(())
    }

    async fn take(&mut self, order: Order) -> Result<(), BulkError> {
        match order {
            Order::Fire => {
                self.firing.get_or_insert(0);
            }
            Order::Resolve(id, resolve) => {
                let uploads = self.shared.spool.uploads().await?;
                let held = |upload: &StoredUpload| upload.id == id && upload.state == UploadState::Held;
                if let Some(upload) = uploads.into_iter().find(held) {
                    let upload = self.shared.resolve(upload, resolve).await?;
                    self.held = self.held.saturating_sub(1);
                    self.fly(upload);
                }
            }
        }
        self.tell();
        Ok(())
    }

    /// Makes files as far as there is room for their uploads. Gives how long to wait before it is tried again, where it is to be.
    async fn make_files(&mut self) -> Result<Option<Duration>, BulkError> {
        let most = if self.shared.policy.ordered { 1 } else { self.shared.policy.max_uploads.max(1) as usize };
        while let Some(part) = self.firing.filter(|_| self.flights.len() < most) {
            if !self.shared.gate.is_open() {
                self.shared.gate.retry(self.shared.clock.elapsed());
            }
            if let Some(pause) = self.shared.gate.state().shut() {
                // It is opened by hand, or tried again when its time has come.
                let now = self.shared.clock.elapsed();
                return Ok(Some(pause.again.map_or(self.shared.policy.pause, |again| again.saturating_sub(now))));
            }
            let far = match &self.shared.exit {
                Exit::Files(far) => far,
                Exit::Writes(far) => match self.shared.write(&**far, self.failures).await? {
                    Written::Some => {
                        self.failures = 0;
                        // Whoever tells it to end is heard between two calls.
                        return Ok(Some(Duration::ZERO));
                    }
                    Written::Nothing => {
                        (self.firing, self.failures) = (None, 0);
                        self.tell();
                        return Ok(None);
                    }
                    Written::Later(wait) => {
                        self.failures = self.failures.saturating_add(1);
                        return Ok(Some(wait));
                    }
                },
            };
            match self.shared.stage(&**far, part, self.failures).await? {
                Round::Staged(upload) => {
                    self.firing = Some(part.saturating_add(1));
                    self.failures = 0;
                    self.fly(upload);
                    self.tell();
                }
                Round::Nothing => {
                    self.firing = None;
                    self.failures = 0;
                    self.tell();
                }
                Round::Later(wait) if wait.is_zero() => self.failures = 0,
                Round::Later(wait) => {
                    self.failures = self.failures.saturating_add(1);
                    return Ok(Some(wait));
                }
            }
        }
        Ok(None)
    }

    fn tell(&self) {
        let stand = Stand { firing: self.firing.is_some(), in_flight: self.flights.len(), held: self.held };
        self.stand.send_if_modified(|was| {
            let changed = *was != stand;
            *was = stand;
            changed
        });
    }
}

impl Shared {
    /// The component at hand.
    pub(super) fn far(&self) -> &dyn AnyFar {
        self.exit.far()
    }

    /// Those that are handed files: the one at hand where it is, and the earlier ones.
    pub(super) fn fars(&self) -> impl Iterator<Item = &Arc<dyn BulkFar>> {
        let at_hand = match &self.exit {
            Exit::Files(far) => Some(far),
            Exit::Writes(_) => None,
        };
        at_hand.into_iter().chain(&self.earlier)
    }

    pub(super) fn title(&self) -> Arc<str> {
        self.far().title()
    }

    pub(super) fn renew(&self) {
        self.far().renew();
        self.earlier.iter().for_each(|far| far.renew());
    }

    /// The time of day, in milliseconds since 1970.
    pub(super) fn now(&self) -> Millis {
        self.clock.millis()
    }

    /// So long from now.
    pub(super) fn after(&self, wait: Duration) -> Millis {
        self.now().saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    }

    /// Nothing goes on until a person says so, or it is tried again.
    pub(super) fn pause(&self, failure: &Failure) {
        self.shut(&failure.to_string());
    }

    /// The same, for whatever reason.
    pub(super) fn shut(&self, why: &str) {
        let (pipeline, destination, action, again) = (&*self.pipeline, &*self.destination, self.called(), self.policy.pause);
        tracing::error!(pipeline, destination, action, "paused, to be tried again in {again:?}: {why}");
        let since = self.clock.elapsed();
        let again = Some(since.saturating_add(again));
        self.gate.shut(Pause { why: why.into(), since, again, by_hand: false });
    }

    /// What the action is called, for the log.
    pub(super) fn called(&self) -> Option<&str> {
        self.called.as_deref()
    }

    /// When it goes on that is to wait for so long, in words: not before the destination takes something.
    pub(super) fn goes_on_in(&self, wait: Duration) -> String {
        match self.gate.state().shut().map(|pause| pause.again) {
            None => format!("in {wait:?}"),
            Some(Some(again)) => format!("in {:?}", wait.max(again.saturating_sub(self.clock.elapsed()))),
            Some(None) => "once it is resumed".to_owned(),
        }
    }

    /// Waits until a moment has come and the destination takes something; false where the engine stops before.
    pub(super) async fn wait_until(&self, at: Millis) -> bool {
        let mut stopping = self.stopping.subscribe();
        let come = async {
            loop {
                let wait = at.saturating_sub(self.now());
                if wait == 0 {
                    break;
                }
                self.clock.sleep(Duration::from_millis(wait)).await;
            }
            loop {
                self.gate.retry(self.clock.elapsed());
                let state = self.gate.state();
                let Some(pause) = state.shut() else { break };
                let again = async {
                    match pause.again {
                        Some(again) => self.clock.sleep(again.saturating_sub(self.clock.elapsed())).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = self.gate.opened() => {}
                    () = again => {}
                }
            }
        };
        tokio::select! {
            biased;
            _stopped = stopping.wait_for(|stopping| *stopping) => false,
            () = come => true,
        }
    }

    /// Runs what waits for the disk, off the executor's threads.
    pub(super) async fn blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<R, BulkError> + Send + 'static,
    ) -> Result<R, BulkError> {
        tokio::task::spawn_blocking(work).await.map_err(|error| BulkError::Ended(error.to_string()))?
    }

    async fn resolve(&self, upload: StoredUpload, resolve: Resolve) -> Result<StoredUpload, BulkError> {
        let why = "a person decided so";
        match resolve {
            Resolve::Ask => {
                // What has a handle took effect.
                let state = if upload.handle.is_some() { UploadState::Working } else { UploadState::Sending };
                let ask = Step { state: Some(state), next: Some(self.now()), failures: Some(0), ..Step::default() };
                Ok(self.spool.step(upload.id, ask, self.now()).await?)
            }
            Resolve::Resend => {
                let again = Settling::Failed { due: self.now(), counted: true, reason: why.into() };
                self.all(&upload, again, why).await
            }
            Resolve::Abandon => self.abandon(&upload, "abandoned", why).await,
        }
    }
}
