//! Where the values of a pipeline file come from: written at a block, or under `defaults`, else as the house has them.
//!
//! **Threat.** A secret that stands in the file is shown to whoever may see how a host is set up. **Answer.** Values are shown as they are written, with `${VAR}`
//! unreplaced; settings are left to who knows which of them are secret; values of added headers and the block `tokens` are not shown at all.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use super::{
    error::Place,
    file::File,
    node::{Node, Value},
    schema::schema,
};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It stands at its own block.
    Written(Place),
    /// It stands under `defaults`: of a connector, or else of all.
    Defaults(Place, Option<String>),
    /// A variable of the environment.
    Variable(String),
    /// The connector says so.
    Connector,
    /// Nobody says anything.
    House,
}

/// A value, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The way to it from its block, such as `retry.max-attempts`.
    pub key: String,
    /// As it is written; `None` where it is not to be shown.
    pub value: Option<String>,
    /// Where it came from.
    pub origin: Origin,
}

/// What stands in a block, with its places.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows(Vec<(String, Option<String>, Place)>);

/// Where the keys of a block stand, by the way to them from the block, such as `retry.max-attempts` or `actions.0.retry`.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(HashMap<String, Place>);

impl Keys {
    /// Of a block.
    pub(super) fn of(node: &Node) -> Self {
        let mut keys = HashMap::new();
        note(node, "", &mut keys);
        Self(keys)
    }

    /// Where a key stands; `None` where it does not.
    pub(super) fn place(&self, key: &str) -> Option<&Place> {
        self.0.get(key)
    }
}

fn note(node: &Node, of: &str, keys: &mut HashMap<String, Place>) {
    match &node.value {
        Value::Scalar(_) => {}
        Value::List(items) => items.iter().enumerate().for_each(|(at, item)| note(item, &within(of, &at.to_string()), keys)),
        Value::Map(entries) => {
            for (key, value) in entries {
                let name = within(of, &key.name);
                note(value, &name, keys);
                keys.insert(name, key.place.clone());
            }
        }
    }
}

fn within(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

impl Rows {
    /// Of a block; what is read elsewhere is left out.
    pub(super) fn of(node: &Node, without: &[&str]) -> Self {
        let mut rows = Vec::new();
        walk(node, "", without, &mut rows);
        Self(rows)
    }
}

fn walk(node: &Node, key: &str, without: &[&str], rows: &mut Vec<(String, Option<String>, Place)>) {
    match &node.value {
        Value::Scalar(scalar) => {
            let last = key.rsplit('.').next().unwrap_or_default();
            let hidden = key.contains(".headers.") && !matches!(last, "file" | "token");
            rows.push((key.to_owned(), (!hidden).then(|| scalar.written().to_owned()), node.place.clone()));
        }
        Value::List(items) => {
            items.iter().enumerate().for_each(|(at, item)| walk(item, &within(key, &at.to_string()), without, rows));
        }
        Value::Map(entries) => {
            let told = entries.iter().filter(|(known, _)| !key.is_empty() || !without.contains(&known.name.as_str()));
            told.for_each(|(known, value)| walk(value, &within(key, &known.name), without, rows));
        }
    }
}

impl File {
    /// Where something came from that stands there.
    pub fn origin(&self, place: &Place) -> Origin {
        match self.given.of(place) {
            Some(connector) => Origin::Defaults(place.clone(), connector.map(str::to_owned)),
            None => Origin::Written(place.clone()),
        }
    }

    /// The values of what all pipelines share.
    pub fn explained(&self) -> Vec<Explained> {
        self.rows(&self.rows, "", &["pipelines", "tokens", "defaults", "version", "data-dir"])
    }

    /// The values of a pipeline, by where it stands in the file, without its parts.
    pub fn explained_pipeline(&self, at: usize) -> Vec<Explained> {
        let rows =
            self.pipelines.get(at).map(|pipeline| self.rows(&pipeline.rows, "Pipeline", &["processors", "destinations", "id"]));
        rows.unwrap_or_default()
    }

    /// The values of a destination, without its settings and processors.
    pub fn explained_destination(&self, at: usize, within: usize) -> Vec<Explained> {
        let destination = self.pipelines.get(at).and_then(|pipeline| pipeline.destinations.get(within));
        let rows = destination.map(|destination| self.rows(&destination.rows, "Destination", &["processors", "settings", "id"]));
        rows.unwrap_or_default()
    }

    fn rows(&self, rows: &Rows, block: &str, without: &[&str]) -> Vec<Explained> {
        let written = rows.0.iter().map(|(key, value, place)| {
            let (key, value, origin) = (key.clone(), value.clone(), self.origin(place));
            Explained { key, value, origin }
        });
        let mut all: Vec<Explained> = written.collect();
        let known: Vec<String> = all.iter().map(|row| row.key.clone()).collect();
        let is_set = |key: &str| {
            known.iter().any(|known| {
                let (short, long) = if known.len() < key.len() { (known.as_str(), key) } else { (key, known.as_str()) };
                long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        let schema = schema();
        let of = if block.is_empty() { Some(&schema) } else { schema["$defs"].get(block) };
        let mut house = Vec::new();
        if let Some(properties) = of.and_then(|of| of["properties"].as_object()) {
            let told = properties.iter().filter(|(key, _)| !without.contains(&key.as_str()));
            told.for_each(|(key, property)| default(&schema, key, property, None, &mut house));
        }
        let house = house.into_iter().filter(|(key, _)| !is_set(key));
        all.extend(house.map(|(key, value)| Explained { key, value: Some(value), origin: Origin::House }));
        all.sort_by(|one, other| one.key.cmp(&other.key));
        all
    }
}

/// What a key has by default, and those within it.
fn default(schema: &Json, key: &str, property: &Json, of_block: Option<&Json>, found: &mut Vec<(String, String)>) {
    let definition = property["$ref"].as_str().and_then(|name| schema["$defs"].get(name.rsplit('/').next()?));
    let own = property.get("default").filter(|own| !own.is_null()).or(of_block);
    let none = Map::new();
    let properties = definition.and_then(|definition| definition["properties"].as_object()).unwrap_or(&none);
    for (name, inner) in properties {
        let of_block = own.and_then(|own| own.get(name)).filter(|own| !own.is_null());
        default(schema, &format!("{key}.{name}"), inner, of_block, found);
    }
    match own {
        Some(Json::String(text)) => found.push((key.to_owned(), text.clone())),
        Some(Json::Object(_) | Json::Array(_)) | None => {}
        Some(other) => found.push((key.to_owned(), other.to_string())),
    }
}
