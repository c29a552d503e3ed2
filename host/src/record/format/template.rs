//! Text with places for what a record says.

use std::{fmt, io::Write, str::FromStr};

use thiserror::Error;

use super::{
    Unshapable, Written,
    text::{is_json, json_value, push_text},
};
use crate::record::{Batch, Column, Pointer, PointerError, json::Checker};

/// A text with places in double braces: `{{ /user/id }}`, `{{ key }}`, `{{ meta/opencdc.collection }}`, `{{ json /user }}`.
///
/// A place is what it takes and, before that, `json` where it is written as JSON rather than as text:
///
/// | place | what it takes |
/// |---|---|
/// | `/POINTER` | a value in `after`, by its JSON pointer |
/// | `after`, `before`, `key` | the whole of it |
/// | `before/POINTER`, `key/POINTER` | a value in it |
/// | `meta/NAME` | metadata |
/// | `operation`, `partition`, `sequence`, `ordinal` | what they are called |
/// | `"TEXT"` | the text, such as `"{{"` |
///
/// ```
/// use wharf::record::format::Template;
///
/// let template: Template = "{{ operation }} of {{ json /user/name }}".parse().unwrap();
/// assert_eq!(template.to_string(), "{{ operation }} of {{ json /user/name }}");
/// assert!("{{ user }}".parse::<Template>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    written: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Place { written: String, takes: Takes, json: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Takes {
    /// The whole of a column, or a value in it.
    Data(Data, Option<Pointer>),
    Metadata(String),
    Operation,
    Partition,
    Sequence,
    Ordinal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    After,
    Before,
    Key,
}

impl Data {
    fn name(self) -> &'static str {
        match self {
            Self::After => "after",
            Self::Before => "before",
            Self::Key => "key",
        }
    }
}

/// Why a text is no template.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TemplateError {
    /// A place that does not end.
    #[error("`{{{{` without its `}}}}` in a template")]
    Open,
    /// A place that takes nothing that there is.
    #[error("a template has no place `{0}`")]
    Place(String),
    /// A place whose pointer is none.
    #[error("`{place}` in a template: {cause}")]
    Pointer {
        /// What stands between the braces.
        place: String,
        /// What is wrong with it.
        cause: PointerError,
    },
    /// Nothing would be written for any record.
    #[error("a template without a character")]
    Empty,
}

impl TemplateError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Open => "close the place; for the braces themselves write `{{ \"{{\" }}`",
            Self::Place(_) => {
                "a place is a JSON pointer such as `/user/id`, `after`, `before`, `key`, `before/POINTER`, `key/POINTER`, `meta/NAME`, \
                 `operation`, `partition`, `sequence`, `ordinal`, or text in quotes; with `json` before it, it is written as JSON"
            }
            Self::Pointer { .. } => "correct the pointer",
            Self::Empty => "write the text that a record becomes, such as `{{ /user/id }}`",
        }
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(written: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = written;
        while let Some((text, behind)) = rest.split_once("{{") {
            if !text.is_empty() {
                parts.push(Part::Text(text.to_owned()));
            }
            let (part, behind) = place(behind)?;
            parts.push(part);
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if parts.is_empty() {
            return Err(TemplateError::Empty);
        }
        Ok(Self { written: written.to_owned(), parts })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Reads what stands behind two braces; what comes behind the two that close it.
fn place(behind: &str) -> Result<(Part, &str), TemplateError> {
    if let Some((text, rest)) = behind.trim_start().strip_prefix('"').and_then(|text| text.split_once('"')) {
        let rest = rest.trim_start().strip_prefix("}}").ok_or(TemplateError::Open)?;
        return Ok((Part::Text(text.to_owned()), rest));
    }
    let (inside, rest) = behind.split_once("}}").ok_or(TemplateError::Open)?;
    let written = inside.trim();
    let (json, name) = match written.strip_prefix("json").filter(|rest| rest.starts_with([' ', '\t'])) {
        Some(name) => (true, name.trim_start()),
        None => (false, written),
    };
    let pointer = |text: &str| text.parse().map_err(|cause| TemplateError::Pointer { place: shown(written), cause });
    let takes = match name {
        "after" => Takes::Data(Data::After, None),
        "before" => Takes::Data(Data::Before, None),
        "key" => Takes::Data(Data::Key, None),
        "operation" => Takes::Operation,
        "partition" => Takes::Partition,
        "sequence" => Takes::Sequence,
        "ordinal" => Takes::Ordinal,
        _ if name.starts_with('/') => Takes::Data(Data::After, Some(pointer(name)?)),
        _ => match name.split_once('/') {
            Some(("meta", name)) => Takes::Metadata(name.to_owned()),
            Some(("before", _)) => Takes::Data(Data::Before, Some(pointer(&name["before".len()..])?)),
            Some(("key", _)) => Takes::Data(Data::Key, Some(pointer(&name["key".len()..])?)),
            _ => return Err(TemplateError::Place(shown(written))),
        },
    };
    Ok((Part::Place { written: written.to_owned(), takes, json }, rest))
}

/// What stands between braces, or the beginning of it, without what would break a line.
fn shown(written: &str) -> String {
    written.chars().take(60).flat_map(char::escape_debug).collect()
}

/// A template and the columns of a batch that fill it.
pub(super) struct Filling<'a> {
    batch: &'a Batch,
    parts: Vec<Filled<'a>>,
}

enum Filled<'a> {
    Text(&'a str),
    Place { written: &'a str, takes: Taken<'a>, json: bool },
}

enum Taken<'a> {
    /// A column that the batch may not have.
    Whole {
        column: Option<&'a Column>,
        of: Option<(bool, Checker)>,
    },
    Within {
        column: Option<&'a Column>,
        of: Data,
        finder: Checker,
    },
    Operation,
    Partition,
    Sequence,
    Ordinal,
}

