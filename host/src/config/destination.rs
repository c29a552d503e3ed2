//! One destination: a component, its settings, and what it may reach and use.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{at::At, bounded, grants::Grants, id::Id, limits::Limits, settings::Settings};

/// A component that records go to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a destination")]
pub struct Destination {
    /// The destination's name, unique in the pipeline. Checkpoints and dead letters are kept under it.
    pub id: At<Id>,
    /// The component: a `.wasm` file, relative to the folder of the pipeline file.
    #[serde(deserialize_with = "component")]
    #[schemars(with = "String")]
    pub component: At<PathBuf>,
    /// What the component is told, by the names of the parameters that it declares.
    #[serde(default)]
    pub settings: Settings,
    /// What the component may reach. It reaches nothing else.
    #[serde(default)]
    pub grants: Grants,
    /// What one instance of the component may use.
    #[serde(default)]
    pub limits: Limits,
    /// How long an instance of the component lives.
    #[serde(default)]
    pub isolation: Isolation,
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

fn component<'de, D: Deserializer<'de>>(deserializer: D) -> Result<At<PathBuf>, D::Error> {
    At::<bounded::Path>::deserialize(deserializer).map(|at| at.map(PathBuf::from))
}
