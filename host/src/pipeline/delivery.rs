//! One destination's worker: it hands over the records of portion after portion, until each is delivered or given up.
//!
//! One part is in hand at a time and what is to be sent again goes before everything that came later, so that nothing overtakes.
//!
//! | what comes back | what happens to the records |
//! | --- | --- |
//! | delivered, warned | settled |
//! | rejected | dead letters; the rest goes on |
//! | transient, uncertain, or an instance that ended | sent again after 1 s, 2 s and 4 s (a fresh instance where one ended); then the run ends and they are pending |
//! | throttled | sent again after as long as was asked, without counting |
//! | untried | sent again, without counting |
//! | unauthorized, fatal | the run ends; they are pending |
//! | no answer, or one that breaks the contract | the run ends; they are pending, and counted unknown |

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use super::{Destination, progress::DestinationProgress};
use crate::{
    clock::Clock,
    connector::{Answer, OpenError, Session, Trouble},
    record::{Batch, Breach, Failure, FailureKind, Fate, Run, Span, SpanSet},
    sandbox::Ended,
    source::Portion,
    store::DeadLetter,
};

/// How often what failed for now is sent again.
const RETRIES: u32 = 3;

/// How long the first wait is; each that follows is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The bounds within which a far side is given the patience that it asks for.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));

/// Remarks and reasons of one portion that are logged one by one.
pub(super) const LOGGED: usize = 5;

/// Why a destination takes no more records.
#[derive(Debug, Error)]
pub enum DestinationError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It said that nothing can succeed, or refused the credentials.
    #[error("{0}")]
    Failed(Arc<Failure>),
    /// It failed for now, too often.
    #[error("{failure} (sent {sent} times)")]
    TooOften {
        /// What it said last.
        failure: Arc<Failure>,
        /// How often the records were handed over.
        sent: u32,
    },
    /// Its instance ended, too often.
    #[error("{ended} (sent {sent} times)")]
    Ended {
        /// What happened last.
        ended: Ended,
        /// How often the records were handed over.
        sent: u32,
    },
    /// It did not answer for some records.
    #[error("the receipt leaves out {records} of {count} records; what became of them is unknown")]
    Silent {
        /// How many.
        records: u32,
        /// Of how many.
        count: u32,
    },
    /// Its receipt breaks the contract.
    #[error("{breach}; what became of {unknown} records is unknown")]
    Breach {
        /// How.
        breach: Breach,
        /// How many records that `progress` had not reported.
        unknown: u32,
    },
    /// The host's own fault.
    #[error("the host's worker ended unexpectedly: {0}")]
    Worker(String),
}

/// Why a worker left off.
#[derive(Debug)]
pub(super) enum Left {
    /// It was asked to stop while something was to be sent again.
    Asked,
    /// The destination takes no more.
    Destination(DestinationError),
}

impl<E: Into<DestinationError>> From<E> for Left {
    fn from(error: E) -> Self {
        Self::Destination(error.into())
    }
}

/// What a worker reports of a portion.
#[derive(Debug)]
pub(super) struct Dealt {
    /// The portion's number.
    pub portion: u64,
    /// The first sequence that is not settled for its destination; `None` where all are.
    pub until: Option<u64>,
    /// The records that were given up.
    pub dead_letters: Vec<DeadLetter>,
}

/// A worker and what it works with.
pub(super) struct Worker {
    pub destination: Destination,
    pub clock: Clock,
    pub stop: watch::Receiver<bool>,
    pub progress: Arc<super::Progress>,
    pub index: usize,
    pub session: Option<Session>,
    /// Cuts that are settled and of which the connector has not been told.
    pub settled: mpsc::UnboundedReceiver<Arc<str>>,
}

/// What became of the records of one portion so far.
#[derive(Default)]
struct Account {
    /// Counted within the cut.
    settled: SpanSet,
    dead_letters: Vec<DeadLetter>,
    /// How many remarks and reasons were logged.
    logged: usize,
}

impl Account {
    fn settle(&mut self, part: &Batch, records: Span) {
        self.settled.insert(Span::new(part.start() + records.start, part.start() + records.end));
    }

