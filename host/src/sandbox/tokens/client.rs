//! Asks a token endpoint for a token (RFC 6749, 4.4 and 6).
//!
//! **Threat.** Whoever answers at the endpoint, or in its place, answers never, without end, with a redirect to elsewhere, or with the secret
//! that it was sent. **Answer.** The address is the operator's own and is asked directly, over TLS unless it is on this machine; no
//! redirect is followed and no proxy asked. Time, header and body are bounded, and what an answer says is shortened, made harmless and
//! cleared of secrets before anybody sees it.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use url::{Url, form_urlencoded};

use super::TokenError;
use crate::{
    config::{ClientAuth, Secret},
    sandbox::{Redactor, output::printable},
};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the whole of it may take.
pub(super) const WHOLE: Duration = Duration::from_secs(30);
/// The most bytes of an answer's head, and of its body.
const HEAD: usize = 64 << 10;
const BODY: usize = 64 << 10;
/// The most headers of an answer.
const HEADERS: usize = 64;
/// The longest token, in bytes.
const TOKEN: usize = 16 << 10;
/// Fields of a request that hold no secret.
const SHOWN: [&str; 2] = ["grant_type", "scope"];
/// Bytes of a far side's words that are kept.
const WORDS: usize = 300;

/// What a provider is asked with.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) url: Url,
    pub(super) id: String,
    pub(super) secret: Option<Secret>,
    pub(super) auth: ClientAuth,
    /// In the place of the system's.
    pub(super) roots: Option<Arc<RootCertStore>>,
    /// How long the whole of a request may take.
    pub(super) within: Duration,
}

/// A token as it was given.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) access: Secret,
    pub(super) expires_in: Option<Duration>,
    pub(super) refresh: Option<Secret>,
}

#[derive(Deserialize)]
struct Document {
    access_token: Option<Secret>,
    expires_in: Option<Seconds>,
    refresh_token: Option<Secret>,
    error: Option<String>,
    error_description: Option<String>,
}

/// A number of seconds, which some write as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

impl Seconds {
    fn duration(&self) -> Option<Duration> {
        let seconds = match self {
            Self::Number(seconds) => *seconds,
            Self::Text(text) => text.parse().ok()?,
        };
        Duration::try_from_secs_f64(seconds.max(0.0)).ok()
    }
}

impl Client {
    /// Asks for a token with a form of these fields, to which the client's own are added. No error holds a secret.
    pub(super) async fn ask(&self, fields: &[(&str, &str)]) -> Result<Given, TokenError> {
        let secrets = self.secrets(fields);
        let request = self.request(fields).map_err(TokenError::Unavailable)?;
        let answered = tokio::time::timeout(self.within, self.exchange(request)).await;
        let (status, body) = match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => return Err(TokenError::Unavailable(why)),
            Err(_) => return Err(TokenError::Unavailable(format!("the provider did not answer within {:?}", self.within))),
        };
        read(status, &body, &secrets)
    }

    /// What no error may show: all that is sent, but for what an operator has to see in order to correct it.
    fn secrets(&self, fields: &[(&str, &str)]) -> Redactor {
        let sent = fields.iter().filter(|(name, _)| !SHOWN.contains(name)).map(|(_, value)| *value);
        let secret = self.secret.as_ref().map(Secret::expose);
        // Within the header it is encoded twice.
        let encoded = secret.map(encoded);
        Redactor::new(sent.chain(secret).chain(encoded.as_deref()))
    }

    fn request(&self, fields: &[(&str, &str)]) -> Result<Request<Full<Bytes>>, String> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let builder = Request::post(&self.url[url::Position::BeforePath..])
            .header(header::HOST, &self.url[url::Position::BeforeHost..url::Position::AfterPort])
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("wharf/", env!("CARGO_PKG_VERSION")));
        let builder = match (&self.secret, self.auth) {
            (Some(secret), ClientAuth::Basic) => {
                // Encoded before they are joined (RFC 6749, 2.3.1).
                let pair = STANDARD.encode(format!("{}:{}", encoded(&self.id), encoded(secret.expose())));
                let mut value = HeaderValue::from_str(&format!("Basic {pair}")).map_err(|error| error.to_string())?;
                value.set_sensitive(true);
                builder.header(header::AUTHORIZATION, value)
            }
            (secret, _) => {
                form.append_pair("client_id", &self.id);
                if let Some(secret) = secret {
                    form.append_pair("client_secret", secret.expose());
                }
                builder
            }
        };
        builder.body(Full::from(form.finish())).map_err(|error| error.to_string())
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String> {
        let host = self.url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = self.url.port_or_known_default().unwrap_or_default();
        let connected = tokio::time::timeout(CONNECT, TcpStream::connect((host, port))).await;
        let stream = match connected {
            Ok(stream) => stream.map_err(|error| format!("cannot connect to {host}:{port}: {error}"))?,
            Err(_) => return Err(format!("cannot connect to {host}:{port} within {CONNECT:?}")),
        };
        // A whole request follows the handshake at once.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        if self.url.scheme() == "http" {
            return send(stream, request).await;
        }
        let roots = match &self.roots {
            Some(roots) => roots.clone(),
            None => tokio::task::spawn_blocking(system_roots).await.map_err(|error| error.to_string())??,
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let connector = tokio_rustls::TlsConnector::from(config(roots)?);
        let stream = tokio::time::timeout(CONNECT, connector.connect(name, stream)).await;
        let stream = stream.map_err(|_| format!("no TLS with {host} within {CONNECT:?}"))?;
        send(stream.map_err(|error| format!("no TLS with {host}: {error}"))?, request).await
    }
}

