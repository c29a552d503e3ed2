//! Requests through the host's `wasi:http`.

use std::time::SystemTime;

use wasip2::{
    http::{
        outgoing_handler::handle,
        types::{
            ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
            RequestOptions, Scheme, http_error_code,
        },
    },
    io::{
        poll::{Pollable, poll},
        streams::{InputStream, OutputStream, StreamError},
    },
};

use super::transport::{Answer, End, Request, Sort, Transport, Trouble};

/// The host's `wasi:http`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wasi;

/// A request that is under way.
#[derive(Debug)]
pub struct Flight {
    state: State,
    most: usize,
}

#[derive(Debug)]
enum State {
    /// Its body goes out; the answer may come before that is over.
    Sending { stream: OutputStream, body: OutgoingBody, bytes: Vec<u8>, sent: usize, future: FutureIncomingResponse },
    /// The head of the answer is waited for.
    Asking { future: FutureIncomingResponse },
    /// Its body comes in.
    Reading(Reading, Answer),
    /// It is over, and what came back was given.
    Over,
}

/// The body of an answer. What is made of another is dropped before it, as the fields stand.
#[derive(Debug)]
struct Reading {
    stream: InputStream,
    _body: IncomingBody,
    _response: IncomingResponse,
}

type Came = Result<Answer, Trouble>;

impl Transport for Wasi {
    type Flight = Flight;

    fn send(&mut self, request: Request, most: usize) -> Result<Flight, Trouble> {
        let Request { method, scheme, authority, path, headers, body, timeout } = request;
        let wrong = |what: &str| Trouble { sort: Sort::TooLarge, message: format!("the request cannot be made: its {what}") };
        let fields = Fields::new();
        for (name, value) in &headers {
            fields.append(name, value.as_bytes()).map_err(|error| wrong(&format!("header `{name}`: {error:?}")))?;
        }
        if !body.is_empty() {
            let length = body.len().to_string();
            fields.append("content-length", length.as_bytes()).map_err(|error| wrong(&format!("length: {error:?}")))?;
        }
        let outgoing = OutgoingRequest::new(fields);
        let method = match method.as_str() {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            other => Method::Other(other.to_owned()),
        };
        outgoing.set_method(&method).map_err(|()| wrong("method"))?;
        let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
        outgoing.set_scheme(Some(&scheme)).map_err(|()| wrong("scheme"))?;
        outgoing.set_authority(Some(&authority)).map_err(|()| wrong("host"))?;
        outgoing.set_path_with_query(Some(&path)).map_err(|()| wrong("path, which is no part of a URL"))?;
        let options = RequestOptions::new();
        let nanoseconds = u64::try_from(timeout.as_nanos()).ok();
        // Where the host does not let a time be set, its own holds.
        let _ = options.set_connect_timeout(nanoseconds);
        let _ = options.set_first_byte_timeout(nanoseconds);
        let _ = options.set_between_bytes_timeout(nanoseconds);
        if body.is_empty() {
            let future = handle(outgoing, Some(options)).map_err(|error| trouble(&error))?;
            return Ok(Flight { state: State::Asking { future }, most });
        }
        let outgoing_body = outgoing.body().map_err(|()| wrong("body"))?;
        let future = handle(outgoing, Some(options)).map_err(|error| trouble(&error))?;
        let stream = outgoing_body.write().map_err(|()| wrong("body"))?;
        Ok(Flight { state: State::Sending { stream, body: outgoing_body, bytes: body, sent: 0, future }, most })
    }

    fn wait(&mut self, flights: &mut [&mut Flight]) -> (usize, Came) {
        loop {
            for (at, flight) in flights.iter_mut().enumerate() {
                if let Some(came) = flight.go_on() {
                    return (at, came);
                }
            }
            let pollables: Vec<Pollable> = flights.iter().flat_map(|flight| flight.pollables()).collect();
            poll(&pollables.iter().collect::<Vec<_>>());
        }
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl Flight {
    /// Goes as far as it can without waiting, and gives what came back once it is over.
    fn go_on(&mut self) -> Option<Came> {
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Over) {
                State::Sending { stream, body, bytes, mut sent, future } => {
                    match put(&stream, &bytes, &mut sent) {
                        // The answer may say why, and if there is none yet, it may come.
                        Put::Full if !future.subscribe().ready() => {
                            self.state = State::Sending { stream, body, bytes, sent, future };
                            return None;
                        }
                        Put::Full | Put::Refused => {
                            drop(stream);
                            drop(body);
                        }
                        Put::All => {
                            drop(stream);
                            if let Err(error) = OutgoingBody::finish(body, None) {
                                return Some(Err(trouble(&error)));
                            }
                        }
                    }
                    State::Asking { future }
                }
                State::Asking { future } => match future.get() {
                    None => {
                        self.state = State::Asking { future };
                        return None;
                    }
                    Some(Ok(Ok(response))) => match begun(response) {
                        Some(state) => state,
                        None => return Some(Err(broken("its body cannot be read"))),
                    },
                    Some(Ok(Err(error))) => return Some(Err(trouble(&error))),
                    Some(Err(())) => return Some(Err(broken("it was asked for twice"))),
                },
                State::Reading(reading, mut answer) => match reading.stream.read(64 << 10) {
                    Ok(bytes) if bytes.is_empty() => {
                        self.state = State::Reading(reading, answer);
                        return None;
                    }
                    Ok(bytes) => {
                        let room = self.most - answer.body.len();
                        answer.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
                        if bytes.len() > room {
                            answer.end = End::Longer;
                            return Some(Ok(answer));
                        }
                        State::Reading(reading, answer)
                    }
                    Err(StreamError::Closed) => return Some(Ok(answer)),
                    Err(StreamError::LastOperationFailed(error)) => {
                        let why = http_error_code(&error).map_or_else(|| error.to_debug_string(), |code| in_words(&code));
                        answer.end = End::Broken(why);
                        return Some(Ok(answer));
                    }
                },
                State::Over => return Some(Err(broken("it is over"))),
            };
        }
    }

