//! The stand-in of a service that imports files: it takes one, gives it a number, works through it in its own time, and tells what became of each line.
//!
//! | request | answer |
//! | --- | --- |
//! | `POST /imports`, a line each, header `idempotency-key` | 202 and the import. The service itself does not care about the key: a file that is sent twice is imported twice. |
//! | `GET /imports?key=KEY` | the import with that key, or 404 |
//! | `GET /imports/ID` | `{"id", "state"}`: `queued`, `processing`, `done`, `failed`, `cancelled`; 404 once it is deleted |
//! | `GET /imports/ID/lines` | of lines that are not simply applied: `{"line", "kind"}`, `rejected`, `again` or `warned`, the first line 1 |
//! | `DELETE /imports/ID` | 204 |
//!
//! It counts how often each line was applied, which it is when its import is done. [`Imports`] listens on this machine; a [`Service`] is the same within the process of
//! whoever asks it, and by whose clock.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::far::{Far, Reply, Seen, reply};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is cut before an upload takes effect.
    CutBefore,
    /// It is cut after that.
    CutAfter,
    /// Too many requests, and nothing is said of when to come again.
    Throttled,
    /// Too many requests, and it is said.
    ThrottledFor,
    /// The service is broken, and nothing takes effect.
    Broken,
    /// The token has expired, as an upload finds out, and is there again for the next request.
    Expired,
    /// The answer to an upload that took effect is cut short.
    Truncated,
    /// An import is never done.
    Hangs,
    /// An import fails as a whole.
    Fails,
    /// An import is cancelled.
    Cancelled,
    /// Some lines fail for now, and some are warned about.
    Partly,
    /// A status cannot be had.
    Unknown,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::CutBefore,
        Self::CutAfter,
        Self::Throttled,
        Self::ThrottledFor,
        Self::Broken,
        Self::Expired,
        Self::Truncated,
        Self::Hangs,
        Self::Fails,
        Self::Cancelled,
        Self::Partly,
        Self::Unknown,
    ];
}

/// How long an import of the listening one is queued, and then processed.
const QUEUED: Duration = Duration::from_millis(20);
const PROCESSED: Duration = Duration::from_millis(60);

/// A service that listens; clones are of the same one.
#[derive(Clone, Debug)]
pub struct Imports {
    far: Far,
    service: Arc<Mutex<Service>>,
}

/// The service itself.
#[derive(Debug)]
pub struct Service {
    queued: Duration,
    processed: Duration,
    /// What time it is.
    now: Duration,
    faults: Vec<Fault>,
    /// How many more faults there are; they come with every second request that they are about.
    left: u32,
    turn: u32,
    imports: Vec<Import>,
    applied: BTreeMap<String, u32>,
    /// Uploads that were refused once.
    expired: Vec<String>,
}

#[derive(Debug)]
struct Import {
    key: String,
    lines: Vec<String>,
    began: Duration,
    fault: Option<Fault>,
    done: bool,
    deleted: bool,
}

impl Imports {
    /// Starts one, in which so many times something of these goes wrong.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub fn start(faults: &[Fault], times: u32) -> Result<Self> {
        let service = Arc::new(Mutex::new(Service::new(faults, times, QUEUED, PROCESSED)));
        let (served, began) = (service.clone(), Instant::now());
        let far = Far::start(move |seen| locked(&served).answer(began.elapsed(), seen))?;
        Ok(Self { far, service })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.far.address()
    }

    /// How often each line was applied.
    pub fn applied(&self) -> BTreeMap<String, u32> {
        locked(&self.service).applied.clone()
    }

    /// How many imports there were, and how many of them were deleted.
    pub fn imports(&self) -> (usize, usize) {
        locked(&self.service).imports()
    }

    /// How many more faults there are.
    pub fn faults_left(&self) -> u32 {
        locked(&self.service).left
    }
}

fn locked(service: &Mutex<Service>) -> MutexGuard<'_, Service> {
    service.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line that it never takes.
pub fn rejects(line: &str) -> bool {
    line.len().is_multiple_of(97)
}

impl Service {
    /// One in which so many times something of these goes wrong, and in which an import is queued and then processed for so long.
    pub fn new(faults: &[Fault], times: u32, queued: Duration, processed: Duration) -> Self {
        let (imports, applied, expired) = Default::default();
        let (faults, left) = (faults.to_vec(), times);
        Self { queued, processed, now: Duration::ZERO, faults, left, turn: 0, imports, applied, expired }
    }

    /// How often each line was applied.
    pub fn applied(&self) -> &BTreeMap<String, u32> {
        &self.applied
    }

    /// How many imports there were, and how many of them were deleted.
    pub fn imports(&self) -> (usize, usize) {
        (self.imports.len(), self.imports.iter().filter(|import| import.deleted).count())
    }

    /// How many more faults there are.
    pub fn faults_left(&self) -> u32 {
        self.left
    }

    /// The fault for a request that these are about, if it is its turn.
    fn fault(&mut self, of: &[Fault]) -> Option<Fault> {
        let own: Vec<Fault> = self.faults.iter().copied().filter(|fault| of.contains(fault)).collect();
        if own.is_empty() || self.left == 0 {
            return None;
        }
        self.turn += 1;
        if self.turn.is_multiple_of(2) {
            return None;
        }
        self.left -= 1;
        Some(own[(self.turn / 2) as usize % own.len()])
    }

