//! Bodies, as they pass: counted, and given up where nothing comes.

use std::{
    error::Error as _,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use wasmtime_wasi_http::{Error, WasiBody};

use super::{headers::redact, pool::Lease};
use crate::sandbox::redaction::Redactor;

/// How far a request's body has gone, for whoever waits for the answer.
#[derive(Clone, Debug)]
pub(super) struct Sent(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// When its last piece was taken.
    last: Instant,
    /// Whether it was larger than it may be.
    too_large: Option<u64>,
}

impl Sent {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State { last: Instant::now(), too_large: None })))
    }

    pub fn last(&self) -> Instant {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last
    }

    /// What an error of the connection really was.
    pub fn too_large(&self) -> Option<Error> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.too_large.map(|bytes| Error::HttpRequestBodySize(Some(bytes)))
    }
}

/// A request's body, up to its limit. It has no trailers: nothing that a component may set announces them.
pub(super) struct RequestBody {
    inner: WasiBody,
    bytes: u64,
    limit: u64,
    sent: Sent,
}

impl RequestBody {
    pub fn new(inner: WasiBody, limit: u64, sent: Sent) -> Self {
        Self { inner, bytes: 0, limit, sent }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        let Ok(data) = frame.into_data() else {
            return Poll::Ready(None);
        };
        self.bytes += data.len() as u64;
        let mut state = self.sent.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.last = Instant::now();
        if self.bytes > self.limit {
            state.too_large = Some(self.bytes);
            return Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(self.bytes)))));
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A response's body, up to its limit and within its time. The connection goes back to where it came from at its end, and is closed
/// where the rest is not read.
pub(super) struct ResponseBody {
    inner: Incoming,
    bytes: u64,
    limit: u64,
    /// The longest between two pieces.
    between: Duration,
    /// When the request as a whole ends.
    end: Instant,
    /// Runs from when a piece was asked for and was not there.
    waiting: Option<Pin<Box<Sleep>>>,
    lease: Option<Lease>,
    redactor: Redactor,
}

impl ResponseBody {
    pub fn new(inner: Incoming, limit: u64, between: Duration, end: Instant, lease: Lease, redactor: Redactor) -> Self {
        let mut body = Self { inner, bytes: 0, limit, between, end, waiting: None, lease: Some(lease), redactor };
        body.end_of_stream();
        body
    }

    pub fn boxed(self) -> WasiBody {
        BodyExt::boxed_unsync(self)
    }

    fn end_of_stream(&mut self) {
        if self.inner.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }

    fn failed(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.lease = None;
        Poll::Ready(Some(Err(error)))
    }
}

/// What became of a body, from what the connection says.
fn code(error: &hyper::Error) -> Error {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.map(io::Error::kind) {
        _ if error.is_incomplete_message() => Error::HttpResponseIncomplete,
        Some(io::ErrorKind::UnexpectedEof) => Error::HttpResponseIncomplete,
        Some(_) => Error::ConnectionTerminated,
        None => Error::HttpProtocolError,
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let ended = self.lease.is_none();
        if !ended && Instant::now() >= self.end {
            return self.failed(Error::HttpResponseTimeout);
        }
        let mut frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Pending => {
                let until = (Instant::now() + self.between).min(self.end);
                let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep_until(until)));
                ready!(waiting.as_mut().poll(cx));
                let late = if Instant::now() >= self.end { Error::HttpResponseTimeout } else { Error::ConnectionReadTimeout };
                return self.failed(late);
            }
            Poll::Ready(None) => {
                if let Some(lease) = self.lease.take() {
                    lease.give_back();
                }
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(error))) => {
                return self.failed(code(&error));
            }
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        self.waiting = None;
        if let Some(data) = frame.data_ref() {
            self.bytes += data.len() as u64;
            if self.bytes > self.limit {
                let limit = self.limit;
                return self.failed(Error::HttpResponseBodySize(Some(limit)));
            }
        } else if let Some(trailers) = frame.trailers_mut() {
            redact(trailers, &self.redactor);
        }
        self.end_of_stream();
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
