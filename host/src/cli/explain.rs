//! `wharf check --explain`: of each value, where it comes from.

use serde_json::{Value, json};

use super::dead_letters::columns;
use crate::{
    config::{Explained, ValueOrigin as Origin},
    plan::ExplainedPart,
    sandbox::output::printable,
};

/// For a program.
pub fn json(parts: &[ExplainedPart]) -> Value {
    let part = |ExplainedPart { pipeline, destination, processor, rows }: &ExplainedPart| {
        let rows: Vec<Value> = rows.iter().map(row).collect();
        json!({"pipeline": pipeline, "destination": destination, "processor": processor, "values": rows})
    };
    parts.iter().map(part).collect()
}

fn row(Explained { key, value, origin }: &Explained) -> Value {
    let from = match origin {
        Origin::Written(place) => json!({"kind": "file", "place": place.to_string()}),
        Origin::Defaults(place, connector) => {
            json!({"kind": "defaults", "place": place.to_string(), "of": connector.as_deref().unwrap_or("all")})
        }
        Origin::Variable(name) => json!({"kind": "environment", "variable": name}),
        Origin::Connector => json!({"kind": "connector"}),
        Origin::House => json!({"kind": "house"}),
    };
    json!({"key": key, "value": value, "secret": value.is_none(), "from": from})
}

/// For a person.
pub fn text(parts: &[ExplainedPart]) -> String {
    let mut text = String::new();
    for ExplainedPart { pipeline, destination, processor, rows } in parts {
        let whose = match (pipeline, destination, processor) {
            (None, ..) => "for all pipelines".to_owned(),
            (Some(pipeline), None, None) => format!("pipeline {pipeline}"),
            (Some(pipeline), Some(destination), None) => format!("destination {destination} of {pipeline}"),
            (Some(pipeline), None, Some(processor)) => format!("processor {processor} of {pipeline}"),
            (Some(pipeline), Some(destination), Some(processor)) => {
                format!("processor {processor} of destination {destination} of {pipeline}")
            }
        };
        text.push_str(&format!("\n{whose}\n"));
        let row = |Explained { key, value, origin }: &Explained| {
            let value = value.as_deref().map_or("(not shown)".into(), |value| printable(value, false).into_owned());
            let from = match origin {
                Origin::Written(place) => place.to_string(),
                Origin::Defaults(place, None) => format!("{place} (defaults of all)"),
                Origin::Defaults(place, Some(connector)) => format!("{place} (defaults of {connector})"),
                Origin::Variable(name) => format!("the variable {name}"),
                Origin::Connector => "the connector".to_owned(),
                Origin::House => "the house".to_owned(),
            };
            [format!("  {}", printable(key, false)), value, printable(&from, false).into_owned()]
        };
        let rows: Vec<_> = rows.iter().map(row).collect();
        text.push_str(&columns(&rows));
    }
    text
}
