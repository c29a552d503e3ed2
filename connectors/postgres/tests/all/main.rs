//! The destination natively, against a real server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod once;
mod rows;
mod server;
mod trips;
mod trouble;
