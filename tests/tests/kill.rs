//! A host that is killed at any instant loses nothing, and the file connector doubles nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    fmt::Write as _,
    fs,
    hash::{BuildHasher, Hasher},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use wharf_tests::{Scratch, component, long};

/// Records in the file.
const RECORDS: u64 = 200_000;

/// Records a second in the run that is killed.
const RATE: u64 = 100_000;

/// What is read and not settled at the most: 4 batches of 1,000.
const WINDOW: u64 = 4_000;

#[test]
fn a_run_that_is_killed_and_run_again_delivers_every_record_once() {
    let kills = if long() { 20 } else { 3 };
    let mut input = String::new();
    for number in 0..RECORDS {
        writeln!(input, r#"{{"number":{number},"day":"2026-01-{:02}","filler":"{number:0100}"}}"#, number % 3 + 1).unwrap();
    }
    let connector = component("wharf-file").unwrap();
    let pipeline = |rate: &str| {
        format!(
            "version: 1
pipelines:
  - id: numbers
    source: {{ kind: file, path: numbers.ndjson, key: /number{rate} }}
    checkpoint-interval: 0
    destinations:
      - id: files
        component: {}
        settings: {{ directory: /out, name: \"{{date:%Y-%m-%d}}.ndjson\", date-pointer: /day }}
        grants: {{ directories: [ {{ host: out, guest: /out, access: read-write }} ] }}
",
            connector.display()
        )
    };
    for kill in 0..kills {
        let scratch = Scratch::new().unwrap();
        scratch.write("numbers.ndjson", &input).unwrap();
        scratch.write("slow.yaml", pipeline(&format!(", rate: {RATE}"))).unwrap();
        scratch.write("fast.yaml", pipeline("")).unwrap();
        fs::create_dir(scratch.path("out")).unwrap();

        // The component is compiled by now, so that the kill meets the delivery and not the compiler.
        assert_eq!(scratch.run(&["check", "slow.yaml"]).unwrap().code, Some(0));
        // From before the first record to after the last.
        let instant = Duration::from_millis(random() % (RECORDS * 1_100 / RATE));
        let started = Instant::now();
        let mut first =
            scratch.wharf(&["run", "slow.yaml"]).unwrap().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(instant.saturating_sub(started.elapsed()));
        first.kill().unwrap();
        first.wait().unwrap();
        let before = lines(&scratch).values().map(Vec::len).sum::<usize>() as u64;

        let second = scratch.run(&["run", "fast.yaml", "--output", "json"]).unwrap();
        let at = format!("kill {kill} at {instant:?}, {before} lines before");
        assert_eq!(second.code, Some(0), "{at}: {}", second.stderr);
        let summary = &second.json().unwrap()["pipelines"][0];
        let read = summary["read"].as_u64().unwrap() + summary["carried"].as_u64().unwrap();
        let expected: BTreeMap<String, Vec<String>> = (1..=3)
            .map(|day| {
                let day = format!("2026-01-{day:02}");
                let of_day = input.lines().filter(|line| line.contains(&day)).map(str::to_owned).collect();
                (format!("{day}.ndjson"), of_day)
            })
            .collect();
        // No assert_eq: a difference would print megabytes.
        assert!(lines(&scratch) == expected, "{at}: what arrived is not what was read, each once and in order");
        assert!(read <= RECORDS - before.min(RECORDS) + WINDOW, "{at}: the second run read {read}");
        println!("{at}: the second run read {read}");
    }
}

/// The lines of the files that were delivered, by the file's name.
fn lines(scratch: &Scratch) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(scratch.path("out")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "ndjson") {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            found.insert(name, text.lines().map(str::to_owned).collect());
        }
    }
    found
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