    /// Answers a request at a moment of its time, which never goes back.
    pub fn answer(&mut self, now: Duration, seen: &Seen) -> Reply {
        self.now = now;
        for at in 0..self.imports.len() {
            if !self.imports[at].done && self.state(&self.imports[at]) == "done" {
                self.imports[at].apply(&mut self.applied);
            }
        }
        let refused = self.fault(&[Fault::Throttled, Fault::ThrottledFor, Fault::Broken]);
        match refused {
            Some(Fault::Throttled) => return reply(429, ""),
            Some(Fault::ThrottledFor) => {
                let headers = vec![("retry-after".to_owned(), "1".to_owned())];
                return Reply { headers, ..reply(429, "") };
            }
            Some(_) => return reply(503, ""),
            None => {}
        }
        let path: Vec<&str> = seen.path.split(['/', '?']).filter(|part| !part.is_empty()).collect();
        match (seen.method.as_str(), path.as_slice()) {
            ("POST", ["imports"]) => self.import(seen),
            ("GET", ["imports", key]) if key.starts_with("key=") => {
                let key = key.trim_start_matches("key=");
                match self.imports.iter().position(|import| import.key == key) {
                    Some(id) => self.stands(id),
                    None => reply(404, ""),
                }
            }
            ("GET", ["imports", id]) => match (self.fault(&[Fault::Unknown]), id.parse()) {
                (Some(_), _) => Reply { cut: true, ..reply(500, "") },
                (None, Ok(id)) => self.stands(id),
                (None, Err(_)) => reply(404, ""),
            },
            ("GET", ["imports", id, "lines"]) => match id.parse::<usize>().ok().and_then(|id| self.imports.get(id)) {
                Some(import) => reply(200, import.said()),
                None => reply(404, ""),
            },
            ("DELETE", ["imports", id]) => {
                if let Some(import) = id.parse::<usize>().ok().and_then(|id| self.imports.get_mut(id)) {
                    import.deleted = true;
                }
                reply(204, "")
            }
            _ => reply(400, "no such thing"),
        }
    }

    fn import(&mut self, seen: &Seen) -> Reply {
        let key = seen.header("idempotency-key").to_owned();
        // One that is refused a second time would wait for a person.
        if !self.expired.contains(&key) && self.fault(&[Fault::Expired]).is_some() {
            self.expired.push(key);
            return reply(401, "");
        }
        let effects =
            [Fault::CutBefore, Fault::CutAfter, Fault::Truncated, Fault::Hangs, Fault::Fails, Fault::Cancelled, Fault::Partly];
        let fault = self.fault(&effects);
        if fault == Some(Fault::CutBefore) {
            return Reply { cut: true, ..reply(500, "") };
        }
        let lines = String::from_utf8_lossy(&seen.body).lines().map(str::to_owned).collect();
        self.imports.push(Import { key, lines, began: self.now, fault, done: false, deleted: false });
        let told = Reply { status: 202, ..self.stands(self.imports.len() - 1) };
        match fault {
            Some(Fault::CutAfter) => Reply { cut: true, ..told },
            Some(Fault::Truncated) => Reply { body: told.body[..told.body.len() / 2].to_vec(), ..told },
            _ => told,
        }
    }

    fn stands(&self, id: usize) -> Reply {
        match self.imports.get(id) {
            Some(import) if !import.deleted => reply(200, format!(r#"{{"id":{id},"state":"{}"}}"#, self.state(import))),
            _ => reply(404, ""),
        }
    }
    fn state(&self, import: &Import) -> &'static str {
        match (self.now.saturating_sub(import.began), import.fault) {
            (age, _) if age < self.queued => "queued",
            (_, Some(Fault::Hangs)) => "processing",
            (age, _) if age < self.queued + self.processed => "processing",
            (_, Some(Fault::Fails)) => "failed",
            (_, Some(Fault::Cancelled)) => "cancelled",
            _ => "done",
        }
    }
}

impl Import {
    /// What becomes of a line.
    fn kind(&self, at: usize) -> Option<&'static str> {
        match self.fault {
            _ if rejects(&self.lines[at]) => Some("rejected"),
            Some(Fault::Partly) if at % 5 == 1 => Some("again"),
            Some(Fault::Partly) if at % 5 == 2 => Some("warned"),
            _ => None,
        }
    }

    /// It is done, and its lines are applied.
    fn apply(&mut self, applied: &mut BTreeMap<String, u32>) {
        self.done = true;
        for (at, line) in self.lines.iter().enumerate() {
            if !matches!(self.kind(at), Some("rejected" | "again")) {
                *applied.entry(line.clone()).or_default() += 1;
            }
        }
    }

    fn said(&self) -> String {
        let kinds = (0..self.lines.len()).filter_map(|at| Some((at, self.kind(at)?)));
        let said: Vec<String> = kinds.map(|(at, kind)| format!(r#"{{"line":{},"kind":"{kind}"}}"#, at + 1)).collect();
        format!("[{}]", said.join(","))
    }
}
