//! Records out of the spool into a file, cut before it is uploaded: nothing is too large for the far side afterwards.

use std::{sync::Arc, time::Duration};

use super::{BulkError, BulkFar, CallTrouble, FileBounds, engine::Shared, far::Told, outcome::Why, staging::Writing};
use crate::{
    connector::BulkTrouble,
    record::{Failure, FailureKind, Fate, FollowUps, Span, Transformed},
    store::{
        DeadLetter,
        spool::{Causes, Claim, ClaimOrder, NewUpload, Part, Promise, Settling, Step, StoredUpload},
    },
};

/// Bytes of follow-ups that are held before they are kept.
const PROMISED: usize = 4 << 20;

/// What came of making a file.
pub(super) enum Round {
    /// An upload is staged.
    Staged(StoredUpload),
    /// There is nothing to be staged, as far as is known: what was claimed came to an end by itself, or there was nothing.
    Nothing,
    /// No line could be made, and it is worth trying again then.
    Later(Duration),
}

/// A file in the making, and what became of those that have no line in it.
struct Draft {
    /// Away while it is written to.
    writing: Option<Writing>,
    lines: Vec<(i64, Span)>,
    settled: Vec<(i64, Span, Settling)>,
    letters: Vec<DeadLetter>,
    promises: Vec<Promise>,
    back: Vec<(i64, Span)>,
    /// Those that ended an instance each by itself, and nothing came through since: it is not known whether they are to blame.
    culprits: Vec<Culprit>,
    records: u32,
    is_full: bool,
}

/// A record that ended an instance by itself, and how.
struct Culprit {
    part: Part,
    kind: &'static str,
    message: String,
}

/// What was placed of one part.
struct Placed {
    /// Those that have a line.
    lined: Vec<Span>,
    /// Those whose line is too large for any file, and its bytes.
    too_large: Vec<(u32, u64)>,
    /// From here on nothing had room.
    end: u32,
}

impl Shared {
    /// Makes a file, the `part`-th of one firing. `failures` tells how often in a row none could be made.
    pub(super) async fn stage(&self, far: &dyn BulkFar, part: u32, failures: u32) -> Result<Round, BulkError> {
        let (bounds, now) = (far.bounds(), self.now());
        let (intent, staging) = (self.intent(), self.staging.clone());
        let name = intent.clone();
        let writing = self.blocking(move || staging.begin(&name)).await?;
        let mut draft = Draft {
            writing: Some(writing),
            lines: Vec::new(),
            settled: Vec::new(),
            letters: Vec::new(),
            promises: Vec::new(),
            back: Vec::new(),
            culprits: Vec::new(),
            records: 0,
            is_full: false,
        };
        let (mut version, mut wait, mut others) = (None, None, false);
        while !draft.is_full && draft.records < bounds.records && wait.is_none() {
            let records = self.policy.batch_records.min(bounds.records - draft.records);
            let (action, bytes) = (self.action, self.policy.batch_bytes);
            let order = match (self.policy.ordered, far.keeps_order()) {
                (false, _) => ClaimOrder::Any,
                (true, true) => ClaimOrder::HeldBack,
                // One that fails would be overtaken within the file.
                (true, false) => ClaimOrder::OneEach,
            };
            let parts = self.spool.claim(Claim { action, now, records, bytes, order }).await?;
            let Some(first) = parts.first() else { break };
            if *version.get_or_insert_with(|| first.version.clone()) != first.version {
                draft.back.extend(parts.iter().map(|part| (part.row, part.span)));
                others = true;
                break;
            }
            let mut parts = parts.into_iter();
            for part in parts.by_ref() {
                wait = self.transform(far, part, failures, &mut draft).await?;
                if wait.is_some() || draft.is_full {
                    break;
                }
            }
            draft.back.extend(parts.map(|part| (part.row, part.span)));
        }
        if self.judge(&mut draft, others, wait.is_some()) {
            wait = Some(self.policy.poll_least);
        }
        let settled = !draft.settled.is_empty();
        let Draft { writing, lines, settled: done, letters, promises, back, .. } = draft;
        self.spool.give_back(back, now).await?;
        // Before what they are to follow can be noted.
        self.promise(promises).await?;
        self.give_up(letters).await?;
        let Some(writing) = writing.filter(|_| !lines.is_empty()) else {
            self.spool.settle(done, now).await?;
            return Ok(match wait {
                Some(wait) => Round::Later(wait),
                // What is left may have lines.
                None if settled => Round::Later(Duration::ZERO),
                None => Round::Nothing,
            });
        };
        let (file, bytes) = self.blocking(move || writing.finish()).await?;
        let (action, digest, version) = (self.action, far.digest(), version.flatten());
        let upload = NewUpload { intent, action, digest, version, file, bytes, part, lines };
        let id = self.spool.stage(upload, done, now).await?;
        Ok(Round::Staged(self.spool.step(id, Step::default(), now).await?))
    }

