//! What holds for all destinations of a file, or for those of one connector, where a destination does not say otherwise.
//!
//! It is put into the destinations' own blocks before these are read, key by key: what is wrong with it is told where it stands, and what is read later knows
//! nothing of it. A connector is known by the name of its file without `.wasm`, so that nothing has to be opened for it.
//!
//! What a component may reach stands with each destination alone: a grant that holds for all would hold for those that come later.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    at::At,
    bulk::Bulk,
    delivery::{Handed, OnUnknown, Rate, Retry, Throttle},
    destination::{Isolation, Shape},
    error::{ConfigError, Place},
    limits::Limits,
    nearest::nearest,
    node::{Key, Node, Value},
    settings::Settings,
};

/// What holds where a destination does not say otherwise.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the defaults block")]
pub struct Defaults {
    /// For all destinations.
    pub all: DefaultsOfAll,
    /// For the destinations of a connector, by the name of its file without `.wasm`. They go before those for all.
    pub connectors: BTreeMap<String, DefaultsOfConnector>,
}

/// What holds for all destinations.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the defaults of all destinations")]
pub struct DefaultsOfAll {
    /// What one instance of the component may use.
    #[schemars(with = "Limits")]
    limits: Option<Limits>,
    /// The most that is handed over in one call.
    #[schemars(with = "Handed")]
    batch: Option<Handed>,
    /// When a record that fails for now, while others come through, is sent again.
    #[schemars(with = "Retry")]
    retry: Option<Retry>,
    /// When records are sent again while the far side is down.
    #[schemars(with = "Retry")]
    outage: Option<Retry>,
    /// The bounds within which a far side that asks for patience is given it.
    #[schemars(with = "Throttle")]
    throttle: Option<Throttle>,
    /// What becomes of records that the connector does not answer for.
    #[schemars(with = "OnUnknown")]
    on_unknown: Option<OnUnknown>,
}

/// What holds for the destinations of a connector.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the defaults of a connector")]
pub struct DefaultsOfConnector {
    /// The version of the far side's interface that the component speaks.
    #[schemars(with = "String")]
    api_version: Option<String>,
    /// What the component is told; a list stands as a whole.
    #[schemars(with = "Settings")]
    settings: Option<Settings>,
    /// In what shape the connector gets the records.
    #[schemars(with = "Shape")]
    format: Option<Shape>,
    /// The text that a record becomes, with `format: template`.
    #[schemars(with = "String")]
    template: Option<String>,
    /// What one instance of the component may use.
    #[schemars(with = "Limits")]
    limits: Option<Limits>,
    /// How long an instance of the component lives.
    #[schemars(with = "Isolation")]
    isolation: Option<Isolation>,
    /// Whether records stay in order.
    #[schemars(with = "bool")]
    ordered: Option<bool>,
    /// How many instances take records side by side.
    #[schemars(with = "u32")]
    parallel: Option<u32>,
    /// The most that is handed over in one call.
    #[schemars(with = "Handed")]
    batch: Option<Handed>,
    /// How fast records are handed over at the most.
    #[schemars(with = "Rate")]
    rate: Option<Rate>,
    /// When a record that fails for now, while others come through, is sent again.
    #[schemars(with = "Retry")]
    retry: Option<Retry>,
    /// When records are sent again while the far side is down.
    #[schemars(with = "Retry")]
    outage: Option<Retry>,
    /// The bounds within which a far side that asks for patience is given it.
    #[schemars(with = "Throttle")]
    throttle: Option<Throttle>,
    /// What becomes of records that the connector does not answer for.
    #[schemars(with = "OnUnknown")]
    on_unknown: Option<OnUnknown>,
    /// Whether the others go on without it where it falls behind or fails.
    #[schemars(with = "bool")]
    best_effort: Option<bool>,
    /// How files are made, where the component takes files.
    #[schemars(with = "Bulk")]
    bulk: Option<At<Bulk>>,
}

/// Where the values of a file came from that stand under `defaults`: for all destinations, or for those of a connector.
#[derive(Clone, Debug, Default)]
pub(super) struct Given(HashMap<(u32, u32), Option<String>>);

