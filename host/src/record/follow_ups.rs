//! Follow-ups: new records of another action, born of what becomes of others.
//!
//! **Threat.** A component names actions that there are not, causes that it was never given, one cause twice, or as many and as large values as it
//! likes; what is believed of it is kept on disk. **Answer.** Nothing in it is believed before it was verified here, and what it may add in one call
//! is bounded.

use std::sync::Arc;

use thiserror::Error;

use super::{Batch, Column, ColumnFault, ColumnFull, ColumnParts, Span, SpanSet, batch::Made};

/// What their partitions begin with, before the action and the partition of their cause.
pub const FOLLOW_UP: &str = "follow-up/";

/// The metadata that names the run which a record belongs to, where its source has runs of its own: a follow-up has that of its cause.
pub const RUN: &str = "run-id";

/// What has to become of a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum On {
    /// It is delivered.
    Succeeded = 0,
    /// It failed for now, the first time after its follow-up was added.
    Failed = 1,
    /// It is given up.
    Discarded = 2,
}

impl On {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Succeeded, Self::Failed, Self::Discarded];

    /// Its word in the contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Discarded => "discarded",
        }
    }
}

/// How much may be added in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowUpBounds {
    /// Records (`limits.follow-ups`).
    pub records: u32,
    /// Bytes of keys and payloads (`limits.follow-up-bytes`).
    pub bytes: u64,
}

/// New records for one action: one for each cause, which are counted as the call counts them.
#[derive(Clone, Debug, PartialEq)]
pub struct FollowUps {
    /// Index into the descriptor's actions.
    pub action: u32,
    /// The action's name.
    pub name: Arc<str>,
    /// What has to become of their causes.
    pub on: On,
    /// The causes, in order.
    pub causes: Vec<Span>,
    keys: Column,
    payloads: Column,
}

/// Why follow-ups are not taken, in words for whoever wrote the component.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FollowUpFault {
    /// No such action.
    #[error("there is no action {name:?} in the descriptor{}", did_you_mean(near.as_deref()))]
    Action {
        /// What was asked for.
        name: String,
        /// The nearest there is.
        near: Option<String>,
    },
    /// No such outcome.
    #[error("`on` is {0:?}; it is `succeeded`, `failed` or `discarded`")]
    On(String),
    /// No causes.
    #[error("it names no causes")]
    NoCauses,
    /// A span that holds nothing.
    #[error("the span {0} of causes holds nothing")]
    Empty(Span),
    /// Causes that are not in hand.
    #[error("the span {span} of causes lies outside of the {count} records in hand")]
    Outside {
        /// Which.
        span: Span,
        /// How many there are.
        count: u32,
    },
    /// Causes that are named again, or out of order.
    #[error("cause {0} comes twice, or behind a later one: causes are named once, in order")]
    Order(u32),
    /// A cause that has one already.
    #[error("cause {cause} has a follow-up of that action on `{}` already", on.name())]
    Twice {
        /// Which.
        cause: u32,
        /// On what.
        on: On,
    },
    /// Not one value for each cause.
    #[error("the {which} {fault}: one value for each cause is due")]
    Column {
        /// Keys or payloads.
        which: &'static str,
        /// What is wrong with them.
        fault: ColumnFault,
    },
    /// A record without a payload.
    #[error("the payload for cause {0} is absent")]
    NoPayload(u32),
    /// Too many.
    #[error("the call adds {records} follow-ups, and {most} are the most (limits.follow-ups)")]
    TooMany {
        /// How many it adds with these.
        records: u64,
        /// How many it may.
        most: u32,
    },
    /// Too large.
    #[error("the call adds {bytes} bytes of follow-ups, and {most} are the most (limits.follow-up-bytes)")]
    TooLarge {
        /// How many it adds with these.
        bytes: u64,
        /// How many it may.
        most: u64,
    },
}

fn did_you_mean(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default()
}

