//! A processor's session: one instance, one life.

use std::sync::Arc;

use wasmtime::component::ResourceAny;

use super::{
    Component, borrowed,
    processing::{Processing, exports::wharf::connector::processor as guest},
    session::{failed, part, span, translated_verdict},
};
use crate::{
    connector::{Loading, OpenError, Room, Standing},
    record::{Batch, Change, ColumnParts, Failure, Processed},
    sandbox::{Call, Ended, InHand, Instance, Redactor},
};

/// An open session in an instance of its own.
pub struct ProcessorSession {
    instance: Instance,
    exports: Processing,
    session: ResourceAny,
    room: Room,
    redactor: Redactor,
}

impl ProcessorSession {
    /// Starts an instance and opens a session in it.
    pub async fn open(component: &Component, standing: Standing<'_>, settings: &[(String, String)]) -> Result<Self, OpenError> {
        let redactor = standing.host.scope.redactor().clone();
        let (mut instance, started) = component.start(standing, Call::Open).await?;
        let most = instance.memory_left();
        let store = instance.store().ok_or(Loading::Gone)?;
        let exports = Processing::new(store, &started).map_err(Loading::Exports)?;
        let guest = exports.wharf_connector_processor().session();
        let settings = borrowed(settings);
        let opened = instance.call(Call::Open, 0, async |store| guest.call_open(store, &settings).await).await?;
        match opened {
            Ok(session) => {
                let room = Room { most, usual: instance.memory_left() };
                Ok(Self { instance, exports, session, room, redactor })
            }
            Err(failure) => Err(OpenError::Failed(failed(failure, &redactor))),
        }
    }

    /// Hands over records, and translates the answer. Nothing in it is believed yet.
    pub async fn process(&mut self, batch: &Batch, attempt: u32) -> Result<Result<Processed, Arc<Failure>>, Ended> {
        if let Some(host) = self.instance.host() {
            // Clones share the columns. Nothing is delivered here, so that no progress can be reported.
            host.in_hand = Some(InHand { batch: batch.clone(), progress: None });
        }
        let (offsets, validity) = (batch.after().offsets(), batch.after().validity());
        let part = part(batch, attempt, &offsets, validity.as_deref());
        let guest = self.exports.wharf_connector_processor().session();
        let (session, count) = (self.session, batch.count());
        let answer = self.instance.call(Call::Process, count, async |store| guest.call_process(store, session, part).await).await;
        self.instance.take_in_hand();
        Ok(match answer? {
            Ok(processed) => Ok(translated(processed, &self.redactor)),
            Err(failure) => Err(failed(failure, &self.redactor).into()),
        })
    }

    /// Brings the session to an end; the instance goes with it.
    pub async fn close(mut self) -> Result<Result<(), Failure>, Ended> {
        let guest = self.exports.wharf_connector_processor().session();
        let session = self.session;
        let closed = self.instance.call(Call::Close, 0, async |store| guest.call_close(store, session).await).await?;
        Ok(closed.map_err(|failure| failed(failure, &self.redactor)))
    }

    /// How much memory is left to the instance for records.
    pub fn room(&self) -> Room {
        self.room
    }

    /// The most memory that the instance held so far, in bytes.
    pub fn memory_peak(&self) -> u64 {
        self.instance.memory_peak()
    }
}

fn translated(processed: guest::Processed, redactor: &Redactor) -> Processed {
    let guest::Processed { count, parents, after, before, key, operations, content_type, metadata, filtered, verdicts } =
        processed;
    Processed {
        count,
        parents,
        after: change(after),
        before: change(before),
        key: change(key),
        operations,
        content_type,
        metadata: metadata.into_iter().map(|(name, to)| (name, change(to))).collect(),
        filtered: filtered.into_iter().map(span).collect(),
        verdicts: verdicts.into_iter().map(|verdict| translated_verdict(verdict, redactor)).collect(),
    }
}

fn change(change: guest::Change) -> Change {
    match change {
        guest::Change::Keep => Change::Keep,
        guest::Change::Clear => Change::Clear,
        guest::Change::Set(guest::Column { offsets, data, validity }) => Change::Set(ColumnParts { offsets, data, validity }),
    }
}
