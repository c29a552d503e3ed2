//! One lane of a destination: it hands over the records of the portions it gets, until each is delivered or given up.
//!
//! One call is under way at a time. What failed for now is sent again later; meanwhile whatever it does not hold back goes on (`queue`).
//!
//! | what comes back | what happens to the records |
//! | --- | --- |
//! | delivered, warned | settled |
//! | rejected | dead letters, as far as the pipeline tolerates them; the rest goes on |
//! | several rejected as a whole | halved and sent again at once, down to those that are rejected alone |
//! | transient or uncertain, and others come through | sent again after a back-off (`retry`); then dead letters |
//! | transient or uncertain, all of them, or `open` | the far side is down: sent again after a back-off (`outage`) without end, every second time to a fresh instance |
//! | throttled | sent again after as long as was asked, without counting |
//! | untried | sent again, without counting |
//! | unauthorized | credentials are renewed and it is sent once more to a fresh instance; then the destination pauses |
//! | fatal | the destination pauses |
//! | no answer, or one that breaks the contract | sent again to a fresh instance a few times; then the destination pauses (`on-unknown`) |
//! | an instance that ended | what `progress` had reported is settled; the rest goes to a fresh instance after 1 s, or 2 s, 4 s … up to a minute while nothing comes through |
//! | the same a second time | halved, each half in a fresh instance at once, and so on down to the record that does it: a dead letter once others came through |
//! | five such records in a row, and nothing between them | the destination is quarantined; they are pending |
//!
//! A destination that pauses is tried again every five minutes, or when a person says so. Once there is nothing left but what is paused,
//! the run ends. A best-effort destination never ends a run: what it misses is given up when others need the room.

mod account;
mod error;
mod letter;
mod parts;
mod queue;
mod sessions;
mod share;
mod suspicion;
mod weigh;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};

use self::{
    account::Account,
    letter::Why,
    parts::{Part, in_memory, lowered, pushed},
    queue::{Next, Queue},
    suspicion::Suspicion,
};
use super::{
    Delivery, Outlet, Stopping,
    far::{Bounds, FarSession},
    gate::{Pause, State},
    progress::DestinationProgress,
    stage::Handed,
};
use crate::{
    clock::Clock,
    config::Isolation,
    connector::Room,
    record::{Outcome, Span, Verdict, format::shape},
    sandbox::{Ended, log::Log},
};

pub(super) use self::{account::Dealt, error::Left};

pub use self::{error::DestinationError, queue::Holds};

/// How long the first wait for a fresh instance is, and that for a far side which asks for patience without saying how much.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// How often what was not answered for is sent again before it is held, and an instance that ends as it is opened started again.
const RETRIES: u32 = 3;

/// How long a destination that paused is let alone.
const PAUSE: Duration = Duration::from_secs(300);

/// How long those who ended an instance are only suspected, where no other record comes that could be asked.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the others wait for a call of a best-effort destination to come back before it is ended.
const GRACE: Duration = Duration::from_secs(1);

/// Remarks and reasons of one portion that are logged one by one.
pub(super) const LOGGED: usize = 5;

/// How a lane ended.
pub(super) type LaneEnded = Result<(), Left>;

/// What reaches a lane from the rest of its pipeline.
pub(super) struct Inlet {
    /// Portions and their numbers, in order. As long as the window.
    pub portions: mpsc::Receiver<Handed>,
    /// Portions that are settled and of which the connector has not been told.
    pub settled: mpsc::UnboundedReceiver<u64>,
    /// The portion before which nothing is worth waiting for any more.
    pub let_go: watch::Receiver<u64>,
    /// Whether it is time to come to an end.
    pub stop: watch::Receiver<Stopping>,
}

/// Which lane it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Which {
    /// The destination's place in the pipeline.
    pub destination: usize,
    /// The lane's place among all lanes of the pipeline.
    pub column: usize,
    /// Its place among those of its destination.
    pub lane: u32,
}

/// The cuts of portions that were reported and are not settled, by number.
#[derive(Debug, Default)]
struct Cuts(VecDeque<(u64, Arc<str>)>);

impl Cuts {
    fn note(&mut self, account: &Account) {
        if let Some(batch) = &account.batch {
            let at = self.0.partition_point(|(number, _)| *number < account.number);
            self.0.insert(at, (account.number, batch.id().into()));
        }
    }

