//! One processor of a chain.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    ProcessorError, Stage, Step, Work,
    give_up::{failure_reason, trouble_reason},
};
use crate::{
    connector::{OpenError, ProcessTrouble, Processor},
    pipeline::{Policy, Stopping},
    record::{Batch, Derived, Failure, FailureKind, Passed, Selection, Span},
    store::DeadLetter,
};

/// How often a part may end an instance before it is halved.
const ENDS: u32 = 2;

/// How often an instance that ends as it is opened is started again.
const OPENS: u32 = 3;

/// The shortest and the longest wait where a processor asks for patience: none is a loop without an end.
const THROTTLE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));

/// How long a processor that asks for patience is given.
fn patience(failure: &Failure) -> Duration {
    failure.retry_after.unwrap_or(Duration::from_secs(1)).clamp(THROTTLE.0, THROTTLE.1)
}

impl Stage {
    /// Hands a batch through one processor.
    pub(super) async fn step(
        &mut self,
        at: usize,
        batch: Batch,
        label: &Arc<str>,
        letters: &mut Vec<DeadLetter>,
    ) -> Result<Option<Batch>, ProcessorError> {
        let given = batch.count();
        let mut work = VecDeque::from([Work { batch, sent: 0, attempts: 0, ends: 0 }]);
        let mut done: Vec<Batch> = Vec::new();
        while let Some(mut part) = work.pop_front() {
            let selection = self.steps[at].chooser.as_mut().map_or(Selection::All, |chooser| chooser.choose(&part.batch));
            if selection.is_empty() {
                done.push(part.batch);
                continue;
            }
            self.open(at).await?;
            let mut stop = self.stop.clone();
            let Step { processor, session, .. } = &mut self.steps[at];
            let Some(open) = session else { continue };
            // Half of its memory is for what it makes of them.
            if part.batch.bytes() as u64 > open.room().usual / 4
                && let Some(halves) = part.halves()
            {
                halves.into_iter().rev().for_each(|half| work.push_front(half));
                continue;
            }
            part.sent += 1;
            let answer = tokio::select! {
                biased;
                answer = open.process(&part.batch, &selection, part.sent) => answer,
                _now = stop.wait_for(|stop| *stop == Stopping::Now) => {
                    // Whatever became of it: the instance is gone with the call.
                    self.steps[at].session = None;
                    return Err(ProcessorError::Asked);
                }
            };
            let processor = processor.clone();
            match answer {
                Ok(derived) => {
                    self.steps[at].down = 0;
                    if let Some(again) = self.passed(&processor, &part, derived, label, letters, &mut done).await? {
                        work.push_front(again);
                    }
                }
                Err(ProcessTrouble::Failed(failure)) if failure.kind != FailureKind::Rejected => {
                    self.down(at, &failure).await?;
                    work.push_front(part);
                }
                Err(trouble) => {
                    if let ProcessTrouble::Ended(ended) = &trouble {
                        self.ended(&processor, ended);
                        self.steps[at].session = None;
                        part.ends += 1;
                        if part.ends < ENDS {
                            self.wait(Policy::OUTAGE.longest(1)).await?;
                            work.push_front(part);
                            continue;
                        }
                    }
                    match part.halves() {
                        Some(halves) => {
                            self.in_pieces(&processor, &trouble);
                            halves.into_iter().rev().for_each(|half| work.push_front(half));
                        }
                        None => {
                            let records = Span::new(0, part.batch.count());
                            self.give_up(&processor, &part, records, &trouble_reason(&processor, &trouble), label, letters)?;
                        }
                    }
                }
            }
        }
        let left = Batch::joined(&self.pipeline, &done)?;
        // A part of what it was given, of which nothing else went through, would bear the id of the whole.
        Ok(left.map(|left| if done.len() == 1 && left.count() != given { left.recut(&self.pipeline) } else { left }))
    }

