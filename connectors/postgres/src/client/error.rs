//! What can go wrong with a connection, and what it means.

use std::{fmt, io};

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::ErrorResponseBody;
use wharf_sdk::Failure;

/// Why something did not come about.
#[derive(Debug)]
pub enum Error {
    /// The wire.
    Io(io::Error),
    /// The server closed the connection.
    Closed,
    /// It was broken before.
    Broken,
    /// The server said no.
    Refused(Refusal),
    /// The server asks for a password, and there is none.
    NoPassword,
    /// The server asks for the password in a way that anybody who listens could use, and the connection is not encrypted.
    WeakLogin,
    /// The server does not know the password either, or what it says of it makes no sense.
    Scram(io::Error),
    /// The server has no TLS.
    NoTls,
    /// The settings of TLS make no sense.
    Tls(String),
    /// The server said something that it should not have said then.
    Unexpected(&'static str),
}

/// A server's no.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The SQLSTATE.
    pub code: String,
    /// What the server says, in one line.
    pub message: String,
    /// What more it says.
    pub detail: Option<String>,
    /// Where it was, such as `COPY t, line 3, column a`.
    pub context: Option<String>,
}

/// What a refusal means for the records that were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// One of them is to blame.
    Row,
    /// It may work later.
    Later,
    /// The role or its password.
    Login,
    /// An operator has to do something.
    Operator,
}

impl Refusal {
    pub(super) fn read(body: &ErrorResponseBody) -> Result<Self, Error> {
        let mut refusal = Self::default();
        let mut fields = body.fields();
        while let Some(field) = fields.next()? {
            let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => refusal.code = text,
                b'M' => refusal.message = text,
                b'D' => refusal.detail = Some(text),
                b'W' => refusal.context = Some(text),
                _ => {}
            }
        }
        Ok(refusal)
    }

    /// Who is to blame, by the class of the SQLSTATE (PostgreSQL 15, appendix A).
    pub fn blame(&self) -> Blame {
        let class = self.code.get(..2).unwrap_or_default();
        match (class, self.code.as_str()) {
            // What a trigger raises is about its row; so is a value that is too large for an index.
            ("22" | "23" | "P0", _) | (_, "44000" | "54000") => Blame::Row,
            ("28", _) => Blame::Login,
            // Connection, resources, serialization and deadlocks, locks, the server's end, its own faults, and a statement that took too long.
            // So are those of another who makes the same table at the same time.
            ("08" | "40" | "53" | "57" | "58" | "XX", _) | (_, "55P03" | "55006" | "25P03" | "42P07" | "42701") => Blame::Later,
            _ => Blame::Operator,
        }
    }

    /// Whether the server says nothing more after that: it shuts down, or never let anybody in.
    pub fn ends_the_session(&self) -> bool {
        matches!(self.code.as_str(), "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "08P01") || self.code.starts_with("28")
    }

    /// Of a copy, the line that it is about, counted from 0.
    pub fn line(&self) -> Option<usize> {
        let (_, behind) = self.context.as_deref()?.lines().next()?.split_once(", line ")?;
        let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().ok()?.checked_sub(1)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        Ok(())
    }
}

impl Error {
    /// A message could not be put together: a name with a NUL in it, or more than 2 GiB.
    pub(super) fn unsendable(error: io::Error) -> Self {
        Self::Io(io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// The failure that it is where nothing was to be committed. `what` says what was tried.
    pub fn failure(&self, what: &str) -> Failure {
        let message = format!("{what}: {self}");
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Failure::fatal(format!("{message}; where it is not granted, grant it (grants, `tcp`)"))
            }
            Self::Io(_) | Self::Closed | Self::Broken => Failure::transient(message),
            Self::Refused(refusal) => {
                let failure = match refusal.blame() {
                    Blame::Row => Failure::rejected(message),
                    Blame::Later => Failure::transient(message),
                    Blame::Login => Failure::unauthorized(message),
                    Blame::Operator => Failure::fatal(message),
                };
                failure.code(&refusal.code)
            }
            Self::NoPassword | Self::Scram(_) => Failure::unauthorized(message),
            Self::WeakLogin | Self::NoTls | Self::Tls(_) | Self::Unexpected(_) => Failure::fatal(message),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Closed => f.write_str("the server closed the connection"),
            Self::Broken => f.write_str("the connection broke before"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::NoPassword => f.write_str("the server asks for a password: set `password`"),
            Self::WeakLogin => f.write_str(
                "the server asks for the password as text or MD5, which is given over TLS alone: set `tls`, or let it use SCRAM",
            ),
            Self::Scram(error) => write!(f, "the server could not prove that it knows the password: {error}"),
            Self::NoTls => f.write_str("the server has no TLS: set it up there, or write `tls: off` where nobody can listen"),
            Self::Tls(error) => f.write_str(error),
            Self::Unexpected(when) => write!(f, "the server said something unexpected, {when}"),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
