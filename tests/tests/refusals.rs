//! What is wrong with a pipeline file is said before anything runs: one clear message, exit code 2, nothing on standard output, no
//! partial effect.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use wharf_tests::{Ran, Scratch, component};

/// A pipeline file that is right, with its parts to be replaced.
struct Given {
    component: String,
    settings: &'static str,
    grants: &'static str,
}

impl Given {
    fn right() -> Self {
        Self {
            component: component("wharf-file").unwrap().display().to_string(),
            settings: "{ directory: /out, name: all.ndjson }",
            grants: "{ directories: [ { host: out, guest: /out, access: read-write } ] }",
        }
    }

    fn file(&self) -> String {
        let Self { component, settings, grants } = self;
        format!(
            "version: 1
pipelines:
  - id: lines
    source: {{ kind: file, path: lines.ndjson }}
    destinations:
      - id: files
        component: {component}
        settings: {settings}
        grants: {grants}
"
        )
    }
}

/// Runs a pipeline file that is to be refused. Gives what was printed, with this test's own paths taken out.
fn refused(file: &str, prepare: impl FnOnce(&Scratch)) -> String {
    let scratch = Scratch::new().unwrap();
    scratch.write("lines.ndjson", "{\"n\":1}\n").unwrap();
    scratch.write("pipeline.yaml", file).unwrap();
    fs::create_dir(scratch.path("out")).unwrap();
    prepare(&scratch);
    let run = scratch.run(&["run", "pipeline.yaml"]).unwrap();
    let check = scratch.run(&["check", "pipeline.yaml"]).unwrap();
    let document = scratch.run(&["run", "pipeline.yaml", "--output", "json"]).unwrap();
    for Ran { code, .. } in [&run, &check, &document] {
        assert_eq!(*code, Some(2), "{run:?}");
    }
    assert_eq!((run.stdout.as_str(), check.stdout.as_str()), ("", ""));
    assert_eq!(run.stderr, check.stderr, "`check` says what `run` says");
    let what = document.json().unwrap()["error"]["what"].as_str().unwrap().to_owned();
    assert!(run.stderr.starts_with(&format!("error: {what}\n")), "{}", run.stderr);
    let also = document.json().unwrap()["error"]["also"].as_array().map_or(0, Vec::len);
    assert_eq!(run.stderr.matches("error: ").count(), 1 + also, "{}", run.stderr);
    assert_eq!(fs::read_dir(scratch.path("out")).unwrap().count(), 0, "nothing was written");
    assert!(!scratch.path(".wharf").exists(), "not even a data directory was made");
    let own = component("wharf-file").unwrap();
    run.stderr
        .replace(&own.display().to_string(), "[file.wasm]")
        .replace(&format!("{}/", scratch.path("").display().to_string().trim_end_matches('/')), "")
}

#[test]
fn a_component_that_is_missing() {
    let given = Given { component: "missing.wasm".into(), ..Given::right() };
    insta::assert_snapshot!(refused(&given.file(), |_| {}));
}

