//! OpenCDC lines as batches.

use std::io::Cursor;

use super::*;
use crate::record::{MOST_METADATA, Operation, opencdc::POSITION};

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
    let values = |column: Option<&crate::record::Column>| -> Vec<Option<String>> {
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
    assert_eq!(unreadable[0].reason, format!("stdin, byte {at}: more than {MOST_METADATA} names of metadata"));
}

#[tokio::test]
async fn a_line_that_is_no_record_is_told_with_its_place() {
    let portions = read("{\"operation\":\"create\"}\n{\"id\":1}\n", cut(100, 1 << 20)).await;
    assert_eq!(counts(&portions), [1]);
    let Unreadable { sequence, reason, .. } = &portions[0].unreadable[0];
    assert_eq!(*sequence, 23);
    assert_eq!(reason, "stdin, byte 23: not an OpenCDC record: it has no `operation`");
}
