//! Components as far sides: each call in an instance and on a thread of its own.

use std::{future::Future, sync::Arc};

use async_trait::async_trait;

use super::{
    AnyFar, BulkFar, CallTrouble, FileBounds, Told, WriteFar,
    shaped::{self, Pieces},
};
use crate::{
    connector::{Answer, BulkSession, BulkTrouble, Connector, Opening, Trouble, UploadContext, descriptor::Order},
    record::{
        Batch, Failure, FailureKind, Found, Handle, Run, SpanSet, Transformed, UploadRequest, UploadStatus, Uploaded,
        format::{Format, shape},
    },
    sandbox::{Scope, Staged, thread},
};

/// A component, what it is opened with, and the shape in which it gets records.
#[derive(Clone, Debug)]
pub struct Component {
    /// The component.
    pub connector: Connector,
    /// What each of its sessions is opened with.
    pub opening: Opening,
    /// The shape in which it gets records.
    pub format: Format,
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
            call(Called(session, opening.scope)).await
        });
        called.await.unwrap_or_else(|error| {
            let message = format!("the call ended unexpectedly: {error}");
            let failure = Failure { kind: FailureKind::Uncertain, message, code: None, retry_after: None };
            Err(BulkTrouble::Failed(failure.into()).into())
        })
    }

    /// Has lines made of records whose shape is the one that is wanted.
    async fn transform_as_it_is(
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
}

/// A session for one call, and for whom it is.
struct Called(BulkSession, Scope);

impl Called {
    /// The session is closed in good order; how that comes out says nothing of the call.
    async fn done<R, T: Into<BulkTrouble>>(mut self, answer: Result<R, T>) -> Result<Told<R>, CallTrouble> {
        let follow_ups = self.0.take_follow_ups();
        if answer.is_ok()
            && let Err(cause) =
                self.0.close().await.map_err(|ended| ended.to_string()).and_then(|closed| closed.map_err(|f| f.to_string()))
        {
            tracing::debug!(pipeline = self.1.pipeline(), destination = self.1.destination(), "close: {cause}");
        }
        answer.map(|answer| Told { answer, follow_ups }).map_err(|trouble| CallTrouble::Call(trouble.into()))
    }
}

impl AnyFar for Component {
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
}

#[async_trait]
impl WriteFar for Component {
    async fn write(&self, batch: &Batch, version: Option<&str>, action: u32, attempt: u32) -> Result<Told<Answer>, CallTrouble> {
        let (batch, format) = (batch.clone(), self.format.clone());
        let (connector, opening) = (self.connector.clone(), self.opening.for_version(version));
        let called = thread::spawn(async move {
            let mut session = connector.open(&opening).await?.taking_follow_ups();
            let told = shaped::write(&mut session, &batch, &format, action, attempt).await;
            if !matches!(told.answer.trouble, Some(Trouble::Ended(_))) {
                let closed = session.close().await.map_err(|ended| ended.to_string());
                if let Err(cause) = closed.and_then(|closed| closed.map_err(|failure| failure.to_string())) {
                    let (pipeline, destination) = (opening.scope.pipeline(), opening.scope.destination());
                    tracing::debug!(pipeline, destination, "close: {cause}");
                }
            }
            Ok(told)
        });
        called.await.unwrap_or_else(|error| {
            let message = format!("the call ended unexpectedly: {error}");
            Err(CallTrouble::NotOpened(Arc::new(Failure {
                kind: FailureKind::Transient,
                message,
                code: None,
                retry_after: None,
            })))
        })
    }
}

#[async_trait]
impl BulkFar for Component {
    async fn transform(
        &self,
        batch: &Batch,
        version: Option<&str>,
        action: u32,
        attempt: u32,
    ) -> Result<Told<Transformed>, CallTrouble> {
        let shaped = shape(batch, &self.format);
        if shaped.verdicts.is_empty() {
            return self.transform_as_it_is(&shaped.batch, version, action, attempt).await;
        }
        let mut pieces = Pieces::beside(shaped.verdicts.clone());
        for records in shaped.shaped() {
            let piece = shaped.batch.slice(records.start..records.end);
            pieces.add(records.start, self.transform_as_it_is(&piece, version, action, attempt).await?);
        }
        pieces.finish(batch.count())
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
