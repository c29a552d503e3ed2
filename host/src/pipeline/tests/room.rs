//! A far side that has no room for now, and says when it has some.

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
    pipeline::{Bounds, Delivery, Far, FarSession, Gate, Outlet, Pipeline, Stopping, Surroundings},
    record::{Batch, BatchBuilder, Failure, FailureKind, Fate, Run, Span},
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

#[tokio::test]
async fn what_had_no_room_goes_on_as_soon_as_there_is_some() {
    let (far, time) = (Small::default(), VirtualClock::new());
    let mut batch = BatchBuilder::with_capacity(1, 8, false, None);
    batch.push(0, None, b"record").unwrap();
    let (partition, batch): (Arc<str>, _) = ("a".into(), Some(batch.finish("p", "a".into())));
    let portion = Portion { partition: partition.clone(), label: partition, batch, unreadable: Vec::new(), next: 1, again: None };
    let pipeline = Pipeline {
        id: "p".into(),
        source: Box::new(Once(Some(portion))),
        processors: Vec::new(),
        outlets: vec![Outlet::new("small".into(), Arc::new(far.clone()), Delivery::default())],
        window: 2,
        checkpoint_interval: Duration::ZERO,
        tolerance: (0, 0),
        read_before: Default::default(),
        exact_batches: None,
    };
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
