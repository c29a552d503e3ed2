//! Wharf runs destinations as sandboxed WebAssembly components.

pub mod clock;
pub mod config;
pub mod connector;
pub mod pipeline;
pub mod record;
pub mod sandbox;
pub mod source;
pub mod store;
