//! What became of the records of a batch.

use crate::{Batch, Failure, FailureKind, Job, Span, Upload, bindings::wharf::connector::types};

/// What can be answered for in a [`Receipt`]: a [`Batch`], the staged file of an [`Upload`], or what of one is still to be settled, a [`Job`].
pub trait Answerable: sealed::Sealed {}

impl Answerable for Batch {}
impl Answerable for Upload {}
impl<H> Answerable for Job<H> {}

mod sealed {
    use crate::{Batch, Job, Span, Upload};

    /// How many records there are, and which of them a receipt may name.
    pub trait Sealed {
        fn count(&self) -> u32;

        /// All of them where it is not said.
        fn of(&self) -> Option<&[Span]> {
            None
        }
    }

    impl Sealed for Batch {
        fn count(&self) -> u32 {
            Batch::count(self)
        }
    }

    impl Sealed for Upload {
        fn count(&self) -> u32 {
            self.records()
        }
    }

    impl<H> Sealed for Job<H> {
        fn count(&self) -> u32 {
            self.records()
        }

        fn of(&self) -> Option<&[Span]> {
            Some(self.working())
        }
    }
}

/// What became of the records of a batch. Every record should stand in it; one that does not is *unknown* to the host: pending,
/// never taken for delivered.
///
/// ```
/// use wharf_sdk::{Batch, Failure, Receipt};
///
/// fn write(batch: &Batch) -> Receipt {
///     let mut receipt = Receipt::builder(batch);
///     for record in batch {
///         match record.after() {
///             Some(_) => receipt.delivered(record),
///             None => receipt.failed(record, Failure::rejected("a record without a value")),
///         }
///     }
///     receipt.finish()
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Receipt(types::Receipt);

impl Receipt {
    /// Every record is delivered.
    pub fn all(of: &impl Answerable) -> Self {
        let mut receipt = Self::builder(of);
        receipt.delivered(0..of.count());
        receipt.finish()
    }

    /// Every record is delivered but these, in any order, each for a reason of its own.
    ///
    /// # Panics
    /// Where an index is not that of a record.
    pub fn all_but(of: &impl Answerable, failed: impl IntoIterator<Item = (u32, Failure)>) -> Self {
        let mut receipt = Self::builder(of);
        receipt.delivered(0..of.count());
        for (record, failure) in failed {
            receipt.failed(record, failure);
        }
        receipt.finish()
    }

    /// The records before `record` are delivered, that one failed, and the rest were not tried: what a destination that promises order
    /// says when something went wrong half-way.
    ///
    /// # Panics
    /// Where `record` is not the index of one.
    pub fn until(of: &impl Answerable, record: u32, failure: Failure) -> Self {
        let mut receipt = Self::builder(of);
        receipt.delivered(0..record);
        receipt.failed(record, failure);
        receipt.untried(record + 1..of.count());
        receipt.finish()
    }

    /// To be told of one record, or one run of them, after the other.
    pub fn builder(of: &impl Answerable) -> ReceiptBuilder {
        ReceiptBuilder { count: of.count(), of: of.of().map(<[Span]>::to_vec), runs: Vec::new(), ordered: true }
    }

    /// What of so many records does not stand in it.
    pub(crate) fn rest(&self, count: u32) -> Vec<Span> {
        let mut said: Vec<Span> =
            self.0.delivered.iter().copied().chain(self.0.verdicts.iter().map(|verdict| verdict.records)).collect();
        said.sort_unstable_by_key(|span| span.start);
        let mut rest = Vec::new();
        let mut end = 0;
        for span in said.into_iter().chain([Span::from(count..count)]) {
            if end < span.start {
                rest.push(Span { start: end, end: span.start });
            }
            end = end.max(span.end);
        }
        rest
    }
}

impl From<Receipt> for types::Receipt {
    fn from(receipt: Receipt) -> Self {
        receipt.0
    }
}

/// What became of a record, the worse the later.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Delivered,
    Warned(String),
    Untried,
    Failed(Failure),
}

impl Outcome {
    fn rank(&self) -> u8 {
        match self {
            Self::Delivered => 0,
            Self::Warned(_) => 1,
            Self::Untried => 2,
            Self::Failed(_) => 3,
        }
    }
}

#[derive(Clone, Debug)]
struct Run {
    records: Span,
    outcome: Outcome,
}

/// Builds a [`Receipt`] that keeps the contract whatever it is told. Answers come in any order; neighbours with the same answer
/// share a span, so that nothing is allocated per record.
///
/// - One that is never answered for is left out, and so unknown.
/// - One that is answered for twice keeps the worse answer, and of two failures the first: a record of which one half arrived is
///   not delivered.
/// - Of a [`Job`], only what is still to be settled stands in it, whatever else was said.
/// - `unauthorized` and `fatal` can only be the last word. The records after it that were untried or not answered for share it; where
///   others have an answer, it becomes `transient`, with the same message.
#[derive(Clone, Debug)]
#[must_use]
pub struct ReceiptBuilder {
    count: u32,
    /// What can be answered for; all of it where that is not said.
    of: Option<Vec<Span>>,
    runs: Vec<Run>,
    /// Whether the runs are in order and none overlaps another.
    ordered: bool,
}

