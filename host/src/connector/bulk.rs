//! A bulk destination's session.

use std::sync::Arc;

use thiserror::Error;

use super::{Connector, OpenError, Opening, Room, Standing, v0_1};
use crate::{
    record::{Batch, Failure, FollowUps, Found, Run, SpanSet, Transformed, UploadBreach, UploadRequest, UploadStatus, Uploaded},
    sandbox::{Ended, Host, Staged},
};

/// A session of a bulk destination. After a trouble that ended it, every call fails: open another.
pub struct BulkSession {
    inner: v0_1::BulkSession,
    title: Arc<str>,
}

/// Why a call of a bulk destination did not come out as it should.
#[derive(Clone, Debug, Error)]
pub enum BulkTrouble {
    /// The connector failed as a whole.
    #[error("{0}")]
    Failed(Arc<Failure>),
    /// Its answer breaks the contract, so that nothing in it is believed. The instance lives.
    #[error("the answer breaks the contract: {0}")]
    Breach(#[from] UploadBreach),
    /// Its instance is gone.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// What a connector may know of an upload beside its request: answers of `context`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadContext {
    /// When the file was made, after RFC 3339.
    pub created_at: Arc<str>,
    /// When it was first sent, after RFC 3339; `None` where it never was.
    pub first_attempt_at: Option<Arc<str>>,
    /// Number of the file within one firing of the schedule, from 0.
    pub part: u32,
    /// The version of the far side's interface that its records came for.
    pub version: Option<Arc<str>>,
}

impl Opening {
    /// The same for records that came for a version of the far side's interface.
    #[must_use]
    pub fn for_version(&self, version: Option<&str>) -> Self {
        Self { scope: self.scope.for_version(version), ..self.clone() }
    }

    /// The same for a call that is about one upload.
    #[must_use]
    pub fn for_upload(&self, context: &UploadContext) -> Self {
        let UploadContext { created_at, first_attempt_at, part, version } = context;
        let scope = self.scope.for_version(version.as_deref());
        let scope = scope.with([("created-at", created_at.to_string()), ("part", part.to_string())]);
        let scope = match first_attempt_at {
            Some(at) => scope.with([("first-attempt-at", at.to_string())]),
            None => scope,
        };
        Self { scope, ..self.clone() }
    }
}

impl Connector {
    /// Starts an instance with its grants and opens a bulk destination's session in it.
    ///
    /// # Errors
    /// Where the component is no bulk destination, too; [`Outline::offers`](super::binary::Outline::offers) tells before.
    pub async fn open_bulk(&self, opening: &Opening) -> Result<BulkSession, OpenError> {
        self.announce(opening).await?;
        let Opening { settings, grants, limits, scope, usage, .. } = opening;
        let mut host = Host::new(scope.clone(), limits, grants, usage.clone(), &self.clock)?;
        host.actions = self.actions();
        let standing = Standing { engine: &self.engine, host, limits: limits.clone() };
        let inner = v0_1::BulkSession::open(&self.component, standing, settings).await?;
        Ok(BulkSession { inner, title: self.title().into() })
    }
}

/// An error of a call is told in [`BulkTrouble`]. What an upload's failure means, and what may be done then, is not decided here.
impl BulkSession {
    /// Name and version of the connector.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Has lines made of a batch or a part of one. `attempt` is 1 the first time.
    pub async fn transform(&mut self, batch: &Batch, action: u32, attempt: u32) -> Result<Transformed, BulkTrouble> {
        self.inner.transform(batch, action, attempt).await
    }

    /// Hands over a staged file.
    pub async fn upload(&mut self, request: &UploadRequest, file: Staged) -> Result<Uploaded, BulkTrouble> {
        self.inner.upload(request, file).await
    }

    /// Asks how far an upload of so many records is. What it answers is about those that are worked on, and about no other.
    pub async fn poll(
        &mut self,
        handle: &[u8],
        working: &SpanSet,
        records: u32,
        file: Staged,
    ) -> Result<UploadStatus, BulkTrouble> {
        self.inner.poll(handle, working, records, file).await
    }

    /// Asks what became of those records of an upload that were worked on.
    pub async fn stats(&mut self, handle: &[u8], working: &SpanSet, records: u32, file: Staged) -> Result<Vec<Run>, BulkTrouble> {
        self.inner.stats(handle, working, records, file).await
    }

    /// Asks whether an upload took effect whose answer never came.
    pub async fn reconcile(&mut self, request: &UploadRequest, file: Staged) -> Result<Found, BulkTrouble> {
        self.inner.reconcile(request, file).await
    }

    /// Tells that nobody will ask for an upload again. Best effort.
    pub async fn release(&mut self, handle: &[u8]) -> Result<(), Ended> {
        self.inner.release(handle).await
    }

    /// Why follow-ups were not taken, as the component was told, since this was last asked: the first few.
    pub fn take_refused_follow_ups(&mut self) -> Vec<String> {
        self.inner.take_refused_follow_ups()
    }

    /// The follow-ups that the last call added; none where it failed.
    pub fn take_follow_ups(&mut self) -> Vec<FollowUps> {
        self.inner.take_follow_ups()
    }

    /// Brings the session to an end, and its instance with it.
    pub async fn close(self) -> Result<Result<(), Failure>, Ended> {
        self.inner.close().await
    }

    /// How much memory is left to the instance for records.
    pub fn room(&self) -> Room {
        self.inner.room()
    }
}
