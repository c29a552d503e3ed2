//! All earthquakes through a service that imports files in its own time, whatever goes wrong on the way.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    process::Stdio,
    thread,
    time::Duration,
};

use serde_json::Value;
use wharf_tests::{
    Scratch, checkout, component,
    imports::{Fault, Imports, rejects},
    long,
};

/// A folder with the earthquakes and a pipeline that has them imported.
fn earthquakes(imports: &Imports, asks: bool, age: &str, source: &str) -> Scratch {
    let scratch = Scratch::new().unwrap();
    let events = fs::read(checkout().join("examples/data/earthquakes.ndjson")).unwrap();
    scratch.write("earthquakes.ndjson", events).unwrap();
    let undecidable = if asks { "hold" } else { "resend" };
    let file = format!(
        "version: 1
pipelines:
  - id: earthquakes
    source: {{ kind: file, path: earthquakes.ndjson, key: /id{source} }}
    destinations:
      - id: service
        component: {}
        settings: {{ authority: \"{address}\", asks: {asks} }}
        grants: {{ http: [ {{ to: \"http://{address}\" }} ] }}
        retry: {{ min-delay: 1ms, max-delay: 10ms }}
        outage: {{ min-delay: 1ms, max-delay: 50ms }}
        bulk:
          schedule: realtime
          poll: {{ min-delay: 100ms }}
          upload-max-age: {age}
          on-lost: resend
          on-undecidable: {undecidable}
",
        component("guest-imports").unwrap().display(),
        address = imports.address(),
    );
    scratch.write("earthquakes.yaml", file).unwrap();
    scratch
}

fn lines(scratch: &Scratch) -> Vec<String> {
    fs::read_to_string(scratch.path("earthquakes.ndjson")).unwrap().lines().map(str::to_owned).collect()
}

/// Holds what was applied, and the accounts of the last run, against what was read. `most` is how often a line may be applied.
fn held(at: &str, scratch: &Scratch, imports: &Imports, summary: &Value, most: u32) {
    let (lines, applied) = (lines(scratch), imports.applied());
    let mut wrong = BTreeMap::new();
    for line in &lines {
        let times = applied.get(line).copied().unwrap_or_default();
        let right = if rejects(line) { times == 0 } else { (1..=most).contains(&times) };
        if !right {
            wrong.insert(line.chars().take(60).collect::<String>(), times);
        }
    }
    let first = wrong.first_key_value();
    assert!(wrong.is_empty(), "{at}: {} lines were applied otherwise than they should: {first:?}", wrong.len());
    let rejected = lines.iter().filter(|line| rejects(line)).count() as u64;
    assert!(rejected > 0, "the service takes everything");
    let letters = scratch.run(&["dead-letters", "list", "--limit", "10000", "--output", "json"]).unwrap().json().unwrap();
    assert_eq!(letters["dead_letters"].as_array().map(|letters| letters.len() as u64), Some(rejected), "{at}");
    let pipeline = &summary["pipelines"][0];
    let destination = &pipeline["destinations"][0];
    let count = |of: &Value| of.as_u64().unwrap();
    let came = count(&pipeline["read"]) + count(&pipeline["carried"]) + count(&destination["spool"]["before"]);
    let went = count(&destination["delivered"]) + count(&destination["dead_lettered"]) + count(&destination["spool"]["known"]);
    assert_eq!((came, &destination["pending"], &destination["unknown"]), (went, &0.into(), &0.into()), "{at}: {summary}");
    let (made, deleted) = imports.imports();
    assert!(deleted > 0 && deleted <= made, "{at}: {deleted} of {made} imports were released");
}

#[test]
fn every_event_is_applied_once_under_every_fault_where_the_service_can_be_asked() {
    for fault in Fault::ALL {
        // What is done in a tenth of a second has a hundred times as long before it is taken for lost.
        let (times, age) = if fault == Fault::Hangs { (3, "10s") } else { (5, "1h") };
        let imports = Imports::start(&[fault], times).unwrap();
        let scratch = earthquakes(&imports, true, age, "");
        let ran = scratch.run(&["run", "earthquakes.yaml", "--once", "--output", "json"]).unwrap();
        let at = format!("{fault:?}");
        assert_eq!(ran.code, Some(3), "{at}: {}\n{}", ran.stderr, ran.stdout);
        assert_eq!(imports.faults_left(), 0, "{at}: it never came to that");
        held(&at, &scratch, &imports, &ran.json().unwrap(), 1);
    }
}

#[test]
fn every_event_is_applied_at_least_once_where_the_service_cannot_be_asked() {
    let imports = Imports::start(&[Fault::CutAfter, Fault::Truncated], 4).unwrap();
    let scratch = earthquakes(&imports, false, "1h", "");
    let ran = scratch.run(&["run", "earthquakes.yaml", "--once", "--output", "json"]).unwrap();
    assert_eq!((ran.code, imports.faults_left()), (Some(3), 0), "{}", ran.stderr);
    held("nobody says", &scratch, &imports, &ran.json().unwrap(), 5);
    assert!(imports.applied().values().any(|times| *times > 1), "nothing was sent twice, and this test holds nothing");
}

#[test]
fn every_event_is_applied_once_whenever_the_host_is_killed() {
    let kills = if long() { 50 } else { 5 };
    let faults =
        [Fault::CutBefore, Fault::CutAfter, Fault::Throttled, Fault::Broken, Fault::Truncated, Fault::Partly, Fault::Unknown];
    let imports = Imports::start(&faults, 20).unwrap();
    let scratch = earthquakes(&imports, true, "1h", ", rate: 1000");
    assert_eq!(scratch.run(&["check", "earthquakes.yaml"]).unwrap().code, Some(0));
    for _ in 0..kills {
        let wharf = scratch.wharf(&["run", "earthquakes.yaml", "--once"]);
        let mut host = wharf.unwrap().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(200 + RandomState::new().build_hasher().finish() % 1500));
        host.kill().unwrap();
        host.wait().unwrap();
    }
    let ran = scratch.run(&["run", "earthquakes.yaml", "--once", "--output", "json"]).unwrap();
    assert!(matches!(ran.code, Some(0 | 3)), "{}", ran.stderr);
    held("killed", &scratch, &imports, &ran.json().unwrap(), 1);
}
