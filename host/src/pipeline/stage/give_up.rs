//! Records that processors give up, and what is said of them.

use std::sync::Arc;

use super::{ProcessorError, Stage, Work};
use crate::{
    connector::{Opening, ProcessTrouble, Processor},
    pipeline::delivery::LOGGED,
    record::{Failure, Record, Span},
    sandbox::{Ended, log::Log},
    store::{DeadLetter, Reason},
};

impl Stage {
    /// Whether a line may be written that a processor caused: it takes its share of the log.
    pub(super) fn admits(&self, processor: &Processor) -> bool {
        let Opening { scope, usage, limits, .. } = &processor.opening;
        // What was written already is counted in the usage.
        let log = || Log::new(scope.clone(), usage.clone(), self.clock.clone(), limits.log_lines);
        tracing::enabled!(tracing::Level::WARN) && log().admits()
    }

    pub(super) fn ended(&self, processor: &Processor, ended: &Ended) {
        let (call, reason) = (ended.call, &ended.reason);
        if self.admits(processor) {
            let connector = processor.connector.title();
            tracing::warn!(pipeline = %self.pipeline, processor = %processor.id, %connector, "{call} ended the instance: {reason}");
        }
    }

    /// Which record is to blame shows when they are handed over in pieces; and where none is, by itself, this is all that is told.
    pub(super) fn in_pieces(&self, processor: &Processor, trouble: &ProcessTrouble) {
        // Of an instance that ended it is told already.
        if !matches!(trouble, ProcessTrouble::Ended(_)) && self.admits(processor) {
            let connector = processor.connector.title();
            tracing::warn!(pipeline = %self.pipeline, processor = %processor.id, %connector, "to be processed in pieces: {trouble}");
        }
    }

    /// Gives records up, as far as the pipeline tolerates it.
    pub(super) fn give_up(
        &mut self,
        processor: &Processor,
        part: &Work,
        records: Span,
        reason: &Arc<Reason>,
        label: &Arc<str>,
        letters: &mut Vec<DeadLetter>,
    ) -> Result<(), ProcessorError> {
        let accepted = self.window.failed(records.len().into()) as u32;
        let batch = Arc::new(part.batch.clone());
        let at: Arc<str> = self.clock.rfc3339().into();
        for record in records.start..records.start + accepted {
            if letters.len() < LOGGED && self.admits(processor) {
                tracing::warn!(pipeline = %self.pipeline, processor = %processor.id, "given up: {}: {}", reason.kind, reason.message);
            }
            let index = record as usize;
            letters.push(DeadLetter {
                destination: self.destination.clone(),
                processor: Some(processor.id.clone()),
                partition: batch.partition().clone(),
                label: label.clone(),
                sequence: batch.sequences()[index],
                ordinal: batch.ordinals().get(index).copied().unwrap_or_default(),
                record: Record::of(&batch, record),
                whole: true,
                reason: reason.clone(),
                attempts: part.sent,
                at: at.clone(),
            });
        }
        if accepted == records.len() {
            return Ok(());
        }
        let (window, tolerance) = self.tolerance;
        let (id, connector) = (processor.id.clone(), processor.connector.title());
        let reason = format!("{}: {}", reason.kind, reason.message).into();
        Err(ProcessorError::TooMany { id, connector, window, tolerance, reason })
    }
}

pub(super) fn failure_reason(processor: &Processor, failure: &Failure) -> Arc<Reason> {
    let connector = Some(processor.connector.title().into());
    let code = failure.code.as_deref().map(Arc::from);
    Arc::new(Reason { kind: failure.kind.name().into(), code, message: failure.message.as_str().into(), connector })
}

pub(super) fn trouble_reason(processor: &Processor, trouble: &ProcessTrouble) -> Arc<Reason> {
    let kind = match trouble {
        ProcessTrouble::Failed(failure) => return failure_reason(processor, failure),
        ProcessTrouble::Breach(_) => "breach",
        ProcessTrouble::Ended(ended) if ended.reason.is_limit() => "limit",
        ProcessTrouble::Ended(_) => "trapped",
    };
    let connector = Some(processor.connector.title().into());
    Arc::new(Reason { kind: kind.into(), code: None, message: trouble.to_string().into(), connector })
}
