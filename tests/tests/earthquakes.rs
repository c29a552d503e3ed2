//! The example: a week of real events, delivered to files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs};

use wharf_tests::{Scratch, checkout, component};

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

#[test]
fn every_event_arrives_byte_for_byte_in_the_file_of_its_day_and_a_second_run_reads_nothing() {
    let scratch = Scratch::new().unwrap();
    let example = fs::read_to_string(checkout().join("examples/earthquakes.yaml")).unwrap();
    let connector = component("wharf-file").unwrap();
    let example = example.replace("../target/connectors/file.wasm", &connector.display().to_string());
    scratch.write("examples/earthquakes.yaml", example).unwrap();
    let events = fs::read(checkout().join("examples/data/earthquakes.ndjson")).unwrap();
    scratch.write("examples/data/earthquakes.ndjson", &events).unwrap();
    fs::create_dir(scratch.path("examples/out")).unwrap();

    let first = scratch.run(&["run", "examples/earthquakes.yaml", "--output", "json"]).unwrap();
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let mut summary = first.json().unwrap();
    assert!(summary["pipelines"][0]["seconds"].take().as_f64().unwrap() > 0.0);
    let usage = summary["pipelines"][0]["destinations"][0]["usage"].take();
    let (peak, limit) = (usage["memory_peak"].as_u64().unwrap(), usage["memory_limit"].as_u64().unwrap());
    assert!(1 << 20 < peak && peak < limit && limit == 256 << 20, "{usage}");
    // Each record is some hundred bytes, and every one is looked at.
    assert!((100..1_000_000).contains(&usage["fuel_per_record"].as_u64().unwrap()), "{usage}");
    // What was delivered, and what is known of it beside: keys.
    let bytes = summary["pipelines"][0]["destinations"][0]["bytes"].take().as_u64().unwrap();
    let values = (events.len() - 1707) as u64;
    assert!((values..values + 1707 * 64).contains(&bytes), "{bytes} of {values}");
    let expected = serde_json::json!({"pipelines": [{
        "id": "earthquakes", "read": 1707, "carried": 0, "purged": 0, "seconds": null, "restarts": 0, "processors": [], "switched_off": [],
        "destinations": [{
            "id": "files", "delivered": 1707, "warned": 0, "filtered": 0, "dead_lettered": 0, "pending": 0, "unknown": 0, "left": 0,
            "bytes": null, "retries": 0, "paused": null, "waiting": null, "processors": [], "metrics": {}, "usage": null,
        }],
    }]});
    assert_eq!(summary, expected);

    // By days since 1970, and by days within a file, in the order in which they were read.
    let mut by_day: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
    for line in events.split_inclusive(|byte| *byte == b'\n') {
        let event: serde_json::Value = serde_json::from_slice(line).unwrap();
        let time = event["properties"]["time"].as_i64().unwrap();
        by_day.entry(time.div_euclid(DAY)).or_default().extend_from_slice(line);
    }
    let mut arrived: Vec<(String, Vec<u8>)> = fs::read_dir(scratch.path("examples/out"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    arrived.sort();
    assert!(arrived.iter().map(|(_, bytes)| bytes).eq(by_day.values()), "other lines than were read, or in another order");
    assert_eq!(arrived[0].0, "earthquakes-2018-01-31.ndjson");

    let second = scratch.run(&["run", "examples/earthquakes.yaml", "--output", "json"]).unwrap();
    let summary = second.json().unwrap();
    assert_eq!((second.code, summary["pipelines"][0]["read"].as_u64()), (Some(0), Some(0)), "{}", second.stderr);
}
