//! The actions of a destination: what the pipeline file says of each, else what it says of the destination, else what the connector says, else as ever.

use std::sync::Arc;

use super::{Part, PlanError, routes};
use crate::{
    config::{self, At, Isolation, Retry, Schedule},
    connector::{Connector, descriptor},
    pipeline::{Actions, Policy, Sooner, Spooling, Timetable},
};

/// Where nobody says, files are made by the hour, and a record that fails is retried so often: as Blacksmith has it.
const EVERY: config::Interval = config::Interval::from_secs(3600);
const ATTEMPTS: u32 = 72;

/// An action of a connector; one that names none has one, which has no name.
pub(super) struct Known<'a> {
    pub(super) index: u32,
    pub(super) name: &'a str,
    writes: bool,
    descriptor: Option<&'a descriptor::Action>,
}

/// Those of a connector. One that names none, and takes both records and files, has the one that the pipeline file speaks of.
fn known<'a>(given: &config::Destination, connector: &'a Connector) -> Vec<Known<'a>> {
    let offers = |interface: &str| connector.outline.offers(interface);
    let files = offers("bulk") && (given.bulk.is_some() || !offers("destination"));
    let actions = &connector.descriptor.actions;
    if actions.is_empty() {
        return vec![Known { index: 0, name: "", writes: !files, descriptor: None }];
    }
    let writes = |action: &descriptor::Action| match action.delivery.as_deref() {
        Some("write") => true,
        Some("bulk") => false,
        _ => !offers("bulk"),
    };
    let known = |(index, action): (u32, &'a descriptor::Action)| Known {
        index,
        name: &action.name,
        writes: writes(action),
        descriptor: Some(action),
    };
    // One of a kind that the component does not export is nobody's.
    let exported = |one: &Known<'_>| offers(if one.writes { "destination" } else { "bulk" });
    (0..).zip(actions).map(known).filter(exported).collect()
}

/// The action of what no route takes: the connector's default one. Where there is none, and the pipeline file says how files are made, the first that
/// takes files; else the first.
fn otherwise<'k, 'a>(given: &config::Destination, connector: &Connector, known: &'k [Known<'a>]) -> Option<&'k Known<'a>> {
    let named = known.iter().find(|one| connector.descriptor.default_action.as_deref() == Some(one.name));
    let files = || known.iter().find(|one| given.bulk.is_some() && !one.writes);
    named.or_else(files).or(known.first())
}

/// The actions of a destination; `None` where they cannot be had as the pipeline file has them, which is noted.
pub(super) fn planned(
    given: &At<config::Destination>,
    connector: &Connector,
    version: Option<&Arc<str>>,
    errors: &mut Vec<PlanError>,
) -> Option<Actions> {
    let before = errors.len();
    let At { value: destination, place } = given;
    let part = || Part::Destination(destination.id.value.to_string());
    let known = known(destination, connector);
    let listed = || known.iter().filter(|one| !one.name.is_empty());
    for action in &destination.actions {
        if !listed().any(|one| one.name == action.name.value) {
            let At { value: named, place } = &action.name;
            errors.push(PlanError::no_action(part(), place.clone(), connector.title(), named, listed().map(|one| one.name)));
        }
    }
    let otherwise = otherwise(destination, connector, &known).map_or(0, |one| one.index);
    let routing = routes::planned(given, connector, (&known, otherwise), errors);
    let twice =
        |at: usize, action: &config::Action| destination.actions[..at].iter().any(|other| other.name.value == action.name.value);
    for (_, action) in destination.actions.iter().enumerate().filter(|(at, action)| twice(*at, action)) {
        let (place, named) = (action.name.place.clone(), action.name.value.clone());
        errors.push(PlanError::ActionTwice { part: part(), place, named });
    }
    let bulk = destination.bulk.as_ref().map(|bulk| &bulk.value);
    let (mut at_once, mut spooled) = (Vec::new(), Vec::new());
    for one in &known {
        let said = destination.actions.iter().find(|action| action.name.value == one.name);
        let Some((timetable, waits)) = timetable(one, said.map(|said| &said.value), bulk) else {
            let (place, connector) = (place.clone(), connector.title());
            let text = one.descriptor.and_then(|action| action.schedule.clone()).unwrap_or_default();
            if let Err(cause) = text.parse::<Schedule>() {
                errors.push(PlanError::Schedule { part: part(), place, connector, cause });
            }
            continue;
        };
        at_once.extend((!waits).then_some(one.index));
        let sooner = said.map(|said| Sooner { records: said.max_records, bytes: said.max_bytes, delay: said.max_delay });
        let of_all = bulk.filter(|_| !one.writes).map(Sooner::from).unwrap_or_default();
        let sooner = sooner.map_or(of_all, |sooner| Sooner {
            records: sooner.records.or(of_all.records),
            bytes: sooner.bytes.or(of_all.bytes),
            delay: sooner.delay.or(of_all.delay),
        });
        spooled.push(Arc::new(Spooling {
            action: one.index,
            name: one.name.into(),
            writes: one.writes,
            routed: waits,
            timetable,
            sooner,
            ordered: said.and_then(|said| said.ordered).or(destination.ordered).unwrap_or(one.writes),
            retry: retry(one, &destination.retry, said.map(|said| &said.retry)),
            keys: bulk.map(|bulk| bulk.uploads).unwrap_or_default(),
            version: version.cloned(),
        }));
    }
    if at_once.len() == known.len() {
        // Nothing waits, and so nothing has follow-ups.
        spooled.clear();
    }
    refused(given, connector, (&known, &at_once), errors);
    (errors.len() == before).then_some(Actions { routing, at_once, spooled })
}

