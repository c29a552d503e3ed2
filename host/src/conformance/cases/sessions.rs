//! Sessions: their beginning and their end.

use super::{case, failure::PASSES};
use crate::{
    conformance::{
        case::{About, Case, Tried, failed, skipped},
        life::Life,
        rig::{Rig, all_well},
        trouble::Trouble,
    },
    connector::{OpenError, ProbeError},
    record::FailureKind,
};

/// The cases.
pub(in super::super) const CASES: &[Case] = &[
    case!(
        "W-SESS-001",
        30 Must,
        Connector,
        "a session opens and closes without a record",
        "see why `open` fails with the suite's settings and grants; let `close` succeed where nothing was ever handed over",
        idle
    ),
    case!(
        "W-SESS-002",
        31 Must,
        Connector,
        "what is not granted is a failure in words, not a trap",
        "return a `failure` where the host answers \"not granted\"; do not unwrap",
        ungranted
    ),
    case!(
        "W-SESS-003",
        32 Must,
        Connector,
        "after an `open` that failed another succeeds",
        "leave nothing behind where `open` fails: no lock, no half-made table",
        again
    ),
    case!(
        "W-SESS-004",
        33 Must,
        Connector,
        "two lives in a row each do their work",
        "let `close` give back what `open` took",
        in_a_row
    ),
    case!(
        "W-SESS-005",
        34 Should,
        Connector,
        "two sessions side by side each do their work",
        "hold nothing that two instances cannot share; `context` tells `instance` and `instances`",
        side_by_side
    ),
    case!(
        "W-SESS-006",
        35 Must,
        Destination,
        "an `ack` of batches that this instance never saw does no harm",
        "pass over ids that are not known: an `ack` may come in another instance, once, or never",
        acks
    ),
    case!(
        "W-SESS-007",
        36 Must,
        Probe,
        "`reachable` says that a far side is there that is there",
        "ask as `open` does, with the same credentials",
        reachable
    ),
    case!(
        "W-SESS-008",
        37 Must,
        Probe,
        "`reachable` says that a far side is gone that is gone",
        "connect, and say why it failed; do not answer from the settings alone",
        unreachable
    ),
    case!(
        "W-SESS-009",
        38 Must,
        Probe,
        "`reachable` says that credentials are refused that are refused",
        "ask with the credentials, and answer `unauthorized` for what the far side says of them",
        unauthorized
    ),
];

async fn idle(rig: &Rig) -> Tried {
    let did = "opened a session and closed it";
    let life = rig.open(About::Connector).await?;
    life.close().await.map_err(|came| failed(did, "it to close", came))?;
    Ok(did.into())
}

async fn ungranted(rig: &Rig) -> Tried {
    let did = "opened a session with nothing granted";
    let connector = rig.connector()?;
    if rig.suite.grants.is_empty() {
        return Err(skipped("the suite grants nothing that could be missing"));
    }
    match Life::open(connector, About::Connector, &rig.bare()?).await {
        Err(OpenError::Failed(failure)) => {
            rig.hear("open", &failure.message);
            if failure.message.trim().is_empty() {
                return Err(failed(did, "a failure that says what is not granted", "a failure without a word"));
            }
            Ok(did.into())
        }
        Err(other) => Err(failed(did, "a failure in words", other.to_string())),
        // It connects later, or not at all.
        Ok(mut life) => {
            let batch = rig.records(1);
            let handed = life.hand_over(&batch, 1).await;
            rig.heard(&batch, &handed);
            match handed.broken() {
                Some(broken) => Err(failed(format!("{did}, and handed over a record"), "a failure in words", broken)),
                None => Ok(format!("{did}, and handed over a record")),
            }
        }
    }
}

