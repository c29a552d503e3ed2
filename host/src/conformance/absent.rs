//! Whether the far side that the suite names is there at all: what a component says of one that is not tells nothing of the component.

use std::time::Duration;

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

/// Refuses to begin where a far side of the suite is not there.
///
/// # Errors
/// A far side under `far` that takes no connection. One that is only granted, where the component itself says that it cannot reach it: what is granted need
/// not be used.
pub(super) async fn none(rig: &Rig) -> Result<(), ConformError> {
    let missing = missing(rig).await;
    if !missing.is_empty() {
        return Err(ConformError::Mistakes(missing));
    }
    let unreached = unreached(rig).await;
    if unreached.is_empty() {
        return Ok(());
    }
    if let Err(Stop::Suite(error)) = rig.reset().await {
        return Err(error);
    }
    match said(rig).await {
        Some(failure) if matches!(failure.kind, FailureKind::Transient | FailureKind::Uncertain) => {
            let (addresses, places): (Vec<String>, Vec<&Place>) = unreached.into_iter().unzip();
            let what = format!("the far side is not there: {}; the component says: {failure}", addresses.join("; "));
            Err(Mistake::new(what).with_hint(HINT).at(places.first().copied()).into())
        }
        _ => Ok(()),
    }
}

/// The far sides under `far` that take no connection.
async fn missing(rig: &Rig) -> Vec<Mistake> {
    let mut missing = Vec::new();
    for FarSide { name, to, place } in &rig.far {
        if let Err(why) = connected(&to.to_string()).await {
            let what = format!("the far side `{name}` ({to}) is not there: {why}");
            missing.push(Mistake::new(what).with_hint(HINT).at(Some(place)));
        }
    }
    missing
}

/// The addresses that are granted and take no connection, each with why and its place. A pattern of several is none.
async fn unreached(rig: &Rig) -> Vec<(String, &Place)> {
    let grants = &rig.suite.grants;
    let tcp = grants.tcp.iter().map(|grant| (grant.to.to_string(), &grant.place));
    let http = grants.http.iter().filter_map(|grant| Some((grant.to.one()?, &grant.place)));
    let mut unreached: Vec<(String, &Place)> = Vec::new();
    for (to, place) in tcp.chain(http) {
        // A proxy of the run's own is there whatever is behind it.
        let ours = rig.proxies.iter().any(|proxy| proxy.address == to);
        if !ours && let Err(why) = connected(&to).await {
            unreached.push((format!("{to} takes no connection ({why})"), place));
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
