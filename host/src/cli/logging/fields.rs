//! What an event says, or a call around it.

use std::fmt;

use serde_json::Value;
use tracing::field::{Field, Visit};

/// Names and values in the order in which they were given, none twice, and the message.
#[derive(Debug, Default)]
pub struct Fields {
    /// What an event says in words.
    pub message: String,
    all: Vec<(&'static str, Shown)>,
}

/// A value.
#[derive(Clone, Debug)]
pub enum Shown {
    /// A text that was given as one.
    Text(String),
    /// A number or a truth.
    Plain(Value),
    /// Whatever else, as it shows itself.
    Other(String),
}

impl Fields {
    /// Takes over what is not there yet.
    pub fn fill_in(&mut self, around: &Self) {
        for (name, value) in &around.all {
            self.set(name, || value.clone());
        }
    }

    /// All but the message.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Shown)> {
        self.all.iter().map(|(name, value)| (*name, value))
    }

    /// A text among them.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.iter().find(|(other, _)| *other == name).and_then(|(_, value)| match value {
            Shown::Text(text) => Some(text.as_str()),
            Shown::Plain(_) | Shown::Other(_) => None,
        })
    }

    fn set(&mut self, name: &'static str, value: impl FnOnce() -> Shown) {
        if !self.all.iter().any(|(other, _)| *other == name) {
            self.all.push((name, value()));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.set(name, || Shown::Text(value.to_owned())),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), || Shown::Plain(value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), || Shown::Plain(value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), || Shown::Plain(value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), || Shown::Plain(value.into()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.set(name, || Shown::Other(format!("{value:?}"))),
        }
    }
}
