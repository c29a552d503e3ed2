//! One upload, from its intent to its release. Each step is on disk before the next is taken.

use std::{sync::Arc, time::Duration};

use super::{
    BulkError, CallTrouble, OnLost, OnUndecidable,
    engine::Shared,
    far::{BulkFar, Told},
    outcome::Why,
};
use crate::{
    clock,
    connector::{BulkTrouble, UploadContext},
    record::{Failure, FailureKind, Fate, Found, Run, UploadRequest, UploadStatus, Uploaded},
    sandbox::Staged,
    store::spool::{Causes, Settling, Step, StoredUpload, UploadState},
};

/// What a call that brought no answer means for the upload.
enum Hitch {
    /// The failure speaks for the far side, or for the whole file; nothing took effect.
    Said(Arc<Failure>),
    /// The far side does not even take a session.
    Shut(Arc<Failure>),
    /// Nobody knows.
    Unclear(String),
}

impl From<CallTrouble> for Hitch {
    fn from(trouble: CallTrouble) -> Self {
        match trouble {
            CallTrouble::NotOpened(failure) => Self::Shut(failure),
            CallTrouble::Call(BulkTrouble::Failed(failure)) if failure.kind == FailureKind::Uncertain => {
                Self::Unclear(failure.to_string())
            }
            CallTrouble::Call(BulkTrouble::Failed(failure)) => Self::Said(failure),
            CallTrouble::Call(trouble) => Self::Unclear(trouble.to_string()),
        }
    }
}

/// What is remembered of an upload while it is driven; who begins anew begins without it.
#[derive(Default)]
struct Pace {
    /// How often in a row it was not at its end: paces those whose far side does not say.
    polls: u32,
    /// Whether the last call was refused for its credentials.
    denied: bool,
}

impl Shared {
    /// Drives an upload until it is released or held, or the engine stops; true where it is held.
    pub(super) async fn fly(&self, mut upload: StoredUpload) -> Result<bool, BulkError> {
        let pace = &mut Pace::default();
        loop {
            upload = match upload.state {
                UploadState::Held => return Ok(true),
                UploadState::Released => return Ok(false),
                UploadState::Settled => return self.release(&upload).await.map(|()| false),
                _ if !self.wait_until(upload.next).await => return Ok(false),
                UploadState::Staged => self.send(upload, pace).await?,
                UploadState::Sending => self.reconcile(upload, pace).await?,
                UploadState::Working => self.poll(upload, pace).await?,
                UploadState::Asking => self.stats(upload, pace).await?,
            };
        }
    }

    async fn send(&self, upload: StoredUpload, pace: &mut Pace) -> Result<StoredUpload, BulkError> {
        let far = self.far_of(&upload)?;
        let Some(file) = self.lend(&upload).await else {
            // It never took effect: its records go into another file.
            let again = Settling::Failed { due: self.now(), counted: false, reason: "its staged file is gone".into() };
            return self.all(&upload, again, "its staged file is gone").await;
        };
        // The intent stands in the spool since it was staged; from here on it may be known at the far side.
        let sending = Step { state: Some(UploadState::Sending), sends: true, ..Step::default() };
        let upload = self.spool.step(upload.id, sending, self.now()).await?;
        let uploaded = far.upload(&request(&upload), &context(&upload), file).await.map_err(Hitch::from);
        let hitch = match self.hear(&upload, uploaded).await? {
            Ok(uploaded) => return self.answered(upload, uploaded).await,
            Err(hitch) => hitch,
        };
        let failure = match hitch {
            Hitch::Unclear(why) => return self.later(&upload, None, &why, None).await,
            Hitch::Said(failure) if failure.kind == FailureKind::Rejected => return self.came_to_nothing(upload, failure).await,
            Hitch::Said(failure) | Hitch::Shut(failure) => failure,
        };
        self.mind(pace, &failure);
        // The same file, with the same intent.
        self.later(&upload, Some(UploadState::Staged), &failure.to_string(), Some(&failure)).await
    }

