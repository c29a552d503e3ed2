//! An HTTP server on this machine that a test scripts, in the clear or over TLS under a root of its own. It can go away and come back.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};

/// A request that it got.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Seen {
    /// The first value of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }
}

/// What it answers.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers beside the length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long it takes before it answers.
    pub delay: Duration,
    /// Whether it closes instead of answering.
    pub cut: bool,
}

/// An answer with a status and a text.
pub fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
    Reply { status, headers: Vec::new(), body: body.into(), delay: Duration::ZERO, cut: false }
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

/// A running server.
#[derive(Clone)]
pub struct Far(Arc<Shared>);

struct Shared {
    address: SocketAddr,
    script: Box<Script>,
    tls: Option<Arc<ServerConfig>>,
    gone: AtomicBool,
    seen: Mutex<Vec<Seen>>,
    open: Mutex<Vec<TcpStream>>,
    under_way: AtomicUsize,
    peak: AtomicUsize,
}

impl fmt::Debug for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Far").field(&self.0.address).finish()
    }
}

impl Far {
    /// Starts one in the clear.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Result<Self> {
        Self::at(TcpListener::bind("127.0.0.1:0").context("cannot listen")?, None, script)
    }

    /// Starts one over TLS for these names; gives the root that vouches for it, in PEM.
    ///
    /// # Errors
    /// Where it cannot listen, or no certificate can be made.
    pub fn start_tls(names: &[&str], script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Result<(Self, String)> {
        let mut root = CertificateParams::new(Vec::new())?;
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let certificate = CertificateParams::new(names)?.signed_by(&key, &root)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
        Ok((Self::at(listener, Some(Arc::new(config)), script)?, root.pem()))
    }

    /// Starts one on a socket that listens.
    ///
    /// # Errors
    /// Where the socket has no address.
    pub fn at(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        script: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        let far = Self(Arc::new(Shared {
            address: listener.local_addr()?,
            script: Box::new(script),
            tls,
            gone: AtomicBool::new(false),
            seen: Mutex::default(),
            open: Mutex::default(),
            under_way: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        }));
        let serving = far.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.0.gone.load(SeqCst) {
                    return;
                }
                let serving = serving.clone();
                // Whoever went away needs no answer.
                thread::spawn(move || serving.0.serve(stream).ok());
            }
        });
        Ok(far)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// The requests that it got so far.
    pub fn seen(&self) -> Vec<Seen> {
        locked(&self.0.seen).clone()
    }

    /// The most requests that were under way at once.
    pub fn peak(&self) -> usize {
        self.0.peak.load(SeqCst)
    }

    /// Goes away as a process does that is killed: what is under way gets no answer, and nobody listens any more.
    pub fn kill(&self) {
        self.0.gone.store(true, SeqCst);
        for stream in locked(&self.0.open).drain(..) {
            // One that is closed already is gone too.
            let _closed = stream.shutdown(std::net::Shutdown::Both);
        }
        // The thread that listens wakes up, and drops its socket.
        let _woken = TcpStream::connect(self.0.address);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        locked(&self.open).push(stream.try_clone()?);
        match &self.tls {
            None => self.answer_all(stream),
            Some(config) => self.answer_all(StreamOwned::new(ServerConnection::new(config.clone())?, stream)),
        }
    }

    fn answer_all(&self, stream: impl Read + Write) -> Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(request) = read(&mut stream)? {
            let under_way = self.under_way.fetch_add(1, SeqCst) + 1;
            self.peak.fetch_max(under_way, SeqCst);
            let reply = (self.script)(&request);
            // What a HEAD is answered has no body (RFC 9110, 9.3.2).
            let body = if request.method == "HEAD" { &[][..] } else { &reply.body };
            locked(&self.seen).push(request);
            thread::sleep(reply.delay);
            self.under_way.fetch_sub(1, SeqCst);
            if reply.cut || self.gone.load(SeqCst) {
                return Ok(());
            }
            let mut head = format!("HTTP/1.1 {} X\r\ncontent-length: {}\r\n", reply.status, reply.body.len());
            for (name, value) in &reply.headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            let stream = stream.get_mut();
            stream.write_all(&[head.as_bytes(), b"\r\n", body].concat())?;
            stream.flush()?;
        }
        Ok(())
    }
}

/// One request, with a length or in chunks; `None` where the other end is gone.
fn read(stream: &mut impl BufRead) -> io::Result<Option<Seen>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut seen = Seen { method, path, ..Seen::default() };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        seen.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if let Ok(length) = seen.header("content-length").parse() {
        seen.body = vec![0; length];
        stream.read_exact(&mut seen.body)?;
    } else if seen.header("transfer-encoding") == "chunked" {
        loop {
            let mut size = String::new();
            stream.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk)?;
            if size == 0 {
                break;
            }
            seen.body.extend_from_slice(&chunk[..size]);
        }
    }
    Ok(Some(seen))
}
