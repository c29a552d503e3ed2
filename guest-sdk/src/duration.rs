//! A length of time, as an operator writes it.

use std::time::Duration;

/// From the largest; in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads `250ms`, `30s`, `1h30m`, `2d`: whole numbers, each with its unit, the largest first.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || String::from("not a duration, such as `250ms`, `30s` or `1h30m`");
    let mut rest = text;
    let mut total: u64 = 0;
    let mut below = u64::MAX;
    while !rest.is_empty() || below == u64::MAX {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
        let (unit, tail) = tail.split_at(tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len()));
        let millis = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
        if millis >= below {
            return Err(wrong());
        }
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let part = number.checked_mul(millis).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        below = millis;
        rest = tail;
    }
    Ok(Duration::from_millis(total))
}

/// The shortest way to write it that [`parse`] reads, in whole milliseconds.
pub(crate) fn show(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, millis) in UNITS {
        if rest >= millis {
            text.push_str(&format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_shown() {
        for (millis, text) in [(0, "0s"), (250, "250ms"), (30_000, "30s"), (5_400_000, "1h30m"), (172_800_001, "2d1ms")] {
            assert_eq!(show(Duration::from_millis(millis)), text);
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)));
        }
        assert_eq!(parse("90s"), Ok(Duration::from_secs(90)));
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", "30", "s", "1.5s", "30 s", "5m1h", "1m1m", "-1s", "1w", "99999999999999999999s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
