//! Processors: what happens to records between being read and being delivered.
//!
//! A portion goes through all of a chain before it is handed on, so that what comes behind it finds the order of reading. What a processor
//! says of a record it says to all that come after it:
//!
//! | what comes back | what happens to the records |
//! | --- | --- |
//! | they go on, changed or not, as one or as several | they are handed to the next processor |
//! | filtered | acknowledged to the source, and handed to nobody |
//! | rejected | dead letters, as far as the pipeline tolerates them |
//! | failed otherwise, one or all | they and what comes after them are processed again after a back-off (`Policy::RECORD`), then dead letters |
//! | unauthorized, fatal | the pipeline stops |
//! | all rejected as one, an answer that breaks the contract, an instance that ended twice | halved, down to the record that does it: a dead letter |

use std::{collections::VecDeque, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::sync::{mpsc, watch};

use super::{
    DestinationError, Policy, Progress, Stopping,
    delivery::{LOGGED, LaneEnded, Left},
    tolerance::Tolerance,
};
use crate::{
    clock::Clock,
    connector::{OpenError, Opening, ProcessTrouble, Processor, ProcessorSession},
    record::{Batch, Chooser, ColumnFull, Derived, Failure, FailureKind, Passed, Selection, Span},
    sandbox::{Ended, log::Log},
    source::Portion,
    store::{DeadLetter, Reason},
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

/// Why a chain takes no more records.
#[derive(Debug, Error)]
pub enum ProcessorError {
    /// A processor could not be opened.
    #[error("processor {id} ({connector}): {cause}")]
    Open {
        /// Which.
        id: Arc<str>,
        /// Name and version.
        connector: String,
        /// Why.
        cause: Box<OpenError>,
    },
    /// It said that nothing can succeed, or refused the credentials.
    #[error("processor {id} ({connector}): {failure}")]
    Failed {
        /// Which.
        id: Arc<str>,
        /// Name and version.
        connector: String,
        /// What it said.
        failure: Arc<Failure>,
    },
    /// More records failed than the pipeline tolerates.
    #[error(
        "processor {id} ({connector}): of the last {window} records more than {tolerance} failed; this was one too many: {reason}"
    )]
    TooMany {
        /// Which.
        id: Arc<str>,
        /// Name and version.
        connector: String,
        /// Of how many.
        window: u32,
        /// How many may.
        tolerance: u32,
        /// Why the one that was too many failed.
        reason: Arc<str>,
    },
    /// Together they would be larger than a column can be.
    #[error(transparent)]
    Full(#[from] ColumnFull),
    /// It was asked to stop while something was to be processed again.
    #[error("asked to stop")]
    Asked,
}

impl ProcessorError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooMany { .. } => {
                "mend the record or the processor and run again; or let more be given up (dead-letters.window, dead-letters.tolerance)"
            }
            _ => "mend the processor and run again: what is pending is processed again",
        }
    }
}

/// What came of a batch.
#[derive(Debug)]
pub(super) struct Through {
    /// The records that go on; `None` where none does.
    pub batch: Option<Batch>,
    /// Those that were given up.
    pub letters: Vec<DeadLetter>,
    /// Sequences of which nothing goes on and nothing failed.
    pub filtered: u64,
}

/// A portion on its way to a lane.
#[derive(Clone, Debug)]
pub(super) struct Handed {
    /// Its number in the ledger.
    pub number: u64,
    /// It, with what processors made of its records.
    pub portion: Arc<Portion>,
    /// What the destination's own processors gave up of it.
    pub letters: Vec<DeadLetter>,
}

