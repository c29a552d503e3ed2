//! Runs of a pipeline that is put together by hand, without a pipeline file: for what is counted and measured.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use tokio::sync::watch;
use wharf::{
    clock::Clock,
    connector::{Connector, Opening},
    pipeline::{Counts, Delivery, Destination, Gate, Outlet, Pipeline, Stopping, Surroundings},
    sandbox::Scope,
    source::{Checkpoints, Compression, Cut, FileOptions, FileSource, Format, Reading, Source},
    store::SqliteStore,
};

/// Batches of so many records, however large they are and however long they take.
pub fn cut(records: u32) -> Cut {
    Cut { records, bytes: 64 << 20, delay: Duration::from_secs(3600) }
}

/// Reads a file from its beginning.
#[allow(dead_code, reason = "not everybody reads a file")]
pub fn file(path: &Path, format: Format, cut: Cut) -> Box<dyn Source> {
    let options = FileOptions {
        path: path.to_str().unwrap().to_owned(),
        compression: Compression::Detect,
        follow: None,
        reading: Reading::new(format, cut),
    };
    Box::new(FileSource::new(options, "pipe", Checkpoints::new(), Clock::system()))
}

/// A destination with these settings and usual limits, that may give up whatever it likes.
pub fn destination(id: &str, connector: &Connector, settings: &[(&str, &str)]) -> Destination {
    Destination {
        id: id.into(),
        connector: connector.clone(),
        opening: Opening {
            settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            scope: Scope::new([("pipeline", "pipe"), ("destination", id)]),
            ..Opening::default()
        },
        processors: Vec::new(),
        actions: Arc::default(),
        delivery: Delivery { tolerance: (0, 0), ..Delivery::default() },
    }
}

/// Runs a pipeline to its end, which is that of its source.
pub async fn run(
    source: Box<dyn Source>,
    destinations: Vec<Destination>,
    checkpoint_interval: Duration,
    store: Arc<SqliteStore>,
) -> Counts {
    let pipeline = Pipeline {
        id: "pipe".into(),
        source,
        processors: Vec::new(),
        outlets: destinations.into_iter().map(Outlet::from).collect(),
        window: 4,
        checkpoint_interval,
        tolerance: (0, 0),
        read_before: HashMap::new(),
        exact_batches: None,
    };
    let (_stop, stop) = watch::channel(Stopping::No);
    let progress = pipeline.progress();
    let ended = pipeline.run(Surroundings { store, clock: Clock::system(), stop, entrance: Gate::default() }, progress).await;
    assert!(ended.error.is_none(), "{:?}", ended.error);
    ended.counts
}
