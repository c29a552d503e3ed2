//! A bulk destination's session: one instance, one life.

use std::{sync::Arc, time::Duration};

use wasmtime::component::ResourceAny;

use super::{
    Component, borrowed,
    session::{failed, part, span, translated, translated_verdict},
    uploading::{Uploading, exports::wharf::connector::bulk as guest},
};
use crate::{
    connector::{BulkTrouble, Loading, OpenError, Room, Standing},
    record::{Batch, ColumnParts, Failure, FollowUps, Found, Run, SpanSet, Transformed, UploadRequest, UploadStatus, Uploaded},
    sandbox::{Call, Ended, Host, InHand, Instance, Redactor, Staged},
};

/// An open session in an instance of its own.
pub struct BulkSession {
    instance: Instance,
    exports: Uploading,
    session: ResourceAny,
    room: Room,
    redactor: Redactor,
    follow_ups: Vec<FollowUps>,
}

impl BulkSession {
    /// Starts an instance and opens a session in it.
    pub async fn open(component: &Component, standing: Standing<'_>, settings: &[(String, String)]) -> Result<Self, OpenError> {
        let redactor = standing.host.scope.redactor().clone();
        let (mut instance, started) = component.start(standing, Call::Open).await?;
        let most = instance.memory_left();
        let store = instance.store().ok_or(Loading::Gone)?;
        let exports = Uploading::new(store, &started).map_err(Loading::Exports)?;
        let guest = exports.wharf_connector_bulk().session();
        let settings = borrowed(settings);
        let opened = instance.call(Call::Open, 0, async |store| guest.call_open(store, &settings).await).await?;
        match opened {
            Ok(session) => {
                let room = Room { most, usual: instance.memory_left() };
                Ok(Self { instance, exports, session, room, redactor, follow_ups: Vec::new() })
            }
            Err(failure) => Err(OpenError::Failed(failed(failure, &redactor))),
        }
    }

    /// Has lines made of records.
    pub async fn transform(&mut self, batch: &Batch, action: u32, attempt: u32) -> Result<Transformed, BulkTrouble> {
        if let Some(host) = self.instance.host() {
            // Clones share the columns. Nothing is delivered here, so that no progress can be reported.
            host.in_hand = Some(InHand { batch: batch.clone(), progress: None });
            host.begin_follow_ups(batch.count());
        }
        let (offsets, validity) = (batch.after().offsets(), batch.after().validity());
        let mut part = part(batch, attempt, &offsets, validity.as_deref());
        part.action = action;
        let guest = self.exports.wharf_connector_bulk().session();
        let (session, count) = (self.session, batch.count());
        let answer =
            self.instance.call(Call::Transform, count, async |store| guest.call_transform(store, session, part).await).await;
        self.instance.take_in_hand();
        self.followed(matches!(answer, Ok(Ok(_))));
        let guest::Transformed { lines, verdicts } = answer?.map_err(|failure| self.failed(failure))?;
        let guest::Column { offsets, data, validity } = lines;
        let verdicts = verdicts.into_iter().map(|verdict| translated_verdict(verdict, &self.redactor)).collect();
        Ok(Transformed::verify(count, ColumnParts { offsets, data, validity }, verdicts)?)
    }

    /// Hands over a staged file.
    pub async fn upload(&mut self, request: &UploadRequest, file: Staged) -> Result<Uploaded, BulkTrouble> {
        self.lend(file, request.records);
        let guest = self.exports.wharf_connector_bulk().session();
        let (session, asked) = (self.session, asked(request));
        let answer =
            self.instance.call(Call::Upload, request.records, async |store| guest.call_upload(store, session, asked).await);
        let answer = answer.await;
        self.followed(matches!(answer, Ok(Ok(_))));
        let answer = answer?.map_err(|failure| self.failed(failure))?;
        self.uploaded(request.records, answer)
    }

    /// Asks how far an upload is; `working` are those of its `records` that it is about.
    pub async fn poll(
        &mut self,
        handle: &[u8],
        working: &SpanSet,
        records: u32,
        file: Staged,
    ) -> Result<UploadStatus, BulkTrouble> {
        self.lend(file, records);
        let guest = self.exports.wharf_connector_bulk().session();
        let session = self.session;
        let answer = self.instance.call(Call::Poll, records, async |store| guest.call_poll(store, session, handle).await).await;
        self.followed(matches!(answer, Ok(Ok(_))));
        Ok(match answer?.map_err(|failure| self.failed(failure))? {
            guest::UploadStatus::Working(guest::Waiting { done, again_in_ms, handle }) => {
                let again_in = again_in_ms.map(|ms| Duration::from_millis(ms.into()));
                UploadStatus::working(done, again_in, handle)?
            }
            guest::UploadStatus::Delivered => UploadStatus::delivered(working),
            guest::UploadStatus::Settled(receipt) => UploadStatus::Settled(self.settled(receipt, working, records)?),
            guest::UploadStatus::AskStats(handle) => UploadStatus::ask_stats(handle)?,
            guest::UploadStatus::Failed(failure) => UploadStatus::Failed(failed(failure, &self.redactor).into()),
        })
    }

