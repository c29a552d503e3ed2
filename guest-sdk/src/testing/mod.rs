//! A host for native tests: the life of a destination, without WebAssembly, held to the same rules.
//!
//! ```
//! use wharf_sdk::{
//!     Batch, Context, Descriptor, Destination, Failure, FailureKind, Parameters, Receipt,
//!     testing::{Harness, batch, record},
//! };
//!
//! #[derive(Parameters)]
//! struct Config {
//!     #[parameter(default = 10, min = 1)]
//!     longest: u32,
//! }
//!
//! struct Short(Config);
//!
//! impl Destination for Short {
//!     type Config = Config;
//!
//!     fn describe() -> Descriptor {
//!         Descriptor::new("Takes short records.")
//!     }
//!
//!     fn open(config: Config, _: Context) -> Result<Self, Failure> {
//!         Ok(Self(config))
//!     }
//!
//!     fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
//!         let long = batch.records().filter(|record| record.after().unwrap_or_default().len() > self.0.longest as usize);
//!         Ok(Receipt::all_but(batch, long.map(|record| (record.index(), Failure::rejected("too long")))))
//!     }
//! }
//!
//! let harness = Harness::<Short>::new().setting("longest", "5");
//! let session = harness.open();
//! let answer = session.write(&batch([record("short"), record("much too long").key("k")]));
//! answer.assert_delivered(0).assert_failed(1, FailureKind::Rejected);
//! session.close().expect("it closes");
//!
//! let problems = Harness::<Short>::new().setting("longest", "0").check();
//! assert_eq!(problems[0].to_string(), "`longest` is `0`: below 1");
//! ```
#![allow(clippy::panic, reason = "a harness says by a panic that a test fails")]

mod answer;
mod batch;
mod host;
mod rules;
#[cfg(test)]
mod tests;

use std::{cell::RefCell, collections::BTreeMap, fmt, marker::PhantomData, rc::Rc};

pub use answer::{Answer, Breach, Fate};
pub use batch::{TestBatch, TestRecord, batch, deletion, record};
pub use host::{FollowUp, Line};
pub use serde_json::Value as Json;

pub(crate) use batch::Columns;
pub(crate) use host::Host;

use tracing::{Dispatch, Level, dispatcher};

use crate::{Destination, Failure, Parameters, Problem, Settings, descriptor::Package, log::HostLog, session, sys};

/// Why a destination did not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// The settings are wrong: against the declared parameters, or by what the connector has to say of them.
    Problems(Vec<Problem>),
    /// The connector failed.
    Failure(Failure),
}

impl fmt::Display for NotOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problems(problems) => {
                let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
                f.write_str(&problems.join("; "))
            }
            Self::Failure(failure) => write!(f, "{}: {failure}", failure.kind()),
        }
    }
}

/// A host for one destination under test: settings, context and grants, and afterwards what the connector left with it.
///
/// Sessions that are opened from one harness are instances of one destination: they share state, metrics and log.
#[derive(Debug)]
pub struct Harness<D> {
    settings: Vec<(String, String)>,
    host: Rc<RefCell<Host>>,
    log: Dispatch,
    destination: PhantomData<fn() -> D>,
}

impl<D: Destination> Default for Harness<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Destination> Harness<D> {
    /// Without a setting, and without a grant.
    ///
    /// # Panics
    /// Where the declared parameters are unsound: a default that breaks its own rules, a pattern that is none.
    #[track_caller]
    pub fn new() -> Self {
        let unsound = rules::unsound(&D::Config::declare());
        assert!(unsound.is_empty(), "the declared parameters are unsound: {}", NotOpened::Problems(unsound));
        Self { settings: Vec::new(), host: Rc::default(), log: Dispatch::new(HostLog::new()), destination: PhantomData }
    }

    /// With a setting, as an operator writes it; lists as `name.0`, maps as `name.key`.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// With an answer of the [`Context`](crate::Context), such as `pipeline` or `instance`.
    #[must_use]
    pub fn context(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.host.borrow_mut().context.insert(name.into(), value.into());
        self
    }

