//! A record on its way from a file into a batch allocates nothing: what reading allocates does not grow with the records.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use wharf::{
    clock::Clock,
    source::{
        Checkpoints, Compression, Cut, FileOptions, FileSource, Format, GeneratorOptions, GeneratorSource, Reading, Source,
        StdinSource,
    },
};

use common::allocations;

fn cut() -> Cut {
    Cut { records: 5000, bytes: 64 << 20, delay: Duration::from_secs(3600) }
}

/// How many records come, and how many allocations it takes.
fn cost(mut source: impl Source) -> (u64, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let before = allocations();
        let mut records = 0;
        while let Some(portion) = source.read().await.unwrap() {
            assert_eq!(portion.unreadable, []);
            records += u64::from(portion.batch.unwrap().count());
        }
        (records, allocations() - before)
    })
}

/// What one more record costs, in allocations.
fn cost_of_one_more<S: Source>(name: &str, source: impl Fn(u64) -> S) {
    // What is made once is made now.
    cost(source(100));
    let (few, for_few) = cost(source(10_000));
    let (many, for_many) = cost(source(20_000));
    assert_eq!((few, many), (10_000, 20_000), "{name}");
    let each = for_many.saturating_sub(for_few) as f64 / 10_000.0;
    println!("{name}: {each} allocations a record ({for_few} for {few}, {for_many} for {many})");
    assert!(each < 0.01, "{name}: {each} allocations a record ({for_few} for {few}, {for_many} for {many})");
}

#[test]
fn a_record_allocates_nothing_on_its_way_into_a_batch() {
    let directory = tempfile::tempdir().unwrap();
    let json =
        |n: u64| format!("{{\"n\":{n},\"tags\":[1,{{}}],\"user\":{{\"name\":\"a\\u00e9\\n\",\"id\":\"user \\\"{n}\\\"\"}}}}\r\n");
    let csv = |n: u64| format!("{n},\"say \"\"{n}\"\"\nagain\",plain\n");
    let plain = |n: u64| format!("line {n}\n");
    let open_cdc = |n: u64| {
        let metadata = format!(r#"{{"opencdc.version":"v1","opencdc.readAt":"{n}","opencdc.collection":"\u00e9\n"}}"#);
        let payload = format!(r#"{{"before":null,"after":{{"n":{n},"tags":[1,{{}}]}}}}"#);
        format!(r#"{{"position":"eA==","operation":"update","metadata":{metadata},"key":"{n:08}","payload":{payload}}}"#) + "\n"
    };
    type Line<'a> = &'a dyn Fn(u64) -> String;
    let cases: [(&str, Format, &str, Line<'_>); 4] = [
        ("json-lines", Format::JsonLines { key: Some("/user/id".parse().unwrap()) }, "", &json),
        ("csv", Format::Csv { key: Some("b".to_owned()) }, "a,b,c\n", &csv),
        ("opencdc", Format::OpenCdc, "", &open_cdc),
        ("lines", Format::Lines, "", &plain),
    ];
    for (name, format, header, line) in cases {
        let text = |records: u64| std::iter::once(header.to_owned()).chain((0..records).map(line)).collect::<String>();
        cost_of_one_more(name, |records| {
            let path = directory.path().join(format!("{name}-{records}"));
            std::fs::write(&path, text(records)).unwrap();
            let options = FileOptions {
                path: path.to_str().unwrap().to_owned(),
                compression: Compression::Detect,
                follow: None,
                reading: Reading::new(format.clone(), cut()),
            };
            FileSource::new(options, "pipe", Checkpoints::new(), Clock::system())
        });
        cost_of_one_more(&format!("{name} from a stream"), |records| {
            let input = std::io::Cursor::new(text(records));
            StdinSource::new(input, &Reading::new(format.clone(), cut()), "pipe", "run", Clock::system()).unwrap()
        });
    }
    for entities in [None, std::num::NonZeroU64::new(7)] {
        cost_of_one_more("generator", |count| {
            let options = GeneratorOptions { count, size: 200, rate: None, seed: 1, entities, cut: cut() };
            GeneratorSource::new(options, "pipe", &Checkpoints::new(), Clock::system())
        });
    }
}
