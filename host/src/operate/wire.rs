//! How requests and answers travel: a line of JSON each, no longer than it may be, with the version of this way of talking.

use std::io;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

use super::{Answer, Refused, Request};

/// The version of the protocol: of the envelope, and of what stands in it.
pub const VERSION: u32 = 1;

/// The most bytes of a request.
pub const REQUEST: usize = 64 << 10;

/// The most bytes of an answer: a page of dead letters is bounded below this.
pub const ANSWER: usize = 64 << 20;

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    version: u32,
    #[serde(flatten)]
    body: T,
}

#[derive(Serialize, Deserialize)]
struct Asking {
    request: Request,
}

/// What comes back.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reply {
    Answer(Answer),
    Refused(Refused),
}

/// Only what every version has.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

/// A request as a line.
pub fn asked(request: Request) -> io::Result<Vec<u8>> {
    line(&Envelope { version: VERSION, body: Asking { request } })
}

/// What a line asks; what is no request is refused in words.
pub fn request(line: &[u8]) -> Result<Request, Refused> {
    parsed::<Asking>(line).map(|Asking { request }| request)
}

/// An answer as a line.
pub fn answered(answer: Result<Answer, Refused>) -> io::Result<Vec<u8>> {
    let body = match answer {
        Ok(answer) => Reply::Answer(answer),
        Err(refused) => Reply::Refused(refused),
    };
    line(&Envelope { version: VERSION, body })
}

/// What a line answers.
pub fn answer(line: &[u8]) -> Result<Answer, Refused> {
    match parsed::<Reply>(line)? {
        Reply::Answer(answer) => Ok(answer),
        Reply::Refused(refused) => Err(refused),
    }
}

fn line(envelope: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(envelope)?;
    line.push(b'\n');
    Ok(line)
}

fn parsed<T: DeserializeOwned>(line: &[u8]) -> Result<T, Refused> {
    let other = |version: u32| Refused {
        what: format!("version {version} of the control socket's protocol is asked for, and this wharf speaks {VERSION}"),
        hint: Some("use the same wharf as the one that runs".into()),
    };
    let wrong = |error: serde_json::Error| Refused { what: format!("this is no request or answer: {error}"), hint: None };
    match serde_json::from_slice::<AnyVersion>(line) {
        Ok(AnyVersion { version }) if version != VERSION => Err(other(version)),
        _ => serde_json::from_slice::<Envelope<T>>(line).map(|envelope| envelope.body).map_err(wrong),
    }
}

/// The next line, without its end; `None` where there are no more.
///
/// # Errors
/// Where it is longer than `most` bytes, is cut off, or cannot be read.
pub async fn read(from: &mut (impl AsyncBufRead + Unpin), most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    loop {
        let there = from.fill_buf().await?;
        if there.is_empty() {
            return if line.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        let end = there.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(there.len());
        if line.len() + taken > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a line has more than {most} bytes")));
        }
        line.extend_from_slice(&there[..taken]);
        from.consume(end.map_or(taken, |end| end + 1));
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

/// Writes a line.
pub async fn write(to: &mut (impl AsyncWrite + Unpin), line: &[u8]) -> io::Result<()> {
    to.write_all(line).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_asked_and_answered_arrives_as_it_was_sent() {
        for sent in [
            Request::Status,
            Request::Reload,
            Request::Pause { pipeline: "p".into(), destination: None },
            Request::Resume { pipeline: "p".into(), destination: Some("d\n\u{0}".into()) },
            Request::ShowDeadLetter { id: 7 },
        ] {
            let line = asked(sent.clone()).unwrap();
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(request(&line).unwrap(), sent);
        }
        let refused = Refused { what: "no".into(), hint: Some("yes".into()) };
        for sent in [Ok(Answer::Removed(3)), Ok(Answer::Done(true)), Err(refused)] {
            assert_eq!(answer(&answered(sent.clone()).unwrap()), sent);
        }
    }

    #[test]
    fn another_version_is_refused_whatever_else_stands_there() {
        let refused = request(br#"{"version": 2, "request": {"fly": {}}}"#).unwrap_err();
        assert!(refused.what.starts_with("version 2 of") && refused.what.ends_with("speaks 1"), "{refused}");
        assert!(request(br#"{"version": 1, "request": {"fly": {}}}"#).unwrap_err().what.contains("unknown variant `fly`"));
        for garbage in [&b""[..], b"GET / HTTP/1.1\r", b"\xff\xfe", b"[]", b"null", b"{\"version\":1}"] {
            assert!(request(garbage).unwrap_err().what.starts_with("this is no request"));
        }
    }

    #[tokio::test]
    async fn a_line_is_read_up_to_its_bound_and_no_further() {
        let mut from = &b"abc\n\nabcd\nab"[..];
        assert_eq!(read(&mut from, 4).await.unwrap().as_deref(), Some(&b"abc"[..]));
        assert_eq!(read(&mut from, 4).await.unwrap().as_deref(), Some(&b""[..]));
        assert_eq!(read(&mut from, 4).await.unwrap().as_deref(), Some(&b"abcd"[..]));
        assert_eq!(read(&mut from, 4).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read(&mut &b""[..], 4).await.unwrap(), None);
        assert_eq!(read(&mut &b"abcde"[..], 4).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let _refused_or_not = (request(&bytes).is_ok(), answer(&bytes).is_ok());
        }
    }
}
