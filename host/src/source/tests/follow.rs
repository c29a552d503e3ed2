use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const POLL: Duration = Duration::from_millis(500);

struct Logs {
    directory: TempDir,
    time: VirtualClock,
}

impl Logs {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), time: VirtualClock::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn follow(&self, pattern: &str, format: Format, checkpoints: Checkpoints) -> FileSource {
        let path = Path::new(self.directory.path()).join(pattern).to_str().unwrap().to_owned();
        let cut = Cut { records: 1000, bytes: 1 << 20, delay: Duration::from_millis(100) };
        let reading = Reading::new(format, cut);
        let options = FileOptions { path, compression: Compression::Detect, follow: Some(POLL), reading };
        FileSource::new(options, "pipe", checkpoints, self.time.clock())
    }

    async fn next(&self, source: &mut FileSource) -> (Portion, Vec<String>) {
        let portion = next(source, &self.time).await.unwrap();
        let texts = texts(&portion);
        (portion, texts)
    }
}

#[tokio::test]
async fn a_line_comes_once_its_newline_does() {
    let logs = Logs::new();
    logs.append("a.log", "one\ntw");
    let mut source = logs.follow("a.log", Format::Lines, Checkpoints::new());
    assert_eq!(logs.next(&mut source).await.1, ["one"]);
    quiet(&mut source, &logs.time, 5).await;
    logs.append("a.log", "o\nthree\n");
    assert_eq!(logs.next(&mut source).await.1, ["two", "three"]);
}

#[tokio::test]
async fn what_trickles_in_is_cut_when_its_delay_is_over() {
    let logs = Logs::new();
    logs.append("a.log", "one\n");
    let mut source = logs.follow("a.log", Format::Lines, Checkpoints::new());
    logs.next(&mut source).await;
    assert_eq!(logs.time.clock().elapsed(), Duration::from_millis(100));
}

