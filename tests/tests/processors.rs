//! Processors in a pipeline file, as the program checks and runs them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};
use wharf_tests::{Scratch, checkout, component};

fn file(processors: &str, of_destination: &str) -> String {
    let discard = component("wharf-discard").unwrap();
    format!(
        "version: 1\npipelines:\n  - id: shop\n    source: {{ kind: generator, count: 1 }}\n    processors: {processors}\n    \
         destinations:\n      - id: out\n        component: {}\n        processors: {of_destination}\n",
        discard.display()
    )
}

fn named(package: &str, id: &str, rest: &str) -> String {
    format!("[{{ id: {id}, component: {}{rest} }}]", component(package).unwrap().display())
}

#[test]
fn check_names_the_processors_that_records_go_through() {
    let scratch = Scratch::new().unwrap();
    let select = named("wharf-select", "slim", ", settings: { keep: [/id] }, when: { pointer: /id, exists: true }");
    scratch.write("shop.yaml", file(&select, &named("wharf-flatten", "flat", ""))).unwrap();
    let checked = scratch.run(&["check", "shop.yaml"]).unwrap();
    let expected = "shop: ready, through slim (select 0.1.0), to out (discard 0.1.0) through flat (flatten 0.1.0)\n";
    assert_eq!((checked.stdout.as_str(), checked.code), (expected, Some(0)), "{}", checked.stderr);
    let json = scratch.run(&["check", "shop.yaml", "--output", "json"]).unwrap();
    let told: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let pipeline = &told["pipelines"][0];
    assert_eq!(pipeline["processors"][0]["id"], "slim");
    assert_eq!(pipeline["destinations"][0]["processors"][0]["connector"], "flatten 0.1.0");
}

#[test]
fn what_is_wrong_with_a_processor_is_told_before_anything_runs() {
    let cases = [
        (named("wharf-discard", "p", ""), "processor p: discard 0.1.0 is a destination, and no processor"),
        (named("wharf-select", "p", ""), "processor p (select 0.1.0): one of `keep`, `drop` and `rename` is needed"),
        (named("wharf-select", "p", ", settings: { kep: [/a] }"), "processor p (select 0.1.0): `kep"),
        ("[{ id: p, component: none.wasm }]".to_owned(), "processor p: cannot read the component "),
        (named("wharf-mask", "p", ", settings: { hash: [/a] }"), "`salt` is needed with `hash`"),
    ];
    for (processors, words) in cases {
        let scratch = Scratch::new().unwrap();
        scratch.write("shop.yaml", file("[]", &processors)).unwrap();
        let refused = scratch.run(&["check", "shop.yaml"]).unwrap();
        assert_eq!(refused.code, Some(2), "{processors}: {}", refused.stderr);
        assert!(refused.stderr.contains(words), "{processors}: {}", refused.stderr);
    }
}

/// Every event is selected from, those below a magnitude are dropped, and places are masked on the way to two destinations, of which one has
/// the magnitudes masked as well, and the other fails on every 50th record.
#[test]
fn real_events_go_through_processors_to_two_destinations_of_which_one_fails_on_every_50th() {
    let scratch = Scratch::new().unwrap();
    let wasm = |package: &str| component(package).unwrap().display().to_string();
    let events = fs::read_to_string(checkout().join("examples/data/earthquakes.ndjson")).unwrap();
    scratch.write("events.ndjson", &events).unwrap();
    fs::create_dir(scratch.path("out")).unwrap();
    fs::create_dir(scratch.path("journal")).unwrap();
    let file = format!(
        "version: 1
pipelines:
  - id: events
    source: {{ kind: file, path: events.ndjson, key: /id }}
    dead-letters: {{ window: 50, tolerance: 2 }}
    processors:
      - {{ id: slim, component: {select}, settings: {{ keep: [/id, /properties/mag, /properties/place] }} }}
      - {{ id: large, component: {}, settings: {{ conditions: [ {{ pointer: /properties/mag, at-least: '2.5' }} ] }} }}
      - {{ id: nowhere, component: {mask}, settings: {{ redact: [/properties/place] }} }}
    destinations:
      - id: files
        component: {}
        processors: [ {{ id: unmeasured, component: {mask}, settings: {{ redact: [/properties/mag] }} }} ]
        settings: {{ directory: /out, name: all.ndjson }}
        grants: {{ directories: [ {{ host: out, guest: /out, access: read-write }} ] }}
      - id: fussy
        component: {}
        settings: {{ every: 50 }}
        grants: {{ directories: [ {{ host: journal, guest: /journal, access: read-write }} ] }}
",
        wasm("wharf-filter"),
        wasm("wharf-file"),
        wasm("guest-poison"),
        select = wasm("wharf-select"),
        mask = wasm("wharf-mask"),
    );
    scratch.write("events.yaml", file).unwrap();
    let ran = scratch.run(&["run", "events.yaml", "--output", "json"]).unwrap();
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);

    let parse = |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let id = |event: &Value| event["id"].as_str().unwrap().to_owned();
    let all = parse(&events);
    let large = |event: &&Value| event["properties"]["mag"].as_f64().is_some_and(|mag| mag >= 2.5);
    let kept: Vec<&Value> = all.iter().filter(large).collect();
    let fails = |at: usize| (at + 1).is_multiple_of(50);
    let count = |events: usize| events as u64;
    let dead: Vec<String> = kept.iter().enumerate().filter(|(at, _)| fails(*at)).map(|(_, event)| id(event)).collect();
    assert!(kept.len() > 100 && dead.len() > 2 && kept.len() < all.len(), "{} of {}", kept.len(), all.len());
    let summary = ran.json().unwrap();
    let pipeline = &summary["pipelines"][0];
    assert_eq!(pipeline["read"], all.len());
    for (at, dead) in [(0, 0), (1, dead.len())] {
        let destination = &pipeline["destinations"][at];
        let counts = ["delivered", "filtered", "dead_lettered", "pending"].map(|count| destination[count].as_u64().unwrap());
        assert_eq!(counts, [count(kept.len() - dead), count(all.len() - kept.len()), count(dead), 0], "{destination}");
    }

    // What is left of an event: the place masked for both, the magnitude for one.
    let masked = |event: &Value, magnitude: &Value| json!({"id": event["id"], "properties": {"mag": magnitude, "place": "***"}});
    let read = |path: &str| parse(&fs::read_to_string(scratch.path(path)).unwrap());
    let expected: Vec<Value> = kept.iter().map(|event| masked(event, &json!("***"))).collect();
    assert!(read("out/all.ndjson") == expected, "each event once, in order, with both masked");
    let kept_at = kept.iter().enumerate();
    let expected = kept_at.filter(|(at, _)| !fails(*at)).map(|(_, event)| masked(event, &event["properties"]["mag"]));
    assert!(
        read("journal/delivered") == expected.collect::<Vec<_>>(),
        "each but every 50th once, in order, with the place masked"
    );

    let listed = scratch.run(&["dead-letters", "list", "--data-dir", ".wharf", "--output", "json", "--limit", "1000"]).unwrap();
    let letters = listed.json().unwrap()["dead_letters"].as_array().unwrap().clone();
    let keys: BTreeSet<_> = letters.iter().map(|letter| letter["key"].as_str().unwrap().to_owned()).collect();
    assert_eq!((letters.len(), keys), (dead.len(), dead.into_iter().collect()));
    assert!(letters.iter().all(|letter| (&letter["destination"], &letter["kind"]) == (&json!("fussy"), &json!("rejected"))));
    let again = scratch.run(&["run", "events.yaml", "--output", "json"]).unwrap();
    assert_eq!((again.code, again.json().unwrap()["pipelines"][0]["read"].as_u64()), (Some(0), Some(0)), "{}", again.stderr);
}

