//! What an answer makes of the records that it is about.

use std::{sync::Arc, time::Duration};

use tracing::Level;

use super::{DestinationError, FIRST_WAIT, Lane, Left, PAUSE, RETRIES, letter::Why, parts::Part};
use crate::{
    config::{OnUnknown, Then},
    connector::{Answer, Trouble},
    record::{Failure, FailureKind, Fate, Run, Span},
    sandbox::Ended,
};

/// How often a part may end an instance before it is halved.
pub(in crate::pipeline) const ENDS: u32 = 2;

/// Records of a part that are to be sent again.
struct Again {
    records: Span,
    /// How often that counted as an attempt.
    attempts: u32,
    /// Whether they failed while others came through.
    singled: bool,
    wait: Duration,
}

impl Lane {
    /// Settles what an answer settles, and puts back what is to be sent again.
    pub(super) fn weigh(&mut self, number: u64, part: Part, answer: Answer) -> Result<(), Left> {
        if part.unknown {
            self.counts().known(part.batch.count().into());
        }
        let part = Part { sent: part.sent + 1, unknown: false, ..part };
        if speaks_of_records(answer.trouble.as_ref())
            && let Some(account) = self.account(number)
        {
            let failed = answer.runs.iter().filter(|run| failed_for_now(&run.fate));
            failed.for_each(|run| account.failed(&part.batch, run.records));
        }
        match answer.trouble {
            Some(Trouble::Ended(ended)) => {
                let left = self.reported(number, &part, answer.runs);
                self.ended(number, part, &left, ended)
            }
            Some(Trouble::Failed(failure)) if failure.kind == FailureKind::Rejected => {
                let left = self.reported(number, &part, answer.runs);
                self.rejected(number, part, &left, &failure)
            }
            Some(Trouble::Breach(breach)) => self.answered(number, part, answer.runs, Some(breach.to_string())),
            Some(Trouble::Failed(_)) | None => self.answered(number, part, answer.runs, None),
        }
    }

    /// Where a call failed as a whole, settles what `progress` had reported. Gives what is left.
    fn reported(&mut self, number: u64, part: &Part, runs: Vec<Run>) -> Vec<Span> {
        let mut left = Vec::new();
        for Run { records, fate } in runs {
            if fate == Fate::Delivered {
                self.delivered(number, part, records);
            } else {
                left.push(records);
            }
        }
        left
    }

    fn delivered(&mut self, number: u64, part: &Part, records: Span) {
        let mut count = u64::from(records.len());
        if let Some(account) = self.account(number) {
            account.delivered(&part.batch, records);
            // Where several were made of one, that one is delivered once all of them are.
            count = if account.is_derived() { 0 } else { count };
        }
        self.outlet.tolerance().succeeded(records.len().into());
        self.counts().delivered(count, part.batch.bytes_of(records) as u64);
        self.came_through();
    }

    /// The call ended its instance: what is left goes to a fresh one, and after a second end is halved down to the record that does it.
    fn ended(&mut self, number: u64, part: Part, left: &[Span], ended: Ended) -> Result<(), Left> {
        // What it wrote to its standard error stands in the log already.
        let (pipeline, destination) = (self.progress.pipeline.clone(), self.outlet.id.clone());
        let connector = self.outlet.far.title();
        let (call, reason) = (ended.call, &ended.reason);
        if tracing::enabled!(Level::WARN) && self.log.admits() {
            tracing::warn!(%pipeline, %destination, %connector, batch = part.batch.id(), "{call} ended the instance: {reason}");
        }
        self.session = None;
        self.suspicion.ended();
        self.last = Some(ended.clone());
        if left.is_empty() {
            return Ok(());
        }
        let part = Part { ends: part.ends + 1, ..part };
        if part.ends < ENDS {
            let wait = self.suspicion.wait();
            self.rest = self.clock.elapsed() + wait;
            let count: u32 = left.iter().map(|records| records.len()).sum();
            if tracing::enabled!(Level::WARN) && self.log.admits() {
                tracing::warn!(%pipeline, %destination, batch = part.batch.id(), records = count, ?wait, "to be sent to a fresh instance");
            }
            for records in left {
                let part = part.slice(*records);
                self.counts().retried();
                self.queue.put(number, part, Duration::ZERO);
            }
            return Ok(());
        }
        match *left {
            [Span { start, end }] if end - start == 1 => {
                let sequence = part.batch.sequences()[start as usize];
                if tracing::enabled!(Level::WARN) && self.log.admits() {
                    tracing::warn!(%pipeline, %destination, batch = part.batch.id(), sequence, "the record ends an instance by itself");
                }
                let letter = self.letter(number, &part, &Why::Ended(&ended));
                if let Some(account) = self.account(number) {
                    account.suspect(&part.batch, start, &letter);
                }
                let Some(wait) = self.suspicion.culprit() else {
                    let instances = self.suspicion.instances();
                    return Err(Left::Destination(DestinationError::Quarantined { ended, instances }));
                };
                // Nothing of it is sent again: what comes next waits.
                self.rest = self.clock.elapsed() + wait;
            }
            _ => self.in_pieces(number, &part, left),
        }
        Ok(())
    }

