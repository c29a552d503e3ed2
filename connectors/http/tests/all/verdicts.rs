//! What an answer means for the records.

use std::time::{Duration, UNIX_EPOCH};

use wharf_http::{
    answer::retry_after,
    transport::{Answer, End, Sort},
};
use wharf_sdk::{
    FailureKind,
    testing::{Fate, batch},
};

use crate::far::{answer, bodies, over, seen, trouble};

const URL: &str = "https://api.example.com/in";

#[test]
fn a_status_is_a_kind_of_failure_with_the_far_sides_own_words() {
    for (status, body, kind, message) in [
        (500, "", FailureKind::Transient, "POST https://api.example.com/in: 500"),
        (504, "", FailureKind::Uncertain, "POST https://api.example.com/in: 504"),
        (429, "slow down", FailureKind::Throttled, "POST https://api.example.com/in: 429: slow down"),
        (401, "", FailureKind::Unauthorized, "POST https://api.example.com/in: 401"),
        (
            404,
            r#"{"error":{"message":"no such list"}}"#,
            FailureKind::Rejected,
            "POST https://api.example.com/in: 404: no such list",
        ),
        (
            422,
            r#"{"detail":"mag is no number"}"#,
            FailureKind::Rejected,
            "POST https://api.example.com/in: 422: mag is no number",
        ),
        (200, "", FailureKind::Fatal, ""),
    ] {
        let harness = over(URL, move |_| answer(status, body));
        let came = harness.open().write(&batch(["1"]));
        match came.fates() {
            [Fate::Delivered] => assert_eq!(status, 200),
            [Fate::Failed(failure)] => assert_eq!((failure.kind(), failure.message()), (kind, message)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_redirection_is_not_followed_and_says_where_it_leads() {
    let harness =
        over(URL, |_| Ok(Answer { status: 308, location: Some("https://new.example.com/in".into()), ..Answer::default() }));
    let came = harness.open().write(&batch(["1", "2"]));
    came.assert_failed(0..2, FailureKind::Fatal);
    assert!(
        came.failure()
            .unwrap()
            .message()
            .ends_with("which leads to `https://new.example.com/in`: redirections are not followed, set `url` to where it leads")
    );
}

#[test]
fn no_answer_means_what_may_have_happened() {
    for (sort, kind) in [
        (Sort::Unreached, FailureKind::Transient),
        (Sort::Broken, FailureKind::Uncertain),
        (Sort::TooLarge, FailureKind::Rejected),
        (Sort::Denied, FailureKind::Fatal),
    ] {
        let harness = over(URL, move |_| trouble(sort));
        harness.open().write(&batch(["1"])).assert_failed(0, kind);
    }
}

#[test]
fn a_far_side_that_is_not_there_is_asked_few_times() {
    let harness = over(URL, |_| trouble(Sort::Unreached)).setting("concurrency", "4").context("ordered", "false");
    harness.open().write(&batch(vec!["1"; 100])).assert_failed(0..100, FailureKind::Transient);
    assert!(seen().len() <= 4, "{}", seen().len());
    let harness = over(URL, |_| answer(503, "")).setting("concurrency", "4").context("ordered", "false");
    harness.open().write(&batch(vec!["1"; 100])).assert_failed(0..100, FailureKind::Transient);
    assert!(seen().len() <= 8, "{}", seen().len());
}

#[test]
fn what_is_throttled_waits_as_long_as_it_is_told_and_the_rest_with_it() {
    let mut count = 0;
    let harness = over(URL, move |_| {
        count += 1;
        let busy = Answer { status: 503, retry_after: Some("7".into()), ..Answer::default() };
        if count < 3 { answer(200, "") } else { Ok(busy) }
    });
    let came = harness.setting("concurrency", "1").open().write(&batch(["1", "2", "3", "4", "5"]));
    came.assert_delivered(0..2).assert_failed(2, FailureKind::Throttled).assert_untried(3..5);
    assert_eq!(seen().len(), 3);
}

#[test]
fn retry_after_is_a_number_of_seconds_or_a_date() {
    let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
    assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
    assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now), Some(Duration::from_secs(60)));
    assert_eq!(retry_after("Sunday, 06-Nov-94 08:50:37 GMT", now), Some(Duration::from_secs(60)));
    assert_eq!(retry_after("Sun Nov  6 08:50:37 1994", now), Some(Duration::from_secs(60)));
    assert_eq!(retry_after("Sun, 06 Nov 1994 08:48:37 GMT", now), Some(Duration::ZERO));
    assert_eq!(retry_after("soon", now), None);
}

#[test]
fn of_several_the_record_that_is_to_blame_is_found() {
    let harness = over(URL, |request| {
        let bad = request.body.windows(3).any(|window| window == b"bad");
        if bad { answer(422, r#"{"message":"bad is bad"}"#) } else { answer(200, "") }
    });
    let records: Vec<String> = (0..64).map(|n| if n == 37 { "\"bad\"".into() } else { n.to_string() }).collect();
    let came = harness.setting("body", "json-array").open().write(&batch(&records));
    came.assert_delivered(0..37).assert_failed(37, FailureKind::Rejected).assert_delivered(38..64);
    // Itself, and two for each time that it is halved.
    assert_eq!(seen().len(), 1 + 2 * 6);
}

#[test]
fn a_whole_request_that_is_refused_for_another_reason_is_not_taken_apart() {
    let harness = over(URL, |_| answer(410, "")).setting("body", "json-array");
    harness.open().write(&batch(["1", "2", "3"])).assert_failed(0..3, FailureKind::Rejected);
    assert_eq!(seen().len(), 1);
}

#[test]
fn an_answer_says_what_became_of_each_record() {
    let bulk = r#"{"items":[{"index":{"status":201}},{"index":{"status":400,"error":{"reason":"failed to parse"}}},
        {"index":{"status":429,"error":{"reason":"queue full"}}},{"index":{"status":200}}]}"#;
    let harness = over(URL, move |_| answer(200, bulk))
        .setting("body", "json-lines")
        .setting("answer.items", "/items")
        .setting("answer.status", "/*/status")
        .setting("answer.error", "/*/error/reason")
        .context("ordered", "false");
    let came = harness.open().write(&batch(["1", "2", "3", "4"]));
    came.assert_delivered(0).assert_failed(1, FailureKind::Rejected).assert_failed(2, FailureKind::Throttled).assert_delivered(3);
    let Fate::Failed(failure) = &came.fates()[1] else { panic!("{came:?}") };
    assert_eq!(failure.message(), "POST https://api.example.com/in: of this record: 400: failed to parse");

    // What cannot be understood is taken neither for delivered nor for rejected.
    let came = harness.open().write(&batch(["1", "2"]));
    came.assert_failed(0..2, FailureKind::Fatal);
    assert!(came.failure().unwrap().message().contains("the answer has 4 elements at `/items`, and the request had 2 records"));

    let broken = over(URL, move |_| Ok(Answer { status: 200, end: End::Broken("closed".into()), ..Answer::default() }));
    let broken = broken.setting("answer.items", "/items").setting("answer.error", "/error");
    broken.open().write(&batch(["1"])).assert_failed(0, FailureKind::Uncertain);
    // Where nobody asks what it says, its status is enough.
    let broken = over(URL, move |_| Ok(Answer { status: 200, end: End::Broken("closed".into()), ..Answer::default() }));
    broken.open().write(&batch(["1"])).assert_all_delivered();
    assert_eq!(bodies(), ["1"]);
}
