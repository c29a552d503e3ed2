//! The document in which a connector says who it is.
//!
//! Its shape stands in `wit/descriptor.schema.json`. A reader passes over what it does not know; what it does know has to be right,
//! since the host acts on it.
//!
//! **Threat.** It is a stranger's: as long as it may be, with names that rewrite a terminal, lists that take hours to compare and
//! patterns that take gigabytes to compile. **Answer.** Length, lists, names and patterns are bounded; what is wrong is told in a line of
//! harmless characters.

use std::{collections::HashSet, fmt, time::Duration};

use chrono::NaiveDate;
use semver::Version;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    config::{Interval, Size},
    sandbox::output::printable,
};

/// The number of the format that this host reads.
pub const FORMAT: u64 = 1;

/// The longest descriptor, in bytes.
const LONGEST: usize = 1 << 20;

/// The most entries in each of its lists.
const MOST: usize = 1000;

/// The longest name, in characters: of the connector, its version, a parameter.
const LONGEST_NAME: usize = 100;

/// The most that a pattern may take, compiled, in bytes.
const PATTERN: usize = 256 << 10;

/// Characters of what is wrong.
const SAID: usize = 300;

/// Who a connector is and what it can do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Descriptor {
    /// The number of the document's format.
    pub format: u64,
    /// Name, version, and words for people.
    pub about: About,
    /// What an operator may set.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// What it can be asked to do, where that is more than one thing.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// The action that records go to where the pipeline names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_action: Option<String>,
    /// Versions of the far side's interface that it speaks.
    #[serde(default)]
    pub versions: Vec<FarVersion>,
    /// The one that it speaks where the pipeline names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_version: Option<String>,
    /// What it promises.
    #[serde(default)]
    pub guarantees: Guarantees,
    /// The batches that suit it.
    #[serde(default)]
    pub preferences: Preferences,
    /// The batches that it can take at most.
    #[serde(default)]
    pub bounds: Bounds,
    /// What it would like to reach, and why.
    #[serde(default)]
    pub requests: Vec<Request>,
}

/// Name, version, and words for people.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// The connector's name.
    pub name: String,
    /// Its version, after semver.
    pub version: String,
    /// One line.
    pub summary: String,
    /// As much as it takes.
    pub description: String,
    /// Who made it.
    pub author: String,
}

/// Something that an operator may set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Parameter {
    /// Its name; dots part segments, and `*` stands for any one.
    pub name: String,
    /// One line.
    #[serde(default)]
    pub summary: String,
    /// What its value is.
    #[serde(rename = "type", default)]
    pub kind: Kind,
    /// What it is where nothing is set, written as an operator would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether it has to be set.
    #[serde(default)]
    pub required: bool,
    /// Whether it must not be shown.
    #[serde(default)]
    pub secret: bool,
    /// What its value must keep to.
    #[serde(default)]
    pub rules: Rules,
}

/// What a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Text.
    #[default]
    String,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Bool,
    /// Such as `30s`.
    Duration,
    /// Such as `64MiB`.
    Size,
    /// Values under `name.0`, `name.1`, ….
    List,
    /// Values under `name.key`.
    Map,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Duration => "duration",
            Self::Size => "size",
            Self::List => "list",
            Self::Map => "map",
        })
    }
}

impl Kind {
    /// As in "is not an int".
    pub const fn with_article(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Int => "an int",
            Self::Float => "a float",
            Self::Bool => "a bool",
            Self::Duration => "a duration",
            Self::Size => "a size",
            Self::List => "a list",
            Self::Map => "a map",
        }
    }
}

/// What a value must keep to. Of lists and maps, each value must.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Rules {
    /// The least, written as a value of the type.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub min: Option<String>,
    /// The most, written as a value of the type.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub max: Option<String>,
    /// The only values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// Values that it must not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub none_of: Vec<String>,
    /// A regular expression that the whole value matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Characters, at the least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u64>,
    /// Characters, at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
}

