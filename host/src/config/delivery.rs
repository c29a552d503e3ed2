//! How records are delivered to a destination: what is sent again and when, in what order, how fast.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    bounded::{Quantity, within},
    interval::Interval,
    size::Size,
};

/// When something is tried again, and for how long. What is not given is as the place where the block stands has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "a retry block")]
pub struct Retry {
    /// The longest that the first wait may be. Each wait is drawn evenly between nothing and its longest.
    #[serde(deserialize_with = "delay")]
    pub min_delay: Option<Interval>,
    /// The longest that any wait may be.
    #[serde(deserialize_with = "delay")]
    pub max_delay: Option<Interval>,
    /// How many times longer each wait may be than the one before.
    #[serde(deserialize_with = "factor")]
    #[schemars(range(min = 1, max = 100))]
    pub factor: Option<u32>,
    /// How often it is tried at the most, the first time included.
    #[serde(deserialize_with = "attempts")]
    #[schemars(range(min = 1))]
    pub max_attempts: Option<u32>,
    /// How old a record may be, from its reading on, and still be tried again.
    #[serde(deserialize_with = "age")]
    pub max_age: Option<Interval>,
    /// What happens once it is not tried any more.
    pub then: Option<Then>,
}

/// What becomes of records that are not tried any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", expecting = "`stop` or `dead-letter`")]
pub enum Then {
    /// The pipeline stops, and they are pending.
    #[default]
    Stop,
    /// They are dead letters.
    DeadLetter,
}

/// What becomes of records that a connector does not answer for, or answers for in a way that breaks the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", expecting = "`retry`, `hold` or `dead-letter`")]
pub enum OnUnknown {
    /// They are sent again to a fresh instance a few times, and then held.
    #[default]
    Retry,
    /// The destination pauses, and they are sent again once it is resumed.
    Hold,
    /// They are dead letters.
    DeadLetter,
}

/// The bounds within which a far side that asks for patience is given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the throttle block")]
pub struct Throttle {
    /// The shortest wait.
    #[serde(deserialize_with = "wait")]
    pub min_delay: Interval,
    /// The longest wait.
    #[serde(deserialize_with = "wait")]
    pub max_delay: Interval,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { min_delay: Interval::from_millis(100), max_delay: Interval::from_secs(3600) }
    }
}

/// What happens where a component fails: the same for destinations and processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handling {
    /// When a record that fails for now, while others come through, is tried again.
    pub retry: Retry,
    /// When records are tried again while all fail for now.
    pub outage: Retry,
    /// The bounds within which whoever asks for patience is given it.
    pub throttle: Throttle,
    /// What becomes of records that are not answered for.
    pub on_unknown: OnUnknown,
}

/// How fast records are handed over at the most, by all instances of a destination together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the rate block")]
pub struct Rate {
    /// So many records a second.
    #[serde(deserialize_with = "some_records")]
    #[schemars(range(min = 1))]
    pub records: Option<u32>,
    /// So many bytes a second.
    #[serde(deserialize_with = "some_bytes")]
    pub bytes: Option<Size>,
    /// How many seconds' worth may go at once after a rest.
    #[serde(deserialize_with = "burst")]
    pub burst: Option<Interval>,
}

/// The most that is handed over in one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the batch block of a destination")]
pub struct Handed {
    /// So many records.
    #[serde(deserialize_with = "some_records")]
    #[schemars(range(min = 1))]
    pub records: Option<u32>,
    /// So many bytes; a record that has more goes alone.
    #[serde(deserialize_with = "some_bytes")]
    pub bytes: Option<Size>,
}

const DELAY: RangeInclusive<Interval> = Interval::from_millis(1)..=Interval::from_secs(86_400);
const AGE: RangeInclusive<Interval> = Interval::from_secs(1)..=Interval::from_secs(366 * 86_400);
const BURST: RangeInclusive<Interval> = Interval::from_millis(1)..=Interval::from_secs(3600);

fn given<'de, D: Deserializer<'de>, T: Quantity>(deserializer: D, bounds: RangeInclusive<T>) -> Result<Option<T>, D::Error> {
    within(deserializer, bounds).map(Some)
}

pub(super) fn delay<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Interval>, D::Error> {
    given(deserializer, DELAY)
}

fn wait<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Interval, D::Error> {
    within(deserializer, DELAY)
}

pub(super) fn factor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    given(deserializer, 1..=100)
}

pub(super) fn attempts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    given(deserializer, 1..=u32::MAX)
}

fn age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Interval>, D::Error> {
    given(deserializer, AGE)
}

fn some_records<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    given(deserializer, 1..=u32::MAX)
}

fn some_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Size>, D::Error> {
    given(deserializer, Size::from_bytes(1)..=Size::from_bytes(u64::MAX))
}

fn burst<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Interval>, D::Error> {
    given(deserializer, BURST)
}
