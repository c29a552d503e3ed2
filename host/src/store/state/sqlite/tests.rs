//! What a destination's state promises.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Waker},
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const ROOM: Quota = Quota { bytes: 1 << 20, keys: 1000 };

fn state() -> (TempDir, SqliteState) {
    let folder = tempfile::tempdir().unwrap();
    let state = SqliteState::new(folder.path().join("state"));
    (folder, state)
}

async fn keys(entries: &Arc<dyn Entries>, prefix: &str, after: &str) -> Vec<String> {
    entries.keys(prefix.into(), after.into(), 1000, 1 << 20).await.unwrap()
}

#[tokio::test]
async fn what_was_put_is_there_after_opening_again() {
    let (folder, state) = state();
    let entries = state.of("p", "d");
    assert_eq!(entries.get("k".into()).await.unwrap(), None);
    assert_eq!(entries.put("k".into(), b"\0\xff".into(), ROOM).await.unwrap(), Change::Made);
    assert_eq!(entries.put("empty".into(), vec![], ROOM).await.unwrap(), Change::Made);
    drop((entries, state));
    let entries = SqliteState::new(folder.path().join("state")).of("p", "d");
    assert_eq!(entries.get("k".into()).await.unwrap().as_deref(), Some(&b"\0\xff"[..]));
    assert_eq!(entries.get("empty".into()).await.unwrap(), Some(vec![]));
    let full: i64 = Connection::open(folder.path().join("state/p/d.db"))
        .unwrap()
        .query_row("SELECT count(*) FROM entries", [], |row| row.get(0))
        .unwrap();
    assert_eq!(full, 2, "any SQLite tool can read it");
}

#[tokio::test]
async fn a_change_waits_for_the_disk() {
    let (_folder, state) = state();
    let entries = state.of("p", "d");
    entries.put("k".into(), vec![1], ROOM).await.unwrap();
    let opened = state.opened.lock().unwrap().values().next().unwrap().clone();
    let inner = opened.inner.lock().unwrap();
    let connection = &inner.as_ref().unwrap().connection;
    let pragma = |name| {
        connection
            .pragma_query_value(None, name, |row| {
                row.get::<_, String>(0).or_else(|_| row.get::<_, i64>(0).map(|n| n.to_string()))
            })
            .unwrap()
    };
    assert_eq!((pragma("journal_mode"), pragma("synchronous")), ("wal".into(), "2".into()));
}

#[tokio::test]
async fn a_swap_changes_what_is_expected_and_nothing_else() {
    let (_folder, state) = state();
    let entries = state.of("p", "d");
    let swap = async |expected: Option<&str>, value: Option<&str>| {
        let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        entries.swap("k".into(), bytes(expected), bytes(value), ROOM).await.unwrap()
    };
    assert_eq!(swap(Some(""), Some("a")).await, Change::Other, "no entry is not an empty one");
    assert_eq!(swap(None, None).await, Change::Made);
    assert_eq!(swap(None, Some("a")).await, Change::Made);
    assert_eq!(swap(None, Some("b")).await, Change::Other);
    assert_eq!(swap(Some("b"), Some("c")).await, Change::Other);
    assert_eq!(entries.get("k".into()).await.unwrap().as_deref(), Some(&b"a"[..]));
    assert_eq!(swap(Some("a"), Some("b")).await, Change::Made);
    assert_eq!(swap(Some("b"), None).await, Change::Made);
    assert_eq!(entries.get("k".into()).await.unwrap(), None);
}

#[tokio::test]
async fn destinations_do_not_see_each_others_keys() {
    let (_folder, state) = state();
    // Names that would run into each other if they were joined.
    let others = [("a", "b"), ("a", "b.db"), ("a.b", "b"), ("a", "a"), ("ab", "b"), ("a", "b-shm")];
    for (pipeline, destination) in others {
        let key = format!("of {pipeline} {destination}");
        state.of(pipeline, destination).put(key, vec![], ROOM).await.unwrap();
    }
    for (pipeline, destination) in others {
        let entries = state.of(pipeline, destination);
        assert_eq!(keys(&entries, "", "").await, [format!("of {pipeline} {destination}")]);
        for probe in ["%", "_", "of%", "*", "../a/b", "\0"] {
            assert_eq!(keys(&entries, probe, "").await, [""; 0], "{probe}");
        }
    }
}

#[tokio::test]
async fn a_key_may_be_any_text() {
    let (_folder, state) = state();
    let entries = state.of("p", "d");
    let mut texts =
        ["\0", "a", "a\0", "a\0b", "a%", "a_", "a'", "a\u{7f}", "a\u{80}", "é", "\u{10ffff}", "\u{10ffff}\u{10ffff}", "\u{feff}"];
    for (number, text) in (0..).zip(texts) {
        entries.put(text.into(), vec![number], ROOM).await.unwrap();
    }
    for (number, text) in (0..).zip(texts) {
        assert_eq!(entries.get(text.into()).await.unwrap(), Some(vec![number]), "{text:?}");
    }
    texts.sort_unstable();
    assert_eq!(keys(&entries, "", "").await, texts);
    for text in texts {
        let with: Vec<_> = texts.iter().filter(|other| other.starts_with(text)).copied().collect();
        assert_eq!(keys(&entries, text, "").await, with, "{text:?}");
    }
}

