//! The connector as a host drives it.

use std::fs;

use wharf_file::connector::Files;
use wharf_sdk::{
    FailureKind,
    testing::{Harness, NotOpened, batch, deletion, record},
};

fn harness(folder: &tempfile::TempDir) -> Harness<Files> {
    Harness::new()
        .setting("directory", folder.path().to_str().unwrap())
        .context("pipeline", "earthquakes")
        .context("destination", "files")
}

#[test]
fn earthquakes_are_sorted_into_a_file_a_day() {
    let data = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data/earthquakes.ndjson")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let harness =
        harness(&folder).setting("name", "earthquakes-{date:%Y-%m-%d}.ndjson").setting("date-pointer", "/properties/time");
    let session = harness.open();
    let records: Vec<_> = data.lines().enumerate().map(|(at, line)| record(line).sequence(at as u64)).collect();
    for part in records.chunks(100) {
        session.write(&batch(part.to_vec())).assert_all_delivered();
    }
    session.close().unwrap();
    // All of them again, to a session of its own and cut otherwise.
    let session = harness.open();
    for part in records.chunks(333) {
        session.write(&batch(part.to_vec()).attempt(2)).assert_all_delivered();
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder.path()).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        let name = entry.file_name().into_string().unwrap();
        assert!(name.starts_with("earthquakes-20") && name.len() == "earthquakes-2018-02-07.ndjson".len(), "{name}");
        found.extend(fs::read_to_string(entry.path()).unwrap().lines().map(str::to_owned));
    }
    let mut expected: Vec<_> = data.lines().collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_record_that_cannot_be_written_is_rejected_and_the_others_are_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let harness = harness(&folder).setting("files", "each").setting("name", "{key}-{meta:kind}.json");
    let session = harness.open();
    let records = || {
        batch([
            record("1").key("a").meta("kind", "x"),
            record("{").key("b").meta("kind", "x"),
            deletion("c").meta("kind", "x"),
            record("2").key("d"),
            record("3").key("e/f").meta("kind", "x"),
        ])
    };
    for _ in 0..2 {
        session.write(&records()).assert_delivered(0).assert_failed(1..4, FailureKind::Rejected).assert_delivered(4);
    }
    assert_eq!(fs::read_to_string(folder.path().join("e%2Ff-x.json")).unwrap(), "3\n");
}

#[test]
fn what_the_files_were_found_like_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let harness = harness(&folder);
    harness.open().write(&batch(["1", "2"])).assert_all_delivered();
    fs::write(folder.path().join("partition-0.ndjson"), "1\n").unwrap();
    drop(harness.open());
    assert!(harness.logged()[0].message.contains("2 bytes shorter"), "{:?}", harness.logged());
}

#[test]
fn a_directory_that_is_not_there_is_fatal_and_says_what_to_grant() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let directory = folder.path().join("file/below");
    let refused = Harness::<Files>::new().setting("directory", directory.to_str().unwrap()).try_open().err().unwrap();
    let NotOpened::Failure(failure) = refused else { panic!("{refused}") };
    assert_eq!(failure.kind(), FailureKind::Fatal);
    assert!(
        failure.message().contains(directory.to_str().unwrap()) && failure.message().contains("grant it read-write"),
        "{failure}"
    );
}

#[test]
fn several_instances_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = harness(&folder).context("instances", "2").try_open().err().unwrap();
    assert!(refused.to_string().contains("set the destination's instances to 1"), "{refused}");
}

#[test]
fn two_destinations_do_not_give_their_files_the_same_names() {
    let folder = tempfile::tempdir().unwrap();
    harness(&folder).open().write(&batch(["1"])).assert_all_delivered();
    let other = || harness(&folder).context("destination", "others");
    let refused = other().try_open().err().unwrap().to_string();
    assert!(refused.contains(".wharf-journal/earthquakes/files` names its files `{partition}.ndjson` too"), "{refused}");
    let others = other().setting("name", "others-{partition}.ndjson");
    others.open().write(&batch(["2"])).assert_all_delivered();
    // Where the first is no more, its names are free.
    fs::remove_dir_all(folder.path().join(".wharf-journal/earthquakes/files")).unwrap();
    other().open().write(&batch(["2"])).assert_all_delivered();
}

#[test]
fn settings_that_make_no_sense_are_told_of_before_anything_runs() {
    let problems = Harness::<Files>::new().setting("format", "csv").setting("name", "{date}").check();
    assert_eq!(problems.iter().map(|problem| problem.parameter.as_str()).collect::<Vec<_>>(), ["columns", "date-pointer"]);
}

#[test]
fn the_descriptor_asks_for_the_directory_that_is_set() {
    let descriptor = Harness::<Files>::new().descriptor();
    assert_eq!(descriptor["guarantees"]["redelivery"], "idempotent");
    assert_eq!(descriptor["guarantees"]["order"], "batch");
    assert_eq!(descriptor["requests"][0]["pattern"], "{directory}");
    let names: Vec<_> =
        descriptor["parameters"].as_array().unwrap().iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["directory", "files", "name", "format", "columns", "columns.*", "date-pointer", "date-default", "date-unit", "sync"]
    );
}
