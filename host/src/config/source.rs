//! Where records come from.

use std::{
    borrow::Cow,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{
    at::At,
    bounded::{parsed, within},
    fault::Refusal,
    id::Id,
    interval::Interval,
    size::Size,
};

/// Where records come from; `kind` says which.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", expecting = "a source")]
#[schemars(tag = "kind")]
pub enum Source {
    /// Files, one after the other in order of name.
    File(FileSource),
    /// Standard input, once: it cannot be read again after a crash.
    Stdin(Stdin),
    /// Records made up by the host, the same for the same seed.
    Generator(Generator),
    /// What another pipeline of the file gives up, as documents.
    DeadLetters(DeadLettersOf),
}

impl Source {
    /// Whether its records have keys.
    pub fn is_keyed(&self) -> bool {
        match self {
            Self::File(FileSource { key, format, .. }) | Self::Stdin(Stdin { key, format, .. }) => {
                key.is_some() || format.is_keyed()
            }
            Self::Generator(_) | Self::DeadLetters(_) => true,
        }
    }
}

/// Files, one after the other in order of name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSource {
    /// One file, or a pattern for many.
    pub path: At<PathOrGlob>,
    /// How records stand in a file.
    pub format: Format,
    /// How files are compressed.
    pub compression: Compression,
    /// What of a record is its key: a JSON pointer for JSON lines, a column's name for CSV.
    pub key: Option<At<String>>,
    /// The most records per second.
    pub rate: Option<u32>,
    /// Whether to go on waiting for more at the end.
    pub follow: bool,
    /// How often to look for more, while following.
    pub poll: Interval,
}

/// A file source as written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a file source")]
#[schemars(rename = "FileSource")]
struct FileWritten {
    /// A file, or a pattern with `*`, `?`, `[…]` or `**`, relative to the folder of the pipeline file. A pattern's files are read in
    /// order of name.
    path: At<PathOrGlob>,
    /// How records stand in a file. Default: told by the extension, before `.gz` and `.zst`: `.ndjson`, `.jsonl` and `.json` are
    /// `json-lines`, `.csv` is `csv`; with any other it is required.
    #[schemars(with = "Format")]
    #[serde(default)]
    format: Option<Format>,
    /// How files are compressed.
    #[serde(default)]
    compression: Compression,
    /// What of a record is its key, which partitions and keeps order: a JSON pointer such as `/user/id` for `json-lines`, the name
    /// of a column for `csv`. A record of `opencdc` brings its own, and `lines` has none.
    #[serde(default)]
    #[schemars(with = "String")]
    key: Option<At<String>>,
    /// The most records per second. Default: as many as destinations take.
    #[serde(default, deserialize_with = "rate")]
    #[schemars(with = "u32", range(min = 1))]
    rate: Option<u32>,
    /// Whether to go on waiting for more lines and files at the end, rather than to end the pipeline.
    #[serde(default)]
    follow: bool,
    /// How often to look for more. Only with `follow: true`.
    #[serde(default, deserialize_with = "poll")]
    #[schemars(with = "Interval", extend("default" = DEFAULT_POLL))]
    poll: Option<At<Interval>>,
}

/// Standard input, once: it cannot be read again after a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stdin {
    /// How records stand in it.
    pub format: Format,
    /// What of a record is its key: a JSON pointer for JSON lines, a column's name for CSV.
    pub key: Option<At<String>>,
    /// The most records per second.
    pub rate: Option<u32>,
}

/// Standard input as written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a stdin source")]
#[schemars(rename = "Stdin")]
struct StdinWritten {
    /// How records stand in it.
    format: Format,
    /// What of a record is its key, which partitions and keeps order: a JSON pointer such as `/user/id` for `json-lines`, the name
    /// of a column for `csv`. A record of `opencdc` brings its own, and `lines` has none.
    #[serde(default)]
    #[schemars(with = "String")]
    key: Option<At<String>>,
    /// The most records per second. Default: as many as destinations take.
    #[serde(default, deserialize_with = "rate")]
    #[schemars(with = "u32", range(min = 1))]
    rate: Option<u32>,
}

/// Records made up by the host, the same for the same seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a generator source")]
pub struct Generator {
    /// How many records.
    #[serde(deserialize_with = "count")]
    pub count: u64,
    /// The size of a record's payload.
    #[serde(default = "default_size", deserialize_with = "size")]
    pub size: Size,
    /// The most records per second. Default: as many as destinations take.
    #[serde(default, deserialize_with = "rate")]
    #[schemars(with = "u32", range(min = 1))]
    pub rate: Option<u32>,
    /// What the records are made from: the same seed makes the same records.
    #[serde(default, deserialize_with = "count")]
    pub seed: u64,
    /// How many entities the records tell of, in turn: each is created, updated twice and deleted, over and over, and its number is the
    /// key. Default: every record creates an entity of its own.
    #[serde(default, deserialize_with = "rate")]
    #[schemars(with = "u32", range(min = 1))]
    pub entities: Option<u32>,
}

/// What another pipeline of the file gives up, as documents.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a dead-letters source")]
pub struct DeadLettersOf {
    /// The pipeline, by its id.
    pub of: At<Id>,
}

/// How records stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A JSON value on each line.
    JsonLines,
    /// Comma-separated values with a header line.
    Csv,
    /// An OpenCDC record on each line, as Conduit writes it in JSON: with operation, key, payloads and metadata.
    #[serde(rename = "opencdc")]
    OpenCdc,
    /// A record is a line, as it is.
    Lines,
}

impl Format {
    /// Whether its records bear keys of themselves.
    pub fn is_keyed(self) -> bool {
        self == Self::OpenCdc
    }

