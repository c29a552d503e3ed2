//! How records are delivered: what a pipeline file says, held against what the connector keeps.

use std::{sync::Arc, time::Duration};

use super::{Part, PlanError, actions};
use crate::{
    config::{self, At, Handling, Interval, Place, Size},
    connector::{Connector, descriptor::Order},
    pipeline::{Actions, Delivery, Destination, Policy, Rate},
    record::format::Format,
    source::Cut,
};

/// What the pipeline file asks of a destination and cannot have: waits that contradict each other, an order that nobody keeps. `keyed` tells
/// whether records may have keys by then.
pub(super) fn refused(
    given: &At<config::Destination>,
    connector: &Connector,
    actions: &Actions,
    keyed: bool,
) -> Option<PlanError> {
    let At { value: destination, place } = given;
    let part = Part::Destination(destination.id.value.to_string());
    let title = connector.title();
    let place_of = |key: &str| destination.place_of(key).unwrap_or(place).clone();
    if let Some(error) = contradiction(&part, &place_of, &destination.handling()) {
        return Some(error);
    }
    // The host itself keeps the order of what waits.
    if !destination.ordered.unwrap_or(true) || actions.at_once.is_empty() {
        return None;
    }
    if connector.descriptor.guarantees.order == Order::None {
        return Some(PlanError::Unordered { part, place: place_of("ordered"), connector: title });
    }
    (destination.parallel.is_some_and(|lanes| lanes > 1) && !keyed)
        .then_some(PlanError::Keyless { part, place: place_of("parallel") })
}

/// Whether records of any action stay in order: where nothing is said, those that are written do, and those that go out as files do not.
pub(super) fn is_ordered(given: &config::Destination, actions: &Actions) -> bool {
    let at_once = !actions.at_once.is_empty() && given.ordered.unwrap_or(true);
    at_once || actions.spooled.iter().any(|one| one.routed && one.ordered)
}

/// Waits of which the shortest is longer than the longest. `place_of` tells where a block stands.
pub(super) fn contradiction(part: &Part, place_of: &dyn Fn(&str) -> Place, handling: &Handling) -> Option<PlanError> {
    let Handling { retry, outage, throttle, .. } = handling;
    let policies = [("retry", Policy::RECORD.with(retry)), ("outage", Policy::OUTAGE.with(outage))];
    let policies = policies.map(|(key, policy)| (key, policy.min_delay, policy.max_delay));
    let throttle = ("throttle", throttle.min_delay.into(), throttle.max_delay.into());
    let (key, min, max) = policies.into_iter().chain([throttle]).find(|(_, min, max)| min > max)?;
    Some(PlanError::Delays { part: part.clone(), place: place_of(key), key, min, max })
}

/// With what the connector prefers where the pipeline file says nothing.
pub(super) fn planned(
    given: &config::Destination,
    format: Format,
    pipeline: &config::Pipeline,
    (connector, actions): (&Connector, &Actions),
    keyed: bool,
) -> Delivery {
    let preferred = &connector.descriptor.preferences;
    // Where the pipeline says how it is cut, that is what it gets.
    let records = given.batch.records.or(preferred.records.filter(|_| pipeline.batch.records.is_none()));
    let bytes = given.batch.bytes.or(preferred.bytes.filter(|_| pipeline.batch.bytes.is_none()));
    let (records, bytes) = (records.unwrap_or(u32::MAX), bytes.map_or(u64::MAX, Size::bytes));
    Delivery {
        isolation: given.isolation,
        format,
        ordered: is_ordered(given, actions),
        lanes: given.parallel.or_else(|| lanes(given, (connector, actions), keyed)).unwrap_or(1),
        retry: retry(given, connector, actions),
        outage: Policy::OUTAGE.with(&given.outage),
        throttle: (given.throttle.min_delay.into(), given.throttle.max_delay.into()),
        on_unknown: given.on_unknown,
        most: (records, bytes),
        rate: Rate::new(&given.rate).map(Arc::new),
        best_effort: given.best_effort,
        tolerance: (pipeline.dead_letters.window, pipeline.dead_letters.tolerance),
    }
}

/// When a record that fails for now is handed over again. Of what waits in a queue each action has its own; told is the one of the first.
fn retry(given: &config::Destination, connector: &Connector, actions: &Actions) -> Policy {
    match actions.spooled.first().filter(|_| actions.at_once.is_empty()) {
        Some(first) => first.retry,
        None => {
            let attempts = actions::attempts_at_once(connector, actions).or(Policy::RECORD.max_attempts);
            Policy { max_attempts: attempts, ..Policy::RECORD }.with(&given.retry)
        }
    }
}

/// As many instances as the connector prefers, where that changes nothing of the order that is kept.
fn lanes(given: &config::Destination, (connector, actions): (&Connector, &Actions), keyed: bool) -> Option<u32> {
    // Whoever puts records into a queue keeps the order of their partition.
    if actions.has_spool() {
        return None;
    }
    let by_key = keyed && connector.descriptor.guarantees.order == Order::Key;
    let preferred = connector.descriptor.preferences.parallel.filter(|_| by_key || !is_ordered(given, actions))?;
    Some(preferred.clamp(1, MOST_INSTANCES))
}

/// How a pipeline cuts batches: as it says, else as its connectors prefer, else as ever.
///
/// It cuts once for all of its destinations. The largest batch that one of them prefers is cut, since a smaller one can be handed over in parts and no
/// larger one made of several; and none waits longer than the shortest delay that one prefers. A connector has no say in how much memory that
/// takes beyond some bounds.
pub(super) fn cut(batch: &config::Batch, destinations: &[Destination]) -> Cut {
    let preferred = || destinations.iter().map(|to| (&to.connector.descriptor.preferences, to.delivery.most));
    let records = preferred().filter_map(|(preferred, most)| Some(preferred.records?.min(most.0))).max();
    let bytes = preferred().filter_map(|(preferred, most)| Some(preferred.bytes?.bytes().min(most.1))).max();
    let delay = preferred().filter_map(|(preferred, _)| Some(preferred.delay?.duration())).min();
    Cut {
        records: batch.records.or(records.map(|records| records.clamp(1, MOST_RECORDS))).unwrap_or(1000),
        bytes: batch.bytes.map(Size::bytes).or(bytes.map(|bytes| bytes.clamp(1, MOST_BYTES))).unwrap_or(4 << 20),
        delay: batch.delay.map(Interval::duration).or(delay.map(|delay| delay.min(LONGEST_DELAY))).unwrap_or(DELAY),
    }
}

/// How long a record waits for others where nobody says.
const DELAY: Duration = Duration::from_millis(100);

/// The most that a connector has by preferring it: records, bytes and delay of a batch, and instances.
const MOST_RECORDS: u32 = 100_000;
const MOST_BYTES: u64 = 16 << 20;
const LONGEST_DELAY: Duration = Duration::from_secs(60);
const MOST_INSTANCES: u32 = 16;
