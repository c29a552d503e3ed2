//! What a processor made of the records of a batch.

mod draft;

use crate::{Batch, Failure, FailureKind, Operation, Record, Span, bindings::wharf::connector::types};

use draft::Draft;

/// What a processor made of the records of a batch. Every record is accounted for in it: something came of it, or it was dropped, or it
/// failed.
///
/// ```
/// use wharf_sdk::{Batch, Failure, Processed, Step};
///
/// fn process(batch: &Batch) -> Processed {
///     Processed::each(batch, |record| match record.after() {
///         Some(after) if after.is_ascii() => Ok(Step::After(after.to_ascii_uppercase())),
///         Some(_) => Err(Failure::rejected("a letter that is not ASCII")),
///         None => Ok(Step::Drop),
///     })
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Processed(pub(crate) Parts);

/// What [`Processed::each`] does with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It goes on as it came.
    Keep,
    /// It is dropped on purpose: acknowledged, and never written.
    Drop,
    /// It goes on with another value.
    After(Vec<u8>),
}

impl Processed {
    /// Every record goes on as it came.
    pub fn unchanged(batch: &Batch) -> Self {
        Self::builder(batch).finish()
    }

    /// One record after the other: it goes on as it came or with another value, is dropped, or fails.
    pub fn each(batch: &Batch, mut step: impl FnMut(Record<'_>) -> Result<Step, Failure>) -> Self {
        let mut processed = Self::builder(batch);
        for record in batch {
            match step(record) {
                Ok(Step::Keep) => {}
                Ok(Step::Drop) => processed.filter(record),
                Ok(Step::After(after)) => drop(processed.emit(record).after(after)),
                Err(failure) => processed.fail(record, failure),
            }
        }
        processed.finish()
    }

    /// To be told of one record after the other, in their order.
    pub fn builder(batch: &Batch) -> ProcessedBuilder<'_> {
        ProcessedBuilder {
            batch,
            parents: Vec::new(),
            next: 0,
            last: Last::On,
            filtered: Vec::new(),
            failures: Vec::new(),
            after: Draft::default(),
            before: Draft::default(),
            key: Draft::default(),
            metadata: Vec::new(),
            operations: None,
            content_type: None,
        }
    }
}

/// What crosses the boundary. The contract's own type is generated in the processor's crate.
#[derive(Clone, Debug, Default)]
#[doc(hidden)]
pub struct Parts {
    pub count: u32,
    pub parents: Option<Vec<u32>>,
    pub after: Change,
    pub before: Change,
    pub key: Change,
    pub operations: Option<Vec<u8>>,
    pub content_type: Option<String>,
    pub metadata: Vec<(String, Change)>,
    pub filtered: Vec<Span>,
    pub verdicts: Vec<types::Verdict>,
}

/// What becomes of a column.
#[derive(Clone, Debug, Default)]
#[doc(hidden)]
pub enum Change {
    #[default]
    Keep,
    Clear,
    Set(types::Column),
}

/// Builds a [`Processed`] that keeps the contract whatever it is told. Nothing is allocated per record.
///
/// - Records are answered for in their order. One that nothing is said of goes on as it came.
/// - A record that comes out has all that its parent has, but for what is set or cleared.
/// - Of several answers for one record the worst holds: `fail` before `filter` before `emit`. What was emitted is taken back then.
/// - `unauthorized` and `fatal` can only be the last word: where other records come after, the failure becomes `transient`.
///
/// ```
/// use wharf_sdk::{Batch, Failure, Processed};
///
/// /// One record a line.
/// fn process(batch: &Batch) -> Processed {
///     let mut processed = Processed::builder(batch);
///     for record in batch {
///         let lines = record.after().unwrap_or_default().split(|byte| *byte == b'\n');
///         for (index, line) in lines.enumerate() {
///             processed.emit(record).after(line).meta("line", index.to_string());
///         }
///     }
///     processed.finish()
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ProcessedBuilder<'a> {
    batch: &'a Batch,
    parents: Vec<u32>,
    /// The first record that nothing was said of.
    next: u32,
    /// What was said of the one before.
    last: Last,
    filtered: Vec<Span>,
    failures: Vec<(Span, Failure)>,
    after: Draft,
    before: Draft,
    key: Draft,
    metadata: Vec<(String, Draft)>,
    operations: Option<Vec<u8>>,
    content_type: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    On,
    Filtered,
    Failed,
}

