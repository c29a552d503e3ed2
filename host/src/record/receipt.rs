//! What became of the records handed over, as a connector tells it and as the host believes it.

use std::{fmt, sync::Arc, time::Duration};

use thiserror::Error;

use super::{Span, SpanSet};

/// What the host should do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// It may succeed later: try again after a back-off, and count the attempt.
    Transient,
    /// The far side asks for patience: try again later; no attempt is counted.
    Throttled,
    /// The credentials were refused.
    Unauthorized,
    /// It may have taken effect and may not.
    Uncertain,
    /// It can never succeed as it is.
    Rejected,
    /// Nothing can succeed until an operator changes something.
    Fatal,
}

impl FailureKind {
    /// The contract's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Unauthorized => "unauthorized",
            Self::Uncertain => "uncertain",
            Self::Rejected => "rejected",
            Self::Fatal => "fatal",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why something failed, in a connector's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What to do about it.
    pub kind: FailureKind,
    /// For a person: what was tried, on what, and what came back.
    pub message: String,
    /// The far side's own code, such as an HTTP status or an SQLSTATE.
    pub code: Option<String>,
    /// How long the far side asked to wait.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)?;
        match &self.code {
            Some(code) => write!(f, " (code {code})"),
            None => Ok(()),
        }
    }
}

/// What a connector says of some records other than "delivered".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Delivered, with a remark that an operator should see.
    Warned(String),
    /// Not delivered.
    Failed(Failure),
    /// Not attempted, because of what came before.
    Untried,
}

/// An outcome and the records that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Counted from the first record of the part that was handed over.
    pub records: Span,
    /// What became of them.
    pub outcome: Outcome,
}

/// A connector's own account of a call. Nothing in it is believed before [`Receipt::verify`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Delivered, with nothing to remark.
    pub delivered: Vec<Span>,
    /// Everything else.
    pub verdicts: Vec<Verdict>,
}

/// What the host holds to have become of some records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Delivered for good.
    Delivered,
    /// Delivered for good, with a remark.
    Warned(Arc<str>),
    /// Not delivered.
    Failed(Arc<Failure>),
    /// Not attempted.
    Untried,
    /// The connector did not say.
    Unknown,
}

/// Neighbouring records of one fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which.
    pub records: Span,
    /// What became of them.
    pub fate: Fate,
}

impl Run {
    /// The same where its records are counted from another place, so many before the first.
    #[must_use]
    pub fn from(self, start: u32) -> Self {
        let records = Span::new(self.records.start + start, self.records.end + start);
        Self { records, ..self }
    }
}

/// How a receipt breaks the contract. The whole batch is unknown then, but for what `progress` had reported.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Breach {
    /// A span that is empty or runs backwards.
    #[error("the receipt has the span {0}, which holds no record")]
    Empty(Span),
    /// A span that leaves the batch.
    #[error("the receipt has the span {span} in a batch of {count} records")]
    Outside {
        /// The span.
        span: Span,
        /// How many records there are.
        count: u32,
    },
    /// A record in two places.
    #[error("the receipt names record {0} twice")]
    Twice(u32),
    /// A record that `progress` reported delivered and the receipt calls something else.
    #[error("the receipt takes back record {0}, which had been reported delivered")]
    TakenBack(u32),
    /// A record that it was not asked about: it is settled already, or never was in hand.
    #[error("the receipt names record {0}, which it was not asked about")]
    NotAsked(u32),
    /// `unauthorized` or `fatal` for records that others come after.
    #[error("the receipt calls the records {span} {kind}, which only the last of a batch of {count} can be")]
    NotLast {
        /// The span.
        span: Span,
        /// What they were called.
        kind: FailureKind,
        /// How many records there are.
        count: u32,
    },
}

impl Receipt {
    /// All of so many records are delivered.
    pub fn all(count: u32) -> Self {
        Self { delivered: vec![Span::new(0, count)], verdicts: Vec::new() }
    }

