//! Durable state, as a component has it.

use std::sync::Arc;

use serde_json::{Value, json};
use wharf::{
    config::{self, Interval, Limits, Size, Times},
    connector::{Answer, Connector, Loader, Opening, Session, Trouble},
    record::{Fate, Run},
    sandbox::{Call, Event, Grants, State, instance::Reason},
    store::SqliteState,
};

use crate::trial::{Trial, batch, destination, engine};

/// A keeper by this id that may keep so much; nothing where `state` is null.
fn keeper(id: &str, state: Value) -> Value {
    let mut keeper = destination(id, "guest-keeper", json!({}));
    if !state.is_null() {
        keeper["grants"] = json!({"state": state});
    }
    keeper
}

/// Has a destination do each thing in a run of its own; gives what it answered.
async fn asked(trial: &Trial, keeper: &Value, records: &[&str]) -> Vec<String> {
    trial.append(records);
    let ran = trial.run(std::slice::from_ref(keeper)).await;
    assert_eq!(ran.error, "");
    let mut letters = trial.dead_letters().await;
    let before = letters.len() - records.len();
    letters.split_off(before).into_iter().map(|letter| letter.reason.message.to_string()).collect()
}

#[tokio::test]
async fn what_is_kept_is_there_in_the_next_run() {
    let trial = Trial::new([""; 0]);
    let keeper = keeper("keeper", json!({"bytes": "1MiB"}));
    let answers =
        asked(&trial, &keeper, &["get a", "put a 1", "get a", "swap a 2 3", "swap a 1 2", "put b/x 1", "put b/y 1"]).await;
    assert_eq!(answers, ["none", "kept", "[1]", "something else was there", "swapped", "kept", "kept"]);
    let answers = asked(&trial, &keeper, &["get a", "keys b/ - 10", "keys - a 1", "swap a 2 -", "get a", "keys - - 10"]).await;
    assert_eq!(answers, ["[2]", "2 keys: b/x,b/y", "1 keys: b/x", "swapped", "none", "2 keys: b/x,b/y"]);
}

#[tokio::test]
async fn a_quota_is_kept_to_and_is_no_reason_to_end() {
    let trial = Trial::new([""; 0]);
    let keeper = keeper("keeper", json!({"bytes": "2KiB", "keys": 2}));
    let records = [
        "fill a 2048",
        "fill a 2047",
        "put b x",
        "get a",
        "fill a 100",
        "put b x",
        "put c x",
        "long 512",
        "swap b x -",
        "long 0",
        "long 513",
        "long 512",
        "fill d 20000000",
    ];
    let over = "OverQuota";
    let expected = [over, "kept", over, "2047 bytes", "kept", "kept", over, over, "swapped", over, over, "kept", over];
    assert_eq!(asked(&trial, &keeper, &records).await, expected);
}

#[tokio::test]
async fn destinations_and_pipelines_keep_apart() {
    let trial = Trial::new(["put secret 1", "keys - - 10"]);
    let (one, two) = (keeper("one", json!({"bytes": "1MiB"})), keeper("two", json!({"bytes": "1MiB"})));
    let _ran = trial.run(std::slice::from_ref(&one)).await;
    let probes =
        ["get secret", "keys - - 10", "keys sec - 10", "keys % - 10", "get ../one/secret", "swap secret - mine", "get secret"];
    assert_eq!(asked(&trial, &two, &probes).await, ["none", "0 keys: ", "0 keys: ", "0 keys: ", "none", "swapped", "[mine]"]);
    assert_eq!(asked(&trial, &one, &["get secret"]).await, ["[1]"]);
    assert!(trial.folder.path(".wharf/state/trial/one.db").exists());
    assert!(trial.folder.path(".wharf/state/trial/two.db").exists());
}

#[tokio::test]
async fn without_a_grant_every_call_is_refused_logged_and_counted() {
    let trial = Trial::new([""; 0]);
    let answers = asked(&trial, &keeper("keeper", Value::Null), &["get a", "put b 1", "swap c - 1", "keys d - 1"]).await;
    assert_eq!(answers, ["NotGranted"; 4]);
    for key in ["a", "b", "c", "d"] {
        let line = format!("refused: not granted pipeline=\"trial\" destination=\"keeper\" capability=\"state\" what={key}");
        assert!(trial.log().contains(&line), "{line}: {}", trial.log());
    }
    assert!(!trial.folder.path(".wharf/state").exists());

    let kept = Kept::of(&trial, None).await;
    assert_eq!(said(kept.open().await.write(&batch(&["get a", "keys - - 1"]), 1).await), ["NotGranted"; 2]);
    assert_eq!(kept.opening.usage.count(Event::Refused), 2);
}

