//! Who hands out the access tokens of a pipeline file.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::RootCertStore;
use thiserror::Error;

use super::error::PlanError;
use crate::{
    clock::Clock,
    config::{At, Digest, File, Secret, SecretFrom, TokenKind, TokenProvider},
    given_file,
    sandbox::{
        roots,
        tokens::{
            Broker, ProviderOptions,
            vault::{KEY_FILE, Key, KeyError},
        },
    },
};

/// The most bytes of a file that holds a secret.
const LARGEST: u64 = 16 << 10;

/// The most bytes of any file that the pipeline file names for the host.
const LARGEST_NAMED: u64 = 4 << 20;

/// Why tokens cannot be had of a provider.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// A file of its cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What came back.
        cause: io::Error,
    },
    /// A file of its holds no secret.
    #[error("{} holds no secret: {why}", path.display())]
    NotASecret {
        /// Which.
        path: PathBuf,
        /// What it holds instead.
        why: &'static str,
    },
    /// A file of its holds no certificate.
    #[error("{} holds no PEM certificates: {why}", path.display())]
    NoCertificates {
        /// Which.
        path: PathBuf,
        /// What it holds instead.
        why: String,
    },
    /// Nothing names the key that later refresh tokens are kept under.
    #[error("a refresh token needs {KEY_FILE}, and it is not set")]
    NoKeyFile,
    /// What is named holds no key.
    #[error(transparent)]
    Key(KeyError),
}

impl ProviderError {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::File { .. } => "correct the path; it counts from the pipeline file's own folder".into(),
            Self::NotASecret { .. } => "write the secret into it, on one line and nothing else".into(),
            Self::NoCertificates { .. } => "name a file that begins with -----BEGIN CERTIFICATE-----".into(),
            Self::NoKeyFile => format!(
                "far sides change refresh tokens, and the host keeps them under a key: (umask 077; openssl rand -base64 32 > FILE), and set {KEY_FILE} to FILE"
            ),
            Self::Key(cause) => cause.hint(),
        }
    }
}

/// Who hands out the access tokens of a pipeline file.
#[derive(Clone, Debug)]
pub struct Providers {
    /// They.
    pub broker: Arc<Broker>,
    /// What they were made of.
    pub(super) digest: Digest,
}

impl Providers {
    /// Whether these are the very same.
    pub fn are(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.broker, &other.broker)
    }
}

/// What files say. One that cannot be read says nothing here: whoever uses it tells.
pub(super) fn contents<'a>(files: impl Iterator<Item = &'a Path>) -> Digest {
    files.fold(Digest::default(), |digest, path| digest.with(&given_file::read(path, LARGEST_NAMED).unwrap_or_default()))
}

/// The providers of a file: those that run where nothing changed in them, else new ones.
pub(super) fn providers(file: &File, before: Option<&Providers>, clock: &Clock, errors: &mut Vec<PlanError>) -> Providers {
    let files = file.tokens.iter().flat_map(|provider| provider.all_files()).chain(file.key_file());
    let digest = file.tokens_digest().and(contents(files));
    match before.filter(|before| before.digest == digest) {
        Some(before) => before.clone(),
        None => Providers { broker: broker(&file.tokens, file.key_file(), clock, errors), digest },
    }
}

/// Makes providers of what stands under `tokens`. What cannot be is told with its place; nobody is asked for anything.
fn broker(given: &[At<TokenProvider>], key_file: Option<&Path>, clock: &Clock, errors: &mut Vec<PlanError>) -> Arc<Broker> {
    // Read once, and told once where it is wrong.
    let mut key: Option<Arc<Key>> = None;
    let mut providers = Vec::new();
    for At { value: given, place } in given {
        match options(given, key_file, &mut key) {
            Ok(options) => providers.push(options),
            Err(cause) => {
                let (provider, place) = (given.id.value.to_string(), place.clone());
                errors.push(PlanError::Tokens { provider, place, cause });
            }
        }
    }
    Arc::new(Broker::new(providers, clock))
}

fn options(
    given: &TokenProvider,
    key_file: Option<&Path>,
    known: &mut Option<Arc<Key>>,
) -> Result<ProviderOptions, ProviderError> {
    let TokenProvider { id, kind, token_url, client_id, client_secret, refresh_token, auth, scopes, parameters, roots } = given;
    let secret = |from: &Option<At<SecretFrom>>| from.as_ref().map(|from| secret(&from.value)).transpose();
    let refresh = match (kind, secret(refresh_token)?) {
        (TokenKind::RefreshToken, Some(token)) => {
            let key = match known {
                Some(key) => key.clone(),
                None => known.insert(Arc::new(key(key_file)?)).clone(),
            };
            Some((token, key))
        }
        _ => None,
    };
    let scope = scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ");
    let scope = (!scope.is_empty()).then(|| ("scope".to_owned(), Secret::new(scope)));
    let fields = parameters.iter().map(|(name, value)| (name.to_owned(), value.clone()));
    Ok(ProviderOptions {
        id: id.value.to_string(),
        url: token_url.url().clone(),
        client_id: client_id.clone(),
        client_secret: secret(client_secret)?,
        auth: *auth,
        fields: scope.into_iter().chain(fields).collect(),
        refresh,
        roots: roots.as_deref().map(certificates).transpose()?,
    })
}

fn key(file: Option<&Path>) -> Result<Key, ProviderError> {
    Key::read(file.ok_or(ProviderError::NoKeyFile)?).map_err(ProviderError::Key)
}

fn secret(from: &SecretFrom) -> Result<Secret, ProviderError> {
    let path = match from {
        SecretFrom::Text(secret) => return Ok(secret.clone()),
        SecretFrom::File(path) => path,
    };
    let failed = |cause| ProviderError::File { path: path.clone(), cause };
    let not = |why| ProviderError::NotASecret { path: path.clone(), why };
    let bytes = given_file::read(path, LARGEST).map_err(|cause| match cause.kind() {
        io::ErrorKind::FileTooLarge => not("it has more than 16KiB"),
        _ => failed(cause),
    })?;
    let text = String::from_utf8(bytes).map_err(|_| not("it is not UTF-8"))?;
    match text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)) {
        "" => Err(not("it is empty")),
        line if line.contains(char::is_control) => Err(not("it has more than one line, or control characters")),
        line => Ok(Secret::new(line)),
    }
}

fn certificates(path: &Path) -> Result<Arc<RootCertStore>, ProviderError> {
    let roots = roots::read(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::InvalidData => ProviderError::NoCertificates { path: path.to_owned(), why: cause.to_string() },
        _ => ProviderError::File { path: path.to_owned(), cause },
    });
    roots.map(Arc::new)
}
