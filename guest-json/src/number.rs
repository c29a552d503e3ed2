//! Numbers by their value, however many digits they have.

use std::cmp::Ordering;

/// Which of two JSON numbers is larger, to the last digit; `None` where one is no number.
pub fn compare(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (Number::parse(left)?, Number::parse(right)?);
    Some(match (left.sign(), right.sign()) {
        (a, b) if a != b => a.cmp(&b),
        (0, _) => Ordering::Equal,
        (sign, _) => {
            let larger = left.exponent.cmp(&right.exponent).then_with(|| left.digits.cmp(&right.digits));
            if sign < 0 { larger.reverse() } else { larger }
        }
    })
}

/// `0.DIGITS` times ten to the power of `exponent`; no digits where it is zero, and none are 0 at either end.
struct Number {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (mantissa, power) = match text.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, exponent(power)?),
            None => (text, 0),
        };
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        if whole.is_empty() || part.is_empty() || !whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits: Vec<u8> = whole.bytes().chain(part.bytes()).collect();
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        let end = digits.iter().rposition(|digit| *digit != b'0').map_or(zeros, |last| last + 1);
        let exponent = power.saturating_add(whole.len() as i64).saturating_sub(zeros as i64);
        Some(Self { negative, digits: digits[zeros..end].to_vec(), exponent })
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

/// Beyond what any number of digits could bring back, it no longer matters how far.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse::<i64>().unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    Some(if text.starts_with('-') { -size } else { size })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_compared_to_the_last_digit() {
        let smaller =
            ["-1e400", "-10", "-9.99", "-0.1", "0", "1e-400", "0.1", "1", "9007199254740992", "9007199254740993", "1e400"];
        for (at, left) in smaller.iter().enumerate() {
            for (other, right) in smaller.iter().enumerate() {
                assert_eq!(compare(left, right), Some(at.cmp(&other)), "{left} {right}");
            }
        }
        for (left, right) in [("1.0", "1"), ("10", "1e1"), ("-0", "0.00"), ("0e9", "0"), ("120", "1.2E+2"), ("0.001", "1e-3")] {
            assert_eq!(compare(left, right), Some(Ordering::Equal), "{left} {right}");
        }
        for none in ["", "x", "1.", ".5", "-", "1e", "1 ", "\"1\"", "0x1"] {
            assert_eq!(compare(none, "1"), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn floats_are_in_the_order_that_they_are_in(left in any::<f64>(), right in any::<f64>()) {
            prop_assume!(left.is_finite() && right.is_finite());
            prop_assert_eq!(compare(&left.to_string(), &right.to_string()), left.partial_cmp(&right));
            prop_assert_eq!(compare(&format!("{left:e}"), &right.to_string()), left.partial_cmp(&right));
        }
    }
}