    /// Has lines made of a part and places them. Gives how long to wait where the far side, or whoever makes lines, is not there.
    async fn transform(
        &self,
        far: &dyn BulkFar,
        part: Part,
        failures: u32,
        draft: &mut Draft,
    ) -> Result<Option<Duration>, BulkError> {
        if let Some(version) = part.version.as_deref().filter(|version| !far.speaks(version)) {
            let message =
                format!("records came for the version `{version}` of the far side, which {} does not speak", self.title());
            draft.back.push((part.row, part.span));
            let failure = Failure { kind: FailureKind::Fatal, message, code: None, retry_after: None };
            return Ok(Some(self.not_made(&failure, failures)));
        }
        let mut todo = vec![part];
        while let Some(part) = todo.pop() {
            if draft.is_full {
                draft.back.push((part.row, part.span));
                continue;
            }
            let attempt = part.attempts.saturating_add(1);
            match far.transform(&part.records, part.version.as_deref(), self.action, attempt).await {
                Ok(Told { answer, follow_ups }) => {
                    // Where no line was made it may be the host's own word that none can be.
                    if !answer.lined().is_empty() {
                        self.came_through(draft);
                    }
                    // They are counted from the first of the part.
                    let follow_ups = follow_ups.into_iter().map(|added| added.from(part.span.start)).collect();
                    draft.promises.extend(self.promised(Causes::Batch(part.row), follow_ups));
                    let held = draft.promises.iter().flat_map(|promise| &promise.follow_ups).map(FollowUps::bytes);
                    if held.sum::<usize>() > PROMISED {
                        self.promise(std::mem::take(&mut draft.promises)).await?;
                    }
                    self.place(part, answer, far.bounds(), draft).await?;
                }
                Err(CallTrouble::Call(BulkTrouble::Failed(failure))) if failure.kind == FailureKind::Rejected => {
                    self.came_through(draft);
                    let settling = self.settling(&Fate::Failed(failure), &part, &mut draft.letters);
                    draft.settled.push((part.row, part.span, settling));
                }
                Err(CallTrouble::NotOpened(failure) | CallTrouble::Call(BulkTrouble::Failed(failure))) => {
                    draft.back.push((part.row, part.span));
                    draft.back.extend(todo.iter().map(|part| (part.row, part.span)));
                    return Ok(Some(self.not_made(&failure, failures)));
                }
                // Nothing is known of any record by that.
                Err(CallTrouble::Call(breach @ BulkTrouble::Breach(_))) => {
                    draft.back.push((part.row, part.span));
                    draft.back.extend(todo.iter().map(|part| (part.row, part.span)));
                    self.misbehaved(&format!("transform: {breach}"));
                    return Ok(Some(self.policy.poll_least));
                }
                // One of them is more than it can bear: the others are not to suffer for it.
                Err(CallTrouble::Call(BulkTrouble::Ended(_))) if part.span.len() > 1 => {
                    let middle = part.span.len() / 2;
                    todo.push(half(&part, middle, part.span.len()));
                    todo.push(half(&part, 0, middle));
                }
                Err(CallTrouble::Call(BulkTrouble::Ended(ended))) => {
                    let connectors = self.blame.culprit(&part);
                    let kind = if ended.reason.is_limit() { "limit" } else { "trapped" };
                    draft.culprits.push(Culprit { part, kind, message: ended.to_string() });
                    if connectors {
                        draft.back.extend(todo.iter().map(|part| (part.row, part.span)));
                        self.blames(&ended.to_string());
                        return Ok(Some(self.policy.poll_least));
                    }
                }
            }
        }
        Ok(None)
    }

    /// A record came through, so that those who ended an instance before it are to blame for that themselves.
    fn came_through(&self, draft: &mut Draft) {
        self.blame.came_through();
        self.convict(draft);
    }

    fn convict(&self, draft: &mut Draft) {
        for Culprit { part, kind, message } in std::mem::take(&mut draft.culprits) {
            let settling = self.discarded(&Why { kind, code: None, message: &message }, &part, &mut draft.letters);
            draft.settled.push((part.row, part.span, settling));
        }
    }

    /// Decides about those behind which nothing came through. `others` tells whether records of another version are there to be tried, and
    /// `waits` whether it is tried again in any case. Gives whether the connector is to blame.
    fn judge(&self, draft: &mut Draft, others: bool, waits: bool) -> bool {
        let Some(last) = draft.culprits.last() else { return false };
        let blames = !waits && !others && !self.blame.works();
        if blames {
            self.blames(&last.message);
        }
        if waits || blames {
            draft.back.extend(draft.culprits.drain(..).map(|Culprit { part, .. }| (part.row, part.span)));
        } else if self.blame.works() {
            // Others came before, and none is left to ask.
            self.convict(draft);
        } else {
            // The others are tried before them.
            let due = self.after(self.policy.outage.wait(1, &self.clock));
            for Culprit { part, message, .. } in draft.culprits.drain(..) {
                draft.settled.push((part.row, part.span, Settling::Failed { due, counted: false, reason: message.into() }));
            }
        }
        blames
    }

