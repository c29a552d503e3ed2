//! A connector's account of a call, held against a model that looks at every record for itself.

use wharf::record::{Breach, Failure, FailureKind, Fate, Outcome, Receipt, Span, SpanSet, Verdict};

/// Bytes as numbers, and zeros behind their end.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Mostly small, and now and then anything.
    fn number(&mut self) -> u32 {
        match self.byte() {
            small @ 0..=0xf0 => u32::from(small) % 48,
            0xf1 => u32::MAX,
            0xf2 => u32::MAX - u32::from(self.byte()),
            _ => u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]),
        }
    }

    fn span(&mut self) -> Span {
        Span::new(self.number(), self.number())
    }

    fn spans(&mut self) -> Vec<Span> {
        (0..self.byte() % 12).map(|_| self.span()).collect()
    }
}

const KINDS: [FailureKind; 6] = [
    FailureKind::Transient,
    FailureKind::Throttled,
    FailureKind::Unauthorized,
    FailureKind::Uncertain,
    FailureKind::Rejected,
    FailureKind::Fatal,
];

fn outcome(number: u8) -> Outcome {
    match number % 8 {
        0 => Outcome::Untried,
        1 => Outcome::Warned(format!("remark {number}")),
        kind => Outcome::Failed(Failure {
            kind: KINDS[usize::from(kind) - 2],
            message: format!("message {number}"),
            code: None,
            retry_after: None,
        }),
    }
}

/// The fates are those that the receipt states, or it breaks the contract in the way that is told.
pub fn holds(bytes: &[u8]) {
    let mut numbers = Numbers(bytes);
    // Batches have at least one record.
    let count = numbers.number().max(1);
    let delivered = numbers.spans();
    let verdicts: Vec<Verdict> =
        (0..numbers.byte() % 12).map(|_| Verdict { records: numbers.span(), outcome: outcome(numbers.byte()) }).collect();
    // What is reported while the call lasts lies within the batch: the host sees to it.
    let mut progress = SpanSet::default();
    for span in numbers.spans() {
        progress.insert(Span::new(span.start.min(count), span.end.min(count)));
    }

    let whole = |runs: &[wharf::record::Run]| {
        let mut at = 0;
        for run in runs {
            assert_eq!(run.records.start, at, "a gap or an overlap: {runs:?}");
            assert!(!run.records.is_empty(), "an empty run: {runs:?}");
            at = run.records.end;
        }
        assert_eq!(at, count, "{runs:?}");
    };
    let failed = Receipt::failed(count, &progress, &Fate::Untried);
    whole(&failed);
    let delivered_of = |runs: &[wharf::record::Run]| -> u64 {
        runs.iter().filter(|run| run.fate == Fate::Delivered).map(|run| u64::from(run.records.len())).sum()
    };
    assert_eq!(delivered_of(&failed), progress.records());

    let receipt = Receipt { delivered: delivered.clone(), verdicts: verdicts.clone() };
    let verified = receipt.verify(count, &progress);
    let spans = || delivered.iter().chain(verdicts.iter().map(|verdict| &verdict.records));
    // Breaches that single spans show.
    let not_last = |verdict: &Verdict| {
        let last =
            matches!(&verdict.outcome, Outcome::Failed(Failure { kind: FailureKind::Unauthorized | FailureKind::Fatal, .. }));
        last && verdict.records.end != count
    };
    let single = spans().any(|span| span.start >= span.end || span.end > count) || verdicts.iter().any(not_last);
    if single {
        let found = verified.expect_err("a span that cannot be was believed");
        assert!(matches!(found, Breach::Empty(_) | Breach::Outside { .. } | Breach::NotLast { .. }), "{found}");
        return super::readable(&found.to_string(), 200);
    }
    // Nothing is left to tell by spans alone, and the rest is looked at record by record, where there are few.
    if count > 4096 {
        if let Ok(runs) = verified {
            whole(&runs);
            assert!(runs.len() <= 2 * (delivered.len() + verdicts.len() + progress.spans()) + 1);
        }
        return;
    }
    let mut twice = false;
    let mut taken_back = false;
    let mut fates = Vec::new();
    for record in 0..count {
        let within = |span: &Span| span.start <= record && record < span.end;
        let said: Vec<Fate> = delivered
            .iter()
            .filter(|span| within(span))
            .map(|_| Fate::Delivered)
            .chain(verdicts.iter().filter(|verdict| within(&verdict.records)).map(|verdict| match &verdict.outcome {
                Outcome::Warned(remark) => Fate::Warned(remark.as_str().into()),
                Outcome::Failed(failure) => Fate::Failed(failure.clone().into()),
                Outcome::Untried => Fate::Untried,
            }))
            .collect();
        let reported = progress.contains(record);
        twice |= said.len() > 1;
        taken_back |= reported && said.iter().any(|fate| *fate != Fate::Delivered);
        fates.push(match said.into_iter().next() {
            _ if reported => Fate::Delivered,
            Some(fate) => fate,
            None => Fate::Unknown,
        });
    }
    match verified {
        Ok(runs) => {
            assert!(!twice && !taken_back, "a receipt that contradicts itself was believed");
            whole(&runs);
            for run in &runs {
                assert!(fates[run.records.range()].iter().all(|fate| *fate == run.fate), "{run:?}");
            }
        }
        Err(breach) => {
            match breach {
                Breach::Twice(record) => {
                    assert!(twice && spans().filter(|span| span.range().contains(&(record as usize))).count() > 1)
                }
                Breach::TakenBack(record) => assert!(taken_back && progress.contains(record)),
                other => panic!("{other}, and nothing of the kind is there"),
            }
            super::readable(&breach.to_string(), 200);
        }
    }
}
