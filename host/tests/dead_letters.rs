//! One receipt that rejects a whole batch with one long message costs what the records need, and not the message as often as there are records.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/run.rs"]
mod run;

use std::{fmt::Write as _, path::Path, sync::Arc, time::Duration};

use wharf::{
    clock::Clock,
    connector::{Connector, Loader},
    pipeline::Counts,
    sandbox::Engine,
    source::Format,
    store::SqliteStore,
};

use common::{allocations, peak};
use run::{cut, destination, file};

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
    let settings = [("fault", fault), ("at", "write"), ("amount", &MESSAGE.to_string())];
    let destination = destination("dest", connector, &settings);
    let store = Arc::new(SqliteStore::open(&folder.join("store")).unwrap());
    run::run(file(&path, Format::Lines, cut(records)), vec![destination], Duration::ZERO, store).await
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
