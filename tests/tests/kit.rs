//! What the author of a connector works with, as the program has it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use wharf_tests::{Scratch, checkout, page::blocks};

#[test]
fn the_contract_is_written_for_other_languages_as_the_manual_shows_it() {
    let scratch = Scratch::new().unwrap();
    let written = scratch.run(&["wit", "wit"]).unwrap();
    assert_eq!(written.code, Some(0), "{}", written.stderr);
    let page = fs::read_to_string(checkout().join("docs/write-in-another-language.md")).unwrap();
    let shown = blocks(&page).into_iter().find(|block| block.language == "console").unwrap();
    assert_eq!(format!("$ wharf wit wit\n{}", written.stdout), shown.text);

    let refused = scratch.run(&["wit", "wit"]).unwrap();
    let says =
        "error: the folder wit is not empty\nhint: name another, or say `--force` to have files of the same names replaced\n";
    assert_eq!((refused.code, &*refused.stderr), (Some(2), says));
    scratch.write("wit/world.wit", "package mine:own;").unwrap();
    let again = scratch.run(&["wit", "wit", "--force", "--output", "json"]).unwrap().json().unwrap();
    assert_eq!((&again["world_kept"], &again["folder"]), (&json!(true), &json!("wit")), "{again}");
    assert_eq!(again["packages"][0], json!({"name": "wharf:connector", "version": "0.1.0"}));
    assert_eq!(fs::read_to_string(scratch.path("wit/world.wit")).unwrap(), "package mine:own;");
}

#[test]
fn the_wasi_that_is_handed_out_is_that_of_the_engine() {
    let engine = sources("wasmtime-wasi-http").join("wit/deps");
    let mut compared = 0;
    for entry in fs::read_dir(checkout().join("host/src/kit/wasi")).unwrap() {
        let path = entry.unwrap().path();
        let theirs = fs::read_to_string(engine.join(path.file_name().unwrap())).unwrap();
        assert!(fs::read_to_string(&path).unwrap() == theirs, "{} is not what the engine serves", path.display());
        compared += 1;
    }
    assert_eq!(compared, fs::read_dir(&engine).unwrap().count());
}

/// Where cargo keeps the sources of a package that this is built with.
fn sources(package: &str) -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output = cargo.current_dir(checkout()).args(["metadata", "--format-version", "1", "--offline"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = metadata["packages"].as_array().unwrap().iter().find(|found| found["name"] == package).unwrap();
    Path::new(found["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned()
}
