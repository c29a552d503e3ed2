//! One processor of a chain.

use std::{collections::VecDeque, sync::Arc};

use super::{PAUSE, Portion, ProcessorError, Running, Stage, Work, holds, work::Task};
use crate::{
    connector::{Loading, OpenError},
    pipeline::Stopping,
    record::{Batch, Failure, FailureKind, Selection},
};

/// How often an instance that ends as it is opened is started again.
const OPENS: u32 = 3;

impl Stage {
    /// Hands a batch through one processor.
    pub(super) async fn step(&mut self, at: usize, batch: Batch, portion: &mut Portion) -> Result<Option<Batch>, ProcessorError> {
        let given = batch.count();
        let left = VecDeque::from([Work::whole(batch)]);
        let mut task = Task { portion, left, done: Vec::new(), suspects: Vec::new() };
        loop {
            let Some(mut part) = task.left.pop_front() else {
                if task.suspects.is_empty() {
                    break;
                }
                self.judge(at, &mut task).await?;
                continue;
            };
            let selection = self.steps[at].chooser.as_mut().map_or(Selection::All, |chooser| chooser.choose(&part.batch));
            if selection.is_empty() {
                task.done.push(part.batch);
                continue;
            }
            if !self.open(at, task.portion).await? {
                task.put_back([part]);
                continue;
            }
            let Running { session, .. } = &mut self.steps[at];
            let Some(open) = session else {
                task.put_back([part]);
                continue;
            };
            // Half of its memory is for what it makes of them.
            if part.batch.bytes() as u64 > open.room().usual / 4
                && let Some(halves) = part.halves()
            {
                task.put_back(halves);
                continue;
            }
            part.sent += 1;
            let answer = tokio::select! {
                biased;
                answer = open.process(&part.batch, &selection, part.sent) => Some(answer),
                () = holds(&mut self.around.stop, |stop| *stop == Stopping::Now) => None,
            };
            let Some(answer) = answer else {
                // Whatever became of it: the instance is gone with the call.
                *session = None;
                return Err(ProcessorError::Asked);
            };
            self.weigh(at, part, answer, &mut task).await?;
        }
        let left = Batch::joined(&self.around.pipeline, &task.done)?;
        // A part of what it was given, of which nothing else went through, would bear the id of the whole.
        let part = |left: &Batch| task.done.len() == 1 && left.count() != given;
        Ok(left.map(|left| if part(&left) { left.recut(&self.around.pipeline) } else { left }))
    }

    /// Sees that a processor is open; false where it was waited for that and it is to be looked at again.
    async fn open(&mut self, at: usize, portion: &Portion) -> Result<bool, ProcessorError> {
        if self.steps[at].session.is_some() {
            return Ok(true);
        }
        let processor = self.steps[at].step.processor.clone();
        let reached = match self.steps[at].reached {
            true => Ok(()),
            false => processor.probe().await.map_err(OpenError::from),
        };
        let opened = match reached {
            Ok(()) => {
                self.steps[at].reached = true;
                processor.open().await
            }
            Err(error) => Err(error),
        };
        match opened {
            Ok(session) => {
                let step = &mut self.steps[at];
                step.session = Some(session);
                step.opens = 0;
                return Ok(true);
            }
            Err(OpenError::Failed(failure)) => {
                let message = format!("open failed: {}", failure.message);
                // What is wrong with the settings is wrong with no record.
                let kind = if failure.kind == FailureKind::Rejected { FailureKind::Fatal } else { failure.kind };
                self.not_now(at, &Arc::new(Failure { message, kind, ..failure }), portion).await?;
            }
            Err(OpenError::Unreachable(failure)) => {
                let message = format!("the far side is not there: {}", failure.message);
                let kind = if failure.kind == FailureKind::Rejected { FailureKind::Fatal } else { failure.kind };
                self.not_now(at, &Arc::new(Failure { message, kind, ..failure }), portion).await?;
            }
            Err(OpenError::Loading(Loading::Ended(ended))) => {
                let step = &mut self.steps[at];
                step.suspicion.ended();
                step.opens += 1;
                let wait = step.suspicion.wait();
                self.tells_ended(at, &ended);
                if self.steps[at].opens > OPENS {
                    self.steps[at].opens = 0;
                    let error = self.blamed(at, ended.to_string().into());
                    self.pause(at, &error, Some(PAUSE), portion.number).await?;
                } else {
                    self.wait(wait, portion.number).await?;
                }
            }
            Err(cause) => {
                let (id, connector) = self.named(at);
                return Err(ProcessorError::Open { id, connector, cause: Box::new(cause) });
            }
        }
        Ok(false)
    }
}
