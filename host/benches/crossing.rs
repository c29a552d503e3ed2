//! What it costs to hand records to a component that reads every byte of them, and what else that could cost.
//!
//! `cargo bench -p wharf` prints ratios at the end and fails where one is beyond its bound. What they mean: `docs/benchmarks.md`.
//!
//! Each way is timed over many samples, and the fastest counts: whatever else a machine does makes a sample slower, never faster. The
//! component answers with its checksum as a remark on the last record. A receipt is what every answer takes, so nothing is measured
//! that a pipeline would not do; formatting and carrying the remark costs part of a microsecond a call, which counts against the
//! contract alone: the row-wise way hands back a bare number.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[path = "../../tests/guests/sums/src/checksum.rs"]
mod checksum;

use std::{
    cell::RefCell,
    collections::HashMap,
    hint::black_box,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput};
use tokio::runtime::Runtime;
use wasmtime::{
    Store,
    component::{Component, InstancePre, Linker},
};
use wharf::{
    clock::Clock,
    config::Limits,
    connector::{Connector, Loader, Opening, Session},
    record::{Batch, BatchBuilder, Column, Fate, Run},
    sandbox::{Call, Engine, Grants, Host, Instance, Scope},
};

use bindings::Sums;
use checksum::{METADATA, checksum, joined};

/// Bytes of a record, without its key and its metadata.
const RECORD: usize = 250;

/// The batch that the bounds are for.
const MANY: usize = 1000;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../tests/guests/sums-rows/wit",
        world: "sums",
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// One way to hand a batch over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    /// The records are copied twice and added up, without any component.
    Native,
    /// The same for the keys and the metadata as well.
    NativeWhole,
    /// Through a session: the component reads the records.
    Pushed,
    /// The same without limits.
    PushedUnlimited,
    /// Through a session: the component asks for the keys and the metadata and reads these too.
    Pulled,
    /// Through a session that is opened for this batch alone, in an instance of its own, and closed.
    Isolated,
    /// As `list<record>`, under the same limits.
    Rows,
    /// All columns as arguments, with nothing of a session around the call, under the same limits.
    Columns,
    /// The same without limits.
    Unlimited,
    /// The same with fuel and with epochs, which this host does without.
    Epochs,
    /// The records alone as an argument of a bare call, under the same limits.
    Records,
    /// The same without limits.
    RecordsUnlimited,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Native => "copied twice and summed natively",
            Self::NativeWhole => "the same with key and metadata",
            Self::Pushed => "through a session",
            Self::PushedUnlimited => "a session without limits",
            Self::Pulled => "the same, key and metadata pulled",
            Self::Isolated => "through a session of its own",
            Self::Rows => "as list<record>",
            Self::Columns => "all columns in a bare call",
            Self::Unlimited => "the same without limits",
            Self::Epochs => "the same with fuel and epochs",
            Self::Records => "the records in a bare call",
            Self::RecordsUnlimited => "these without limits",
        }
    }
}

fn main() -> ExitCode {
    let criterion = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    let mut criterion = criterion.without_plots().configure_from_args();
    let fastest = Fastest::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limited = Engine::new(None).unwrap();
    let (unlimited, epochs) = (without_limits(&limited), with_epochs(&limited));
    let sums = wharf_tests::component("guest-sums").unwrap();
    let sums_unlimited = connector(&runtime, &Engine::unmetered().unwrap(), &sums);
    let sums = connector(&runtime, &limited, &sums);
    let rows = wharf_tests::component("guest-sums-rows").unwrap();
    let [rows, rows_unlimited, rows_epochs] = [limited.wasmtime(), &unlimited, &epochs].map(|engine| linked(engine, &rows));

    for size in [MANY, 1] {
        let content = Content::new(size);
        let batch = content.batch();
        let mut group = criterion.benchmark_group(format!("batch of {size}"));
        group.throughput(Throughput::Elements(size as u64));
        let mut bench = |way: Way, run: &mut dyn FnMut(u64)| {
            group.bench_function(way.name(), |bencher| {
                bencher.iter_custom(|times| {
                    let start = Instant::now();
                    run(times);
                    let took = start.elapsed();
                    fastest.note(way, size, took.div_f64(times as f64));
                    took
                });
            });
        };
        bench(Way::Native, &mut native(&columns(&batch)[..1], content.records()));
        bench(Way::Pushed, &mut written(&runtime, &sums, &batch, false, content.records()));
        bench(Way::PushedUnlimited, &mut written(&runtime, &sums_unlimited, &batch, false, content.records()));
        bench(Way::NativeWhole, &mut native(&columns(&batch), content.whole()));
        bench(Way::Pulled, &mut written(&runtime, &sums, &batch, true, content.whole()));
        bench(Way::Isolated, &mut isolated(&runtime, &sums, &batch, content.records()));
        bench(Way::Rows, &mut by_rows(&runtime, &limited, &rows, &content));
        let (records, whole) = (&columns(&batch)[..1], &columns(&batch));
        bench(Way::Records, &mut by_columns(&runtime, &limited, &rows, records, content.records()));
        bench(Way::RecordsUnlimited, &mut by_columns_bare(&runtime, &rows_unlimited, records, content.records()));
        bench(Way::Columns, &mut by_columns(&runtime, &limited, &rows, whole, content.whole()));
        bench(Way::Unlimited, &mut by_columns_bare(&runtime, &rows_unlimited, whole, content.whole()));
        bench(Way::Epochs, &mut by_columns_bare(&runtime, &rows_epochs, whole, content.whole()));
        group.finish();
    }
    criterion.final_summary();
    fastest.summary()
}