/// A number or a text, as text.
fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<serde_json::Value>::deserialize(deserializer)? {
        None | Some(serde_json::Value::Null) => None,
        Some(serde_json::Value::String(text)) => Some(text),
        Some(serde_json::Value::Number(number)) => Some(number.to_string()),
        Some(other) => return Err(serde::de::Error::custom(format!("a number or a text is due, not {other}"))),
    })
}

/// Something that it can be asked to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// One line.
    #[serde(default)]
    pub summary: String,
    /// `write` or `bulk`.
    #[serde(default)]
    pub delivery: Option<String>,
    /// When it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// How often it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u64>,
}

/// A version of the far side's interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FarVersion {
    /// Its name.
    pub name: String,
    /// The date from which on it should not be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<String>,
}

impl FarVersion {
    /// The day from which on it should not be used, where there is one.
    pub fn deprecated_from(&self) -> Option<NaiveDate> {
        self.deprecated.as_deref()?.parse().ok()
    }
}

/// What a connector promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Guarantees {
    /// What stays in order.
    pub order: Order,
    /// What a second delivery does.
    pub redelivery: Redelivery,
    /// Whether it can tell what became of an upload.
    pub reconciles: bool,
}

/// What stays in order when something in it is to be retried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The whole batch.
    Batch,
    /// The records of one key.
    Key,
    /// Nothing; what holds where nothing is said.
    #[default]
    None,
}

/// What a second delivery of the same record does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Redelivery {
    /// It has no second effect.
    Idempotent,
    /// It delivers it a second time; what holds where nothing is said.
    #[default]
    Repeats,
}

/// The batches that suit a connector.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// So many records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u32>,
    /// So many bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Size>,
    /// So long after the first record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Interval>,
    /// So many instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u32>,
}

/// The batches that a connector can take at most.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Bounds {
    /// So many records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u32>,
    /// So many bytes, of all columns together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Size>,
    /// So many bytes a record, of all columns together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_bytes: Option<Size>,
}

/// Something that a connector would like to reach.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Such as `directory`, `http`, `tcp`.
    pub capability: String,
    /// What of it; `{parameter}` stands for that setting's value.
    pub pattern: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// What is wrong with a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DescriptorError {
    /// It is too long to be one.
    #[error("its descriptor has {0} bytes; {LONGEST} are the most")]
    TooLong(usize),
    /// It cannot be read.
    #[error("its descriptor cannot be read: {0}")]
    Shape(String),
    /// Another format.
    #[error("its descriptor has the format {0}; this host reads {FORMAT}")]
    Format(u64),
    /// It can be read and makes no sense.
    #[error("its descriptor is wrong: {0}")]
    Wrong(String),
}

impl Descriptor {
    /// Reads what `describe` answered.
    pub fn parse(document: &str) -> Result<Self, DescriptorError> {
        if document.len() > LONGEST {
            return Err(DescriptorError::TooLong(document.len()));
        }
        #[derive(Deserialize)]
        struct Numbered {
            format: u64,
        }
        let shape = |error: serde_json::Error| DescriptorError::Shape(said(&error.to_string()));
        let Numbered { format } = serde_json::from_str(document).map_err(shape)?;
        if format != FORMAT {
            return Err(DescriptorError::Format(format));
        }
        let descriptor: Self = serde_json::from_str(document).map_err(shape)?;
        match descriptor.fault() {
            None => Ok(descriptor),
            Some(fault) => Err(DescriptorError::Wrong(said(&fault))),
        }
    }

    /// Name and version, as errors begin.
    pub fn title(&self) -> String {
        format!("{} {}", self.about.name, self.about.version)
    }

