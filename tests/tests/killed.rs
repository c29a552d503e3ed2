//! A host that is killed again and again, at any instant, over one data directory: nothing is lost, nothing overtakes what is before it, and
//! what comes twice comes with the same key.
//!
//! The records come from a file that somebody else goes on writing, a few at a time and with rests in between, whether the host lives or
//! not; batches are cut by delay. They are made into several, go to two destinations, one of which has three instances, and are answered in
//! part, late, not at all, and with refusals (`guest-fickle`). `WHARF_TEST_SEED=n` has a schedule of kills and records again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../guests/fickle/src/fate.rs"]
mod fate;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::RandomState},
    fs::{self, File, OpenOptions},
    hash::{BuildHasher, Hasher},
    io::Write as _,
    path::Path,
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use fate::{Fate, mixed};
use serde_json::Value;
use wharf_tests::{Scratch, component, long};

/// The destinations, and what is different about them.
const DESTINATIONS: [(&str, &str); 2] = [("one", ""), ("three", "parallel: 3")];

/// Keys that the records have, in no order.
const KEYS: u64 = 25;

#[test]
fn a_host_that_is_killed_again_and_again_loses_nothing_and_keeps_the_order_of_keys() {
    trial("");
}

#[test]
fn with_exact_batches_what_comes_again_comes_in_the_cut_that_it_came_in() {
    trial("exact-batches: true");
}

/// Draws numbers.
#[derive(Clone)]
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = mixed(self.0);
        self.0 % bound
    }

    fn millis(&mut self, bound: u64) -> Duration {
        Duration::from_millis(self.below(bound))
    }
}

/// When the host is killed.
#[derive(Debug)]
enum Moment {
    /// So long after it was started.
    After(Duration),
    /// So long after a file or a folder has changed so often: in the middle of whatever wrote to it.
    Changed(&'static str, u64, Duration),
}

impl Moment {
    fn draw(draw: &mut Draw) -> Self {
        let soon = |draw: &mut Draw| Duration::from_micros(draw.below(3_000));
        match draw.below(10) {
            // While it starts.
            0..=1 => Self::After(draw.millis(250)),
            2..=5 => Self::After(draw.millis(1_500)),
            // A checkpoint, or the start of a run.
            6..=7 => Self::Changed(".wharf/wharf.db-wal", 1 + draw.below(30), soon(draw)),
            8 => Self::Changed("letters.ndjson", 1 + draw.below(3), soon(draw)),
            // Delivered, and not settled.
            _ => Self::Changed("three/1", 1 + draw.below(30), soon(draw)),
        }
    }

