//! A host for one bulk destination under test.

use std::{marker::PhantomData, ops::Deref, rc::Rc, time::Duration};

use super::{
    Answer, Breach, Fate, Json, NotOpened, TestBatch,
    bench::{self, Bench},
};
use crate::{
    BulkDestination, Failure, Parameters, Probe, Problem, Span,
    bindings::wharf::connector::types,
    bulk::{HANDLE, Parts, StatusParts},
    session::{self, FoundParts, Request},
};

/// How often [`BulkHarness::deliver`] asks for one upload.
const POLLS: u32 = 1000;

/// A host for one bulk destination under test: settings, context and grants, and afterwards what the connector left with it.
///
/// As a host does, it opens a session for every call: what a connector keeps in memory is not there in the next.
///
/// ```
/// use wharf_sdk::{
///     Batch, BulkDestination, Context, Descriptor, Failure, Job, Lines, Receipt, Upload, UploadStatus, Uploaded,
///     testing::{BulkHarness, batch},
/// };
///
/// struct Late;
///
/// impl BulkDestination for Late {
///     type Config = ();
///     type Handle = String;
///
///     fn describe() -> Descriptor {
///         Descriptor::new("Takes its time.")
///     }
///
///     fn open((): (), _: Context) -> Result<Self, Failure> {
///         Ok(Self)
///     }
///
///     fn transform(&mut self, batch: &Batch) -> Result<Lines, Failure> {
///         Ok(Lines::each(batch, |record, line| Ok(line.push(record.after().unwrap_or_default()))))
///     }
///
///     fn upload(&mut self, upload: &Upload) -> Result<Uploaded<String>, Failure> {
///         Ok(Uploaded::working(upload, format!("job of {}", upload.intent())))
///     }
///
///     fn poll(&mut self, _: &Job<String>) -> Result<UploadStatus<String>, Failure> {
///         Ok(UploadStatus::AskStats(None))
///     }
///
///     fn stats(&mut self, job: &Job<String>) -> Result<Receipt, Failure> {
///         Ok(Receipt::all(job))
///     }
/// }
///
/// let harness = BulkHarness::<Late>::new();
/// let file = harness.transform(&batch(["a", "b"])).file("intent-1");
/// assert_eq!(file.text(), "a\nb\n");
/// harness.deliver(&file).assert_all_delivered();
/// ```
#[derive(Debug)]
pub struct BulkHarness<B> {
    bench: Bench,
    bulk: PhantomData<fn() -> B>,
}

impl<B: BulkDestination> Default for BulkHarness<B> {
    fn default() -> Self {
        Self::new()
    }
}

/// Calls that panic do so where the connector fails as a whole or breaks the contract; those that begin with `try_` tell a failure.
impl<B: BulkDestination> BulkHarness<B> {
    /// Without a setting, and without a grant.
    ///
    /// # Panics
    /// Where the declared parameters are unsound: a default that breaks its own rules, a pattern that is none.
    #[track_caller]
    pub fn new() -> Self {
        Self { bench: Bench::new(&B::Config::declare()), bulk: PhantomData }
    }

    /// The descriptor, as the host reads it. Where the connector does not say what it is called, it is called `under-test`.
    pub fn descriptor(&self) -> Json {
        self.bench.descriptor(|package| session::describe::<B::Config>(B::describe, package))
    }

    /// All that is wrong with the settings: by the declared parameters, or, where these find nothing, by what the connector says.
    pub fn check(&self) -> Vec<Problem> {
        self.bench.check(&B::Config::declare(), |settings| session::check::<B::Config>(B::check, settings))
    }

    /// Opens a session and closes it, or tells why there is none.
    pub fn try_open(&self) -> Result<(), NotOpened> {
        let session = self.session()?;
        self.bench.call(|| session.close()).map_err(|failure| NotOpened::Failure(failure.into()))
    }

    /// Has lines made of a batch.
    #[track_caller]
    pub fn transform(&self, batch: &TestBatch) -> TestLines {
        self.try_transform(batch).unwrap_or_else(|failure| panic!("transform failed: {}: {failure}", failure.kind()))
    }

