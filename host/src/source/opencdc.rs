//! OpenCDC: a record with all that belongs to it on each line, as Conduit writes it in JSON.
//!
//! `{"position": …, "operation": …, "metadata": {…}, "key": …, "payload": {"before": …, "after": …}}`. Data are an object, text in
//! base64, or null for what is absent. An object is kept byte for byte. The position is base64 too, and becomes the metadata
//! [`POSITION`]. Members of another name are passed over; one that is named twice counts with its last value.

use std::ops::Range;

use base64::{Engine, prelude::BASE64_STANDARD};
use jiter::{Jiter, JiterError, Peek};

use crate::record::{MOST_METADATA, NAME, NewRecord, Operation, Value, opencdc::POSITION};

/// Reads lines, on buffers that it keeps.
#[derive(Debug, Default)]
pub(super) struct OpenCdc {
    /// Where strings with escapes are decoded.
    tape: Vec<u8>,
    found: Found,
}

/// What the line read last has.
#[derive(Debug, Default)]
struct Found {
    operation: Option<Operation>,
    position: Option<Range<usize>>,
    key: Data,
    before: Data,
    after: Data,
    /// Names and values.
    metadata: Vec<(Range<usize>, Range<usize>)>,
    /// Position and metadata end to end.
    text: String,
    /// Data in base64, decoded, end to end.
    raw: Vec<u8>,
}

/// A key or a payload.
#[derive(Clone, Debug, Default)]
enum Data {
    #[default]
    Absent,
    /// Where it stands in the line.
    Structured(Range<usize>),
    /// Where it stands in [`Found::raw`].
    Raw(Range<usize>),
}

/// What is wrong with a line.
#[derive(Debug)]
enum Wrong {
    Json(JiterError),
    /// What, and at which byte, counted from 0.
    Cdc(String, usize),
}

impl From<JiterError> for Wrong {
    fn from(error: JiterError) -> Self {
        Self::Json(error)
    }
}

impl OpenCdc {
    /// Reads a line; fails with what is wrong with it.
    pub(super) fn read(&mut self, line: &[u8]) -> Result<(), String> {
        if let Err(error) = std::str::from_utf8(line) {
            return Err(format!("not UTF-8 at its byte {}", error.valid_up_to() + 1));
        }
        self.found.clear();
        let mut reader = Jiter::with_tape(line, std::mem::take(&mut self.tape));
        let read = self.found.document(&mut reader);
        self.tape = reader.into_tape();
        match read {
            Ok(()) if self.found.operation.is_some() => Ok(()),
            Ok(()) => Err("not an OpenCDC record: it has no `operation`".to_owned()),
            Err(Wrong::Json(error)) => Err(format!("not JSON: {} at its byte {}", error.error_type, error.index + 1)),
            Err(Wrong::Cdc(what, at)) => Err(format!("not an OpenCDC record: {what}, at its byte {}", at + 1)),
        }
    }

    /// The record on the line read last, but for its metadata.
    pub(super) fn record<'a>(&'a self, line: &'a [u8], sequence: u64) -> NewRecord<'a> {
        let found = &self.found;
        let value = |data: &'a Data| match data {
            Data::Absent => None,
            Data::Structured(range) => Some(Value { bytes: &line[range.clone()], content_type: Some("application/json") }),
            Data::Raw(range) => Some(Value { bytes: &found.raw[range.clone()], content_type: Some("application/octet-stream") }),
        };
        NewRecord {
            sequence,
            ordinal: 0,
            operation: found.operation.unwrap_or_default(),
            after: value(&found.after),
            before: value(&found.before),
            key: value(&found.key),
        }
    }

    /// Its metadata, and its position among them.
    pub(super) fn metadata(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        let text = |range: &Range<usize>| &self.found.text[range.clone()];
        let position = self.found.position.iter().map(move |value| (POSITION, text(value).as_bytes()));
        let metadata = self.found.metadata.iter().map(move |(name, value)| (text(name), text(value).as_bytes()));
        position.chain(metadata)
    }
}

/// Members of the document that are looked at.
#[derive(Clone, Copy)]
enum Member {
    Position,
    Operation,
    Metadata,
    Key,
    Payload,
    Other,
}

