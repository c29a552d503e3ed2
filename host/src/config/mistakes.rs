//! All that is wrong with a pipeline file, to be told at once.

use std::{collections::HashSet, fmt};

use super::error::ConfigError;

/// How many mistakes of one file are told. Who has more of them mends these first.
pub(super) const MOST: usize = 20;

/// Why a pipeline file was refused: what is wrong with it, in the order in which it stands there, and at least one thing.
///
/// Displayed each is a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    first: ConfigError,
    others: Vec<ConfigError>,
}

impl Mistakes {
    /// Of several, where there are any. What is found twice, in a block that is used twice, is told once.
    pub(super) fn of(mut wrong: Vec<ConfigError>) -> Result<(), Self> {
        // What has no place, such as a variable of the environment, comes behind what has one.
        wrong.sort_by(|one, other| (one.place().is_none(), one.place()).cmp(&(other.place().is_none(), other.place())));
        let mut told = HashSet::new();
        wrong.retain(|error| told.insert((error.place().cloned(), error.what().to_owned())));
        let more = wrong.len().saturating_sub(MOST);
        wrong.truncate(MOST);
        if more > 0 {
            let what = format!("more than {MOST} things are wrong, and only the first of them are told");
            wrong.push(ConfigError::new(what).with_hint("mend these, and have the file checked again"));
        }
        let mut wrong = wrong.into_iter();
        match wrong.next() {
            Some(first) => Err(Self { first, others: wrong.collect() }),
            None => Ok(()),
        }
    }

    /// The one that stands first in the file.
    pub fn first(&self) -> &ConfigError {
        &self.first
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl IntoIterator for Mistakes {
    type Item = ConfigError;
    type IntoIter = std::iter::Chain<std::iter::Once<ConfigError>, std::vec::IntoIter<ConfigError>>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self.first).chain(self.others)
    }
}

impl From<ConfigError> for Mistakes {
    fn from(first: ConfigError) -> Self {
        Self { first, others: Vec::new() }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        self.others.iter().try_for_each(|other| write!(f, "\n{other}"))
    }
}

impl std::error::Error for Mistakes {}
