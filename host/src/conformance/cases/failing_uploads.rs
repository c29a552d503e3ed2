//! Uploads to a far side that fails, and comes back.

use super::{case, failure::PASSES};
use crate::{
    conformance::{
        case::{Case, Stop, Tried, failed, skipped, unless},
        life::Broken,
        rig::Rig,
        trouble::Trouble,
        uploading::{File, RECORDS, attempt, file, not_delivered, reconcile, session, settle, upload},
    },
    connector::descriptor::Redelivery,
    record::{FailureKind, Found, Uploaded},
};

/// The cases.
pub(in super::super) const CASES: &[Case] = &[
    case!(
        "W-BULK-025",
        102 Must,
        Bulk,
        "an upload to a far side that is gone fails for now",
        "answer `transient`, or `uncertain` where it may have taken effect",
        gone
    ),
    case!(
        "W-BULK-026",
        103 Must,
        Bulk,
        "an upload whose connection is cut half-way fails for now",
        "answer `transient`, or `uncertain` where it may have taken effect; an account only of what the far side took",
        cut
    ),
    case!(
        "W-BULK-027",
        104 Must,
        Bulk,
        "an upload to a slow far side is waited for, or fails for now",
        "wait within a bound of your own, and answer `transient` or `uncertain` behind it",
        slow
    ),
    case!(
        "W-BULK-028",
        105 Must,
        Bulk,
        "an upload whose credentials are refused is `unauthorized`",
        "answer `unauthorized` for what the far side says of credentials",
        unauthorized
    ),
    case!(
        "W-BULK-029",
        106 Must,
        Bulk,
        "an upload to a far side that asks for patience is `throttled`",
        "answer `throttled`, with `retry-after-ms` where the far side tells",
        throttled
    ),
    case!(
        "W-BULK-030",
        107 Must,
        Bulk,
        "an upload that failed takes effect when it is sent again",
        "keep nothing of an upload that failed, or what finds it again by its intent",
        recovers
    ),
    case!(
        "W-BULK-031",
        108 Must,
        Bulk,
        "`reconcile` tells the truth of an upload whose connection was cut",
        "ask the far side, and never what was noted here before it answered; or declare `reconciles: false`",
        reconciled
    ),
];

/// What comes of an upload under a fault, which is mended then.
async fn under(rig: &Rig, trouble: Trouble, file: &File) -> Result<Result<Uploaded, Broken>, Stop> {
    rig.make(trouble).await?;
    let came = attempt(rig, file).await;
    rig.heal(trouble).await?;
    came
}

/// Passes where an upload failed with one of some kinds.
fn failed_as(came: Result<Uploaded, Broken>, kinds: &[FailureKind], did: &str) -> Tried {
    let due = kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" or ");
    match came {
        Err(Broken::Failed(failure)) if kinds.contains(&failure.kind) => Ok(did.into()),
        Err(broken) => Err(failed(did, due, broken.to_string())),
        Ok(_) => Err(failed(did, due, "the account of an upload")),
    }
}

async fn gone(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "opened a session, took the far side away, and uploaded a file";
    let file = file(rig, RECORDS).await?;
    let mut uploading = session(rig).await?;
    rig.make(Trouble::Gone).await?;
    let answer = uploading.upload(&file.request, file.staged.clone()).await;
    rig.heal(Trouble::Gone).await?;
    failed_as(answer.map_err(Broken::from), &PASSES, did)
}

async fn cut(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "uploaded a file, and cut the connection after 100 bytes";
    let file = file(rig, RECORDS).await?;
    failed_as(under(rig, Trouble::Cut(100), &file).await?, &PASSES, did)
}

async fn unauthorized(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "had the far side refuse the credentials, and uploaded a file";
    let file = file(rig, RECORDS).await?;
    failed_as(under(rig, Trouble::Unauthorized, &file).await?, &[FailureKind::Unauthorized], did)
}

async fn throttled(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "had the far side ask for patience, and uploaded a file";
    let file = file(rig, RECORDS).await?;
    failed_as(under(rig, Trouble::Throttled, &file).await?, &[FailureKind::Throttled], did)
}

