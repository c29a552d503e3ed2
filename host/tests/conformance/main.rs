//! Conformance finds what is wrong with a component, and nothing else: for each fault of a mutant the cases that fail, exactly.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod mutant;
mod processors;
mod uploads;
mod writes;
