//! A far side as the engine sees it. Components are behind it in the program; what tests the order of things puts others there.

use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::{
    connector::{Answer, BulkTrouble, OpenError, UploadContext},
    record::{
        Batch, Failure, FailureKind, FollowUps, Found, Handle, Run, SpanSet, Transformed, UploadRequest, UploadStatus, Uploaded,
    },
    sandbox::Staged,
};

/// What a far side takes in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileBounds {
    /// The most records, which is lines.
    pub records: u32,
    /// The most bytes, line breaks included.
    pub bytes: u64,
    /// The most bytes of one line, without its line break.
    pub line: u64,
}

impl Default for FileBounds {
    fn default() -> Self {
        Self { records: u32::MAX, bytes: u64::MAX, line: u64::MAX }
    }
}

/// Why a call did not come out as it should.
#[derive(Debug, Error)]
pub enum CallTrouble {
    /// No session was opened, so that nothing happened.
    #[error("open: {0}")]
    NotOpened(Arc<Failure>),
    /// The call itself.
    #[error(transparent)]
    Call(#[from] BulkTrouble),
}

impl From<OpenError> for CallTrouble {
    fn from(error: OpenError) -> Self {
        Self::NotOpened(Arc::new(match error {
            OpenError::Failed(failure) => failure,
            error => Failure { kind: FailureKind::Transient, message: error.to_string(), code: None, retry_after: None },
        }))
    }
}

/// What a call answered, and what it added.
#[derive(Clone, Debug)]
pub struct Told<R> {
    /// The answer.
    pub answer: R,
    /// Follow-ups of the records that it was about.
    pub follow_ups: Vec<FollowUps>,
}

impl<R> From<R> for Told<R> {
    fn from(answer: R) -> Self {
        Self { answer, follow_ups: Vec::new() }
    }
}

/// What is known of a far side, whichever way records go to it.
pub trait AnyFar: Send + Sync + 'static {
    /// Name and version of the connector.
    fn title(&self) -> Arc<str>;

    /// SHA-256 of the component.
    fn digest(&self) -> Arc<str>;

    /// What it takes at once: in one file, or in one call.
    fn bounds(&self) -> FileBounds;

    /// Whether, of the records of one key that go out together, none is delivered behind one that is to be retried.
    fn keeps_order(&self) -> bool;

    /// The far side refused the credentials: whatever the host fetched for it is fetched anew before it is handed out again.
    fn renew(&self) {}

    /// Whether it speaks a version of the far side's interface.
    fn speaks(&self, _version: &str) -> bool {
        true
    }
}

/// One that records are written to, each call in an instance of its own.
#[async_trait]
pub trait WriteFar: AnyFar {
    /// Writes records that came for a version of the far side's interface.
    async fn write(&self, batch: &Batch, version: Option<&str>, action: u32, attempt: u32) -> Result<Told<Answer>, CallTrouble>;
}

/// One that takes files, each call in an instance of its own.
#[async_trait]
pub trait BulkFar: AnyFar {
    /// Has lines made of records that came for a version of the far side's interface.
    async fn transform(
        &self,
        batch: &Batch,
        version: Option<&str>,
        action: u32,
        attempt: u32,
    ) -> Result<Told<Transformed>, CallTrouble>;

    /// Hands over a staged file.
    async fn upload(&self, request: &UploadRequest, context: &UploadContext, file: Staged)
    -> Result<Told<Uploaded>, CallTrouble>;

    /// Asks how far an upload is.
    async fn poll(
        &self,
        handle: &Handle,
        context: &UploadContext,
        working: &SpanSet,
        records: u32,
        file: Staged,
    ) -> Result<Told<UploadStatus>, CallTrouble>;

    /// Asks what became of its records.
    async fn stats(
        &self,
        handle: &Handle,
        context: &UploadContext,
        working: &SpanSet,
        records: u32,
        file: Staged,
    ) -> Result<Told<Vec<Run>>, CallTrouble>;

    /// Asks whether it took effect.
    async fn reconcile(&self, request: &UploadRequest, context: &UploadContext, file: Staged)
    -> Result<Told<Found>, CallTrouble>;

    /// Tells that nobody will ask for it again.
    async fn release(&self, handle: &Handle, context: &UploadContext) -> Result<(), CallTrouble>;
}

/// How an action's records leave the spool.
#[derive(Clone)]
pub enum Exit {
    /// Files are made of them, and uploaded.
    Files(Arc<dyn BulkFar>),
    /// They are written when their time has come.
    Writes(Arc<dyn WriteFar>),
}

impl Exit {
    /// Who is at its end.
    pub fn far(&self) -> &dyn AnyFar {
        match self {
            Self::Files(far) => &**far,
            Self::Writes(far) => &**far,
        }
    }
}
