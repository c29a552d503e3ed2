//! A processor that makes one level of nested JSON objects: `{"a":{"b":1}}` becomes `{"a.b":1}`.
//!
//! Members keep their order and values their text.

use std::collections::HashSet;

use wharf_json::{Json, Kind, Name, Part, Pointer, change_each, pointer};
use wharf_sdk::{Batch, Context, Descriptor, Failure, Parameters, Problem, Processed, Processor, export_processor};

/// What an operator sets.
#[derive(Debug, Parameters)]
pub struct Config {
    /// What stands between the names.
    #[parameter(default = ".", length(1..=16))]
    separator: String,
    /// How many levels are taken up into the one above; 0 is all of them.
    #[parameter(default = 0)]
    depth: u32,
    /// Whether elements of arrays become members too, by their number from 0.
    #[parameter(default = false)]
    arrays: bool,
    /// JSON pointer to the object that is made flat.
    #[parameter(default = "")]
    pointer: String,
    /// Of which parts of a record; `after` and `before` where nothing is said.
    parts: Vec<Part>,
}

/// Makes one level.
#[derive(Debug)]
pub struct Flatten {
    separator: String,
    depth: u32,
    arrays: bool,
    pointer: Pointer,
    parts: Vec<Part>,
}

impl Flatten {
    fn change(&self, json: &mut Json<'_>) -> Result<bool, Failure> {
        let Some(at) = json.get(&self.pointer) else { return Ok(false) };
        if at.kind() != Kind::Object {
            return match self.pointer.is_root() {
                true => Err(Failure::rejected(format!("an object is made flat, and this is {}", at.kind()))),
                false => Ok(false),
            };
        }
        let nested = |value: &Json<'_>| value.kind() == Kind::Object || self.arrays && value.kind() == Kind::Array;
        let members = at.members().map(std::mem::take).unwrap_or_default();
        if !members.iter().any(|(_, value)| nested(value)) {
            *at = Json::object(members);
            return Ok(false);
        }
        let mut flat = Vec::with_capacity(members.len());
        for (name, value) in members {
            self.take_up(name, value, 1, &mut flat);
        }
        let mut seen = HashSet::new();
        if let Some((name, _)) = flat.iter().find(|(name, _)| !seen.insert(name.text().into_owned())) {
            let length = name.text().chars().count();
            return Err(Failure::rejected(format!(
                "two members would have one name, of {length} characters, once they are flat"
            )));
        }
        *at = Json::object(flat);
        Ok(true)
    }

    /// Adds a member, or what is in it.
    fn take_up<'a>(&self, name: Name<'a>, mut value: Json<'a>, level: u32, flat: &mut Vec<(Name<'a>, Json<'a>)>) {
        let deep_enough = self.depth != 0 && level > self.depth;
        let inside = match value.kind() {
            _ if deep_enough => None,
            Kind::Object => value.members().map(std::mem::take),
            Kind::Array if self.arrays => {
                let elements = value.elements().map(std::mem::take).unwrap_or_default();
                let number = |(index, value): (usize, Json<'a>)| (Name::new(&index.to_string()), value);
                Some(elements.into_iter().enumerate().map(number).collect())
            }
            _ => None,
        };
        match inside {
            // What is empty has no members to stand for it.
            Some(members) if members.is_empty() => flat.push((name, value)),
            Some(members) => {
                for (inner, value) in members {
                    self.take_up(name.joined(&self.separator, &inner), value, level + 1, flat);
                }
            }
            None => flat.push((name, value)),
        }
    }
}

impl Processor for Flatten {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Makes one level of nested JSON objects.")
    }

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        pointer("pointer", &config.pointer, &mut problems);
        problems
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        let Config { separator, depth, arrays, parts, .. } = config;
        let pointer = pointer("pointer", &config.pointer, &mut Vec::new());
        let parts = if parts.is_empty() { vec![Part::After, Part::Before] } else { parts };
        Ok(Self { separator, depth, arrays, pointer, parts })
    }

    fn process(&mut self, batch: &Batch) -> Result<Processed, Failure> {
        Ok(change_each(batch, &self.parts, |json| self.change(json)))
    }
}

export_processor!(Flatten);

#[cfg(test)]
mod tests {
    use wharf_sdk::{
        FailureKind,
        testing::{ProcessorHarness, batch, deletion, record},
    };

    use super::*;

    fn flat(settings: &[(&str, &str)], record: &str) -> String {
        let harness =
            settings.iter().fold(ProcessorHarness::<Flatten>::new(), |harness, (name, value)| harness.setting(*name, *value));
        harness.open().process(&batch([record])).texts().concat()
    }

    const RECORD: &str = r#"{"z":1.00,"a":{"b":{"c":-0,"d\"e":[{"f":1}]},"g":{}},"h":[[],[2]]}"#;

    #[test]
    fn nested_members_come_up_in_their_order_and_with_their_text() {
        assert_eq!(flat(&[], RECORD), r#"{"z":1.00,"a.b.c":-0,"a.b.d\"e":[{"f":1}],"a.g":{},"h":[[],[2]]}"#);
        assert_eq!(flat(&[("separator", "\"_")], r#"{"a":{"b":1}}"#), r#"{"a\"_b":1}"#);
        assert_eq!(flat(&[("depth", "1")], RECORD), r#"{"z":1.00,"a.b":{"c":-0,"d\"e":[{"f":1}]},"a.g":{},"h":[[],[2]]}"#);
        let arrays = r#"{"z":1.00,"a.b.c":-0,"a.b.d\"e.0.f":1,"a.g":{},"h.0":[],"h.1.0":2}"#;
        assert_eq!(flat(&[("arrays", "true")], RECORD), arrays);
        assert_eq!(flat(&[("pointer", "/a")], r#"{"a":{"b":{"c":1}},"d":{"e":1}}"#), r#"{"a":{"b.c":1},"d":{"e":1}}"#);
        // Nothing nested, or nothing there: it passes.
        assert_eq!(flat(&[("pointer", "/x")], RECORD), RECORD);
        assert_eq!(flat(&[], r#"{"a" : 1}"#), r#"{"a" : 1}"#);
    }

    #[test]
    fn no_value_is_lost_to_another_of_the_same_name() {
        let harness = ProcessorHarness::<Flatten>::new();
        let answer = harness.open().process(&batch([r#"{"a.b":1,"a":{"b":2}}"#, r#"{"a":{"b":2}}"#, "[1]", "no"]));
        answer.assert_failed(0, FailureKind::Rejected, "two members would have one name, of 3 characters");
        answer.assert_failed(2, FailureKind::Rejected, "an object is made flat, and this is an array");
        answer.assert_failed(3, FailureKind::Rejected, "not JSON");
        assert_eq!(answer.texts(), [r#"{"a.b":2}"#]);
    }

    #[test]
    fn the_entity_before_its_change_is_made_flat_too_and_a_deletion_passes() {
        let harness = ProcessorHarness::<Flatten>::new();
        let answer = harness.open().process(&batch([record("{}").before(r#"{"a":{"b":1}}"#), deletion("k")]));
        assert_eq!(answer.texts(), ["{}", "-"]);
        assert_eq!(answer.outputs()[0].before.as_deref(), Some(&br#"{"a.b":1}"#[..]));
    }
}
