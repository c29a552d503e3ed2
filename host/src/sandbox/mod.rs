//! The engine, instances, limits and grants: all that touches wasmtime's store.
//!
//! **Threat.** A component is a stranger's program. It may compute for ever, take memory, keep handles, wait, flood its output, and try
//! every path that leads out. **Answer.** It gets an instance of its own with every limit set before the first instruction, and
//! reaches what its grants name and nothing else. Whatever goes wrong ends that instance: its store is dropped whole and never
//! entered again.
//!
//! | capability | file | without a grant |
//! | --- | --- | --- |
//! | directories, scratch | [`directories`], [`files`] | no preopened directory |
//! | HTTP | [`http`], [`redaction`] | `HTTP-request-denied` |
//! | sockets | [`sockets`] | `access-denied` |
//! | state | [`state`] | `not-granted` |
//! | tokens | [`tokens`] | `not-granted` |
//! | the staged file of an upload | [`staged`] | `no upload is in hand` |
//! | follow-ups | the contract's own interface | for actions of its own alone, in calls about records that come to an end |
//! | clocks, randomness | [`host`], [`timely`] | ordinary; random bytes a call are bounded |
//! | log, metrics | [`log`], [`figures`] | within a rate, and so many names |
//! | standard output and error | [`output`] | lines of the log; environment, arguments and standard input are empty |

pub mod address;
pub mod allocator;
pub mod bucket;
pub mod cache;
pub(crate) mod columns;
pub mod compile;
pub mod directories;
pub mod engine;
pub mod figures;
pub mod files;
pub mod grants;
pub mod histogram;
pub mod host;
pub mod http;
pub mod instance;
pub mod limiter;
pub mod log;
mod mounts;
pub mod output;
pub mod redaction;
pub mod roots;
pub mod sockets;
pub mod staged;
pub mod state;
pub mod thread;
pub mod timely;
pub mod tokens;
pub mod usage;

pub use compile::{CompileError, Compiler};
pub use directories::{Directories, DirectoryError, Kept};
pub use engine::{Compilations, Engine, EngineError};
pub use figures::{Figure, Figures};
pub use grants::Grants;
pub use histogram::Seen;
pub use host::{Host, InHand, Scope};
pub use http::{Http, HttpError};
pub use instance::{Call, Ended, Instance};
pub use log::Log;
pub use redaction::Redactor;
pub use sockets::Sockets;
pub use staged::Staged;
pub use state::{State, StateRefusal};
pub use tokens::{Broker, TokenError, TokenSource, Tokens};
pub use usage::{Event, Usage};
