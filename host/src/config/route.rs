//! Which records go to which action of a destination.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{at::At, when::When};

/// Which records go to which action.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a route")]
pub struct Route {
    /// Which records it takes; one goes with the first route that takes it. Default: all that no route before it took.
    #[serde(default)]
    pub when: Option<When>,
    /// The action that they go to, by the name that the connector gives it.
    #[schemars(with = "String")]
    pub action: At<String>,
}

/// What becomes of records that no route takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", expecting = "`default`, `filter` or `dead-letter`")]
pub enum Otherwise {
    /// They go to the connector's default action.
    #[default]
    Default,
    /// They are dropped on purpose, and counted as filtered.
    Filter,
    /// They are dead letters.
    DeadLetter,
}
