//! OpenCDC, as Conduit writes it and as the host's own sources read it.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use wharf_json::{Json, Kind};
use wharf_sdk::Failure;

use crate::{
    envelope::{Data, Unwrapped},
    operation,
};

/// What is in it; `None` where it is none: without an operation or a payload.
pub fn unwrapped(mut json: Json<'_>) -> Result<Option<Unwrapped<'_>>, Failure> {
    let name = json.step("operation").and_then(|name| name.as_str().map(|name| name.into_owned()));
    let payload = json.step("payload").filter(|payload| payload.kind() == Kind::Object);
    let (Some(name), Some(payload)) = (name, payload) else { return Ok(None) };
    let before = data("payload.before", payload.step("before"))?;
    let after = data("payload.after", payload.step("after"))?;
    let operation = operation(&name).filter(|_| name.len() > 1);
    let operation = operation
        .ok_or_else(|| Failure::rejected("the envelope's `operation` is none of create, update, delete and snapshot"))?;
    let key = data("key", json.step("key"))?;
    let mut metadata: Vec<(String, String)> = Vec::new();
    if let Some(members) = json.step("metadata").and_then(Json::members) {
        for (name, value) in members {
            let value =
                value.as_str().ok_or_else(|| Failure::rejected("the envelope's `metadata` has a value that is no text"))?;
            let (name, value) = (name.text().into_owned(), value.into_owned());
            // The last one counts, as of any member.
            match metadata.iter_mut().find(|(other, _)| *other == name) {
                Some((_, earlier)) => *earlier = value,
                None => metadata.push((name, value)),
            }
        }
    }
    if let Some(position) = json.step("position").and_then(|position| position.as_str().map(|position| position.into_owned())) {
        metadata.push(("opencdc.position".into(), position));
    }
    Ok(Some(Unwrapped { operation, key, before, after, metadata }))
}

/// An object is structured data, a text raw data in base64, null and what is left out absent.
fn data<'a>(what: &str, value: Option<&mut Json<'a>>) -> Result<Option<Data<'a>>, Failure> {
    let Some(value) = value else { return Ok(None) };
    match value.kind() {
        Kind::Null => Ok(None),
        Kind::Object => Ok(Some(Data::Structured(std::mem::replace(value, Json::null())))),
        Kind::String => {
            let bytes = BASE64_STANDARD.decode(value.as_text().as_bytes());
            let bytes = bytes.map_err(|_| Failure::rejected(format!("the envelope's `{what}` is a text that is not base64")))?;
            Ok(Some(Data::Raw(bytes)))
        }
        kind => Err(Failure::rejected(format!("the envelope's `{what}` is {kind}, and not an object, a text or null"))),
    }
}
