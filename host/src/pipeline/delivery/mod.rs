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
mod following;
mod give_up;
mod intake;
mod letter;
mod parts;
mod pause;
mod queue;
mod run;
mod send;
mod sessions;
mod share;
mod suspicion;
mod weigh;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};

use self::{account::Account, queue::Queue};
use super::{
    Outlet, Stopping,
    far::{Bounds, FarSession},
    progress::DestinationProgress,
    routing::Router,
    stage::Handed,
};
use crate::{
    clock::Clock,
    sandbox::{Ended, log::Log},
};

pub(super) use self::{account::Dealt, error::Left, following::Follows, suspicion::CULPRITS, weigh::ENDS};

pub(crate) use self::suspicion::Suspicion;
pub use self::{error::DestinationError, queue::Holds};

/// How long the first wait for a fresh instance is, and that for a far side which asks for patience without saying how much.
pub(super) const FIRST_WAIT: Duration = Duration::from_secs(1);

/// How often what was not answered for is sent again before it is held, and an instance that ends as it is opened started again.
pub(super) const RETRIES: u32 = 3;

/// How long a destination that paused is let alone.
pub(super) const PAUSE: Duration = Duration::from_secs(300);

/// How long those who ended an instance are only suspected, where no other record comes that could be asked.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the others wait for a call of a best-effort destination to come back before it is ended.
const GRACE: Duration = Duration::from_secs(1);

/// Remarks and reasons of one portion, or of one upload, that are logged one by one.
pub const LOGGED: usize = 5;

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
    /// Tells when what it had no room for may have some.
    eases: Option<watch::Receiver<()>>,
    session: Option<Box<dyn FarSession>>,
    /// Portions that are not reported, in order.
    accounts: VecDeque<Account>,
    /// The cuts of those that are reported.
    dealt: Cuts,
    queue: Queue,
    router: Router,
    /// The moment before which nothing is sent.
    rest: Duration,
    /// Whether the last call was ended since others waited for it.
    cut_off: bool,
    /// The same, where nothing but the rate has it so.
    paced: Duration,
    suspicion: Suspicion,
    /// When those who ended an instance are judged, where no other record comes before.
    judged_at: Option<Duration>,
    /// What ended an instance last.
    last: Option<Ended>,
    /// How often a person had opened the gate when it was looked at last.
    resumed: u64,
    /// How often in a row the far side was down.
    down: u32,
    /// How often the far side was not there before there was anything to deliver.
    unreached: u32,
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
        let router = Router::new(&outlet.routing);
        let (log, bounds, queue) = (outlet.far.log(&clock), outlet.bounds(), Queue::new(outlet.holds()));
        let eases = outlet.far.eases();
        Self {
            outlet,
            which,
            clock,
            progress,
            inlet,
            log,
            bounds,
            eases,
            session: None,
            accounts: VecDeque::new(),
            dealt: Cuts::default(),
            queue,
            router,
            rest: Duration::ZERO,
            cut_off: false,
            paced: Duration::ZERO,
            suspicion: Suspicion::default(),
            judged_at: None,
            last: None,
            resumed: 0,
            down: 0,
            unreached: 0,
            opens: 0,
            renewed: false,
            exceeded: None,
            works: true,
        }
    }

    fn counts(&self) -> &DestinationProgress {
        self.progress.destination(self.which.destination)
    }

    /// Has everybody see when the oldest portion was read that is not dealt with.
    fn notes_oldest(&self) {
        let oldest = self.accounts.front().map(|account| account.times.read);
        self.counts().holds(self.which.lane, oldest);
    }

    fn account(&mut self, number: u64) -> Option<&mut Account> {
        let at = self.accounts.binary_search_by_key(&number, |account| account.number).ok()?;
        self.accounts.get_mut(at)
    }
}
