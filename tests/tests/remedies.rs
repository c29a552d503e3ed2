//! What `wharf check` says is lacking, pasted as it says, is what was lacking.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use wharf_tests::{Scratch, component};

/// A pipeline file with these settings, these keys of the destination and these at its top.
fn file(settings: &str, keys: &str, top: &str) -> String {
    let component = component("guest-asks").unwrap();
    let component = component.display();
    format!(
        "version: 1
{top}pipelines:
  - id: lines
    source: {{ kind: generator, count: 1 }}
    destinations:
      - id: asking
        component: {component}
        settings: {settings}
{keys}"
    )
}

/// A file with all that a hint says pasted into it, and with what is for a person to fill in filled in.
fn pasted(file: &str, hint: &str) -> String {
    let mut lines: Vec<String> = file.lines().map(str::to_owned).collect();
    let mut at = 0;
    let mut indent = 0;
    for line in hint.lines() {
        let Some(paste) = line.strip_prefix("  ") else {
            // Where the lines that follow go, and how far in.
            let behind = |from: usize, text: &str| from + lines[from..].iter().position(|line| line.trim() == text).unwrap() + 1;
            let place = |text| behind(0, text);
            (at, indent) = match line {
                "write in the destination" => (place("- id: asking"), 8),
                "add under `grants:`" => (place("grants:"), 10),
                "add at the top of the file" => (place("version: 1"), 0),
                "add to `tokens` at the top of the file" => (place("tokens:"), 2),
                other => {
                    let list = other.strip_prefix("add to `").and_then(|rest| rest.strip_suffix("` under `grants:`"));
                    (behind(place("grants:"), &format!("{}:", list.unwrap_or_else(|| panic!("{other}")))), 12)
                }
            };
            continue;
        };
        let paste = paste.replace("PATH", "out").replace("URL", "https://a.example/token").replace("${SECRET}", "secret");
        lines.insert(at, format!("{:indent$}{paste}", ""));
        at += 1;
    }
    lines.join("\n") + "\n"
}

/// Where pipeline files are tried.
fn folders() -> Scratch {
    let scratch = Scratch::new().unwrap();
    for folder in ["out", "others"] {
        std::fs::create_dir(scratch.path(folder)).unwrap();
    }
    scratch
}

/// What comes of the hint for a file that lacks grants. Gives the file that came of it.
fn mended(scratch: &Scratch, file: &str, errors: usize) -> String {
    scratch.write("pipeline.yaml", file).unwrap();
    let refused = scratch.run(&["check", "pipeline.yaml"]).unwrap();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert_eq!(refused.stderr.matches("error: ").count(), errors, "{}", refused.stderr);
    // Not even a component's own words make a line that looks like the host's.
    assert_eq!(refused.stderr.lines().filter(|line| line.starts_with("hint: ")).count(), 1, "{}", refused.stderr);
    let (_, hint) = refused.stderr.split_once("\nhint: ").unwrap();
    let mended = pasted(file, hint);
    scratch.write("pipeline.yaml", &mended).unwrap();
    let ready = scratch.run(&["check", "pipeline.yaml"]).unwrap();
    assert_eq!(ready.code, Some(0), "{}\n{hint}\n{mended}", ready.stderr);
    mended
}

const EACH: [&str; 10] = [
    "directory: /out",
    "directory: '/out, access: read-only }, { host: /, guest: /all'",
    "http: https://a.example/path",
    "http: 'http://localhost:8080'",
    "http: 'http://[::1]:8080'",
    "tcp: 'db.example:5432'",
    "tcp: 'localhost:5432'",
    "token: crm",
    "state: 2MiB",
    "scratch: 2MiB",
];

const OTHERS: &str = "        grants:
          directories:
            - { host: others, guest: /other }
          http:
            - https://b.example
          tcp:
            - b.example:1
          tokens:
            - other
";

const PROVIDER: &str = "tokens:
  - { id: other, kind: client-credentials, token-url: 'https://b.example', client-id: a, client-secret: b }
";

#[test]
fn the_lines_of_a_hint_are_what_was_lacking_for_each_kind_of_request() {
    let scratch = folders();
    for setting in EACH {
        let mended = mended(&scratch, &file(&format!("{{ {setting} }}"), "", ""), 1);
        let private = mended.lines().any(|line| line.contains("private: true") && !line.trim_start().starts_with('#'));
        assert_eq!(private, setting.contains("localhost"), "{mended}");
        assert!(!mended.contains("guest: /all "), "{mended}");
    }
}

#[test]
fn the_lines_of_a_hint_go_beside_what_is_granted_already() {
    let scratch = folders();
    for setting in EACH {
        mended(&scratch, &file(&format!("{{ {setting} }}"), OTHERS, PROVIDER), 1);
    }
}

#[test]
fn one_hint_has_all_that_a_destination_lacks() {
    let scratch = folders();
    let settings = "{ directory: /out, http: 'https://a.example', tcp: 'localhost:1', token: crm, state: 2MiB, scratch: 2MiB }";
    mended(&scratch, &file(settings, "", ""), 6);
    mended(&scratch, &file(settings, OTHERS, PROVIDER), 6);
}

#[test]
fn the_log_says_for_whom_a_component_is_asked() {
    let scratch = Scratch::new().unwrap();
    scratch.write("pipeline.yaml", file("{}", "", "")).unwrap();
    let check = scratch.run(&["check", "pipeline.yaml", "--log", "info"]).unwrap();
    assert_eq!(check.code, Some(0), "{check:?}");
    let said: Vec<_> = check.stderr.lines().filter(|line| line.contains("I am asked who I am")).collect();
    assert!(!said.is_empty(), "{check:?}");
    for line in said {
        assert!(line.contains("pipeline=\"lines\" destination=\"asking\""), "{line}");
    }
    let component = component("guest-asks").unwrap().display().to_string();
    let inspected = scratch.run(&["inspect", &component, "--log", "info"]).unwrap();
    assert!(inspected.stderr.contains("I am asked who I am") && !inspected.stderr.contains("destination="), "{inspected:?}");
}
