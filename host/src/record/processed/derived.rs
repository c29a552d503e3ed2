//! The records that a processor made of a batch.

use std::{borrow::Cow, sync::Arc};

use super::{Checked, MOST_METADATA, Passage, Passed, ProcessBounds, ProcessBreach, Selection, Verified};
use crate::record::{Batch, Column, ColumnBuilder, ColumnFull, ContentTypes, Span, batch::Made};

/// What became of a batch in a processor.
///
/// Every record that came in stands in exactly one of [`Derived::passages`]; those that go on are the parents of the records in
/// [`Derived::batch`], in the same order.
///
/// **Keys.** A record that comes out has the sequence of the one that it came from. Its ordinal is that one's too, as long as no
/// record of the sequence became several in this batch. Where one did, all records of that sequence are numbered anew, 0, 1, …, in
/// their order, those that passed the processor by among them. That is unique, and the same on every delivery, where all records of a
/// sequence are handed to a processor together, as they came of the source together: a batch is cut for a processor at
/// [`Batch::sequence_start`].
#[derive(Clone, Debug)]
pub struct Derived {
    batch: Option<Batch>,
    parents: Option<Vec<u32>>,
    passages: Vec<Passage>,
}

impl Derived {
    /// All records go on as they came: what becomes of a batch that no processor was given.
    pub fn unchanged(batch: &Batch) -> Self {
        let passages = vec![Passage { records: Span::new(0, batch.count()), passed: Passed::On }];
        Self { batch: Some(batch.clone()), parents: None, passages }
    }

    /// The records that come out; `None` where none does. Where they are those that came in, one for one, it bears the id of the same
    /// cut; otherwise one of its own, which is the same whenever the same records come out.
    pub fn batch(&self) -> Option<&Batch> {
        self.batch.as_ref()
    }

    /// For each record that came out the one that it came from, never falling; `None` where they are the same, one for one.
    pub fn parents(&self) -> Option<&[u32]> {
        self.parents.as_deref()
    }

    /// What became of every record that came in, in order and without a gap.
    pub fn passages(&self) -> &[Passage] {
        &self.passages
    }

    /// The record that one that came out came from.
    ///
    /// # Panics
    /// Where no such record came out.
    pub fn parent(&self, output: u32) -> u32 {
        self.parents.as_ref().map_or(output, |parents| parents[output as usize])
    }

    /// What became of the records before one of those that came in: what can go on where that one has to be processed again, with all
    /// that come after it. It is to be the first of its sequence, as [`Batch::sequence_start`] tells, or else keys come twice.
    ///
    /// # Panics
    /// Where fewer records came in.
    #[must_use]
    pub fn until(&self, record: u32) -> Self {
        let came_in = self.passages.last().map_or(0, |passage| passage.records.end);
        assert!(record <= came_in, "record {record} of {came_in}");
        let outputs = self.outputs(Span::new(0, record)).end;
        let before = |passage: &&Passage| passage.records.start < record;
        let cut = |passage: &Passage| {
            let records = Span::new(passage.records.start, passage.records.end.min(record));
            Passage { records, passed: passage.passed.clone() }
        };
        Self {
            batch: self.batch.as_ref().filter(|_| outputs > 0).map(|batch| batch.slice(0..outputs)),
            parents: self.parents.as_ref().map(|parents| parents[..outputs as usize].to_vec()),
            passages: self.passages.iter().take_while(before).map(cut).collect(),
        }
    }

    /// The records that came of neighbours that came in; empty where none did.
    pub fn outputs(&self, records: Span) -> Span {
        match &self.parents {
            None => records,
            Some(parents) => {
                let at = |record: u32| parents.partition_point(|parent| *parent < record) as u32;
                Span::new(at(records.start), at(records.end))
            }
        }
    }
}

/// Where the records that come out are from.
struct Origins {
    /// The record that came in; `None` where they are the same, one for one.
    parents: Option<Vec<u32>>,
    /// The record that the processor made, or [`PASSED_BY`]; `None` where the processor made all of them, in this order.
    made: Option<Vec<u32>>,
    count: u32,
}

