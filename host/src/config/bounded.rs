//! Readers of single values: within bounds, not empty, with words for what was expected.

use std::{
    fmt::{self, Display},
    marker::PhantomData,
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
};

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

use super::{at::At, de::SHORT, fault::Refusal, interval::Interval, size::Size};

/// What a text must be to become a `T`, in words.
pub(super) trait Quantity: FromStr + PartialOrd + Display + 'static {
    /// A noun with its article.
    const NOUN: &str;
    /// What it looks like, where that needs telling.
    const SUCH_AS: Option<&str>;
    /// The most that there can be, and in words: rounded down to what a person can read.
    const MOST: (Self, &str);
}

impl Quantity for u32 {
    const NOUN: &str = "a whole number";
    const SUCH_AS: Option<&str> = None;
    const MOST: (Self, &str) = (u32::MAX, "4294967295");
}

impl Quantity for u64 {
    const NOUN: &str = "a whole number";
    const SUCH_AS: Option<&str> = None;
    const MOST: (Self, &str) = (u64::MAX, "18446744073709551615");
}

impl Quantity for Size {
    const NOUN: &str = "a size";
    const SUCH_AS: Option<&str> = Some("64MiB");
    const MOST: (Self, &str) = (Self::from_bytes(u64::MAX), "16777215TiB");
}

impl Quantity for Interval {
    const NOUN: &str = "a duration";
    const SUCH_AS: Option<&str> = Some("30s");
    const MOST: (Self, &str) = (Self::from_millis(u64::MAX), "213503982334d");
}

/// A quantity within bounds.
pub(super) fn within<'de, D: Deserializer<'de>, T: Quantity>(deserializer: D, bounds: RangeInclusive<T>) -> Result<T, D::Error> {
    struct Within<T>(RangeInclusive<T>);

    impl<T: Quantity> Visitor<'_> for Within<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let (least, most) = (self.0.start(), self.0.end());
            if least == most {
                return write!(f, "`{least}`");
            }
            let (beyond, told) = T::MOST;
            if *most == beyond {
                write!(f, "{} from {least} to {told}", T::NOUN)?;
            } else {
                write!(f, "{} from {least} to {most}", T::NOUN)?;
            }
            // An example that would be refused helps nobody.
            match T::SUCH_AS {
                Some(example) if example.parse().is_ok_and(|example| self.0.contains(&example)) => {
                    write!(f, ", such as `{example}`")
                }
                _ => Ok(()),
            }
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            match text.parse() {
                Ok(value) if self.0.contains(&value) => Ok(value),
                _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
            }
        }
    }

    deserializer.deserialize_str(Within(bounds))
}

/// A text that becomes a `T`, or is not what the noun says.
pub(super) fn parsed<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D, noun: &'static str) -> Result<T, D::Error> {
    struct Parsed<T>(&'static str, PhantomData<T>);

    impl<T: FromStr> Visitor<'_> for Parsed<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }

    deserializer.deserialize_str(Parsed(noun, PhantomData))
}

/// A text of which a `T` is made, or which is refused in words of its own.
pub(super) fn told<'de, D, T>(deserializer: D, noun: &'static str, read: fn(&str) -> Result<T, Refusal>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    struct Told<T>(&'static str, fn(&str) -> Result<T, Refusal>);

    impl<T> Visitor<'_> for Told<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            self.1(text).map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Told(noun, read))
}

/// A text, or a block `L` where there is more to say.
pub(super) fn short_or_long<'de, D, T, L>(
    deserializer: D,
    noun: &'static str,
    short: fn(&str) -> Result<T, Refusal>,
    long: fn(L) -> Result<T, Refusal>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    L: Deserialize<'de>,
{
    struct ShortOrLong<T, L>(&'static str, fn(&str) -> Result<T, Refusal>, fn(L) -> Result<T, Refusal>);

    impl<'de, T, L: Deserialize<'de>> Visitor<'de> for ShortOrLong<T, L> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            self.1(text).map_err(E::custom)
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
            self.2(L::deserialize(deserializer)?).map_err(de::Error::custom)
        }
    }

    deserializer.deserialize_newtype_struct(SHORT, ShortOrLong(noun, short, long))
}

/// A path that is not empty.
pub(super) struct Path(PathBuf);

impl FromStr for Path {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        // An operating system takes no path with a zero byte in it.
        if text.is_empty() || text.contains('\0') { Err(()) } else { Ok(Self(text.into())) }
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "a path")
    }
}

impl From<Path> for PathBuf {
    fn from(path: Path) -> Self {
        path.0
    }
}

/// A path.
pub(super) fn path<'de, D: Deserializer<'de>, T: From<PathBuf>>(deserializer: D) -> Result<T, D::Error> {
    Path::deserialize(deserializer).map(|path| PathBuf::from(path).into())
}

/// The file of a component, with its place.
pub(super) fn component<'de, D: Deserializer<'de>>(deserializer: D) -> Result<At<PathBuf>, D::Error> {
    At::<Path>::deserialize(deserializer).map(|at| at.map(PathBuf::from))
}

/// A list with something in it; `noun` is what one of them is.
pub(super) fn at_least_one<'de, D, T>(deserializer: D, noun: &'static str) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let items = Vec::deserialize(deserializer)?;
    if items.is_empty() {
        return Err(de::Error::invalid_length(0, &format!("at least one {noun}").as_str()));
    }
    Ok(items)
}
