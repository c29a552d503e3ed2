//! What passes of a request, and what of it a component sees: heads, bodies, TLS, secrets.

use std::net::SocketAddr;

use serde_json::json;

use super::{called, caller, caller_with, trial, trial_with};
use crate::{
    server::{Names, Server, tls},
    trial::Trial,
};

const SECRET: &str = "s3cr/t+k=y-0123";

#[tokio::test]
async fn a_component_cannot_frame_a_request() {
    let server = Server::start().await;
    let url = server.url();
    let forbidden = [
        "host:evil",
        "Host:evil",
        "connection:x-secret",
        "connection:close",
        "transfer-encoding:chunked",
        "te:trailers",
        "trailer:x",
        "expect:100-continue",
        "upgrade:websocket",
        "http2-settings:AAMA",
        "keep-alive:timeout=5",
        "proxy-authorization:x",
        "proxy-connection:close",
        "proxy-anything:x",
    ];
    let invalid = ["x:a\\r\\nhost:evil", "x:a\\nb", "x:a\\0b", ":leading", "x\\sy:z", "x\\r\\ny:z"];
    let mut requests: Vec<String> = forbidden.iter().chain(&invalid).map(|header| format!("{url}/ header={header}")).collect();
    requests.extend([
        format!("{url}/ method=POST body=5 length=+5"),
        format!("{url}/ method=POST body=5 length=5,5"),
        format!("{url}/ method=POST body=5 length=5 header=content-length:6"),
        format!("{url}/ length=5"),
        format!("{url}/ method=POST length=3 body=5"),
        format!("{url}/ method=POST length=9 body=5"),
        format!("{url}/ path=http://evil/"),
        format!("{url}/ path=*"),
        format!("{url}/ path=/x\\sHTTP/1.1"),
        format!("{url}/hop copy=proxy-authenticate"),
        format!("{url}/hop copy=keep-alive"),
        format!("{url}/hop copy=x-kept"),
    ]);
    let answers = called(&trial(), &caller(json!([url])), &requests).await;
    for (request, answer) in requests.iter().zip(&answers) {
        println!("{request} → {answer}");
    }
    for (header, answer) in forbidden.iter().zip(&answers) {
        assert!(answer.contains("HeaderError::Forbidden"), "{header}: {answer}");
    }
    for (header, answer) in invalid.iter().zip(&answers[forbidden.len()..]) {
        assert!(answer.contains("HeaderError::InvalidSyntax"), "{header}: {answer}");
    }
    let rest = &answers[forbidden.len() + invalid.len()..];
    // One that declares less than it writes is cut where it said; all others are refused.
    let sent: Vec<usize> = (0..9).filter(|index| rest[*index].starts_with("200")).collect();
    assert_eq!(sent, [4], "{rest:?}");
    assert_eq!(rest[9], "200 0 copied unseen");
    assert_eq!(rest[10], "200 0 copied unseen");
    assert_eq!(rest[11], "200 1 copied seen");
    assert_eq!(server.seen()[0].header("content-length"), ["3"]);
    for seen in server.seen() {
        assert_eq!(seen.header("host"), [server.address.to_string()], "{seen:?}");
        assert!(seen.header("content-length").len() + seen.header("transfer-encoding").len() <= 1, "{seen:?}");
        for name in ["connection", "te", "trailer", "expect", "upgrade", "http2-settings", "keep-alive", "proxy-authorization"] {
            assert_eq!(seen.header(name), [""; 0], "{seen:?}");
        }
        let words: Vec<&str> = seen.line().split(' ').collect();
        assert!(words.len() == 3 && words[1].starts_with('/'), "{seen:?}");
    }
}

