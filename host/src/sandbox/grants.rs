//! What an instance may reach: every grant, parsed and checked once.

use super::{Directories, Http, Sockets, State, Tokens, redaction::Redactor};

/// What an instance may reach. By default nothing.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// Folders of the host.
    pub directories: Directories,
    /// Durable state; `None` where none is granted.
    pub state: Option<State>,
    /// Hosts and ports to connect to.
    pub sockets: Sockets,
    /// Where HTTP requests may go.
    pub http: Http,
    /// Takes out of what the connector says, and of what comes back to it, what the host added and what its settings hold by way of
    /// secrets.
    pub redactor: Redactor,
    /// Access tokens.
    pub tokens: Tokens,
}
