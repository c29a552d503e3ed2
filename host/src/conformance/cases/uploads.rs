//! Uploads, from the file to what became of each record. Each call is made in an instance of its own, with nothing but the handle.

use super::case;
use crate::{
    conformance::{
        case::{Case, Stop, Tried, failed, skipped, unless},
        rig::Rig,
        trouble::Trouble,
        uploading::{RECORDS, file, not_delivered, reconcile, session, settle, stats, told, upload},
    },
    connector::BulkTrouble,
    record::{FailureKind, Found, SpanSet, UploadStatus, Uploaded},
};

/// The cases.
pub(in super::super) const CASES: &[Case] = &[
    case!(
        "W-BULK-014",
        91 Must,
        Bulk,
        "each record of an upload is settled, or worked on with a handle",
        "name each record of the file once: in `settled` or in `working`; give a handle where any is worked on",
        accounted
    ),
    case!(
        "W-BULK-015",
        92 Must,
        Bulk,
        "an upload comes to its end, polled in new instances with nothing but the handle",
        "put into the handle whatever finds the job again; keep nothing in the session",
        ends
    ),
    case!(
        "W-BULK-016",
        93 Must,
        Bulk,
        "an upload that is at its end says the same when it is polled again",
        "let `poll` ask and change nothing: the host may have crashed before it kept the answer",
        polled_again
    ),
    case!(
        "W-BULK-017",
        94 Must,
        Bulk,
        "`stats` says the same twice, of the records that were worked on and of no other",
        "leave out of `stats` what `upload` had settled; let it ask and change nothing",
        stats_again
    ),
    case!(
        "W-BULK-018",
        95 Must,
        Bulk,
        "an upload that is sent again with the same intent has one effect",
        "give the intent to the far side as the key of the job, or look for it first; or declare `repeats`",
        sent_again
    ),
    case!(
        "W-BULK-019",
        96 Must,
        Bulk,
        "`reconcile` finds no upload that never was",
        "answer `absent` only where the far side says so, and never `present` for an intent that it does not know",
        absent
    ),
    case!(
        "W-BULK-020",
        97 Must,
        Bulk,
        "`reconcile` finds an upload that took effect, with the same account",
        "look for the intent at the far side, and answer as `upload` did; or declare `reconciles: false`",
        present
    ),
    case!(
        "W-BULK-021",
        98 Must,
        Bulk,
        "a poll that fails leaves the upload as it was",
        "answer a failure where the status is not known; send nothing again and forget nothing",
        poll_fails
    ),
    case!(
        "W-BULK-022",
        99 Must,
        Bulk,
        "a handle that the far side does not know is `rejected`",
        "answer `rejected` where the job is not there; a handle is bytes, and may be anybody's",
        unknown_handle
    ),
    case!(
        "W-BULK-023",
        100 Must,
        Bulk,
        "`release` comes twice, and of a handle that nobody knows",
        "pass over what is not there: it is best effort",
        released
    ),
    case!(
        "W-BULK-024",
        101 Must,
        Bulk,
        "what an upload delivered is at the far side, once each, equal and in order",
        "load each line once, whole, in the order of the file",
        read_back
    ),
];

/// Where something is worked on after an upload.
fn worked_on(uploaded: &Uploaded) -> Result<&SpanSet, Stop> {
    if uploaded.working.spans() == 0 {
        return Err(skipped("the far side settled every record at once: there is nothing to ask for"));
    }
    Ok(&uploaded.working)
}

async fn accounted(rig: &Rig) -> Tried {
    rig.reset().await?;
    let uploaded = upload(rig, &file(rig, RECORDS).await?).await?;
    let wrong = not_delivered(&uploaded.settled);
    unless(&wrong, "uploaded a file of 40 records", "each delivered, or worked on")
}

async fn ends(rig: &Rig) -> Tried {
    rig.reset().await?;
    let file = file(rig, RECORDS).await?;
    let uploaded = upload(rig, &file).await?;
    worked_on(&uploaded)?;
    let (runs, ..) = settle(rig, &file, &uploaded).await?;
    unless(&not_delivered(&runs), "polled an upload to its end, each time in a new instance", "each record delivered")
}

async fn polled_again(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "polled an upload to its end, and once more";
    let file = file(rig, RECORDS).await?;
    let uploaded = upload(rig, &file).await?;
    let working = worked_on(&uploaded)?;
    let (runs, handle, asked) = settle(rig, &file, &uploaded).await?;
    let handle = handle.unwrap_or_default();
    let again = session(rig).await?.poll(&handle, working, RECORDS, file.staged.clone()).await;
    match again.map_err(|trouble| told(did, "the same answer", trouble))? {
        UploadStatus::Settled(again) if !asked && again == runs => Ok(did.into()),
        UploadStatus::AskStats(_) if asked => Ok(did.into()),
        other => Err(failed(did, "the same answer", other.to_string())),
    }
}

async fn stats_again(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "asked `stats` of an upload that is at its end, and once more in another instance";
    let file = file(rig, RECORDS).await?;
    let uploaded = upload(rig, &file).await?;
    worked_on(&uploaded)?;
    let (runs, handle, asked) = settle(rig, &file, &uploaded).await?;
    if !asked {
        return Err(skipped("`poll` tells the outcomes itself, so that `stats` is not asked"));
    }
    let again = stats(rig, &file, &uploaded, &handle.unwrap_or_default()).await?;
    let mut wrong = not_delivered(&again);
    if again != runs {
        wrong.push("another answer the second time".into());
    }
    unless(&wrong, did, "the same answer")
}

