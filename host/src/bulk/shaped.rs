//! A bulk destination whose records are brought into a shape before lines are made of them.

use std::sync::Arc;

use async_trait::async_trait;

use super::{BulkFar, CallTrouble, Component, FileBounds, Told};
use crate::{
    connector::UploadContext,
    record::{
        Batch, ColumnParts, Found, Handle, Outcome, Run, Span, SpanSet, Transformed, UploadRequest, UploadStatus, Uploaded,
        Verdict,
        format::{Format, shape},
    },
    sandbox::Staged,
};

/// A component, and the shape in which it gets records.
#[derive(Clone, Debug)]
pub struct Shaped {
    /// The component.
    pub component: Component,
    /// The shape.
    pub format: Format,
}

#[async_trait]
impl BulkFar for Shaped {
    fn title(&self) -> Arc<str> {
        self.component.title()
    }

    fn digest(&self) -> Arc<str> {
        self.component.digest()
    }

    fn bounds(&self) -> FileBounds {
        self.component.bounds()
    }

    fn keeps_order(&self) -> bool {
        self.component.keeps_order()
    }

    fn renew(&self) {
        self.component.renew();
    }

    fn speaks(&self, version: &str) -> bool {
        self.component.speaks(version)
    }

    async fn transform(
        &self,
        batch: &Batch,
        version: Option<&str>,
        action: u32,
        attempt: u32,
    ) -> Result<Told<Transformed>, CallTrouble> {
        let shaped = shape(batch, &self.format);
        if shaped.verdicts.is_empty() {
            return self.component.transform(&shaped.batch, version, action, attempt).await;
        }
        // Some cannot be brought into the shape: the others go by themselves, and what comes back stands where it belongs.
        let mut follow_ups = Vec::new();
        let (mut lines, mut verdicts) = (ColumnParts { offsets: vec![0], ..ColumnParts::default() }, shaped.verdicts.clone());
        for records in shaped.shaped() {
            let part = shaped.batch.slice(records.start..records.end);
            let told = self.component.transform(&part, version, action, attempt).await?;
            follow_ups.extend(told.follow_ups.into_iter().map(|added| added.from(records.start)));
            let made = told.answer;
            for line in made.lines().iter() {
                lines.data.extend_from_slice(line.unwrap_or_default());
                lines.offsets.push(lines.data.len() as u32);
            }
            let at = |span: &Span| Span::new(records.start + span.start, records.start + span.end);
            let failed = made
                .failed()
                .iter()
                .map(|(span, failure)| Verdict { records: at(span), outcome: Outcome::Failed((**failure).clone()) });
            verdicts.extend(failed);
        }
        verdicts.sort_by_key(|verdict| verdict.records);
        let answer = Transformed::verify(batch.count(), lines, verdicts).map_err(crate::connector::BulkTrouble::from)?;
        Ok(Told { answer, follow_ups })
    }

    async fn upload(
        &self,
        request: &UploadRequest,
        context: &UploadContext,
        file: Staged,
    ) -> Result<Told<Uploaded>, CallTrouble> {
        self.component.upload(request, context, file).await
    }

    async fn poll(
        &self,
        handle: &Handle,
        context: &UploadContext,
        working: &SpanSet,
        records: u32,
        file: Staged,
    ) -> Result<Told<UploadStatus>, CallTrouble> {
        self.component.poll(handle, context, working, records, file).await
    }

    async fn stats(
        &self,
        handle: &Handle,
        context: &UploadContext,
        working: &SpanSet,
        records: u32,
        file: Staged,
    ) -> Result<Told<Vec<Run>>, CallTrouble> {
        self.component.stats(handle, context, working, records, file).await
    }

    async fn reconcile(
        &self,
        request: &UploadRequest,
        context: &UploadContext,
        file: Staged,
    ) -> Result<Told<Found>, CallTrouble> {
        self.component.reconcile(request, context, file).await
    }

    async fn release(&self, handle: &Handle, context: &UploadContext) -> Result<(), CallTrouble> {
        self.component.release(handle, context).await
    }
}
