//! Dead letters that are sent again and copied, a store that is full, and a disk that is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use wharf_tests::{Scratch, component};

fn wasm(package: &str) -> String {
    component(package).unwrap().display().to_string()
}

fn document(scratch: &Scratch, arguments: &[&str]) -> (Option<i32>, Value) {
    let ran = scratch.run(&[arguments, &["--output", "json"]].concat()).unwrap();
    let document = ran.json();
    assert!(document.is_ok(), "{}", ran.stderr);
    (ran.code, document.unwrap())
}

fn letters(scratch: &Scratch) -> Vec<Value> {
    let (code, listed) = document(scratch, &["dead-letters", "list", "--limit", "1000"]);
    assert_eq!(code, Some(0));
    listed["dead_letters"].as_array().unwrap().clone()
}

/// What a `guest-scripted` was handed, call by call.
fn written(scratch: &Scratch, journal: &str) -> Vec<String> {
    let calls = fs::read_to_string(scratch.path(journal).join("calls")).unwrap();
    let records = |line: &str| line.split_once('[').and_then(|(_, rest)| rest.strip_suffix(']').map(str::to_owned));
    calls.lines().filter(|line| line.starts_with("write ")).filter_map(records).collect()
}

/// Orders, of each of which a processor makes its lines; on the way to one of two destinations names are hidden.
fn shop(missing: &str, script: &str) -> String {
    let (explode, mask, scripted) = (wasm("wharf-explode"), wasm("wharf-mask"), wasm("guest-scripted"));
    let journal =
        |folder: &str| format!("grants: {{ directories: [ {{ host: {folder}, guest: /journal, access: read-write }} ] }}");
    format!(
        "version: 1
pipelines:
  - id: shop
    source: {{ kind: file, path: orders.ndjson }}
    dead-letters: {{ window: 0 }}
    processors:
      - {{ id: lines, component: {explode}, settings: {{ pointer: /lines, missing: {missing} }} }}
    destinations:
      - id: a
        component: {scripted}
        processors: [ {{ id: hide, component: {mask}, settings: {{ hash: [/name], salt: '0123456789abcdef' }} }} ]
        settings: {{ script: '{script}' }}
        {}
      - id: b
        component: {scripted}
        {}
",
        journal("a"),
        journal("b")
    )
}

