//! One pipeline: a source, how it is cut, and its destinations.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    at::At,
    bounded::{at_least_one, within},
    component::Component,
    dead_letters::DeadLetters,
    destination::Destination,
    digest::Digest,
    explain::Rows,
    id::Id,
    interval::Interval,
    processor::Processor,
    restart::Restart,
    size::Size,
    source::Source,
};

/// A source and where its records go.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a pipeline")]
pub struct Pipeline {
    /// The pipeline's name, unique in the file. Checkpoints are kept under it: a pipeline by another name begins anew.
    pub id: At<Id>,
    /// Where records come from.
    pub source: At<Source>,
    /// When records are cut into a batch: at whichever of these comes first.
    #[serde(default)]
    pub batch: Batch,
    /// Whether a batch that is sent again after a crash is the same batch: it is noted in the store before its first record is sent, and settled as a
    /// whole. Refused for a source that cannot be read again.
    #[serde(default)]
    #[schemars(with = "bool", extend("default" = false))]
    pub exact_batches: Option<At<bool>>,
    /// How many batches may be read and not settled at once; further reading waits. With `batch.bytes` it bounds memory.
    #[serde(default = "default_window", deserialize_with = "window")]
    #[schemars(range(min = 1, max = 64))]
    pub window: u32,
    /// What becomes of records that are given up.
    #[serde(default)]
    pub dead_letters: DeadLetters,
    /// How long a checkpoint may wait for more to be settled before it is written to the store. What was settled meanwhile is delivered again
    /// after a crash. `0` writes each at once.
    #[serde(default = "default_checkpoint_interval", deserialize_with = "checkpoint_interval")]
    pub checkpoint_interval: Interval,
    /// Whether the pipeline is started again where it ends in an error, and when.
    #[serde(default)]
    #[schemars(with = "Restart", extend("default" = "never"))]
    pub restart: Option<At<Restart>>,
    /// What changes records on their way to all destinations, in this order.
    #[serde(default)]
    pub processors: Vec<At<Processor>>,
    /// Where records go, at least one. Each gets all records.
    #[serde(deserialize_with = "destinations")]
    #[schemars(length(min = 1))]
    pub destinations: Vec<At<Destination>>,
    /// What all of this says.
    #[serde(skip)]
    pub(super) digest: Digest,
    /// What stands in it beside its parts.
    #[serde(skip)]
    pub(super) rows: Rows,
}

impl Pipeline {
    /// Whether a batch that is sent again after a crash is the same batch.
    pub fn exact_batches(&self) -> bool {
        self.exact_batches.as_ref().is_some_and(|exact| exact.value)
    }

    /// What it says as a whole: of two files, it says the same where these are equal.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// All components: those of its destinations, then those of its processors.
    pub fn components(&self) -> impl Iterator<Item = Component<'_>> {
        self.destinations.iter().map(Component::from).chain(self.all_processors().map(Component::from))
    }

    /// All processors: those of the pipeline, and those of each destination.
    pub fn all_processors(&self) -> impl Iterator<Item = &At<Processor>> {
        let own = self.destinations.iter().flat_map(|destination| &destination.processors);
        self.processors.iter().chain(own)
    }
}

/// When records are cut into a batch: at whichever of these comes first. What is not given is as the connectors prefer it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the batch block")]
pub struct Batch {
    /// The most records in a batch.
    #[serde(deserialize_with = "records")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub records: Option<u32>,
    /// The most bytes of payload in a batch. A single record that is larger makes a batch of its own.
    #[serde(deserialize_with = "bytes")]
    pub bytes: Option<Size>,
    /// The longest that a record waits for others; `0` sends what there is at once.
    #[serde(deserialize_with = "delay")]
    pub delay: Option<Interval>,
}

const WINDOW: RangeInclusive<u32> = 1..=64;
const RECORDS: RangeInclusive<u32> = 1..=1_000_000;
const BYTES: RangeInclusive<Size> = Size::from_kib(1)..=Size::from_mib(256);
const DELAY: RangeInclusive<Interval> = Interval::from_millis(0)..=Interval::from_secs(3600);

const CHECKPOINT_INTERVAL: RangeInclusive<Interval> = Interval::from_millis(0)..=Interval::from_secs(3600);

const fn default_checkpoint_interval() -> Interval {
    Interval::from_secs(1)
}

fn checkpoint_interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Interval, D::Error> {
    within(deserializer, CHECKPOINT_INTERVAL)
}

const fn default_window() -> u32 {
    4
}

fn window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, WINDOW)
}

fn records<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    within(deserializer, RECORDS).map(Some)
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Size>, D::Error> {
    within(deserializer, BYTES).map(Some)
}

fn delay<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Interval>, D::Error> {
    within(deserializer, DELAY).map(Some)
}

fn destinations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<At<Destination>>, D::Error> {
    at_least_one(deserializer, "destination")
}