/// What is handed over.
struct Content {
    payloads: Vec<Vec<u8>>,
    ids: Vec<String>,
    metadata: [Vec<String>; 3],
}

impl Content {
    fn new(size: usize) -> Self {
        let payload = |record: usize| (0..RECORD).map(|byte| (record * 31 + byte * 7) as u8).collect();
        let text = |text: &dyn Fn(usize) -> String| (0..size).map(text).collect();
        Self {
            payloads: (0..size).map(payload).collect(),
            ids: text(&|record| format!("order-{record:08}")),
            metadata: [
                text(&|record| format!("orders-{}", record % 4)),
                text(&|record| format!("eu-west-1-node-{:02}", record % 16)),
                text(&|record| format!("{:032x}", (record as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))),
            ],
        }
    }

    fn records(&self) -> u64 {
        checksum(self.payloads.iter().map(Vec::as_slice))
    }

    fn whole(&self) -> u64 {
        let texts = [&self.ids].into_iter().chain(&self.metadata);
        texts.map(|texts| checksum(texts.iter().map(String::as_bytes))).fold(self.records(), joined)
    }

    fn batch(&self) -> Batch {
        let mut builder = BatchBuilder::with_capacity(self.ids.len(), self.ids.len() * RECORD, true, None);
        for (sequence, (id, payload)) in self.ids.iter().zip(&self.payloads).enumerate() {
            builder.push(sequence as u64, Some(id.as_bytes()), payload).unwrap();
        }
        let batch = builder.finish("bench", "p".into());
        METADATA.into_iter().zip(&self.metadata).fold(batch, |batch, (name, values)| {
            batch.with_metadata(name, values.iter().map(|value| Some(value.as_bytes())).collect())
        })
    }
}

/// All columns, the records first.
fn columns(batch: &Batch) -> Vec<Column> {
    let metadata = batch.metadata().iter().map(|(_, column)| column);
    [batch.after()].into_iter().chain(batch.key()).chain(metadata).cloned().collect()
}

fn native(columns: &[Column], expected: u64) -> impl FnMut(u64) {
    let empty = || columns.iter().map(|column| vec![0; column.bytes()]).collect::<Vec<_>>();
    let (mut first, mut second) = (empty(), empty());
    move |times| {
        for _ in 0..times {
            for (copy, column) in first.iter_mut().zip(columns) {
                copy.copy_from_slice(column.data());
            }
            for (copy, data) in second.iter_mut().zip(black_box(&first)) {
                copy.copy_from_slice(data);
            }
            let sums = black_box(&second).iter().zip(columns).map(|(data, column)| {
                checksum(column.offsets().windows(2).map(|bounds| &data[bounds[0] as usize..bounds[1] as usize]))
            });
            assert_eq!(sums.reduce(joined), Some(expected));
        }
    }
}

fn connector(runtime: &Runtime, engine: &Engine, component: &Path) -> Connector {
    let loader = Loader::new(engine.clone(), Clock::system()).unwrap();
    runtime.block_on(loader.load(component)).unwrap()
}

