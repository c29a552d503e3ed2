//! From a line of a file to the component that reads it, a record allocates nothing in the host: larger batches cost what smaller
//! ones do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/run.rs"]
mod run;

use std::{fmt::Write as _, path::Path, sync::Arc, time::Duration};

use wharf::{
    clock::Clock,
    connector::{Connector, Loader},
    sandbox::Engine,
    source::Format,
    store::SqliteStore,
};

use common::allocations;
use run::{cut, destination, file, run};

const BATCHES: u32 = 20;

/// What a pipeline allocates from its start to its end, with a store and a file of its own.
async fn cost(folder: &Path, connector: &Connector, setting: &str, records: u32) -> u64 {
    let folder = tempfile::tempdir_in(folder).unwrap();
    let path = folder.path().join("records.ndjson");
    let total = records * BATCHES;
    let lines = (0..total).fold(String::new(), |mut lines, n| {
        writeln!(lines, r#"{{"id":"order-{n:08}","note":"{:200}"}}"#, "é\\n").unwrap();
        lines
    });
    std::fs::write(&path, lines).unwrap();

    let source = file(&path, Format::JsonLines { key: Some("/id".parse().unwrap()) }, cut(records));
    let destination = destination("dest", connector, &[(setting, "true")]);
    let store = Arc::new(SqliteStore::open(&folder.path().join("store")).unwrap());
    let before = allocations();
    let counts = run(source, vec![destination], Duration::ZERO, store).await;
    let cost = allocations() - before;
    assert_eq!(counts.destinations[0].delivered, u64::from(total));
    cost
}

#[test]
fn a_record_allocates_nothing_on_its_way_into_a_component() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let loader = Loader::new(Engine::new(None).unwrap(), Clock::system()).unwrap();
    // One reads the records; the other asks for their keys too.
    for (component, setting) in [("wharf-discard", "checksum"), ("guest-sums", "pull")] {
        let component = wharf_tests::component(component).unwrap();
        runtime.block_on(async {
            let connector = loader.load(&component).await.unwrap();
            // What is made once is made now.
            cost(folder.path(), &connector, setting, 10).await;
            for (few, many) in [(100, 1000), (1000, 2000)] {
                let for_few = cost(folder.path(), &connector, setting, few).await;
                let for_many = cost(folder.path(), &connector, setting, many).await;
                let each = for_many.saturating_sub(for_few) as f64 / f64::from((many - few) * BATCHES);
                let title = connector.title();
                println!(
                    "{title}: {for_few} allocations for {BATCHES} batches of {few}, {for_many} for as many of {many}: {each}"
                );
                assert!(each < 0.01, "{title}: {each} allocations a record");
            }
        });
    }
}