    /// The same, or the failure of the call as a whole.
    #[track_caller]
    pub fn try_transform(&self, batch: &TestBatch) -> Result<TestLines, Failure> {
        let (pushed, columns) = batch.lay_out();
        let count = pushed.count;
        self.bench.host.borrow_mut().batch = Some(columns);
        let answer = self.call(None, |session| session.transform(pushed));
        self.bench.host.borrow_mut().batch = None;
        let (lines, verdicts) = answer?;
        let lines: Vec<Vec<u8>> = crate::Column::new(lines).iter().map(|line| line.expect_line().to_vec()).collect();
        let failed = verdicts.iter().map(|verdict| verdict.records.len() as usize).sum::<usize>();
        assert_eq!(lines.len() + failed, count as usize, "a line for each record that is in no verdict");
        let only_failures = verdicts.iter().all(|verdict| matches!(verdict.outcome, types::Outcome::Failed(_)));
        assert!(only_failures, "of a record without a line it can only be said that it failed");
        let mut fates = vec![None; count as usize];
        let receipt = types::Receipt { delivered: Vec::new(), verdicts };
        tell(&mut fates, receipt, &|_| true).unwrap_or_else(|breach| panic!("transform breaks the contract: {breach}"));
        let fates = fates.into_iter().map(|fate| fate.unwrap_or(Fate::Working)).collect();
        Ok(TestLines { lines, answer: Answer::of(fates) })
    }

    /// Hands over a file.
    #[track_caller]
    pub fn upload(&self, file: &TestFile) -> TestUpload {
        self.try_upload(file).unwrap_or_else(|failure| panic!("upload failed: {}: {failure}", failure.kind()))
    }

    /// The same, or the failure that speaks for the whole file.
    #[track_caller]
    pub fn try_upload(&self, file: &TestFile) -> Result<TestUpload, Failure> {
        let parts = self.call(Some(file), |session| session.upload(file.request()))?;
        Ok(TestUpload::new(file, parts))
    }

    /// Asks how far it is, and notes what it says.
    #[track_caller]
    pub fn poll(&self, upload: &mut TestUpload) -> Polled {
        self.try_poll(upload).unwrap_or_else(|failure| panic!("poll failed: {}: {failure}", failure.kind()))
    }

    /// The same, or the failure: the status is not known then.
    #[track_caller]
    pub fn try_poll(&self, upload: &mut TestUpload) -> Result<Polled, Failure> {
        let handle = upload.handle().to_vec();
        Ok(match self.call(Some(&upload.file), |session| session.poll(&handle))? {
            StatusParts::Working { done, again_in_ms, handle } => {
                upload.replace(handle);
                Polled::Working { done, again_in: again_in_ms.map(|ms| Duration::from_millis(ms.into())) }
            }
            StatusParts::Delivered => {
                upload.end(&Fate::Delivered);
                Polled::Settled
            }
            StatusParts::Settled(receipt) => {
                upload.settle(receipt);
                Polled::Settled
            }
            StatusParts::AskStats(handle) => {
                upload.replace(handle);
                Polled::AskStats
            }
            StatusParts::Failed(failure) => {
                let failure = Failure::from(failure);
                upload.end(&Fate::Failed(failure.clone()));
                Polled::Failed(failure)
            }
        })
    }

    /// Asks for the outcome of each record, and notes it.
    #[track_caller]
    pub fn stats(&self, upload: &mut TestUpload) {
        self.try_stats(upload).unwrap_or_else(|failure| panic!("stats failed: {}: {failure}", failure.kind()));
    }

    /// The same, or the failure: the outcomes are not known then.
    #[track_caller]
    pub fn try_stats(&self, upload: &mut TestUpload) -> Result<(), Failure> {
        let handle = upload.handle().to_vec();
        let receipt = self.call(Some(&upload.file), |session| session.stats(&handle))?;
        upload.settle(receipt);
        Ok(())
    }

    /// Asks whether an upload took effect whose answer never came.
    #[track_caller]
    pub fn reconcile(&self, file: &TestFile) -> TestFound {
        self.try_reconcile(file).unwrap_or_else(|failure| panic!("reconcile failed: {}: {failure}", failure.kind()))
    }

    /// The same, or the failure: it is not known then.
    #[track_caller]
    pub fn try_reconcile(&self, file: &TestFile) -> Result<TestFound, Failure> {
        Ok(match self.call(Some(file), |session| session.reconcile(file.request()))? {
            FoundParts::Absent => TestFound::Absent,
            FoundParts::Present(parts) => TestFound::Present(TestUpload::new(file, parts)),
            FoundParts::CannotTell => TestFound::CannotTell,
        })
    }

    /// Tells that nobody will ask for it again.
    #[track_caller]
    pub fn release(&self, upload: &TestUpload) {
        if let Some(handle) = upload.handle.clone() {
            let released = self.call(Some(&upload.file), |session| {
                session.release(&handle);
                Ok(())
            });
            released.unwrap_or_else(|failure| panic!("release failed: {failure}"));
        }
    }

    /// Uploads a file, polls until it is at its end, asks for outcomes where it is told to, and releases it.
    ///
    /// # Panics
    /// Where a call fails, and where it is not at its end after a thousand polls.
    #[track_caller]
    pub fn deliver(&self, file: &TestFile) -> TestUpload {
        let mut upload = self.upload(file);
        let mut polls = 0;
        while upload.is_working() {
            assert!(polls < POLLS, "not at its end after {POLLS} polls");
            polls += 1;
            if self.poll(&mut upload) == Polled::AskStats {
                self.stats(&mut upload);
            }
        }
        self.release(&upload);
        upload
    }

