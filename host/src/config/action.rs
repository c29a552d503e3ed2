//! What the pipeline file says of one action of a destination.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::{
    at::At,
    bulk::{bytes, delay, records},
    delivery::Retry,
    fault::Refusal,
    interval::Interval,
    schedule::{Schedule, Zone},
    size::Size,
};

/// What the pipeline file says of one action of a destination: when records are handed over to it.
#[derive(Clone, Debug)]
pub struct Action {
    /// Its name, as the connector has it.
    pub name: At<String>,
    /// When records are handed over; `None` where nobody says so here.
    pub schedule: Option<Schedule>,
    /// Whose clock cron goes by.
    pub time_zone: Option<Zone>,
    /// Records are handed over as soon as so many wait.
    pub max_records: Option<u32>,
    /// The same for their bytes.
    pub max_bytes: Option<Size>,
    /// The same for how long the first of them waits.
    pub max_delay: Option<Interval>,
    /// Whether a record waits for those before it that have its key; `None` where nobody says so here.
    pub ordered: Option<bool>,
    /// When a record that fails for now is handed over again.
    pub retry: Retry,
}

/// The block as written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "an action")]
#[schemars(rename = "Action")]
struct Written {
    /// Its name, as the connector has it.
    name: At<String>,
    /// When records are handed over: `realtime`, `@every 1h`, or five fields of cron.
    #[serde(default)]
    schedule: Option<Schedule>,
    /// Whose clock a cron schedule goes by.
    #[serde(default)]
    #[schemars(with = "Option<Zone>", extend("default" = "UTC"))]
    time_zone: Option<At<Zone>>,
    /// They are handed over before that as soon as so many records wait.
    #[serde(default, deserialize_with = "records")]
    #[schemars(range(min = 1))]
    max_records: Option<u32>,
    /// They are handed over before that as soon as what waits has so many bytes.
    #[serde(default, deserialize_with = "bytes")]
    max_bytes: Option<Size>,
    /// They are handed over before that as soon as a record has waited so long.
    #[serde(default, deserialize_with = "delay")]
    max_delay: Option<Interval>,
    /// Whether a record waits for those before it that have its key. Default: as the destination says, else whether its records are written.
    #[serde(default)]
    ordered: Option<bool>,
    /// When a record that fails for now is handed over again.
    #[serde(default)]
    retry: Retry,
}

impl Written {
    fn read(self) -> Result<Action, Refusal> {
        let Self { name, schedule, time_zone, max_records, max_bytes, max_delay, ordered, retry } = self;
        let time_zone = super::bulk::zoned(schedule.as_ref(), time_zone)?;
        Ok(Action { name, schedule, time_zone, max_records, max_bytes, max_delay, ordered, retry })
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Written::deserialize(deserializer)?.read().map_err(de::Error::custom)
    }
}

impl JsonSchema for Action {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Written::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}
