//! What a record is asked.

use std::{borrow::Cow, cmp::Ordering};

use regex_lite::Regex;
use wharf_json::{Json, Kind, Part, Pointer, compare, parse, pointer};
use wharf_sdk::{Batch, Failure, Operation, Parameters, Problem, Record};

/// One condition as it is written: what is looked at, and what it has to be. Where several tests are given all have to hold.
#[derive(Debug, Default, Parameters)]
pub struct Written {
    /// JSON pointer to a value of the record.
    pointer: Option<String>,
    /// Of which part of the record; `after` where nothing is said.
    part: Option<Part>,
    /// Metadata of that name.
    metadata: Option<String>,
    /// What else there is of a record.
    of: Option<Of>,
    /// It is this text, or this number.
    equals: Option<String>,
    /// It is one of these.
    one_of: Vec<String>,
    /// This is in it.
    contains: Option<String>,
    /// This regular expression is found in it.
    matches: Option<String>,
    /// It is a number above this.
    above: Option<String>,
    /// It is a number, this or above.
    at_least: Option<String>,
    /// It is a number below this.
    below: Option<String>,
    /// It is a number, this or below.
    at_most: Option<String>,
    /// It is there, `null` included, or it is not.
    exists: Option<bool>,
    /// Whether the condition holds where the tests do not.
    not: Option<bool>,
}

/// What else there is of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Of {
    /// What identifies the entity, as it stands.
    Key,
    /// `create`, `update`, `delete` or `snapshot`.
    Operation,
    /// Where the record is from.
    Partition,
    /// The whole value, as it stands.
    After,
}

/// A condition that can be asked.
#[derive(Debug)]
pub struct Condition {
    what: What,
    tests: Vec<Test>,
    not: bool,
}

#[derive(Debug)]
enum What {
    Pointer(Part, Pointer),
    Metadata(String),
    Of(Of),
}

#[derive(Debug)]
enum Test {
    OneOf(Vec<String>),
    Contains(String),
    Matches(Regex),
    Number(String, &'static [Ordering]),
    Exists(bool),
}

impl Written {
    /// A condition; `None` where it makes none, which is noted.
    pub fn read(&self, name: &str, problems: &mut Vec<Problem>) -> Option<Condition> {
        use Ordering::{Equal, Greater, Less};
        let before = problems.len();
        let what = match (&self.pointer, &self.metadata, self.of) {
            (Some(text), None, None) => {
                let pointer = pointer(&format!("{name}.pointer"), text, problems);
                Some(What::Pointer(self.part.unwrap_or(Part::After), pointer))
            }
            (None, Some(metadata), None) => Some(What::Metadata(metadata.clone())),
            (None, None, Some(of)) => Some(What::Of(of)),
            _ => {
                problems.push(Problem::new(name, "needs one of `pointer`, `metadata` and `of`, and no more than one"));
                None
            }
        };
        if self.part.is_some() && self.pointer.is_none() {
            problems.push(Problem::new(format!("{name}.part"), "goes with `pointer` alone"));
        }
        let mut tests = Vec::new();
        tests.extend(self.equals.iter().map(|text| Test::OneOf(vec![text.clone()])));
        if !self.one_of.is_empty() {
            tests.push(Test::OneOf(self.one_of.clone()));
        }
        tests.extend(self.contains.clone().map(Test::Contains));
        if let Some(pattern) = &self.matches {
            match Regex::new(pattern) {
                Ok(regex) => tests.push(Test::Matches(regex)),
                Err(error) => {
                    problems.push(Problem::new(format!("{name}.matches"), format!("is no regular expression: {error}")));
                }
            }
        }
        let numbers: [(&str, &Option<String>, &'static [Ordering]); 4] = [
            ("above", &self.above, &[Greater]),
            ("at-least", &self.at_least, &[Greater, Equal]),
            ("below", &self.below, &[Less]),
            ("at-most", &self.at_most, &[Less, Equal]),
        ];
        for (test, number, orders) in numbers {
            let Some(number) = number else { continue };
            match compare(number, number) {
                Some(_) => tests.push(Test::Number(number.clone(), orders)),
                None => problems.push(Problem::new(format!("{name}.{test}"), format!("is `{number}`: not a number"))),
            }
        }
        tests.extend(self.exists.map(Test::Exists));
        if tests.is_empty() && problems.len() == before {
            let known = "`equals`, `one-of`, `contains`, `matches`, `above`, `at-least`, `below`, `at-most` and `exists`";
            problems.push(Problem::new(name, format!("needs at least one of {known}")));
        }
        (problems.len() == before).then_some(())?;
        Some(Condition { what: what?, tests, not: self.not.unwrap_or(false) })
    }
}

/// A record that is asked, of which each part is read once.
pub struct Document<'a> {
    batch: &'a Batch,
    record: Record<'a>,
    after: Option<Json<'a>>,
    before: Option<Json<'a>>,
    key: Option<Json<'a>>,
}

impl<'a> Document<'a> {
    pub fn of(batch: &'a Batch, record: Record<'a>) -> Self {
        Self { batch, record, after: None, before: None, key: None }
    }