    /// A version of the far side's interface, by its name.
    pub fn version(&self, name: &str) -> Option<&FarVersion> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// The first thing that makes no sense.
    fn fault(&self) -> Option<String> {
        let Self { parameters, actions, versions, requests, .. } = self;
        let lists = [
            ("parameters", parameters.len()),
            ("actions", actions.len()),
            ("versions", versions.len()),
            ("requests", requests.len()),
        ];
        if let Some((list, entries)) = lists.into_iter().find(|(_, entries)| *entries > MOST) {
            return Some(format!("{list} has {entries} entries; {MOST} are the most"));
        }
        // They stand in errors.
        let harmless = |name: &str| {
            let short = name.chars().nth(LONGEST_NAME).is_none();
            short && *printable(name, false) == *name && !name.contains(char::is_whitespace)
        };
        if self.about.name.is_empty() || !harmless(&self.about.name) {
            return Some(format!("about.name is {:?}", self.about.name));
        }
        match Version::parse(&self.about.version) {
            Err(error) => return Some(format!("about.version {:?} is not semver: {error}", self.about.version)),
            Ok(_) if !harmless(&self.about.version) => return Some(format!("about.version is {:?}", self.about.version)),
            Ok(_) => {}
        }
        let mut declared = HashSet::new();
        for (index, parameter) in parameters.iter().enumerate() {
            let name = parameter.name.as_str();
            if name.split('.').any(str::is_empty) || !harmless(name) {
                return Some(format!("parameters[{index}].name is {name:?}"));
            }
            if !declared.insert(name) {
                return Some(format!("the parameter {name} is declared twice"));
            }
            if let Some(pattern) = &parameter.rules.pattern
                && let Err(error) = regex_lite::RegexBuilder::new(pattern).size_limit(PATTERN).build()
            {
                return Some(format!("the pattern of {name} is no regular expression: {error}"));
            }
        }
        let named = |name: &Option<String>| name.clone().unwrap_or_default();
        let action = named(&self.default_action);
        if !action.is_empty() && !self.actions.iter().any(|known| known.name == action) {
            return Some(format!("default-action {action:?} is no action"));
        }
        let mut known = HashSet::new();
        for (index, FarVersion { name, deprecated }) in versions.iter().enumerate() {
            if name.is_empty() || !harmless(name) {
                return Some(format!("versions[{index}].name is {name:?}"));
            }
            if !known.insert(name) {
                return Some(format!("the version {name} stands there twice"));
            }
            if let Some(date) = deprecated.as_deref().filter(|date| date.parse::<NaiveDate>().is_err()) {
                return Some(format!("the version {name} is deprecated from {date:?}, which is no date such as 2027-01-31"));
            }
        }
        let version = named(&self.default_version);
        if !version.is_empty() && !self.versions.iter().any(|known| known.name == version) {
            return Some(format!("default-version {version:?} is no version"));
        }
        let none = |bytes: Option<Size>| bytes.is_some_and(|bytes| bytes.bytes() == 0);
        if self.bounds.records == Some(0) || none(self.bounds.bytes) || none(self.bounds.record_bytes) {
            return Some("a bound of 0 admits no record".into());
        }
        None
    }
}

/// A line of what is wrong, harmless and of a length that a person reads.
fn said(what: &str) -> String {
    let words = what.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown: String = printable(&words, false).chars().take(SAID + 1).collect();
    if let Some((end, _)) = shown.char_indices().nth(SAID) {
        shown.truncate(end);
        shown.push_str(" […]");
    }
    shown
}

impl Bounds {
    /// Bytes of the largest record.
    pub fn largest_record(&self) -> u64 {
        let smaller = [self.bytes, self.record_bytes].into_iter().flatten().map(Size::bytes).min();
        smaller.unwrap_or(u64::MAX)
    }
}

