//! The destination natively, over a far side that a test scripts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod far;
mod order;
mod requests;
mod verdicts;
