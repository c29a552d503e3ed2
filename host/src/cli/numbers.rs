//! Numbers as a person reads them.

/// A number of bytes in MiB: to a tenth where that is not a whole number.
pub fn mebibytes(bytes: u64) -> String {
    const MEBIBYTE: u64 = 1 << 20;
    match bytes.is_multiple_of(MEBIBYTE) {
        true => grouped(bytes / MEBIBYTE),
        false => format!("{}.{}", grouped(bytes / MEBIBYTE), bytes % MEBIBYTE * 10 / MEBIBYTE),
    }
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_to_a_tenth_of_a_mebibyte() {
        let cases = [(0, "0"), (65_536, "0.0"), (1 << 20, "1"), ((3 << 20) - 1, "2.9"), (256 << 20, "256"), (4 << 30, "4,096")];
        for (bytes, expected) in cases {
            assert_eq!(mebibytes(bytes), expected);
        }
    }

    #[test]
    fn thousands_stand_apart() {
        let cases = [(0, "0"), (999, "999"), (1707, "1,707"), (12_345_678, "12,345,678")];
        for (number, expected) in cases {
            assert_eq!(grouped(number), expected);
        }
    }
}
