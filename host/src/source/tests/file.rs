use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression as Level, write::GzEncoder};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }
}

fn options(path: &str, format: Format) -> FileOptions {
    let reading = Reading::new(format, cut(1000, 1 << 20));
    FileOptions { path: path.to_owned(), compression: Compression::Detect, follow: None, reading }
}

fn open(options: FileOptions, checkpoints: Checkpoints) -> FileSource {
    FileSource::new(options, "pipe", checkpoints, Clock::system())
}

async fn read(options: FileOptions) -> (Vec<Portion>, Option<String>) {
    drain(&mut open(options, Checkpoints::new())).await
}

/// What a file holds as records and reasons, in order.
async fn outcome(path: &str, format: Format) -> (Vec<String>, Vec<String>) {
    let (portions, error) = read(options(path, format)).await;
    assert_eq!(error, None);
    let reasons = portions.iter().flat_map(|portion| &portion.unreadable).map(|unreadable| unreadable.reason.clone());
    (portions.iter().flat_map(texts).collect(), reasons.collect())
}

type Pack = fn(&[u8]) -> Vec<u8>;

fn plain(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::zstd::Encoder::new(Vec::new(), 1).unwrap();
    // Else nothing tells that what came out is not what went in.
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn settled(portions: &[Portion]) -> Checkpoints {
    portions.iter().map(|portion| (portion.partition.to_string(), portion.next)).collect()
}

#[tokio::test]
async fn json_lines_come_byte_for_byte() {
    let files = Files::new();
    let path = files.write("a.ndjson", " {\"a\" : 1.0 } \r\n\n  \t\r\n\"x\"\n[]\nnull");
    let (portions, error) = read(options(&path, json(None))).await;
    assert_eq!(error, None);
    let expected = [(0, " {\"a\" : 1.0 } "), (22, "\"x\""), (26, "[]"), (29, "null")];
    assert_eq!(records(&portions[0]), expected.map(|(at, text)| (at, None, text.as_bytes().to_vec())));
    assert_eq!((portions.len(), portions[0].next), (1, 33));
    assert_eq!(portions[0].batch.as_ref().unwrap().content_types().get("after"), Some("application/json"));
}

#[tokio::test]
async fn real_records_come_as_they_stand_with_their_keys() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/earthquakes.ndjson");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut options = options(path.to_str().unwrap(), json(Some("/id")));
    options.reading.cut = cut(100, 50_000);
    let (portions, error) = read(options).await;
    assert_eq!(error, None);
    let read: Vec<_> = portions.iter().flat_map(records).collect();
    assert_eq!(read.len(), 1707);
    for ((sequence, key, after), line) in read.iter().zip(text.lines()) {
        assert_eq!(after, line.as_bytes());
        assert_eq!(*sequence as usize, line.as_ptr() as usize - text.as_ptr() as usize);
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(key.as_deref(), value["id"].as_str());
    }
    for portion in &portions {
        let batch = portion.batch.as_ref().unwrap();
        assert!(batch.count() <= 100 && batch.bytes() <= 50_000);
    }
    assert_eq!(portions.last().unwrap().next, text.len() as u64);
}

#[tokio::test]
async fn a_line_that_is_not_json_is_unreadable_and_the_run_goes_on() {
    let files = Files::new();
    let path = files.write("a.ndjson", b"{\"a\":1}\n{\"a\":1,}\n{\"a\":\"\xff\"}\n2\n{\"a\"");
    let (portions, error) = read(options(&path, json(None))).await;
    assert_eq!((error, texts(&portions[0])), (None, vec!["{\"a\":1}".to_owned(), "2".to_owned()]));
    let unreadable = &portions[0].unreadable;
    assert_eq!(unreadable[0].reason, format!("{path}, byte 8: not JSON: trailing comma at its byte 8"));
    assert_eq!((unreadable[0].sequence, &unreadable[0].bytes[..]), (8, &b"{\"a\":1,}"[..]));
    assert_eq!(unreadable[1].reason, format!("{path}, byte 17: not UTF-8 at its byte 7"));
    assert_eq!((unreadable.len(), unreadable[2].sequence), (3, 29));
}

