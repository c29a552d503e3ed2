//! Dates without a clock: read out of a record, always in UTC.

use std::fmt::Write as _;

use wharf_sdk::Parameters;

/// The earliest and the latest second that has a year of four digits: 0000-01-01 to 9999-12-31.
const SECONDS: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

/// Below this a number is taken for seconds, above for milliseconds: seconds until the year 5138, milliseconds from March 1973 on.
const SECONDS_END: f64 = 1e11;

/// What a number counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Parameters)]
pub enum Unit {
    /// Seconds or milliseconds, by size.
    #[default]
    Auto,
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
}

/// A moment, in seconds since 1970 in UTC, between the years 0000 and 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(i64);

impl Moment {
    /// A number of seconds or milliseconds since 1970.
    pub fn from_number(number: f64, unit: Unit) -> Option<Self> {
        let seconds = match unit {
            Unit::Seconds => number,
            Unit::Milliseconds => number / 1000.0,
            Unit::Auto if number.abs() < SECONDS_END => number,
            Unit::Auto => number / 1000.0,
        };
        // A float too large for an integer saturates, and one that is not a number becomes 0.
        if seconds.is_finite() { Self::from_seconds(seconds.floor() as i64) } else { None }
    }

    /// RFC 3339: `2018-02-07T01:26:13.840Z`, with an offset, a blank for the `T`, or the day alone.
    pub fn from_text(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |range: std::ops::Range<usize>| -> Option<i64> {
            let digits = bytes.get(range)?;
            digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
        };
        let is = |at: usize, any: &[u8]| bytes.get(at).is_some_and(|byte| any.contains(byte));
        if !is(4, b"-") || !is(7, b"-") {
            return None;
        }
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        if !(1..=12).contains(&month) || day < 1 || day > days_of(year, month) {
            return None;
        }
        let days = days_from_civil(year, month, day);
        if bytes.len() == 10 {
            return Self::from_seconds(days * 86_400);
        }
        if !is(10, b"Tt ") || !is(13, b":") || !is(16, b":") {
            return None;
        }
        let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
        // RFC 3339 lets a leap second be the 60th.
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let mut at = 19;
        if is(at, b".") {
            let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            at += if digits == 0 { return None } else { digits + 1 };
        }
        let offset = match bytes.get(at)? {
            b'Z' | b'z' if bytes.len() == at + 1 => 0,
            sign @ (b'+' | b'-') if bytes.len() == at + 6 && is(at + 3, b":") => {
                let (hours, minutes) = (number(at + 1..at + 3)?, number(at + 4..at + 6)?);
                if hours > 23 || minutes > 59 {
                    return None;
                }
                (hours * 3600 + minutes * 60) * if *sign == b'+' { 1 } else { -1 }
            }
            _ => return None,
        };
        Self::from_seconds(days * 86_400 + hour * 3600 + minute * 60 + second - offset)
    }

    fn from_seconds(seconds: i64) -> Option<Self> {
        SECONDS.contains(&seconds).then_some(Self(seconds))
    }
}

/// How a date is written into a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(u8),
}

impl Pattern {
    /// The fields: year `%Y`, month `%m`, day `%d`, hour `%H`, minute `%M`, day of the year `%j`, and the week of ISO 8601
    /// `%V` with its year `%G`. The first thing in it is a field, so that a date always begins with a digit.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                match parts.last_mut() {
                    Some(Part::Text(text)) => text.push(char),
                    _ => parts.push(Part::Text(char.to_string())),
                }
                continue;
            }
            match chars.next() {
                Some(field @ ('Y' | 'm' | 'd' | 'H' | 'M' | 'j' | 'G' | 'V')) => parts.push(Part::Field(field as u8)),
                other => {
                    let other = other.map_or_else(String::new, String::from);
                    return Err(format!("a date has no field `%{other}`: use %Y, %m, %d, %H, %M, %j, %G or %V"));
                }
            }
        }
        match parts.first() {
            Some(Part::Field(_)) => {}
            _ => return Err("a date begins with a field, such as %Y".to_owned()),
        }
        for part in &parts {
            if let Part::Text(text) = part
                && !super::name::is_plain(text)
            {
                return Err(format!(
                    "`{text}` in a date cannot stand in the name of a file: use letters, digits and _ + = , @ . -"
                ));
            }
        }
        Ok(Self(parts))
    }

    /// Adds the date to `name`: always the same number of bytes.
    pub fn push(&self, name: &mut String, moment: Moment) {
        let days = moment.0.div_euclid(86_400);
        let (year, month, day) = civil_from_days(days);
        let of_day = moment.0.rem_euclid(86_400);
        let of_year = days - days_from_civil(year, 1, 1) + 1;
        for part in &self.0 {
            let (width, number) = match part {
                Part::Text(text) => {
                    name.push_str(text);
                    continue;
                }
                Part::Field(b'Y') => (4, year),
                Part::Field(b'm') => (2, month),
                Part::Field(b'd') => (2, day),
                Part::Field(b'H') => (2, of_day / 3600),
                Part::Field(b'M') => (2, of_day / 60 % 60),
                Part::Field(b'j') => (3, of_year),
                Part::Field(b'G') => (4, iso_week(days).0),
                Part::Field(_) => (2, iso_week(days).1),
            };
            // Writing to a string cannot fail.
            write!(name, "{number:0width$}").unwrap_or_default();
        }
    }
}