async fn sent_again(rig: &Rig) -> Tried {
    if rig.connector()?.descriptor.guarantees.redelivery == crate::connector::descriptor::Redelivery::Repeats {
        return Err(skipped("the descriptor says that a record delivered again is there twice (`repeats`)"));
    }
    rig.readable()?;
    rig.reset().await?;
    let did = "uploaded a file, and the same again with the same intent";
    let mut file = file(rig, RECORDS).await?;
    for attempt in 1..=2 {
        file.request.attempt = attempt;
        let uploaded = upload(rig, &file).await?;
        unless(&not_delivered(&settle(rig, &file, &uploaded).await?.0), did, "each record delivered")?;
    }
    rig.holds(did, &file.batch, 0).await
}

async fn absent(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "asked `reconcile` of an intent that was never sent";
    match reconcile(rig, &file(rig, RECORDS).await?, did).await? {
        Found::Absent => Ok(did.into()),
        Found::CannotTell if !rig.connector()?.descriptor.guarantees.reconciles => Ok(did.into()),
        Found::CannotTell => Err(failed(did, "`absent`: the descriptor says that it reconciles", "`cannot-tell`")),
        Found::Present(_) => Err(failed(did, "`absent`", "`present`")),
    }
}

async fn present(rig: &Rig) -> Tried {
    if !rig.connector()?.descriptor.guarantees.reconciles {
        return Err(skipped("the descriptor says that it cannot tell (`reconciles`)"));
    }
    rig.reset().await?;
    let did = "uploaded a file, dropped the answer, and asked `reconcile` in a new instance";
    let file = file(rig, RECORDS).await?;
    upload(rig, &file).await?;
    match reconcile(rig, &file, did).await? {
        Found::Present(found) => {
            let mut wrong = not_delivered(&found.settled);
            wrong.extend(not_delivered(&settle(rig, &file, &found).await?.0));
            unless(&wrong, did, "an account in which each record is delivered in the end")
        }
        Found::Absent => Err(failed(did, "`present`", "`absent`")),
        Found::CannotTell => Err(failed(did, "`present`", "`cannot-tell`")),
    }
}

async fn poll_fails(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "uploaded a file, polled with the far side gone, and polled it to its end once that was back";
    let file = file(rig, RECORDS).await?;
    let uploaded = upload(rig, &file).await?;
    let working = worked_on(&uploaded)?.clone();
    let mut polling = session(rig).await?;
    rig.make(Trouble::Gone).await?;
    let handle = uploaded.handle.clone().unwrap_or_default();
    let status = polling.poll(&handle, &working, RECORDS, file.staged.clone()).await;
    rig.heal(Trouble::Gone).await?;
    match status {
        Err(BulkTrouble::Failed(failure)) if failure.kind == FailureKind::Rejected => {
            return Err(failed(did, "a failure that passes, or `working`", failure.to_string()));
        }
        Ok(UploadStatus::Working { .. }) | Err(BulkTrouble::Failed(_)) => {}
        Err(trouble) => return Err(told(did, "a failure that passes, or `working`", trouble)),
        Ok(other) => return Err(failed(did, "a failure that passes, or `working`", other.to_string())),
    }
    let (runs, ..) = settle(rig, &file, &uploaded).await?;
    unless(&not_delivered(&runs), did, "each record delivered")?;
    if rig.suite.read.is_some() { rig.holds(did, &file.batch, 0).await } else { Ok(did.into()) }
}

async fn unknown_handle(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "polled with a handle that was never given";
    let file = file(rig, RECORDS).await?;
    let working: SpanSet = [crate::record::Span::new(0, RECORDS)].into_iter().collect();
    let status = session(rig).await?.poll(b"\xff\x00no such handle", &working, RECORDS, file.staged.clone()).await;
    match status {
        Err(BulkTrouble::Failed(failure)) if failure.kind == FailureKind::Rejected => Ok(did.into()),
        Ok(UploadStatus::Failed(failure)) if failure.kind == FailureKind::Rejected => Ok(did.into()),
        Err(trouble) => Err(told(did, "`rejected`", trouble)),
        Ok(other) => Err(failed(did, "`rejected`", other.to_string())),
    }
}

async fn released(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "released an upload twice, each time in a new instance, and a handle that nobody knows";
    let file = file(rig, RECORDS).await?;
    let uploaded = upload(rig, &file).await?;
    let (_, handle, _) = settle(rig, &file, &uploaded).await?;
    let handle = handle.unwrap_or_default();
    for handle in [&handle[..], &handle[..], b"\xff\x00no such handle"] {
        let released = session(rig).await?.release(handle).await;
        released.map_err(|ended| failed(did, "nothing to happen", ended.to_string()))?;
    }
    Ok(did.into())
}

async fn read_back(rig: &Rig) -> Tried {
    rig.readable()?;
    rig.reset().await?;
    let did = "uploaded a file of 40 records, waited for its end, and read them back";
    let file = file(rig, RECORDS).await?;
    let uploaded = upload(rig, &file).await?;
    settle(rig, &file, &uploaded).await?;
    rig.holds(did, &file.batch, 0).await
}