impl Member {
    fn named(name: &str) -> Self {
        match name {
            "position" => Self::Position,
            "operation" => Self::Operation,
            "metadata" => Self::Metadata,
            "key" => Self::Key,
            "payload" => Self::Payload,
            _ => Self::Other,
        }
    }
}

impl Found {
    fn clear(&mut self) {
        let (mut metadata, mut text, mut raw) =
            (std::mem::take(&mut self.metadata), std::mem::take(&mut self.text), std::mem::take(&mut self.raw));
        metadata.clear();
        text.clear();
        raw.clear();
        *self = Self { metadata, text, raw, ..Self::default() };
    }

    fn document(&mut self, reader: &mut Jiter<'_>) -> Result<(), Wrong> {
        let peek = reader.peek()?;
        if peek != Peek::Object {
            return Err(wrong("it", peek, "an object", reader));
        }
        let mut member = reader.known_object()?.map(Member::named);
        while let Some(known) = member {
            let peek = reader.peek()?;
            match known {
                Member::Position => self.position(reader, peek)?,
                Member::Operation => self.operation(reader, peek)?,
                Member::Metadata => self.metadata(reader, peek)?,
                Member::Key => self.key = self.data("key", reader, peek)?,
                Member::Payload => self.payload(reader, peek)?,
                Member::Other => reader.known_skip(peek)?,
            }
            member = reader.next_key()?.map(Member::named);
        }
        reader.finish()?;
        Ok(())
    }

    fn position(&mut self, reader: &mut Jiter<'_>, peek: Peek) -> Result<(), Wrong> {
        self.position = None;
        match peek {
            Peek::Null => reader.known_null()?,
            Peek::String => {
                let at = reader.current_index();
                let text = reader.known_str()?;
                let start = self.raw.len();
                BASE64_STANDARD.decode_vec(text, &mut self.raw).map_err(|_| no_base64("position", at))?;
                self.raw.truncate(start);
                // An empty one tells no record from another.
                self.position = Some(keep(&mut self.text, text)).filter(|range| !range.is_empty());
            }
            _ => return Err(wrong("`position`", peek, "text in base64 or null", reader)),
        }
        Ok(())
    }

    fn operation(&mut self, reader: &mut Jiter<'_>, peek: Peek) -> Result<(), Wrong> {
        if peek != Peek::String {
            return Err(wrong("`operation`", peek, "text", reader));
        }
        let at = reader.current_index();
        let name = reader.known_str()?;
        let Some(operation) = Operation::named(name) else {
            let name: String = name.chars().take(40).collect();
            let what = format!("`operation` is {name:?}, where it has `create`, `update`, `delete` or `snapshot`");
            return Err(Wrong::Cdc(what, at));
        };
        self.operation = Some(operation);
        Ok(())
    }

    fn metadata(&mut self, reader: &mut Jiter<'_>, peek: Peek) -> Result<(), Wrong> {
        self.metadata.clear();
        match peek {
            Peek::Null => return Ok(reader.known_null()?),
            Peek::Object => {}
            _ => return Err(wrong("`metadata`", peek, "an object or null", reader)),
        }
        let at = reader.current_index();
        let mut name = reader.known_object()?.map(|name| keep(&mut self.text, name));
        while let Some(kept) = name {
            if self.text[kept.clone()] == *POSITION {
                return Err(Wrong::Cdc(format!("`metadata` has `{POSITION}`, which stands for the record's `position`"), at));
            }
            let shown = |name: &str| name.chars().take(40).collect::<String>();
            if kept.len() > NAME {
                let (name, bytes) = (shown(&self.text[kept.clone()]), kept.len());
                return Err(Wrong::Cdc(format!("a name of `metadata` has {bytes} bytes, {NAME} at the most: {name:?} …"), at));
            }
            // A record with more goes into no batch, and a long line is not to be read to its end for that. What comes twice counts twice here.
            if self.metadata.len() == MOST_METADATA {
                return Err(Wrong::Cdc(format!("more than {MOST_METADATA} names of metadata"), at));
            }
            let peek = reader.peek()?;
            if peek != Peek::String {
                let name: String = self.text[kept].chars().take(40).collect();
                return Err(wrong(&format!("{name:?} of `metadata`"), peek, "text", reader));
            }
            let value = keep(&mut self.text, reader.known_str()?);
            self.metadata.push((kept, value));
            name = reader.next_key()?.map(|name| keep(&mut self.text, name));
        }
        Ok(())
    }

