//! Where a pipeline's records go, and how they are delivered there.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    actions::Actions,
    delivery::Holds,
    far::{Bounds, Far, Start, on_a_thread},
    gate::Gate,
    process::Step,
    rate::Rate,
    retry::Policy,
    routing::Routing,
    spooled::Spooled,
    tolerance::Tolerance,
};
use crate::{
    config::{Isolation, OnUnknown},
    connector::{Connector, OpenError, Opening, Processor, descriptor::Order},
    record::format::Format,
};

/// A destination that a component serves.
#[derive(Clone)]
pub struct Destination {
    /// Its id.
    pub id: Arc<str>,
    /// Its connector.
    pub connector: Connector,
    /// What its sessions are opened with.
    pub opening: Opening,
    /// How records are delivered to it.
    pub delivery: Delivery,
    /// What changes records on their way to it alone.
    pub processors: Vec<Processor>,
    /// Which records go to which of its actions, and when.
    pub actions: Arc<Actions>,
}

impl Destination {
    /// The names of its actions, by index; none where its component names none.
    pub fn action_names(&self) -> Arc<[Arc<str>]> {
        self.connector.descriptor.actions.iter().map(|action| action.name.as_str().into()).collect()
    }
}

/// How records are delivered.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// How long an instance lives.
    pub isolation: Isolation,
    /// In what shape it gets records.
    pub format: Format,
    /// Whether records stay in order; per key where there are several lanes.
    pub ordered: bool,
    /// How many instances take records side by side, at least one.
    pub lanes: u32,
    /// What is tried again, and when, where a record fails for now and others come through.
    pub retry: Policy,
    /// The same where the far side is down.
    pub outage: Policy,
    /// The shortest and the longest wait where the far side asks for patience.
    pub throttle: (Duration, Duration),
    /// What becomes of records that are not answered for.
    pub on_unknown: OnUnknown,
    /// The most records and bytes in a call, where that is less than what the connector takes.
    pub most: (u32, u64),
    /// The most records and bytes a second, for all lanes together.
    pub rate: Option<Arc<Rate>>,
    /// Whether the other destinations go on without it where it falls behind or fails.
    pub best_effort: bool,
    /// Of so many records, the last ones at any time, how many may be given up.
    pub tolerance: (u32, u32),
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            isolation: Isolation::default(),
            format: Format::default(),
            ordered: true,
            lanes: 1,
            retry: Policy::RECORD,
            outage: Policy::OUTAGE,
            throttle: (Duration::from_millis(100), Duration::from_secs(3600)),
            on_unknown: OnUnknown::default(),
            most: (u32::MAX, u64::MAX),
            rate: None,
            best_effort: false,
            tolerance: (1, 0),
        }
    }
}

/// What a pipeline hands records to.
#[derive(Clone)]
pub struct Outlet {
    /// Its id.
    pub id: Arc<str>,
    /// What opens its sessions.
    pub far: Arc<dyn Far>,
    /// How records are delivered to it.
    pub delivery: Arc<Delivery>,
    /// What changes records on their way to it alone.
    pub processors: Vec<Step>,
    /// Which records go to which action.
    pub routing: Arc<Routing>,
    /// The same as it goes on behind a spool, where there is one.
    pub behind: Option<Arc<Routing>>,
    /// The names of the actions that there are.
    pub actions: Arc<[Arc<str>]>,
    /// Whether it takes any.
    pub gate: Gate,
    /// Whether the far side was there once in this run, or cannot be asked for.
    reached: Arc<AtomicBool>,
    /// What becomes of records beyond it, where it is the entrance of a spool.
    pub spooled: Option<Arc<Spooled>>,
    /// How many more records may be given up, by all lanes together.
    pub(super) tolerance: Arc<Mutex<Tolerance>>,
    /// Starts what its lanes run.
    pub(super) start: Start<super::delivery::LaneEnded>,
}

