//! The example in Python, built from what `wharf wit` writes and run against a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use serde_json::json;
use wharf_tests::{
    Ran, Scratch,
    far::{Far, Seen, reply},
    languages,
};

/// Writes five records.
fn write(scratch: &Scratch) {
    let lines: String = (1..=5).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    scratch.write("in.ndjson", lines).unwrap();
}

/// Runs these into a server, through the component.
fn run(scratch: &Scratch, component: &Path, url: &str, grant: &str) -> Ran {
    write(scratch);
    languages::run(scratch, component, Path::new("in.ndjson"), url, grant).unwrap()
}

fn origin(far: &Far) -> String {
    format!("http://{}", far.address())
}

fn id(seen: &Seen) -> u64 {
    serde_json::from_slice::<serde_json::Value>(&seen.body).unwrap()["id"].as_u64().unwrap()
}

#[test]
fn a_component_in_python_posts_each_record_in_order_and_tells_what_became_of_it() {
    let component = languages::python(|_, text| text).unwrap();
    let asked = AtomicUsize::new(0);
    let far = Far::start(move |seen| match (id(seen), asked.fetch_add(1, SeqCst)) {
        // For now, and once.
        (2, 1) => reply(500, "not yet"),
        (4, _) => reply(422, "never\nthis one"),
        _ => reply(200, "taken"),
    });
    let far = far.unwrap();
    let scratch = Scratch::new().unwrap();
    let ran = run(&scratch, &component, &format!("{}/events?from=python", origin(&far)), &origin(&far));
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let destination = &ran.json().unwrap()["pipelines"][0]["destinations"][0];
    assert_eq!((&destination["delivered"], &destination["dead_lettered"]), (&json!(4), &json!(1)), "{destination}");

    let seen = far.seen();
    assert_eq!(seen.iter().map(id).collect::<Vec<_>>(), [1, 2, 2, 3, 4, 5]);
    for request in &seen {
        assert_eq!((&*request.method, &*request.path), ("POST", "/events?from=python"));
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.header("authorization"), "Bearer sesame");
    }
    let keys: BTreeSet<_> = seen.iter().map(|request| request.header("idempotency-key")).collect();
    assert_eq!(keys.len(), 5, "{keys:?}");
    assert!(ran.stderr.contains("422: never this one (code 422)"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("sesame"), "{}", ran.stderr);
}

#[test]
fn a_far_side_that_is_gone_or_not_granted_is_told_apart_by_a_component_in_python() {
    let component = languages::python(|_, text| text).unwrap();
    let scratch = Scratch::new().unwrap();
    write(&scratch);
    let (denied, gone) = languages::denied_and_gone(&scratch, &component, Path::new("in.ndjson")).unwrap();
    assert_eq!(denied.code, Some(2), "{}", denied.stderr);
    assert!(denied.stderr.contains("which is not granted"), "{}", denied.stderr);
    assert_eq!(gone.code, Some(1), "{}", gone.stderr);
    assert!(gone.stderr.contains("the connection was refused: nobody listens there (tried 2 times)"), "{}", gone.stderr);
    assert_eq!(gone.json().unwrap()["pipelines"][0]["destinations"][0]["pending"], 5);
}

#[test]
fn a_bug_in_python_reads_as_one() {
    let buggy = |name: &str, text: String| match name {
        "destination.py" => text.replace("        begin = 0\n", "        begin = nowhere\n"),
        _ => text,
    };
    let component = languages::python(buggy).unwrap();
    let far = Far::start(|_| reply(200, "")).unwrap();
    let scratch = Scratch::new().unwrap();
    let ran = run(&scratch, &component, &origin(&far), &origin(&far));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let told = "fatal: a bug in this connector: NameError: name 'nowhere' is not defined, in write (";
    assert!(ran.stderr.contains(told) && ran.stderr.contains("destination.py:"), "{}", ran.stderr);
    // What was not delivered is pending, and nothing was sent.
    assert_eq!(ran.json().unwrap()["pipelines"][0]["destinations"][0]["pending"], 5);
    assert_eq!(far.seen().len(), 0);
}

#[test]
fn settings_that_make_no_sense_are_named_by_a_component_in_python() {
    let component = languages::python(|_, text| text).unwrap();
    let scratch = Scratch::new().unwrap();
    for (url, says) in [
        ("http://:80/", "names no host"),
        ("http://user:pass@127.0.0.1:9/", "holds credentials"),
        ("http://127.0.0.1:port/", "port"),
    ] {
        let ran = run(&scratch, &component, url, "http://127.0.0.1:9");
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(says) && ran.stderr.contains("url"), "{}", ran.stderr);
    }
}