#[test]
fn dead_letters_are_sent_again_from_where_they_were_given_up_and_to_whom_they_name() {
    let scratch = Scratch::new().unwrap();
    let orders =
        "{\"lines\":[{\"name\":\"n0\"},{\"name\":\"n1\"}]}\n{\"name\":\"none\"}\n{\"lines\":[{\"name\":\"n2\"}]}\nno json\n";
    scratch.write("orders.ndjson", orders).unwrap();
    for folder in ["a", "b"] {
        fs::create_dir(scratch.path(folder)).unwrap();
    }
    scratch.write("shop.yaml", shop("fail", "0-1=rejected 1-2 2-3=rejected")).unwrap();
    let (code, ran) = document(&scratch, &["run", "shop.yaml"]);
    assert_eq!(code, Some(3), "{ran:#}");
    let before = letters(&scratch);
    let places: Vec<_> = before.iter().map(|letter| (&letter["destination"], &letter["processor"], &letter["ordinal"])).collect();
    let null = &Value::Null;
    let (a, zero) = (&json!("a"), &json!(0));
    assert_eq!(places.len(), 4, "{before:#?}");
    for place in [(null, null, zero), (null, &json!("lines"), zero), (a, null, zero)] {
        assert!(places.contains(&place), "{place:?}: {before:#?}");
    }
    let first = written(&scratch, "a");
    assert!(first[0].starts_with("{\"name\":\"") && !first[0].contains("n0"), "{first:?}");

    // What the processor takes issue with is mended, and of three calls the last fails again.
    scratch.write("shop.yaml", shop("keep", ";;;0-1=rejected")).unwrap();
    let (code, again) = document(&scratch, &["dead-letters", "replay", "shop.yaml"]);
    assert_eq!(code, Some(3), "{again:#}");
    let pipeline = &again["pipelines"][0];
    assert_eq!((&pipeline["read"], &pipeline["left"]), (&json!(3), &json!({"unreadable": 1, "gone": 0, "unplaced": 0})));
    let counts = |at: usize| {
        let names = ["delivered", "filtered", "dead_lettered", "pending", "elsewhere"];
        names.map(|name| pipeline["destinations"][at][name].as_u64().unwrap())
    };
    assert_eq!((counts(0), counts(1)), ([2, 0, 1, 0, 0], [1, 0, 0, 0, 2]), "{again:#}");
    // Names are hidden once: as they were when the record came to the destination first. What a processor gave up goes through it, and on.
    let all = written(&scratch, "a");
    let hidden: Vec<&str> = first[0].split(',').collect();
    assert_eq!((all.len(), all[1].as_str(), all[3].as_str()), (4, hidden[0], hidden[2]), "{all:?}");
    assert!(all[2].starts_with("{\"name\":\"") && !all[2].contains("none"), "{all:?}");
    assert_eq!(written(&scratch, "b")[1..], ["{\"name\":\"none\"}"]);

    let kept = letters(&scratch);
    let of_a = kept.iter().find(|letter| letter["destination"] == "a").unwrap();
    let was = before.iter().find(|letter| letter["id"] == of_a["id"]).unwrap();
    assert_eq!((kept.len(), &of_a["attempts"], &was["attempts"]), (2, &json!(2), &json!(1)));
    for same in ["record", "sequence", "ordinal", "partition", "key", "metadata", "content_types"] {
        assert_eq!(of_a[same], was[same], "{same}");
    }

    let refused = scratch.run(&["dead-letters", "replay", "shop.yaml", "--destination", "aa"]).unwrap();
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("there is no destination aa in the pipeline file\nhint: did you mean `a`?"),
        "{}",
        refused.stderr
    );
    let lock = fs::File::open(scratch.path(".wharf/lock")).unwrap();
    lock.lock().unwrap();
    let refused = scratch.run(&["dead-letters", "replay", "shop.yaml"]).unwrap();
    assert!(
        refused.stderr.contains("error: another wharf is using the data directory ") && refused.code == Some(2),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("hint: stop it first: dead letters are sent again by a host of their own"),
        "{}",
        refused.stderr
    );
    drop(lock);

    let last = scratch.run(&["dead-letters", "replay", "shop.yaml", "--destination", "a"]).unwrap();
    assert_eq!(last.code, Some(0), "{}", last.stderr);
    assert!(last.stdout.contains("a: 1 delivered"), "{}", last.stdout);
    assert_eq!(letters(&scratch).len(), 1, "what no source could read stays");
    // A run reads none of it again.
    let (code, ran) = document(&scratch, &["run", "shop.yaml"]);
    assert_eq!((code, &ran["pipelines"][0]["read"]), (Some(0), &json!(0)));
    let (code, none) = document(&scratch, &["dead-letters", "replay", "shop.yaml", "--kind", "trapped"]);
    assert_eq!((code, none), (Some(0), json!({"pipelines": []})));
}

#[test]
fn what_a_destinations_own_processor_gave_up_comes_to_it_again_and_goes_on_to_that_destination_alone() {
    let scratch = Scratch::new().unwrap();
    scratch.write("orders.ndjson", "{\"parts\":[{\"n\":1},{\"n\":2}]}\n{\"n\":3}\n").unwrap();
    for folder in ["a", "b"] {
        fs::create_dir(scratch.path(folder)).unwrap();
    }
    let file = |missing: &str| {
        let (explode, scripted) = (wasm("wharf-explode"), wasm("guest-scripted"));
        let destination = |id: &str, rest: &str| {
            format!(
                "\n      - id: {id}\n        component: {scripted}\n        grants: {{ directories: [ {{ host: {id}, guest: /journal, access: read-write }} ] }}{rest}"
            )
        };
        let parts = format!(
            "\n        processors: [ {{ id: parts, component: {explode}, settings: {{ pointer: /parts, missing: {missing} }} }} ]"
        );
        format!(
            "version: 1\npipelines:\n  - id: shop\n    source: {{ kind: file, path: orders.ndjson }}\n    dead-letters: {{ window: 0 }}\n    destinations:{}{}\n",
            destination("a", &parts),
            destination("b", "")
        )
    };
    scratch.write("shop.yaml", file("fail")).unwrap();
    assert_eq!(document(&scratch, &["run", "shop.yaml"]).0, Some(3));
    let given_up = letters(&scratch);
    assert_eq!((given_up.len(), &given_up[0]["destination"], &given_up[0]["processor"]), (1, &json!("a"), &json!("parts")));
    assert_eq!(given_up[0]["record"], "{\"n\":3}");
    // It fails again as long as nothing is mended.
    assert_eq!(document(&scratch, &["dead-letters", "replay", "shop.yaml"]).0, Some(3));
    let again = letters(&scratch);
    assert_eq!((&again[0]["id"], &again[0]["attempts"]), (&given_up[0]["id"], &json!(2)));
    scratch.write("shop.yaml", file("keep")).unwrap();
    assert_eq!(document(&scratch, &["dead-letters", "replay", "shop.yaml"]).0, Some(0));
    assert_eq!(written(&scratch, "a"), ["{\"n\":1},{\"n\":2}", "{\"n\":3}"]);
    assert_eq!(written(&scratch, "b").len(), 1);
    assert_eq!(letters(&scratch).len(), 0);
}