impl Outlet {
    /// One whose calls run on the executor itself: for what waits and does not compute.
    pub fn new(id: Arc<str>, far: Arc<dyn Far>, delivery: Delivery) -> Self {
        let (window, tolerance) = tolerates(&delivery);
        let tolerance = Arc::new(Mutex::new(Tolerance::new(window, tolerance)));
        let reached = Arc::new(AtomicBool::new(!far.can_be_probed()));
        Self {
            id,
            far,
            delivery: Arc::new(delivery),
            processors: Vec::new(),
            routing: Arc::default(),
            behind: None,
            actions: Arc::default(),
            gate: Gate::default(),
            spooled: None,
            reached,
            tolerance,
            start: |run| tokio::spawn(run),
        }
    }

    /// What a call takes at the most: within what the connector takes, what the pipeline says.
    pub(super) fn bounds(&self) -> Bounds {
        let (records, bytes) = self.delivery.most;
        let bounds = self.far.bounds();
        Bounds { records: bounds.records.min(records).max(1), bytes: bounds.bytes.min(bytes), largest: bounds.largest }
    }

    /// Whether the far side was there once in this run, or cannot be asked for.
    pub(super) fn is_reached(&self) -> bool {
        self.reached.load(Relaxed)
    }

    /// Asks whether the far side is there, where it was not yet.
    pub(super) async fn reach(&self) -> Result<(), OpenError> {
        if !self.is_reached() {
            self.far.probe().await?;
            self.reached.store(true, Relaxed);
        }
        Ok(())
    }

    /// Of so many records, how many may be given up.
    pub(super) fn tolerates(&self) -> (u32, u32) {
        tolerates(&self.delivery)
    }

    /// How many more records may be given up.
    pub(super) fn tolerance(&self) -> MutexGuard<'_, Tolerance> {
        self.tolerance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a part that waits holds back.
    pub(super) fn holds(&self) -> Holds {
        match (self.delivery.ordered, self.far.order()) {
            (false, _) => Holds::Nothing,
            (true, Order::Key) => Holds::Key,
            // Where nothing is said of order, none is risked.
            (true, Order::Batch | Order::None) => Holds::Partition,
        }
    }
}

impl Outlet {
    /// The entrance of a spool, in front of a destination that takes files: whatever comes through is taken in as it is, in order.
    pub fn spool(destination: Destination, far: Arc<dyn Far>, spooled: Arc<Spooled>) -> Self {
        let names = destination.action_names();
        let Destination { id, delivery: Delivery { tolerance, .. }, processors, actions, .. } = destination;
        let (routing, behind) = (Arc::new(actions.outer()), Some(Arc::new(actions.routing.clone())));
        let processors = processors.into_iter().map(Step::from).collect();
        let outlet = Self::new(id, far, Delivery { tolerance, ..Delivery::default() });
        Self { start: on_a_thread, processors, routing, behind, actions: names, spooled: Some(spooled), ..outlet }
    }
}

impl Outlet {
    /// A destination of which some is written as it comes, and some waits in a spool: whatever comes through is taken in order.
    pub fn mixed(destination: Destination, far: Arc<dyn Far>, spooled: Arc<Spooled>) -> Self {
        let names = destination.action_names();
        let Destination { id, delivery, processors, actions, .. } = destination;
        let (routing, processors) = (Arc::new(actions.outer()), processors.into_iter().map(Step::from).collect());
        let behind = Some(Arc::new(actions.routing.clone()));
        // What waits is brought into its shape when it is handed over, and so the far side does it with the rest.
        let outlet = Self::new(id, far, Delivery { ordered: true, format: Format::Payload, ..delivery });
        Self { start: on_a_thread, processors, routing, behind, actions: names, spooled: Some(spooled), ..outlet }
    }
}

/// What a best-effort destination misses is no reason to stop.
fn tolerates(delivery: &Delivery) -> (u32, u32) {
    if delivery.best_effort { (0, 0) } else { delivery.tolerance }
}

impl From<Destination> for Outlet {
    fn from(destination: Destination) -> Self {
        let (id, delivery) = (destination.id.clone(), destination.delivery.clone());
        let processors = destination.processors.iter().cloned().map(Step::from).collect();
        let routing = Arc::new(destination.actions.outer());
        let actions = destination.action_names();
        Self { start: on_a_thread, processors, routing, actions, ..Self::new(id, Arc::new(destination), delivery) }
    }
}