#[test]
fn an_image_in_the_place_of_a_component() {
    let given = Given { component: "image.wasm".into(), ..Given::right() };
    insta::assert_snapshot!(refused(&given.file(), |scratch| {
        scratch.write("image.wasm", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").unwrap();
    }));
}

#[test]
fn a_core_module_in_the_place_of_a_component() {
    let given = Given { component: "module.wasm".into(), ..Given::right() };
    insta::assert_snapshot!(refused(&given.file(), |scratch| {
        scratch.write("module.wasm", b"\0asm\x01\0\0\0").unwrap();
    }));
}

#[test]
fn a_component_that_is_cut_short() {
    let given = Given { component: "cut.wasm".into(), ..Given::right() };
    let whole = fs::read(component("wharf-file").unwrap()).unwrap();
    let text = refused(&given.file(), |scratch| {
        scratch.write("cut.wasm", &whole[..whole.len() / 2]).unwrap();
    });
    // Where the parser gives up depends on how the component was compiled.
    let digits =
        |text: &str| text.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("N");
    insta::assert_snapshot!(digits(&text));
}

#[test]
fn a_component_that_is_too_large() {
    let file = format!("process: {{ component-size: 1KiB }}\n{}", Given::right().file());
    let size = fs::metadata(component("wharf-file").unwrap()).unwrap().len().to_string();
    insta::assert_snapshot!(refused(&file, |_| {}).replace(&size, "N"));
}

#[test]
fn a_component_that_takes_too_long_to_compile() {
    let given = Given { component: "new.wasm".into(), ..Given::right() };
    // No process starts in that time.
    let file = format!("process: {{ compile-time: 1ms }}\n{}", given.file());
    insta::assert_snapshot!(refused(&file, |scratch| {
        let new = r#"(component (instance $i) (export "wharf:connector/connector@0.1.0" (instance $i)) (core module $new))"#;
        scratch.write("new.wasm", wat::parse_str(new).unwrap()).unwrap();
    }));
}

#[test]
fn a_component_of_another_version_of_the_contract() {
    let given = Given { component: "other.wasm".into(), ..Given::right() };
    insta::assert_snapshot!(refused(&given.file(), |scratch| {
        let other = r#"(component (instance $i) (export "wharf:connector/connector@0.2.0" (instance $i)))"#;
        scratch.write("other.wasm", wat::parse_str(other).unwrap()).unwrap();
    }));
}

#[test]
fn a_component_of_no_version_of_the_contract() {
    let given = Given { component: "other.wasm".into(), ..Given::right() };
    insta::assert_snapshot!(refused(&given.file(), |scratch| {
        let other = r#"(component (instance $i) (export "wasi:cli/run@0.2.3" (instance $i)))"#;
        scratch.write("other.wasm", wat::parse_str(other).unwrap()).unwrap();
    }));
}

#[test]
fn a_setting_that_is_misspelt() {
    let given = Given { settings: "{ directroy: /out, name: all.ndjson }", ..Given::right() };
    insta::assert_snapshot!(refused(&given.file(), |_| {}));
}

#[test]
fn a_required_setting_that_is_missing() {
    let component = component("guest-needs").unwrap().display().to_string();
    let given = Given { component, settings: "{}", grants: "{}" };
    let text = refused(&given.file(), |_| {});
    insta::assert_snapshot!(text);
}

#[test]
fn a_value_that_breaks_its_rule() {
    let given = Given { settings: "{ directory: /out, name: all.ndjson, files: apend }", ..Given::right() };
    insta::assert_snapshot!(refused(&given.file(), |_| {}));
}

#[test]
fn settings_that_contradict_each_other() {
    let given = Given { settings: "{ directory: /out, format: csv, name: all.csv }", ..Given::right() };
    insta::assert_snapshot!(refused(&given.file(), |_| {}));
}

#[test]
fn a_directory_that_is_not_granted() {
    let given = Given { grants: "{}", ..Given::right() };
    insta::assert_snapshot!(refused(&given.file(), |_| {}));
}

#[test]
fn a_directory_that_is_granted_to_be_read_only() {
    let given = Given { grants: "{ directories: [ { host: out, guest: /out } ] }", ..Given::right() };
    insta::assert_snapshot!(refused(&given.file(), |_| {}));
}

#[test]
fn a_directory_that_is_granted_and_missing() {
    let given = Given { grants: "{ directories: [ { host: elsewhere, guest: /out, access: read-write } ] }", ..Given::right() };
    insta::assert_snapshot!(refused(&given.file(), |_| {}));
}

/// A pipe that nobody writes to.
fn pipe(path: PathBuf) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_bits_truncate(0o600), 0).unwrap();
}

#[test]
fn a_pipe_in_the_place_of_the_pipeline_file() {
    insta::assert_snapshot!(refused(&Given::right().file(), |scratch| {
        fs::remove_file(scratch.path("pipeline.yaml")).unwrap();
        pipe(scratch.path("pipeline.yaml"));
    }));
}

#[test]
fn a_pipe_in_the_place_of_the_root_certificates() {
    let given = Given { grants: "{ http: [ { to: 'https://a.example', roots: pipe } ] }", ..Given::right() };
    insta::assert_snapshot!(refused(&given.file(), |scratch| pipe(scratch.path("pipe"))));
}

#[test]
fn a_pipe_in_the_place_of_a_credential() {
    let grants = "{ http: [ { to: 'https://a.example', headers: { x-key: { file: pipe } } } ] }";
    let given = Given { grants, ..Given::right() };
    insta::assert_snapshot!(refused(&given.file(), |scratch| pipe(scratch.path("pipe"))));
}

#[test]
fn a_pipe_in_the_place_of_a_client_secret() {
    let provider =
        "{ id: crm, kind: client-credentials, token-url: 'https://a.example', client-id: a, client-secret: { file: pipe } }";
    let file = format!("tokens: [ {provider} ]\n{}", Given::right().file());
    insta::assert_snapshot!(refused(&file, |scratch| pipe(scratch.path("pipe"))));
}