    fn payload(&mut self, reader: &mut Jiter<'_>, peek: Peek) -> Result<(), Wrong> {
        (self.before, self.after) = (Data::Absent, Data::Absent);
        match peek {
            Peek::Null => return Ok(reader.known_null()?),
            Peek::Object => {}
            _ => return Err(wrong("`payload`", peek, "an object or null", reader)),
        }
        let side = |name: &str| match name {
            "before" => Some(false),
            "after" => Some(true),
            _ => None,
        };
        let mut member = reader.known_object()?.map(side);
        while let Some(known) = member {
            let peek = reader.peek()?;
            match known {
                Some(false) => self.before = self.data("payload.before", reader, peek)?,
                Some(true) => self.after = self.data("payload.after", reader, peek)?,
                None => reader.known_skip(peek)?,
            }
            member = reader.next_key()?.map(side);
        }
        Ok(())
    }

    fn data(&mut self, name: &str, reader: &mut Jiter<'_>, peek: Peek) -> Result<Data, Wrong> {
        let at = reader.current_index();
        Ok(match peek {
            Peek::Null => {
                reader.known_null()?;
                Data::Absent
            }
            Peek::Object => {
                reader.known_skip(peek)?;
                Data::Structured(at..reader.current_index())
            }
            Peek::String => {
                let start = self.raw.len();
                let text = reader.known_str()?;
                BASE64_STANDARD.decode_vec(text, &mut self.raw).map_err(|_| no_base64(name, at))?;
                Data::Raw(start..self.raw.len())
            }
            _ => return Err(wrong(&format!("`{name}`"), peek, "an object, text in base64 or null", reader)),
        })
    }
}

/// Adds a text; where it is.
fn keep(all: &mut String, text: &str) -> Range<usize> {
    let start = all.len();
    all.push_str(text);
    start..all.len()
}

fn no_base64(name: &str, at: usize) -> Wrong {
    Wrong::Cdc(format!("`{name}` is text that is not base64"), at)
}

