//! What a connector may be given, and how it reads that.

mod field;
mod settings;
mod value;

pub use field::{Field, Given};
pub use settings::Settings;
pub use value::Value;

use std::fmt;

/// What a parameter's value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Any text.
    #[default]
    String,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Bool,
    /// `250ms`, `30s`, `1h30m`.
    Duration,
    /// `512`, `64KiB`, `1GB`.
    Size,
    /// `name.0`, `name.1`, …
    List,
    /// `name.key`, …
    Map,
}

impl Kind {
    /// As the descriptor names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Duration => "duration",
            Self::Size => "size",
            Self::List => "list",
            Self::Map => "map",
        }
    }
}

/// What a value must be beyond its [`Kind`]. Checked by the host, before the connector sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Not below this, written as a value is.
    pub min: Option<String>,
    /// Not above this, written as a value is.
    pub max: Option<String>,
    /// One of these; any where empty.
    pub one_of: Vec<String>,
    /// None of these.
    pub none_of: Vec<String>,
    /// A regular expression that the whole value matches.
    pub pattern: Option<String>,
    /// At least so many characters, or entries of a list or map.
    pub min_length: Option<u32>,
    /// At most so many characters, or entries of a list or map.
    pub max_length: Option<u32>,
}

/// One parameter, as the descriptor declares it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameter {
    /// Dotted; a `*` stands for any one segment.
    pub name: String,
    /// One line for a person.
    pub summary: String,
    /// What its value is.
    pub kind: Kind,
    /// As an operator would write it.
    pub default: Option<String>,
    /// Whether it must be given.
    pub required: bool,
    /// Whether it must not be shown.
    pub secret: bool,
    /// What the value must be beyond its kind.
    pub rules: Rules,
}

/// What is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which parameter; empty where it is no single one.
    pub parameter: String,
    /// What is wrong with it, and what would be right. It does not show a secret.
    pub message: String,
}

impl Problem {
    /// Something is wrong with that parameter.
    pub fn new(parameter: impl Into<String>, message: impl Into<String>) -> Self {
        Self { parameter: parameter.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parameter.as_str() {
            "" => f.write_str(&self.message),
            parameter => write!(f, "`{parameter}` {}", self.message),
        }
    }
}

/// A struct that says what a connector may be given, field by field, and is made of what it was given. Derive it:
///
/// ```
/// use std::{collections::BTreeMap, time::Duration};
/// use wharf_sdk::{Parameters, Secret, Settings, Size};
///
/// #[derive(Debug, Parameters)]
/// struct Config {
///     /// Where the database is.
///     #[parameter(pattern = "postgres://.+")]
///     url: String,
///     password: Option<Secret>,
///     /// How much to send at once.
///     #[parameter(default = "1MiB", max = "64MiB")]
///     chunk_size: Size,
///     headers: BTreeMap<String, String>,
///     #[parameter(default = "insert")]
///     mode: Mode,
///     retry: Retry,
/// }
///
/// #[derive(Debug, PartialEq, Parameters)]
/// enum Mode {
///     Insert,
///     InsertOrUpdate,
/// }
///
/// #[derive(Debug, Parameters)]
/// struct Retry {
///     #[parameter(default = 3, min = 1)]
///     max_attempts: u32,
///     #[parameter(default = "30s")]
///     delay: Duration,
/// }
///
/// let settings = [("url", "postgres://db"), ("headers.trace", "on"), ("mode", "insert-or-update"), ("retry.max-attempts", "5")];
/// let config = Config::read(&Settings::from_iter(settings)).expect("settings that are right");
/// assert_eq!(config.chunk_size, Size::mib(1));
/// assert_eq!(config.headers["trace"], "on");
/// assert_eq!(config.mode, Mode::InsertOrUpdate);
/// assert_eq!(config.retry.max_attempts, 5);
///
/// let problems = Config::read(&Settings::from_iter([("retry.delay", "soon")])).expect_err("settings that are wrong");
/// assert_eq!(problems[0].to_string(), "`url` is required");
/// assert_eq!(problems[1].to_string(), "`retry.delay` is `soon`: not a duration, such as `250ms`, `30s` or `1h30m`");
/// ```
///
/// # Fields
/// A field's name is joined by hyphens, its summary is the first paragraph of its documentation, and its type says the rest:
///
/// | Type | Setting |
/// |---|---|
/// | `String`, whole numbers, `f32`, `f64`, `bool`, [`Duration`](std::time::Duration), [`Size`](crate::Size) | required where it has no default |
/// | [`Secret`](crate::Secret) | likewise, and never shown |
/// | an enum without fields that derives `Parameters` | one of its variants, joined by hyphens |
/// | `Option<T>` | may be left out |
/// | `Vec<T>` | `name.0`, `name.1`, …; may be left out, which is empty |
/// | `BTreeMap<String, T>`, `HashMap<String, T>` | `name.key`, …; may be left out, which is empty |
/// | a struct that derives `Parameters` | its own fields behind the name and a dot |
///
/// # Attributes
/// `#[parameter(…)]` takes, on a field, any of `default = …`, `required` (of a list or map: at least one entry), `secret`, `one_of(…)`,
/// `none_of(…)`, `min = …`, `max = …`, `pattern = "…"` (which the whole value must match), `length(1..=64)`, `rename = "…"` and
/// `summary = "…"`; on a variant, `rename = "…"`. On a list or map, `length` counts the entries and every other rule is for each.
///
/// Inside an `Option` of a struct no default is declared, since the host would fill it in and the struct would always be there; the
/// defaults hold all the same once any of its fields is given.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a set of parameters",
    label = "a connector's configuration is a struct with `#[derive(Parameters)]`, or `()`"
)]
pub trait Parameters: Sized {
    /// Appends what is declared, each name behind `prefix`, which is empty or ends in a dot.
    fn declare_behind(prefix: &str, into: &mut Vec<Parameter>);

    /// Reads what stands behind `prefix`. `None` where there was a problem, which was appended.
    fn read_behind(prefix: &str, settings: &Settings, problems: &mut Vec<Problem>) -> Option<Self>;

    /// What the connector may be given.
    fn declare() -> Vec<Parameter> {
        let mut declared = Vec::new();
        Self::declare_behind("", &mut declared);
        declared
    }

    /// What it was given, or all that is wrong with that.
    fn read(settings: &Settings) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        match Self::read_behind("", settings, &mut problems) {
            Some(read) if problems.is_empty() => Ok(read),
            _ => Err(problems),
        }
    }
}

/// Nothing to set.
impl Parameters for () {
    fn declare_behind(_: &str, _: &mut Vec<Parameter>) {}

    fn read_behind(_: &str, _: &Settings, _: &mut Vec<Problem>) -> Option<Self> {
        Some(())
    }
}
