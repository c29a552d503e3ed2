//! What the author of a connector works with: the contract for another language's tools, a crate to begin with, builds, figures, and a
//! pipeline that runs again after each change.
//!
//! Nothing here touches what a running host needs: these are the commands of somebody who writes a connector, as a library. What of the
//! project they hand out is embedded in the program, so that it needs no checkout.

pub mod bench;
pub mod build;
pub mod dev;
pub mod folder;
pub mod new;
pub mod wit;

use thiserror::Error;

/// Why a command for authors did nothing, or stopped.
#[derive(Debug, Error)]
#[error("{what}")]
pub struct Trouble {
    what: String,
    hint: Option<String>,
    failed: bool,
}

impl Trouble {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, failed: false }
    }

    pub(crate) fn hint_of(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: Some(hint.into()), failed: false }
    }

    /// It was begun, and came to nothing.
    pub(crate) fn failed(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { failed: true, ..Self::hint_of(what, hint) }
    }

    /// Whether something was begun and came to nothing, rather than refused.
    pub fn is_failure(&self) -> bool {
        self.failed
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}