    /// The fate of every one of `count` records, in order and without a gap, given what `progress` reported during the call.
    ///
    /// A record that stands nowhere is [`Fate::Unknown`]. Upholds the first promise: none is taken for delivered that was not said to be.
    pub fn verify(self, count: u32, progress: &SpanSet) -> Result<Vec<Run>, Breach> {
        let mut runs: Vec<Run> = Vec::with_capacity(self.delivered.len() + self.verdicts.len() + progress.spans());
        for records in self.delivered {
            runs.push(Run { records, fate: Fate::Delivered });
        }
        for Verdict { records, outcome } in self.verdicts {
            let fate = match outcome {
                Outcome::Warned(remark) => Fate::Warned(remark.into()),
                Outcome::Untried => Fate::Untried,
                Outcome::Failed(failure) => {
                    let last = matches!(failure.kind, FailureKind::Unauthorized | FailureKind::Fatal);
                    if last && records.end != count {
                        return Err(Breach::NotLast { span: records, kind: failure.kind, count });
                    }
                    Fate::Failed(Arc::new(failure))
                }
            };
            runs.push(Run { records, fate });
        }
        for Run { records: span, .. } in &runs {
            if span.is_empty() {
                return Err(Breach::Empty(*span));
            }
            if span.end > count {
                return Err(Breach::Outside { span: *span, count });
            }
        }
        runs.sort_unstable_by_key(|run| run.records);
        if let Some(pair) = runs.windows(2).find(|pair| pair[1].records.start < pair[0].records.end) {
            return Err(Breach::Twice(pair[1].records.start));
        }
        if progress.spans() > 0 {
            let said = |fate: &Fate| *fate == Fate::Delivered;
            if let Some(record) = runs.iter().filter(|run| !said(&run.fate)).find_map(|run| progress.first_of(run.records)) {
                return Err(Breach::TakenBack(record));
            }
            let mut delivered = progress.clone();
            for run in runs.iter().filter(|run| said(&run.fate)) {
                delivered.insert(run.records);
            }
            runs.retain(|run| !said(&run.fate));
            runs.extend(delivered.iter().map(|records| Run { records, fate: Fate::Delivered }));
            runs.sort_unstable_by_key(|run| run.records);
        }
        Ok(without_gaps(runs, count, &Fate::Unknown))
    }

    /// The same of some of `count` records and no other: the fate of each of `records`, in order.
    pub fn verify_of(self, records: &SpanSet, count: u32) -> Result<Vec<Run>, Breach> {
        let last = records.iter().last().map_or(0, |span| span.end);
        let spans = self.delivered.iter().copied().chain(self.verdicts.iter().map(|verdict| verdict.records));
        for span in spans.filter(|span| !span.is_empty()) {
            if span.end > count {
                return Err(Breach::Outside { span, count });
            }
            if let Some(record) = records.first_not_of(span) {
                return Err(Breach::NotAsked(record));
            }
        }
        // What may stand last is the last of these.
        let mut of = records.iter().peekable();
        let mut runs = Vec::with_capacity(records.spans());
        for Run { records, fate } in self.verify(last, &SpanSet::default())? {
            // Both are in order: a walk along both, however many there are.
            while let Some(span) = of.peek() {
                let both = Span::new(span.start.max(records.start), span.end.min(records.end));
                if !both.is_empty() {
                    runs.push(Run { records: both, fate: fate.clone() });
                }
                if span.end > records.end {
                    break;
                }
                of.next();
            }
        }
        Ok(runs)
    }

    /// The fate of every record where the call failed as a whole: `fate` for each that `progress` had not reported.
    pub fn failed(count: u32, progress: &SpanSet, fate: &Fate) -> Vec<Run> {
        let delivered = progress.iter().map(|records| Run { records, fate: Fate::Delivered }).collect();
        without_gaps(delivered, count, fate)
    }
}