    /// Waits for it.
    fn wait(&self, scratch: &Scratch, host: &mut Child) {
        let start = Instant::now();
        match self {
            Self::After(time) => thread::sleep(time.saturating_sub(start.elapsed())),
            Self::Changed(name, times, then) => {
                let path = scratch.path(name);
                let (mut state, mut changes) = (changed(&path), 0);
                while changes < *times && start.elapsed() < Duration::from_secs(3) && host.try_wait().unwrap().is_none() {
                    let now = changed(&path);
                    changes += u64::from(now != state);
                    state = now;
                    thread::sleep(Duration::from_micros(100));
                }
                thread::sleep(*then);
            }
        }
    }
}

fn changed(path: &Path) -> Option<(u64, SystemTime)> {
    let state = path.metadata().ok()?;
    Some((state.len(), state.modified().ok()?))
}

/// Writes records until it is told to stop: gives how many.
fn write(mut file: File, mut draw: Draw, stop: &AtomicBool) -> u64 {
    let mut number = 0;
    while !stop.load(Relaxed) {
        for _ in 0..=draw.below(12) {
            let (key, items) = (draw.below(KEYS), [0, 1, 1, 1, 2, 3][draw.below(6) as usize]);
            let items = (0..items).map(|item| item.to_string()).collect::<Vec<_>>().join(",");
            let line = format!("{{\"number\":{number},\"key\":\"key-{key}\",\"items\":[{items}]}}\n");
            // Sometimes the half of it is there for a while.
            let half = if draw.below(20) == 0 { line.len() / 2 } else { line.len() };
            file.write_all(&line.as_bytes()[..half]).unwrap();
            if half < line.len() {
                thread::sleep(draw.millis(30));
                file.write_all(&line.as_bytes()[half..]).unwrap();
            }
            number += 1;
        }
        thread::sleep(draw.millis(35));
    }
    number
}

/// A run of the host until it is killed; it may not end by itself. What it logged is added to the log.
fn run_and_kill(scratch: &Scratch, moment: &Moment) {
    let log = OpenOptions::new().create(true).append(true).open(scratch.path("log")).unwrap();
    let mut host = scratch.wharf(&["run", "following.yaml"]).unwrap();
    let mut host = host.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    moment.wait(scratch, &mut host);
    if let Some(status) = host.try_wait().unwrap() {
        let log = fs::read_to_string(scratch.path("log")).unwrap();
        let last: Vec<&str> = log.lines().rev().take(20).collect();
        panic!("the host ended by itself before {moment:?}: {status}\n{}", last.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    host.kill().unwrap();
    host.wait().unwrap();
}

fn pipeline(of_pipeline: &str, follow: &str, seeds: [u64; 2]) -> String {
    let destinations: String = DESTINATIONS
        .iter()
        .zip(seeds)
        .map(|((id, rest), seed)| {
            format!(
                "
      - id: {id}
        component: {}
        settings: {{ seed: {seed} }}
        grants: {{ directories: [ {{ host: {id}, guest: /journal, access: read-write }} ] }}
        retry: {{ min-delay: 1ms, max-delay: 20ms, max-attempts: 4 }}
        outage: {{ min-delay: 1ms, max-delay: 20ms }}
        {rest}",
                component("guest-fickle").unwrap().display()
            )
        })
        .collect();
    format!(
        "version: 1
pipelines:
  - id: killed
    source: {{ kind: file, path: records.ndjson, key: /key{follow} }}
    batch: {{ records: 40, delay: 20ms }}
    window: 6
    checkpoint-interval: 50ms
    dead-letters: {{ window: 0, copy-to: letters.ndjson }}
    {of_pipeline}
    processors: [ {{ id: items, component: {}, settings: {{ pointer: /items, keep: true }} }} ]
    destinations:{destinations}
",
        component("wharf-explode").unwrap().display()
    )
}

/// Kills it so often; lets it end, and looks at what became of each record.
fn trial(of_pipeline: &str) {
    let kills = if long() { 100 } else { 8 };
    let chosen = std::env::var("WHARF_TEST_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    // A seed that YAML and JSON both take for a whole number.
    let seed = chosen.unwrap_or_else(|| RandomState::new().build_hasher().finish() >> 16);
    println!("WHARF_TEST_SEED={seed}");
    let mut draw = Draw(seed);
    let seeds = [draw.below(1 << 40), draw.below(1 << 40)];
    let scratch = Scratch::new().unwrap();
    scratch.write("following.yaml", pipeline(of_pipeline, ", follow: true, poll: 5ms", seeds)).unwrap();
    scratch.write("last.yaml", pipeline(of_pipeline, "", seeds)).unwrap();
    for (id, _) in DESTINATIONS {
        fs::create_dir(scratch.path(id)).unwrap();
    }
    let records = File::create(scratch.path("records.ndjson")).unwrap();
    // Components are compiled by now, so that a kill meets the host and not the compiler.
    let checked = scratch.run(&["check", "following.yaml"]).unwrap();
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);

    let stop = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let (stop, draw) = (stop.clone(), Draw(seed + 1));
        move || write(records, draw, &stop)
    });
    for kill in 0..kills {
        let moment = Moment::draw(&mut draw);
        let before = delivered_so_far(&scratch);
        run_and_kill(&scratch, &moment);
        println!("kill {kill}: {moment:?}, {} bytes of journals more", delivered_so_far(&scratch) - before);
    }
    stop.store(true, Relaxed);
    let written = writer.join().unwrap();

    let last = scratch.run(&["run", "last.yaml", "--output", "json"]).unwrap();
    assert!(matches!(last.code, Some(0 | 3)), "{}", last.stderr);
    let again = scratch.run(&["run", "last.yaml", "--output", "json"]).unwrap();
    assert_eq!(again.json().unwrap()["pipelines"][0]["read"], 0, "{}", again.stderr);
    let log = fs::read_to_string(scratch.path("log")).unwrap() + &last.stderr;
    assert!(!log.contains("panicked at host"), "{log}");

    let expected = expected(&scratch, written);
    let letters = letters(&scratch);
    for ((id, _), seed) in DESTINATIONS.iter().zip(seeds) {
        let journal = Journal::read(&scratch, id);
        println!(
            "{id}: {written} records made into {}, of which {} were handed over more than once",
            expected.len(),
            journal.more_than_once()
        );
        journal.hold(id, seed, &expected, &letters);
        if of_pipeline.contains("exact-batches") {
            journal.hold_to_cuts(id);
        }
    }
}

fn delivered_so_far(scratch: &Scratch) -> u64 {
    let folders = DESTINATIONS.iter().map(|(id, _)| fs::read_dir(scratch.path(id)).unwrap());
    folders.flatten().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// The key of a record within its partition, of which there is one: sequence and ordinal.
type Place = (u64, u32);

/// What was read and made into several: key and content.
fn expected(scratch: &Scratch, written: u64) -> BTreeMap<Place, (String, String)> {
    let (mut expected, mut sequence, mut lines) = (BTreeMap::new(), 0, 0);
    for line in fs::read_to_string(scratch.path("records.ndjson")).unwrap().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let key = record["key"].as_str().unwrap();
        for (ordinal, item) in (0..).zip(record["items"].as_array().unwrap()) {
            let content = format!("{{\"number\":{lines},\"key\":\"{key}\",\"items\":{item}}}");
            expected.insert((sequence, ordinal), (key.to_owned(), content));
        }
        // The place of its first byte.
        sequence += line.len() as u64 + 1;
        lines += 1;
    }
    assert_eq!(lines, written);
    expected
}

/// The dead letters of each destination.
type Letters = BTreeSet<(String, Place)>;

/// The dead letters in the store; each of them stands in the copy too.
fn letters(scratch: &Scratch) -> Letters {
    let place = |letter: &Value| {
        let place = (letter["sequence"].as_u64().unwrap(), letter["ordinal"].as_u64().unwrap().try_into().unwrap());
        (letter["destination"].as_str().unwrap().to_owned(), place)
    };
    let listed = ["dead-letters", "list", "--data-dir", ".wharf", "--output", "json", "--limit", "1000000"];
    let listed = scratch.run(&listed).unwrap().json().unwrap();
    let all: Vec<_> = listed["dead_letters"].as_array().unwrap().iter().map(place).collect();
    let letters: Letters = all.iter().cloned().collect();
    assert_eq!(all.len(), letters.len(), "a record is a dead letter once");
    // A line that was cut off by a kill stays a line of its own.
    let copied = fs::read_to_string(scratch.path("letters.ndjson")).unwrap_or_default();
    let copied: Letters = copied.lines().filter_map(|line| Some(place(&serde_json::from_str(line).ok()?))).collect();
    assert!(letters.is_subset(&copied), "not copied: {:?}", letters.difference(&copied).collect::<Vec<_>>());
    letters
}

/// A record that was handed over.
#[derive(Debug)]
struct Handed {
    what: String,
    partition: String,
    place: Place,
    batch: String,
    place_in_cut: u32,
    key: String,
    content: String,
}

/// What the instances of a destination were handed: each in the order of its calls.
struct Journal(Vec<Vec<Handed>>);

impl Journal {
    fn read(scratch: &Scratch, id: &str) -> Self {
        let files = fs::read_dir(scratch.path(id)).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
        Self(files.map(|journal| String::from_utf8_lossy(&journal).lines().filter_map(Handed::parse).collect()).collect())
    }