/// Every method panics where it is told of a record that is not in the batch, or comes before one that it was told of.
impl<'a> ProcessedBuilder<'a> {
    /// A record that comes of this one, as it is; what it returns changes it. Called again, several come of it.
    ///
    /// # Panics
    /// Where the record was dropped, or failed.
    pub fn emit(&mut self, record: Record<'_>) -> Output<'_, 'a> {
        let index = record.index();
        if !self.is_last(index) {
            self.reach(index);
            (self.next, self.last) = (index + 1, Last::On);
        }
        assert!(self.last == Last::On, "record {index} was dropped or failed, and nothing comes of it");
        self.parents.push(index);
        Output { builder: self }
    }

    /// These records were dropped on purpose: acknowledged, and never written.
    pub fn filter(&mut self, records: impl Into<Span>) {
        let records = records.into();
        if records.is_empty() {
            return;
        }
        let again = self.is_last(records.start);
        if again && self.last == Last::Failed {
            // The worse answer holds; the rest is new.
            return self.filter(records.start + 1..records.end);
        }
        self.take(records);
        match self.filtered.last_mut() {
            Some(last) if last.end >= records.start => last.end = records.end,
            _ => self.filtered.push(records),
        }
        self.last = Last::Filtered;
    }

    /// These records failed. What the host does about it is what the failure's kind says.
    pub fn fail(&mut self, records: impl Into<Span>, failure: Failure) {
        let records = records.into();
        if records.is_empty() {
            return;
        }
        if self.is_last(records.start) {
            match self.last {
                // Of two failures the first holds.
                Last::Failed => return self.fail(records.start + 1..records.end, failure),
                Last::Filtered => self.unfilter(),
                Last::On => {}
            }
        }
        self.take(records);
        match self.failures.last_mut() {
            Some((last, same)) if last.end == records.start && *same == failure => last.end = records.end,
            _ => self.failures.push((records, failure)),
        }
        self.last = Last::Failed;
    }

    /// No record that comes out has a value, but for those that one is set for. Said before the first record.
    pub fn clear_after(&mut self) {
        self.is_first();
        self.after.clear();
    }

    /// No record that comes out has a value from before its change, but for those that one is set for. Said before the first record.
    pub fn clear_before(&mut self) {
        self.is_first();
        self.before.clear();
    }

    /// No record that comes out has a key, but for those that one is set for. Said before the first record.
    pub fn clear_key(&mut self) {
        self.is_first();
        self.key.clear();
    }

    /// No record that comes out has metadata of that name, but for those that it is set for. Said before the first record.
    pub fn clear_meta(&mut self, name: &str) {
        self.is_first();
        self.draft_of(name).clear();
    }

    /// Media type of the values that were set, such as `application/json`.
    pub fn content_type(&mut self, content_type: impl Into<String>) {
        self.content_type = Some(content_type.into());
    }

    /// What became of every record.
    pub fn finish(mut self) -> Processed {
        let count = self.batch.count();
        self.reach(count);
        let (batch, parents) = (self.batch, &self.parents);
        let metadata = self.metadata.into_iter().map(|(name, draft)| {
            let change = draft.finish(parents, || batch.meta(&name));
            (name, change)
        });
        let metadata = metadata.collect();
        let after = self.after.finish(parents, || Some(batch.after()));
        let before = self.before.finish(parents, || batch.before());
        let key = self.key.finish(parents, || batch.key());
        if let Some(operations) = &mut self.operations {
            let kept = parents[operations.len()..].iter().map(|parent| operation_of(batch, *parent));
            operations.extend(kept);
        }
        let verdicts = self.failures.into_iter().map(|(records, failure)| {
            let last = !failure.kind().ends_the_batch() || records.end == count;
            let failure = if last { failure } else { failure.with_kind(FailureKind::Transient) };
            types::Verdict { records, outcome: types::Outcome::Failed(failure.into()) }
        });
        let one_for_one = parents.len() == count as usize && (0..count).eq(parents.iter().copied());
        Processed(Parts {
            count: parents.len() as u32,
            after,
            before,
            key,
            operations: self.operations,
            content_type: self.content_type,
            metadata,
            filtered: self.filtered,
            verdicts: verdicts.collect(),
            parents: (!one_for_one).then_some(self.parents),
        })
    }

    fn is_last(&self, record: u32) -> bool {
        record + 1 == self.next
    }

    fn is_first(&self) {
        assert!(self.next == 0, "a column is cleared before the first record is answered for");
    }