/// What stands for a record that the processor was not given.
const PASSED_BY: u32 = u32::MAX;

pub(super) fn derive(
    verified: Verified,
    pipeline: &str,
    batch: &Batch,
    selection: &Selection,
    bounds: ProcessBounds,
) -> Result<Derived, ProcessBreach> {
    let Verified { count, parents, after: after_change, before: before_change, key: key_change, .. } = verified;
    let Verified { operations, content_type, metadata, passages, .. } = verified;
    let (origins, passages) = match selection {
        Selection::All => (Origins { parents, made: None, count }, passages),
        Selection::Some(records) => merged(batch.count(), records, parents, count, passages),
    };
    // Records that passed by count too, so that what was chosen by a condition is bounded as what was not.
    if origins.count > bounds.records.max(batch.count()) {
        return Err(ProcessBreach::Records { out: origins.count, most: bounds.records.max(batch.count()) });
    }
    let most = bounds.bytes.max(batch.bytes() as u64);
    let mut bytes = 0_u64;
    let mut weigh = |kept: Option<&Column>, change: &Checked| {
        bytes = bytes.saturating_add(origins.weigh(kept, change));
        if bytes > most { Err(ProcessBreach::Bytes { out: bytes, most }) } else { Ok(()) }
    };
    weigh(Some(batch.after()), &after_change)?;
    weigh(batch.before(), &before_change)?;
    weigh(batch.key(), &key_change)?;
    let change_of = |name: &str| metadata.iter().find(|(other, _)| other == name).map_or(&Checked::Keep, |(_, change)| change);
    for (name, column) in batch.metadata() {
        weigh(Some(column), change_of(name))?;
    }
    let is_new = |name: &str| batch.metadata().iter().all(|(other, _)| **other != *name);
    for (_, change) in metadata.iter().filter(|(name, _)| is_new(name)) {
        weigh(None, change)?;
    }
    // Every column is below what was weighed, so that none is full unless the bounds allow for 4 GiB.
    let full = |ColumnFull| ProcessBreach::Bytes { out: 4 << 30, most };
    if origins.count == 0 {
        return Ok(Derived { batch: None, parents: origins.parents, passages });
    }

    let after = origins.column(Some(batch.after()), &after_change).map_err(full)?;
    let before = origins.column(batch.before(), &before_change).map_err(full)?;
    let key = origins.column(batch.key(), &key_change).map_err(full)?;
    let mut columns = Vec::with_capacity(batch.metadata().len() + metadata.len());
    for (name, column) in batch.metadata() {
        let column = origins.column(Some(column), change_of(name)).map_err(full)?;
        columns.extend(column.map(|column| (name.clone(), column)));
    }
    for (name, change) in metadata.iter().filter(|(name, _)| is_new(name)) {
        let column = origins.column(None, change).map_err(full)?;
        columns.extend(column.map(|column| (Arc::from(name.as_str()), column)));
    }
    if columns.len() > MOST_METADATA {
        return Err(ProcessBreach::Metadata(columns.len()));
    }
    // What a processor says is said of the entities that it set; of a key it has no way to say anything.
    let known = batch.content_types();
    let said = |known: &Option<Arc<str>>, new: Option<&Arc<str>>| match new {
        // One column has one media type: where that of some records is another, nothing is said.
        Some(new) => (origins.all_made() || known.as_ref() == Some(new)).then(|| new.clone()),
        None => known.clone(),
    };
    let content_types = ContentTypes {
        after: said(&known.after, content_type.as_ref()),
        before: said(&known.before, content_type.as_ref().filter(|_| matches!(before_change, Checked::Set(_)))),
        key: known.key.clone().filter(|_| !matches!(key_change, Checked::Set(_))),
    };
    let (sequences, ordinals) = origins.keys(batch);
    let same = *sequences == *batch.sequences() && *ordinals == *batch.ordinals();
    let made = Made {
        operations: origins.operations(batch, operations.as_deref()),
        after: after.unwrap_or_else(|| Column::absent(origins.count as usize)),
        before,
        key,
        metadata: columns.into(),
        content_types,
        sequences: if same { Vec::new() } else { sequences.into_owned() },
        ordinals: if same { Vec::new() } else { ordinals.into_owned() },
    };
    let out = if same { batch.rewritten(made) } else { made.cut(pipeline, batch.partition().clone()) };
    Ok(Derived { batch: Some(out), parents: origins.parents, passages })
}