    /// What a failure of `transform` or `write` as a whole, or of `open` before it, means; gives how long to wait.
    pub(super) fn not_made(&self, failure: &Failure, failures: u32) -> Duration {
        let denied = failure.kind == FailureKind::Unauthorized;
        if denied {
            self.renew();
        }
        if matches!(failure.kind, FailureKind::Fatal | FailureKind::Rejected) || (denied && failures > 0) {
            self.pause(failure);
        }
        let (pipeline, destination, action) = (&*self.pipeline, &*self.destination, self.called());
        tracing::warn!(pipeline, destination, action, "nothing goes out for now: {failure}");
        let asked = failure.retry_after.map(|asked| asked.clamp(self.policy.throttle_least, self.policy.throttle_most));
        asked.unwrap_or_else(|| self.policy.outage.wait(failures + 1, &self.clock)).max(self.policy.poll_least)
    }

    async fn place(&self, part: Part, made: Transformed, bounds: FileBounds, draft: &mut Draft) -> Result<(), BulkError> {
        let failed = made.failed().to_vec();
        let Some(mut writing) = draft.writing.take() else {
            return Ok(());
        };
        // Writing waits for the disk: it is done elsewhere, and what it needs goes along.
        let (writing, placed) = self
            .blocking(move || {
                let placed = place(&mut writing, &made, bounds)?;
                Ok((writing, placed))
            })
            .await?;
        draft.writing = Some(writing);
        let Placed { lined, too_large, end } = placed;
        let at = |span: Span| Span::new(part.span.start + span.start, part.span.start + span.end);
        for span in lined {
            draft.records += span.len();
            draft.lines.push((part.row, at(span)));
        }
        for (span, failure) in failed {
            let span = Span::new(span.start, span.end.min(end));
            if !span.is_empty() {
                let settling = self.settling(&Fate::Failed(failure), &half(&part, span.start, span.end), &mut draft.letters);
                draft.settled.push((part.row, at(span), settling));
            }
        }
        for (record, bytes) in too_large {
            let message = format!("the line made of the record has {bytes} bytes, more than the connector takes");
            let why = Why { kind: "too-large", code: None, message: &message };
            let settling = self.discarded(&why, &half(&part, record, record + 1), &mut draft.letters);
            draft.settled.push((part.row, at(Span::new(record, record + 1)), settling));
        }
        if end < part.span.len() {
            draft.is_full = true;
            draft.back.push((part.row, at(Span::new(end, part.span.len()))));
        }
        Ok(())
    }
}

/// Some records of a part, counted from its first.
pub(super) fn half(part: &Part, start: u32, end: u32) -> Part {
    let span = Span::new(part.span.start + start, part.span.start + end);
    Part { span, records: part.records.slice(start..end), ..part.clone() }
}

fn place(writing: &mut Writing, made: &Transformed, bounds: FileBounds) -> Result<Placed, BulkError> {
    let count = made.lined().iter().chain(made.failed().iter().map(|(span, _)| span)).map(|span| span.end).max();
    let mut placed = Placed { lined: Vec::new(), too_large: Vec::new(), end: count.unwrap_or_default() };
    let records = made.lined().iter().flat_map(|span| span.start..span.end);
    for (record, line) in records.zip(made.lines().iter()) {
        let line = line.unwrap_or_default();
        let bytes = line.len() as u64;
        if bytes > bounds.line || bytes >= bounds.bytes {
            placed.too_large.push((record, bytes));
            continue;
        }
        if writing.bytes() + bytes + 1 > bounds.bytes {
            placed.end = record;
            break;
        }
        writing.line(line)?;
        match placed.lined.last_mut() {
            Some(last) if last.end == record => last.end += 1,
            _ => placed.lined.push(Span::new(record, record + 1)),
        }
    }
    Ok(placed)
}

impl Shared {
    /// An idempotency key that no other upload has: of these, by chance, one in so many that it will not be seen.
    fn intent(&self) -> Arc<str> {
        let mut digest = blake3::Hasher::new();
        for part in [self.destination.as_bytes(), &fastrand::u128(..).to_le_bytes(), &std::process::id().to_le_bytes()] {
            digest.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        digest.update(&self.clock.elapsed().as_nanos().to_le_bytes()).update(&self.now().to_le_bytes());
        digest.finalize().to_hex()[..32].into()
    }
}
