//! Which records go to which action of a destination, and when.

use std::sync::Arc;

use super::{
    retry::Policy,
    routing::{Routing, Way},
    schedule::Timetable,
};
use crate::config::{Bulk, Interval, Size, UploadKeys};

/// In the place of an action: whatever waits in the spool.
pub const SPOOL: u32 = u32::MAX;

/// The actions of a destination: each record goes to exactly one of them, by what it is and nothing else. Sent again, it goes there again.
#[derive(Clone, Debug, Default)]
pub struct Actions {
    /// Which records go to which action.
    pub routing: Routing,
    /// Those that records are written to as they come, by index into those of the descriptor.
    pub at_once: Vec<u32>,
    /// Those that have a queue in the spool. Where one has, all have: follow-ups go there, whatever their action.
    pub spooled: Vec<Arc<Spooling>>,
}

/// An action in front of which records wait.
#[derive(Clone, Debug)]
pub struct Spooling {
    /// Its index into those of the descriptor; 0 where there are none.
    pub action: u32,
    /// Its name; empty where there are none.
    pub name: Arc<str>,
    /// Whether records are written; else files are made of them.
    pub writes: bool,
    /// Whether records of the pipeline wait for it. To one that is written to as they come, follow-ups alone do.
    pub routed: bool,
    /// When.
    pub timetable: Timetable,
    /// Before that as soon as there is enough.
    pub sooner: Sooner,
    /// Whether a record waits for those before it that have its key.
    pub ordered: bool,
    /// What is tried again, and when.
    pub retry: Policy,
    /// How uploads are dealt with, and the spool.
    pub keys: UploadKeys,
    /// The version of the far side's interface that records come for.
    pub version: Option<Arc<str>>,
}

/// What does not wait for the schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sooner {
    /// So many records.
    pub records: Option<u32>,
    /// So many bytes.
    pub bytes: Option<Size>,
    /// A record that has waited so long.
    pub delay: Option<Interval>,
}

impl From<&Bulk> for Sooner {
    fn from(bulk: &Bulk) -> Self {
        Self { records: bulk.max_records, bytes: bulk.max_bytes, delay: bulk.max_delay }
    }
}

impl Actions {
    /// Whether records wait for any of them.
    pub fn has_spool(&self) -> bool {
        !self.spooled.is_empty()
    }

    /// Whether records wait for this one.
    pub fn waits(&self, action: u32) -> bool {
        self.spooled.iter().any(|one| one.routed && one.action == action)
    }

    /// The routing as it is seen from before a spool: whatever waits goes there together.
    pub fn outer(&self) -> Routing {
        let outer = |action: u32| if self.waits(action) { SPOOL } else { action };
        let routes = self.routing.routes.iter().map(|(when, action)| (when.clone(), outer(*action))).collect();
        let otherwise = match self.routing.otherwise {
            Way::To(action) => Way::To(outer(action)),
            way => way,
        };
        let follow_ups = self.routing.follow_ups.iter().map(|(name, action)| (name.clone(), outer(*action))).collect();
        Routing { routes, otherwise, follow_ups }
    }
}
