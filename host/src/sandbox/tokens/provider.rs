//! One provider: its token, its refresh token, and whoever waits for them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use super::{
    TokenError,
    breaker::{Breaker, Refusals},
    client::{Client, Given},
    vault::{Vault, VaultError},
};
use crate::{clock::Clock, config::Secret, store::TokenStore};

/// How long before its end a token is renewed; half of its time where that is less.
const EARLY: Duration = Duration::from_secs(60);
/// For how long a token is taken to be good where the provider does not say.
const UNSAID: Duration = Duration::from_secs(3600);
/// The longest that any token is taken to be good.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// One provider of tokens.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) id: String,
    client: Client,
    /// Fields of each request, besides those of the grant and the client.
    fields: Vec<(String, Secret)>,
    /// Where refresh tokens are kept; `None` for client credentials.
    vault: Option<Vault>,
    clock: Clock,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    current: Option<Current>,
    refresh: Option<Refresh>,
    /// The renewal under way, for all who wait for it.
    renewal: Option<Renewal>,
    breaker: Breaker,
    refusals: Refusals,
}

#[derive(Debug)]
struct Current {
    token: Secret,
    /// When it is to be renewed, by the clock.
    until: Duration,
}

#[derive(Debug)]
struct Refresh {
    token: Secret,
    /// Whether it is on disk, or need not be.
    kept: bool,
}

type Renewal = Shared<BoxFuture<'static, Result<Secret, TokenError>>>;

impl Provider {
    /// A provider that is asked with client credentials, or with a refresh token that is kept in a vault.
    pub(super) fn new(
        id: String,
        client: Client,
        fields: Vec<(String, Secret)>,
        refresh: Option<(Secret, Vault)>,
        clock: Clock,
    ) -> Self {
        let (refresh, vault) = refresh.unzip();
        let refresh = refresh.map(|token| Refresh { token, kept: true });
        Self { id, client, fields, vault, clock, inner: Mutex::new(Inner { refresh, ..Inner::default() }) }
    }

    /// Whether it is asked with a refresh token.
    pub(super) fn has_vault(&self) -> bool {
        self.vault.is_some()
    }

    /// Says where refresh tokens are kept. The one that was kept last takes the place of the configured one.
    pub(super) async fn open(&self, store: &Arc<dyn TokenStore>) -> Result<(), VaultError> {
        let Some(vault) = &self.vault else {
            return Ok(());
        };
        if let Some(token) = vault.open(store.clone()).await? {
            self.lock().refresh = Some(Refresh { token, kept: true });
        }
        Ok(())
    }

    /// The token in use, or another where it is about to end; however many ask, one of them is fetched.
    pub(super) async fn token(self: &Arc<Self>) -> Result<Secret, TokenError> {
        let renewal = {
            let mut inner = self.lock();
            let now = self.clock.elapsed();
            if let Some(token) = inner.fresh(now) {
                return Ok(token);
            }
            match &inner.renewal {
                Some(renewal) => renewal.clone(),
                None => {
                    if let Some(error) = inner.breaker.answer(now) {
                        return Err(error);
                    }
                    // In a task of its own: whoever asked first may give up waiting, and a refresh token that comes with the answer must not
                    // be lost then.
                    let renewing = tokio::spawn(renew(self.clone()));
                    let ended = |_| Err(TokenError::Unavailable("the host is ending".to_owned()));
                    let renewal = renewing.map(move |done| done.unwrap_or_else(ended)).boxed().shared();
                    inner.renewal.insert(renewal).clone()
                }
            }
        };
        renewal.await
    }

    /// Gives up a token that a far side refused, if it is the one in use.
    pub(super) fn refused(&self, token: &str) {
        let mut inner = self.lock();
        if inner.current.as_ref().is_none_or(|current| current.token.expose() != token) {
            return;
        }
        if inner.refusals.heed(self.clock.elapsed()) {
            inner.current = None;
        } else {
            tracing::warn!(provider = self.id, "a token is refused again and again: it is not renewed before a minute is over");
        }
    }

    /// Waits until nothing is under way any more.
    pub(super) async fn settled(&self) {
        let renewal = self.lock().renewal.clone();
        if let Some(renewal) = renewal {
            let _logged = renewal.await;
        }
    }

    async fn renewed(&self) -> Result<Secret, TokenError> {
        // What could not be kept the last time comes first: until then it is used for nothing.
        self.keep().await?;
        if let Some(token) = self.lock().fresh(self.clock.elapsed()) {
            return Ok(token);
        }
        if self.vault.as_ref().is_some_and(|vault| !vault.is_open()) {
            return Err(TokenError::Unavailable(VaultError::NoStore.to_string()));
        }
        let refresh = self.lock().refresh.as_ref().map(|refresh| refresh.token.clone());
        let grant = match &refresh {
            Some(token) => vec![("grant_type", "refresh_token"), ("refresh_token", token.expose())],
            None => vec![("grant_type", "client_credentials")],
        };
        let others = self.fields.iter().map(|(name, value)| (name.as_str(), value.expose()));
        let fields: Vec<(&str, &str)> = grant.into_iter().chain(others).collect();
        let asked = self.clock.elapsed();
        let Given { access, expires_in, refresh: rotated } = self.client.ask(&fields).await?;
        let good = expires_in.unwrap_or(UNSAID).min(LONGEST);
        {
            let mut inner = self.lock();
            inner.current = Some(Current { token: access.clone(), until: asked + good - EARLY.min(good / 2) });
            if let (Some(before), Some(rotated)) = (refresh, rotated)
                && rotated != before
            {
                inner.refresh = Some(Refresh { token: rotated, kept: false });
            }
        }
        self.keep().await?;
        Ok(access)
    }

    /// Puts the refresh token on disk where it is not there yet.
    async fn keep(&self) -> Result<(), TokenError> {
        let token = self.lock().refresh.as_ref().filter(|refresh| !refresh.kept).map(|refresh| refresh.token.clone());
        let (Some(token), Some(vault)) = (token, &self.vault) else {
            return Ok(());
        };
        if let Err(error) = vault.keep(&token).await {
            tracing::error!(provider = self.id, %error, "a new refresh token cannot be kept, and is not used before it is");
            return Err(TokenError::Unavailable("the host cannot keep the provider's new refresh token".to_owned()));
        }
        if let Some(refresh) = &mut self.lock().refresh {
            refresh.kept = true;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The token in use, unless it is about to end, or came with a refresh token that is not on disk.
    fn fresh(&self, now: Duration) -> Option<Secret> {
        let kept = self.refresh.as_ref().is_none_or(|refresh| refresh.kept);
        self.current.as_ref().filter(|current| kept && now < current.until).map(|current| current.token.clone())
    }
}

/// Renews the token, and notes how that went.
async fn renew(provider: Arc<Provider>) -> Result<Secret, TokenError> {
    /// However it ends, the next who asks begins anew.
    struct Over<'a>(&'a Provider);

    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.lock().renewal = None;
        }
    }

    let _over = Over(&provider);
    let renewed = provider.renewed().await;
    let mut inner = provider.lock();
    match &renewed {
        Ok(_) => inner.breaker.succeeded(),
        Err(error) => {
            tracing::warn!(provider = provider.id, %error, "a token was not renewed");
            inner.breaker.failed(provider.clock.elapsed(), error);
        }
    }
    drop(inner);
    renewed
}
