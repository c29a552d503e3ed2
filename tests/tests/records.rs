//! Records with all that belongs to them, through the whole program.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use wharf_tests::{Scratch, checkout, component};

/// The real events as OpenCDC, one on each line.
fn events() -> (Vec<String>, Vec<String>) {
    let events = fs::read_to_string(checkout().join("examples/data/earthquakes.ndjson")).unwrap();
    let record = |event: &str| {
        let value: serde_json::Value = serde_json::from_str(event).unwrap();
        let metadata = r#"{"opencdc.version":"v1","opencdc.collection":"earthquakes"}"#;
        let key = &value["id"];
        format!(
            r#"{{"position":"MQ==","operation":"snapshot","metadata":{metadata},"key":{{"id":{key}}},"payload":{{"before":null,"after":{event}}}}}"#
        )
    };
    (events.lines().map(str::to_owned).collect(), events.lines().map(record).collect())
}

/// A folder with a pipeline that reads `events.cdc` and writes files; `rest` stands at its destination.
fn scratch(lines: &[String], rest: &str) -> Scratch {
    let scratch = Scratch::new().unwrap();
    scratch.write("events.cdc", lines.join("\n") + "\n").unwrap();
    fs::create_dir(scratch.path("out")).unwrap();
    let file = format!(
        "version: 1
pipelines:
  - id: events
    source: {{ kind: file, path: events.cdc, format: opencdc }}
    destinations:
      - id: files
        component: {}
        settings: {{ directory: /out, name: events.ndjson }}
        grants: {{ directories: [ {{ host: out, guest: /out, access: read-write }} ] }}
{rest}",
        component("wharf-file").unwrap().display()
    );
    scratch.write("events.yaml", file).unwrap();
    scratch
}

#[test]
fn real_events_that_come_as_opencdc_arrive_byte_for_byte() {
    let (events, lines) = events();
    let scratch = scratch(&lines, "");
    let ran = scratch.run(&["run", "events.yaml", "--output", "json"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let arrived = fs::read_to_string(scratch.path("out/events.ndjson")).unwrap();
    assert!(arrived.lines().eq(&events), "other lines than were read, or in another order");
}

#[test]
fn a_line_that_is_no_opencdc_record_is_told_with_file_byte_and_reason() {
    let lines = [r#"{"operation":"create","payload":{"after":{}}}"#.to_owned(), r#"{"id":1}"#.to_owned()];
    let scratch = scratch(&lines, "");
    let ran = scratch.run(&["run", "events.yaml"]).unwrap();
    assert_ne!(ran.code, Some(0));
    let told = format!("{}, byte 46: not an OpenCDC record: it has no `operation`", scratch.path("events.cdc").display());
    assert!(ran.stderr.contains(&told), "{told}\n{}", ran.stderr);
}

/// The lines that a run leaves in the one file.
fn arrived(lines: &[String], rest: &str) -> Vec<String> {
    let scratch = scratch(lines, rest);
    let ran = scratch.run(&["run", "events.yaml"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    fs::read_to_string(scratch.path("out/events.ndjson")).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_destination_gets_real_events_in_the_shape_that_it_is_given() {
    let (events, lines) = events();
    assert!(arrived(&lines, "        format: opencdc\n") == lines, "the documents are those that were read");
    let enveloped =
        |before: &str, behind: &str| events.iter().map(|event| format!("{before}{event}{behind}")).collect::<Vec<_>>();
    let source = r#""source":{"opencdc.position":"MQ==","opencdc.version":"v1","opencdc.collection":"earthquakes"}"#;
    let debezium = enveloped(r#"{"before":null,"after":"#, &format!(r#",{source},"op":"r","ts_ms":null}}"#));
    assert!(arrived(&lines, "        format: debezium\n") == debezium);
    assert!(arrived(&lines, "        format: kafka-connect\n") == enveloped(r#"{"schema":null,"payload":"#, "}"));
    let template = r#"        format: template
        template: '{"id":{{ json key/id }},"of":"{{ meta/opencdc.collection }}","place":{{ json /properties/place }}}'
"#;
    let parts = events.iter().map(|event| {
        let event: serde_json::Value = serde_json::from_str(event).unwrap();
        serde_json::json!({"id": event["id"], "of": "earthquakes", "place": event["properties"]["place"]})
    });
    let filled = arrived(&lines, template);
    let filled = filled.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    assert!(filled.eq(parts), "the template was filled with something else");
}