/// A keeper, and what its sessions are opened with.
struct Kept {
    connector: Connector,
    opening: Opening,
}

impl Kept {
    async fn of(trial: &Trial, state: Option<State>) -> Self {
        let loader = Loader::new(engine(), trial.time.clock()).unwrap();
        let connector = loader.load(&wharf_tests::component("guest-keeper").unwrap()).await.unwrap();
        Self { connector, opening: Opening { grants: Grants { state, ..Grants::default() }, ..Opening::default() } }
    }

    /// With room for whatever it does.
    async fn roomy(trial: &Trial) -> Self {
        let mut state = State::granted(&config::State { bytes: Size::from_mib(1), keys: 10 });
        state.keep_in(&SqliteState::new(trial.folder.path("state")), "p", "d");
        Self::of(trial, Some(state)).await
    }

    async fn open(&self) -> Session {
        self.connector.open(&self.opening).await.unwrap()
    }
}

/// What the keeper said to each record.
fn said(answer: Answer) -> Vec<String> {
    let of = |run: &Run| match &run.fate {
        Fate::Failed(failure) => vec![failure.message.clone(); run.records.len() as usize],
        other => panic!("no answer: {other:?}"),
    };
    answer.runs.iter().flat_map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn instances_that_count_at_once_lose_nothing() {
    let trial = Trial::new([""; 0]);
    let kept = Arc::new(Kept::roomy(&trial).await);
    let counting = (0..3).map(|_| {
        let kept = kept.clone();
        tokio::spawn(async move { said(kept.open().await.write(&batch(&["count n"; 20]), 1).await) })
    });
    for counted in futures::future::join_all(counting).await {
        assert_eq!(counted.unwrap(), ["counted"; 20]);
    }
    assert_eq!(said(kept.open().await.write(&batch(&["get n"]), 1).await), ["[60]"]);
}

#[tokio::test]
async fn what_was_kept_before_a_trap_stays_kept() {
    let trial = Trial::new([""; 0]);
    let kept = Kept::roomy(&trial).await;
    let trapped = kept.open().await.write(&batch(&["put a 1", "trap", "put a 2"]), 1).await;
    assert!(matches!(trapped.trouble, Some(Trouble::Ended(_))), "{trapped:?}");
    assert_eq!(said(kept.open().await.write(&batch(&["get a"]), 1).await), ["[1]"]);
}

#[tokio::test]
async fn swapping_for_ever_ends_with_its_call_and_leaves_the_state_in_order() {
    let trial = Trial::new([""; 0]);
    let mut kept = Kept::roomy(&trial).await;
    let write = Interval::from_millis(500);
    kept.opening.limits = Arc::new(Limits { time: Times { write, ..Times::default() }, ..Limits::default() });
    let ended = kept.open().await.write(&batch(&["put a 1", "spin a"]), 1).await;
    let Some(Trouble::Ended(ended)) = ended.trouble else { panic!("{ended:?}") };
    assert_eq!(ended.reason, Reason::Time { call: Call::Write, limit: write.duration() });
    kept.opening.limits = Arc::default();
    assert_eq!(said(kept.open().await.write(&batch(&["swap a 1 2", "get a"]), 1).await), ["swapped", "[2]"]);
}

#[tokio::test]
async fn what_is_wrong_with_the_disk_is_an_answer_without_the_hosts_paths() {
    let trial = Trial::new([""; 0]);
    trial.folder.write(".wharf/lock", "").unwrap();
    trial.folder.write(".wharf/state/trial", "a file in the place of a folder").unwrap();
    let answers = asked(&trial, &keeper("keeper", json!({"bytes": "1MiB"})), &["put a 1", "get a"]).await;
    for answer in answers {
        assert!(answer.starts_with("Unavailable(\""), "{answer}");
        assert!(!answer.contains(".wharf"), "{answer}");
    }
    assert!(trial.log().contains("a connector's state is unavailable"), "{}", trial.log());
    assert!(trial.log().contains(".wharf/state/trial/keeper.db"), "{}", trial.log());
}
