//! Destinations that take files: the spool in front of each, its engine, and the schedule by which files are made.
//!
//! They live as long as their pipeline does, over all of its starts: what is in a spool goes on while the source is down, and after it has ended.

mod serve;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{StartError, at_rest::lost, components::Components, means::Means, overview::SpoolOverview, owed};
use crate::{
    bulk::{BulkError, Driver, Intake, Letters, Mixed, Order, Resolve, Rest, Tallied},
    clock::{Clock, rfc3339_of},
    config::{Schedule, Size, Zone},
    operate::{
        Refused,
        spools::{Decision, Open},
    },
    pipeline::{Destination, DestinationError, Gate, Outlet, PipelineError, Policy, Spooled, Spooling, Stopping, Timetable},
    plan::PlannedPipeline,
    store::{
        DeadLetter, Kept, PipelineStore, Settled, SqliteStore, Store, StoreError,
        spool::{Adopted, Millis, Spool, SpoolError, SpoolState, SqliteSpool, UploadState},
    },
};

/// The spool itself, in the folder of its destination.
pub(super) const SPOOL: &str = "spool.db";

/// A moment that is no further away, in milliseconds, is not worth a word.
const SOON: Millis = 1000;

/// What a record in a spool may be that has reached no end.
const OPEN: [SpoolState; 5] =
    [SpoolState::Waiting, SpoolState::Executing, SpoolState::Uploading, SpoolState::Failed, SpoolState::Unknown];

/// What an upload may be that is not settled.
const AT_WORK: [UploadState; 5] =
    [UploadState::Staged, UploadState::Sending, UploadState::Working, UploadState::Asking, UploadState::Held];

/// The destinations of a pipeline that take files, by id.
#[derive(Clone, Default)]
pub(super) struct Spools(HashMap<Arc<str>, Arc<Uploading>>);

/// One destination that takes files.
pub(super) struct Uploading {
    pipeline: Arc<str>,
    destination: Destination,
    spool: Tallied,
    /// What it may take.
    most: Size,
    intake: Intake,
    folder: PathBuf,
    gate: Gate,
    clock: Clock,
    components: Components,
    /// Where it stands what is owed to the spool.
    store: SqliteStore,
    /// Whether it is served until all is settled.
    settles: bool,
    served: Vec<Served>,
    /// The folder of staged files of each action, by its index.
    folders: Vec<u32>,
}

/// One of its actions in front of which records wait.
struct Served {
    of: Arc<Spooling>,
    /// How one tells the engine that runs.
    orders: Mutex<Option<mpsc::Sender<Order>>>,
    driver: Driver,
}

impl Served {
    fn orders(&self) -> MutexGuard<'_, Option<mpsc::Sender<Order>>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes dead letters of one pipeline.
pub(super) struct Given {
    pub(super) kept: Arc<Kept<SqliteStore>>,
    pub(super) pipeline: Arc<str>,
}

#[async_trait]
impl Letters for Given {
    async fn give_up(&self, letters: Vec<DeadLetter>) -> Result<(), StoreError> {
        self.kept.settle(&self.pipeline, Arc::new(Settled::new(None, letters))).await
    }
}

/// Engines that run.
pub(super) struct Engines {
    /// Of which pipeline and destination each is.
    running: Vec<(Arc<Uploading>, JoinHandle<()>)>,
    end: watch::Sender<bool>,
}

impl Spools {
    /// Opens those of a pipeline. `again` tells that what they take was given up once.
    pub async fn open(
        means: &Means,
        planned: &PlannedPipeline,
        gate: impl Fn(&str) -> Gate,
        again: bool,
    ) -> Result<Self, StartError> {
        let mut spools = HashMap::new();
        for destination in &planned.destinations {
            let Some(first) = destination.actions.spooled.first() else { continue };
            // Whatever else looks for it before: from here on there is one.
            if let Some(data_dir) = means.spools.parent()
                && let Some(lost) = lost(&means.store, data_dir, (&planned.id, &destination.id)).await?
            {
                return Err(StartError::Lost(Box::new(lost)));
            }
            let most = first.keys.spool.max_bytes;
            let id = destination.id.clone();
            let failed = |cause: BulkError| StartError::Uploads {
                pipeline: planned.id.clone(),
                destination: destination.id.clone(),
                cause,
            };
            let mut destination = destination.clone();
            means.keep(&planned.id, &id, &mut destination.opening);
            destination.opening.lifecycle = Some(means.lifecycle(&planned.id, &id));
            let opened = Uploading::open(means, &planned.id, destination, (most, again), gate(&id)).await;
            spools.insert(id, Arc::new(opened.map_err(failed)?));
        }
        Ok(Self(spools))
    }

