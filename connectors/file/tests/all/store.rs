//! What ends up in the files, and what is said of it.

use std::{fs, path::Path};

use wharf_file::{
    batch::{Column, Records, Refusal},
    disk::Directory,
    journal::Owner,
    settings::{Config, Files, FormatName, Settings},
    store::Store,
    trouble::{Remedy, Trouble},
};

use super::memory_disk::{Fault, MemoryDisk};

type Rows<'a> = &'a [(u64, Option<&'a str>, &'a str)];

fn owner() -> Owner {
    Owner { pipeline: "pipe".into(), destination: "dest".into(), name: "n".into(), sync: true }
}

fn each() -> Config {
    Config { files: Files::Each, format: FormatName::Raw, name: Some("{key}".into()), ..Config::default() }
}

/// Something that batches can be written to.
struct Bench<D: wharf_file::disk::Disk> {
    store: Store<D>,
}

impl Bench<Directory> {
    fn real(folder: &Path, written: &Config) -> Self {
        Self { store: Store::open(Settings::new(written).unwrap(), owner(), Directory::new(folder)).unwrap() }
    }
}

impl Bench<MemoryDisk> {
    fn memory(disk: &MemoryDisk, written: &Config) -> Self {
        Self { store: Store::open(Settings::new(written).unwrap(), owner(), disk.clone()).unwrap() }
    }
}

impl<D: wharf_file::disk::Disk> Bench<D> {
    fn try_write(&mut self, partition: &str, rows: Rows<'_>) -> Result<Vec<Refusal>, Trouble> {
        let sequences: Vec<u64> = rows.iter().map(|row| row.0).collect();
        let keys: Vec<_> = rows.iter().map(|row| row.1.map(|key| key.as_bytes().to_vec())).collect();
        let values: Vec<_> = rows.iter().map(|row| Some(row.2.as_bytes().to_vec())).collect();
        let tenant: Vec<_> = rows.iter().map(|row| row.1.map(|key| key.bytes().take(1).collect())).collect();
        let metadata = self.store.settings().name.metadata().len();
        let metadata = vec![Some(&tenant as &dyn Column); metadata];
        self.store.write(&Records {
            partition,
            sequences: &sequences,
            ordinals: &[],
            values: &values,
            keys: Some(&keys),
            metadata: &metadata,
        })
    }

    fn write(&mut self, rows: Rows<'_>) {
        assert_eq!(self.try_write("p", rows).unwrap(), []);
    }
}

fn text(disk: &MemoryDisk, name: &str) -> String {
    disk.files()
        .remove(name)
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .unwrap_or_else(|| panic!("{name} in {:?}", disk.paths()))
}

#[test]
fn records_of_a_partition_are_lines_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::real(folder.path(), &Config::default());
    bench.try_write("data/a", &[(1, None, "{\"n\": 1}"), (2, None, "{\n\"n\": 2}")]).unwrap();
    bench.try_write("data/b", &[(1, None, "3")]).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("data%2Fa.ndjson")).unwrap(), "{\"n\": 1}\n{\"n\":2}\n");
    assert_eq!(fs::read_to_string(folder.path().join("data%2Fb.ndjson")).unwrap(), "3\n");
}

#[test]
fn a_record_that_comes_again_is_not_written_again_and_one_that_never_came_is() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::memory(&disk, &Config::default());
    bench.write(&[(1, None, "1"), (2, None, "2"), (5, None, "5")]);
    bench.write(&[(2, None, "2"), (3, None, "3"), (5, None, "5"), (6, None, "6")]);
    let mut bench = Bench::memory(&disk, &Config::default());
    bench.write(&[(1, None, "1"), (3, None, "3"), (4, None, "4"), (6, None, "6")]);
    assert_eq!(text(&disk, "p.ndjson"), "1\n2\n5\n3\n6\n4\n");
}

#[test]
fn records_are_told_apart_by_partition_and_ordinal_too() {
    let disk = MemoryDisk::default();
    let written = Config { name: Some("all".into()), ..Config::default() };
    let mut bench = Bench::memory(&disk, &written);
    bench.write(&[(1, None, "1")]);
    bench.try_write("q", &[(1, None, "2")]).unwrap();
    let values = vec![Some(b"1".to_vec()), Some(b"3".to_vec()), Some(b"3".to_vec())];
    let twins =
        Records { partition: "p", sequences: &[1, 1, 1], ordinals: &[0, 1, 1], values: &values, keys: None, metadata: &[] };
    bench.store.write(&twins).unwrap();
    assert_eq!(text(&disk, "all"), "1\n2\n3\n");
}

