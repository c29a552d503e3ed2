//! The `http` connector in the whole program, against a server on this machine.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::{SocketAddr, TcpListener},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use wharf_tests::{
    Ran, Scratch, checkout, component,
    far::{Far, Reply, Seen, reply},
    issuer::Issuer,
};

/// A pipeline of lines of JSON with a key at `/id` to a URL; `more` are further keys of the destination, as JSON.
fn pipeline(scratch: &Scratch, url: &str, settings: &Value, more: &Value) {
    let mut destination = json!({
        "id": "hook",
        "component": component("wharf-http").unwrap(),
        "settings": {"url": url, "probe": "none"},
        "grants": {"http": [{"to": origin(url), "private": true}]},
    });
    merge(&mut destination["settings"], settings);
    let mut pipeline = json!({"id": "p", "source": {"kind": "file", "path": "in.ndjson", "key": "/id"}, "destinations": []});
    for (name, value) in more.as_object().unwrap() {
        match name.strip_prefix("pipeline.") {
            Some(name) => pipeline[name] = value.clone(),
            None => destination[name] = value.clone(),
        }
    }
    pipeline["destinations"] = json!([destination]);
    scratch.write("p.yaml", json!({"version": 1, "pipelines": [pipeline]}).to_string()).unwrap();
}

fn origin(url: &str) -> String {
    url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
}

fn merge(into: &mut Value, from: &Value) {
    for (name, value) in from.as_object().unwrap() {
        into[name] = value.clone();
    }
}

fn url(far: &Far, path: &str) -> String {
    format!("http://{}{path}", far.address())
}

