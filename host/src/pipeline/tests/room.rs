//! One portion and one far side: one that has no room for now and says when it has some, and records that it is not to get.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::watch;

use super::rest::MemoryStore;
use crate::{
    clock::{Clock, VirtualClock},
    connector::{Answer, OpenError, Room, Trouble, descriptor::Order},
    pipeline::{Bounds, Delivery, Far, FarSession, Gate, Outlet, Pipeline, Routing, Stopping, Surroundings, Way},
    record::{Batch, BatchBuilder, Condition, Failure, FailureKind, Fate, Looked, Run, Span, Test, format::Format},
    sandbox::{Ended, Scope, log::Log},
    source::{Portion, Source, SourceError},
};

/// A far side with room, or without.
#[derive(Clone, Default)]
struct Small {
    has_room: Arc<AtomicBool>,
    tried: Arc<AtomicU32>,
    eased: Arc<watch::Sender<()>>,
}

#[async_trait]
impl Far for Small {
    fn title(&self) -> Arc<str> {
        "small 1.0.0".into()
    }

    fn order(&self) -> Order {
        Order::Batch
    }

    fn is_idempotent(&self) -> bool {
        true
    }

    fn bounds(&self) -> Bounds {
        Bounds::default()
    }

    fn memory(&self) -> String {
        String::new()
    }

    async fn open(&self, _: u32, _: u32) -> Result<Box<dyn FarSession>, OpenError> {
        Ok(Box::new(self.clone()))
    }

    fn eases(&self) -> Option<watch::Receiver<()>> {
        Some(self.eased.subscribe())
    }

    fn log(&self, clock: &Clock) -> Log {
        Log::new(Scope::default(), Arc::default(), clock.clone(), 0)
    }
}

#[async_trait]
impl FarSession for Small {
    async fn write(&mut self, batch: &Batch, _: u32, _: u32) -> Answer {
        self.tried.fetch_add(1, SeqCst);
        let runs = |fate| vec![Run { records: Span::new(0, batch.count()), fate }];
        if self.has_room.load(SeqCst) {
            return Answer { runs: runs(Fate::Delivered), trouble: None };
        }
        let failure = Failure { kind: FailureKind::Transient, message: "full".into(), code: None, retry_after: None };
        let failure = Arc::new(failure);
        Answer { runs: runs(Fate::Failed(failure.clone())), trouble: Some(Trouble::Failed(failure)) }
    }

    async fn ack(&mut self, _: &[&str]) -> Result<(), Ended> {
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<Result<(), Failure>, Ended> {
        Ok(Ok(()))
    }

    fn room(&self) -> Room {
        Room { most: u64::MAX, usual: u64::MAX }
    }
}

/// One portion and no more.
struct Once(Option<Portion>);

#[async_trait]
impl Source for Once {
    async fn read(&mut self) -> Result<Option<Portion>, SourceError> {
        Ok(self.0.take())
    }

    fn rereads(&self) -> bool {
        true
    }
}

async fn until(so: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(120), async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.unwrap();
}

/// A pipeline of one portion and one far side.
fn pipeline(far: &Small, batch: Batch, delivery: Delivery) -> Pipeline {
    let partition = batch.partition().clone();
    let next = batch.count().into();
    let portion = Portion { label: partition.clone(), partition, batch: Some(batch), unreadable: Vec::new(), next, again: None };
    Pipeline {
        id: "p".into(),
        source: Box::new(Once(Some(portion))),
        processors: Vec::new(),
        outlets: vec![Outlet::new("small".into(), Arc::new(far.clone()), delivery)],
        window: 2,
        checkpoint_interval: Duration::ZERO,
        tolerance: (0, 0),
        read_before: Default::default(),
        exact_batches: None,
    }
}

/// Of one partition, JSON documents.
fn batch(records: &[&str]) -> Batch {
    let mut batch = BatchBuilder::with_capacity(records.len(), 64, false, Some("application/json".into()));
    for (sequence, record) in (0..).zip(records) {
        batch.push(sequence, None, record.as_bytes()).unwrap();
    }
    batch.finish("p", "a".into())
}

#[tokio::test]
async fn a_record_that_no_route_takes_is_told_so_also_where_it_cannot_be_shaped_and_once() {
    let far = Small::default();
    far.has_room.store(true, SeqCst);
    let delivery = Delivery { format: Format::Template("{{ /n }}".parse().unwrap()), tolerance: (0, 0), ..Delivery::default() };
    let records = [r#"{"t":"a","n":1}"#, r#"{"t":"a"}"#, r#"{"t":"b","n":1}"#, r#"{"t":"b"}"#];
    let mut pipeline = pipeline(&far, batch(&records), delivery);
    let a = Condition::Of(Looked::Pointer("/t".parse().unwrap()), Test::OneOf(vec!["a".into()]));
    pipeline.outlets[0].routing =
        Arc::new(Routing { routes: vec![(Some(a), 0)], otherwise: Way::Refused, follow_ups: Vec::new() });
    let (progress, (_stop, stop)) = (pipeline.progress(), watch::channel(Stopping::No));
    let store = Arc::new(MemoryStore::default());
    let clock = VirtualClock::new().clock();
    let surroundings = Surroundings { store: store.clone(), clock, stop, entrance: Gate::default() };
    let counts = pipeline.run(surroundings, progress).await.counts;
    let destination = &counts.destinations[0];
    assert_eq!((destination.delivered, destination.dead_lettered, destination.pending), (1, 3, 0));
    let mut told: Vec<_> =
        store.letters("small").iter().map(|letter| (letter.sequence, letter.reason.kind.to_string())).collect();
    told.sort();
    assert_eq!(told, [(1, "rejected".to_owned()), (2, "unrouted".to_owned()), (3, "unrouted".to_owned())]);
}

#[tokio::test]
async fn what_had_no_room_goes_on_as_soon_as_there_is_some() {
    let (far, time) = (Small::default(), VirtualClock::new());
    let pipeline = pipeline(&far, batch(&["1"]), Delivery::default());
    let (progress, (_stop, stop)) = (pipeline.progress(), watch::channel(Stopping::No));
    let store = Arc::new(MemoryStore::default());
    let surroundings = Surroundings { store, clock: time.clock(), stop, entrance: Gate::default() };
    let run = tokio::spawn(pipeline.run(surroundings, progress.clone()));
    until(|| progress.counts().destinations[0].waiting.is_some()).await;
    // It waits for a moment that never comes: time stands still.
    assert_eq!(far.tried.load(SeqCst), 1);
    far.has_room.store(true, SeqCst);
    far.eased.send_replace(());
    until(|| run.is_finished()).await;
    let counts = run.await.unwrap().counts;
    assert_eq!((counts.destinations[0].delivered, far.tried.load(SeqCst)), (1, 2));
    assert_eq!(time.clock().elapsed(), Duration::ZERO);
}
