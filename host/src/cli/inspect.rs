//! `wharf inspect`.

use std::path::Path;

use serde_json::json;

use super::{Output, SETTLED, loader, numbers::grouped, refusal::Refusal, stdout};
use crate::{
    clock::Clock,
    config::Process,
    connector::{
        Connector,
        binary::Outline,
        descriptor::{Descriptor, FarVersion, Kind, Order, Redelivery, Rules},
    },
    sandbox::columns::hung,
};

/// Tells what a component is.
pub async fn inspect(component: &Path, output: Output) -> Result<u8, Refusal> {
    let loader = loader(&Clock::system(), Process::default())?;
    let connector = loader.load(component).await.map_err(|error| Refusal::with_hint(error.to_string(), error.hint()))?;
    match output {
        Output::Json => stdout::document(&document(&connector)),
        Output::Text => stdout::text(&text(&connector)),
    }
    Ok(SETTLED)
}

/// The descriptor with what the host knows of the file. Underscores join words, as in all JSON that the program prints.
fn document(connector: &Connector) -> serde_json::Value {
    let Connector { digest, size, outline, descriptor, .. } = connector;
    let Descriptor { about, parameters, actions, versions, guarantees, requests, .. } = &**descriptor;
    let mut document = json!({
        "about": about,
        "api_version": outline.api.to_string(),
        "parameters": parameters,
        "actions": actions,
        "default_action": descriptor.default_action,
        "versions": versions,
        "default_version": descriptor.default_version,
        "guarantees": guarantees,
        "preferences": descriptor.preferences,
        "bounds": descriptor.bounds,
        "requests": requests,
        "offers": offered(outline),
        "imports": outline.imports,
        "exports": outline.exports,
        "size": size,
        "digest": format!("sha256:{digest}"),
    });
    underscored(&mut document);
    document
}

/// What of the contract it can be used as, or be asked.
fn offered(outline: &Outline) -> Vec<&'static str> {
    ["destination", "bulk", "processor", "probe", "lifecycle"].into_iter().filter(|interface| outline.offers(interface)).collect()
}

fn underscored(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(members) => {
            let renamed = std::mem::take(members).into_iter().map(|(name, mut value)| {
                underscored(&mut value);
                (name.replace('-', "_"), value)
            });
            *members = renamed.collect();
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(underscored),
        _ => {}
    }
}

