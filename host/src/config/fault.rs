//! What goes wrong while a tree becomes types, until its place is known.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::{
    error::{ConfigError, Place},
    nearest::nearest,
    node::{Node, quoted},
};

/// Something wrong with a node. Whoever is nearest to the node gives it its place.
#[derive(Debug)]
pub(super) enum Fault {
    /// Complete.
    Placed(Box<ConfigError>),
    /// Told already.
    Told,
    /// The node is not what was expected: a noun with its article.
    Expected(String),
    /// The node is none of these words.
    OneOf { given: String, allowed: &'static [&'static str] },
    /// The mapping lacks a key.
    Missing(&'static str),
    /// What a type found wrong itself.
    Refused(Refusal),
}

/// What a type finds wrong with values that are each right on their own.
///
/// Errors pass through serde as text. The plain form is for people; the alternate form (`{:#}`) also carries the hint and the
/// position, for [`Fault`] to take apart again.
#[derive(Debug)]
pub(super) struct Refusal {
    what: String,
    hint: Option<String>,
    at: Option<(u32, u32)>,
    unseen: Option<(String, String)>,
}

impl Refusal {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, at: None, unseen: None }
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Where, if not at the whole of what the type was made from.
    pub(super) fn with_place(self, place: &Place) -> Self {
        Self { at: Some((place.line, place.column)), ..self }
    }

    /// What is told instead where the text came from a variable, for one that quotes the text: the end of a sentence about it, and a hint.
    pub(super) fn or_unseen(self, what: &str, hint: &str) -> Self {
        Self { unseen: Some((what.to_owned(), hint.to_owned())), ..self }
    }

    fn read(text: &str) -> Self {
        let mut parts = text.split('\0');
        let what = parts.next().unwrap_or_default().to_owned();
        let hint = parts.next().filter(|hint| !hint.is_empty()).map(str::to_owned);
        let at = parts.next().and_then(|at| at.split_once(':')).and_then(|(l, c)| Some((l.parse().ok()?, c.parse().ok()?)));
        let mut part = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
        let unseen = part().zip(part());
        Self { what, hint, at, unseen }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if f.alternate() {
            write!(f, "\0{}\0", self.hint.as_deref().unwrap_or_default())?;
            if let Some((line, column)) = self.at {
                write!(f, "{line}:{column}")?;
            }
            if let Some((what, hint)) = &self.unseen {
                write!(f, "\0{what}\0{hint}")?;
            }
        }
        Ok(())
    }
}

impl Fault {
    /// With the place of the node that it is about, unless it has one.
    pub(super) fn at(self, node: &Node) -> Self {
        let place = node.place.clone();
        let error = match self {
            Self::Placed(_) | Self::Told => return self,
            Self::Expected(what) => ConfigError::new(format!("expected {what}, found {}", node.described())).with_place(place),
            Self::OneOf { given, allowed } => {
                let error = ConfigError::new(format!("expected {}, found {}", list(allowed, "or"), node.described()));
                // What a variable held is not for guessing at.
                let known = node.scalar().is_some_and(|scalar| scalar.written.is_none());
                match nearest(&given, allowed.iter().copied()).filter(|_| known) {
                    Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                    None => error,
                }
                .with_place(place)
            }
            Self::Missing(key) => ConfigError::new(format!("missing key `{key}`")).with_place(place),
            Self::Refused(Refusal { what, hint, at, unseen }) => {
                // What a variable held is not for showing.
                let unseen = unseen.filter(|_| node.scalar().is_some_and(|scalar| scalar.written.is_some()));
                let (what, hint) = match unseen {
                    Some((what, hint)) => (format!("{} {what}", node.described()), Some(hint)),
                    None => (what, hint),
                };
                let mut error = ConfigError::new(what);
                if let Some(hint) = hint {
                    error = error.with_hint(hint);
                }
                error.with_place(at.map_or(place.clone(), |(line, column)| Place { line, column, ..place }))
            }
        };
        Self::Placed(Box::new(error))
    }

    /// With the noun for the mapping that it is about, unless it is about something within.
    pub(super) fn within(self, noun: &str, node: &Node) -> Self {
        match self {
            Self::Missing(key) => {
                Self::Placed(Box::new(ConfigError::new(format!("missing key `{key}` in {noun}")).with_place(node.place.clone())))
            }
            other => other.at(node),
        }
    }

    /// The error, about this node where nothing nearer is known; `None` where it is told already.
    pub(super) fn into_error(self, node: &Node) -> Option<ConfigError> {
        match self.at(node) {
            Self::Placed(error) => Some(*error),
            _ => None,
        }
    }
}

impl ConfigError {
    /// A key that a mapping may not have.
    pub(super) fn unknown_key(key: &str, place: &Place, noun: &str, allowed: &[&str]) -> Self {
        let hint = match nearest(key, allowed.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it may have {}", list(allowed, "and")),
        };
        Self::new(format!("unknown key {} in {noun}", quoted(key))).with_hint(hint).with_place(place.clone())
    }
}

/// `a`, `b` or `c`, each between backticks.
pub(super) fn list(words: &[&str], last: &str) -> String {
    match words {
        [] => "nothing".to_owned(),
        [only] => format!("`{only}`"),
        [before @ .., end] => {
            let before: Vec<String> = before.iter().map(|word| format!("`{word}`")).collect();
            format!("{} {last} `{end}`", before.join(", "))
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Placed(error) => error.fmt(f),
            Self::Told => f.write_str("told already"),
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::OneOf { allowed, .. } => write!(f, "expected {}", list(allowed, "or")),
            Self::Missing(key) => write!(f, "missing key `{key}`"),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Refused(Refusal::read(&format!("{message:#}")))
    }

    // What was found is told from the node: serde's own words would show what a variable held.
    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Expected(expected.to_string())
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Expected(expected.to_string())
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::Expected(expected.to_string())
    }

    fn unknown_variant(given: &str, allowed: &'static [&'static str]) -> Self {
        Self::OneOf { given: given.to_owned(), allowed }
    }

    fn missing_field(key: &'static str) -> Self {
        Self::Missing(key)
    }
}
