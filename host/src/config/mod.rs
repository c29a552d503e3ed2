//! The pipeline file as written: shape, defaults, `${VAR}`.
//!
//! A pipeline file says what is read, what it is cut into, and where it goes; `docs/pipelines.md` tells it key by key. It passes
//! through three steps, each a folder's worth of small files here, and a file that is wrong anywhere is refused whole, with all
//! that is wrong with it as far as it can be known at once ([`Mistakes`]), each with the line, the column and the nearest right name
//! (the seventh promise):
//!
//! 1. YAML becomes a tree that remembers where each thing stands (`yaml`, `node`). The tree is bounded, whatever the file says.
//! 2. `${VAR}` is replaced in the tree (`interpolate`), so that a value can never become structure, and what a variable held is
//!    never shown: messages quote the file as it was written.
//! 3. The tree becomes the types below (`de`), and what no single key can tell is checked over all of them (`load`).
//!
//! Nothing here opens a component or looks at a source: that is for whoever makes a plan of it.

mod action;
mod at;
mod bounded;
mod bulk;
mod component;
mod cron;
mod de;
mod dead_letters;
mod defaults;
mod delivery;
mod destination;
mod digest;
mod environment;
mod error;
mod explain;
mod fault;
mod file;
mod found;
mod grants;
mod host_name;
mod id;
mod interpolate;
mod interval;
mod limits;
mod load;
mod mistakes;
mod nearest;
mod node;
mod pattern;
mod pipeline;
mod process;
mod processor;
mod restart;
mod route;
mod schedule;
mod schema;
mod secret;
mod settings;
mod size;
mod source;
mod suite;
mod tokens;
mod when;
mod yaml;

#[cfg(test)]
mod tests;

pub use action::Action;
pub use at::At;
pub use bulk::{Bulk, OnLost, OnUndecidable, Poll, SpoolKeys, UploadKeys};
pub use component::Component;
pub use dead_letters::DeadLetters;
pub use defaults::{Defaults, DefaultsOfAll, DefaultsOfConnector};
pub use delivery::{Handed, Handling, OnUnknown, Rate, Retry, Then, Throttle};
pub use destination::{Destination, Isolation, Shape};
pub use digest::Digest;
pub use environment::{Environment, OwnEnvironment, Variable, as_variable};
pub use error::{ConfigError, Place};
pub use explain::{Explained, Origin as ValueOrigin};
pub use file::File;
pub use grants::{
    Access, AddedHeader, Directory, Grants, HeaderFrom, HostPort, HttpGrant, NotAHostPort, State, TcpGrant, is_the_hosts,
};
pub use host_name::{HostName, NotAHostName};
pub use id::{Id, NotAnId};
pub use interval::{Interval, NotAnInterval};
pub use limits::{HttpLimits, Limits, TcpLimits, Times};
pub use load::{environment, load, parse, parse_under};
pub use mistakes::Mistakes;
pub use nearest::nearest;
pub use pattern::{NotAPattern, Origin, Pattern, Scheme};
pub use pipeline::{Batch, Pipeline};
pub use process::{Compile, Process};
pub use processor::Processor;
pub use restart::Restart;
pub use route::{Otherwise, Route};
pub use schedule::{NotASchedule, Schedule, Zone};
pub use schema::schema;
pub use secret::Secret;
pub use settings::{Setting, Settings};
pub use size::{NotASize, Size};
pub use source::{Compression, FileSource, Format, Generator, NotAPath, PathOrGlob, Source, Stdin};
pub use suite::{Fault, Faults, Manners, Read, Refused, Skip, Suite, SuiteRead, SuiteText};
pub use tokens::{ClientAuth, Parameters, Scope, SecretFrom, TokenKind, TokenProvider, TokenUrl};
pub use when::{Is, Operation, When};
