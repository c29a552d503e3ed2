//! Refresh tokens at rest.
//!
//! **Threat.** A refresh token is as good as a password, and far sides that give a new one with each use leave nobody but the host to keep
//! it: whoever copies the data directory has it, and whoever may write there puts another in its place, or that of another
//! provider. **Answer.** It is sealed with XChaCha20-Poly1305 and a nonce of its own under a key that stands elsewhere, bound to the
//! provider's id, its `token-url` and its `client-id`: in any other place it does not open. What does not open is told and left as it is.

use std::{
    fmt, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    AeadCore, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, OsRng, Payload},
};
use thiserror::Error;

use crate::{
    clock::Clock,
    config::Secret,
    given_file,
    store::{SealedToken, StoreError, TokenStore},
};

/// The variable that names the file with the key.
pub const KEY_FILE: &str = "WHARF_KEY_FILE";

/// Bytes of a key.
const KEY: usize = 32;

/// Bytes of a nonce of XChaCha20.
const NONCE: usize = 24;

/// The longest file that is read for a key, in bytes: more than its text has.
const LONGEST: u64 = 1 << 10;

/// The key under which refresh tokens are kept, as the keys that are made of it for each purpose.
pub struct Key {
    encryption: [u8; KEY],
    fingerprint: [u8; KEY],
    id: [u8; 8],
}

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// Its file cannot be read.
    #[error("cannot read the key file {}: {cause}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What came back.
        cause: io::Error,
    },
    /// Everybody on the machine can read it, or its group can change it.
    #[error("the key file {} has the mode {mode:04o}: others than its owner and group can read it, or change it", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds something else.
    #[error("the key file {} does not hold 32 bytes as base64", path.display())]
    NotAKey {
        /// Which.
        path: PathBuf,
    },
}

impl KeyError {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => {
                format!("correct {KEY_FILE}, or make the file: (umask 077; openssl rand -base64 32 > FILE)")
            }
            Self::Exposed { path, .. } => format!("chmod 600 {}", path.display()),
            Self::NotAKey { .. } => "make one: (umask 077; openssl rand -base64 32 > FILE)".into(),
        }
    }
}