/// One record becomes many: it counts once, as delivered where all of them are, and as a dead letter where one is not.
#[test]
fn a_record_that_becomes_several_is_settled_once_all_of_them_are() {
    let scratch = Scratch::new().unwrap();
    let wasm = |package: &str| component(package).unwrap().display().to_string();
    let records: String =
        (0..20).map(|n| format!("{{\"id\":{n},\"items\":[1,2,3]}}\n")).chain(["{\"id\":20,\"items\":[]}\n".into()]).collect();
    scratch.write("records.ndjson", records).unwrap();
    let file = format!(
        "version: 1
pipelines:
  - id: orders
    source: {{ kind: file, path: records.ndjson, key: /id }}
    batch: {{ records: 7 }}
    dead-letters: {{ window: 0 }}
    processors: [ {{ id: items, component: {}, settings: {{ pointer: /items, keep: true }} }} ]
    destinations:
      - {{ id: all, component: {}, parallel: 3 }}
      - {{ id: fussy, component: {}, settings: {{ every: 25 }} }}
",
        wasm("wharf-explode"),
        wasm("wharf-discard"),
        wasm("guest-poison"),
    );
    scratch.write("orders.yaml", file).unwrap();
    let ran = scratch.run(&["run", "orders.yaml", "--output", "json"]).unwrap();
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let summary = ran.json().unwrap();
    let pipeline = &summary["pipelines"][0];
    // The 25th and the 50th of sixty are of two records.
    for (at, dead) in [(0, 0), (1, 2)] {
        let destination = &pipeline["destinations"][at];
        let counts = ["delivered", "filtered", "dead_lettered", "pending"].map(|count| destination[count].as_u64().unwrap());
        assert_eq!(counts, [20 - dead, 1, dead, 0], "{destination}");
    }
    let again = scratch.run(&["run", "orders.yaml", "--output", "json"]).unwrap();
    assert_eq!((again.code, again.json().unwrap()["pipelines"][0]["read"].as_u64()), (Some(0), Some(0)), "{}", again.stderr);
}

#[test]
fn records_of_which_more_comes_than_may_at_once_are_processed_in_smaller_parts() {
    let scratch = Scratch::new().unwrap();
    let wasm = |package: &str| component(package).unwrap().display().to_string();
    let items: Vec<u32> = (0..30).collect();
    let records: String = (0..20).map(|n| format!("{}\n", json!({"id": n, "items": items}))).collect();
    scratch.write("records.ndjson", records).unwrap();
    let file = format!(
        "version: 1
pipelines:
  - id: orders
    source: {{ kind: file, path: records.ndjson, key: /id }}
    processors: [ {{ id: items, component: {}, settings: {{ pointer: /items }}, limits: {{ records-out: 100 }} }} ]
    destinations: [ {{ id: all, component: {} }} ]
",
        wasm("wharf-explode"),
        wasm("wharf-discard"),
    );
    scratch.write("orders.yaml", file).unwrap();
    let ran = scratch.run(&["run", "orders.yaml", "--output", "json"]).unwrap();
    let summary = ran.json().unwrap();
    let all = &summary["pipelines"][0]["destinations"][0];
    assert_eq!((ran.code, &all["delivered"], &all["pending"]), (Some(0), &json!(20), &json!(0)), "{}", ran.stderr);
    assert!(ran.stderr.contains("to be processed in pieces: the processor made 600 records"), "{}", ran.stderr);
}
