//! What an answer makes of the records that it is about.

use std::{sync::Arc, time::Duration};

use tracing::Level;

use super::{
    PAUSE, Portion, ProcessorError, Stage, Work,
    give_up::{failure_reason, trouble_reason},
    work::Task,
};
use crate::{
    config::{OnUnknown, Then},
    connector::ProcessTrouble,
    pipeline::delivery::{CULPRITS, ENDS, FIRST_WAIT, RETRIES},
    record::{Derived, Failure, FailureKind, Passed, Span},
    sandbox::Ended,
};

/// Whether something fails for now, and counts as an attempt.
fn is_for_now(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::Transient | FailureKind::Uncertain)
}

impl Stage {
    /// Takes what went through, and puts back what is to be processed again, after the wait for that.
    pub(super) async fn weigh(
        &mut self,
        at: usize,
        part: Work,
        answer: Result<Derived, ProcessTrouble>,
        task: &mut Task<'_>,
    ) -> Result<(), ProcessorError> {
        match answer {
            Ok(derived) => self.passed(at, part, derived, task).await,
            Err(ProcessTrouble::Failed(failure)) if failure.kind == FailureKind::Rejected => match part.halves() {
                Some(halves) => {
                    self.tells_in_pieces(at, &ProcessTrouble::Failed(failure));
                    task.put_back(halves);
                    Ok(())
                }
                None => {
                    self.went_through(at, task)?;
                    let reason = failure_reason(&self.steps[at].step, &failure);
                    self.give_up(at, &part, Span::new(0, part.batch.count()), &reason, task.portion)
                }
            },
            Err(ProcessTrouble::Failed(failure)) => self.all_failed(at, part, &failure, task).await,
            Err(ProcessTrouble::Breach(breach)) => self.unknown(at, part, &ProcessTrouble::Breach(breach), task).await,
            Err(ProcessTrouble::Ended(ended)) => self.ended(at, part, ended, task).await,
        }
    }

    /// The call came back with a word on each record.
    async fn passed(&mut self, at: usize, part: Work, derived: Derived, task: &mut Task<'_>) -> Result<(), ProcessorError> {
        let failing = |passed: &Passed| matches!(passed, Passed::Failed(failure) if is_for_now(failure));
        // One that failed while others went through is to blame itself; where all fail, it is what they all need that is down.
        let alone = part.singled && part.head() == part.batch.count();
        if !alone
            && derived.passages().iter().all(|passage| failing(&passage.passed))
            && let Some(Passed::Failed(failure)) = derived.passages().first().map(|passage| &passage.passed)
        {
            let failure = failure.clone();
            return self.all_failed(at, part, &failure, task).await;
        }
        let head = part.head();
        let retry = self.steps[at].step.retry;
        let age = self.around.clock.elapsed().saturating_sub(task.portion.since);
        let attempts = part.attempts + 1;
        let over = retry.is_over(attempts, age);
        let is_evidence = |passed: &Passed| match passed {
            Passed::On | Passed::Filtered => true,
            Passed::Failed(failure) => failure.kind == FailureKind::Rejected,
        };
        if derived.passages().iter().any(|passage| is_evidence(&passage.passed)) {
            self.went_through(at, task)?;
        }
        // An outage must not become a flood of dead letters: few are given up before anything goes through.
        let gives_up = over && retry.then == Then::DeadLetter && self.steps[at].given_up < CULPRITS;
        let settled = |records: Span, failure: &Failure| {
            failure.kind == FailureKind::Rejected || (gives_up && records.start < head && is_for_now(failure))
        };
        let failed = derived.passages().iter().find_map(|passage| match &passage.passed {
            Passed::Failed(failure) if !settled(passage.records, failure) => Some((passage.records.start, failure.clone())),
            // What is given up is the first sequence alone.
            Passed::Failed(failure) if failure.kind != FailureKind::Rejected && passage.records.end > head => {
                Some((head, failure.clone()))
            }
            _ => None,
        });
        let start = failed.as_ref().map(|(at, _)| part.batch.sequence_start(*at));
        let derived = match start {
            Some(start) => derived.until(start),
            None => derived,
        };
        for passage in derived.passages() {
            if let Passed::Failed(failure) = &passage.passed {
                self.steps[at].given_up += u32::from(failure.kind != FailureKind::Rejected);
                let reason = failure_reason(&self.steps[at].step, failure);
                self.give_up(at, &part, passage.records, &reason, task.portion)?;
            }
        }
        task.done.extend(derived.batch().cloned());
        let (Some((_, failure)), Some(start)) = (failed, start) else { return Ok(()) };
        let rest = part.slice(Span::new(start, part.batch.count()));
        // Whoever got on a little begins to count anew.
        let attempts = match (start, failure.kind) {
            (0, FailureKind::Transient | FailureKind::Uncertain) => attempts,
            (0, _) => part.attempts,
            (_, FailureKind::Transient | FailureKind::Uncertain) => 1,
            _ => 0,
        };
        task.put_back([Work { attempts, singled: true, ends: 0, silent: 0, ..rest }]);
        if !is_for_now(&failure) {
            return self.not_now(at, &failure, task.portion).await;
        }
        if start == 0 && over && retry.then == Then::Stop {
            let (id, connector) = self.named(at);
            return Err(ProcessorError::TooOften { id, connector, failure, tried: attempts });
        }
        let policy = if start == 0 && over { self.steps[at].step.outage } else { retry };
        let wait = policy.wait(attempts, &self.around.clock);
        self.tells_again(at, wait, &failure);
        self.wait(wait, task.portion.number).await
    }

