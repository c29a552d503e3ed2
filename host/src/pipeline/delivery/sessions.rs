//! A destination's sessions, one after another: opened, told what is settled, closed.

use std::sync::Arc;

use super::{DestinationError, FIRST_WAIT, Left, PATIENCE, RETRIES, Worker};
use crate::{
    config::Isolation,
    connector::{Loading, OpenError, Session},
    record::FailureKind,
};

impl Worker {
    /// The session, opened where there is none.
    pub(super) async fn open(&mut self) -> Result<&mut Session, Left> {
        let mut attempts = 0;
        while self.session.is_none() {
            let error = match self.destination.connector.open(&self.destination.opening).await {
                Ok(session) => {
                    self.session = Some(session);
                    break;
                }
                Err(error) => error,
            };
            attempts += 1;
            let wait = match &error {
                OpenError::Failed(failure) => match failure.kind {
                    FailureKind::Throttled => {
                        attempts -= 1;
                        failure.retry_after.unwrap_or(FIRST_WAIT).clamp(PATIENCE.0, PATIENCE.1)
                    }
                    FailureKind::Transient | FailureKind::Uncertain if attempts <= RETRIES => {
                        FIRST_WAIT * 2_u32.pow(attempts - 1)
                    }
                    _ => return Err(error.into()),
                },
                OpenError::Loading(Loading::Ended(ended)) => {
                    self.suspicion.ended();
                    if attempts > RETRIES {
                        let (ended, instances) = (ended.clone(), self.suspicion.instances());
                        return Err(Left::Destination(DestinationError::Quarantined { ended, instances }));
                    }
                    self.suspicion.wait()
                }
                _ => return Err(error.into()),
            };
            let connector = self.destination.connector.title();
            tracing::warn!(pipeline = %self.progress.pipeline, destination = %self.destination.id, %connector, ?wait, %error, "to be opened again");
            self.wait(wait).await?;
        }
        match &mut self.session {
            Some(session) => Ok(session),
            None => Err(Left::Asked),
        }
    }

    /// Tells the connector which cuts are settled. Best effort: where each batch has an instance of its own, that is gone by then.
    pub(super) async fn tell(&mut self, settled: &[Arc<str>]) {
        if settled.is_empty() || self.destination.isolation == Isolation::Batch {
            return;
        }
        let Some(session) = &mut self.session else {
            return;
        };
        let ids: Vec<&str> = settled.iter().map(|id| &**id).collect();
        if let Err(ended) = session.ack(&ids).await {
            let connector = self.destination.connector.title();
            tracing::warn!(pipeline = %self.progress.pipeline, destination = %self.destination.id, %connector, error = %ended, "the instance ended");
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
        let connector = self.destination.connector.title();
        tracing::warn!(pipeline = %self.progress.pipeline, destination = %self.destination.id, %connector, %error, "close failed; every record had been answered for");
    }
}
