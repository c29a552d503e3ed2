//! One processor: a component, its settings, which records it is given, and what it may reach and use.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    at::At,
    bounded,
    delivery::{Handling, OnUnknown, Retry, Throttle},
    error::Place,
    explain::Keys,
    grants::Grants,
    id::Id,
    limits::Limits,
    settings::Settings,
    when::When,
};

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
    /// When a record that fails for now, while others go through, is processed again.
    #[serde(default)]
    pub retry: Retry,
    /// When records are processed again while all fail for now.
    #[serde(default)]
    pub outage: Retry,
    /// The bounds within which a processor that asks for patience is given it.
    #[serde(default)]
    pub throttle: Throttle,
    /// What becomes of records where the processor's answer breaks the contract.
    #[serde(default)]
    pub on_unknown: OnUnknown,
    /// Where its keys stand.
    #[serde(skip)]
    pub(super) keys: Keys,
}

impl Processor {
    /// Where a key of it stands, by the way to it, such as `retry`; `None` where it is left out.
    pub fn place_of(&self, key: &str) -> Option<&Place> {
        self.keys.place(key)
    }

    /// What happens where it fails.
    pub fn handling(&self) -> Handling {
        let Self { retry, outage, throttle, on_unknown, .. } = *self;
        Handling { retry, outage, throttle, on_unknown }
    }
}
