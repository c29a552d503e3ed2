//! What the author of a connector works with, as the program has it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use wharf_tests::{
    Ran, Scratch, checkout, component,
    page::{Step, blocks, differs, steps},
};

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

#[test]
fn what_a_component_costs_is_measured() {
    let scratch = Scratch::new().unwrap();
    let wasm = |package: &str| component(package).unwrap().display().to_string();
    let bench =
        |arguments: &[&str]| scratch.run(&[&["bench"], arguments, &["--seconds", "0", "--output", "json"]].concat()).unwrap();

    let discard = wasm("wharf-discard");
    let ran = bench(&[&discard, "--batch", "500", "--bytes", "100"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let told = ran.json().unwrap();
    assert_eq!((&told["call"], &told["batch"], &told["record_bytes"]), (&json!("write"), &json!(500), &json!(100)), "{told}");
    assert_eq!((&told["failed"], &told["why"]), (&json!(0), &Value::Null));
    assert!(told["records"].as_u64().unwrap() >= 1000 && told["memory_peak"].as_u64().unwrap() > 0, "{told}");
    let (fuel, rate) = (told["fuel_per_record"].as_u64().unwrap(), told["records_per_second"].as_f64().unwrap());
    assert!(fuel > 0 && rate > 0.0, "{told}");
    for part in ["compile_seconds", "load_seconds", "open_seconds"] {
        assert!(told["start"][part].as_f64().unwrap() > 0.0, "{told}");
    }
    // Fuel is the same on every machine: ten times the bytes cost more where they are looked at.
    let each = |bytes: &str| bench(&[&wasm("wharf-mask"), "--set", "hash.0=/text", "--set", "salt=s", "--bytes", bytes]);
    let (small, large) = (each("100"), each("1000"));
    assert_eq!(small.code, Some(0), "{}", small.stderr);
    let fuel = |ran: &Ran| ran.json().unwrap()["fuel_per_record"].as_u64().unwrap();
    assert_eq!(small.json().unwrap()["call"], "process");
    assert!(fuel(&large) > 2 * fuel(&small), "{} and {}", fuel(&small), fuel(&large));

    let much = scratch.run(&["bench", &discard, "--batch", "100000", "--bytes", "1000000"]).unwrap();
    assert!(much.code == Some(2) && much.stderr.contains("hint: make `--batch` or `--bytes` smaller"), "{}", much.stderr);
    let text = scratch.run(&["bench", &discard, "--seconds", "0"]).unwrap().stdout;
    assert!(text.contains("write, 1,000 records of 250 bytes a call\n"), "{text}");
    assert!(text.contains(" records a second, ") && text.contains("\n  start: "), "{text}");
}

#[test]
fn a_component_is_measured_with_what_a_pipeline_file_grants_it() {
    let scratch = Scratch::new().unwrap();
    let file = component("wharf-file").unwrap().display().to_string();
    let http = component("wharf-http").unwrap().display().to_string();
    let without = scratch.run(&["bench", &http, "--seconds", "0"]).unwrap();
    assert_eq!(without.code, Some(2), "{}", without.stderr);
    assert!(
        without.stderr.contains("error: ") && without.stderr.contains("`url`") && without.stderr.contains("hint: "),
        "{}",
        without.stderr
    );
    let denied = scratch.run(&["bench", &file, "--seconds", "0", "--set", "name=a.txt"]).unwrap();
    assert_eq!(denied.code, Some(1), "{}", denied.stderr);
    assert!(denied.stderr.contains("hint: grant it what it needs in a pipeline file"), "{}", denied.stderr);

    let destination = |id: &str| {
        json!({"id": id, "component": file, "settings": {"directory": "/out", "name": format!("{id}.txt")},
            "grants": {"directories": [{"host": id, "guest": "/out", "access": "read-write"}]}})
    };
    fs::create_dir(scratch.path("one")).unwrap();
    fs::create_dir(scratch.path("two")).unwrap();
    let pipelines = json!({"version": 1, "pipelines": [{"id": "p", "source": {"kind": "generator", "count": 1},
        "destinations": [destination("one"), destination("two")]}]});
    scratch.write("p.yaml", pipelines.to_string()).unwrap();
    let many = scratch.run(&["bench", &file, "--pipeline", "p.yaml"]).unwrap();
    assert!(many.code == Some(2) && many.stderr.contains("hint: say which with `--id`: `one`, `two`"), "{}", many.stderr);
    let more = ["--pipeline", "p.yaml", "--id", "two", "--seconds", "0", "--batch", "10", "--output", "json"];
    let ran = scratch.run(&[&["bench", &*file], &more[..]].concat()).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let told = ran.json().unwrap();
    let lines = fs::read_to_string(scratch.path("two/two.txt")).unwrap().lines().count() as u64;
    assert_eq!((&told["failed"], told["records"].as_u64()), (&json!(0), Some(lines)), "{told}");
    assert!(!scratch.path("one/one.txt").exists());

    let discard = component("wharf-discard").unwrap().display().to_string();
    let other = scratch.run(&["bench", &discard, "--pipeline", "p.yaml"]).unwrap();
    assert!(other.code == Some(2) && other.stderr.contains("error: p.yaml does not use "), "{}", other.stderr);

    // What fails is measured too, and it is said.
    let template = component("wharf-template").unwrap().display().to_string();
    let failing =
        scratch.run(&["bench", &template, "--set", "template={{/nowhere}}", "--seconds", "0", "--batch", "10"]).unwrap();
    assert_eq!(failing.code, Some(0), "{}", failing.stderr);
    assert!(failing.stdout.contains("note: 20 of 20 records failed: rejected: "), "{}", failing.stdout);
}

#[test]
fn the_page_for_authors_shows_what_the_program_prints() {
    let page = fs::read_to_string(checkout().join("docs/authors.md")).unwrap();
    let scratch = Scratch::new().unwrap();
    scratch.write("target/connectors/discard.wasm", fs::read(component("wharf-discard").unwrap()).unwrap()).unwrap();
    let mut followed = 0;
    for step in steps(&page) {
        let Step::Command { line, typed, expected } = step else { continue };
        let arguments: Vec<&str> = typed.strip_prefix("wharf ").unwrap().split(' ').collect();
        let ran = scratch.run(&arguments).unwrap();
        assert_eq!(ran.code, Some(0), "{line}: {}", ran.stderr);
        let difference = differs(&expected, &ran.stdout);
        assert!(difference.is_none(), "docs/authors.md:{line}: {}\n{}", difference.unwrap_or_default(), ran.stdout);
        followed += 1;
    }
    assert_eq!(followed, 2);
    // Each command that the page names is one.
    let help = scratch.run(&["--help"]).unwrap().stdout;
    for command in ["new", "build", "dev", "bench", "wit", "inspect"] {
        assert!(page.contains(&format!("| `wharf {command} ")), "{command}");
        assert!(help.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))), "{command}: {help}");
    }
}