    /// The sequence of the first record that is not settled; `None` where all are.
    fn first_open(&self, portion: &Portion) -> Option<u64> {
        let batch = portion.batch.as_ref()?;
        let open = self.settled.gaps(batch.count());
        open.first().map(|gap| batch.sequences()[gap.start as usize])
    }
}

/// A part of a cut that is to be sent.
struct Part {
    batch: Batch,
    /// How often it was handed over.
    sent: u32,
    /// How often that counted as an attempt.
    attempts: u32,
}

impl Worker {
    /// Deals with portions until there are no more, tells the connector what is settled, and closes the session.
    pub async fn run(
        mut self,
        mut portions: mpsc::Receiver<(u64, Arc<Portion>)>,
        dealt: mpsc::Sender<(usize, Dealt)>,
    ) -> Result<(), Left> {
        while let Some((number, portion)) = portions.recv().await {
            let mut account = Account::default();
            let ended = self.deal(&portion, &mut account).await;
            let until = account.first_open(&portion);
            let report = Dealt { portion: number, until, dead_letters: account.dead_letters };
            // Also where it failed: what was given up before is not lost by that.
            let heard = dealt.send((self.index, report)).await;
            ended?;
            if heard.is_err() {
                break;
            }
        }
        drop(dealt);
        let mut ids = Vec::new();
        while let Some(id) = self.settled.recv().await {
            ids.push(id);
        }
        self.tell(&ids).await;
        if let Some(session) = self.session.take() {
            let failed = match session.close().await {
                Ok(Ok(())) => None,
                Ok(Err(failure)) => Some(failure.to_string()),
                Err(ended) => Some(ended.to_string()),
            };
            if let Some(error) = failed {
                tracing::warn!(pipeline = %self.progress.pipeline, destination = %self.destination.id, %error, "close failed; every record had been answered for");
            }
        }
        Ok(())
    }

    fn counts(&self) -> &DestinationProgress {
        self.progress.destination(self.index)
    }

    /// Hands over the records of a portion until each is settled.
    async fn deal(&mut self, portion: &Portion, account: &mut Account) -> Result<(), Left> {
        let Some(batch) = &portion.batch else {
            return Ok(());
        };
        let mut parts = self.parts(batch, &portion.label, account);
        while let Some(part) = parts.pop_front() {
            let mut settled = Vec::new();
            while let Ok(id) = self.settled.try_recv() {
                settled.push(id);
            }
            self.tell(&settled).await;
            let session = self.open().await?;
            let answer = session.write(&part.batch, part.sent + 1).await;
            let again = self.weigh(part, answer, &portion.label, account)?;
            let wait = again.iter().map(|(_, wait)| *wait).max().unwrap_or_default();
            for (part, _) in again.into_iter().rev() {
                parts.push_front(part);
            }
            self.wait(wait).await?;
        }
        Ok(())
    }

    /// The parts in which a batch is handed over: within the connector's bounds, and without the records that are over them by themselves.
    fn parts(&self, batch: &Batch, label: &str, account: &mut Account) -> VecDeque<Part> {
        let bounds = &self.destination.connector.descriptor.bounds;
        let most_records = bounds.records.unwrap_or(u32::MAX);
        let most_bytes = bounds.bytes.map_or(u64::MAX, |bytes| bytes.bytes());
        let largest = bounds.largest_record();
        let part = |records: Span| {
            let whole = records == Span::new(0, batch.count());
            let batch = if whole { batch.clone() } else { batch.slice(records.start..records.end) };
            Part { batch, sent: 0, attempts: 0 }
        };
        // No record has more bytes than all together: the rule, and no record is looked at for it.
        if batch.count() <= most_records && batch.bytes() as u64 <= most_bytes.min(largest) {
            return VecDeque::from([part(Span::new(0, batch.count()))]);
        }
        let mut parts = VecDeque::new();
        let (mut start, mut bytes) = (0, 0);
        for record in 0..batch.count() {
            let size = batch.record_bytes(record) as u64;
            let too_large = size > largest;
            if start < record && (too_large || record - start == most_records || bytes + size > most_bytes) {
                parts.push_back(part(Span::new(start, record)));
                (start, bytes) = (record, 0);
            }
            if too_large {
                let message = format!("the record has {size} bytes, and this connector takes {largest} at the most");
                let failure = Failure { kind: FailureKind::Rejected, message, code: None, retry_after: None };
                account.dead_letters.push(self.dead_letter(batch, record, label, &failure, 0));
                account.settle(batch, Span::new(record, record + 1));
                start = record + 1;
            } else {
                bytes += size;
            }
        }
        if start < batch.count() {
            parts.push_back(part(Span::new(start, batch.count())));
        }
        parts
    }