impl<'a> Filling<'a> {
    pub(super) fn new(template: &'a Template, batch: &'a Batch) -> Self {
        let column = |data: Data| match data {
            Data::After => Some(batch.after()),
            Data::Before => batch.before(),
            Data::Key => batch.key(),
        };
        let parts = template.parts.iter().map(|part| match part {
            Part::Text(text) => Filled::Text(text),
            Part::Place { written, takes, json } => {
                let takes = match takes {
                    Takes::Data(data, None) => {
                        let structured = is_json(batch.content_types().get(data.name()));
                        Taken::Whole { column: column(*data), of: Some((structured, Checker::default())) }
                    }
                    Takes::Data(data, Some(pointer)) => {
                        let finder = if *json { Checker::as_json(pointer.clone()) } else { Checker::new(Some(pointer.clone())) };
                        Taken::Within { column: column(*data), of: *data, finder }
                    }
                    Takes::Metadata(name) => Taken::Whole { column: batch.meta(name), of: None },
                    Takes::Operation => Taken::Operation,
                    Takes::Partition => Taken::Partition,
                    Takes::Sequence => Taken::Sequence,
                    Takes::Ordinal => Taken::Ordinal,
                };
                Filled::Place { written, takes, json: *json }
            }
        });
        Self { batch, parts: parts.collect() }
    }

    /// Appends the text that one record makes. A place that the record has nothing for makes none.
    pub(super) fn write(&mut self, at: usize, data: &mut Vec<u8>) -> Result<Written, Unshapable> {
        for part in &mut self.parts {
            match part {
                Filled::Text(text) => data.extend_from_slice(text.as_bytes()),
                Filled::Place { written, takes, json } => {
                    fill(self.batch, at, takes, *json, data).map_err(|why| format!("`{written}` of the template: {why}"))?;
                }
            }
        }
        Ok(Written::Present)
    }
}

fn fill(batch: &Batch, at: usize, takes: &mut Taken<'_>, json: bool, data: &mut Vec<u8>) -> Result<(), Unshapable> {
    let absent = || "the record has none".to_owned();
    let name = |data: &mut Vec<u8>, name: &str| match json {
        true => push_text(data, name),
        false => data.extend_from_slice(name.as_bytes()),
    };
    match takes {
        Taken::Whole { column, of } => {
            let value = column.and_then(|column| column.get(at)).ok_or_else(absent)?;
            let as_it_stands = match of {
                _ if !json => true,
                Some((structured, checker)) => *structured && json_value(checker, value).is_some(),
                None => false,
            };
            match as_it_stands {
                true => data.extend_from_slice(value),
                false => push_text(
                    data,
                    std::str::from_utf8(value).map_err(|_| "it is not UTF-8, and JSON has no other text".to_owned())?,
                ),
            }
        }
        Taken::Within { column, of, finder } => {
            let of = of.name();
            let value = column.and_then(|column| column.get(at)).ok_or_else(|| format!("the record has no `{of}`"))?;
            let found = finder.check(value).map_err(|why| format!("`{of}` cannot be looked into: {why}"))?;
            data.extend_from_slice(found.ok_or_else(|| format!("`{of}` has nothing there"))?);
        }
        Taken::Operation => name(data, batch.operation(at as u32).name()),
        Taken::Partition => name(data, batch.partition()),
        // Writing to a vector does not fail.
        Taken::Sequence => drop(write!(data, "{}", batch.sequences().get(at).copied().unwrap_or_default())),
        Taken::Ordinal => drop(write!(data, "{}", batch.ordinals().get(at).copied().unwrap_or_default())),
    }
    Ok(())
}
