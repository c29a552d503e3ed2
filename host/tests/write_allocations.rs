//! From a line of a file to the component that reads it, a record allocates nothing in the host: larger batches cost what smaller
//! ones do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{collections::HashMap, fmt::Write as _, path::Path, sync::Arc, time::Duration};

use tokio::sync::watch;
use wharf::{
    clock::Clock,
    connector::{Connector, Loader, Opening},
    pipeline::{Delivery, Destination, Gate, Outlet, Pipeline, Stopping, Surroundings},
    sandbox::{Engine, Scope},
    source::{Checkpoints, Compression, Cut, FileOptions, FileSource, Format, Reading},
    store::SqliteStore,
};

use common::allocations;

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

    let clock = Clock::system();
    let cut = Cut { records, bytes: 64 << 20, delay: Duration::from_secs(3600) };
    let options = FileOptions {
        path: path.to_str().unwrap().to_owned(),
        compression: Compression::Detect,
        follow: None,
        reading: Reading::new(Format::JsonLines { key: Some("/id".parse().unwrap()) }, cut),
    };
    let opening = Opening {
        settings: vec![(setting.into(), "true".into())],
        scope: Scope::new([("pipeline", "pipe"), ("destination", "dest")]),
        ..Opening::default()
    };
    let pipeline = Pipeline {
        id: "pipe".into(),
        source: Box::new(FileSource::new(options, "pipe", Checkpoints::new(), clock.clone())),
        processors: Vec::new(),
        outlets: vec![Outlet::from(Destination {
            id: "dest".into(),
            connector: connector.clone(),
            opening,
            processors: Vec::new(),
            delivery: Delivery::default(),
        })],
        window: 4,
        checkpoint_interval: Duration::ZERO,
        tolerance: (0, 0),
        read_before: HashMap::new(),
        exact_batches: None,
    };
    let store = Arc::new(SqliteStore::open(&folder.path().join("store")).unwrap());
    let (_stop, stop) = watch::channel(Stopping::No);
    let progress = pipeline.progress();

    let before = allocations();
    let ended = pipeline.run(Surroundings { store, clock, stop, entrance: Gate::default() }, progress).await;
    let cost = allocations() - before;
    assert!(ended.error.is_none(), "{:?}", ended.error);
    assert_eq!(ended.counts.destinations[0].delivered, u64::from(total));
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
