//! What a component may reach, a file per capability.

mod directory;
mod state;

use schemars::JsonSchema;
use serde::Deserialize;

use super::at::At;

pub use directory::{Access, Directory};
pub use state::State;

/// What a component may reach. It reaches nothing else.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the grants block")]
pub struct Grants {
    /// Folders of the host, each with all that is in it.
    pub directories: Vec<At<Directory>>,
    /// Durable state of the destination's own. Default: none.
    pub state: Option<State>,
}