impl Preferences {
    /// How long to wait for a batch to fill.
    pub fn delay(&self) -> Option<Duration> {
        self.delay.map(Interval::duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(document: &str) -> String {
        Descriptor::parse(document).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        let document = r#"{"format": 1, "future": [1], "about": {"name": "a", "version": "1.2.3", "logo": null},
            "parameters": [{"name": "x", "type": "int", "rules": {"min": 1, "max": "9", "odd": true}}],
            "bounds": {"bytes": "1MiB"}}"#;
        let descriptor = Descriptor::parse(document).unwrap();
        assert_eq!(descriptor.title(), "a 1.2.3");
        assert_eq!(descriptor.parameters[0].rules.min.as_deref(), Some("1"));
        assert_eq!(descriptor.bounds.largest_record(), 1 << 20);
        assert_eq!((descriptor.guarantees.order, descriptor.guarantees.redelivery), (Order::None, Redelivery::Repeats));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        assert_eq!(fault(r#"{"format": 2, "about": 7}"#), "its descriptor has the format 2; this host reads 1");
        assert!(fault("").starts_with("its descriptor cannot be read: "));
        assert!(fault(r#"{"format": 1}"#).contains("missing field `about`"));
        let about = r#""about": {"name": "a", "version": "1.0.0"}"#;
        let cases = [
            (r#"{"format":1,"about":{"name":" ","version":"1.0.0"}}"#.to_owned(), r#"about.name is " ""#),
            (r#"{"format":1,"about":{"name":"a\u202eb","version":"1.0.0"}}"#.to_owned(), r#"about.name is "a\u{202e}b""#),
            (r#"{"format":1,"about":{"name":"a","version":"one"}}"#.to_owned(), r#"about.version "one" is not semver"#),
            (
                format!(r#"{{"format":1,{about},"parameters":[{{"name":"x"}},{{"name":"x"}}]}}"#),
                "the parameter x is declared twice",
            ),
            (format!(r#"{{"format":1,{about},"parameters":[{{"name":"x","rules":{{"pattern":"("}}}}]}}"#), "the pattern of x"),
            (format!(r#"{{"format":1,{about},"default-action":"y"}}"#), r#"default-action "y" is no action"#),
            (format!(r#"{{"format":1,{about},"default-version":"y"}}"#), r#"default-version "y" is no version"#),
            (format!(r#"{{"format":1,{about},"versions":[{{"name":"a\u001bb"}}]}}"#), r#"versions[0].name is "a\u{1b}b""#),
            (format!(r#"{{"format":1,{about},"versions":[{{"name":"y"}},{{"name":"y"}}]}}"#), "the version y stands there twice"),
            (
                format!(r#"{{"format":1,{about},"versions":[{{"name":"y","deprecated":"soon"}}]}}"#),
                r#"the version y is deprecated from "soon", which is no date such as 2027-01-31"#,
            ),
            (format!(r#"{{"format":1,{about},"bounds":{{"records":0}}}}"#), "a bound of 0 admits no record"),
        ];
        for (document, expected) in cases {
            let fault = fault(&document);
            assert!(fault.contains(expected), "{fault}");
        }
    }

    #[test]
    fn a_descriptor_that_is_made_to_wear_out_its_reader_is_refused_in_a_line() {
        let about = r#""about": {"name": "a", "version": "1.0.0"}"#;
        let parameters = |each: &dyn Fn(usize) -> String, count| {
            let list: Vec<_> = (0..count).map(each).collect();
            format!(r#"{{"format":1,{about},"parameters":[{}]}}"#, list.join(","))
        };
        let long = "x".repeat(500_000);
        let cases = [
            (parameters(&|n| format!(r#"{{"name":"{n}"}}"#), 60_000), "parameters has 60000 entries; 1000 are the most"),
            (format!(r#"{{"format":1,"about":{{"name":"{long}","version":"1.0.0"}}}}"#), "about.name is"),
            (format!(r#"{{"format":1,"about":{{"name":"a","version":"1.0.0-{long}"}}}}"#), "about.version is"),
            (parameters(&|_| format!(r#"{{"name":"{long}"}}"#), 1), "parameters[0].name is"),
            (parameters(&|_| r#"{"name":"a\u001b[2J"}"#.to_owned(), 2), r#"parameters[0].name is "a\u{1b}[2J""#),
            (parameters(&|_| format!(r#"{{"name":"a","type":"{long}"}}"#), 1), "unknown variant `xxx"),
            (
                parameters(&|n| format!(r#"{{"name":"p{n}","rules":{{"pattern":"(((x{{100}}){{100}}){{100}}){{100}}"}}}}"#), 900),
                "the pattern of p0 is no regular expression",
            ),
            (format!("{{\"format\":1,{about},\"x\":{}1", "[".repeat(400_000)), "cannot be read"),
        ];
        for (document, expected) in cases {
            let fault = fault(&document);
            assert!(fault.contains(expected), "{fault:.600}");
            assert!(fault.chars().count() < SAID + 100 && !fault.contains(char::is_control), "{fault:.600}");
        }
    }
}