    /// Lets the records before that one go on as they came.
    fn reach(&mut self, record: u32) {
        let (next, count) = (self.next, self.batch.count());
        assert!(next <= record, "record {record} after record {}: they are answered for in their order", next.saturating_sub(1));
        assert!(record <= count, "record {record} of a batch of {count}");
        self.parents.extend(next..record);
    }

    /// Takes back what came of these records, of which the first may have been answered for.
    fn take(&mut self, records: Span) {
        assert!(
            records.end <= self.batch.count(),
            "records {}..{} of a batch of {}",
            records.start,
            records.end,
            self.batch.count()
        );
        if self.is_last(records.start) {
            let kept = self.parents.partition_point(|parent| *parent < records.start);
            self.parents.truncate(kept);
            let named = self.metadata.iter_mut().map(|(_, draft)| draft);
            for draft in [&mut self.after, &mut self.before, &mut self.key].into_iter().chain(named) {
                draft.truncate(kept);
            }
            if let Some(operations) = &mut self.operations {
                operations.truncate(kept);
            }
        } else {
            self.reach(records.start);
        }
        self.next = records.end;
    }

    /// The last record was not dropped after all.
    fn unfilter(&mut self) {
        if let Some(last) = self.filtered.last_mut() {
            last.end -= 1;
            if last.is_empty() {
                self.filtered.pop();
            }
        }
    }

    fn draft_of(&mut self, name: &str) -> &mut Draft {
        let at = match self.metadata.iter().position(|(other, _)| other == name) {
            Some(at) => at,
            None => {
                self.metadata.push((name.to_owned(), Draft::default()));
                self.metadata.len() - 1
            }
        };
        &mut self.metadata[at].1
    }
}

fn operation_of(batch: &Batch, record: u32) -> u8 {
    batch.get(record).map_or(Operation::Create, |record| record.operation()) as u8
}

/// A record that comes out. What is not set is as its parent has it; what is set twice is as it was set last.
#[derive(Debug)]
pub struct Output<'b, 'a> {
    builder: &'b mut ProcessedBuilder<'a>,
}

impl Output<'_, '_> {
    /// With that value.
    pub fn after(self, after: impl AsRef<[u8]>) -> Self {
        self.put_after(Some(after.as_ref()))
    }

    /// Without a value.
    pub fn without_after(self) -> Self {
        self.put_after(None)
    }

    /// With that value from before its change.
    pub fn before(self, before: impl AsRef<[u8]>) -> Self {
        self.put_before(Some(before.as_ref()))
    }

    /// Without a value from before its change.
    pub fn without_before(self) -> Self {
        self.put_before(None)
    }

    /// With that key.
    pub fn key(self, key: impl AsRef<[u8]>) -> Self {
        self.put_key(Some(key.as_ref()))
    }

    /// Without a key.
    pub fn without_key(self) -> Self {
        self.put_key(None)
    }

    /// With that metadata.
    pub fn meta(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.put_meta(name, Some(value.as_ref()))
    }

    /// Without metadata of that name.
    pub fn without_meta(self, name: &str) -> Self {
        self.put_meta(name, None)
    }

    /// With what was done to the entity.
    pub fn operation(self, operation: Operation) -> Self {
        let ProcessedBuilder { batch, parents, operations, .. } = &mut *self.builder;
        let operations = operations.get_or_insert_default();
        operations.truncate(parents.len() - 1);
        let kept = parents[operations.len()..parents.len() - 1].iter().map(|parent| operation_of(batch, *parent));
        operations.extend(kept);
        operations.push(operation as u8);
        self
    }

    fn put_after(self, value: Option<&[u8]>) -> Self {
        let ProcessedBuilder { batch, parents, after, .. } = &mut *self.builder;
        after.put(parents, || Some(batch.after()), value);
        self
    }

    fn put_before(self, value: Option<&[u8]>) -> Self {
        let ProcessedBuilder { batch, parents, before, .. } = &mut *self.builder;
        before.put(parents, || batch.before(), value);
        self
    }

    fn put_key(self, value: Option<&[u8]>) -> Self {
        let ProcessedBuilder { batch, parents, key, .. } = &mut *self.builder;
        key.put(parents, || batch.key(), value);
        self
    }

    fn put_meta(self, name: &str, value: Option<&[u8]>) -> Self {
        let batch = self.builder.batch;
        let parents = std::mem::take(&mut self.builder.parents);
        self.builder.draft_of(name).put(&parents, || batch.meta(name), value);
        self.builder.parents = parents;
        self
    }
}