    fn all(&self) -> impl Iterator<Item = &Handed> {
        self.0.iter().flatten()
    }

    fn more_than_once(&self) -> usize {
        let mut delivered = HashMap::<Place, u32>::new();
        self.all()
            .filter(|handed| handed.what == "delivered")
            .for_each(|handed| *delivered.entry(handed.place).or_default() += 1);
        delivered.values().filter(|times| **times > 1).count()
    }

    /// Each record is delivered or a dead letter, as it must be; those of a key in order; and what came twice was the same.
    fn hold(&self, id: &str, seed: u64, expected: &BTreeMap<Place, (String, String)>, letters: &Letters) {
        let mut partitions = BTreeSet::new();
        let mut last: HashMap<&str, Place> = HashMap::new();
        let (mut delivered, mut of_instance) = (BTreeSet::new(), HashMap::<&str, usize>::new());
        for (instance, calls) in self.0.iter().enumerate() {
            for handed in calls {
                partitions.insert(&handed.partition);
                let Handed { what, place, key, content, .. } = handed;
                let made = expected.get(place);
                assert!(made.is_some_and(|made| (&made.0, &made.1) == (key, content)), "{id}: {handed:?} is not {made:?}");
                assert_eq!(*of_instance.entry(key).or_insert(instance), instance, "{id}: two instances were handed {key}");
                if what == "delivered" && delivered.insert(*place) {
                    let before = last.insert(key, *place);
                    assert!(before < Some(*place), "{id}: {handed:?} was delivered first after {before:?}");
                }
            }
        }
        assert_eq!(partitions.len(), 1, "{id}: {partitions:?}");
        for (place, content) in expected {
            let is_letter = letters.contains(&(id.to_owned(), *place));
            let fate = Fate::of(seed, place.0, place.1);
            let found = (delivered.contains(place), is_letter);
            assert_eq!(found, (!fate.is_dead(), fate.is_dead()), "{id}: {place:?} {content:?}, {fate:?}: delivered, dead letter");
        }
    }

    /// A record is in one cut and no other, at one place in it.
    fn hold_to_cuts(&self, id: &str) {
        let mut cuts = HashMap::new();
        for handed in self.all() {
            let first = cuts.entry(handed.place).or_insert(handed);
            let cut = |of: &Handed| (of.batch.clone(), of.place_in_cut);
            assert_eq!(cut(first), cut(handed), "{id}: {handed:?} came first as {first:?}");
        }
    }
}

impl Handed {
    /// A line of a journal; `None` where it was cut off.
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [what, partition, sequence, ordinal, batch, place, _, key, content, "."] = fields[..] else { return None };
        Some(Self {
            what: what.to_owned(),
            partition: partition.to_owned(),
            place: (sequence.parse().unwrap(), ordinal.parse().unwrap()),
            batch: batch.to_owned(),
            place_in_cut: place.parse().unwrap(),
            key: key.to_owned(),
            content: content.to_owned(),
        })
    }
}