#[tokio::test]
async fn tls_is_held_against_the_granted_roots_and_the_name() {
    let (acceptor, root) = tls(&["api.example.com", "127.0.0.1"]);
    let server = Server::at(SocketAddr::from(([127, 0, 0, 1], 0)), Some(acceptor)).await;
    let (_, other_root) = tls(&[]);
    let port = server.address.port();
    let names = Names::new(&[("api.example.com", &[&["127.0.0.1"]]), ("other.example.com", &[&["127.0.0.1"]])]);
    let trial = trial_with(&names);
    trial.folder.write("root.pem", root).unwrap();
    trial.folder.write("other.pem", other_root).unwrap();
    let granted = |root: &str| {
        json!([
            {"to": format!("https://api.example.com:{port}"), "private": true, "roots": root, "headers": {"x-key": {"file": "key"}}},
            {"to": format!("https://other.example.com:{port}"), "private": true, "roots": root},
            {"to": format!("https://127.0.0.1:{port}"), "roots": root},
        ])
    };
    trial.folder.write("key", "s3cret-key\n").unwrap();
    let requests = ["api.example.com", "other.example.com", "127.0.0.1"].map(|host| format!("https://{host}:{port}/"));
    let ok = "200 content-length=5 bytes=5";
    let answers = called(&trial, &caller(granted("root.pem")), &requests).await;
    assert_eq!(answers, [ok, "ErrorCode::TlsCertificateError", ok]);
    let seen = server.seen();
    assert_eq!((seen[0].header("x-key"), seen[1].header("x-key")), (vec!["s3cret-key"], vec![]));

    let trial = trial_with(&names);
    let other = trial.folder.write("other.pem", tls(&[]).1).unwrap();
    trial.folder.write("key", "s3cret-key\n").unwrap();
    let answers = called(&trial, &caller(granted(other.to_str().unwrap())), &requests).await;
    assert_eq!(answers, ["ErrorCode::TlsCertificateError"; 3]);
    assert_eq!(server.seen().len(), 2);
    assert!(trial.log().contains("failed: TLS: invalid peer certificate"), "{}", trial.log());
}

#[tokio::test]
async fn what_the_host_adds_is_added_there_alone_and_seen_nowhere() {
    let (server, other) = (Server::start().await, Server::start().await);
    let (url, elsewhere) = (server.url(), other.url());
    let grants = json!([{"to": url, "headers": {"authorization": format!("Bearer {SECRET}")}}, elsewhere]);
    let trial = trial();
    let requests = [
        format!("{url}/echo header=authorization:my-own header=Authorization:another everywhere"),
        format!("{url}/echo remark"),
        format!("{elsewhere}/"),
    ];
    let answers = called(&trial, &caller(grants), &requests).await;
    let told = format!("{} {}", answers.join("\n"), trial.log());
    assert!(answers[0].contains("x-plain=*** x-bare=<***> x-base64=***"), "{told}");
    for form in ["s3cr", "czNjci90", "2Ft", "%2F", "my-own"] {
        assert!(!told.contains(form), "{form} in {told}");
    }
    for way in ["log: 200", "stdout: 200", "stderr: 200", "remark: 200"] {
        assert!(trial.log().contains(way), "{way}: {}", trial.log());
    }
    assert_eq!(server.seen()[0].header("authorization"), [format!("Bearer {SECRET}")]);
    assert_eq!(other.seen()[0].header("authorization"), [""; 0]);
    let letters = trial.dead_letters().await;
    assert!(letters.iter().all(|letter| !format!("{letter:?}").contains("s3cr")), "{letters:?}");
}

#[tokio::test]
async fn a_body_is_passed_on_as_it_is_and_what_is_told_of_it_is_not() {
    let server = Server::start().await;
    let grants = json!([{"to": server.url(), "headers": {"authorization": format!("Bearer {SECRET}")}}]);
    let trial = trial();
    // 15 bytes of secret and 7 of `Bearer `: the component read them, and cannot tell them by accident.
    let answers = called(&trial, &caller(grants), &[format!("{}/echo body-too", server.url())]).await;
    assert!(answers[0].ends_with("*** bytes=22"), "{answers:?}");
}

#[tokio::test]
async fn a_secret_setting_is_seen_nowhere() {
    let trial = trial();
    let answers = called(&trial, &caller_with(json!([]), json!({}), json!({"secret": SECRET})), &["tell everywhere"]).await;
    assert_eq!(answers, ["***"]);
    assert!(!trial.log().contains("s3cr") && trial.log().contains("stdout: ***"), "{}", trial.log());

    // Also not in what a trap leaves behind, where the instance ends for good.
    let trial = Trial::new(["tell panic"]);
    let ran = trial.run(&[caller_with(json!([]), json!({}), json!({"secret": SECRET}))]).await;
    let told = format!("{} {} {:?}", ran.error, trial.log(), trial.dead_letters().await);
    assert!(told.contains("***") && !told.contains("s3cr"), "{told}");
}

#[tokio::test]
async fn a_secret_setting_is_seen_nowhere_in_what_is_said_of_settings() {
    for how in ["problem", "panic"] {
        let trial = trial();
        let settings = json!({"secret": SECRET, "tell-in-check": how});
        let refused = trial.start(&[caller_with(json!([]), json!({}), settings)]).await.err().unwrap();
        let told = format!("{refused}\n{}", trial.log());
        assert!(told.contains("it is ***") && !told.contains("s3cr"), "{told}");
        assert!(!refused.lines().any(|line| line.starts_with("hint: a line")), "{refused}");
    }
}
