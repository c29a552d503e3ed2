//! Records that come again.

use super::{
    case,
    odd_records::{json, plain},
};
use crate::{
    conformance::{
        case::{About, Case, Stop, Tried, failed, skipped},
        life::{Handed, Life},
        rig::{Rig, all_well},
    },
    connector::descriptor::Redelivery,
    record::{Batch, BatchBuilder, Fate, NewRecord, Operation},
};

/// The cases.
pub(in super::super) const CASES: &[Case] = &[
    case!(
        "W-REDO-001",
        70 Must,
        Destination,
        "a batch that comes again has one effect",
        "know records by partition, sequence and ordinal; or declare `repeats`",
        whole
    ),
    case!(
        "W-REDO-002",
        71 Must,
        Destination,
        "a part of a batch that comes again has one effect",
        "know records by their own keys and not by the batch's id: a part bears that of the whole",
        in_part
    ),
    case!(
        "W-REDO-003",
        72 Must,
        Destination,
        "records that come again cut otherwise have one effect",
        "know records by their own keys and not by the batch's id: another cut bears another",
        cut_otherwise
    ),
    case!(
        "W-REDO-004",
        73 Must,
        Destination,
        "records that come again to another instance have one effect",
        "keep what was delivered at the far side or in durable state, not in the session",
        elsewhere
    ),
    case!(
        "W-REDO-005",
        74 Must,
        Destination,
        "a record that comes again gets the verdict of the first time",
        "let the verdict depend on record and settings alone, or keep it",
        verdicts
    ),
    case!(
        "W-REDO-006",
        75 Must,
        Destination,
        "records that differ in nothing but partition, sequence or ordinal are each there",
        "know a record by all of its key: partition, sequence and ordinal",
        distinct
    ),
];

/// Skips where a second effect is allowed, or could not be seen.
fn idempotent(rig: &Rig) -> Result<(), Stop> {
    if rig.connector()?.descriptor.guarantees.redelivery == Redelivery::Repeats {
        return Err(skipped("the descriptor says that a record delivered again is there twice (`repeats`)"));
    }
    Ok(())
}

async fn hand_over(rig: &Rig, life: &mut Life, batch: &Batch, attempt: u32, did: &str) -> Result<Handed, Stop> {
    let handed = life.hand_over(batch, attempt).await;
    rig.heard(batch, &handed);
    all_well(did, &handed)?;
    Ok(handed)
}

async fn whole(rig: &Rig) -> Tried {
    idempotent(rig)?;
    rig.readable()?;
    rig.reset().await?;
    let did = "handed over 60 records, and all of them again";
    let (batch, mut life) = (rig.records(60), rig.open(About::Destination).await?);
    for attempt in 1..=2 {
        hand_over(rig, &mut life, &batch, attempt, did).await?;
    }
    let _closed = life.close().await;
    rig.holds(did, &batch, 0).await
}

async fn in_part(rig: &Rig) -> Tried {
    idempotent(rig)?;
    rig.readable()?;
    rig.reset().await?;
    let did = "handed over 60 records, and the last 20 and the 30 in the middle again";
    let (batch, mut life) = (rig.records(60), rig.open(About::Destination).await?);
    hand_over(rig, &mut life, &batch, 1, did).await?;
    for range in [40..60, 15..45] {
        hand_over(rig, &mut life, &batch.slice(range), 2, did).await?;
    }
    let _closed = life.close().await;
    rig.holds(did, &batch, 0).await
}

async fn cut_otherwise(rig: &Rig) -> Tried {
    idempotent(rig)?;
    rig.readable()?;
    rig.reset().await?;
    let did = "handed over 60 records in cuts of 25, and again in cuts of 40 that begin elsewhere";
    let (batch, mut life) = (rig.records(60), rig.open(About::Destination).await?);
    for range in [0..25, 25..50, 50..60, 0..40, 40..60] {
        hand_over(rig, &mut life, &batch.slice(range).recut("conform"), 1, did).await?;
    }
    let _closed = life.close().await;
    rig.holds(did, &batch, 0).await
}

async fn elsewhere(rig: &Rig) -> Tried {
    idempotent(rig)?;
    rig.readable()?;
    rig.reset().await?;
    let did = "handed over 60 records, dropped the instance, and handed them to another";
    let batch = rig.records(60);
    for attempt in 1..=2 {
        // Not closed: an instance may be gone at any moment.
        let mut life = rig.open(About::Destination).await?;
        hand_over(rig, &mut life, &batch, attempt, did).await?;
    }
    rig.holds(did, &batch, 0).await
}

async fn verdicts(rig: &Rig) -> Tried {
    idempotent(rig)?;
    rig.reset().await?;
    let did = "handed over six records, two of them no JSON, and the same again";
    let texts: Vec<String> = (0..6).map(|at| if at % 3 == 1 { "{\"a\":".into() } else { rig.payload() }).collect();
    let batch = rig.odd(&texts.iter().map(String::as_bytes).collect::<Vec<_>>());
    let mut life = rig.open(About::Destination).await?;
    let mut answers = Vec::new();
    for attempt in 1..=2 {
        let handed = life.hand_over(&batch, attempt).await;
        rig.heard(&batch, &handed);
        if let Some(broken) = handed.broken() {
            return Err(failed(did, "the same verdicts", broken));
        }
        answers.push(handed);
    }
    let told = |handed: &Handed| -> Vec<String> {
        let each = handed.runs.iter().flat_map(|run| {
            let kind = match &run.fate {
                // A remark may go without saying the second time.
                Fate::Delivered | Fate::Warned(_) => "taken".to_owned(),
                Fate::Failed(failure) => failure.kind.to_string(),
                Fate::Untried => "untried".into(),
                Fate::Unknown => "unknown".into(),
            };
            std::iter::repeat_n(kind, run.records.len() as usize)
        });
        each.collect()
    };
    let (first, second) = (told(&answers[0]), told(&answers[1]));
    if first == second { Ok(did.into()) } else { Err(failed(did, first.join(", "), second.join(", "))) }
}

async fn distinct(rig: &Rig) -> Tried {
    rig.readable()?;
    rig.reset().await?;
    let did = "handed over records of the same sequences with other ordinals, and the same in another partition";
    let mut life = rig.open(About::Destination).await?;
    let mut batches = Vec::new();
    for _ in 0..2 {
        let texts: Vec<String> = (0..12).map(|_| rig.payload()).collect();
        let mut builder = BatchBuilder::with_capacity(12, 1 << 10, true, None);
        for (at, text) in (0..).zip(&texts) {
            let (sequence, ordinal) = (1 + u64::from(at / 2), at % 2);
            let after = json(text.as_bytes());
            let record = NewRecord { sequence, ordinal, operation: Operation::Create, after, before: None, key: plain(b"key") };
            // Records of a few bytes fill no column.
            let _full = builder.push_record(&record, std::iter::empty());
        }
        let batch = rig.finish(builder);
        hand_over(rig, &mut life, &batch, 1, did).await?;
        batches.push(batch);
    }
    let _closed = life.close().await;
    for batch in &batches {
        rig.holds(did, batch, 12).await?;
    }
    Ok(did.into())
}
