//! A destination that sends the HTTP requests that its records describe, and says what came back.
//!
//! A record is words: the URL first, then what is to be done otherwise than usual:
//!
//! | word | meaning |
//! | --- | --- |
//! | `method=POST` | the method; `GET` otherwise |
//! | `header=name:value` | a header more, set as often as it is named |
//! | `copy=NAME` | sends the request once more, with this header copied out of the first response |
//! | `body=N` | a body of so many bytes |
//! | `length=N` | a `content-length` of so many, whatever the body has |
//! | `connect=MS`, `first=MS`, `between=MS` | times to ask for |
//! | `follow` | follows one redirect, with the same headers |
//! | `at-once=N` | so many requests at once, of which none is read before all were answered |
//! | `leave` | sends the request and lets go of it before the answer |
//! | `hold` | keeps the response unread, with its connection, until the session ends |
//! | `body-too` | tells what the body begins with as well |
//! | `headers=N` | so many headers more |
//! | `path=TEXT` | a path of its own, which need not be one |
//! | `everywhere` | says what came back in the log, on standard output and error and as a figure's name too |
//! | `remark` | says it in a remark |
//! | `panic` | says it in a panic |
//!
//! What came back is told in a rejection: `STATUS name=value … bytes=N`, of all headers and the bytes of the body, or an error of
//! `wasi:http`. With `tell` for a URL it is the secret of its settings.

#![allow(clippy::panic, reason = "it panics where it is told to")]

use wharf_sdk::{
    Batch, Context, Descriptor, Destination, Failure, Parameters, Probe, Problem, Receipt, Secret, export_destination, metrics,
};

/// What it asks for, and what it must not tell.
#[derive(Debug, Parameters)]
pub struct Config {
    /// Where it wants to be allowed to go to.
    #[allow(dead_code, reason = "only the request in the descriptor uses it")]
    url: Option<String>,
    /// A secret that it tells all the same.
    secret: Option<Secret>,
    /// Tells it while it is checked too: `problem`, or `panic`.
    tell_in_check: Option<String>,
    /// The URL that answers where the far side is there: 401 refuses the credentials, and anything else but 200 is not for ever.
    probe: Option<String>,
}

/// Sends requests.
#[derive(Debug)]
pub struct Caller {
    secret: Option<Secret>,
    #[cfg(target_os = "wasi")]
    held: Vec<wasip2::http::types::IncomingBody>,
}

impl Destination for Caller {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Sends the HTTP requests that its records describe.").order(wharf_sdk::Order::Batch).request(
            "http",
            "{url}",
            "to send what it is told to",
        )
    }

    fn check(config: &Config) -> Vec<Problem> {
        let secret = config.secret.as_ref().map(Secret::expose).unwrap_or_default();
        match config.tell_in_check.as_deref() {
            Some("panic") => panic!("it is {secret}"),
            Some(_) => {
                println!("it is {secret}");
                eprintln!("it is {secret}");
                tracing::warn!("it is {secret}");
                // Where a message is cut, half of it would be left.
                let long = format!("{}{secret}\nhint: a line of its own", "x".repeat(4090));
                vec![Problem::new(format!("it-is-{secret}"), "is wrong"), Problem::new("url", long)]
            }
            None => Vec::new(),
        }
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self {
            secret: config.secret,
            #[cfg(target_os = "wasi")]
            held: Vec::new(),
        })
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        let mut receipt = Receipt::builder(batch);
        for record in batch {
            let told = String::from_utf8_lossy(record.after().unwrap_or_default()).into_owned();
            let words: Vec<&str> = told.split(' ').collect();
            let found = self.attempt(&words).unwrap_or_else(|refused| refused);
            if words.contains(&"everywhere") {
                tracing::info!(told = %found, "log: {found}");
                println!("stdout: {found}");
                eprintln!("stderr: {found}");
                metrics::count(&found, 1);
            }
            if words.contains(&"panic") {
                panic!("{found}");
            }
            match words.contains(&"remark") {
                true => receipt.warned(record, found),
                false => receipt.failed(record, Failure::rejected(found.clone()).code(found)),
            }
        }
        Ok(receipt.finish())
    }
}

impl Probe<Config> for Caller {
    fn reachable(config: Config, context: Context) -> Result<(), Failure> {
        let Some(url) = config.probe else { return Ok(()) };
        let mut caller = Self::open(Config { probe: None, ..config }, context)?;
        match caller.attempt(&[&url]) {
            Ok(told) if told.starts_with("200 ") => Ok(()),
            Ok(told) if told.starts_with("401 ") => Err(Failure::unauthorized(format!("GET {url}: 401"))),
            Ok(told) | Err(told) => Err(Failure::transient(format!("GET {url}: {told}"))),
        }
    }
}

#[cfg(not(target_os = "wasi"))]
impl Caller {
    fn attempt(&mut self, _: &[&str]) -> Result<String, String> {
        Err(format!("can send requests in a component alone, whatever its secret ({})", self.secret.is_some()))
    }
}

#[cfg(target_os = "wasi")]
mod calls {
    use wasip2::{
        http::{
            outgoing_handler::handle,
            types::{
                Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
            },
        },
        io::streams::StreamError,
    };

    use super::Caller;

    fn value<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
        words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    fn number(words: &[&str], name: &str) -> Option<u64> {
        value(words, name)?.parse().ok()
    }

    fn shown(error: impl std::fmt::Debug) -> String {
        format!("{error:?}")
    }

