//! What a column of a type reads, of a JSON value.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use wharf_json::{Json, Kind};

use super::{settings::TimeUnit, sql::element, table::Reads};

/// From here on a number is milliseconds, where nobody says what it counts.
const MILLISECONDS: i64 = 100_000_000_000;

/// Appends a value as a column reads it; false where it is NULL.
///
/// # Errors
/// Why it cannot be, as the rest of a sentence about it.
pub fn put(value: &mut Json<'_>, reads: Reads, unit: TimeUnit, into: &mut Vec<u8>) -> Result<bool, String> {
    match (value.kind(), reads) {
        // In JSON, null is a value; in a row it is none, as everywhere else.
        (Kind::Null, _) => return Ok(false),
        (_, Reads::Json) => into.extend_from_slice(value.to_string().as_bytes()),
        (Kind::Array, Reads::Array) => put_array(value, into)?,
        (Kind::String, Reads::Bytes) => {
            let text = value.as_text();
            if text.starts_with("\\x") {
                into.extend_from_slice(text.as_bytes());
            } else {
                let bytes =
                    STANDARD.decode(&*text).map_err(|error| format!("is neither base64 nor `\\x` and hexadecimal: {error}"))?;
                put_hex(&bytes, into);
            }
        }
        (Kind::Number, Reads::Time) => put_time(&value.as_text(), unit, into)?,
        _ => {
            let text = value.as_text();
            // As it stands in JSON it has none.
            if matches!(&text, Cow::Owned(text) if text.contains('\0')) {
                return Err("has a NUL in it, which text in PostgreSQL cannot have".into());
            }
            into.extend_from_slice(text.as_bytes());
        }
    }
    Ok(true)
}

/// Appends bytes as text, or as the bytes that they are where the column holds bytes.
///
/// # Errors
/// Why they cannot be, as the rest of a sentence about them.
pub fn put_bytes(bytes: &[u8], reads: Reads, into: &mut Vec<u8>) -> Result<(), String> {
    if reads == Reads::Bytes {
        put_hex(bytes, into);
        return Ok(());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "is no text in UTF-8")?;
    if text.contains('\0') {
        return Err("has a NUL in it, which text in PostgreSQL cannot have".into());
    }
    match reads {
        Reads::Json if Json::parse(bytes).is_err() => into.extend_from_slice(Json::string(text).to_string().as_bytes()),
        _ => into.extend_from_slice(bytes),
    }
    Ok(())
}

/// `{…}`, with arrays in it as they stand.
fn put_array(value: &mut Json<'_>, into: &mut Vec<u8>) -> Result<(), String> {
    let from = into.len();
    into.push(b'{');
    for item in value.elements().into_iter().flatten() {
        match item.kind() {
            Kind::Null => element(None, into),
            Kind::Array => {
                if into.len() > from + 1 {
                    into.push(b',');
                }
                put_array(item, into)?;
            }
            _ => {
                let text = item.as_text();
                if text.contains('\0') {
                    return Err("has a NUL in it, which text in PostgreSQL cannot have".into());
                }
                element(Some(text.as_bytes()), into);
            }
        }
    }
    into.push(b'}');
    Ok(())
}

fn put_hex(bytes: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(b"\\x");
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    into.extend(bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
}

/// A number as a date and time in UTC.
fn put_time(number: &str, unit: TimeUnit, into: &mut Vec<u8>) -> Result<(), String> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let wrong = || format!("is `{number}`, which is no number of seconds or milliseconds since 1970 in a time that there is");
    let whole: i64 = whole.parse().map_err(|_| wrong())?;
    let milliseconds = match unit {
        TimeUnit::Milliseconds => true,
        TimeUnit::Seconds => false,
        TimeUnit::Auto => whole.unsigned_abs() >= MILLISECONDS.unsigned_abs(),
    };
    // A fraction of milliseconds is beyond what is worth keeping of them.
    let digits: String = fraction.chars().take_while(char::is_ascii_digit).chain("000000".chars()).take(6).collect();
    let micros: i64 = digits.parse().map_err(|_| wrong())?;
    let (seconds, micros) = match milliseconds {
        true => (whole.div_euclid(1000), whole.rem_euclid(1000) * 1000 + micros / 1000),
        false if number.starts_with('-') && micros > 0 => (whole - 1, 1_000_000 - micros),
        false => (whole, micros),
    };
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days).ok_or_else(wrong)?;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    into.extend_from_slice(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}+00").as_bytes());
    Ok(())
}

/// Year, month and day of a day since 1970, in the years that PostgreSQL writes with four digits (Howard Hinnant, `civil_from_days`).
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    let shifted = days.checked_add(719_468)?;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (1..=9999).contains(&year).then_some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str, reads: Reads, unit: TimeUnit) -> Result<Option<String>, String> {
        let mut into = Vec::new();
        let there = put(&mut Json::parse(json.as_bytes()).unwrap(), reads, unit, &mut into)?;
        Ok(there.then(|| String::from_utf8(into).unwrap()))
    }

    #[test]
    fn a_value_is_what_the_type_of_its_column_reads() {
        for (json, reads, expected) in [
            ("null", Reads::Json, None),
            ("12345678901234567890.10", Reads::Text, Some("12345678901234567890.10")),
            (r#""it's\tü""#, Reads::Text, Some("it's\tü")),
            ("{\"a\": [1, null]}", Reads::Text, Some("{\"a\": [1, null]}")),
            (r#""a""#, Reads::Json, Some(r#""a""#)),
            (r#"[1, null, "a\"b", [2]]"#, Reads::Array, Some(r#"{"1",NULL,"a\"b",{"2"}}"#)),
            ("[[1],[2]]", Reads::Array, Some(r#"{{"1"},{"2"}}"#)),
            ("[]", Reads::Array, Some("{}")),
            (r#""{1,2}""#, Reads::Array, Some("{1,2}")),
            (r#""AP8=""#, Reads::Bytes, Some(r"\x00ff")),
            (r#""\\x00ff""#, Reads::Bytes, Some(r"\x00ff")),
        ] {
            assert_eq!(text(json, reads, TimeUnit::Auto), Ok(expected.map(str::to_owned)), "{json}");
        }
        assert!(text(r#""a\u0000b""#, Reads::Text, TimeUnit::Auto).unwrap_err().starts_with("has a NUL"));
        assert!(text(r#"["\u0000"]"#, Reads::Array, TimeUnit::Auto).unwrap_err().starts_with("has a NUL"));
        assert!(text(r#""!""#, Reads::Bytes, TimeUnit::Auto).unwrap_err().starts_with("is neither base64"));
    }

    #[test]
    fn a_number_is_a_time_by_its_unit() {
        for (json, unit, expected) in [
            ("1517966773840", TimeUnit::Auto, "2018-02-07 01:26:13.840000+00"),
            ("1517966773.5", TimeUnit::Auto, "2018-02-07 01:26:13.500000+00"),
            ("1000", TimeUnit::Milliseconds, "1970-01-01 00:00:01.000000+00"),
            ("-1", TimeUnit::Milliseconds, "1969-12-31 23:59:59.999000+00"),
            ("-1.25", TimeUnit::Seconds, "1969-12-31 23:59:58.750000+00"),
            ("951782400", TimeUnit::Seconds, "2000-02-29 00:00:00.000000+00"),
        ] {
            assert_eq!(text(json, Reads::Time, unit), Ok(Some(expected.to_owned())), "{json}");
        }
        assert!(text("1e3", Reads::Time, TimeUnit::Auto).is_err());
        assert!(text("9223372036854775807", Reads::Time, TimeUnit::Seconds).is_err());
    }
}
