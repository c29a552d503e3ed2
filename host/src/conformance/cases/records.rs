//! Records as they come, whatever takes them: a write, a transform, a process.

use super::{
    case,
    odd_records::{blank, keys, large, metadata, not_json, odd_json, operations},
};
use crate::{
    conformance::{
        case::{About, Case, Stop, Tried, failed, skipped, unless},
        rig::{Rig, all_well},
    },
    record::FailureKind,
};

/// A table of the cases that every kind of component has, by their ids; with one more where what was delivered can be read back.
macro_rules! of_records {
    ($about:ident: $one:literal $blank:literal $many:literal $large:literal $keys:literal $operations:literal $metadata:literal $odd_json:literal $not_json:literal $accounted:literal $messages:literal $(read: $read_back:literal)?) => {
        &[
            case!(
                $one,
                40 Must,
                of $about,
                "one record is taken",
                "take a batch of one like any other",
                one
            ),
            case!(
                $blank,
                41 Must,
                of $about,
                "an empty payload and an absent one get a verdict, and those beside them are taken",
                "reject what cannot be taken, with a reason, and nothing beside it; an absent value is one whose validity bit is 0",
                blank
            ),
            case!(
                $many,
                42 Must,
                of $about,
                "ten thousand records are taken",
                "work in pieces within a call, or declare `bounds`",
                many
            ),
            case!(
                $large,
                43 Must,
                of $about,
                "a payload of 1 MiB gets a verdict",
                "take it, reject it, or declare `bounds.record-bytes`",
                large
            ),
            case!(
                $keys,
                44 Must,
                of $about,
                "keys that are absent, empty, double or binary get a verdict",
                "a key is bytes, may be missing, and is no unique id",
                keys
            ),
            case!(
                $operations,
                45 Must,
                of $about,
                "each operation gets a verdict",
                "look at `operations`: create, update, delete, snapshot; reject what has no meaning here",
                operations
            ),
            case!(
                $metadata,
                46 Must,
                of $about,
                "metadata with odd names, and absent in some records, get a verdict",
                "a name is any text, and a value is bytes that may be missing",
                metadata
            ),
            case!(
                $odd_json,
                47 Must,
                of $about,
                "JSON that is deep, has large numbers, NUL, or characters of every plane gets a verdict",
                "parse without recursion that has no bound, and keep numbers as text",
                odd_json
            ),
            case!(
                $not_json,
                48 Must,
                of $about,
                "what is said to be JSON and is not gets a verdict",
                "reject it with a reason; do not unwrap",
                not_json
            ),
            $(case!(
                $read_back,
                49 Must,
                $about,
                "what was delivered is there, once each, equal and in order",
                "write each record once, whole, in the order of the batch",
                read_back
            ),)?
            case!(
                $accounted,
                60 Must,
                of $about,
                "every record stands in exactly one place of the answer, and spans lie within the batch",
                "count spans from the first record of the batch; name each record once, and none that is not there",
                accounted
            ),
            case!(
                $messages,
                61 Should,
                of $about,
                "messages say what is wrong, in a line of at most 2,000 bytes",
                "say what was tried, on what, and what came back; leave the payload out",
                messages
            ),
        ]
    };
}

/// The cases of a write destination.
pub(in super::super) const DESTINATION: &[Case] = of_records!(
    Destination: "W-DEST-001" "W-DEST-002" "W-DEST-003" "W-DEST-004" "W-DEST-005" "W-DEST-006" "W-DEST-007" "W-DEST-008" "W-DEST-009" "W-DEST-011" "W-DEST-012" read: "W-DEST-010"
);

/// The cases of a bulk destination.
pub(in super::super) const BULK: &[Case] = of_records!(
    Bulk: "W-BULK-001" "W-BULK-002" "W-BULK-003" "W-BULK-004" "W-BULK-005" "W-BULK-006" "W-BULK-007" "W-BULK-008" "W-BULK-009" "W-BULK-011" "W-BULK-012"
);

/// The cases of a processor.
pub(in super::super) const PROCESSOR: &[Case] = of_records!(
    Processor: "W-PROC-001" "W-PROC-002" "W-PROC-003" "W-PROC-004" "W-PROC-005" "W-PROC-006" "W-PROC-007" "W-PROC-008" "W-PROC-009" "W-PROC-011" "W-PROC-012"
);

/// Bytes of the longest message that a person reads.
const MESSAGE: usize = 2_000;

