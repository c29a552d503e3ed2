//! One receipt that rejects a whole batch with one long message costs what the records need, and not the message as often as there are records.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{collections::HashMap, fmt::Write as _, path::Path, sync::Arc, time::Duration};

use tokio::sync::watch;
use wharf::{
    clock::Clock,
    connector::{Connector, Loader, Opening},
    pipeline::{Counts, Delivery, Destination, Gate, Outlet, Pipeline, Stopping, Surroundings},
    sandbox::{Engine, Scope},
    source::{Checkpoints, Compression, Cut, FileOptions, FileSource, Format, Reading},
    store::SqliteStore,
};

use common::{allocations, peak};

/// The longest message that a receipt may bring.
const MESSAGE: u32 = 4 << 10;

/// Runs a pipeline whose records are all rejected, or all delivered, in one call.
async fn run(folder: &Path, connector: &Connector, fault: &str, records: u32) -> Counts {
    let path = folder.join("records.txt");
    let lines = (0..records).fold(String::new(), |mut lines, n| {
        writeln!(lines, "record {n:013}").unwrap();
        lines
    });
    std::fs::write(&path, lines).unwrap();
    let clock = Clock::system();
    let cut = Cut { records, bytes: 64 << 20, delay: Duration::from_secs(3600) };
    let options = FileOptions {
        path: path.to_str().unwrap().to_owned(),
        compression: Compression::Detect,
        follow: None,
        reading: Reading::new(Format::Lines, cut),
    };
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let settings = vec![setting("fault", fault), setting("at", "write"), setting("amount", &MESSAGE.to_string())];
    let scope = Scope::new([("pipeline", "pipe"), ("destination", "dest")]);
    let pipeline = Pipeline {
        id: "pipe".into(),
        source: Box::new(FileSource::new(options, "pipe", Checkpoints::new(), clock.clone())),
        processors: Vec::new(),
        outlets: vec![Outlet::from(Destination {
            id: "dest".into(),
            connector: connector.clone(),
            opening: Opening { settings, scope, ..Opening::default() },
            processors: Vec::new(),
            delivery: Delivery { tolerance: (0, 0), ..Delivery::default() },
        })],
        window: 4,
        checkpoint_interval: Duration::ZERO,
        tolerance: (0, 0),
        read_before: HashMap::new(),
        exact_batches: None,
    };
    let store = Arc::new(SqliteStore::open(&folder.join("store")).unwrap());
    let (_stop, stop) = watch::channel(Stopping::No);
    let progress = pipeline.progress();
    let ended = pipeline.run(Surroundings { store, clock, stop, entrance: Gate::default() }, progress).await;
    assert!(ended.error.is_none(), "{:?}", ended.error);
    ended.counts
}

/// Runs in a folder of its own. Gives allocations, the most bytes at one time, the counts, and the size of the store's file.
async fn cost(connector: &Connector, fault: &str, records: u32) -> (u64, u64, Counts, u64) {
    let folder = tempfile::tempdir().unwrap();
    let before = allocations();
    let (peak, counts) = peak(run(folder.path(), connector, fault, records)).await;
    let cost = allocations() - before;
    // The log is part of it; it goes with the last connection.
    let size = std::fs::metadata(folder.path().join("store")).unwrap().len();
    (cost, peak, counts, size)
}

#[test]
fn many_records_that_are_given_up_for_one_reason_share_it_in_memory_and_on_disk() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let loader = Loader::new(Engine::new(None).unwrap(), Clock::system()).unwrap();
    let component = wharf_tests::component("guest-faults").unwrap();
    runtime.block_on(async {
        let connector = loader.load(&component).await.unwrap();
        let (few, many) = (1_000, 200_000);
        for fault in ["none", "reject"] {
            // What is made once is made now.
            cost(&connector, fault, 10).await;
        }
        let (for_few, ..) = cost(&connector, "reject", few).await;
        let (_, delivered, ..) = cost(&connector, "none", many).await;
        let (for_many, rejected, counts, size) = cost(&connector, "reject", many).await;
        assert_eq!(counts.destinations[0].dead_lettered, u64::from(many));

        let allocations = for_many.saturating_sub(for_few) as f64 / f64::from(many - few);
        let memory = rejected.saturating_sub(delivered) / u64::from(many);
        let disk = size / u64::from(many);
        println!("a dead letter: {allocations} allocations, {memory} bytes of memory, {disk} of disk");
        assert!(allocations < 0.01, "{allocations} allocations a dead letter");
        assert!(memory < 400, "{memory} bytes of memory a dead letter");
        assert!(disk < 600, "{disk} bytes of disk a dead letter");
    });
}
