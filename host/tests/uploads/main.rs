//! Bulk destinations under the host's eye.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod blame;
mod cage;
mod calls;
mod days;
mod engine;
mod follow_ups;
mod hostile;
