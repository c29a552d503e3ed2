//! What requests may cost, and that it is given back.

use std::time::Duration;

use serde_json::json;

use super::{called, caller, caller_with, trial};
use crate::{server::Server, trial::Trial};

#[tokio::test]
async fn a_component_that_gives_back_what_it_takes_sends_as_many_requests_as_it_likes() {
    let server = Server::start().await;
    let trial = trial();
    let requests: Vec<String> =
        (0..200).map(|number| format!("{}/{number} method=POST body=100 connect=5000", server.url())).collect();
    let mut caller = caller(json!([server.url()]));
    caller["limits"]["handles"] = json!(30);
    let answers = called(&trial, &caller, &requests).await;
    assert!(answers.iter().all(|answer| answer == "200 content-length=5 bytes=5"), "{answers:?}");
    server.closed().await;
}

#[tokio::test]
async fn a_far_side_that_does_not_answer_takes_no_more_than_its_time() {
    let server = Server::start().await;
    let url = server.url();
    let times = json!({"first-byte-time": "300ms", "between-bytes-time": "300ms", "request-time": "2s"});
    let limits = caller_with(json!([url]), times, json!({}));
    let requests = [
        format!("{url}/silent"),
        // What is asked for can only be less.
        format!("{url}/silent first=18446744073709"),
        format!("{url}/drip/2000"),
        format!("{url}/drip/2001 between=18446744073709"),
        // Each piece comes in time, and the whole does not.
        format!("{url}/drip/50"),
        format!("{url}/slow/10"),
    ];
    let begun = std::time::Instant::now();
    let answers = called(&trial(), &limits, &requests).await;
    let (timeout, read) = (
        "ErrorCode::HttpResponseTimeout",
        "200 content-length=1000000 and then Some(ErrorCode::ConnectionReadTimeout): connection read timeout",
    );
    let whole = "200 content-length=1000000 and then Some(ErrorCode::HttpResponseTimeout): HTTP response timeout";
    assert_eq!(answers, [timeout, timeout, read, read, whole, "200 content-length=4 bytes=4"]);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    server.closed().await;

    let shorter = [format!("{url}/silent first=50"), format!("{url}/drip/3000 between=50"), format!("{url}/silent first=0")];
    let answers = called(&trial(), &caller(json!([url])), &shorter).await;
    assert_eq!(answers, [timeout, read, timeout]);
    server.closed().await;
}

#[tokio::test]
async fn sizes_are_bounded_both_ways() {
    let server = Server::start().await;
    let url = server.url();
    let limits = json!({
        "headers": 20, "header-bytes": "8KiB", "request-bytes": "64KiB", "response-bytes": "64KiB", "request-time": "20s",
    });
    let requests = [
        format!("{url}/length/65536"),
        format!("{url}/length/65537"),
        format!("{url}/chunked/64"),
        format!("{url}/chunked/65"),
        format!("{url}/endless"),
        format!("{url}/headers/19"),
        format!("{url}/headers/20"),
        format!("{url}/headers/40000"),
        format!("{url}/header-bytes/8100"),
        format!("{url}/header-bytes/8300"),
        format!("{url}/header-bytes/1048576"),
        format!("{url}/endless-head"),
        format!("{url}/ok method=POST body=65536"),
        format!("{url}/too-large method=POST body=65537"),
        format!("{url}/declared method=POST length=65537 body=65537"),
        format!("{url}/ok headers=19"),
        format!("{url}/too-many headers=21"),
        format!("{url}/short"),
        format!("{url}/garbage"),
        format!("{url}/upgrade"),
        format!("{url}/after-all-of-this"),
    ];
    let answers = called(&trial(), &caller_with(json!([url]), limits, json!({})), &requests).await;
    let told: Vec<String> = requests
        .iter()
        .zip(&answers)
        .map(|(request, answer)| {
            let answer = if answer.len() > 200 { format!("{}…", &answer[..40]) } else { answer.clone() };
            format!("{} → {answer}", request.strip_prefix(&url).unwrap())
        })
        .collect();
    let large = "Some(ErrorCode::HttpResponseBodySize(Some(65536))): HTTP response body size exceeds limit: 65536 bytes";
    let expected = [
        "/length/65536 → 200 content-length=65536 bytes=65536".to_owned(),
        "/length/65537 → ErrorCode::HttpResponseBodySize(Some(65537))".into(),
        "/chunked/64 → 200 transfer-encoding=chunked bytes=65536".replace(" transfer-encoding=chunked", ""),
        format!("/chunked/65 → 200 and then {large}"),
        format!("/endless → 200 and then {large}"),
    ];
    assert_eq!(told[..5], expected, "{told:#?}");
    assert!(told[5].contains("bytes=0"), "{told:#?}");
    for refused in [6, 7, 9, 10, 11] {
        assert!(told[refused].contains("HttpResponseHeaderSectionSize"), "{}", told[refused]);
    }
    assert!(answers[8].starts_with("200 content-length=0 x-long="), "{}", told[8]);
    assert!(told[12].ends_with("bytes=5"), "{}", told[12]);
    assert!(told[13].contains("ErrorCode::HttpRequestBodySize(Some("), "{}", told[13]);
    assert!(told[14].contains("ErrorCode::HttpRequestBodySize(Some(65537))"), "{}", told[14]);
    assert!(told[15].ends_with("bytes=5"), "{}", told[15]);
    assert!(told[16].contains("HttpRequestHeaderSectionSize"), "{}", told[16]);
    assert!(told[17].contains("and then Some(ErrorCode::HttpResponseIncomplete): incomplete HTTP response"), "{}", told[17]);
    assert!(told[18].contains("ErrorCode::HttpProtocolError"), "{}", told[18]);
    assert!(told[19].contains("ErrorCode::HttpUpgradeFailed"), "{}", told[19]);
    assert!(told[20].ends_with("bytes=5"), "{}", told[20]);
    server.closed().await;
}

