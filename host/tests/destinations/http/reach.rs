//! Where a request goes: what is granted, and where that really leads.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{DENIED, called, caller, caller_with, trial, trial_with};
use crate::server::{Names, Server};

#[tokio::test]
async fn a_request_goes_to_what_is_granted_and_nowhere_else() {
    let (server, other) = (Server::start().await, Server::start().await);
    let (url, port) = (server.url(), server.address.port());
    let trial = trial();
    let requests = [
        format!("{url}/path?query=secret"),
        format!("{url}/post method=POST body=100000"),
        format!("{}/other-port", other.url()),
        format!("https://127.0.0.1:{port}/other-scheme"),
        format!("ftp://127.0.0.1:{port}/other-scheme"),
        format!("http://127.0.0.2:{port}/other-host"),
        format!("http://localhost:{port}/a-name-for-it"),
        format!("{url}/connect method=CONNECT"),
        format!("{url}/trace method=TRACE"),
    ];
    let answers = called(&trial, &caller(json!([url])), &requests).await;
    let ok = "200 content-length=5 bytes=5";
    let method = "ErrorCode::HttpRequestMethodInvalid";
    assert_eq!(answers, [ok, ok, DENIED, DENIED, DENIED, DENIED, DENIED, method, method]);
    let seen = server.seen();
    assert_eq!(
        seen.iter().map(|seen| seen.line()).collect::<Vec<_>>(),
        ["GET /path?query=secret HTTP/1.1", "POST /post HTTP/1.1"]
    );
    assert_eq!(seen[0].header("host"), [server.address.to_string()]);
    assert_eq!(seen[1].body, 100_000);
    assert_eq!((server.accepted(), other.accepted()), (1, 0));
    let log = trial.log();
    assert_eq!(log.matches("refused: ").count(), 7, "{log}");
    assert!(
        log.contains(&format!(
            "refused: not granted pipeline=\"trial\" destination=\"caller\" capability=\"http\" what=GET https://127.0.0.1:{port}"
        )),
        "{log}"
    );
    assert!(!log.contains("query") && !log.contains("other-port"), "no path and no query is logged: {log}");
    server.closed().await;
}

#[tokio::test]
async fn no_spelling_of_an_address_gets_around_the_grants() {
    let server = Server::start().await;
    let port = server.address.port();
    // Names that the grants fit lead to this machine and to metadata services, whatever the component calls them.
    let private = [
        "127.0.0.1",
        "0.0.0.0",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "169.254.169.254",
        "fd00:ec2::254",
        "100.64.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
    ];
    let names: Vec<(String, Vec<&str>)> =
        private.iter().enumerate().map(|(index, address)| (format!("a{index}.example.com"), vec![*address])).collect();
    let mixed = [
        ("mixed-first.example.com", vec!["127.0.0.1", "93.184.216.34"]),
        ("mixed-last.example.com", vec!["93.184.216.34", "127.0.0.1"]),
    ];
    let all: Vec<(String, Vec<&str>)> = names.into_iter().chain(mixed.map(|(name, answer)| (name.to_owned(), answer))).collect();
    let answers: Vec<(&str, [&[&str]; 1])> = all.iter().map(|(name, answer)| (name.as_str(), [answer.as_slice()])).collect();
    let answers: Vec<(&str, &[&[&str]])> = answers.iter().map(|(name, answer)| (*name, answer.as_slice())).collect();
    let names = Names::new(&answers);
    let requests: Vec<String> = all.iter().map(|(name, _)| format!("http://{name}:{port}/")).collect();
    let local = json!({"to": format!("http://localhost:{port}"), "private": true});
    let grants = json!([format!("http://*.example.com:{port}"), local, "https://*.google.internal"]);
    let got = called(&trial_with(&names), &caller(grants.clone()), &requests).await;
    assert_eq!(got, vec!["ErrorCode::DestinationIpProhibited"; all.len()]);

    // What the component may write for one of them. No answer of a resolver stands behind it: these are refused as they are.
    let spellings = [
        "127.0.0.1",
        "localhost.",
        "LOCALHOST.",
        "0.0.0.0",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "2130706433",
        "2852039166",
        "0x7f.1",
        "0x7f000001",
        "0X7F.0.0.1",
        "017700000001",
        "127.1",
        "0177.0.0.1",
        "127.0.0.1.",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "100.64.0.1",
        "[fe80::1%25eth0]",
        "224.0.0.1",
        "255.255.255.255",
        "a@127.0.0.1",
        "x.example.com@127.0.0.1",
        "x.example.com:80@127.0.0.1",
        "x.example.com.",
        "evilexample.com",
        "example.com",
        "x.example.com.evil.test",
        "x..example.com",
    ];
    let requests: Vec<String> = spellings.iter().map(|host| format!("http://{host}:{port}/")).collect();
    let names = Names::new(&[]);
    let trial = trial_with(&names);
    let got = called(&trial, &caller(grants), &requests).await;
    for (spelling, answer) in spellings.iter().zip(&got) {
        // What is no authority at all is refused where it is set.
        assert!([DENIED, "no authority"].contains(&answer.as_str()), "{spelling}: {answer}");
    }
    assert_eq!(names.asked(), [""; 0], "nothing of these is looked up");
    assert_eq!(server.accepted(), 0);
    assert!(trial.log().contains("the address names a host that ends with a dot"), "{}", trial.log());
}