    /// The call rejected all that is left: which of them is to blame shows when they are sent in pieces.
    fn rejected(&mut self, number: u64, part: Part, left: &[Span], failure: &Failure) -> Result<(), Left> {
        match *left {
            [] => Ok(()),
            [Span { start, end }] if end - start == 1 => {
                self.came_through();
                self.give_up(number, &part, Span::new(start, end), &Why::Failed(failure))
            }
            _ => {
                if tracing::enabled!(Level::INFO) && self.log.admits() {
                    let (pipeline, destination) = (&self.progress.pipeline, &self.outlet.id);
                    tracing::info!(%pipeline, %destination, batch = part.batch.id(), count = part.batch.count(), "to be sent in pieces, since it was rejected whole: {failure}");
                }
                self.in_pieces(number, &Part { ends: 0, ..part }, left);
                Ok(())
            }
        }
    }

    fn in_pieces(&mut self, number: u64, part: &Part, left: &[Span]) {
        for piece in part.divided(left) {
            self.counts().retried();
            self.queue.put(number, piece, Duration::ZERO);
        }
    }

    /// A record came through, so that those who ended an instance before it are to blame for that themselves, and the far side is there.
    fn came_through(&mut self) {
        if self.suspicion.pending() {
            self.convict(u64::MAX);
        }
        self.suspicion.came_through();
        if self.down > 0 {
            self.counts().waits(None);
        }
        (self.down, self.renewed, self.works, self.opens) = (0, false, true, 0);
    }

    /// The call came back with a word on each record, or failed as a whole in a way that is the same for all. `breach` is how the answer
    /// breaks the contract.
    pub(super) fn answered(&mut self, number: u64, part: Part, runs: Vec<Run>, breach: Option<String>) -> Result<(), Left> {
        let alone = part.batch.count() == 1 && part.singled;
        // One that failed while others came through is to blame itself; where all fail, the far side is down.
        let down = !alone && runs.iter().all(|run| failed_for_now(&run.fate));
        let idle = runs.iter().all(|run| run.fate == Fate::Untried);
        let attempts = part.attempts;
        let mut again: Vec<Again> = Vec::new();
        let mut same = |records, wait| again.push(Again { records, attempts, singled: part.singled, wait });
        let (mut for_now, mut unknown, mut refused, mut end) = (Vec::new(), Vec::new(), None, Ok(()));
        for Run { records, fate } in runs {
            match fate {
                Fate::Delivered => self.delivered(number, &part, records),
                Fate::Warned(remark) => {
                    if self.logs(number) {
                        let (pipeline, destination) = (&self.progress.pipeline, &self.outlet.id);
                        tracing::warn!(%pipeline, %destination, batch = part.batch.id(), %records, "delivered with a remark: {remark}");
                    }
                    self.delivered(number, &part, records);
                    self.counts().warned(records.len().into());
                }
                Fate::Untried => same(records, Duration::ZERO),
                Fate::Unknown => unknown.push(records),
                Fate::Failed(failure) => match failure.kind {
                    FailureKind::Rejected => {
                        self.came_through();
                        end = end.and(self.give_up(number, &part, records, &Why::Failed(&failure)));
                    }
                    FailureKind::Throttled => {
                        let (least, most) = self.outlet.delivery.throttle;
                        let wait = failure.retry_after.unwrap_or(FIRST_WAIT).clamp(least, most);
                        self.tells_again(&part, records, wait, &failure);
                        same(records, wait);
                    }
                    FailureKind::Transient | FailureKind::Uncertain => for_now.push((records, failure)),
                    FailureKind::Unauthorized | FailureKind::Fatal => {
                        same(records, Duration::ZERO);
                        refused.get_or_insert(failure);
                    }
                },
            }
        }
        if down || idle {
            let failure = for_now.first().map(|(_, failure)| failure.clone()).unwrap_or_else(tries_nothing);
            end = end.and(self.is_down(number, &part, &failure, &mut again, for_now));
        } else {
            end = end.and(self.fail_for_now(number, &part, &mut again, for_now));
        }
        if let Some(failure) = refused {
            self.is_refused(failure);
        }
        // Each sees to it that no record of its own is lost, whatever became of the others.
        end = end.and(self.unknown(number, &part, unknown, breach));
        self.put_back(number, &part, again);
        end
    }

