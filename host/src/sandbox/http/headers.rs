//! The headers of a request and of a response: which there may be, how many, and what they may show.
//!
//! **Threat.** A header that frames a message, or is of one connection alone, makes one request into two for somebody on the way; forty
//! thousand of them, or a megabyte, cost whoever keeps them. **Answer.** What is the host's own to set no component can set, also not by
//! copying it out of a response; number and bytes are bounded on both ways.

use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_LENGTH};
use wasmtime_wasi_http::Error;

use crate::{
    config::{HttpLimits, is_the_hosts},
    sandbox::redaction::Redactor,
};

/// Whether a component may neither set nor see a header.
pub(super) fn forbidden(name: &HeaderName) -> bool {
    // A component tells how long its body is; the host holds it to that.
    *name != CONTENT_LENGTH && is_the_hosts(name)
}

/// Bytes of names and values.
fn bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// Holds the headers of a request within limits; the host's own are left out.
pub(super) fn check_request(headers: &mut HeaderMap, limits: &HttpLimits) -> Result<(), Error> {
    let names: Vec<HeaderName> = headers.keys().filter(|name| forbidden(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
    let bytes = bytes(headers);
    if headers.len() > limits.headers as usize || bytes as u64 > limits.header_bytes.bytes() {
        return Err(Error::HttpRequestHeaderSectionSize(u32::try_from(bytes).ok()));
    }
    match declared(headers) {
        Some(length) if length > limits.request_bytes.bytes() => Err(Error::HttpRequestBodySize(Some(length))),
        _ => Ok(()),
    }
}

/// Holds the headers of a response within limits, and takes secrets out of them.
pub(super) fn check_response(headers: &mut HeaderMap, limits: &HttpLimits, redactor: &Redactor) -> Result<(), Error> {
    let bytes = bytes(headers);
    if headers.len() > limits.headers as usize || bytes as u64 > limits.header_bytes.bytes() {
        return Err(Error::HttpResponseHeaderSectionSize(u32::try_from(bytes).ok()));
    }
    redact(headers, redactor);
    match declared(headers) {
        Some(length) if length > limits.response_bytes.bytes() => Err(Error::HttpResponseBodySize(Some(length))),
        _ => Ok(()),
    }
}

/// Takes secrets out of values; a header whose name holds one goes as a whole.
pub(super) fn redact(headers: &mut HeaderMap, redactor: &Redactor) {
    if redactor.is_empty() {
        return;
    }
    let names: Vec<HeaderName> = headers.keys().cloned().collect();
    for name in names {
        if matches!(redactor.text(name.as_str()), std::borrow::Cow::Owned(_)) {
            headers.remove(&name);
        }
    }
    for value in headers.values_mut() {
        if let std::borrow::Cow::Owned(shown) = redactor.bytes(value.as_bytes()) {
            // Taking bytes out of a value leaves a value.
            *value = HeaderValue::from_maybe_shared(bytes::Bytes::from(shown)).unwrap_or(HeaderValue::from_static("***"));
        }
    }
}

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_frames_a_message_is_not_the_components() {
        let mut headers = HeaderMap::new();
        for name in [
            "host",
            "connection",
            "transfer-encoding",
            "proxy-authorization",
            "proxy-anything",
            "http2-settings",
            "expect",
            "te",
            "keep-alive",
            "upgrade",
            "trailer",
            "proxy-connection",
        ] {
            headers.append(name, HeaderValue::from_static("x"));
            headers.append(name, HeaderValue::from_static("y"));
        }
        headers.insert("content-length", HeaderValue::from_static("5"));
        headers.insert("x-own", HeaderValue::from_static("z"));
        check_request(&mut headers, &HttpLimits::default()).unwrap();
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "x-own"]);
    }

    #[test]
    fn secrets_leave_values_and_names() {
        let mut headers = HeaderMap::new();
        headers.insert("x-echo", HeaderValue::from_static("you sent s3cret-value!"));
        headers.insert("x-s3cret-value", HeaderValue::from_static("x"));
        headers.insert("x-binary", HeaderValue::from_bytes(b"\xff s3cret-value").unwrap());
        check_response(&mut headers, &HttpLimits::default(), &Redactor::new(["s3cret-value"])).unwrap();
        assert_eq!(headers["x-echo"], "you sent ***!");
        assert_eq!(headers["x-binary"].as_bytes(), b"\xff ***");
        assert_eq!(headers.len(), 2);
    }
}
