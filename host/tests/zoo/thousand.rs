//! Hostile instances by the hundred, one after the other: files, threads and memory are what they were.

use std::{fs, time::Duration};

use serde_json::json;
use wharf::{
    clock::Clock,
    config::{self, Interval, Limits, Size},
    connector::{Loader, Opening, Trouble},
    pipeline::Destination,
    plan,
    sandbox::Engine,
};
use wharf_tests::Scratch;

use crate::{
    lifecycle::{batch, opening},
    process::{self, Holdings},
};

/// Instances before anything is counted: threads are started, and allocators and caches have what they keep.
const WARM: usize = 100;

/// What memory may differ by afterwards: what allocators keep back. One instance that stayed would cost 16 KiB to 16 MiB.
const MEMORY: u64 = 12 << 20;

/// Threads more or less of those that tokio keeps for calls that block: an instance has up to four at work on its files, and how many
/// there are at once is chance. One that each of those instances left behind would come to sixteen.
const THREADS: usize = 6;

/// What is done, how much of it, and whether the instance is still there after it.
const ACTS: [(&str, u64, Left); 12] = [
    ("panic", 0, Left::Gone),
    ("exit", 0, Left::Gone),
    // By fuel, and by time.
    ("loop", 0, Left::Gone),
    ("sleep", 0, Left::Gone),
    ("grow", 0, Left::Gone),
    ("keep", 8 << 20, Left::There),
    ("keep-pollables", 1000, Left::Gone),
    ("keep-full-fields", 40, Left::There),
    ("keep-files", 40, Left::There),
    ("lines", 200, Left::There),
    ("clock", 0, Left::Gone),
    // Given up in the middle.
    ("log", 0, Left::GivenUp),
];

#[derive(Clone, Copy, PartialEq)]
enum Left {
    Gone,
    There,
    GivenUp,
}

#[test]
fn thousand_hostile_instances_leave_files_threads_and_memory_as_they_were() {
    let instances = if wharf_tests::long() { 1000 } else { 200 };
    wharf_tests::component("guest-hostile").unwrap();
    match process::child("thousand::one_after_the_other", &instances.to_string(), Duration::from_secs(600)) {
        Ok(told) => println!("{}", told.lines().find(|line| line.starts_with("after ")).unwrap()),
        Err(error) => panic!("{error}"),
    }
}

#[test]
#[ignore = "counts what its process holds: started in one of its own by the test that is named for it"]
fn one_after_the_other() {
    tracing_subscriber::fmt().with_writer(std::io::sink).init();
    let instances: usize = process::task().parse().unwrap();
    let folder = Scratch::new().unwrap();
    fs::create_dir(folder.path("granted")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let hostile = runtime.block_on(planned(&folder));
    for index in 0..WARM {
        runtime.block_on(one(&hostile, index));
    }
    let before = Holdings::now();
    for index in 0..instances {
        runtime.block_on(one(&hostile, index));
    }
    let after = Holdings::now();
    println!("\nafter {instances} instances: {before:?} has become {after:?}");
    assert_eq!(after.files, before.files, "files");
    assert!(after.threads <= before.threads + THREADS, "threads: {before:?} {after:?}");
    assert!(after.memory <= before.memory + MEMORY, "memory: {before:?} {after:?}");
}

/// The connector with a grant, as a pipeline file gives it.
pub async fn planned(folder: &Scratch) -> Destination {
    let loader = Loader::new(Engine::new(None).unwrap(), Clock::system()).unwrap();
    let component = wharf_tests::component("guest-hostile").unwrap();
    let directories = json!([{"host": "granted", "guest": "/granted", "access": "read-write"}]);
    let destination = json!({"id": "bad", "component": component, "grants": {"directories": directories}});
    let source = json!({"kind": "generator", "count": 1});
    let file = json!({"version": 1, "pipelines": [{"id": "zoo", "source": source, "destinations": [destination]}]});
    let file = config::parse(&file.to_string(), "zoo.yaml", &folder.path(""), &|_| None).unwrap();
    let mut plan = plan::plan(file, &loader, "run-1").await.ok().unwrap();
    plan.pipelines.remove(0).destinations.remove(0)
}

/// One instance from its beginning to its end.
async fn one(hostile: &Destination, index: usize) {
    let (act, amount, left) = ACTS[index % ACTS.len()];
    let mut limits = Limits { memory: Size::from_mib(16), handles: 100, ..Limits::default() };
    if act == "loop" {
        (limits.fuel_per_call, limits.fuel_per_record) = (2_000_000, 1);
    } else if left == Left::Gone {
        limits.time.write = Interval::from_millis(20);
    }
    let Opening { settings, limits, .. } = opening(act, amount, limits);
    let opening = Opening { settings, limits, ..hostile.opening.clone() };
    let mut session = hostile.connector.open(&opening).await.unwrap();
    let records = batch(10);
    let write = session.write(&records, 1);
    let answer = match left {
        Left::GivenUp => {
            assert!(tokio::time::timeout(Duration::from_millis(10), write).await.is_err(), "{act}");
            return;
        }
        _ => write.await,
    };
    let gone = matches!(answer.trouble, Some(Trouble::Ended(_)));
    assert!(gone == (left == Left::Gone) && (gone || answer.trouble.is_none()), "{act}: {:?}", answer.trouble);
}
