//! A line of the log.

use std::fmt::{self, Write as _};

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value};
use tracing::{Level, Metadata};

use super::fields::{Fields, Shown};
use crate::sandbox::output::printable;

/// An event with what the calls around it say of it.
pub struct Line<'a> {
    /// Its level and its target.
    pub metadata: &'a Metadata<'static>,
    /// What is said.
    pub fields: &'a Fields,
}

impl Line<'_> {
    /// For a person: time, level, message, fields. A line that a component wrote to its standard output stands as it is, behind whose it is.
    pub fn text(&self, colours: bool) -> String {
        let mut line = String::new();
        // Writing to memory does not fail.
        let _written = match self.metadata.target() {
            "wharf::stdout" => self.output(&mut line),
            _ => self.told(&mut line, colours),
        };
        line.push('\n');
        line
    }

    fn told(&self, line: &mut String, colours: bool) -> fmt::Result {
        let level = *self.metadata.level();
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        let colour = match level {
            _ if !colours => None,
            Level::ERROR => Some(31),
            Level::WARN => Some(33),
            Level::INFO => Some(32),
            Level::DEBUG => Some(34),
            Level::TRACE => Some(35),
        };
        // An error may name a file or a far side's words.
        let message = printable(&self.fields.message, true);
        match colour {
            Some(colour) => write!(line, "\x1b[2m{time}\x1b[0m \x1b[{colour}m{level:>5}\x1b[0m {message}")?,
            None => write!(line, "{time} {level:>5} {message}")?,
        }
        for (name, value) in self.fields.iter() {
            match colours {
                true => write!(line, " \x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?,
                false => write!(line, " {name}=")?,
            }
            match value {
                Shown::Text(text) => write!(line, "{text:?}")?,
                Shown::Plain(value) => write!(line, "{value}")?,
                Shown::Other(shown) => line.push_str(&printable(shown, true)),
            }
        }
        Ok(())
    }

    fn output(&self, line: &mut String) -> fmt::Result {
        let whose = |name| self.fields.text(name).unwrap_or_default();
        write!(line, "{}/{} | {}", whose("pipeline"), whose("destination"), self.fields.message)?;
        match self.fields.iter().find(|(name, _)| *name == "cut") {
            Some((_, Shown::Plain(cut))) => write!(line, " […{cut} bytes]"),
            _ => Ok(()),
        }
    }

    /// For a program: one object, with `timestamp`, `level`, `target` and `message` beside the fields.
    pub fn json(&self) -> String {
        let fields = self.fields.iter().map(|(name, value)| {
            let value = match value {
                Shown::Text(text) | Shown::Other(text) => Value::from(text.as_str()),
                Shown::Plain(value) => value.clone(),
            };
            (name.to_owned(), value)
        });
        let mut object: Map<String, Value> = fields.collect();
        let own = [
            ("timestamp", Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)),
            ("level", self.metadata.level().to_string()),
            ("target", self.metadata.target().to_owned()),
            ("message", self.fields.message.clone()),
        ];
        object.extend(own.map(|(name, value)| (name.to_owned(), value.into())));
        format!("{}\n", Value::Object(object))
    }
}
