//! How much may be given up, and how long it is kept.

use std::{ops::RangeInclusive, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::{
    at::At,
    bounded::{Path, within},
    fault::Refusal,
    interval::Interval,
    size::Size,
};

/// What becomes of records that are given up. Each key that is left out has its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetters {
    /// The most bytes that the dead letters of each destination may take in the store, and those that were given up for all of them.
    pub max_bytes: Size,
    /// How long they are kept; `None` for ever.
    pub max_age: Option<Interval>,
    /// Of so many records, the last ones at any time, at most [`DeadLetters::tolerance`] may be given up; 0 for no bound.
    pub window: u32,
    /// How many of the window may be given up.
    pub tolerance: u32,
    /// A file to which each is written too, as a line of JSON.
    pub copy_to: Option<At<PathBuf>>,
}

const MAX_BYTES: Size = Size::from_mib(1024);
const WINDOW: u32 = 1;

impl Default for DeadLetters {
    fn default() -> Self {
        Self { max_bytes: MAX_BYTES, max_age: None, window: WINDOW, tolerance: 0, copy_to: None }
    }
}

/// The block as written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "the dead-letters block")]
#[schemars(rename = "DeadLetters")]
struct Written {
    /// The most bytes that the dead letters of one destination may take in the store, and together those that were given up for all of them. Where
    /// one more would go beyond, the pipeline stops, and nothing is dropped.
    #[serde(default = "default_max_bytes", deserialize_with = "max_bytes")]
    max_bytes: Size,
    /// How long dead letters are kept; older ones are removed, logged and counted. Default: until they are removed by hand.
    #[serde(default, deserialize_with = "max_age")]
    #[schemars(with = "Interval")]
    max_age: Option<Interval>,
    /// Of so many records, the last ones at any time, at most `tolerance` may be given up, or the pipeline stops; `0` is no bound.
    #[serde(default = "default_window", deserialize_with = "window")]
    #[schemars(range(min = 0, max = 1_000_000))]
    window: u32,
    /// How many of the last `window` records may be given up.
    #[serde(default, deserialize_with = "tolerance")]
    #[schemars(with = "u32", range(min = 0, max = 1_000_000), extend("default" = 0))]
    tolerance: Option<At<u32>>,
    /// A file to which each dead letter is written too, as a line of JSON.
    #[serde(default, deserialize_with = "copy_to")]
    #[schemars(with = "String")]
    copy_to: Option<At<PathBuf>>,
}

impl<'de> Deserialize<'de> for DeadLetters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { max_bytes, max_age, window, tolerance, copy_to } = Written::deserialize(deserializer)?;
        if let Some(tolerance) = tolerance.as_ref().filter(|tolerance| window == 0 && tolerance.value > 0) {
            let refusal = Refusal::new(format!("`window: 0` sets no bound, and `tolerance` lets {tolerance} be given up"))
                .with_hint("leave out `tolerance`, or say of how many records: `window: 100`")
                .with_place(&tolerance.place);
            return Err(de::Error::custom(refusal));
        }
        if let Some(tolerance) = tolerance.as_ref().filter(|tolerance| window <= tolerance.value && window > 0) {
            let refusal = Refusal::new(format!("of the last {window} records, `tolerance` lets {tolerance} be given up"))
                .with_hint("make `window` larger, or `tolerance` smaller; `window: 0` without `tolerance` sets no bound")
                .with_place(&tolerance.place);
            return Err(de::Error::custom(refusal));
        }
        let tolerance = tolerance.map_or(0, |tolerance| tolerance.value);
        Ok(Self { max_bytes, max_age, window, tolerance, copy_to })
    }
}

impl JsonSchema for DeadLetters {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Written::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}

const SIZES: RangeInclusive<Size> = Size::from_kib(64)..=Size::from_bytes(u64::MAX);
const AGES: RangeInclusive<Interval> = Interval::from_secs(60)..=Interval::from_millis(u64::MAX);
const COUNTS: RangeInclusive<u32> = 0..=1_000_000;

const fn default_max_bytes() -> Size {
    MAX_BYTES
}

const fn default_window() -> u32 {
    WINDOW
}

fn max_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    within(deserializer, SIZES)
}

fn max_age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Interval>, D::Error> {
    within(deserializer, AGES).map(Some)
}

fn window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, COUNTS)
}

fn tolerance<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<At<u32>>, D::Error> {
    struct Count(u32);

    impl<'de> Deserialize<'de> for Count {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            within(deserializer, COUNTS).map(Self)
        }
    }

    At::<Count>::deserialize(deserializer).map(|count| Some(count.map(|Count(count)| count)))
}

fn copy_to<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<At<PathBuf>>, D::Error> {
    At::<Path>::deserialize(deserializer).map(|path| Some(path.map(Into::into)))
}