impl Rig {
    /// How many of so many records may be handed over at once, by the descriptor's bounds.
    pub(in super::super) fn at_once(&self, many: u32) -> Result<u32, Stop> {
        let bounds = self.connector()?.descriptor.bounds;
        let by_bytes = bounds.bytes.map(|most| {
            let each = (self.records(100).bytes() as u64).div_ceil(100).max(1) * 2;
            u32::try_from(most.bytes() / each).unwrap_or(many).max(1)
        });
        Ok(bounds.records.unwrap_or(many).min(by_bytes.unwrap_or(many)).min(many))
    }
}

async fn one(rig: &Rig, about: About) -> Tried {
    rig.reset().await?;
    all_well("handed over one record", &rig.hand_over(about, &rig.records(1)).await?)
}

async fn many(rig: &Rig, about: About) -> Tried {
    const MANY: u32 = 10_000;
    rig.reset().await?;
    let at_once = rig.at_once(MANY)?;
    let batch = rig.records(MANY);
    let did = format!("handed over {MANY} records, {at_once} at once");
    let mut life = rig.open(about).await?;
    let mut start = 0;
    while start < MANY {
        let end = (start + at_once).min(MANY);
        let part = batch.slice(start..end);
        let handed = life.hand_over(&part, 1).await;
        rig.heard(&part, &handed);
        all_well(&did, &handed)?;
        start = end;
    }
    life.close().await.map_err(|came| failed(did.as_str(), "it to close", came))?;
    Ok(did)
}

async fn read_back(rig: &Rig) -> Tried {
    rig.readable()?;
    rig.reset().await?;
    let batch = rig.records(203);
    let did = "handed over 200 records, and three more in another call, and read them back";
    let mut life = rig.open(About::Destination).await?;
    // What ends the one has to hold where the next begins.
    for part in [0..200, 200..203] {
        let part = batch.slice(part).recut("conform");
        let handed = life.hand_over(&part, 1).await;
        rig.heard(&part, &handed);
        all_well(did, &handed)?;
    }
    life.close().await.map_err(|came| failed(did, "it to close", came))?;
    rig.holds(did, &batch, 0).await
}

async fn accounted(rig: &Rig, about: About) -> Tried {
    rig.reset().await?;
    let mut wrong = Vec::new();
    let sizes = [1_u32, 2, 3, 7, 64, 65];
    for size in sizes {
        let size = size.min(rig.connector()?.descriptor.bounds.records.unwrap_or(u32::MAX));
        // Every third can be taken by few.
        let texts: Vec<String> = (0..size).map(|at| if at % 3 == 1 { "{\"a\":".into() } else { rig.payload() }).collect();
        let payloads: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
        let handed = rig.hand_over(about, &rig.odd(&payloads)).await?;
        wrong.extend(handed.broken().map(|broken| format!("of {size} records: {broken}")));
        if let Some(failure) = handed.failures().find(|failure| failure.kind != FailureKind::Rejected) {
            wrong.push(format!("of {size} records: {failure}"));
        }
    }
    unless(&wrong, "handed over 1, 2, 3, 7, 64 and 65 records, every third of them no JSON", "each record in exactly one place")
}

async fn messages(rig: &Rig, about: About) -> Tried {
    rig.reset().await?;
    let garbage = [b'x'; 8 << 10];
    let _handed = rig.hand_over(about, &rig.odd(&[b"{\"a\":", &garbage, b""])).await?;
    if !rig.suite.grants.is_empty()
        && let Err(error) = crate::conformance::life::Life::open(rig.connector()?, about, &rig.bare()?).await
        && let crate::connector::OpenError::Failed(failure) = error
    {
        rig.hear("open", &failure.message);
    }
    let heard = rig.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if heard.messages.is_empty() {
        return Err(skipped("it had nothing to say: nothing that was tried made it fail"));
    }
    let wrong = heard.messages.iter().filter_map(|(when, message)| {
        let beginning: String = message.chars().take(60).collect();
        match () {
            () if message.trim().is_empty() => Some(format!("{when}: no words")),
            () if message.len() > MESSAGE => Some(format!("{when}: {} bytes: {beginning:?}…", message.len())),
            () if message.trim().contains('\n') => Some(format!("{when}: several lines: {beginning:?}…")),
            () => None,
        }
    });
    let wrong: Vec<String> = wrong.collect();
    unless(&wrong, &format!("read {} messages", heard.messages.len()), "each a line of words")
}