async fn slow(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "made the far side slow, and uploaded a file of 100 records";
    let file = file(rig, 100).await?;
    match under(rig, Trouble::Slow, &file).await? {
        Ok(uploaded) => {
            let mut wrong = not_delivered(&uploaded.settled);
            wrong.extend(not_delivered(&settle(rig, &file, &uploaded).await?.0));
            unless(&wrong, did, "each record delivered")
        }
        Err(Broken::Failed(failure)) if PASSES.contains(&failure.kind) => Ok(did.into()),
        Err(broken) => Err(failed(did, "an upload, or a failure that passes", broken.to_string())),
    }
}

/// Uploads a file to its end and holds the far side to it, as far as its records are there once.
async fn delivered(rig: &Rig, file: &File, did: &str) -> Tried {
    let uploaded = upload(rig, file).await?;
    let mut wrong = not_delivered(&uploaded.settled);
    wrong.extend(not_delivered(&settle(rig, file, &uploaded).await?.0));
    unless(&wrong, did, "each record delivered")?;
    at_the_far_side(rig, file, did).await
}

/// Where the descriptor says that what is sent again is there once, and it can be read back.
async fn at_the_far_side(rig: &Rig, file: &File, did: &str) -> Tried {
    let repeats = rig.connector()?.descriptor.guarantees.redelivery == Redelivery::Repeats;
    if repeats || rig.suite.read.is_none() { Ok(did.into()) } else { rig.holds(did, &file.batch, 0).await }
}

async fn recovers(rig: &Rig) -> Tried {
    let mut done = Vec::new();
    for (trouble, what) in [
        (Trouble::Gone, "taken away"),
        (Trouble::Cut(100), "cut off half-way"),
        (Trouble::Unauthorized, "refusing credentials"),
        (Trouble::Throttled, "asking for patience"),
    ] {
        rig.reset().await?;
        let mut file = file(rig, RECORDS).await?;
        if !rig.made(trouble).await? {
            continue;
        }
        let came = attempt(rig, &file).await;
        rig.heal(trouble).await?;
        if came?.is_ok() {
            continue;
        }
        file.request.attempt = 2;
        let did =
            format!("uploaded a file with the far side {what}, brought it back, and sent the file again with the same intent");
        delivered(rig, &file, &did).await?;
        done.push(what);
    }
    if done.is_empty() {
        return Err(skipped("nothing that was tried made an upload fail"));
    }
    Ok(format!("uploaded a file with the far side {}, and again once it was back", done.join(", ")))
}

async fn reconciled(rig: &Rig) -> Tried {
    if !rig.connector()?.descriptor.guarantees.reconciles {
        return Err(skipped("the descriptor says that it cannot tell (`reconciles`)"));
    }
    rig.readable()?;
    for (trouble, when) in [(Trouble::Cut(100), "after 100 bytes"), (Trouble::Unanswered(200), "before its answer")] {
        rig.reset().await?;
        let did = format!("uploaded a file, cut the connection {when}, and asked `reconcile` in a new instance");
        let mut file = file(rig, RECORDS).await?;
        // Whether it says that it failed is held elsewhere.
        let _came = under(rig, trouble, &file).await?;
        let there = rig.delivered().await?.len();
        match reconcile(rig, &file, &did).await? {
            Found::Present(found) => {
                let mut wrong = not_delivered(&found.settled);
                wrong.extend(not_delivered(&settle(rig, &file, &found).await?.0));
                unless(&wrong, &did, "an account in which each record is delivered in the end")?;
                rig.holds(&did, &file.batch, 0).await?;
            }
            Found::Absent if there > 0 => {
                return Err(failed(did, "`present`", format!("`absent`, with {there} records at the far side")));
            }
            Found::Absent => {
                file.request.attempt = 2;
                delivered(rig, &file, &format!("{did}, which found nothing, and sent the file again")).await?;
            }
            Found::CannotTell => return Err(failed(did, "`present` or `absent`", "`cannot-tell`")),
        }
    }
    Ok("cut the connection of an upload before and after the far side took it, and asked `reconcile`".into())
}
