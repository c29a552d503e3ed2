//! How requests go out: the one place that touches the network, and what it gives back.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// A request that is ready to go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Its method, in upper case.
    pub method: String,
    /// `https` or `http`.
    pub scheme: String,
    /// Host, and port where it is not the scheme's.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body; none where it is empty.
    pub body: Vec<u8>,
    /// How long the head of its answer, and each piece after, may take.
    pub timeout: Duration,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is in a query may be long or private, and is not needed to know what was tried.
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "{} {}://{}{path}", self.method, self.scheme, self.authority)
    }
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// When to come again, as it stands (RFC 9110, 10.2.3).
    pub retry_after: Option<String>,
    /// Where to go instead.
    pub location: Option<String>,
    /// Its body, as far as it was asked for.
    pub body: Vec<u8>,
    /// How the body ended.
    pub end: End,
}

/// How the body of an answer ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// There is no more.
    #[default]
    Whole,
    /// There is more than was asked for.
    Longer,
    /// It broke off, and why.
    Broken(String),
}

/// Why nothing came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What it means for the request.
    pub sort: Sort,
    /// What happened, for a person.
    pub message: String,
}

/// What trouble means for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// The far side was not reached: nothing took effect.
    Unreached,
    /// It broke off: the request may have taken effect.
    Broken,
    /// The request itself is more than may be sent.
    TooLarge,
    /// An operator does not let it.
    Denied,
}

/// Sends requests, several at once.
pub trait Transport {
    /// A request that is under way.
    type Flight;

    /// Sends a request on its way without waiting for the answer. At most `most` bytes of its body are kept.
    ///
    /// # Errors
    /// Where it cannot be sent at all.
    fn send(&mut self, request: Request, most: usize) -> Result<Self::Flight, Trouble>;

    /// Waits until at least one of several is over, and gives its place among them and what came back. There is at least one.
    fn wait(&mut self, flights: &mut [&mut Self::Flight]) -> (usize, Result<Answer, Trouble>);

    /// What time it is.
    fn now(&self) -> SystemTime;
}

/// No network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nowhere;

impl Transport for Nowhere {
    type Flight = ();

    fn send(&mut self, _: Request, _: usize) -> Result<(), Trouble> {
        Err(Trouble { sort: Sort::Denied, message: "requests are sent by the component alone".into() })
    }

    fn wait(&mut self, _: &mut [&mut ()]) -> (usize, Result<Answer, Trouble>) {
        (0, self.send(Request::default(), 0).and(Ok(Answer::default())))
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
