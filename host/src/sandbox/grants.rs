//! What an instance may reach: every grant, parsed and checked once.

use super::{Directories, Sockets, State};

/// What an instance may reach. By default nothing.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// Folders of the host.
    pub directories: Directories,
    /// Durable state; `None` where none is granted.
    pub state: Option<State>,
    /// Hosts and ports to connect to.
    pub sockets: Sockets,
}
