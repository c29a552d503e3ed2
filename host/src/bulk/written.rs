//! Records that are written when the schedule says so: out of the spool, to an action that takes no files.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{BulkError, BulkFar, CallTrouble, Component, FileBounds, Told, engine::Shared, stage::half};
use crate::{
    connector::{Answer, Session, Trouble, UploadContext},
    record::{
        Batch, Failure, FailureKind, Fate, Found, Handle, Run, Span, SpanSet, Transformed, UploadRequest, UploadStatus, Uploaded,
        Verdict,
        format::{Format, shape},
    },
    sandbox::{Staged, thread},
    store::spool::{Claim, ClaimOrder, Part, Settling},
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
}

impl Shared {
    /// Writes some of what is due. `failures` tells how often in a row nothing came of it.
    pub(super) async fn write(&self, failures: u32) -> Result<Written, BulkError> {
        let far = self.current();
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
            let done = self.write_part(&part).await?;
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

    async fn write_part(&self, part: &Part) -> Result<Done, BulkError> {
        let mut done = Done { settled: Vec::new(), back: Vec::new(), failure: None, ended: false };
        if let Some(version) = part.version.as_deref().filter(|version| !self.current().speaks(version)) {
            let message =
                format!("records came for the version `{version}` of the far side, which {} does not speak", self.title());
            done.back.push((part.row, part.span));
            done.failure = Some(Failure { kind: FailureKind::Fatal, message, code: None, retry_after: None });
            return Ok(done);
        }
        let attempt = part.attempts.saturating_add(1);
        let written = self.current().write(&part.records, part.version.as_deref(), self.action, attempt).await;
        let Answer { runs, trouble } = match written {
            Ok(answer) => answer,
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
        let mut letters = Vec::new();
        for Run { records, fate } in runs {
            let at = Span::new(part.span.start + records.start, part.span.start + records.end);
            match (&fate, outage) {
                (Fate::Failed(_), Some(_)) => done.back.push((part.row, at)),
                _ => {
                    let settling = self.settling(&fate, &half(part, records.start, records.end), &mut letters);
                    done.settled.push((part.row, at, settling));
                }
            }
        }
        self.give_up(letters).await?;
        done.failure = outage.map(|failure| (**failure).clone());
        done.ended = matches!(trouble, Some(Trouble::Ended(_)));
        Ok(done)
    }
}

/// A part in as many pieces as it takes until one that ends its instance is alone: twice as many with each time that they failed.
fn pieces(part: Part) -> Vec<Part> {
    let len = part.span.len();
    let size = (len >> part.attempts.min(31)).max(1);
    (0..len).step_by(size as usize).map(|start| half(&part, start, (start + size).min(len))).collect()
}

/// A component that records are written to, each call in a session and an instance of its own, and the shape in which it gets them.
#[derive(Clone, Debug)]
pub struct Writes {
    /// The component.
    pub component: Component,
    /// The shape.
    pub format: Format,
}

#[async_trait]
impl BulkFar for Writes {
    fn title(&self) -> Arc<str> {
        self.component.title()
    }

    fn digest(&self) -> Arc<str> {
        self.component.digest()
    }

    fn bounds(&self) -> FileBounds {
        self.component.bounds()
    }

    fn keeps_order(&self) -> bool {
        self.component.keeps_order()
    }

    fn renew(&self) {
        self.component.renew();
    }

    fn speaks(&self, version: &str) -> bool {
        self.component.speaks(version)
    }

    fn writes(&self) -> bool {
        true
    }

    async fn write(&self, batch: &Batch, version: Option<&str>, action: u32, attempt: u32) -> Result<Answer, CallTrouble> {
        let (batch, format) = (batch.clone(), self.format.clone());
        let (connector, opening) = (self.component.connector.clone(), self.component.opening.for_version(version));
        let called = thread::spawn(async move {
            let mut session = connector.open(&opening).await?;
            let answer = write_shaped(&mut session, &batch, &format, action, attempt).await;
            if !matches!(answer.trouble, Some(Trouble::Ended(_))) {
                let closed = session.close().await.map_err(|ended| ended.to_string());
                if let Err(cause) = closed.and_then(|closed| closed.map_err(|failure| failure.to_string())) {
                    tracing::debug!("close: {cause}");
                }
            }
            Ok(answer)
        });
        called.await.unwrap_or_else(|error| {
            let message = format!("the call ended unexpectedly: {error}");
            Err(CallTrouble::NotOpened(Arc::new(Failure {
                kind: FailureKind::Transient,
                message,
                code: None,
                retry_after: None,
            })))
        })
    }

    async fn transform(&self, _: &Batch, _: Option<&str>, _: u32, _: u32) -> Result<Told<Transformed>, CallTrouble> {
        Err(CallTrouble::other_kind())
    }

    async fn upload(&self, _: &UploadRequest, _: &UploadContext, _: Staged) -> Result<Told<Uploaded>, CallTrouble> {
        Err(CallTrouble::other_kind())
    }

    async fn poll(
        &self,
        _: &Handle,
        _: &UploadContext,
        _: &SpanSet,
        _: u32,
        _: Staged,
    ) -> Result<Told<UploadStatus>, CallTrouble> {
        Err(CallTrouble::other_kind())
    }

    async fn stats(&self, _: &Handle, _: &UploadContext, _: &SpanSet, _: u32, _: Staged) -> Result<Told<Vec<Run>>, CallTrouble> {
        Err(CallTrouble::other_kind())
    }

    async fn reconcile(&self, _: &UploadRequest, _: &UploadContext, _: Staged) -> Result<Told<Found>, CallTrouble> {
        Err(CallTrouble::other_kind())
    }

    async fn release(&self, _: &Handle, _: &UploadContext) -> Result<(), CallTrouble> {
        Err(CallTrouble::other_kind())
    }
}

/// Writes records in the shape that they are wanted in. Those that cannot be brought into it are rejected, and the others go by themselves.
pub(super) async fn write_shaped(session: &mut Session, batch: &Batch, format: &Format, action: u32, attempt: u32) -> Answer {
    let shaped = shape(batch, format);
    let mut runs: Vec<Run> = shaped.verdicts.iter().map(run).collect();
    let mut trouble = None;
    for records in shaped.shaped() {
        if trouble.is_some() {
            runs.push(Run { records, fate: Fate::Untried });
            continue;
        }
        let part = shaped.batch.slice(records.start..records.end);
        let answer = session.write_to(action, &part, attempt).await;
        runs.extend(answer.runs.into_iter().map(|run| run.from(records.start)));
        trouble = answer.trouble;
    }
    runs.sort_by_key(|run| run.records);
    Answer { runs, trouble }
}

/// A verdict of the host's own on records that cannot be brought into a shape.
fn run(verdict: &Verdict) -> Run {
    let fate = match &verdict.outcome {
        crate::record::Outcome::Failed(failure) => Fate::Failed(failure.clone().into()),
        crate::record::Outcome::Warned(remark) => Fate::Warned(remark.as_str().into()),
        crate::record::Outcome::Untried => Fate::Untried,
    };
    Run { records: verdict.records, fate }
}