/// Every method panics where it is told of a record that is not in the batch, as indexing a slice does.
impl ReceiptBuilder {
    /// Delivered, with nothing to remark.
    pub fn delivered(&mut self, records: impl Into<Span>) {
        self.push(records.into(), Outcome::Delivered);
    }

    /// Delivered, with a remark that an operator should see.
    pub fn warned(&mut self, records: impl Into<Span>, remark: impl Into<String>) {
        self.push(records.into(), Outcome::Warned(remark.into()));
    }

    /// Not delivered.
    pub fn failed(&mut self, records: impl Into<Span>, failure: Failure) {
        self.push(records.into(), Outcome::Failed(failure));
    }

    /// Not attempted, because of what came before: sent again, and no attempt is counted.
    pub fn untried(&mut self, records: impl Into<Span>) {
        self.push(records.into(), Outcome::Untried);
    }

    /// The receipt.
    pub fn finish(mut self) -> Receipt {
        if !self.ordered {
            self.put_in_order();
        }
        self.let_the_last_word_be_last();
        if let Some(of) = self.of.take() {
            self.keep_to(&of);
        }
        let mut receipt = types::Receipt { delivered: Vec::new(), verdicts: Vec::new() };
        for Run { records, outcome } in self.runs {
            let outcome = match outcome {
                Outcome::Delivered => {
                    receipt.delivered.push(records);
                    continue;
                }
                Outcome::Warned(remark) => types::Outcome::Warned(remark),
                Outcome::Untried => types::Outcome::Untried,
                Outcome::Failed(failure) => types::Outcome::Failed(failure.into()),
            };
            receipt.verdicts.push(types::Verdict { records, outcome });
        }
        Receipt(receipt)
    }

    fn push(&mut self, records: Span, outcome: Outcome) {
        if records.is_empty() {
            return;
        }
        assert!(records.end <= self.count, "records {}..{} of a batch of {}", records.start, records.end, self.count);
        match self.runs.last_mut() {
            Some(last) if last.records.end == records.start && last.outcome == outcome => last.records.end = records.end,
            last => {
                self.ordered &= last.is_none_or(|last| last.records.end <= records.start);
                self.runs.push(Run { records, outcome });
            }
        }
    }

    /// Settles what was said out of order or twice.
    fn put_in_order(&mut self) {
        let mut chosen: Vec<Option<usize>> = vec![None; self.count as usize];
        for (index, run) in self.runs.iter().enumerate() {
            for record in &mut chosen[run.records.start as usize..run.records.end as usize] {
                if record.is_none_or(|other| self.runs[other].outcome.rank() < run.outcome.rank()) {
                    *record = Some(index);
                }
            }
        }
        let said = std::mem::take(&mut self.runs);
        self.ordered = true;
        let mut start = 0;
        for run in chosen.chunk_by(|left, right| left == right) {
            let end = start + run.len() as u32;
            if let Some(Some(index)) = run.first() {
                self.push(Span { start, end }, said[*index].outcome.clone());
            }
            start = end;
        }
    }

    /// Takes out what is not to be answered for. Both are in order.
    fn keep_to(&mut self, of: &[Span]) {
        let mut of = of.iter().peekable();
        let mut kept = Vec::with_capacity(self.runs.len());
        for run in std::mem::take(&mut self.runs) {
            while let Some(span) = of.peek() {
                let both = Span { start: span.start.max(run.records.start), end: span.end.min(run.records.end) };
                if !both.is_empty() {
                    kept.push(Run { records: both, outcome: run.outcome.clone() });
                }
                if span.end > run.records.end {
                    break;
                }
                of.next();
            }
        }
        self.runs = kept;
    }

    fn let_the_last_word_be_last(&mut self) {
        let tried = |run: &Run| run.outcome != Outcome::Untried;
        let ends = |run: &Run| matches!(&run.outcome, Outcome::Failed(failure) if failure.kind().ends_the_batch());
        let Some(last) = self.runs.iter().rposition(tried) else { return };
        for run in &mut self.runs[..last] {
            match &run.outcome {
                Outcome::Failed(failure) if failure.kind().ends_the_batch() => {
                    run.outcome = Outcome::Failed(failure.clone().with_kind(FailureKind::Transient));
                }
                _ => {}
            }
        }
        if ends(&self.runs[last]) {
            self.runs.truncate(last + 1);
            self.runs[last].records.end = self.count;
        }
    }
}
