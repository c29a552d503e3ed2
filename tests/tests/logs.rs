//! The log of a run, for people and for programs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use serde_json::Value;
use wharf_tests::{Scratch, component};

/// A pipeline whose destination says what each record is in its log, on standard output and on standard error, and rejects it. A processor of
/// its own stands before it.
fn scratch() -> Scratch {
    let scratch = Scratch::new().unwrap();
    let [caller, select] = ["guest-caller", "wharf-select"].map(|package| component(package).unwrap().display().to_string());
    let file = format!(
        "version: 1
pipelines:
  - id: told
    source: {{ kind: file, path: records.txt, format: lines }}
    batch: {{ records: 2 }}
    dead-letters: {{ window: 0 }}
    destinations:
      - id: caller
        component: {caller}
        settings: {{ secret: 'what-it-tells' }}
        processors: [ {{ id: none, component: {select}, settings: {{ keep: [/id] }}, when: {{ pointer: /id, exists: true }} }} ]
"
    );
    scratch.write("told.yaml", file).unwrap();
    scratch.write("records.txt", "tell everywhere\n".repeat(5)).unwrap();
    scratch
}

fn events(log: &str) -> Vec<Value> {
    log.lines()
        .filter(|line| !line.starts_with("hint: "))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_else(|| panic!("no {field} in {event}"))
}

#[test]
fn each_line_for_a_program_is_an_object_that_says_whose_it_is_and_in_which_batch() {
    let scratch = scratch();
    let ran = scratch.run(&["run", "told.yaml", "--log-format", "json", "--log", "debug"]).unwrap();
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let events = events(&ran.stderr);
    for event in &events {
        for field in ["timestamp", "level", "target", "message"] {
            assert!(!text(event, field).is_empty(), "{event}");
        }
        assert!(["ERROR", "WARN", "INFO", "DEBUG"].contains(&text(event, "level")), "{event}");
    }
    let of = |target: &str| -> Vec<&Value> { events.iter().filter(|event| event["target"] == target).collect() };
    let mut batches = BTreeSet::new();
    for target in ["wharf::connector", "wharf::stdout", "wharf::stderr"] {
        let said = of(target);
        assert_eq!(said.len(), 5, "{target}: {}", ran.stderr);
        for event in said {
            let whose = ["pipeline", "destination", "connector", "call"].map(|field| text(event, field));
            assert_eq!(whose, ["told", "caller", "guest-caller 0.1.0", "write"], "{event}");
            assert!([1, 2].contains(&event["records"].as_u64().unwrap()), "{event}");
            batches.insert(text(event, "batch").to_owned());
        }
    }
    assert_eq!(batches.len(), 3, "five records in batches of two");
    let given_up: Vec<_> = events.iter().filter(|event| text(event, "message").starts_with("given up: ")).collect();
    for event in &given_up {
        assert_eq!([text(event, "pipeline"), text(event, "destination")], ["told", "caller"]);
    }
    let named: BTreeSet<_> = given_up.iter().map(|event| text(event, "batch").to_owned()).collect();
    assert_eq!(named, batches, "the same name for the same batch");
    assert!(!ran.stderr.contains("what-it-tells"));
}

#[test]
fn a_line_for_a_person_says_it_too_and_what_a_component_prints_stands_as_it_is() {
    let scratch = scratch();
    let mut wharf = scratch.wharf(&["run", "told.yaml"]).unwrap();
    let ran = wharf_tests::Ran::from(wharf.env("WHARF_LOG_FORMAT", "text").output().unwrap());
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let said: Vec<_> = ran.stderr.lines().filter(|line| line.contains(" INFO log: ")).collect();
    assert_eq!(said.len(), 5, "{}", ran.stderr);
    let whose = " pipeline=\"told\" destination=\"caller\" connector=\"guest-caller 0.1.0\" call=\"write\" batch=\"";
    assert!(said.iter().all(|line| line.contains(whose)), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().filter(|line| line.starts_with("told/caller | stdout: ")).count(), 5, "{}", ran.stderr);
    let quiet = scratch.run(&["run", "told.yaml", "--data-dir", "quiet", "--log", "info,wharf::call=off"]).unwrap();
    assert!(quiet.stderr.contains(" INFO log: ") && !quiet.stderr.contains("call="), "{}", quiet.stderr);
    let refused = scratch.run(&["run", "told.yaml", "--log-format", "yaml"]).unwrap();
    assert_eq!(refused.code, Some(2));
}