/// The way that records take in a pipeline.
fn written(runtime: &Runtime, sums: &Connector, batch: &Batch, pull: bool, expected: u64) -> impl FnMut(u64) {
    let mut session: Session = runtime.block_on(sums.open(&opening(pull))).unwrap();
    let expected = format!("{expected:016x}");
    move |times| {
        runtime.block_on(async {
            for _ in 0..times {
                write(&mut session, batch, &expected).await;
            }
        });
    }
}

/// The same where the pipeline says `isolation: batch`.
fn isolated(runtime: &Runtime, sums: &Connector, batch: &Batch, expected: u64) -> impl FnMut(u64) {
    let (opening, expected) = (opening(false), format!("{expected:016x}"));
    move |times| {
        runtime.block_on(async {
            for _ in 0..times {
                let mut session = sums.open(&opening).await.unwrap();
                write(&mut session, batch, &expected).await;
                session.close().await.unwrap().unwrap();
            }
        });
    }
}

fn opening(pull: bool) -> Opening {
    Opening { settings: vec![("pull".into(), pull.to_string())], scope: Scope::default(), ..Opening::default() }
}

async fn write(session: &mut Session, batch: &Batch, expected: &str) {
    let answer = session.write(batch, 1).await;
    let remark = match answer.runs.last() {
        Some(Run { fate: Fate::Warned(remark), .. }) => Some(&**remark),
        _ => None,
    };
    assert_eq!(remark, Some(expected), "{:?}", answer.trouble);
}

fn linked(engine: &wasmtime::Engine, component: &Path) -> InstancePre<Host> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
    linker.instantiate_pre(&Component::from_file(engine, component).unwrap()).unwrap()
}

fn host(limits: &Limits) -> Host {
    Host::new(Scope::default(), limits, &Grants::default(), Arc::default(), &Clock::system()).unwrap()
}

/// An instance with every limit that a session has, and what it exports.
fn limited_instance(runtime: &Runtime, engine: &Engine, component: &InstancePre<Host>) -> (Instance, Sums) {
    runtime.block_on(async {
        let limits = Arc::new(Limits::default());
        let host = host(&limits);
        let (mut instance, exports) = Instance::start(engine, component, host, limits, Call::Open).await.unwrap();
        let sums = Sums::new(instance.store().unwrap(), &exports).unwrap();
        (instance, sums)
    })
}

fn by_rows(runtime: &Runtime, engine: &Engine, component: &InstancePre<Host>, content: &Content) -> impl FnMut(u64) {
    let (mut instance, sums) = limited_instance(runtime, engine, component);
    let (count, expected) = (content.ids.len() as u32, content.whole());
    // The rows are made once, and not once a batch as a host would have to: in their favour.
    let metadata =
        |record: usize| METADATA.into_iter().zip(&content.metadata).map(move |(name, values)| (name, &*values[record]));
    let metadata: Vec<Vec<(&str, &str)>> = (0..content.ids.len()).map(|record| metadata(record).collect()).collect();
    move |times| {
        let rows = content.ids.iter().zip(&content.payloads).zip(&metadata);
        let rows: Vec<_> = rows.map(|((id, payload), metadata)| bindings::Row { id, payload, metadata }).collect();
        runtime.block_on(async {
            for _ in 0..times {
                let sum = instance.call(Call::Write, count, async |store| sums.call_rows(store, &rows).await).await;
                assert_eq!(sum.unwrap(), expected);
            }
        });
    }
}

fn by_columns(
    runtime: &Runtime,
    engine: &Engine,
    component: &InstancePre<Host>,
    columns: &[Column],
    expected: u64,
) -> impl FnMut(u64) {
    let (mut instance, sums) = limited_instance(runtime, engine, component);
    let count = columns[0].len() as u32;
    move |times| {
        runtime.block_on(async {
            for _ in 0..times {
                let offsets: Vec<_> = columns.iter().map(Column::offsets).collect();
                let columns = columns.iter().zip(&offsets);
                let columns: Vec<_> =
                    columns.map(|(column, offsets)| bindings::Column { offsets, data: column.data() }).collect();
                let sum = instance.call(Call::Write, count, async |store| sums.call_columns(store, &columns).await).await;
                assert_eq!(sum.unwrap(), expected);
            }
        });
    }
}

/// The engine that sessions run in, but that it counts no fuel.
fn without_limits(engine: &Engine) -> wasmtime::Engine {
    let mut config = engine.wasmtime().config().clone();
    wasmtime::Engine::new(config.consume_fuel(false)).unwrap()
}

