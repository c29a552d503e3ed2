//! The server: what it listens at, and what it answers.

use std::{
    convert::Infallible,
    fmt::Display,
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex, Semaphore},
};

use super::{
    collect,
    exposition::{CONTENT_TYPE, Exposition, Metric},
    health,
};
use crate::{
    runtime::{Overview, SpoolOverview},
    sandbox::Compilations,
    store::LetterTotals,
};

/// The most connections at once; others wait.
const CONNECTIONS: usize = 64;

/// How long the head of a request may take.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// The most bytes of a request's head.
const HEAD: usize = 16 << 10;

/// How long a connection may last, all together.
const WHOLE: Duration = Duration::from_secs(30);

/// For how long what was asked of the store is told again.
const KEPT: Duration = Duration::from_secs(5);

/// How long is waited where no connection can be accepted.
const REST: Duration = Duration::from_millis(100);

/// Why nobody can look at the host over HTTP.
#[derive(Debug, Error)]
#[error("cannot listen at {address} (--listen): {cause}")]
pub struct ListenError {
    address: String,
    cause: io::Error,
}

impl ListenError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self.cause.kind() {
            io::ErrorKind::AddrInUse => {
                "something listens there already: stop it, or choose another port, such as 0 for a free one"
            }
            io::ErrorKind::PermissionDenied => "choose a port from 1024 on, or let the user who runs wharf have lower ones",
            _ => "give an address of this machine and a port, such as 127.0.0.1:9600",
        }
    }
}

/// What is looked at.
#[derive(Clone)]
pub struct Watched {
    /// The pipelines, once they run.
    pub running: Arc<OnceLock<Overview>>,
    /// How components came by their code.
    pub compilations: Arc<Compilations>,
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Monitor {
    listener: TcpListener,
    address: SocketAddr,
}

/// What all connections share.
struct Shared {
    watched: Watched,
    letters: Asked<Letters>,
    spools: Asked<Vec<SpoolOverview>>,
}

/// What was asked of a store, and when.
type Asked<T> = Mutex<Option<(Instant, Arc<T>)>>;

/// What the dead letters come to, by pipeline and destination.
type Letters = Vec<(Arc<str>, String, LetterTotals)>;

impl Monitor {
    /// Listens at an address such as `127.0.0.1:9600`; port 0 is any free one.
    ///
    /// # Errors
    /// Where it cannot.
    pub async fn bind(address: &str) -> Result<Self, ListenError> {
        let failed = |cause| ListenError { address: address.to_owned(), cause };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is dropped.
    pub async fn serve(self, watched: Watched) {
        let shared = Arc::new(Shared { watched, letters: Mutex::default(), spools: Mutex::default() });
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        // Dropped with this, all end.
        let mut connections = tokio::task::JoinSet::new();
        while let Ok(permit) = room.clone().acquire_owned().await {
            while connections.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let shared = shared.clone();
                    connections.spawn(async move {
                        // Who is too slow, or goes away, needs no answer.
                        let _late = tokio::time::timeout(WHOLE, answer(stream, shared)).await;
                        drop(permit);
                    });
                }
                // Too many files are open, or the other side is gone.
                Err(error) => {
                    tracing::debug!(%error, "a connection to the monitor was not accepted");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}

async fn answer(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(shared.respond(&request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a request to the monitor was not answered");
    }
}

impl Shared {
    async fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = document(StatusCode::METHOD_NOT_ALLOWED, &json!({"error": "GET and HEAD alone"}));
            refused.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match request.uri().path() {
            "/metrics" => response(StatusCode::OK, CONTENT_TYPE, self.metrics().await),
            "/health/live" => document(StatusCode::OK, &json!({"live": true})),
            "/health/ready" => {
                let pipelines = self.watched.running.get().map(Overview::pipelines);
                let (ready, told) = health::ready(pipelines.as_deref());
                document(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &told)
            }
            _ => {
                let there = ["/metrics", "/health/live", "/health/ready"];
                document(StatusCode::NOT_FOUND, &json!({"error": "nothing is here", "there_is": there}))
            }
        }
    }

    async fn metrics(&self) -> String {
        let mut metrics = Exposition::new();
        collect::host(&mut metrics, &self.watched.compilations);
        if let Some(running) = self.watched.running.get() {
            let now = running.elapsed();
            metrics.add(Metric::Run, &[], now.as_secs_f64());
            for pipeline in running.pipelines() {
                collect::pipeline(&mut metrics, &pipeline, now);
            }
            // Without a number nobody takes it for a good one.
            for spool in no_older(&self.spools, "spools", running.spools()).await.iter() {
                collect::spool(&mut metrics, spool);
            }
            for (pipeline, destination, totals) in no_older(&self.letters, "dead letters", running.dead_letters()).await.iter() {
                let of = [("pipeline", &**pipeline), ("destination", destination)];
                metrics.add(Metric::Letters, &of, totals.letters);
                metrics.add(Metric::LetterBytes, &of, totals.bytes);
            }
        }
        metrics.text()
    }
}

/// What was asked of a store, no older than a moment; nothing where it cannot be read.
async fn no_older<T: Default, E: Display>(kept: &Asked<T>, what: &str, ask: impl Future<Output = Result<T, E>>) -> Arc<T> {
    let mut kept = kept.lock().await;
    if let Some((_, told)) = kept.as_ref().filter(|(at, _)| at.elapsed() < KEPT) {
        return told.clone();
    }
    match ask.await {
        Ok(told) => kept.insert((Instant::now(), Arc::new(told))).1.clone(),
        Err(error) => {
            tracing::warn!(%error, "the metrics are without {what}");
            Arc::default()
        }
    }
}

fn document(status: StatusCode, document: &Value) -> Response<Full<Bytes>> {
    response(status, "application/json", format!("{document:#}\n"))
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}
