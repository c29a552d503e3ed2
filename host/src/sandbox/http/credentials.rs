//! What the host adds to requests, which a component never holds.
//!
//! **Threat.** A credential in a component is a credential of whoever wrote the component. **Answer.** A grant names headers and where
//! their values come from; they are put on requests to that grant's pattern behind the component's back, in place of whatever the
//! component set by the same names, and only where nobody can listen: over TLS, or on this machine itself.

use std::{fmt, io, path::Path, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    config::{AddedHeader, HeaderFrom, Secret},
    given_file,
    sandbox::{
        redaction::Redactor,
        tokens::{TokenError, TokenSource},
    },
};

/// The most bytes of a file that holds a header's value.
const LARGEST: u64 = 16 << 10;

/// The headers that one grant adds.
#[derive(Clone, Debug, Default)]
pub struct Credentials(Arc<[Credential]>);

#[derive(Debug)]
struct Credential {
    name: HeaderName,
    value: Value,
}

enum Value {
    Fixed(HeaderValue),
    Token { prefix: Box<str>, provider: Box<str>, source: Arc<dyn TokenSource> },
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(_) => f.write_str("***"),
            Self::Token { provider, .. } => write!(f, "a token of {provider}"),
        }
    }
}

/// Tokens that a request was sent with, to be told of where the far side refuses them.
#[derive(Debug, Default)]
pub struct Lent(Vec<(Box<str>, Secret, Arc<dyn TokenSource>)>);

impl Lent {
    /// The far side refused the request for who sent it.
    pub fn refused(&self) {
        for (provider, token, source) in &self.0 {
            source.refused(provider, token.expose());
        }
    }
}

impl Credentials {
    /// Reads what a grant adds. What it holds is noted as a secret.
    pub(super) fn read(
        added: &[AddedHeader],
        tokens: Option<&Arc<dyn TokenSource>>,
        secrets: &mut Vec<Secret>,
    ) -> Result<Self, (HeaderName, Unreadable)> {
        let read = |header: &AddedHeader| {
            let failed = |cause| (header.name.clone(), cause);
            let secret = match &header.value {
                HeaderFrom::Text(secret) => secret.clone(),
                HeaderFrom::File(path) => from_file(path).map_err(failed)?,
                HeaderFrom::Token(provider) => {
                    let source = tokens.ok_or_else(|| failed(Unreadable::NoProvider(provider.clone())))?.clone();
                    let value =
                        Value::Token { prefix: header.prefix.as_str().into(), provider: provider.as_str().into(), source };
                    return Ok(Credential { name: header.name.clone(), value });
                }
            };
            let whole = format!("{}{}", header.prefix, secret.expose());
            let mut value = HeaderValue::from_str(&whole).map_err(|_| failed(Unreadable::NotAValue))?;
            value.set_sensitive(true);
            secrets.extend(pieces(&whole));
            secrets.push(Secret::new(secret.expose().to_owned()));
            Ok(Credential { name: header.name.clone(), value: Value::Fixed(value) })
        };
        added.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a header of this name is one of them.
    pub fn adds(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|credential| credential.name == name)
    }

    /// Puts them on a request, in place of what bears their names.
    pub(super) async fn put_on(&self, headers: &mut HeaderMap, redactor: &Redactor) -> Result<Lent, TokenError> {
        let mut lent = Lent::default();
        for Credential { name, value } in self.0.iter() {
            let value = match value {
                Value::Fixed(value) => value.clone(),
                Value::Token { prefix, provider, source } => {
                    let token = source.token(provider).await?;
                    redactor.learn(token.expose());
                    let mut value = HeaderValue::from_str(&format!("{prefix}{}", token.expose()))
                        .map_err(|_| TokenError::Unavailable("the token cannot stand in a header".to_owned()))?;
                    value.set_sensitive(true);
                    lent.0.push((provider.clone(), token, source.clone()));
                    value
                }
            };
            headers.insert(name, value);
        }
        Ok(lent)
    }
}

