//! When a destination that takes files gets some.

use std::{borrow::Cow, fmt, str::FromStr};

use chrono_tz::Tz;
use croner::Cron;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::{
    bounded::told,
    cron::{NotCron, cron, nickname},
    fault::Refusal,
    interval::Interval,
    node::quoted,
};

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
#[error("not a schedule: {why}")]
pub struct NotASchedule {
    why: String,
    hint: String,
}

impl NotASchedule {
    /// What to write, with an example.
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

impl From<NotCron> for NotASchedule {
    fn from(NotCron { why, hint }: NotCron) -> Self {
        Self { why, hint }
    }
}

/// The shortest time between two moments of `@every`, and the longest.
const EVERY: std::ops::RangeInclusive<Interval> = Interval::from_secs(1)..=Interval::from_secs(366 * 86_400);

/// What a schedule may be.
const THREE: &str =
    "write `realtime`, `@every 15m`, or five fields of cron: minute, hour, day of the month, month, day of the week";

impl FromStr for Schedule {
    type Err = NotASchedule;

    fn from_str(text: &str) -> Result<Self, NotASchedule> {
        if text == "realtime" {
            return Ok(Self::Realtime);
        }
        if let Some(every) = text.strip_prefix("@every").filter(|rest| rest.is_empty() || rest.starts_with(' ')) {
            return match every.trim().parse() {
                Ok(every) if EVERY.contains(&every) => Ok(Self::Every(every)),
                _ => Err(NotASchedule {
                    why: format!("`@every` takes a duration from {} to {}", EVERY.start(), EVERY.end()),
                    hint: "write it like `@every 15m`, `@every 1h30m` or `@every 1d`".into(),
                }),
            };
        }
        if text.starts_with('@') || text.split_whitespace().count() < 2 {
            return Err(NotASchedule {
                why: "it is `realtime`, `@every 1h`, or five fields of cron such as `0 3 * * *`".into(),
                hint: match nickname(text) {
                    Some(fields) => format!("write `{fields}` for that"),
                    None => THREE.into(),
                },
            });
        }
        Ok(Self::Cron(cron(text)?.into()))
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
            let refused = |error: NotASchedule| {
                Refusal::new(format!("{} is {error}", quoted(text))).with_hint(error.hint).or_unseen("is not a schedule", THREE)
            };
            text.parse().map_err(refused)
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
                Refusal::new(format!("there is no time zone {}", quoted(text)))
                    .with_hint(hint)
                    .or_unseen("is no time zone", "name it like `Europe/Berlin` or `UTC`")
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

    /// Why a text is none, and what to write.
    fn told(text: &str) -> String {
        let error = text.parse::<Schedule>().unwrap_err();
        format!("{error}\n{}", error.hint())
    }

    #[test]
    fn what_is_wrong_with_a_schedule_is_told_with_one_that_is_right() {
        for (wrong, expected) in [
            (
                "61 * * * *",
                "not a schedule: `61` is no minute\nwrite `*`, or numbers from 0 to 59, as in `2`, `1,15`, `1-5` or `*/2`: `*/15 * * * *` is every 15 minutes",
            ),
            (
                "0 24 * * *",
                "not a schedule: `24` is no hour\nwrite `*`, or numbers from 0 to 23, as in `2`, `1,15`, `1-5` or `*/2`: `0 3 * * *` is every day at 3:00",
            ),
            (
                "0 3 32 * *",
                "not a schedule: `32` is no day of the month\nwrite `*`, or numbers from 1 to 31, or `L` for the last, as in `2`, `1,15`, `1-5` or `*/2`: `0 3 1 * *` is the first of each month at 3:00",
            ),
            (
                "0 3 * JANUARY *",
                "not a schedule: `JANUARY` is no month\nwrite `*`, or numbers from 1 to 12, or `JAN` to `DEC`, as in `2`, `1,15`, `1-5` or `*/2`: `0 3 1 1,7 *` is the first of January and July at 3:00",
            ),
            (
                "0 3 * * MO",
                "not a schedule: `MO` is no day of the week\nwrite `*`, or numbers from 0 to 7, of which 0 and 7 are Sunday, or `SUN` to `SAT`, as in `2`, `1,15`, `1-5` or `*/2`: `0 3 * * MON-FRI` is every working day at 3:00",
            ),
            (
                "0 0 30 2 *",
                "not a schedule: its moment never comes: there is no day `30` in the month `2`\nname a day that the month has: `0 3 28 2 *` is the 28th of February, `0 3 L 2 *` its last day",
            ),
            (
                "0 0 3 * * *",
                "not a schedule: it has 6 fields, and cron has five fields; it has none for seconds\nwrite minute, hour, day of the month, month, day of the week: `0 3 * * *` is every day at 3:00",
            ),
            (
                "0 3 * *",
                "not a schedule: it has 4 fields, and cron has five fields\nwrite minute, hour, day of the month, month, day of the week: `0 3 * * *` is every day at 3:00",
            ),
            (
                "@daily",
                "not a schedule: it is `realtime`, `@every 1h`, or five fields of cron such as `0 3 * * *`\nwrite `0 0 * * *` for that",
            ),
            (
                "@every 400d",
                "not a schedule: `@every` takes a duration from 1s to 366d\nwrite it like `@every 15m`, `@every 1h30m` or `@every 1d`",
            ),
            (
                "@every",
                "not a schedule: `@every` takes a duration from 1s to 366d\nwrite it like `@every 15m`, `@every 1h30m` or `@every 1d`",
            ),
        ] {
            assert_eq!(told(wrong), expected, "{wrong}");
        }
    }

    #[test]
    fn no_word_of_the_library_is_passed_on() {
        let fields = ["*", "1-", "-1", "5-1", "*/0", "/5", "a", "1#2", "1,,2", "99999999999", "é", "L-3", "?"];
        for (at, field) in (0..5).flat_map(|at| fields.map(|field| (at, field))) {
            let text = (0..5).map(|other| if other == at { field } else { "*" }).collect::<Vec<_>>().join(" ");
            if let Err(error) = text.parse::<Schedule>() {
                let shown = format!("{error} {}", error.hint());
                let own = ["Cron", "omponent", "attern", "Position", "bounds"];
                assert!(own.iter().all(|word| !shown.contains(word)), "{text}: {shown}");
            }
        }
    }
}
