//! `wharf conform`: the program's own connectors keep the contract, and the command says what it found.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::Value;
use wharf_tests::{Scratch, checkout, component, postgres::Postgres, program, python};

/// Runs the command; gives its exit code, standard output and standard error.
fn conform(arguments: &[&str]) -> (i32, String, String) {
    conform_with(arguments, &[])
}

/// The same with variables of the environment.
fn conform_with(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(program().unwrap());
    command.arg("conform").args(arguments).args(["--log", "error"]).envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// Holds a connector of the checkout to its suite file. Gives the outcome of each case, and why those that were skipped were.
fn conforms(name: &str) -> BTreeMap<String, (String, String)> {
    conforms_with(name, &[])
}

/// The same with variables of the environment.
fn conforms_with(name: &str, variables: &[(&str, &str)]) -> BTreeMap<String, (String, String)> {
    let suite = checkout().join(format!("connectors/{name}/conform.yaml"));
    holds(&component(&format!("wharf-{name}")).unwrap(), &suite, variables)
}

/// Holds a component to a suite file.
fn holds(component: &Path, suite: &Path, variables: &[(&str, &str)]) -> BTreeMap<String, (String, String)> {
    let name = component.display();
    let arguments = [component.to_str().unwrap(), "--suite", suite.to_str().unwrap(), "--output", "json"];
    let (code, out, err) = conform_with(&arguments, variables);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    let text = |case: &Value, name: &str| case[name].as_str().unwrap_or_default().to_owned();
    let cases = report["cases"].as_array().unwrap_or_else(|| panic!("{out}{err}"));
    let failed: Vec<&Value> = cases.iter().filter(|case| case["outcome"] == "failed").collect();
    assert!(code == 0 && failed.is_empty(), "{name}: {failed:#?}");
    cases.iter().map(|case| (text(case, "id"), (text(case, "outcome"), text(case, "because")))).collect()
}

/// Those that were exercised.
fn passed(cases: &BTreeMap<String, (String, String)>, prefix: &str) -> Vec<String> {
    cases.iter().filter(|(id, (outcome, _))| id.starts_with(prefix) && outcome == "passed").map(|(id, _)| id.clone()).collect()
}

/// Those of its probe that were exercised.
fn probe(cases: &BTreeMap<String, (String, String)>) -> Vec<String> {
    let of_a_probe = |id: &String| ["W-SESS-007", "W-SESS-008", "W-SESS-009"].contains(&&**id);
    passed(cases, "W-SESS").into_iter().filter(of_a_probe).collect()
}

#[test]
fn a_component_that_is_told_of_its_life_and_has_follow_ups_conforms() {
    let cases = holds(&component("guest-archive").unwrap(), &checkout().join("tests/guests/archive/conform.yaml"), &[]);
    // Its folder is of this machine, and cannot be taken away.
    let passed = [passed(&cases, "W-LIFE"), passed(&cases, "W-FOLL")].concat();
    let due = ["W-LIFE-001", "W-LIFE-002", "W-LIFE-003", "W-LIFE-008", "W-LIFE-009"];
    let following = ["W-FOLL-001", "W-FOLL-002", "W-FOLL-003", "W-FOLL-004", "W-FOLL-005"];
    assert_eq!(passed, [due, following].concat());
    for id in ["W-LIFE-004", "W-LIFE-005", "W-LIFE-006", "W-LIFE-007"] {
        assert_eq!(cases[id].0, "skipped", "{id}");
    }
}

#[test]
fn a_component_that_is_not_told_of_its_life_is_not_held_to_it_and_that_is_no_pass() {
    let bulk_file = component("wharf-bulk-file").unwrap();
    for (id, why) in [("W-LIFE-001", "it does not export `lifecycle`"), ("W-FOLL-001", "it does not import `follow-ups`")] {
        let suite = checkout().join("connectors/bulk-file/conform.yaml");
        let arguments = [bulk_file.to_str().unwrap(), "--suite", suite.to_str().unwrap(), "--only", id, "--output", "json"];
        let (code, out, _) = conform(&arguments);
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, report["cases"][0]["because"].as_str()), (2, Some(why)), "{out}");
    }
}

#[test]
fn the_file_connector_conforms() {
    let cases = conforms("file");
    // What it promises is exercised, not skipped.
    assert_eq!(passed(&cases, "W-REDO").len(), 5, "{cases:#?}");
    assert_eq!(passed(&cases, "W-DEST").len(), 12, "{cases:#?}");
    assert_eq!(passed(&cases, "W-MANN").len(), 6, "{cases:#?}");
}

#[test]
fn the_discard_connector_conforms() {
    let cases = conforms("discard");
    assert_eq!(passed(&cases, "W-MANN").len(), 6, "{cases:#?}");
}

