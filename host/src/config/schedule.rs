//! When a destination that takes files gets some.

use std::{borrow::Cow, fmt, str::FromStr};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::{bounded::told, fault::Refusal, interval::Interval};

/// When a destination that takes files gets some: `realtime`, `@every 1h`, or the five fields of cron.
#[derive(Clone, Debug)]
pub enum Schedule {
    /// As soon as there is something.
    Realtime,
    /// Every so often, at multiples of that since 1970: a process that begins anew keeps the same moments.
    Every(Interval),
    /// At the moments that cron names: minute, hour, day of the month, month, day of the week.
    Cron(Box<Cron>),
}

/// The text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a schedule: {0}")]
pub struct NotASchedule(String);

/// The shortest time between two moments of `@every`, and the longest.
const EVERY: std::ops::RangeInclusive<Interval> = Interval::from_secs(1)..=Interval::from_secs(366 * 86_400);

impl FromStr for Schedule {
    type Err = NotASchedule;

    fn from_str(text: &str) -> Result<Self, NotASchedule> {
        if text == "realtime" {
            return Ok(Self::Realtime);
        }
        if let Some(every) = text.strip_prefix("@every ") {
            return match every.trim().parse() {
                Ok(every) if EVERY.contains(&every) => Ok(Self::Every(every)),
                _ => Err(NotASchedule(format!("`@every` takes a duration from {} to {}", EVERY.start(), EVERY.end()))),
            };
        }
        if text.starts_with('@') || text.split_whitespace().count() != 5 {
            return Err(NotASchedule("it is `realtime`, `@every 1h`, or five fields of cron such as `0 3 * * *`".into()));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| NotASchedule(error.to_string()))?;
        // The 30th of February never comes.
        let never = |error: croner::errors::CronError| NotASchedule(format!("its moment never comes: {error}"));
        cron.find_next_occurrence(&DateTime::<Utc>::UNIX_EPOCH, false).map_err(never)?;
        Ok(Self::Cron(cron.into()))
    }
}

impl Schedule {
    /// Whether it goes by somebody's clock.
    pub fn is_cron(&self) -> bool {
        matches!(self, Self::Cron(_))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Realtime => f.write_str("realtime"),
            Self::Every(every) => write!(f, "@every {every}"),
            Self::Cron(cron) => f.write_str(cron.as_str()),
        }
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        told(deserializer, "a schedule such as `@every 1h`", |text| {
            let hint =
                "write `realtime`, `@every 15m`, or five fields of cron: minute, hour, day of the month, month, day of the week";
            text.parse().map_err(|error: NotASchedule| Refusal::new(format!("`{text}` is {error}")).with_hint(hint))
        })
    }
}

impl JsonSchema for Schedule {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Schedule".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["realtime", "@every 1h", "0 3 * * *"] })
    }
}

/// A time zone by its name, such as `Europe/Berlin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone(pub Tz);

impl Default for Zone {
    fn default() -> Self {
        Self(Tz::UTC)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        told(deserializer, "a time zone such as `Europe/Berlin`", |text| {
            let unknown = || {
                let near = super::nearest(text, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
                let hint =
                    near.map_or_else(|| "name it like `Europe/Berlin` or `UTC`".into(), |near| format!("did you mean `{near}`?"));
                Refusal::new(format!("there is no time zone `{text}`")).with_hint(hint)
            };
            text.parse().map(Self).map_err(|_| unknown())
        })
    }
}

impl JsonSchema for Zone {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Zone".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["Europe/Berlin"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_one_of_three_and_nothing_else() {
        for right in ["realtime", "@every 1h", "@every 90m", "0 3 * * *", "*/5 8-18 * * MON-FRI"] {
            assert!(right.parse::<Schedule>().is_ok(), "{right}");
        }
        assert_eq!("@every 90m".parse::<Schedule>().unwrap().to_string(), "@every 1h30m");
        for wrong in
            ["", "hourly", "@hourly", "@every", "@every 0", "@every 3w", "0 3 * *", "0 0 3 * * *", "61 * * * *", "0 0 30 2 *"]
        {
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
    }
}