/// Hands portions through a destination's own processors on their way to its lanes.
pub(super) async fn ahead(
    mut stage: Stage,
    mut portions: mpsc::Receiver<Handed>,
    lanes: Vec<mpsc::Sender<Handed>>,
    (progress, destination): (Arc<Progress>, usize),
) -> LaneEnded {
    while let Some(Handed { number, mut portion, letters: mut given_up }) = portions.recv().await {
        if let Some(batch) = &portion.batch {
            let Through { batch, letters, filtered } = match stage.process(batch, &portion.label).await {
                Ok(through) => through,
                Err(ProcessorError::Asked) => return Err(Left::Asked),
                Err(error) => return Err(Left::Destination(DestinationError::Processor(Box::new(error)))),
            };
            progress.destination(destination).filtered(filtered);
            given_up.extend(letters);
            let Portion { partition, label, next, .. } = &*portion;
            let (partition, label, next) = (partition.clone(), label.clone(), *next);
            portion = Arc::new(Portion { partition, label, batch, unreadable: Vec::new(), next });
        }
        for lane in &lanes {
            let handed = Handed { number, portion: portion.clone(), letters: std::mem::take(&mut given_up) };
            // A lane that has ended gets no more.
            let _ended = lane.send(handed).await;
        }
    }
    stage.close().await;
    Ok(())
}

/// Processors, one behind the other.
pub(super) struct Stage {
    steps: Vec<Step>,
    pipeline: Arc<str>,
    /// Whose records are given up; `None` where it is for all destinations.
    destination: Option<Arc<str>>,
    clock: Clock,
    stop: watch::Receiver<Stopping>,
    tolerance: (u32, u32),
    window: Tolerance,
}

struct Step {
    processor: Processor,
    chooser: Option<Chooser>,
    session: Option<ProcessorSession>,
    /// How often in a row it failed to be there.
    down: u32,
    opens: u32,
}

/// Records that one processor is still to be given.
struct Work {
    batch: Batch,
    sent: u32,
    attempts: u32,
    ends: u32,
}

impl Work {
    /// Its halves, cut where a sequence begins; `None` where it is of one sequence.
    fn halves(&self) -> Option<[Self; 2]> {
        let count = self.batch.count();
        let middle = match self.batch.sequence_start(count / 2) {
            0 => {
                let first = self.batch.sequences()[0];
                self.batch.sequences().partition_point(|sequence| *sequence <= first) as u32
            }
            middle => middle,
        };
        let part = |range| Self { batch: self.batch.slice(range), sent: self.sent, attempts: self.attempts, ends: self.ends };
        (0 < middle && middle < count).then(|| [part(0..middle), part(middle..count)])
    }
}

impl Stage {
    /// `None` where there is nothing to do.
    pub fn new(
        processors: Vec<Processor>,
        (pipeline, destination): (Arc<str>, Option<Arc<str>>),
        clock: Clock,
        stop: watch::Receiver<Stopping>,
        tolerance: (u32, u32),
    ) -> Option<Self> {
        let step = |processor: Processor| {
            let chooser = processor.chooser();
            Step { processor, chooser, session: None, down: 0, opens: 0 }
        };
        let steps: Vec<Step> = processors.into_iter().map(step).collect();
        let window = Tolerance::new(tolerance.0, tolerance.1);
        (!steps.is_empty()).then(|| Self { steps, pipeline, destination, clock, stop, tolerance, window })
    }

    /// Hands a batch through all processors.
    pub async fn process(&mut self, batch: &Batch, label: &Arc<str>) -> Result<Through, ProcessorError> {
        let (mut letters, mut left) = (Vec::new(), Some(batch.clone()));
        for at in 0..self.steps.len() {
            let Some(batch) = left.take() else { break };
            left = self.step(at, batch, label, &mut letters).await?;
        }
        let came = distinct(batch.sequences().iter().copied());
        let on = left.as_ref().map_or(&[][..], Batch::sequences);
        let mut dealt: Vec<u64> = on.iter().copied().chain(letters.iter().map(|letter: &DeadLetter| letter.sequence)).collect();
        dealt.sort_unstable();
        let filtered = came.saturating_sub(distinct(dealt.into_iter()));
        self.window.succeeded(came.saturating_sub(letters.len() as u64));
        Ok(Through { batch: left, letters, filtered })
    }

    /// Closes what is open.
    pub async fn close(&mut self) {
        for Step { processor, session, .. } in &mut self.steps {
            let Some(session) = session.take() else { continue };
            let error = match session.close().await {
                Ok(Ok(())) => continue,
                Ok(Err(failure)) => failure.to_string(),
                Err(ended) => ended.to_string(),
            };
            tracing::warn!(pipeline = %self.pipeline, processor = %processor.id, %error, "close failed; every record had been answered for");
        }
    }

