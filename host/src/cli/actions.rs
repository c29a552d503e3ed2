//! What `wharf check` tells of the actions of a destination: which records go to which, and when.

use serde_json::{Value, json};

use crate::{
    pipeline::{Destination, Way},
    sandbox::output::printable,
};

/// Routes, and what becomes of the records that none takes.
pub struct Told {
    /// Its actions, in the order of the descriptor; one that has no name where the component names none.
    pub actions: Vec<Action>,
    /// Which records go to which action: the condition, if there is one, and the action's name.
    pub routes: Vec<(Option<String>, String)>,
    /// Where those go that no route takes.
    pub otherwise: Otherwise,
}

/// Where records go that no route takes.
#[derive(PartialEq, Eq)]
pub enum Otherwise {
    /// To this action.
    To(String),
    /// Nowhere, on purpose.
    Filter,
    /// To the dead letters.
    DeadLetter,
}

/// An action.
pub struct Action {
    /// Its name; empty where the component names none.
    pub name: String,
    /// Whether records are written; else files are made of them.
    pub writes: bool,
    /// When, in words.
    pub schedule: String,
    /// Whose clock a schedule of cron goes by.
    pub time_zone: Option<String>,
    /// Whether order is kept.
    pub ordered: bool,
}

impl Told {
    /// Of a destination.
    pub fn of(destination: &Destination) -> Self {
        let Destination { actions, delivery, .. } = destination;
        let names = destination.action_names();
        let name = |index: u32| names.get(index as usize).map(|name| name.to_string()).unwrap_or_default();
        let at_once = |index: &u32| {
            let schedule = "realtime".to_owned();
            (*index, Action { name: name(*index), writes: true, schedule, time_zone: None, ordered: delivery.ordered })
        };
        let waits = actions.spooled.iter().filter(|of| of.routed).map(|of| {
            let schedule = of.timetable.schedule.to_string();
            let time_zone = of.timetable.schedule.is_cron().then(|| of.timetable.zone.0.name().to_owned());
            (of.action, Action { name: name(of.action), writes: of.writes, schedule, time_zone, ordered: of.ordered })
        });
        let mut all: Vec<_> = actions.at_once.iter().map(at_once).chain(waits).collect();
        all.sort_by_key(|(index, _)| *index);
        let route =
            |(when, action): &(Option<crate::record::Condition>, u32)| (when.as_ref().map(ToString::to_string), name(*action));
        let otherwise = match actions.routing.otherwise {
            Way::To(action) => Otherwise::To(name(action)),
            Way::Filtered => Otherwise::Filter,
            Way::Refused => Otherwise::DeadLetter,
        };
        let actions_of = all.into_iter().map(|(_, action)| action).collect();
        Self { actions: actions_of, routes: actions.routing.routes.iter().map(route).collect(), otherwise }
    }

    /// Whether there is nothing to be told: all is written as it comes, to the only thing that the component does.
    pub fn is_plain(&self) -> bool {
        self.actions.iter().all(|action| action.name.is_empty() && action.is_at_once())
    }

    /// For a program.
    pub fn json(&self) -> Value {
        let actions: Vec<Value> = self.actions.iter().map(Action::json).collect();
        let routes: Vec<Value> = self.routes.iter().map(|(when, action)| json!({"when": when, "action": action})).collect();
        let (otherwise, action) = match &self.otherwise {
            Otherwise::To(action) => ("default", Some(action)),
            Otherwise::Filter => ("filter", None),
            Otherwise::DeadLetter => ("dead-letter", None),
        };
        json!({"actions": actions, "routes": routes, "otherwise": {"kind": otherwise, "action": action}})
    }

    /// For a person: a line for each action, and one for each route.
    pub fn lines(&self) -> Vec<String> {
        if self.is_plain() {
            return Vec::new();
        }
        let actions = self.actions.iter().map(|action| match &*action.name {
            "" => action.words(),
            name => format!("action {name}: {}", action.words()),
        });
        let mut lines: Vec<String> = actions.collect();
        lines.extend(self.routes.iter().map(|(when, action)| match when {
            Some(when) => format!("to {action} when {when}"),
            None => format!("to {action} what is left"),
        }));
        match &self.otherwise {
            // What a route without a condition takes, nothing is left of.
            _ if self.routes.last().is_some_and(|(when, _)| when.is_none()) => {}
            Otherwise::To(action) if self.actions.len() > 1 => lines.push(format!("otherwise to {action}")),
            Otherwise::To(_) => {}
            Otherwise::Filter => lines.push("otherwise filtered".to_owned()),
            Otherwise::DeadLetter => lines.push("otherwise a dead letter".to_owned()),
        }
        lines.iter().map(|line| printable(line, false).into_owned()).collect()
    }
}

impl Action {
    fn is_at_once(&self) -> bool {
        self.writes && self.schedule == "realtime"
    }

    fn json(&self) -> Value {
        let Self { name, writes, schedule, time_zone, ordered } = self;
        let delivery = if *writes { "write" } else { "bulk" };
        json!({"name": name, "delivery": delivery, "schedule": schedule, "time_zone": time_zone, "ordered": ordered})
    }

    /// How, when, and in which order.
    pub fn words(&self) -> String {
        let zone = self.time_zone.as_deref().map(|zone| format!(" {zone}")).unwrap_or_default();
        let (how, order) = (if self.writes { "written" } else { "files" }, if self.ordered { "in order" } else { "in no order" });
        format!("{how}, {}{zone}, {order}", self.schedule)
    }
}