    /// Everything failed for now, or nothing was tried.
    fn is_down(
        &mut self,
        number: u64,
        part: &Part,
        failure: &Arc<Failure>,
        again: &mut Vec<Again>,
        failed: Vec<(Span, Arc<Failure>)>,
    ) -> Result<(), Left> {
        self.down += 1;
        // Whatever it remembers of the far side may be what is wrong.
        if self.down.is_multiple_of(2) {
            self.session = None;
        }
        let policy = self.outlet.delivery.outage;
        let now = self.clock.elapsed();
        let age = self.account(number).map_or(Duration::ZERO, |account| now.saturating_sub(account.times.taken));
        let (attempts, singled) = (part.attempts, part.singled);
        if policy.is_over(self.down, age) {
            if policy.then == Then::Stop {
                again.extend(failed.into_iter().map(|(records, _)| Again { records, attempts, singled, wait: Duration::ZERO }));
                return Err(Left::Destination(DestinationError::TooOften { failure: failure.clone(), tried: self.down }));
            }
            // What comes next has as many chances, and as long to wait between them.
            self.rest = now + policy.wait(self.down, &self.clock);
            self.down = 0;
            let untried = again.drain(..).map(|again| (again.records, failure.clone()));
            let all: Vec<_> = failed.into_iter().chain(untried).collect();
            let mut end = Ok(());
            for (records, failure) in all {
                end = end.and(self.give_up(number, part, records, &Why::Failed(&failure)));
            }
            return end;
        }
        let wait = policy.wait(self.down, &self.clock);
        self.rest = now + wait;
        self.counts().waits(Some(&failure.to_string()));
        self.tells_again(part, Span::new(0, part.batch.count()), wait, failure);
        again.extend(failed.into_iter().map(|(records, _)| Again { records, attempts, singled, wait: Duration::ZERO }));
        Ok(())
    }

    /// Some failed for now while others came through, or were not tried.
    fn fail_for_now(
        &mut self,
        number: u64,
        part: &Part,
        again: &mut Vec<Again>,
        failed: Vec<(Span, Arc<Failure>)>,
    ) -> Result<(), Left> {
        if failed.is_empty() {
            return Ok(());
        }
        let policy = self.outlet.delivery.retry;
        let now = self.clock.elapsed();
        let age = self.account(number).map_or(Duration::ZERO, |account| now.saturating_sub(account.times.taken));
        let attempts = part.attempts + 1;
        let over = policy.is_over(attempts, age);
        let mut end = Ok(());
        for (records, failure) in failed {
            let wait = match (over, policy.then) {
                (true, Then::Stop) => {
                    again.push(Again { records, attempts, singled: true, wait: Duration::ZERO });
                    end = end.and(Err(Left::Destination(DestinationError::TooOften { failure, tried: attempts })));
                    continue;
                }
                // An outage must not become a flood of dead letters: nothing is given up before anything came through.
                (true, Then::DeadLetter) if self.works => {
                    self.works = false;
                    self.give_up(number, part, records, &Why::Failed(&failure))?;
                    continue;
                }
                (true, Then::DeadLetter) => self.outlet.delivery.outage.wait(attempts, &self.clock),
                (false, _) => policy.wait(attempts, &self.clock),
            };
            self.tells_again(part, records, wait, &failure);
            again.push(Again { records, attempts, singled: true, wait });
        }
        end
    }

    /// The far side refused the credentials, or said that nothing can succeed.
    fn is_refused(&mut self, failure: Arc<Failure>) {
        if failure.kind == FailureKind::Unauthorized && !self.renewed {
            self.outlet.far.renew();
            self.session = None;
            self.renewed = true;
            let (pipeline, destination) = (&self.progress.pipeline, &self.outlet.id);
            if tracing::enabled!(Level::WARN) && self.log.admits() {
                tracing::warn!(%pipeline, %destination, "to be sent once more with renewed credentials: {failure}");
            }
            return;
        }
        self.pause(&DestinationError::Failed(failure), Some(PAUSE));
    }