    /// What stands before a destination of which all that comes waits in a spool.
    pub fn entrance(&self, destination: &Destination) -> Option<Outlet> {
        let uploading = self.0.get(&destination.id).filter(|_| destination.actions.at_once.is_empty())?;
        let far = Arc::new(uploading.intake.clone());
        Some(Outlet::spool(destination.clone(), far, uploading.spool.counts().clone()))
    }

    /// What stands before a destination of which some is written as it comes, and some waits.
    pub fn beside(&self, destination: &Destination) -> Option<Outlet> {
        let uploading = self.0.get(&destination.id)?;
        let far = Arc::new(Mixed::new(destination.clone(), uploading.intake.clone()));
        Some(Outlet::mixed(destination.clone(), far, uploading.spool.counts().clone()))
    }

    /// What became of records in a destination's spool, where it has one.
    pub fn counts(&self, destination: &str) -> Option<Arc<Spooled>> {
        self.0.get(destination).map(|uploading| uploading.spool.counts().clone())
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Uploading>> {
        self.0.values()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The destinations, and how many records are in the spool of each.
    pub fn left(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(id, uploading)| (&**id, uploading.spool.counts().open()))
    }

    /// Before anything is written: puts what is owed to them into them, and forgets what was promised for records that come once more.
    pub async fn begin_anew(&self) -> Result<(), BulkError> {
        for uploading in self.0.values() {
            uploading.pay().await?;
            uploading.spool.forget_written().await?;
        }
        Ok(())
    }

    /// Begins to work on what is in them.
    pub fn begin(&self, kept: &Arc<Kept<SqliteStore>>, stop: &watch::Receiver<Stopping>) -> Engines {
        let (end, ended) = watch::channel(false);
        let serve = |uploading: &Arc<Uploading>| {
            let letters = Arc::new(Given { kept: kept.clone(), pipeline: uploading.pipeline.clone() });
            let each =
                (0..uploading.served.len()).map(|at| uploading.clone().serve(at, letters.clone(), stop.clone(), ended.clone()));
            let paying = uploading.clone().pays(kept.owing(), ended.clone());
            let running = each.map(tokio::spawn).chain([tokio::spawn(paying)]);
            running.map(|running| (uploading.clone(), running)).collect::<Vec<_>>()
        };
        Engines { running: self.0.values().flat_map(serve).collect(), end }
    }

    /// After the source has ended: waits until somebody says that it is enough or, where that is wanted, nothing goes on by itself any more.
    pub async fn until_done(&self, stop: &mut watch::Receiver<Stopping>) -> Option<PipelineError> {
        let settled = async {
            for uploading in self.0.values() {
                if let Err(why) = uploading.rests().await {
                    let Destination { id, connector, .. } = &uploading.destination;
                    let cause = DestinationError::Paused { why };
                    return Some(PipelineError::Destination { id: id.clone(), connector: connector.title(), cause });
                }
            }
            None
        };
        if self.0.is_empty() {
            return None;
        }
        tokio::select! {
            biased;
            // Where the sender is gone, nobody wants it any more.
            _asked = stop.wait_for(|stop| *stop != Stopping::No) => None,
            error = settled => error,
        }
    }
}

impl Engines {
    /// Lets them finish the calls that are under way.
    pub async fn end(self) {
        self.end.send_replace(true);
        for (of, running) in self.running {
            if let Err(error) = running.await {
                let (pipeline, destination) = (&of.pipeline, &of.destination.id);
                tracing::error!(%pipeline, %destination, "bulk delivery ended unexpectedly: {error}");
            }
        }
    }
}

impl Uploading {
    async fn open(
        means: &Means,
        pipeline: &Arc<str>,
        destination: Destination,
        (most, again): (Size, bool),
        gate: Gate,
    ) -> Result<Self, BulkError> {
        let folder = means.spools.join(&**pipeline).join(&*destination.id);
        let path = folder.join(SPOOL);
        let opened = tokio::task::spawn_blocking(move || SqliteSpool::open(&path, most)).await;
        let spool = opened.map_err(|error| BulkError::Ended(error.to_string()))?.map_err(SpoolError::from)?;
        means.store.keep_spool(pipeline, &destination.id, Some(&spool.identity().await?)).await?;
        // It is for actions as they were, and goes with them from there.
        owed::pay(&means.store, &spool, (pipeline, &destination.id), &means.clock).await?;
        let Adopted { folders, gone } = spool.adopt(names(&destination)).await?;
        for gone in gone {
            // Nobody asks for these files any more; what cannot be removed takes room and does no harm.
            let _left = tokio::fs::remove_dir_all(staged(&folder, gone)).await;
        }
        spool.recover(None, means.clock.millis()).await?;
        let components = Components::new(folder.join("components"));
        components.keep(&destination.connector).await?;
        let used = spool.uploads().await?.into_iter().map(|upload| upload.digest);
        components.keep_only(used.chain([destination.connector.digest.as_str().into()]).collect()).await?;
        let spool = Tallied::new(Arc::new(spool)).await?;
        let intake = Intake {
            title: destination.connector.title().into(),
            spool: spool.clone(),
            actions: destination.actions.clone(),
            pipeline: pipeline.clone(),
            again,
            opening: destination.opening.clone(),
            clock: means.clock.clone(),
        };
        let served = destination.actions.spooled.iter().map(|of| {
            let timetable = match means.until.now {
                true => Timetable { schedule: Schedule::Realtime, zone: Zone::default() },
                false => of.timetable.clone(),
            };
            let driver = Driver::new(spool.clone(), of.clone(), timetable, means.clock.clone(), gate.clone());
            Served { of: of.clone(), orders: Mutex::default(), driver }
        });
        let served = served.collect();
        let (clock, settles) = (means.clock.clone(), means.until.settled);
        let (pipeline, store) = (pipeline.clone(), means.store.clone());
        Ok(Self { pipeline, destination, store, settles, spool, most, intake, folder, gate, clock, components, served, folders })
    }