/// Fills what ordered runs leave out.
fn without_gaps(runs: Vec<Run>, count: u32, filler: &Fate) -> Vec<Run> {
    let mut whole = Vec::with_capacity(runs.len() + 1);
    let mut at = 0;
    for run in runs {
        if at < run.records.start {
            whole.push(Run { records: Span::new(at, run.records.start), fate: filler.clone() });
        }
        at = run.records.end;
        whole.push(run);
    }
    if at < count {
        whole.push(Run { records: Span::new(at, count), fate: filler.clone() });
    }
    whole
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failed(kind: FailureKind) -> Outcome {
        Outcome::Failed(Failure { kind, message: "no".into(), code: None, retry_after: None })
    }

    fn verdict(start: u32, end: u32, outcome: Outcome) -> Verdict {
        Verdict { records: Span::new(start, end), outcome }
    }

    fn progress(spans: &[(u32, u32)]) -> SpanSet {
        let mut set = SpanSet::default();
        for (start, end) in spans {
            set.insert(Span::new(*start, *end));
        }
        set
    }

    #[test]
    fn a_record_that_stands_nowhere_is_unknown() {
        let receipt = Receipt { delivered: vec![Span::new(0, 2)], verdicts: vec![verdict(4, 5, Outcome::Untried)] };
        let fates: Vec<_> =
            receipt.verify(6, &SpanSet::default()).unwrap().into_iter().map(|run| (run.records.len(), run.fate)).collect();
        assert_eq!(fates, [(2, Fate::Delivered), (2, Fate::Unknown), (1, Fate::Untried), (1, Fate::Unknown)]);
    }

    #[test]
    fn each_way_to_break_the_contract_is_told_apart() {
        let breach = |delivered: &[(u32, u32)], verdicts: Vec<Verdict>, reported: &[(u32, u32)]| {
            let delivered = delivered.iter().map(|(start, end)| Span::new(*start, *end)).collect();
            Receipt { delivered, verdicts }.verify(4, &progress(reported)).unwrap_err()
        };
        assert_eq!(breach(&[(1, 1)], vec![], &[]), Breach::Empty(Span::new(1, 1)));
        assert_eq!(breach(&[(3, 1)], vec![], &[]), Breach::Empty(Span::new(3, 1)));
        assert_eq!(breach(&[(0, 5)], vec![], &[]), Breach::Outside { span: Span::new(0, 5), count: 4 });
        assert_eq!(breach(&[(0, 3)], vec![verdict(2, 4, Outcome::Untried)], &[]), Breach::Twice(2));
        assert_eq!(breach(&[], vec![verdict(0, 4, Outcome::Untried)], &[(1, 2)]), Breach::TakenBack(1));
        let kind = FailureKind::Fatal;
        assert_eq!(
            breach(&[], vec![verdict(0, 2, failed(kind))], &[]),
            Breach::NotLast { span: Span::new(0, 2), kind, count: 4 }
        );
    }

    #[test]
    fn what_progress_reported_stays_delivered_when_the_call_fails() {
        let runs = Receipt::failed(5, &progress(&[(0, 1), (3, 4)]), &Fate::Untried);
        let delivered: u32 = runs.iter().filter(|run| run.fate == Fate::Delivered).map(|run| run.records.len()).sum();
        assert_eq!((delivered, runs.len()), (2, 4));
    }

    #[test]
    fn some_records_are_answered_for_and_no_other() {
        let asked = progress(&[(1, 3), (5, 6)]);
        let verify = |delivered: &[(u32, u32)], verdicts: Vec<Verdict>| {
            let delivered = delivered.iter().map(|(start, end)| Span::new(*start, *end)).collect();
            Receipt { delivered, verdicts }.verify_of(&asked, 8)
        };
        let runs = verify(&[(2, 3)], vec![verdict(5, 6, failed(FailureKind::Fatal))]).unwrap();
        let fates: Vec<_> =
            runs.iter().map(|run| (run.records, run.fate == Fate::Delivered, run.fate == Fate::Unknown)).collect();
        assert_eq!(fates, [(Span::new(1, 2), false, true), (Span::new(2, 3), true, false), (Span::new(5, 6), false, false)]);
        assert_eq!(
            verify(&[], vec![]).unwrap().iter().map(|run| run.records).collect::<Vec<_>>(),
            [Span::new(1, 3), Span::new(5, 6)]
        );
        for (start, end, first) in [(0, 2, 0), (2, 6, 3), (6, 8, 6), (3, 5, 3)] {
            assert_eq!(verify(&[(start, end)], vec![]).unwrap_err(), Breach::NotAsked(first));
        }
        assert_eq!(verify(&[(5, 9)], vec![]).unwrap_err(), Breach::Outside { span: Span::new(5, 9), count: 8 });
        assert_eq!(verify(&[(2, 3), (2, 3)], vec![]).unwrap_err(), Breach::Twice(2));
        assert!(matches!(verify(&[], vec![verdict(1, 3, failed(FailureKind::Fatal))]).unwrap_err(), Breach::NotLast { .. }));
    }

    proptest! {
        #[test]
        fn whatever_a_connector_says_every_record_ends_in_one_run_or_none_is_believed(
            delivered in prop::collection::vec((0u32..14, 0u32..14), 0..4),
            verdicts in prop::collection::vec((0u32..14, 0u32..14), 0..4),
            reported in prop::collection::vec((0u32..10, 0u32..10), 0..3),
            count in 1u32..12,
        ) {
            let receipt = Receipt {
                delivered: delivered.iter().map(|(start, end)| Span::new(*start, *end)).collect(),
                verdicts: verdicts.iter().map(|(start, end)| verdict(*start, *end, failed(FailureKind::Transient))).collect(),
            };
            let reported = progress(&reported.iter().map(|(a, b)| (*a.min(&count), *b.min(&count))).collect::<Vec<_>>());
            if let Ok(runs) = receipt.verify(count, &reported) {
                let mut at = 0;
                for run in &runs {
                    prop_assert_eq!(run.records.start, at);
                    prop_assert!(!run.records.is_empty());
                    at = run.records.end;
                }
                prop_assert_eq!(at, count);
                for record in 0..count {
                    let said = delivered.iter().any(|(start, end)| (*start..*end).contains(&record)) || reported.contains(record);
                    let fate = &runs.iter().find(|run| run.records.range().contains(&(record as usize))).unwrap().fate;
                    prop_assert_eq!(said, *fate == Fate::Delivered);
                }
            }
        }
    }
}