/// A pipeline whose destination rejects everything, or takes it slowly.
fn numbers(count: u32, works: bool) -> String {
    let destination = match works {
        false => format!("component: {}\n        settings: {{ fault: reject, at: write }}", wasm("guest-faults")),
        true => format!(
            "component: {}\n        settings: {{ script: '{}' }}\n        grants: {{ directories: [ {{ host: journal, guest: /journal, access: read-write }} ] }}",
            wasm("guest-scripted"),
            "sleep=30 0-$;".repeat(1000)
        ),
    };
    format!(
        "version: 1
pipelines:
  - id: numbers
    source: {{ kind: generator, count: {count} }}
    batch: {{ records: 5 }}
    dead-letters: {{ window: 0 }}
    destinations:
      - id: out
        {destination}
"
    )
}

#[test]
fn a_kill_while_dead_letters_are_sent_again_loses_none() {
    const COUNT: u32 = 200;
    let scratch = Scratch::new().unwrap();
    fs::create_dir(scratch.path("journal")).unwrap();
    scratch.write("numbers.yaml", numbers(COUNT, false)).unwrap();
    let (code, ran) = document(&scratch, &["run", "numbers.yaml"]);
    assert_eq!((code, letters(&scratch).len()), (Some(3), COUNT as usize), "{ran:#}");

    scratch.write("numbers.yaml", numbers(COUNT, true)).unwrap();
    // It is compiled before anybody is killed.
    scratch.run(&["check", "numbers.yaml"]).unwrap();
    let mut kills = 0;
    while kills < 3 {
        let before = written_so_far(&scratch);
        let mut replay = scratch.wharf(&["dead-letters", "replay", "numbers.yaml"]).unwrap();
        let mut replay = replay.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // In the middle: some were sent, and not all.
        while written_so_far(&scratch) < before + 7 && replay.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(5));
        }
        replay.kill().unwrap();
        replay.wait().unwrap();
        kills += 1;
    }
    let left = letters(&scratch).len();
    assert!(0 < left && left < COUNT as usize, "{left} are left");
    let (code, last) = document(&scratch, &["dead-letters", "replay", "numbers.yaml"]);
    assert_eq!((code, &last["pipelines"][0]["read"]), (Some(0), &json!(left)), "{last:#}");
    assert_eq!(letters(&scratch).len(), 0);

    let calls = fs::read_to_string(scratch.path("journal/calls")).unwrap();
    let (mut seen, mut latest) = (vec![false; COUNT as usize], None);
    for line in calls.lines() {
        if line.starts_with("open") {
            latest = None;
        }
        for number in line.split("{\"n\":").skip(1) {
            let number: usize = number.split(',').next().unwrap().parse().unwrap();
            seen[number] = true;
            assert!(latest.replace(number) < Some(number), "{number} came behind a later one");
        }
    }
    assert!(seen.iter().all(|seen| *seen), "some are nowhere");
}

fn written_so_far(scratch: &Scratch) -> usize {
    let calls = fs::read_to_string(scratch.path("journal/calls")).unwrap_or_default();
    calls.lines().filter(|line| line.starts_with("write ")).count()
}

