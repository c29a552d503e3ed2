//! What a destination sees, and what it leaves with the host.

use std::cell::Cell;

use crate::{
    Batch, Context, Descriptor, Destination, Failure, FailureKind, Operation, Probe, Problem, Receipt, Span,
    follow_ups::{FollowUps, On},
    metrics, progress, state,
    testing::{Breach, Fate, Harness, NotOpened, batch, deletion, record},
    tokens, tracing,
};

/// A destination that writes by a plain function.
struct Calls;

type Write = fn(&Batch) -> Result<Receipt, Failure>;

thread_local! {
    static WRITE: Cell<Write> = const { Cell::new(|batch| Ok(Receipt::all(batch))) };
}

impl Destination for Calls {
    type Config = ();

    fn describe() -> Descriptor {
        Descriptor::new("Does what a test wants.")
    }

    fn open((): (), context: Context) -> Result<Self, Failure> {
        match context.pipeline().as_str() {
            "broken" => Err(Failure::unauthorized("log in: 401").code(401)),
            _ => Ok(Self),
        }
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        WRITE.get()(batch)
    }

    fn ack(&mut self, batches: &[String]) {
        metrics::count("acked", batches.len() as u64);
    }

    fn close(self) -> Result<(), Failure> {
        Err(Failure::transient("goodbye"))
    }
}

impl Probe<()> for Calls {
    fn reachable((): (), context: Context) -> Result<(), Failure> {
        match context.pipeline().as_str() {
            "broken" => Err(Failure::transient("look for it: nobody is there")),
            _ => Ok(()),
        }
    }
}

fn writing(write: Write) -> Harness<Calls> {
    WRITE.set(write);
    Harness::new()
}

#[test]
fn a_far_side_can_be_asked_for_before_anything_is_opened() {
    assert_eq!(Harness::<Calls>::new().reachable(), Ok(()));
    let broken = Harness::<Calls>::new().context("pipeline", "broken");
    let failure = Failure::transient("look for it: nobody is there");
    assert_eq!(broken.reachable(), Err(NotOpened::Failure(failure)));
}

#[test]
fn a_record_shows_what_the_host_has_and_absent_is_not_empty() {
    let harness = writing(|batch| {
        assert_eq!((batch.id(), batch.start(), batch.count(), batch.attempt(), batch.action()), ("cut", 7, 3, 2, 1));
        assert_eq!(batch.partition(), "p");
        let content_types = ["after", "before", "key", "source"].map(|column| batch.content_type(column));
        let json = Some("application/json".to_owned());
        assert_eq!(content_types, [json.clone(), json, Some("text/plain".to_owned()), None]);
        assert_eq!(batch.meta_names().collect::<Vec<_>>(), ["source"]);
        let [first, second, third] = [0, 1, 2].map(|index| batch.get(index).unwrap());
        assert_eq!((first.after(), first.key(), first.before()), (Some(&b"{}"[..]), Some(&b""[..]), Some(&b"old"[..])));
        assert_eq!((first.operation(), first.sequence(), first.ordinal()), (Operation::Update, 40, 0));
        assert_eq!((second.operation(), second.after(), second.key()), (Operation::Delete, None, Some(&b"k"[..])));
        assert_eq!((third.key(), third.before(), third.sequence(), third.ordinal()), (None, None, 42, 3));
        assert_eq!([first, second, third].map(|record| record.meta("source")), [None, None, Some(&b"web"[..])]);
        assert_eq!(third.meta("nothing"), None);
        assert!(batch.get(3).is_none());
        Ok(Receipt::all(batch))
    });
    let records = [
        record("{}").key("").before("old").operation(Operation::Update).sequence(40),
        deletion("k"),
        record("x").meta("source", "web").ordinal(3),
    ];
    let batch = batch(records).id("cut").start(7).attempt(2).action(1).partition("p");
    let batch = batch.content_type("application/json").content_type_of("key", "text/plain");
    harness.open().write(&batch).assert_all_delivered();
}

#[test]
fn events_arrive_with_their_fields_and_those_of_the_spans_around_them() {
    let harness = writing(|batch| {
        let outer = tracing::info_span!("outer", table = "orders", row = 1);
        let _outer = outer.enter();
        let inner = tracing::info_span!("inner", row = 2, late = tracing::field::Empty);
        inner.record("late", true);
        inner.in_scope(|| tracing::warn!(code = "23505", error = %std::fmt::Error, "row {} refused", 2));
        tracing::debug!("outside");
        Ok(Receipt::all(batch))
    });
    harness.open().write(&batch(["a"]));
    let [inside, outside] = harness.logged().try_into().unwrap();
    assert_eq!((inside.level, inside.message.as_str()), (tracing::Level::WARN, "row 2 refused"));
    let fields: Vec<_> = inside.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let error = std::fmt::Error.to_string();
    assert_eq!(fields, [("code", "23505"), ("error", error.as_str()), ("row", "2"), ("late", "true"), ("table", "orders")]);
    assert_eq!((outside.message.as_str(), outside.field("row")), ("outside", Some("1")));
}

#[test]
fn a_line_that_nobody_reads_is_never_built() {
    struct Never;
    impl std::fmt::Debug for Never {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("it was built");
        }
    }
    let harness = writing(|batch| {
        tracing::info!(never = ?Never, "quiet");
        tracing::warn!("heard");
        Ok(Receipt::all(batch))
    });
    let harness = harness.log_from(tracing::Level::WARN);
    harness.open().write(&batch(["a"]));
    assert_eq!(harness.logged().len(), 1);
}

