//! The life of a destination in a pipeline: what it does when it is told of it.

use super::{case, failure::PASSES};
use crate::{
    conformance::{
        case::{About, Case, Stop, Tried, failed, skipped, unless},
        rig::{Rig, all_well},
        trouble::Trouble,
    },
    connector::LifeEvent,
    record::FailureKind,
    store::Told,
};

/// The cases.
pub(in super::super) const CASES: &[Case] = &[
    case!(
        "W-LIFE-001",
        130 Must,
        Lifecycle,
        "`created`, `updated` and `deleted` succeed where the far side is there",
        "do what the event asks for, or nothing, and answer that it is done",
        told
    ),
    case!(
        "W-LIFE-002",
        131 Must,
        Lifecycle,
        "an event that is told again is answered as before, and has one effect",
        "make what may be there already, and pass over what is gone; or keep the ids of events that were dealt with",
        told_again
    ),
    case!(
        "W-LIFE-003",
        132 Must,
        Lifecycle,
        "`updated` takes settings from before that have names missing, and others that nobody knows",
        "read what is among the settings from before, and do without what is not: secrets never are",
        from_before
    ),
    case!(
        "W-LIFE-004",
        133 Must,
        Lifecycle,
        "an event that fails because the far side is gone fails for now",
        "answer `transient`, or `uncertain` where it may have taken effect: the event is told again",
        gone
    ),
    case!(
        "W-LIFE-005",
        134 Must,
        Lifecycle,
        "an event that fails because credentials are refused is `unauthorized`",
        "answer `unauthorized` for what the far side says of credentials",
        unauthorized
    ),
    case!(
        "W-LIFE-006",
        135 Must,
        Lifecycle,
        "an event that fails because the far side asks for patience is `throttled`",
        "answer `throttled`, with `retry-after-ms` where the far side tells",
        throttled
    ),
    case!(
        "W-LIFE-007",
        136 Must,
        Lifecycle,
        "an event that failed takes effect when it is told again with the same id",
        "note that an event was dealt with when it was, and not before",
        recovers
    ),
    case!(
        "W-LIFE-008",
        137 Must,
        Lifecycle,
        "what was deleted can be created again, and works",
        "take `created` behind `deleted` for a new life: it is another event",
        born_again
    ),
    case!(
        "W-LIFE-009",
        31 Must,
        Lifecycle,
        "an event that lacks a grant fails in words, without a trap",
        "return a `failure` where the host answers \"not granted\"; do not unwrap",
        ungranted
    ),
];

/// What a destination is told, one behind the other.
const ALL: [Told; 3] = [Told::Created, Told::Updated, Told::Deleted];

/// As before its life: nothing is at the far side, and it was told so.
async fn unborn(rig: &Rig) -> Result<(), Stop> {
    rig.reset().await?;
    // Whether it can be deleted is what some cases are about.
    let _elsewhere = rig.tell(&rig.event(Told::Deleted)?, "told `deleted`").await;
    rig.sweep()
}

/// Tells an event, which has to succeed.
async fn succeeds(rig: &Rig, event: &LifeEvent, did: &str) -> Result<(), Stop> {
    let due = format!("`{}` to succeed", event.what.name());
    rig.tell(event, did).await?.map_err(|failure| failed(did, due, failure.to_string()))
}

async fn takes_a_record(rig: &Rig, did: &str) -> Tried {
    all_well(did, &rig.hand_over(About::Connector, &rig.records(1)).await?)
}

async fn told(rig: &Rig) -> Tried {
    unborn(rig).await?;
    let did = "told `created`, handed over a record, told `updated`, handed over another, and told `deleted`";
    for what in ALL {
        succeeds(rig, &rig.event(what)?, did).await?;
        if what != Told::Deleted {
            takes_a_record(rig, did).await?;
        }
    }
    Ok(did.into())
}

/// How much is at the far side, where that can be read back.
async fn there(rig: &Rig) -> Result<Option<usize>, Stop> {
    if rig.suite.read.is_none() { Ok(None) } else { Ok(Some(rig.delivered().await?.len())) }
}