#[tokio::test]
async fn a_name_leads_where_it_led_when_it_was_checked() {
    let one = Server::start().await;
    let other = Server::at(SocketAddr::from(([127, 0, 0, 2], one.address.port())), None).await;
    let port = one.address.port();
    let url = format!("http://rebound.example.com:{port}");
    // The second answer is another machine: it would be asked for by whoever resolves again to connect.
    let names = Names::new(&[("rebound.example.com", &[&["127.0.0.1"], &["127.0.0.2"]])]);
    let granted = json!([{"to": url, "private": true}]);
    let answers = called(&trial_with(&names), &caller(granted), &[format!("{url}/close")]).await;
    assert_eq!(answers, ["200 content-length=0 bytes=0"]);
    assert_eq!((one.accepted(), other.accepted()), (1, 0));
    assert_eq!(names.asked(), ["rebound.example.com"]);
    assert_eq!(one.seen()[0].header("host"), [format!("rebound.example.com:{port}")]);

    // And where the name is public at first, nobody at the private address hears of it.
    let names = Names::new(&[("rebound.example.com", &[&["93.184.216.34"], &["127.0.0.1"]])]);
    let limits = json!({"connect-time": "200ms"});
    let answers = called(&trial_with(&names), &caller_with(json!([url]), limits, json!({})), &[format!("{url}/again")]).await;
    assert_ne!(answers, ["200 content-length=5 bytes=5"]);
    assert_eq!((one.accepted(), names.asked().len()), (1, 1));

    // The next request looks again, and is refused.
    let limits = json!({"connect-time": "200ms"});
    let names = Names::new(&[("rebound.example.com", &[&["93.184.216.34"], &["127.0.0.1"]])]);
    let requests = [format!("{url}/first"), format!("{url}/second")];
    let answers = called(&trial_with(&names), &caller_with(json!([url]), limits, json!({})), &requests).await;
    assert_eq!(answers[1], "ErrorCode::DestinationIpProhibited");
    assert_eq!(one.accepted(), 1);
}

#[tokio::test]
async fn a_redirect_is_another_request() {
    let (server, other) = (Server::start().await, Server::start().await);
    let url = server.url();
    let added = json!([{"to": url, "headers": {"authorization": "Bearer s3cret-token"}}, other.url()]);
    server.redirect_to(&format!("{}/elsewhere", other.url()));
    let answers = called(&trial(), &caller(added.clone()), &[format!("{url}/redirect follow")]).await;
    assert_eq!(answers, ["200 content-length=5 bytes=5"]);
    assert_eq!(server.seen()[0].header("authorization"), ["Bearer s3cret-token"]);
    assert_eq!(other.seen()[0].header("authorization"), [""; 0], "what is added there is added there alone");

    server.redirect_to("http://169.254.169.254/latest/meta-data");
    let answers = called(&trial(), &caller(added), &[format!("{url}/redirect follow")]).await;
    assert_eq!(answers, [DENIED]);
}

#[tokio::test]
async fn what_a_grant_lacks_is_told_before_anything_runs() {
    let server = Server::start().await;
    let url = server.url();
    let wants = |url: &str, grants: Value| caller_with(grants, json!({}), json!({"url": url}));
    for (caller, expected) in [
        (
            wants(&format!("{url}/v1/rows?x=y"), json!([])),
            format!("guest-caller 0.1.0 asks for HTTP requests to {url} (to send what it is told to), which is not granted"),
        ),
        (
            caller(json!([{"to": "http://api.example.com", "headers": {"x-key": "value"}}])),
            "headers are added to requests to http://api.example.com, which pass in the clear".into(),
        ),
        (
            caller(json!([{"to": "https://api.example.com", "roots": "nowhere.pem"}])),
            "the roots of https://api.example.com: cannot read".into(),
        ),
        (
            caller(json!([{"to": url, "headers": {"x-key": {"file": "nowhere"}}}])),
            format!("the header `x-key` that is added to requests to {url}: cannot read"),
        ),
    ] {
        let refused = trial().start(&[caller]).await.err().unwrap();
        assert!(refused.contains(&expected), "{refused}");
    }
    // Granted as it is asked for, or with more.
    for granted in [json!([url]), json!([{"to": url, "private": true}])] {
        assert!(trial().start(&[wants(&format!("{url}/v1/rows"), granted)]).await.is_ok());
    }
    assert_eq!(server.accepted(), 0);
}
