//! Amounts of bytes.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bounded::within;

/// A number of bytes, written with its unit: `64MiB`, `10MB`, `100B`; a plain number is bytes.
///
/// ```
/// use wharf::config::Size;
///
/// let size: Size = "512KiB".parse()?;
/// assert_eq!(size.bytes(), 524_288);
/// assert_eq!(Size::from_bytes(1_000_000).to_string(), "1MB");
/// # Ok::<(), wharf::config::NotASize>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// The text is no size, or one beyond what 64 bits hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a size such as `64MiB`, `10MB` or `100B`")]
pub struct NotASize;

/// Every unit, smallest first.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

impl Size {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many times 1024 bytes; the most there are where that is more than 64 bits hold.
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib.saturating_mul(1 << 10))
    }

    /// So many times 1024² bytes; the most there are where that is more than 64 bits hold.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1 << 20))
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| NotASize)?;
        let (_, times) = *UNITS.iter().find(|(name, _)| *name == if unit.is_empty() { "B" } else { unit }).ok_or(NotASize)?;
        number.checked_mul(times).map(Self).ok_or(NotASize)
    }
}

impl fmt::Display for Size {
    /// In the unit that takes the smallest whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = UNITS.into_iter().rev().find(|(_, times)| self.0 != 0 && self.0.is_multiple_of(*times));
        let (unit, times) = fits.unwrap_or(UNITS[0]);
        write!(f, "{}{unit}", self.0 / times)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        within(deserializer, Self(0)..=Self(u64::MAX))
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "pattern": "^[0-9]+(([KMGT]i?)?B)?$", "minimum": 0 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_size_is_a_number_with_a_unit() {
        let bytes = |text: &str| text.parse().map(Size::bytes);
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("100B"), Ok(100));
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("10MB"), Ok(10_000_000));
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert_eq!(bytes("1GiB"), Ok(1 << 30));
        for wrong in [
            "",
            "B",
            "MiB",
            "-1",
            "+1",
            "1.5MiB",
            "64 MiB",
            "64mib",
            "64M",
            "64Mib",
            "1e3",
            "18446744073709551616",
            "16777216TiB",
        ] {
            assert_eq!(bytes(wrong), Err(NotASize), "{wrong}");
        }
    }

    #[test]
    fn a_size_is_shown_in_the_unit_with_the_smallest_number() {
        for text in ["0B", "1B", "250B", "1KB", "1KiB", "10MB", "64MiB", "4GiB", "3TB", "1023MiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn a_size_is_read_as_it_is_shown(bytes: u64, shift in 0u32..64) {
            let size = Size::from_bytes(bytes >> shift << (shift / 2));
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }
    }
}
