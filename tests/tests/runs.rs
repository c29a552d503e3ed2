//! A run as people start, stop and repeat it: exit codes, signals, standard input, the data directory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use wharf_tests::{Ran, Scratch, component};

/// A pipeline from a source to a destination that answers as its script says, in a folder of its own.
fn scratch(source: &str, script: &str) -> Scratch {
    let scratch = Scratch::new().unwrap();
    let component = component("guest-scripted").unwrap().display().to_string();
    let pipeline = format!(
        "version: 1
pipelines:
  - id: run
    source: {source}
    batch: {{ records: 2 }}
    window: 4
    checkpoint-interval: 0
    dead-letters: {{ window: 0 }}
    destinations:
      - id: scripted
        component: {component}
        on-unknown: hold
        settings: {{ script: \"{script}\" }}
        grants: {{ directories: [ {{ host: journal, guest: /journal, access: read-write }} ] }}
"
    );
    scratch.write("pipeline.yaml", pipeline).unwrap();
    fs::create_dir(scratch.path("journal")).unwrap();
    scratch
}

const FILE: &str = "{ kind: file, path: records.txt, format: lines }";

/// Read, carried, delivered, dead letters, pending.
fn account(ran: &Ran) -> [u64; 5] {
    let document = ran.json().unwrap();
    let pipeline = &document["pipelines"][0];
    let destination = &pipeline["destinations"][0];
    [&pipeline["read"], &pipeline["carried"], &destination["delivered"], &destination["dead_lettered"], &destination["pending"]]
        .map(|count| count.as_u64().unwrap())
}

fn start(wharf: &mut Command) -> Child {
    wharf.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// Waits until something is so, and no longer than a minute.
fn until(mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < Duration::from_secs(60), "it never came to be");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn journal(scratch: &Scratch) -> String {
    fs::read_to_string(scratch.path("journal/calls")).unwrap_or_default()
}

const RUN: [&str; 4] = ["run", "pipeline.yaml", "--output", "json"];

#[test]
fn the_exit_code_tells_what_became_of_the_records() {
    let cases = [
        ("", 0, [3, 0, 3, 0, 0]),
        ("0-1 1-2=rejected", 3, [3, 0, 2, 1, 0]),
        ("0-1 1-2=fatal", 1, [3, 0, 1, 0, 2]),
        ("nothing", 1, [3, 0, 0, 0, 3]),
    ];
    for (script, code, expected) in cases {
        let scratch = scratch(FILE, script);
        scratch.write("records.txt", "a\nb\nc\n").unwrap();
        let ran = scratch.run(&RUN).unwrap();
        assert_eq!((ran.code, account(&ran)), (Some(code), expected), "{script}: {}", ran.stderr);
        // What failed is carried over and comes through; what is settled is not read again.
        let again = scratch.run(&RUN).unwrap();
        assert_eq!((again.code, account(&again)), (Some(0), [0, expected[4], expected[4], 0, 0]), "{script}: {}", again.stderr);
        assert_eq!(account(&scratch.run(&RUN).unwrap()), [0; 5], "{script}");
    }
}

#[test]
fn a_connector_that_ends_at_everything_is_quarantined_and_the_end_says_what_to_do() {
    let scratch = scratch(FILE, "trap;trap");
    scratch.write("records.txt", "a\n").unwrap();
    let ran = scratch.run(&RUN).unwrap();
    assert_eq!((ran.code, account(&ran)), (Some(1), [1, 0, 0, 0, 1]), "{}", ran.stderr);
    let error = &ran.json().unwrap()["error"];
    let what = error["what"].as_str().unwrap();
    assert!(what.starts_with("destination scripted (guest-scripted 0.1.0): write ended its instance: wasm trap: "), "{what}");
    assert!(what.ends_with("; quarantined, since 2 instances in a row ended and no record came through"), "{what}");
    let hint = "ask the connector's author, or name another version of it; then run again: what is pending is sent again";
    assert_eq!(error["hint"], hint);
    assert!(ran.stderr.contains(hint), "{}", ran.stderr);
    let again = scratch.run(&RUN).unwrap();
    assert_eq!((again.code, account(&again)), (Some(0), [0, 1, 1, 0, 0]), "{}", again.stderr);
}

#[test]
fn a_line_that_is_no_record_is_a_dead_letter_and_the_exit_code_says_so() {
    let scratch = scratch("{ kind: file, path: records.txt, format: json-lines }", "");
    scratch.write("records.txt", "{}\n{\n[]\n").unwrap();
    let ran = scratch.run(&RUN).unwrap();
    assert_eq!((ran.code, account(&ran)), (Some(3), [3, 0, 2, 1, 0]), "{}", ran.stderr);
}

#[test]
fn standard_input_is_read_to_its_end() {
    let scratch = scratch("{ kind: stdin, format: lines }", "");
    let mut child = start(scratch.wharf(&RUN).unwrap().stdin(Stdio::piped()));
    child.stdin.take().unwrap().write_all(b"a\nb\nc").unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, account(&ran)), (Some(0), [3, 0, 3, 0, 0]), "{}", ran.stderr);
}

/// What was taken in cannot be taken in again: whoever is stopped delivers it, or says that it is pending.
#[test]
fn an_interrupt_loses_nothing_that_standard_input_gave() {
    let scratch = scratch("{ kind: stdin, format: lines }", "");
    let file = fs::read_to_string(scratch.path("pipeline.yaml")).unwrap();
    scratch.write("pipeline.yaml", file.replace("records: 2", "records: 1000, delay: 1h")).unwrap();
    let mut child = start(scratch.wharf(&RUN).unwrap().stdin(Stdio::piped()));
    let mut input = child.stdin.take().unwrap();
    // Half a line is no record.
    input.write_all(b"a\nb\nc\nhal").unwrap();
    // Taken in: nothing is left in the pipe.
    until(|| rustix::io::ioctl_fionread(&input).unwrap() == 0);
    interrupt(&child);
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, account(&ran)), (Some(0), [3, 0, 3, 0, 0]), "{}", ran.stderr);
    assert!(journal(&scratch).contains("[a,b,c]"), "{}", journal(&scratch));
}

