//! Lines of a file, and the file itself.

use std::sync::Arc;

use super::{case, odd_records::verdicts};
use crate::{
    config::{Limits, Size},
    conformance::{
        case::{About, Case, Tried, failed, skipped, unless},
        life::Life,
        rig::Rig,
        uploading::{file_of, not_delivered, settle, told, uploading},
    },
    connector::Opening,
};

/// The cases.
pub(in super::super) const CASES: &[Case] = &[
    case!(
        "W-BULK-032",
        109 Must,
        Bulk,
        "a file that is larger than one answer of `staged` is uploaded as a whole",
        "read on from where the last answer ended, until one is empty: it may have less than was asked for",
        in_pieces
    ),
    case!(
        "W-BULK-033",
        114 Must,
        Bulk,
        "a payload of several lines makes one, or is rejected",
        "write it anew without line breaks, or reject it with a reason",
        several_lines
    ),
];

/// The most that one answer has, which is the least that an operator can set.
const ANSWER: Size = Size::from_kib(64);

async fn in_pieces(rig: &Rig) -> Tried {
    rig.readable()?;
    rig.reset().await?;
    let batch = rig.records(rig.at_once(3_000)?);
    let handed = rig.hand_over(About::Bulk, &batch).await?;
    let file = file_of(rig, batch, &handed)?;
    if file.request.bytes <= ANSWER.bytes() {
        return Err(skipped(format!("a file of {} records is no larger than {ANSWER}", file.request.records)));
    }
    let did = format!("uploaded a file of {} bytes, which can be read {ANSWER} at once, and read it back", file.request.bytes);
    let opening = uploading(rig)?;
    let limits = Arc::new(Limits { host_call_bytes: ANSWER, ..*opening.limits });
    let Life::Bulk(mut session, _) = rig.open_with(About::Bulk, &Opening { limits, ..opening }).await? else {
        return Err(failed(did, "a session of a bulk destination", "another"));
    };
    let uploaded = session.upload(&file.request, file.staged.clone()).await;
    let uploaded = uploaded.map_err(|trouble| told(&did, "the account of an upload", trouble))?;
    let mut wrong = not_delivered(&uploaded.settled);
    wrong.extend(not_delivered(&settle(rig, &file, &uploaded).await?.0));
    unless(&wrong, &did, "each record delivered")?;
    rig.holds(&did, &file.batch, 0).await
}

async fn several_lines(rig: &Rig) -> Tried {
    rig.reset().await?;
    let (first, last) = (rig.payload(), rig.payload());
    let payloads: [&[u8]; 3] = [first.as_bytes(), b"{\n  \"a\": 1,\r\n  \"b\": 2\n}", last.as_bytes()];
    let batch = rig.odd(&payloads);
    let handed = rig.hand_over(About::Bulk, &batch).await?;
    let did = "made lines of a record, one with a payload of several lines, and a record";
    if let Some(record) = handed.transformed.iter().flat_map(|transformed| transformed.broken()).next() {
        return Err(failed(did, "a line of each, or a rejection", format!("a line break within the line of record {record}")));
    }
    verdicts(did, &batch, &handed, &[])
}