/// So many records with an id each.
fn records(scratch: &Scratch, count: usize) {
    let mut lines = String::new();
    (0..count).for_each(|id| writeln!(lines, r#"{{"id":{id},"text":"record {id}"}}"#).unwrap());
    scratch.write("in.ndjson", lines).unwrap();
}

fn run(scratch: &Scratch) -> Ran {
    scratch.run(&["run", "p.yaml", "--output", "json"]).unwrap()
}

/// What became of the records at the destination.
fn counts(ran: &Ran) -> Value {
    ran.json().unwrap()["pipelines"][0]["destinations"][0].clone()
}

fn ids(seen: &[Seen]) -> Vec<u64> {
    let id = |seen: &Seen| serde_json::from_slice::<Value>(&seen.body).unwrap()["id"].as_u64().unwrap();
    let mut ids: Vec<u64> = seen.iter().map(id).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn real_events_arrive_and_are_read_back_with_curl() {
    // A store: what is put at a path is got there.
    let kept: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
    let far = Far::start({
        let kept = kept.clone();
        move |request| {
            let mut kept = kept.lock().unwrap();
            match request.method.as_str() {
                "PUT" => {
                    kept.insert(request.path.clone(), request.body.clone());
                    reply(201, "")
                }
                _ => kept.get(&request.path).map_or_else(|| reply(404, "no such event"), |body| reply(200, body.clone())),
            }
        }
    })
    .unwrap();
    let scratch = Scratch::new().unwrap();
    let events = fs::read_to_string(checkout().join("examples/data/earthquakes.ndjson")).unwrap();
    scratch.write("data/earthquakes.ndjson", &events).unwrap();
    let example = fs::read_to_string(checkout().join("examples/webhook.yaml")).unwrap();
    let example = example.replace("../target/connectors/http.wasm", &component("wharf-http").unwrap().display().to_string());
    scratch.write("p.yaml", example.replace("127.0.0.1:8080", &far.address().to_string())).unwrap();
    let ran = run(&scratch);
    assert_eq!((ran.code, counts(&ran)["delivered"].as_u64()), (Some(0), Some(1707)), "{}", ran.stderr);

    let mut wanted = String::new();
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        writeln!(wanted, "url = \"{}\"", url(&far, &format!("/events/{}", event["id"].as_str().unwrap()))).unwrap();
        writeln!(wanted, "write-out = \"\\n\"").unwrap();
    }
    scratch.write("urls", wanted).unwrap();
    let curl = Command::new("curl").args(["--silent", "--fail", "--config"]).arg(scratch.path("urls")).output();
    let read = curl.expect("curl is needed to read back what arrived: apt-get install curl");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    assert!(read.stdout == events.as_bytes(), "what curl reads is not what was sent");
}

#[test]
fn over_tls_under_a_root_of_ones_own_with_a_credential_that_the_component_never_sees() {
    let (far, root) = Far::start_tls(&["localhost"], |request| match request.header("authorization") {
        "Bearer s3cr3t-token" => reply(200, ""),
        other => reply(401, format!("{other} is not known here")),
    })
    .unwrap();
    let scratch = Scratch::new().unwrap();
    records(&scratch, 20);
    scratch.write("root.pem", root).unwrap();
    scratch.write("token", "s3cr3t-token").unwrap();
    let at = format!("https://localhost:{}", far.address().port());
    let grant = |headers: Value, roots: Value| json!({"grants": {"http": [{"to": at, "private": true, "roots": roots, "headers": headers}]}});
    let headers = json!({"Authorization": {"file": "token", "prefix": "Bearer "}});
    pipeline(&scratch, &format!("{at}/in"), &json!({}), &grant(headers.clone(), json!("root.pem")));
    let ran = run(&scratch);
    assert_eq!((ran.code, counts(&ran)["delivered"].as_u64()), (Some(0), Some(20)), "{}", ran.stderr);
    assert_eq!(ids(&far.seen()), (0..20).collect::<Vec<_>>());
    assert!(!ran.stdout.contains("s3cr3t") && !ran.stderr.contains("s3cr3t"));

    // Refused, and then mended.
    scratch.write("token", "stale").unwrap();
    let more: String = (20..30).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    let before = fs::read_to_string(scratch.path("in.ndjson")).unwrap();
    scratch.write("in.ndjson", before + &more).unwrap();
    let ran = run(&scratch);
    assert_eq!((ran.code, counts(&ran)["pending"].as_u64()), (Some(1), Some(10)), "{}", ran.stderr);
    assert!(ran.stderr.contains("unauthorized") && ran.stderr.contains(": 401"), "{}", ran.stderr);
    scratch.write("token", "s3cr3t-token").unwrap();
    let ran = run(&scratch);
    assert_eq!((ran.code, counts(&ran)["delivered"].as_u64()), (Some(0), Some(10)), "{}", ran.stderr);
}

#[test]
fn a_token_that_the_far_side_refuses_is_fetched_anew_and_no_record_is_lost() {
    let issuer = Issuer::start().unwrap();
    // It forgets a token once it has taken ten requests with it.
    let taken = Mutex::new(BTreeMap::<String, u32>::new());
    let far = Far::start(move |request| {
        let token = request.header("authorization").to_owned();
        let mut taken = taken.lock().unwrap();
        let uses = taken.entry(token.clone()).or_default();
        *uses += 1;
        if token.starts_with("Bearer ") && *uses <= 10 { reply(200, "") } else { reply(401, "the token has expired") }
    })
    .unwrap();
    let scratch = Scratch::new().unwrap();
    records(&scratch, 25);
    scratch.write("secret", "client-secret").unwrap();
    let grant =
        json!({"http": [{"to": origin(&url(&far, "/")), "headers": {"Authorization": {"token": "crm", "prefix": "Bearer "}}}]});
    pipeline(&scratch, &url(&far, "/in"), &json!({"concurrency": 1}), &json!({"grants": grant, "batch": {"records": 5}}));
    let mut file: Value = serde_json::from_slice(&fs::read(scratch.path("p.yaml")).unwrap()).unwrap();
    let secret = json!({"file": "secret"});
    file["tokens"] = json!([{"id": "crm", "kind": "client-credentials", "token-url": issuer.url(), "client-id": "us", "client-secret": secret}]);
    scratch.write("p.yaml", file.to_string()).unwrap();
    let ran = run(&scratch);
    assert_eq!((ran.code, counts(&ran)["delivered"].as_u64()), (Some(0), Some(25)), "{}", ran.stderr);
    let accepted: Vec<Seen> = far.seen();
    let mut came = ids(&accepted);
    came.dedup();
    assert_eq!(came, (0..25).collect::<Vec<_>>());
    assert_eq!(issuer.asked().len(), 3, "a token for ten records each");
    assert!(!ran.stdout.contains("client-secret") && !ran.stderr.contains("client-secret"), "{}", ran.stderr);
}

/// Runs until all records were answered for, while something else is done.
fn run_meanwhile(scratch: &Scratch, meanwhile: impl FnOnce()) -> Ran {
    let mut wharf = scratch.wharf(&["run", "p.yaml", "--output", "json"]).unwrap();
    let running = wharf.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    meanwhile();
    running.wait_with_output().unwrap().into()
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let scratch = Scratch::new().unwrap();
    records(&scratch, 50);
    let address = free();
    pipeline(&scratch, &format!("http://{address}/in"), &json!({}), &json!({"outage": {"max-delay": "1s"}}));
    let mut far = None;
    let ran = run_meanwhile(&scratch, || {
        thread::sleep(Duration::from_millis(1500));
        far = Some(Far::at(TcpListener::bind(address).unwrap(), None, |_| reply(200, "")).unwrap());
    });
    assert_eq!((ran.code, counts(&ran)["delivered"].as_u64()), (Some(0), Some(50)), "{}", ran.stderr);
    assert!(ran.stderr.contains("the connection was refused: nobody listens there"), "{}", ran.stderr);
    assert_eq!(ids(&far.unwrap().seen()), (0..50).collect::<Vec<_>>());
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_a_batch_and_comes_back_gets_every_record() {
    let scratch = Scratch::new().unwrap();
    records(&scratch, 2000);
    let slow = |_: &Seen| Reply { delay: Duration::from_millis(5), ..reply(200, "") };
    let first = Far::start(slow).unwrap();
    let address = first.address();
    pipeline(&scratch, &url(&first, "/in"), &json!({}), &json!({"outage": {"max-delay": "1s"}}));
    let mut second = None;
    let ran = run_meanwhile(&scratch, || {
        while first.seen().len() < 300 {
            thread::sleep(Duration::from_millis(5));
        }
        first.kill();
        thread::sleep(Duration::from_millis(500));
        second = Some(Far::at(TcpListener::bind(address).unwrap(), None, slow).unwrap());
    });
    assert_eq!((ran.code, counts(&ran)["delivered"].as_u64()), (Some(0), Some(2000)), "{}", ran.stderr);
    let mut arrived = [first.seen(), second.unwrap().seen()].concat();
    let keys: BTreeMap<String, Vec<u8>> =
        arrived.iter().map(|seen| (seen.header("idempotency-key").to_owned(), seen.body.clone())).collect();
    // What came twice came under the same key, by which a server can tell.
    assert_eq!(keys.len(), 2000);
    arrived.retain(|seen| keys[seen.header("idempotency-key")] == seen.body);
    let mut unique = ids(&arrived);
    unique.dedup();
    assert_eq!(unique, (0..2000).collect::<Vec<_>>());
    // What was answered for before is not sent again; what was under way is.
    assert!(arrived.len() <= 2000 + 2 * 16, "{} requests", arrived.len());
}

#[test]
fn of_many_records_those_that_the_server_refuses_are_dead_letters_with_its_reason() {
    const RECORDS: usize = 100_000;
    let scratch = Scratch::new().unwrap();
    records(&scratch, RECORDS);
    let taken = Arc::new(AtomicUsize::new(0));
    let far = Far::start({
        let taken = taken.clone();
        move |request| {
            let ids = request.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            let items: Vec<Value> = ids
                .map(|line| {
                    let id = serde_json::from_slice::<Value>(line).unwrap()["id"].as_u64().unwrap();
                    if id % 100 == 37 {
                        return json!({"create": {"status": 400, "error": {"reason": format!("{id} is out of range")}}});
                    }
                    taken.fetch_add(1, SeqCst);
                    json!({"create": {"status": 201}})
                })
                .collect();
            reply(200, json!({"items": items}).to_string())
        }
    })
    .unwrap();
    let settings = json!({
        "body": "json-lines",
        "answer": {"items": "/items", "status": "/*/status", "error": "/*/error/reason"},
    });
    pipeline(&scratch, &url(&far, "/_bulk"), &settings, &json!({"pipeline.dead-letters": {"window": 100, "tolerance": 10}}));
    let ran = run(&scratch);
    let counts = counts(&ran);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert_eq!((counts["delivered"].as_u64(), counts["dead_lettered"].as_u64()), (Some(99_000), Some(1_000)));
    assert_eq!(taken.load(SeqCst), 99_000);
    let listed = scratch.run(&["dead-letters", "list", "--limit", "1000", "--output", "json"]).unwrap();
    assert!(
        listed.stdout.contains("of this record: 400: 99937 is out of range"),
        "{}",
        &listed.stdout[..2000.min(listed.stdout.len())]
    );
}

#[test]
fn sixteen_requests_are_under_way_where_each_takes_its_time() {
    let scratch = Scratch::new().unwrap();
    records(&scratch, 400);
    let far = Far::start(|_| Reply { delay: Duration::from_millis(50), ..reply(200, "") }).unwrap();
    pipeline(&scratch, &url(&far, "/in"), &json!({}), &json!({}));
    let ran = run(&scratch);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(far.peak(), 16);
}

#[test]
fn what_does_not_fit_into_the_time_of_a_call_is_shortened_so_that_no_call_is_ended() {
    let far = Far::start(|_| {
        thread::sleep(Duration::from_secs(1));
        reply(200, "")
    })
    .unwrap();
    let scratch = Scratch::new().unwrap();
    records(&scratch, 12);
    // All of them would take 12 s, and `patience` by itself lets requests begin for 30 s.
    let limits = json!({"limits": {"time": {"write": "8s"}}});
    pipeline(&scratch, &url(&far, "/in"), &json!({"concurrency": 1}), &limits);
    let ran = run(&scratch);
    assert_eq!((ran.code, counts(&ran)["delivered"].as_u64()), (Some(0), Some(12)), "{}", ran.stderr);
    assert_eq!(ids(&far.seen()), (0..12).collect::<Vec<_>>());
    let warned =
        "`timeout` of 20s and `patience` of 30s do not fit into the 8s that a call of `write` may take (`limits.time.write`)";
    assert!(ran.stderr.contains(warned), "{}", ran.stderr);
}

#[test]
fn a_server_that_asks_for_patience_is_given_it_and_no_record_is_lost() {
    let scratch = Scratch::new().unwrap();
    records(&scratch, 100);
    let asked = AtomicBool::new(false);
    let far = Far::start(move |request| {
        if request.body.starts_with(b"{\"id\":40,") && !asked.swap(true, SeqCst) {
            return Reply { headers: vec![("retry-after".into(), "1".into())], ..reply(429, "") };
        }
        reply(200, "")
    })
    .unwrap();
    pipeline(&scratch, &url(&far, "/in"), &json!({}), &json!({}));
    let ran = run(&scratch);
    assert_eq!((ran.code, counts(&ran)["delivered"].as_u64()), (Some(0), Some(100)), "{}", ran.stderr);
    let mut unique = ids(&far.seen());
    assert_eq!(unique.len(), 101);
    unique.dedup();
    assert_eq!(unique.len(), 100);
}

#[test]
fn the_page_has_the_example_and_every_setting_with_its_default() {
    wharf_tests::page::holds_connector("http", "examples/webhook.yaml");
}

#[test]
fn whether_the_far_side_is_there_is_asked_with_head_at_what_all_records_share() {
    let status = Arc::new(AtomicUsize::new(405));
    let far = Far::start({
        let status = status.clone();
        move |request| match &*request.method {
            "HEAD" => reply(u16::try_from(status.load(SeqCst)).unwrap(), "no body"),
            _ => reply(200, ""),
        }
    })
    .unwrap();
    let scratch = Scratch::new().unwrap();
    records(&scratch, 3);
    pipeline(&scratch, &url(&far, "/events/{{/id}}?from=wharf"), &json!({"probe": "head"}), &json!({}));
    let probed = || scratch.run(&["check", "p.yaml", "--probe"]).unwrap();
    let what = format!("HEAD http://{}/events/", far.address());
    for (answered, code, told) in [
        // It knows no HEAD there, and is there.
        (405, 0, "  hook: reachable (".to_owned()),
        (200, 0, "  hook: reachable (".to_owned()),
        (401, 1, format!("  hook: NOT reachable: unauthorized: {what}: 401")),
        (503, 1, format!("  hook: NOT reachable: transient: {what}: 503")),
    ] {
        status.store(answered, SeqCst);
        let ran = probed();
        assert!(ran.code == Some(code) && ran.stdout.contains(&told), "{answered}: {}{}", ran.stdout, ran.stderr);
    }
    assert!(far.seen().iter().all(|seen| (&*seen.method, &*seen.path) == ("HEAD", "/events/")), "{:?}", far.seen());
    // A run asks too, and then sends.
    status.store(404, SeqCst);
    let ran = run(&scratch);
    assert_eq!((ran.code, counts(&ran)["delivered"].as_u64()), (Some(0), Some(3)), "{}", ran.stderr);
    far.kill();
    let ran = probed();
    assert!(ran.code == Some(1) && ran.stdout.contains(&format!("NOT reachable: transient: {what}: ")), "{}", ran.stdout);
}
