//! A host for one processor under test.

use std::marker::PhantomData;

use super::{
    Json, NotOpened, ProcessBreach, Processing, TestBatch,
    bench::{self, Bench},
};
use crate::{Failure, Parameters, Probe, Problem, Processor, session};

/// A host for one processor under test: settings, context and grants, and afterwards what the processor left with it.
///
/// ```
/// use wharf_sdk::{
///     Batch, Context, Descriptor, Failure, FailureKind, Processed, Processor, Step,
///     testing::{ProcessorHarness, batch, record},
/// };
///
/// struct Upper;
///
/// impl Processor for Upper {
///     type Config = ();
///
///     fn describe() -> Descriptor {
///         Descriptor::new("Makes letters large.")
///     }
///
///     fn open((): (), _: Context) -> Result<Self, Failure> {
///         Ok(Self)
///     }
///
///     fn process(&mut self, batch: &Batch) -> Result<Processed, Failure> {
///         Ok(Processed::each(batch, |record| match record.after() {
///             Some(b"") => Ok(Step::Drop),
///             Some(after) => Ok(Step::After(after.to_ascii_uppercase())),
///             None => Err(Failure::rejected("no value")),
///         }))
///     }
/// }
///
/// let harness = ProcessorHarness::<Upper>::new();
/// let session = harness.open();
/// let processing = session.process(&batch([record("a").key("k"), record("")]));
/// assert_eq!(processing.texts(), ["A"]);
/// assert_eq!(processing.outputs()[0].key.as_deref(), Some(&b"k"[..]));
/// processing.assert_filtered([1]);
/// session.close().expect("it closes");
/// ```
#[derive(Debug)]
pub struct ProcessorHarness<P> {
    bench: Bench,
    processor: PhantomData<fn() -> P>,
}

impl<P: Processor> Default for ProcessorHarness<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Processor> ProcessorHarness<P> {
    /// Without a setting, and without a grant.
    ///
    /// # Panics
    /// Where the declared parameters are unsound: a default that breaks its own rules, a pattern that is none.
    #[track_caller]
    pub fn new() -> Self {
        Self { bench: Bench::new(&P::Config::declare()), processor: PhantomData }
    }

    /// The descriptor, as the host reads it. Where the processor does not say what it is called, it is called `under-test`.
    pub fn descriptor(&self) -> Json {
        self.bench.descriptor(|package| session::describe::<P::Config>(P::describe, package))
    }

    /// All that is wrong with the settings: by the declared parameters, or, where these find nothing, by what the processor says.
    pub fn check(&self) -> Vec<Problem> {
        self.bench.check(&P::Config::declare(), |settings| session::check::<P::Config>(P::check, settings))
    }

    /// A session.
    ///
    /// # Panics
    /// Where it does not open; [`ProcessorHarness::try_open`] tells why.
    #[track_caller]
    pub fn open(&self) -> ProcessorSession<'_, P> {
        match self.try_open() {
            Ok(session) => session,
            Err(error) => panic!("it did not open: {error}"),
        }
    }

    /// A session, or why there is none.
    pub fn try_open(&self) -> Result<ProcessorSession<'_, P>, NotOpened> {
        let session = self.bench.try_open(&P::Config::declare(), self.check(), session::ProcessorSession::open)?;
        Ok(ProcessorSession { harness: self, session })
    }
}

impl<T: Processor + Probe<T::Config>> ProcessorHarness<T> {
    /// Whether the far side is there, by the connector's own word.
    ///
    /// # Errors
    /// Where it is not, or the settings are wrong.
    pub fn reachable(&self) -> Result<(), NotOpened> {
        self.bench.try_open(&T::Config::declare(), self.check(), session::reachable::<T, T::Config>)
    }
}

bench::shared!(ProcessorHarness);

/// An open processor.
#[derive(Debug)]
pub struct ProcessorSession<'a, P> {
    harness: &'a ProcessorHarness<P>,
    session: session::ProcessorSession<P>,
}

impl<P: Processor> ProcessorSession<'_, P> {
    /// Hands over a batch.
    ///
    /// # Panics
    /// Where the answer breaks the contract; [`ProcessorSession::try_process`] tells how.
    #[track_caller]
    pub fn process(&self, batch: &TestBatch) -> Processing {
        match self.try_process(batch) {
            Ok(processing) => processing,
            Err(breach) => panic!("the answer breaks the contract: {breach}"),
        }
    }

    /// Hands over a batch, and says how the answer breaks the contract where it does.
    pub fn try_process(&self, batch: &TestBatch) -> Result<Processing, ProcessBreach> {
        let (pushed, columns) = batch.lay_out();
        let (count, after) = (pushed.count, pushed.after.clone());
        let host = &self.harness.bench.host;
        host.borrow_mut().batch = Some(columns.clone());
        let answer = self.harness.bench.call(|| self.session.process(pushed));
        host.borrow_mut().batch = None;
        Processing::new(count, after, &columns, answer)
    }

    /// Closes it.
    pub fn close(self) -> Result<(), Failure> {
        Ok(self.harness.bench.call(|| self.session.close())?)
    }
}