/// Puts what the processor made of some records between those that it was not given.
fn merged(count: u32, selected: &[u32], parents: Option<Vec<u32>>, made: u32, passages: Vec<Passage>) -> (Origins, Vec<Passage>) {
    let room = count as usize - selected.len() + made as usize;
    let (mut from, mut by) = (Vec::with_capacity(room), Vec::with_capacity(room));
    let mut whole = Vec::with_capacity(passages.len());
    let mut next = 0;
    let mut pass_by = |upto: u32, from: &mut Vec<u32>, by: &mut Vec<u32>, whole: &mut Vec<Passage>| {
        if next < upto {
            from.extend(next..upto);
            by.extend((next..upto).map(|_| PASSED_BY));
            push(whole, Passage { records: Span::new(next, upto), passed: Passed::On });
        }
        next = upto + 1;
    };
    let parent = |output: u32| parents.as_ref().map_or(output, |parents| parents[output as usize]);
    let mut output = 0;
    for Passage { records, passed } in &passages {
        for part in records.start..records.end {
            let record = selected[part as usize];
            pass_by(record, &mut from, &mut by, &mut whole);
            while output < made && parent(output) == part {
                from.push(record);
                by.push(output);
                output += 1;
            }
            push(&mut whole, Passage { records: Span::new(record, record + 1), passed: passed.clone() });
        }
    }
    pass_by(count, &mut from, &mut by, &mut whole);
    (Origins { count: from.len() as u32, parents: Some(from), made: Some(by) }, whole)
}

/// Adds a passage, to the last one where the same became of both.
pub(super) fn push(passages: &mut Vec<Passage>, passage: Passage) {
    let same = |last: &Passage| match (&last.passed, &passage.passed) {
        (Passed::Failed(last), Passed::Failed(next)) => Arc::ptr_eq(last, next),
        (last, next) => last == next,
    };
    match passages.last_mut() {
        Some(last) if last.records.end == passage.records.start && same(last) => last.records.end = passage.records.end,
        _ => passages.push(passage),
    }
}

fn picked<T: Copy>(values: &[T], records: &[u32]) -> Vec<T> {
    if values.is_empty() { Vec::new() } else { records.iter().map(|record| values[*record as usize]).collect() }
}

/// A list in which all are 0 is an empty one.
fn without_zeros<T: Copy + Default + PartialEq>(values: Vec<T>) -> Vec<T> {
    if values.iter().all(|value| *value == T::default()) { Vec::new() } else { values }
}

impl Origins {
    fn parent(&self, output: u32) -> u32 {
        self.parents.as_ref().map_or(output, |parents| parents[output as usize])
    }

    /// Whether the processor made all of them.
    fn all_made(&self) -> bool {
        self.made.as_ref().is_none_or(|made| !made.contains(&PASSED_BY))
    }

    /// Bytes of a column that comes out, before one is copied.
    fn weigh(&self, kept: Option<&Column>, change: &Checked) -> u64 {
        let of_parent = |output: u32| kept.map_or(0, |kept| kept.size(self.parent(output) as usize) as u64);
        match (&self.made, &self.parents, change) {
            (None, _, Checked::Clear) => 0,
            (None, _, Checked::Set(column)) => column.bytes() as u64,
            (None, None, Checked::Keep) => kept.map_or(0, Column::bytes) as u64,
            (None, Some(_), Checked::Keep) => (0..self.count).map(of_parent).sum(),
            (Some(made), _, change) => {
                let of = |(output, made): (u32, &u32)| match change {
                    Checked::Clear if *made != PASSED_BY => 0,
                    Checked::Set(column) if *made != PASSED_BY => column.size(*made as usize) as u64,
                    _ => of_parent(output),
                };
                (0..).zip(made).map(of).sum()
            }
        }
    }