#[test]
fn the_print_connector_conforms() {
    let cases = conforms("print");
    assert_eq!(passed(&cases, "W-DEST").len(), 10, "{cases:#?}");
}

#[test]
fn the_processors_conform() {
    for name in ["explode", "filter", "flatten", "mask", "select", "template", "unwrap"] {
        let cases = conforms(name);
        // A processor that finds fault with nothing has no message to be read.
        assert!(passed(&cases, "W-PROC").len() >= 12, "{name}: {cases:#?}");
        assert_eq!(passed(&cases, "W-MANN").len(), 6, "{name}: {cases:#?}");
    }
}

#[test]
fn the_bulk_file_connector_conforms() {
    let cases = conforms("bulk-file");
    for id in ["W-BULK-014", "W-BULK-018", "W-BULK-019", "W-BULK-020", "W-BULK-022", "W-BULK-023", "W-BULK-024"] {
        assert_eq!(cases[id].0, "passed", "{id}: {cases:#?}");
    }
    assert_eq!(passed(&cases, "W-MANN").len(), 6, "{cases:#?}");
}

#[test]
fn every_connector_has_a_suite_file() {
    let own = std::fs::read_to_string(checkout().join("tests/tests/conform.rs")).unwrap();
    let mut connectors = 0;
    for entry in std::fs::read_dir(checkout().join("connectors")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        connectors += 1;
        assert!(checkout().join(format!("connectors/{name}/conform.yaml")).exists(), "{name} has none");
        assert!(own.contains(&format!("\"{name}\"")), "{name} is not held to its own");
    }
    assert!(connectors > 10);
}

#[test]
fn the_http_connector_conforms() {
    let cases = conforms("http");
    assert_eq!(passed(&cases, "W-FAIL").len(), 8, "{cases:#?}");
    assert_eq!(passed(&cases, "W-DEST").len(), 13, "{cases:#?}");
    assert_eq!(passed(&cases, "W-MANN").len(), 6, "{cases:#?}");
    assert_eq!(probe(&cases), ["W-SESS-007", "W-SESS-008", "W-SESS-009"]);
}

#[test]
fn the_example_in_python_conforms_over_http() {
    let component = python::component(|_, text| text).unwrap();
    let cases = holds(&component, &checkout().join("examples/python/conform.yaml"), &[]);
    assert_eq!(passed(&cases, "W-FAIL").len(), 8, "{cases:#?}");
    assert_eq!(passed(&cases, "W-DEST").len(), 13, "{cases:#?}");
    assert_eq!(passed(&cases, "W-MANN").len(), 6, "{cases:#?}");
    // What it does not promise is not held against it, nor a token that it does not ask for, and nothing else is passed over.
    let skipped = cases.iter().filter(|(_, (outcome, _))| outcome == "skipped").map(|(id, _)| &**id);
    assert!(
        skipped.clone().all(|id| id.starts_with("W-REDO") || ["W-FAIL-009", "W-SESS-003"].contains(&id)),
        "{:?}",
        skipped.collect::<Vec<_>>()
    );
}

#[test]
fn the_postgres_connector_conforms() {
    let server = Postgres::start().unwrap();
    let port = server.port().to_string();
    let folder = server.programs().to_owned();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let variables = [
        ("PATH", path.as_str()),
        ("PGHOST", "127.0.0.1"),
        ("PGPORT", &port),
        ("PGDATABASE", Postgres::USER),
        ("PGUSER", Postgres::USER),
        ("PGPASSWORD", Postgres::PASSWORD),
        ("PGSSLMODE", "disable"),
    ];
    let cases = conforms_with("postgres", &variables);
    assert_eq!(passed(&cases, "W-REDO").len(), 5, "{cases:#?}");
    assert_eq!(probe(&cases), ["W-SESS-007", "W-SESS-008", "W-SESS-009"]);
    // It is asked for patience by nobody.
    assert_eq!(passed(&cases, "W-FAIL").len(), 7, "{cases:#?}");
    assert_eq!(passed(&cases, "W-DEST").len(), 13, "{cases:#?}");
}

#[test]
fn all_cases_are_listed_without_a_component_and_one_can_be_run_alone() {
    let (code, out, _) = conform(&["--list"]);
    assert!(code == 0 && out.lines().count() > 50, "{out}");
    let (code, json, _) = conform(&["--list", "--output", "json"]);
    let listed: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!((code, listed.len()), (0, out.lines().count()));
    let discard = component("wharf-discard").unwrap();
    let (code, out, _) = conform(&[discard.to_str().unwrap(), "--only", "W-DEST-001", "--output", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, report["passed"].as_u64(), report["cases"].as_array().unwrap().len()), (0, Some(1), 1));
    // One that is not exercised is not passed.
    let (code, out, _) = conform(&[discard.to_str().unwrap(), "--only", "W-PROC-001", "--output", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, report["passed"].as_u64(), report["skipped"].as_u64()), (2, Some(0), Some(1)));
    let (code, one, _) = conform(&["--list", "--only", "W-PROC-001"]);
    assert!(code == 0 && one.starts_with("W-PROC-001  MUST ") && one.lines().count() == 1, "{one}");
    let (code, _, err) = conform(&["--list", "--output", "junit"]);
    assert!(code == 2 && err.contains("hint: "), "{err}");
}