/// Why the value of an added header cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Its file cannot be read.
    #[error("cannot read {path}: {cause}")]
    File {
        /// Which.
        path: String,
        /// What came back.
        cause: io::Error,
    },
    /// Its file is larger than any header.
    #[error("{0} is larger than 16KiB")]
    TooLarge(String),
    /// It cannot stand in a header.
    #[error("its value is not one line of visible characters")]
    NotAValue,
    /// Nobody hands out tokens by this name.
    #[error("there is no token provider `{0}`")]
    NoProvider(String),
    /// There is nothing.
    #[error("{0} is empty")]
    Empty(String),
}

fn from_file(path: &Path) -> Result<Secret, Unreadable> {
    let shown = || path.display().to_string();
    let failed = |cause| Unreadable::File { path: shown(), cause };
    let text = given_file::read(path, LARGEST).map_err(|cause| match cause.kind() {
        io::ErrorKind::FileTooLarge => Unreadable::TooLarge(shown()),
        _ => failed(cause),
    })?;
    let text = String::from_utf8(text).map_err(|_| Unreadable::NotAValue)?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    match line {
        "" => Err(Unreadable::Empty(shown())),
        line if line.bytes().all(|byte| matches!(byte, b' '..=b'~')) => Ok(Secret::new(line)),
        _ => Err(Unreadable::NotAValue),
    }
}

/// What of a header's value is secret on its own: all of it, what stands behind a scheme such as `Bearer`, and both halves of what
/// `Basic` encodes.
fn pieces(value: &str) -> Vec<Secret> {
    let mut pieces = vec![value.to_owned()];
    if let Some((scheme, rest)) = value.split_once(' ') {
        pieces.push(rest.to_owned());
        let decoded = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some(pair) = decoded.filter(|_| scheme.eq_ignore_ascii_case("basic")) {
            pieces.extend(pair.split_once(':').map(|(_, password)| password.to_owned()));
            pieces.push(pair);
        }
    }
    pieces.into_iter().map(Secret::new).collect()
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    #[test]
    fn the_halves_of_a_pair_are_secrets_of_their_own() {
        let secrets = |value| pieces(value).iter().map(|piece| piece.expose().to_owned()).collect::<Vec<_>>();
        assert_eq!(secrets("plain"), ["plain"]);
        assert_eq!(secrets("Bearer token"), ["Bearer token", "token"]);
        assert_eq!(
            secrets("Basic dXNlcjpwYXNzd29yZA=="),
            ["Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA==", "password", "user:password"]
        );
    }

    #[derive(Debug, Default)]
    struct Source(std::sync::Mutex<Vec<String>>);

    #[async_trait]
    impl TokenSource for Source {
        async fn token(&self, provider: &str) -> Result<Secret, TokenError> {
            Ok(Secret::new(format!("token-of-{provider}")))
        }

        fn refused(&self, provider: &str, token: &str) {
            self.0.lock().unwrap().push(format!("{provider} {token}"));
        }
    }

    #[tokio::test]
    async fn a_token_is_asked_for_learned_and_given_back() {
        let source = Arc::new(Source::default());
        let value = Value::Token { prefix: "Bearer ".into(), provider: "bank".into(), source: source.clone() };
        let credentials = Credentials(Arc::new([Credential { name: http::header::AUTHORIZATION, value }]));
        assert!(!format!("{credentials:?}").contains("token-of"));
        let (mut headers, redactor) = (HeaderMap::new(), Redactor::default());
        headers.append("authorization", HeaderValue::from_static("the component's"));
        headers.append("authorization", HeaderValue::from_static("and another"));
        let lent = credentials.put_on(&mut headers, &redactor).await.unwrap();
        assert_eq!(headers.get_all("authorization").iter().collect::<Vec<_>>(), ["Bearer token-of-bank"]);
        assert_eq!(redactor.text("got token-of-bank"), "got ***");
        assert!(!format!("{headers:?}").contains("token-of"));
        lent.refused();
        assert_eq!(*source.0.lock().unwrap(), ["bank token-of-bank"]);
    }
}
