//! One instance's requests: held against the grants, sent, and answered within limits.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header::HOST, uri::Scheme as UriScheme};
use hyper::body::Incoming;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until, timeout_at},
};
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

use super::{
    Granted, Http,
    body::{RequestBody, ResponseBody, Sent},
    connect::{Failed, Unreachable, addresses, connect},
    credentials::Lent,
    headers::{check_request, check_response, forbidden},
    pool::{Connection, Key, Lease, Pool},
};
use crate::{
    config::{HttpLimits, Origin},
    sandbox::{log::Log, output::printable, tokens::TokenError, usage::Event},
};

/// Bytes that a component may hand over at once of a body; two such pieces wait for the connection at the most. Small, since they are
/// the host's own memory, for each request that a component begins.
const PIECE: usize = 16 << 10;

/// What an instance's requests go through.
pub struct Hooks(Arc<Shared>);

struct Shared {
    http: Http,
    log: Log,
    limits: HttpLimits,
    pool: Arc<Pool>,
    requests: Arc<Semaphore>,
}

impl Hooks {
    /// Of one instance.
    pub fn new(http: Http, log: Log, limits: HttpLimits) -> Self {
        let (pool, requests) = (Pool::new(limits.connections), Arc::new(Semaphore::new(limits.requests as usize)));
        Self(Arc::new(Shared { http, log, limits, pool, requests }))
    }
}

type Transfer = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(forbidden)
    }

    /// Refused here it would be neither logged nor counted.
    fn is_supported_scheme(&mut self, _: &UriScheme) -> bool {
        true
    }

    /// Set with all others that are the host's own.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _done: Transfer,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Transfer), Error>> + Send> {
        let attempt = match Attempt::new(&self.0, &request, options.unwrap_or_default()) {
            Ok(attempt) => attempt,
            Err(error) => return Box::new(std::future::ready(Err(error))),
        };
        Box::new(async move {
            let response = attempt.run(request).await?;
            // The connection is driven by a task of its own, which ends with the response's body.
            Ok((response, Box::new(std::future::ready(Ok(()))) as Transfer))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        PIECE
    }
}

/// A request that is granted.
struct Attempt {
    shared: Arc<Shared>,
    key: Key,
    method: Method,
    options: RequestOptions,
    end: Instant,
    place: OwnedSemaphorePermit,
}

impl Attempt {
    fn new(shared: &Arc<Shared>, request: &Request<WasiBody>, options: RequestOptions) -> Result<Self, Error> {
        let (uri, method) = (request.uri(), request.method().clone());
        let authority = uri.authority().map_or("", http::uri::Authority::as_str);
        let refuse = |reason: &str, code| {
            shared.refused(&method, authority, reason);
            Err(code)
        };
        let origin = match Origin::new(uri.scheme_str().unwrap_or_default(), authority) {
            Ok(origin) => origin,
            Err(cause) => return refuse(&format!("the address {cause}"), Error::HttpRequestDenied),
        };
        let Some((index, _)) = shared.http.find(&origin) else {
            let named = origin.to_string();
            shared.refused(&method, &named, "not granted");
            return Err(Error::HttpRequestDenied);
        };
        // The one makes a tunnel of a connection, the other sends back what the host had added.
        if matches!(method, Method::CONNECT | Method::TRACE) {
            return refuse("the method is not for components", Error::HttpRequestMethodInvalid);
        }
        let Ok(place) = shared.requests.clone().try_acquire_owned() else {
            return refuse("too many requests at once (limits.http.requests)", Error::ConnectionLimitReached);
        };
        let end = Instant::now() + shared.limits.request_time.duration();
        Ok(Self { shared: shared.clone(), key: Key(index, origin), method, options, end, place })
    }

    /// As long as is granted, or less where that was asked for, and within the whole.
    fn until(&self, granted: Duration, asked: Option<Duration>) -> Instant {
        (Instant::now() + asked.map_or(granted, |asked| asked.min(granted))).min(self.end)
    }