impl Given {
    /// For whom a value was given that stands there: `Some(None)` for all, `Some(Some(connector))` for those of a connector.
    pub(super) fn of(&self, place: &Place) -> Option<Option<&str>> {
        self.0.get(&(place.line, place.column)).map(Option::as_deref)
    }

    fn note(&mut self, node: &Node, of: Option<&str>) {
        self.0.insert((node.place.line, node.place.column), of.map(str::to_owned));
        match &node.value {
            Value::Scalar(_) => {}
            Value::List(items) => items.iter().for_each(|item| self.note(item, of)),
            Value::Map(entries) => entries.iter().for_each(|(_, value)| self.note(value, of)),
        }
    }
}

/// Puts what stands under `defaults` into the destinations of a tree. What has another shape than it should is left for whoever reads it.
///
/// A connector that is named there and that no destination has is wrong.
pub(super) fn apply(tree: &mut Node, wrong: &mut Vec<ConfigError>) -> Given {
    let mut given = Given::default();
    let Some(defaults) = tree.get("defaults").cloned() else { return given };
    let all = defaults.get("all");
    if let Some(all) = all {
        given.note(all, None);
    }
    let none = Vec::new();
    let connectors = match defaults.get("connectors").map(|node| &node.value) {
        Some(Value::Map(entries)) => entries,
        _ => &none,
    };
    connectors.iter().for_each(|(key, node)| given.note(node, Some(&key.name)));
    let mut names = HashSet::new();
    for destination in destinations(tree) {
        let name = destination.get("component").and_then(Node::scalar).and_then(|path| stem(&path.text));
        let own = connectors.iter().find(|(key, _)| Some(&key.name) == name.as_ref());
        for node in own.map(|(_, node)| node).into_iter().chain(all) {
            underlay(destination, node, true);
        }
        // What is misspelt or left out may have been the one that is named.
        let Some(name) = name else { return given };
        names.insert(name);
    }
    for (Key { name, place }, _) in connectors.iter().filter(|(key, _)| !names.contains(&key.name)) {
        let hint = match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "a connector is named here by its file's name without `.wasm`; leave out what no destination has".to_owned(),
        };
        let what = format!("no destination has a component `{name}.wasm`");
        wrong.push(ConfigError::new(what).with_hint(hint).with_place(place.clone()));
    }
    given
}

fn stem(path: &str) -> Option<String> {
    Path::new(path).file_stem().and_then(|stem| stem.to_str()).map(str::to_owned)
}

fn destinations(tree: &mut Node) -> Vec<&mut Node> {
    let mut found = Vec::new();
    let Some(Node { value: Value::List(pipelines), .. }) = tree.get_mut("pipelines") else { return found };
    for pipeline in pipelines {
        if let Some(Node { value: Value::List(destinations), .. }) = pipeline.get_mut("destinations") {
            found.extend(destinations);
        }
    }
    found
}

/// Adds to a mapping what another has and it has not, block by block.
fn underlay(node: &mut Node, under: &Node, is_destination: bool) {
    let (Value::Map(entries), Value::Map(under)) = (&mut node.value, &under.value) else { return };
    for (key, value) in under {
        match entries.iter_mut().find(|(known, _)| known.name == key.name) {
            Some((_, known)) if is_destination && key.name == "settings" => {
                let set = flat(known, "");
                underlay(known, &without(value, "", &set), false);
            }
            Some((_, known)) => underlay(known, value, false),
            None => entries.push((key.clone(), value.clone())),
        }
    }
}

/// The names of settings, whether they are written with dots or as mappings; of a list its own.
fn flat(node: &Node, name: &str) -> HashSet<String> {
    match &node.value {
        Value::Map(entries) => entries.iter().flat_map(|(key, value)| flat(value, &within(name, &key.name))).collect(),
        Value::Scalar(_) | Value::List(_) => HashSet::from([name.to_owned()]),
    }
}

fn within(name: &str, key: &str) -> String {
    if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") }
}

/// The same settings but for those that are set.
fn without(node: &Node, name: &str, set: &HashSet<String>) -> Node {
    let Value::Map(entries) = &node.value else { return node.clone() };
    let left = entries.iter().filter_map(|(key, value)| {
        let name = within(name, &key.name);
        (!set.contains(&name)).then(|| (key.clone(), without(value, &name, set)))
    });
    Node { value: Value::Map(left.collect()), place: node.place.clone() }
}