    /// All failed for now, or in a way that is the same for all.
    async fn all_failed(
        &mut self,
        at: usize,
        part: Work,
        failure: &Arc<Failure>,
        task: &mut Task<'_>,
    ) -> Result<(), ProcessorError> {
        let outage = self.steps[at].step.outage;
        let age = self.around.clock.elapsed().saturating_sub(task.portion.since);
        if is_for_now(failure) && outage.then == Then::DeadLetter && outage.is_over(self.steps[at].down + 1, age) {
            // What comes next has as many chances, and as long to wait between them.
            let wait = outage.wait(self.steps[at].down + 1, &self.around.clock);
            self.steps[at].down = 0;
            let reason = failure_reason(&self.steps[at].step, failure);
            self.give_up(at, &part, Span::new(0, part.batch.count()), &reason, task.portion)?;
            return self.wait(wait, task.portion.number).await;
        }
        task.put_back([Work { ends: 0, silent: 0, ..part }]);
        self.not_now(at, failure, task.portion).await
    }

    /// Nothing can be processed now: waits until it is worth another try.
    pub(super) async fn not_now(&mut self, at: usize, failure: &Arc<Failure>, portion: &Portion) -> Result<(), ProcessorError> {
        let (id, connector) = self.named(at);
        let step = &mut self.steps[at];
        let wait = match failure.kind {
            FailureKind::Unauthorized if !step.renewed => {
                step.renewed = true;
                step.session = None;
                step.step.processor.renew();
                if tracing::enabled!(Level::WARN) && step.log.admits() {
                    let pipeline = &self.around.pipeline;
                    tracing::warn!(%pipeline, processor = %id, %connector, "to be processed once more with renewed credentials: {failure}");
                }
                return Ok(());
            }
            FailureKind::Unauthorized | FailureKind::Fatal | FailureKind::Rejected => {
                let failure = failure.clone();
                let error = ProcessorError::Failed { id, connector, failure };
                return self.pause(at, &error, Some(PAUSE), portion.number).await;
            }
            FailureKind::Throttled => {
                let (least, most) = step.step.throttle;
                failure.retry_after.unwrap_or(FIRST_WAIT).clamp(least, most)
            }
            FailureKind::Transient | FailureKind::Uncertain => {
                step.down += 1;
                // Whatever it remembers may be what is wrong.
                if step.down.is_multiple_of(2) {
                    step.session = None;
                }
                let age = self.around.clock.elapsed().saturating_sub(portion.since);
                if step.step.outage.then == Then::Stop && step.step.outage.is_over(step.down, age) {
                    let (failure, tried) = (failure.clone(), step.down);
                    return Err(ProcessorError::TooOften { id, connector, failure, tried });
                }
                step.step.outage.wait(step.down, &self.around.clock)
            }
        };
        self.tells_again(at, wait, failure);
        self.wait(wait, portion.number).await
    }

