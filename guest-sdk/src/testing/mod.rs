//! A host for native tests: the life of a destination or a processor, without WebAssembly, held to the same rules. What follows is of
//! destinations; [`BulkHarness`] does the same for bulk destinations, and [`ProcessorHarness`] for processors.
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
mod bench;
mod bulk;
mod host;
mod processing;
mod processor;
mod rules;
#[cfg(test)]
mod tests;

use std::{fmt, marker::PhantomData};

pub use answer::{Answer, Breach, Fate};
pub use batch::{TestBatch, TestRecord, batch, deletion, record};
pub use bulk::{BulkHarness, Polled, TestFile, TestFound, TestLines, TestUpload};
pub use host::{FollowUp, Line};
pub use processing::{ProcessBreach, Processing, TestOutput};
pub use processor::{ProcessorHarness, ProcessorSession};
pub use serde_json::Value as Json;

pub(crate) use batch::Columns;
pub(crate) use host::Host;

use crate::{Destination, Failure, Parameters, Probe, Problem, session};
use bench::Bench;

/// Why a session did not open.
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
    bench: Bench,
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
        Self { bench: Bench::new(&D::Config::declare()), destination: PhantomData }
    }

    /// The descriptor, as the host reads it. Where the connector does not say what it is called, it is called `under-test`.
    pub fn descriptor(&self) -> Json {
        self.bench.descriptor(|package| session::describe::<D::Config>(D::describe, package))
    }

    /// All that is wrong with the settings: by the declared parameters, or, where these find nothing, by what the connector says.
    pub fn check(&self) -> Vec<Problem> {
        self.bench.check(&D::Config::declare(), |settings| session::check::<D::Config>(D::check, settings))
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
        let session = self.bench.try_open(&D::Config::declare(), self.check(), session::Session::open)?;
        Ok(Session { harness: self, session })
    }
}

impl<T: Destination + Probe<T::Config>> Harness<T> {
    /// Whether the far side is there, by the connector's own word.
    ///
    /// # Errors
    /// Where it is not, or the settings are wrong.
    pub fn reachable(&self) -> Result<(), NotOpened> {
        self.bench.try_open(&T::Config::declare(), self.check(), session::reachable::<T, T::Config>)
    }
}

bench::shared!(Harness);

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
        let host = &self.harness.bench.host;
        host.borrow_mut().batch = Some(columns);
        let answer = self.harness.bench.call(|| self.session.write(pushed));
        let mut host = host.borrow_mut();
        host.batch = None;
        let progress = std::mem::take(&mut host.progress);
        let follow_ups = std::mem::take(&mut host.follow_ups);
        Answer::new(count, answer, &progress, follow_ups)
    }

    /// Tells of batches that are settled.
    pub fn ack<I: Into<String>>(&self, batches: impl IntoIterator<Item = I>) {
        let batches: Vec<String> = batches.into_iter().map(Into::into).collect();
        self.harness.bench.call(|| self.session.ack(&batches));
    }

    /// Closes it.
    pub fn close(self) -> Result<(), Failure> {
        Ok(self.harness.bench.call(|| self.session.close())?)
    }
}
