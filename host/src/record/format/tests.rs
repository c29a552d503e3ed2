//! Records in every shape.

use super::*;
use crate::record::{BatchBuilder, NewRecord, Operation, Value};

fn json(bytes: &str) -> Option<Value<'_>> {
    Some(Value { bytes: bytes.as_bytes(), content_type: Some("application/json") })
}

/// The values of `after`, and the messages of those that have none.
fn shaped(batch: &Batch, format: &Format) -> (Vec<Option<String>>, Vec<(u32, String)>) {
    let Shaped { batch: shaped, verdicts } = shape(batch, format);
    assert_eq!((shaped.id(), shaped.start(), shaped.sequences()), (batch.id(), batch.start(), batch.sequences()));
    assert_eq!((shaped.key(), shaped.operations(), shaped.count()), (batch.key(), batch.operations(), batch.count()));
    let text = |value: Option<&[u8]>| value.map(|value| String::from_utf8(value.to_vec()).unwrap());
    let failed = verdicts.into_iter().map(|Verdict { records, outcome }| match outcome {
        Outcome::Failed(Failure { kind: FailureKind::Rejected, message, code: None, retry_after: None })
            if records.len() == 1 =>
        {
            (records.start, message)
        }
        other => panic!("{records}: {other:?}"),
    });
    (shaped.after().iter().map(text).collect(), failed.collect())
}