    async fn reconcile(&self, upload: StoredUpload, pace: &mut Pace) -> Result<StoredUpload, BulkError> {
        let far = self.far_of(&upload)?;
        let Some(file) = self.lend(&upload).await else {
            return self.hold(&upload, "whether it took effect cannot be asked: its staged file is gone").await;
        };
        let found = far.reconcile(&request(&upload), &context(&upload), file).await.map_err(Hitch::from);
        match self.hear(&upload, found).await? {
            Ok(Found::Absent) => {
                let again = Step { state: Some(UploadState::Staged), next: Some(self.now()), ..Step::default() };
                Ok(self.spool.step(upload.id, again, self.now()).await?)
            }
            Ok(Found::Present(uploaded)) => self.answered(upload, uploaded).await,
            Ok(Found::CannotTell) => self.undecidable(upload).await,
            Err(Hitch::Said(failure)) if failure.kind == FailureKind::Rejected => self.undecidable(upload).await,
            Err(hitch) => self.ask_again(&upload, hitch, pace).await,
        }
    }

    async fn undecidable(&self, upload: StoredUpload) -> Result<StoredUpload, BulkError> {
        let why = "the far side does not say whether it took effect";
        match self.policy.on_undecidable {
            OnUndecidable::Hold => self.hold(&upload, why).await,
            OnUndecidable::Resend => {
                let again = Step {
                    state: Some(UploadState::Staged),
                    next: Some(self.now()),
                    reason: Some(why.into()),
                    ..Step::default()
                };
                Ok(self.spool.step(upload.id, again, self.now()).await?)
            }
        }
    }

    async fn answered(&self, upload: StoredUpload, uploaded: Uploaded) -> Result<StoredUpload, BulkError> {
        let Uploaded { settled, handle, .. } = uploaded;
        let outcomes = self.outcomes(&upload, &settled).await?;
        let next = Some(self.after(self.until_poll(None, 1)));
        let working = Step { state: Some(UploadState::Working), handle, next, failures: Some(0), outcomes, ..Step::default() };
        Ok(self.spool.step(upload.id, working, self.now()).await?)
    }

    async fn poll(&self, upload: StoredUpload, pace: &mut Pace) -> Result<StoredUpload, BulkError> {
        let (far, Some(handle)) = (self.far_of(&upload)?, upload.handle.clone()) else {
            return self.lost(upload, "there is no handle to ask with").await;
        };
        let age = Duration::from_millis(self.now().saturating_sub(upload.sent.unwrap_or(upload.created)));
        if age >= self.policy.upload_max_age {
            return self.lost(upload, "it is older than it may be (upload-max-age)").await;
        }
        let Some(file) = self.lend(&upload).await else {
            return self.hold(&upload, "its staged file is gone").await;
        };
        let status = far.poll(&handle, &context(&upload), &upload.open, upload.records, file).await.map_err(Hitch::from);
        match self.hear(&upload, status).await? {
            Ok(UploadStatus::Working { done, again_in, handle }) => {
                tracing::debug!(
                    pipeline = &*self.pipeline,
                    destination = &*self.destination,
                    action = self.called(),
                    upload = &*upload.intent,
                    done,
                    "the far side works on it"
                );
                *pace = Pace { polls: pace.polls.saturating_add(1), denied: false };
                let next = Some(self.after(self.until_poll(again_in, pace.polls)));
                let waiting = Step { handle, next, failures: Some(0), ..Step::default() };
                Ok(self.spool.step(upload.id, waiting, self.now()).await?)
            }
            Ok(UploadStatus::AskStats(handle)) => {
                let state = Some(UploadState::Asking);
                let asking = Step { state, handle, next: Some(self.now()), failures: Some(0), ..Step::default() };
                Ok(self.spool.step(upload.id, asking, self.now()).await?)
            }
            Ok(UploadStatus::Settled(runs)) => self.settled(&upload, &runs).await,
            Ok(UploadStatus::Failed(failure)) => self.came_to_nothing(upload, failure).await,
            Err(Hitch::Said(failure)) if failure.kind == FailureKind::Rejected => self.lost(upload, &failure.to_string()).await,
            Err(hitch) => self.ask_again(&upload, hitch, pace).await,
        }
    }

