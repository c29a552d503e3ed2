//! What the author of a Wharf connector sees.
//!
//! A connector is a crate with a type that implements [`Destination`] and one line that exports it:
//!
//! ```
//! use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Order, Parameters, Receipt, export_destination, tracing};
//!
//! /// What an operator sets.
//! #[derive(Parameters)]
//! struct Config {
//!     /// The granted directory that the file is in, as the connector sees it.
//!     #[parameter(default = "/out")]
//!     directory: String,
//! }
//!
//! struct Append(std::fs::File);
//!
//! impl Destination for Append {
//!     type Config = Config;
//!
//!     fn describe() -> Descriptor {
//!         Descriptor::new("Appends each record to a file, as a line.")
//!             .order(Order::Batch)
//!             .request("directory", "{directory}", "records are appended to a file there")
//!     }
//!
//!     fn open(config: Config, context: Context) -> Result<Self, Failure> {
//!         let path = format!("{}/records.txt", config.directory);
//!         let file = std::fs::OpenOptions::new().append(true).create(true).open(&path);
//!         let file = file.map_err(|error| Failure::from_io(format_args!("open `{path}`"), &error))?;
//!         tracing::info!(path, pipeline = context.pipeline(), "opened");
//!         Ok(Self(file))
//!     }
//!
//!     fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
//!         let mut lines = Vec::new();
//!         for record in batch {
//!             lines.extend_from_slice(record.after().unwrap_or_default());
//!             lines.push(b'\n');
//!         }
//!         std::io::Write::write_all(&mut self.0, &lines).map_err(|error| Failure::from_io("append", &error))?;
//!         Ok(Receipt::all(batch))
//!     }
//! }
//!
//! export_destination!(Append);
//! # fn main() {}
//! ```
//!
//! In `Cargo.toml` stands `crate-type = ["cdylib", "rlib"]`: the first is the component, which `cargo build --target wasm32-wasip2`
//! makes, the second is what `cargo test` uses. [`testing`] drives a destination natively through the same life, held to the same rules.
//! What changes records on their way is a [`Processor`], exported by [`export_processor!`]. A far side that takes files and works through them in
//! its own time is a [`BulkDestination`], exported by [`export_bulk!`]; one that does both, by [`export_mixed!`].
//!
//! - What may be set: [`Parameters`](trait@Parameters).
//! - What the connector says of itself: [`Descriptor`].
//! - What it is handed: [`Batch`] and [`Record`], which borrow and copy nothing.
//! - What it answers: [`Receipt`], and [`Failure`]; a processor: [`Processed`].
//! - What a bulk destination is handed and answers: [`Lines`], [`Upload`] and [`Staged`], [`Uploaded`], [`Job`], [`UploadStatus`], [`Found`]; what helps with
//!   files and reports: [`csv`], [`gzip`], [`Rows`].
//! - Whether its far side is there: [`Probe`]; that a pipeline gains, changes or loses it: [`Lifecycle`].
//! - What it can ask of the host: [`Context`], [`progress`], [`follow_ups`], [`state`], [`tokens`], [`metrics`].
//! - What it logs: events of [`tracing`], with their fields and those of the spans around them, arrive in the host's log. A panic's message
//!   goes to stderr, from where the host takes it into its error. (`#[tracing::instrument]` alone asks for `tracing` among the
//!   connector's own dependencies.)

// The macros name this crate from outside; its own tests use them too.
extern crate self as wharf_sdk;

mod batch;
mod bulk;
mod column;
mod context;
pub mod csv;
mod descriptor;
mod destination;
mod duration;
mod failure;
pub mod follow_ups;
pub mod gzip;
mod json;
mod lifecycle;
mod log;
pub mod metrics;
mod panics;
pub mod parameters;
mod probe;
mod processed;
mod processor;
pub mod progress;
mod receipt;
mod secret;
mod session;
mod size;
mod span;
pub mod state;
mod sys;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod tokens;

pub use batch::{Batch, Operation, Record, Records};
pub use bulk::{BulkDestination, Found, Job, Line, Lines, Rows, Staged, StagedLines, Upload, UploadStatus, Uploaded, Waiting};
pub use column::Column;
pub use context::Context;
pub use descriptor::{Action, Descriptor, Order, Redelivery};
pub use destination::Destination;
pub use failure::{Failure, FailureKind};
pub use lifecycle::Lifecycle;
pub use parameters::{Parameters, Problem, Settings};
pub use probe::Probe;
pub use processed::{Output, Processed, ProcessedBuilder, Step};
pub use processor::Processor;
pub use receipt::{Answerable, Receipt, ReceiptBuilder};
pub use secret::Secret;
pub use size::Size;
pub use span::Span;
pub use tracing;
pub use wharf_sdk_derive::{Parameters, export_bulk, export_destination, export_mixed, export_processor};

/// The contract's types and what a component imports. What a component exports is generated in its own crate: a library that
/// generates more than one world links no component.
#[allow(missing_docs, clippy::all)]
#[doc(hidden)]
pub mod bindings {
    wharf_sdk_derive::imports!();
}

/// What the macros use. No part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use wit_bindgen;

    pub use crate::{
        bindings,
        bulk::{Parts as UploadedParts, StatusParts},
        descriptor::Package,
        parameters::Problem,
        processed::{Change, Parts},
        session::{
            BulkSession, FoundParts, ProcessorSession, Request, Session, check, created, deleted, describe, reachable, updated,
        },
    };

    /// Holds a type to what is exported of it, natively too.
    pub const fn is_destination<D: crate::Destination>() {}

    /// Holds a type to what is exported of it, natively too.
    pub const fn is_bulk<B: crate::BulkDestination>() {}

    /// Holds a type to what is exported of it, natively too.
    pub const fn is_probed<P: crate::Probe<C>, C>() {}

    /// Holds a type to what is exported of it, natively too.
    pub const fn is_told<L: crate::Lifecycle<C>, C>() {}

    /// Holds a type to what is exported of it, natively too.
    pub const fn is_processor<P: crate::Processor>() {}
}