async fn told_again(rig: &Rig) -> Tried {
    unborn(rig).await?;
    let did = "told each event twice, each time in a new instance";
    let mut wrong = Vec::new();
    for what in ALL {
        let event = rig.event(what)?;
        succeeds(rig, &event, did).await?;
        // What is deleted may not be there to be read.
        let before = if what == Told::Deleted { None } else { there(rig).await? };
        let again = rig.tell(&event, did).await?;
        wrong.extend(again.err().map(|failure| format!("the second time: {failure}")));
        if let (Some(before), Some(after)) = (before, if before.is_some() { there(rig).await? } else { None })
            && before != after
        {
            wrong.push(format!("`{}` left {before} records the first time, and then {after}", what.name()));
        }
    }
    unless(&wrong, did, "the same answer, and nothing more at the far side")
}

async fn from_before(rig: &Rig) -> Tried {
    unborn(rig).await?;
    let did = "told `updated` with no settings from before, and with one that nobody knows";
    succeeds(rig, &rig.event(Told::Created)?, did).await?;
    for before in [Vec::new(), vec![("no-such-parameter".to_owned(), "x".to_owned())]] {
        succeeds(rig, &LifeEvent { before, ..rig.event(Told::Updated)? }, did).await?;
    }
    Ok(did.into())
}

/// Tells each event under a fault, and passes where those that fail do so in one of some ways.
async fn under(rig: &Rig, trouble: Trouble, what: &str, kinds: &[FailureKind]) -> Tried {
    unborn(rig).await?;
    let due = kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" or ");
    let (mut tried, mut wrong) = (Vec::new(), Vec::new());
    for told in ALL {
        let event = rig.event(told)?;
        let did = format!("told `{}` with the far side {what}", told.name());
        rig.make(trouble).await?;
        let answer = rig.tell(&event, &did).await;
        rig.heal(trouble).await?;
        // What needs the far side for nothing has no reason to fail.
        let Err(failure) = answer? else { continue };
        tried.push(told.name());
        if !kinds.contains(&failure.kind) {
            wrong.push(failure.to_string());
        }
        // So that the next finds what it expects; whether it succeeds is held elsewhere.
        let _elsewhere = rig.tell(&event, &did).await?;
    }
    if tried.is_empty() {
        return Err(skipped("no event failed: it needs the far side for none"));
    }
    unless(&wrong, &format!("told {} with the far side {what}", tried.join(", ")), &due)
}

async fn gone(rig: &Rig) -> Tried {
    under(rig, Trouble::Gone, "gone", &PASSES).await
}

async fn unauthorized(rig: &Rig) -> Tried {
    under(rig, Trouble::Unauthorized, "refusing credentials", &[FailureKind::Unauthorized]).await
}

async fn throttled(rig: &Rig) -> Tried {
    under(rig, Trouble::Throttled, "asking for patience", &[FailureKind::Throttled]).await
}

async fn recovers(rig: &Rig) -> Tried {
    let did = "told `created` with the far side gone, brought it back, and told the same event again";
    unborn(rig).await?;
    succeeds(rig, &rig.event(Told::Created)?, "told `created`").await?;
    let due = there(rig).await?;
    unborn(rig).await?;
    let event = rig.event(Told::Created)?;
    rig.make(Trouble::Gone).await?;
    let answer = rig.tell(&event, did).await;
    rig.heal(Trouble::Gone).await?;
    if answer?.is_ok() {
        return Err(skipped("`created` did not fail: it needs the far side for nothing"));
    }
    succeeds(rig, &event, did).await?;
    let came = there(rig).await?;
    if came == due {
        return takes_a_record(rig, &format!("{did}; handed over a record")).await;
    }
    let count = |count: Option<usize>| format!("{} records at the far side", count.unwrap_or_default());
    Err(failed(did, format!("{}, as without a failure", count(due)), count(came)))
}

async fn born_again(rig: &Rig) -> Tried {
    unborn(rig).await?;
    let did = "told `created`, `deleted`, and `created` with another event; handed over a record";
    for what in [Told::Created, Told::Deleted, Told::Created] {
        succeeds(rig, &rig.event(what)?, did).await?;
    }
    takes_a_record(rig, did).await
}

async fn ungranted(rig: &Rig) -> Tried {
    let did = "told each event with nothing granted";
    if rig.suite.grants.is_empty() {
        return Err(skipped("the suite grants nothing that could be missing"));
    }
    unborn(rig).await?;
    for what in ALL {
        if let Err(failure) = rig.tell_with(&rig.event(what)?, did, &rig.bare()?).await?
            && failure.message.trim() == what.name().to_owned() + ":"
        {
            return Err(failed(did, "a failure that says what is not granted", "a failure without a word"));
        }
    }
    Ok(did.into())
}
