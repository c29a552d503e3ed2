//! Access tokens that the host fetches, renews and shares between instances.

use async_trait::async_trait;
use thiserror::Error;

use crate::config::Secret;

/// Why there is no token. No message holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// The far side takes back its consent: an operator must give it again, and nothing that the host tries will help.
    #[error("an operator must give consent again: {0}")]
    Revoked(String),
    /// Not now, and why.
    #[error("no token for now: {0}")]
    Unavailable(String),
}

/// Hands out access tokens of the providers that stand under `tokens:` in the pipeline file.
///
/// Whoever asks is trusted to have looked whether it may: a component's grant is checked before.
#[async_trait]
pub trait TokenSource: Send + Sync + std::fmt::Debug {
    /// A token that is good for at least another minute, or as fresh as the provider gives them. Waits while one is fetched; dropping
    /// the future leaves the fetch to whoever else waits for it.
    async fn token(&self, provider: &str) -> Result<Secret, TokenError>;

    /// The far side refused this token: where it is the one in use, the next [`token`](Self::token) is another. Does not wait.
    fn refused(&self, provider: &str, token: &str);
}
