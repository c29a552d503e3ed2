//! A provider of access tokens on this machine, as real ones are: it checks what it is asked with, gives refresh tokens that are good for one
//! use, and fails when it is told to.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use url::form_urlencoded;

/// A running provider. It answers until the test's process ends.
#[derive(Clone, Debug)]
pub struct Issuer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// A request that it got.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The header `Authorization`; empty where there was none.
    pub authorization: String,
    /// The fields of the form.
    pub form: BTreeMap<String, String>,
}

#[derive(Debug)]
struct State {
    asked: Vec<Asked>,
    /// The refresh token that is good.
    refresh: String,
    rotates: bool,
    expires_in: u64,
    delay: Duration,
    /// Whole answers, the next first, before it answers as usual.
    answers: VecDeque<String>,
    given: u64,
}

impl Issuer {
    /// The first refresh token.
    pub const FIRST: &'static str = "refresh-token-0";

    /// Starts one.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
        let (refresh, delay) = (Self::FIRST.to_owned(), Duration::ZERO);
        let (asked, answers) = (Vec::new(), VecDeque::new());
        let state = State { asked, refresh, rotates: true, expires_in: 3600, delay, answers, given: 0 };
        let issuer = Self { address: listener.local_addr()?, state: Arc::new(Mutex::new(state)) };
        let serving = issuer.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                // Whoever went away needs no answer.
                thread::spawn(move || serving.serve(&stream).ok());
            }
        });
        Ok(issuer)
    }

    /// Its token endpoint.
    pub fn url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// How long its tokens are good from now on, in seconds.
    pub fn expires_in(&self, seconds: u64) {
        self.state().expires_in = seconds;
    }

    /// Whether a refresh token is good for one use.
    pub fn rotates(&self, rotates: bool) {
        self.state().rotates = rotates;
    }

    /// Waits so long before each answer.
    pub fn delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Answers the next requests so: status and body, or a whole answer where the status is 0.
    pub fn answer(&self, answers: impl IntoIterator<Item = (u16, String)>) {
        let whole = |(status, body): (u16, String)| match status {
            0 => body,
            status => response(status, &body),
        };
        self.state().answers.extend(answers.into_iter().map(whole));
    }

    fn serve(&self, mut stream: &TcpStream) -> Result<()> {
        let mut reader = BufReader::new(stream);
        let (mut asked, mut length) = (Asked::default(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(": ").map(|(name, value)| (name.to_lowercase(), value)) {
                Some((name, value)) if name == "authorization" => value.clone_into(&mut asked.authorization),
                Some((name, value)) if name == "content-length" => length = value.parse()?,
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        asked.form = form_urlencoded::parse(&body).into_owned().collect();
        let (answer, delay) = {
            let mut state = self.state();
            state.asked.push(asked.clone());
            let scripted = state.answers.pop_front();
            (scripted.unwrap_or_else(|| state.usual(&asked)), state.delay)
        };
        thread::sleep(delay);
        stream.write_all(answer.as_bytes())?;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn usual(&mut self, asked: &Asked) -> String {
        let refresh = asked.form.get("refresh_token");
        if refresh.is_some_and(|token| *token != self.refresh) {
            return response(400, r#"{"error": "invalid_grant", "error_description": "this refresh token is not good"}"#);
        }
        self.given += 1;
        let (number, seconds) = (self.given, self.expires_in);
        let mut document = serde_json::json!({"access_token": format!("access-token-{number}"), "expires_in": seconds});
        if refresh.is_some() && self.rotates {
            self.refresh = format!("refresh-token-{number}");
            document["refresh_token"] = self.refresh.clone().into();
        }
        response(200, &document.to_string())
    }
}

fn response(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