    fn session(&self) -> Result<session::BulkSession<B>, NotOpened> {
        self.bench.try_open(&B::Config::declare(), self.check(), session::BulkSession::open)
    }

    /// One call in a session of its own, with a file in hand where it is about one.
    #[track_caller]
    fn call<T>(
        &self,
        file: Option<&TestFile>,
        call: impl FnOnce(&session::BulkSession<B>) -> Result<T, types::Failure>,
    ) -> Result<T, Failure> {
        let session = self.session().unwrap_or_else(|error| panic!("it did not open: {error}"));
        self.bench.host.borrow_mut().staged = file.map(|file| file.text.clone());
        let answer = self.bench.call(|| call(&session));
        self.bench.host.borrow_mut().staged = None;
        let answer = answer.map_err(Failure::from)?;
        self.bench.call(|| session.close())?;
        Ok(answer)
    }
}

impl<T: BulkDestination + Probe<T::Config>> BulkHarness<T> {
    /// Whether the far side is there, by the connector's own word.
    ///
    /// # Errors
    /// Where it is not, or the settings are wrong.
    pub fn reachable(&self) -> Result<(), NotOpened> {
        self.bench.try_open(&T::Config::declare(), self.check(), session::reachable::<T, T::Config>)
    }
}

bench::shared!(BulkHarness);

/// What a batch was made into. Of each record it tells whether it has a line ([`Fate::Working`]) or failed.
#[derive(Clone, Debug)]
pub struct TestLines {
    lines: Vec<Vec<u8>>,
    answer: Answer,
}

impl TestLines {
    /// The lines, without line breaks.
    pub fn lines(&self) -> &[Vec<u8>] {
        &self.lines
    }

    /// The lines as texts.
    ///
    /// # Panics
    /// Where one is none.
    #[track_caller]
    pub fn texts(&self) -> Vec<&str> {
        self.lines
            .iter()
            .map(|line| std::str::from_utf8(line).unwrap_or_else(|_| panic!("a line is no text: {line:?}")))
            .collect()
    }

    /// The file that a host stages of them.
    ///
    /// # Panics
    /// Where there is none: no host uploads an empty file.
    #[track_caller]
    pub fn file(&self, intent: impl Into<String>) -> TestFile {
        TestFile::new(intent, &self.lines)
    }
}

impl Deref for TestLines {
    type Target = Answer;

    fn deref(&self) -> &Answer {
        &self.answer
    }
}

/// A staged file.
#[derive(Clone, Debug)]
pub struct TestFile {
    intent: String,
    text: Rc<[u8]>,
    records: u32,
    action: u32,
    attempt: u32,
}

impl TestFile {
    /// A file of these lines.
    ///
    /// # Panics
    /// Where there is none, or a line has a line break in it.
    #[track_caller]
    pub fn new<L: AsRef<[u8]>>(intent: impl Into<String>, lines: &[L]) -> Self {
        assert!(!lines.is_empty(), "a staged file has at least one line");
        let mut text = Vec::new();
        for line in lines {
            text.extend_from_slice(Some(line.as_ref()).expect_line());
            text.push(b'\n');
        }
        Self { intent: intent.into(), text: text.into(), records: lines.len() as u32, action: 0, attempt: 1 }
    }

    /// For that action of the descriptor.
    #[must_use]
    pub fn action(mut self, action: u32) -> Self {
        self.action = action;
        self
    }

    /// As it is sent for the second time, or the third.
    #[must_use]
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// What stands in it.
    ///
    /// # Panics
    /// Where that is no text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_else(|error| panic!("the file is no text: {error}"))
    }

    fn request(&self) -> Request {
        let Self { intent, text, records, action, attempt } = self;
        Request { intent: intent.clone(), action: *action, records: *records, bytes: text.len() as u64, attempt: *attempt }
    }
}

/// An upload under way, and what became of its records so far: [`Fate::Working`] for those that are still to be settled.
#[derive(Clone, Debug)]
pub struct TestUpload {
    file: TestFile,
    handle: Option<Vec<u8>>,
    answer: Answer,
}

