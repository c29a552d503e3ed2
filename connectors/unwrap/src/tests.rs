use wharf_sdk::{
    FailureKind,
    testing::{Processing, ProcessorHarness, TestOutput, batch, deletion, record},
};

use super::*;

fn unwrapped(settings: &[(&str, &str)], records: &[&str]) -> Processing {
    let harness =
        settings.iter().fold(ProcessorHarness::<Unwrap>::new(), |harness, (name, value)| harness.setting(*name, *value));
    harness.open().process(&batch(records.iter().map(|after| record(after).key(r#"{"schema":{},"payload":{"id":1}}"#))))
}

fn text(value: &Option<Vec<u8>>) -> &str {
    value.as_ref().map_or("-", |value| std::str::from_utf8(value).unwrap())
}

fn meta<'a>(output: &'a TestOutput, name: &str) -> &'a str {
    output.metadata.get(name).map_or("-", |value| std::str::from_utf8(value).unwrap())
}

const OPENCDC: &str = r#"{"position":"MQ==","operation":"update","metadata":{"opencdc.collection":"orders","opencdc.version":"v1"},
    "key":{"id": 12345678901234567890},"payload":{"before":null,"after":{"total": 12.50}}}"#;

const DEBEZIUM: &str = r#"{"before":{"id":1,"v":1.0},"after":{"id":1,"v":2.00},"source":{"connector":"postgresql","ts_ms":1700000000123,
    "db":"shop","schema":"public","table":"orders","lsn":24023128,"txId":null},"op":"u","ts_ms":1700000000456,"transaction":null}"#;