async fn again(rig: &Rig) -> Tried {
    let connector = rig.connector()?;
    let mut why = "with the far side gone";
    let mut failed_before = false;
    if rig.made(Trouble::Gone).await? {
        let opened = Life::open(connector, About::Connector, &rig.opening()?).await;
        rig.heal(Trouble::Gone).await?;
        failed_before = opened.is_err();
    }
    if !failed_before {
        why = "with nothing granted";
        failed_before = Life::open(connector, About::Connector, &rig.bare()?).await.is_err();
    }
    if !failed_before {
        return Err(skipped("`open` did not fail, neither with the far side gone nor with nothing granted"));
    }
    rig.reset().await?;
    let did = format!("opened a session {why}, which failed, and then with all that it needs; handed over a record");
    all_well(&did, &rig.hand_over(About::Connector, &rig.records(1)).await?)
}

async fn in_a_row(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "opened a session, handed over three records, closed it, and did so again";
    for _ in 0..2 {
        let mut life = rig.open(About::Connector).await?;
        let batch = rig.records(3);
        let handed = life.hand_over(&batch, 1).await;
        rig.heard(&batch, &handed);
        all_well(did, &handed)?;
        life.close().await.map_err(|came| failed(did, "it to close", came))?;
    }
    Ok(did.into())
}

async fn side_by_side(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "opened two sessions, handed records to each in turn, and closed both";
    let opening = rig.opening()?;
    let mut one = rig.open_with(About::Connector, &opening.for_lane(0, 2)).await?;
    let mut other = rig.open_with(About::Connector, &opening.for_lane(1, 2)).await?;
    for _ in 0..2 {
        for life in [&mut one, &mut other] {
            let batch = rig.records(3);
            let handed = life.hand_over(&batch, 1).await;
            rig.heard(&batch, &handed);
            all_well(did, &handed)?;
        }
    }
    for life in [one, other] {
        life.close().await.map_err(|came| failed(did, "it to close", came))?;
    }
    Ok(did.into())
}

async fn acks(rig: &Rig) -> Tried {
    rig.reset().await?;
    let did = "opened a session, acknowledged a batch that it never saw, and wrote a record";
    let Life::Write(mut session, action) = rig.open(About::Destination).await? else {
        return Err(skipped("it is no write destination"));
    };
    session.ack(&["no-such-batch", ""]).await.map_err(|ended| failed(did, "nothing to happen", ended.to_string()))?;
    let batch = rig.records(1);
    let mut life = Life::Write(session, action);
    let handed = life.hand_over(&batch, 1).await;
    all_well(did, &handed)
}

async fn reachable(rig: &Rig) -> Tried {
    let did = "asked `reachable`";
    match rig.connector()?.probe(&rig.opening()?).await {
        Some(Ok(())) => Ok(did.into()),
        Some(Err(error)) => Err(failed(did, "that the far side is there", error.to_string())),
        None => Err(skipped("it does not export `probe`")),
    }
}

async fn unreachable(rig: &Rig) -> Tried {
    let did = "took the far side away and asked `reachable`";
    let (connector, opening) = (rig.connector()?, rig.opening()?);
    rig.make(Trouble::Gone).await?;
    let answer = connector.probe(&opening).await;
    rig.heal(Trouble::Gone).await?;
    match answer {
        Some(Err(ProbeError::Failed(failure))) if PASSES.contains(&failure.kind) => Ok(did.into()),
        Some(Err(error)) => Err(failed(did, "a failure that passes", error.to_string())),
        Some(Ok(())) => Err(failed(did, "a failure that passes", "that it is there")),
        None => Err(skipped("it does not export `probe`")),
    }
}

async fn unauthorized(rig: &Rig) -> Tried {
    let did = "had the far side refuse the credentials and asked `reachable`";
    let (connector, opening) = (rig.connector()?, rig.opening()?);
    rig.make(Trouble::Unauthorized).await?;
    let answer = connector.probe(&opening).await;
    rig.heal(Trouble::Unauthorized).await?;
    match answer {
        Some(Err(ProbeError::Failed(failure))) if failure.kind == FailureKind::Unauthorized => Ok(did.into()),
        Some(Err(error)) => Err(failed(did, "unauthorized", error.to_string())),
        Some(Ok(())) => Err(failed(did, "unauthorized", "that it is there")),
        None => Err(skipped("it does not export `probe`")),
    }
}