#[test]
fn what_progress_reported_stays_delivered_when_the_call_fails() {
    let harness = writing(|_| {
        progress::delivered(0..2);
        FollowUps::new("audit", On::Succeeded).send()?;
        Err(Failure::uncertain("the connection broke"))
    });
    let answer = harness.open().write(&batch(["a", "b", "c"]));
    answer.assert_delivered(0..2).assert_failed(2, FailureKind::Uncertain);
    assert_eq!(answer.failure().unwrap().to_string(), "the connection broke");
}

#[test]
fn each_way_to_break_the_contract_is_told_apart() {
    // No receipt that the SDK builds can leave its batch, so progress has to.
    let outside = writing(|batch| {
        progress::delivered(0..9);
        Ok(Receipt::all(batch))
    });
    assert_eq!(outside.open().try_write(&batch(["a"])).unwrap_err(), Breach::Span(Span { start: 0, end: 9 }));
    let taken_back = writing(|batch| {
        progress::delivered(0);
        Ok(Receipt::until(batch, 0, Failure::rejected("no")))
    });
    assert_eq!(taken_back.open().try_write(&batch(["a"])).unwrap_err(), Breach::TakenBack(0));
}

#[test]
fn follow_ups_come_with_their_causes_and_only_from_a_call_that_succeeds() {
    fn follow(batch: &Batch) {
        let mut follow_ups = FollowUps::new("audit", On::Failed);
        batch.records().step_by(2).for_each(|record| follow_ups.add(record, record.key(), b"p"));
        follow_ups.send().unwrap();
    }
    let harness = writing(|batch| {
        follow(batch);
        Ok(Receipt::all(batch))
    });
    let records = || batch([record("a").key("k"), record("b"), record("c")]);
    let answer = harness.open().write(&records());
    let follow_ups: Vec<_> = answer.follow_ups().iter().map(|follow_up| (follow_up.cause, follow_up.key.as_deref())).collect();
    assert_eq!(follow_ups, [(0, Some(&b"k"[..])), (2, None)]);
    let harness = writing(|batch| {
        follow(batch);
        Err(Failure::transient("no"))
    });
    assert!(harness.open().write(&records()).follow_ups().is_empty());
}

#[test]
fn state_is_kept_where_it_is_granted() {
    let write = |batch: &Batch| {
        assert_eq!(state::get("seen")?.as_deref(), Some(&b"1"[..]));
        assert!(!state::swap("seen", None, Some(b"0"))?);
        assert!(state::swap("seen", Some(b"1"), Some(b"2"))?);
        state::put("other", b"x")?;
        assert_eq!(state::keys("", "other", 9)?, ["seen"]);
        Ok(Receipt::all(batch))
    };
    let harness = writing(write).state_of([("seen", "1")]);
    harness.open().write(&batch(["a"])).assert_all_delivered();
    assert_eq!(harness.state()["seen"], b"2");
    let refused = writing(write).open().write(&batch(["a"])).failure().cloned().unwrap();
    assert_eq!((refused.kind(), refused.message()), (FailureKind::Fatal, "state: the pipeline does not grant it"));
}

#[test]
fn a_token_that_was_refused_is_followed_by_another() {
    let harness = writing(|batch| {
        let token = tokens::get("vendor")?;
        assert_eq!(token.expose(), "old");
        tokens::refused("vendor", &token);
        assert_eq!(tokens::get("vendor")?.expose(), "new");
        assert_eq!(tokens::get("other").unwrap_err(), tokens::Refused::NotGranted);
        Ok(Receipt::all(batch))
    });
    harness.token("vendor", "old").token("vendor", "new").open().write(&batch(["a"])).assert_all_delivered();
}

#[test]
fn a_session_lives_from_open_to_close() {
    let harness = writing(|batch| Ok(Receipt::builder(batch).finish()));
    let session = harness.open();
    assert_eq!(session.write(&batch(["a", "b"])).fates(), [Fate::Unknown, Fate::Unknown]);
    session.ack(["1", "2"]);
    assert_eq!(session.close().unwrap_err().message(), "goodbye");
    assert_eq!(harness.count("acked"), 2);
}

#[test]
fn a_session_that_does_not_open_says_why() {
    let failure = Failure::unauthorized("log in: 401").code(401);
    let refused = Harness::<Calls>::new().context("pipeline", "broken").try_open().map(drop).unwrap_err();
    assert_eq!(refused, NotOpened::Failure(failure));
    let refused = Harness::<Calls>::new().setting("a", "b").try_open().map(drop).unwrap_err();
    assert_eq!(refused, NotOpened::Problems(vec![Problem::new("a", "is not a parameter of this connector")]));
}

#[test]
fn the_context_has_types() {
    struct Asks;

    impl Destination for Asks {
        type Config = ();

        fn describe() -> Descriptor {
            Descriptor::new("Asks where it is.")
        }

        fn open((): (), context: Context) -> Result<Self, Failure> {
            assert_eq!(
                (context.pipeline().as_str(), context.destination().as_str(), context.run().as_str()),
                ("test", "test", "1")
            );
            assert_eq!((context.instance(), context.instances(), context.ordered()), (2, 4, true));
            assert_eq!((context.api_version().as_deref(), context.get("what-no-host-knows")), (Some("v2"), None));
            assert_eq!(context.host_version(), env!("CARGO_PKG_VERSION"));
            Ok(Self)
        }

        fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
            Ok(Receipt::all(batch))
        }
    }

    Harness::<Asks>::new().context("instance", "2").context("instances", "4").context("api-version", "v2").open();
}