#[tokio::test]
async fn an_answer_of_keys_is_bounded_and_goes_on_where_it_ended() {
    let (_folder, state) = state();
    let entries = state.of("p", "d");
    for key in ["a1", "a2", "a3", "b1"] {
        entries.put(key.into(), vec![], ROOM).await.unwrap();
    }
    assert_eq!(entries.keys("a".into(), "".into(), 2, 100).await.unwrap(), ["a1", "a2"]);
    assert_eq!(entries.keys("a".into(), "a2".into(), 2, 100).await.unwrap(), ["a3"]);
    assert_eq!(entries.keys("a".into(), "a3".into(), 2, 100).await.unwrap(), [""; 0]);
    assert_eq!(entries.keys("a".into(), "".into(), 0, 100).await.unwrap(), [""; 0]);
    assert_eq!(entries.keys("".into(), "".into(), 9, 5).await.unwrap(), ["a1", "a2"], "what fits into the bytes");
    assert_eq!(entries.keys("".into(), "".into(), 9, 0).await.unwrap(), ["a1"], "or the first, to get on at all");
}

#[tokio::test]
async fn a_quota_holds_across_restarts_and_what_shrinks_is_always_allowed() {
    let (folder, state) = state();
    let quota = Quota { bytes: 10, keys: 2 };
    let entries = state.of("p", "d");
    assert_eq!(entries.put("a".into(), vec![0; 10], quota).await.unwrap(), Change::OverQuota, "a key counts too");
    assert_eq!(entries.put("a".into(), vec![0; 9], quota).await.unwrap(), Change::Made);
    assert_eq!(entries.put("b".into(), vec![], quota).await.unwrap(), Change::OverQuota);
    assert_eq!(entries.put("a".into(), vec![0; 3], quota).await.unwrap(), Change::Made);
    assert_eq!(entries.put("b".into(), vec![], quota).await.unwrap(), Change::Made);
    drop((entries, state));

    let entries = SqliteState::new(folder.path().join("state")).of("p", "d");
    assert_eq!(entries.swap("c".into(), None, Some(vec![]), quota).await.unwrap(), Change::OverQuota, "a third key");
    assert_eq!(entries.swap("b".into(), Some(vec![]), Some(vec![0; 6]), quota).await.unwrap(), Change::OverQuota);
    assert_eq!(entries.get("b".into()).await.unwrap(), Some(vec![]), "nothing was changed");
    let less = Quota { bytes: 1, keys: 1 };
    assert_eq!(entries.put("a".into(), vec![1; 3], less).await.unwrap(), Change::Made, "no more than there was");
    assert_eq!(entries.put("a".into(), vec![1; 4], less).await.unwrap(), Change::OverQuota);
    assert_eq!(entries.swap("b".into(), Some(vec![]), None, less).await.unwrap(), Change::Made);
}

/// Whoever loses a swap loses it to somebody who gets on, so that there are never more attempts than all swaps times all who try.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_change_is_lost_and_somebody_always_gets_on_however_many_swap_at_once() {
    const TASKS: usize = 8;
    const EACH: usize = 10;
    let (_folder, state) = state();
    let counting = (0..TASKS).map(|_| {
        let entries = state.of("p", "d");
        tokio::spawn(async move {
            let mut attempts = 0;
            for _ in 0..EACH {
                loop {
                    attempts += 1;
                    let before = entries.get("n".into()).await.unwrap();
                    let n = before.as_deref().map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
                    let after = Some((n + 1).to_be_bytes().to_vec());
                    if entries.swap("n".into(), before, after, ROOM).await.unwrap() == Change::Made {
                        break;
                    }
                }
            }
            attempts
        })
    });
    let attempts: usize = futures::future::join_all(counting).await.into_iter().map(Result::unwrap).sum();
    assert!(attempts <= TASKS * TASKS * EACH, "{attempts}");
    let n = state.of("p", "d").get("n".into()).await.unwrap().unwrap();
    assert_eq!(n, ((TASKS * EACH) as u64).to_be_bytes());
}