fn batch() -> Batch {
    let mut builder = BatchBuilder::with_capacity(0, 0, false, None);
    let changed = NewRecord {
        sequence: 5,
        operation: Operation::Update,
        after: json(r#" {"n": 12345678901234567890.10, "s": "\u00e9\n\"é"}"#),
        before: json("{}"),
        key: json(r#"{"id":"a b"}"#),
        ..NewRecord::default()
    };
    let metadata =
        [("opencdc.position", "cG9z"), ("opencdc.readAt", "1700000000123999999"), ("opencdc.version", "v2"), ("a\"b", "\n")];
    builder.push_record(&changed, metadata.map(|(name, value)| (name, value.as_bytes()))).unwrap();
    let deleted = NewRecord { sequence: 6, operation: Operation::Delete, key: json("7"), ..NewRecord::default() };
    builder.push_record(&deleted, []).unwrap();
    let odd =
        NewRecord { sequence: 7, ordinal: 2, after: json("null"), before: json(""), key: json("\"\""), ..NewRecord::default() };
    builder.push_record(&odd, [("opencdc.position", &b"cG9z"[..]), ("opencdc.readAt", &b"soon"[..])]).unwrap();
    builder.finish("p", "orders".into())
}

#[test]
fn an_opencdc_document_holds_the_whole_record() {
    let (documents, failed) = shaped(&batch(), &Format::OpenCdc);
    let documents: Vec<&str> = documents.iter().map(|document| document.as_deref().unwrap()).collect();
    // `orders:6:0` and `orders:7:2`, for records that have no position of their own or share it.
    let expected = [
        concat!(
            r#"{"position":"cG9z","operation":"update","metadata":{"opencdc.readAt":"1700000000123999999","opencdc.version":"v2","a\"b":"\n"},"#,
            r#""key":{"id":"a b"},"payload":{"before":{},"after": {"n": 12345678901234567890.10, "s": "\u00e9\n\"é"}}}"#
        ),
        concat!(
            r#"{"position":"b3JkZXJzOjY6MA==","operation":"delete","metadata":{"opencdc.version":"v1"},"#,
            r#""key":"Nw==","payload":{"before":null,"after":null}}"#
        ),
        concat!(
            r#"{"position":"b3JkZXJzOjc6Mg==","operation":"create","metadata":{"opencdc.version":"v1","opencdc.readAt":"soon"},"#,
            r#""key":"IiI=","payload":{"before":"","after":"bnVsbA=="}}"#
        ),
    ];
    assert_eq!((documents, failed), (expected.to_vec(), vec![]));
}

#[test]
fn a_debezium_document_holds_the_change() {
    let (documents, failed) = shaped(&batch(), &Format::Debezium);
    let documents: Vec<&str> = documents.iter().map(|document| document.as_deref().unwrap()).collect();
    let expected = [
        concat!(
            r#"{"before":{},"after": {"n": 12345678901234567890.10, "s": "\u00e9\n\"é"},"source":{"opencdc.position":"cG9z","#,
            r#""opencdc.readAt":"1700000000123999999","opencdc.version":"v2","a\"b":"\n"},"op":"u","ts_ms":1700000000123}"#
        ),
        r#"{"before":null,"after":null,"source":{},"op":"d","ts_ms":null}"#,
        concat!(
            r#"{"before":{"opencdc.rawData":""},"after":null,"source":{"opencdc.position":"cG9z","opencdc.readAt":"soon"},"#,
            r#""op":"c","ts_ms":null}"#
        ),
    ];
    assert_eq!((documents, failed), (expected.to_vec(), vec![]));
}

#[test]
fn kafka_connect_gets_the_entity_in_its_envelope_and_a_deletion_as_a_tombstone() {
    let (documents, failed) = shaped(&batch(), &Format::KafkaConnect);
    let some = |text: &str| Some(text.to_owned());
    let expected = [
        some(r#"{"schema":null,"payload": {"n": 12345678901234567890.10, "s": "\u00e9\n\"é"}}"#),
        None,
        some(r#"{"schema":null,"payload":null}"#),
    ];
    assert_eq!((documents, failed), (expected.to_vec(), vec![]));
    let types = shape(&batch(), &Format::KafkaConnect).batch;
    assert_eq!(types.content_types().get("after"), Some("application/json"));
    assert_eq!(types.content_types().get("key"), Some("application/json"));
}

#[test]
fn raw_data_are_base64_whatever_they_look_like() {
    let mut builder = BatchBuilder::with_capacity(0, 0, false, Some("text/plain".into()));
    builder.push(0, None, b"{}").unwrap();
    builder.push(1, None, b"\xff").unwrap();
    let batch = builder.finish("p", "lines".into()).slice(1..2);
    let (documents, _) = shaped(&batch, &Format::KafkaConnect);
    assert_eq!(documents, [Some(r#"{"schema":null,"payload":"/w=="}"#.to_owned())]);
    let (documents, _) = shaped(&batch, &Format::Debezium);
    let expected = r#"{"before":null,"after":{"opencdc.rawData":"/w=="},"source":{},"op":"c","ts_ms":null}"#;
    assert_eq!(documents, [Some(expected.to_owned())]);
    // As it is.
    assert_eq!(shape(&batch, &Format::Payload).batch.after().get(0), Some(&b"\xff"[..]));
    assert_eq!(shape(&batch, &Format::Payload).batch.content_types().get("after"), Some("text/plain"));
}

#[test]
fn metadata_that_no_document_can_hold_reject_their_record_and_no_other() {
    let column = [None, Some(&b"\xff"[..]), Some(b"fine")].into_iter().collect();
    let batch = batch().with_metadata("m", column);
    for format in [Format::OpenCdc, Format::Debezium] {
        let (documents, failed) = shaped(&batch, &format);
        assert_eq!(documents.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(failed, [(1, "the metadata `m` is not UTF-8, and a document of JSON has no other text".to_owned())]);
        assert!(documents[2].as_ref().unwrap().contains(r#""m":"fine""#));
        assert_eq!(shape(&batch, &format).shaped().collect::<Vec<_>>(), [Span::new(0, 1), Span::new(2, 3)]);
    }
}

fn filled(template: &str) -> (Vec<Option<String>>, Vec<(u32, String)>) {
    shaped(&batch(), &Format::Template(template.parse().unwrap()))
}

#[test]
fn a_template_is_filled_with_what_the_record_says() {
    for (template, expected) in [
        ("plain } text {", "plain } text {"),
        ("{{ /n }}|{{/s}}", "12345678901234567890.10|é\n\"é"),
        ("{{ json /s }}", r#""\u00e9\n\"é""#),
        ("{{ after }}", r#" {"n": 12345678901234567890.10, "s": "\u00e9\n\"é"}"#),
        ("{{ json before }} {{ key/id }} {{ json key/id }}", r#"{} a b "a b""#),
        ("{{ operation }} {{ json operation }} {{ partition }}-{{ sequence }}-{{ ordinal }}", r#"update "update" orders-5-0"#),
        ("{{ meta/opencdc.version }}{{ meta/a\"b }}{{ json meta/a\"b }}", "v2\n\"\\n\""),
        ("{{ \"{{ x }}\" }}{{ \"\" }}", "{{ x }}"),
    ] {
        let (texts, _) = filled(template);
        assert_eq!(texts[0].as_deref(), Some(expected), "{template}");
    }
}

#[test]
fn a_record_that_has_nothing_for_a_place_is_rejected_with_the_place() {
    let (texts, failed) = filled("some text {{ /n }}");
    assert_eq!(texts[1..], [None, None]);
    assert_eq!(
        failed,
        [
            (1, "`/n` of the template: the record has no `after`".to_owned()),
            (2, "`/n` of the template: `after` has nothing there".to_owned()),
        ]
    );
    let (_, failed) = filled("{{ json before/x }}");
    assert_eq!(failed[0], (0, "`json before/x` of the template: `before` has nothing there".to_owned()));
    assert!(
        failed[2].1.starts_with("`json before/x` of the template: `before` cannot be looked into: not JSON"),
        "{}",
        failed[2].1
    );
    let (_, failed) = filled("{{ meta/no }}");
    assert_eq!(failed[0], (0, "`meta/no` of the template: the record has none".to_owned()));
}

#[test]
fn what_is_no_template_is_refused_with_its_reason() {
    for (template, expected) in [
        ("", "a template without a character"),
        ("{{ /a", "`{{` without its `}}` in a template"),
        ("{{ \"a\" b }}", "`{{` without its `}}` in a template"),
        ("{{ /a~ }}", "`/a~` in a template: `~` in a JSON pointer is written `~0`, and `/` within a name `~1`"),
    ] {
        assert_eq!(template.parse::<Template>().unwrap_err().to_string(), expected, "{template}");
    }
    for place in ["", "user", "json", "json user", "after/", "metadata/x", "{ /a"] {
        let refused = format!("{{{{ {place} }}}}").parse::<Template>();
        assert!(place == "after/" && refused.is_err() || matches!(refused, Err(TemplateError::Place(_))), "{place}: {refused:?}");
    }
}
