//! What the host offers: the imports in a component, what a test set up anywhere else.

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::bindings::wharf::connector::{context, follow_ups, log, metrics, progress, records, staged, state, tokens};

#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::*;
