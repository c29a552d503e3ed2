//! Access tokens that the host fetches, renews and shares between instances.
//!
//! **Threat.** A component that is handed a client's secret or a refresh token has it for good; many that fetch tokens each on its own, or
//! anew with every refusal, get the operator locked out; and of two that use up one refresh token one is left with nothing. **Answer.**
//! Secrets stay with the host: a component is granted providers by name, and gets access tokens alone. One is fetched for all, renewed
//! once however many ask or say that it was refused, and a provider that fails is left alone for a while. A refresh token that
//! takes the place of an earlier one is on disk, sealed, before anything is done with it.
//!
//! | part | file |
//! | --- | --- |
//! | who may ask for what | [`Tokens`] |
//! | one fetch for all, renewal, refusals | `provider` |
//! | failures in a row | `breaker` |
//! | the request and its bounds | `client` |
//! | refresh tokens at rest | [`vault`] |

mod breaker;
mod client;
mod provider;
pub mod vault;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use rustls::RootCertStore;
use thiserror::Error;
use url::Url;

use self::{
    client::Client,
    provider::Provider,
    vault::{Key, Vault, VaultError},
};
use crate::{
    clock::Clock,
    config::{ClientAuth, Secret},
    store::TokenStore,
};

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
pub trait TokenSource: Send + Sync + fmt::Debug {
    /// A token that is good for at least another minute, or as fresh as the provider gives them. Waits while one is fetched; dropping
    /// the future leaves the fetch to whoever else waits for it.
    async fn token(&self, provider: &str) -> Result<Secret, TokenError>;

    /// The far side refused this token: where it is the one in use, the next [`token`](Self::token) is another. Does not wait.
    fn refused(&self, provider: &str, token: &str);
}

/// What a provider is asked with. Secrets are in it.
#[derive(Debug)]
pub struct ProviderOptions {
    /// Its id in the pipeline file.
    pub id: String,
    /// The token endpoint.
    pub url: Url,
    /// The client's id.
    pub client_id: String,
    /// The client's secret, where it has one.
    pub client_secret: Option<Secret>,
    /// How the client says who it is.
    pub auth: ClientAuth,
    /// Further fields of each request, `scope` among them.
    pub fields: Vec<(String, Secret)>,
    /// The first refresh token and the key that later ones are kept under; `None` for client credentials.
    pub refresh: Option<(Secret, Arc<Key>)>,
    /// The certificates that alone are trusted; the system's where there are none.
    pub roots: Option<Arc<RootCertStore>>,
}

/// All providers of a pipeline file, for all of its pipelines.
#[derive(Debug, Default)]
pub struct Broker {
    providers: Vec<Arc<Provider>>,
}

impl Broker {
    /// Nothing is asked before somebody wants a token.
    pub fn new(providers: impl IntoIterator<Item = ProviderOptions>, clock: &Clock) -> Self {
        let provider = |options: ProviderOptions| {
            let ProviderOptions { id, url, client_id, client_secret, auth, fields, refresh, roots } = options;
            let refresh = refresh.map(|(token, key)| {
                let vault = Vault::new(key, &id, url.as_str(), &client_id, &token, clock.clone());
                (token, vault)
            });
            let client = Client { url, id: client_id, secret: client_secret, auth, roots, within: client::WHOLE };
            Arc::new(Provider::new(id, client, fields, refresh, clock.clone()))
        };
        Self { providers: providers.into_iter().map(provider).collect() }
    }

    /// Says where refresh tokens are kept, and takes up those that were kept before. A provider that has one gives no token until then.
    pub async fn open(&self, store: Arc<dyn TokenStore>) -> Result<(), VaultError> {
        for provider in &self.providers {
            provider.open(&store).await?;
        }
        Ok(())
    }

    /// Whether there is a provider that gives tokens for a refresh token, which has to be kept.
    pub fn keeps_tokens(&self) -> bool {
        self.providers.iter().any(|provider| provider.has_vault())
    }

    /// Waits until no token is being fetched any more, so that a refresh token which comes with it is not lost.
    pub async fn settled(&self) {
        for provider in &self.providers {
            provider.settled().await;
        }
    }

    fn provider(&self, id: &str) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| provider.id == id)
    }
}

#[async_trait]
impl TokenSource for Broker {
    async fn token(&self, provider: &str) -> Result<Secret, TokenError> {
        match self.provider(provider) {
            Some(provider) => provider.token().await,
            None => Err(TokenError::Unavailable("there is no such provider".to_owned())),
        }
    }

    fn refused(&self, provider: &str, token: &str) {
        if let Some(provider) = self.provider(provider) {
            provider.refused(token);
        }
    }
}

/// The providers that a component may ask. By default none. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    granted: Arc<[String]>,
    source: Option<Arc<dyn TokenSource>>,
    /// Those that components were given last, by provider.
    lent: Arc<Mutex<BTreeMap<String, Secret>>>,
}

impl Tokens {
    /// These providers of a source.
    pub fn granted(providers: impl IntoIterator<Item = String>, source: Arc<dyn TokenSource>) -> Self {
        Self { granted: providers.into_iter().collect(), source: Some(source), lent: Arc::default() }
    }

    /// Whether no provider may be asked.
    pub fn is_empty(&self) -> bool {
        self.granted.is_empty()
    }

    /// A token was handed to a component.
    pub fn lend(&self, provider: &str, token: &Secret) {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner).insert(provider.to_owned(), token.clone());
    }

    /// The far side refused whoever had the tokens that were handed out: those that are in use still are not handed out again.
    pub fn refused(&self) {
        let Some(source) = &self.source else { return };
        let lent = std::mem::take(&mut *self.lent.lock().unwrap_or_else(PoisonError::into_inner));
        for (provider, token) in lent {
            source.refused(&provider, token.expose());
        }
    }

    /// Whoever hands out the tokens of a provider; `None` where it is not granted.
    pub fn of(&self, provider: &str) -> Option<&Arc<dyn TokenSource>> {
        self.source.as_ref().filter(|_| self.granted.iter().any(|granted| granted == provider))
    }
}

#[cfg(test)]
mod tests;