impl Key {
    /// The key in a file: 32 bytes as base64 on one line. Blocks.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let unreadable = |cause| KeyError::Unreadable { path: path.to_owned(), cause };
        let file = given_file::open(path).map_err(unreadable)?;
        let found = file.metadata().map_err(unreadable)?;
        // A group may read it: that is how keys are mounted into containers.
        if found.mode() & 0o027 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode: found.mode() & 0o7777 });
        }
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(file, LONGEST), &mut text).map_err(unreadable)?;
        let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| <[u8; KEY]>::try_from(bytes).ok());
        Ok(Self::new(&bytes.ok_or_else(|| KeyError::NotAKey { path: path.to_owned() })?))
    }

    /// A key of these bytes.
    pub fn new(bytes: &[u8; KEY]) -> Self {
        let derived = |purpose: &str| blake3::derive_key(&format!("wharf 2026 refresh tokens: {purpose}"), bytes);
        let mut id = [0; 8];
        id.copy_from_slice(&derived("which key")[..8]);
        Self { encryption: derived("encryption"), fingerprint: derived("fingerprint"), id }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

/// Why a kept token cannot be had.
#[derive(Debug, Error)]
pub enum VaultError {
    /// It was sealed with another key.
    #[error("the refresh token of {provider} in the store is sealed with another key than the one in {KEY_FILE}")]
    OtherKey {
        /// Whose.
        provider: String,
    },
    /// It was changed since it was sealed, or comes from elsewhere.
    #[error("the refresh token of {provider} in the store is damaged")]
    Damaged {
        /// Whose.
        provider: String,
    },
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody has said where to keep it.
    #[error("this host has no store")]
    NoStore,
}

impl VaultError {
    /// What to do.
    pub fn hint(&self) -> String {
        let forget = |provider: &str| {
            format!(
                "give consent anew, set the new refresh token, and remove the old one: DELETE FROM refresh_tokens WHERE provider = '{provider}'"
            )
        };
        match self {
            Self::OtherKey { provider } => format!("name the file with the earlier key; if it is lost, {}", forget(provider)),
            Self::Damaged { provider } => forget(provider),
            Self::Store(_) | Self::NoStore => "see that the data directory can be written to and has room".into(),
        }
    }
}

/// Keeps the refresh token of one provider.
pub(super) struct Vault {
    key: Arc<Key>,
    provider: String,
    /// What the token is bound to.
    bound: Vec<u8>,
    /// Told from it whether the configured token is still the one that the kept one came of.
    configured: Vec<u8>,
    clock: Clock,
    store: OnceLock<Arc<dyn TokenStore>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl Vault {
    /// For the token that comes of this configuration.
    pub(super) fn new(key: Arc<Key>, provider: &str, url: &str, client: &str, configured: &Secret, clock: Clock) -> Self {
        // Each with its length, so that no two lists are one text.
        let framed = |parts: &[&str]| {
            parts.iter().fold(Vec::new(), |mut framed, part| {
                framed.extend((part.len() as u64).to_le_bytes());
                framed.extend(part.as_bytes());
                framed
            })
        };
        let bound = framed(&["wharf refresh token 1", provider, url, client]);
        let of = [&bound[..], &framed(&[configured.expose()])].concat();
        let configured = blake3::keyed_hash(&key.fingerprint, &of).as_bytes().to_vec();
        Self { key, provider: provider.to_owned(), bound, configured, clock, store: OnceLock::new() }
    }

    /// Says where it is kept, once and for all, and looks what is there: the token that was kept last, unless the configured one, the address
    /// or the client has changed since.
    pub(super) async fn open(&self, store: Arc<dyn TokenStore>) -> Result<Option<Secret>, VaultError> {
        let kept = store.refresh_token(&self.provider).await?;
        let token = kept.map(|kept| self.unseal(&kept)).transpose()?.flatten();
        // Whoever opens it again has the store that is there.
        let _there = self.store.set(store);
        Ok(token)
    }

    /// Keeps a token; it is on disk on return.
    pub(super) async fn keep(&self, token: &Secret) -> Result<(), VaultError> {
        let store = self.store.get().ok_or(VaultError::NoStore)?;
        let sealed = self.seal(token)?;
        Ok(store.keep_refresh_token(&self.provider, sealed).await?)
    }

    /// Whether there is a store to keep tokens in.
    pub(super) fn is_open(&self) -> bool {
        self.store.get().is_some()
    }

    fn seal(&self, token: &Secret) -> Result<SealedToken, VaultError> {
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let payload = Payload { msg: token.expose().as_bytes(), aad: &self.bound };
        let text = self.cipher().encrypt(&nonce, payload).map_err(|_| VaultError::Damaged { provider: self.provider.clone() })?;
        Ok(SealedToken {
            key_id: self.key.id.to_vec(),
            configured: self.configured.clone(),
            sealed: [nonce.as_slice(), &text].concat(),
            at: self.clock.rfc3339(),
        })
    }

    fn unseal(&self, kept: &SealedToken) -> Result<Option<Secret>, VaultError> {
        if kept.key_id != self.key.id {
            return Err(VaultError::OtherKey { provider: self.provider.clone() });
        }
        if kept.configured != self.configured {
            return Ok(None);
        }
        let damaged = || VaultError::Damaged { provider: self.provider.clone() };
        let (nonce, text) = kept.sealed.split_at_checked(NONCE).ok_or_else(damaged)?;
        let payload = Payload { msg: text, aad: &self.bound };
        let plain = self.cipher().decrypt(XNonce::from_slice(nonce), payload).map_err(|_| damaged())?;
        String::from_utf8(plain).map(|token| Some(Secret::new(token))).map_err(|_| damaged())
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.key.encryption.into())
    }
}
