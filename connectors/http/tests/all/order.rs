//! What may be under way at once, and what comes after what.

use std::time::Duration;

use wharf_sdk::{
    FailureKind,
    testing::{Fate, batch, record},
};

use crate::far::{answer, bodies, over, peak, seed, seen, takes, trouble};
use wharf_http::transport::Sort;

const URL: &str = "https://api.example.com/in";

#[test]
fn as_many_requests_are_under_way_as_may_be_and_of_one_key_one() {
    let harness = over(URL, |_| answer(200, ""));
    harness.open().write(&batch((0..100).map(|n| record(n.to_string()).key(n.to_string())))).assert_all_delivered();
    assert_eq!((peak(), seen().len()), (16, 100));
    let harness = over(URL, |_| answer(200, ""));
    harness.open().write(&batch((0..100).map(|n| record(n.to_string()).key((n % 3).to_string())))).assert_all_delivered();
    assert_eq!(peak(), 3);
    // Nobody knows what is the same without a key.
    let harness = over(URL, |_| answer(200, ""));
    harness.open().write(&batch(["1"; 20])).assert_all_delivered();
    assert_eq!(peak(), 1);
    let harness = over(URL, |_| answer(200, "")).context("ordered", "false");
    harness.open().write(&batch(["1"; 20])).assert_all_delivered();
    assert_eq!(peak(), 16);
}

#[test]
fn after_a_record_that_is_to_be_sent_again_nothing_of_its_key_is_sent() {
    for order in 0..50 {
        let harness = over(URL, |request| if request.body == b"b1" { answer(500, "") } else { answer(200, "") });
        seed(order);
        let sent = ["a1", "b1", "a2", "b2", "c1", "b3"].map(|text| record(text).key(&text[..1]));
        let came = harness.open().write(&batch(sent));
        came.assert_delivered(0).assert_failed(1, FailureKind::Transient).assert_delivered(2);
        came.assert_untried(3).assert_delivered(4).assert_untried(5);
        let of_a: Vec<String> = bodies().into_iter().filter(|body| body.starts_with('a')).collect();
        assert_eq!(of_a, ["a1", "a2"]);
    }
}

#[test]
fn what_was_delivered_before_the_wire_was_cut_is_not_sent_again() {
    let mut count = 0;
    let harness = over(URL, move |_| {
        count += 1;
        if count <= 10 { answer(200, "") } else { trouble(Sort::Broken) }
    });
    let came = harness.setting("concurrency", "2").context("ordered", "false").open().write(&batch(["1"; 30]));
    let of = |is: fn(&Fate) -> bool| came.fates().iter().filter(|fate| is(fate)).count();
    assert_eq!(of(|fate| *fate == Fate::Delivered), 10);
    assert!(of(|fate| matches!(fate, Fate::Failed(failure) if failure.kind() == FailureKind::Uncertain)) <= 4);
    assert!(of(|fate| *fate == Fate::Untried) >= 16);
}

#[test]
fn when_patience_ends_what_is_left_waits_for_the_next_call() {
    let harness = over(URL, |_| answer(200, "")).setting("patience", "5s").setting("concurrency", "1");
    takes(Duration::from_secs(1));
    let came = harness.open().write(&batch(["1"; 30]));
    came.assert_delivered(0..6).assert_untried(6..30);
}

#[test]
fn records_of_one_key_that_are_answered_for_alone_do_not_share_a_request() {
    let items = |request: &wharf_http::transport::Request| {
        let count = request.body.iter().filter(|byte| **byte == b'\n').count();
        let first_fails = if request.body.starts_with(b"1\n") { r#"{"status":500}"# } else { r#"{"status":200}"# };
        let rest = r#",{"status":200}"#.repeat(count - 1);
        answer(200, &format!(r#"{{"items":[{first_fails}{rest}]}}"#))
    };
    let harness =
        over(URL, items).setting("body", "json-lines").setting("answer.items", "/items").setting("answer.status", "/status");
    let came = harness.open().write(&batch([record("1").key("a"), record("2").key("b"), record("3").key("a")]));
    came.assert_failed(0, FailureKind::Transient).assert_delivered(1).assert_untried(2);
    assert_eq!(bodies(), ["1\n2\n"]);
}

#[test]
fn patience_and_timeout_are_shortened_to_the_time_that_a_call_may_take() {
    let harness = over(URL, |_| answer(200, "")).setting("concurrency", "1").context("write-limit-ms", "10000");
    takes(Duration::from_secs(1));
    let came = harness.open().write(&batch(["1"; 30]));
    came.assert_delivered(0..3).assert_untried(3..30);
    assert_eq!(seen()[0].timeout, Duration::from_millis(6750));
    // What fits stays as it is.
    let harness = over(URL, |_| answer(200, "")).setting("patience", "5s").context("write-limit-ms", "60000");
    harness.open().write(&batch(["1"])).assert_all_delivered();
    assert_eq!(seen()[0].timeout, Duration::from_secs(20));
}
