//! Settings from the environment and from `defaults`, and where each value comes from.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;

use serde_json::Value;
use wharf_tests::{Ran, Scratch, component};

/// A pipeline into a file, with a secret in the place of its path's end.
fn folder() -> Scratch {
    let scratch = Scratch::new().unwrap();
    fs::create_dir(scratch.path("out")).unwrap();
    scratch.write("records.txt", "1\n2\n").unwrap();
    fs::copy(component("wharf-file").unwrap(), scratch.path("file.wasm")).unwrap();
    fs::copy(component("wharf-http").unwrap(), scratch.path("http.wasm")).unwrap();
    scratch
        .write(
            "shop.yaml",
            "version: 1
defaults:
  all:
    retry: { max-attempts: 3 }
  connectors:
    file:
      settings: { name: from-defaults.txt }
pipelines:
  - id: shop
    source: { kind: file, path: records.txt, format: lines }
    destinations:
      - id: the-file
        component: file.wasm
        batch: { records: 7 }
        grants: { directories: [ { host: out, guest: /out, access: read-write } ] }
",
        )
        .unwrap();
    scratch
}

fn run(scratch: &Scratch, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut wharf = scratch.wharf(arguments).unwrap();
    wharf.envs(variables.iter().copied());
    wharf.output().unwrap().into()
}

/// What is told of a key of a destination.
fn row(explained: &Value, key: &str) -> Value {
    let parts = explained["explained"].as_array().unwrap();
    let part = parts.iter().find(|part| part["destination"] == "the-file" && part["processor"].is_null()).unwrap();
    part["values"].as_array().unwrap().iter().find(|row| row["key"] == key).cloned().unwrap_or_else(|| panic!("no {key}: {part}"))
}

#[test]
fn a_setting_comes_from_the_environment_else_the_file_else_its_defaults() {
    let scratch = folder();
    let ran = run(&scratch, &["run", "shop.yaml"], &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(scratch.path("out/from-defaults.txt")).unwrap(), "1\n2\n");

    let variable = [("WHARF__SHOP__THE_FILE__NAME", "from-the-environment.txt")];
    // The connector remembers what it wrote.
    let scratch = folder();
    let again = run(&scratch, &["run", "shop.yaml"], &variable);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(fs::read_to_string(scratch.path("out/from-the-environment.txt")).unwrap(), "1\n2\n");
}

#[test]
fn a_variable_that_means_nothing_is_refused_with_what_it_could_mean() {
    let scratch = folder();
    let cases = [
        (
            "WHARF__SHOP__THE_FILE__NAEM",
            "error: destination the-file: the variable `WHARF__SHOP__THE_FILE__NAEM` of the environment names no setting of file 0.1.0\nhint: did you mean `WHARF__SHOP__THE_FILE__NAME`?\n",
        ),
        (
            "WHARF__SHOP__THE_FIL__NAME",
            "error: the variable `WHARF__SHOP__THE_FIL__NAME` names no destination of this file\nhint: did you mean `WHARF__SHOP__THE_FILE__NAME`?\n",
        ),
    ];
    for (variable, told) in cases {
        let checked = run(&scratch, &["check", "shop.yaml"], &[(variable, "s3cret")]);
        assert_eq!((checked.code, checked.stderr.as_str()), (Some(2), told));
    }
    // What it holds is held against the connector's rules, and not shown.
    let checked = run(&scratch, &["check", "shop.yaml"], &[("WHARF__SHOP__THE_FILE__FILES", "s3cret")]);
    assert_eq!(checked.code, Some(2), "{}", checked.stdout);
    let told = "`files` \"${WHARF__SHOP__THE_FILE__FILES}\" is not one of append, each, as the variable `WHARF__SHOP__THE_FILE__FILES` of the environment has it\nhint: correct the variable `WHARF__SHOP__THE_FILE__FILES`, or unset it: then what the file says holds\n";
    assert!(checked.stderr.contains(told) && !checked.stderr.contains("s3cret"), "{}", checked.stderr);
}

#[test]
fn of_each_value_it_is_told_where_it_comes_from() {
    let scratch = folder();
    let json = |variables: &[(&str, &str)]| {
        let checked = run(&scratch, &["check", "shop.yaml", "--explain", "--output", "json"], variables);
        assert_eq!(checked.code, Some(0), "{}", checked.stderr);
        checked.json().unwrap()
    };
    let explained = json(&[]);
    let kind = |key: &str| (row(&explained, key)["value"].clone(), row(&explained, key)["from"].clone());
    assert_eq!(kind("batch.records"), ("7".into(), serde_json::json!({"kind": "file", "place": "shop.yaml:14:27"})));
    assert_eq!(
        kind("retry.max-attempts"),
        ("3".into(), serde_json::json!({"kind": "defaults", "place": "shop.yaml:4:28", "of": "all"}))
    );
    let path = serde_json::json!({"kind": "defaults", "place": "shop.yaml:7:25", "of": "file"});
    assert_eq!(kind("settings.name"), ("from-defaults.txt".into(), path));
    assert_eq!(kind("outage.then"), ("stop".into(), serde_json::json!({"kind": "house"})));
    assert_eq!(kind("ordered"), ("true".into(), serde_json::json!({"kind": "house"})));

    let explained = json(&[("WHARF__SHOP__THE_FILE__NAME", "x")]);
    let path = row(&explained, "settings.name");
    assert_eq!(path["value"], "${WHARF__SHOP__THE_FILE__NAME}");
    assert_eq!(path["from"], serde_json::json!({"kind": "environment", "variable": "WHARF__SHOP__THE_FILE__NAME"}));

    let text = run(&scratch, &["check", "shop.yaml", "--explain"], &[]).stdout;
    let line = text.lines().find(|line| line.contains("settings.name")).unwrap();
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>().join(" "),
        "settings.name from-defaults.txt shop.yaml:7:25 (defaults of file)"
    );
    let dot = scratch.run(&["check", "shop.yaml", "--explain", "--output", "dot"]).unwrap();
    assert_eq!(dot.code, Some(2));
}

#[test]
fn a_secret_is_shown_by_no_explanation() {
    let scratch = folder();
    let text = fs::read_to_string(scratch.path("shop.yaml")).unwrap();
    let text = text.replace(
        "    file:\n      settings: { name: from-defaults.txt }\n",
        "    guest_told:\n      settings: { token: s3cret-of-defaults }\n",
    );
    fs::copy(component("guest-told").unwrap(), scratch.path("guest_told.wasm")).unwrap();
    scratch.write("shop.yaml", text.replace("component: file.wasm", "component: guest_told.wasm")).unwrap();
    for variables in [&[][..], &[("WHARF__SHOP__THE_FILE__TOKEN", "s3cret-of-variable")]] {
        for output in ["text", "json"] {
            let checked = run(&scratch, &["check", "shop.yaml", "--explain", "--output", output], variables);
            assert_eq!(checked.code, Some(0), "{}", checked.stderr);
            assert!(checked.stdout.contains("settings.token"), "{}", checked.stdout);
            assert!(!checked.stdout.contains("s3cret") && !checked.stderr.contains("s3cret"), "{}", checked.stdout);
        }
    }
}