#[tokio::test]
async fn a_portion_of_nothing_but_unreadable_lines_has_no_batch() {
    let files = Files::new();
    let path = files.write("a.ndjson", "x\ny\n");
    let (portions, _) = read(options(&path, json(None))).await;
    assert!(portions[0].batch.is_none());
    assert_eq!((portions.len(), portions[0].unreadable.len(), portions[0].next), (1, 2, 4));
}

#[tokio::test]
async fn raw_lines_keep_every_byte_but_the_newline() {
    let files = Files::new();
    let path = files.write("a.log", "a\r\n\n \nlast");
    assert_eq!(outcome(&path, Format::Lines).await.0, ["a\r", "", " ", "last"]);
}

#[tokio::test]
async fn csv_rows_are_objects_with_their_column_as_key() {
    let files = Files::new();
    let path = files.write("a.csv", "\u{feff}id,\"the name\"\r\n1,\"a\nb\"\r\n\r\n2\r\n3,\"\"\"\"");
    let (portions, error) = read(options(&path, Format::Csv { key: Some("id".to_owned()) })).await;
    assert_eq!(error, None);
    let expected = [(18, "1", r#"{"id":"1","the name":"a\nb"}"#), (32, "3", r#"{"id":"3","the name":"\""}"#)];
    assert_eq!(records(&portions[0]), expected.map(|(at, key, text)| (at, Some(key.to_owned()), text.as_bytes().to_vec())));
    assert_eq!(portions[0].unreadable[0].reason, format!("{path}, byte 29: 1 field, where the header has 2"));
    assert_eq!(&portions[0].unreadable[0].bytes[..], b"2\r");
    assert_eq!(portions[0].next, 38);
}

#[tokio::test]
async fn a_key_column_that_is_not_there_is_an_error_that_names_the_nearest() {
    let files = Files::new();
    let path = files.write("a.csv", "name,user_id\n1,2\n");
    let mut source = open(options(&path, Format::Csv { key: Some("userid".to_owned()) }), Checkpoints::new());
    for _ in 0..2 {
        let error = source.read().await.unwrap_err().to_string();
        assert_eq!(error, format!("{path}: the header has no column `userid`, which is to be the key; the nearest is `user_id`"));
    }
}

#[tokio::test]
async fn compressed_files_of_several_members_are_read_to_their_end() {
    let files = Files::new();
    let parts: [&[u8]; 3] = [b"{\"a\":", b"1}\n2\n", b"3\n"];
    for (name, pack) in [("a.gz", gzip as Pack), ("a.zst", zstd)] {
        let path = files.write(name, parts.map(pack).concat());
        assert_eq!(outcome(&path, json(None)).await.0, ["{\"a\":1}", "2", "3"], "{name}");
    }
}

#[tokio::test]
async fn what_stands_before_a_fault_in_a_compressed_file_is_delivered() {
    let files = Files::new();
    let lines: String = (0..50_000u64).map(|n| format!("{}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    for (name, packed, cause) in [
        ("cut.gz", gzip(lines.as_bytes()), "the gzip data ends too soon: the file is cut off"),
        ("cut.zst", zstd(lines.as_bytes()), "the zstd data ends too soon: the file is cut off"),
        ("rotten.gz", gzip(lines.as_bytes()), "not sound gzip data: "),
        ("rotten.zst", zstd(lines.as_bytes()), "not sound zstd data: "),
    ] {
        let mut packed = packed;
        if name.starts_with("cut") {
            packed.truncate(packed.len() / 2);
        } else {
            let middle = packed.len() / 2;
            packed[middle..middle + 2000].fill(0xa5);
        }
        let path = files.write(name, packed);
        let mut source = open(options(&path, json(None)), Checkpoints::new());
        let (portions, error) = drain(&mut source).await;
        let read: Vec<_> = portions.iter().flat_map(texts).collect();
        assert!(read.len() > 1000, "{name}: {} records", read.len());
        assert!(read.iter().zip(lines.lines()).take(1000).all(|(read, line)| read == line));
        let error = error.unwrap();
        assert!(error.starts_with(&format!("{path}: {cause}")), "{error}");
        assert_eq!(source.read().await.unwrap_err().to_string(), error, "an end would be taken for success");
    }
}

#[tokio::test]
async fn a_pattern_reads_its_files_in_the_order_of_their_paths() {
    let files = Files::new();
    for name in ["b.log", "a.log", "c.log", "d.txt"] {
        files.write(name, format!("{name}\n"));
    }
    std::fs::create_dir(files.path("e.log")).unwrap();
    std::fs::hard_link(files.path("a.log"), files.path("f.log")).unwrap();
    let pattern = files.path("*.log");
    let (portions, _) = read(options(pattern.to_str().unwrap(), Format::Lines)).await;
    assert_eq!(portions.iter().flat_map(texts).collect::<Vec<_>>(), ["a.log", "b.log", "c.log"]);
    assert_eq!(&*portions[1].label, files.path("b.log").to_str().unwrap());
    assert_eq!(settled(&portions).len(), 3);
}

#[tokio::test]
async fn a_file_of_exactly_the_name_comes_before_the_pattern() {
    let files = Files::new();
    let path = files.write("[a].log", "literal\n");
    files.write("a.log", "pattern\n");
    assert_eq!(outcome(&path, Format::Lines).await.0, ["literal"]);
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_that_names_it() {
    let files = Files::new();
    let (nothing, directory) = (files.path("*.nothing"), files.0.path());
    for (path, reason) in [
        (nothing.to_str().unwrap(), "matches no file"),
        (directory.to_str().unwrap(), "not a regular file; a pipe is read through standard input"),
        (
            "/nowhere/***",
            "not a pattern: Pattern syntax error near position 11: wildcards are either regular `*` or recursive `**`",
        ),
    ] {
        assert_eq!(read(options(path, Format::Lines)).await.1, Some(format!("{path}: {reason}")));
    }
}

#[tokio::test]
async fn a_file_that_no_pattern_can_mean_is_told_and_not_passed_over() {
    use std::os::unix::ffi::OsStrExt;

    let files = Files::new();
    std::fs::create_dir_all(files.path("in/deep")).unwrap();
    files.write("in/deep/ok.ndjson", "1\n");
    let odd = files.0.path().join("in/deep").join(std::ffi::OsStr::from_bytes(b"caf\xe9.ndjson"));
    std::fs::write(&odd, "2\n").unwrap();
    for pattern in ["in/deep/*.ndjson", "in/**/*.ndjson", "in/**/*"] {
        let pattern = files.path(pattern);
        let (portions, error) = read(options(pattern.to_str().unwrap(), Format::Lines)).await;
        assert!(portions.is_empty() && error.as_ref().is_some_and(|error| error.contains("is not UTF-8")), "{error:?}");
    }
    // One that is not meant is nobody's concern.
    let pattern = files.path("in/deep/ok*.ndjson");
    assert_eq!(outcome(pattern.to_str().unwrap(), Format::Lines).await.0, ["1"]);
}

#[tokio::test]
async fn a_second_run_reads_what_came_since_and_nothing_twice() {
    let files = Files::new();
    let path = files.write("a.log", "one\ntwo");
    let (portions, _) = read(options(&path, Format::Lines)).await;
    let partition = portions[0].partition.to_string();
    let parts: Vec<_> = partition.split('-').collect();
    assert_eq!((parts.len(), parts[0], parts[3]), (4, "file", &blake3::hash(b"one").to_hex()[..16]));
    let mut checkpoints = settled(&portions);
    for (added, expected) in [("", vec![]), ("\n", vec![]), ("", vec![]), ("three\n", vec!["three"])] {
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(added.as_bytes()).unwrap();
        std::fs::rename(files.path("a.log"), files.path("b.log")).unwrap();
        std::fs::rename(files.path("b.log"), files.path("a.log")).unwrap();
        let (portions, error) = drain(&mut open(options(&path, Format::Lines), checkpoints.clone())).await;
        assert_eq!(
            (error, portions.iter().flat_map(texts).collect::<Vec<_>>()),
            (None, expected.iter().map(|s| s.to_string()).collect())
        );
        checkpoints.extend(settled(&portions));
        assert_eq!(checkpoints.len(), 1);
    }
}

#[tokio::test]
async fn a_file_shorter_than_its_checkpoint_is_an_error() {
    let files = Files::new();
    for (name, pack) in [("a.log", plain as Pack), ("a.gz", gzip), ("a.zst", zstd)] {
        let path = files.write(name, pack(b"one\ntwo\nthree\n"));
        let (portions, _) = read(options(&path, Format::Lines)).await;
        files.write(name, pack(b"one\ntwo\n"));
        let (again, error) = drain(&mut open(options(&path, Format::Lines), settled(&portions))).await;
        assert!(again.is_empty());
        let error = error.unwrap();
        assert!(error.starts_with(&format!("{path}: it ends at byte 8, before its checkpoint at byte 14: ")), "{error}");
    }
}

#[tokio::test]
async fn a_checkpoint_in_the_middle_of_a_line_is_an_error() {
    let files = Files::new();
    for (name, pack) in [("a.log", plain as Pack), ("a.gz", gzip)] {
        let path = files.write(name, pack(b"one\ntwo\nthree\n"));
        let (portions, _) = read(options(&path, Format::Lines)).await;
        files.write(name, pack(b"one\nsomething else altogether\n"));
        let (again, error) = drain(&mut open(options(&path, Format::Lines), settled(&portions))).await;
        assert!(again.is_empty());
        assert!(error.unwrap().contains("its checkpoint at byte 14 is now in the middle of a line"));
        // It would not go on where it stood, however often it is run again.
        let error = open(options(&path, Format::Lines), settled(&portions)).read().await.unwrap_err();
        assert!(error.hint().contains("`wharf checkpoints reset PIPELINE --partition PATH`"), "{}", error.hint());
    }
}

#[tokio::test]
async fn an_export_in_the_place_of_another_is_read_from_its_beginning() {
    let files = Files::new();
    let csv = || Format::Csv { key: None };
    let path = files.write("a.csv", "a,b\n1,2\n");
    let (first, _) = read(options(&path, csv())).await;
    files.write("a.csv", "a,b\n3,4\n5,6\n");
    let (second, error) = drain(&mut open(options(&path, csv()), settled(&first))).await;
    assert_eq!((error, second[0].batch.as_ref().unwrap().count()), (None, 2));
    assert_ne!(first[0].partition, second[0].partition);
}

#[tokio::test]
async fn of_a_record_that_is_too_large_only_the_beginning_is_kept() {
    let files = Files::new();
    let long = "x".repeat(300_000);
    let quoted = format!("\"{},\n{}\"", "y".repeat(150_000), "z".repeat(150_000));
    for (format, text) in [
        (Format::Lines, format!("a\n{long}\nb\n{long}")),
        (json(None), format!("1\n\"{long}\"\n2\n\"{long}\"\n")),
        (Format::Csv { key: None }, format!("a,b\n1,2\n{quoted},1\n3,4\n5,{quoted}")),
    ] {
        let path = files.write("a", &text);
        for chunk_bytes in [100, 70_000, 1 << 20] {
            let mut options = options(&path, format.clone());
            options.reading.max_record_bytes = 100_000;
            options.reading.chunk_bytes = chunk_bytes;
            let (portions, error) = read(options).await;
            assert_eq!((error, portions.iter().flat_map(texts).count()), (None, 2));
            let unreadable: Vec<_> = portions.iter().flat_map(|portion| &portion.unreadable).collect();
            assert_eq!(unreadable.len(), 2);
            for one in unreadable {
                assert!(text.as_bytes()[one.sequence as usize..].starts_with(&one.bytes));
                assert_eq!(one.bytes.len(), 65_536);
                assert!(one.reason.ends_with("larger than 100000 bytes, of which the first 65536 are kept"), "{}", one.reason);
            }
            assert_eq!(portions.last().unwrap().next, text.len() as u64);
        }
    }
}

#[tokio::test]
async fn a_record_larger_than_the_cut_stands_alone() {
    let files = Files::new();
    let path = files.write("a.log", format!("a\nb\n{}\nc\nd\n", "x".repeat(100)));
    let mut options = options(&path, Format::Lines);
    options.reading.cut = cut(1000, 3);
    let (portions, _) = read(options).await;
    assert_eq!(portions.iter().map(|portion| texts(portion).len()).collect::<Vec<_>>(), [2, 1, 2]);
}

#[tokio::test]
async fn a_rate_spreads_records_and_a_delay_cuts_them() {
    let files = Files::new();
    let path = files.write("a.log", "x\n".repeat(40));
    let mut options = options(&path, Format::Lines);
    options.reading.rate = std::num::NonZeroU64::new(10);
    options.reading.cut.delay = Duration::from_millis(950);
    let time = VirtualClock::new();
    let mut source = FileSource::new(options, "pipe", Checkpoints::new(), time.clock());
    let mut counts = Vec::new();
    while let Some(portion) = next(&mut source, &time).await {
        counts.push((texts(&portion).len(), time.clock().elapsed().as_millis()));
    }
    assert_eq!(counts, [(10, 950), (10, 1950), (10, 2950), (10, 3900)]);
}

#[test]
fn dropping_a_read_loses_nothing() {
    let files = Files::new();
    let path = files.write("a.log", (0..5000).map(|n| format!("{n}\n")).collect::<String>());
    block_on(async {
        let mut options = options(&path, Format::Lines);
        options.reading.cut = cut(7, 1 << 20);
        options.reading.chunk_bytes = 50;
        let mut source = open(options, Checkpoints::new());
        let (mut read, mut dropped) = (Vec::new(), 0);
        loop {
            tokio::select! {
                biased;
                portion = source.read() => match portion.unwrap() {
                    Some(portion) => read.extend(texts(&portion)),
                    None => break,
                },
                () = tokio::task::yield_now() => dropped += 1,
            }
        }
        assert!(dropped > 100, "{dropped}");
        assert!(read.iter().map(|text| text.parse::<usize>().unwrap()).eq(0..5000));
    });
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    let line = prop_oneof![
        3 => (any::<u32>(), "[a-zé]{0,12}").prop_map(|(n, text)| format!(r#"{{"k":{n},"text":"{text}"}}"#)),
        1 => "[a-z]{0,30}",
        1 => Just(String::new()),
        1 => Just(format!("\"{}\"", "x".repeat(300))),
        1 => Just("\"\"\r".to_owned()),
    ];
    prop::collection::vec(line, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn any_file_comes_out_whole_and_goes_on_from_any_portion(
        lines in lines(),
        newline: bool,
        format in prop_oneof![Just(json(Some("/k"))), Just(Format::Lines), Just(Format::Csv { key: None })],
        pack in prop_oneof![Just(plain as Pack), Just(gzip as Pack), Just(zstd as Pack)],
        records_cut in 1u32..9,
        bytes_cut in 1u64..400,
        chunk_bytes in prop_oneof![1usize..20, Just(1000)],
        max_record_bytes in prop_oneof![Just(100usize), Just(1 << 20)],
    ) {
        let is_csv = matches!(format, Format::Csv { .. });
        let header = if is_csv { "\"a\nb\"\n" } else { "" };
        let body = lines.join("\n");
        let text = format!("{header}{body}{}", if newline && !body.is_empty() { "\n" } else { "" });
        let files = Files::new();
        let path = files.write("a", pack(text.as_bytes()));
        let mut options = options(&path, format.clone());
        options.reading.cut = cut(records_cut, bytes_cut);
        options.reading.chunk_bytes = chunk_bytes;
        options.reading.max_record_bytes = max_record_bytes;

        let (portions, error) = block_on(read(options.clone()));
        prop_assert_eq!(error, None);
        let mut expected = Vec::new();
        let mut at = header.len();
        for line in text[header.len()..].split_inclusive('\n') {
            let content = line.strip_suffix('\n').unwrap_or(line);
            let trimmed = content.strip_suffix('\r').unwrap_or(content);
            match format {
                Format::Lines => expected.push((at as u64, content.to_owned())),
                _ if !trimmed.is_empty() => expected.push((at as u64, content.to_owned())),
                _ => {}
            }
            at += line.len();
        }
        // Each thing comes once, in order, as a record or as what is none, and lies before where its portion ends.
        let mut things = Vec::new();
        let mut begin = 0;
        for portion in &portions {
            let unreadable = portion.unreadable.iter().map(|one| (one.sequence, None));
            let mut here: Vec<_> = records(portion).into_iter().map(|(at, _, after)| (at, Some(after))).chain(unreadable).collect();
            here.sort_by_key(|(at, _)| *at);
            prop_assert!(here.iter().all(|(at, _)| (begin..portion.next).contains(at)));
            prop_assert!(here.len() <= records_cut as usize && !here.is_empty());
            begin = portion.next;
            things.extend(here);
        }
        prop_assert_eq!(things.iter().map(|(at, _)| *at).collect::<Vec<_>>(), expected.iter().map(|(at, _)| *at).collect::<Vec<_>>());
        for ((_, after), (_, line)) in things.iter().zip(&expected) {
            let line = if matches!(format, Format::Lines) { line } else { line.strip_suffix('\r').unwrap_or(line) };
            let readable = line.len() <= max_record_bytes && (!matches!(format, Format::JsonLines { .. }) || line.starts_with(['{', '"']));
            match after {
                Some(after) if !is_csv => prop_assert_eq!(std::str::from_utf8(after).unwrap(), line),
                Some(_) => prop_assert!(readable),
                None => prop_assert!(!readable || is_csv),
            }
        }

        for (index, portion) in portions.iter().enumerate() {
            let checkpoints = Checkpoints::from([(portion.partition.to_string(), portion.next)]);
            let (rest, error) = block_on(drain(&mut open(options.clone(), checkpoints)));
            prop_assert_eq!(error, None);
            prop_assert_eq!(rest.len(), portions.len() - index - 1);
            for (again, before) in rest.iter().zip(&portions[index + 1..]) {
                prop_assert_eq!(records(again), records(before));
                prop_assert_eq!((&again.unreadable, again.next, &again.partition), (&before.unreadable, before.next, &before.partition));
            }

            // Cut as it was where it was cut otherwise since: each batch is the same one.
            let batches = |portions: &[Portion]| -> Vec<_> {
                portions.iter().filter_map(|portion| Some((portion.batch.as_ref()?.id().to_owned(), portion.next))).collect()
            };
            let known = batches(&portions[index..]);
            let cuts = known.iter().map(|(_, next)| *next).collect();
            let checkpoints = Checkpoints::from([(portion.partition.to_string(), if index > 0 { portions[index - 1].next } else { 0 })]);
            let mut options = options.clone();
            options.reading.cut = cut(1 + 2 * index as u32, 1 << 20);
            let mut source = open(options, checkpoints).cut_as([(portion.partition.to_string(), cuts)].into());
            let (again, _) = block_on(drain(&mut source));
            prop_assert_eq!(batches(&again), known);
        }
    }
}
