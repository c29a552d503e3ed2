//! The wire, in the clear or encrypted.

use std::{
    fmt,
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

use super::Error;

/// How a connection is encrypted, as `sslmode` of libpq has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, wharf_sdk::Parameters)]
pub enum Tls {
    /// It is not.
    Off,
    /// It is, to whoever answers: nobody can listen, and somebody can stand between.
    Require,
    /// It is, to a server with a certificate of that name which a root vouches for.
    VerifyFull,
}

/// Where a server is.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: Tls,
    /// Certificates that vouch for it, in PEM; where there are none, those that browsers have.
    pub roots: Option<String>,
    /// How long an answer may take before the connection is given up.
    pub patience: Duration,
}

pub(super) enum Stream {
    Plain(TcpStream),
    Encrypted(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_encrypted() { "Encrypted" } else { "Plain" })
    }
}

impl Stream {
    pub fn open(endpoint: &Endpoint) -> Result<Self, Error> {
        let Endpoint { host, port, tls, patience, .. } = endpoint;
        let mut plain = TcpStream::connect((host.as_str(), *port))?;
        // A server that is cut off says nothing any more, not even that it is.
        plain.set_read_timeout(Some(*patience))?;
        plain.set_write_timeout(Some(*patience))?;
        // Where it cannot be set, it is a matter of speed alone.
        let _slower = plain.set_nodelay(true);
        if *tls == Tls::Off {
            return Ok(Self::Plain(plain));
        }
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        plain.write_all(&request)?;
        let mut answer = [0];
        plain.read_exact(&mut answer)?;
        if answer != *b"S" {
            return Err(Error::NoTls);
        }
        let wrong = |error: String| Error::Tls(format!("the settings of TLS make no sense: {error}"));
        let name = ServerName::try_from(host.clone()).map_err(|error| wrong(format!("`{host}`: {error}")))?;
        let session = ClientConnection::new(Arc::new(config(endpoint)?), name).map_err(|error| wrong(error.to_string()))?;
        let mut stream = StreamOwned::new(session, plain);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|error| {
                match error.get_ref().and_then(|error| error.downcast_ref()) {
                    Some(rustls::Error::InvalidCertificate(why)) => {
                        Error::Tls(format!("the server's certificate is not one that is trusted: {why:?}"))
                    }
                    _ => Error::Io(error),
                }
            })?;
        }
        Ok(Self::Encrypted(Box::new(stream)))
    }

    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::Encrypted(_))
    }
}

fn config(endpoint: &Endpoint) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Error::Tls(error.to_string()))?;
    if endpoint.tls == Tls::Require {
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)));
        return Ok(builder.with_no_client_auth());
    }
    let mut roots = RootCertStore::empty();
    match &endpoint.roots {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            let wrong = |error: String| Error::Tls(format!("`root-certificate` holds no certificates in PEM: {error}"));
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("there is none in it".into()));
            }
        }
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Takes any certificate, as `sslmode=require` does, and holds its owner to it.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Encrypted(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(from),
            Self::Encrypted(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}
