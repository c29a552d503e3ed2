//! Commands on a data directory: what was given up, and how far pipelines got.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use serde_json::{Value, json};
use wharf_tests::{Scratch, component};

/// A pipeline `run` whose destination rejects two records of five, after it ran.
fn ran() -> Scratch {
    let scratch = Scratch::new().unwrap();
    fs::create_dir(scratch.path("journal")).unwrap();
    fs::create_dir(scratch.path("copies")).unwrap();
    scratch.write("records.txt", "a\nb\nc\u{1b}[2J\nd\ne\n").unwrap();
    scratch.write("pipeline.yaml", file("{ kind: file, path: records.txt, format: lines }")).unwrap();
    let ran = scratch.run(&["run", "pipeline.yaml"]).unwrap();
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let hint = format!("hint: `wharf dead-letters list --data-dir {}` shows", scratch.path(".wharf").display());
    assert!(ran.stderr.contains(&hint), "{}", ran.stderr);
    scratch
}

fn file(source: &str) -> String {
    let component = component("guest-scripted").unwrap().display().to_string();
    format!(
        "version: 1
pipelines:
  - id: run
    source: {source}
    dead-letters: {{ window: 0, copy-to: copies/given-up.ndjson }}
    destinations:
      - id: scripted
        component: {component}
        settings: {{ script: \"0-2=rejected 2-3=rejected 3-5\" }}
        grants: {{ directories: [ {{ host: journal, guest: /journal, access: read-write }} ] }}
"
    )
}

fn text(scratch: &Scratch, arguments: &[&str]) -> String {
    let ran = scratch.run(arguments).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.stdout
}

fn document(scratch: &Scratch, arguments: &[&str]) -> Value {
    let ran = scratch.run(&[arguments, &["--output", "json"]].concat()).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.json().unwrap()
}

/// What refuses: error and hint as a person sees them.
fn refused(scratch: &Scratch, arguments: &[&str]) -> String {
    let ran = scratch.run(arguments).unwrap();
    assert_eq!((ran.code, ran.stdout.is_empty()), (Some(2), true), "{}", ran.stderr);
    ran.stderr
}

#[test]
fn dead_letters_are_listed_shown_and_removed() {
    let scratch = ran();
    let listed = text(&scratch, &["dead-letters", "list"]);
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 5, "{listed}");
    assert!(lines[0].starts_with("id  given up") && lines[0].ends_with("reason"), "{listed}");
    assert!(lines[1].starts_with("1   20") && lines[1].ends_with("records.txt:0  told to"), "{listed}");
    assert_eq!(lines[4], "3 dead letters");
    let page = text(&scratch, &["dead-letters", "list", "--after", "1", "--limit", "1"]);
    assert!(
        page.lines().nth(1).unwrap().starts_with("2 ") && page.ends_with("… of 3 dead letters; go on with --after 2\n"),
        "{page}"
    );

    let all = document(&scratch, &["dead-letters", "list"]);
    assert_eq!((&all["count"], &all["next"], all["dead_letters"].as_array().unwrap().len()), (&json!(3), &json!(null), 3));
    let first = &all["dead_letters"][0];
    for (key, expected) in [
        ("id", json!(1)),
        ("pipeline", json!("run")),
        ("destination", json!("scripted")),
        ("sequence", json!(0)),
        ("kind", json!("rejected")),
        ("code", json!("42")),
        ("message", json!("told to")),
        ("connector", json!("guest-scripted 0.1.0")),
        ("attempts", json!(1)),
        ("record", json!("a")),
        ("key", json!(null)),
    ] {
        assert_eq!(first[key], expected, "{key}");
    }
    assert_eq!(document(&scratch, &["dead-letters", "show", "1"]), *first);
    let shown = text(&scratch, &["dead-letters", "show", "3"]);
    assert!(shown.contains("record       c\\u{1b}[2J  (text/plain)\n") && shown.contains("reason       told to\n"), "{shown}");
    // The copy says the same.
    let copied = fs::read_to_string(scratch.path("copies/given-up.ndjson")).unwrap();
    let copied: Vec<Value> = copied.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut kept = all["dead_letters"].as_array().unwrap().clone();
    kept.iter_mut().for_each(|letter| drop(letter.as_object_mut().unwrap().remove("id")));
    assert_eq!(copied, kept);

    assert_eq!(document(&scratch, &["dead-letters", "list", "--kind", "trapped"])["count"], 0);
    assert_eq!(text(&scratch, &["dead-letters", "list", "--before", "1h"]), "0 dead letters\n");
    assert_eq!(document(&scratch, &["dead-letters", "list", "--since", "1h", "--destination", "scripted"])["count"], 3);

    let unsaid = refused(&scratch, &["dead-letters", "purge"]);
    assert!(unsaid.contains("error: which dead letters are to be removed is not said\nhint: "), "{unsaid}");
    assert!(refused(&scratch, &["dead-letters", "purge", "--all", "--id", "1"]).contains("--all"));
    assert!(refused(&scratch, &["dead-letters", "show", "9"]).contains("error: there is no dead letter 9\nhint: "));
    assert_eq!(text(&scratch, &["dead-letters", "purge", "--id", "2"]), "1 dead letter removed\n");
    assert_eq!(document(&scratch, &["dead-letters", "purge", "--all"]), json!({"removed": 2}));
    assert_eq!(text(&scratch, &["dead-letters", "list"]), "0 dead letters\n");
}

#[test]
fn checkpoints_are_shown_and_a_pipeline_without_them_begins_anew() {
    let scratch = ran();
    let shown = document(&scratch, &["checkpoints", "show"]);
    let checkpoint = &shown["pipelines"][0]["checkpoints"][0];
    assert_eq!(
        (&shown["pipelines"][0]["id"], &checkpoint["next"], &checkpoint["read_to"]),
        (&json!("run"), &json!(14), &json!(14))
    );
    let label = scratch.path("records.txt").display().to_string();
    assert_eq!(checkpoint["label"], label);
    let told = text(&scratch, &["checkpoints", "show", "run"]);
    assert!(told.starts_with("run") && told.contains(&format!("  {label}  settled to 14  read to 14  file-")), "{told}");

    let unknown = refused(&scratch, &["checkpoints", "show", "rum"]);
    assert!(unknown.contains("error: the store knows no pipeline rum\nhint: did you mean `run`?"), "{unknown}");
    assert!(refused(&scratch, &["checkpoints", "reset", "run", "--partition", "x"]).contains("has no checkpoint of x"));
    assert_eq!(text(&scratch, &["checkpoints", "reset", "run", "--partition", &label]), "run: 1 checkpoint removed\n");
    let again = scratch.run(&["run", "pipeline.yaml", "--output", "json"]).unwrap();
    assert_eq!(again.json().unwrap()["pipelines"][0]["read"], 5, "{}", again.stderr);
    assert_eq!(document(&scratch, &["checkpoints", "reset", "run"]), json!({"removed": 1}));
}

#[test]
fn a_data_directory_that_is_not_there_is_refused() {
    let scratch = ran();
    let missing = refused(&scratch, &["dead-letters", "list", "--data-dir", "other"]);
    assert!(missing.contains("error: there is no data directory other\nhint: name it with --data-dir"), "{missing}");
    assert!(!scratch.path("other").exists());
}

#[test]
fn a_data_directory_that_is_in_use_by_what_does_not_answer_is_refused_in_the_end() {
    let scratch = ran();
    // Whoever holds the lock.
    let lock = fs::File::options().write(true).open(scratch.path(".wharf/lock")).unwrap();
    lock.lock().unwrap();
    let in_use = refused(&scratch, &["checkpoints", "show"]);
    assert!(in_use.contains("error: another wharf is using the data directory .wharf, and does not answer: "), "{in_use}");
    assert!(in_use.contains("\nhint: it may be starting or ending"), "{in_use}");
}

#[test]
fn checkpoints_of_another_source_are_refused_with_the_command_that_lets_it_begin_anew() {
    let scratch = ran();
    scratch.write("other.txt", "f\n").unwrap();
    scratch.write("pipeline.yaml", file("{ kind: file, path: other.txt, format: lines }")).unwrap();
    let folder = scratch.path(".wharf").display().to_string();
    for command in ["check", "run"] {
        let refused = refused(&scratch, &[command, "pipeline.yaml"]);
        assert!(
            refused.contains("error: pipeline run read file ") && refused.contains("\n  at pipeline.yaml:4:13\n"),
            "{refused}"
        );
        assert!(refused.contains(&format!("`wharf checkpoints reset run --data-dir {folder}`; ")), "{refused}");
    }
    text(&scratch, &["checkpoints", "reset", "run", "--data-dir", &folder]);
    text(&scratch, &["check", "pipeline.yaml"]);
    let again = scratch.run(&["run", "pipeline.yaml", "--output", "json"]).unwrap();
    assert_eq!(again.json().unwrap()["pipelines"][0]["read"], 1, "{}", again.stderr);
}

/// A pipeline `run` to these destinations, of which those called `shut` take nothing.
fn to(scratch: &Scratch, destinations: &[(&str, &str)]) {
    let component = component("guest-scripted").unwrap().display().to_string();
    // Each counts its own calls.
    let destination = |(id, script): &(&str, &str)| {
        fs::create_dir_all(scratch.path(format!("journal-{id}"))).unwrap();
        format!(
            "\n      - id: {id}\n        component: {component}\n        settings: {{ script: \"{script}\" }}\n        grants: {{ directories: \
             [ {{ host: journal-{id}, guest: /journal, access: read-write }} ] }}"
        )
    };
    let destinations: String = destinations.iter().map(destination).collect();
    let source = "{ kind: file, path: records.txt, format: lines }";
    let file = format!("version: 1\npipelines:\n  - id: run\n    source: {source}\n    destinations:{destinations}\n");
    scratch.write("pipeline.yaml", file).unwrap();
}

#[test]
fn a_destination_that_left_with_records_is_refused_until_somebody_says_what_becomes_of_them() {
    let scratch = Scratch::new().unwrap();
    fs::create_dir(scratch.path("journal")).unwrap();
    scratch.write("records.txt", "a\nb\nc\n").unwrap();
    let shut = "fail=fatal";
    to(&scratch, &[("open", ""), ("shut", shut)]);
    let ran = scratch.run(&["run", "pipeline.yaml"]).unwrap();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(document(&scratch, &["checkpoints", "show"])["pipelines"][0]["destinations"], json!(["shut"]));

    to(&scratch, &[("open", "")]);
    for command in ["check", "run"] {
        let stderr = refused(&scratch, &[command, "pipeline.yaml"]);
        let words = "error: destination shut of pipeline run is not in this file any more, and may be owed records";
        assert!(stderr.contains(words), "{stderr}");
        assert!(stderr.contains("`wharf checkpoints discard run shut --data-dir "), "{stderr}");
        assert!(stderr.contains("`wharf checkpoints move run shut NAME --data-dir "), "{stderr}");
    }
    let stderr = refused(&scratch, &["checkpoints", "discard", "run", "sut"]);
    assert!(stderr.contains("destination sut of pipeline run is owed nothing") && stderr.contains("owed to shut"), "{stderr}");

    let stderr = refused(&scratch, &["checkpoints", "move", "run", "shut", "shut"]);
    assert!(stderr.contains("destination shut of pipeline run is there already, with records of its own"), "{stderr}");
    for command in [["dead-letters", "list", "--pipeline", "rum"], ["dead-letters", "purge", "--pipeline", "rum"]] {
        let stderr = refused(&scratch, &command);
        assert!(stderr.contains("the store knows no pipeline rum") && stderr.contains("did you mean `run`?"), "{stderr}");
    }

    // The same by another name: it gets what it is owed.
    let moved = text(&scratch, &["checkpoints", "move", "run", "shut", "new"]);
    assert!(moved.starts_with("run: what shut may be owed is new's\n") && moved.contains("may come twice"), "{moved}");
    refused(&scratch, &["run", "pipeline.yaml"]);
    to(&scratch, &[("open", ""), ("new", "")]);
    let ran = scratch.run(&["run", "pipeline.yaml", "--output", "json"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.json().unwrap()["pipelines"][0]["destinations"][1]["delivered"], 3);
    assert_eq!(document(&scratch, &["checkpoints", "show"])["pipelines"][0]["destinations"], json!([]));

    // Nothing is owed: whoever leaves now leaves nothing behind.
    to(&scratch, &[("open", "")]);
    assert_eq!(scratch.run(&["run", "pipeline.yaml"]).unwrap().code, Some(0));
}

#[test]
fn what_a_destination_is_owed_is_discarded_by_name_and_a_pipeline_that_left_is_told_of() {
    let scratch = Scratch::new().unwrap();
    fs::create_dir(scratch.path("journal")).unwrap();
    scratch.write("records.txt", "a\nb\nc\n").unwrap();
    to(&scratch, &[("open", ""), ("shut", "fail=fatal")]);
    assert_eq!(scratch.run(&["run", "pipeline.yaml"]).unwrap().code, Some(1));
    let other = fs::read_to_string(scratch.path("pipeline.yaml")).unwrap().replace("id: run", "id: other");
    scratch.write("other.yaml", other).unwrap();
    let checked = text(&scratch, &["check", "other.yaml"]);
    let words = "pipeline run of this data directory is not in this file; it left records that were read and may not be settled, for shut";
    assert!(checked.contains(words), "{checked}");

    assert_eq!(text(&scratch, &["checkpoints", "discard", "run", "shut"]), "run: shut is owed nothing any more\n");
    to(&scratch, &[("open", "")]);
    let ran = scratch.run(&["run", "pipeline.yaml"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}
