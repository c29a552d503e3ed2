//! The engines of a destination's actions, from the start of each to its end.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};

use super::{Given, Served, Uploading, staged};
use crate::{
    bulk::{BulkError, BulkFar, BulkPolicy, Component, Engine, Exit, Parts, Staging},
    pipeline::{Destination, Far as _, Policy, Spooling, Stopping},
    sandbox::thread,
    store::{
        Reason,
        spool::{Selection, Spool as _, StoredUpload, discard},
    },
};

/// How often it is looked for what waits too long, at the most and at the least.
const LOOKS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

impl Uploading {
    /// Works on what is in the spool until it is told to end; what goes wrong is tried again.
    pub(super) async fn serve(
        self: Arc<Self>,
        at: usize,
        letters: Arc<Given>,
        stop: watch::Receiver<Stopping>,
        ended: watch::Receiver<bool>,
    ) {
        let Some(served) = self.served.get(at) else { return };
        let (mut failures, stall) = (0, self.spool.counts().engine(served.of.action));
        let action = self.called(served.of.action);
        let action = Some(&*action).filter(|name| !name.is_empty());
        loop {
            let began = self.clock.elapsed();
            let Err(error) = self.work(served, &letters, &stop, &ended).await else { return };
            let lasted = self.clock.elapsed().saturating_sub(began);
            failures = if lasted > Policy::OUTAGE.max_delay { 1 } else { failures + 1 };
            let wait = Policy::OUTAGE.wait(failures, &self.clock);
            let (pipeline, destination, hint) = (&self.pipeline, &self.destination.id, error.hint());
            tracing::error!(%pipeline, %destination, action, hint, "uploads go on in {wait:?}: {error}");
            match error.is_of_the_disk() {
                true => stall.say(&error),
                false => stall.over(),
            }
            served.driver.stuck(error.to_string().into());
            tokio::select! {
                biased;
                () = told(stop.clone(), ended.clone()) => return,
                () = self.clock.sleep(wait) => {}
            }
        }
    }

    /// One engine, from its beginning to its end.
    async fn work(
        &self,
        served: &Served,
        letters: &Arc<Given>,
        stop: &watch::Receiver<Stopping>,
        ended: &watch::Receiver<bool>,
    ) -> Result<(), BulkError> {
        self.spool.recover(Some(served.of.action), self.clock.millis()).await?;
        self.announce().await;
        let engine = Engine::new(self.parts(&served.of, letters).await?);
        let stand = engine.watch();
        let (orders, taken) = mpsc::channel(16);
        *served.orders() = Some(orders.clone());
        let mut running = tokio::spawn(engine.run(taken));
        let driven = tokio::select! {
            biased;
            () = told(stop.clone(), ended.clone()) => Ok(()),
            driven = served.driver.drive(orders, stand) => driven.map_err(BulkError::from),
            aged = self.give_up_what_is_too_old(&served.of, letters) => aged,
        };
        // Nobody tells it anything any more: it finishes the calls that are under way.
        *served.orders() = None;
        let mut stop = stop.clone();
        let finished = tokio::select! {
            biased;
            finished = &mut running => finished.map_err(|error| BulkError::Ended(error.to_string()))?,
            _now = stop.wait_for(|stop| *stop == Stopping::Now) => {
                running.abort();
                Ok(())
            }
        };
        finished.and(driven)
    }

    /// Tells the component of its life at the start, whether there is something to upload or not. Where that fails it is told again before it is asked for
    /// anything, and what the failure means is decided there.
    async fn announce(&self) {
        let Destination { connector, opening, .. } = self.destination.clone();
        let told = thread::spawn(async move { connector.announce(&opening).await });
        let told = told.await.map_err(|error| error.to_string()).and_then(|told| told.map_err(|error| error.to_string()));
        if let Err(error) = told {
            let (pipeline, destination) = (&self.pipeline, &self.destination.id);
            tracing::warn!(%pipeline, %destination, "is to be told of its life before its next file: {error}");
        }
    }

    async fn parts(&self, of: &Spooling, letters: &Arc<Given>) -> Result<Parts, BulkError> {
        let Destination { id, connector, opening, delivery, .. } = &self.destination;
        let action = of.action;
        let far = |connector| Arc::new(Component { connector, opening: opening.clone(), format: delivery.format.clone() });
        let mut earlier = Vec::new();
        let others = |upload: &StoredUpload| upload.action == action && *upload.digest != *connector.digest;
        for upload in self.spool.uploads().await?.into_iter().filter(others) {
            if !earlier.contains(&upload.digest) {
                earlier.push(upload.digest);
            }
        }
        let mut fars: Vec<Arc<dyn BulkFar>> = Vec::new();
        for digest in earlier {
            fars.push(far(self.components.load(&digest, connector, &self.destination.opening).await?));
        }
        let folder = staged(&self.folder, self.folders.get(action as usize).copied().unwrap_or(action));
        let staging = tokio::task::spawn_blocking(move || Staging::open(&folder)).await;
        Ok(Parts {
            pipeline: self.pipeline.clone(),
            destination: id.clone(),
            action,
            called: Some(self.called(action)).filter(|name| !name.is_empty()).map(Arc::from),
            exit: match of.writes {
                true => Exit::Writes(far(connector.clone())),
                false => Exit::Files(far(connector.clone())),
            },
            earlier: fars,
            spool: Arc::new(self.spool.clone()),
            staging: staging.map_err(|error| BulkError::Ended(error.to_string()))??,
            letters: letters.clone(),
            policy: BulkPolicy::of(of, delivery),
            clock: self.clock.clone(),
            gate: self.gate.clone(),
            log: Some(self.intake.log(&self.clock)),
        })
    }

    /// Gives up what has waited for longer than it may, again and again; where nothing is too old ever, it waits for ever.
    async fn give_up_what_is_too_old(&self, of: &Spooling, letters: &Given) -> Result<(), BulkError> {
        // One looks for all.
        let looks = self.served.first().is_some_and(|first| first.of.action == of.action);
        let Some(age) = of.keys.spool.max_age.filter(|_| looks) else { return std::future::pending().await };
        let (pipeline, destination) = (&self.pipeline, &self.destination.id);
        let millis = age.millis();
        let message = format!("it waited for longer than {age} (bulk.spool.max-age)");
        let reason = Reason { kind: "too-old".into(), code: None, message: message.as_str().into(), connector: None };
        let (reason, looks) = (Arc::new(reason), (Duration::from(age) / 10).clamp(LOOKS.0, LOOKS.1));
        loop {
            let before = Some(self.clock.millis().saturating_sub(millis));
            let selection = Selection { before, ..Selection::default() };
            let records = discard(&self.spool, &selection, destination, reason.clone(), &self.clock, letters).await?;
            if records > 0 {
                tracing::warn!(%pipeline, %destination, records, "given up: {message}");
                self.spool.look();
            }
            self.clock.sleep(looks).await;
        }
    }
}

/// Waits until it is time to end.
async fn told(mut stop: watch::Receiver<Stopping>, mut ended: watch::Receiver<bool>) {
    // Where a sender is gone, nobody wants it any more.
    tokio::select! {
        _asked = stop.wait_for(|stop| *stop != Stopping::No) => {}
        _ended = ended.wait_for(|ended| *ended) => {}
    }
}
