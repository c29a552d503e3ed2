//! What was tried and refused: counted always, and told in the log as often as a person reads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::root::FULL;
use crate::sandbox::{log::Log, output::printable, usage::Event};

/// Refusals of one instance that are told one by one.
const TOLD: u64 = 50;

/// Characters of a path that are told.
const SHOWN: usize = 200;

/// Notes what one instance was refused.
#[derive(Debug)]
pub(super) struct Refusals {
    log: Log,
    so_far: AtomicU64,
    /// Whether it was told that a quota is used up: a component that goes on writing meets that again and again.
    full: AtomicBool,
}

impl Refusals {
    pub fn new(log: Log) -> Self {
        Self { log, so_far: AtomicU64::new(0), full: AtomicBool::new(false) }
    }

    /// Counts it; tells it, where not too many were told before.
    pub fn note(&self, what: &'static str, path: &str, why: &'static str) {
        self.log.usage().note(Event::Refused);
        if why == FULL && self.full.swap(true, Relaxed) {
            return;
        }
        let before = self.so_far.fetch_add(1, Relaxed);
        if before > TOLD || !tracing::enabled!(tracing::Level::WARN) || !self.log.admits() {
            return;
        }
        let scope = self.log.scope();
        let (pipeline, destination, processor) = (scope.pipeline(), scope.destination(), scope.processor());
        let connector = scope.connector();
        if before < TOLD {
            // Searched for secrets before it is cut: half of one is not found.
            let shown: String = scope.redactor().text(path).chars().take(SHOWN).collect();
            let path = printable(&shown, false);
            tracing::warn!(pipeline, destination, processor, connector, %path, "{what} refused: {why}");
        } else {
            tracing::warn!(pipeline, destination, processor, connector, "further refusals of files are counted alone");
        }
    }
}
