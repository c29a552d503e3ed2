//! Uploads, as a bulk destination tells of them and as the host believes it.
//!
//! **Threat.** What a connector says of an upload may name records that it was never given, name one twice, forget some, take back what was
//! settled days ago, or come with a handle of any size; and whatever is believed of it is kept on disk. **Answer.** Nothing in it is believed
//! before it was verified here: each record stands in exactly one place, and one that stands in none is unknown.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use thiserror::Error;

use super::{
    Breach, Column, ColumnFault, ColumnFull, ColumnParts, Failure, FailureKind, Fate, Outcome, Receipt, Run, Span, SpanSet,
    Verdict,
};

/// The most bytes of a handle: what the contract says.
pub const HANDLE: usize = 64 << 10;

/// Whatever finds the far side's job again: bytes that mean something to the connector alone.
pub type Handle = Bytes;

/// What an upload is, to whoever takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRequest {
    /// Idempotency key, on disk before the call.
    pub intent: Arc<str>,
    /// Index into the descriptor's actions.
    pub action: u32,
    /// Records, which is lines, of the file; never 0.
    pub records: u32,
    /// Bytes of the file, with a line break behind each line.
    pub bytes: u64,
    /// 1 the first time.
    pub attempt: u32,
}

/// Lines made of a batch: a line for each record, or why it has none.
#[derive(Clone, Debug)]
pub struct Transformed {
    lines: Column,
    lined: Vec<Span>,
    failed: Vec<(Span, Arc<Failure>)>,
    broken: Vec<u32>,
}

impl Transformed {
    /// Holds an answer of `transform` for `count` records against the contract. A line break in a line fails that record alone.
    ///
    /// # Errors
    /// Where the answer breaks the contract.
    pub fn verify(count: u32, lines: ColumnParts, verdicts: Vec<Verdict>) -> Result<Self, UploadBreach> {
        if let Some(said) = verdicts.iter().find(|verdict| !matches!(verdict.outcome, Outcome::Failed(_))) {
            let what = if said.outcome == Outcome::Untried { "untried" } else { "warned" };
            return Err(UploadBreach::NotFailed { records: said.records, what });
        }
        let runs = Receipt { delivered: Vec::new(), verdicts }.verify(count, &SpanSet::default())?;
        let mut failed: Vec<(Span, Arc<Failure>)> = Vec::new();
        let mut lined = Vec::new();
        for Run { records, fate } in runs {
            match fate {
                Fate::Failed(failure) => failed.push((records, failure)),
                _ => lined.push(records),
            }
        }
        let due = lined.iter().map(|span| span.len() as usize).sum();
        let lines = Column::from_parts(lines, due).map_err(UploadBreach::Lines)?;
        let records = || lined.iter().flat_map(|span| span.start..span.end);
        let mut broken = Vec::new();
        for (at, (line, record)) in lines.iter().zip(records()).enumerate() {
            let line = line.ok_or(UploadBreach::NoLine(record))?;
            if let Some(byte) = memchr::memchr(b'\n', line) {
                broken.push((at, record, byte));
            }
        }
        if broken.is_empty() {
            return Ok(Self { lines, lined, failed, broken: Vec::new() });
        }
        // Rare, so that the copy does not matter.
        let whole: Vec<usize> = (0..lines.len()).filter(|at| broken.binary_search_by_key(at, |(at, ..)| *at).is_err()).collect();
        let lines = lines.picked(whole.into_iter())?;
        for (_, record, byte) in &broken {
            let span = Span::new(*record, record + 1);
            let message = format!("the line made of the record has a line break in it, at byte {byte}");
            let failure = Failure { kind: FailureKind::Rejected, message, code: None, retry_after: None };
            failed.push((span, failure.into()));
        }
        failed.sort_unstable_by_key(|(span, _)| *span);
        let without: SpanSet = failed.iter().map(|(span, _)| *span).collect();
        let broken = broken.into_iter().map(|(_, record, _)| record).collect();
        Ok(Self { lines, lined: without.gaps(count), failed, broken })
    }