#[test]
fn a_tab_in_the_indentation() {
    let file = Given::right().file().replace("        settings:", "\tsettings:");
    insta::assert_snapshot!(refused(&file, |_| {}));
}

#[test]
fn a_variable_that_is_not_set() {
    let given = Given { settings: "{ directory: \"${WHARF_TEST_NOT_SET}\", name: all.ndjson }", ..Given::right() };
    insta::assert_snapshot!(refused(&given.file(), |_| {}));
}

#[test]
fn a_key_that_is_misspelt() {
    let file = Given::right().file().replace("settings:", "setings:");
    insta::assert_snapshot!(refused(&file, |_| {}));
}

#[test]
fn several_mistakes_are_told_at_once() {
    let file = Given::right().file().replace("settings:", "setings:").replace("access: read-write", "acess: read-write");
    insta::assert_snapshot!(refused(&format!("shutdown-timout: 5s\n{file}"), |_| {}));
}

#[test]
fn a_schedule_that_is_none() {
    let file = format!("{}        bulk: {{ schedule: 0 25 * * * }}\n", Given::right().file());
    insta::assert_snapshot!(refused(&file, |_| {}));
}

#[test]
fn a_pattern_that_matches_no_file() {
    let file = Given::right().file().replace("path: lines.ndjson", "path: 'lines-*.ndjson'");
    insta::assert_snapshot!(refused(&file, |_| {}));
}

#[test]
fn a_device_in_the_place_of_a_file_to_read() {
    let file = Given::right().file().replace("path: lines.ndjson", "path: /dev/zero, format: lines");
    insta::assert_snapshot!(refused(&file, |_| {}));
}

#[test]
fn a_file_in_the_place_of_the_data_directory() {
    let file = format!("data-dir: lines.ndjson\n{}", Given::right().file());
    insta::assert_snapshot!(refused(&file, |_| {}));
}

#[test]
fn a_file_to_read_that_is_missing() {
    let file = Given::right().file().replace("lines.ndjson", "lnes.ndjson");
    insta::assert_snapshot!(refused(&file, |_| {}));
}

#[test]
fn a_key_that_is_no_json_pointer() {
    let file = Given::right().file().replace("path: lines.ndjson", "path: lines.ndjson, key: \"/a~2b\"");
    insta::assert_snapshot!(refused(&file, |_| {}));
}

#[test]
fn a_place_in_a_template_that_is_none() {
    let file = Given::right().file() + "        format: template\n        template: \"{{ json user }}\"\n";
    insta::assert_snapshot!(refused(&file, |_| {}));
}

#[test]
fn instances_side_by_side_for_records_that_have_no_keys() {
    let file = format!("{}        parallel: 2\n", Given::right().file());
    insta::assert_snapshot!(refused(&file, |_| {}));
    // A processor may give them some.
    let mask = component("wharf-mask").unwrap().display().to_string();
    let file = file.replace(
        "    destinations:",
        &format!("    processors: [{{ id: mask, component: {mask}, settings: {{ redact: [/n] }} }}]\n    destinations:"),
    );
    let scratch = Scratch::new().unwrap();
    scratch.write("lines.ndjson", "{\"n\":1}\n").unwrap();
    scratch.write("pipeline.yaml", file).unwrap();
    fs::create_dir(scratch.path("out")).unwrap();
    let checked = scratch.run(&["check", "pipeline.yaml"]).unwrap();
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
}

#[test]
fn a_shortest_wait_that_is_longer_than_the_longest() {
    let file = format!("{}        retry: {{ min-delay: 2m }}\n", Given::right().file());
    insta::assert_snapshot!(refused(&file, |_| {}));
}

#[test]
fn exact_batches_of_what_cannot_be_read_again() {
    let file = Given::right()
        .file()
        .replace("kind: file, path: lines.ndjson }", "kind: stdin, format: lines }\n    exact-batches: true");
    insta::assert_snapshot!(refused(&file, |_| {}));
}

#[test]
fn an_order_that_the_connector_does_not_keep() {
    let mirror = component("guest-mirror").unwrap().display().to_string();
    let given = Given { component: "mirror.wasm".into(), settings: "{}", grants: "{}" };
    insta::assert_snapshot!(refused(&given.file(), |scratch| {
        fs::copy(&mirror, scratch.path("mirror.wasm")).unwrap();
    }));
}
