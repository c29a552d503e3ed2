//! What went wrong, and what the host should do about it.

use std::{fmt, io, time::Duration};

use crate::bindings::wharf::connector::types;

/// What the host should do about a [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// It may succeed later: the host tries again after a back-off, and counts the attempt.
    Transient,
    /// The far side asks for patience: the host tries again after that time; no attempt is counted.
    Throttled,
    /// The credentials were refused: the host renews them, then tries again.
    Unauthorized,
    /// It may have taken effect and may not: the host reconciles, or risks a second delivery.
    Uncertain,
    /// It can never succeed as it is: the host dead-letters the records.
    Rejected,
    /// Nothing can succeed until an operator changes something: the host stops this destination and loses nothing.
    Fatal,
}

impl FailureKind {
    /// Whether it speaks for the destination rather than for a record, so that it can only be the last word of a receipt.
    pub(crate) fn ends_the_batch(self) -> bool {
        matches!(self, Self::Unauthorized | Self::Fatal)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Unauthorized => "unauthorized",
            Self::Uncertain => "uncertain",
            Self::Rejected => "rejected",
            Self::Fatal => "fatal",
        })
    }
}

/// What went wrong. The message is for a person: what was tried, on what, and what came back.
///
/// There is no conversion from every error, since only the connector knows whether a failed call may have taken effect; where an
/// [`io::Error`] tells enough, [`Failure::from_io`] chooses.
///
/// ```
/// use wharf_sdk::{Failure, FailureKind};
///
/// let failure = Failure::rejected("insert into `orders`: the column `price` does not exist").code("42703");
/// assert_eq!(failure.kind(), FailureKind::Rejected);
/// assert_eq!(failure.to_string(), "insert into `orders`: the column `price` does not exist (42703)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Failure {
    kind: FailureKind,
    message: String,
    code: Option<String>,
    retry_after: Option<Duration>,
}

impl Failure {
    /// It may succeed later: a connection refused, a server that is restarting.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Transient, message)
    }

    /// The far side asks for patience, for so long where it says. No attempt is counted.
    pub fn throttled(message: impl Into<String>, after: impl Into<Option<Duration>>) -> Self {
        Self { retry_after: after.into(), ..Self::new(FailureKind::Throttled, message) }
    }

    /// The credentials were refused. In a receipt it stands last: see [`Receipt::until`](crate::Receipt::until).
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Unauthorized, message)
    }

    /// It may have taken effect and may not: the answer to a request never came.
    pub fn uncertain(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Uncertain, message)
    }

    /// It can never succeed as it is: a malformed record, a violated constraint.
    pub fn rejected(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Rejected, message)
    }

    /// Nothing can succeed until an operator changes something. In a receipt it stands last: see [`Receipt::until`](crate::Receipt::until).
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Fatal, message)
    }

    /// What the error's kind tells. `what` says what was tried, on what.
    ///
    /// | Error | Failure |
    /// |---|---|
    /// | `PermissionDenied`, `NotFound`, `ReadOnlyFilesystem`, `Unsupported`, `InvalidInput` | fatal |
    /// | `ConnectionReset`, `ConnectionAborted`, `BrokenPipe`, `TimedOut`, `UnexpectedEof`, `WriteZero` | uncertain |
    /// | any other | transient |
    ///
    /// ```
    /// use std::io;
    /// use wharf_sdk::{Failure, FailureKind};
    ///
    /// let reset = io::Error::from(io::ErrorKind::ConnectionReset);
    /// assert_eq!(Failure::from_io("insert into `orders`", &reset).kind(), FailureKind::Uncertain);
    /// ```
    pub fn from_io(what: impl fmt::Display, error: &io::Error) -> Self {
        use io::ErrorKind as E;
        let kind = match error.kind() {
            E::PermissionDenied | E::NotFound | E::ReadOnlyFilesystem | E::Unsupported | E::InvalidInput => FailureKind::Fatal,
            E::ConnectionReset | E::ConnectionAborted | E::BrokenPipe | E::TimedOut | E::UnexpectedEof | E::WriteZero => {
                FailureKind::Uncertain
            }
            _ => FailureKind::Transient,
        };
        Self::new(kind, format!("{what}: {error}"))
    }

    /// With the far side's own code, such as an HTTP status or an SQLSTATE.
    pub fn code(mut self, code: impl fmt::Display) -> Self {
        self.code = Some(code.to_string());
        self
    }

    /// With the time that the far side asks to wait.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// What the host should do about it.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// What was tried, on what, and what came back.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn with_kind(mut self, kind: FailureKind) -> Self {
        self.kind = kind;
        self
    }

    fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), code: None, retry_after: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for types::Failure {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind {
            FailureKind::Transient => types::FailureKind::Transient,
            FailureKind::Throttled => types::FailureKind::Throttled,
            FailureKind::Unauthorized => types::FailureKind::Unauthorized,
            FailureKind::Uncertain => types::FailureKind::Uncertain,
            FailureKind::Rejected => types::FailureKind::Rejected,
            FailureKind::Fatal => types::FailureKind::Fatal,
        };
        // Longer than 49 days is as long as the contract can say.
        let retry_after_ms = failure.retry_after.map(|after| u32::try_from(after.as_millis()).unwrap_or(u32::MAX));
        Self { kind, message: failure.message, code: failure.code, retry_after_ms }
    }
}

impl From<types::Failure> for Failure {
    fn from(failure: types::Failure) -> Self {
        let kind = match failure.kind {
            types::FailureKind::Transient => FailureKind::Transient,
            types::FailureKind::Throttled => FailureKind::Throttled,
            types::FailureKind::Unauthorized => FailureKind::Unauthorized,
            types::FailureKind::Uncertain => FailureKind::Uncertain,
            types::FailureKind::Rejected => FailureKind::Rejected,
            types::FailureKind::Fatal => FailureKind::Fatal,
        };
        let retry_after = failure.retry_after_ms.map(|after| Duration::from_millis(after.into()));
        Self { kind, message: failure.message, code: failure.code, retry_after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_crosses_the_boundary_whole() {
        let failure = Failure::throttled("POST /batch", Duration::from_secs(3)).code(429);
        assert_eq!(Failure::from(types::Failure::from(failure.clone())), failure);
    }

    #[test]
    fn an_hour_of_patience_beyond_what_the_contract_can_say_is_as_long_as_it_can() {
        let failure = types::Failure::from(Failure::transient("x").retry_after(Duration::MAX));
        assert_eq!(failure.retry_after_ms, Some(u32::MAX));
    }
}
