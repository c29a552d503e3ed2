//! A row of the zoo's table: an animal, what it is kept under, and what must come of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::raw::Raw;

/// One animal in its cage.
pub struct Row {
    /// What it does, which is also how a failure names it.
    pub name: String,
    pub animal: Animal,
    pub role: Role,
    pub grants: Value,
    pub limits: Value,
    /// What it does when it is told of its life: which event, and the act.
    pub life: Option<(&'static str, &'static str)>,
    /// How many records it is given: the numbers from 0 on.
    pub records: u32,
    /// What it is given instead.
    pub lines: Vec<String>,
    /// Starts a server beside it: gives the grants for it, and the lines.
    pub served: Option<Served>,
    /// How many of them make a batch.
    pub batch: u32,
    pub outcome: Outcome,
    /// A bound on the time from loading to the end; by default one that follows from the limits.
    pub longest: Option<Duration>,
    /// By how many bytes the process may grow meanwhile; by default its memory and as much again as hosts and allocators need.
    pub growth: Option<u64>,
}

/// What it is in its pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The destination.
    Destination,
    /// A processor of the pipeline, before an honest destination.
    Processor,
    /// A processor of an honest destination.
    OfDestination,
}

/// Starts a server in the row's process.
pub type Served = fn() -> (Value, Vec<String>);

/// Where its component comes from.
pub enum Animal {
    /// One of the crates in `tests/guests`, with its settings.
    Guest(&'static str, Value),
    /// WebAssembly text.
    Raw(Raw),
    /// Bytes of a file, made in the child: there may be many.
    File(fn() -> Vec<u8>),
}

/// What must come of it. Words are looked for in what a person is told.
#[derive(Debug)]
pub enum Outcome {
    /// The pipeline file is refused, with these words.
    Refused(String),
    /// No record is delivered, and these words say why: as the destination's error or in the dead letters. ` | ` stands between words
    /// where several may.
    Ends(String),
    /// So many records are delivered, and these words say what became of the others.
    Part(u64, String),
    /// Every record is given up, each with some of these words.
    Each(&'static [&'static str]),
    /// All records are delivered; the log has these words.
    Delivers(String),
}

/// How often a batch may be sent before its records are given up, halving included, for the one-record batches of most rows; generous.
const TRIES: u32 = 8;

/// What a busy machine may take on top.
const NOISE: Duration = Duration::from_secs(15);

/// What the process may grow by on top of the animal's memory.
const ROOM: u64 = 64 << 20;

impl Row {
    pub fn new(name: impl Into<String>, animal: Animal, outcome: Outcome) -> Self {
        let name = name.into();
        Self {
            name,
            animal,
            role: Role::Destination,
            grants: json!({}),
            limits: json!({}),
            life: None,
            records: 1,
            lines: Vec::new(),
            served: None,
            batch: 1000,
            outcome,
            longest: None,
            growth: None,
        }
    }

    pub fn raw(name: impl Into<String>, raw: Raw, outcome: Outcome) -> Self {
        Self::new(name, Animal::Raw(raw), outcome)
    }

    /// A `guest-hostile` that does this in a call.
    pub fn hostile(act: &str, at: &str, amount: u64, outcome: Outcome) -> Self {
        let settings = json!({"act": act, "at": at, "amount": amount});
        Self::new(format!("{act} in {at}"), Animal::Guest("guest-hostile", settings), outcome)
    }

    /// A `guest-faults` that does this in a call.
    pub fn faulty(fault: &str, at: &str, amount: u64, outcome: Outcome) -> Self {
        let settings = json!({"fault": fault, "at": at, "amount": amount});
        Self::new(format!("{fault} in {at}"), Animal::Guest("guest-faults", settings), outcome)
    }

    /// A `guest-told` that does this once when it is told of that event.
    pub fn told(act: &'static str, event: &'static str, outcome: Outcome) -> Self {
        let animal = Animal::Guest("guest-told", json!({"topic": "after"}));
        let row = Self::new(format!("{act} in {event}"), animal, outcome);
        let grants = json!({"directories": [{"host": "granted", "guest": "/out", "access": "read-write"}]});
        Self { life: Some((event, act)), grants, ..row }
    }

    /// A `guest-hostile-processor` that does this in a call.
    pub fn hostile_processor(act: &str, at: &str, amount: u64, outcome: Outcome) -> Self {
        let settings = json!({"act": act, "at": at, "amount": amount});
        let animal = Animal::Guest("guest-hostile-processor", settings);
        Self { role: Role::Processor, ..Self::new(format!("{act} in {at} of a processor"), animal, outcome) }
    }

    /// A `guest-mangles` that answers so, with four records in a batch.
    pub fn mangles(act: &str, amount: u64, outcome: Outcome) -> Self {
        let animal = Animal::Guest("guest-mangles", json!({"act": act, "amount": amount}));
        Self { role: Role::Processor, ..Self::new(format!("a processor's answer: {act}, {amount}"), animal, outcome) }
            .records(4, 4)
    }

    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    pub fn limits(mut self, limits: Value) -> Self {
        self.limits = limits;
        self
    }

    pub fn grants(mut self, grants: Value) -> Self {
        self.grants = grants;
        self
    }

    pub fn records(mut self, records: u32, batch: u32) -> Self {
        (self.records, self.batch) = (records, batch);
        self
    }

    pub fn lines(mut self, lines: &[&str]) -> Self {
        self.lines = lines.iter().map(ToString::to_string).collect();
        self
    }

    pub fn served(mut self, served: Served) -> Self {
        self.served = Some(served);
        self
    }

    pub fn growth(mut self, mib: u64) -> Self {
        self.growth = Some(mib << 20);
        self
    }

    pub fn longest(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
        self
    }

    /// The time it may take: as often as it is tried, twice what its limits give it.
    pub fn time_bound(&self) -> Duration {
        let times = self.limits["time"].as_object().into_iter().flatten();
        let millis = times.filter_map(|(_, time)| time.as_str()?.strip_suffix("ms")?.parse().ok());
        let limit = Duration::from_millis(millis.max().unwrap_or_default());
        self.longest.unwrap_or(limit * TRIES * 2 + NOISE)
    }

    /// The memory that the process may grow by, in bytes.
    pub fn growth_bound(&self) -> u64 {
        let memory = self.limits["memory"].as_str().and_then(|memory| memory.strip_suffix("MiB")?.parse::<u64>().ok());
        self.growth.unwrap_or((memory.unwrap_or(256) << 20) + ROOM)
    }
}

pub fn refused(words: impl Into<String>) -> Outcome {
    Outcome::Refused(words.into())
}

pub fn ends(words: impl Into<String>) -> Outcome {
    Outcome::Ends(words.into())
}

pub fn part(delivered: u64, words: impl Into<String>) -> Outcome {
    Outcome::Part(delivered, words.into())
}

pub fn delivers(words: impl Into<String>) -> Outcome {
    Outcome::Delivers(words.into())
}