/// As a value of a form.
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn config(roots: Arc<RootCertStore>) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(Arc::new(config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth()))
}

/// The system's certificates. Blocks.
fn system_roots() -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
        return Err(format!("this system has no root certificates: {why}"));
    }
    Ok(Arc::new(roots))
}

/// Sends the one request of a connection and reads the answer.
async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), String> {
    let failed = |error: hyper::Error| format!("the provider's answer cannot be read: {error}");
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_headers(HEADERS).max_buf_size(HEAD);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let exchange = async move {
        let answer = sender.send_request(request).await.map_err(failed)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), BODY).collect().await;
        let body = body.map_err(|error| format!("the provider's answer cannot be read: {error}"))?;
        Ok((status, body.to_bytes()))
    };
    let (mut exchange, mut connection) = (std::pin::pin!(exchange), std::pin::pin!(connection));
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut exchange => return answer,
            // That it ended the exchange is told as well, after what had come before.
            _ = &mut connection, if open => open = false,
        }
    }
}

/// What an answer says.
fn read(status: StatusCode, body: &[u8], secrets: &Redactor) -> Result<Given, TokenError> {
    let words = |text: &str| {
        let text = secrets.text(text);
        printable(&text[..text.floor_char_boundary(WORDS)], false).into_owned()
    };
    let unavailable = |why: String| Err(TokenError::Unavailable(why));
    if status.is_redirection() {
        return unavailable(format!("the provider answered {status}, and redirects are not followed: correct its `token-url`"));
    }
    let document: Option<Document> = serde_json::from_slice(body).ok();
    let Some(document) = document else {
        return unavailable(match status.is_success() {
            true => "the provider answered with what is no JSON document of a token".to_owned(),
            false => format!("the provider answered {status}"),
        });
    };
    // Some say so with the status of success.
    if let Some(error) = &document.error {
        let described = document.error_description.as_deref().map(|text| format!(" ({})", words(text))).unwrap_or_default();
        let what = format!("the provider answered {}{described}", words(error));
        return Err(if error == "invalid_grant" { TokenError::Revoked(what) } else { TokenError::Unavailable(what) });
    }
    if !status.is_success() {
        return unavailable(format!("the provider answered {status}"));
    }
    let is_token = |token: &Secret| {
        let token = token.expose();
        (1..=TOKEN).contains(&token.len()) && token.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    };
    match document {
        Document { access_token: Some(access), expires_in, refresh_token: refresh, .. }
            if is_token(&access) && refresh.as_ref().is_none_or(is_token) =>
        {
            Ok(Given { access, expires_in: expires_in.and_then(|seconds| seconds.duration()), refresh })
        }
        Document { access_token: None, .. } => unavailable("the provider answered without an `access_token`".to_owned()),
        _ => unavailable("the provider answered with a token that is empty, too long, or not of visible ASCII".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(status: u16, body: &str) -> Result<Given, TokenError> {
        read(StatusCode::from_u16(status).unwrap(), body.as_bytes(), &Redactor::new(["hunter22"]))
    }

    fn refused(status: u16, body: &str) -> String {
        of(status, body).unwrap_err().to_string()
    }

    #[test]
    fn a_token_is_read_as_providers_write_it() {
        let given = of(200, r#"{"access_token": "a.b-c", "token_type": "Bearer", "expires_in": 3600, "scope": "x"}"#).unwrap();
        assert_eq!((given.access.expose(), given.expires_in, given.refresh), ("a.b-c", Some(Duration::from_secs(3600)), None));
        let given = of(200, r#"{"access_token": "a", "expires_in": "90", "refresh_token": "r"}"#).unwrap();
        assert_eq!((given.expires_in, given.refresh.unwrap().expose()), (Some(Duration::from_secs(90)), "r"));
        for (seconds, expected) in [("-1", Some(0)), ("0", Some(0)), ("1e300", None), ("\"soon\"", None), ("null", None)] {
            let given = of(200, &format!(r#"{{"access_token": "a", "expires_in": {seconds}}}"#)).unwrap();
            assert_eq!(given.expires_in, expected.map(Duration::from_secs), "{seconds}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_a_secret_and_without_control_characters() {
        assert_eq!(
            refused(400, r#"{"error": "invalid_grant", "error_description": "hunter22 was\u001b[2J revoked"}"#),
            "an operator must give consent again: the provider answered invalid_grant (*** was\\u{1b}[2J revoked)"
        );
        let now = "no token for now: the provider answered";
        assert_eq!(refused(401, r#"{"error": "invalid_client"}"#), format!("{now} invalid_client"));
        assert_eq!(refused(200, r#"{"error": "slow_down"}"#), format!("{now} slow_down"));
        assert_eq!(refused(503, "<html>hunter22"), format!("{now} 503 Service Unavailable"));
        assert_eq!(refused(200, "<html>"), format!("{now} with what is no JSON document of a token"));
        assert_eq!(refused(200, "{}"), format!("{now} without an `access_token`"));
        assert!(refused(302, "").contains("redirects are not followed"));
        let long = format!(r#"{{"error": "{}"}}"#, "é".repeat(10_000));
        assert!(refused(400, &long).len() < 400);
        for token in ["", "a\\nb", "é", &"x".repeat(TOKEN + 1)] {
            let why = refused(200, &format!(r#"{{"access_token": "{token}"}}"#));
            assert!(why.ends_with("empty, too long, or not of visible ASCII"), "{why}");
        }
    }

    #[test]
    fn what_a_provider_repeats_of_a_request_is_told_without_its_secrets() {
        let client = Client {
            url: "https://a.example/".parse().unwrap(),
            id: "us".into(),
            secret: Some(Secret::new("client secret?")),
            auth: ClientAuth::Basic,
            roots: None,
            within: WHOLE,
        };
        let fields =
            [("grant_type", "refresh_token"), ("refresh_token", "refresh/1"), ("scope", "read:all"), ("audience", "audience/1")];
        let told = |echoed: &str| {
            let body = serde_json::json!({ "error": "no", "error_description": format!("<{echoed}>") }).to_string();
            read(StatusCode::BAD_REQUEST, body.as_bytes(), &client.secrets(&fields)).unwrap_err().to_string()
        };
        for secret in ["client secret?", "refresh/1", "audience/1"] {
            for form in [secret.to_owned(), encoded(secret), STANDARD.encode(secret)] {
                assert!(told(&form).ends_with("(<***>)"), "{}", told(&form));
            }
        }
        let request = client.request(&fields).unwrap();
        let header = told(request.headers()[header::AUTHORIZATION].to_str().unwrap());
        assert_eq!(header, "no token for now: the provider answered no (<Basic dXM6***>)");
        for shown in ["refresh_token", "read:all"] {
            assert!(told(shown).contains(shown));
        }
    }

    #[tokio::test]
    async fn a_provider_that_never_answers_is_not_waited_for() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let within = Duration::from_millis(200);
        let client = Client { url, id: "us".into(), secret: None, auth: ClientAuth::Basic, roots: None, within };
        let error = client.ask(&[]).await.unwrap_err();
        assert_eq!(error, TokenError::Unavailable("the provider did not answer within 200ms".into()));
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic_or_tells_a_secret(status in 200u16..600, before: String, after: Vec<u8>) {
            let bytes = [br#"{"error": ""#.as_slice(), before.as_bytes(), b"hunter22", &after, b"\"}"].concat();
            if let Err(error) = read(StatusCode::from_u16(status).unwrap(), &bytes, &Redactor::new(["hunter22"])) {
                prop_assert!(!error.to_string().contains("hunter22"));
            }
        }
    }
}
