//! What an honest connector notices of a hostile neighbour, beside what it notices of an honest one.
//!
//! `cargo bench -p wharf --bench neighbours` prints a line for each kind of neighbour and fails where one is beyond its bound. What it
//! means: `docs/benchmarks.md`.
//!
//! All run on one executor, as in the program. The honest connector is measured in short slices, by turns beside honest neighbours
//! and beside hostile ones, so that whatever else the machine does meanwhile falls on both. What it gets done is compared in two ways,
//! by the best slices and by the middle one of all pairs, of which the better counts: either is now and then far off on a busy machine, and
//! who is starved is so by both. Of the latencies all count. Neighbours work without a pause: the
//! honest ones write batch after batch, and a hostile one whose instance was ended gets a new one at once, which a pipeline would not
//! give it.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{runtime::Runtime, sync::mpsc};
use wharf::{
    clock::Clock,
    config::{self, Interval, Limits},
    connector::{Loader, Opening},
    pipeline::Destination,
    plan,
    record::{Batch, BatchBuilder},
    runtime,
    sandbox::{Engine, thread},
};
use wharf_tests::Scratch;

/// The least that the honest connector gets done beside a hostile neighbour, as a share of what it does beside an honest one.
const THROUGHPUT: f64 = 0.8;

/// By how much the 99th percentile of its batches may be later.
const LATER: Duration = Duration::from_millis(30);

/// How long it is measured at a time, and how often beside each.
const SLICE: Duration = Duration::from_millis(200);
const SLICES: usize = 12;

/// Records of a batch, and bytes of a record.
const RECORDS: u64 = 500;
const RECORD: [u8; 250] = [b'x'; 250];

/// How long a hostile call may take, with fuel without an end.
const TIME: Interval = Interval::from_millis(200);

/// What neighbours do, by the acts of `guest-hostile`, and how much of it.
const KINDS: [(&str, &str, u64); 13] = [
    ("computes without an end", "loop", 0),
    ("asks for the time", "clock", 0),
    ("asks for random numbers", "random-bytes-without-end", 64 << 10),
    ("counts figures", "count", 0),
    ("fills 8 MiB again and again", "churn", 8 << 20),
    ("fills 190 MiB again and again", "churn", 190 << 20),
    ("grows to its limit", "grow", 0),
    ("floods the log", "log", 0),
    ("floods its output", "lines-without-end", 0),
    ("sleeps", "sleep", 0),
    ("waits for no time at all", "timer-spin", 0),
    ("traps and is started again", "panic", 0),
    ("writes files", "write-files", 0),
];

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::sink).init();
    let chosen: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let folder = Scratch::new().unwrap();
    std::fs::create_dir(folder.path("granted")).unwrap();
    let executor = runtime::executor().unwrap();
    let workers = executor.metrics().num_workers();
    let loader = Loader::new(Engine::new(None).unwrap(), Clock::system()).unwrap();
    let honest = Arc::new(executor.block_on(planned(&loader, &folder, "guest-sums")));
    let hostile = executor.block_on(planned(&loader, &folder, "guest-hostile"));
    let batch = batch();
    // The first calls warm everything up.
    slice(&executor, &honest, &batch, &[Neighbour::Honest(honest.clone())]);

    println!("{workers} threads; bounds: throughput {THROUGHPUT}, 99th percentile later by {} ms", LATER.as_millis());
    println!("{:34} {:>10} {:>10} {:>12} {:>13}", "neighbours", "best", "middle", "99 % beside", "beside honest");
    let mut failed = false;
    let mut counts = vec![1, workers];
    counts.dedup();
    for count in counts {
        for (name, act, amount) in KINDS {
            let name = format!("{count} × {name}");
            if !chosen.is_empty() && !chosen.iter().any(|part| name.contains(part.as_str())) {
                continue;
            }
            let usual = || if act == "sleep" { Neighbour::Idle(honest.clone()) } else { Neighbour::Honest(honest.clone()) };
            let beside_honest: Vec<_> = (0..count).map(|_| usual()).collect();
            let hostile = Arc::new(doing(&hostile, act, amount));
            let beside_hostile: Vec<_> = (0..count).map(|_| Neighbour::Hostile(hostile.clone())).collect();
            let (mut ratios, mut usual, mut came) = (Vec::new(), Vec::new(), Vec::new());
            let (mut most_usual, mut most) = (0, 0);
            for _ in 0..SLICES {
                let with_honest = slice(&executor, &honest, &batch, &beside_honest);
                let with_hostile = slice(&executor, &honest, &batch, &beside_hostile);
                (most_usual, most) = (most_usual.max(with_honest.len()), most.max(with_hostile.len()));
                ratios.push(with_hostile.len() as f64 / with_honest.len() as f64);
                usual.extend(with_honest);
                came.extend(with_hostile);
            }
            ratios.sort_by(f64::total_cmp);
            let (best, middle) = (most as f64 / most_usual as f64, ratios[SLICES / 2]);
            let (usual, came) = (percentile(usual), percentile(came));
            let beyond = best.max(middle) < THROUGHPUT || came > usual + LATER;
            failed |= beyond;
            let told = if beyond { "  BEYOND ITS BOUND" } else { "" };
            println!("{name:34} {best:10.2} {middle:10.2} {:9.2} ms {:10.2} ms{told}", millis(came), millis(usual));
        }
    }
    executor.shutdown_background();
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Who works beside it.
///
/// One that sleeps is compared to an honest one that has nothing to do. Where a processor is free, the measured connector and what feeds it
/// run on one each and wake each other from afar, which takes longer than taking turns on one, whoever the neighbour is.
enum Neighbour {
    Honest(Arc<Destination>),
    Idle(Arc<Destination>),
    Hostile(Arc<Destination>),
}