#[test]
fn opencdc_is_unwrapped_as_the_sources_read_it() {
    let raw = r#"{"operation":"create","key":"aw==","payload":{"after":"AP8="}}"#;
    let answer = unwrapped(&[], &[OPENCDC, raw]);
    let [structured, raw] = answer.outputs() else { panic!("two records") };
    assert_eq!((text(&structured.after), text(&structured.before)), (r#"{"total": 12.50}"#, "-"));
    assert_eq!((text(&structured.key), structured.operation), (r#"{"id": 12345678901234567890}"#, Operation::Update));
    assert_eq!((meta(structured, "opencdc.collection"), meta(structured, "opencdc.position")), ("orders", "MQ=="));
    assert_eq!((raw.after.as_deref(), text(&raw.key), raw.operation), (Some(&b"\0\xff"[..]), "k", Operation::Create));
    assert_eq!(answer.content_type(), Some("application/octet-stream"));
    assert_eq!(unwrapped(&[], &[OPENCDC]).content_type(), Some("application/json"));
}

#[test]
fn debezium_is_unwrapped_with_a_schema_around_it_and_without() {
    let deleted = r#"{"before":{"id":1},"after":null,"op":"d"}"#;
    let read = r#"{"before":null,"after":{"id":1},"op":"r","source":{"collection":"c","ts_ns":5}}"#;
    let wrapped = format!(r#"{{"schema":{{"type":"struct"}},"payload":{DEBEZIUM}}}"#);
    for settings in [&[][..], &[("format", "debezium")]] {
        let answer = unwrapped(settings, &[DEBEZIUM, &wrapped, deleted, read]);
        let [plain, wrapped, deleted, read] = answer.outputs() else { panic!("four records") };
        assert_eq!((text(&plain.after), text(&plain.before)), (r#"{"id":1,"v":2.00}"#, r#"{"id":1,"v":1.0}"#));
        assert_eq!((text(&plain.key), plain.operation), (r#"{"id":1}"#, Operation::Update));
        assert_eq!((meta(plain, "opencdc.collection"), meta(plain, "debezium.lsn")), ("orders", "24023128"));
        assert_eq!(meta(plain, "opencdc.createdAt"), "1700000000123000000");
        assert_eq!(meta(plain, "opencdc.readAt"), "1700000000456000000");
        assert_eq!(meta(plain, "debezium.txId"), "-");
        assert_eq!((&wrapped.after, &wrapped.metadata), (&plain.after, &plain.metadata));
        assert_eq!((text(&deleted.after), text(&deleted.before), deleted.operation), ("-", r#"{"id":1}"#, Operation::Delete));
        assert_eq!(
            (read.operation, meta(read, "opencdc.collection"), meta(read, "opencdc.createdAt")),
            (Operation::Snapshot, "c", "5")
        );
        assert_eq!(answer.content_type(), Some("application/json"));
    }
}

#[test]
fn what_kafka_connect_wraps_is_the_record() {
    let answer = unwrapped(
        &[],
        &[r#"{"schema":null,"payload":{"a": 1.0}}"#, r#"{"payload":null,"schema":{}}"#, r#"{"schema":{},"payload":7}"#],
    );
    assert_eq!(answer.texts(), [r#"{"a": 1.0}"#, "-", "7"]);
    assert_eq!(
        answer.outputs().iter().map(|output| output.operation).collect::<Vec<_>>(),
        [Operation::Create, Operation::Delete, Operation::Create]
    );
    // Asked for by name, what is within is no matter.
    let wrapped = format!(r#"{{"schema":{{}},"payload":{DEBEZIUM}}}"#);
    assert_eq!(unwrapped(&[("format", "kafka-connect")], &[&wrapped]).texts(), [DEBEZIUM]);
}

#[test]
fn what_is_in_no_envelope_does_as_it_is_told() {
    let records = [r#"{"a":1}"#, "no", r#"{"operation":"create"}"#, OPENCDC];
    let answer = unwrapped(&[], &records);
    answer.assert_failed(0, FailureKind::Rejected, "the record is in no envelope that is known");
    answer.assert_failed(1, FailureKind::Rejected, "`after` is not JSON").assert_failed(2, FailureKind::Rejected, "no envelope");
    assert_eq!(answer.texts(), [r#"{"total": 12.50}"#]);
    assert_eq!(unwrapped(&[("otherwise", "keep")], &records).texts(), [records[0], records[2], r#"{"total": 12.50}"#]);
    unwrapped(&[("otherwise", "drop")], &records).assert_filtered([0, 2]);
    unwrapped(&[("format", "debezium"), ("otherwise", "drop")], &records).assert_filtered([0, 2, 3]);
}

#[test]
fn an_envelope_that_makes_no_sense_fails_its_record_alone() {
    let cases = [
        (r#"{"operation":"upsert","payload":{}}"#, "`operation` is none of create, update, delete and snapshot"),
        (r#"{"operation":"c","payload":{}}"#, "`operation` is none of"),
        (r#"{"operation":"create","payload":{"after":[1]}}"#, "`payload.after` is an array, and not an object, a text or null"),
        (r#"{"operation":"create","payload":{"after":"!"}}"#, "`payload.after` is a text that is not base64"),
        (r#"{"operation":"create","payload":{},"metadata":{"a":1}}"#, "`metadata` has a value that is no text"),
        (r#"{"op":"t","source":{}}"#, "`op` is none of c, u, d and r"),
        (r#"{"op":"create","after":{}}"#, "`op` is none of c, u, d and r"),
    ];
    for (record, words) in cases {
        let answer = unwrapped(&[], &[record, OPENCDC]);
        answer.assert_failed(0, FailureKind::Rejected, words);
        assert_eq!(answer.outputs().len(), 1);
    }
}

#[test]
fn a_record_that_has_gone_away_passes_with_its_key_unwrapped() {
    let harness = ProcessorHarness::<Unwrap>::new();
    let answer = harness.open().process(&batch([deletion(r#"{"schema":{},"payload":"k"}"#), deletion("plain")]));
    assert_eq!(answer.texts(), ["-", "-"]);
    assert_eq!(answer.outputs().iter().map(|output| text(&output.key)).collect::<Vec<_>>(), ["k", "plain"]);
    assert!(answer.outputs().iter().all(|output| output.operation == Operation::Delete));
}