impl TestUpload {
    #[track_caller]
    fn new(file: &TestFile, parts: Parts) -> Self {
        let Parts { settled, working, handle } = parts;
        let mut fates = vec![None; file.records as usize];
        let told = tell(&mut fates, settled, &|_| true);
        told.unwrap_or_else(|breach| panic!("what is settled breaks the contract: {breach}"));
        for span in &working {
            assert!(!span.is_empty() && span.end <= file.records, "the span {}..{} holds no record", span.start, span.end);
            for record in span.start..span.end {
                let fate = &mut fates[record as usize];
                assert!(fate.is_none(), "record {record} is settled, or stands in two places");
                *fate = Some(Fate::Working);
            }
        }
        assert!(working.is_empty() || handle.is_some(), "records are worked on, and there is no handle to ask with");
        let fates = fates.into_iter().map(|fate| fate.unwrap_or(Fate::Unknown)).collect();
        let mut upload = Self { file: file.clone(), handle: None, answer: Answer::of(fates) };
        upload.replace(handle);
        upload
    }

    /// Whether the far side works on any of it.
    pub fn is_working(&self) -> bool {
        self.fates().contains(&Fate::Working)
    }

    /// What the host keeps, to find it again.
    ///
    /// # Panics
    /// Where there is none.
    #[track_caller]
    pub fn handle(&self) -> &[u8] {
        self.handle.as_deref().unwrap_or_else(|| panic!("this upload has no handle"))
    }

    /// These records are being worked on.
    #[track_caller]
    pub fn assert_working(&self, records: impl Into<Span>) -> &Self {
        for record in records.into().range() {
            let fate = self.fates().get(record);
            assert_eq!(fate, Some(&Fate::Working), "record {record}");
        }
        self
    }

    #[track_caller]
    fn replace(&mut self, handle: Option<Vec<u8>>) {
        if let Some(handle) = handle {
            assert!(handle.len() <= HANDLE, "a handle of {} bytes; {HANDLE} are the most", handle.len());
            self.handle = Some(handle);
        }
    }

    /// Every record that was being worked on.
    fn end(&mut self, fate: &Fate) {
        let fates = self.fates().iter().map(|was| if *was == Fate::Working { fate.clone() } else { was.clone() });
        self.answer = Answer::of(fates.collect());
    }

    #[track_caller]
    fn settle(&mut self, receipt: types::Receipt) {
        let was = self.fates().to_vec();
        let mut told = vec![None; was.len()];
        let working = |record: usize| was[record] == Fate::Working;
        tell(&mut told, receipt, &working).unwrap_or_else(|breach| panic!("the receipt breaks the contract: {breach}"));
        let fates = was.iter().zip(told).map(|(was, told)| match was {
            Fate::Working => told.unwrap_or(Fate::Unknown),
            was => was.clone(),
        });
        self.answer = Answer::of(fates.collect());
    }
}

impl Deref for TestUpload {
    type Target = Answer;

    fn deref(&self) -> &Answer {
        &self.answer
    }
}

/// What a poll came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Polled {
    /// Not at its end.
    Working {
        /// How much of it is done, from 0 to 1.
        done: Option<f64>,
        /// When it is worth asking again.
        again_in: Option<Duration>,
    },
    /// What became of its records is known.
    Settled,
    /// Done; [`BulkHarness::stats`] tells the outcomes.
    AskStats,
    /// It came to nothing.
    Failed(Failure),
}

/// What is known of an upload whose answer never came.
#[derive(Clone, Debug)]
pub enum TestFound {
    /// It did not take effect.
    Absent,
    /// It did.
    Present(TestUpload),
    /// The far side does not say.
    CannotTell,
}

/// Notes what a receipt says of records that it may speak of.
fn tell(fates: &mut [Option<Fate>], receipt: types::Receipt, may: &dyn Fn(usize) -> bool) -> Result<(), Breach> {
    let delivered = receipt.delivered.into_iter().map(|span| (span, Fate::Delivered));
    let verdicts = receipt.verdicts.into_iter().map(|verdict| (verdict.records, verdict.outcome.into()));
    for (span, fate) in delivered.chain(verdicts) {
        if span.is_empty() || span.end as usize > fates.len() || !span.range().all(may) {
            return Err(Breach::Span(span));
        }
        let last = !(span.end as usize..fates.len()).any(may);
        if matches!(&fate, Fate::Failed(failure) if failure.kind().ends_the_batch()) && !last {
            return Err(Breach::NotLast(span));
        }
        for record in span.range() {
            if fates[record].replace(fate.clone()).is_some() {
                return Err(Breach::Twice(record as u32));
            }
        }
    }
    Ok(())
}

impl Span {
    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A line as the contract has it.
trait ExpectLine<'a> {
    fn expect_line(self) -> &'a [u8];
}

impl<'a> ExpectLine<'a> for Option<&'a [u8]> {
    #[track_caller]
    fn expect_line(self) -> &'a [u8] {
        let line = self.unwrap_or_else(|| panic!("a line that is absent"));
        assert!(!line.contains(&b'\n'), "a line with a line break in it: {:?}", String::from_utf8_lossy(line));
        line
    }
}