    /// Settles what an answer settles, and gives what is to be sent again, in order, each with how long to wait for it.
    fn weigh(&mut self, part: Part, answer: Answer, label: &str, account: &mut Account) -> Result<Vec<(Part, Duration)>, Left> {
        let Part { batch, sent, attempts } = part;
        let (sent, count) = (sent + 1, batch.count());
        let (pipeline, destination) = (self.progress.pipeline.clone(), self.destination.id.clone());
        let mut first: Option<DestinationError> = None;
        let mut again: Vec<(Span, u32, Duration)> = Vec::new();
        let mut untried_only = true;
        let mut unknown = 0;
        if let Some(Trouble::Ended(ended)) = &answer.trouble {
            // What it wrote to its standard error stands in the log already.
            tracing::warn!(%pipeline, %destination, batch = batch.id(), "{} ended the instance: {}", ended.call, ended.reason);
            self.session = None;
        }
        let ended = matches!(answer.trouble, Some(Trouble::Ended(_)));
        for Run { records, fate } in answer.runs {
            let bytes = batch.bytes_of(records) as u64;
            untried_only &= fate == Fate::Untried;
            let given_up = matches!(&fate, Fate::Failed(failure) if failure.kind == FailureKind::Rejected);
            if given_up || matches!(fate, Fate::Delivered | Fate::Warned(_)) {
                account.settle(&batch, records);
            }
            match fate {
                Fate::Delivered => self.counts().delivered(records.len().into(), bytes),
                Fate::Warned(remark) => {
                    if account.logged < LOGGED {
                        tracing::warn!(%pipeline, %destination, batch = batch.id(), %records, "delivered with a remark: {remark}");
                    }
                    account.logged += 1;
                    self.counts().delivered(records.len().into(), bytes);
                    self.counts().warned(records.len().into());
                }
                Fate::Untried => again.push((records, attempts, Duration::ZERO)),
                Fate::Unknown => unknown += records.len(),
                Fate::Failed(failure) => match failure.kind {
                    FailureKind::Rejected => {
                        if account.logged < LOGGED {
                            tracing::warn!(%pipeline, %destination, batch = batch.id(), %records, "given up: {failure}");
                        }
                        account.logged += 1;
                        for record in records.start..records.end {
                            account.dead_letters.push(self.dead_letter(&batch, record, label, &failure, sent));
                        }
                    }
                    FailureKind::Throttled => {
                        let wait = failure.retry_after.unwrap_or(FIRST_WAIT).clamp(PATIENCE.0, PATIENCE.1);
                        tracing::info!(%pipeline, %destination, batch = batch.id(), %records, ?wait, "{failure}");
                        again.push((records, attempts, wait));
                    }
                    FailureKind::Transient | FailureKind::Uncertain if attempts < RETRIES => {
                        let wait = FIRST_WAIT * 2_u32.pow(attempts);
                        if ended {
                            tracing::warn!(%pipeline, %destination, batch = batch.id(), %records, ?wait, "to be sent to a fresh instance");
                        } else {
                            tracing::warn!(%pipeline, %destination, batch = batch.id(), %records, ?wait, "to be sent again: {failure}");
                        }
                        again.push((records, attempts + 1, wait));
                    }
                    FailureKind::Transient | FailureKind::Uncertain => {
                        let gave_up = match &answer.trouble {
                            Some(Trouble::Ended(ended)) => DestinationError::Ended { ended: ended.clone(), sent },
                            _ => DestinationError::TooOften { failure, sent },
                        };
                        first.get_or_insert(gave_up);
                    }
                    FailureKind::Unauthorized | FailureKind::Fatal => {
                        first.get_or_insert(DestinationError::Failed(failure));
                    }
                },
            }
        }
        self.counts().unknown(unknown.into());
        // Also where all had been reported before: who breaks the contract is not asked again.
        if let Some(Trouble::Breach(breach)) = answer.trouble {
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
            return Err(Left::Destination(DestinationError::TooOften { failure: failure.into(), sent }));
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
            (Part { batch: batch.slice(records.start..records.end), sent, attempts }, wait)
        });
        Ok(again.collect())
    }

    /// The session, opened where there is none.
    async fn open(&mut self) -> Result<&mut Session, Left> {
        let mut attempts = 0;
        while self.session.is_none() {
            let error = match self.destination.connector.open(&self.destination.opening).await {
                Ok(session) => {
                    self.session = Some(session);
                    break;
                }
                Err(error) => error,
            };
            let wait = match &error {
                OpenError::Failed(failure) => match failure.kind {
                    FailureKind::Throttled => Some(failure.retry_after.unwrap_or(FIRST_WAIT).clamp(PATIENCE.0, PATIENCE.1)),
                    FailureKind::Transient | FailureKind::Uncertain if attempts < RETRIES => {
                        attempts += 1;
                        Some(FIRST_WAIT * 2_u32.pow(attempts - 1))
                    }
                    _ => None,
                },
                OpenError::Loading(crate::connector::Loading::Ended(_)) if attempts < RETRIES => {
                    attempts += 1;
                    Some(FIRST_WAIT * 2_u32.pow(attempts - 1))
                }
                _ => None,
            };
            let Some(wait) = wait else {
                return Err(error.into());
            };
            tracing::warn!(pipeline = %self.progress.pipeline, destination = %self.destination.id, ?wait, %error, "to be opened again");
            self.wait(wait).await?;
        }
        match &mut self.session {
            Some(session) => Ok(session),
            None => Err(Left::Asked),
        }
    }

    /// Waits, unless it is asked to stop meanwhile.
    async fn wait(&mut self, wait: Duration) -> Result<(), Left> {
        if wait.is_zero() {
            return Ok(());
        }
        tokio::select! {
            () = self.clock.sleep(wait) => Ok(()),
            // The sender outlives every worker.
            _asked = self.stop.wait_for(|stop| *stop) => Err(Left::Asked),
        }
    }

    /// Tells the connector which cuts are settled. Best effort.
    async fn tell(&mut self, settled: &[Arc<str>]) {
        if settled.is_empty() {
            return;
        }
        let Some(session) = &mut self.session else {
            return;
        };
        let ids: Vec<&str> = settled.iter().map(|id| &**id).collect();
        if let Err(ended) = session.ack(&ids).await {
            tracing::warn!(pipeline = %self.progress.pipeline, destination = %self.destination.id, error = %ended, "the instance ended");
            self.session = None;
        }
    }

    fn dead_letter(&self, batch: &Batch, record: u32, label: &str, failure: &Failure, sent: u32) -> DeadLetter {
        let at = record as usize;
        let copy = Bytes::copy_from_slice;
        DeadLetter {
            destination: Some(self.destination.id.to_string()),
            partition: batch.partition().to_string(),
            label: label.to_owned(),
            sequence: batch.sequences()[at],
            ordinal: batch.ordinals().get(at).copied().unwrap_or_default(),
            key: batch.key().and_then(|key| key.get(at)).map(copy),
            record: batch.after().get(at).map(copy),
            kind: if sent == 0 { "too-large".into() } else { failure.kind.name().into() },
            code: failure.code.clone(),
            message: failure.message.clone(),
            connector: Some(self.destination.connector.title()),
            attempts: sent,
            at: self.clock.rfc3339(),
        }
    }
}
