//! Debezium's envelope.

use wharf_json::{Json, Kind};
use wharf_sdk::{Failure, Operation};

use crate::{
    envelope::{Data, Unwrapped},
    operation,
};

/// What of `source` becomes metadata, as `debezium.NAME`.
const SOURCE: [&str; 12] =
    ["connector", "name", "version", "db", "schema", "table", "collection", "snapshot", "txId", "lsn", "file", "pos"];

/// Whether it looks like one. It is left as it stands.
pub fn is(json: &Json<'_>) -> bool {
    let mut json = json.clone();
    let op = json.step("op").is_some_and(|op| op.kind() == Kind::String);
    op && ["before", "after", "source"].iter().any(|name| json.step(name).is_some())
}

/// What is in it; `None` where it is none.
pub fn unwrapped(mut json: Json<'_>) -> Result<Option<Unwrapped<'_>>, Failure> {
    if !is(&json) {
        return Ok(None);
    }
    let op = json.step("op").map(|op| op.as_text().into_owned()).unwrap_or_default();
    let operation: Operation = operation(&op)
        .filter(|_| op.len() == 1)
        .ok_or_else(|| Failure::rejected("the envelope's `op` is none of c, u, d and r: it tells of no single record"))?;
    let mut metadata = Vec::new();
    if let Some(source) = json.step("source") {
        let text = |source: &mut Json<'_>, name: &str| {
            let value = source.step(name).filter(|value| !matches!(value.kind(), Kind::Null | Kind::Object | Kind::Array))?;
            Some(value.as_text().into_owned())
        };
        if let Some(collection) = text(source, "table").or_else(|| text(source, "collection")) {
            metadata.push(("opencdc.collection".to_owned(), collection));
        }
        if let Some(created) = nanoseconds(source) {
            metadata.push(("opencdc.createdAt".to_owned(), created));
        }
        let named = SOURCE.iter().filter_map(|name| Some((format!("debezium.{name}"), text(source, name)?)));
        metadata.extend(named);
    }
    if let Some(read) = nanoseconds(&mut json) {
        metadata.push(("opencdc.readAt".to_owned(), read));
    }
    let mut take = |name: &str| Data::unless_null(std::mem::replace(json.step(name)?, Json::null()));
    let (before, after) = (take("before"), take("after"));
    Ok(Some(Unwrapped { operation, key: None, before, after, metadata }))
}

/// Nanoseconds since 1970 of what is told in nano-, micro- or milliseconds.
fn nanoseconds(json: &mut Json<'_>) -> Option<String> {
    [("ts_ns", ""), ("ts_us", "000"), ("ts_ms", "000000")].into_iter().find_map(|(name, zeros)| {
        let time = json.step(name).filter(|time| time.kind() == Kind::Number)?.as_text().into_owned();
        let whole = time.bytes().all(|byte| byte.is_ascii_digit());
        (whole && time != "0").then_some(time + zeros)
    })
}
