//! Destinations that the pipeline file says are removed: they get no records, and are told that they are deleted.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use super::means::Means;
use crate::{
    connector::OpenError,
    pipeline::{Destination, Policy, Stopping},
    plan::PlannedPipeline,
    record::FailureKind,
    sandbox::thread,
};

/// How long an end waits for what is being told, once all else is done. What was not told by then is told by the next run.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tells destinations of a pipeline that they are deleted.
pub(super) struct Removed(Vec<JoinHandle<()>>);

impl Removed {
    /// Begins to tell those that do not know it.
    pub fn begin(planned: &Arc<PlannedPipeline>, means: &Arc<Means>) -> Self {
        let told = planned.removed.iter().filter(|destination| destination.connector.is_told_of_its_life());
        let tell = |destination: &Destination| {
            let mut destination = destination.clone();
            means.keep(&planned.id, &destination.id, &mut destination.opening);
            thread::spawn(tell(planned.id.clone(), destination, means.clone()))
        };
        Self(told.map(tell).collect())
    }

    /// Waits until they are told, or it takes too long.
    pub async fn end(self, stop: &watch::Receiver<Stopping>) {
        for mut telling in self.0 {
            let mut stop = stop.clone();
            tokio::select! {
                biased;
                _told = &mut telling => {}
                _now = stop.wait_for(|stop| *stop == Stopping::Now) => telling.abort(),
                () = tokio::time::sleep(PATIENCE) => telling.abort(),
            }
        }
    }
}

async fn tell(pipeline: Arc<str>, destination: Destination, means: Arc<Means>) {
    let Destination { id, connector, opening, .. } = destination;
    let lifecycle = means.lifecycle(&pipeline, &id);
    for attempt in 1_u32.. {
        let error = match lifecycle.is_gone(&connector, &opening).await {
            Ok(()) => return,
            Err(error) => error,
        };
        let wait = match &error {
            OpenError::Failed(failure) => match failure.kind {
                FailureKind::Fatal | FailureKind::Rejected => None,
                FailureKind::Unauthorized if attempt > 1 => None,
                FailureKind::Unauthorized => {
                    opening.grants.tokens.refused();
                    Some(Duration::ZERO)
                }
                _ => Some(failure.retry_after.unwrap_or_else(|| Policy::OUTAGE.wait(attempt, &means.clock))),
            },
            _ => Some(Policy::OUTAGE.wait(attempt, &means.clock)),
        };
        match wait {
            Some(wait) => {
                tracing::warn!(%pipeline, destination = %id, "is to be told that it is deleted, again in {wait:?}: {error}");
                means.clock.sleep(wait).await;
            }
            None => {
                tracing::error!(%pipeline, destination = %id, "is not told that it is deleted until the next run: {error}");
                return;
            }
        }
    }
}