    /// Its answer breaks the contract: what became of the records is unknown.
    async fn unknown(
        &mut self,
        at: usize,
        part: Work,
        trouble: &ProcessTrouble,
        task: &mut Task<'_>,
    ) -> Result<(), ProcessorError> {
        let policy = self.steps[at].step.on_unknown;
        self.steps[at].session = None;
        if trouble.is_too_much()
            && let Some(halves) = part.halves()
        {
            // Of fewer records less comes out.
            self.tells_in_pieces(at, trouble);
            task.put_back(halves);
            return Ok(());
        }
        if policy == OnUnknown::DeadLetter {
            match part.halves() {
                Some(halves) => {
                    self.tells_in_pieces(at, trouble);
                    task.put_back(halves);
                }
                None => {
                    let reason = trouble_reason(&self.steps[at].step, trouble);
                    self.give_up(at, &part, Span::new(0, part.batch.count()), &reason, task.portion)?;
                }
            }
            return Ok(());
        }
        let silent = part.silent + 1;
        let held = policy == OnUnknown::Hold || silent > RETRIES;
        // Whoever resumes it gives it as many chances again.
        task.put_back([Work { silent: if held { 0 } else { silent }, ends: 0, ..part }]);
        let (id, connector) = self.named(at);
        if held {
            let error = ProcessorError::Breach { id, connector, breach: trouble.to_string() };
            return self.pause(at, &error, None, task.portion.number).await;
        }
        let wait = self.steps[at].step.outage.wait(silent, &self.around.clock);
        if tracing::enabled!(Level::WARN) && self.steps[at].log.admits() {
            let pipeline = &self.around.pipeline;
            tracing::warn!(%pipeline, processor = %id, %connector, ?wait, "to be processed by a fresh instance: {trouble}");
        }
        self.wait(wait, task.portion.number).await
    }

    /// The call ended its instance: the records go to a fresh one, and after a second end are halved down to the one that does it.
    async fn ended(&mut self, at: usize, mut part: Work, ended: Ended, task: &mut Task<'_>) -> Result<(), ProcessorError> {
        self.tells_ended(at, &ended);
        let step = &mut self.steps[at];
        step.session = None;
        step.suspicion.ended();
        part.ends += 1;
        if part.ends < ENDS {
            let wait = step.suspicion.wait();
            task.put_back([part]);
            return self.wait(wait, task.portion.number).await;
        }
        if let Some(halves) = part.halves() {
            task.put_back(halves);
            return Ok(());
        }
        let wait = step.suspicion.culprit();
        let reason = trouble_reason(&step.step, &ProcessTrouble::Ended(ended.clone()));
        task.suspects.push((part, reason));
        match wait {
            Some(wait) => self.wait(wait, task.portion.number).await,
            None => {
                let error = self.blamed(at, ended.to_string().into());
                self.begin_again(at, &error, task).await
            }
        }
    }

    /// No other record can be asked: those who ended an instance are to blame if the processor works otherwise.
    pub(super) async fn judge(&mut self, at: usize, task: &mut Task<'_>) -> Result<(), ProcessorError> {
        if self.steps[at].suspicion.works() {
            return self.convict(at, task);
        }
        let why = task.suspects.last().map_or_else(|| "".into(), |(_, reason)| reason.message.clone());
        let error = self.blamed(at, why);
        self.begin_again(at, &error, task).await
    }

    /// The processor is to blame, and not the records: they wait until it is tried again.
    async fn begin_again(&mut self, at: usize, error: &ProcessorError, task: &mut Task<'_>) -> Result<(), ProcessorError> {
        let suspects: Vec<Work> = task.suspects.drain(..).map(|(part, _)| Work { ends: 0, ..part }).collect();
        task.put_back(suspects);
        self.pause(at, error, Some(PAUSE), task.portion.number).await
    }

    /// Something went through, so that those who ended an instance before it are to blame for that themselves.
    fn went_through(&mut self, at: usize, task: &mut Task<'_>) -> Result<(), ProcessorError> {
        let step = &mut self.steps[at];
        step.suspicion.came_through();
        (step.down, step.opens, step.given_up, step.renewed) = (0, 0, 0, false);
        self.convict(at, task)
    }

    fn convict(&mut self, at: usize, task: &mut Task<'_>) -> Result<(), ProcessorError> {
        for (part, reason) in std::mem::take(&mut task.suspects) {
            self.give_up(at, &part, Span::new(0, part.batch.count()), &reason, task.portion)?;
        }
        Ok(())
    }

    fn tells_again(&self, at: usize, wait: Duration, failure: &Failure) {
        if tracing::enabled!(Level::WARN) && self.steps[at].log.admits() {
            let ((processor, connector), pipeline) = (self.named(at), &self.around.pipeline);
            tracing::warn!(%pipeline, %processor, %connector, ?wait, "to be processed again: {failure}");
        }
    }
}
