//! Records that are written when the schedule says so: out of the spool, to an action that takes no files.

use std::time::Duration;

use super::{BulkError, CallTrouble, Told, WriteFar, engine::Shared, stage::half};
use crate::{
    connector::{Answer, Trouble},
    record::{Failure, FailureKind, Fate, Run, Span},
    store::spool::{Causes, Claim, ClaimOrder, Part, Settling},
};

/// What came of writing some of what is due.
pub(super) enum Written {
    /// There may be more.
    Some,
    /// Nothing was due.
    Nothing,
    /// It is worth trying again then.
    Later(Duration),
}

/// What became of one part.
struct Done {
    settled: Vec<(i64, Span, Settling)>,
    /// Those that nobody tried.
    back: Vec<(i64, Span)>,
    /// Why nothing more is tried now.
    failure: Option<Failure>,
    /// Whether an instance ended.
    ended: bool,
    /// Whether the destination pauses, since it is the connector that is to blame.
    blames: bool,
}

impl Shared {
    /// Writes some of what is due. `failures` tells how often in a row nothing came of it.
    pub(super) async fn write(&self, far: &dyn WriteFar, failures: u32) -> Result<Written, BulkError> {
        let order = match (self.policy.ordered, far.keeps_order()) {
            (false, _) => ClaimOrder::Any,
            (true, true) => ClaimOrder::HeldBack,
            // One that fails would be overtaken within the call.
            (true, false) => ClaimOrder::OneEach,
        };
        let (records, bytes) =
            (self.policy.batch_records.min(far.bounds().records), self.policy.batch_bytes.min(far.bounds().bytes));
        let claim = Claim { action: self.action, now: self.now(), records, bytes, order };
        let parts = self.spool.claim(claim).await?;
        if parts.is_empty() {
            return Ok(Written::Nothing);
        }
        let mut parts = parts.into_iter().flat_map(pieces);
        let (mut wait, mut ends) = (None, 0);
        for part in parts.by_ref() {
            let done = self.write_part(far, &part).await?;
            let again =
                |(.., settling): &(i64, Span, Settling)| matches!(settling, Settling::Failed { .. } | Settling::Unknown(_));
            let holds_back = self.policy.ordered && done.settled.iter().any(again);
            self.spool.settle(done.settled, self.now()).await?;
            self.spool.give_back(done.back, self.now()).await?;
            ends = if done.ended { ends + 1 } else { 0 };
            if let Some(failure) = done.failure {
                wait = Some(self.not_made(&failure, failures));
                break;
            }
            if done.blames {
                wait = Some(self.policy.poll_least);
                break;
            }
            // Where one ends after the other, records are hardly to blame.
            if ends > 1 {
                wait = Some(self.policy.outage.wait(failures + 1, &self.clock));
                break;
            }
            // What is behind it of its key must not overtake it; the next claim knows what that is.
            if holds_back {
                break;
            }
        }
        self.spool.give_back(parts.map(|part| (part.row, part.span)).collect(), self.now()).await?;
        Ok(wait.map_or(Written::Some, Written::Later))
    }

    async fn write_part(&self, far: &dyn WriteFar, part: &Part) -> Result<Done, BulkError> {
        let mut done = Done { settled: Vec::new(), back: Vec::new(), failure: None, ended: false, blames: false };
        if let Some(version) = part.version.as_deref().filter(|version| !far.speaks(version)) {
            let message =
                format!("records came for the version `{version}` of the far side, which {} does not speak", self.title());
            done.back.push((part.row, part.span));
            done.failure = Some(Failure { kind: FailureKind::Fatal, message, code: None, retry_after: None });
            return Ok(done);
        }
        let attempt = part.attempts.saturating_add(1);
        let written = far.write(&part.records, part.version.as_deref(), self.action, attempt).await;
        let Told { answer: Answer { runs, trouble }, follow_ups } = match written {
            Ok(told) => told,
            Err(trouble) => {
                done.back.push((part.row, part.span));
                done.failure = Some(match trouble {
                    CallTrouble::NotOpened(failure) => (*failure).clone(),
                    CallTrouble::Call(trouble) => {
                        Failure { kind: FailureKind::Transient, message: trouble.to_string(), code: None, retry_after: None }
                    }
                });
                return Ok(done);
            }
        };
        // What speaks for all that was not reported is nobody's failure: they are tried again, and no attempt is counted.
        let outage = match &trouble {
            Some(Trouble::Failed(failure)) => {
                Some(failure).filter(|failure| !matches!(failure.kind, FailureKind::Rejected | FailureKind::Uncertain))
            }
            _ => None,
        };
        // Before what they are to follow can be noted.
        let follow_ups = follow_ups.into_iter().map(|added| added.from(part.span.start)).collect();
        self.promise(self.promised(Causes::Batch(part.row), follow_ups).into_iter().collect()).await?;
        if runs.iter().any(|run| matches!(run.fate, Fate::Delivered | Fate::Warned(_))) {
            self.blame.came_through();
        }
        let ended = match &trouble {
            Some(Trouble::Ended(ended)) => Some(ended),
            _ => None,
        };
        let by_itself = |run: &Run| part.span.len() == 1 && is_uncertain(&run.fate);
        done.ended = ended.is_some();
        done.blames = ended.is_some() && runs.iter().any(by_itself) && self.blame.culprit(part);
        let mut letters = Vec::new();
        for Run { records, fate } in runs {
            let at = Span::new(part.span.start + records.start, part.span.start + records.end);
            match (&fate, outage) {
                (Fate::Failed(_), Some(_)) => done.back.push((part.row, at)),
                // It waits with the destination, and no attempt is counted.
                _ if done.blames => done.back.push((part.row, at)),
                _ => {
                    let mut own = Vec::new();
                    let settling = self.settling(&fate, &half(part, records.start, records.end), &mut own);
                    // What ended instances as often as it may is given up only where others came through.
                    let is_suspect = done.ended && is_uncertain(&fate) && !self.blame.works();
                    if is_suspect && matches!(settling, Settling::Discarded(_)) {
                        done.blames = true;
                        done.back.push((part.row, at));
                    } else {
                        letters.append(&mut own);
                        done.settled.push((part.row, at, settling));
                    }
                }
            }
        }
        if let Some(ended) = ended.filter(|_| done.blames) {
            self.blames(&ended.to_string());
        }
        self.give_up(letters).await?;
        done.failure = outage.map(|failure| (**failure).clone());
        Ok(done)
    }
}

fn is_uncertain(fate: &Fate) -> bool {
    matches!(fate, Fate::Failed(failure) if failure.kind == FailureKind::Uncertain)
}

/// A part in as many pieces as it takes until one that ends its instance is alone: twice as many with each time that they failed.
fn pieces(part: Part) -> Vec<Part> {
    let len = part.span.len();
    let size = (len >> part.attempts.min(31)).max(1);
    (0..len).step_by(size as usize).map(|start| half(&part, start, (start + size).min(len))).collect()
}
