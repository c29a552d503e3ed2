//! One destination: a component, its settings, and what it may reach and use.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    action::Action,
    at::At,
    bounded::{self, within},
    bulk::Bulk,
    delivery::{Handed, Handling, OnUnknown, Rate, Retry, Throttle},
    environment::Variable,
    error::Place,
    explain::{Keys, Rows},
    grants::Grants,
    id::Id,
    limits::Limits,
    processor::Processor,
    route::{Otherwise, Route},
    settings::Settings,
};

/// A component that records go to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a destination")]
pub struct Destination {
    /// The destination's name, unique in the pipeline. Checkpoints and dead letters are kept under it.
    pub id: At<Id>,
    /// The component: a `.wasm` file, relative to the folder of the pipeline file.
    #[serde(deserialize_with = "bounded::component")]
    #[schemars(with = "String")]
    pub component: At<PathBuf>,
    /// Whether the pipeline has it no more: it gets no records, and is told that it is deleted, where its component wants to know.
    #[serde(default)]
    pub removed: bool,
    /// The version of the far side's interface that the component speaks, one of those that it lists. What is in the spool keeps the one it
    /// came with. Default: what the connector says.
    #[serde(default)]
    #[schemars(with = "String")]
    pub api_version: Option<At<String>>,
    /// What the component is told, by the names of the parameters that it declares.
    #[serde(default)]
    pub settings: Settings,
    /// In what shape the connector gets the records.
    #[serde(default)]
    #[schemars(with = "Shape", extend("default" = "payload"))]
    pub format: Option<At<Shape>>,
    /// The text that a record becomes, with places in double braces for what it says, such as `{{ /user/id }}`. Only with
    /// `format: template`, and required there.
    #[serde(default)]
    #[schemars(with = "String")]
    pub template: Option<At<String>>,
    /// What the component may reach. It reaches nothing else.
    #[serde(default)]
    pub grants: Grants,
    /// What one instance of the component may use.
    #[serde(default)]
    pub limits: Limits,
    /// How long an instance of the component lives.
    #[serde(default)]
    pub isolation: Isolation,
    /// Whether records stay in order, as far as the connector keeps any; a connector that keeps none needs `false`. Default: `true`, and `false` where
    /// records go out as files.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "bool")]
    pub ordered: Option<bool>,
    /// How many instances take records side by side. Records of one key go to one of them, in order.
    #[serde(default, deserialize_with = "lanes")]
    #[schemars(range(min = 1, max = 64))]
    pub parallel: Option<u32>,
    /// The most that is handed over in one call. Default: what the connector prefers.
    #[serde(default)]
    pub batch: Handed,
    /// How fast records are handed over at the most.
    #[serde(default)]
    pub rate: Rate,
    /// When a record that fails for now, while others come through, is sent again.
    #[serde(default)]
    pub retry: Retry,
    /// When records are sent again while the far side is down.
    #[serde(default)]
    pub outage: Retry,
    /// The bounds within which a far side that asks for patience is given it.
    #[serde(default)]
    pub throttle: Throttle,
    /// What becomes of records that the connector does not answer for.
    #[serde(default)]
    pub on_unknown: OnUnknown,
    /// Whether it gets records. What waits in the spool of one that is switched off is given up.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Whether the others go on without it where it falls behind or fails. What it misses becomes dead letters of its own.
    #[serde(default)]
    pub best_effort: bool,
    /// Which records go to which action, where the connector has several. The first that takes a record has it.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// What becomes of records that no route takes. Only with `routes`.
    #[serde(default)]
    #[schemars(with = "Otherwise", extend("default" = "default"))]
    pub otherwise: Option<At<Otherwise>>,
    /// When records are handed over to single actions of the connector, and what is tried again.
    #[serde(default)]
    pub actions: Vec<At<Action>>,
    /// How files are made, where the component takes files, and what becomes of uploads.
    #[serde(default)]
    #[schemars(with = "Bulk")]
    pub bulk: Option<At<Bulk>>,
    /// What changes records on their way to this destination alone, in this order, behind the processors of the pipeline.
    #[serde(default)]
    pub processors: Vec<At<Processor>>,
    /// Variables of the environment that set something of it, over its settings here.
    #[serde(skip)]
    pub environment: Vec<Variable>,
    /// What stands in it beside settings and processors.
    #[serde(skip)]
    pub(super) rows: Rows,
    /// Where its keys stand.
    #[serde(skip)]
    pub(super) keys: Keys,
}

impl Destination {
    /// Where a key of it stands, by the way to it, such as `retry` or `actions.0.max-bytes`; `None` where it is left out.
    pub fn place_of(&self, key: &str) -> Option<&Place> {
        self.keys.place(key)
    }

    /// What happens where it fails.
    pub fn handling(&self) -> Handling {
        let Self { retry, outage, throttle, on_unknown, .. } = *self;
        Handling { retry, outage, throttle, on_unknown }
    }
}

const fn enabled() -> bool {
    true
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    bool::deserialize(deserializer).map(Some)
}

fn lanes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    within(deserializer, 1..=64).map(Some)
}

/// In what shape a connector gets records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// As they are.
    #[default]
    Payload,
    /// The whole record as a document of OpenCDC.
    #[serde(rename = "opencdc")]
    OpenCdc,
    /// The change as a document of Debezium, without a schema.
    Debezium,
    /// The entity in the envelope of Kafka Connect, without a schema.
    KafkaConnect,
    /// Text with places for what a record says.
    Template,
}

/// How long an instance of a component lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", expecting = "`destination` or `batch`")]
pub enum Isolation {
    /// From the first batch to the last, unless it ends before.
    #[default]
    Destination,
    /// For one batch: its session is opened, written to and closed, and nothing that it remembers outlives that.
    Batch,
}
