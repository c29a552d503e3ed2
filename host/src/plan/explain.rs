//! Where each value of a plan comes from: the file, its `defaults`, the environment, the connector, or the house.

use super::{Part, Plan, actions, variables};
use crate::{
    config::{self, At, Component, Explained, Interval, Size, ValueOrigin as Origin},
    connector::{Processor, settings},
    pipeline::{Destination, Policy},
};

/// What is told of one block.
#[derive(Clone, Debug)]
pub struct ExplainedPart {
    /// The pipeline; `None` for what all share.
    pub pipeline: Option<String>,
    /// The destination.
    pub destination: Option<String>,
    /// The processor.
    pub processor: Option<String>,
    /// Its values, by key.
    pub rows: Vec<Explained>,
}

/// Tells where each value comes from; of secrets, where alone. The plan is of this file.
pub fn explain(file: &config::File, plan: &Plan) -> Vec<ExplainedPart> {
    let data_dir = Explained { key: "data-dir".into(), value: Some(plan.data_dir.display().to_string()), origin: Origin::House };
    let mut all =
        vec![ExplainedPart { pipeline: None, destination: None, processor: None, rows: over(file.explained(), vec![data_dir]) }];
    for (at, (At { value: given, .. }, planned)) in file.pipelines.iter().zip(&plan.pipelines).enumerate() {
        let pipeline = Some(planned.id.to_string());
        let preferred = |of: fn(&crate::connector::descriptor::Preferences) -> bool| {
            let said = planned.destinations.iter().any(|to| of(&to.connector.descriptor.preferences));
            if said { Origin::Connector } else { Origin::House }
        };
        let batch = vec![
            row("batch.records", planned.batch.records, preferred(|preferred| preferred.records.is_some())),
            row("batch.bytes", Size::from_bytes(planned.batch.bytes), preferred(|preferred| preferred.bytes.is_some())),
            row("batch.delay", interval(planned.batch.delay), preferred(|preferred| preferred.delay.is_some())),
        ];
        let rows = over(file.explained_pipeline(at), batch);
        all.push(ExplainedPart { pipeline: pipeline.clone(), destination: None, processor: None, rows });
        let mut processors = |given: &[At<config::Processor>], planned: &[Processor], destination: Option<&str>| {
            for (given, planned) in given.iter().zip(planned) {
                let part = Part::Processor(planned.id.to_string());
                let rows = told(file, &part, given.into(), &planned.connector, &planned.opening.settings);
                let (destination, processor) = (destination.map(str::to_owned), Some(planned.id.to_string()));
                all.push(ExplainedPart { pipeline: pipeline.clone(), destination, processor, rows });
            }
        };
        processors(&given.processors, &planned.processors, None);
        let of = |id: &str| planned.destinations.iter().chain(&planned.removed).find(|planned| *planned.id == *id);
        let destinations = || given.destinations.iter().enumerate();
        let destinations = || destinations().filter_map(|(within, given)| Some((within, given, of(&given.id)?)));
        for (_, given, planned) in destinations() {
            processors(&given.processors, &planned.processors, Some(&planned.id));
        }
        for (within, of, planned) in destinations() {
            let part = Part::Destination(planned.id.to_string());
            let mut rows = over(file.explained_destination(at, within), known(planned));
            if !planned.actions.has_spool() {
                rows.retain(|row| !row.key.starts_with("bulk."));
            } else {
                rows.retain(|row| !NOT_FOR_FILES.iter().any(|key| row.key.starts_with(key)));
            }
            rows.extend(told(file, &part, of.into(), &planned.connector, &planned.opening.settings));
            let destination = Some(planned.id.to_string());
            all.push(ExplainedPart { pipeline: pipeline.clone(), destination, processor: None, rows });
        }
    }
    all
}

/// What says nothing where records go out as files.
const NOT_FOR_FILES: [&str; 4] = ["parallel", "rate.", "isolation", "best-effort"];

