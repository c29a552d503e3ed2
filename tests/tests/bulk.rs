//! Destinations that take files, from a pipeline file to the files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    process::Stdio,
    thread,
    time::Duration,
};

use wharf_tests::{Scratch, checkout, component, host::Host, long};

/// Records in the example.
const EVENTS: u64 = 1707;

/// A folder with the earthquakes and a pipeline that has them uploaded as files.
fn earthquakes(bulk: &str, source: &str) -> Scratch {
    let scratch = Scratch::new().unwrap();
    let events = fs::read(checkout().join("examples/data/earthquakes.ndjson")).unwrap();
    scratch.write("earthquakes.ndjson", events).unwrap();
    fs::create_dir(scratch.path("out")).unwrap();
    let file = format!(
        "version: 1
pipelines:
  - id: earthquakes
    source: {{ kind: file, path: earthquakes.ndjson, key: /id{source} }}
    batch: {{ records: 100 }}
    destinations:
      - id: files
        component: {}
        grants: {{ directories: [ {{ host: out, guest: /out, access: read-write }} ] }}
        bulk: {bulk}
",
        component("wharf-bulk-file").unwrap().display()
    );
    scratch.write("earthquakes.yaml", file).unwrap();
    scratch
}

/// The lines of all files that arrived, in the order of their names, and how many files there are.
fn arrived(scratch: &Scratch) -> (Vec<String>, usize) {
    let mut files: Vec<_> = fs::read_dir(scratch.path("out")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'));
    files.sort();
    let lines = files.iter().flat_map(|path| fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>());
    (lines.collect(), files.len())
}

fn sent(scratch: &Scratch) -> Vec<String> {
    fs::read_to_string(scratch.path("earthquakes.ndjson")).unwrap().lines().map(str::to_owned).collect()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn every_event_arrives_in_a_file_and_the_accounts_add_up() {
    let scratch = earthquakes("{ schedule: '@every 1h', max-records: 1707 }", "");
    let ran = scratch.run(&["run", "earthquakes.yaml", "--once", "--output", "json"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let destination = &ran.json().unwrap()["pipelines"][0]["destinations"][0];
    assert_eq!((&destination["delivered"], &destination["pending"]), (&EVENTS.into(), &0.into()), "{destination}");
    assert_eq!(destination["spool"], serde_json::json!({"before": 0, "known": 0, "pending": 0}));
    assert_eq!(arrived(&scratch), (sent(&scratch), 1), "all of it in one file, since it was made when all was there");

    let again = scratch.run(&["run", "earthquakes.yaml", "--once", "--output", "json"]).unwrap();
    assert_eq!((again.code, &again.json().unwrap()["pipelines"][0]["read"]), (Some(0), &0.into()), "{}", again.stderr);
    assert_eq!(arrived(&scratch).1, 1);
}

#[test]
fn records_wait_for_the_schedule_until_told_otherwise() {
    let scratch = earthquakes("{ schedule: 0 0 1 1 *, time-zone: Europe/Berlin }", "");
    let mut host = Host::start(&scratch, "earthquakes.yaml").unwrap();
    // All was taken, the source is at its end, and the host runs on.
    host.until(|host| Ok(host.status("earthquakes")?["destinations"][0]["pending"] == EVENTS)).unwrap();
    assert_eq!(host.status("earthquakes").unwrap()["state"], "running");
    assert_eq!(arrived(&scratch).1, 0);
    host.signal("TERM").unwrap();
    let ended = host.ended().unwrap();
    let destination = &ended.json().unwrap()["pipelines"][0]["destinations"][0];
    assert_eq!((ended.code, &destination["pending"]), (Some(1), &EVENTS.into()), "{}", ended.stderr);

    // Of what is in the spool nothing is read again.
    let now = scratch.run(&["run", "earthquakes.yaml", "--once", "--now", "--output", "json"]).unwrap();
    let summary = &now.json().unwrap()["pipelines"][0];
    assert_eq!((now.code, &summary["read"], &summary["carried"]), (Some(0), &0.into(), &0.into()), "{}", now.stderr);
    assert_eq!(summary["destinations"][0]["delivered"], EVENTS);
    assert_eq!(summary["destinations"][0]["spool"]["before"], EVENTS);
    assert_eq!(sorted(arrived(&scratch).0), sorted(sent(&scratch)));
}

#[test]
fn a_host_that_is_killed_again_and_again_delivers_every_event_once() {
    let kills = if long() { 50 } else { 5 };
    // Slow enough that kills meet it at all stages.
    let scratch = earthquakes("{ schedule: realtime }", ", rate: 1000");
    assert_eq!(scratch.run(&["check", "earthquakes.yaml"]).unwrap().code, Some(0));
    for _ in 0..kills {
        let wharf = scratch.wharf(&["run", "earthquakes.yaml", "--once"]);
        let mut host = wharf.unwrap().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(100 + RandomState::new().build_hasher().finish() % 1200));
        host.kill().unwrap();
        host.wait().unwrap();
    }
    let ran = scratch.run(&["run", "earthquakes.yaml", "--once", "--output", "json"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let summary = &ran.json().unwrap()["pipelines"][0];
    let destination = &summary["destinations"][0];
    let count = |of: &serde_json::Value| of.as_u64().unwrap();
    let came = count(&summary["read"]) + count(&summary["carried"]) + count(&destination["spool"]["before"]);
    assert_eq!(came, count(&destination["delivered"]) + count(&destination["spool"]["known"]), "{summary}");
    assert_eq!(destination["pending"], 0);
    assert!(sorted(arrived(&scratch).0) == sorted(sent(&scratch)), "what arrived is not what was read, each once");
}

#[test]
fn what_does_nothing_for_files_is_refused_and_so_are_files_for_who_takes_none() {
    let scratch = earthquakes("{ schedule: realtime }", "");
    let file = fs::read_to_string(scratch.path("earthquakes.yaml")).unwrap();
    let check = |file: &str| {
        scratch.write("wrong.yaml", file).unwrap();
        let checked = scratch.run(&["check", "wrong.yaml"]).unwrap();
        assert_eq!(checked.code, Some(2), "{}", checked.stdout);
        checked.stderr
    };
    for key in ["parallel: 2", "rate: { records: 5 }", "isolation: batch", "best-effort: true"] {
        let told = check(&file.replace("        bulk:", &format!("        {key}\n        bulk:")));
        let name = key.split(':').next().unwrap();
        assert!(told.contains(&format!("`{name}` does nothing where records go out as files")), "{told}");
    }
    let other = component("wharf-discard").unwrap().display().to_string();
    let told = check(&file.replace(&component("wharf-bulk-file").unwrap().display().to_string(), &other));
    assert!(told.contains("discard 0.1.0 takes records as they come, and no files") && told.contains("wrong.yaml:10:"), "{told}");
}