#[test]
fn a_record_that_cannot_be_written_is_refused_alone_and_each_time() {
    let disk = MemoryDisk::default();
    let written = Config { name: Some("{meta:tenant}-{date}".into()), date_pointer: Some("/t".into()), ..Config::default() };
    let mut bench = Bench::memory(&disk, &written);
    let rows: Rows<'_> = &[
        (1, Some("a"), r#"{"t":"2024-01-01"}"#),
        (2, None, r#"{"t":"2024-01-01"}"#),
        (3, Some("a"), "{"),
        (4, Some("a"), "{}"),
        (5, Some("a"), r#"{"t":0}"#),
    ];
    let first = bench.try_write("p", rows).unwrap();
    assert_eq!(first.iter().map(|refusal| refusal.record).collect::<Vec<_>>(), [1, 2, 3]);
    for (refusal, says) in first.iter().zip(["no metadata `tenant`", "not one JSON document", "no date at `/t`"]) {
        assert!(refusal.reason.starts_with("the record ") && refusal.reason.contains(says), "{}", refusal.reason);
    }
    assert_eq!(bench.try_write("p", rows).unwrap(), first);
    assert_eq!(disk.files().into_keys().collect::<Vec<_>>(), ["a-1970-01-01", "a-2024-01-01"]);
}

#[test]
fn the_header_of_a_csv_file_is_written_once() {
    let disk = MemoryDisk::default();
    let written = Config { format: FormatName::Csv, columns: vec!["a".into(), "/b/c".into()], ..Config::default() };
    Bench::memory(&disk, &written).write(&[(1, None, r#"{"a":1,"b":{"c":"x,y"}}"#)]);
    Bench::memory(&disk, &written).write(&[(2, None, r#"{"a":2}"#)]);
    assert_eq!(text(&disk, "p.csv"), "a,c\r\n1,\"x,y\"\r\n2,\r\n");
}

#[test]
fn each_record_is_a_file_and_a_later_one_of_the_same_key_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::real(folder.path(), &each());
    bench.write(&[(1, Some("a"), "old"), (2, Some("../b"), "b"), (3, Some("a"), "new")]);
    bench.write(&[(1, Some("a"), "old"), (4, Some(""), "empty")]);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!((read("a").as_str(), read("%2E.%2Fb").as_str(), read("%empty").as_str()), ("new", "b", "empty"));
    assert_eq!(fs::read_dir(folder.path().join(".wharf-journal/pipe/dest/making")).unwrap().count(), 0);
    let refused = bench.try_write("p", &[(9, Some(&"k".repeat(256)), "long"), (10, None, "")]).unwrap();
    assert!(refused[0].reason.contains("256 bytes") && refused[1].reason.contains("no key"));
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_is_not_followed() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret"), "mine").unwrap();
    for (name, written) in [("p.ndjson", Config::default()), ("k", each())] {
        std::os::unix::fs::symlink(outside.path().join("secret"), folder.path().join(name)).unwrap();
        let trouble = Bench::real(folder.path(), &written).try_write("p", &[(1, Some("k"), "1")]).unwrap_err();
        assert_eq!(trouble.remedy(), Remedy::Operator);
        assert!(trouble.to_string().contains("not followed"));
    }
    assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "mine");
}

#[test]
fn a_full_disk_is_tried_again_and_leaves_nothing_behind() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::memory(&disk, &Config::default());
    bench.write(&[(1, None, "1")]);
    // Announced already: the first operation is the write to the file.
    disk.fuse(0, Fault::Full(1));
    let trouble = bench.try_write("p", &[(2, None, "[2,2]")]).unwrap_err();
    assert_eq!((trouble.remedy(), trouble.code().as_deref()), (Remedy::Again, Some("StorageFull")));
    assert!(trouble.to_string().starts_with("appending 6 bytes to `p.ndjson`: "), "{trouble}");
    assert_eq!(text(&disk, "p.ndjson"), "1\n");
    bench.write(&[(2, None, "[2,2]")]);
    assert_eq!(text(&disk, "p.ndjson"), "1\n[2,2]\n");
}

#[test]
fn wherever_a_batch_fails_nothing_of_it_is_left() {
    let mut failed = 0;
    for at in 0..12 {
        let disk = MemoryDisk::default();
        let mut bench = Bench::memory(&disk, &Config { name: Some("{key}".into()), ..Config::default() });
        bench.write(&[(1, Some("a"), "1")]);
        let before = disk.files();
        disk.fuse(at, Fault::Full(1));
        if bench.try_write("p", &[(2, Some("a"), "2"), (3, Some("b"), "3")]).is_err() {
            failed += 1;
            assert_eq!(disk.files(), before, "operation {at}");
        }
    }
    assert!(failed > 9);
}

#[test]
fn what_somebody_else_does_to_a_file_is_warned_of_and_gone_on_from() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::memory(&disk, &Config::default());
    bench.write(&[(1, None, "111"), (2, None, "222")]);
    // While it runs: cut, added to, moved away.
    for (sequence, tampered, expected) in
        [(3, Some(&b"111\n"[..]), "111\n3\n"), (4, Some(b"by hand\n"), "by hand\n4\n"), (5, None, "5\n")]
    {
        disk.tamper("p.ndjson", tampered);
        bench.write(&[(sequence, None, &sequence.to_string())]);
        assert_eq!(text(&disk, "p.ndjson"), expected);
        assert!(bench.store.take_notes()[0].contains("`p.ndjson` was changed by somebody else"));
    }
    // While it does not run.
    for (sequence, tampered, says, expected) in
        [(6, Some(&b"5"[..]), "1 bytes shorter", "56\n"), (7, None, "no longer there", "7\n")]
    {
        disk.tamper("p.ndjson", tampered);
        let mut bench = Bench::memory(&disk, &Config::default());
        assert!(bench.store.take_notes()[0].contains(says));
        bench.write(&[(sequence, None, &sequence.to_string())]);
        assert_eq!(text(&disk, "p.ndjson"), expected);
        assert_eq!(Bench::memory(&disk, &Config::default()).store.take_notes(), [""; 0]);
    }
}

#[test]
fn a_file_that_was_there_before_is_kept_and_added_to() {
    let disk = MemoryDisk::default();
    disk.tamper("p.csv", Some(b"a\r\n0\r\n"));
    let written = Config { format: FormatName::Csv, columns: vec!["a".into()], ..Config::default() };
    let mut bench = Bench::memory(&disk, &written);
    // Announced, then half written, then the machine is off.
    disk.fuse(4, Fault::Stop);
    bench.try_write("p", &[(1, None, r#"{"a":1}"#)]).unwrap_err();
    assert!(text(&disk, "p.csv").len() > 6);
    disk.restart(false, |_| 0);
    let mut bench = Bench::memory(&disk, &written);
    assert_eq!(text(&disk, "p.csv"), "a\r\n0\r\n");
    bench.write(&[(1, None, r#"{"a":1}"#)]);
    assert_eq!(text(&disk, "p.csv"), "a\r\n0\r\n1\r\n");
}

#[test]
fn a_damaged_journal_is_not_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::real(folder.path(), &Config::default());
    bench.write(&[(1, None, "1")]);
    bench.write(&[(2, None, "2")]);
    drop(bench);
    let log = folder.path().join(".wharf-journal/pipe/dest/log");
    let mut bytes = fs::read(&log).unwrap();
    bytes[20] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let trouble = Store::open(Settings::new(&Config::default()).unwrap(), owner(), Directory::new(folder.path())).err().unwrap();
    assert_eq!(trouble.remedy(), Remedy::Operator);
    assert!(trouble.to_string().contains("is broken, and whole ones follow it"), "{trouble}");
    assert_eq!(fs::read_to_string(folder.path().join("p.ndjson")).unwrap(), "1\n2\n");
}

#[test]
fn a_directory_that_cannot_be_made_is_for_the_operator() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let disk = Directory::new(folder.path().join("file"));
    let trouble = Store::open(Settings::new(&Config::default()).unwrap(), owner(), disk).err().unwrap();
    assert_eq!(trouble.remedy(), Remedy::Operator);
    assert!(trouble.to_string().contains("grant it read-write"), "{trouble}");
}

#[test]
fn the_log_stays_short_however_many_files_and_batches_there_are() {
    let disk = MemoryDisk::default();
    let written = Config { name: Some("{key}".into()), ..Config::default() };
    let mut bench = Bench::memory(&disk, &written);
    let long = "k".repeat(200);
    for round in 0..20 {
        let keys: Vec<String> = (0..500).map(|n| format!("{long}{}", round % 10 * 500 + n)).collect();
        let rows: Vec<_> = keys.iter().enumerate().map(|(n, key)| (round * 500 + n as u64, Some(key.as_str()), "1")).collect();
        bench.write(&rows);
    }
    assert_eq!(bench.store.take_notes(), [""; 0]);
    drop(bench);
    let mut bench = Bench::memory(&disk, &written);
    bench.write(&[(0, Some("a"), "again"), (20_000, Some("a"), "1")]);
    let files = disk.files();
    assert_eq!(files.len(), 5001);
    assert!(files.values().all(|bytes| bytes == b"1\n1\n" || bytes == b"1\n"));
    assert!(disk.length(".wharf-journal/pipe/dest/log") < 2 << 20);
}

#[test]
fn late_records_are_merged_and_stay_known() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::memory(&disk, &Config::default());
    bench.write(&[(100_000, None, "1")]);
    for from in (0..20_000).step_by(1000) {
        let rows: Vec<_> = (from..from + 1000).map(|sequence| (sequence, None, "1")).collect();
        bench.write(&rows);
    }
    let known = |bench: &mut Bench<MemoryDisk>| {
        let before = text(&disk, "p.ndjson").len();
        let rows: Vec<_> = (0..20_000).map(|sequence| (sequence, None, "1")).collect();
        bench.write(&rows);
        text(&disk, "p.ndjson").len() == before
    };
    assert!(known(&mut bench));
    assert!(known(&mut Bench::memory(&disk, &Config::default())));
    let index: Vec<_> = disk.paths().into_iter().filter(|path| path.contains("/index/")).collect();
    assert_eq!(index, [".wharf-journal/pipe/dest/index/1", ".wharf-journal/pipe/dest/index/1.late"]);
}
