//! What an answer makes of the records that it is about.

use std::{sync::Arc, time::Duration};

use tracing::Level;

use super::{DestinationError, FIRST_WAIT, Left, PATIENCE, RETRIES, Worker, account::Account, letter::Why, parts::Part};
use crate::{
    connector::{Answer, Trouble},
    record::{Batch, Failure, FailureKind, Fate, Run, Span},
    sandbox::Ended,
};

/// How often a part may end an instance before it is halved.
const ENDS: u32 = 2;

/// What is to be sent again, in order, and how long to wait for it.
pub(super) type Again = Vec<(Part, Duration)>;

impl Worker {
    /// Settles what an answer settles, and gives what is to be sent again.
    pub(super) fn weigh(&mut self, part: Part, answer: Answer, account: &mut Account) -> Result<Again, Left> {
        let part = Part { sent: part.sent + 1, ..part };
        match answer.trouble {
            Some(Trouble::Ended(ended)) => {
                let left = self.reported(&part.batch, answer.runs, account);
                self.ended(part, &left, ended, account)
            }
            Some(Trouble::Failed(failure)) if failure.kind == FailureKind::Rejected => {
                let left = self.reported(&part.batch, answer.runs, account);
                Ok(self.rejected(part, &left, &failure, account))
            }
            trouble => self.answered(part, answer.runs, trouble, account),
        }
    }

    /// Where a call failed as a whole, settles what `progress` had reported. Gives what is left.
    fn reported(&mut self, batch: &Batch, runs: Vec<Run>, account: &mut Account) -> Vec<Span> {
        let mut left = Vec::new();
        for Run { records, fate } in runs {
            if fate == Fate::Delivered {
                self.delivered(batch, records, account);
            } else {
                left.push(records);
            }
        }
        left
    }

    fn delivered(&mut self, batch: &Batch, records: Span, account: &mut Account) {
        account.settle(batch, records);
        self.counts().delivered(records.len().into(), batch.bytes_of(records) as u64);
        self.came_through(account);
    }

    /// The call ended its instance: what is left goes to a fresh one, and after a second end is halved down to the record that does it.
    fn ended(&mut self, part: Part, left: &[Span], ended: Ended, account: &mut Account) -> Result<Again, Left> {
        // What it wrote to its standard error stands in the log already.
        let (pipeline, destination) = (self.progress.pipeline.clone(), self.destination.id.clone());
        let connector = self.destination.connector.title();
        let batch = part.batch.id();
        let (call, reason) = (ended.call, &ended.reason);
        tracing::warn!(%pipeline, %destination, %connector, batch, "{call} ended the instance: {reason}");
        self.session = None;
        self.suspicion.ended();
        self.last = Some(ended.clone());
        if left.is_empty() {
            return Ok(Vec::new());
        }
        let part = Part { ends: part.ends + 1, ..part.clone() };
        if part.ends < ENDS {
            let wait = self.suspicion.wait();
            let again: Vec<_> = left.iter().map(|records| (part.slice(*records), wait)).collect();
            for (part, _) in &again {
                let (batch, records) = (&part.batch, Span::new(0, part.batch.count()));
                tracing::warn!(%pipeline, %destination, batch = batch.id(), start = batch.start(), %records, ?wait, "to be sent to a fresh instance");
                self.counts().retried();
            }
            return Ok(again);
        }
        let [Span { start, end }] = *left else {
            return Ok(self.in_pieces(&part, left));
        };
        if end - start > 1 {
            return Ok(self.in_pieces(&part, left));
        }
        let sequence = part.batch.sequences()[start as usize];
        tracing::warn!(%pipeline, %destination, batch, sequence, "the record ends an instance by itself");
        let letter = self.letter(&part, account, &Why::Ended(&ended));
        account.suspect(&part.batch, start, letter.of(&part.batch, start));
        let Some(wait) = self.suspicion.culprit() else {
            let instances = self.suspicion.instances();
            return Err(Left::Destination(DestinationError::Quarantined { ended, instances }));
        };
        // Nothing of it is sent again: what comes next waits.
        self.pause = wait;
        Ok(Vec::new())
    }

    /// The call rejected all that is left: which of them is to blame shows when they are sent in pieces.
    fn rejected(&mut self, part: Part, left: &[Span], failure: &Failure, account: &mut Account) -> Again {
        match *left {
            [] => Vec::new(),
            [Span { start, end }] if end - start == 1 => {
                self.give_up(&part, Span::new(start, end), failure, account);
                Vec::new()
            }
            _ => {
                if tracing::enabled!(Level::INFO) && self.log.admits() {
                    let (pipeline, destination) = (&self.progress.pipeline, &self.destination.id);
                    tracing::info!(%pipeline, %destination, batch = part.batch.id(), count = part.batch.count(), "to be sent in pieces, since it was rejected whole: {failure}");
                }
                self.in_pieces(&Part { ends: 0, ..part }, left)
            }
        }
    }

    fn in_pieces(&self, part: &Part, left: &[Span]) -> Again {
        let pieces = part.divided(left);
        pieces.iter().for_each(|_| self.counts().retried());
        pieces.into_iter().map(|piece| (piece, Duration::ZERO)).collect()
    }

