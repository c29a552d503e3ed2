//! One destination's worker: it hands over the records of portion after portion, until each is delivered or given up.
//!
//! One part is in hand at a time and what is to be sent again goes before everything that came later, so that nothing overtakes.
//!
//! | what comes back | what happens to the records |
//! | --- | --- |
//! | delivered, warned | settled |
//! | rejected | dead letters; the rest goes on |
//! | several rejected as a whole | halved and sent again at once, down to those that are rejected alone |
//! | an instance that ended | what `progress` had reported is settled; the rest goes to a fresh instance after 1 s, or 2 s, 4 s … up to a minute while nothing comes through |
//! | the same a second time | halved, each half in a fresh instance at once, and so on down to the record that does it: a dead letter once others came through |
//! | five such records in a row, and nothing between them | the destination is quarantined; they are pending |
//! | transient or uncertain | sent again after 1 s, 2 s and 4 s; then the run ends and they are pending |
//! | throttled | sent again after as long as was asked, without counting |
//! | untried | sent again, without counting |
//! | unauthorized, fatal | the run ends; they are pending |
//! | no answer, or one that breaks the contract | the run ends; they are pending, and counted unknown |

mod account;
mod error;
mod letter;
mod parts;
mod sessions;
mod suspicion;
mod weigh;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};

use self::{
    account::Account,
    letter::Why,
    parts::{Bounds, Part, in_memory, lowered, pushed},
    suspicion::Suspicion,
};
use super::{Destination, progress::DestinationProgress};
use crate::{
    clock::Clock,
    config::Isolation,
    connector::{Opening, Room, Session},
    record::Span,
    sandbox::{Ended, log::Log},
    source::Portion,
};

pub(super) use self::{account::Dealt, error::Left};

pub use self::error::DestinationError;

/// How often what failed for now is sent again.
const RETRIES: u32 = 3;

/// How long the first wait is; each that follows is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The bounds within which a far side is given the patience that it asks for.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));

/// Remarks and reasons of one portion that are logged one by one.
pub(super) const LOGGED: usize = 5;

/// A worker and what it works with.
pub(super) struct Worker {
    destination: Destination,
    clock: Clock,
    stop: watch::Receiver<bool>,
    progress: Arc<super::Progress>,
    index: usize,
    /// What is logged in the connector's words shares its rate.
    log: Log,
    /// Cuts that are settled and of which the connector has not been told.
    settled: mpsc::UnboundedReceiver<Arc<str>>,
    session: Option<Session>,
    suspicion: Suspicion,
    /// What ended an instance last.
    last: Option<Ended>,
    /// Portions that are dealt with but for their suspects, and all that came after them.
    held: VecDeque<Account>,
    /// How long to wait before anything is sent.
    pause: Duration,
}

impl Worker {
    /// For the destination at `index`.
    pub fn new(
        destination: Destination,
        index: usize,
        (clock, stop): (Clock, watch::Receiver<bool>),
        progress: Arc<super::Progress>,
        settled: mpsc::UnboundedReceiver<Arc<str>>,
    ) -> Self {
        let Opening { scope, usage, limits, .. } = &destination.opening;
        let log = Log::new(scope.clone(), usage.clone(), clock.clone(), limits.log_lines);
        Self {
            destination,
            clock,
            stop,
            progress,
            index,
            log,
            settled,
            session: None,
            suspicion: Suspicion::default(),
            last: None,
            held: VecDeque::new(),
            pause: Duration::ZERO,
        }
    }

    /// Deals with portions until there are no more, tells the connector what is settled, and closes the session.
    pub async fn run(
        mut self,
        mut portions: mpsc::Receiver<(u64, Arc<Portion>)>,
        dealt: mpsc::Sender<(usize, Dealt)>,
    ) -> Result<(), Left> {
        let window = portions.max_capacity();
        let mut ended = Ok(());
        while ended.is_ok() {
            let next = portions.recv().await;
            let last = next.is_none();
            if let Some((number, portion)) = next {
                let mut account = Account::new(number, portion);
                ended = self.deal(&mut account).await;
                self.held.push_back(account);
                if self.destination.isolation == Isolation::Batch && ended.is_ok() {
                    self.close().await;
                }
            }
            // Others may come through, if there is room for more to be read.
            if ended.is_ok() && self.suspicion.pending() {
                if !last && self.held.len() < window {
                    continue;
                }
                ended = self.judge();
            }
            // Also where it failed: what was given up before is not lost by that.
            for account in std::mem::take(&mut self.held) {
                if dealt.send((self.index, account.report())).await.is_err() {
                    return Ok(());
                }
            }
            if last {
                break;
            }
        }
        drop(dealt);
        self.log.finish();
        ended?;
        let mut ids = Vec::new();
        while let Some(id) = self.settled.recv().await {
            ids.push(id);
        }
        self.tell(&ids).await;
        self.close().await;
        Ok(())
    }