#[tokio::test]
async fn headers_without_end_end_the_instance() {
    let trial = Trial::new(["http://127.0.0.1:1/ headers=40000"]);
    let ran = trial.run(&[caller(json!(["http://127.0.0.1:1"]))]).await;
    let told = format!("{} {:?}", ran.error, trial.dead_letters().await);
    assert!(told.contains("set more headers than 100, or more than 32KiB of them (limits.http.headers"), "{told}");
}

#[tokio::test]
async fn requests_and_connections_at_once_are_bounded() {
    let server = Server::start().await;
    let url = server.url();
    let limits = json!({"requests": 5, "connections": 5});
    let answers = called(&trial(), &caller_with(json!([url]), limits, json!({})), &[format!("{url}/slow/300 at-once=8")]).await;
    assert_eq!(answers, ["5 answered {\"ErrorCode::ConnectionLimitReached\"}"]);
    server.closed().await;

    // Requests wait for a connection, as long as connecting may take.
    let server = Server::start().await;
    let url = server.url();
    let limits = json!({"requests": 4, "connections": 2, "connect-time": "400ms"});
    let requests = [format!("{url}/silent first=2000 at-once=4")];
    let answers = called(&trial(), &caller_with(json!([url]), limits, json!({})), &requests).await;
    assert_eq!(answers, ["0 answered {\"ErrorCode::ConnectionLimitReached\", \"ErrorCode::HttpResponseTimeout\"}"]);
    assert_eq!((server.accepted(), server.most_open()), (2, 2));
    server.closed().await;
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other_and_ends_with_its_instance() {
    let server = Server::start().await;
    let url = server.url();
    let mut requests: Vec<String> = (0..20).map(|number| format!("{url}/length/{}", number * 1000)).collect();
    let answers = called(&trial(), &caller(json!([url])), &requests).await;
    assert!(answers.iter().all(|answer| answer.starts_with("200")), "{answers:?}");
    assert_eq!(server.accepted(), 1);
    server.closed().await;

    // What is closed at the other end, not read, or let go of is not used again.
    let server = Server::start().await;
    let url = server.url();
    requests = ["shut", "one", "close", "two", "drip/1000 hold", "three", "slow/200 leave", "four"]
        .map(|what| format!("{url}/{what}"))
        .into();
    let answers = called(&trial(), &caller(json!([url])), &requests).await;
    let ok = "200 content-length=5 bytes=5";
    assert_eq!([&answers[1], &answers[3], &answers[5], &answers[7]], [ok; 4], "{answers:?}");
    assert_eq!(answers[4], "200 content-length=1000000 held");
    server.closed().await;
}

#[tokio::test]
async fn what_requests_took_is_given_back() {
    let server = Server::start().await;
    let url = server.url();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let ugly = [
        "silent first=20",
        "drip/1000 hold",
        "endless hold",
        "slow/1000 leave",
        "silent at-once=20 first=20",
        "length/100",
        "refuse",
    ];
    let requests: Vec<String> = ugly.iter().map(|what| format!("{url}/{what}")).collect();
    let before = tasks();
    for _ in 0..5 {
        assert!(called(&trial(), &caller(json!([url])), &requests).await.iter().all(|answer| answer != "no answer"));
    }
    server.closed().await;
    // The server has seen each connection closed; the tasks that drove them have ended with them.
    assert!(tasks() <= before, "{} tasks are left of {before}", tasks());
}
