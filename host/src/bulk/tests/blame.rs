//! Records that are written out of the spool to a component that ends instances at some of them, or at all.

use super::{service::instance_ended, *};
use crate::{
    connector::{Answer, Trouble},
    record::{Failure, FailureKind, Fate, Run, Span},
    sandbox::Call,
};

/// Ends an instance at each record of which that is said.
struct Ends(fn(u64) -> bool);

impl AnyFar for Ends {
    fn title(&self) -> Arc<str> {
        "fake 1.0.0".into()
    }

    fn digest(&self) -> Arc<str> {
        "digest".into()
    }

    fn bounds(&self) -> FileBounds {
        FileBounds::default()
    }

    fn keeps_order(&self) -> bool {
        false
    }
}

#[async_trait]
impl WriteFar for Ends {
    async fn write(&self, batch: &Batch, _: Option<&str>, _: u32, _: u32) -> Result<Told<Answer>, CallTrouble> {
        let records = Span::new(0, batch.count());
        if !batch.sequences().iter().any(|sequence| (self.0)(*sequence)) {
            return Ok(Answer { runs: vec![Run { records, fate: Fate::Delivered }], trouble: None }.into());
        }
        let ended = instance_ended(Call::Write);
        let failure = Failure { kind: FailureKind::Uncertain, message: ended.to_string(), code: None, retry_after: None };
        let runs = vec![Run { records, fate: Fate::Failed(failure.into()) }];
        Ok(Answer { runs, trouble: Some(Trouble::Ended(ended)) }.into())
    }
}

/// Writes thirty records, each so often at the most, for a day. Gives why it paused, what was delivered, and what was given up.
async fn written(ends: fn(u64) -> bool, attempts: u32) -> (BTreeSet<Arc<str>>, u64, Vec<u64>) {
    let (folder, time, letters) = (tempfile::tempdir().unwrap(), VirtualClock::seeded(1), Arc::new(Kept::default()));
    let (spool, gate) = (SqliteSpool::open(&folder.path().join("spool.db"), Size::from_mib(8)).unwrap(), Gate::default());
    spool.take(vec![incoming(0..30)], 0).await.unwrap();
    let retry = Policy { max_attempts: Some(attempts), max_age: None, then: Then::DeadLetter, ..Policy::RECORD };
    let engine = Engine::new(Parts {
        pipeline: "p".into(),
        destination: "leads".into(),
        action: 0,
        called: None,
        exit: Exit::Writes(Arc::new(Ends(ends))),
        earlier: Vec::new(),
        spool: Arc::new(spool.clone()),
        staging: Staging::open(&folder.path().join("staging")).unwrap(),
        letters: letters.clone(),
        policy: BulkPolicy { retry, ..BulkPolicy::default() },
        clock: time.clock(),
        gate: gate.clone(),
        log: None,
    });
    let (orders, taken) = tokio::sync::mpsc::channel(4);
    let run = tokio::spawn(engine.run(taken));
    let mut pauses = BTreeSet::new();
    for _ in 0..1500 {
        let _full = orders.try_send(Order::Fire);
        tokio::time::sleep(Duration::from_millis(1)).await;
        pauses.extend(gate.state().shut().map(|pause| pause.why.clone()));
        time.advance(Duration::from_secs(60));
    }
    drop(orders);
    run.await.unwrap().unwrap();
    let given_up = letters.0.lock().unwrap().keys().copied().collect();
    (pauses, spool.status().await.unwrap().of(SpoolState::Succeeded), given_up)
}

#[tokio::test]
async fn where_every_write_out_of_the_spool_ends_its_instance_nothing_is_given_up_and_the_destination_pauses() {
    for attempts in [8, 72] {
        let (pauses, delivered, given_up) = written(|_| true, attempts).await;
        assert_eq!((delivered, given_up), (0, vec![]), "{attempts}");
        assert!(!pauses.is_empty(), "{attempts}");
        assert!(pauses.iter().all(|why| why.starts_with("fake 1.0.0: write ended its instance: told to trap; ")), "{pauses:?}");
    }
}

#[tokio::test]
async fn one_that_ends_instances_in_write_is_given_up_and_the_others_are_delivered() {
    let (pauses, delivered, given_up) = written(|sequence| sequence == 17, 8).await;
    assert_eq!((delivered, given_up), (29, vec![17]));
    assert!(pauses.is_empty(), "{pauses:?}");
}
