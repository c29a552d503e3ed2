//! The SDK, seen from a connector: through the harness, by the way that a component takes.

mod bulk;
mod destination;
mod parameters;
mod processed;
mod receipts;
mod schema;
