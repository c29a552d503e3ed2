//! One processor: a component, its settings, which records it is given, and what it may reach and use.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{at::At, bounded, grants::Grants, id::Id, limits::Limits, settings::Settings, when::When};

/// A component that changes records on their way.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a processor")]
pub struct Processor {
    /// The processor's name, unique among the processors and destinations of the pipeline. Its state is kept under it.
    pub id: At<Id>,
    /// The component: a `.wasm` file, relative to the folder of the pipeline file.
    #[serde(deserialize_with = "bounded::component")]
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
    /// Which records it is given; the others pass it by, in their order. Default: all of them.
    #[serde(default)]
    pub when: Option<When>,
}
