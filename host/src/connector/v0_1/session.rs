//! A destination's session: one instance, one life.

use std::time::Duration;

use wasmtime::component::ResourceAny;

use super::{
    Component,
    bindings::{
        WriteDestination,
        wharf::connector::types::{self, Batch, ColumnParam as Column},
    },
    borrowed,
};
use crate::{
    connector::{Answer, Loading, OpenError, Room, Standing, Trouble},
    record::{self, Failure, FailureKind, Fate, FollowUps, Outcome, Receipt, Span, SpanSet, Verdict},
    sandbox::{Call, Host, InHand, Instance, Redactor, output::bounded},
};

/// Bytes of a message that are kept.
pub(super) const MESSAGE: usize = 4 << 10;

/// Bytes of a far side's code that are kept.
const CODE: usize = 100;

/// An open session in an instance of its own.
pub struct Session {
    instance: Instance,
    exports: WriteDestination,
    session: ResourceAny,
    room: Room,
    redactor: Redactor,
    /// Whether follow-ups are taken in `write`.
    takes_follow_ups: bool,
    follow_ups: Vec<FollowUps>,
}

impl Session {
    /// Starts an instance and opens a session in it.
    pub async fn open(component: &Component, standing: Standing<'_>, settings: &[(String, String)]) -> Result<Self, OpenError> {
        let redactor = standing.host.scope.redactor().clone();
        let (mut instance, started) = component.start(standing, Call::Open).await?;
        let most = instance.memory_left();
        let store = instance.store().ok_or(Loading::Gone)?;
        let exports = WriteDestination::new(store, &started).map_err(Loading::Exports)?;
        let guest = exports.wharf_connector_destination().session();
        let settings = borrowed(settings);
        let opened = instance.call(Call::Open, 0, async |store| guest.call_open(store, &settings).await).await?;
        match opened {
            Ok(session) => {
                let room = Room { most, usual: instance.memory_left() };
                let (takes_follow_ups, follow_ups) = (false, Vec::new());
                Ok(Self { instance, exports, session, room, redactor, takes_follow_ups, follow_ups })
            }
            Err(failure) => Err(OpenError::Failed(failed(failure, &redactor))),
        }
    }

    /// Hands over records and holds the answer against the contract.
    pub async fn write(&mut self, batch: &record::Batch, action: u32, attempt: u32) -> Answer {
        let count = batch.count();
        if let Some(host) = self.instance.host() {
            // Clones share the columns.
            host.in_hand = Some(InHand { batch: batch.clone(), progress: Some(SpanSet::default()) });
            if self.takes_follow_ups {
                host.begin_follow_ups(count);
            }
        }
        let (offsets, validity) = (batch.after().offsets(), batch.after().validity());
        let mut part = part(batch, attempt, &offsets, validity.as_deref());
        part.action = action;
        let guest = self.exports.wharf_connector_destination().session();
        let session = self.session;
        let answer = self.instance.call(Call::Write, count, async |store| guest.call_write(store, session, part).await).await;
        let progress = self.instance.take_in_hand().and_then(|in_hand| in_hand.progress).unwrap_or_default();
        let follow_ups = self.instance.host().map(Host::take_follow_ups).unwrap_or_default();
        self.follow_ups.clear();
        match answer {
            Ok(Ok(receipt)) => match translated(receipt, &self.redactor).verify(count, &progress) {
                Ok(runs) => {
                    self.follow_ups = follow_ups;
                    Answer { runs, trouble: None }
                }
                Err(breach) => {
                    let runs = Receipt::failed(count, &progress, &Fate::Unknown);
                    Answer { runs, trouble: Some(Trouble::Breach(breach)) }
                }
            },
            Ok(Err(failure)) => {
                let failure = std::sync::Arc::new(failed(failure, &self.redactor));
                let runs = Receipt::failed(count, &progress, &Fate::Failed(failure.clone()));
                Answer { runs, trouble: Some(Trouble::Failed(failure)) }
            }
            Err(ended) => {
                let failure = Failure { kind: FailureKind::Uncertain, message: ended.to_string(), code: None, retry_after: None };
                let runs = Receipt::failed(count, &progress, &Fate::Failed(failure.into()));
                Answer { runs, trouble: Some(Trouble::Ended(ended)) }
            }
        }
    }

    /// From here on follow-ups are taken in `write`: a spool stands beside it that keeps them.
    pub fn take_follow_ups_in_write(&mut self) {
        self.takes_follow_ups = true;
    }

    /// The follow-ups that the last call of `write` added; none where it failed.
    pub fn take_follow_ups(&mut self) -> Vec<FollowUps> {
        std::mem::take(&mut self.follow_ups)
    }

    /// Why follow-ups were not taken since this was last asked.
    pub fn take_refused_follow_ups(&mut self) -> Vec<String> {
        self.instance.host().map(Host::take_refused_follow_ups).unwrap_or_default()
    }

    /// Tells that these cuts are settled. Best effort.
    pub async fn ack(&mut self, batches: &[&str]) -> Result<(), crate::sandbox::Ended> {
        let guest = self.exports.wharf_connector_destination().session();
        let session = self.session;
        self.instance.call(Call::Ack, 0, async |store| guest.call_ack(store, session, batches).await).await
    }

    /// Brings the session to an end; the instance goes with it.
    pub async fn close(mut self) -> Result<Result<(), Failure>, crate::sandbox::Ended> {
        let guest = self.exports.wharf_connector_destination().session();
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

/// A batch as it crosses the boundary; what is not in it is pulled.
pub(super) fn part<'a>(batch: &'a record::Batch, attempt: u32, offsets: &'a [u32], validity: Option<&'a [u8]>) -> Batch<'a> {
    Batch {
        id: batch.id(),
        start: batch.start(),
        count: batch.count(),
        attempt,
        action: 0,
        after: Column { offsets, data: batch.after().data(), validity },
    }
}

pub(super) fn translated(receipt: types::Receipt, redactor: &Redactor) -> Receipt {
    Receipt {
        delivered: receipt.delivered.into_iter().map(span).collect(),
        verdicts: receipt.verdicts.into_iter().map(|verdict| translated_verdict(verdict, redactor)).collect(),
    }
}

pub(super) fn translated_verdict(verdict: types::Verdict, redactor: &Redactor) -> Verdict {
    Verdict {
        records: span(verdict.records),
        outcome: match verdict.outcome {
            types::Outcome::Warned(remark) => Outcome::Warned(bounded(&redactor.text(&remark), MESSAGE)),
            types::Outcome::Failed(failure) => Outcome::Failed(failed(failure, redactor)),
            types::Outcome::Untried => Outcome::Untried,
        },
    }
}

pub(super) fn span(span: types::Span) -> Span {
    Span::new(span.start, span.end)
}

pub(super) fn failed(failure: types::Failure, redactor: &Redactor) -> Failure {
    Failure {
        kind: match failure.kind {
            types::FailureKind::Transient => FailureKind::Transient,
            types::FailureKind::Throttled => FailureKind::Throttled,
            types::FailureKind::Unauthorized => FailureKind::Unauthorized,
            types::FailureKind::Uncertain => FailureKind::Uncertain,
            types::FailureKind::Rejected => FailureKind::Rejected,
            types::FailureKind::Fatal => FailureKind::Fatal,
        },
        message: bounded(&redactor.text(&failure.message), MESSAGE),
        code: failure.code.map(|code| bounded(&redactor.text(&code), CODE)),
        retry_after: failure.retry_after_ms.map(|ms| Duration::from_millis(ms.into())),
    }
}