    /// What a file's extension tells, where it tells anything.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = |path: &Path| path.extension().and_then(|extension| extension.to_str()).map(str::to_owned);
        let inner = match extension(path).as_deref() {
            Some("gz" | "zst") => path.with_extension(""),
            _ => path.to_owned(),
        };
        match extension(&inner)?.as_str() {
            "ndjson" | "jsonl" | "json" => Some(Self::JsonLines),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// How files are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// As each file's first bytes tell.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// With gzip.
    Gzip,
    /// With Zstandard.
    Zstd,
}

/// One file, or a pattern for many. Whatever has a `*`, `?` or `[` in it is a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathOrGlob {
    /// One file.
    Path(PathBuf),
    /// A pattern, as the crate `glob` has them.
    Glob(String),
}

/// The text is empty or a pattern that means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a path or a pattern of paths")]
pub struct NotAPath;

impl PathOrGlob {
    /// Relative to a folder, whose own name is not read as a pattern.
    pub(super) fn resolve(&mut self, folder: &Path) {
        match self {
            Self::Path(path) => *path = folder.join(&path),
            Self::Glob(pattern) if Path::new(pattern).is_absolute() => {}
            Self::Glob(pattern) => {
                let folder = glob::Pattern::escape(&folder.to_string_lossy());
                *pattern = format!("{}/{pattern}", folder.trim_end_matches('/'));
            }
        }
    }

    /// As a path, to look at its extension.
    fn as_path(&self) -> &Path {
        match self {
            Self::Path(path) => path,
            Self::Glob(pattern) => Path::new(pattern),
        }
    }
}

impl FromStr for PathOrGlob {
    type Err = NotAPath;

    fn from_str(text: &str) -> Result<Self, NotAPath> {
        if text.is_empty() || text.contains('\0') {
            return Err(NotAPath);
        }
        if !text.contains(['*', '?', '[']) {
            return Ok(Self::Path(text.into()));
        }
        glob::Pattern::new(text).map_err(|_| NotAPath)?;
        Ok(Self::Glob(text.to_owned()))
    }
}

impl fmt::Display for PathOrGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_path().display().fmt(f)
    }
}

impl<'de> Deserialize<'de> for PathOrGlob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "a path or a pattern of paths")
    }
}

impl JsonSchema for PathOrGlob {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PathOrGlob".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

impl<'de> Deserialize<'de> for FileSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FileWritten::deserialize(deserializer)?.try_into().map_err(|refusal: Refusal| de::Error::custom(refusal))
    }
}

impl TryFrom<FileWritten> for FileSource {
    type Error = Refusal;

    fn try_from(written: FileWritten) -> Result<Self, Refusal> {
        let FileWritten { path, format, compression, key, rate, follow, poll } = written;
        let format = format.or_else(|| Format::of(path.as_path())).ok_or_else(|| {
            Refusal::new("the path's extension does not tell the format")
                .with_hint("give `format`: `json-lines`, `csv`, `opencdc` or `lines`")
                .with_place(&path.place)
        })?;
        check_key(format, key.as_ref())?;
        if let (false, Some(poll)) = (follow, &poll) {
            return Err(Refusal::new("`poll` without `follow: true`")
                .with_hint("add `follow: true`, or leave `poll` out")
                .with_place(&poll.place));
        }
        let poll = poll.map_or(DEFAULT_POLL, |poll| poll.value);
        Ok(Self { path, format, compression, key, rate, follow, poll })
    }
}

impl JsonSchema for FileSource {
    fn schema_name() -> Cow<'static, str> {
        FileWritten::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        FileWritten::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        FileWritten::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for Stdin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let StdinWritten { format, key, rate } = StdinWritten::deserialize(deserializer)?;
        check_key(format, key.as_ref()).map_err(de::Error::custom)?;
        Ok(Self { format, key, rate })
    }
}

impl JsonSchema for Stdin {
    fn schema_name() -> Cow<'static, str> {
        StdinWritten::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        StdinWritten::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        StdinWritten::json_schema(generator)
    }
}

/// A key that suits the format. A JSON pointer is as RFC 6901 has it: `~` only as `~0` and `~1`.
fn check_key(format: Format, key: Option<&At<String>>) -> Result<(), Refusal> {
    let Some(key) = key else { return Ok(()) };
    let refusal = match format {
        Format::Lines => Refusal::new("`key` with `format: lines`").with_hint("a line has no keys; leave `key` out"),
        Format::OpenCdc => {
            Refusal::new("`key` with `format: opencdc`").with_hint("each record brings its own key; leave `key` out")
        }
        Format::Csv if key.is_empty() => Refusal::new("`key` is empty").with_hint("give the name of a column"),
        Format::JsonLines if !is_pointer(key) => {
            Refusal::new("`key` is not a JSON pointer").with_hint("write it like `/user/id`, with `~0` for `~` and `~1` for `/`")
        }
        _ => return Ok(()),
    };
    Err(refusal.with_place(&key.place))
}

pub(super) fn is_pointer(text: &str) -> bool {
    text.starts_with('/') && text.split('~').skip(1).all(|behind| behind.starts_with(['0', '1']))
}

const DEFAULT_POLL: Interval = Interval::from_millis(250);

const fn default_size() -> Size {
    Size::from_bytes(250)
}

fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    within(deserializer, 1..=u32::MAX).map(Some)
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    within(deserializer, 0..=u64::MAX)
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    within(deserializer, Size::from_bytes(1)..=Size::from_mib(64))
}

fn poll<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<At<Interval>>, D::Error> {
    struct Poll(Interval);

    impl<'de> Deserialize<'de> for Poll {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            within(deserializer, Interval::from_millis(1)..=Interval::from_secs(3600)).map(Self)
        }
    }

    At::<Poll>::deserialize(deserializer).map(|at| Some(at.map(|Poll(interval)| interval)))
}
