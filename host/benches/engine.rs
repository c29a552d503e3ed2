//! What a record costs on its whole way through a pipeline, beside what the bare crossing into its component costs.
//!
//! `cargo bench -p wharf --bench engine` prints ratios and fails where one is beyond its bound. What they mean: `docs/benchmarks.md`.
//!
//! An engine pass is a run of a pipeline from its start to its end: the host's generator makes batches, a component reads every byte of
//! them and answers with a receipt, and what is settled goes into a store on disk, coalesced as it is by default. What the generator takes
//! to make up the records is measured by itself, and is no part of what is held to bounds. Everything is timed by
//! what the process computes, over all of its threads: what others do on the machine does not count, nor does it help that a pipeline does
//! several things at once. Whatever is compared is measured by turns, and of each the least counts.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/run.rs"]
mod run;

use std::{
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;
use wasmtime::component::{Component, Linker};
use wharf::{
    clock::Clock,
    config::Limits,
    connector::{Connector, Loader, Opening, Session},
    record::Batch,
    runtime,
    sandbox::{Call, Engine, Grants, Host, Instance, Scope},
    source::{Checkpoints, GeneratorOptions, GeneratorSource, Source},
    store::SqliteStore,
};

use common::allocations;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../tests/guests/sums-rows/wit",
        world: "sums",
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// Bytes of a record.
const RECORD: usize = 250;

/// Records of the batch that the bounds are for.
const MANY: u32 = 1000;

/// How often everything is measured.
const ROUNDS: usize = 7;

/// Batches in a pass: of many records, and of one.
const BATCHES: [u64; 2] = [2000, 10_000];

/// How many times the bare crossing a pass may cost.
const PASS: f64 = 3.0;

/// How many times a pass to one destination a pass to two and to four may cost.
const FAN_OUT: [f64; 2] = [2.2, 4.4];

/// How many allocations another record may cost.
const ALLOCATIONS: f64 = 0.01;

fn main() -> ExitCode {
    // Without this, cargo asks only whether everything runs.
    let measures = std::env::args().any(|argument| argument == "--bench");
    let rounds = if measures { ROUNDS } else { 1 };
    let executor = runtime::executor().unwrap();
    let loader = Loader::new(Engine::new(None).unwrap(), Clock::system()).unwrap();
    let sums = executor.block_on(loader.load(&wharf_tests::component("guest-sums").unwrap())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    if std::env::args().any(|argument| argument == "profile") {
        pass(&executor, folder.path(), &sums, MANY, 5 * BATCHES[0], 1);
        return ExitCode::SUCCESS;
    }
    let (many, one) = (generated(&executor, MANY), generated(&executor, 1));
    let (mut bare, mut session) = (Bare::new(&executor, &many), executor.block_on(sums.open(&Opening::default())).unwrap());

    let [mut in_a_call, mut through_a_session, mut through_one, mut made, mut pass_of_one] = [const { Least(None) }; 5];
    let mut passes = [1, 2, 4].map(|destinations| (destinations, Least(None)));
    for _ in 0..rounds {
        in_a_call.note(BATCHES[0], || bare.call(&executor, &many, BATCHES[0]));
        through_a_session.note(BATCHES[0], || write(&executor, &mut session, &many, BATCHES[0]));
        through_one.note(BATCHES[1], || write(&executor, &mut session, &one, BATCHES[1]));
        made.note(BATCHES[0], || make(&executor, BATCHES[0]));
        for (destinations, least) in &mut passes {
            least.note(BATCHES[0], || pass(&executor, folder.path(), &sums, MANY, BATCHES[0], *destinations));
        }
        pass_of_one.note(BATCHES[1], || pass(&executor, folder.path(), &sums, 1, BATCHES[1], 1));
    }
    let each = allocations_of_a_record(&executor, folder.path(), &sums);
    if !measures {
        return ExitCode::SUCCESS;
    }

    println!("{:44} {:>12} {:>12}", "a batch of 1,000 records of 250 B", "computed", "elapsed");
    in_a_call.print("the records in a bare call");
    through_a_session.print("through a session");
    made.print("made up by the generator, and dropped");
    for (destinations, least) in &passes {
        least.print(&format!("made up, and an engine pass to {destinations}"));
    }
    println!("a batch of one");
    through_one.print("through a session");
    pass_of_one.print("made up, and an engine pass");
    println!();
    // Of the pass alone.
    let [(_, one), (_, two), (_, four)] = passes.map(|(destinations, least)| (destinations, least.computed() - made.computed()));
    let mut within = true;
    let mut held = |name: &str, ratio: f64, bound: f64| {
        let verdict = if ratio <= bound { "within" } else { "BEYOND" };
        within &= ratio <= bound;
        println!("{name:44} {ratio:8.3}, {verdict} the bound of {bound}");
    };
    held("an engine pass / a bare call", one.div_duration_f64(in_a_call.computed()), PASS);
    held("an engine pass / through a session", one.div_duration_f64(through_a_session.computed()), PASS);
    for (name, more, bound) in [("a pass to two / to one", two, FAN_OUT[0]), ("a pass to four / to one", four, FAN_OUT[1])] {
        held(name, more.div_duration_f64(one), bound);
    }
    held("allocations for another record", each, ALLOCATIONS);
    let of_one = pass_of_one.computed();
    println!("{:44} {:8.1}", "a record in a batch of one / of 1,000", of_one.div_duration_f64(one) * f64::from(MANY));
    println!("{:44} {:8.1}", "a pass / through a session, batches of one", of_one.div_duration_f64(through_one.computed()));
    if within {
        ExitCode::SUCCESS
    } else {
        eprintln!("error: a pass costs more than its bound; run again on an idle machine before looking for the cause");
        ExitCode::FAILURE
    }
}

/// The least that one batch took, in what was computed and in time.
struct Least(Option<(Duration, Duration)>);

impl Least {
    /// Measures so many batches together.
    fn note(&mut self, batches: u64, work: impl FnOnce()) {
        let (computed, started) = (computed(), Instant::now());
        work();
        let took = (self::computed() - computed, started.elapsed());
        let each = (took.0.div_f64(batches as f64), took.1.div_f64(batches as f64));
        self.0 = Some(self.0.map_or(each, |least| (least.0.min(each.0), least.1.min(each.1))));
    }

    fn computed(&self) -> Duration {
        self.0.unwrap().0
    }

    fn print(&self, name: &str) {
        let (computed, elapsed) = self.0.unwrap();
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        println!("  {name:42} {:9.2} µs {:9.2} µs", micros(computed), micros(elapsed));
    }
}

/// What all threads of this process have computed so far.
fn computed() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn generator(records: u32, batches: u64) -> GeneratorSource {
    let options = GeneratorOptions {
        count: u64::from(records) * batches,
        size: RECORD,
        rate: None,
        seed: 0,
        entities: None,
        cut: run::cut(records),
    };
    GeneratorSource::new(options, "pipe", &Checkpoints::new(), Clock::system())
}

/// Has the generator make what a pass would hand over.
fn make(executor: &Runtime, batches: u64) {
    let mut generator = generator(MANY, batches);
    executor.block_on(async { while generator.read().await.unwrap().is_some() {} });
}

/// The first batch that a pass would hand over.
fn generated(executor: &Runtime, records: u32) -> Batch {
    let portion = executor.block_on(generator(records, 1).read()).unwrap().unwrap();
    portion.batch.unwrap()
}

/// A component that is called with nothing of a session around, under every limit that a session has.
struct Bare {
    instance: Instance,
    sums: bindings::Sums,
    sum: u64,
}

impl Bare {
    fn new(executor: &Runtime, batch: &Batch) -> Self {
        let engine = Engine::new(None).unwrap();
        let mut linker: Linker<Host> = Linker::new(engine.wasmtime());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        let component = wharf_tests::component("guest-sums-rows").unwrap();
        let component = linker.instantiate_pre(&Component::from_file(engine.wasmtime(), component).unwrap()).unwrap();
        executor.block_on(async {
            let limits = Arc::new(Limits::default());
            let host = Host::new(Scope::default(), &limits, &Grants::default(), Arc::default(), &Clock::system()).unwrap();
            let (mut instance, exports) = Instance::start(&engine, &component, host, limits, Call::Open).await.unwrap();
            let sums = bindings::Sums::new(instance.store().unwrap(), &exports).unwrap();
            let mut bare = Self { instance, sums, sum: 0 };
            bare.sum = bare.once(batch).await;
            bare
        })
    }

    async fn once(&mut self, batch: &Batch) -> u64 {
        let Self { instance, sums, .. } = self;
        let offsets = batch.after().offsets();
        let columns = [bindings::Column { offsets: &offsets, data: batch.after().data() }];
        let sum = instance.call(Call::Write, batch.count(), async |store| sums.call_columns(store, &columns).await).await;
        sum.unwrap()
    }

    fn call(&mut self, executor: &Runtime, batch: &Batch, times: u64) {
        executor.block_on(async {
            for _ in 0..times {
                assert_eq!(self.once(batch).await, self.sum);
            }
        });
    }
}

fn write(executor: &Runtime, session: &mut Session, batch: &Batch, times: u64) {
    executor.block_on(async {
        for _ in 0..times {
            assert!(session.write(batch, 1).await.trouble.is_none());
        }
    });
}

/// A whole run, with a store of its own.
fn pass(executor: &Runtime, folder: &Path, sums: &Connector, records: u32, batches: u64, destinations: usize) {
    let folder = tempfile::tempdir_in(folder).unwrap();
    let store = Arc::new(SqliteStore::open(&folder.path().join("store")).unwrap());
    let ids: Vec<String> = (0..destinations).map(|id| format!("d{id}")).collect();
    let to = ids.iter().map(|id| run::destination(id, sums, &[])).collect();
    let source = Box::new(generator(records, batches));
    // In the program a pipeline has a task of its own, and does not run on the thread that waits for it.
    let run = executor.spawn(run::run(source, to, Duration::from_secs(1), store));
    let counts = executor.block_on(run).unwrap();
    assert!(counts.destinations.iter().all(|destination| destination.delivered == u64::from(records) * batches));
}

/// How many more a run with larger batches makes than one with as many smaller ones, for each record that it has more.
fn allocations_of_a_record(executor: &Runtime, folder: &Path, sums: &Connector) -> f64 {
    let batches = 100;
    let cost = |records: u32| {
        let before = allocations();
        pass(executor, folder, sums, records, batches, 1);
        allocations() - before
    };
    let (few, many) = (cost(MANY), cost(2 * MANY));
    many.saturating_sub(few) as f64 / f64::from(MANY) / batches as f64
}
