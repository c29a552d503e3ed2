//! From a granted name to an open connection.
//!
//! **Threat.** A granted name leads into the operator's own network, or to another address when it is connected to than when it was
//! looked at. **Answer.** The host looks the name up itself, holds every address of the answer against the grant, and connects to these
//! addresses and no others. An answer that holds one forbidden address is refused as a whole: such a mixture is made by somebody who
//! counts on the next attempt to take the other one.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::Error;

use super::{Granted, pool::Connection};
use crate::{
    config::{HttpLimits, Origin, Scheme},
    sandbox::address::{Range, Resolver, range},
};

/// Why nothing is connected to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreachable {
    #[error("{0} cannot be looked up: {1}")]
    LookUp(String, io::Error),
    #[error("the look-up of {0} took too long")]
    LookUpTime(String),
    #[error("{0} is a {1} address, and the grant does not say `private: true`")]
    Address(IpAddr, Range),
    #[error("{0} is not this machine, and what the grant adds is not sent in the clear")]
    InTheClear(IpAddr),
}

impl Unreachable {
    /// Whether it is the host that refuses.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Address(..) | Self::InTheClear(_))
    }

    pub fn code(&self) -> Error {
        match self {
            Self::LookUp(..) => Error::DnsError { rcode: None, info_code: None },
            Self::LookUpTime(_) => Error::DnsTimeout,
            Self::Address(..) => Error::DestinationIpProhibited,
            Self::InTheClear(_) => Error::HttpRequestDenied,
        }
    }
}

/// The addresses that may be connected to, all of them checked.
pub(super) async fn addresses(
    granted: &Granted,
    origin: &Origin,
    resolver: &dyn Resolver,
    until: Instant,
) -> Result<Vec<SocketAddr>, Unreachable> {
    let found = match origin.host.name() {
        None => origin.host.address().into_iter().collect(),
        Some(name) => {
            let failed = |cause| Unreachable::LookUp(name.to_owned(), cause);
            let looked_up = timeout_at(until, resolver.addresses(name)).await;
            let found = looked_up.map_err(|_| Unreachable::LookUpTime(name.to_owned()))?.map_err(failed)?;
            if found.is_empty() {
                return Err(failed(io::ErrorKind::NotFound.into()));
            }
            found
        }
    };
    for address in &found {
        let range = range(*address);
        // An address that is granted by itself is granted whatever it is; no name leads to all addresses or to many.
        let nobodys = |range: &Range| matches!(range, Range::Unspecified | Range::Multicast);
        let barred = |range: &Range| origin.host.address().is_none() && (!granted.private || nobodys(range));
        if let Some(range) = range.filter(barred) {
            return Err(Unreachable::Address(*address, range));
        }
        if !granted.credentials.is_empty() && origin.scheme == Scheme::Http && range != Some(Range::Loopback) {
            return Err(Unreachable::InTheClear(*address));
        }
    }
    Ok(found.into_iter().map(|address| SocketAddr::new(address, origin.port)).collect())
}

/// Why there is no connection: what the component is told, and what the log says.
pub(super) type Failed = (Error, String);

/// Connects to one of the addresses and speaks TLS where the scheme asks for it.
pub(super) async fn connect(
    granted: &Granted,
    origin: &Origin,
    addresses: &[SocketAddr],
    limits: &HttpLimits,
    permit: OwnedSemaphorePermit,
    until: Instant,
) -> Result<Connection, Failed> {
    let stream = stream(addresses, until).await?;
    let Some(tls) = granted.tls.clone().filter(|_| origin.scheme == Scheme::Https) else {
        return handshake(stream, limits, permit).await;
    };
    let name = match (origin.host.name(), origin.host.address()) {
        (Some(name), _) => ServerName::try_from(name.to_owned()).ok(),
        (None, address) => address.map(ServerName::from),
    };
    let name = name.ok_or_else(|| (Error::TlsCertificateError, "no certificate can bear this name".to_owned()))?;
    let connecting = timeout_at(until, TlsConnector::from(tls).connect(name, stream)).await;
    let stream = connecting.map_err(|_| late())?.map_err(|error| (tls_code(&error), format!("TLS: {error}")))?;
    handshake(stream, limits, permit).await
}

fn late() -> Failed {
    (Error::ConnectionTimeout, "connecting took too long (limits.http.connect-time)".to_owned())
}

/// One address after the other; each gets its share of the time that is left, so that one that never answers leaves some to the others.
async fn stream(addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, Failed> {
    let mut last = late();
    for (index, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(u32::MAX).max(1);
        if share == Duration::ZERO {
            break;
        }
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Latency matters more than packets; a socket that cannot be told so serves as well.
                let _told = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => {
                let code = match error.kind() {
                    io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
                    io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Error::DestinationIpUnroutable,
                    _ => Error::DestinationUnavailable,
                };
                last = (code, format!("{address}: {error}"));
            }
            Err(_) => last = late(),
        }
    }
    Err(last)
}

async fn handshake<S>(stream: S, limits: &HttpLimits, permit: OwnedSemaphorePermit) -> Result<Connection, Failed>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // Beside names and values a head has a line of its own, and four bytes a header.
    let head = limits.header_bytes.bytes() + u64::from(limits.headers) * 4 + 1024;
    let (sender, driver) = http1::Builder::new()
        .max_headers(limits.headers as usize)
        .max_buf_size(usize::try_from(head).unwrap_or(usize::MAX))
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| (Error::HttpProtocolError, error.to_string()))?;
    // What went wrong with it is told to whoever sent the request.
    let driver = wasmtime_wasi::runtime::spawn(async move { drop(driver.await) });
    Ok(Connection::new(sender, driver, permit))
}

fn tls_code(error: &io::Error) -> Error {
    match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => Error::TlsCertificateError,
        Some(rustls::Error::AlertReceived(alert)) => {
            Error::TlsAlertReceived { alert_id: Some(alert_number(*alert)), alert_message: None }
        }
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}

fn alert_number(alert: AlertDescription) -> u8 {
    alert.into()
}

/// What is trusted as roots where the grant names none: the system's certificates, read once.
pub(super) fn system_roots() -> Result<Arc<rustls::RootCertStore>, String> {
    static ROOTS: std::sync::OnceLock<Result<Arc<rustls::RootCertStore>, String>> = std::sync::OnceLock::new();
    let read = || {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
            return Err(why);
        }
        Ok(Arc::new(roots))
    };
    ROOTS.get_or_init(read).clone()
}

/// How TLS is spoken with these roots.
pub(super) fn tls(roots: Arc<rustls::RootCertStore>) -> Result<Arc<rustls::ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
