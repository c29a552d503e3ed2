//! Which action records go to: what the pipeline file says, held against the actions that the connector has.

use super::{Part, PlanError, condition, uploads};
use crate::{
    config::{self, At, Otherwise, nearest},
    connector::{Connector, descriptor::Action},
    pipeline::{Routing, Way},
};

/// Whether an action is written to, rather than fed with files.
fn is_written(action: &Action) -> bool {
    action.delivery.as_deref() != Some("bulk")
}

/// Which records go to which action; what is wrong is noted. A destination that takes files has one action, which [`uploads`] finds.
pub(super) fn planned(given: &At<config::Destination>, connector: &Connector, errors: &mut Vec<PlanError>) -> Routing {
    let At { value: destination, place } = given;
    let part = || Part::Destination(destination.id.value.to_string());
    let actions = &connector.descriptor.actions;
    if uploads::takes_files(destination, connector) {
        let said = [("routes", !destination.routes.is_empty()), ("otherwise", destination.otherwise.is_some())];
        let said = said.into_iter().filter(|(_, said)| *said);
        errors.extend(said.map(|(key, _)| PlanError::NotForFiles { part: part(), place: place.clone(), key }));
        return Routing::default();
    }
    let mut routes = Vec::with_capacity(destination.routes.len());
    for (at, route) in destination.routes.iter().enumerate() {
        let At { value: name, place } = &route.action;
        let (place, connector) = (place.clone(), connector.title());
        if route.when.is_none() && at + 1 < destination.routes.len() {
            errors.push(PlanError::Unreached { part: part(), place: place.clone(), action: name.clone() });
        }
        match (0..).zip(actions).find(|(_, action)| action.name == *name) {
            Some((index, action)) if is_written(action) => routes.push((route.when.as_ref().map(condition), index)),
            Some(_) => errors.push(PlanError::NotWritten { part: part(), place, connector, action: name.clone() }),
            None => {
                let written = || actions.iter().filter(|action| is_written(action)).map(|action| action.name.as_str());
                let near = nearest(name, written()).map(str::to_owned);
                let known = written().map(str::to_owned).collect();
                errors.push(PlanError::NoAction { part: part(), place, connector, action: name.clone(), near, known });
            }
        }
    }
    let otherwise = match &destination.otherwise {
        Some(At { place, .. }) if destination.routes.is_empty() => {
            errors.push(PlanError::NoRoutes { part: part(), place: place.clone() });
            Way::To(0)
        }
        Some(At { value: Otherwise::Filter, .. }) => Way::Filtered,
        Some(At { value: Otherwise::DeadLetter, .. }) => Way::Refused,
        Some(At { value: Otherwise::Default, .. }) | None => Way::To(default(connector)),
    };
    Routing { routes, otherwise }
}

/// The action that records go to where nothing is said: the connector's default one, else the first that is written to.
fn default(connector: &Connector) -> u32 {
    let descriptor = &connector.descriptor;
    let mut written = (0..).zip(&descriptor.actions).filter(|(_, action)| is_written(action));
    let first = written.clone().next();
    written.find(|(_, action)| Some(&action.name) == descriptor.default_action.as_ref()).or(first).map_or(0, |(index, _)| index)
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
