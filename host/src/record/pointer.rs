//! JSON pointers.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// A JSON pointer (RFC 6901): the way from a document's root to one of its values, such as `/user/id`.
///
/// ```
/// use wharf::record::Pointer;
///
/// let pointer: Pointer = "/a~1b/0".parse().unwrap();
/// assert_eq!(pointer.to_string(), "/a~1b/0");
/// assert!("user/id".parse::<Pointer>().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointer {
    steps: Vec<Step>,
}

/// One reference token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The member of an object.
    pub(crate) name: String,
    /// The element of an array, where the token can be one.
    pub(crate) index: Option<usize>,
}

impl Pointer {
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// Why a text is no JSON pointer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PointerError {
    /// It points below the root and does not say so.
    #[error("a JSON pointer begins with `/`, such as `/user/id`")]
    Start,
    /// `~` stands for itself only as `~0`.
    #[error("`~` in a JSON pointer is written `~0`, and `/` within a name `~1`")]
    Escape,
    /// Deeper than any document that is read here.
    #[error("a JSON pointer of more than 64 steps")]
    Deep,
}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let names = text.strip_prefix('/').ok_or(PointerError::Start)?;
        let steps = names.split('/').map(Step::from_str).collect::<Result<Vec<_>, _>>()?;
        if steps.len() > 64 {
            return Err(PointerError::Deep);
        }
        Ok(Self { steps })
    }
}

impl FromStr for Step {
    type Err = PointerError;

    fn from_str(token: &str) -> Result<Self, PointerError> {
        let mut name = String::with_capacity(token.len());
        let mut rest = token.chars();
        while let Some(char) = rest.next() {
            name.push(match char {
                '~' => match rest.next() {
                    Some('0') => '~',
                    Some('1') => '/',
                    _ => return Err(PointerError::Escape),
                },
                other => other,
            });
        }
        let plain = token.bytes().all(|byte| byte.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
        let index = if plain { token.parse().ok() } else { None };
        Ok(Self { name, index })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| write!(f, "/{}", step.name.replace('~', "~0").replace('/', "~1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_reads_back_as_it_was_written() {
        for text in ["", "/", "/a", "/a/0/b", "/a~1b/m~0n", "//x", "/~01"] {
            assert_eq!(text.parse::<Pointer>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_pointer_is_refused_with_its_reason() {
        let deep = "/a".repeat(65);
        for (text, error) in [
            ("a", PointerError::Start),
            ("/a~", PointerError::Escape),
            ("/~2", PointerError::Escape),
            (&deep, PointerError::Deep),
        ] {
            assert_eq!(text.parse::<Pointer>(), Err(error), "{text}");
        }
    }
}
