//! An HTTP server on this machine, with and without TLS, that can misbehave, and a resolver that says what it is told to.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    task::JoinHandle,
    time::sleep,
};
use tokio_rustls::{TlsAcceptor, rustls};
use wharf::sandbox::address::Resolver;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Request line and headers.
    pub head: String,
    /// Bytes of the body.
    pub body: usize,
}

impl Seen {
    /// All values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    accepted: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    /// Where `/redirect` leads to.
    location: Mutex<String>,
}

/// Listens until it is dropped.
pub struct Server {
    pub address: SocketAddr,
    state: Arc<State>,
    listening: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None).await
    }

    pub async fn at(address: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let listening = tokio::spawn({
            let state = state.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (state, tls) = (state.clone(), tls.clone());
                    state.accepted.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(async move {
                        let open = state.open.fetch_add(1, Ordering::SeqCst) + 1;
                        state.most_open.fetch_max(open, Ordering::SeqCst);
                        let _gone = match tls {
                            None => serve(stream, &state).await,
                            Some(tls) => match tls.accept(stream).await {
                                Ok(stream) => serve(stream, &state).await,
                                Err(error) => Err(error),
                            },
                        };
                        state.open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            }
        });
        Self { address, state, listening }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn redirect_to(&self, location: &str) {
        *self.state.location.lock().unwrap() = location.to_owned();
    }

    /// The requests that arrived so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// How many connections were made so far.
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// The most connections at once.
    pub fn most_open(&self) -> usize {
        self.state.most_open.load(Ordering::SeqCst)
    }

    /// Waits until all connections are closed.
    pub async fn closed(&self) {
        for _ in 0..500 {
            if self.state.open.load(Ordering::SeqCst) == 0 {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("{} connections are still open", self.state.open.load(Ordering::SeqCst));
    }
}

/// A certificate for these names under a root of its own: what a server speaks TLS with, and the root in PEM.
pub fn tls(names: &[&str]) -> (TlsAcceptor, String) {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &root).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), root.pem())
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, state: &State) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).trim_end().to_owned();
        let mut seen = Seen { head, body: 0 };
        seen.body = body(&mut stream, &seen).await?;
        state.seen.lock().unwrap().push(seen.clone());
        let path = seen.line().split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
        let (what, number) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), "0"));
        let number: usize = number.parse().unwrap_or_default();
        match what {
            // Until the other end has gone.
            "silent" => return stream.read_u8().await.map(drop),
            // Answers after so many milliseconds.
            "slow" => {
                sleep(Duration::from_millis(number as u64)).await;
                answer(&mut stream, "200 OK", "", b"late").await?;
            }
            "drip" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await?;
                loop {
                    stream.write_all(b"x").await?;
                    stream.flush().await?;
                    sleep(Duration::from_millis(number as u64)).await;
                }
            }
            "endless" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                loop {
                    stream.write_all(&[b'x'; 4096]).await?;
                }
            }
            "endless-head" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
                loop {
                    stream.write_all(b"x-more: and more\r\n").await?;
                }
            }
            "headers" => {
                let headers: String = (0..number).map(|index| format!("x-{index}: x\r\n")).collect();
                answer(&mut stream, "200 OK", &headers, b"").await?;
            }
            "header-bytes" => answer(&mut stream, "200 OK", &format!("x-long: {}\r\n", "x".repeat(number)), b"").await?,
            "length" => answer(&mut stream, "200 OK", "", &vec![b'x'; number]).await?,
            "chunked" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
                for _ in 0..number {
                    stream.write_all(b"400\r\n").await?;
                    stream.write_all(&[b'x'; 1024]).await?;
                    stream.write_all(b"\r\n").await?;
                }
                stream.write_all(b"0\r\n\r\n").await?;
                stream.flush().await?;
            }
            "short" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort").await?;
                stream.flush().await?;
                return Ok(());
            }
            "garbage" => {
                stream.write_all(b"\x15\x03\x01\x00\x02 this is no HTTP\r\n\r\n").await?;
                stream.flush().await?;
                return Ok(());
            }
            "upgrade" => {
                stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: own\r\n\r\n").await?;
                stream.flush().await?;
            }
            "redirect" => {
                let location = format!("location: {}\r\n", state.location.lock().unwrap());
                answer(&mut stream, "302 Found", &location, b"").await?;
            }
            "refuse" => answer(&mut stream, "401 Unauthorized", "", b"").await?,
            "close" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await?;
                stream.flush().await?;
                return Ok(());
            }
            // Says nothing and closes, so that whoever keeps the connection finds it closed.
            "shut" => {
                answer(&mut stream, "200 OK", "", b"").await?;
                return Ok(());
            }
            "hop" => {
                let headers = "proxy-authenticate: x\r\nkeep-alive: timeout=5\r\ntrailer: x\r\nx-kept: y\r\n";
                answer(&mut stream, "200 OK", headers, b"").await?;
            }
            // What the host added comes back in every form.
            "echo" => {
                let got = seen.header("authorization").join(",");
                let bare = got.split_once(' ').map_or(got.as_str(), |(_, rest)| rest);
                let encoded = STANDARD.encode(format!("user:{bare}"));
                let percent = bare.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
                let headers = format!(
                    "x-plain: {got}\r\nx-bare: <{bare}>\r\nx-base64: {}\r\nx-within: {encoded}\r\nx-percent: {percent}\r\n",
                    STANDARD.encode(bare),
                );
                answer(&mut stream, "200 OK", &headers, got.as_bytes()).await?;
            }
            _ => answer(&mut stream, "200 OK", "", b"hello").await?,
        }
    }
}

async fn answer<S: AsyncWrite + Unpin>(stream: &mut S, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.flush().await
}

async fn body<S: AsyncRead + Unpin>(stream: &mut BufReader<S>, seen: &Seen) -> io::Result<usize> {
    if let Some(length) = seen.header("content-length").first() {
        let length: usize = length.parse().unwrap();
        let mut left = length;
        let mut piece = vec![0; 64 << 10];
        while left > 0 {
            let room = left.min(piece.len());
            let read = stream.read(&mut piece[..room]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= read;
        }
        return Ok(length);
    }
    if seen.header("transfer-encoding").is_empty() {
        return Ok(0);
    }
    let mut bytes = 0;
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(stream.read_u8().await?);
        }
        let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).await?;
        if size == 0 {
            return Ok(bytes);
        }
        bytes += size;
    }
}

/// Names as a test has them, and what was asked. Each answer of a name is given once, but the last one again and again.
#[derive(Debug, Default)]
pub struct Names {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    pub fn new(names: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let parsed = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        let answers = names.iter().map(|(name, answers)| ((*name).to_owned(), answers.iter().map(parsed).collect()));
        Arc::new(Self { answers: Mutex::new(answers.collect()), asked: Mutex::default() })
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Resolver for Names {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let Some(answers) = answers.get_mut(name) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
    }
}
