//! Has the requests of a batch answered, several at once.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use wharf_sdk::{Batch, Failure, FailureKind, Receipt, ReceiptBuilder, Record, Span, progress};

use super::{
    answer::{self, Fate, is_for_later},
    groups::{Group, Keys, Waiting},
    idempotency,
    settings::Settings,
    target::Target,
    transport::{Answer, Request, Transport, Trouble},
};

/// How much of an answer is read where it says nothing of single records.
const EXCERPT: usize = 4 << 10;

/// How much of an answer is read where it says what became of each record.
const ITEMS: usize = 16 << 20;

/// The bodies of the records, laid end to end.
#[derive(Debug, Default)]
pub struct Pieces {
    /// All of them.
    pub data: Vec<u8>,
    /// Where that of each record stands; nowhere, for one that has none.
    pub places: Vec<std::ops::Range<usize>>,
}

/// What there is to send, and what it is sent with.
pub struct Sending<'s, T: Transport> {
    /// The settings.
    pub settings: &'s Settings,
    /// Whose it is: pipeline and destination.
    pub owner: &'s str,
    /// The batch.
    pub batch: &'s Batch,
    /// The bodies of its records.
    pub pieces: &'s Pieces,
    /// Where requests go.
    pub targets: &'s [Target],
    /// What sends them.
    pub transport: &'s mut T,
}

/// A request that is under way.
struct Flight<F> {
    group: Group,
    what: String,
    flight: F,
}

/// What is known so far.
struct Known {
    receipt: ReceiptBuilder,
    /// Records that came to an end, well or badly.
    settled: u32,
    /// The first failure that holds back all that is left.
    first: Option<Failure>,
    /// Failures in a row that may be the far side's.
    down: usize,
    /// Whether nothing more is begun.
    stopped: bool,
}

