//! Whose fault it is that calls about what is in the spool go wrong: a record's, or the connector's own.
//!
//! **Threat.** A release that is broken ends an instance at every record, or answers against the contract every time. Were each record given up that
//! was in such a call, one release would turn a spool into dead letters.
//! **Answer.** As where records are written at once ([`Suspicion`]): one that ends instances by itself is given up only once another comes through
//! behind it, or where others came before and none is left to ask. Where several do so in a row and nothing comes through between them, or where
//! nothing has come through at all, the destination pauses, and they wait. An answer against the contract says nothing of any record.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::engine::Shared;
use crate::{pipeline::Suspicion, store::spool::Part};

/// What is known of an action's instances, for the life of its engine.
#[derive(Debug, Default)]
pub(super) struct Blame(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    suspicion: Suspicion,
    /// Those that ended an instance by themselves since one came through, each by its batch and place: whoever is tried again counts once.
    found: Vec<(i64, u32)>,
}

impl Blame {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record came through.
    pub(super) fn came_through(&self) {
        let mut known = self.known();
        known.suspicion.came_through();
        known.found.clear();
    }

    /// Whether any came through, since the engine began or the connector was last to blame.
    pub(super) fn works(&self) -> bool {
        self.known().suspicion.works()
    }

    /// A record was found to end an instance by itself. Tells whether it is the connector that is to blame.
    pub(super) fn culprit(&self, part: &Part) -> bool {
        let (mut known, place) = (self.known(), (part.row, part.span.start));
        if known.found.contains(&place) {
            return false;
        }
        known.found.push(place);
        known.suspicion.culprit().is_none()
    }
}

impl Shared {
    /// The connector ended instances at one record after the other: the destination pauses, and nothing is believed of the connector before
    /// another record comes through.
    pub(super) fn blames(&self, ended: &str) {
        let found = std::mem::take(&mut *self.blame.known()).found.len();
        let so = match found {
            0 | 1 => "and no other record has come through".to_owned(),
            _ => format!("so it was with {found} records in a row, and none came through between them"),
        };
        self.misbehaved(&format!("{ended}; {so}"));
    }

    /// The destination pauses for what its connector did in a call, and is tried again. The records wait.
    pub(super) fn misbehaved(&self, what: &str) {
        self.shut(&format!("{}: {what}", self.title()));
    }
}