/// What a component hands over, as it does. Nothing in it is believed.
#[derive(Clone, Debug)]
pub struct GivenFollowUps {
    /// What has to become of the causes, in a word.
    pub on: String,
    /// The causes.
    pub causes: Vec<Span>,
    /// Keys.
    pub keys: ColumnParts,
    /// Payloads.
    pub payloads: ColumnParts,
}

/// Takes what one call adds, within bounds.
#[derive(Clone, Debug)]
pub struct FollowUpIntake {
    count: u32,
    bounds: FollowUpBounds,
    taken: Vec<FollowUps>,
    records: u64,
    bytes: u64,
    /// Which causes have one, by action and outcome.
    named: Vec<(u32, On, SpanSet)>,
}

impl FollowUpIntake {
    /// For a call about so many records.
    pub fn new(count: u32, bounds: FollowUpBounds) -> Self {
        Self { count, bounds, taken: Vec::new(), records: 0, bytes: 0, named: Vec::new() }
    }

    /// Takes some for an action, or says what is wrong with them; then nothing of them is taken.
    pub fn add(&mut self, (action, name): (u32, Arc<str>), given: GivenFollowUps) -> Result<(), FollowUpFault> {
        let GivenFollowUps { on, causes, keys, payloads } = given;
        let on = On::ALL
            .into_iter()
            .find(|known| known.name() == on)
            .ok_or_else(|| FollowUpFault::On(on.chars().take(40).collect()))?;
        let count = self.causes(&causes)?;
        let records = self.records + u64::from(count);
        if records > self.bounds.records.into() {
            return Err(FollowUpFault::TooMany { records, most: self.bounds.records });
        }
        let bytes = self.bytes + (keys.data.len() + payloads.data.len()) as u64;
        if bytes > self.bounds.bytes {
            return Err(FollowUpFault::TooLarge { bytes, most: self.bounds.bytes });
        }
        let column =
            |which, parts| Column::from_parts(parts, count as usize).map_err(|fault| FollowUpFault::Column { which, fault });
        let (keys, payloads) = (column("keys", keys)?, column("payloads", payloads)?);
        if let Some((cause, _)) = each(&causes).zip(payloads.iter()).find(|(_, payload)| payload.is_none()) {
            return Err(FollowUpFault::NoPayload(cause));
        }
        let at = match self.named.iter().position(|(of, known, _)| (*of, *known) == (action, on)) {
            Some(at) => at,
            None => {
                self.named.push((action, on, SpanSet::default()));
                self.named.len() - 1
            }
        };
        let named = &mut self.named[at].2;
        if let Some(cause) = causes.iter().find_map(|span| named.first_of(*span)) {
            return Err(FollowUpFault::Twice { cause, on });
        }
        causes.iter().for_each(|span| named.insert(*span));
        (self.records, self.bytes) = (records, bytes);
        self.taken.push(FollowUps { action, name, on, causes, keys, payloads });
        Ok(())
    }

    /// All that was taken.
    pub fn taken(self) -> Vec<FollowUps> {
        self.taken
    }

    fn causes(&self, causes: &[Span]) -> Result<u32, FollowUpFault> {
        let (mut end, mut count) = (0, 0);
        for span in causes {
            if span.is_empty() {
                return Err(FollowUpFault::Empty(*span));
            }
            if span.end > self.count {
                return Err(FollowUpFault::Outside { span: *span, count: self.count });
            }
            if span.start < end {
                return Err(FollowUpFault::Order(span.start));
            }
            (end, count) = (span.end, count + span.len());
        }
        if count == 0 { Err(FollowUpFault::NoCauses) } else { Ok(count) }
    }
}

fn each(causes: &[Span]) -> impl Iterator<Item = u32> + '_ {
    causes.iter().flat_map(|span| span.start..span.end)
}

impl FollowUps {
    /// How many.
    pub fn records(&self) -> u32 {
        self.causes.iter().map(|span| span.len()).sum()
    }

    /// Bytes of their keys and payloads.
    pub fn bytes(&self) -> usize {
        self.keys.bytes() + self.payloads.bytes()
    }