/// Rows, and beside them what else is known; what nobody wrote down is as it is known.
fn over(mut rows: Vec<Explained>, known: Vec<Explained>) -> Vec<Explained> {
    for known in known {
        match rows.iter_mut().find(|row| row.key == known.key) {
            Some(row) if row.origin == Origin::House => *row = known,
            Some(_) => {}
            None => rows.push(known),
        }
    }
    rows.sort_by(|one, other| one.key.cmp(&other.key));
    rows
}

fn row(key: &str, value: impl std::fmt::Display, origin: Origin) -> Explained {
    Explained { key: key.into(), value: Some(value.to_string()), origin }
}

fn interval(duration: std::time::Duration) -> Interval {
    Interval::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// What no schema tells of a destination: what its connector prefers, and what follows from other keys.
fn known(planned: &Destination) -> Vec<Explained> {
    let Destination { connector, delivery, actions: planned, .. } = planned;
    let descriptor = &connector.descriptor;
    let said = |said: bool| if said { Origin::Connector } else { Origin::House };
    let mut rows = vec![
        row("ordered", delivery.ordered, Origin::House),
        row("parallel", delivery.lanes, said(descriptor.preferences.parallel.is_some_and(|_| delivery.lanes > 1))),
    ];
    let (records, bytes) = delivery.most;
    if records < u32::MAX {
        rows.push(row("batch.records", records, Origin::Connector));
    }
    if bytes < u64::MAX {
        rows.push(row("batch.bytes", Size::from_bytes(bytes), Origin::Connector));
    }
    rows.extend(descriptor.default_version.as_ref().map(|version| row("api-version", version, Origin::Connector)));
    for (block, policy) in [("retry", &delivery.retry), ("outage", &delivery.outage)] {
        let Policy { min_delay, max_delay, factor, max_attempts, max_age, then } = policy;
        let key = |key: &str| format!("{block}.{key}");
        let of_action = block == "retry" && planned.has_spool() && actions::says_retries(connector);
        rows.push(row(&key("min-delay"), interval(*min_delay), Origin::House));
        rows.push(row(&key("max-delay"), interval(*max_delay), Origin::House));
        rows.push(row(&key("factor"), factor, Origin::House));
        rows.extend(max_attempts.map(|most| row(&key("max-attempts"), most, said(of_action))));
        rows.extend(max_age.map(|most| row(&key("max-age"), interval(most), Origin::House)));
        let then = if *then == config::Then::Stop { "stop" } else { "dead-letter" };
        rows.push(row(&key("then"), then, Origin::House));
    }
    for one in planned.spooled.iter().filter(|one| one.routed) {
        let key = match &*one.name {
            "" => "bulk.schedule".to_owned(),
            name => format!("actions.{name}.schedule"),
        };
        rows.push(row(&key, &one.timetable.schedule, said(actions::says_schedule(connector, one.action))));
    }
    rows
}

/// The settings of a component.
fn told(
    file: &config::File,
    part: &Part,
    of: Component<'_>,
    connector: &crate::connector::Connector,
    complete: &[(String, String)],
) -> Vec<Explained> {
    // The plan is there: nothing is wrong with them.
    let (texts, set) = variables::settings(part, of, connector, &mut Vec::new());
    let parameters = &connector.descriptor.parameters;
    let rows = complete.iter().map(|(name, default)| {
        let shown = || texts.get(name).map_or(default.as_str(), |given| given.written.as_str()).to_owned();
        let value = (!settings::is_secret_setting(parameters, name)).then(shown);
        let origin = match (set.get(name), of.settings.get(name)) {
            (Some(variable), _) => Origin::Variable(variable.clone()),
            (None, Some(setting)) => file.origin(setting.place()),
            (None, None) => Origin::Connector,
        };
        Explained { key: format!("settings.{name}"), value, origin }
    });
    rows.collect()
}
