//! What outlives the instance: durable state of this destination in this pipeline, shared by its instances.

use std::fmt;

use crate::{Failure, bindings::wharf::connector::state as contract, sys};

/// Why the host keeps nothing. `?` makes a [`Failure`] of it: fatal, or transient where the state is only unavailable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The pipeline does not grant it.
    NotGranted,
    /// There is no room for more.
    OverQuota,
    /// Not now, and why.
    Unavailable(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGranted => f.write_str("state: the pipeline does not grant it"),
            Self::OverQuota => f.write_str("state: the quota is used up"),
            Self::Unavailable(why) => write!(f, "state: unavailable: {why}"),
        }
    }
}

impl std::error::Error for Refused {}

impl From<contract::Refusal> for Refused {
    fn from(refusal: contract::Refusal) -> Self {
        match refusal {
            contract::Refusal::NotGranted => Self::NotGranted,
            contract::Refusal::OverQuota => Self::OverQuota,
            contract::Refusal::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unavailable(_) => Self::transient(refused.to_string()),
            Refused::NotGranted | Refused::OverQuota => Self::fatal(refused.to_string()),
        }
    }
}

/// The value of that key, where there is one.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Refused> {
    Ok(sys::state::get(key)?)
}

/// Keeps a value; it is on disk on return. A key has 1 to 512 bytes: [`Refused::OverQuota`] otherwise.
pub fn put(key: &str, value: &[u8]) -> Result<(), Refused> {
    Ok(sys::state::put(key, value)?)
}

/// Replaces `expected` by `value`, `None` meaning no entry; false where something else was there.
pub fn swap(key: &str, expected: Option<&[u8]>, value: Option<&[u8]>) -> Result<bool, Refused> {
    Ok(sys::state::swap(key, expected, value)?)
}

/// At most `limit` keys with this prefix after `after`, in order. The host may answer with fewer: ask again after the last one, until the
/// answer is empty.
pub fn keys(prefix: &str, after: &str, limit: u32) -> Result<Vec<String>, Refused> {
    Ok(sys::state::keys(prefix, after, limit)?)
}