    /// Each cause, with the key and the payload of what follows from it.
    pub fn each(&self) -> impl Iterator<Item = (u32, Option<&[u8]>, &[u8])> {
        let values = self.keys.iter().zip(self.payloads.iter());
        each(&self.causes).zip(values).map(|(cause, (key, payload))| (cause, key, payload.unwrap_or_default()))
    }

    /// The same where the call counts its records from there on.
    #[must_use]
    pub fn from(mut self, start: u32) -> Self {
        self.causes.iter_mut().for_each(|span| *span = Span::new(span.start + start, span.end + start));
        self
    }

    /// What is born of some records, where the first of them is `start` to the call: batches of neighbours, each with the place of its first cause among
    /// these records. Each bears the sequence and ordinal of its cause.
    pub fn born_of(&self, pipeline: &str, causes: &Batch, start: u32) -> Vec<(u32, Batch)> {
        let mut born = Vec::new();
        let (mut at, end) = (0, start + causes.count());
        for span in &self.causes {
            let (from, to) = (span.start.max(start), span.end.min(end));
            if from < to {
                let values = (at + (from - span.start)) as usize..(at + (to - span.start)) as usize;
                let values = (self.payloads.slice(values.clone()), self.keys.slice(values));
                born.push((from - start, self.one(pipeline, &causes.slice(from - start..to - start), values)));
            }
            at += span.len();
        }
        born
    }

    fn one(&self, pipeline: &str, causes: &Batch, (after, keys): (Column, Column)) -> Batch {
        let keyed = keys.iter().any(|key| key.is_some());
        let made = Made {
            sequences: causes.sequences().to_vec(),
            ordinals: causes.ordinals().to_vec(),
            operations: Vec::new(),
            after,
            before: None,
            key: keyed.then_some(keys),
            metadata: causes.meta(RUN).map(|runs| (RUN.into(), runs.clone())).into_iter().collect(),
            content_types: Default::default(),
        };
        made.cut(pipeline, named(&self.name, causes.partition()))
    }

    /// What is born of all records of a call, in as few batches as it may be: each with the causes of its records, in order.
    ///
    /// # Errors
    /// Where a column would pass 4 GiB.
    pub fn bundles(&self, pipeline: &str, causes: &Batch) -> Result<Vec<(Vec<Span>, Batch)>, ColumnFull> {
        let (places, born): (Vec<u32>, Vec<Batch>) = self.born_of(pipeline, causes, 0).into_iter().unzip();
        let (mut places, mut bundles) = (places.into_iter(), Vec::new());
        for some in bundled(&born) {
            let spans = some.iter().zip(&mut places).map(|(batch, place)| Span::new(place, place + batch.count())).collect();
            bundles.extend(Batch::joined(pipeline, some)?.map(|batch| (spans, batch)));
        }
        Ok(bundles)
    }
}

/// The most records of one batch of follow-ups, where these do not come in one.
const RECORDS: u32 = 10_000;

/// The most bytes of one, likewise.
const BYTES: usize = 4 << 20;

/// Neighbours that are not too much for one batch.
pub fn bundled(born: &[Batch]) -> impl Iterator<Item = &[Batch]> {
    let mut rest = born;
    std::iter::from_fn(move || {
        let (mut end, mut records, mut bytes) = (0, 0, 0);
        while let Some(next) = rest.get(end) {
            (records, bytes) = (records + next.count(), bytes + next.bytes());
            if end > 0 && (records > RECORDS || bytes > BYTES) {
                break;
            }
            end += 1;
        }
        let (some, later) = rest.split_at(end);
        rest = later;
        (!some.is_empty()).then_some(some)
    })
}

/// Follow-ups that a spool keeps under a number until it is known what becomes of their causes, which are not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promised {
    /// The number.
    pub promise: i64,
    /// The action that they are for.
    pub action: u32,
    /// What has to become of their causes.
    pub on: On,
    /// The causes, in order: the first follow-up is of the first of them.
    pub causes: Vec<Span>,
}

/// What the partition of a follow-up is called, or its label.
pub fn named(action: &str, of: &str) -> Arc<str> {
    format!("{FOLLOW_UP}{action}/{of}").into()
}