#[test]
fn what_only_keeps_to_its_rate_is_finished_when_it_is_asked_to_stop() {
    let scratch = scratch("{ kind: stdin, format: lines }", "");
    let file = fs::read_to_string(scratch.path("pipeline.yaml")).unwrap();
    scratch.write("pipeline.yaml", file.replace("on-unknown: hold", "rate: { records: 2 }")).unwrap();
    let mut child = start(scratch.wharf(&RUN).unwrap().stdin(Stdio::piped()));
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a\nb\nc\nd\ne\nf\n").unwrap();
    until(|| journal(&scratch).contains("write "));
    interrupt(&child);
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, account(&ran)), (Some(0), [6, 0, 6, 0, 0]), "{}", ran.stderr);
}

#[test]
fn a_best_effort_destination_that_goes_on_gets_all_of_a_source_that_ends() {
    let scratch = scratch(FILE, "");
    let file = fs::read_to_string(scratch.path("pipeline.yaml")).unwrap();
    let other = format!("      - {{ id: other, component: {} }}\n", component("wharf-discard").unwrap().display());
    scratch.write("pipeline.yaml", file.replace("on-unknown: hold", "best-effort: true") + &other).unwrap();
    scratch.write("records.txt", "record\n".repeat(8)).unwrap();
    let ran = scratch.run(&RUN).unwrap();
    assert_eq!((ran.code, account(&ran)), (Some(0), [8, 0, 8, 0, 0]), "{}", ran.stderr);
}

#[test]
fn the_first_interrupt_finishes_what_is_in_flight_and_a_later_run_goes_on_from_there() {
    let scratch = scratch(FILE, "0-2;sleep=300 0-2");
    scratch.write("records.txt", "record\n".repeat(1000)).unwrap();
    let child = start(&mut scratch.wharf(&RUN).unwrap());
    // In the middle of the second call.
    until(|| journal(&scratch).matches("write ").count() == 2);
    interrupt(&child);
    let ran = Ran::from(child.wait_with_output().unwrap());
    let [read, carried, delivered, dead_lettered, pending] = account(&ran);
    assert_eq!((ran.code, carried, dead_lettered, pending), (Some(0), 0, 0, 0), "{}", ran.stderr);
    assert!(read == delivered && (4..=12).contains(&read), "{read} were read");
    assert!(journal(&scratch).ends_with("close \n"));
    let again = scratch.run(&RUN).unwrap();
    assert_eq!((again.code, account(&again)), (Some(0), [1000 - read, 0, 1000 - read, 0, 0]), "{}", again.stderr);
}

