//! The engine on a real component: out of a spool, through a file, to outcomes, with every call in an instance of its own.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use wharf::{
    bulk::{BulkPolicy, Component, Engine, Exit, Letters, Order, Parts, Resolve, Staging, Stand},
    clock::VirtualClock,
    config::Size,
    pipeline::Gate,
    record::format::Format,
    store::{
        DeadLetter, StoreError,
        spool::{Incoming, Spool, SpoolState, SqliteSpool, UploadState},
    },
};

use super::cage::{Cage, batch};

/// Dead letters.
#[derive(Default)]
pub struct Kept(pub Mutex<Vec<DeadLetter>>);

#[async_trait]
impl Letters for Kept {
    async fn give_up(&self, letters: Vec<DeadLetter>) -> Result<(), StoreError> {
        self.0.lock().unwrap().extend(letters);
        Ok(())
    }
}

/// What came of four records.
pub struct Came {
    pub spool: SqliteSpool,
    letters: Vec<(u64, String)>,
    stand: Stand,
    /// How long it took, in its own time.
    took: Duration,
}

/// Runs until what was taken is settled, or held.
pub async fn run(cage: &Cage, policy: BulkPolicy, resolve: Option<Resolve>) -> Came {
    let folder = tempfile::tempdir().unwrap();
    let time = VirtualClock::new();
    let spool = SqliteSpool::open(&folder.path().join("spool.db"), Size::from_mib(8)).unwrap();
    let incoming = Incoming { action: 0, version: None, label: "file".into(), batch: batch(4), again: false };
    spool.take(vec![incoming], 0).await.unwrap();
    let letters = Arc::new(Kept::default());
    let engine = Engine::new(Parts {
        pipeline: "p".into(),
        destination: "leads".into(),
        action: 0,
        called: None,
        exit: Exit::Files(Arc::new(Component {
            connector: cage.connector.clone(),
            opening: cage.opening(),
            format: Format::default(),
        })),
        earlier: Vec::new(),
        spool: Arc::new(spool.clone()),
        staging: Staging::open(&folder.path().join("staging")).unwrap(),
        letters: letters.clone(),
        policy,
        clock: time.clock(),
        gate: Gate::default(),
        log: None,
    });
    let (orders, taken) = tokio::sync::mpsc::channel(4);
    let stand = engine.watch();
    let running = tokio::spawn(engine.run(taken));
    let mut resolve = resolve;
    for _ in 0..20_000 {
        let now = stand.borrow().clone();
        if !now.firing && spool.due(0).await.unwrap().is_some_and(|due| due <= time.clock().millis()) {
            orders.send(Order::Fire).await.unwrap();
        }
        if now.held > 0 {
            let Some(resolve) = resolve.take() else { break };
            let held = spool.uploads().await.unwrap();
            assert_eq!(held[0].state, UploadState::Held);
            orders.send(Order::Resolve(held[0].id, resolve)).await.unwrap();
        }
        let status = spool.status().await.unwrap();
        if status.of(SpoolState::Succeeded) + status.of(SpoolState::Discarded) == 4 && status.uploads == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        // A call takes real time, and time passes where somebody waits for it.
        time.advance(Duration::from_millis(100));
    }
    let stand = stand.borrow().clone();
    drop(orders);
    running.await.unwrap().unwrap();
    let letters = letters.0.lock().unwrap().iter().map(|letter| (letter.sequence, letter.reason.kind.to_string())).collect();
    Came { spool, letters, stand, took: time.clock().elapsed() }
}

fn names(calls: &[String]) -> Vec<&str> {
    calls.iter().map(|call| call.split(' ').next().unwrap()).collect()
}