    fn take(&mut self, number: u64) -> Option<Arc<str>> {
        let at = self.0.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.0.remove(at).map(|(_, id)| id)
    }
}

/// A lane and what it works with.
pub(super) struct Lane {
    outlet: Outlet,
    which: Which,
    clock: Clock,
    progress: Arc<super::Progress>,
    inlet: Inlet,
    /// What is logged in the connector's words shares its rate.
    log: Log,
    bounds: Bounds,
    session: Option<Box<dyn FarSession>>,
    /// Portions that are not reported, in order.
    accounts: VecDeque<Account>,
    /// The cuts of those that are reported.
    dealt: Cuts,
    queue: Queue,
    /// The moment before which nothing is sent.
    rest: Duration,
    suspicion: Suspicion,
    /// When those who ended an instance are judged, where no other record comes before.
    judged_at: Option<Duration>,
    /// What ended an instance last.
    last: Option<Ended>,
    /// How often a person had opened the gate when it was looked at last.
    resumed: u64,
    /// How often in a row the far side was down.
    down: u32,
    /// How often in a row an instance ended as it was opened.
    opens: u32,
    /// Whether credentials were renewed since anything came through.
    renewed: bool,
    /// Why more failed than may, where that was found out in passing.
    exceeded: Option<DestinationError>,
    /// Whether anything came through since a record was given up for failing too often.
    works: bool,
}

impl Lane {
    pub fn new(outlet: Outlet, which: Which, clock: Clock, progress: Arc<super::Progress>, inlet: Inlet) -> Self {
        let (log, bounds, queue) = (outlet.far.log(&clock), outlet.bounds(), Queue::new(outlet.holds()));
        Self {
            outlet,
            which,
            clock,
            progress,
            inlet,
            log,
            bounds,
            session: None,
            accounts: VecDeque::new(),
            dealt: Cuts::default(),
            queue,
            rest: Duration::ZERO,
            suspicion: Suspicion::default(),
            judged_at: None,
            last: None,
            resumed: 0,
            down: 0,
            opens: 0,
            renewed: false,
            exceeded: None,
            works: true,
        }
    }

    /// Deals with portions until there are no more, tells the connector what is settled, and closes the session.
    pub async fn run(mut self, dealt: mpsc::Sender<(usize, Dealt)>) -> LaneEnded {
        let window = self.inlet.portions.max_capacity();
        let mut more = true;
        let ended = loop {
            let result = match self.take_in(&mut more, window) {
                Ok(()) => self.step(&mut more, window).await,
                Err(left) => Err(left),
            };
            self.let_go_of_what_nobody_waits_for();
            // Also where it failed: what was given up before is not lost by that.
            if self.report(&dealt, false).await.is_err() {
                return Ok(());
            }
            match result {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(Left::Destination(error)) if self.outlet.delivery.best_effort => self.pause(&error, Some(PAUSE)),
                Err(left) => break Err(left),
            }
        };
        if self.report(&dealt, true).await.is_err() {
            return Ok(());
        }
        drop(dealt);
        self.log.finish();
        ended?;
        let mut ids = Vec::new();
        while let Some(number) = self.inlet.settled.recv().await {
            ids.extend(self.dealt.take(number));
        }
        self.tell(&ids).await;
        self.close().await;
        Ok(())
    }

    /// Takes in what has come and there is room for.
    fn take_in(&mut self, more: &mut bool, window: usize) -> Result<(), Left> {
        while *more && self.accounts.len() < window {
            match self.inlet.portions.try_recv() {
                Ok(handed) => self.take(handed)?,
                Err(mpsc::error::TryRecvError::Disconnected) => *more = false,
                Err(mpsc::error::TryRecvError::Empty) => break,
            }
        }
        Ok(())
    }