    /// Asks what became of the records of an upload that were worked on.
    pub async fn stats(&mut self, handle: &[u8], working: &SpanSet, records: u32, file: Staged) -> Result<Vec<Run>, BulkTrouble> {
        self.lend(file, records);
        let guest = self.exports.wharf_connector_bulk().session();
        let session = self.session;
        let answer = self.instance.call(Call::Stats, records, async |store| guest.call_stats(store, session, handle).await).await;
        self.followed(matches!(answer, Ok(Ok(_))));
        self.settled(answer?.map_err(|failure| self.failed(failure))?, working, records)
    }

    /// Asks whether an upload took effect.
    pub async fn reconcile(&mut self, request: &UploadRequest, file: Staged) -> Result<Found, BulkTrouble> {
        self.lend(file, request.records);
        let guest = self.exports.wharf_connector_bulk().session();
        let (session, asked) = (self.session, asked(request));
        let answer =
            self.instance.call(Call::Reconcile, request.records, async |store| guest.call_reconcile(store, session, asked).await);
        let answer = answer.await;
        self.followed(matches!(answer, Ok(Ok(_))));
        Ok(match answer?.map_err(|failure| self.failed(failure))? {
            guest::Found::Absent => Found::Absent,
            guest::Found::Present(uploaded) => Found::Present(self.uploaded(request.records, uploaded)?),
            guest::Found::CannotTell => Found::CannotTell,
        })
    }

    /// Tells that an upload will not be asked for again.
    pub async fn release(&mut self, handle: &[u8]) -> Result<(), Ended> {
        let guest = self.exports.wharf_connector_bulk().session();
        let session = self.session;
        self.instance.call(Call::Release, 0, async |store| guest.call_release(store, session, handle).await).await
    }

    /// Brings the session to an end; the instance goes with it.
    pub async fn close(mut self) -> Result<Result<(), Failure>, Ended> {
        let guest = self.exports.wharf_connector_bulk().session();
        let session = self.session;
        let closed = self.instance.call(Call::Close, 0, async |store| guest.call_close(store, session).await).await?;
        Ok(closed.map_err(|failure| failed(failure, &self.redactor)))
    }

    /// How much memory is left to the instance for records.
    pub fn room(&self) -> Room {
        self.room
    }

    /// Why follow-ups were not taken since this was last asked.
    pub fn take_refused_follow_ups(&mut self) -> Vec<String> {
        self.instance.host().map(Host::take_refused_follow_ups).unwrap_or_default()
    }

    /// The follow-ups that the last call added; none where it failed.
    pub fn take_follow_ups(&mut self) -> Vec<FollowUps> {
        std::mem::take(&mut self.follow_ups)
    }

    /// For the next call alone, which is about so many records.
    fn lend(&mut self, file: Staged, records: u32) {
        if let Some(host) = self.instance.host() {
            host.staged = Some(file);
            host.begin_follow_ups(records);
        }
    }

    /// Takes what the call added, where it is kept.
    fn followed(&mut self, kept: bool) {
        let follow_ups = self.instance.host().map(Host::take_follow_ups).unwrap_or_default();
        self.follow_ups = if kept { follow_ups } else { Vec::new() };
    }

    fn uploaded(&self, records: u32, uploaded: guest::Uploaded) -> Result<Uploaded, BulkTrouble> {
        let guest::Uploaded { settled, working, handle } = uploaded;
        let working = working.into_iter().map(span).collect();
        Ok(Uploaded::verify(records, translated(settled, &self.redactor), working, handle)?)
    }

    fn settled(&self, receipt: guest::Receipt, working: &SpanSet, records: u32) -> Result<Vec<Run>, BulkTrouble> {
        let settled = translated(receipt, &self.redactor).verify_of(working, records);
        settled.map_err(|breach| BulkTrouble::Breach(breach.into()))
    }

    fn failed(&self, failure: guest::Failure) -> BulkTrouble {
        BulkTrouble::Failed(Arc::new(failed(failure, &self.redactor)))
    }
}

fn asked(request: &UploadRequest) -> guest::UploadRequest<'_> {
    let UploadRequest { intent, action, records, bytes, attempt } = request;
    guest::UploadRequest { intent, action: *action, records: *records, bytes: *bytes, attempt: *attempt }
}
