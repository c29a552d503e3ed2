//! Wharf runs destinations as sandboxed WebAssembly components.

pub mod cli;
pub mod clock;
pub mod config;
pub mod connector;
pub mod pipeline;
pub mod plan;
pub mod record;
pub mod runtime;
pub mod sandbox;
pub mod source;
pub mod store;