    /// A column that comes out; `None` where no record has a value.
    fn column(&self, kept: Option<&Column>, change: &Checked) -> Result<Option<Column>, ColumnFull> {
        match (&self.made, &self.parents, change, kept) {
            (_, _, Checked::Keep | Checked::Clear, None) | (None, _, Checked::Clear, _) => Ok(None),
            (None, _, Checked::Set(column), _) => Ok(Some(column.clone())),
            (_, None, Checked::Keep, Some(kept)) => Ok(Some(kept.clone())),
            (_, Some(parents), Checked::Keep, Some(kept)) => match contiguous(parents) {
                Some(records) => Ok(Some(kept.slice(records.range()))),
                None => kept.picked(parents.iter().map(|parent| *parent as usize)).map(Some),
            },
            (Some(made), _, change, kept) => {
                let mut column = ColumnBuilder::with_capacity(made.len(), self.weigh(kept, change) as usize);
                for (output, made) in (0..).zip(made) {
                    match change {
                        Checked::Clear if *made != PASSED_BY => column.push_absent()?,
                        Checked::Set(set) if *made != PASSED_BY => column.add(set.get(*made as usize))?,
                        _ => column.add(kept.and_then(|kept| kept.get(self.parent(output) as usize)))?,
                    }
                }
                Ok(Some(column.finish()))
            }
        }
    }

    fn operations(&self, batch: &Batch, set: Option<&[u8]>) -> Vec<u8> {
        let known = batch.operations();
        let of_parent = |output: u32| known.get(self.parent(output) as usize).copied().unwrap_or_default();
        without_zeros(match (&self.made, set) {
            (None, Some(set)) => set.to_vec(),
            (Some(made), Some(set)) => {
                let of = |(output, made): (u32, &u32)| match *made {
                    PASSED_BY => of_parent(output),
                    made => set[made as usize],
                };
                (0..).zip(made).map(of).collect()
            }
            (_, None) if known.is_empty() => Vec::new(),
            (_, None) => (0..self.count).map(of_parent).collect(),
        })
    }

    /// Sequences and ordinals, as [`Derived`] says.
    fn keys<'a>(&self, batch: &'a Batch) -> (Cow<'a, [u64]>, Cow<'a, [u32]>) {
        let Some(parents) = &self.parents else {
            return (batch.sequences().into(), batch.ordinals().into());
        };
        let sequences = picked(batch.sequences(), parents);
        let known = batch.ordinals();
        let mut ordinals = Vec::with_capacity(if known.is_empty() { 0 } else { parents.len() });
        let mut first = 0;
        for family in sequences.chunk_by(|left, right| left == right) {
            let records = &parents[first..first + family.len()];
            let several = records.windows(2).any(|pair| pair[0] == pair[1]);
            if several {
                // Nothing but zeros so far, perhaps.
                ordinals.resize(first, 0);
                ordinals.extend(0..family.len() as u32);
            } else if !known.is_empty() {
                ordinals.extend(records.iter().map(|record| known[*record as usize]));
            }
            first += family.len();
        }
        if !ordinals.is_empty() {
            ordinals.resize(parents.len(), 0);
        }
        (sequences.into(), without_zeros(ordinals).into())
    }
}

/// The span that parents are, where each comes once and none is left out between.
fn contiguous(parents: &[u32]) -> Option<Span> {
    let (first, last) = (*parents.first()?, *parents.last()?);
    let span = Span::new(first, last + 1);
    let whole = span.len() as usize == parents.len() && parents.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    whole.then_some(span)
}
