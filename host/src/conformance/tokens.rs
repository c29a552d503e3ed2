//! A provider of access tokens of our own, under every name that the suite file grants.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use async_trait::async_trait;

use crate::{
    config::Secret,
    sandbox::{TokenError, TokenSource},
};

/// Hands out `conform-token-1` until somebody says that it was refused, then the next.
#[derive(Debug, Default)]
pub(super) struct Issuer {
    refused: AtomicU32,
}

impl Issuer {
    /// The token that it hands out.
    pub fn current(&self) -> String {
        format!("conform-token-{}", self.refused.load(Relaxed) + 1)
    }
}

#[async_trait]
impl TokenSource for Issuer {
    async fn token(&self, _: &str) -> Result<Secret, TokenError> {
        Ok(Secret::new(self.current()))
    }

    fn refused(&self, _: &str, token: &str) {
        if token == self.current() {
            self.refused.fetch_add(1, Relaxed);
        }
    }
}
