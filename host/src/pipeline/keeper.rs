//! What holds a running pipeline together: it keeps the ledger, settles in the store what is settled, and tells everybody.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinError,
};

use super::{
    DestinationError, Outlet, PipelineError, Progress,
    delivery::{Dealt, LOGGED, Left},
    gate::Pause,
    ledger::{Entry, Ledger, Outcome},
    reader::{Entered, Read},
    routing::{Router, Way},
    stage::distinct,
    writing::{Write, Writing},
};
use crate::{
    clock::Clock,
    record::{Batch, Record},
    sandbox::output::printable,
    source::Portion,
    store::{DeadLetter, Reason, Settled, StoreError},
};

/// See the module.
pub(super) struct Keeper {
    pub id: Arc<str>,
    pub writing: Writing,
    pub clock: Clock,
    pub outlets: Vec<Outlet>,
    /// One for each lane of each of them.
    pub columns: Vec<Column>,
    pub progress: Arc<Progress>,
    pub ledger: Ledger,
    /// One is given back for every portion that is settled, or let go.
    pub permits: Arc<Semaphore>,
    /// How many portions may be read and not settled.
    pub window: usize,
    /// Checkpoints that are to be written, and which portions they settle.
    pub pending: Pending,
    /// What processors made several records of, and lanes left part-way: by destination and portion.
    pub partial: HashMap<(usize, u64), Batch>,
    /// Destinations that take no more, which was told.
    pub gone: HashSet<usize>,
    /// Whether nothing more is read.
    pub read: bool,
    /// Ends reading.
    pub cancel: watch::Sender<bool>,
    /// The first thing that went wrong; the store before anything else.
    pub error: Option<PipelineError>,
}

/// Checkpoints that wait for more to be settled, so that not each costs a write.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// How long one may wait.
    interval: Duration,
    /// Label and first sequence that is not settled, by partition.
    checkpoints: BTreeMap<String, (String, u64)>,
    portions: Vec<u64>,
    /// When they are to be written, by the clock's elapsed time.
    pub due: Option<Duration>,
}

impl Pending {
    /// Each may wait so long.
    pub fn new(interval: Duration) -> Self {
        Self { interval, ..Self::default() }
    }
}

/// What could not be written, and why.
struct NotWritten {
    error: StoreError,
    /// It, where that is known.
    settled: Option<Settled>,
}

impl From<StoreError> for NotWritten {
    fn from(error: StoreError) -> Self {
        Self { error, settled: None }
    }
}

/// A lane, as the keeper knows it.
pub(super) struct Column {
    /// Its destination's place.
    pub destination: usize,
    /// Tells it which cuts are settled, until all are dealt with.
    pub teller: Option<mpsc::UnboundedSender<u64>>,
    /// Tells it the portion before which nobody waits for it any more.
    pub let_go: watch::Sender<u64>,
}

impl Keeper {
    /// Enters a portion that was read.
    pub fn enter(&mut self, Entered { number, portion, letters, only }: Entered) {
        let mut dead_letters = unreadable(&self.id, &portion, &self.clock);
        dead_letters.extend(letters);
        let columns = &self.columns;
        let gets = |column: usize| only.is_none_or(|only| columns[column].destination == only);
        self.ledger.enter(number, portion, dead_letters, gets);
        self.make_room();
    }

    /// Where the window is full, best-effort destinations that alone keep its oldest portions open are told to let go of these.
    fn make_room(&mut self) {
        if self.ledger.open() < self.window {
            return;
        }
        let best_effort = self.best_effort();
        if !best_effort.contains(&true) {
            return;
        }
        let Some(before) = self.ledger.held_up_to(&best_effort) else { return };
        for (column, _) in self.columns.iter().zip(&best_effort).filter(|(_, best_effort)| **best_effort) {
            column.let_go.send_if_modified(|told| {
                let moved = *told < before;
                *told = before.max(*told);
                moved
            });
        }
    }

    /// Notes how far a destination has dealt with a portion, and settles what is settled by that.
    pub async fn dealt(&mut self, destination: usize, dealt: Dealt) {
        self.count_derived(destination, &dealt);
        let outcome = self.ledger.dealt(destination, dealt);
        self.settle_all(outcome).await;
        self.make_room();
        self.let_go_at_the_end();
    }