    /// The lines, in order.
    pub fn lines(&self) -> &Column {
        &self.lines
    }

    /// The records that have a line: the first line is that of the first of them, and so on.
    pub fn lined(&self) -> &[Span] {
        &self.lined
    }

    /// The records that have none, and why, in order.
    pub fn failed(&self) -> &[(Span, Arc<Failure>)] {
        &self.failed
    }

    /// Those of them whose line had a line break in it.
    pub fn broken(&self) -> &[u32] {
        &self.broken
    }
}

/// An upload that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// What became of the records that are settled, in order. Those that the connector forgot are unknown.
    pub settled: Vec<Run>,
    /// Those that the far side works on.
    pub working: SpanSet,
    /// What it is asked for with; always there where anything is worked on.
    pub handle: Option<Handle>,
}

impl Uploaded {
    /// Holds an answer of `upload` against the contract.
    ///
    /// # Errors
    /// Where the answer breaks the contract.
    pub fn verify(count: u32, settled: Receipt, working: Vec<Span>, handle: Option<Vec<u8>>) -> Result<Self, UploadBreach> {
        if let Some(span) = working.iter().find(|span| span.is_empty()) {
            return Err(Breach::Empty(*span).into());
        }
        if let Some(span) = working.iter().find(|span| span.end > count) {
            return Err(Breach::Outside { span: *span, count }.into());
        }
        let mut working = working;
        working.sort_unstable();
        if let Some(pair) = working.windows(2).find(|pair| pair[1].start < pair[0].end) {
            return Err(Breach::Twice(pair[1].start).into());
        }
        let worked_on: SpanSet = working.into_iter().collect();
        let handle = bounded(handle)?;
        if worked_on.spans() > 0 && handle.is_none() {
            return Err(UploadBreach::NoHandle(worked_on.records()));
        }
        let rest: SpanSet = worked_on.gaps(count).into_iter().collect();
        let settled = settled.verify_of(&rest, count).map_err(|breach| match breach {
            Breach::NotAsked(record) => Breach::Twice(record),
            breach => breach,
        })?;
        Ok(Self { settled, working: worked_on, handle })
    }
}

/// How far the far side is with an upload.
#[derive(Clone, Debug, PartialEq)]
pub enum UploadStatus {
    /// Not at its end.
    Working {
        /// How much is done, from 0 to 1.
        done: Option<f64>,
        /// When it is worth asking again, as the connector has it.
        again_in: Option<Duration>,
        /// Replaces the kept handle.
        handle: Option<Handle>,
    },
    /// What became of every record that was worked on, in order.
    Settled(Vec<Run>),
    /// Done: `stats` tells, of this handle where one is given.
    AskStats(Option<Handle>),
    /// It came to nothing.
    Failed(Arc<Failure>),
}

/// What a person reads of it: the contract's word, and what else there is.
impl fmt::Display for UploadStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Working { done: Some(done), .. } => write!(f, "`working`, {:.0} % done", done * 100.0),
            Self::Working { done: None, .. } => f.write_str("`working`"),
            Self::Settled(runs) => {
                let of =
                    |is: fn(&Fate) -> bool| -> u32 { runs.iter().filter(|run| is(&run.fate)).map(|run| run.records.len()).sum() };
                let (all, delivered) = (of(|_| true), of(|fate| matches!(fate, Fate::Delivered | Fate::Warned(_))));
                write!(f, "`settled`, {delivered} of {all} records delivered")
            }
            Self::AskStats(_) => f.write_str("`ask-stats`"),
            Self::Failed(failure) => write!(f, "`failed`: {failure}"),
        }
    }
}

impl UploadStatus {
    /// Not at its end, with what is worth believing of it.
    ///
    /// # Errors
    /// Where the handle is too large.
    pub fn working(done: Option<f64>, again_in: Option<Duration>, handle: Option<Vec<u8>>) -> Result<Self, UploadBreach> {
        let done = done.filter(|done| done.is_finite()).map(|done| done.clamp(0.0, 1.0));
        Ok(Self::Working { done, again_in, handle: bounded(handle)? })
    }