    async fn stats(&self, upload: StoredUpload, pace: &mut Pace) -> Result<StoredUpload, BulkError> {
        let (far, Some(handle)) = (self.far_of(&upload)?, upload.handle.clone()) else {
            return self.lost(upload, "there is no handle to ask with").await;
        };
        let Some(file) = self.lend(&upload).await else {
            return self.hold(&upload, "its staged file is gone").await;
        };
        let runs = far.stats(&handle, &context(&upload), &upload.open, upload.records, file).await.map_err(Hitch::from);
        match self.hear(&upload, runs).await? {
            Ok(runs) => self.settled(&upload, &runs).await,
            Err(Hitch::Said(failure)) if failure.kind == FailureKind::Rejected => self.lost(upload, &failure.to_string()).await,
            Err(hitch) => self.ask_again(&upload, hitch, pace).await,
        }
    }

    /// Keeps the follow-ups that a call added, before what it answered is noted: what it answered may be what they follow.
    async fn hear<R>(&self, upload: &StoredUpload, told: Result<Told<R>, Hitch>) -> Result<Result<R, Hitch>, BulkError> {
        match told {
            Ok(Told { answer, follow_ups }) => {
                self.promise(self.promised(Causes::Upload(upload.id), follow_ups).into_iter().collect()).await?;
                Ok(Ok(answer))
            }
            Err(hitch) => Ok(Err(hitch)),
        }
    }

    async fn settled(&self, upload: &StoredUpload, runs: &[Run]) -> Result<StoredUpload, BulkError> {
        let outcomes = self.outcomes(upload, runs).await?;
        Ok(self.spool.step(upload.id, Step { outcomes, ..Step::default() }, self.now()).await?)
    }

    /// The far side says that the upload as a whole came to nothing: each of its records failed so, and is retried in another file, or given up.
    async fn came_to_nothing(&self, upload: StoredUpload, failure: Arc<Failure>) -> Result<StoredUpload, BulkError> {
        let fate = Fate::Failed(failure);
        let runs: Vec<Run> = upload.open.iter().map(|records| Run { records, fate: fate.clone() }).collect();
        self.settled(&upload, &runs).await
    }

    /// It is too old, or the far side knows nothing of it any more.
    async fn lost(&self, upload: StoredUpload, why: &str) -> Result<StoredUpload, BulkError> {
        match self.policy.on_lost {
            OnLost::Hold => self.hold(&upload, why).await,
            OnLost::Resend => {
                let again = Settling::Failed { due: self.now(), counted: true, reason: why.into() };
                self.all(&upload, again, why).await
            }
            OnLost::DeadLetter => self.abandon(&upload, FailureKind::Uncertain.name(), why).await,
        }
    }

    /// Its open records are dead letters.
    pub(super) async fn abandon(&self, upload: &StoredUpload, kind: &str, why: &str) -> Result<StoredUpload, BulkError> {
        let reason = Why { kind, code: None, message: why };
        let mut letters = Vec::new();
        let mut outcomes = Vec::new();
        for lines in upload.open.iter() {
            for part in self.spool.lines(upload.id, lines).await? {
                self.discarded(&reason, &part, &mut letters);
            }
            outcomes.push((lines, Settling::Discarded(why.into())));
        }
        self.give_up(letters).await?;
        Ok(self.spool.step(upload.id, Step { outcomes, reason: Some(why.into()), ..Step::default() }, self.now()).await?)
    }

    /// The same for each of its open records.
    pub(super) async fn all(&self, upload: &StoredUpload, settling: Settling, why: &str) -> Result<StoredUpload, BulkError> {
        let outcomes = upload.open.iter().map(|lines| (lines, settling.clone())).collect();
        Ok(self.spool.step(upload.id, Step { outcomes, reason: Some(why.into()), ..Step::default() }, self.now()).await?)
    }

    async fn hold(&self, upload: &StoredUpload, why: &str) -> Result<StoredUpload, BulkError> {
        let (pipeline, destination, action) = (&*self.pipeline, &*self.destination, self.called());
        tracing::error!(pipeline, destination, action, upload = &*upload.intent, "held: {why}; it waits for a person");
        let held = Step { state: Some(UploadState::Held), reason: Some(why.into()), ..Step::default() };
        Ok(self.spool.step(upload.id, held, self.now()).await?)
    }