    /// What it waits for.
    fn pollables(&self) -> Vec<Pollable> {
        match &self.state {
            State::Sending { stream, future, .. } => vec![stream.subscribe(), future.subscribe()],
            State::Asking { future } => vec![future.subscribe()],
            State::Reading(reading, _) => vec![reading.stream.subscribe()],
            State::Over => Vec::new(),
        }
    }
}

/// How far a body went out.
enum Put {
    All,
    /// There is no more room for now.
    Full,
    /// Nobody takes it any more.
    Refused,
}

fn put(stream: &OutputStream, bytes: &[u8], sent: &mut usize) -> Put {
    while *sent < bytes.len() {
        let room = match stream.check_write() {
            Ok(0) => return Put::Full,
            Ok(room) => usize::try_from(room).unwrap_or(usize::MAX),
            Err(_) => return Put::Refused,
        };
        let until = bytes.len().min(sent.saturating_add(room));
        if stream.write(&bytes[*sent..until]).is_err() {
            return Put::Refused;
        }
        *sent = until;
    }
    Put::All
}

/// The head of an answer is there.
fn begun(response: IncomingResponse) -> Option<State> {
    let headers = response.headers();
    let header = |name: &str| {
        let first = headers.get(name).into_iter().next()?;
        String::from_utf8(first).ok()
    };
    let (retry_after, location) = (header("retry-after"), header("location"));
    let answer = Answer { status: response.status(), retry_after, location, ..Answer::default() };
    drop(headers);
    let body = response.consume().ok()?;
    let stream = body.stream().ok()?;
    Some(State::Reading(Reading { stream, _body: body, _response: response }, answer))
}

fn broken(why: &str) -> Trouble {
    Trouble { sort: Sort::Broken, message: format!("the answer was lost: {why}") }
}

/// What an error of `wasi:http` means for the request.
fn trouble(error: &ErrorCode) -> Trouble {
    use ErrorCode as E;
    let sort = match error {
        E::HttpRequestDenied | E::DestinationIpProhibited | E::ConfigurationError => Sort::Denied,
        E::DnsTimeout
        | E::DnsError(_)
        | E::DestinationNotFound
        | E::DestinationUnavailable
        | E::DestinationIpUnroutable
        | E::ConnectionRefused
        | E::ConnectionTimeout
        | E::ConnectionLimitReached
        | E::TlsProtocolError
        | E::TlsCertificateError
        | E::TlsAlertReceived(_) => Sort::Unreached,
        E::HttpRequestLengthRequired
        | E::HttpRequestBodySize(_)
        | E::HttpRequestMethodInvalid
        | E::HttpRequestUriInvalid
        | E::HttpRequestUriTooLong
        | E::HttpRequestHeaderSectionSize(_)
        | E::HttpRequestHeaderSize(_)
        | E::HttpRequestTrailerSectionSize(_)
        | E::HttpRequestTrailerSize(_) => Sort::TooLarge,
        _ => Sort::Broken,
    };
    Trouble { sort, message: in_words(error) }
}

/// An error of `wasi:http` for a person.
fn in_words(error: &ErrorCode) -> String {
    use ErrorCode as E;
    match error {
        E::HttpRequestDenied => "not granted: the pipeline file lets it not go there (grants, `http`)".into(),
        E::DestinationIpProhibited => "the address is not a public one, and the grant does not say `private: true`".into(),
        E::DnsTimeout | E::DnsError(_) => "its name cannot be looked up".into(),
        E::DestinationNotFound => "there is no host of that name".into(),
        E::DestinationUnavailable | E::DestinationIpUnroutable => "the host cannot be reached".into(),
        E::ConnectionRefused => "the connection was refused: nobody listens there".into(),
        E::ConnectionTimeout => "no connection within the time".into(),
        E::ConnectionTerminated => "the connection was closed before the answer".into(),
        E::ConnectionReadTimeout | E::HttpResponseTimeout => "no answer within the time (`timeout`)".into(),
        E::ConnectionWriteTimeout => "the request was not taken within the time (`timeout`)".into(),
        E::TlsCertificateError => "its certificate is not one that is trusted".into(),
        E::HttpResponseIncomplete => "the answer broke off".into(),
        E::HttpRequestBodySize(_) => "its body is larger than the destination may send (limits, `http.request-bytes`)".into(),
        E::InternalError(Some(why)) => why.clone(),
        other => format!("{other:?}"),
    }
}