    async fn run(self, mut request: Request<WasiBody>) -> Result<Response<WasiBody>, Error> {
        let Self { shared, key: Key(index, origin), .. } = &self;
        let Some(granted) = shared.http.granted.get(*index) else {
            return Err(Error::InternalError(None));
        };
        let limits = &shared.limits;
        check_request(request.headers_mut(), limits)?;
        let host = HeaderValue::from_str(&origin.authority()).map_err(|_| Error::HttpRequestUriInvalid)?;
        request.headers_mut().insert(HOST, host);
        // A request to whom it is meant for names the path alone; there is no proxy.
        let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        *request.uri_mut() = Uri::try_from(path).map_err(|_| Error::HttpRequestUriInvalid)?;

        let mut lent = None;
        let sent = Sent::new();
        let mut request = request.map(|body| RequestBody::new(body, limits.request_bytes.bytes(), sent.clone()));
        let mut kept = shared.pool.take(&self.key).await;
        if kept.is_some() {
            shared.allowed(&self.method, origin);
        }
        loop {
            let (mut connection, reused) = match kept.take() {
                Some(connection) => (connection, true),
                None => (self.connection(granted).await?, false),
            };
            if lent.is_none() {
                lent = Some(self.credentials(granted, &mut request).await?);
            }
            let answered = self.send(&mut connection, request, &sent).await;
            match answered {
                Ok(response) => return self.answer(response, connection, &lent.unwrap_or_default()),
                // A connection that was kept may have been closed at the other end; what was not sent is sent again.
                Err((_, Some(unsent))) if reused => request = *unsent,
                Err((error, _)) => return Err(self.failed(error)),
            }
        }
    }

    /// A new connection to an address that is checked.
    async fn connection(&self, granted: &Granted) -> Result<Connection, Error> {
        let (shared, Key(_, origin)) = (&self.shared, &self.key);
        let until = self.until(shared.limits.connect_time.duration(), self.options.connect_timeout);
        let addresses = match addresses(granted, origin, shared.http.resolver.as_ref(), until).await {
            Ok(addresses) => addresses,
            Err(cause) => return Err(self.unreachable(&cause)),
        };
        shared.allowed(&self.method, origin);
        let room = timeout_at(until, shared.pool.room()).await.ok().flatten();
        let full = || (Error::ConnectionLimitReached, "no connection was free in time (limits.http.connections)".to_owned());
        let room = room.ok_or_else(|| self.failed(full()))?;
        connect(granted, origin, &addresses, &shared.limits, room, until).await.map_err(|failed| self.failed(failed))
    }

    fn unreachable(&self, cause: &Unreachable) -> Error {
        let Key(_, origin) = &self.key;
        if cause.is_refusal() {
            self.shared.refused(&self.method, &origin.to_string(), &cause.to_string());
            return cause.code();
        }
        self.shared.allowed(&self.method, origin);
        self.failed((cause.code(), cause.to_string()))
    }

    async fn credentials(&self, granted: &Granted, request: &mut Request<RequestBody>) -> Result<Lent, Error> {
        let put = granted.credentials.put_on(request.headers_mut(), self.shared.log.scope().redactor());
        match timeout_at(self.end, put).await {
            Ok(Ok(lent)) => Ok(lent),
            Ok(Err(cause)) => {
                let code = match &cause {
                    TokenError::Revoked(_) => Error::ConfigurationError,
                    TokenError::Unavailable(_) => Error::DestinationUnavailable,
                };
                Err(self.failed((code, cause.to_string())))
            }
            Err(_) => Err(self.failed((Error::HttpResponseTimeout, "waited too long for a token".to_owned()))),
        }
    }

