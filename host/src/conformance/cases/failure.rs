//! A far side that fails, and comes back.

use super::case;
use crate::{
    config::{Limits, Times},
    conformance::{
        case::{About, Case, Stop, Tried, failed},
        life::Life,
        read,
        rig::{Rig, all_well},
        trouble::Trouble,
    },
    connector::{OpenError, Opening},
    record::{Batch, FailureKind, Fate, Run},
};

/// The cases.
pub(in super::super) const CASES: &[Case] = &[
    case!(
        "W-FAIL-001",
        80 Must,
        Destination,
        "with the far side gone, `open` fails for now, or the first write does",
        "answer `transient` where the far side cannot be reached",
        gone_at_open
    ),
    case!(
        "W-FAIL-002",
        81 Must,
        Destination,
        "with the far side gone, a write in an open session fails for now",
        "answer `transient`, or `uncertain` where it may have taken effect, where the connection is lost",
        gone_at_write
    ),
    case!(
        "W-FAIL-003",
        82 Must,
        Destination,
        "a connection that is cut half-way makes the write fail for now",
        "answer `transient`, or `uncertain` where it may have taken effect",
        cut
    ),
    case!(
        "W-FAIL-004",
        83 Must,
        Destination,
        "a slow far side is waited for, or fails for now",
        "wait within a bound of your own, and answer `transient` or `uncertain` behind it",
        slow
    ),
    case!(
        "W-FAIL-005",
        84 Must,
        Destination,
        "credentials that are refused are `unauthorized`",
        "answer `unauthorized` for what the far side says of credentials",
        unauthorized
    ),
    case!(
        "W-FAIL-006",
        85 Must,
        Destination,
        "a far side that asks for patience is `throttled`",
        "answer `throttled`, with `retry-after-ms` where the far side tells",
        throttled
    ),
    case!(
        "W-FAIL-007",
        86 Must,
        Destination,
        "a session goes on once the far side is back",
        "connect again in the next call; keep nothing of a connection that broke",
        recovers
    ),
    case!(
        "W-FAIL-008",
        87 Should,
        Destination,
        "a far side that says nothing any more is given up before the host ends the call",
        "bound every wait, below the time that a write may take; or allow more (`manners.stall`)",
        stalled
    ),
    case!(
        "W-FAIL-010",
        89 Must,
        Destination,
        "what is called delivered is there, though the connection was cut",
        "call delivered, or report to `progress`, what the far side said that it took, and no sooner",
        claimed
    ),
];

/// What a failure may be called that passes by itself.
pub(super) const PASSES: [FailureKind; 3] = [FailureKind::Transient, FailureKind::Uncertain, FailureKind::Throttled];

/// Opens a session if there is none, hands over a batch, and passes where that fails with one of some kinds.
async fn fails(rig: &Rig, life: Option<Life>, batch: &Batch, did: &str, kinds: &[FailureKind]) -> Tried {
    let due = kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" or ");
    let mut life = match life {
        Some(life) => life,
        None => match Life::open(rig.connector()?, About::Destination, &rig.opening()?).await {
            Ok(life) => life,
            Err(OpenError::Failed(failure)) => {
                rig.hear("open", &failure.message);
                return if kinds.contains(&failure.kind) { Ok(did.into()) } else { Err(failed(did, due, failure.to_string())) };
            }
            Err(other) => return Err(failed(did, due, other.to_string())),
        },
    };
    let handed = life.hand_over(batch, 1).await;
    rig.heard(batch, &handed);
    if let Some(broken) = handed.broken() {
        return Err(failed(did, due, broken));
    }
    if handed.is_all_well() {
        return Err(failed(did, due, "every record was taken"));
    }
    match handed.failures().find(|failure| !kinds.contains(&failure.kind)) {
        Some(failure) => Err(failed(did, due, failure.to_string())),
        None => Ok(did.into()),
    }
}

/// Makes a fault, hands over 50 records, and mends it whatever came of that; then another session has to deliver.
async fn under(rig: &Rig, trouble: Trouble, life: Option<Life>, did: &str, kinds: &[FailureKind]) -> Tried {
    rig.make(trouble).await?;
    let tried = fails(rig, life, &rig.records(50), did, kinds).await;
    rig.heal(trouble).await?;
    let did = tried?;
    let did = format!("{did}; mended it, and handed over a record");
    all_well(&did, &rig.hand_over(About::Destination, &rig.records(1)).await?)
}

