//! A destination that sends records as HTTP requests: webhooks, collectors, bulk endpoints.
//!
//! - [`settings`] is what an operator gives, with [`target`], [`body`], [`status`] and [`items`] for its parts;
//! - [`groups`] puts records into requests, and says which may be under way at once;
//! - [`sending`] has them answered, side by side, and [`answer`] says what an answer means;
//! - [`connector`] is what the host sees of it, with [`probe`] for whether the far side is there;
//! - [`transport`] is all that touches the network.

pub mod answer;
pub mod body;
pub mod connector;
pub mod groups;
pub mod idempotency;
pub mod items;
pub mod probe;
pub mod sending;
pub mod settings;
pub mod status;
pub mod target;
pub mod transport;
#[cfg(target_os = "wasi")]
pub mod wasi;

/// The destination, with the network that there is.
#[cfg(target_os = "wasi")]
pub type Http = connector::Http<wasi::Wasi>;

/// The destination where there is none: it is compiled for a look at it alone.
#[cfg(not(target_os = "wasi"))]
pub type Http = connector::Http<transport::Nowhere>;

wharf_sdk::export_destination!(Http, probe);
