//! Wharf runs destinations as sandboxed WebAssembly components.

pub mod clock;
pub mod config;
pub mod record;
pub mod source;
