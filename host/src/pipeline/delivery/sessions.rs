//! A lane's sessions, one after another: opened, told what is settled, closed.

use std::{sync::Arc, time::Duration};

use super::{DestinationError, Lane, Left, RETRIES, Stopping, parts::Part};
use crate::{
    config::Isolation,
    connector::{Loading, OpenError},
    record::{Failure, FailureKind, Fate, Run, Span},
};

impl Lane {
    /// Sees that there is a session for a part. `None` where there is none yet; the part is to be sent again then.
    pub(super) async fn open(&mut self, number: u64, part: Part) -> Result<Option<Part>, Left> {
        if self.session.is_some() {
            return Ok(Some(part));
        }
        let opened = match self.reach().await {
            None => {
                self.queue.put(number, part, Duration::ZERO);
                return Err(Left::Asked);
            }
            Some(Ok(())) => tokio::select! {
                biased;
                opened = self.outlet.far.open(self.which.lane, self.outlet.delivery.lanes) => opened,
                _now = self.inlet.stop.wait_for(|stop| *stop == Stopping::Now) => {
                    self.queue.put(number, part, Duration::ZERO);
                    return Err(Left::Asked);
                }
            },
            Some(Err(error)) => Err(error),
        };
        let error = match opened {
            Ok(session) => {
                self.session = Some(session);
                self.opens = 0;
                return Ok(Some(part));
            }
            Err(error) => error,
        };
        let before = match &error {
            OpenError::Unreachable(_) => "the far side is not there: ",
            _ => "open failed: ",
        };
        match error {
            OpenError::Failed(failure) | OpenError::Unreachable(failure) => {
                let message = format!("{before}{}", failure.message);
                // What is wrong with the settings is wrong with no record.
                let kind = if failure.kind == FailureKind::Rejected { FailureKind::Fatal } else { failure.kind };
                let failure = Arc::new(Failure { message, kind, ..failure });
                let whole = Run { records: Span::new(0, part.batch.count()), fate: Fate::Failed(failure) };
                self.answered(number, part, vec![whole], None)?;
                Ok(None)
            }
            OpenError::Loading(Loading::Ended(ended)) => {
                self.suspicion.ended();
                self.opens += 1;
                if self.opens > RETRIES {
                    self.opens = 0;
                    self.queue.put(number, part, Duration::ZERO);
                    let instances = self.suspicion.instances();
                    return Err(Left::Destination(DestinationError::Quarantined { ended, instances }));
                }
                let wait = self.suspicion.wait();
                if tracing::enabled!(tracing::Level::WARN) && self.log.admits() {
                    let connector = self.outlet.far.title();
                    tracing::warn!(pipeline = %self.progress.pipeline, destination = %self.outlet.id, %connector, ?wait, error = %ended, "to be opened again");
                }
                self.rest = self.clock.elapsed() + wait;
                self.queue.put(number, part, Duration::ZERO);
                Ok(None)
            }
            error => {
                self.queue.put(number, part, Duration::ZERO);
                Err(error.into())
            }
        }
    }

    /// Asks whether the far side is there, where it can be asked and was not there yet in this run. `None` where it is asked to stop meanwhile.
    async fn reach(&mut self) -> Option<Result<(), OpenError>> {
        if self.outlet.is_reached() {
            return Some(Ok(()));
        }
        let reached = tokio::select! {
            biased;
            reached = self.outlet.reach() => reached,
            // The sender outlives every lane.
            _asked = self.inlet.stop.wait_for(|stop| *stop != Stopping::No) => return None,
        };
        if reached.is_ok() {
            self.unreached = 0;
            self.counts().waits(None);
            let (pipeline, destination) = (&self.progress.pipeline, &self.outlet.id);
            tracing::debug!(%pipeline, %destination, "the far side is there");
        }
        Some(reached)
    }

    /// The same before there is anything to deliver, so that whoever looks at the run sees what it waits for. What is to be done about it is
    /// found out with the first record.
    pub(super) async fn reach_ahead(&mut self) -> Result<(), Left> {
        let error = match self.reach().await {
            None => return Err(Left::Asked),
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => error,
        };
        self.unreached += 1;
        let wait = self.outlet.delivery.outage.wait(self.unreached, &self.clock);
        self.rest = self.clock.elapsed() + wait;
        self.counts().waits(Some(&error.to_string()));
        if tracing::enabled!(tracing::Level::WARN) && self.log.admits() {
            let connector = self.outlet.far.title();
            tracing::warn!(pipeline = %self.progress.pipeline, destination = %self.outlet.id, %connector, ?wait, "waits for destination {}: {error}", self.outlet.id);
        }
        Ok(())
    }

    /// Tells the connector which cuts are settled. Best effort: where each batch has an instance of its own, that is gone by then.
    pub(super) async fn tell(&mut self, settled: &[Arc<str>]) {
        if settled.is_empty() || self.outlet.delivery.isolation == Isolation::Batch {
            return;
        }
        let Some(session) = &mut self.session else {
            return;
        };
        let ids: Vec<&str> = settled.iter().map(|id| &**id).collect();
        if let Err(ended) = session.ack(&ids).await {
            if tracing::enabled!(tracing::Level::WARN) && self.log.admits() {
                let connector = self.outlet.far.title();
                tracing::warn!(pipeline = %self.progress.pipeline, destination = %self.outlet.id, %connector, error = %ended, "the instance ended");
            }
            self.session = None;
        }
    }

    /// Brings the session to its end, where there is one.
    pub(super) async fn close(&mut self) {
        let Some(session) = self.session.take() else {
            return;
        };
        let error = match session.close().await {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => failure.to_string(),
            Err(ended) => ended.to_string(),
        };
        if !tracing::enabled!(tracing::Level::WARN) || !self.log.admits() {
            return;
        }
        let connector = self.outlet.far.title();
        tracing::warn!(pipeline = %self.progress.pipeline, destination = %self.outlet.id, %connector, %error, "close failed; every record had been answered for");
    }
}
