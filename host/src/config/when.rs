//! Which records a processor is given, or a route takes.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::{at::At, fault::Refusal, source::is_pointer};

/// A condition on a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Each of these holds.
    All(Vec<When>),
    /// At least one of these holds.
    Any(Vec<When>),
    /// This one does not hold.
    Not(Box<When>),
    /// Metadata of that name is so.
    Metadata(String, Is),
    /// The value at that JSON pointer is so.
    Pointer(String, Is),
    /// That was done to the entity.
    Operation(Operation),
}

/// What was done to an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", expecting = "`create`, `update`, `delete` or `snapshot`")]
pub enum Operation {
    /// It came into being; the case where nothing is said.
    Create,
    /// It changed.
    Update,
    /// It went away.
    Delete,
    /// It was there when the source first looked.
    Snapshot,
}

/// How a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Is {
    /// There, or not there.
    There(bool),
    /// One of these texts.
    OneOf(Vec<String>),
}

/// The block as written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a condition")]
#[schemars(rename = "When")]
struct Written {
    /// Metadata of that name, such as `opencdc.collection`.
    metadata: Option<String>,
    /// JSON pointer to a value of the record, such as `/type`. What is not JSON has no such value.
    pointer: Option<At<String>>,
    /// What was done to the entity: `create`, where nothing is said of it, `update`, `delete` or `snapshot`.
    operation: Option<Operation>,
    /// It is this text: of a string what it says, of any other value its JSON.
    equals: Option<String>,
    /// It is one of these texts.
    #[serde(rename = "in")]
    one_of: Option<Vec<String>>,
    /// Whether it is there; `null` is.
    exists: Option<bool>,
    /// A condition that does not hold.
    not: Option<Box<When>>,
    /// Conditions that all hold.
    all: Option<Vec<When>>,
    /// Conditions of which at least one holds.
    any: Option<Vec<When>>,
}

/// The steps of the longest pointer that is followed.
const LONGEST: usize = 64;

impl Written {
    fn read(self) -> Result<When, Refusal> {
        let Self { metadata, pointer, operation, equals, one_of, exists, not, all, any } = self;
        let is = match (equals, one_of, exists) {
            (None, None, None) => None,
            (Some(text), None, None) => Some(Is::OneOf(vec![text])),
            (None, Some(texts), None) if texts.is_empty() => {
                return Err(Refusal::new("`in` is an empty list").with_hint("name at least one text, or ask `exists`"));
            }
            (None, Some(texts), None) => Some(Is::OneOf(texts)),
            (None, None, Some(exists)) => Some(Is::There(exists)),
            _ => {
                return Err(Refusal::new("more than one of `equals`, `in` and `exists`")
                    .with_hint("join conditions by `all:` or `any:`, each with one"));
            }
        };
        if let Some(pointer) = &pointer
            && (!is_pointer(pointer) || pointer.split('/').count() > LONGEST)
        {
            return Err(Refusal::new("`pointer` is not a JSON pointer")
                .with_hint("write it like `/user/id`, with `~0` for `~` and `~1` for `/`")
                .with_place(&pointer.place));
        }
        let untested = || Refusal::new("a condition that asks for nothing").with_hint("add `equals`, `in` or `exists`");
        let when = match (metadata, pointer, operation, not, all, any) {
            (Some(name), None, None, None, None, None) => return Ok(When::Metadata(name, is.ok_or_else(untested)?)),
            (None, Some(pointer), None, None, None, None) => return Ok(When::Pointer(pointer.value, is.ok_or_else(untested)?)),
            (None, None, Some(operation), None, None, None) => When::Operation(operation),
            (None, None, None, Some(not), None, None) => When::Not(not),
            (None, None, None, None, Some(all), None) if !all.is_empty() => When::All(all),
            (None, None, None, None, None, Some(any)) if !any.is_empty() => When::Any(any),
            (None, None, None, None, Some(_), None) | (None, None, None, None, None, Some(_)) => {
                return Err(Refusal::new("an empty list of conditions"));
            }
            _ => {
                return Err(Refusal::new("a condition has one of `metadata`, `pointer`, `operation`, `not`, `all` and `any`")
                    .with_hint("join several by `all:` or `any:`"));
            }
        };
        match is {
            None => Ok(when),
            Some(_) => Err(Refusal::new("`equals`, `in` and `exists` go with `metadata` or `pointer`")),
        }
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Written::deserialize(deserializer)?.read().map_err(de::Error::custom)
    }
}

impl JsonSchema for When {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Written::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}
