//! A connection to a PostgreSQL server.
//!
//! Messages and the exchange of SCRAM are those of `postgres-protocol`; this is their order. What is asked waits in line until an
//! [exchange](Connection::exchange), which sends all of it and then reads what comes back to its end: one round trip, whatever it asks, and a
//! connection that is then either ready for the next or broken. The server runs one after the other. Within a transaction what is refused
//! brings down all that stands in line behind it, so that a `COMMIT` there can be sent before it is known that all went well.

mod error;
mod stream;

use std::io::{Read, Write};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::{
    IsNull,
    authentication::{
        md5_hash,
        sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    },
    message::{
        backend::{DataRowBody, Header, Message},
        frontend,
    },
};

pub use error::{Blame, Error, Refusal};
pub use stream::{Endpoint, Tls};

use stream::Stream;

/// How much is read at once, and how much of a copy should go into one message.
const PIECE: usize = 64 << 10;

/// How much of a copy is sent at once, and kept back for its end.
///
/// What does not fill a segment waits until what was sent before it, and did not fill one either, is acknowledged (RFC 896, as Minshall has it); the far
/// side puts that off by 40 ms (RFC 1122, 4.2.3.2) unless two full segments come (RFC 5681, 4.2), and a component cannot ask for `TCP_NODELAY`. So the end of a
/// copy brings full segments with it, 64 KiB each on the loopback.
pub const BURST: usize = 128 << 10;

/// The longest message that is believed, in bytes.
const LONGEST: usize = 64 << 20;

/// A row that came back: text, or nothing for NULL.
pub type Row = Vec<Option<String>>;

/// Who asks for a connection.
#[derive(Clone, Debug)]
pub struct Login {
    /// The role.
    pub user: String,
    /// Its password, where it has one.
    pub password: Option<wharf_sdk::Secret>,
    /// The database.
    pub database: String,
    /// What the server shows of the session.
    pub application: String,
}

/// A connection that is ready, or broken.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    inbox: BytesMut,
    outbox: BytesMut,
    /// Those whose answers have not been read, and whether each of them copies.
    line: Vec<bool>,
    broken: bool,
}

/// Which of those that stood in line came to nothing, counted from 0, and why.
#[derive(Debug)]
pub struct Failed {
    /// The first of them.
    pub at: usize,
    /// Why it did.
    pub error: Error,
}

/// What came of one that stood in line.
enum Answer {
    Rows(Vec<Row>),
    Refused(Refusal),
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// Where the server cannot be reached, is not the one that it should be, or refuses.
    pub fn open(endpoint: &Endpoint, login: &Login) -> Result<Self, Error> {
        let stream = Stream::open(endpoint)?;
        let mut connection = Self { stream, inbox: BytesMut::new(), outbox: BytesMut::new(), line: Vec::new(), broken: true };
        let Login { user, password, database, application } = login;
        let parameters = [
            ("user", user.as_str()),
            ("database", database),
            ("application_name", application),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, YMD"),
            ("IntervalStyle", "postgres"),
            ("TimeZone", "UTC"),
        ];
        frontend::startup_message(parameters, &mut connection.outbox).map_err(Error::unsendable)?;
        connection.flush()?;
        connection.authenticate(user, password.as_ref())?;
        loop {
            match connection.receive()? {
                Message::BackendKeyData(_) => {}
                Message::ReadyForQuery(_) => break,
                Message::ErrorResponse(body) => return Err(Error::Refused(Refusal::read(&body)?)),
                _ => return Err(Error::Unexpected("while the session was made ready")),
            }
        }
        connection.broken = false;
        Ok(connection)
    }

    fn authenticate(&mut self, user: &str, password: Option<&wharf_sdk::Secret>) -> Result<(), Error> {
        let password = || password.map(wharf_sdk::Secret::expose).ok_or(Error::NoPassword);
        match self.receive()? {
            Message::AuthenticationOk => return Ok(()),
            // In the clear or easily found out: only where nobody can listen.
            Message::AuthenticationCleartextPassword if self.stream.is_encrypted() => {
                frontend::password_message(password()?.as_bytes(), &mut self.outbox).map_err(Error::unsendable)?;
            }
            Message::AuthenticationMd5Password(body) if self.stream.is_encrypted() => {
                let hash = md5_hash(user.as_bytes(), password()?.as_bytes(), body.salt());
                frontend::password_message(hash.as_bytes(), &mut self.outbox).map_err(Error::unsendable)?;
            }
            Message::AuthenticationCleartextPassword | Message::AuthenticationMd5Password(_) => return Err(Error::WeakLogin),
            Message::AuthenticationSasl(body) => {
                if !body.mechanisms().any(|offered| Ok(offered == SCRAM_SHA_256))? {
                    return Err(Error::Unexpected("where it should have offered SCRAM-SHA-256"));
                }
                return self.scram(password()?);
            }
            Message::ErrorResponse(body) => return Err(Error::Refused(Refusal::read(&body)?)),
            _ => {
                return Err(Error::Unexpected(
                    "where it should have asked for a password: it wants a way to log in that is not spoken here",
                ));
            }
        }
        self.flush()?;
        self.logged_in()
    }