/// The engine that sessions run in, but that it looks at epochs as well.
fn with_epochs(engine: &Engine) -> wasmtime::Engine {
    let mut config = engine.wasmtime().config().clone();
    wasmtime::Engine::new(config.epoch_interruption(true)).unwrap()
}

/// Without any limit but what the engine counts anyway, of which there is enough.
fn by_columns_bare(runtime: &Runtime, component: &InstancePre<Host>, columns: &[Column], expected: u64) -> impl FnMut(u64) {
    let mut store = Store::new(component.engine(), host(&Limits::default()));
    store.set_epoch_deadline(u64::MAX / 2);
    // An engine that counts none has none to be set.
    let _uncounted = store.set_fuel(u64::MAX);
    let sums = runtime.block_on(async {
        let instance = component.instantiate_async(&mut store).await.unwrap();
        Sums::new(&mut store, &instance).unwrap()
    });
    move |times| {
        runtime.block_on(async {
            for _ in 0..times {
                let offsets: Vec<_> = columns.iter().map(Column::offsets).collect();
                let columns = columns.iter().zip(&offsets);
                let columns: Vec<_> =
                    columns.map(|(column, offsets)| bindings::Column { offsets, data: column.data() }).collect();
                assert_eq!(sums.call_columns(&mut store, &columns).await.unwrap(), expected);
            }
        });
    }
}

/// The fastest sample of each way and size, as the time of one batch.
#[derive(Default)]
struct Fastest(RefCell<HashMap<(Way, usize), Duration>>);

impl Fastest {
    fn note(&self, way: Way, size: usize, took: Duration) {
        let mut fastest = self.0.borrow_mut();
        let kept = fastest.entry((way, size)).or_insert(took);
        *kept = took.min(*kept);
    }

    fn ratio(&self, way: Way, to: Way, size: usize) -> Option<f64> {
        let fastest = self.0.borrow();
        Some(fastest.get(&(way, size))?.div_duration_f64(*fastest.get(&(to, size))?))
    }

    /// Prints what was measured as ratios. Fails where one is beyond its bound.
    fn summary(&self) -> ExitCode {
        // Without this, cargo asks only whether everything runs.
        if !std::env::args().any(|argument| argument == "--bench") || std::env::args().any(|argument| argument == "--test") {
            return ExitCode::SUCCESS;
        }
        let bounded = [
            (Way::Pushed, Way::Rows, 1.0 / 8.0),
            (Way::Pulled, Way::Rows, 1.0 / 8.0),
            (Way::Pushed, Way::Native, 3.0),
            (Way::Pulled, Way::NativeWhole, 3.0),
            (Way::Pushed, Way::PushedUnlimited, 1.25),
        ];
        let mut within = true;
        println!("The fastest of each, as ratios, for a batch of {MANY} records:");
        for (way, to, bound) in bounded {
            let Some(ratio) = self.ratio(way, to, MANY) else { continue };
            let verdict = if ratio <= bound { "within" } else { "BEYOND" };
            within &= ratio <= bound;
            println!("  {:<34} / {:<34} = {ratio:6.3}, {verdict} the bound of {bound}", way.name(), to.name());
        }
        for (way, to) in [
            (Way::Columns, Way::Rows),
            (Way::Records, Way::RecordsUnlimited),
            (Way::Columns, Way::Unlimited),
            (Way::Epochs, Way::Unlimited),
            (Way::Isolated, Way::Pushed),
        ] {
            let Some(ratio) = self.ratio(way, to, MANY) else { continue };
            println!("  {:<34} / {:<34} = {ratio:6.3}", way.name(), to.name());
        }
        println!("A record in a batch of one, as so many of a record in a batch of {MANY}:");
        for way in [Way::Pushed, Way::Pulled, Way::Rows] {
            let fastest = self.0.borrow();
            let (Some(one), Some(many)) = (fastest.get(&(way, 1)), fastest.get(&(way, MANY))) else { continue };
            println!("  {:<34} {:6.1}", way.name(), one.div_duration_f64(*many) * MANY as f64);
        }
        if within {
            ExitCode::SUCCESS
        } else {
            eprintln!("error: a crossing costs more than its bound; run again on an idle machine before looking for the cause");
            ExitCode::FAILURE
        }
    }
}