    /// It is not known how the upload stands: it is asked again, and nothing is sent again.
    async fn ask_again(&self, upload: &StoredUpload, hitch: Hitch, pace: &mut Pace) -> Result<StoredUpload, BulkError> {
        match hitch {
            Hitch::Unclear(why) => self.later(upload, None, &why, None).await,
            Hitch::Said(failure) | Hitch::Shut(failure) => {
                self.mind(pace, &failure);
                self.later(upload, None, &failure.to_string(), Some(&failure)).await
            }
        }
    }

    /// What a failure means for the destination as a whole.
    fn mind(&self, pace: &mut Pace, failure: &Failure) {
        let denied = failure.kind == FailureKind::Unauthorized;
        if denied {
            self.renew();
        }
        // One more try did not help, or nothing will: somebody has to see to it.
        if matches!(failure.kind, FailureKind::Fatal | FailureKind::Rejected) || (denied && pace.denied) {
            self.pause(failure);
        }
        pace.denied = denied;
    }

    async fn later(
        &self,
        upload: &StoredUpload,
        state: Option<UploadState>,
        why: &str,
        failure: Option<&Failure>,
    ) -> Result<StoredUpload, BulkError> {
        let failures = upload.failures.saturating_add(1);
        let asked = failure
            .and_then(|failure| failure.retry_after)
            .map(|asked| asked.clamp(self.policy.throttle_least, self.policy.throttle_most));
        let wait = asked.unwrap_or_else(|| self.policy.outage.wait(failures, &self.clock)).max(self.policy.poll_least);
        let (pipeline, destination, action, again) = (&*self.pipeline, &*self.destination, self.called(), self.goes_on_in(wait));
        tracing::warn!(pipeline, destination, action, upload = &*upload.intent, "{why}; tried again {again}");
        let (next, failures) = (Some(self.after(wait)), Some(failures));
        let later = Step { state, next, failures, reason: Some(why.into()), ..Step::default() };
        Ok(self.spool.step(upload.id, later, self.now()).await?)
    }

    /// Best effort: how it comes out changes nothing.
    async fn release(&self, upload: &StoredUpload) -> Result<(), BulkError> {
        if let Some(handle) = &upload.handle {
            let far = self.far_of(upload)?;
            if let Err(trouble) = far.release(handle, &context(upload)).await {
                let (pipeline, destination, action) = (&*self.pipeline, &*self.destination, self.called());
                tracing::warn!(pipeline, destination, action, upload = &*upload.intent, "release: {trouble}");
            }
        }
        let (staging, file) = (self.staging.clone(), upload.file.clone());
        self.blocking(move || staging.remove(&file)).await?;
        self.spool.step(upload.id, Step { state: Some(UploadState::Released), ..Step::default() }, self.now()).await?;
        Ok(())
    }

    fn until_poll(&self, asked: Option<Duration>, polls: u32) -> Duration {
        let wait = asked.unwrap_or_else(|| self.policy.poll.wait(polls, &self.clock));
        wait.clamp(self.policy.poll_least, self.policy.poll_most)
    }

    async fn lend(&self, upload: &StoredUpload) -> Option<Staged> {
        let (staging, file, bytes) = (self.staging.clone(), upload.file.clone(), upload.bytes);
        match self.blocking(move || staging.lend(&file, bytes)).await {
            Ok(file) => Some(file),
            Err(error) => {
                let (pipeline, destination, action) = (&*self.pipeline, &*self.destination, self.called());
                tracing::error!(pipeline, destination, action, upload = &*upload.intent, "{error}");
                None
            }
        }
    }

    fn far_of(&self, upload: &StoredUpload) -> Result<&Arc<dyn BulkFar>, BulkError> {
        self.fars()
            .find(|far| far.digest() == upload.digest)
            .ok_or_else(|| BulkError::OtherComponent { intent: upload.intent.clone(), made: upload.digest.clone() })
    }
}

fn request(upload: &StoredUpload) -> UploadRequest {
    let StoredUpload { intent, asked_as, records, bytes, attempt, .. } = upload;
    UploadRequest { intent: intent.clone(), action: *asked_as, records: *records, bytes: *bytes, attempt: *attempt }
}

fn context(upload: &StoredUpload) -> UploadContext {
    let at = |millis: u64| Arc::from(clock::rfc3339_of(millis));
    UploadContext {
        created_at: at(upload.created),
        first_attempt_at: upload.sent.map(at),
        part: upload.part,
        version: upload.version.clone(),
    }
}
