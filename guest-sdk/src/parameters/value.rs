//! Types that one setting holds.

use std::{
    num::{NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64},
    time::Duration,
};

use super::{Kind, Rules};
use crate::{Secret, Size, duration};

/// A type that one setting holds.
#[diagnostic::on_unimplemented(
    message = "a parameter cannot be a `{Self}`",
    label = "neither a value that one setting holds, nor a struct that derives `Parameters`",
    note = "values are `String`, numbers, `bool`, `Duration`, `Size`, `Secret`, and enums without fields that derive `Parameters`",
    note = "around these stand `Option<T>`, `Vec<T>`, `BTreeMap<String, T>` and `HashMap<String, T>`"
)]
pub trait Value: Sized {
    /// What the descriptor says that it is.
    const KIND: Kind;

    /// Whether it must not be shown.
    const SECRET: bool = false;

    /// Adds the rules that the type itself brings, where the author gave no narrower one.
    fn constrain(_: &mut Rules) {}

    /// Reads it as an operator writes it. The error says what would be right, and does not show what was given.
    fn parse(text: &str) -> Result<Self, String>;
}

impl Value for String {
    const KIND: Kind = Kind::String;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.into())
    }
}

impl Value for Secret {
    const KIND: Kind = Kind::String;
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.into())
    }
}

impl Value for bool {
    const KIND: Kind = Kind::Bool;

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "neither `true` nor `false`".into())
    }
}

impl Value for Duration {
    const KIND: Kind = Kind::Duration;

    fn parse(text: &str) -> Result<Self, String> {
        duration::parse(text)
    }
}

impl Value for Size {
    const KIND: Kind = Kind::Size;

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl Value for $number {
            const KIND: Kind = Kind::Int;

            fn constrain(rules: &mut Rules) {
                rules.min.get_or_insert_with(|| <$number>::MIN.to_string());
                rules.max.get_or_insert_with(|| <$number>::MAX.to_string());
            }

            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!("not a whole number from {} to {}", <$number>::MIN, <$number>::MAX))
            }
        }
    )*};
}

whole_numbers!(u8, u16, u32, i8, i16, i32, NonZeroU8, NonZeroU16, NonZeroU32);

macro_rules! wide_numbers {
    ($($number:ty: $rules:ident $constrain:block),*) => {$(
        impl Value for $number {
            const KIND: Kind = Kind::Int;

            fn constrain($rules: &mut Rules) $constrain

            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!("not a whole number from {} to {}", <$number>::MIN, <$number>::MAX))
            }
        }
    )*};
}

// Bounds of 64 bits are not declared: a reader of JSON may hold numbers as floats. `usize` has 32 bits in a component.
wide_numbers!(
    i64: _rules {},
    u64: rules { rules.min.get_or_insert_with(|| "0".into()); },
    NonZeroU64: rules { rules.min.get_or_insert_with(|| "1".into()); },
    usize: rules {
        rules.min.get_or_insert_with(|| "0".into());
        rules.max.get_or_insert_with(|| u32::MAX.to_string());
    }
);

macro_rules! floats {
    ($($float:ty),*) => {$(
        impl Value for $float {
            const KIND: Kind = Kind::Float;

            fn parse(text: &str) -> Result<Self, String> {
                text.parse().ok().filter(|number: &$float| number.is_finite()).ok_or_else(|| "not a number".into())
            }
        }
    )*};
}

floats!(f32, f64);
