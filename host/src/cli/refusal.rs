//! What is printed when nothing runs: what is wrong, where, and what to do.

use std::io::Write;

use serde_json::{Value, json};

use super::{Output, REFUSED, stdout};
use crate::{
    config::{Mistakes, Place},
    kit::Trouble,
    plan::PlanError,
    sandbox::output::printable,
};

/// Why nothing was run.
#[derive(Debug)]
pub struct Refusal(Vec<Told>);

#[derive(Debug)]
struct Told {
    what: String,
    hint: Option<String>,
    place: Option<String>,
}

impl Told {
    fn json(&self) -> Value {
        json!({"what": self.what, "hint": self.hint, "place": self.place})
    }

    /// For a terminal: a component's own words may be among them, from its descriptor too.
    fn print(&self, mut to: impl Write) -> std::io::Result<()> {
        writeln!(to, "error: {}", printable(&self.what, true))?;
        if let Some(place) = &self.place {
            writeln!(to, "  at {place}")?;
        }
        if let Some(hint) = &self.hint {
            writeln!(to, "hint: {}", printable(hint, true))?;
        }
        Ok(())
    }
}

impl Refusal {
    /// Without a hint.
    pub fn new(what: String) -> Self {
        Self(vec![Told { what, hint: None, place: None }])
    }

    /// With a hint.
    pub fn with_hint(what: String, hint: Option<String>) -> Self {
        Self(vec![Told { what, hint, place: None }])
    }

    /// The same with its place in the pipeline file, where it has one.
    pub fn at(self, place: Option<&Place>) -> Self {
        Self(self.0.into_iter().map(|told| Told { place: place.map(ToString::to_string), ..told }).collect())
    }

    /// Several at once.
    pub fn all(refusals: impl IntoIterator<Item = Self>) -> Self {
        Self(refusals.into_iter().flat_map(|refusal| refusal.0).collect())
    }

    /// For a program: the first, and the others beside it.
    pub fn document(&self) -> Option<Value> {
        let (first, others) = self.0.split_first()?;
        let mut document = first.json();
        if !others.is_empty() {
            document["also"] = others.iter().map(Told::json).collect();
        }
        Some(document)
    }

    /// In words for a terminal, one behind the other.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, mut to: impl Write) -> std::io::Result<()> {
        for (index, one) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(to)?;
            }
            one.print(&mut to)?;
        }
        Ok(())
    }

    /// Prints it, and gives the exit code. On standard output stands one document or nothing.
    pub fn print(&self, output: Output) -> u8 {
        let mut told = Vec::new();
        // Writing to memory does not fail.
        let _written = self.write(&mut told);
        let _written = std::io::stderr().write_all(&told);
        if output == Output::Json
            && let Some(error) = self.document()
        {
            stdout::document(&json!({"error": error}));
        }
        REFUSED
    }
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        vec![trouble].into()
    }
}

impl From<Vec<Trouble>> for Refusal {
    fn from(troubles: Vec<Trouble>) -> Self {
        let told = |trouble: &Trouble| Told { what: trouble.to_string(), hint: trouble.hint().map(str::to_owned), place: None };
        Self(troubles.iter().map(told).collect())
    }
}

impl From<Mistakes> for Refusal {
    fn from(mistakes: Mistakes) -> Self {
        Vec::<PlanError>::from(mistakes).into()
    }
}

impl From<Vec<PlanError>> for Refusal {
    fn from(errors: Vec<PlanError>) -> Self {
        let told =
            |error: &PlanError| Told { what: error.what(), hint: error.hint(), place: error.place().map(ToString::to_string) };
        Self(errors.iter().map(told).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_component_says_cannot_rewrite_the_terminal() {
        let told = Told { what: "asks for \u{1b}[2J".into(), hint: Some("its settings are `\u{202e}`\nx".into()), place: None };
        let mut printed = Vec::new();
        told.print(&mut printed).unwrap();
        let printed = String::from_utf8(printed).unwrap();
        assert_eq!(printed, "error: asks for \\u{1b}[2J\nhint: its settings are `\\u{202e}`\nx\n");
    }
}