    fn take(&mut self, handed: Handed) -> Result<(), Left> {
        let Handed { number, portion, letters } = handed;
        let Delivery { lanes, ordered, .. } = *self.outlet.delivery;
        let own = |batch| share::share(&self.progress.pipeline, batch, number, (self.which.lane, lanes), ordered);
        let batch =
            portion.batch.as_ref().map(own).transpose().map_err(|full| DestinationError::Worker(full.to_string()))?.flatten();
        self.judged_at = None;
        self.accounts.push_back(Account::new((number, portion), batch.clone(), letters, self.clock.elapsed()));
        let Some(batch) = batch else { return Ok(()) };
        let shaped = shape(&batch, &self.outlet.delivery.format);
        let whole = Part::whole(&shaped.batch);
        let mut over = Vec::new();
        for records in shaped.shaped() {
            let part = whole.slice(records);
            let (parts, too_large) = part.within(self.bounds, |records| part.batch.bytes_of(records) as u64);
            for part in parts {
                self.queue.put(number, part, Duration::ZERO);
            }
            over.extend(too_large.into_iter().map(|(record, size)| (records.start + record, size)));
        }
        for Verdict { records, outcome } in &shaped.verdicts {
            if let Outcome::Failed(failure) = outcome {
                self.give_up(number, &whole, *records, &Why::Failed(failure))?;
            }
        }
        let largest = self.bounds.largest;
        for (record, size) in over {
            let message = format!("the record has {size} bytes, and this connector takes {largest} at the most");
            self.give_up(number, &whole, Span::new(record, record + 1), &Why::TooLarge(message))?;
        }
        Ok(())
    }

    /// Sends something, or waits until there is something to do. False where all is done.
    async fn step(&mut self, more: &mut bool, window: usize) -> Result<bool, Left> {
        let now = self.clock.elapsed();
        self.outlet.gate.retry(now);
        let mut gate = self.outlet.gate.watch();
        let State { pause, resumed } = gate.borrow_and_update().clone();
        if resumed != self.resumed {
            self.resumed = resumed;
            self.rest = Duration::ZERO;
            self.queue.hurry();
        }
        let shut = pause.is_some();
        let until = match pause {
            Some(pause) => {
                // Whoever stands before a shut gate has nothing more to do where nothing more comes.
                if !*more {
                    return self.end_paused(&pause);
                }
                pause.again
            }
            None if self.rest > now && !self.queue.is_empty() => Some(self.rest),
            None => match self.queue.next(now) {
                Next::Part(number, part) => {
                    self.counts().pause(None);
                    self.send(number, part).await?;
                    return Ok(true);
                }
                Next::At(moment) => Some(moment),
                Next::Empty if self.accounts.iter().any(Account::has_suspects) => {
                    // Others may come that can be asked; not for ever.
                    let judged = *self.judged_at.get_or_insert(now + PATIENCE);
                    if !*more || self.accounts.len() >= window || judged <= now {
                        self.judged_at = None;
                        self.judge()?;
                        return Ok(true);
                    }
                    Some(judged)
                }
                Next::Empty if !*more => return Ok(false),
                Next::Empty => None,
            },
        };
        let waits = until.is_some() || shut;
        if waits && *self.inlet.stop.borrow() != Stopping::No {
            return Err(Left::Asked);
        }
        let clock = self.clock.clone();
        let wait = async {
            match until {
                Some(moment) => clock.sleep(moment.saturating_sub(now)).await,
                None => std::future::pending().await,
            }
        };
        let room = self.accounts.len() < window;
        let come = tokio::select! {
            portion = self.inlet.portions.recv(), if *more && room => {
                *more = portion.is_some();
                portion
            }
            () = wait => None,
            _changed = gate.changed() => None,
            // The senders outlive every lane.
            _asked = self.inlet.stop.wait_for(|stop| *stop != Stopping::No), if waits => return Err(Left::Asked),
            moved = self.inlet.let_go.changed(), if self.outlet.delivery.best_effort => {
                // The sender outlives every lane.
                let _moved = moved;
                None
            }
        };
        if let Some(handed) = come {
            self.take(handed)?;
        }
        Ok(true)
    }

    /// The gate is shut and nothing more comes: this run ends here, and a best-effort destination misses what is left.
    fn end_paused(&mut self, pause: &Pause) -> Result<bool, Left> {
        let done = self.accounts.is_empty() && pause.by_hand;
        if !done && !self.outlet.delivery.best_effort {
            return Err(Left::Destination(DestinationError::Paused { why: pause.why.clone() }));
        }
        self.miss_before(u64::MAX);
        Ok(false)
    }

    /// No other record can be asked: those who ended an instance are to blame if the connector works otherwise.
    fn judge(&mut self) -> Result<(), Left> {
        match self.last.clone() {
            _ if self.suspicion.works() => {
                self.convict(u64::MAX);
                self.exceeded.take().map_or(Ok(()), |error| Err(error.into()))
            }
            Some(ended) if *self.inlet.stop.borrow() == Stopping::No => {
                let instances = self.suspicion.instances();
                Err(Left::Destination(DestinationError::Quarantined { ended, instances }))
            }
            _ => Err(Left::Asked),
        }
    }