impl<T: Transport> Sending<'_, T> {
    /// Sends all groups, and says what became of each record. `receipt` has those that are in none; `settled` of them came to an end.
    ///
    /// # Errors
    /// Where nothing came through, with the reason that holds for all.
    pub fn run(
        mut self,
        keys: &Keys,
        groups: VecDeque<Group>,
        receipt: ReceiptBuilder,
        settled: u32,
    ) -> Result<Receipt, Failure> {
        let began = self.transport.now();
        let mut known = Known { receipt, settled, first: None, down: 0, stopped: false };
        let mut waiting = Waiting::new(keys, groups);
        let mut flights: Vec<Flight<T::Flight>> = Vec::new();
        loop {
            while flights.len() < self.settings.concurrency && !known.stopped {
                if self.settings.patience < since(self.transport.now(), began) {
                    known.stopped = true;
                    break;
                }
                let Some((group, held)) = waiting.begin() else { break };
                held.into_iter().for_each(|record| known.receipt.untried(record));
                if group.records.is_empty() {
                    continue;
                }
                let (what, sent) = self.send(&group)?;
                match sent {
                    Ok(flight) => flights.push(Flight { group, what, flight }),
                    Err(trouble) => self.over(&mut known, &mut waiting, group, &what, Err(trouble)),
                }
            }
            if flights.is_empty() {
                break;
            }
            let (at, came) = {
                let mut under_way: Vec<&mut T::Flight> = flights.iter_mut().map(|flight| &mut flight.flight).collect();
                self.transport.wait(&mut under_way)
            };
            let Flight { group, what, .. } = flights.swap_remove(at);
            self.over(&mut known, &mut waiting, group, &what, came);
        }
        waiting.left().for_each(|record| known.receipt.untried(record));
        match known.first {
            // Nobody is to be blamed alone for what nothing came through.
            Some(failure) if known.settled == 0 => Err(failure),
            _ => Ok(known.receipt.finish()),
        }
    }

    /// Sends a group on its way, and says what was tried.
    fn send(&mut self, group: &Group) -> Result<(String, Result<T::Flight, Trouble>), Failure> {
        let Self { settings, pieces, .. } = self;
        let target = &self.targets[group.target];
        let bodies = group.records.iter().map(|record| &pieces.data[pieces.places[*record as usize].clone()]);
        let (body, packed) =
            settings.bodies.joined(bodies).map_err(|error| Failure::from_io("compressing a request's body", &error))?;
        let mut headers = target.headers.clone();
        let sets = |headers: &[(String, String)], name: &str| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if !body.is_empty() && !sets(&headers, "content-type") {
            let media = settings.bodies.media.clone().or_else(|| {
                let alone = !settings.bodies.body.is_joined() && settings.bodies.lines.is_empty();
                alone
                    .then(|| self.batch.content_type("after"))
                    .flatten()
                    .filter(|_| settings.bodies.body == super::body::Body::Record)
            });
            headers.push(("content-type".into(), media.unwrap_or_else(|| settings.bodies.body.media().into())));
        }
        if packed {
            headers.push(("content-encoding".into(), "gzip".into()));
        }
        let (key, header) = &settings.idempotency;
        let records: Vec<Record<'_>> = group.records.iter().filter_map(|record| self.batch.get(*record)).collect();
        if let Some(value) = idempotency::value(*key, self.owner, self.batch, &records).filter(|_| !sets(&headers, header)) {
            headers.push((header.clone(), value));
        }
        let request = Request {
            method: target.method.clone(),
            scheme: settings.targets.scheme().to_owned(),
            authority: settings.targets.authority().to_owned(),
            path: target.path.clone(),
            headers,
            body,
            timeout: settings.timeout,
        };
        let what = request.to_string();
        let most = if settings.items.is_some() { ITEMS } else { EXCERPT };
        Ok((what, self.transport.send(request, most)))
    }

    /// Takes in what came back of a group.
    fn over(&mut self, known: &mut Known, waiting: &mut Waiting<'_>, group: Group, what: &str, came: Result<Answer, Trouble>) {
        waiting.over(&group);
        let (table, items) = (&self.settings.table, self.settings.items.as_ref());
        let unreached = matches!(&came, Err(trouble) if trouble.sort == super::transport::Sort::Unreached);
        match answer::fate(what, group.records.len(), came, (table, items, self.transport.now())) {
            Fate::Delivered => {
                known.settled += group.records.len() as u32;
                known.down = 0;
                for records in spans(&group.records) {
                    // Whatever becomes of the others, these need not be sent again.
                    progress::delivered(records);
                    known.receipt.delivered(records);
                }
            }
            Fate::Each(fates) => {
                for (record, failure) in group.records.iter().zip(fates) {
                    match failure {
                        None => {
                            known.settled += 1;
                            known.down = 0;
                            progress::delivered(*record);
                            known.receipt.delivered(*record);
                        }
                        Some(failure) => known.failed(*record, failure, waiting),
                    }
                }
            }
            Fate::Blame(_) if group.records.len() > 1 => waiting.halve(group),
            Fate::Blame(failure) | Fate::Failed(failure) => {
                known.down += 1;
                // A far side that is not there needs no more proof than that.
                known.stopped |= is_for_later(&failure) && (unreached || known.down >= self.settings.concurrency);
                for record in &group.records {
                    known.failed(*record, failure.clone(), waiting);
                }
            }
        }
    }
}

impl Known {
    fn failed(&mut self, record: u32, failure: Failure, waiting: &mut Waiting<'_>) {
        if is_for_later(&failure) {
            waiting.hold(record);
            self.stopped |= matches!(failure.kind(), FailureKind::Throttled | FailureKind::Unauthorized | FailureKind::Fatal);
            if self.first.as_ref().is_none_or(|first| rank(first) < rank(&failure)) {
                self.first = Some(failure.clone());
            }
        } else {
            self.settled += 1;
            self.down = 0;
        }
        self.receipt.failed(record, failure);
    }
}

/// Which of several reasons holds for all: the one that asks most of the operator.
fn rank(failure: &Failure) -> u8 {
    match failure.kind() {
        FailureKind::Fatal => 4,
        FailureKind::Unauthorized => 3,
        FailureKind::Throttled => 2,
        FailureKind::Uncertain => 1,
        FailureKind::Transient | FailureKind::Rejected => 0,
    }
}

fn since(now: SystemTime, began: SystemTime) -> Duration {
    now.duration_since(began).unwrap_or_default()
}

/// Neighbours as runs.
fn spans(records: &[u32]) -> impl Iterator<Item = Span> {
    records.chunk_by(|left, right| left + 1 == *right).filter_map(|run| Some(Span::from(*run.first()?..run.last()? + 1)))
}