fn wrong(name: &str, found: Peek, expected: &str, reader: &Jiter<'_>) -> Wrong {
    let found = match found {
        Peek::Null => "null",
        Peek::True | Peek::False => "true or false",
        Peek::String => "text",
        Peek::Array => "an array",
        Peek::Object => "an object",
        _ if found.is_num() => "a number",
        // The parser has its own words for what is no value at all.
        _ => "no JSON value",
    };
    Wrong::Cdc(format!("{name} is {found}, where it has {expected}"), reader.current_index())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(line: &str) -> String {
        OpenCdc::default().read(line.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_is_no_record_is_told_with_its_place() {
        for (line, expected) in [
            ("[1]", "not an OpenCDC record: it is an array, where it has an object, at its byte 1"),
            ("{}", "not an OpenCDC record: it has no `operation`"),
            (
                r#"{"operation":"upsert"}"#,
                "not an OpenCDC record: `operation` is \"upsert\", where it has `create`, `update`, `delete` or `snapshot`, at its byte 14",
            ),
            (r#"{"operation":1}"#, "not an OpenCDC record: `operation` is a number, where it has text, at its byte 14"),
            (
                r#"{"position":{}}"#,
                "not an OpenCDC record: `position` is an object, where it has text in base64 or null, at its byte 13",
            ),
            (r#"{"position":"*"}"#, "not an OpenCDC record: `position` is text that is not base64, at its byte 13"),
            (
                r#"{"metadata":{"a":1}}"#,
                "not an OpenCDC record: \"a\" of `metadata` is a number, where it has text, at its byte 18",
            ),
            (
                r#"{"metadata":[]}"#,
                "not an OpenCDC record: `metadata` is an array, where it has an object or null, at its byte 13",
            ),
            (
                r#"{"metadata":{"opencdc.position":"eA=="}}"#,
                "not an OpenCDC record: `metadata` has `opencdc.position`, which stands for the record's `position`, at its byte 13",
            ),
            (
                r#"{"key": [1]}"#,
                "not an OpenCDC record: `key` is an array, where it has an object, text in base64 or null, at its byte 9",
            ),
            (r#"{"payload":""}"#, "not an OpenCDC record: `payload` is text, where it has an object or null, at its byte 12"),
            (
                r#"{"payload":{"after":"plain text"}}"#,
                "not an OpenCDC record: `payload.after` is text that is not base64, at its byte 21",
            ),
            (
                r#"{"payload":{"before":true}}"#,
                "not an OpenCDC record: `payload.before` is true or false, where it has an object, text in base64 or null, at its byte 22",
            ),
        ] {
            assert_eq!(reason(line), expected, "{line}");
        }
        assert_eq!(reason(r#"{"operation":"create""#), "not JSON: EOF while parsing an object at its byte 22");
        assert_eq!(reason(r#"{"operation":"create"} {}"#), "not JSON: trailing characters at its byte 24");
        assert!(reason(r#"{"payload":{"after":{"a":01}}}"#).starts_with("not JSON: invalid number"));
    }

    #[test]
    fn names_of_metadata_are_bounded_in_number_and_length() {
        let line = |names: &[String]| {
            let metadata: Vec<String> = names.iter().map(|name| format!("{name:?}:\"v\"")).collect();
            format!("{{\"operation\":\"create\",\"metadata\":{{{}}}}}", metadata.join(","))
        };
        let names = |count: usize| (0..count).map(|name| name.to_string()).collect::<Vec<_>>();
        let mut reader = OpenCdc::default();
        reader.read(line(&names(MOST_METADATA)).as_bytes()).unwrap();
        assert_eq!(reader.metadata().count(), MOST_METADATA);
        let many = reason(&line(&names(MOST_METADATA + 1)));
        assert!(many.starts_with("not an OpenCDC record: more than 64 names of metadata, at its byte "), "{many}");
        // It is told before the end of the line is looked at.
        assert_eq!(reason(line(&names(1000)).trim_end_matches('}')), many);
        reader.read(line(&["n".repeat(NAME)]).as_bytes()).unwrap();
        let long = reason(&line(&["n".repeat(NAME + 1)]));
        assert!(long.starts_with("not an OpenCDC record: a name of `metadata` has 256 bytes, 255 at the most: \"nnn"), "{long}");
    }

    #[test]
    fn a_record_has_all_that_its_line_says_and_absent_is_not_empty() {
        let mut reader = OpenCdc::default();
        let line = r#" {"payload":{"other":[1],"after":{"n":12345678901234567890.10,"é":"\u00e9 \n"},"before":""},"new":{},
            "metadata":{"":"empty name","a\u00e9":"\ud83d\ude00","b":""},"key":"AP8=","operation":"update","position":"cG9z"} "#;
        reader.read(line.as_bytes()).unwrap();
        let record = reader.record(line.as_bytes(), 7);
        assert_eq!((record.sequence, record.operation), (7, Operation::Update));
        let raw = |bytes| Some(Value { bytes, content_type: Some("application/octet-stream") });
        let after = Value {
            bytes: r#"{"n":12345678901234567890.10,"é":"\u00e9 \n"}"#.as_bytes(),
            content_type: Some("application/json"),
        };
        assert_eq!((record.key, record.before, record.after), (raw(b"\x00\xff"), raw(b""), Some(after)));
        let metadata: Vec<(&str, &[u8])> = reader.metadata().collect();
        let expected: [(&str, &[u8]); 4] =
            [(POSITION, b"cG9z"), ("", b"empty name"), ("a\u{e9}", "\u{1f600}".as_bytes()), ("b", b"")];
        assert_eq!(metadata, expected);

        for line in [
            r#"{"operation":"delete"}"#,
            r#"{"operation":"delete","payload":null,"metadata":null,"key":null,"position":null}"#,
            r#"{"operation":"create","operation":"delete","payload":{"after":{}},"payload":{"before":null},"position":"eA==","position":""}"#,
        ] {
            reader.read(line.as_bytes()).unwrap();
            let record = reader.record(line.as_bytes(), 0);
            assert_eq!(
                (record.operation, record.key, record.before, record.after),
                (Operation::Delete, None, None, None),
                "{line}"
            );
            assert_eq!(reader.metadata().count(), 0, "{line}");
        }
    }
}