/// What does nothing is refused, and so is what nobody could keep.
fn refused(
    given: &At<config::Destination>,
    connector: &Connector,
    (known, at_once): (&[Known<'_>], &[u32]),
    errors: &mut Vec<PlanError>,
) {
    let At { value: destination, place } = given;
    let part = || Part::Destination(destination.id.value.to_string());
    let place_of = |key: &str| destination.place_of(key).unwrap_or(place).clone();
    let waits = known.iter().any(|one| !at_once.contains(&one.index));
    if !waits && destination.bulk.is_some() {
        errors.push(PlanError::NoFiles { part: part(), place: place_of("bulk"), connector: connector.title() });
    }
    if waits {
        // The queue keeps the order of a partition, and so does whoever puts records there.
        let said = [
            ("parallel", destination.parallel.is_some()),
            ("rate", destination.rate != config::Rate::default()),
            ("isolation", destination.isolation != Isolation::default()),
            ("best-effort", destination.best_effort),
        ];
        let said = said.iter().filter(|(_, said)| *said);
        errors.extend(said.map(|(key, _)| PlanError::NotForFiles { part: part(), place: place_of(key), key }));
    }
    for (at, action) in destination.actions.iter().enumerate() {
        let Some(one) = known.iter().find(|one| one.name == action.name.value) else { continue };
        if !at_once.contains(&one.index) {
            continue;
        }
        let said = [
            ("max-records", action.max_records.is_some()),
            ("max-bytes", action.max_bytes.is_some()),
            ("max-delay", action.max_delay.is_some()),
            ("ordered", action.ordered.is_some()),
            ("retry", action.retry != Retry::default()),
        ];
        for (key, _) in said.iter().filter(|(_, said)| *said) {
            let (place, named) = (place_of(&format!("actions.{at}.{key}")), action.name.value.clone());
            errors.push(PlanError::AtOnce { part: part(), place, named, key });
        }
    }
}

/// When an action has records handed over, and whether they wait for that; `None` where what the connector says is no schedule.
fn timetable(known: &Known<'_>, said: Option<&config::Action>, bulk: Option<&config::Bulk>) -> Option<(Timetable, bool)> {
    let of_file = bulk.filter(|_| !known.writes);
    let given = said.and_then(|said| said.schedule.clone().map(|schedule| (schedule, said.time_zone)));
    let given = given.or_else(|| of_file.and_then(|bulk| bulk.schedule.clone().map(|schedule| (schedule, bulk.time_zone))));
    let zone = said.and_then(|said| said.time_zone).or_else(|| of_file.and_then(|bulk| bulk.time_zone));
    let (schedule, zone) = match (given, known.descriptor.and_then(|action| action.schedule.as_deref())) {
        (Some((schedule, of)), _) => (schedule, of.or(zone)),
        (None, Some(text)) => (text.parse().ok()?, zone),
        (None, None) if known.writes => (Schedule::Realtime, zone),
        (None, None) => (Schedule::Every(EVERY), zone),
    };
    let waits = !known.writes || !matches!(schedule, Schedule::Realtime);
    Some((Timetable { schedule, zone: zone.unwrap_or_default() }, waits))
}

/// What is tried again, and when, of what waits for an action.
fn retry(known: &Known<'_>, of_all: &Retry, said: Option<&Retry>) -> Policy {
    let retries = known.descriptor.and_then(|action| action.retries);
    let attempts = retries.map(|retries| u32::try_from(retries).unwrap_or(u32::MAX).saturating_add(1));
    let usual = if known.writes { Policy::RECORD.max_attempts } else { Some(ATTEMPTS) };
    let policy = Policy { max_attempts: attempts.or(usual), ..Policy::RECORD }.with(of_all);
    said.map_or(policy, |said| policy.with(said))
}

/// How often a record that is written as it comes is tried where the pipeline file does not say: as the connector has it for the one such action that there is.
pub(super) fn attempts_at_once(connector: &Connector, actions: &Actions) -> Option<u32> {
    let [action] = actions.at_once.as_slice() else { return None };
    let retries = connector.descriptor.actions.get(*action as usize)?.retries?;
    Some(u32::try_from(retries).unwrap_or(u32::MAX).saturating_add(1))
}

/// Whether the connector says how often what waits is tried.
pub(super) fn says_retries(connector: &Connector) -> bool {
    connector.descriptor.actions.iter().any(|action| action.retries.is_some())
}

/// Whether the connector says when it is handed over.
pub(super) fn says_schedule(connector: &Connector, action: u32) -> bool {
    connector.descriptor.actions.get(action as usize).is_some_and(|action| action.schedule.is_some())
}
