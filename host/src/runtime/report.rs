//! What came of a pipeline.

use std::{sync::Arc, time::Duration};

use crate::{
    config,
    pipeline::{Counts, Destination, PipelineError},
    sandbox::Usage,
};

/// What came of a pipeline.
#[derive(Debug)]
pub struct Report {
    /// Its id.
    pub pipeline: Arc<str>,
    /// What became of its records.
    pub counts: Counts,
    /// What each of its destinations used, in the order of the counts.
    pub used: Vec<Used>,
    /// How many dead letters were removed for their age.
    pub purged: u64,
    /// How long it ran.
    pub took: Duration,
    /// Why it ended before its source did.
    pub error: Option<PipelineError>,
    /// Whether a later run reads again what this one left pending.
    pub rereads: bool,
}

/// What a destination used over all of its instances, and of how much.
#[derive(Clone, Debug)]
pub struct Used {
    /// What it used and tried.
    pub usage: Arc<Usage>,
    /// The most memory that an instance may hold.
    pub memory_limit: config::Size,
}

impl From<&Destination> for Used {
    fn from(destination: &Destination) -> Self {
        Self { usage: destination.opening.usage.clone(), memory_limit: destination.opening.limits.memory }
    }
}
