//! What a write came to, held to the contract as the host holds it.

use std::fmt;

use super::host::FollowUp;
use crate::{Failure, FailureKind, Span, bindings::wharf::connector::types};

/// What the host holds to have become of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Delivered for good.
    Delivered,
    /// Delivered for good, with a remark.
    Warned(String),
    /// Not delivered.
    Failed(Failure),
    /// Not attempted.
    Untried,
    /// The connector did not say.
    Unknown,
    /// The far side works on it: a record of an upload.
    Working,
}

impl From<types::Outcome> for Fate {
    fn from(outcome: types::Outcome) -> Self {
        match outcome {
            types::Outcome::Warned(remark) => Self::Warned(remark),
            types::Outcome::Untried => Self::Untried,
            types::Outcome::Failed(failure) => Self::Failed(failure.into()),
        }
    }
}

/// How a receipt breaks the contract. The host holds every record to be unknown then.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Breach {
    /// A span that holds no record, or leaves the batch.
    Span(Span),
    /// A record in two places.
    Twice(u32),
    /// A record that `progress` had reported, and the receipt calls something else than delivered.
    TakenBack(u32),
    /// `unauthorized` or `fatal` for records that others come after.
    NotLast(Span),
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Span(Span { start, end }) => write!(f, "the span {start}..{end} holds no record of the batch"),
            Self::Twice(record) => write!(f, "record {record} stands in two places"),
            Self::TakenBack(record) => write!(f, "record {record} was reported delivered, and is something else in the receipt"),
            Self::NotLast(Span { start, end }) => {
                write!(f, "unauthorized or fatal is for one last span that reaches to the end, not for {start}..{end}")
            }
        }
    }
}

impl std::error::Error for Breach {}

/// What a write came to.
#[derive(Clone, Debug)]
pub struct Answer {
    fates: Vec<Fate>,
    failure: Option<Failure>,
    follow_ups: Vec<FollowUp>,
}

impl Answer {
    pub(super) fn of(fates: Vec<Fate>) -> Self {
        Self { fates, failure: None, follow_ups: Vec::new() }
    }

    pub(crate) fn new(
        count: u32,
        answer: Result<types::Receipt, types::Failure>,
        progress: &[Span],
        follow_ups: Vec<FollowUp>,
    ) -> Result<Self, Breach> {
        let inside = |span: Span| match !span.is_empty() && span.end <= count {
            true => Ok(span.start as usize..span.end as usize),
            false => Err(Breach::Span(span)),
        };
        let mut reported = vec![false; count as usize];
        for span in progress {
            reported[inside(*span)?].fill(true);
        }
        let mut fates: Vec<Option<Fate>> = vec![None; count as usize];
        let (receipt, failure) = match answer {
            Ok(receipt) => (receipt, None),
            Err(failure) => (types::Receipt { delivered: Vec::new(), verdicts: Vec::new() }, Some(Failure::from(failure))),
        };
        let delivered = receipt.delivered.into_iter().map(|span| (span, Fate::Delivered));
        let verdicts = receipt.verdicts.into_iter().map(|verdict| (verdict.records, verdict.outcome.into()));
        for (span, fate) in delivered.chain(verdicts) {
            let range = inside(span)?;
            if matches!(&fate, Fate::Failed(failure) if failure.kind().ends_the_batch()) && span.end != count {
                return Err(Breach::NotLast(span));
            }
            for record in range {
                if fates[record].is_some() {
                    return Err(Breach::Twice(record as u32));
                }
                if reported[record] && fate != Fate::Delivered {
                    return Err(Breach::TakenBack(record as u32));
                }
                fates[record] = Some(fate.clone());
            }
        }
        let unsaid = failure.clone().map_or(Fate::Unknown, Fate::Failed);
        let said = fates.into_iter().zip(reported);
        let fates = said.map(|(fate, reported)| fate.unwrap_or_else(|| if reported { Fate::Delivered } else { unsaid.clone() }));
        let follow_ups = if failure.is_some() { Vec::new() } else { follow_ups };
        Ok(Self { fates: fates.collect(), failure, follow_ups })
    }

    /// What became of each record.
    pub fn fates(&self) -> &[Fate] {
        &self.fates
    }

    /// The failure of the call as a whole.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// The new records for other actions; none where the call failed.
    pub fn follow_ups(&self) -> &[FollowUp] {
        &self.follow_ups
    }

    /// Every record is delivered, with a remark or without.
    #[track_caller]
    pub fn assert_all_delivered(&self) -> &Self {
        self.assert_delivered(0..self.fates.len() as u32)
    }

    /// These records are delivered, with a remark or without.
    #[track_caller]
    pub fn assert_delivered(&self, records: impl Into<Span>) -> &Self {
        self.assert(records.into(), "delivered", |fate| matches!(fate, Fate::Delivered | Fate::Warned(_)))
    }

    /// These records failed in that way.
    #[track_caller]
    pub fn assert_failed(&self, records: impl Into<Span>, kind: FailureKind) -> &Self {
        let failed = |fate: &Fate| matches!(fate, Fate::Failed(failure) if failure.kind() == kind);
        self.assert(records.into(), &format!("failed, {kind}"), failed)
    }

    /// These records were not tried.
    #[track_caller]
    pub fn assert_untried(&self, records: impl Into<Span>) -> &Self {
        self.assert(records.into(), "untried", |fate| *fate == Fate::Untried)
    }

    /// These records were not answered for.
    #[track_caller]
    pub fn assert_unknown(&self, records: impl Into<Span>) -> &Self {
        self.assert(records.into(), "unknown", |fate| *fate == Fate::Unknown)
    }

    #[track_caller]
    fn assert(&self, records: Span, expected: &str, is: impl Fn(&Fate) -> bool) -> &Self {
        for record in records.start..records.end {
            let fate = self.fates.get(record as usize);
            assert!(fate.is_some_and(&is), "record {record} should be {expected}, and is {fate:?}");
        }
        self
    }
}