    /// No other record can be asked: those who ended an instance are to blame if the connector works otherwise.
    fn judge(&mut self) -> Result<(), Left> {
        match self.last.take() {
            _ if self.suspicion.works() => {
                self.held.iter_mut().for_each(Account::convict);
                Ok(())
            }
            Some(ended) if !*self.stop.borrow() => {
                let instances = self.suspicion.instances();
                Err(Left::Destination(DestinationError::Quarantined { ended, instances }))
            }
            _ => Err(Left::Asked),
        }
    }

    fn counts(&self) -> &DestinationProgress {
        self.progress.destination(self.index)
    }

    /// Hands over the records of a portion until each is settled, or held to be to blame for the end of an instance.
    async fn deal(&mut self, account: &mut Account) -> Result<(), Left> {
        let portion = account.portion.clone();
        let Some(batch) = &portion.batch else {
            return Ok(());
        };
        let mut parts = self.parts(Part::whole(batch), account);
        while let Some(part) = parts.pop_front() {
            let pause = std::mem::take(&mut self.pause);
            self.wait(pause).await?;
            // What has ended an instance is not tried any more.
            if part.ends > 0 && *self.stop.borrow() {
                return Err(Left::Asked);
            }
            let mut settled = Vec::new();
            while let Ok(id) = self.settled.try_recv() {
                settled.push(id);
            }
            self.tell(&settled).await;
            let room = self.open().await?.room();
            let mut fitting = self.fitting(part, room, account);
            let part = fitting.pop_front();
            while let Some(later) = fitting.pop_back() {
                parts.push_front(later);
            }
            let Some(part) = part else { continue };
            let Some(session) = &mut self.session else { continue };
            let answer = session.write(&part.batch, part.sent + 1).await;
            let again = self.weigh(part, answer, account)?;
            let wait = again.iter().map(|(_, wait)| *wait).max().unwrap_or_default();
            for (part, _) in again.into_iter().rev() {
                parts.push_front(part);
            }
            self.wait(wait).await?;
        }
        Ok(())
    }

    /// Cuts a part to the connector's bounds, and gives up the records that are over them by themselves.
    fn parts(&self, part: Part, account: &mut Account) -> VecDeque<Part> {
        let bounds = &self.destination.connector.descriptor.bounds;
        let largest = bounds.largest_record();
        let bounds = Bounds {
            records: bounds.records.unwrap_or(u32::MAX),
            bytes: bounds.bytes.map_or(u64::MAX, |bytes| bytes.bytes()),
            largest,
        };
        let (parts, too_large) = part.within(bounds, |records| part.batch.bytes_of(records) as u64);
        for (record, size) in too_large {
            let message = format!("the record has {size} bytes, and this connector takes {largest} at the most");
            self.too_large(&part, record, message, account);
        }
        parts
    }

    /// Cuts a part to what the component's memory has room for, and gives up the records that have no room in it.
    fn fitting(&self, part: Part, room: Room, account: &mut Account) -> VecDeque<Part> {
        let (mut parts, _) = part.within(in_memory(room), |records| lowered(&part.batch, records));
        parts.retain(|part| {
            let size = pushed(&part.batch);
            let fits = part.batch.count() > 1 || size <= room.most;
            if !fits {
                let limit = self.destination.opening.limits.memory;
                let most = room.most;
                let message = format!(
                    "the record takes {size} bytes of memory, and of {limit} (limits.memory) the component has {most} left"
                );
                self.too_large(part, 0, message, account);
            }
            fits
        });
        parts
    }

    fn too_large(&self, part: &Part, record: u32, message: String, account: &mut Account) {
        let (pipeline, destination) = (&self.progress.pipeline, &self.destination.id);
        if self.logs(account) {
            tracing::warn!(%pipeline, %destination, batch = part.batch.id(), record, "given up: {message}");
        }
        let letter = self.letter(part, account, &Why::TooLarge(message));
        account.give_up(&part.batch, Span::new(record, record + 1), &letter);
    }

    /// Whether a line about records of a portion may be written, which a connector caused: it takes its share of the log, and of one
    /// portion there are few.
    fn logs(&self, account: &mut Account) -> bool {
        account.logged += 1;
        account.logged <= LOGGED && tracing::enabled!(tracing::Level::WARN) && self.log.admits()
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
}
