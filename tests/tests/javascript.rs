//! The example in JavaScript, built from what `wharf wit` writes and run against a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use serde_json::Value;
use wharf_tests::{
    Ran, Scratch, checkout,
    far::{Far, reply},
    languages,
};

const DATA: &str = "examples/data/earthquakes.ndjson";

/// Runs the earthquakes into a server, through the component.
fn run(scratch: &Scratch, component: &Path, url: &str, grant: &str) -> Ran {
    languages::run(scratch, component, &checkout().join(DATA), url, grant).unwrap()
}

fn origin(far: &Far) -> String {
    format!("http://{}", far.address())
}

fn destination(ran: &Ran) -> Value {
    ran.json().unwrap()["pipelines"][0]["destinations"][0].clone()
}

#[test]
fn a_component_in_javascript_posts_the_earthquakes_in_order_each_once() {
    let component = languages::javascript(|_, text| text).unwrap();
    let asked = AtomicUsize::new(0);
    // The third request is to come again.
    let far =
        Far::start(move |_| if asked.fetch_add(1, SeqCst) == 2 { reply(503, "not yet") } else { reply(200, "taken") }).unwrap();
    let scratch = Scratch::new().unwrap();
    let ran = run(&scratch, &component, &format!("{}/events?from=javascript", origin(&far)), &origin(&far));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(destination(&ran)["delivered"], 1707, "{}", ran.stdout);

    assert!(!ran.stderr.contains("sesame"), "{}", ran.stderr);
    let seen = far.seen();
    for request in &seen {
        assert_eq!((&*request.method, &*request.path), ("POST", "/events?from=javascript"));
        assert_eq!(request.header("content-type"), "application/x-ndjson");
        assert_eq!(request.header("authorization"), "Bearer sesame");
    }
    // What was refused for now came again as it was, under the same key, and no other key came twice.
    assert_eq!((seen[2].header("idempotency-key"), &seen[2].body), (seen[3].header("idempotency-key"), &seen[3].body));
    let mut keys: Vec<&str> = seen.iter().map(|request| request.header("idempotency-key")).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len() + 1, seen.len());
    let taken: Vec<u8> =
        seen.iter().enumerate().filter(|(at, _)| *at != 2).flat_map(|(_, request)| request.body.clone()).collect();
    let file = fs::read(checkout().join(DATA)).unwrap();
    assert!(taken == file, "{} bytes were posted of {}", taken.len(), file.len());
}

#[test]
fn a_far_side_that_is_gone_or_not_granted_is_told_apart_by_a_component_in_javascript() {
    let component = languages::javascript(|_, text| text).unwrap();
    let scratch = Scratch::new().unwrap();
    let (denied, gone) = languages::denied_and_gone(&scratch, &component, &checkout().join(DATA)).unwrap();
    assert_eq!(denied.code, Some(2), "{}", denied.stderr);
    assert!(denied.stderr.contains("which is not granted"), "{}", denied.stderr);
    assert_eq!(gone.code, Some(1), "{}", gone.stderr);
    assert!(gone.stderr.contains("the connection was refused: nobody listens there (tried 2 times)"), "{}", gone.stderr);
    assert!(destination(&gone)["pending"].as_u64().unwrap() > 0, "{}", gone.stdout);
}

#[test]
fn a_bug_in_javascript_reads_as_one() {
    let buggy = |name: &str, text: String| match name {
        "session.js" => text.replace("const headers = {", "const headers = nowhere ?? {"),
        _ => text,
    };
    let component = languages::javascript(buggy).unwrap();
    let far = Far::start(|_| reply(200, "")).unwrap();
    let scratch = Scratch::new().unwrap();
    let ran = run(&scratch, &component, &origin(&far), &origin(&far));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let told = "fatal: a bug in this connector: ReferenceError: nowhere is not defined, at send@";
    assert!(ran.stderr.contains(told) && ran.stderr.contains("session.js:"), "{}", ran.stderr);
    // Nothing was sent.
    assert_eq!(far.seen().len(), 0);
}
