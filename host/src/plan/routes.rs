//! Which action records go to: what the pipeline file says, held against the actions that the connector has.

use super::{Part, PlanError, actions::Known};
use crate::{
    config::{self, At, Otherwise},
    connector::Connector,
    pipeline::{Routing, Way},
    record::{Condition, Looked, Operation, Pointer, Test},
};

/// Which records go to which action; what is wrong is noted. Where nothing else is said, they go to `otherwise`.
pub(super) fn planned(
    given: &At<config::Destination>,
    connector: &Connector,
    (known, otherwise): (&[Known<'_>], u32),
    errors: &mut Vec<PlanError>,
) -> Routing {
    let destination = &given.value;
    let part = || Part::Destination(destination.id.value.to_string());
    let listed = || known.iter().filter(|one| !one.name.is_empty());
    let mut routes = Vec::with_capacity(destination.routes.len());
    for (at, route) in destination.routes.iter().enumerate() {
        let At { value: name, place } = &route.action;
        if route.when.is_none() && at + 1 < destination.routes.len() {
            errors.push(PlanError::Unreached { part: part(), place: place.clone(), action: name.clone() });
        }
        match listed().find(|one| one.name == name) {
            Some(one) => routes.push((route.when.as_ref().map(condition), one.index)),
            None => {
                let names = listed().map(|one| one.name);
                errors.push(PlanError::no_action(part(), place.clone(), connector.title(), name, names));
            }
        }
    }
    let otherwise = match &destination.otherwise {
        Some(At { place, .. }) if destination.routes.is_empty() => {
            errors.push(PlanError::NoRoutes { part: part(), place: place.clone() });
            Way::To(otherwise)
        }
        Some(At { value: Otherwise::Filter, .. }) => Way::Filtered,
        Some(At { value: Otherwise::DeadLetter, .. }) => Way::Refused,
        Some(At { value: Otherwise::Default, .. }) | None => Way::To(otherwise),
    };
    Routing { routes, otherwise, follow_ups: Vec::new() }
}

/// The names of the actions that are in use, in the order of the descriptor, parted by commas.
pub(super) fn in_use(routing: &Routing, connector: &Connector) -> String {
    let otherwise = match routing.otherwise {
        Way::To(index) => Some(index),
        Way::Filtered | Way::Refused => None,
    };
    let used = |index: u32| otherwise == Some(index) || routing.routes.iter().any(|(_, to)| *to == index);
    let names =
        (0..).zip(&connector.descriptor.actions).filter(|(index, _)| used(*index)).map(|(_, action)| action.name.as_str());
    names.collect::<Vec<_>>().join(",")
}

/// A condition as the host asks it.
pub(super) fn condition(when: &config::When) -> Condition {
    let test = |is: &config::Is| match is {
        config::Is::There(exists) => Test::Exists(*exists),
        config::Is::OneOf(texts) => Test::OneOf(texts.clone()),
    };
    let each = |conditions: &[config::When]| conditions.iter().map(condition).collect();
    match when {
        config::When::All(conditions) => Condition::All(each(conditions)),
        config::When::Any(conditions) => Condition::Any(each(conditions)),
        config::When::Not(inner) => Condition::Not(Box::new(condition(inner))),
        config::When::Operation(operation) => Condition::Operation(match operation {
            config::Operation::Create => Operation::Create,
            config::Operation::Update => Operation::Update,
            config::Operation::Delete => Operation::Delete,
            config::Operation::Snapshot => Operation::Snapshot,
        }),
        config::When::Metadata(name, is) => Condition::Of(Looked::Metadata(name.as_str().into()), test(is)),
        // It was held against the rules of pointers where it was read.
        config::When::Pointer(text, is) => match text.parse::<Pointer>() {
            Ok(pointer) => Condition::Of(Looked::Pointer(pointer), test(is)),
            Err(_) => Condition::Any(Vec::new()),
        },
    }
}
