//! What an operator tells a component.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};

use super::{
    at::{At, Placed},
    error::Place,
    fault::Refusal,
};

/// Settings by name, flat, each still the text that was written: what it means is for the component's parameters to say.
///
/// A list under `hosts` becomes `hosts.0`, `hosts.1` and so on, a mapping under `tls` becomes `tls.verify` and so on, however
/// deep. An empty list or mapping gives no setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, Setting>);

/// One setting. Its value may be a secret, so it is not shown by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    value: String,
    written: String,
    name_place: Place,
    place: Place,
}

impl Settings {
    /// The setting by this name.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.0.get(name)
    }

    /// Where what is wrong with a setting of this name stands: the setting itself, or the nearest there is of the list or mapping that it is, or belongs to.
    pub fn place_of(&self, name: &str) -> Option<&Place> {
        let parents = name.rmatch_indices('.').map(|(at, _)| &name[..at]);
        std::iter::once(name).chain(parents).find_map(|name| {
            let within = |other: &str| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
            let first = || self.0.iter().find(|(other, _)| within(other)).map(|(_, setting)| setting);
            self.get(name).or_else(first).map(Setting::name_place)
        })
    }

    /// Every setting, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.0.iter().map(|(name, setting)| (name.as_str(), setting))
    }

    /// How many settings there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Setting {
    /// The value, with variables replaced. It may be a secret: messages show [`Setting::written`].
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The value as it stands in the file, with `${VAR}` unreplaced.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Where the value begins.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Where the name begins, for what is wrong with the name. An item of a list has the place of its value.
    pub fn name_place(&self) -> &Place {
        &self.name_place
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setting").field("written", &self.written).field("place", &self.place.to_string()).finish_non_exhaustive()
    }
}

/// What may stand under a setting's name.
enum Tree {
    Text(String),
    List(Vec<Placed<Tree>>),
    Map(Vec<(At<String>, Placed<Tree>)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyTree;

        impl<'de> Visitor<'de> for AnyTree {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the value of a setting")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Tree, E> {
                let refusal =
                    Refusal::new("a setting has no value").with_hint("write `\"\"` for empty text, or leave the setting out");
                Err(E::custom(refusal))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Tree, E> {
                Ok(Tree::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Tree::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Tree::Map(entries))
            }
        }

        deserializer.deserialize_any(AnyTree)
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Settings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the settings block (a mapping)")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Settings, A::Error> {
                let mut flat = BTreeMap::new();
                while let Some((name, tree)) = map.next_entry::<At<String>, Placed<Tree>>()? {
                    flatten(name, tree, &mut flat).map_err(de::Error::custom)?;
                }
                Ok(Settings(flat))
            }
        }

        deserializer.deserialize_map(Names)
    }
}

fn flatten(name: At<String>, tree: Placed<Tree>, flat: &mut BTreeMap<String, Setting>) -> Result<(), Refusal> {
    if name.value.is_empty() || name.value.ends_with('.') {
        return Err(Refusal::new("a setting has an empty name").with_place(&name.place));
    }
    match tree.value {
        Tree::List(items) => items.into_iter().enumerate().try_for_each(|(number, item)| {
            let place = item.place.clone();
            flatten(At::new(format!("{}.{number}", name.value), place), item, flat)
        }),
        Tree::Map(entries) => entries.into_iter().try_for_each(|(key, value)| {
            let full = format!("{}.{}", name.value, key.value);
            flatten(At::new(full, key.place), value, flat)
        }),
        Tree::Text(value) => match flat.entry(name.value) {
            Entry::Occupied(first) => {
                let line = first.get().name_place.line;
                let what = format!("the setting `{}` stands here again, first on line {line}", first.key());
                Err(Refusal::new(what).with_hint("keep one of the two").with_place(&name.place))
            }
            Entry::Vacant(entry) => {
                entry.insert(Setting { value, written: tree.written, name_place: name.place, place: tree.place });
                Ok(())
            }
        },
    }
}

impl JsonSchema for Settings {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Settings".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": true })
    }
}