    /// Every record that was worked on is delivered.
    pub fn delivered(working: &SpanSet) -> Self {
        Self::Settled(working.iter().map(|records| Run { records, fate: Fate::Delivered }).collect())
    }

    /// Done, with the handle to ask with from now on.
    ///
    /// # Errors
    /// Where the handle is too large.
    pub fn ask_stats(handle: Option<Vec<u8>>) -> Result<Self, UploadBreach> {
        Ok(Self::AskStats(bounded(handle)?))
    }
}

/// Whether an upload took effect whose answer never came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It did not.
    Absent,
    /// It did, and this is the answer.
    Present(Uploaded),
    /// The far side does not say.
    CannotTell,
}

fn bounded(handle: Option<Vec<u8>>) -> Result<Option<Handle>, UploadBreach> {
    match handle {
        Some(handle) if handle.len() > HANDLE => Err(UploadBreach::Handle(handle.len())),
        handle => Ok(handle.map(Handle::from)),
    }
}

/// How an answer breaks the contract.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UploadBreach {
    /// What it says of records.
    #[error(transparent)]
    Receipt(#[from] Breach),
    /// The lines are no column of so many values.
    #[error("the column of lines {0}")]
    Lines(ColumnFault),
    /// The lines would pass 4 GiB.
    #[error(transparent)]
    Full(#[from] ColumnFull),
    /// A line that is absent.
    #[error("record {0} stands in no verdict and has no line")]
    NoLine(u32),
    /// Of a record without a line it can only be said that it failed.
    #[error("the records {records} are called {what}, and a record without a line can only have failed")]
    NotFailed {
        /// Which.
        records: Span,
        /// What they were called.
        what: &'static str,
    },
    /// A handle that is too large to be kept.
    #[error("the handle has {0} bytes; {HANDLE} are the most")]
    Handle(usize),
    /// Records that nobody could ask for.
    #[error("the far side works on {0} records, and there is no handle to ask with")]
    NoHandle(u64),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failed(start: u32, end: u32, kind: FailureKind) -> Verdict {
        let failure = Failure { kind, message: "no".into(), code: None, retry_after: None };
        Verdict { records: Span::new(start, end), outcome: Outcome::Failed(failure) }
    }

    fn lines(lines: &[&str]) -> ColumnParts {
        let mut parts = ColumnParts { offsets: vec![0], ..ColumnParts::default() };
        for line in lines {
            parts.data.extend_from_slice(line.as_bytes());
            parts.offsets.push(parts.data.len() as u32);
        }
        parts
    }

    #[test]
    fn a_line_break_fails_its_record_alone() {
        let verdicts = vec![failed(1, 2, FailureKind::Transient)];
        let made = Transformed::verify(5, lines(&["a", "c\n", "d", "\ne"]), verdicts).unwrap();
        assert_eq!(made.lines().iter().flatten().collect::<Vec<_>>(), [b"a", b"d"]);
        assert_eq!(made.lined(), [Span::new(0, 1), Span::new(3, 4)]);
        let failed: Vec<_> = made.failed().iter().map(|(span, failure)| (span.start, span.len(), failure.kind)).collect();
        assert_eq!(failed, [(1, 1, FailureKind::Transient), (2, 1, FailureKind::Rejected), (4, 1, FailureKind::Rejected)]);
    }

    #[test]
    fn lines_that_are_not_one_a_record_are_refused() {
        let made = |given: ColumnParts, verdicts| Transformed::verify(3, given, verdicts).unwrap_err();
        assert!(matches!(made(lines(&["a", "b"]), vec![]), UploadBreach::Lines(ColumnFault::Values { .. })));
        assert!(matches!(made(lines(&["a", "b", "c"]), vec![failed(0, 1, FailureKind::Rejected)]), UploadBreach::Lines(_)));
        let absent = ColumnParts { validity: Some(vec![0b101]), ..lines(&["a", "b", "c"]) };
        assert_eq!(made(absent, vec![]), UploadBreach::NoLine(1));
        let untried = Verdict { records: Span::new(0, 3), outcome: Outcome::Untried };
        assert!(matches!(made(lines(&[]), vec![untried]), UploadBreach::NotFailed { what: "untried", .. }));
        assert_eq!(
            made(lines(&[]), vec![failed(2, 4, FailureKind::Rejected)]),
            Breach::Outside { span: Span::new(2, 4), count: 3 }.into()
        );
    }

    #[test]
    fn what_is_worked_on_needs_a_handle_and_stands_nowhere_else() {
        let verify = |settled: &[(u32, u32)], working: &[(u32, u32)], handle: Option<usize>| {
            let spans = |spans: &[(u32, u32)]| spans.iter().map(|(start, end)| Span::new(*start, *end)).collect::<Vec<_>>();
            let receipt = Receipt { delivered: spans(settled), verdicts: Vec::new() };
            Uploaded::verify(6, receipt, spans(working), handle.map(|len| vec![7; len]))
        };
        let uploaded = verify(&[(0, 2)], &[(3, 6)], Some(HANDLE)).unwrap();
        assert_eq!(uploaded.settled.iter().map(|run| (run.records.start, run.records.end)).collect::<Vec<_>>(), [(0, 2), (2, 3)]);
        assert_eq!(uploaded.settled[1].fate, Fate::Unknown);
        assert_eq!(verify(&[], &[(0, 6)], None).unwrap_err(), UploadBreach::NoHandle(6));
        assert_eq!(verify(&[], &[(0, 6)], Some(HANDLE + 1)).unwrap_err(), UploadBreach::Handle(HANDLE + 1));
        assert_eq!(verify(&[(0, 4)], &[(3, 6)], Some(1)).unwrap_err(), Breach::Twice(3).into());
        assert_eq!(verify(&[], &[(0, 4), (3, 6)], Some(1)).unwrap_err(), Breach::Twice(3).into());
        assert_eq!(verify(&[], &[(3, 3)], Some(1)).unwrap_err(), Breach::Empty(Span::new(3, 3)).into());
        assert!(verify(&[(0, 6)], &[], None).is_ok());
    }

    #[test]
    fn a_part_that_is_no_number_is_no_part() {
        for (done, believed) in [(f64::NAN, None), (f64::INFINITY, None), (-1.0, Some(0.0)), (7.0, Some(1.0)), (0.5, Some(0.5))] {
            let UploadStatus::Working { done, .. } = UploadStatus::working(Some(done), None, None).unwrap() else {
                unreachable!()
            };
            assert_eq!(done, believed);
        }
    }

    proptest! {
        #[test]
        fn every_record_of_an_upload_stands_in_one_place_or_none_is_believed(
            settled in prop::collection::vec((0u32..12, 0u32..6), 0..4),
            verdicts in prop::collection::vec((0u32..12, 0u32..6), 0..3),
            working in prop::collection::vec((0u32..12, 0u32..6), 0..3),
            count in 1u32..14,
        ) {
            let span = |(start, len): &(u32, u32)| Span::new(*start, start + len);
            let receipt = Receipt {
                delivered: settled.iter().map(span).collect(),
                verdicts: verdicts.iter().map(|(start, len)| failed(*start, start + len, FailureKind::Transient)).collect(),
            };
            if let Ok(uploaded) = Uploaded::verify(count, receipt, working.iter().map(span).collect(), Some(vec![1])) {
                for record in 0..count {
                    let runs: Vec<_> = uploaded.settled.iter().filter(|run| run.records.range().contains(&(record as usize))).collect();
                    let worked_on = uploaded.working.contains(record);
                    prop_assert_eq!(runs.len() + usize::from(worked_on), 1);
                    let said = |spans: &[(u32, u32)]| spans.iter().any(|(start, len)| (*start..start + len).contains(&record));
                    prop_assert_eq!(worked_on, said(&working));
                    prop_assert_eq!(said(&settled), runs.iter().any(|run| run.fate == Fate::Delivered));
                }
            }
        }
    }
}
