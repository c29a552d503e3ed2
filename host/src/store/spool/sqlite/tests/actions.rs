//! Actions are known by name, wherever they stand in a component.

use super::*;
use crate::{
    record::{ColumnParts, FollowUpBounds, FollowUpIntake, GivenFollowUps, On},
    store::spool::{Adopted, Causes, Promise},
};

fn names(of: &[&str]) -> Vec<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

async fn adopt(spool: &SqliteSpool, of: &[&str]) -> Result<Vec<u32>, SpoolError> {
    Ok(spool.adopt(names(of)).await?.folders)
}

fn of(action: u32, records: impl IntoIterator<Item = u64>) -> Incoming {
    incoming(action, batch("p", records, |sequence| sequence.to_string()))
}

/// Sequences that wait for each action, by name.
async fn waiting(spool: &SqliteSpool) -> BTreeMap<String, Vec<u64>> {
    let names = spool.actions().await.unwrap();
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for records in spool.records(Selection::default(), (0, 0), 100).await.unwrap() {
        found.entry(names[&records.action].clone()).or_default().extend(records.first..=records.last);
    }
    found
}

async fn discard_all_of(spool: &SqliteSpool, name: &str, now: Millis) -> u64 {
    let names = spool.actions().await.unwrap();
    let action = names.iter().find(|(_, known)| *known == name).map(|(index, _)| *index);
    assert!(action.is_some());
    let parts = spool.reserve(Selection { action, ..Selection::default() }, 100, now).await.unwrap();
    let gone = parts.iter().map(|part| (part.row, part.span, Settling::Discarded("no".into()))).collect();
    spool.settle(gone, now).await.unwrap();
    parts.iter().map(|part| u64::from(part.span.len())).sum()
}

#[tokio::test]
async fn what_waits_goes_with_the_name_of_its_action() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path()).await;
    assert_eq!(adopt(&spool, &["a", "b", "c"]).await.unwrap(), [0, 1, 2]);
    spool.take(vec![of(0, 0..2), of(1, 10..14), of(2, 20..21)], 1).await.unwrap();
    let parts = spool.claim(Claim { action: 1, records: 2, ..all(1) }).await.unwrap();
    spool.stage(NewUpload { action: 1, ..upload("one", &parts) }, Vec::new(), 1).await.unwrap();
    let before = waiting(&spool).await;

    // Also where it was closed meanwhile, and where another stands in between.
    drop(spool);
    let spool = open(folder.path()).await;
    assert_eq!(adopt(&spool, &["c", "new", "a", "b"]).await.unwrap(), [2, 3, 0, 1]);
    assert_eq!(waiting(&spool).await, before);
    let found = spool.uploads().await.unwrap();
    assert_eq!((found[0].action, found[0].asked_as), (3, 1), "the component that made it knows it as what it was");
    let claimed = spool.claim(Claim { action: 2, ..all(2) }).await.unwrap();
    assert_eq!(sequences(&claimed), [0, 1]);
    // What was taken is known by name, too.
    let taken = spool.take(vec![of(2, 0..3), of(0, 20..22), of(1, 0..3)], 2).await.unwrap();
    assert_eq!((taken.records, taken.known), (1 + 1 + 3, 2 + 1));
    let totals = spool.status().await.unwrap().records;
    assert_eq!((totals[&(3, SpoolState::Uploading)], totals[&(3, SpoolState::Waiting)]), (2, 2), "{totals:?}");
    assert_eq!(adopt(&spool, &["c", "new", "a", "b"]).await.unwrap(), [2, 3, 0, 1], "nothing moves");
}

#[tokio::test]
async fn an_action_that_is_gone_is_refused_while_something_waits_for_it_and_may_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path()).await;
    adopt(&spool, &["a", "b"]).await.unwrap();
    spool.take(vec![of(0, 0..2), of(1, 10..14)], 1).await.unwrap();
    let before = waiting(&spool).await;
    let error = adopt(&spool, &["b"]).await.unwrap_err();
    assert!(matches!(&error, SpoolError::NoAction { name, records: 2, .. } if name == "a"), "{error}");
    let looked = SqliteSpool::astray(&folder.path().join("spool.db"), &names(&["b"])).unwrap();
    assert_eq!(looked, [("a".to_owned(), 2)]);
    assert_eq!(waiting(&spool).await, before, "nothing changed");

    assert_eq!(discard_all_of(&spool, "a", 2).await, 2);
    assert!(SqliteSpool::astray(&folder.path().join("spool.db"), &names(&["b"])).unwrap().is_empty());
    assert_eq!(spool.adopt(names(&["b"])).await.unwrap(), Adopted { folders: vec![1], gone: vec![0] });
    assert_eq!(waiting(&spool).await["b"], [10, 11, 12, 13]);
    assert_eq!(spool.status().await.unwrap().of(SpoolState::Discarded), 2, "it is counted still");

    assert_eq!(adopt(&spool, &["b", "a"]).await.unwrap(), [1, 0]);
    assert_eq!(spool.take(vec![of(1, 0..3)], 3).await.unwrap().known, 2, "how far it had got is known");
}

