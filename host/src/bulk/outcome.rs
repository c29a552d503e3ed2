//! What becomes of records, by what was said of them.

use std::{sync::Arc, time::Duration};

use super::{BulkError, engine::Shared};
use crate::{
    config::{OnUnknown, Then},
    pipeline::LOGGED,
    record::{Failure, FailureKind, Fate, FollowUps, Run, Span},
    sandbox::log::Log,
    store::{
        DeadLetter, Reason,
        spool::{Causes, Part, Promise, Settling, StoredUpload},
    },
};

/// How often a record that the connector does not answer for is sent again.
const UNKNOWN: u32 = 3;

/// Why records are given up.
pub(super) struct Why<'a> {
    pub(super) kind: &'a str,
    pub(super) code: Option<&'a str>,
    pub(super) message: &'a str,
}

impl<'a> From<&'a Failure> for Why<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self { kind: failure.kind.name(), code: failure.code.as_deref(), message: &failure.message }
    }
}

impl Shared {
    /// What runs of an upload's lines come to. Those that are given up are dead letters when it returns.
    pub(super) async fn outcomes(&self, upload: &StoredUpload, runs: &[Run]) -> Result<Vec<(Span, Settling)>, BulkError> {
        let (mut outcomes, mut letters, mut logged) = (Vec::with_capacity(runs.len()), Vec::new(), 0);
        for Run { records: lines, fate } in runs {
            match fate {
                Fate::Delivered => outcomes.push((*lines, Settling::Succeeded(None))),
                Fate::Warned(remark) => {
                    if self.logs(&mut logged) {
                        tracing::warn!(
                            pipeline = &*self.pipeline,
                            destination = &*self.destination,
                            action = self.called(),
                            upload = &*upload.intent,
                            "{} records: {remark}",
                            lines.len()
                        );
                    }
                    outcomes.push((*lines, Settling::Succeeded(Some(remark.clone()))));
                }
                fate => {
                    // How often each was tried, and how old it is, stands beside it.
                    let mut line = lines.start;
                    for part in self.spool.lines(upload.id, *lines).await? {
                        let end = line + part.span.len();
                        outcomes.push((Span::new(line, end), self.settling(fate, &part, &mut letters)));
                        line = end;
                    }
                }
            }
        }
        self.give_up(letters).await?;
        Ok(outcomes)
    }

    /// What a fate comes to for records that did not get through.
    pub(super) fn settling(&self, fate: &Fate, part: &Part, letters: &mut Vec<DeadLetter>) -> Settling {
        match fate {
            Fate::Delivered => Settling::Succeeded(None),
            Fate::Warned(remark) => Settling::Succeeded(Some(remark.clone())),
            Fate::Untried => Settling::Failed { due: self.now(), counted: false, reason: "not attempted".into() },
            Fate::Unknown => self.unknown("the connector did not say what became of it", part, letters),
            Fate::Failed(failure) => self.failed(failure, part, letters),
        }
    }

    /// Records whose fate nobody knows.
    pub(super) fn unknown(&self, why: &str, part: &Part, letters: &mut Vec<DeadLetter>) -> Settling {
        match self.policy.on_unknown {
            OnUnknown::Retry if part.attempts < UNKNOWN => {
                let due = self.after(self.policy.retry.wait(part.attempts + 1, &self.clock));
                Settling::Failed { due, counted: true, reason: why.into() }
            }
            OnUnknown::DeadLetter => self.discarded(&Why { kind: "unknown", code: None, message: why }, part, letters),
            OnUnknown::Retry | OnUnknown::Hold => Settling::Unknown(why.into()),
        }
    }

    fn failed(&self, failure: &Failure, part: &Part, letters: &mut Vec<DeadLetter>) -> Settling {
        let retry = &self.policy.retry;
        let attempts = part.attempts.saturating_add(1);
        let reason: Arc<str> = failure.to_string().into();
        let counted = match failure.kind {
            FailureKind::Rejected => return self.discarded(&failure.into(), part, letters),
            FailureKind::Transient | FailureKind::Uncertain => true,
            FailureKind::Throttled => false,
            FailureKind::Unauthorized => {
                self.renew();
                false
            }
            FailureKind::Fatal => {
                self.pause(failure);
                false
            }
        };
        let age = Duration::from_millis(self.now().saturating_sub(part.taken));
        if counted && retry.is_over(attempts, age) {
            match retry.then {
                Then::DeadLetter => return self.discarded(&failure.into(), part, letters),
                Then::Stop => self.pause(failure),
            }
        }
        let wait = match failure.retry_after {
            Some(asked) => asked.clamp(self.policy.throttle_least, self.policy.throttle_most),
            None => retry.wait(attempts, &self.clock),
        };
        Settling::Failed { due: self.after(wait), counted, reason }
    }

    /// Records that are given up.
    pub(super) fn discarded(&self, why: &Why<'_>, part: &Part, letters: &mut Vec<DeadLetter>) -> Settling {
        let connector = Some(self.title());
        let reason = Reason { kind: why.kind.into(), code: why.code.map(Arc::from), message: why.message.into(), connector };
        let at = self.clock.rfc3339().into();
        letters.extend(part.letters(self.destination.clone(), reason.into(), at));
        Settling::Discarded(format!("{}: {}", why.kind, why.message).into())
    }

    /// What a call added, to be kept beside its causes; `None` where it added nothing.
    pub(super) fn promised(&self, causes: Causes, follow_ups: Vec<FollowUps>) -> Option<Promise> {
        let (pipeline, max_depth) = (self.pipeline.clone(), self.policy.follow_up_depth);
        (!follow_ups.is_empty()).then_some(Promise { causes, follow_ups, pipeline, max_depth })
    }

    /// Keeps follow-ups beside their causes.
    pub(super) async fn promise(&self, promises: Vec<Promise>) -> Result<(), BulkError> {
        if !promises.is_empty() {
            self.spool.promise(promises).await?;
        }
        Ok(())
    }

    /// Keeps what an upload or a call has given up. The log has the first of it.
    pub(super) async fn give_up(&self, letters: Vec<DeadLetter>) -> Result<(), BulkError> {
        if letters.is_empty() {
            return Ok(());
        }
        let alike = |a: &DeadLetter, b: &DeadLetter| Arc::ptr_eq(&a.reason, &b.reason) && a.partition == b.partition;
        let stretches = letters.chunk_by(alike).take(LOGGED);
        let given: Vec<(DeadLetter, usize)> =
            stretches.filter_map(|stretch| Some((stretch.first()?.clone(), stretch.len()))).collect();
        self.letters.give_up(letters).await?;
        let mut logged = 0;
        for (DeadLetter { partition, sequence, reason, .. }, records) in given {
            if self.logs(&mut logged) {
                let (pipeline, destination, action) = (&*self.pipeline, &*self.destination, self.called());
                tracing::warn!(pipeline, destination, action, %partition, sequence, records, "given up: {reason}");
            }
        }
        Ok(())
    }

    /// Whether a line about records of an upload or a call may be written, which a component caused: it takes its share of the log, and of one
    /// there are few.
    fn logs(&self, logged: &mut usize) -> bool {
        *logged += 1;
        let few = *logged <= LOGGED && tracing::enabled!(tracing::Level::WARN);
        few && self.log.as_ref().is_none_or(Log::admits)
    }
}