#[tokio::test]
async fn what_was_given_up_before_its_turn_is_never_made() {
    let (_folder, state) = state();
    let entries = state.of("p", "d");
    entries.put("k".into(), b"old".into(), ROOM).await.unwrap();
    let one = state.opened.lock().unwrap().values().next().unwrap().clone();
    let held = one.inner.lock().unwrap();
    let mut put = entries.put("k".into(), b"late".into(), ROOM);
    // It is on its way, and waits for its turn.
    assert!(put.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(put);
    drop(held);
    assert_eq!(entries.get("k".into()).await.unwrap().as_deref(), Some(&b"old"[..]));
    entries.put("k".into(), b"new".into(), ROOM).await.unwrap();
    assert_eq!(entries.get("k".into()).await.unwrap().as_deref(), Some(&b"new"[..]));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_told_and_left_as_it_is() {
    let (folder, state) = state();
    let path = folder.path().join("state/p/d.db");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "no database, and longer than the header of one would have to be for it to count as something").unwrap();
    let refused = state.of("p", "d").put("k".into(), vec![], ROOM).await.unwrap_err().to_string();
    assert!(refused.contains("file is not a database"), "{refused}");
    assert!(fs::read_to_string(&path).unwrap().starts_with("no database"));
    fs::remove_file(&path).unwrap();
    // Nothing is remembered of the failure.
    assert_eq!(state.of("p", "d").put("k".into(), vec![], ROOM).await.unwrap(), Change::Made);

    Connection::open(folder.path().join("state/p/later.db")).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refused = state.of("p", "later").get("k".into()).await.unwrap_err().to_string();
    assert!(refused.ends_with("has the format 99; this version of wharf reads up to 1"), "{refused}");
}

#[tokio::test]
async fn a_change_that_the_disk_refuses_is_not_made_and_not_counted() {
    let (folder, state) = state();
    let quota = Quota { bytes: 10, keys: 10 };
    let entries = state.of("p", "d");
    entries.put("a".into(), vec![0; 3], quota).await.unwrap();
    let other = Connection::open(folder.path().join("state/p/d.db")).unwrap();
    let full = "CREATE TRIGGER full BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";
    other.execute_batch(full).unwrap();
    let refused = entries.put("b".into(), vec![0; 5], quota).await.unwrap_err().to_string();
    assert!(refused.ends_with("database or disk is full"), "{refused}");
    other.execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(entries.get("b".into()).await.unwrap(), None);
    assert_eq!(entries.put("b".into(), vec![0; 5], quota).await.unwrap(), Change::Made);
}

/// What one may do to a state, over a handful of keys that are each other's prefixes.
#[derive(Clone, Debug)]
enum Step {
    Put(String, Vec<u8>),
    Swap(String, Option<Vec<u8>>, Option<Vec<u8>>),
    Keys(String, String, u32),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop::sample::select(vec!["a", "a\0", "aa", "ab", "b", "é", "\u{10ffff}"]).prop_map(str::to_owned);
    let prefix = || prop::sample::select(vec!["", "a", "a\0", "aa", "b", "%", "é", "\u{10ffff}", "z"]).prop_map(str::to_owned);
    let value = || prop::collection::vec(0u8..2, 0..3);
    prop_oneof![
        4 => (key(), value()).prop_map(|(key, value)| Step::Put(key, value)),
        4 => (key(), prop::option::of(value()), prop::option::of(value())).prop_map(|(key, old, new)| Step::Swap(key, old, new)),
        2 => (prefix(), prefix(), 0u32..4).prop_map(|(prefix, after, count)| Step::Keys(prefix, after, count)),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn it_behaves_as_a_sorted_map_with_a_quota(steps in prop::collection::vec(step(), 1..40)) {
        let quota = Quota { bytes: 14, keys: 4 };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (_folder, mut state) = state();
        let mut model = BTreeMap::<String, Vec<u8>>::new();
        for step in steps {
            let entries = state.of("p", "d");
            let set = |model: &mut BTreeMap<String, Vec<u8>>, key: &str, value: Option<&[u8]>| {
                let (size, had) = (|value: &[u8]| key.len() + value.len(), model.get(key));
                let (before, after) = (had.map_or(0, |had| size(had)), value.map_or(0, size));
                let total = model.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() - before + after;
                let count = model.len() - usize::from(had.is_some()) + usize::from(value.is_some());
                if total > 14 && after > before || count > 4 && had.is_none() {
                    return Change::OverQuota;
                }
                match value {
                    Some(value) => model.insert(key.to_owned(), value.to_owned()),
                    None => model.remove(key),
                };
                Change::Made
            };
            match step {
                Step::Put(key, value) => {
                    let expected = set(&mut model, &key, Some(&value));
                    prop_assert_eq!(runtime.block_on(entries.put(key, value, quota)).unwrap(), expected);
                }
                Step::Swap(key, old, new) => {
                    let expected = match model.get(&key) == old.as_ref() {
                        true => set(&mut model, &key, new.as_deref()),
                        false => Change::Other,
                    };
                    prop_assert_eq!(runtime.block_on(entries.swap(key, old, new, quota)).unwrap(), expected);
                }
                Step::Keys(prefix, after, count) => {
                    let expected = model.keys().filter(|key| key.starts_with(&prefix) && **key > after).take(count as usize);
                    let found = runtime.block_on(entries.keys(prefix.clone(), after.clone(), count, 1 << 20)).unwrap();
                    prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
                }
                Step::Reopen => {
                    let folder = state.folder.clone();
                    drop(state);
                    state = SqliteState::new(folder);
                }
            }
            for (key, value) in &model {
                let found = runtime.block_on(state.of("p", "d").get(key.clone())).unwrap();
                prop_assert_eq!(found.as_ref(), Some(value));
            }
        }
    }
}
