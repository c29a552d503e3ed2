//! Whether the far side that the suite names is there at all: what a component says of one that is not tells nothing of the component.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::net::TcpStream;

use super::{
    case::{About, Stop},
    error::{ConformError, Mistake},
    life::{Broken, Life},
    rig::Rig,
    uploading,
};
use crate::{
    config::{HostPort, Place},
    connector::{OpenError, ProbeError},
    record::{Failure, FailureKind},
};

/// How long an answer to a connection is waited for.
const LONGEST: Duration = Duration::from_secs(5);

/// A far side, by the name that it has in the suite file.
pub(super) struct FarSide {
    pub name: String,
    pub to: HostPort,
    pub place: Place,
}

const HINT: &str = "start it, or correct its address; of the component nothing is known by that, and no case was tried";

const ENDED: &str =
    "see why it ended, and run it again; of the component nothing is known by that, and no case was tried from here on";

/// The addresses that are granted and that took no connection when the run began: whatever they are, they did not go away in it.
#[derive(Debug, Default)]
pub(super) struct Absent(Vec<String>);

/// Refuses to begin where a far side of the suite is not there. Gives what else is not.
///
/// # Errors
/// A far side under `far` that takes no connection. One that is only granted, where the component itself says that it cannot reach it: what is granted need
/// not be used.
pub(super) async fn none(rig: &Rig) -> Result<Absent, ConformError> {
    let missing: Vec<Mistake> = missing(rig)
        .await
        .into_iter()
        .map(|(FarSide { name, to, place }, why)| {
            Mistake::new(format!("the far side `{name}` ({to}) is not there: {why}")).with_hint(HINT).at(Some(place))
        })
        .collect();
    if !missing.is_empty() {
        return Err(ConformError::Mistakes(missing));
    }
    let unreached = unreached(rig).await;
    let absent = Absent(unreached.iter().map(|(to, ..)| to.clone()).collect());
    if unreached.is_empty() {
        return Ok(absent);
    }
    if let Err(Stop::Suite(error)) = rig.reset().await {
        return Err(error);
    }
    match said(rig).await {
        Some(failure) if matches!(failure.kind, FailureKind::Transient | FailureKind::Uncertain) => {
            let place = unreached.first().map(|(.., place)| *place);
            let addresses: Vec<String> =
                unreached.iter().map(|(to, why, _)| format!("{to} takes no connection ({why})")).collect();
            let what = format!("the far side is not there: {}; the component says: {failure}", addresses.join("; "));
            Err(Mistake::new(what).with_hint(HINT).at(place).into())
        }
        _ => Ok(absent),
    }
}

/// Why nothing can be made of a case that failed: a far side that was there when the run began is there no more, or cannot be read back.
///
/// # Errors
/// A far side that went away, or a command that read it back and fails now.
pub(super) async fn still(rig: &Rig, before: &Absent) -> Result<(), ConformError> {
    let mut gone: Vec<Mistake> = Vec::new();
    let told = |what: String, why: &str, place| {
        Mistake::new(format!("{what} was there when the run began, and takes no connection any more: {why}"))
            .with_hint(ENDED)
            .at(Some(place))
    };
    for (FarSide { name, to, place }, why) in missing(rig).await {
        gone.push(told(format!("the far side `{name}` ({to})"), &why, place));
    }
    for (to, why, place) in unreached(rig).await {
        if !before.0.contains(&to) {
            gone.push(told(format!("the far side {to}"), &why, place));
        }
    }
    if !gone.is_empty() {
        return Err(ConformError::Mistakes(gone));
    }
    // A command that never worked is told where a case needs it.
    if rig.read_back.load(Relaxed)
        && let Err(Stop::Suite(error)) = rig.delivered().await
    {
        return Err(error);
    }
    Ok(())
}

/// The far sides under `far` that take no connection, each with why.
async fn missing(rig: &Rig) -> Vec<(&FarSide, String)> {
    let mut missing = Vec::new();
    for far in &rig.far {
        if let Err(why) = connected(&far.to.to_string()).await {
            missing.push((far, why));
        }
    }
    missing
}

/// The addresses that are granted and take no connection, each with why and its place. A pattern of several is none.
async fn unreached(rig: &Rig) -> Vec<(String, String, &Place)> {
    let grants = &rig.suite.grants;
    let tcp = grants.tcp.iter().map(|grant| (grant.to.to_string(), &grant.place));
    let http = grants.http.iter().filter_map(|grant| Some((grant.to.one()?, &grant.place)));
    let mut unreached = Vec::new();
    for (to, place) in tcp.chain(http) {
        // A proxy of the run's own is there whatever is behind it.
        let ours = rig.proxies.iter().any(|proxy| proxy.address == to);
        if !ours && let Err(why) = connected(&to).await {
            unreached.push((to, why, place));
        }
    }
    unreached
}

async fn connected(to: &str) -> Result<(), String> {
    match tokio::time::timeout(LONGEST, TcpStream::connect(to)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", LONGEST.as_secs())),
    }
}

/// The failure in which the component's first work with its far side ends, where it does.
async fn said(rig: &Rig) -> Option<Failure> {
    let (connector, opening) = (rig.connector().ok()?, rig.opening().ok()?);
    match connector.probe(&opening).await {
        Some(Err(ProbeError::Failed(failure))) => return Some(failure),
        Some(_) => return None,
        None => {}
    }
    let about = About::Connector;
    let mut life = match Life::open(connector, about, &opening).await {
        Ok(life) => life,
        Err(OpenError::Failed(failure)) => return Some(failure),
        Err(_) => return None,
    };
    if let Life::Bulk(..) = life {
        let file = uploading::file(rig, 1).await.ok()?;
        return match uploading::attempt(rig, &file).await.ok()? {
            Err(Broken::Failed(failure)) => Some((*failure).clone()),
            _ => None,
        };
    }
    let handed = life.hand_over(&rig.records(1), 1).await;
    handed.failures().next().map(|failure| (**failure).clone())
}