#[tokio::test]
async fn what_is_to_follow_goes_with_the_name_also_where_an_earlier_component_says_it() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path()).await;
    adopt(&spool, &["a", "b"]).await.unwrap();
    spool.take(vec![of(0, 0..4)], 1).await.unwrap();
    let parts = spool.claim(all(1)).await.unwrap();
    let row = parts[0].row;
    let promised = |causes: Span| {
        let mut intake = FollowUpIntake::new(4, FollowUpBounds { records: u32::MAX, bytes: u64::MAX });
        let column = ColumnParts {
            data: vec![b'x'; causes.len() as usize],
            offsets: (0..=causes.len()).collect(),
            ..ColumnParts::default()
        };
        let given =
            GivenFollowUps { on: On::Succeeded.name().into(), causes: vec![causes], keys: column.clone(), payloads: column };
        intake.add((1, "b".into()), given).unwrap();
        let added = intake.taken().remove(0);
        Promise { causes: Causes::Batch(row), follow_ups: vec![added], pipeline: "pipe".into(), max_depth: 3 }
    };
    spool.promise(vec![promised(Span::new(0, 2))]).await.unwrap();
    let error = adopt(&spool, &["a"]).await.unwrap_err();
    assert!(matches!(&error, SpoolError::NoAction { name, records: 2, .. } if name == "b"), "{error}");
    adopt(&spool, &["b", "a"]).await.unwrap();
    // It still counts as it did.
    spool.promise(vec![promised(Span::new(2, 4))]).await.unwrap();
    spool.settle(vec![(row, Span::new(0, 4), Settling::Succeeded(None))], 2).await.unwrap();
    assert_eq!(waiting(&spool).await, BTreeMap::from([("b".to_owned(), vec![0, 1, 2, 3])]));
}

#[tokio::test]
async fn the_only_action_may_get_a_name_and_lose_it() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path()).await;
    adopt(&spool, &[""]).await.unwrap();
    spool.take(vec![of(0, 0..2)], 1).await.unwrap();
    assert_eq!(adopt(&spool, &["a"]).await.unwrap(), [0]);
    assert_eq!(waiting(&spool).await, BTreeMap::from([("a".to_owned(), vec![0, 1])]));
    assert_eq!(adopt(&spool, &[""]).await.unwrap(), [0]);
    assert!(adopt(&spool, &["a", "b"]).await.is_err(), "which of them it is nobody knows");
    adopt(&spool, &["a"]).await.unwrap();
    assert!(adopt(&spool, &["b"]).await.is_err(), "another name is another action");
}

#[tokio::test]
async fn a_spool_that_kept_no_names_has_those_of_the_component_that_it_meets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool.db");
    let mut connection = Connection::open(&path).unwrap();
    schema::earlier(&mut connection, 2).unwrap();
    let mut raw = Vec::new();
    batch("p", 0..3, |sequence| sequence.to_string()).store(&mut raw);
    let insert = "INSERT INTO batches (action, label, count, taken, raw, data) VALUES (1, 'a file', 3, 1, ?, ?)";
    connection.execute(insert, params![raw.len() as i64, packed(&raw).unwrap()]).unwrap();
    connection
        .execute_batch(
            "INSERT INTO spans (batch, start, end, action, state, attempts, due, upload) VALUES (1, 0, 1, 1, 0, 0, 0, NULL), (1, 1, 3, 1, 2, 0, 0, 1);
             INSERT INTO uploads (id, intent, action, digest, file, bytes, records, part, state, attempt, next, failures, created, changed)
                 VALUES (1, 'one', 1, 'd', 'one.lines', 7, 2, 0, 0, 0, 0, 0, 1, 1);
             INSERT INTO lines (upload, start, end, batch, first) VALUES (1, 0, 2, 1, 1);",
        )
        .unwrap();
    drop(connection);
    let spool = open(folder.path()).await;
    let error = adopt(&spool, &["a"]).await.unwrap_err();
    assert!(matches!(&error, SpoolError::NoAction { name, records: 3, .. } if name == "#1"), "{error}");
    assert_eq!(adopt(&spool, &["a", "b"]).await.unwrap(), [0, 1]);
    assert_eq!(adopt(&spool, &["b", "a"]).await.unwrap(), [1, 0]);
    let found = spool.uploads().await.unwrap();
    assert_eq!((found[0].action, found[0].asked_as, found[0].open.records()), (0, 1, 2));
    assert_eq!(sequences(&spool.claim(all(1)).await.unwrap()), [0]);
}