    fn at(&mut self, part: Part, pointer: &Pointer) -> Result<Option<&mut Json<'a>>, Failure> {
        let value = match part {
            Part::After => self.record.after(),
            Part::Before => self.record.before(),
            Part::Key => self.record.key(),
        };
        let Some(value) = value else { return Ok(None) };
        let read = match part {
            Part::After => &mut self.after,
            Part::Before => &mut self.before,
            Part::Key => &mut self.key,
        };
        let json = match read {
            Some(json) => json,
            None => read.insert(parse(part, value)?),
        };
        Ok(json.get(pointer))
    }
}

impl Condition {
    /// Whether it holds of the record.
    pub fn holds(&self, document: &mut Document<'_>) -> Result<bool, Failure> {
        let record = document.record;
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let holds = match &self.what {
            What::Pointer(part, pointer) => {
                let value = document.at(*part, pointer)?;
                let number = value.as_ref().is_some_and(|value| value.kind() == Kind::Number);
                self.hold(value.map(|value| value.as_text()), number)
            }
            What::Metadata(name) => self.hold(text(record.meta(name)).map(Cow::Owned), true),
            What::Of(Of::Key) => self.hold(text(record.key()).map(Cow::Owned), true),
            What::Of(Of::After) => self.hold(text(record.after()).map(Cow::Owned), true),
            What::Of(Of::Partition) => self.hold(Some(Cow::Borrowed(document.batch.partition())), true),
            What::Of(Of::Operation) => {
                let operation = match record.operation() {
                    Operation::Create => "create",
                    Operation::Update => "update",
                    Operation::Delete => "delete",
                    Operation::Snapshot => "snapshot",
                };
                self.hold(Some(Cow::Borrowed(operation)), false)
            }
        };
        Ok(holds != self.not)
    }

    /// Whether all tests hold; one of a value that is not there does not, but for `exists: false`. `number` tells whether the value
    /// may be a number.
    fn hold(&self, value: Option<Cow<'_, str>>, number: bool) -> bool {
        let value = value.as_deref();
        let same = |value: &str, other: &str| value == other || number && compare(value, other) == Some(Ordering::Equal);
        self.tests.iter().all(|test| match (test, value) {
            (Test::Exists(exists), value) => value.is_some() == *exists,
            (_, None) => false,
            (Test::OneOf(texts), Some(value)) => texts.iter().any(|text| same(value, text)),
            (Test::Contains(text), Some(value)) => value.contains(text.as_str()),
            (Test::Matches(regex), Some(value)) => regex.is_match(value),
            (Test::Number(than, orders), Some(value)) => {
                number && compare(value, than).is_some_and(|order| orders.contains(&order))
            }
        })
    }
}
