//! A text with places in it.

use std::borrow::Cow;

use wharf_sdk::{Batch, Failure, Operation, Record};

use crate::{Json, Kind, Part, Pointer, escape, parse};

/// A text with places in it: `{{/pointer}}`, `{{meta:NAME}}`, `{{key}}`, `{{after}}`, `{{operation}}`, `{{partition}}`, `{{sequence}}` and
/// `{{ordinal}}`; `{{'…'}}` is the text between the quotes.
#[derive(Clone, Debug, Default)]
pub struct Template {
    pieces: Vec<Piece>,
}

/// What a template makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Makes {
    /// Text, in which values stand as they are.
    #[default]
    Text,
    /// One JSON document: values stand as JSON does, and within quotes with their escapes.
    Json,
    /// A URL: what is not unreserved (RFC 3986, 2.3) in a value is percent-encoded. A value that is empty or null is none: a URL without it
    /// is that of something else.
    Url,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Place { what: What, written: String, stands: Stands },
}

/// What stands in a place.
#[derive(Clone, Debug)]
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
    /// Within a URL.
    Url,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, as the rest of a sentence about it.
    pub fn parse(text: &str, makes: Makes) -> Result<Self, String> {
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
            let stands = match (makes, quoted) {
                (Makes::Text, _) => Stands::Text,
                (Makes::Url, _) => Stands::Url,
                (Makes::Json, true) => Stands::Quoted,
                (Makes::Json, false) => Stands::Json,
            };
            pieces.push(Piece::Place { what: what(place.trim())?, written: place.trim().to_owned(), stands });
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        let template = Self { pieces };
        if makes == Makes::Json {
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

    /// Whether every record makes the same of it.
    pub fn is_plain(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// The text with a value in each place. `empty` leaves a place empty whose value is missing.
    ///
    /// # Errors
    /// What the record lacks, for a dead letter.
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

/// Where values come from: a record, whose document is read once however many places ask for it.
#[derive(Debug)]
pub struct Source<'a> {
    batch: &'a Batch,
    record: Record<'a>,
    document: Option<Json<'a>>,
}

impl<'a> Source<'a> {
    /// A record of a batch.
    pub fn new(batch: &'a Batch, record: Record<'a>) -> Self {
        Self { batch, record, document: None }
    }

    /// The record.
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
                let found = document.get(pointer).filter(|value| stands != Stands::Url || value.kind() != Kind::Null);
                let Some(found) = found else { return Ok(false) };
                let text = found.as_text();
                match stands {
                    Stands::Url => return Ok(put_encoded(&text, into)),
                    Stands::Text => into.push_str(&text),
                    Stands::Quoted => escape(&text, into),
                    Stands::Json => into.push_str(&found.to_string()),
                }
                return Ok(true);
            }
            What::After => {
                let Some(after) = record.after() else { return Ok(false) };
                if stands == Stands::Json {
                    into.push_str(&parse(Part::After, after)?.to_string());
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
            Stands::Url => return Ok(put_encoded(&value, into)),
        }
        Ok(true)
    }
}

/// Appends a value percent-encoded; false where it is empty.
fn put_encoded(value: &str, into: &mut String) -> bool {
    percent_encode(value.as_bytes(), into);
    !value.is_empty()
}

/// Appends bytes as they stand in a URL: all but the unreserved ones (RFC 3986, 2.3) as `%XX`.
pub fn percent_encode(bytes: &[u8], into: &mut String) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            into.push(char::from(*byte));
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            into.extend(['%', char::from(DIGITS[usize::from(byte >> 4)]), char::from(DIGITS[usize::from(byte & 15)])]);
        }
    }
}

/// Bytes that a template can hold.
fn text<'a>(what: &str, bytes: Option<&'a [u8]>) -> Result<Option<Cow<'a, str>>, Failure> {
    let read = |bytes| std::str::from_utf8(bytes).map(Cow::Borrowed);
    bytes.map(read).transpose().map_err(|_| Failure::rejected(format!("`{what}` is no text in UTF-8")))
}