/// How long each batch took from being ready to its answer, in one slice of time.
fn slice(executor: &Runtime, honest: &Arc<Destination>, batch: &Batch, neighbours: &[Neighbour]) -> Vec<Duration> {
    executor.block_on(async {
        let mut tasks = Vec::new();
        let done = Arc::new(AtomicBool::new(false));
        for neighbour in neighbours {
            let batch = batch.clone();
            match neighbour {
                Neighbour::Honest(honest) => {
                    let honest = honest.clone();
                    let done = done.clone();
                    tasks.push(thread::spawn(async move { busy(&honest, batch, done).await }));
                }
                Neighbour::Idle(honest) => {
                    let honest = honest.clone();
                    let done = done.clone();
                    tasks.push(thread::spawn(async move {
                        let _open = honest.connector.open(&honest.opening).await.unwrap();
                        while !done.load(Relaxed) {
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                    }));
                }
                Neighbour::Hostile(hostile) => {
                    let hostile = hostile.clone();
                    let done = done.clone();
                    tasks.push(thread::spawn(async move {
                        while !done.load(Relaxed) {
                            let mut session = hostile.connector.open(&hostile.opening).await.unwrap();
                            session.write(&batch, 1).await;
                        }
                    }));
                }
            }
        }
        // They are at it before it begins.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let measured = thread::spawn({
            let (honest, batch, done) = (honest.clone(), batch.clone(), done.clone());
            async move { work(&honest, batch, done).await }
        });
        // Not by the executor's own clock, which is what may be late.
        std::thread::sleep(SLICE);
        done.store(true, Relaxed);
        let took = measured.await.unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        took
    })
}

/// One task makes batches ready and another hands them over, as in a pipeline, until it is done.
async fn work(destination: &Destination, batch: Batch, done: Arc<AtomicBool>) -> Vec<Duration> {
    let mut session = destination.connector.open(&destination.opening).await.unwrap();
    let (sender, mut ready) = mpsc::channel(1);
    let reader =
        tokio::spawn(async move { while !done.load(Relaxed) && sender.send((Instant::now(), batch.clone())).await.is_ok() {} });
    let mut took = Vec::new();
    while let Some((since, batch)) = ready.recv().await {
        let answer = session.write(&batch, 1).await;
        assert!(answer.trouble.is_none(), "{:?}", answer.trouble);
        took.push(since.elapsed());
    }
    reader.await.unwrap();
    took
}

/// The same without anything to wait for, which is the load of a hostile one.
async fn busy(destination: &Destination, batch: Batch, done: Arc<AtomicBool>) {
    let mut session = destination.connector.open(&destination.opening).await.unwrap();
    while !done.load(Relaxed) {
        let answer = session.write(&batch, 1).await;
        assert!(answer.trouble.is_none(), "{:?}", answer.trouble);
    }
}

fn percentile(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() * 99 / 100]
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn batch() -> Batch {
    let mut builder = BatchBuilder::with_capacity(RECORDS as usize, RECORDS as usize * RECORD.len(), false, None);
    for sequence in 0..RECORDS {
        builder.push(sequence, None, &RECORD).unwrap();
    }
    builder.finish("bench", "p".into())
}

/// A connector, as a pipeline file has it.
async fn planned(loader: &Loader, folder: &Scratch, guest: &str) -> Destination {
    let component = wharf_tests::component(guest).unwrap();
    let directories = json!([{"host": "granted", "guest": "/granted", "access": "read-write"}]);
    let destination = json!({"id": guest, "component": component, "grants": {"directories": directories}});
    let source = json!({"kind": "generator", "count": 1});
    let file = json!({"version": 1, "pipelines": [{"id": "bench", "source": source, "destinations": [destination]}]});
    let file = config::parse(&file.to_string(), "bench.yaml", &folder.path(""), &|_| None).unwrap();
    let mut plan = plan::plan(file, loader, "run-1").await.ok().unwrap();
    plan.pipelines.remove(0).destinations.remove(0)
}

/// A `guest-hostile` that does this in each `write`.
fn doing(hostile: &Destination, act: &str, amount: u64) -> Destination {
    let settings = [("act", act), ("at", "write"), ("amount", &amount.to_string())];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut limits = Limits { fuel_per_call: u64::MAX, ..Limits::default() };
    limits.time.write = TIME;
    let opening = Opening { settings, limits: Arc::new(limits), ..hostile.opening.clone() };
    Destination { opening, ..hostile.clone() }
}
