//! The parts of a record that are JSON.

use wharf_sdk::{Batch, Failure, Parameters, Problem, Processed, Record};

use crate::{Json, Pointer};

/// A part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Part {
    /// The entity after its change, or the whole record.
    After,
    /// The entity before its change.
    Before,
    /// What identifies the entity.
    Key,
}

impl Part {
    /// As a pipeline file has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::After => "after",
            Self::Before => "before",
            Self::Key => "key",
        }
    }

    /// What the record has of it.
    pub fn of(self, record: Record<'_>) -> Option<&[u8]> {
        match self {
            Self::After => record.after(),
            Self::Before => record.before(),
            Self::Key => record.key(),
        }
    }
}

/// A part of a record as JSON.
///
/// # Errors
/// Where it is none: the record is rejected, and nothing of it is told.
pub fn parse(part: Part, value: &[u8]) -> Result<Json<'_>, Failure> {
    Json::parse(value).map_err(|fault| Failure::rejected(format!("`{}` is {fault}", part.name())))
}

/// Changes these parts of each record; those that `change` answers `true` for are other than before. A record whose part is not JSON, or
/// that `change` fails for, fails.
pub fn change_each(batch: &Batch, parts: &[Part], mut change: impl FnMut(&mut Json<'_>) -> Result<bool, Failure>) -> Processed {
    let mut processed = Processed::builder(batch);
    let mut made: Vec<(Part, Vec<u8>)> = Vec::new();
    for record in batch {
        made.clear();
        let mut of_each = || -> Result<(), Failure> {
            for part in parts {
                let Some(value) = part.of(record) else { continue };
                let mut json = parse(*part, value)?;
                if change(&mut json)? {
                    made.push((*part, json.to_vec()));
                }
            }
            Ok(())
        };
        match of_each() {
            Err(failure) => processed.fail(record, failure),
            Ok(()) if made.is_empty() => {}
            Ok(()) => {
                let output = processed.emit(record);
                made.iter().fold(output, |output, (part, value)| match part {
                    Part::After => output.after(value),
                    Part::Before => output.before(value),
                    Part::Key => output.key(value),
                });
            }
        }
    }
    processed.finish()
}

/// A setting that is a JSON pointer; what is wrong with it goes to `problems`.
pub fn pointer(name: &str, text: &str, problems: &mut Vec<Problem>) -> Pointer {
    text.parse().unwrap_or_else(|error| {
        problems.push(Problem::new(name, format!("is `{text}`: {error}")));
        Pointer::default()
    })
}

/// A list of JSON pointers, none of which is the whole document.
pub fn pointers(name: &str, texts: &[String], problems: &mut Vec<Problem>) -> Vec<Pointer> {
    let read = |(index, text): (usize, &String)| {
        let name = format!("{name}.{index}");
        if text.is_empty() {
            problems.push(Problem::new(&name, "is empty, and would be the whole record"));
        }
        pointer(&name, text, problems)
    };
    texts.iter().enumerate().map(read).collect()
}
