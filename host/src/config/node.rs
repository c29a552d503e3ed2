//! The tree that a pipeline file is read into: everything still text, everything still with its place.

use super::error::Place;

/// A thing in the file.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) place: Place,
}

/// Text, which is a number or a truth value only once a type asks for one.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    /// What it says, with variables replaced.
    pub(super) text: String,
    /// Neither quoted nor a block.
    pub(super) plain: bool,
    /// What stood in the file, where variables were replaced in it: their values are not for showing.
    pub(super) written: Option<String>,
}

impl Scalar {
    /// What stands in the file: what messages quote.
    pub(super) fn written(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.text)
    }

    /// Whether the file gives no value here.
    pub(super) fn is_null(&self) -> bool {
        self.plain && matches!(self.written(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    pub(super) fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) if !scalar.is_null() => Some(scalar),
            _ => None,
        }
    }

    /// The value of a key, where this is a mapping that has it.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => entries.iter_mut().find(|(key, _)| key.name == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// What is here, for the end of a sentence: `found …`.
    pub(super) fn described(&self) -> String {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_null() => "nothing".to_owned(),
            Value::Scalar(scalar) if scalar.written().is_empty() => "empty text".to_owned(),
            Value::Scalar(scalar) => quoted(scalar.written()),
            Value::List(items) if items.is_empty() => "an empty list".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Text from a file between backticks, on one line and no longer than a message bears.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