#[tokio::test]
async fn a_file_that_does_not_begin_with_a_whole_line_yet_is_waited_for() {
    let logs = Logs::new();
    logs.append("a.csv", "a,b\n1,");
    let mut source = logs.follow("a.csv", Format::Csv { key: None }, Checkpoints::new());
    quiet(&mut source, &logs.time, 3).await;
    logs.append("a.csv", "2\n3");
    let (portion, texts) = logs.next(&mut source).await;
    assert_eq!((texts, portion.next), (vec![r#"{"a":"1","b":"2"}"#.to_owned()], 8));
}

#[tokio::test]
async fn a_rotated_file_is_read_to_its_end_before_the_new_one() {
    let logs = Logs::new();
    logs.append("a.log", "one\n");
    let mut source = logs.follow("a.log", Format::Lines, Checkpoints::new());
    let (first, _) = logs.next(&mut source).await;
    logs.append("a.log", "two\n");
    std::fs::rename(logs.path("a.log"), logs.path("old")).unwrap();
    logs.append("a.log", "new\n");
    let (second, texts) = logs.next(&mut source).await;
    assert_eq!((texts, &second.partition), (vec!["two".to_owned()], &first.partition));
    // Whoever writes may not have noticed yet.
    logs.append("old", "three\nlast");
    let (mut old, mut new) = (Vec::new(), Vec::new());
    while new.is_empty() {
        let (portion, texts) = logs.next(&mut source).await;
        if portion.partition == first.partition { old.extend(texts) } else { new.extend(texts) }
    }
    assert_eq!((old, new), (vec!["three".to_owned(), "last".to_owned()], vec!["new".to_owned()]));
}

#[tokio::test]
async fn a_file_that_was_renamed_within_the_pattern_is_not_read_again() {
    let logs = Logs::new();
    logs.append("a.log", "one\n");
    let mut source = logs.follow("a.log*", Format::Lines, Checkpoints::new());
    logs.next(&mut source).await;
    std::fs::rename(logs.path("a.log"), logs.path("a.log.1")).unwrap();
    logs.append("a.log", "two\n");
    assert_eq!(logs.next(&mut source).await.1, ["two"]);
    quiet(&mut source, &logs.time, 6).await;
    logs.append("a.log.1", "late\n");
    assert_eq!(logs.next(&mut source).await.1, ["late"]);
}

#[tokio::test]
async fn a_new_file_that_matches_is_picked_up() {
    let logs = Logs::new();
    logs.append("a.log", "a\n");
    let mut source = logs.follow("*.log", Format::Lines, Checkpoints::new());
    logs.next(&mut source).await;
    std::fs::remove_file(logs.path("a.log")).unwrap();
    quiet(&mut source, &logs.time, 3).await;
    logs.append("b.log", "b\n");
    assert_eq!(logs.next(&mut source).await.1, ["b"]);
}

#[tokio::test]
async fn a_file_truncated_in_place_begins_anew_as_another_partition() {
    let logs = Logs::new();
    logs.append("a.log", "begin\none\npartial");
    let mut source = logs.follow("a.log", Format::Lines, Checkpoints::new());
    let (first, texts) = logs.next(&mut source).await;
    assert_eq!(texts, ["begin", "one"]);
    let mut partitions = vec![first.partition.to_string()];
    for (line, torn) in [("begin", vec!["partial"]), ("other", vec![]), ("begin", vec![])] {
        std::fs::write(logs.path("a.log"), "").unwrap();
        assert_eq!(during(&mut source, &logs.time, 3).await, torn);
        logs.append("a.log", &format!("{line}\n"));
        let (portion, texts) = logs.next(&mut source).await;
        assert_eq!((texts, records(&portion)[0].0, portion.next), (vec![line.to_owned()], 0, 6));
        partitions.push(portion.partition.to_string());
    }
    let base = &partitions[0];
    assert_eq!((&partitions[1], &partitions[3]), (&format!("{base}-1"), &format!("{base}-2")));
    assert!(!partitions[2].starts_with(base));

    // A later run knows it by its newest name, and that it was truncated while nobody looked.
    let checkpoints = Checkpoints::from([(base.clone(), 10), (partitions[1].clone(), 6), (partitions[3].clone(), 6)]);
    let mut source = logs.follow("a.log", Format::Lines, checkpoints.clone());
    quiet(&mut source, &logs.time, 3).await;
    logs.append("a.log", "more\n");
    let (portion, texts) = logs.next(&mut source).await;
    assert_eq!((texts, &*portion.partition), (vec!["more".to_owned()], &*partitions[3]));
    let checkpoints = Checkpoints::from([(partitions[3].clone(), 1000)]);
    let mut source = logs.follow("a.log", Format::Lines, checkpoints);
    let (portion, texts) = logs.next(&mut source).await;
    assert_eq!((texts.len(), portion.partition.to_string()), (2, format!("{base}-3")));
}

#[tokio::test]
async fn following_goes_on_from_its_checkpoint() {
    let logs = Logs::new();
    logs.append("a.log", "one\ntwo");
    let mut source = logs.follow("a.log", Format::Lines, Checkpoints::new());
    let (portion, _) = logs.next(&mut source).await;
    let checkpoints = Checkpoints::from([(portion.partition.to_string(), portion.next)]);
    let mut source = logs.follow("a.log", Format::Lines, checkpoints);
    quiet(&mut source, &logs.time, 3).await;
    logs.append("a.log", "!\n");
    assert_eq!(logs.next(&mut source).await.1, ["two!"]);
}

#[tokio::test]
async fn a_name_that_looks_like_a_pattern_stays_a_name() {
    let logs = Logs::new();
    logs.append("[ab].log", "one\n");
    logs.append("a.log", "another\n");
    let mut source = logs.follow("[ab].log", Format::Lines, Checkpoints::new());
    assert_eq!(logs.next(&mut source).await.1, ["one"]);
    std::fs::remove_file(logs.path("[ab].log")).unwrap();
    quiet(&mut source, &logs.time, 4).await;
}

#[tokio::test]
async fn a_compressed_file_is_read_once() {
    let logs = Logs::new();
    std::fs::write(logs.path("a.log.zst"), zstd::encode_all(&b"packed\nlast"[..], 1).unwrap()).unwrap();
    let mut source = logs.follow("a.log*", Format::Lines, Checkpoints::new());
    assert_eq!(logs.next(&mut source).await.1, ["packed", "last"]);
    quiet(&mut source, &logs.time, 4).await;
}

#[tokio::test]
async fn a_rate_holds_for_all_files_together() {
    let logs = Logs::new();
    logs.append("a.log", &"a\n".repeat(30));
    logs.append("b.log", &"b\n".repeat(30));
    let reading = Reading { rate: std::num::NonZeroU64::new(10), ..Reading::new(Format::Lines, cut(1000, 1 << 20)) };
    let path = logs.path("*.log").to_str().unwrap().to_owned();
    let mut options = FileOptions { path, compression: Compression::Plain, follow: Some(POLL), reading };
    options.reading.cut.delay = Duration::from_millis(500);
    let mut source = FileSource::new(options, "pipe", Checkpoints::new(), logs.time.clock());
    let mut read = 0;
    while read < 60 {
        read += logs.next(&mut source).await.1.len();
        let most = 1 + logs.time.clock().elapsed().as_millis() as usize / 100;
        assert!(read <= most, "{read} of {most}");
    }
    assert!(logs.time.clock().elapsed() < Duration::from_secs(7));
}

#[tokio::test]
async fn a_file_that_does_not_exist_yet_is_waited_for() {
    for path in ["a.log", "*.log"] {
        let logs = Logs::new();
        let mut source = logs.follow(path, Format::Lines, Checkpoints::new());
        {
            let mut reading = std::pin::pin!(source.read());
            tokio::select! {
                read = &mut reading => panic!("{read:?}"),
                () = logs.time.sleepers(1) => {}
            }
        }
        logs.append("a.log", "one\n");
        assert_eq!(logs.next(&mut source).await.1.len(), 1, "{path}");
    }
}

#[tokio::test]
async fn a_busy_file_leaves_the_others_their_turn() {
    let logs = Logs::new();
    logs.append("a.log", &"a\n".repeat(5000));
    logs.append("b.log", "b\n");
    let mut source = logs.follow("*.log", Format::Lines, Checkpoints::new());
    let mut before = 0;
    while logs.next(&mut source).await.1[0] == "a" {
        before += 1;
    }
    assert!(before <= 6, "{before}");
}

/// What whoever writes a log does.
#[derive(Clone, Debug)]
enum Deed {
    Write(String),
    Rotate,
    Truncate,
    Wait(usize),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => "[ab\n]{1,8}".prop_map(Deed::Write),
        1 => Just(Deed::Rotate),
        1 => Just(Deed::Truncate),
        3 => (1usize..4).prop_map(Deed::Wait),
    ];
    prop::collection::vec(deed, 0..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn every_line_comes_once_and_in_order_whatever_happens_to_the_file(deeds in deeds(), within_pattern: bool) {
        let logs = Logs::new();
        logs.append("a.log", "");
        let (came, expected) = block_on(async {
            let mut source = logs.follow("a.log*", Format::Lines, Checkpoints::new());
            let (mut came, mut expected, mut current) = (Vec::new(), Vec::new(), String::new());
            for (index, deed) in deeds.into_iter().chain([Deed::Write("\n".to_owned())]).enumerate() {
                match deed {
                    Deed::Write(text) => {
                        logs.append("a.log", &text);
                        current.push_str(&text);
                    }
                    Deed::Wait(wakes) => came.extend(during(&mut source, &logs.time, wakes).await),
                    Deed::Rotate | Deed::Truncate => {
                        // Nobody sees a file that comes and goes between two looks, nor what is cut off before it was read.
                        came.extend(during(&mut source, &logs.time, 6).await);
                        expected.extend(std::mem::take(&mut current).lines().map(str::to_owned));
                        if matches!(deed, Deed::Truncate) {
                            std::fs::write(logs.path("a.log"), "").unwrap();
                            came.extend(during(&mut source, &logs.time, 6).await);
                        } else {
                            let name = if within_pattern { format!("a.log.{index}") } else { format!("old.{index}") };
                            std::fs::rename(logs.path("a.log"), logs.path(&name)).unwrap();
                            logs.append("a.log", "");
                        }
                    }
                }
            }
            expected.extend(current.lines().map(str::to_owned));
            came.extend(during(&mut source, &logs.time, 12).await);
            (came, expected)
        });
        prop_assert_eq!(came, expected);
    }
}
