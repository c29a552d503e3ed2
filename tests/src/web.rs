//! A web server on this machine that answers a path with the status which it names.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};

/// A running server: `GET /401` is answered with 401, and so on. It answers until the test's process ends.
#[derive(Clone, Debug)]
pub struct Web {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Web {
    /// An address that nobody listens at, and that nobody else is given: of loopback there are many.
    pub fn free() -> SocketAddr {
        static GIVEN: AtomicU8 = AtomicU8::new(1);
        let [.., high, low] = std::process::id().to_be_bytes();
        let host = Ipv4Addr::new(127, high | 1, low, GIVEN.fetch_add(1, Ordering::SeqCst));
        (host, 7070).into()
    }

    /// Starts one.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub fn start(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).context("cannot listen")?;
        let web = Self { address: listener.local_addr()?, asked: Arc::default() };
        let serving = web.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                // Whoever went away needs no answer.
                thread::spawn(move || serving.serve(&stream).ok());
            }
        });
        Ok(web)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often it was asked so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn serve(&self, mut stream: &TcpStream) -> Result<()> {
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next().context("nothing was asked")??;
        let path = first.split(' ').nth(1).context("no request")?.to_owned();
        for line in lines {
            if line?.is_empty() {
                break;
            }
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let status = path.trim_start_matches('/');
        write!(stream, "HTTP/1.1 {status} As-Asked\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
        Ok(())
    }
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// What came behind them.
    pub body: String,
}

/// Asks a server for a path, and waits for the whole answer.
///
/// # Errors
/// Where nobody answers, or not as HTTP has it.
pub fn ask(address: SocketAddr, method: &str, path: &str) -> Result<Answered> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no end of the headers")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok(Answered { status, head: head.to_owned(), body: body.to_owned() })
}