    /// With state granted, and this in it.
    #[must_use]
    pub fn state_of<K: Into<String>, V: Into<Vec<u8>>>(self, entries: impl IntoIterator<Item = (K, V)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value.into()));
        self.host.borrow_mut().state.get_or_insert_default().extend(entries);
        self
    }

    /// With state granted, and nothing in it.
    #[must_use]
    pub fn grant_state(self) -> Self {
        self.host.borrow_mut().state.get_or_insert_default();
        self
    }

    /// With a token of that provider. Given several times, the next follows where the connector says that one was refused.
    #[must_use]
    pub fn token(self, provider: impl Into<String>, token: impl Into<String>) -> Self {
        self.host.borrow_mut().tokens.entry(provider.into()).or_default().push_back(token.into());
        self
    }

    /// With a host that keeps only lines at least as grave; otherwise it keeps all.
    #[must_use]
    pub fn log_from(self, level: Level) -> Self {
        self.host.borrow_mut().threshold = level.into();
        self
    }

    /// The descriptor, as the host reads it. Where the connector does not say what it is called, it is called `under-test`.
    pub fn descriptor(&self) -> Json {
        let package = Package { name: "under-test", version: "0.0.0", description: "", authors: "" };
        let text = self.call(|| session::describe::<D>(&package));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("the descriptor is no JSON: {error}"))
    }

    /// All that is wrong with the settings: by the declared parameters, or, where these find nothing, by what the connector says.
    pub fn check(&self) -> Vec<Problem> {
        let (settings, problems) = self.settle();
        match problems.is_empty() {
            true => self.call(|| session::check::<D>(pairs(&settings))),
            false => problems,
        }
    }

    /// A session.
    ///
    /// # Panics
    /// Where it does not open; [`Harness::try_open`] tells why.
    #[track_caller]
    pub fn open(&self) -> Session<'_, D> {
        match self.try_open() {
            Ok(session) => session,
            Err(error) => panic!("it did not open: {error}"),
        }
    }

    /// A session, or why there is none.
    pub fn try_open(&self) -> Result<Session<'_, D>, NotOpened> {
        let problems = self.check();
        if !problems.is_empty() {
            return Err(NotOpened::Problems(problems));
        }
        let (settings, _) = self.settle();
        let session = self.call(|| session::Session::open(pairs(&settings)));
        let session = session.map_err(|failure| NotOpened::Failure(failure.into()))?;
        Ok(Session { harness: self, session })
    }

    /// What was logged, in order.
    pub fn logged(&self) -> Vec<Line> {
        self.host.borrow().log.clone()
    }

    /// What was counted under that name.
    pub fn count(&self, name: &str) -> u64 {
        self.host.borrow().counts.get(name).copied().unwrap_or_default()
    }

    /// What the gauge of that name stands at.
    pub fn gauge(&self, name: &str) -> Option<f64> {
        self.host.borrow().gauges.get(name).copied()
    }

    /// What was observed under that name.
    pub fn observations(&self, name: &str) -> Vec<f64> {
        self.host.borrow().observations.get(name).cloned().unwrap_or_default()
    }

    /// What is kept; nothing where state is not granted.
    pub fn state(&self) -> BTreeMap<String, Vec<u8>> {
        self.host.borrow().state.clone().unwrap_or_default()
    }

    fn settle(&self) -> (Settings, Vec<Problem>) {
        rules::settle(&D::Config::declare(), &Settings::from_iter(self.settings.clone()))
    }

    fn call<T>(&self, call: impl FnOnce() -> T) -> T {
        dispatcher::with_default(&self.log, || sys::with_host(&self.host, call))
    }
}

fn pairs(settings: &Settings) -> Vec<(String, String)> {
    settings.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// An open destination.
#[derive(Debug)]
pub struct Session<'a, D> {
    harness: &'a Harness<D>,
    session: session::Session<D>,
}

impl<D: Destination> Session<'_, D> {
    /// Hands over a batch.
    ///
    /// # Panics
    /// Where the receipt breaks the contract; [`Session::try_write`] tells how.
    #[track_caller]
    pub fn write(&self, batch: &TestBatch) -> Answer {
        match self.try_write(batch) {
            Ok(answer) => answer,
            Err(breach) => panic!("the receipt breaks the contract: {breach}"),
        }
    }

    /// Hands over a batch, and says how the receipt breaks the contract where it does.
    pub fn try_write(&self, batch: &TestBatch) -> Result<Answer, Breach> {
        let (pushed, columns) = batch.lay_out();
        let count = pushed.count;
        let host = &self.harness.host;
        host.borrow_mut().batch = Some(columns);
        let answer = self.harness.call(|| self.session.write(pushed));
        let mut host = host.borrow_mut();
        host.batch = None;
        let progress = std::mem::take(&mut host.progress);
        let follow_ups = std::mem::take(&mut host.follow_ups);
        Answer::new(count, answer, &progress, follow_ups)
    }

    /// Tells of batches that are settled.
    pub fn ack<I: Into<String>>(&self, batches: impl IntoIterator<Item = I>) {
        let batches: Vec<String> = batches.into_iter().map(Into::into).collect();
        self.harness.call(|| self.session.ack(&batches));
    }

    /// Closes it.
    pub fn close(self) -> Result<(), Failure> {
        Ok(self.harness.call(|| self.session.close())?)
    }
}
