//! Components of which every call of `transform` goes wrong, and records that are to blame themselves.

use std::{sync::Arc, time::Duration};

use wharf::{
    bulk::{BulkPolicy, Component, Engine, Exit, Order, Parts, Staging},
    clock::VirtualClock,
    config::Size,
    pipeline::Gate,
    record::format::Format,
    store::spool::{Incoming, Spool, SpoolState, SqliteSpool},
};

use super::{
    cage::{Cage, batch},
    engine::Kept,
};

/// An engine at work on a spool.
struct Life {
    cage: Cage,
    time: VirtualClock,
    spool: SqliteSpool,
    letters: Arc<Kept>,
    gate: Gate,
    orders: tokio::sync::mpsc::Sender<Order>,
    _folder: tempfile::TempDir,
}

impl Life {
    async fn begin(cage: Cage) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (time, letters, gate) = (VirtualClock::new(), Arc::new(Kept::default()), Gate::default());
        let spool = SqliteSpool::open(&folder.path().join("spool.db"), Size::from_mib(8)).unwrap();
        let far = Component { connector: cage.connector.clone(), opening: cage.opening(), format: Format::default() };
        let engine = Engine::new(Parts {
            pipeline: "p".into(),
            destination: "leads".into(),
            action: 0,
            called: None,
            exit: Exit::Files(Arc::new(far)),
            earlier: Vec::new(),
            spool: Arc::new(spool.clone()),
            staging: Staging::open(&folder.path().join("staging")).unwrap(),
            letters: letters.clone(),
            policy: BulkPolicy::default(),
            clock: time.clock(),
            gate: gate.clone(),
            log: None,
        });
        let (orders, taken) = tokio::sync::mpsc::channel(4);
        tokio::spawn(engine.run(taken));
        Self { cage, time, spool, letters, gate, orders, _folder: folder }
    }

    /// The first so many records are there; those that came before do not come again.
    async fn take(&self, count: u32) {
        let incoming = Incoming { action: 0, version: None, label: "file".into(), batch: batch(count), again: false };
        self.spool.take(vec![incoming], 0).await.unwrap();
        self.orders.send(Order::Fire).await.unwrap();
    }

    /// Why the destination pauses, once it does.
    async fn paused(&self) -> Arc<str> {
        for _ in 0..15_000 {
            if let Some(pause) = self.gate.state().shut() {
                return pause.why.clone();
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("it does not pause: {:?}", self.cage.calls());
    }

    /// Lets the pause pass.
    async fn tried_again(&self) {
        while !self.gate.is_open() {
            self.time.advance(Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Lets all of so many reach an end.
    async fn ended(&self, count: u64) {
        for _ in 0..15_000 {
            let status = self.spool.status().await.unwrap();
            if status.of(SpoolState::Succeeded) + status.of(SpoolState::Discarded) == count {
                return;
            }
            self.time.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("they come to no end: {:?}", self.cage.calls());
    }

    fn letters(&self) -> Vec<(u64, String)> {
        self.letters.0.lock().unwrap().iter().map(|letter| (letter.sequence, letter.reason.kind.to_string())).collect()
    }

    async fn all_wait(&self, count: u64) {
        // What was in hand is given back a moment after the gate was shut.
        for _ in 0..5_000 {
            if self.spool.status().await.unwrap().of(SpoolState::Waiting) == count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let status = self.spool.status().await.unwrap();
        assert_eq!((status.of(SpoolState::Waiting), status.of(SpoolState::Discarded)), (count, 0), "{status:?}");
        assert_eq!(self.letters(), []);
    }
}

/// A component of which each of many calls does so.
async fn always(script: &str) -> Life {
    Life::begin(Cage::new(&[("transform", &vec![script; 500].join(";"))]).await).await
}

#[tokio::test]
async fn where_every_transform_ends_its_instance_nothing_is_given_up_and_the_destination_pauses() {
    for (script, reason) in [("trap", "told to trap"), ("loop", "limits.fuel-per-call")] {
        let life = always(script).await;
        life.take(40).await;
        let mut calls = 0;
        for _ in 0..2 {
            let why = life.paused().await;
            assert!(why.starts_with("guest-uploads 0.1.0: transform ended its instance: ") && why.contains(reason), "{why}");
            assert!(why.ends_with("so it was with 5 records in a row, and none came through between them"), "{why}");
            life.all_wait(40).await;
            // Down to the first, and to four others beside it.
            let now = life.cage.calls().len();
            assert!((5..=20).contains(&(now - calls)), "{now} after {calls}");
            calls = now;
            life.tried_again().await;
        }
    }
}

#[tokio::test]
async fn where_every_transform_breaks_the_contract_nothing_is_given_up_and_the_destination_pauses() {
    let life = always("without=0").await;
    life.take(40).await;
    for calls in 1..3 {
        let breach = "the column of lines has 39 values for 40 records";
        let why = life.paused().await;
        assert!(why.starts_with("guest-uploads 0.1.0: transform: the answer breaks the contract: "), "{why}");
        assert!(why.contains(breach), "{why}");
        life.all_wait(40).await;
        assert_eq!(life.cage.calls().len(), calls);
        life.tried_again().await;
    }
}

#[tokio::test]
async fn one_that_ends_instances_is_given_up_where_others_came_before_and_none_is_left_to_ask() {
    // Of four it is the last: the first half comes through, and so does the one before it.
    let life = Life::begin(Cage::new(&[("transform", "trap;;trap;;trap")]).await).await;
    life.take(4).await;
    life.ended(4).await;
    assert_eq!(life.letters(), [(3, "trapped".to_owned())]);
    assert!(life.gate.is_open());
}

#[tokio::test]
async fn one_that_ends_instances_alone_waits_until_another_comes_through() {
    let life = Life::begin(Cage::new(&[("transform", "trap;trap")]).await).await;
    life.take(1).await;
    let why = life.paused().await;
    assert!(why.ends_with("and no other record has come through"), "{why}");
    life.all_wait(1).await;
    life.take(2).await;
    life.tried_again().await;
    life.ended(2).await;
    assert_eq!(life.letters(), [(0, "trapped".to_owned())]);
    assert_eq!(life.spool.status().await.unwrap().of(SpoolState::Succeeded), 1);
}