    /// It did not say what became of some records, or broke the contract.
    fn unknown(&mut self, number: u64, part: &Part, unknown: Vec<Span>, breach: Option<String>) -> Result<(), Left> {
        let records: u32 = unknown.iter().map(|span| span.len()).sum();
        if records == 0 && breach.is_none() {
            return Ok(());
        }
        let count = part.batch.count();
        let error = match breach {
            Some(breach) => DestinationError::Breach { breach, unknown: records },
            None => DestinationError::Silent { records, count },
        };
        self.session = None;
        let policy = self.outlet.delivery.on_unknown;
        if policy == OnUnknown::DeadLetter {
            for records in unknown {
                self.give_up(number, part, records, &Why::Unknown(error.to_string()))?;
            }
            return Ok(());
        }
        self.counts().unknown(records.into());
        let tried = part.silent + 1;
        let held = policy == OnUnknown::Hold || tried > RETRIES;
        let wait = if held { Duration::ZERO } else { self.outlet.delivery.outage.wait(tried, &self.clock) };
        // Whoever resumes it gives it as many chances again.
        let silent = if held { 0 } else { tried };
        for records in unknown {
            self.counts().retried();
            let part = Part { silent, unknown: true, ends: 0, ..part.slice(records) };
            self.queue.put(number, part, self.clock.elapsed() + wait);
        }
        if held || records == 0 {
            // Who breaks the contract and leaves nothing open is not asked anything more before a person has looked.
            self.pause(&error, None);
        } else if tracing::enabled!(Level::WARN) && self.log.admits() {
            let (pipeline, destination) = (&self.progress.pipeline, &self.outlet.id);
            tracing::warn!(%pipeline, %destination, batch = part.batch.id(), ?wait, "to be sent to a fresh instance: {error}");
        }
        Ok(())
    }

    fn tells_again(&self, part: &Part, records: Span, wait: Duration, failure: &Failure) {
        let (pipeline, destination) = (&self.progress.pipeline, &self.outlet.id);
        let batch = part.batch.id();
        if failure.kind == FailureKind::Throttled {
            if tracing::enabled!(Level::INFO) && self.log.admits() {
                tracing::info!(%pipeline, %destination, batch, %records, ?wait, "{failure}");
            }
        } else if tracing::enabled!(Level::WARN) && self.log.admits() {
            let twice = match failure.kind {
                FailureKind::Uncertain if !self.outlet.far.is_idempotent() => ", perhaps for a second time",
                _ => "",
            };
            tracing::warn!(%pipeline, %destination, batch, %records, ?wait, "to be sent again{twice}: {failure}");
        }
    }

    /// Neighbours go again together, unless the one would bear the attempts of the other.
    fn put_back(&mut self, number: u64, part: &Part, mut again: Vec<Again>) {
        let now = self.clock.elapsed();
        again.sort_by_key(|again| again.records);
        let mut parts: Vec<Again> = Vec::new();
        for next in again {
            match parts.last_mut() {
                Some(last)
                    if last.records.end == next.records.start
                        && (last.attempts, last.singled, last.wait) == (next.attempts, next.singled, next.wait) =>
                {
                    last.records.end = next.records.end;
                }
                _ => parts.push(next),
            }
        }
        for Again { records, attempts, singled, wait } in parts {
            self.counts().retried();
            let part = Part { attempts, singled, ends: 0, ..part.slice(records) };
            self.queue.put(number, part, now + wait);
        }
    }
}

/// Whether it is the records that failed which the answer leaves open: each was tried, perhaps. Who says of a whole call that the far side is down, or breaks the
/// contract, says nothing of any record.
fn speaks_of_records(trouble: Option<&Trouble>) -> bool {
    match trouble {
        None | Some(Trouble::Ended(_)) => true,
        Some(Trouble::Failed(failure)) => failure.kind == FailureKind::Uncertain,
        Some(Trouble::Breach(_)) => false,
    }
}

fn failed_for_now(fate: &Fate) -> bool {
    matches!(fate, Fate::Failed(failure) if matches!(failure.kind, FailureKind::Transient | FailureKind::Uncertain))
}

/// What is said for a connector that tries none of the records that it is given: it makes no progress, and that counts.
fn tries_nothing() -> Arc<Failure> {
    let message = "the connector tries none of the records that it is given".into();
    Arc::new(Failure { kind: FailureKind::Transient, message, code: None, retry_after: None })
}
