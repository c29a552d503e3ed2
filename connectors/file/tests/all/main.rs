//! The store as a whole, on a disk in memory and on a real one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod interrupted;
mod memory_disk;
mod session;
mod store;
