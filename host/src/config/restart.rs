//! Whether a pipeline that ends in an error is started again.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::{
    bounded::short_or_long,
    delivery::{Retry, attempts, delay, factor},
    fault::Refusal,
    interval::Interval,
};

/// Whether a pipeline that ends in an error is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// It has ended.
    #[default]
    Never,
    /// It is started again after a back-off.
    OnFailure(Retry),
}

impl Restart {
    /// When it is started again; `None` for never.
    pub fn retry(&self) -> Option<&Retry> {
        match self {
            Self::Never => None,
            Self::OnFailure(retry) => Some(retry),
        }
    }
}

/// The long form, which is `on-failure`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the restart block")]
#[schemars(rename = "Restart")]
struct Written {
    /// The longest that the first wait may be. Each wait is drawn evenly between nothing and its longest.
    #[serde(deserialize_with = "delay")]
    #[schemars(with = "Interval", extend("default" = "1s"))]
    min_delay: Option<Interval>,
    /// The longest that any wait may be. A start that lasts so long before it fails counts as the first again.
    #[serde(deserialize_with = "delay")]
    #[schemars(with = "Interval", extend("default" = "10m"))]
    max_delay: Option<Interval>,
    /// How many times longer each wait may be than the one before.
    #[serde(deserialize_with = "factor")]
    #[schemars(with = "u32", range(min = 1, max = 100), extend("default" = 2))]
    factor: Option<u32>,
    /// How often in a row it is started at the most, the first time included. Default: without an end.
    #[serde(deserialize_with = "attempts")]
    #[schemars(with = "u32", range(min = 1))]
    max_attempts: Option<u32>,
}

impl<'de> Deserialize<'de> for Restart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let short = |text: &str| match text {
            "never" => Ok(Self::Never),
            "on-failure" => Ok(Self::OnFailure(Retry::default())),
            _ => Err(Refusal::new("`restart` is `never`, `on-failure`, or a block of delays")
                .with_hint("write `restart: on-failure`, or `restart: { max-delay: 1m }`")),
        };
        short_or_long(deserializer, "`never`, `on-failure`, or a block of delays", short, |written| {
            let Written { min_delay, max_delay, factor, max_attempts } = written;
            let (least, most) = (min_delay.unwrap_or(Interval::from_secs(1)), max_delay.unwrap_or(Interval::from_secs(600)));
            if least > most {
                return Err(Refusal::new(format!("`restart` has a `min-delay` of {least} and a `max-delay` of {most}"))
                    .with_hint("make `max-delay` at least as long as `min-delay`; what is left out has its default"));
            }
            Ok(Self::OnFailure(Retry { min_delay, max_delay, factor, max_attempts, ..Retry::default() }))
        })
    }
}

impl JsonSchema for Restart {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RestartOrWord".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "enum": ["never", "on-failure"] }, generator.subschema_for::<Written>()] })
    }
}
