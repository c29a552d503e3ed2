//! A text with places in it.

use std::borrow::Cow;

use wharf_json::{Json, Part, Pointer, escape, parse};
use wharf_sdk::{Batch, Failure, Operation, Record};

/// A text with places in it.
#[derive(Debug, Default)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Place { what: What, written: String, stands: Stands },
}

/// What stands in a place.
#[derive(Debug)]
enum What {
    Pointer(Pointer),
    Metadata(String),
    Key,
    After,
    Operation,
    Partition,
    Sequence,
    Ordinal,
}

/// How a value stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    /// As it is.
    Text,
    /// As JSON.
    Json,
    /// Within a JSON string.
    Quoted,
}

impl Template {
    /// Reads `{{…}}` as places; `{{'…'}}` is the text between the quotes.
    pub fn parse(text: &str, json: bool) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut quoted = false;
        while let Some(start) = rest.find("{{") {
            let (before, behind) = rest.split_at(start);
            quoted = still_quoted(before, quoted);
            pieces.push(Piece::Text(before.to_owned()));
            let inside = &behind[2..];
            if let Some(literal) = inside.strip_prefix('\'') {
                let (literal, after) = literal.split_once("'}}").ok_or("has `{{'` without `'}}`")?;
                quoted = still_quoted(literal, quoted);
                pieces.push(Piece::Text(literal.to_owned()));
                rest = after;
                continue;
            }
            let (place, after) = inside.split_once("}}").ok_or("has `{{` without `}}`")?;
            let stands = match (json, quoted) {
                (false, _) => Stands::Text,
                (true, true) => Stands::Quoted,
                (true, false) => Stands::Json,
            };
            pieces.push(Piece::Place { what: what(place.trim())?, written: place.trim().to_owned(), stands });
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        let template = Self { pieces };
        if json {
            // Whatever the values are, they stand where a value or part of a string may.
            let sample = template.pieces.iter().fold(String::new(), |sample, piece| match piece {
                Piece::Text(text) => sample + text,
                Piece::Place { stands: Stands::Json, .. } => sample + "0",
                Piece::Place { .. } => sample,
            });
            Json::parse(sample.as_bytes()).map_err(|fault| format!("makes no JSON: {fault}"))?;
        }
        Ok(template)
    }

    /// The text with a value in each place. `empty` leaves a place empty whose value is missing.
    pub fn fill(&self, source: &mut Source<'_>, empty: bool) -> Result<String, Failure> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Place { what, written, stands } => {
                    let found = source.put(what, *stands, &mut text)?;
                    if !found && !empty {
                        return Err(Failure::rejected(format!("the record has no {{{{{written}}}}}")));
                    }
                    if !found && *stands == Stands::Json {
                        text.push_str("null");
                    }
                }
            }
        }
        Ok(text)
    }
}

/// Whether a JSON string is open behind some text.
fn still_quoted(text: &str, mut quoted: bool) -> bool {
    let mut escaped = false;
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    quoted
}

fn what(place: &str) -> Result<What, String> {
    Ok(match place {
        "key" => What::Key,
        "after" => What::After,
        "operation" => What::Operation,
        "partition" => What::Partition,
        "sequence" => What::Sequence,
        "ordinal" => What::Ordinal,
        _ if place.starts_with('/') => {
            What::Pointer(place.parse().map_err(|error| format!("has the place {{{{{place}}}}}: {error}"))?)
        }
        _ => match place.strip_prefix("meta:") {
            Some(name) => What::Metadata(name.to_owned()),
            None => {
                let known =
                    "{{/pointer}}, {{meta:NAME}}, {{key}}, {{after}}, {{operation}}, {{partition}}, {{sequence}} and {{ordinal}}";
                return Err(format!("has the place {{{{{place}}}}}, which is none of {known}"));
            }
        },
    })
}

/// Where values come from.
pub struct Source<'a> {
    batch: &'a Batch,
    record: Record<'a>,
    document: Option<Json<'a>>,
}

impl<'a> Source<'a> {
    pub fn new(batch: &'a Batch, record: Record<'a>) -> Self {
        Self { batch, record, document: None }
    }

    pub fn record(&self) -> Record<'a> {
        self.record
    }

    /// Appends a value; false where there is none.
    fn put(&mut self, what: &What, stands: Stands, into: &mut String) -> Result<bool, Failure> {
        let record = self.record;
        let value = match what {
            What::Pointer(pointer) => {
                let Some(after) = record.after() else { return Ok(false) };
                let document = match &mut self.document {
                    Some(document) => document,
                    none => none.insert(parse(Part::After, after)?),
                };
                return Ok(document.get(pointer).map(|value| put_json(value, stands, into)).is_some());
            }
            What::After => {
                let Some(after) = record.after() else { return Ok(false) };
                if stands == Stands::Json {
                    put_json(&parse(Part::After, after)?, stands, into);
                    return Ok(true);
                }
                text("after", Some(after))?
            }
            What::Metadata(name) => text(name, record.meta(name))?,
            What::Key => text("key", record.key())?,
            What::Partition => Some(Cow::Borrowed(self.batch.partition())),
            What::Operation => Some(Cow::Borrowed(match record.operation() {
                Operation::Create => "create",
                Operation::Update => "update",
                Operation::Delete => "delete",
                Operation::Snapshot => "snapshot",
            })),
            What::Sequence | What::Ordinal => {
                let number = match what {
                    What::Sequence => record.sequence(),
                    _ => record.ordinal().into(),
                };
                into.push_str(&number.to_string());
                return Ok(true);
            }
        };
        let Some(value) = value else { return Ok(false) };
        match stands {
            Stands::Text => into.push_str(&value),
            Stands::Quoted => escape(&value, into),
            Stands::Json => into.push_str(&Json::string(&value).to_string()),
        }
        Ok(true)
    }
}

fn put_json(value: &Json<'_>, stands: Stands, into: &mut String) {
    match stands {
        Stands::Text => into.push_str(&value.as_text()),
        Stands::Quoted => escape(&value.as_text(), into),
        Stands::Json => into.push_str(&value.to_string()),
    }
}

/// Bytes that a template can hold.
fn text<'a>(what: &str, bytes: Option<&'a [u8]>) -> Result<Option<Cow<'a, str>>, Failure> {
    let read = |bytes| std::str::from_utf8(bytes).map(Cow::Borrowed);
    bytes.map(read).transpose().map_err(|_| Failure::rejected(format!("`{what}` is no text in UTF-8")))
}
