//! A far side of our own: an HTTP server that keeps what comes.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinHandle};

/// What it answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Answering {
    /// All is well.
    #[default]
    Well,
    /// The credentials are refused.
    Unauthorized,
    /// A second's patience is asked for.
    Throttled,
    /// Whoever shows this token is refused.
    WithoutToken(String),
}

#[derive(Debug, Default)]
struct Kept {
    bodies: Vec<Bytes>,
    answering: Answering,
}

/// An HTTP server that keeps the bodies of requests, and gives them back to a `GET`. It ends when this goes.
#[derive(Debug)]
pub(super) struct Capture {
    /// Where it listens.
    pub address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    listening: JoinHandle<()>,
}

impl Capture {
    /// Listens on this machine.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let kept = Arc::<Mutex<Kept>>::default();
        let listening = tokio::spawn(listen(listener, kept.clone()));
        Ok(Self { address, kept, listening })
    }

    /// From now on.
    pub fn answer(&self, answering: Answering) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).answering = answering;
    }

    /// Forgets what came.
    pub fn clear(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).bodies.clear();
    }

    /// The records that came, in order: the elements of bodies that are a JSON array, the lines of others.
    pub fn records(&self) -> Vec<Vec<u8>> {
        let bodies = self.kept.lock().unwrap_or_else(PoisonError::into_inner).bodies.clone();
        bodies.iter().flat_map(|body| split(body)).collect()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn split(body: &[u8]) -> Vec<Vec<u8>> {
    match serde_json::from_slice::<Vec<serde_json::Value>>(body) {
        Ok(items) => items.iter().map(|item| item.to_string().into_bytes()).collect(),
        Err(_) => super::read::lines(body),
    }
}

async fn listen(listener: TcpListener, kept: Arc<Mutex<Kept>>) {
    while let Ok((near, _)) = listener.accept().await {
        let kept = kept.clone();
        let _slower = near.set_nodelay(true);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &kept));
            // A connection that breaks off is what some cases are about.
            let _broken = http1::Builder::new().serve_connection(TokioIo::new(near), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, kept: &Mutex<Kept>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    let (get, headers) = (request.method() == Method::GET, request.headers().clone());
    // A body that was cut off did not arrive.
    let Ok(body) = request.into_body().collect().await else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(response);
    };
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let shows = |token: &str| headers.values().any(|value| String::from_utf8_lossy(value.as_bytes()).contains(token));
    match kept.answering.clone() {
        Answering::WithoutToken(token) if shows(&token) => *response.status_mut() = StatusCode::UNAUTHORIZED,
        // Whoever wants to know what came is told.
        Answering::Well | Answering::WithoutToken(_) if get => *response.body_mut() = Full::new(kept.bodies.concat().into()),
        Answering::Well | Answering::WithoutToken(_) => kept.bodies.push(body.to_bytes()),
        Answering::Unauthorized => *response.status_mut() = StatusCode::UNAUTHORIZED,
        Answering::Throttled => {
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            response.headers_mut().insert(header::RETRY_AFTER, http::HeaderValue::from_static("1"));
        }
    }
    Ok(response)
}
