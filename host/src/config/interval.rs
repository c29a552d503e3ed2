//! Lengths of time.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bounded::within;

/// A length of time in whole milliseconds, written with its units from the largest down: `30s`, `250ms`, `1h30m`, `2d`; only `0`
/// needs none.
///
/// ```
/// use std::time::Duration;
/// use wharf::config::Interval;
///
/// let interval: Interval = "1m30s".parse()?;
/// assert_eq!(Duration::from(interval), Duration::from_secs(90));
/// assert_eq!(interval.to_string(), "1m30s");
/// # Ok::<(), wharf::config::NotAnInterval>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    millis: u64,
}

/// The text is no length of time, or one beyond what 64 bits of milliseconds hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a duration such as `30s`, `250ms` or `1h30m`")]
pub struct NotAnInterval;

/// Every unit in milliseconds, largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Interval {
    /// So many thousandths of a second.
    pub const fn from_millis(millis: u64) -> Self {
        Self { millis }
    }

    /// So many seconds; the most there are where that is more than 64 bits of milliseconds hold.
    pub const fn from_secs(secs: u64) -> Self {
        Self { millis: secs.saturating_mul(1000) }
    }

    /// In thousandths of a second.
    pub const fn millis(self) -> u64 {
        self.millis
    }

    /// As the standard library has it.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.millis)
    }
}

impl From<Interval> for Duration {
    fn from(interval: Interval) -> Self {
        interval.duration()
    }
}

impl FromStr for Interval {
    type Err = NotAnInterval;

    fn from_str(text: &str) -> Result<Self, NotAnInterval> {
        if text == "0" {
            return Ok(Self::default());
        }
        if text.is_empty() {
            return Err(NotAnInterval);
        }
        let mut rest = text;
        let mut units = UNITS.iter();
        let mut millis: u64 = 0;
        while !rest.is_empty() {
            let (number, behind) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
            let (unit, behind) = behind.split_at(behind.bytes().take_while(u8::is_ascii_alphabetic).count());
            let number: u64 = number.parse().map_err(|_| NotAnInterval)?;
            // Each unit at most once, from the largest down: the iterator is not begun again.
            let (_, times) = units.find(|(name, _)| *name == unit).ok_or(NotAnInterval)?;
            millis = number.checked_mul(*times).and_then(|part| millis.checked_add(part)).ok_or(NotAnInterval)?;
            rest = behind;
        }
        Ok(Self { millis })
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millis == 0 {
            return f.write_str("0");
        }
        let mut rest = self.millis;
        for (unit, times) in UNITS {
            if rest >= times {
                write!(f, "{}{unit}", rest / times)?;
                rest %= times;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        within(deserializer, Self::default()..=Self::from_millis(u64::MAX))
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Interval {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Interval".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = "^(0|(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$";
        json_schema!({ "type": ["string", "integer"], "pattern": pattern, "minimum": 0, "maximum": 0 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_interval_is_numbers_with_units() {
        let millis = |text: &str| text.parse().map(Interval::millis);
        assert_eq!(millis("0"), Ok(0));
        assert_eq!(millis("0s"), Ok(0));
        assert_eq!(millis("250ms"), Ok(250));
        assert_eq!(millis("30s"), Ok(30_000));
        assert_eq!(millis("90m"), Ok(5_400_000));
        assert_eq!(millis("1h30m"), Ok(5_400_000));
        assert_eq!(millis("2d1ms"), Ok(172_800_001));
        for wrong in [
            "",
            "1",
            "30",
            "s",
            "-1s",
            "1.5s",
            "30 s",
            "30S",
            "30m1h",
            "1s1s",
            "1w",
            "1h30",
            "213503982335d",
            "99999999999999999999s",
        ] {
            assert_eq!(millis(wrong), Err(NotAnInterval), "{wrong}");
        }
    }

    #[test]
    fn an_interval_is_shown_from_the_largest_unit_down() {
        for text in ["0", "1ms", "100ms", "30s", "1m30s", "1h30m", "1d", "2d1h1m1s1ms"] {
            assert_eq!(text.parse::<Interval>().unwrap().to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn an_interval_is_read_as_it_is_shown(millis: u64, shift in 0u32..64) {
            let interval = Interval::from_millis(millis >> shift);
            prop_assert_eq!(interval.to_string().parse(), Ok(interval));
        }
    }
}
