//! What a component may reach, a file per capability.

mod directory;
mod http;
mod state;
mod tcp;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{at::At, id::Id, size::Size};

pub use directory::{Access, Directory};
pub use http::{AddedHeader, HeaderFrom, HttpGrant, is_the_hosts};
pub use state::State;
pub(super) use tcp::FarSide;
pub use tcp::{HostPort, NotAHostPort, TcpGrant};

/// What a component may reach. It reaches nothing else.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the grants block")]
pub struct Grants {
    /// Folders of the host, each with all that is in it.
    pub directories: Vec<At<Directory>>,
    /// Durable state of the destination's own. Default: none.
    pub state: Option<State>,
    /// Where TCP connections may go: `host:port`, or blocks where there is more to say.
    pub tcp: Vec<At<TcpGrant>>,
    /// A private, empty directory at `/scratch` for each instance, gone with it: the most bytes that may stand in it. Default: none.
    #[serde(deserialize_with = "directory::quota")]
    #[schemars(with = "Size")]
    pub scratch: Option<Size>,
    /// Where HTTP requests may go: patterns, or blocks where there is more to say.
    pub http: Vec<At<HttpGrant>>,
    /// Providers under `tokens` whose access tokens the component may ask for.
    #[schemars(with = "Vec<Id>")]
    pub tokens: Vec<At<Id>>,
}

impl Grants {
    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        let Self { directories, state, tcp, scratch, http, tokens } = self;
        directories.is_empty() && state.is_none() && tcp.is_empty() && scratch.is_none() && http.is_empty() && tokens.is_empty()
    }
}
