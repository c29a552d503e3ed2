//! JSON pointers.

use std::{fmt, str::FromStr};

/// A JSON pointer (RFC 6901): the way from a document's root to one of its values, such as `/user/id`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointer {
    steps: Vec<String>,
}

/// Why a text is no JSON pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointerError {
    /// It points below the root and does not say so.
    Start,
    /// `~` stands for itself only as `~0`.
    Escape,
}

impl fmt::Display for PointerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "a JSON pointer begins with `/`, such as `/user/id`",
            Self::Escape => "`~` in a JSON pointer is written `~0`, and `/` within a name `~1`",
        })
    }
}

impl std::error::Error for PointerError {}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(PointerError::Start);
        }
        let steps = text.split('/').skip(1).map(|step| match step.replace("~0", "").replace("~1", "").contains('~') {
            true => Err(PointerError::Escape),
            false => Ok(step.replace("~1", "/").replace("~0", "~")),
        });
        Ok(Self { steps: steps.collect::<Result<_, _>>()? })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| write!(f, "/{}", step.replace('~', "~0").replace('/', "~1")))
    }
}

impl Pointer {
    /// The names on the way, without escapes.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    /// The pointer that these names are the way of.
    pub fn of(steps: &[String]) -> Self {
        Self { steps: steps.to_vec() }
    }

    /// Whether it points at the document itself.
    pub fn is_root(&self) -> bool {
        self.steps.is_empty()
    }
}

/// The element of an array that a step is, where it can be one.
pub(crate) fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || (!step.starts_with('0') && !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()));
    plain.then(|| step.parse().ok()).flatten()
}
