//! HTTP through the host: what is granted, where it really goes, what it may cost, and what is never seen.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{
    server::{Names, Server, tls},
    trial::{Trial, destination},
};

/// A `guest-caller` with these HTTP grants.
fn caller(grants: Value) -> Value {
    caller_with(grants, json!({}), json!({}))
}

fn caller_with(grants: Value, limits: Value, settings: Value) -> Value {
    let mut caller = destination("caller", "guest-caller", settings);
    caller["grants"] = json!({"http": grants});
    caller["limits"] = json!({"http": limits});
    caller
}

/// What each request came to.
async fn called(trial: &Trial, caller: &Value, requests: &[impl AsRef<str>]) -> Vec<String> {
    trial.append(requests.iter().map(|request| request.as_ref().as_bytes()));
    let ran = trial.run(std::slice::from_ref(caller)).await;
    assert_eq!(ran.error, "");
    let letters = trial.dead_letters().await;
    let of = |request: &str| letters.iter().find(|letter| letter.record.after() == Some(request.as_bytes()));
    requests
        .iter()
        .map(|request| of(request.as_ref()).map_or_else(|| "no answer".into(), |letter| letter.reason.message.to_string()))
        .collect()
}

fn trial() -> Trial {
    Trial::new([""; 0])
}

fn trial_with(names: &Arc<Names>) -> Trial {
    let mut trial = trial();
    trial.resolver = names.clone();
    trial
}

const DENIED: &str = "ErrorCode::HttpRequestDenied";

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

const SECRET: &str = "s3cr/t+k=y-0123";

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
