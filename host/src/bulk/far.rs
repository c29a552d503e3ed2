//! A bulk destination as the engine sees it. Components are behind it in the program; what tests the order of things puts others there.

use std::{future::Future, sync::Arc};

use async_trait::async_trait;
use thiserror::Error;

use crate::{
    connector::{Answer, BulkSession, BulkTrouble, Connector, OpenError, Opening, UploadContext, descriptor::Order},
    record::{
        Batch, Failure, FailureKind, FollowUps, Found, Handle, Run, SpanSet, Transformed, UploadRequest, UploadStatus, Uploaded,
    },
    sandbox::{Staged, thread},
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

impl CallTrouble {
    /// Nobody makes such a call of an action of the other kind.
    pub(super) fn other_kind() -> Self {
        let message = "the action is of another kind".into();
        Self::NotOpened(Arc::new(Failure { kind: FailureKind::Fatal, message, code: None, retry_after: None }))
    }
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

/// Calls of one bulk destination, each in an instance of its own.
#[async_trait]
pub trait BulkFar: Send + Sync + 'static {
    /// Name and version of the connector.
    fn title(&self) -> Arc<str>;

    /// SHA-256 of the component.
    fn digest(&self) -> Arc<str>;

    /// What it takes in one file.
    fn bounds(&self) -> FileBounds;

    /// Whether, of the records of one key in a file, none is delivered behind one that is to be retried.
    fn keeps_order(&self) -> bool;

    /// The far side refused the credentials: whatever the host fetched for it is fetched anew before it is handed out again.
    fn renew(&self) {}

    /// Whether it speaks a version of the far side's interface.
    fn speaks(&self, _version: &str) -> bool {
        true
    }

    /// Whether records are written to it when their time has come, and no files are made of them: of all calls there is [`write`](Self::write)
    /// alone then.
    fn writes(&self) -> bool {
        false
    }

    /// Writes records that came for a version of the far side's interface.
    async fn write(&self, _batch: &Batch, _version: Option<&str>, _action: u32, _attempt: u32) -> Result<Answer, CallTrouble> {
        Err(CallTrouble::other_kind())
    }

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

/// A component and what it is opened with.
#[derive(Clone, Debug)]
pub struct Component {
    /// The component.
    pub connector: Connector,
    /// What each of its sessions is opened with.
    pub opening: Opening,
}

impl Component {
    /// One call in an instance of its own, on a thread of its own.
    async fn call<R: Send + 'static, F: Future<Output = Result<R, CallTrouble>> + Send>(
        &self,
        opening: Opening,
        call: impl FnOnce(Called) -> F + Send + 'static,
    ) -> Result<R, CallTrouble> {
        let connector = self.connector.clone();
        let called = thread::spawn(async move {
            let session = connector.open_bulk(&opening).await?;
            call(Called(session)).await
        });
        called.await.unwrap_or_else(|error| {
            let message = format!("the call ended unexpectedly: {error}");
            let failure = Failure { kind: FailureKind::Uncertain, message, code: None, retry_after: None };
            Err(BulkTrouble::Failed(failure.into()).into())
        })
    }
}

/// A session for one call.
struct Called(BulkSession);

impl Called {
    /// The session is closed in good order; how that comes out says nothing of the call.
    async fn done<R, T: Into<BulkTrouble>>(mut self, answer: Result<R, T>) -> Result<Told<R>, CallTrouble> {
        let follow_ups = self.0.take_follow_ups();
        if answer.is_ok()
            && let Err(cause) =
                self.0.close().await.map_err(|ended| ended.to_string()).and_then(|closed| closed.map_err(|f| f.to_string()))
        {
            tracing::debug!("close: {cause}");
        }
        answer.map(|answer| Told { answer, follow_ups }).map_err(|trouble| CallTrouble::Call(trouble.into()))
    }
}

#[async_trait]
impl BulkFar for Component {
    fn title(&self) -> Arc<str> {
        self.connector.title().into()
    }

    fn digest(&self) -> Arc<str> {
        self.connector.digest.as_str().into()
    }

    fn bounds(&self) -> FileBounds {
        let bounds = &self.connector.descriptor.bounds;
        FileBounds {
            records: bounds.records.unwrap_or(u32::MAX),
            bytes: bounds.bytes.map_or(u64::MAX, |bytes| bytes.bytes()),
            line: bounds.record_bytes.map_or(u64::MAX, |bytes| bytes.bytes()),
        }
    }

    fn keeps_order(&self) -> bool {
        self.connector.descriptor.guarantees.order != Order::None
    }

    fn renew(&self) {
        self.opening.grants.tokens.refused();
    }

    fn speaks(&self, version: &str) -> bool {
        self.connector.descriptor.version(version).is_some()
    }

    async fn transform(
        &self,
        batch: &Batch,
        version: Option<&str>,
        action: u32,
        attempt: u32,
    ) -> Result<Told<Transformed>, CallTrouble> {
        let batch = batch.clone();
        self.call(self.opening.for_version(version), async move |mut called| {
            let answer = called.0.transform(&batch, action, attempt).await;
            called.done(answer).await
        })
        .await
    }

    async fn upload(
        &self,
        request: &UploadRequest,
        context: &UploadContext,
        file: Staged,
    ) -> Result<Told<Uploaded>, CallTrouble> {
        let request = request.clone();
        self.call(self.opening.for_upload(context), async move |mut called| {
            let answer = called.0.upload(&request, file).await;
            called.done(answer).await
        })
        .await
    }

    async fn poll(
        &self,
        handle: &Handle,
        context: &UploadContext,
        working: &SpanSet,
        records: u32,
        file: Staged,
    ) -> Result<Told<UploadStatus>, CallTrouble> {
        let (handle, working) = (handle.clone(), working.clone());
        self.call(self.opening.for_upload(context), async move |mut called| {
            let answer = called.0.poll(&handle, &working, records, file).await;
            called.done(answer).await
        })
        .await
    }

    async fn stats(
        &self,
        handle: &Handle,
        context: &UploadContext,
        working: &SpanSet,
        records: u32,
        file: Staged,
    ) -> Result<Told<Vec<Run>>, CallTrouble> {
        let (handle, working) = (handle.clone(), working.clone());
        self.call(self.opening.for_upload(context), async move |mut called| {
            let answer = called.0.stats(&handle, &working, records, file).await;
            called.done(answer).await
        })
        .await
    }

    async fn reconcile(
        &self,
        request: &UploadRequest,
        context: &UploadContext,
        file: Staged,
    ) -> Result<Told<Found>, CallTrouble> {
        let request = request.clone();
        self.call(self.opening.for_upload(context), async move |mut called| {
            let answer = called.0.reconcile(&request, file).await;
            called.done(answer).await
        })
        .await
    }

    async fn release(&self, handle: &Handle, context: &UploadContext) -> Result<(), CallTrouble> {
        let handle = handle.clone();
        self.call(self.opening.for_upload(context), async move |mut called| {
            let answer = called.0.release(&handle).await;
            called.done(answer).await.map(|told| told.answer)
        })
        .await
    }
}
