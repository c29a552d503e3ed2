//! Calls about records that are brought into the shape in which they are wanted.

use super::{CallTrouble, Told};
use crate::{
    connector::{Answer, BulkTrouble, Session},
    record::{
        Batch, ColumnParts, Fate, FollowUps, Outcome, Run, Span, Transformed, Verdict,
        format::{Format, shape},
    },
};

/// Writes records in the shape that they are wanted in. Those that cannot be brought into it are rejected, and the others go by themselves. What the calls
/// added comes with the answer.
pub(super) async fn write(session: &mut Session, batch: &Batch, format: &Format, action: u32, attempt: u32) -> Told<Answer> {
    let shaped = shape(batch, format);
    let mut runs: Vec<Run> = shaped.verdicts.iter().map(run).collect();
    let (mut trouble, mut follow_ups) = (None, Vec::new());
    for records in shaped.shaped() {
        if trouble.is_some() {
            runs.push(Run { records, fate: Fate::Untried });
            continue;
        }
        let part = shaped.batch.slice(records.start..records.end);
        let answer = session.write_to(action, &part, attempt).await;
        runs.extend(answer.runs.into_iter().map(|run| run.from(records.start)));
        follow_ups.extend(session.take_follow_ups().into_iter().map(|added| added.from(records.start)));
        trouble = answer.trouble;
    }
    runs.sort_by_key(|run| run.records);
    Told { answer: Answer { runs, trouble }, follow_ups }
}

/// A verdict of the host's own on records that cannot be brought into a shape.
fn run(verdict: &Verdict) -> Run {
    let fate = match &verdict.outcome {
        Outcome::Failed(failure) => Fate::Failed(failure.clone().into()),
        Outcome::Warned(remark) => Fate::Warned(remark.as_str().into()),
        Outcome::Untried => Fate::Untried,
    };
    Run { records: verdict.records, fate }
}

/// Lines that are made of a batch piece by piece, where some of its records cannot be brought into the shape: what comes back stands where it belongs.
pub(super) struct Pieces {
    lines: ColumnParts,
    verdicts: Vec<Verdict>,
    follow_ups: Vec<FollowUps>,
}

impl Pieces {
    /// Of a batch of which these records have a verdict already.
    pub(super) fn beside(verdicts: Vec<Verdict>) -> Self {
        Self { lines: ColumnParts { offsets: vec![0], ..ColumnParts::default() }, verdicts, follow_ups: Vec::new() }
    }

    /// Adds what was made of the records from `start` on.
    pub(super) fn add(&mut self, start: u32, told: Told<Transformed>) {
        let Told { answer, follow_ups } = told;
        self.follow_ups.extend(follow_ups.into_iter().map(|added| added.from(start)));
        for line in answer.lines().iter() {
            self.lines.data.extend_from_slice(line.unwrap_or_default());
            self.lines.offsets.push(self.lines.data.len() as u32);
        }
        let at = |span: &Span| Span::new(start + span.start, start + span.end);
        let failed = answer.failed().iter();
        self.verdicts
            .extend(failed.map(|(span, failure)| Verdict { records: at(span), outcome: Outcome::Failed((**failure).clone()) }));
    }

    /// What was made of the batch, which has so many records.
    pub(super) fn finish(mut self, count: u32) -> Result<Told<Transformed>, CallTrouble> {
        self.verdicts.sort_by_key(|verdict| verdict.records);
        let answer = Transformed::verify(count, self.lines, self.verdicts).map_err(BulkTrouble::from)?;
        Ok(Told { answer, follow_ups: self.follow_ups })
    }
}
