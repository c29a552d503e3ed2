//! Which version of its far side's interface a destination speaks: the one that the pipeline file names, else the connector's own choice.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};

use super::{Part, PlanError};
use crate::{
    config::{self, At},
    connector::{Connector, descriptor::FarVersion},
};

/// The version that a destination speaks; `None` where its connector lists none or leaves it open, or where the pipeline file names one that it does
/// not list, which is noted.
pub(super) fn chosen(given: &config::Destination, connector: &Connector, errors: &mut Vec<PlanError>) -> Option<Arc<str>> {
    let descriptor = &connector.descriptor;
    let Some(At { value: named, place }) = &given.api_version else {
        return descriptor.default_version.as_deref().map(Arc::from);
    };
    if descriptor.version(named).is_some() {
        return Some(named.as_str().into());
    }
    errors.push(PlanError::Version {
        part: Part::Destination(given.id.value.to_string()),
        place: place.clone(),
        connector: connector.title(),
        named: named.clone(),
        listed: descriptor.versions.iter().map(|version| version.name.clone()).collect(),
    });
    None
}

/// That a version is on its way out, where the connector says so. `now` is in milliseconds since 1970.
pub(super) fn deprecated(id: &str, version: Option<&str>, connector: &Connector, now: u64) -> Option<String> {
    let descriptor = &connector.descriptor;
    let version = descriptor.version(version?)?;
    let date = version.deprecated_from()?;
    let when = match date <= today(now) {
        true => format!("is deprecated since {date}"),
        false => format!("will be deprecated from {date} on"),
    };
    let others = descriptor.versions.iter().filter(|other| other.name != version.name && lasts_longer(other, date));
    let others: Vec<_> = others.map(|other| format!("`{}`", other.name)).collect();
    let what = match others.as_slice() {
        [] => "it lists none that lasts longer: ask for a newer connector".to_owned(),
        some => format!("name another in the destination (`api-version`): {}", some.join(", ")),
    };
    Some(format!(
        "destination {id}: {} speaks the version `{}` of its far side, which {when}; {what}",
        connector.title(),
        version.name
    ))
}

fn lasts_longer(other: &FarVersion, than: NaiveDate) -> bool {
    other.deprecated_from().is_none_or(|date| date > than)
}

/// The day, where the sun is at its highest in Greenwich.
fn today(now: u64) -> NaiveDate {
    let now = i64::try_from(now).ok().and_then(DateTime::<Utc>::from_timestamp_millis);
    now.unwrap_or(DateTime::<Utc>::MAX_UTC).date_naive()
}
