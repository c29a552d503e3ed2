//! Records that processors give up, and what is said of them.

use std::sync::Arc;

use tracing::Level;

use super::{Portion, ProcessorError, Stage, Work};
use crate::{
    connector::ProcessTrouble,
    pipeline::{Step, delivery::LOGGED},
    record::{Batch, Failure, Record, Span},
    sandbox::Ended,
    store::{DeadLetter, Reason},
};

impl Stage {
    /// An instance ended.
    pub(super) fn tells_ended(&self, at: usize, ended: &Ended) {
        let (call, reason) = (ended.call, &ended.reason);
        if tracing::enabled!(Level::WARN) && self.steps[at].log.admits() {
            let ((processor, connector), pipeline) = (self.named(at), &self.around.pipeline);
            tracing::warn!(%pipeline, %processor, %connector, "{call} ended the instance: {reason}");
        }
    }

    /// Which record is to blame shows when they are handed over in pieces; and where none is, by itself, this is all that is told.
    pub(super) fn tells_in_pieces(&self, at: usize, trouble: &ProcessTrouble) {
        if tracing::enabled!(Level::WARN) && self.steps[at].log.admits() {
            let ((processor, connector), pipeline) = (self.named(at), &self.around.pipeline);
            tracing::warn!(%pipeline, %processor, %connector, "to be processed in pieces: {trouble}");
        }
    }

    /// Gives records up, as far as the pipeline tolerates it.
    pub(super) fn give_up(
        &mut self,
        at: usize,
        part: &Work,
        records: Span,
        reason: &Arc<Reason>,
        portion: &mut Portion,
    ) -> Result<(), ProcessorError> {
        let accepted = self.window.failed(records.len().into()) as u32;
        let batch = Arc::new(part.batch.clone());
        let now: Arc<str> = self.around.clock.rfc3339().into();
        let id = self.steps[at].step.processor.id();
        let Portion { label, letters, .. } = portion;
        for record in records.start..records.start + accepted {
            if letters.len() < LOGGED && tracing::enabled!(Level::WARN) && self.steps[at].log.admits() {
                let ((processor, _), pipeline) = (self.named(at), &self.around.pipeline);
                tracing::warn!(%pipeline, %processor, "given up: {reason}");
            }
            let index = record as usize;
            letters.push(DeadLetter {
                destination: self.around.destination.clone(),
                processor: Some(id.clone()),
                action: None,
                partition: batch.partition().clone(),
                label: label.clone(),
                sequence: batch.sequences()[index],
                ordinal: batch.ordinals().get(index).copied().unwrap_or_default(),
                record: Record::of(&batch, record),
                whole: true,
                reason: reason.clone(),
                attempts: part.sent,
                at: now.clone(),
            });
        }
        if accepted == records.len() {
            return Ok(());
        }
        let (window, tolerance) = self.around.tolerance;
        let (id, connector) = self.named(at);
        let reason = format!("{}: {}", reason.kind, reason.message).into();
        Err(ProcessorError::TooMany { id, connector, window, tolerance, reason })
    }

    /// All records of a batch, as they came to the chain: the destination fell behind, and the others did not wait for it.
    pub(super) fn missed(&self, batch: &Batch, label: &Arc<str>) -> Vec<DeadLetter> {
        let message = "the destination fell behind, and the others did not wait for it (best-effort)".into();
        let reason = Arc::new(Reason { kind: "missed".into(), code: None, message, connector: None });
        let now: Arc<str> = self.around.clock.rfc3339().into();
        let batch = Arc::new(batch.clone());
        let letter = |index: usize| DeadLetter {
            destination: self.around.destination.clone(),
            processor: None,
            action: None,
            partition: batch.partition().clone(),
            label: label.clone(),
            sequence: batch.sequences()[index],
            ordinal: batch.ordinals().get(index).copied().unwrap_or_default(),
            record: Record::of(&batch, index as u32),
            whole: true,
            reason: reason.clone(),
            attempts: 0,
            at: now.clone(),
        };
        (0..batch.count() as usize).map(letter).collect()
    }
}

pub(super) fn failure_reason(step: &Step, failure: &Failure) -> Arc<Reason> {
    let connector = Some(step.processor.title());
    let code = failure.code.as_deref().map(Arc::from);
    Arc::new(Reason { kind: failure.kind.name().into(), code, message: failure.message.as_str().into(), connector })
}

pub(super) fn trouble_reason(step: &Step, trouble: &ProcessTrouble) -> Arc<Reason> {
    let kind = match trouble {
        ProcessTrouble::Failed(failure) => return failure_reason(step, failure),
        ProcessTrouble::Breach(_) => "breach",
        ProcessTrouble::Ended(ended) if ended.reason.is_limit() => "limit",
        ProcessTrouble::Ended(_) => "trapped",
    };
    let connector = Some(step.processor.title());
    Arc::new(Reason { kind: kind.into(), code: None, message: trouble.to_string().into(), connector })
}