    /// Sends a request; gives the future of its response.
    fn send(url: &str, words: &[&str], more: &[(String, Vec<u8>)]) -> Result<FutureIncomingResponse, String> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let headers = Fields::new();
        for (name, value) in words.iter().filter_map(|word| word.strip_prefix("header=")?.split_once(':')) {
            let value = value.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0");
            let name = name.replace("\\s", " ");
            headers.append(&name, value.as_bytes()).map_err(|error| format!("{name}: {error:?}"))?;
        }
        for (name, value) in more {
            headers.append(name, value).map_err(|error| format!("{name}: {error:?}"))?;
        }
        if let Some(count) = number(words, "headers") {
            for index in 0..count {
                headers.append(&format!("x-{index}"), b"x").map_err(|error| format!("header {index}: {error:?}"))?;
            }
        }
        if let Some(length) = value(words, "length") {
            headers.append("content-length", length.as_bytes()).map_err(shown)?;
        }
        let request = OutgoingRequest::new(headers);
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => Scheme::Other(other.to_owned()),
        };
        let method = match value(words, "method").unwrap_or("GET") {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "CONNECT" => Method::Connect,
            "TRACE" => Method::Trace,
            other => Method::Other(other.to_owned()),
        };
        request.set_method(&method).map_err(|()| "no method")?;
        request.set_scheme(Some(&scheme)).map_err(|()| "no scheme")?;
        request.set_authority(Some(authority)).map_err(|()| "no authority")?;
        let path = value(words, "path").unwrap_or(path).replace("\\s", " ");
        request.set_path_with_query(Some(&path)).map_err(|()| "no path")?;
        let options = RequestOptions::new();
        let time = |name| number(words, name).map(|ms| ms.saturating_mul(1_000_000));
        options.set_connect_timeout(time("connect")).map_err(|()| "no time")?;
        options.set_first_byte_timeout(time("first")).map_err(|()| "no time")?;
        options.set_between_bytes_timeout(time("between")).map_err(|()| "no time")?;
        let Some(bytes) = number(words, "body") else {
            return handle(request, Some(options)).map_err(shown);
        };
        let body = request.body().map_err(|()| "no body")?;
        let future = handle(request, Some(options)).map_err(shown)?;
        let stream = body.write().map_err(|()| "no stream")?;
        let piece = [b'x'; 4096];
        let mut left = bytes;
        while left > 0 {
            let next = left.min(4096) as usize;
            if stream.blocking_write_and_flush(&piece[..next]).is_err() {
                // The answer says why.
                break;
            }
            left -= next as u64;
        }
        drop(stream);
        if left == 0 {
            OutgoingBody::finish(body, None).map_err(shown)?;
        }
        Ok(future)
    }

    fn answer(future: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
        future.subscribe().block();
        match future.get() {
            Some(Ok(Ok(response))) => Ok(response),
            Some(Ok(Err(error))) => Err(shown(error)),
            other => Err(shown(other)),
        }
    }

    impl Caller {
        pub(super) fn attempt(&mut self, words: &[&str]) -> Result<String, String> {
            if words[0] == "tell" {
                return Ok(self.secret.as_ref().map(|secret| secret.expose().to_owned()).unwrap_or_default());
            }
            let url = words[0];
            if let Some(count) = number(words, "at-once") {
                let sent: Result<Vec<_>, _> = (0..count).map(|_| send(url, words, &[])).collect();
                let answers: Vec<_> = sent?.iter().map(answer).collect();
                let answered = answers.iter().filter(|answer| answer.is_ok()).count();
                let refused: std::collections::BTreeSet<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
                return Ok(format!("{answered} answered {refused:?}"));
            }
            let future = send(url, words, &[])?;
            if words.contains(&"leave") {
                return Ok("left".into());
            }
            let mut response = answer(&future)?;
            if let Some(name) = value(words, "copy") {
                let copied: Vec<_> = response.headers().entries().into_iter().filter(|(other, _)| other == name).collect();
                let whole = response.headers().clone();
                let found = copied.len();
                let second = send(url, words, &copied)?;
                response = answer(&second)?;
                return Ok(format!("{} {found} copied", response.status()) + if whole.has(name) { " seen" } else { " unseen" });
            }
            if words.contains(&"follow") {
                let location = response.headers().get("location");
                let location = location.first().map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default();
                response = answer(&send(&location, words, &[])?)?;
            }
            let mut told = response.status().to_string();
            for (name, value) in response.headers().entries() {
                told.push_str(&format!(" {name}={}", String::from_utf8_lossy(&value)));
            }
            let body = response.consume().map_err(|()| "no body")?;
            if words.contains(&"hold") {
                self.held.push(body);
                return Ok(format!("{told} held"));
            }
            let stream = body.stream().map_err(|()| "no stream")?;
            let mut read = 0;
            let mut text = Vec::new();
            loop {
                match stream.blocking_read(64 << 10) {
                    Ok(piece) => {
                        read += piece.len();
                        text.extend_from_slice(&piece[..piece.len().min(4096 - text.len().min(4096))]);
                    }
                    Err(StreamError::Closed) => break,
                    Err(StreamError::LastOperationFailed(error)) => {
                        let code = wasip2::http::types::http_error_code(&error);
                        return Err(format!("{told} and then {code:?}: {}", error.to_debug_string()));
                    }
                }
            }
            if words.contains(&"body-too") {
                told.push_str(&format!(" {}", String::from_utf8_lossy(&text)));
            }
            Ok(format!("{told} bytes={read}"))
        }
    }
}

export_destination!(Caller, probe);
