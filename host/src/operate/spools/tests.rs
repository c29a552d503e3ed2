//! What a person decides, on spools that nobody uses.

use super::*;
use crate::{
    record::{BatchBuilder, ColumnParts, FollowUpBounds, FollowUpIntake, GivenFollowUps, On, Span},
    store::{
        SqliteStore,
        spool::{Causes, Claim, ClaimOrder, Incoming, Promise},
    },
};

#[tokio::test]
async fn who_gives_up_all_that_is_for_an_action_gives_up_what_is_still_to_follow_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let spools = folder.path().join("spool");
    let spool = SqliteSpool::open(&spools.join("p").join("d").join("spool.db"), Size::from_mib(1)).unwrap();
    spool.adopt(vec!["load".into(), "index".into()]).await.unwrap();
    let mut batch = BatchBuilder::with_capacity(3, 8, false, None);
    (0..3).for_each(|sequence| batch.push(sequence, None, b"r").unwrap());
    let batch = batch.finish("p", "a".into());
    let incoming = |action| Incoming { action, version: None, label: "a".into(), batch: batch.clone(), again: false };
    spool.take(vec![incoming(0), incoming(1)], 1).await.unwrap();
    let claim = Claim { action: 0, now: 1, records: 3, bytes: u64::MAX, order: ClaimOrder::Any };
    let row = spool.claim(claim).await.unwrap()[0].row;
    let column = || ColumnParts { data: b"xx".to_vec(), offsets: vec![0, 1, 2], ..ColumnParts::default() };
    let mut intake = FollowUpIntake::new(3, FollowUpBounds { records: 9, bytes: 99 });
    let causes = vec![Span::new(0, 2)];
    let given = GivenFollowUps { on: On::Discarded.name().into(), causes, keys: column(), payloads: column() };
    intake.add((1, "index".into()), given).unwrap();
    let follow_ups = intake.taken();
    spool.promise(vec![Promise { causes: Causes::Batch(row), follow_ups, pipeline: "p".into(), max_depth: 3 }]).await.unwrap();
    drop(spool);

    let store = SqliteStore::open(&folder.path().join("wharf.db")).unwrap();
    let spools = AtRest::new(store, &spools, Clock::system()).await.unwrap();
    let discard = |action: &str| {
        let which = Which { action: Some(action.into()), ..Which::default() };
        SpoolRequest::Discard { pipeline: "p".into(), destination: "d".into(), which }
    };
    let done = answer(discard("index"), &spools.store, &spools).await.unwrap();
    assert_eq!(done, SpoolAnswer::Done(3 + 2));
    let status = || async { spools.open().await.unwrap()[0].spool.status().await.unwrap() };
    assert_eq!((status().await.promised, status().await.of(SpoolState::Waiting)), (0, 3));
    // What they were to follow makes nothing more.
    assert_eq!(answer(discard("load"), &spools.store, &spools).await.unwrap(), SpoolAnswer::Done(3));
    assert_eq!((status().await.of(SpoolState::Waiting), status().await.of(SpoolState::Discarded)), (0, 6));
}