#[test]
fn a_component_that_breaks_a_clause_is_told_so_in_every_format() {
    // It has neither summary nor author.
    let guest = component("guest-scripted").unwrap();
    let guest = guest.to_str().unwrap();
    let (code, text, _) = conform(&[guest, "--only", "W-DESC-004"]);
    assert_eq!(code, 1);
    for due in ["FAILED  W-DESC-004", "SHOULD 4 of the contract", "about.author is missing", "to mend"] {
        assert!(text.contains(due), "{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let (code, xml, _) = conform(&[guest, "--only", "W-DESC-004", "--output", "junit"]);
    assert!(code == 1 && xml.contains("failures=\"1\"") && xml.contains("<failure message="), "{xml}");
    let (code, page, _) = conform(&[guest, "--only", "W-DESC-004", "--output", "html"]);
    assert!(code == 1 && page.starts_with("<!doctype html>") && page.contains("1 failed"), "{page}");
}

#[test]
fn what_cannot_start_is_refused_with_its_place() {
    let folder = Scratch::new().unwrap();
    let discard = component("wharf-discard").unwrap();
    let with = |suite: &str| {
        let suite = folder.write("conform.yaml", suite).unwrap();
        let (code, out, err) = conform(&[discard.to_str().unwrap(), "--suite", suite.to_str().unwrap()]);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        err
    };
    for (suite, due) in [
        ("settingss: {}", "did you mean `settings`?"),
        ("skip:\n  - { case: W-DEST-0001, reason: x }", "there is no case `W-DEST-0001`"),
        ("read: { directory: a, capture: true }", "`read` names 2 ways to read back"),
        ("record: x", "`record` has no `{n}`"),
        ("far: { DB: nothing }", "this grant names no port"),
        ("far: { '1DB': 'localhost:1' }", "`1DB` is no name of a variable"),
        ("far: { SCRATCH: 'localhost:1' }", "`SCRATCH` is the name of what the run gives itself"),
        ("skip:\n  - { case: W-DEST-001, reason: ' ' }", "W-DEST-001 is skipped for no reason"),
        ("refused: [ { settings: { checksun: x }, names: checksun } ]", "did you mean `checksum`?"),
        ("settings: { checksum: '${NOT_SET_ANYWHERE}' }", "NOT_SET_ANYWHERE"),
    ] {
        let err = with(suite);
        assert!(err.contains(due) && err.contains("conform.yaml:"), "{due}: {err}");
    }
    // A command that fails is not the component's fault: nothing is said of it, and what was printed is told.
    let file = component("wharf-file").unwrap();
    let own = "settings: { directory: /out }\ngrants: { directories: [ { host: '${SCRATCH}/out', guest: /out, access: read-write } ] }\n";
    for (suite, key, line) in [
        ("reset: echo no such database >&2; exit 3", "reset", 3),
        ("read:\n  command: echo no such database >&2; exit 3", "read.command", 4),
        ("faults:\n  gone:\n    make: echo no such database >&2; exit 3\n    heal: 'true'", "faults.gone.make", 5),
        ("faults:\n  gone:\n    make: 'true'\n    heal: echo no such database >&2; exit 3", "faults.gone.heal", 6),
    ] {
        let suite = folder.write("conform.yaml", format!("{own}{suite}\n")).unwrap();
        let arguments = [file.to_str().unwrap(), "--suite", suite.to_str().unwrap(), "--output", "json"];
        let (code, out, _) = conform(&arguments);
        let told: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
        let error = told["error"].to_string();
        let due = format!(
            "`{key}` of the suite file does not work: `echo no such database >&2; exit 3` ended with exit status: 3: no such database"
        );
        assert!(code == 2 && error.contains(&due) && error.contains(&format!("conform.yaml:{line}:")), "{told}");
    }
    let (code, _, err) = conform(&["no/such.wasm"]);
    assert!(code == 2 && err.contains("cannot read the component"), "{err}");
    let (code, _, err) = conform(&[discard.to_str().unwrap(), "--only", "W-DEST-OO1"]);
    assert!(code == 2 && err.contains("did you mean"), "{err}");
}