#[test]
fn dead_letters_are_copied_to_any_destination_and_each_once_over_several_runs() {
    let scratch = Scratch::new().unwrap();
    fs::create_dir(scratch.path("copies")).unwrap();
    let copying = |count| {
        let file = wasm("wharf-file");
        numbers(count, false)
            + &format!(
                "  - id: copies
    source: {{ kind: dead-letters, of: numbers }}
    batch: {{ records: 7 }}
    destinations:
      - id: file
        component: {file}
        settings: {{ directory: /out, name: letters.ndjson }}
        grants: {{ directories: [ {{ host: copies, guest: /out, access: read-write }} ] }}
"
            )
    };
    let copied = || -> Vec<Value> {
        let text = fs::read_to_string(scratch.path("copies/letters.ndjson")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for (count, new) in [(20, 20), (20, 0), (33, 13)] {
        scratch.write("copying.yaml", copying(count)).unwrap();
        let (code, ran) = document(&scratch, &["run", "copying.yaml"]);
        assert_eq!((code, &ran["pipelines"][1]["read"]), (Some(if new > 0 { 3 } else { 0 }), &json!(new)), "{ran:#}");
        assert_eq!(ran["pipelines"][1]["destinations"][0]["delivered"], new);
        assert_eq!(copied().len(), count as usize);
    }
    assert_eq!(copied(), letters(&scratch), "they say the same");
    // What was copied may go; it is not copied again.
    assert_eq!(document(&scratch, &["dead-letters", "purge", "--all"]).1, json!({"removed": 33}));
    assert_eq!(document(&scratch, &["run", "copying.yaml"]).0, Some(0));
    assert_eq!(copied().len(), 33);

    for (of, told) in [
        ("nubmers", "error: there is no pipeline `nubmers`\n  at copying.yaml:12:39\nhint: did you mean `numbers`?"),
        ("copies", "error: the pipeline `copies` would read its own dead letters\n"),
    ] {
        scratch.write("copying.yaml", copying(20).replace("of: numbers", &format!("of: {of}"))).unwrap();
        let refused = scratch.run(&["check", "copying.yaml"]).unwrap();
        assert!(refused.stderr.contains(told) && refused.code == Some(2), "{}", refused.stderr);
    }
}

#[test]
fn a_best_effort_destination_whose_own_dead_letters_are_full_pauses_alone() {
    let scratch = Scratch::new().unwrap();
    fs::create_dir(scratch.path("out")).unwrap();
    let file = |component: &str, settings: &str| {
        let (component, file) = (wasm(component), wasm("wharf-file"));
        format!(
            "version: 1
pipelines:
  - id: numbers
    source: {{ kind: generator, count: 60, size: 10KiB }}
    batch: {{ records: 5 }}
    window: 2
    dead-letters: {{ window: 0, max-bytes: 64KiB }}
    destinations:
      - {{ id: full, component: {component}, best-effort: true{settings} }}
      - id: file
        component: {file}
        settings: {{ directory: /out, name: all }}
        grants: {{ directories: [ {{ host: out, guest: /out, access: read-write }} ] }}
"
        )
    };
    scratch.write("numbers.yaml", file("guest-faults", ", settings: { fault: reject, at: write }")).unwrap();
    let ran = scratch.run(&["run", "numbers.yaml", "--output", "json"]).unwrap();
    let summary = ran.json().unwrap();
    let pipeline = &summary["pipelines"][0];
    let count = |at: usize, name: &str| pipeline["destinations"][at][name].as_u64().unwrap();
    assert_eq!((ran.code, count(1, "delivered"), count(1, "pending")), (Some(1), 60, 0), "{summary:#}");
    // 64 KiB have room for one batch of five.
    assert_eq!((count(0, "dead_lettered"), count(0, "pending")), (5, 55), "{summary:#}");
    let what = pipeline["error"]["what"].as_str().unwrap();
    assert!(
        what.starts_with("destination full (guest-faults ") && what.contains("pipeline numbers, destination full, would take"),
        "{what}"
    );
    assert!(ran.stderr.contains("destination full pauses alone, and the others go on without it"), "{}", ran.stderr);

    // Nothing was dropped: once it takes them, the rest is there.
    assert_eq!(document(&scratch, &["dead-letters", "purge", "--destination", "full"]).1, json!({"removed": 5}));
    scratch.write("numbers.yaml", file("wharf-discard", "")).unwrap();
    let (code, again) = document(&scratch, &["run", "numbers.yaml"]);
    assert_eq!((code, &again["pipelines"][0]["destinations"][0]["delivered"]), (Some(0), &json!(55)), "{again:#}");
}

/// No file may grow any more, as on a disk that is full; then it may again.
#[test]
fn a_store_that_cannot_be_written_to_is_waited_for_and_nothing_is_lost() {
    let scratch = Scratch::new().unwrap();
    let file = |count: u32| numbers(count, false).replace(&format!("count: {count}"), &format!("count: {count}, size: 10KiB"));
    scratch.write("numbers.yaml", file(1)).unwrap();
    // What is made once is made now: the store, and compiled code.
    assert_eq!(document(&scratch, &["run", "numbers.yaml"]).0, Some(3));
    scratch.write("numbers.yaml", file(101)).unwrap();

    let wharf = scratch.wharf(&["run", "numbers.yaml", "--output", "json"]).unwrap();
    let mut limited = Command::new("sh");
    // 200 KiB; who ignores the signal is told by the call, as of a full disk.
    limited.args(["-c", r#"trap "" XFSZ; ulimit -S -f 400; exec "$0" "$@""#]).arg(wharf.get_program()).args(wharf.get_args());
    limited.current_dir(scratch.path("")).env_remove("WHARF_LOG").env("WHARF_CACHE_DIR", wharf_tests::cache().unwrap());
    let mut running = limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines();
    let mut told: Vec<String> = Vec::new();
    let stalled = lines.by_ref().map(Result::unwrap).find(|line| {
        told.push(line.clone());
        line.contains("nothing is acknowledged until it can be written to the store: cannot write to the store")
    });
    assert!(stalled.is_some(), "{told:#?}");
    assert!(running.try_wait().unwrap().is_none(), "it waits");
    let (code, status) = document(&scratch, &["status"]);
    let pipeline = &status["pipelines"][0];
    assert_eq!((code, &pipeline["state"]), (Some(0), &json!("running")), "{status:#}");
    let why = pipeline["why"].as_str().unwrap_or_default();
    assert!(why.starts_with("stalled: ") && why.contains("cannot write to the store"), "{status:#}");
    // A reload of the same file changes nothing, and ends nothing.
    assert_eq!(document(&scratch, &["reload"]).1["unchanged"], json!(["numbers"]));
    assert!(running.try_wait().unwrap().is_none(), "it still waits");
    // There is room again.
    let pid = Pid::from_raw(running.id().cast_signed());
    prlimit(pid, Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
    told.extend(lines.map(Result::unwrap));
    let mut summary = String::new();
    running.stdout.take().unwrap().read_to_string(&mut summary).unwrap();
    let code = running.wait().unwrap().code();
    assert_eq!(code, Some(3), "{told:#?}");
    assert!(told.iter().any(|line| line.contains("the store is written to again")), "{told:#?}");
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["pipelines"][0]["destinations"][0]["dead_lettered"], 100);
    let numbers: Vec<u64> = letters(&scratch).iter().map(|letter| letter["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..101).collect::<Vec<_>>());
}

#[test]
fn a_destination_is_owed_what_a_full_store_of_dead_letters_left_pending() {
    let scratch = Scratch::new().unwrap();
    let file = |destinations: &[(&str, &str)]| {
        let destination = |(id, more): &(&str, &str)| {
            format!(
                "      - {{ id: {id}, component: {}{more} }}\n",
                wasm(if *id == "d" { "wharf-discard" } else { "guest-faults" })
            )
        };
        let destinations: String = destinations.iter().map(destination).collect();
        format!(
            "version: 1\npipelines:\n  - id: numbers\n    source: {{ kind: generator, count: 500, size: 1KiB }}\n    batch: {{ records: 100 }}\n    \
             dead-letters: {{ window: 0, max-bytes: 64KiB }}\n    destinations:\n{destinations}"
        )
    };
    scratch.write("numbers.yaml", file(&[("d", ""), ("rejects", ", settings: { fault: reject, at: write }")])).unwrap();
    let (code, summary) = document(&scratch, &["run", "numbers.yaml"]);
    let read = &summary["pipelines"][0]["read"];
    assert_eq!((code, &summary["pipelines"][0]["destinations"][1]["pending"]), (Some(1), read), "{summary:#}");
    let known = document(&scratch, &["checkpoints", "show"]).1;
    assert_eq!(known["pipelines"][0]["destinations"], json!(["rejects"]), "{known:#}");
    let (code, again) = document(&scratch, &["run", "numbers.yaml"]);
    let (read, carried) = (read.as_u64().unwrap(), again["pipelines"][0]["carried"].as_u64().unwrap());
    assert!(code == Some(1) && read > 0 && (1..=read).contains(&carried), "{again:#}");

    scratch.write("numbers.yaml", file(&[("d", "")])).unwrap();
    let refused = scratch.run(&["run", "numbers.yaml"]).unwrap();
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("destination rejects of pipeline numbers is not in this file any more"),
        "{}",
        refused.stderr
    );
}