    fn counts(&self) -> &DestinationProgress {
        self.progress.destination(self.which.destination)
    }

    fn account(&mut self, number: u64) -> Option<&mut Account> {
        let at = self.accounts.binary_search_by_key(&number, |account| account.number).ok()?;
        self.accounts.get_mut(at)
    }

    /// Reports the portions that are dealt with, or all of them as far as they are.
    async fn report(
        &mut self,
        dealt: &mpsc::Sender<(usize, Dealt)>,
        all: bool,
    ) -> Result<(), mpsc::error::SendError<(usize, Dealt)>> {
        let mut at = 0;
        while let Some(account) = self.accounts.get(at) {
            if !all && (account.has_suspects() || self.queue.has(account.number)) {
                at += 1;
                continue;
            }
            if let Some(account) = self.accounts.remove(at) {
                self.dealt.note(&account);
                dealt.send((self.which.column, account.report())).await?;
            }
        }
        Ok(())
    }

    /// Hands over a part, where it may go now, and weighs the answer.
    async fn send(&mut self, number: u64, part: Part) -> Result<(), Left> {
        // What has ended an instance is not tried any more.
        if part.ends > 0 && *self.inlet.stop.borrow() != Stopping::No {
            return Err(Left::Asked);
        }
        let mut settled = Vec::new();
        while let Ok(number) = self.inlet.settled.try_recv() {
            settled.extend(self.dealt.take(number));
        }
        self.tell(&settled).await;
        let Some(part) = self.open(number, part).await? else { return Ok(()) };
        if !self.outlet.gate.is_open() {
            // Another lane found out meanwhile.
            self.queue.put(number, part, Duration::ZERO);
            return Ok(());
        }
        let room = self.session.as_ref().map(|session| session.room());
        let Some(part) = room.and_then(|room| self.fitting(number, part, room).transpose()).transpose()? else { return Ok(()) };
        let Some(part) = self.in_rate(number, part) else { return Ok(()) };
        let Some(session) = &mut self.session else { return Ok(()) };
        let best_effort = self.outlet.delivery.best_effort;
        let mut asked = self.inlet.stop.clone();
        let (stop, let_go, clock) = (&mut self.inlet.stop, &mut self.inlet.let_go, &self.clock);
        let answer = tokio::select! {
            biased;
            answer = session.write(&part.batch, part.sent + 1) => Some(answer),
            _now = stop.wait_for(|stop| *stop == Stopping::Now) => None,
            () = async {
                let asked = async {
                    let _asked = asked.wait_for(|stop| *stop != Stopping::No).await;
                };
                let let_go = async {
                    if let_go.wait_for(|before| number < *before).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                tokio::select! {
                    () = asked => {}
                    () = let_go => {}
                }
                clock.sleep(GRACE).await;
            }, if best_effort => None,
        };
        let Some(answer) = answer else {
            // Whatever became of it: the instance is gone with the call.
            self.session = None;
            self.queue.put(number, Part { sent: part.sent + 1, ..part }, Duration::ZERO);
            return if *self.inlet.stop.borrow() == Stopping::No { Ok(()) } else { Err(Left::Asked) };
        };
        self.weigh(number, part, answer)?;
        if let Some(error) = self.exceeded.take() {
            return Err(error.into());
        }
        if self.outlet.delivery.isolation == Isolation::Batch && !self.queue.has(number) {
            self.close().await;
        }
        Ok(())
    }

    /// Cuts a part to what the component's memory has room for, and gives up the records that have no room in it. Gives the first piece.
    fn fitting(&mut self, number: u64, part: Part, room: Room) -> Result<Option<Part>, Left> {
        let (parts, _) = part.within(in_memory(room), |records| lowered(&part.batch, records));
        let mut first = None;
        for part in parts {
            let size = pushed(&part.batch);
            if part.batch.count() == 1 && size > room.most {
                let (limit, most) = (self.outlet.far.memory(), room.most);
                let message = format!(
                    "the record takes {size} bytes of memory, and of {limit} (limits.memory) the component has {most} left"
                );
                self.give_up(number, &part, Span::new(0, 1), &Why::TooLarge(message))?;
            } else if first.is_none() {
                first = Some(part);
            } else {
                self.queue.put(number, part, Duration::ZERO);
            }
        }
        Ok(first)
    }

    /// Cuts a part to what may go at once by the rate. `None` where nothing may yet.
    fn in_rate(&mut self, number: u64, part: Part) -> Option<Part> {
        let Some(rate) = self.outlet.delivery.rate.clone() else { return Some(part) };
        let (records, bytes) = rate.most();
        let bounds = Bounds { records, bytes, largest: u64::MAX };
        let (mut parts, _) = part.within(bounds, |records| part.batch.bytes_of(records) as u64);
        let first = parts.pop_front()?;
        for later in parts {
            self.queue.put(number, later, Duration::ZERO);
        }
        let now = self.clock.elapsed();
        match rate.take(now, first.batch.count(), first.batch.bytes() as u64) {
            Ok(()) => Some(first),
            Err(wait) => {
                self.rest = now + wait;
                self.queue.put(number, first, Duration::ZERO);
                None
            }
        }
    }

    /// Gives records of a part up, as far as the pipeline tolerates it.
    fn give_up(&mut self, number: u64, part: &Part, records: Span, why: &Why<'_>) -> Result<(), Left> {
        let letter = self.letter(number, part, why);
        let accepted = self.outlet.tolerance().failed(records.len().into()) as u32;
        let whole = records;
        let records = Span::new(whole.start, whole.start + accepted);
        if accepted > 0 && self.logs(number) {
            let (pipeline, destination) = (&self.progress.pipeline, &self.outlet.id);
            tracing::warn!(%pipeline, %destination, batch = part.batch.id(), %records, "given up: {why}");
        }
        if let Some(account) = self.account(number) {
            account.give_up(&part.batch, records, &letter);
        }
        if records == whole { Ok(()) } else { Err(self.too_many(&letter).into()) }
    }

    /// One record more failed than may.
    fn too_many(&self, letter: &letter::Letter) -> DestinationError {
        let (window, tolerance) = self.outlet.delivery.tolerance;
        DestinationError::TooMany { window, tolerance, failure: letter.failure() }
    }

    /// Those who ended an instance by themselves are to blame, as far as the pipeline tolerates it.
    fn convict(&mut self, before: u64) {
        let mut tolerance = self.outlet.tolerance();
        let mut last = None;
        for account in self.accounts.iter_mut().filter(|account| account.number < before) {
            last = last.or_else(|| account.convict(&mut tolerance));
        }
        drop(tolerance);
        if let Some(failure) = last {
            let (window, tolerance) = self.outlet.delivery.tolerance;
            self.exceeded.get_or_insert(DestinationError::TooMany { window, tolerance, failure });
        }
    }

    /// Whether a line about records of a portion may be written, which a connector caused: it takes its share of the log, and of one
    /// portion there are few.
    fn logs(&mut self, number: u64) -> bool {
        let few = self.account(number).is_some_and(|account| {
            account.logged += 1;
            account.logged <= LOGGED
        });
        few && tracing::enabled!(tracing::Level::WARN) && self.log.admits()
    }

    /// Shuts the gate of the destination.
    fn pause(&mut self, error: &DestinationError, again: Option<Duration>) {
        let now = self.clock.elapsed();
        let connector = self.outlet.far.title();
        let (pipeline, destination) = (&self.progress.pipeline, &self.outlet.id);
        let hint = error.hint();
        match again {
            Some(again) => {
                tracing::error!(%pipeline, %connector, hint, "destination {destination} pauses, to be tried again in {again:?}: {error}")
            }
            None => {
                tracing::error!(%pipeline, %connector, hint, "destination {destination} pauses, and is not tried again by itself: {error}")
            }
        }
        self.counts().pause(Some(&error.to_string()));
        self.session = None;
        self.renewed = false;
        let why = error.to_string().into();
        self.outlet.gate.shut(Pause { why, since: now, again: again.map(|again| now + again), by_hand: false });
    }

    fn let_go_of_what_nobody_waits_for(&mut self) {
        let before = *self.inlet.let_go.borrow_and_update();
        if before > 0 {
            self.miss_before(before);
        }
    }

    /// Gives up all that is left of the portions before this one.
    fn miss_before(&mut self, portion: u64) {
        for (number, part) in self.queue.take_before(portion) {
            let records = Span::new(0, part.batch.count());
            if part.unknown {
                self.counts().known(records.len().into());
            }
            let letter = self.letter(number, &part, &Why::Missed);
            if let Some(account) = self.account(number) {
                account.give_up(&part.batch, records, &letter);
            }
        }
        self.convict(portion);
    }
}