#[test]
fn a_second_interrupt_stops_at_once_and_loses_nothing() {
    let scratch = scratch(FILE, "0-2;sleep=3600000 0-2");
    scratch.write("records.txt", "record\n".repeat(10)).unwrap();
    let mut child = start(&mut scratch.wharf(&RUN).unwrap());
    until(|| journal(&scratch).matches("write ").count() == 2);
    interrupt(&child);
    // Both at once would be one: the second comes when the first was heard.
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("stopping: finishing what is in flight")));
    interrupt(&child);
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, &*ran.stdout), (Some(1), ""));
    assert!(log.any(|line| line.unwrap().contains("stopped at once; what was in flight is pending")));
    let again = scratch.run(&RUN).unwrap();
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(account(&again)[2..], [8, 0, 0]);
}

#[test]
fn a_second_host_on_one_data_directory_is_refused() {
    let scratch = scratch("{ kind: stdin, format: lines }", "");
    let mut first = start(scratch.wharf(&RUN).unwrap().stdin(Stdio::piped()));
    let mut input = first.stdin.take().unwrap();
    input.write_all(b"a\nb\n").unwrap();
    until(|| journal(&scratch).contains("write "));
    let second = scratch.run(&RUN).unwrap();
    assert_eq!(second.code, Some(2));
    let what = second.json().unwrap()["error"]["what"].as_str().unwrap().to_owned();
    assert!(what.starts_with("another wharf is using the data directory "), "{what}");
    drop(input);
    let ran = Ran::from(first.wait_with_output().unwrap());
    assert_eq!((ran.code, account(&ran)), (Some(0), [2, 0, 2, 0, 0]), "{}", ran.stderr);
}

#[test]
fn what_was_refused_and_dropped_and_a_connectors_own_figures_stand_in_the_summary() {
    let scratch = Scratch::new().unwrap();
    let [flood, intruder] = ["guest-flood", "guest-intruder"].map(|guest| component(guest).unwrap().display().to_string());
    scratch.write("records.txt", "figures\nlines 5000\nlisten 127.0.0.1:0\nudp 127.0.0.1:0\ntcp 127.0.0.1:1\n").unwrap();
    let pipeline = format!(
        "version: 1
pipelines:
  - id: run
    source: {FILE}
    destinations:
      - {{ id: flood, component: {flood}, limits: {{ log-lines: 1, time: {{ write: 10m }} }} }}
      - {{ id: intruder, component: {intruder} }}
"
    );
    scratch.write("pipeline.yaml", pipeline).unwrap();
    let text = scratch.run(&["run", "pipeline.yaml", "--data-dir", "text"]).unwrap().stdout;
    let dropped = text.lines().find(|line| line.starts_with("    dropped: 4,9") && line.ends_with(" lines of the log"));
    assert!(dropped.is_some(), "{text}");
    assert!(text.contains("    refused: 2 connections, 1 other attempt\n"), "{text}");

    let json = scratch.run(&RUN).unwrap().json().unwrap();
    let [flood, intruder] = [0, 1].map(|index| &json["pipelines"][0]["destinations"][index]);
    let figures = serde_json::json!({
        "depth": {"gauge": -2.5},
        "rows": {"count": 5},
        "took_ms": {"observed": {"count": 3, "sum": 7.5, "min": 1.0, "max": 4.0}},
    });
    assert_eq!(flood["metrics"], figures);
    assert!(flood["usage"]["lines_dropped"].as_u64().unwrap() > 4900, "{flood}");
    let refused = ["connects_refused", "refused", "lookups_refused"].map(|event| intruder["usage"][event].as_u64());
    assert_eq!(refused, [Some(2), Some(1), Some(0)]);
}
