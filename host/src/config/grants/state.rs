//! Durable state.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::config::{bounded::within, size::Size};

/// How much durable state a destination may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a state grant")]
pub struct State {
    /// The most bytes, over all keys and values together.
    #[serde(deserialize_with = "bytes")]
    pub bytes: Size,
    /// The most keys.
    #[serde(default = "default_keys", deserialize_with = "keys")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub keys: u32,
}

const fn default_keys() -> u32 {
    10_000
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    within(deserializer, Size::from_kib(1)..=Size::from_mib(64 << 10))
}

fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, 1..=10_000_000)
}
