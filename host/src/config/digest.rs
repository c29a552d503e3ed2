//! By what it is known whether a part of a pipeline file says the same as before.

use std::fmt;

use super::node::{Node, Value};

/// What a part of a pipeline file says, variables replaced, whatever its order of keys, comments and places: two that are equal say the same.
/// Secrets are in what it was made of, so it shows nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

impl Default for Digest {
    /// Of nothing.
    fn default() -> Self {
        Self(*blake3::hash(&[]).as_bytes())
    }
}

impl Digest {
    /// This, and something beside it: two that are equal were made of the same, in the same order.
    #[must_use]
    pub fn with(self, beside: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0).update(beside);
        Self(*hasher.finalize().as_bytes())
    }

    /// This, and another beside it.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.with(&other.0)
    }

    /// Of a part of the tree.
    pub(super) fn of(node: &Node) -> Self {
        match &node.value {
            Value::Scalar(scalar) => {
                Self::default().with(if scalar.plain { b"plain" } else { b"text" }).with(scalar.text.as_bytes())
            }
            Value::List(items) => items.iter().fold(Self::default().with(b"list"), |digest, item| digest.and(Self::of(item))),
            Value::Map(entries) => {
                let mut entries: Vec<_> = entries.iter().map(|(key, value)| (key.name.as_str(), value)).collect();
                entries.sort_by_key(|(name, _)| *name);
                let entry = |digest: Self, (name, value): (&str, &Node)| digest.with(name.as_bytes()).and(Self::of(value));
                entries.into_iter().fold(Self::default().with(b"map"), entry)
            }
        }
    }
}