fn text(connector: &Connector) -> String {
    let Connector { digest, size, outline, descriptor, .. } = connector;
    let Descriptor { about, parameters, actions, versions, guarantees, requests, preferences, bounds, .. } = &**descriptor;
    let mut text = String::new();
    let mut line = |indent: usize, line: &str| {
        // What goes on below stands further in.
        let (beginning, behind) = (" ".repeat(indent), indent + 4);
        text.push_str(&hung(&beginning, behind, line));
    };
    line(0, &format!("{} {}", about.name, about.version));
    for words in [&about.summary, &about.description].into_iter().filter(|words| !words.is_empty()) {
        for words in words.lines() {
            line(2, words);
        }
    }
    if !about.author.is_empty() {
        line(2, &format!("by {}", about.author));
    }
    line(0, "");
    line(0, &format!("file: {} bytes", grouped(*size)));
    line(0, &format!("digest: sha256:{digest}"));
    line(0, &format!("contract: wharf:connector {}", outline.api));
    let order = match guarantees.order {
        Order::Batch => "the whole batch stays in order",
        Order::Key => "the records of one key stay in order",
        Order::None => "no order",
    };
    let redelivery = match guarantees.redelivery {
        Redelivery::Idempotent => "a record delivered again has no second effect",
        Redelivery::Repeats => "a record delivered again is there twice",
    };
    line(0, &format!("offers: {}", offered(outline).join(", ")));
    // What changes records delivers none.
    if outline.offers("destination") || outline.offers("bulk") {
        line(0, &format!("guarantees: {order}; {redelivery}"));
    }
    let sizes = [
        (preferences.records.map(|n| grouped(n.into())), "records a batch, preferred"),
        (preferences.bytes.map(|n| n.to_string()), "a batch, preferred"),
        (preferences.delay.map(|n| n.to_string()), "to fill a batch, preferred"),
        (bounds.records.map(|n| grouped(n.into())), "records a batch at the most"),
        (bounds.bytes.map(|n| n.to_string()), "a batch at the most"),
        (bounds.record_bytes.map(|n| n.to_string()), "a record at the most"),
    ];
    for (size, what) in sizes {
        if let Some(size) = size {
            line(0, &format!("batches: {size} {what}"));
        }
    }
    if !parameters.is_empty() {
        line(0, "");
        line(0, "settings:");
    }
    for parameter in parameters {
        let mut traits = vec![parameter.kind.to_string()];
        traits.extend(parameter.required.then(|| "required".to_owned()));
        traits.extend(parameter.secret.then(|| "secret".to_owned()));
        traits.extend(parameter.default.as_ref().map(|default| format!("default {default:?}")));
        traits.extend(rules(parameter.kind, &parameter.rules));
        line(2, &format!("{} ({})", parameter.name, traits.join(", ")));
        if !parameter.summary.is_empty() {
            line(6, &parameter.summary);
        }
    }
    if !actions.is_empty() {
        line(0, "");
        line(0, "actions:");
    }
    for action in actions {
        let default = if descriptor.default_action.as_ref() == Some(&action.name) { ", default" } else { "" };
        let delivery = action.delivery.as_deref().unwrap_or("write");
        let schedule = action.schedule.as_ref().map(|schedule| format!(", {schedule}")).unwrap_or_default();
        line(2, &format!("{} ({delivery}{schedule}{default}) {}", action.name, action.summary));
    }
    if !versions.is_empty() {
        let named = |version: &FarVersion| {
            let default = descriptor.default_version.as_ref() == Some(&version.name);
            let notes = [
                default.then(|| "default".to_owned()),
                version.deprecated.as_ref().map(|date| format!("deprecated from {date}")),
            ];
            let notes: Vec<_> = notes.into_iter().flatten().collect();
            if notes.is_empty() { version.name.clone() } else { format!("{} ({})", version.name, notes.join(", ")) }
        };
        let names: Vec<_> = versions.iter().map(named).collect();
        line(0, "");
        line(0, &format!("versions of the far side: {}", names.join(", ")));
    }
    if !requests.is_empty() {
        line(0, "");
        line(0, "requests:");
    }
    for request in requests {
        let reason = if request.reason.is_empty() { String::new() } else { format!(": {}", request.reason) };
        line(2, &format!("{} {}{reason}", request.capability, request.pattern));
    }
    for (title, names) in [("imports", &outline.imports), ("exports", &outline.exports)] {
        line(0, "");
        line(0, &format!("{title}:"));
        for name in names {
            line(2, name);
        }
    }
    text
}

fn rules(kind: Kind, rules: &Rules) -> Vec<String> {
    let counted = if matches!(kind, Kind::List | Kind::Map) { "entries" } else { "characters" };
    let Rules { min, max, one_of, none_of, pattern, min_length, max_length } = rules;
    let mut told = Vec::new();
    told.extend(min.as_ref().map(|min| format!("at least {min}")));
    told.extend(max.as_ref().map(|max| format!("at most {max}")));
    told.extend((!one_of.is_empty()).then(|| format!("one of {}", one_of.join(", "))));
    told.extend((!none_of.is_empty()).then(|| format!("none of {}", none_of.join(", "))));
    told.extend(pattern.as_ref().map(|pattern| format!("matches {pattern}")));
    told.extend(min_length.map(|length| format!("{length} {counted} or more")));
    told.extend(max_length.map(|length| format!("{length} {counted} or fewer")));
    told
}