    /// Where a processor made several records of one, that one is delivered once all lanes have dealt with all of them.
    fn count_derived(&mut self, column: usize, dealt: &Dealt) {
        let Some(batch) = &dealt.derived else { return };
        let Column { destination, .. } = self.columns[column];
        if dealt.until.is_some() {
            self.partial.insert((destination, dealt.portion), batch.clone());
            return;
        }
        let others: Vec<usize> = self.lanes(destination).filter(|other| *other != column).collect();
        let Some(letters) = self.ledger.all_but(dealt.portion, &others) else { return };
        self.derived_delivered(destination, batch, u64::MAX, letters.iter().chain(&dealt.dead_letters));
    }

    /// The same for what is left part-way at the end.
    fn count_partial(&mut self) {
        for ((destination, portion), batch) in std::mem::take(&mut self.partial) {
            let lanes: Vec<usize> = self.lanes(destination).collect();
            if let Some((to, letters)) = self.ledger.dealt_to(portion, &lanes) {
                self.derived_delivered(destination, &batch, to, letters.iter());
            }
        }
    }

    /// Counts the records that were read before `to` of which one or several went to a destination, and none was given up.
    fn derived_delivered<'a>(
        &'a self,
        destination: usize,
        batch: &Batch,
        to: u64,
        letters: impl Iterator<Item = &'a DeadLetter>,
    ) {
        let own = &*self.outlets[destination].id;
        let own = letters.filter(|letter| letter.destination.as_deref().is_none_or(|of| of == own));
        let given_up: HashSet<u64> = own.map(|letter| letter.sequence).collect();
        let ways = Router::new(&self.outlets[destination].routing).ways(batch);
        let of = |filtered: bool| {
            let spans = ways.iter().filter(move |(_, way)| (*way == Way::Filtered) == filtered);
            let sequences = spans.flat_map(|(records, _)| batch.sequences()[records.range()].iter().copied());
            sequences.filter(|sequence| *sequence < to && !given_up.contains(sequence)).collect::<Vec<_>>()
        };
        let (delivered, filtered) = (of(false), of(true));
        let whole = filtered.into_iter().filter(|sequence| delivered.binary_search(sequence).is_err());
        self.progress.destination(destination).filtered(distinct(whole));
        self.progress.destination(destination).delivered(distinct(delivered.iter().copied()), 0);
    }

    /// The columns of a destination.
    fn lanes(&self, destination: usize) -> impl Iterator<Item = usize> {
        self.columns.iter().enumerate().filter(move |(_, of)| of.destination == destination).map(|(column, _)| column)
    }

    async fn settle_all(&mut self, outcome: Outcome) {
        let mut next = Some(outcome);
        while let Some(outcome) = next.take() {
            next = self.settle_each(outcome).await;
        }
    }

    /// Settles portions in order. Gives what there is to be settled after a destination had to be left behind.
    async fn settle_each(&mut self, outcome: Outcome) -> Option<Outcome> {
        let Outcome { settled, mut given_up, mut owed, permits } = outcome;
        self.permits.add_permits(permits);
        let mut settled = VecDeque::from(settled);
        while let Some(mut entry) = settled.pop_front() {
            // Nothing is acknowledged that is not in the store.
            if matches!(self.error, Some(PipelineError::Store(_))) {
                return None;
            }
            match self.settle_soon(entry.number, entry.settled()).await {
                Ok(()) => self.permits.add_permits(usize::from(entry.has_permit())),
                Err(NotWritten { error, settled: Some(written) }) if self.full(&error).is_some() => {
                    entry.unsettled(written);
                    settled.push_front(entry);
                    return Some(self.leave_behind(&error, settled.into()));
                }
                Err(NotWritten { error, .. }) => {
                    self.fail(error);
                    return None;
                }
            }
        }
        if matches!(self.error, Some(PipelineError::Store(_))) {
            return None;
        }
        let mut next = None;
        while let Err(NotWritten { error, settled }) = self.settle(Settled::new(None, given_up).owing(owed)).await {
            let Some((destination, written)) = self.full(&error).zip(settled) else {
                self.fail(error);
                return None;
            };
            let id = self.outlets[destination].id.clone();
            given_up = written.dead_letters.into_iter().filter(|letter| letter.destination.as_ref() != Some(&id)).collect();
            owed = written.owed.into_iter().filter(|owed| owed.destination != id).collect();
            next = Some(self.leave_behind(&error, Vec::new()));
        }
        next
    }

    /// Nothing more can be written: the pipeline comes to its end.
    fn fail(&mut self, error: StoreError) {
        self.error = Some(error.into());
        self.cancel.send_replace(true);
    }

    /// The place of the best-effort destination whose own dead letters have no room.
    fn full(&self, error: &StoreError) -> Option<usize> {
        let StoreError::DeadLettersFull { destination: Some(full), .. } = error else { return None };
        self.outlets.iter().position(|outlet| *outlet.id == **full && outlet.delivery.best_effort)
    }

    /// A best-effort destination pauses alone, for what is left of this start: nothing of what it misses from here on has room. The others go on, and the
    /// checkpoint stays where it left off. `unsettled` is what could not be settled for it, in order.
    fn leave_behind(&mut self, error: &StoreError, unsettled: Vec<Entry>) -> Outcome {
        let Some(destination) = self.full(error) else { return Outcome::default() };
        let Outlet { id, far, gate, .. } = &self.outlets[destination];
        let connector = far.title().to_string();
        let cause = DestinationError::LettersFull { why: error.to_string().into() };
        let hint = cause.hint();
        tracing::error!(pipeline = %self.id, %connector, hint, "destination {id} pauses alone, and the others go on without it: {cause}");
        let why: Arc<str> = cause.to_string().into();
        self.progress.destination(destination).pause(Some(&why));
        gate.close(Pause { why, since: self.clock.elapsed(), again: None, by_hand: false });
        let id = id.clone();
        self.error.get_or_insert(PipelineError::Destination { id: id.clone(), connector, cause });
        let own = self.columns.iter().enumerate().filter(|(_, column)| column.destination == destination);
        let own: Vec<usize> = own.map(|(column, _)| column).collect();
        for column in &own {
            // What comes to it goes past it, so that it sees the end.
            self.columns[*column].let_go.send_replace(u64::MAX);
        }
        let outcome = self.ledger.leave_behind(&own, &id, unsettled);
        if !self.ledger.goes_on() {
            self.cancel.send_replace(true);
        }
        outcome
    }

    /// Settles a portion now, or has its checkpoint wait for others. Dead letters do not wait.
    async fn settle_soon(&mut self, portion: u64, mut settled: Settled) -> Result<(), NotWritten> {
        let only = settled.dead_letters.is_empty() && settled.replayed.is_none() && settled.owed.is_empty();
        let waits = !self.pending.interval.is_zero() && self.ledger.rereads() && only;
        match settled.checkpoint.take() {
            Some((partition, label, next)) if waits => {
                self.pending.checkpoints.insert(partition, (label, next));
                self.pending.portions.push(portion);
                let (now, interval) = (self.clock.elapsed(), self.pending.interval);
                self.pending.due.get_or_insert(now + interval);
                Ok(())
            }
            checkpoint => {
                // One partition's checkpoint never goes back.
                self.flush().await?;
                settled.checkpoint = checkpoint;
                self.settle(settled).await?;
                self.tell([portion]);
                Ok(())
            }
        }
    }

    /// Writes the checkpoints that wait.
    pub async fn flush(&mut self) -> Result<(), StoreError> {
        self.pending.due = None;
        let checkpoints = std::mem::take(&mut self.pending.checkpoints);
        if checkpoints.is_empty() {
            return Ok(());
        }
        let checkpoints = checkpoints.into_iter().map(|(partition, (label, next))| (partition, label, next)).collect();
        self.writing.write(&Write::Advance(checkpoints)).await?;
        let portions = std::mem::take(&mut self.pending.portions);
        self.tell(portions);
        Ok(())
    }

    /// The same, where they have waited long enough.
    pub async fn flush_due(&mut self) {
        if matches!(self.error, Some(PipelineError::Store(_))) {
            return;
        }
        if let Err(error) = self.flush().await {
            self.fail(error);
        }
    }

    /// Tells the lanes that portions are settled.
    fn tell(&self, portions: impl IntoIterator<Item = u64>) {
        for number in portions {
            for teller in self.columns.iter().filter_map(|column| column.teller.as_ref()) {
                // A lane that has ended need not be told.
                let _ended = teller.send(number);
            }
        }
    }

    /// Once nothing more is read and all others are done, nobody waits for best-effort destinations any more.
    fn let_go_at_the_end(&self) {
        if !self.read {
            return;
        }
        let best_effort = self.best_effort();
        if best_effort.contains(&true) && self.ledger.waits_for(&best_effort) {
            for (column, _) in self.columns.iter().zip(best_effort).filter(|(_, best_effort)| *best_effort) {
                column.let_go.send_replace(u64::MAX);
            }
        }
    }

    /// Which columns are of best-effort destinations.
    fn best_effort(&self) -> Vec<bool> {
        self.columns.iter().map(|column| self.outlets[column.destination].delivery.best_effort).collect()
    }

    /// The workers are done with their portions, and wait to be told of what they settled last.
    pub async fn all_dealt(&mut self) {
        self.flush_due().await;
        self.columns.iter_mut().for_each(|column| column.teller = None);
    }

    /// Notes how reading ended. Gives how far each partition was read.
    pub fn reader_ended(&mut self, ended: Result<Read, String>) -> BTreeMap<String, u64> {
        self.read = true;
        self.let_go_at_the_end();
        let Read { error, to } = match ended {
            Ok(read) => read,
            Err(failed) => {
                self.error.get_or_insert(PipelineError::Reader(failed));
                return BTreeMap::new();
            }
        };
        if let Some(failed) = error {
            self.error.get_or_insert(failed);
        }
        to
    }

    /// Notes how a worker ended. Where its destination is quarantined, the others go on without it. Where it takes no more for another
    /// reason, or none is left, reading ends, and the others finish what they have in hand.
    pub async fn worker_ended(&mut self, column: usize, ended: Result<Result<(), Left>, JoinError>) {
        let cause = match ended {
            Ok(Ok(()) | Err(Left::Asked)) => return,
            Ok(Err(Left::Destination(cause))) => cause,
            Err(failed) => DestinationError::Worker(failed.to_string()),
        };
        let destination = self.columns[column].destination;
        let Outlet { id, far, .. } = &self.outlets[destination];
        let connector = far.title().to_string();
        let quarantined = matches!(cause, DestinationError::Quarantined { .. });
        // A destination with several lanes ends with each of them, and is told once.
        match &cause {
            _ if !self.gone.insert(destination) => {}
            // What it wrote to its standard error stands in the log already.
            DestinationError::Quarantined { ended, instances } => {
                let (call, reason) = (ended.call, &ended.reason);
                let why = format!("{instances} instances in a row ended and no record came through; the last: {call}: {reason}");
                tracing::error!(pipeline = %self.id, destination = %id, %connector, "destination {id} is quarantined: {why}");
            }
            cause => {
                tracing::error!(pipeline = %self.id, destination = %id, %connector, "destination {id} takes no more: {cause}")
            }
        }
        let failed = PipelineError::Destination { id: id.clone(), connector, cause };
        self.error.get_or_insert(failed);
        if quarantined {
            for column in 0..self.columns.len() {
                if self.columns[column].destination == destination {
                    let outcome = self.ledger.quarantine(column);
                    self.settle_all(outcome).await;
                }
            }
        }
        if !quarantined || !self.ledger.goes_on() {
            self.cancel.send_replace(true);
        }
    }

    /// Writes down what is known at the end: what was given up beyond the checkpoints, and how far the source was read. Gives what
    /// went wrong.
    pub async fn finish(mut self, read: BTreeMap<String, u64>) -> Option<PipelineError> {
        let rereads = self.ledger.rereads();
        match self.error {
            // Dead letters have no room, and everything else has.
            Some(PipelineError::Store(StoreError::DeadLettersFull { .. })) if rereads => {
                let mut written = self.flush().await;
                if written.is_ok() && !read.is_empty() {
                    written = self.writing.write(&Write::ReadTo(read.into_iter().collect())).await;
                }
                if let Err(error) = written {
                    tracing::warn!(pipeline = %self.id, "how far its source was read cannot be noted: {error}");
                }
                return self.error;
            }
            Some(PipelineError::Store(_)) => return self.error,
            _ => {}
        }
        self.count_partial();
        let rest = std::mem::replace(&mut self.ledger, Ledger::new(0, rereads, false)).rest();
        let mut written = self.flush().await;
        for rest in rest {
            if written.is_ok() {
                written = self.settle_rest(rest).await;
            }
        }
        if written.is_ok() && rereads && !read.is_empty() {
            written = self.writing.write(&Write::ReadTo(read.into_iter().collect())).await;
        }
        if let Err(failed) = written {
            self.error.get_or_insert(failed.into());
        }
        self.error
    }

    /// Settles what is left at the end. Where the dead letters of a best-effort destination have no room, it is pending once more; where it will not be
    /// read again, at least the others' are kept.
    async fn settle_rest(&mut self, mut rest: Settled) -> Result<(), StoreError> {
        while let Err(NotWritten { error, settled }) = self.settle(rest).await {
            let Some((destination, written)) = self.full(&error).zip(settled) else { return Err(error) };
            let id = self.outlets[destination].id.clone();
            self.leave_behind(&error, Vec::new());
            if self.ledger.rereads() {
                return Ok(());
            }
            let others = written.dead_letters.into_iter().filter(|letter| letter.destination.as_ref() != Some(&id));
            let owed = written.owed.into_iter().filter(|owed| owed.destination != id);
            rest = Settled::new(None, others.collect()).owing(owed.collect());
        }
        Ok(())
    }

    async fn settle(&self, mut settled: Settled) -> Result<(), NotWritten> {
        if !self.ledger.rereads() {
            // No run will ever ask for it.
            settled.checkpoint = None;
        }
        if settled.is_empty() {
            return Ok(());
        }
        // To be counted once it is on disk and no sooner. What the source gave up is given up for every destination.
        let own = |id: &str| {
            let own = settled.dead_letters.iter().filter(|letter| letter.destination.as_deref().is_none_or(|of| of == id));
            // Of several that were made of one, that one is a dead letter once.
            own.map(|letter| (&letter.partition, letter.sequence)).collect::<HashSet<_>>().len()
        };
        let given_up: Vec<usize> = self.outlets.iter().map(|outlet| own(&outlet.id)).collect();
        let write = Write::Settle(Arc::new(settled));
        if let Err(error) = self.writing.write(&write).await {
            // Nobody else has it any more.
            let settled = match write {
                Write::Settle(settled) => Arc::into_inner(settled),
                _ => None,
            };
            return Err(NotWritten { error, settled });
        }
        for (index, records) in given_up.into_iter().enumerate() {
            self.progress.destination(index).dead_lettered(records as u64);
        }
        Ok(())
    }
}

/// What a source could not read, as dead letters of the pipeline.
fn unreadable(pipeline: &str, portion: &Portion, clock: &Clock) -> Vec<DeadLetter> {
    for unreadable in portion.unreadable.iter().take(LOGGED) {
        tracing::warn!(pipeline, "given up: {}", printable(&unreadable.reason, false));
    }
    if let Some(others @ 1..) = portion.unreadable.len().checked_sub(LOGGED) {
        tracing::warn!(pipeline, "given up: {others} more of {}", printable(&portion.label, false));
    }
    let (kind, at): (Arc<str>, Arc<str>) = ("unreadable".into(), clock.rfc3339().into());
    let letters = portion.unreadable.iter().map(|unreadable| DeadLetter {
        destination: None,
        processor: None,
        action: None,
        partition: portion.partition.clone(),
        label: portion.label.clone(),
        sequence: unreadable.sequence,
        ordinal: 0,
        record: Record::plain(unreadable.bytes.clone()),
        whole: true,
        reason: Arc::new(Reason { kind: kind.clone(), code: None, message: unreadable.reason.as_str().into(), connector: None }),
        attempts: 0,
        at: at.clone(),
    });
    letters.collect()
}
