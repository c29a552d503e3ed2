//! What comes out of a processor, and the lines that a bulk destination makes.

use super::{
    case,
    odd_records::{json, plain, verdicts},
};
use crate::{
    conformance::{
        case::{About, Case, Stop, Tried, failed},
        life::Handed,
        rig::Rig,
    },
    record::{Batch, BatchBuilder, Column, Derived, NewRecord, Operation},
};

/// The cases of processors.
pub(in super::super) const CASES: &[Case] = &[
    case!(
        "W-PROC-013",
        110 Must,
        of Processor,
        "the same records give the same answer again, in another instance too",
        "let what comes out depend on the records and the settings alone: no clock, no chance, no count",
        same
    ),
    case!(
        "W-PROC-014",
        111 Must,
        of Processor,
        "how records are cut makes no difference to what comes of each",
        "look at one record at a time, or declare what you need to see together",
        cut_otherwise
    ),
    case!(
        "W-PROC-015",
        112 Must,
        Processor,
        "what comes out of records with all that they may have is whole",
        "give each column that is set a value for each record that comes out, absent where there is none; operations are 0 to 3",
        whole
    ),
];

/// The cases of bulk destinations.
pub(in super::super) const LINES: &[Case] = &[case!(
    "W-BULK-013",
    90 Must,
    of Bulk,
    "the same records give the same lines again, in another instance too",
    "let a line depend on its record and the settings alone: an upload that is sent again is the same file",
    same
)];

/// All that came of some records, to be compared.
fn come_of(handed: &Handed) -> Vec<String> {
    let mut told = vec![handed.to_string()];
    if let Some(transformed) = &handed.transformed {
        told.extend(values(transformed.lines()));
    }
    if let Some(derived) = &handed.derived {
        told.push(format!("{:?}", derived.passages()));
        told.extend(derived.batch().into_iter().flat_map(|batch| records(derived, batch)));
    }
    told
}

fn values(column: &Column) -> impl Iterator<Item = String> {
    column.iter().map(shown)
}

/// A value for a person, such that no two look alike.
fn shown(value: Option<&[u8]>) -> String {
    value.map_or_else(|| "absent".into(), |value| format!("'{}'", value.escape_ascii()))
}

/// Each record that came out, with the one that it came from and all its columns.
fn records(derived: &Derived, batch: &Batch) -> Vec<String> {
    let columns = [Some(batch.after()), batch.before(), batch.key()];
    let one = |record: u32| {
        let at = record as usize;
        let value = |column: &Column| shown(column.get(at));
        let plain: Vec<String> = columns.into_iter().flatten().map(value).collect();
        let metadata: Vec<String> = batch.metadata().iter().map(|(name, column)| format!("{name}={}", value(column))).collect();
        let types = batch.content_types().get("after").unwrap_or_default();
        let (plain, metadata) = (plain.join(", "), metadata.join(", "));
        format!("{} {:?} {types} {plain}; {metadata}", derived.parent(record), batch.operation(record))
    };
    (0..batch.count()).map(one).collect()
}

async fn once(rig: &Rig, about: About, batch: &Batch) -> Result<Vec<String>, Stop> {
    Ok(come_of(&rig.hand_over(about, batch).await?))
}

/// The first that differs.
fn compared(did: &str, first: &[String], second: &[String]) -> Tried {
    let shown = |text: Option<&String>| -> String { text.map_or("nothing".into(), |text| text.chars().take(200).collect()) };
    let at = (0..first.len().max(second.len())).find(|at| first.get(*at) != second.get(*at));
    match at {
        None => Ok(did.into()),
        Some(at) => Err(failed(did, shown(first.get(at)), shown(second.get(at)))),
    }
}

async fn same(rig: &Rig, about: About) -> Tried {
    rig.reset().await?;
    let batch = rig.records(50);
    let first = once(rig, about, &batch).await?;
    compared("handed over 50 records twice, to two instances", &first, &once(rig, about, &batch).await?)
}

async fn cut_otherwise(rig: &Rig, about: About) -> Tried {
    rig.reset().await?;
    let did = "handed over 50 records at once, and then one by one to another instance";
    let batch = rig.records(50);
    let out = |handed: &Handed| -> Vec<String> {
        let derived = handed.derived.as_ref().and_then(|derived| Some((derived, derived.batch()?)));
        // Which record each came from counts from the beginning of its batch.
        let without_parent = |record: String| record.split_once(' ').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        derived.map(|(derived, batch)| records(derived, batch).into_iter().map(without_parent).collect()).unwrap_or_default()
    };
    let whole = out(&rig.hand_over(about, &batch).await?);
    let mut each = Vec::new();
    let mut life = rig.open(about).await?;
    for at in 0..batch.count() {
        let handed = life.hand_over(&batch.slice(at..at + 1), 1).await;
        each.extend(out(&handed));
    }
    compared(did, &whole, &each)
}

/// Records that were changed, each with all that a source may give.
async fn whole(rig: &Rig) -> Tried {
    rig.reset().await?;
    let texts: Vec<String> = (0..9).map(|_| rig.payload()).collect();
    let operations = [Operation::Create, Operation::Update];
    let mut builder = BatchBuilder::with_capacity(9, 1 << 10, true, None);
    for (at, text) in (0..).zip(&texts) {
        let operation = operations[at % operations.len()];
        let (before, key) = (json(text.as_bytes()), plain(text.as_bytes()));
        let record = NewRecord { sequence: 1 + at as u64, ordinal: 0, operation, after: before, before, key };
        // Records of a few bytes fill no column.
        let _full = builder.push_record(&record, std::iter::once(("name", text.as_bytes())));
    }
    let batch = rig.finish(builder);
    let handed = rig.hand_over(About::Processor, &batch).await?;
    verdicts("handed over nine records with keys, metadata, and what they were before", &batch, &handed, &[])
}
