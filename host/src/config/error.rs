//! What is wrong with a pipeline file, and where.

use std::{fmt, sync::Arc};

/// A position in a pipeline file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, as it was named to whoever read it.
    pub file: Arc<str>,
    /// The line, counted from 1.
    pub line: u32,
    /// The column in characters, counted from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why a pipeline file was refused.
///
/// Displayed it is one line, `file:line:column: what`; the hint is for whoever prints it to put on a line of its own. It quotes
/// the file as written, never what a variable held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", .place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default())]
pub struct ConfigError {
    what: String,
    hint: Option<String>,
    place: Option<Place>,
}

impl ConfigError {
    /// An error that says what is wrong: lower-case first letter, no full stop.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, place: None }
    }

    /// The same, with what to do about it.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same, with where it is.
    pub fn with_place(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    /// What is wrong.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Where it is; none where the file itself could not be read.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }
}