    /// Hands a batch through one processor.
    async fn step(
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
            let answer = open.process(&part.batch, &selection, part.sent).await;
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
                        Some(halves) => halves.into_iter().rev().for_each(|half| work.push_front(half)),
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
            match processor.open().await {
                Ok(session) => {
                    self.steps[at].session = Some(session);
                    self.steps[at].opens = 0;
                }
                Err(OpenError::Failed(failure)) if failure.kind != FailureKind::Rejected => {
                    let message = format!("open failed: {}", failure.message);
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

    /// Whether a line may be written that a processor caused: it takes its share of the log.
    fn admits(&self, processor: &Processor) -> bool {
        let Opening { scope, usage, limits, .. } = &processor.opening;
        // What was written already is counted in the usage.
        let log = || Log::new(scope.clone(), usage.clone(), self.clock.clone(), limits.log_lines);
        tracing::enabled!(tracing::Level::WARN) && log().admits()
    }

    fn ended(&self, processor: &Processor, ended: &Ended) {
        let (call, reason) = (ended.call, &ended.reason);
        if self.admits(processor) {
            let connector = processor.connector.title();
            tracing::warn!(pipeline = %self.pipeline, processor = %processor.id, %connector, "{call} ended the instance: {reason}");
        }
    }

    /// Gives records up, as far as the pipeline tolerates it.
    fn give_up(
        &mut self,
        processor: &Processor,
        part: &Work,
        records: Span,
        reason: &Arc<Reason>,
        label: &Arc<str>,
        letters: &mut Vec<DeadLetter>,
    ) -> Result<(), ProcessorError> {
        let accepted = self.window.failed(records.len().into()) as u32;
        let at: Arc<str> = self.clock.rfc3339().into();
        for record in records.start..records.start + accepted {
            if letters.len() < LOGGED && self.admits(processor) {
                tracing::warn!(pipeline = %self.pipeline, processor = %processor.id, "given up: {}: {}", reason.kind, reason.message);
            }
            let (batch, index) = (&part.batch, record as usize);
            letters.push(DeadLetter {
                destination: self.destination.clone(),
                partition: batch.partition().clone(),
                label: label.clone(),
                sequence: batch.sequences()[index],
                ordinal: batch.ordinals().get(index).copied().unwrap_or_default(),
                key: batch.key().and_then(|key| key.shared(index)),
                record: batch.after().shared(index),
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

    /// Waits, unless it is asked to stop meanwhile.
    async fn wait(&mut self, wait: Duration) -> Result<(), ProcessorError> {
        tokio::select! {
            () = self.clock.sleep(wait) => Ok(()),
            // The sender outlives every stage.
            _asked = self.stop.wait_for(|stop| *stop != Stopping::No) => Err(ProcessorError::Asked),
        }
    }
}

fn failure_reason(processor: &Processor, failure: &Failure) -> Arc<Reason> {
    let connector = Some(processor.connector.title().into());
    let code = failure.code.as_deref().map(Arc::from);
    Arc::new(Reason { kind: failure.kind.name().into(), code, message: failure.message.as_str().into(), connector })
}

fn trouble_reason(processor: &Processor, trouble: &ProcessTrouble) -> Arc<Reason> {
    let kind = match trouble {
        ProcessTrouble::Failed(failure) => return failure_reason(processor, failure),
        ProcessTrouble::Breach(_) => "breach",
        ProcessTrouble::Ended(ended) if ended.reason.is_limit() => "limit",
        ProcessTrouble::Ended(_) => "trapped",
    };
    let connector = Some(processor.connector.title().into());
    Arc::new(Reason { kind: kind.into(), code: None, message: trouble.to_string().into(), connector })
}

/// How many different ones there are among numbers that never fall.
pub(super) fn distinct(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut last = None;
    numbers.filter(|number| last.replace(*number) != Some(*number)).count() as u64
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
