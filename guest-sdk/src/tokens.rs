//! Access tokens that the host fetches, renews and shares between instances.

use std::fmt;

use crate::{Failure, Secret, bindings::wharf::connector::tokens as contract, sys};

/// Why there is no token. `?` makes a [`Failure`] of it: fatal, or transient where it is only unavailable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The pipeline does not grant it.
    NotGranted,
    /// An operator must give consent again, and why.
    Revoked(String),
    /// Not now, and why.
    Unavailable(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGranted => f.write_str("tokens: the pipeline does not grant them"),
            Self::Revoked(why) => write!(f, "tokens: an operator must give consent again: {why}"),
            Self::Unavailable(why) => write!(f, "tokens: unavailable: {why}"),
        }
    }
}

impl std::error::Error for Refused {}

impl From<contract::Refusal> for Refused {
    fn from(refusal: contract::Refusal) -> Self {
        match refusal {
            contract::Refusal::NotGranted => Self::NotGranted,
            contract::Refusal::Revoked(why) => Self::Revoked(why),
            contract::Refusal::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unavailable(_) => Self::transient(refused.to_string()),
            Refused::NotGranted | Refused::Revoked(_) => Self::fatal(refused.to_string()),
        }
    }
}

/// A token of that provider that is good for at least another minute.
pub fn get(provider: &str) -> Result<Secret, Refused> {
    Ok(Secret::from(sys::tokens::get(provider)?))
}

/// The far side refused the token: the next [`get`] returns another.
pub fn refused(provider: &str, token: &Secret) {
    sys::tokens::refused(provider, token.expose());
}
