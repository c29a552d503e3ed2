//! Records that are odd, and that every kind of component has to do something about.

use crate::{
    conformance::{
        case::{About, Tried, failed, skipped, unless},
        life::Handed,
        rig::Rig,
    },
    record::{Batch, BatchBuilder, FailureKind, Fate, NewRecord, Operation, Value},
};

/// Every record was taken, or rejected for good, and those of `good` were taken.
pub(super) fn verdicts(did: &str, batch: &Batch, handed: &Handed, good: &[u32]) -> Tried {
    let due = "each record taken, or rejected with a reason";
    if let Some(broken) = handed.broken() {
        return Err(failed(did, due, broken).mended(handed.mend()));
    }
    let mut wrong = Vec::new();
    for run in &handed.runs {
        match &run.fate {
            Fate::Delivered | Fate::Warned(_) => {}
            Fate::Failed(failure) if failure.kind == FailureKind::Rejected => {
                wrong.extend(
                    good.iter()
                        .filter(|record| run.records.range().contains(&(**record as usize)))
                        .map(|record| format!("record {record}, with which nothing is wrong, was rejected: {}", failure.message)),
                );
            }
            Fate::Failed(failure) => wrong.push(format!("records {}: {failure}", run.records)),
            Fate::Untried => wrong.push(format!("records {} were not attempted", run.records)),
            Fate::Unknown => wrong.push(format!("nothing was said of the records {}", run.records)),
        }
    }
    let rejected = batch.count() - handed.taken().min(batch.count());
    unless(&wrong, &format!("{did}: {} taken, {rejected} rejected", handed.taken()), due)
}

/// JSON by its media type.
pub(super) fn json(bytes: &[u8]) -> Option<Value<'_>> {
    Some(Value { bytes, content_type: Some("application/json") })
}

/// Bytes of no media type.
pub(super) fn plain(bytes: &[u8]) -> Option<Value<'_>> {
    Some(Value { bytes, content_type: None })
}

impl Rig {
    /// JSON by its media type, whatever it is in truth.
    pub(in super::super) fn odd(&self, payloads: &[&[u8]]) -> Batch {
        let mut builder = BatchBuilder::with_capacity(payloads.len(), 1 << 10, false, None);
        for (sequence, payload) in (1..).zip(payloads) {
            push(&mut builder, sequence, json(payload), None, Operation::Create, &[]);
        }
        self.finish(builder)
    }
}

/// Adds a record.
pub(super) fn push<'a>(
    builder: &mut BatchBuilder,
    sequence: u64,
    after: Option<Value<'a>>,
    key: Option<Value<'a>>,
    operation: Operation,
    metadata: &[(&'a str, &'a [u8])],
) {
    let record = NewRecord { sequence, ordinal: 0, operation, after, before: None, key };
    // One media type for all, few names, and far from a column's end: there is room.
    let _room = builder.push_record(&record, metadata.iter().copied());
}

pub(super) async fn blank(rig: &Rig, about: About) -> Tried {
    rig.reset().await?;
    let (first, last) = (rig.payload(), rig.payload());
    let mut builder = BatchBuilder::with_capacity(4, 1 << 10, true, None);
    let payloads = [json(first.as_bytes()), json(b""), None, json(last.as_bytes())];
    for (sequence, payload) in (1..).zip(payloads) {
        push(&mut builder, sequence, payload, plain(b"key"), Operation::Create, &[]);
    }
    let batch = rig.finish(builder);
    let handed = rig.hand_over(about, &batch).await?;
    verdicts("handed over a record, one with an empty payload, one with none, and a record", &batch, &handed, &[0, 3])
}

pub(super) async fn large(rig: &Rig, about: About) -> Tried {
    const LARGE: usize = 1 << 20;
    rig.reset().await?;
    let most = rig.connector()?.descriptor.bounds.largest_record();
    if most < LARGE as u64 {
        return Err(skipped(format!("it takes {most} bytes a record at the most (`bounds`)")));
    }
    let text = format!("\"{}\"", "x".repeat(LARGE - 2));
    let batch = rig.odd(&[text.as_bytes()]);
    let handed = rig.hand_over(about, &batch).await?;
    verdicts("handed over a payload of 1 MiB", &batch, &handed, &[])
}

