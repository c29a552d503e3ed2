//! What was tried and refused: counted always, and told in the log as often as a person reads.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use super::root::FULL;
use crate::sandbox::{
    host::Scope,
    output::printable,
    usage::{Event, Usage},
};

/// Refusals of one instance that are told one by one.
const TOLD: u64 = 50;

/// Characters of a path that are told.
const SHOWN: usize = 200;

/// Notes what one instance was refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    scope: Scope,
    usage: Arc<Usage>,
    so_far: AtomicU64,
    /// Whether it was told that a quota is used up: a component that goes on writing meets that again and again.
    full: AtomicBool,
}

impl Refusals {
    pub fn new(scope: Scope, usage: Arc<Usage>) -> Self {
        Self { scope, usage, so_far: AtomicU64::new(0), full: AtomicBool::new(false) }
    }

    /// Counts it; tells it, where not too many were told before.
    pub fn note(&self, what: &'static str, path: &str, why: &'static str) {
        self.usage.note(Event::Refused);
        if why == FULL && self.full.swap(true, Relaxed) {
            return;
        }
        let before = self.so_far.fetch_add(1, Relaxed);
        let (pipeline, destination, connector) = (self.scope.pipeline(), self.scope.destination(), self.scope.connector());
        if before < TOLD {
            let shown: String = path.chars().take(SHOWN).collect();
            let path = printable(&shown, false);
            tracing::warn!(pipeline, destination, connector, %path, "{what} refused: {why}");
        } else if before == TOLD {
            tracing::warn!(pipeline, destination, connector, "further refusals of files are counted alone");
        }
    }
}