    /// Records are given up by the connector's own word.
    fn give_up(&mut self, part: &Part, records: Span, failure: &Failure, account: &mut Account) {
        if self.logs(account) {
            let (pipeline, destination) = (&self.progress.pipeline, &self.destination.id);
            tracing::warn!(%pipeline, %destination, batch = part.batch.id(), %records, "given up: {failure}");
        }
        let letter = self.letter(part, account, &Why::Rejected(failure));
        account.give_up(&part.batch, records, &letter);
        self.came_through(account);
    }

    /// A record came through, so that those who ended an instance before it are to blame for that themselves.
    fn came_through(&mut self, account: &mut Account) {
        if self.suspicion.pending() {
            account.convict();
            self.held.iter_mut().for_each(Account::convict);
        }
        self.suspicion.came_through();
    }

    /// The call came back with a word on each record, or failed as a whole in a way that is the same for all.
    fn answered(&mut self, part: Part, runs: Vec<Run>, trouble: Option<Trouble>, account: &mut Account) -> Result<Again, Left> {
        let Part { sent, attempts, .. } = part;
        let count = part.batch.count();
        let (pipeline, destination) = (self.progress.pipeline.clone(), self.destination.id.clone());
        let mut first: Option<DestinationError> = None;
        let mut again: Vec<(Span, u32, Duration)> = Vec::new();
        let mut untried_only = true;
        let mut unknown = 0;
        for Run { records, fate } in runs {
            let batch = &part.batch;
            untried_only &= fate == Fate::Untried;
            match fate {
                Fate::Delivered => self.delivered(batch, records, account),
                Fate::Warned(remark) => {
                    if self.logs(account) {
                        tracing::warn!(%pipeline, %destination, batch = batch.id(), %records, "delivered with a remark: {remark}");
                    }
                    self.delivered(batch, records, account);
                    self.counts().warned(records.len().into());
                }
                Fate::Untried => again.push((records, attempts, Duration::ZERO)),
                Fate::Unknown => unknown += records.len(),
                Fate::Failed(failure) => match failure.kind {
                    FailureKind::Rejected => self.give_up(&part, records, &failure, account),
                    FailureKind::Throttled => {
                        let wait = failure.retry_after.unwrap_or(FIRST_WAIT).clamp(PATIENCE.0, PATIENCE.1);
                        if tracing::enabled!(Level::INFO) && self.log.admits() {
                            tracing::info!(%pipeline, %destination, batch = batch.id(), %records, ?wait, "{failure}");
                        }
                        again.push((records, attempts, wait));
                    }
                    FailureKind::Transient | FailureKind::Uncertain if attempts < RETRIES => {
                        let wait = FIRST_WAIT * 2_u32.pow(attempts);
                        if tracing::enabled!(Level::WARN) && self.log.admits() {
                            tracing::warn!(%pipeline, %destination, batch = batch.id(), %records, ?wait, "to be sent again: {failure}");
                        }
                        again.push((records, attempts + 1, wait));
                    }
                    FailureKind::Transient | FailureKind::Uncertain => {
                        first.get_or_insert(DestinationError::TooOften { failure, sent });
                    }
                    FailureKind::Unauthorized | FailureKind::Fatal => {
                        first.get_or_insert(DestinationError::Failed(failure));
                    }
                },
            }
        }
        self.counts().unknown(unknown.into());
        // Also where all had been reported before: who breaks the contract is not asked again.
        if let Some(Trouble::Breach(breach)) = trouble {
            return Err(Left::Destination(DestinationError::Breach { breach, unknown }));
        }
        if unknown > 0 {
            return Err(Left::Destination(DestinationError::Silent { records: unknown, count }));
        }
        if let Some(error) = first {
            return Err(Left::Destination(error));
        }
        // A connector that tries nothing makes no progress: that counts, so that it comes to an end.
        if untried_only && attempts >= RETRIES {
            let message = "the connector tries none of the records that it is given".into();
            let failure = Failure { kind: FailureKind::Transient, message, code: None, retry_after: None };
            return Err(Left::Destination(DestinationError::TooOften { failure: Arc::new(failure), sent }));
        }
        let counted = |attempts, wait| match untried_only {
            true => (attempts + 1, FIRST_WAIT * 2_u32.pow(attempts)),
            false => (attempts, wait),
        };
        let mut parts: Vec<(Span, u32, Duration)> = Vec::new();
        for (records, attempts, wait) in again {
            let (attempts, wait) = counted(attempts, wait);
            match parts.last_mut() {
                // Neighbours go again together, unless the one would bear the attempts of the other.
                Some((last, counted, longest)) if last.end == records.start && *counted == attempts => {
                    last.end = records.end;
                    *longest = (*longest).max(wait);
                }
                _ => parts.push((records, attempts, wait)),
            }
        }
        let again = parts.into_iter().map(|(records, attempts, wait)| {
            self.counts().retried();
            (Part { attempts, ends: 0, ..part.slice(records) }, wait)
        });
        Ok(again.collect())
    }
}