async fn gone_at_open(rig: &Rig) -> Tried {
    rig.reset().await?;
    under(rig, Trouble::Gone, None, "took the far side away, opened a session and wrote", &PASSES).await
}

async fn open(rig: &Rig) -> Result<Life, Stop> {
    let mut life = rig.open(About::Destination).await?;
    // So that it is connected, however late it connects.
    let batch = rig.records(1);
    let handed = life.hand_over(&batch, 1).await;
    rig.heard(&batch, &handed);
    all_well("opened a session and wrote a record", &handed)?;
    Ok(life)
}

async fn gone_at_write(rig: &Rig) -> Tried {
    rig.reset().await?;
    let life = open(rig).await?;
    under(rig, Trouble::Gone, Some(life), "opened a session, took the far side away, and wrote", &PASSES).await
}

async fn cut(rig: &Rig) -> Tried {
    rig.reset().await?;
    let life = open(rig).await?;
    under(rig, Trouble::Cut(100), Some(life), "cut the connection after 100 bytes of a write", &PASSES).await
}

async fn slow(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "made the far side slow, and wrote 100 records";
    rig.make(Trouble::Slow).await?;
    let batch = rig.records(100);
    let handed = rig.hand_over(About::Destination, &batch).await;
    rig.heal(Trouble::Slow).await?;
    let handed = handed?;
    if let Some(broken) = handed.broken() {
        return Err(failed(did, "the records taken, or a failure that passes", broken));
    }
    match handed.failures().find(|failure| !PASSES.contains(&failure.kind)) {
        Some(failure) => Err(failed(did, "the records taken, or a failure that passes", failure.to_string())),
        None => Ok(did.into()),
    }
}

async fn unauthorized(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "had the far side refuse the credentials, opened a session and wrote";
    under(rig, Trouble::Unauthorized, None, did, &[FailureKind::Unauthorized]).await
}

async fn throttled(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "had the far side ask for patience, opened a session and wrote";
    under(rig, Trouble::Throttled, None, did, &[FailureKind::Throttled]).await
}

async fn stalled(rig: &Rig) -> Tried {
    rig.reset().await?;
    let most = rig.suite.manners.stall;
    let did = format!("opened a session, let the far side say nothing any more, and wrote, with {most} for it");
    let opening = rig.opening()?;
    let limits = Limits { time: Times { write: most, ..opening.limits.time }, ..*opening.limits };
    let mut life = rig.open_with(About::Destination, &Opening { limits: limits.into(), ..opening }).await?;
    let batch = rig.records(1);
    all_well("opened a session and wrote a record", &life.hand_over(&batch, 1).await)?;
    under(rig, Trouble::Stalled, Some(life), &did, &PASSES).await
}

async fn claimed(rig: &Rig) -> Tried {
    rig.readable()?;
    rig.reset().await?;
    let did = "cut the connection after 100 bytes of a write, and looked for what was called delivered";
    let mut life = open(rig).await?;
    rig.make(Trouble::Cut(100)).await?;
    let batch = rig.records(45);
    let handed = life.hand_over(&batch, 1).await;
    rig.heal(Trouble::Cut(100)).await?;
    rig.heard(&batch, &handed);
    let found = rig.delivered().await?;
    let claims = |run: &&Run| matches!(run.fate, Fate::Delivered | Fate::Warned(_));
    let mut claimed = handed.runs.iter().filter(claims).flat_map(|run| run.records.range());
    let is_there = |record: usize| {
        let due = batch.after().get(record).unwrap_or_default();
        found.iter().any(|found| read::same(due, found))
    };
    match claimed.find(|record| !is_there(*record)) {
        Some(record) => Err(failed(did, "each of them at the far side", format!("record {record} is not there"))),
        None => Ok(format!("{did}: {} records", handed.taken())),
    }
}

async fn recovers(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "opened a session, took the far side away, wrote, brought it back, and wrote again";
    let mut life = open(rig).await?;
    rig.make(Trouble::Gone).await?;
    let batch = rig.records(50);
    let without = life.hand_over(&batch, 1).await;
    rig.heal(Trouble::Gone).await?;
    rig.heard(&batch, &without);
    if let Some(broken) = without.broken() {
        return Err(failed(did, "a failure, and then the records taken", broken));
    }
    let handed = life.hand_over(&batch, 2).await;
    rig.heard(&batch, &handed);
    all_well(did, &handed)
}
