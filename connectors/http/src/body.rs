//! What requests carry.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use wharf_json::{Json, Kind, Part, Source, Template, parse, percent_encode};
use wharf_sdk::{Failure, Parameters};

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Body {
    /// One record, as it stands.
    Record,
    /// A JSON array with an element for each record.
    JsonArray,
    /// A line of JSON, or several, for each record.
    JsonLines,
    /// One record, its members as the fields of a form.
    Form,
}

impl Body {
    /// Whether several records go into one.
    pub fn is_joined(self) -> bool {
        matches!(self, Self::JsonArray | Self::JsonLines)
    }

    /// The media type where none is given.
    pub fn media(self) -> &'static str {
        match self {
            Self::Record | Self::JsonArray => "application/json",
            Self::JsonLines => "application/x-ndjson",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }
}

/// Makes bodies of records.
#[derive(Clone, Debug)]
pub struct Bodies {
    /// Their form.
    pub body: Body,
    /// What stands for a record; its value where there is none.
    pub lines: Vec<Template>,
    /// Their media type, where one is given.
    pub media: Option<String>,
    /// Whether they are compressed.
    pub gzip: bool,
}

impl Bodies {
    /// Appends what a record adds to a body.
    ///
    /// # Errors
    /// Where there is no such thing: it is rejected, and what was appended is to be taken off again.
    pub fn put(&self, source: &mut Source<'_>, into: &mut Vec<u8>) -> Result<(), Failure> {
        let after = source.record().after();
        if !self.lines.is_empty() {
            for (at, line) in self.lines.iter().enumerate() {
                if at > 0 {
                    into.push(b'\n');
                }
                self.put_line(line.fill(source, true)?.as_bytes(), into);
            }
            return Ok(());
        }
        let Some(after) = after else {
            return match self.body {
                Body::Record => Ok(()),
                _ => Err(Failure::rejected(
                    "the record has no value, which is nothing in a body: shape deletes otherwise (`format: opencdc`, or a `template`)",
                )),
            };
        };
        match self.body {
            Body::Record => into.extend_from_slice(after),
            Body::JsonArray | Body::JsonLines => {
                parse(Part::After, after)?;
                self.put_line(after.trim_ascii(), into);
            }
            Body::Form => put_form(&mut parse(Part::After, after)?, into)?,
        }
        Ok(())
    }

    /// Appends JSON, where it has to be one line as one: a line's end stands between its tokens alone, since no string holds one.
    fn put_line(&self, json: &[u8], into: &mut Vec<u8>) {
        let from = into.len();
        into.extend_from_slice(json);
        if self.body == Body::JsonLines {
            into[from..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        }
    }

    /// The body of a request, of the pieces of its records, and whether that is compressed.
    ///
    /// # Errors
    /// Where it cannot be compressed, which has no other reason than memory.
    pub fn joined<'a>(&self, pieces: impl ExactSizeIterator<Item = &'a [u8]>) -> std::io::Result<(Vec<u8>, bool)> {
        let mut body = Vec::new();
        match self.body {
            Body::Record | Body::Form => pieces.for_each(|piece| body.extend_from_slice(piece)),
            Body::JsonArray => {
                body.push(b'[');
                for (at, piece) in pieces.enumerate() {
                    if at > 0 {
                        body.push(b',');
                    }
                    body.extend_from_slice(piece);
                }
                body.push(b']');
            }
            Body::JsonLines => pieces.for_each(|piece| {
                body.extend_from_slice(piece);
                body.push(b'\n');
            }),
        }
        if !self.gzip || body.is_empty() {
            return Ok((body, false));
        }
        let mut packed = GzEncoder::new(Vec::with_capacity(body.len() / 4 + 64), Compression::fast());
        packed.write_all(&body)?;
        Ok((packed.finish()?, true))
    }
}

/// A record's members as fields (URL Standard, 5.2): what is null is empty, what is nested is JSON.
fn put_form(document: &mut Json<'_>, into: &mut Vec<u8>) -> Result<(), Failure> {
    let kind = document.kind();
    let Some(members) = document.members() else {
        return Err(Failure::rejected(format!("the record is {kind}, and only an object has the fields of a form")));
    };
    let mut form = String::new();
    for (name, value) in members {
        if !form.is_empty() {
            form.push('&');
        }
        percent_encode(name.text().as_bytes(), &mut form);
        form.push('=');
        if value.kind() != Kind::Null {
            percent_encode(value.as_text().as_bytes(), &mut form);
        }
    }
    into.extend_from_slice(form.as_bytes());
    Ok(())
}