pub(super) async fn keys(rig: &Rig, about: About) -> Tried {
    rig.reset().await?;
    let texts: Vec<String> = (0..6).map(|_| rig.payload()).collect();
    let keys: [Option<&[u8]>; 6] =
        [Some(b"double"), None, Some(b""), Some(b"double"), Some(&[0, 0xff, 0xfe, b'/', b'.']), Some(b"../..")];
    let mut builder = BatchBuilder::with_capacity(6, 1 << 10, true, None);
    for ((sequence, text), key) in (1..).zip(&texts).zip(keys) {
        push(&mut builder, sequence, json(text.as_bytes()), key.and_then(plain), Operation::Create, &[]);
    }
    let batch = rig.finish(builder);
    let handed = rig.hand_over(about, &batch).await?;
    verdicts("handed over records whose keys are absent, empty, double and binary", &batch, &handed, &[0, 3])
}

pub(super) async fn operations(rig: &Rig, about: About) -> Tried {
    rig.reset().await?;
    let texts: Vec<String> = (0..4).map(|_| rig.payload()).collect();
    let operations = [Operation::Create, Operation::Update, Operation::Delete, Operation::Snapshot];
    let mut builder = BatchBuilder::with_capacity(4, 1 << 10, true, None);
    for ((sequence, text), operation) in (1..).zip(&texts).zip(operations) {
        let after = if operation == Operation::Delete { None } else { json(text.as_bytes()) };
        push(&mut builder, sequence, after, plain(b"key"), operation, &[]);
    }
    let batch = rig.finish(builder);
    let handed = rig.hand_over(about, &batch).await?;
    verdicts("handed over a create, an update, a delete without a payload, and a snapshot", &batch, &handed, &[0])
}

pub(super) async fn metadata(rig: &Rig, about: About) -> Tried {
    rig.reset().await?;
    let texts: Vec<String> = (0..3).map(|_| rig.payload()).collect();
    let long = "n".repeat(300);
    let odd: [&[(&str, &[u8])]; 3] = [
        &[("plain", b"value"), ("", b"no name"), ("a/b\nc", &[0, 0xff])],
        &[],
        &[("\u{1f980}", "\u{1f980}".as_bytes()), (&long, b""), ("plain", b"\r\nX-Injected: 1")],
    ];
    let mut builder = BatchBuilder::with_capacity(3, 1 << 10, true, None);
    for ((sequence, text), metadata) in (1..).zip(&texts).zip(odd) {
        push(&mut builder, sequence, json(text.as_bytes()), plain(b"key"), Operation::Create, metadata);
    }
    let batch = rig.finish(builder);
    let handed = rig.hand_over(about, &batch).await?;
    verdicts("handed over records with odd names of metadata, and one with none", &batch, &handed, &[])
}

pub(super) async fn odd_json(rig: &Rig, about: About) -> Tried {
    rig.reset().await?;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    // The first character of each plane that has any to be sent.
    let planes: String = (0..=16).filter_map(|plane| char::from_u32((plane << 16) + 0xa0)).collect();
    let planes = format!(r#"{{"planes":"{planes}"}}"#);
    let payloads: [&[u8]; 6] = [
        deep.as_bytes(),
        br#"{"n":123456789012345678901234567890,"f":1e400,"s":-0.0,"p":0.1000000000000000055511151231257827}"#,
        planes.as_bytes(),
        br#"{"nul":"a\u0000b","lone":"\ud800"}"#,
        br#"{"a":1,"a":2,"":3}"#,
        b" \t\r\n null \n",
    ];
    let batch = rig.odd(&payloads);
    let handed = rig.hand_over(about, &batch).await?;
    verdicts("handed over JSON 10,000 deep, with large numbers, every plane, NUL, a name twice, and null", &batch, &handed, &[])
}

pub(super) async fn not_json(rig: &Rig, about: About) -> Tried {
    rig.reset().await?;
    let good = rig.payload();
    let payloads: [&[u8]; 5] = [b"{\"a\":", &[0xff, 0xfe, 0], b"{\"a\":1}}", good.as_bytes(), b"\"\xed\xa0\x80\""];
    let batch = rig.odd(&payloads);
    let handed = rig.hand_over(about, &batch).await?;
    let good: &[u32] = if serde_json::from_str::<serde_json::Value>(&good).is_ok() { &[3] } else { &[] };
    verdicts("handed over four payloads that are no JSON, and a record", &batch, &handed, good)
}
