//! What happens to records where destinations go wrong: limits, receipts, delivery, grants. Real components, virtual time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod batching;
mod columns;
mod delivery;
mod directories;
mod failures;
mod grants;
mod http;
mod limits;
mod output;
mod receipts;
mod restarts;
mod routes;
mod server;
mod sockets;
mod sources;
mod state;
mod stops;
mod store;
mod tokens;
mod trial;