    /// Takes what went through. Gives what is to be processed again, after the wait for that.
    async fn passed(
        &mut self,
        processor: &Processor,
        part: &Work,
        derived: Derived,
        label: &Arc<str>,
        letters: &mut Vec<DeadLetter>,
        done: &mut Vec<Batch>,
    ) -> Result<Option<Work>, ProcessorError> {
        let rejected = |failure: &Failure| {
            failure.kind == FailureKind::Rejected || Policy::RECORD.is_over(part.attempts + 1, Duration::ZERO)
        };
        let failed = derived.passages().iter().find_map(|passage| match &passage.passed {
            Passed::Failed(failure) if !rejected(failure) => Some((passage.records.start, failure.clone())),
            _ => None,
        });
        let derived = match &failed {
            Some((at, _)) => derived.until(part.batch.sequence_start(*at)),
            None => derived,
        };
        for passage in derived.passages() {
            if let Passed::Failed(failure) = &passage.passed {
                let reason = failure_reason(processor, failure);
                self.give_up(processor, part, passage.records, &reason, label, letters)?;
            }
        }
        done.extend(derived.batch().cloned());
        let Some((at, failure)) = failed else { return Ok(None) };
        let (id, connector) = (processor.id.clone(), processor.connector.title());
        let start = part.batch.sequence_start(at);
        // Whoever got on a little begins to count anew.
        let attempts = if start > 0 { 1 } else { part.attempts + 1 };
        let wait = match failure.kind {
            FailureKind::Unauthorized | FailureKind::Fatal => return Err(ProcessorError::Failed { id, connector, failure }),
            FailureKind::Throttled => patience(&failure),
            _ => Policy::RECORD.wait(attempts, &self.clock),
        };
        if self.admits(processor) {
            tracing::warn!(pipeline = %self.pipeline, processor = %id, %connector, ?wait, "to be processed again: {failure}");
        }
        self.wait(wait).await?;
        let batch = part.batch.slice(start..part.batch.count());
        Ok(Some(Work { batch, sent: part.sent, attempts, ends: 0 }))
    }

    /// All failed for now.
    async fn down(&mut self, at: usize, failure: &Arc<Failure>) -> Result<(), ProcessorError> {
        let step = &mut self.steps[at];
        let processor = step.processor.clone();
        let (id, connector) = (processor.id.clone(), processor.connector.title());
        if matches!(failure.kind, FailureKind::Unauthorized | FailureKind::Fatal) {
            return Err(ProcessorError::Failed { id, connector, failure: failure.clone() });
        }
        step.down += 1;
        if step.down.is_multiple_of(2) {
            step.session = None;
        }
        let wait = match failure.kind {
            FailureKind::Throttled => patience(failure),
            _ => Policy::OUTAGE.wait(step.down, &self.clock),
        };
        if self.admits(&processor) {
            tracing::warn!(pipeline = %self.pipeline, processor = %id, %connector, ?wait, "to be processed again: {failure}");
        }
        self.wait(wait).await
    }

    /// Sees that a processor is open.
    async fn open(&mut self, at: usize) -> Result<(), ProcessorError> {
        while self.steps[at].session.is_none() {
            let processor = self.steps[at].processor.clone();
            let opened = match self.steps[at].reached {
                true => Ok(()),
                false => processor.probe().await.map_err(OpenError::from),
            };
            let opened = match opened {
                Ok(()) => {
                    self.steps[at].reached = true;
                    processor.open().await
                }
                Err(error) => Err(error),
            };
            match opened {
                Ok(session) => {
                    self.steps[at].session = Some(session);
                    self.steps[at].opens = 0;
                }
                Err(OpenError::Failed(failure)) if failure.kind != FailureKind::Rejected => {
                    let message = format!("open failed: {}", failure.message);
                    self.down(at, &Arc::new(Failure { message, ..failure })).await?;
                }
                Err(OpenError::Unreachable(failure)) if failure.kind != FailureKind::Rejected => {
                    let message = format!("the far side is not there: {}", failure.message);
                    self.down(at, &Arc::new(Failure { message, ..failure })).await?;
                }
                Err(cause) => {
                    self.steps[at].opens += 1;
                    let ended = matches!(cause, OpenError::Loading(crate::connector::Loading::Ended(_)));
                    if !ended || self.steps[at].opens > OPENS {
                        let (id, connector) = (processor.id.clone(), processor.connector.title());
                        let cause = Box::new(cause);
                        return Err(ProcessorError::Open { id, connector, cause });
                    }
                    self.wait(Policy::OUTAGE.longest(self.steps[at].opens)).await?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_that_asks_for_no_patience_is_given_some() {
        let wait = |retry_after: Option<u64>| {
            let retry_after = retry_after.map(Duration::from_secs);
            patience(&Failure { kind: FailureKind::Throttled, message: String::new(), code: None, retry_after }).as_millis()
        };
        assert_eq!([None, Some(0), Some(7), Some(1 << 40)].map(wait), [1000, 100, 7000, 3_600_000]);
    }
}
