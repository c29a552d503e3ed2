//! Values as they stand in a document.

use std::io::Write;

use base64::{display::Base64Display, prelude::BASE64_STANDARD};

use crate::record::json::Checker;

/// Whether a media type is that of JSON: `application/json`, or one that ends in `+json`, whatever its parameters.
pub(super) fn is_json(content_type: Option<&str>) -> bool {
    let essence = content_type.map(|content_type| content_type.split(';').next().unwrap_or_default().trim());
    essence.is_some_and(|essence| {
        let suffix = essence.len().checked_sub("+json".len()).and_then(|at| essence.get(at..));
        essence.eq_ignore_ascii_case("application/json") || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"))
    })
}

/// Whether a value is one JSON value, and whether an object.
pub(super) fn json_value(checker: &mut Checker, value: &[u8]) -> Option<Kind> {
    checker.check(value).ok()?;
    let first = value.iter().find(|byte| !byte.is_ascii_whitespace());
    Some(if first == Some(&b'{') { Kind::Object } else { Kind::Other })
}

/// Of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Other,
}

/// Appends text as a JSON string.
pub(super) fn push_text(data: &mut Vec<u8>, text: &str) {
    // Writing to a vector does not fail.
    serde_json::to_writer(data, text).ok();
}

/// Appends bytes as a JSON string of base64, as Conduit does it: the standard alphabet, padded.
pub(super) fn push_base64(data: &mut Vec<u8>, bytes: &[u8]) {
    write!(data, "\"{}\"", Base64Display::new(bytes, &BASE64_STANDARD)).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_by_its_media_type() {
        for (content_type, expected) in [
            (Some("application/json"), true),
            (Some("Application/JSON; charset=utf-8"), true),
            (Some("application/geo+json"), true),
            (Some("+json"), true),
            (Some("text/plain"), false),
            (Some("application/jsonl"), false),
            (Some("é+jso"), false),
            (Some("json"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(is_json(content_type), expected, "{content_type:?}");
        }
    }
}
