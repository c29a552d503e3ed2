//! OpenCDC lines as batches.

use std::io::Cursor;

use base64::{Engine, prelude::BASE64_STANDARD};
use proptest::{collection::vec, prelude::*};
use serde_json::Value;

use super::*;
use crate::record::{
    Column, MOST_METADATA, Operation,
    format::{self, shape},
    opencdc::{POSITION, VERSION},
};

async fn read(lines: &str, cut: Cut) -> Vec<Portion> {
    let input = Cursor::new(lines.as_bytes().to_vec());
    let mut source = StdinSource::new(input, &Reading::new(Format::OpenCdc, cut), "pipe", "run", Clock::system()).unwrap();
    let (portions, error) = drain(&mut source).await;
    assert_eq!(error, None);
    portions
}

fn counts(portions: &[Portion]) -> Vec<u32> {
    portions.iter().map(|portion| portion.batch.as_ref().map_or(0, Batch::count)).collect()
}

#[tokio::test]
async fn all_that_a_record_has_comes_in_columns() {
    let lines = concat!(
        r#"{"position":"cG9z","operation":"create","metadata":{"opencdc.collection":"orders"},"key":{"id":1},"payload":{"after":{"n":1.50}}}"#,
        "\n\n",
        r#"{"position":null,"operation":"delete","metadata":{"other":""},"key":{"id":2},"payload":{"before":{"n":2},"after":null}}"#,
        "\r\n",
        r#"{"operation":"snapshot"}"#,
    );
    let portions = read(lines, cut(10, 1 << 20)).await;
    let batch = portions[0].batch.as_ref().unwrap();
    assert_eq!((counts(&portions), &portions[0].unreadable[..]), (vec![3], &[][..]));
    let values = |column: Option<&Column>| -> Vec<Option<String>> {
        column.unwrap().iter().map(|value| value.map(|value| String::from_utf8(value.to_vec()).unwrap())).collect()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!([0, 1, 2].map(|at| batch.operation(at)), [Operation::Create, Operation::Delete, Operation::Snapshot]);
    assert_eq!(values(Some(batch.after())), [some(r#"{"n":1.50}"#), None, None]);
    assert_eq!(values(batch.before()), [None, some(r#"{"n":2}"#), None]);
    assert_eq!(values(batch.key()), [some(r#"{"id":1}"#), some(r#"{"id":2}"#), None]);
    assert_eq!(values(batch.meta(POSITION)), [some("cG9z"), None, None]);
    assert_eq!(values(batch.meta("opencdc.collection")), [some("orders"), None, None]);
    assert_eq!(values(batch.meta("other")), [None, some(""), None]);
    assert_eq!(["after", "before", "key"].map(|name| batch.content_types().get(name)), [Some("application/json"); 3]);
    // Where each line begins.
    assert_eq!(batch.sequences(), [0, lines.find("\n\n").unwrap() as u64 + 2, lines.rfind('{').unwrap() as u64]);
}

#[tokio::test]
async fn another_media_type_and_the_sixty_fifth_name_end_a_batch() {
    let record = |after: &str, names: std::ops::Range<usize>| {
        let names: Vec<String> = names.map(|name| format!(r#""name-{name}":"v""#)).collect();
        format!(r#"{{"operation":"create","metadata":{{{}}},"payload":{{"after":{after}}}}}{}"#, names.join(","), "\n")
    };
    let lines = [
        record("{}", 0..2),
        record("null", 1..3),
        record(r#""AA==""#, 0..2),
        record(r#""""#, 0..0),
        record("null", 0..0),
        record("{}", 0..10),
        record("{}", 10..MOST_METADATA),
        record("{}", 60..70),
        record("{}", 0..MOST_METADATA + 1),
        record("{}", 1..MOST_METADATA + 1),
    ];
    let portions = read(&lines.concat(), cut(100, 1 << 20)).await;
    assert_eq!(counts(&portions), [2, 3, 2, 1, 1]);
    let types: Vec<_> = portions.iter().map(|portion| portion.batch.as_ref().unwrap().content_types().get("after")).collect();
    let (json, raw) = (Some("application/json"), Some("application/octet-stream"));
    assert_eq!(types, [json, raw, json, json, json]);
    let after = portions[1].batch.as_ref().unwrap().after().iter().collect::<Vec<_>>();
    assert_eq!(after, [Some(&b"\0"[..]), Some(b""), None]);

    let unreadable: Vec<&Unreadable> = portions.iter().flat_map(|portion| &portion.unreadable).collect();
    let at: usize = lines[..8].iter().map(String::len).sum();
    assert_eq!((unreadable.len(), unreadable[0].sequence), (1, at as u64));
    assert_eq!(unreadable[0].bytes, lines[8].trim_end());
    assert_eq!(
        unreadable[0].reason,
        format!("stdin, byte {at}: not an OpenCDC record: more than {MOST_METADATA} names of metadata, at its byte 34")
    );
}

#[tokio::test]
async fn records_of_nothing_but_absent_metadata_fill_a_batch_too() {
    let names: Vec<String> = (0..MOST_METADATA).map(|name| format!(r#""{name}":"""#)).collect();
    let first = format!("{{\"operation\":\"create\",\"metadata\":{{{}}}}}\n", names.join(","));
    let lines = first + &"{\"operation\":\"create\"}\n".repeat(1000);
    let portions = read(&lines, cut(1_000_000, 16 << 10)).await;
    let counts = counts(&portions);
    // Each takes 256 bytes where the names are, and none behind that.
    assert_eq!((counts.len(), counts[0], counts.iter().sum::<u32>()), (2, 64, 1001));
}

#[tokio::test]
async fn a_line_that_is_no_record_is_told_with_its_place() {
    let portions = read("{\"operation\":\"create\"}\n{\"id\":1}\n", cut(100, 1 << 20)).await;
    assert_eq!(counts(&portions), [1]);
    let Unreadable { sequence, reason, .. } = &portions[0].unreadable[0];
    assert_eq!(*sequence, 23);
    assert_eq!(reason, "stdin, byte 23: not an OpenCDC record: it has no `operation`");
}

/// A key or a payload, as it stands on a line.
fn datum() -> impl Strategy<Value = String> {
    let structured = prop::sample::select(vec![
        "{}",
        r#"{"id":1}"#,
        r#"{"n":12345678901234567890.123456789012345678901234567890e-40,"m":-0.0,"z":1E+300}"#,
        "{\"e\":\"\\u0065\\ud83d\\ude00 \u{1f600}\u{2028}é\\/\",\"\\u0061\":null}",
        r#" { "a" : [ 1 , {"b": [null, true, ""]} ] , "a" : 2 } "#,
    ]);
    let raw = prop_oneof![
        vec(any::<u8>(), 0..9),
        prop::sample::select(vec![&b"null"[..], b"{}", b"\"\"", b""]).prop_map(<[u8]>::to_vec)
    ];
    prop_oneof![
        Just("null".to_owned()),
        structured.prop_map(str::to_owned),
        raw.prop_map(|raw| format!("\"{}\"", BASE64_STANDARD.encode(raw))),
    ]
}

/// A line, and its position, operation and three data as they stand there.
fn line() -> impl Strategy<Value = (String, [String; 5])> {
    let position = prop_oneof![
        vec(any::<u8>(), 1..5).prop_map(|position| format!("\"{}\"", BASE64_STANDARD.encode(position))),
        Just("null".to_owned()),
    ];
    let operation = prop::sample::select(vec!["create", "update", "delete", "snapshot"]);
    let name = prop_oneof![
        prop::sample::select(vec!["opencdc.version", "opencdc.readAt", "a", ""]).prop_map(str::to_owned),
        "\\PC{0,3}",
        (0u8..100).prop_map(|name| name.to_string()),
    ];
    let metadata = vec((name, "(?s).{0,4}"), 0..25).prop_map(|pairs| {
        let pairs = pairs.into_iter().map(|(name, value)| (name, Value::from(value)));
        Value::Object(pairs.collect()).to_string()
    });
    (position, operation, metadata, [datum(), datum(), datum()]).prop_map(|(position, operation, metadata, [key, before, after])| {
        let line = format!(
            r#"{{"position":{position},"operation":"{operation}","metadata":{metadata},"key":{key},"payload":{{"before":{before},"after":{after}}}}}"#
        );
        (line, [position, operation.to_owned(), key, before, after])
    })
}

/// The documents that come of lines when they are read and brought into the shape of OpenCDC, whatever the batches.
async fn there_and_back(lines: &str, cut: Cut) -> Vec<String> {
    let mut documents = Vec::new();
    for portion in read(lines, cut).await {
        assert_eq!(portion.unreadable, []);
        let shaped = shape(portion.batch.as_ref().unwrap(), &format::Format::OpenCdc);
        assert_eq!(shaped.verdicts, []);
        documents.extend(shaped.batch.after().iter().map(|document| String::from_utf8(document.unwrap().to_vec()).unwrap()));
    }
    documents
}

/// What stays the same: all but a position that was made up and a version that was added.
fn comparable(document: &str, like: &Value) -> Value {
    let mut document: Value = serde_json::from_str(document).unwrap();
    if like["position"].is_null() {
        assert!(!BASE64_STANDARD.decode(document["position"].take().as_str().unwrap()).unwrap().is_empty());
    }
    if like["metadata"].get(VERSION).is_none() {
        assert_eq!(document["metadata"].as_object_mut().unwrap().remove(VERSION), Some("v1".into()));
    }
    document
}

proptest! {
    #[test]
    fn a_record_that_is_read_and_written_is_the_same_record(
        lines in vec(line(), 1..30),
        records in 1u32..12,
        bytes in 1u64..2000,
    ) {
        let text = lines.iter().map(|(line, _)| format!("{line}\n")).collect::<String>();
        let documents = block_on(there_and_back(&text, cut(records, bytes)));
        prop_assert_eq!(documents.len(), lines.len());
        for (document, (line, [position, operation, key, before, after])) in documents.iter().zip(&lines) {
            let line: Value = serde_json::from_str(line).unwrap();
            prop_assert_eq!(comparable(document, &line), line);
            // Byte for byte, numbers that no parser holds too.
            let tail = format!(r#","key":{},"payload":{{"before":{},"after":{}}}}}"#, key.trim(), before.trim(), after.trim());
            prop_assert!(document.ends_with(&tail), "{} {}", document, tail);
            let head = format!(r#","operation":"{operation}","metadata":"#);
            prop_assert!(position == "null" || document.starts_with(&format!(r#"{{"position":{position}{head}"#)), "{}", document);
        }
        // What was made up stands for good.
        let again = documents.iter().map(|document| format!("{document}\n")).collect::<String>();
        let metadata = |document: &String| serde_json::from_str::<Value>(document).unwrap();
        let twice = block_on(there_and_back(&again, cut(records, bytes)));
        prop_assert_eq!(twice.iter().map(metadata).collect::<Vec<_>>(), documents.iter().map(metadata).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn real_events_come_through_as_opencdc_byte_for_byte() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/earthquakes.ndjson");
    let events = std::fs::read_to_string(path).unwrap();
    let record = |event: &str| {
        let metadata = r#"{"opencdc.version":"v1","opencdc.collection":"earthquakes"}"#;
        let value: Value = serde_json::from_str(event).unwrap();
        let (id, place) = (&value["id"], BASE64_STANDARD.encode(value["properties"]["place"].as_str().unwrap_or_default()));
        format!(
            r#"{{"position":"{place}","operation":"snapshot","metadata":{metadata},"key":{{"id":{id}}},"payload":{{"before":null,"after":{event}}}}}"#
        )
    };
    let lines: Vec<String> = events.lines().map(record).filter(|line| !line.starts_with(r#"{"position":"","#)).collect();
    assert!(lines.len() > 1700, "{}", lines.len());
    assert_eq!(there_and_back(&lines.join("\n"), cut(100, 50_000)).await, lines);
}
