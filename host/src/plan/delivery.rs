//! How records are delivered: what a pipeline file says, held against what the connector keeps.

use std::sync::Arc;

use super::{Part, PlanError};
use crate::{
    config::{self, At, Handling, Place, Size},
    connector::{Connector, descriptor::Order},
    pipeline::{Delivery, Policy, Rate},
    record::format::Format,
};

/// What the pipeline file asks of a destination and cannot have: waits that contradict each other, an order that nobody keeps.
pub(super) fn refused(given: &At<config::Destination>, connector: &Connector, keyed: bool) -> Option<PlanError> {
    let At { value: destination, place } = given;
    let part = Part::Destination(destination.id.value.to_string());
    let (place, title) = (place.clone(), connector.title());
    if let Some(error) = contradiction(&part, &place, &destination.handling()) {
        return Some(error);
    }
    if !destination.ordered {
        return None;
    }
    if connector.descriptor.guarantees.order == Order::None {
        return Some(PlanError::Unordered { part, place, connector: title });
    }
    (destination.parallel > 1 && !keyed).then_some(PlanError::Keyless { part, place })
}

/// Waits of which the shortest is longer than the longest.
pub(super) fn contradiction(part: &Part, place: &Place, handling: &Handling) -> Option<PlanError> {
    let Handling { retry, outage, throttle, .. } = handling;
    let policies = [("retry", Policy::RECORD.with(retry)), ("outage", Policy::OUTAGE.with(outage))];
    let policies = policies.map(|(key, policy)| (key, policy.min_delay, policy.max_delay));
    let throttle = ("throttle", throttle.min_delay.into(), throttle.max_delay.into());
    let (key, min, max) = policies.into_iter().chain([throttle]).find(|(_, min, max)| min > max)?;
    Some(PlanError::Delays { part: part.clone(), place: place.clone(), key, min, max })
}

/// With what the connector prefers where the pipeline file says nothing.
pub(super) fn planned(
    given: &config::Destination,
    format: Format,
    pipeline: &config::Pipeline,
    connector: &Connector,
) -> Delivery {
    let preferred = &connector.descriptor.preferences;
    let records = given.batch.records.or(preferred.records).unwrap_or(u32::MAX);
    let bytes = given.batch.bytes.or(preferred.bytes).map_or(u64::MAX, Size::bytes);
    Delivery {
        isolation: given.isolation,
        format,
        ordered: given.ordered,
        lanes: given.parallel,
        retry: Policy::RECORD.with(&given.retry),
        outage: Policy::OUTAGE.with(&given.outage),
        throttle: (given.throttle.min_delay.into(), given.throttle.max_delay.into()),
        on_unknown: given.on_unknown,
        most: (records, bytes),
        rate: Rate::new(&given.rate).map(Arc::new),
        best_effort: given.best_effort,
        tolerance: (pipeline.dead_letters.window, pipeline.dead_letters.tolerance),
    }
}