    fn scram(&mut self, password: &str) -> Result<(), Error> {
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut self.outbox).map_err(Error::unsendable)?;
        self.flush()?;
        match self.receive()? {
            Message::AuthenticationSaslContinue(body) => scram.update(body.data()).map_err(Error::Scram)?,
            Message::ErrorResponse(body) => return Err(Error::Refused(Refusal::read(&body)?)),
            _ => return Err(Error::Unexpected("in the middle of SCRAM")),
        }
        frontend::sasl_response(scram.message(), &mut self.outbox).map_err(Error::unsendable)?;
        self.flush()?;
        match self.receive()? {
            // The server proves that it knows the password too.
            Message::AuthenticationSaslFinal(body) => scram.finish(body.data()).map_err(Error::Scram)?,
            Message::ErrorResponse(body) => return Err(Error::Refused(Refusal::read(&body)?)),
            _ => return Err(Error::Unexpected("at the end of SCRAM")),
        }
        self.logged_in()
    }

    fn logged_in(&mut self) -> Result<(), Error> {
        match self.receive()? {
            Message::AuthenticationOk => Ok(()),
            Message::ErrorResponse(body) => Err(Error::Refused(Refusal::read(&body)?)),
            _ => Err(Error::Unexpected("where it should have let the role in")),
        }
    }

    /// Whether nothing can be asked of it any more.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Runs statements, parted by semicolons, and gives the rows of all of them: a round trip of their own.
    ///
    /// # Errors
    /// Where the server refuses one, which ends them, or the connection breaks.
    pub fn query(&mut self, statements: &str) -> Result<Vec<Row>, Error> {
        self.ask(statements)?;
        let mut answers = self.exchange().map_err(|failed| failed.error)?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// Puts statements in line, parted by semicolons. The first that the server refuses ends them.
    ///
    /// # Errors
    /// Where the connection is broken, or they cannot be sent.
    pub fn ask(&mut self, statements: &str) -> Result<(), Error> {
        self.begin(false)?;
        frontend::query(statements, &mut self.outbox).map_err(Error::unsendable)
    }

    /// Puts one statement in line, with parameters in text.
    ///
    /// # Errors
    /// Where the connection is broken, or it cannot be sent.
    pub fn execute(&mut self, statement: &str, parameters: &[Option<&[u8]>]) -> Result<(), Error> {
        self.begin(false)?;
        let out = &mut self.outbox;
        frontend::parse("", statement, [], out).map_err(Error::unsendable)?;
        let put = |value: &Option<&[u8]>, out: &mut BytesMut| {
            Ok(match value {
                Some(value) => {
                    out.extend_from_slice(value);
                    IsNull::No
                }
                None => IsNull::Yes,
            })
        };
        let text = [0_i16];
        frontend::bind("", "", text, parameters.iter(), put, text, out).map_err(|error| match error {
            frontend::BindError::Serialization(error) => Error::unsendable(std::io::Error::other(error)),
            frontend::BindError::Conversion(error) => Error::unsendable(std::io::Error::other(error)),
        })?;
        frontend::execute("", 0, out).map_err(Error::unsendable)?;
        frontend::sync(out);
        Ok(())
    }

    /// Puts a `COPY … FROM STDIN` in line. It has to be brought to its end before anything else is asked. What it reads may be sent at once: of a
    /// copy that it refused the server passes over it.
    ///
    /// # Errors
    /// Where the connection is broken, or it cannot be sent.
    pub fn begin_copy(&mut self, statement: &str) -> Result<(), Error> {
        self.begin(true)?;
        frontend::query(statement, &mut self.outbox).map_err(Error::unsendable)
    }

    /// Sends a piece of what a copy that was begun reads, with all that stands in line before it. What the server refuses of it is told at the end.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub fn send_copy(&mut self, piece: &[u8]) -> Result<(), Error> {
        frontend::CopyData::new(piece).map_err(Error::unsendable)?.write(&mut self.outbox);
        self.flush()
    }

    /// Brings a copy to its end with a last piece, which may be empty.
    ///
    /// # Errors
    /// Where it cannot be sent.
    pub fn end_copy(&mut self, last: &[u8]) -> Result<(), Error> {
        if !last.is_empty() {
            frontend::CopyData::new(last).map_err(Error::unsendable)?.write(&mut self.outbox);
        }
        frontend::copy_done(&mut self.outbox);
        Ok(())
    }

    /// Sends what stands in line, at one stroke (see [`BURST`]), and reads what comes back to its end. Gives the rows of each, in order.
    ///
    /// # Errors
    /// Where the connection breaks, or else the first that the server refuses. What it says of those behind that one is passed over: it is that the
    /// transaction was given up.
    pub fn exchange(&mut self) -> Result<Vec<Vec<Row>>, Failed> {
        let line = std::mem::take(&mut self.line);
        let mut answers = Vec::with_capacity(line.len());
        let mut failed = None;
        self.flush().map_err(|error| Failed { at: 0, error })?;
        for (at, copies) in line.into_iter().enumerate() {
            match self.answer(copies) {
                Ok(Answer::Rows(rows)) => answers.push(rows),
                Ok(Answer::Refused(refusal)) => {
                    failed.get_or_insert(Failed { at, error: Error::Refused(refusal) });
                }
                // Of what was refused before nobody can say any more that it was that alone.
                Err(error) => return Err(Failed { at, error }),
            }
        }
        self.broken = false;
        failed.map_or(Ok(answers), Err)
    }

    /// Says goodbye.
    pub fn close(mut self) {
        if !self.broken {
            frontend::terminate(&mut self.outbox);
            // Whoever is gone already needs no goodbye.
            let _gone = self.flush();
        }
    }

    /// Stands one more in line, which copies or does not.
    fn begin(&mut self, copies: bool) -> Result<(), Error> {
        if self.line.is_empty() {
            if self.broken {
                return Err(Error::Broken);
            }
            // Until what comes back was read to its end.
            self.broken = true;
            self.outbox.clear();
        }
        self.line.push(copies);
        Ok(())
    }

    /// Reads what comes back of one that stood in line to its end.
    fn answer(&mut self, copies: bool) -> Result<Answer, Error> {
        let (mut rows, mut refused) = (Vec::new(), None);
        loop {
            match self.receive()? {
                Message::DataRow(body) => rows.push(row(&body)?),
                Message::ErrorResponse(body) => {
                    let refusal = Refusal::read(&body)?;
                    // Nothing more comes after one of these.
                    if refusal.ends_the_session() {
                        return Err(Error::Refused(refusal));
                    }
                    refused.get_or_insert(refusal);
                }
                Message::ReadyForQuery(_) => break,
                Message::CopyInResponse(_) if !copies => {
                    return Err(Error::Unexpected("where it began a copy that nobody asked for"));
                }
                _ => {}
            }
        }
        Ok(refused.map_or(Answer::Rows(rows), Answer::Refused))
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.stream.write_all(&self.outbox)?;
        self.stream.flush()?;
        self.outbox.clear();
        Ok(())
    }

    /// The next message that is an answer.
    fn receive(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(header) = Header::parse(&self.inbox)?
                && usize::try_from(header.len()).is_ok_and(|length| length > LONGEST)
            {
                return Err(Error::Unexpected("with a message longer than 64 MiB"));
            }
            match Message::parse(&mut self.inbox)? {
                Some(Message::NoticeResponse(_) | Message::ParameterStatus(_) | Message::NotificationResponse(_)) => {}
                Some(message) => return Ok(message),
                None => {
                    let held = self.inbox.len();
                    self.inbox.resize(held + PIECE, 0);
                    let read = self.stream.read(&mut self.inbox[held..]);
                    self.inbox.truncate(held + read.as_ref().copied().unwrap_or_default());
                    if read? == 0 {
                        return Err(Error::Closed);
                    }
                }
            }
        }
    }
}

fn row(body: &DataRowBody) -> Result<Row, Error> {
    let mut row = Vec::new();
    let mut ranges = body.ranges();
    while let Some(range) = ranges.next()? {
        row.push(range.map(|range| String::from_utf8_lossy(&body.buffer()[range]).into_owned()));
    }
    Ok(row)
}
