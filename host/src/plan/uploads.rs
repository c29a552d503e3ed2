//! How files are made for a destination that takes them: what the pipeline file says, else what the connector says, else as ever.

use std::sync::Arc;

use super::{Part, PlanError};
use crate::{
    config::{self, At, Isolation, Schedule},
    connector::{Connector, descriptor::Action},
    pipeline::{Timetable, Uploads},
};

/// Whether a destination gets files; one whose component takes records as they come, too, does where the pipeline file says how.
pub(super) fn takes_files(given: &config::Destination, connector: &Connector) -> bool {
    let offers = |interface: &str| connector.outline.offers(interface);
    offers("bulk") && (given.bulk.is_some() || !offers("destination"))
}

/// How files are made; `None` where the destination takes none, or cannot be had as the pipeline file has it, which is noted.
pub(super) fn planned(
    given: &At<config::Destination>,
    connector: &Connector,
    version: Option<&Arc<str>>,
    errors: &mut Vec<PlanError>,
) -> Option<Arc<Uploads>> {
    let At { value: destination, place } = given;
    let part = || Part::Destination(destination.id.value.to_string());
    if !takes_files(destination, connector) {
        errors.extend(destination.bulk.as_ref().map(|bulk| PlanError::NoFiles {
            part: part(),
            place: bulk.place.clone(),
            connector: connector.title(),
        }));
        return None;
    }
    let said = [
        ("parallel", destination.parallel.is_some()),
        ("rate", destination.rate != config::Rate::default()),
        ("isolation", destination.isolation != Isolation::default()),
        ("best-effort", destination.best_effort),
    ];
    let before = errors.len();
    errors.extend(said.iter().filter(|(_, said)| *said).map(|(key, _)| PlanError::NotForFiles {
        part: part(),
        place: place.clone(),
        key,
    }));
    let action = action(connector);
    let keys = destination.bulk.as_ref().map(|bulk| bulk.value.clone()).unwrap_or_default();
    let schedule = match (&keys.schedule, action.and_then(|(_, action)| action.schedule.as_deref())) {
        (Some(schedule), _) => schedule.clone(),
        (None, None) => Schedule::Every(EVERY),
        (None, Some(text)) => match text.parse() {
            Ok(schedule) => schedule,
            Err(cause) => {
                let (part, place, connector) = (part(), place.clone(), connector.title());
                errors.push(PlanError::Schedule { part, place, connector, cause });
                return None;
            }
        },
    };
    let zone = keys.time_zone.unwrap_or_default();
    let version = version.cloned();
    let timetable = Timetable { schedule, zone };
    let action = action.map_or(0, |(index, _)| index);
    (errors.len() == before).then(|| Arc::new(Uploads { action, version, timetable, keys }))
}

/// Where nobody says: as Blacksmith has it.
const EVERY: config::Interval = config::Interval::from_secs(3600);

/// The action that records go to, and its index: the default one, else the first that takes files.
fn action(connector: &Connector) -> Option<(u32, &Action)> {
    let descriptor = &connector.descriptor;
    let mut actions = (0..).zip(&descriptor.actions).filter(|(_, action)| action.delivery.as_deref() != Some("write"));
    let first = actions.clone().next();
    actions.find(|(_, action)| Some(&action.name) == descriptor.default_action.as_ref()).or(first)
}

/// How often a record that failed for now is handed over at the most where the pipeline file does not say: as the connector has it, else as
/// Blacksmith.
pub(super) fn attempts(connector: &Connector) -> u32 {
    let retries = action(connector).and_then(|(_, action)| action.retries);
    retries.map_or(ATTEMPTS, |retries| u32::try_from(retries).unwrap_or(u32::MAX).saturating_add(1))
}

/// Whether the connector says how often.
pub(super) fn says_retries(connector: &Connector) -> bool {
    action(connector).is_some_and(|(_, action)| action.retries.is_some())
}

/// Whether the connector says when files are made.
pub(super) fn says_schedule(connector: &Connector) -> bool {
    action(connector).is_some_and(|(_, action)| action.schedule.is_some())
}

const ATTEMPTS: u32 = 72;