/// The year, possibly the one before or after, and the week that a day belongs to: the one that holds its Thursday.
fn iso_week(days: i64) -> (i64, i64) {
    // 1970-01-01 was a Thursday; 0 is Monday.
    let weekday = (days + 3).rem_euclid(7);
    let thursday = days - weekday + 3;
    let (year, ..) = civil_from_days(thursday);
    (year.clamp(0, 9999), (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
}

fn days_of(year: i64, month: i64) -> i64 {
    let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    days_from_civil(next_year, next_month, 1) - days_from_civil(year, month, 1)
}

/// Days since 1970-01-01. <https://howardhinnant.github.io/date_algorithms.html>
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(moment: Option<Moment>, pattern: &str) -> String {
        let mut name = String::new();
        Pattern::parse(pattern).unwrap().push(&mut name, moment.expect("a date"));
        name
    }

    #[test]
    fn a_date_is_that_of_utc() {
        for (text, expected) in [
            ("2018-02-07T01:26:13.840Z", "2018-02-07 01.26"),
            ("2018-02-07T01:26:13+02:00", "2018-02-06 23.26"),
            ("2018-12-31 23:59:60-00:30", "2019-01-01 00.30"),
            ("2016-02-29", "2016-02-29 00.00"),
            ("0000-01-01T00:00:00Z", "0000-01-01 00.00"),
            ("9999-12-31t23:59:59z", "9999-12-31 23.59"),
        ] {
            assert_eq!(written(Moment::from_text(text), "%Y-%m-%d %H.%M"), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "now",
            "2018-02-30",
            "2018-13-01",
            "2018-02-07T",
            "2018-02-07T24:00:00Z",
            "2018-02-07T01:26:13",
            "2018-02-07T01:26:13.Z",
            "2018-02-07T01:26:13Zz",
            "9999-12-31T23:59:59-01:00",
            "0000-01-01T00:00:00+01:00",
            "20-1-1",
            "２018-02-07",
        ] {
            assert_eq!(Moment::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_is_seconds_or_milliseconds_by_size_unless_told() {
        let day = "%Y-%m-%d";
        assert_eq!(written(Moment::from_number(1_517_966_773_840.0, Unit::Auto), day), "2018-02-07");
        assert_eq!(written(Moment::from_number(1_517_966_773.84, Unit::Auto), day), "2018-02-07");
        assert_eq!(written(Moment::from_number(86_400_000.0, Unit::Milliseconds), day), "1970-01-02");
        assert_eq!(written(Moment::from_number(-0.5, Unit::Seconds), day), "1969-12-31");
        assert_eq!(Moment::from_number(1e300, Unit::Auto), None);
        assert_eq!(Moment::from_number(f64::NAN, Unit::Auto), None);
    }

    #[test]
    fn weeks_are_those_of_iso_8601() {
        for (text, expected) in
            [("2005-01-01", "2004-W53"), ("2007-12-31", "2008-W01"), ("2010-01-03", "2009-W53"), ("2018-02-07", "2018-W06")]
        {
            assert_eq!(written(Moment::from_text(text), "%G-W%V"), expected);
        }
        assert_eq!(written(Moment::from_text("2016-12-31"), "%Y-%j"), "2016-366");
    }

    #[test]
    fn a_pattern_that_cannot_name_a_file_is_refused() {
        assert!(Pattern::parse("%Y-%q").unwrap_err().contains("`%q`"));
        assert!(Pattern::parse("").is_err());
        assert!(Pattern::parse("day").is_err());
        assert!(Pattern::parse("%Y/%m").unwrap_err().contains("`/`"));
    }

    proptest::proptest! {
        #[test]
        fn every_day_is_written_and_read_back(seconds in SECONDS) {
            let text = written(Some(Moment(seconds)), "%Y-%m-%d");
            proptest::prop_assert_eq!(Moment::from_text(&text).unwrap().0, seconds.div_euclid(86_400) * 86_400);
        }
    }
}