    /// Puts what is owed to the spool into it.
    async fn pay(&self) -> Result<(), BulkError> {
        owed::pay(&self.store, &self.spool, (&self.pipeline, &self.destination.id), &self.clock).await
    }

    /// The same, however long that takes.
    async fn pay_at_last(&self) {
        let (mut failures, stall) = (0, self.spool.counts().payer());
        while let Err(error) = self.pay().await {
            failures += 1;
            let wait = Policy::OUTAGE.wait(failures, &self.clock);
            let (pipeline, destination, hint) = (&self.pipeline, &self.destination.id, error.hint());
            tracing::error!(%pipeline, %destination, hint, ?wait, "follow-ups wait to be put into the spool: {error}");
            match error.is_of_the_disk() {
                true => stall.say(&error),
                false => stall.over(),
            }
            self.clock.sleep(wait).await;
        }
    }

    /// The same whenever something is owed, until it is told to end.
    async fn pays(self: Arc<Self>, mut owing: watch::Receiver<()>, mut ended: watch::Receiver<bool>) {
        let paying = async {
            loop {
                owing.borrow_and_update();
                self.pay_at_last().await;
                if owing.changed().await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            biased;
            _ended = ended.wait_for(|ended| *ended) => {}
            () = paying => {}
        }
        // What is left is put there at the next start.
        if let Err(error) = self.pay().await {
            tracing::warn!(pipeline = %self.pipeline, destination = %self.destination.id, "follow-ups are put into the spool at the next start: {error}");
        }
    }

    /// Waits until nothing in the spool goes on by itself any more, where that is wanted; or says why it does not go on.
    async fn rests(&self) -> Result<(), Arc<str>> {
        // The source has ended, and nothing more comes to be owed.
        self.pay_at_last().await;
        loop {
            let follow_ups = || self.spool.counts().follow_ups.load(Relaxed);
            let before = follow_ups();
            for served in &self.served {
                // What was found before the last records came says nothing.
                let asked = served.driver.ask();
                let found = |(known, rest): &(u64, Rest)| self.settles && *known >= asked && *rest != Rest::Moving;
                let mut rest = served.driver.rest();
                let rest = tokio::select! {
                    biased;
                    // The sender is its own.
                    rest = rest.wait_for(found) => rest.map_or(Rest::Done, |rest| rest.1.clone()),
                    () = self.tells_what_it_waits_for(served) => continue,
                };
                if let Rest::Stuck(why) = rest {
                    return Err(why);
                }
            }
            // What became of the last may have given another something to do.
            if follow_ups() == before {
                return Ok(());
            }
        }
    }

    /// Says when what waits for an action goes out, whenever that is another moment; without an end.
    async fn tells_what_it_waits_for(&self, served: &Served) {
        let mut next = served.driver.next();
        let mut told = None;
        loop {
            let at = *next.borrow_and_update();
            if let Some(moment) = at.filter(|at| told != Some(*at) && *at > self.clock.millis().saturating_add(SOON)) {
                let (pipeline, destination, action) = (&self.pipeline, &self.destination.id, self.called(served.of.action));
                let (records, moment) = (self.spool.counts().open(), rfc3339_of(moment));
                tracing::info!(%pipeline, %destination, action, records, "waits until {moment}, when the schedule has what is in its spool go out; `--now` would have it go out at once");
                told = at;
            }
            if next.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The name of an action; nothing where the component has none.
    fn called(&self, action: u32) -> String {
        let actions = &self.destination.connector.descriptor.actions;
        actions.get(action as usize).map(|action| action.name.clone()).unwrap_or_default()
    }

    /// How it stands.
    ///
    /// # Errors
    /// Where the spool cannot be read.
    pub async fn overview(&self) -> Result<SpoolOverview, SpoolError> {
        let (status, uploads) = (self.spool.status().await?, self.spool.uploads().await?);
        let now = self.clock.millis();
        let age = |at: Millis| Duration::from_millis(now.saturating_sub(at));
        let of = |state: UploadState| (state, uploads.iter().filter(|upload| upload.state == state).count() as u64);
        let next = self.spool.counts().next().into_iter();
        Ok(SpoolOverview {
            pipeline: self.pipeline.clone(),
            destination: self.destination.id.clone(),
            records: OPEN.map(|state| (state, status.of(state))),
            bytes: status.bytes + status.promised_bytes,
            most: self.most,
            oldest: status.oldest.map_or(Duration::ZERO, age),
            uploads: AT_WORK.map(of),
            next: next.map(|(action, at)| (self.called(action), Duration::from_millis(at.saturating_sub(now)))).collect(),
        })
    }

    /// The spool, as a person asks it.
    pub fn opened(&self) -> Open {
        let (pipeline, destination) = (self.pipeline.to_string(), self.destination.id.to_string());
        Open { pipeline, destination, spool: Arc::new(self.spool.clone()) }
    }

    /// Has the engine decide about an upload; false where none runs.
    pub async fn decide(&self, upload: i64, decision: Decision) -> Result<bool, Refused> {
        if self.served.iter().all(|served| served.orders().is_none()) {
            return Ok(false);
        }
        let uploads = self.spool.uploads().await?;
        let held = uploads.iter().find(|one| one.id == upload && one.state == UploadState::Held);
        let served = held.and_then(|held| self.served.iter().find(|served| served.of.action == held.action));
        let Some(orders) = served.and_then(|served| served.orders().clone()) else {
            return Err(Refused {
                what: format!("upload {upload} is under way, and goes on by itself"),
                hint: Some("one that is held can be decided about, and any of them once the host is stopped".into()),
            });
        };
        let resolve = match decision {
            Decision::Ask => Resolve::Ask,
            Decision::Resend => Resolve::Resend,
            Decision::Abandon => Resolve::Abandon,
        };
        let gone = |_| Refused { what: "the host is ending".into(), hint: Some("ask again once it has".into()) };
        orders.send(Order::Resolve(upload, resolve)).await.map_err(gone)?;
        Ok(true)
    }
}

/// The folder of an action's staged files, by its number.
fn staged(folder: &Path, number: u32) -> PathBuf {
    folder.join("staged").join(number.to_string())
}

/// What the actions of a destination's component are called; one without any has one that is called nothing.
pub(super) fn names(destination: &Destination) -> Vec<String> {
    let actions = &destination.connector.descriptor.actions;
    if actions.is_empty() { vec![String::new()] } else { actions.iter().map(|action| action.name.clone()).collect() }
}