#[tokio::test]
async fn records_go_from_the_spool_to_their_outcomes() {
    let cage = Cage::new(&[("poll", "again=1000;stats"), ("stats", "0-1 1-2=warned 2-3=rejected 3-4=transient")]).await;
    let came = run(&cage, BulkPolicy::default(), None).await;
    let status = came.spool.status().await.unwrap();
    assert_eq!((status.of(SpoolState::Succeeded), status.of(SpoolState::Discarded), status.batches), (3, 1, 0));
    assert_eq!(came.letters, [(2, "rejected".to_owned())]);
    // The one that failed for now goes alone, as a file of its own.
    let calls = cage.calls();
    assert_eq!(
        names(&calls),
        ["transform", "upload", "poll", "poll", "stats", "release", "transform", "upload", "poll", "release"]
    );
    assert!(calls[1].contains(" 4 attempt 1 ") && calls[1].ends_with("[value 0|value 1|value 2|value 3|]"), "{calls:?}");
    assert!(calls[7].contains(" 1 attempt 1 ") && calls[7].ends_with("[value 3|]"), "{calls:?}");
    let intents: Vec<_> = [1, 7].map(|at: usize| calls[at].split(' ').nth(1).unwrap()).to_vec();
    assert_ne!(intents[0], intents[1]);
}

#[tokio::test]
async fn an_upload_that_traps_after_it_took_effect_is_asked_for_and_not_sent_again() {
    for script in ["lost", "lost trap", "lost sleep=60000"] {
        let cage = Cage::new(&[("upload", script)]).await;
        let came = run(&cage, BulkPolicy::default(), None).await;
        assert_eq!(came.spool.status().await.unwrap().of(SpoolState::Succeeded), 4, "{script}");
        let calls = cage.calls();
        assert_eq!(names(&calls), ["transform", "upload", "reconcile", "poll", "release"], "{script}");
        assert_eq!(cage.applied(calls[1].split(' ').nth(1).unwrap()), 1);
    }
}

#[tokio::test]
async fn one_that_did_not_take_effect_is_the_same_file_with_the_same_intent() {
    let cage = Cage::new(&[("upload", "trap")]).await;
    let came = run(&cage, BulkPolicy::default(), None).await;
    assert_eq!(came.spool.status().await.unwrap().of(SpoolState::Succeeded), 4);
    let calls = cage.calls();
    assert_eq!(names(&calls), ["transform", "upload", "reconcile", "upload", "poll", "release"]);
    assert_eq!(calls[3], calls[1].replace("attempt 1", "attempt 2"));
}

#[tokio::test]
async fn what_nobody_can_tell_waits_for_a_person() {
    let cage = Cage::new(&[("upload", "lost"), ("reconcile", "cannot-tell")]).await;
    let came = run(&cage, BulkPolicy::default(), None).await;
    assert_eq!((came.stand.held, came.spool.status().await.unwrap().of(SpoolState::Uploading)), (1, 4));
    let cage = Cage::new(&[("poll", "fail=rejected")]).await;
    let came = run(&cage, BulkPolicy::default(), Some(Resolve::Abandon)).await;
    assert_eq!(came.letters.len(), 4);
    assert_eq!(came.spool.status().await.unwrap().of(SpoolState::Discarded), 4);
}

#[tokio::test]
async fn a_record_that_no_line_can_be_made_of_costs_no_other_anything() {
    // The whole of them traps, the first half too, its first alone too: one is the culprit.
    let cage = Cage::new(&[("transform", "trap;trap;trap")]).await;
    let came = run(&cage, BulkPolicy::default(), None).await;
    assert_eq!(came.letters, [(0, "trapped".to_owned())]);
    assert_eq!(came.spool.status().await.unwrap().of(SpoolState::Succeeded), 3);
}

#[tokio::test]
async fn credentials_that_were_refused_are_renewed_before_anything_pauses() {
    // Also after it was asked for a few times, and after another failure.
    let once = "again=1000;again=1000;fail=transient;fail=unauthorized;delivered";
    let twice = "again=1000;fail=unauthorized;fail=unauthorized;delivered";
    for (poll, pauses) in [(once, false), (twice, true)] {
        let cage = Cage::new(&[("poll", poll)]).await;
        let came = run(&cage, BulkPolicy::default(), None).await;
        assert_eq!(came.spool.status().await.unwrap().of(SpoolState::Succeeded), 4);
        assert_eq!(came.took >= BulkPolicy::default().pause, pauses, "{poll}: {:?}", came.took);
    }
}
