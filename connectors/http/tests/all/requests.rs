//! What a record becomes on the wire.

use std::io::Read as _;

use flate2::read::GzDecoder;
use wharf_sdk::{
    FailureKind, Operation,
    testing::{batch, deletion, record},
};

use crate::far::{answer, bodies, over, seen};

const URL: &str = "https://api.example.com/users/{{/id}}?from={{meta:source}}";

#[test]
fn method_url_headers_and_body_are_made_from_the_record() {
    let harness =
        over(URL, |_| answer(204, "")).setting("methods.delete", "DELETE").setting("headers.X-Kind", "{{operation}} {{key}}");
    let session = harness.open();
    let first = record(r#"{"id": "a/b c", "n": 1.50}"#).key("k1").meta("source", "crm&x").operation(Operation::Update);
    session.write(&batch([first]).partition("s").content_type("application/vnd.example+json")).assert_all_delivered();
    let request = &seen()[0];
    assert_eq!(request.to_string(), "POST https://api.example.com/users/a%2Fb%20c");
    assert_eq!(request.path, "/users/a%2Fb%20c?from=crm%26x");
    assert_eq!(bodies(), [r#"{"id": "a/b c", "n": 1.50}"#]);
    let header = |name: &str| request.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    assert_eq!(header("X-Kind"), Some("update k1"));
    assert_eq!(header("content-type"), Some("application/vnd.example+json"));
    assert_eq!(header("Idempotency-Key").map(str::len), Some(32));
}

#[test]
fn a_deletion_has_its_own_method_and_no_body() {
    let harness = over("https://api.example.com/users/{{key}}", |_| answer(204, "")).setting("methods.delete", "DELETE");
    harness.open().write(&batch([deletion("7")])).assert_all_delivered();
    let request = &seen()[0];
    assert_eq!((request.method.as_str(), request.path.as_str(), request.body.len()), ("DELETE", "/users/7", 0));
    assert!(request.headers.iter().all(|(name, _)| name != "content-type"));
}

#[test]
fn a_record_that_would_go_elsewhere_is_rejected_and_nothing_is_sent_of_it() {
    let harness = over(URL, |_| answer(204, "")).setting("headers.X-Name", "{{/name}}");
    let of = |id: &str, name: &str| record(format!(r#"{{"id": {id}, "name": "{name}"}}"#)).meta("source", "s");
    let answer = harness.open().write(&batch([
        of(r#""..""#, "n"),
        of(r#""""#, "n"),
        of("null", "n"),
        of("1", r"a\r\nX-Evil: 1"),
        of("1", "ü"),
        record("{").meta("source", "s"),
        record(r#"{"id": 1, "name": "n"}"#),
        of("2", "n"),
    ]));
    answer.assert_failed(0..7, FailureKind::Rejected).assert_delivered(7);
    assert_eq!(seen().len(), 1);
}

#[test]
fn several_records_go_into_one_request() {
    let records = || batch(["{\"a\": 1}", " {\"a\":\n 2} ", "no json", "{\"a\": 3}"]);
    let harness = over("https://api.example.com/", |_| answer(200, "")).setting("body", "json-array").setting("records", "2");
    harness.open().write(&records()).assert_delivered(0..2).assert_failed(2, FailureKind::Rejected).assert_delivered(3);
    assert_eq!(bodies(), ["[{\"a\": 1},{\"a\":\n 2}]", r#"[{"a": 3}]"#]);

    let harness = over("https://api.example.com/", |_| answer(200, "")).setting("body", "json-lines");
    harness.open().write(&records()).assert_failed(2, FailureKind::Rejected);
    assert_eq!(bodies(), ["{\"a\": 1}\n{\"a\":  2}\n{\"a\": 3}\n"]);
    assert!(seen()[0].headers.contains(&("content-type".into(), "application/x-ndjson".into())));

    let harness = over("https://api.example.com/_bulk", |_| answer(200, ""))
        .setting("body", "json-lines")
        .setting("lines.0", r#"{"index":{"_id":{{key}}}}"#)
        .setting("lines.1", "{{after}}");
    harness.open().write(&batch([record("{\"a\":\n1}").key("x\"y")])).assert_all_delivered();
    assert_eq!(bodies(), ["{\"index\":{\"_id\":\"x\\\"y\"}}\n{\"a\": 1}\n"]);
}

#[test]
fn a_request_holds_no_more_bytes_than_it_may_unless_one_record_has_them() {
    let harness = over("https://api.example.com/", |_| answer(200, "")).setting("body", "json-array").setting("bytes", "1KiB");
    let long = |n: usize| format!("\"{}\"", "x".repeat(n));
    harness.open().write(&batch([long(400), long(400), long(400), long(2000), long(4)])).assert_all_delivered();
    let lengths: Vec<usize> = seen().iter().map(|request| request.body.len()).collect();
    assert_eq!(lengths, [402 * 2 + 3, 404, 2004, 8]);
}

#[test]
fn a_form_has_the_members_of_a_record() {
    let harness = over("https://api.example.com/", |_| answer(200, "")).setting("body", "form");
    let answer = harness.open().write(&batch([r#"{"a b": "x&y", "n": 1.50, "none": null, "list": [1, 2]}"#, "[1]"]));
    answer.assert_delivered(0).assert_failed(1, FailureKind::Rejected);
    assert_eq!(bodies(), ["a%20b=x%26y&n=1.50&none=&list=%5B1%2C%202%5D"]);
}

#[test]
fn a_compressed_body_says_so() {
    let harness =
        over("https://api.example.com/", |_| answer(200, "")).setting("body", "json-array").setting("compression", "gzip");
    harness.open().write(&batch(["1", "2"])).assert_all_delivered();
    let request = &seen()[0];
    assert!(request.headers.contains(&("content-encoding".into(), "gzip".into())));
    let mut text = String::new();
    GzDecoder::new(request.body.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(text, "[1,2]");
}

#[test]
fn the_same_records_bear_the_same_idempotency_key_however_they_are_cut() {
    let key = |request: &wharf_http::transport::Request| request.headers.iter().find(|(name, _)| name == "K").unwrap().1.clone();
    let keys = |setting: &str, id: &str, start: u32, sequence: u64| {
        let harness = over("https://api.example.com/", |_| answer(200, ""))
            .setting("idempotency", setting)
            .setting("idempotency-header", "K");
        harness
            .open()
            .write(&batch([record("1").key("a b").sequence(sequence)]).id(id).start(start).partition("p"))
            .assert_all_delivered();
        key(&seen()[0])
    };
    assert_eq!(keys("position", "cut-1", 0, 5), keys("position", "cut-2", 3, 5));
    assert_ne!(keys("position", "cut-1", 0, 5), keys("position", "cut-1", 0, 6));
    assert_eq!(keys("cut", "cut-1", 3, 5), "cut-1:3-3");
    assert_eq!(keys("key", "cut-1", 3, 5), "a%20b");
}

#[test]
fn settings_that_make_no_sense_are_told_by_name() {
    for (given, says) in [
        (&[("url", "ftp://x/")][..], "`url` begins with neither"),
        (&[("url", "https://{{/host}}/x")], "`url` has no fixed host"),
        (&[("url", "https://user:pass@x/")], "`url` has credentials in it"),
        (&[("url", "https://x/{{id}}")], "`url` has the place {{id}}, which is none of"),
        (&[("method", "CONNECT")], "`method` is `CONNECT`: one of GET"),
        (&[("methods.upsert", "PUT")], "`methods.upsert` is none of"),
        (&[("methods.update", "put")], "`methods.update` is `put`"),
        (&[("headers.Authorization", "x")], "`headers.Authorization` holds credentials"),
        (&[("headers.Host", "x")], "`headers.Host` is set by the request itself"),
        (&[("headers.a b", "x")], "`headers.a b` is no name of a header"),
        (&[("template", "{{/a}")], "`template` has `{{` without `}}`"),
        (&[("template", "{")], "`template` makes no JSON"),
        (&[("lines.0", "1")], "`lines` is for `body: json-lines` alone"),
        (&[("body", "json-array"), ("idempotency", "key")], "`idempotency` is `key`, which is for requests of one record"),
        (&[("status.success", "2xx")], "`status.success` is wrong: `2xx` is no status"),
        (&[("answer.index", "/i")], "`answer.items` is missing"),
        (&[("answer.items", "/i")], "`answer.items` needs"),
        (&[("answer.items", "i"), ("answer.error", "/e")], "`answer.items` "),
    ] {
        let url = given.iter().find(|(name, _)| *name == "url").map_or("https://x/", |(_, url)| *url);
        let harness = over(url, |_| answer(200, ""));
        let harness = given
            .iter()
            .filter(|(name, _)| *name != "url")
            .fold(harness, |harness, (name, value)| harness.setting(*name, *value));
        let problems: Vec<String> = harness.check().iter().map(ToString::to_string).collect();
        assert!(problems.len() == 1 && problems[0].starts_with(says), "{given:?}: {problems:?}");
    }
}