    /// Sends and waits for the head of the response. Of what did not go out at all, the request comes back.
    async fn send(
        &self,
        connection: &mut Connection,
        request: Request<RequestBody>,
        sent: &Sent,
    ) -> Result<Response<Incoming>, (Failed, Option<Box<Request<RequestBody>>>)> {
        let limits = &self.shared.limits;
        let patience = limits.first_byte_time.duration();
        let patience = self.options.first_byte_timeout.map_or(patience, |asked| asked.min(patience));
        let begun = Instant::now();
        let mut sending = std::pin::pin!(connection.sender.try_send_request(request));
        loop {
            // A body that is still on its way does not count as waiting.
            let until = (sent.last().max(begun) + patience).min(self.end);
            tokio::select! {
                biased;
                answered = &mut sending => {
                    return answered.map_err(|mut failed| {
                        let unsent = failed.take_message().map(Box::new);
                        (sent.too_large().map_or_else(|| code(failed.error()), |error| (error, "the request's body is too large".into())), unsent)
                    });
                }
                () = sleep_until(until) => {
                    if Instant::now() >= self.end {
                        return Err(((Error::HttpResponseTimeout, "it took too long (limits.http.request-time)".into()), None));
                    }
                    if sent.last().max(begun) + patience <= Instant::now() {
                        return Err(((Error::HttpResponseTimeout, "no answer came in time (limits.http.first-byte-time)".into()), None));
                    }
                }
            }
        }
    }

    fn answer(self, response: Response<Incoming>, connection: Connection, lent: &Lent) -> Result<Response<WasiBody>, Error> {
        let limits = self.shared.limits;
        match response.status() {
            StatusCode::UNAUTHORIZED => lent.refused(),
            StatusCode::SWITCHING_PROTOCOLS => {
                return Err(self.failed((Error::HttpUpgradeFailed, "it changed the protocol unasked".to_owned())));
            }
            _ => {}
        }
        let (mut head, body) = response.into_parts();
        if let Err(error) = check_response(&mut head.headers, &limits, self.shared.log.scope().redactor()) {
            let why = error.to_string();
            return Err(self.failed((error, why)));
        }
        let between = limits.between_bytes_time.duration();
        let between = self.options.between_bytes_timeout.map_or(between, |asked| asked.min(between));
        let redactor = self.shared.log.scope().redactor().clone();
        let lease = Lease { connection, key: self.key, pool: Arc::downgrade(&self.shared.pool), _request: self.place };
        let body = ResponseBody::new(body, limits.response_bytes.bytes(), between, self.end, lease, redactor);
        Ok(Response::from_parts(head, body.boxed()))
    }

    /// A request that was let through and did not come to an answer.
    fn failed(&self, (code, why): Failed) -> Error {
        let Key(_, origin) = &self.key;
        let log = &self.shared.log;
        if tracing::enabled!(tracing::Level::WARN) && log.admits() {
            let (scope, method) = (log.scope(), shown(&self.method));
            let why = scope.redactor().text(&why);
            let why = printable(&why, false);
            let (pipeline, destination, processor) = (scope.pipeline(), scope.destination(), scope.processor());
            tracing::warn!(pipeline, destination, processor, capability = "http", what = %format_args!("{method} {origin}"), "failed: {why}");
        }
        code
    }
}

impl Shared {
    fn allowed(&self, method: &Method, to: &Origin) {
        self.log.allowed(Event::HttpAllowed, "http", format_args!("{} {to}", shown(method)));
    }

    fn refused(&self, method: &Method, to: &str, reason: &str) {
        // Before anything is cut: half a secret is not found.
        let to = self.log.scope().redactor().text(to);
        let to = printable(&to[..to.floor_char_boundary(300)], false);
        self.log.refused(Event::HttpRefused, "http", format_args!("{} {to}", shown(method)), reason);
    }
}

/// A method is any word that a component likes.
fn shown(method: &Method) -> &str {
    let method = method.as_str();
    &method[..method.floor_char_boundary(32)]
}

/// What became of a request, from what the connection says.
fn code(error: &hyper::Error) -> Failed {
    let code = if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_incomplete_message() {
        Error::HttpResponseIncomplete
    } else if error.is_parse() || error.is_user() {
        Error::HttpProtocolError
    } else {
        Error::ConnectionTerminated
    };
    (code, error.to_string())
}
