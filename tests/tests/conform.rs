//! `wharf conform`: the program's own connectors keep the contract, and the command says what it found.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    time::Duration,
};

use serde_json::Value;
use wharf_tests::{
    Scratch, checkout, component,
    far::{Far, reply},
    languages,
    postgres::Postgres,
    program,
};

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
    assert_eq!(passed(&cases, "W-REDO").len(), 6, "{cases:#?}");
    assert_eq!(passed(&cases, "W-DEST").len(), 13, "{cases:#?}");
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
        assert!(passed(&cases, "W-PROC").len() >= 13, "{name}: {cases:#?}");
        assert_eq!(passed(&cases, "W-MANN").len(), 6, "{name}: {cases:#?}");
    }
}

#[test]
fn the_bulk_file_connector_conforms() {
    let cases = conforms("bulk-file");
    let due = ["W-BULK-014", "W-BULK-018", "W-BULK-019", "W-BULK-020", "W-BULK-022", "W-BULK-023", "W-BULK-024"];
    for id in due.into_iter().chain(["W-BULK-032", "W-BULK-033"]) {
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
    assert_eq!(passed(&cases, "W-FAIL").len(), 9, "{cases:#?}");
    assert_eq!(passed(&cases, "W-DEST").len(), 14, "{cases:#?}");
    assert_eq!(passed(&cases, "W-MANN").len(), 6, "{cases:#?}");
    assert_eq!(probe(&cases), ["W-SESS-007", "W-SESS-008", "W-SESS-009"]);
}

/// All that can be tried of a component over HTTP passes, but for what it does not promise (`also` is skipped besides).
fn conforms_over_http(component: &Path, suite: &str, also: &[&str]) {
    let cases = holds(component, &checkout().join(suite), &[]);
    assert_eq!(passed(&cases, "W-FAIL").len(), 9, "{cases:#?}");
    assert_eq!(passed(&cases, "W-DEST").len(), 14, "{cases:#?}");
    assert_eq!(passed(&cases, "W-MANN").len(), 6, "{cases:#?}");
    // What it does not promise is not held against it, nor a token that it does not ask for, nor follow-ups that it could add, since its tools import all there is,
    // and does not; nothing else is passed over.
    let skipped = cases.iter().filter(|(_, (outcome, _))| outcome == "skipped").map(|(id, _)| &**id);
    assert!(
        skipped.clone().all(|id| id.starts_with("W-REDO") || id.starts_with("W-FOLL") || also.contains(&id)),
        "{:?}",
        skipped.collect::<Vec<_>>()
    );
}

#[test]
fn the_example_in_python_conforms_over_http() {
    let component = languages::python(|_, text| text).unwrap();
    conforms_over_http(&component, "examples/python/conform.yaml", &["W-FAIL-009", "W-SESS-003"]);
}

#[test]
fn the_example_in_javascript_conforms_over_http() {
    let component = languages::javascript(|_, text| text).unwrap();
    conforms_over_http(&component, "examples/javascript/conform.yaml", &["W-FAIL-009", "W-SESS-003"]);
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
    assert_eq!(passed(&cases, "W-REDO").len(), 6, "{cases:#?}");
    assert_eq!(probe(&cases), ["W-SESS-007", "W-SESS-008", "W-SESS-009"]);
    // It is asked for patience by nobody.
    assert_eq!(passed(&cases, "W-FAIL").len(), 8, "{cases:#?}");
    assert_eq!(passed(&cases, "W-DEST").len(), 14, "{cases:#?}");
}

#[test]
fn all_cases_are_listed_without_a_component_and_one_can_be_run_alone() {
    let (code, out, _) = conform(&["--list"]);
    // What goes on below is the same case.
    let cases = out.lines().filter(|line| line.starts_with("W-")).count();
    assert!(code == 0 && cases > 50, "{out}");
    let (code, json, _) = conform(&["--list", "--output", "json"]);
    let listed: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!((code, listed.len()), (0, cases));
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
        ("far: { DB: nothing }", "this far side names no port"),
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
    let (code, _, err) = conform(&[discard.to_str().unwrap(), "--only", "W-DEST-OO1,W-DESC-001", "--only", "W-PROK-001"]);
    assert!(code == 2 && err.contains("did you mean") && err.contains("`W-DEST-OO1`") && err.contains("`W-PROK-001`"), "{err}");
}

/// Runs a connector with the text of a suite file.
fn suited(folder: &Scratch, connector: &str, suite: &str, more: &[&str]) -> (i32, String, String) {
    let (suite, component) = (folder.write("conform.yaml", suite).unwrap(), component(connector).unwrap());
    conform(&[&[component.to_str().unwrap(), "--suite", suite.to_str().unwrap()], more].concat())
}

#[test]
fn all_mistakes_of_a_suite_file_are_told_at_once() {
    let folder = Scratch::new().unwrap();
    let suite = r#"settingss: { directory: /out }
settings: { directori: /out, name: "${NOT_SET_ANYWHERE}x", sync: 7 }
grants:
  directorys: []
  tcp: [ "nothing", "db.example.com:1", "db.example.com:1" ]
manners: { memory: 1, tme: 3s }
skip:
  - { case: W-DEST-0001, reason: x }
  - { case: W-DEST-001, reason: ' ' }
  - { cas: W-DEST-001 }
refused:
  - { settings: { name: "a/b" }, names: nam }
record: x
far: { 1DB: "localhost:1", DB: nothing, OK: "localhost:1" }
read: { capture: maybe, files: x }
"#;
    let (code, out, err) = suited(&folder, "wharf-file", suite, &[]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    let mut places = Vec::new();
    for (what, place) in [
        ("unknown key `settingss`", "1:1"),
        ("`directori` is no setting of this connector", "2:13"),
        ("the variable `NOT_SET_ANYWHERE` is not set", "2:36"),
        ("`sync` \"7\" is not a bool", "2:60"),
        ("unknown key `directorys`", "4:3"),
        ("this grant names no port", "5:10"),
        ("the TCP grant `db.example.com:1` stands here again", "5:41"),
        ("expected a size from 1MiB", "6:20"),
        ("unknown key `tme`", "6:23"),
        ("there is no case `W-DEST-0001`", "8:13"),
        ("W-DEST-001 is skipped for no reason", "9:33"),
        ("unknown key `cas`", "10:7"),
        ("`nam` is no parameter", "12:41"),
        ("`record` has no `{n}`", "13:9"),
        ("`1DB` is no name of a variable", "14:8"),
        ("this far side names no port", "14:32"),
        ("expected `true` or `false`", "15:18"),
    ] {
        let at = format!("conform.yaml:{place}");
        let told = err.split("\n\n").any(|told| told.contains(what) && told.lines().any(|line| line.ends_with(&at)));
        assert!(told, "{what} at {place}: {err}");
        places.push(place);
    }
    assert_eq!(err.matches("error: ").count(), places.len(), "{err}");
    // In the order of the file, each with the nearest name where there is one.
    let at: Vec<usize> = places.iter().map(|place| err.find(&format!("conform.yaml:{place}")).unwrap()).collect();
    assert!(at.is_sorted(), "{err}");
    for near in ["settings", "directory", "directories", "time", "case", "name"] {
        assert!(err.contains(&format!("did you mean `{near}`?")), "{near}: {err}");
    }
}

#[test]
fn settings_that_the_component_does_not_have_are_the_suites_mistake_and_not_its_fault() {
    let folder = Scratch::new().unwrap();
    let with = |suite: &str| {
        let (code, out, err) = suited(&folder, "wharf-http", suite, &[]);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        err
    };
    let granted = "grants: { http: [ { to: '${CAPTURE}', private: true } ] }\n";
    let err = with(&format!("{granted}settings: {{ ulr: '${{CAPTURE}}' }}\n"));
    assert!(err.contains("`ulr` is no setting of this connector") && err.contains("did you mean `url`?"), "{err}");
    assert!(err.contains("conform.yaml:2:13\n"), "{err}");
    assert!(err.contains("`url` is required and not set") && err.contains("conform.yaml:2:1\n"), "{err}");
    let err = with(&format!("{granted}settings: {{ url: '${{CAPTURE}}', timeout: long }}\n"));
    assert!(err.contains("`timeout`") && err.contains("conform.yaml:2:32\n"), "{err}");
    // What the host refuses by itself says nothing of the component.
    let err = with(&format!(
        "{granted}settings: {{ url: '${{CAPTURE}}' }}\nrefused: [ {{ settings: {{ timeout: long }}, names: timeout }} ]\n"
    ));
    assert!(err.contains("the component is not asked") && err.contains("conform.yaml:3:26"), "{err}");
    // What is wrong with an entry of a list stands where the list does, and an address of the run's own has its name.
    let err = with("settings: { url: '${CAPTURE}', method: [POST] }\nreset: [event]\n");
    assert!(err.contains("`method.0`") && err.contains("conform.yaml:1:41\n") && err.contains("did you mean `method`?"), "{err}");
    assert_eq!(err.matches("expected text, found").count(), 1, "{err}");
    let err = with("settings: { url: '${CAPTURE}' }\n");
    assert!(err.contains("- '${CAPTURE}'") && !err.contains("127.0.0.1"), "{err}");
    // A directory that is not there, beside a setting.
    let suite =
        "settings: { directori: /out }\ngrants: { directories: [ { host: no/such, guest: /out, access: read-write } ] }\n";
    let (code, _, err) = suited(&folder, "wharf-file", suite, &[]);
    assert!(code == 2 && err.contains("did you mean `directory`?") && err.contains("cannot open the directory"), "{err}");
    // Without a suite file it says where settings go.
    let http = component("wharf-http").unwrap();
    let (code, _, err) = conform(&[http.to_str().unwrap()]);
    assert!(code == 2 && err.contains("`url` is required") && err.contains("a suite file (`--suite FILE`)"), "{err}");
}

#[test]
fn settings_that_cannot_be_checked_within_the_limits_are_not_accepted() {
    let folder = Scratch::new().unwrap();
    let (code, out, err) = suited(&folder, "wharf-discard", "limits: { fuel-per-call: 1000 }\n", &[]);
    assert!(code == 1 && out.contains("FAILED  W-SETT-001") && out.contains("limits.fuel-per-call"), "{out}{err}");
}

#[test]
fn a_far_side_that_is_not_there_is_no_fault_of_the_component() {
    let folder = Scratch::new().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, out, err) = suited(&folder, "wharf-discard", &format!("settings: {{}}\nfar: {{ DB: '{free}' }}\n"), &[]);
    assert!(code == 2 && out.is_empty(), "{out}{err}");
    for due in [&format!("the far side `DB` ({free}) is not there: "), "conform.yaml:2:8\n", "hint: start it"] {
        assert!(err.contains(due), "{due}: {err}");
    }
    // One that is only granted, and that the component says it cannot reach.
    let suite = |to: SocketAddr| {
        format!(
            "settings: {{ url: 'http://{to}/', patience: 1s, timeout: 1s }}\ngrants: {{ http: [ {{ to: 'http://{to}', private: true }} ] }}\n"
        )
    };
    let (code, out, err) = suited(&folder, "wharf-http", &suite(free), &[]);
    assert!(code == 2 && out.is_empty(), "{out}{err}");
    for due in
        [&format!("the far side is not there: {free} takes no connection"), "the component says: transient", "conform.yaml:2:"]
    {
        assert!(err.contains(due), "{due}: {err}");
    }
    // One that is there and answers nothing of use: whatever the component makes of that is its own.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let (code, out, err) = suited(&folder, "wharf-http", &suite(there), &["--only", "W-DEST-001"]);
    assert!(code == 1 && out.contains("FAILED  W-DEST-001"), "{out}{err}");
    // One that is granted and not needed.
    let granted = format!("grants: {{ tcp: [ {{ to: '{free}', private: true }} ] }}\n");
    let (code, out, err) = suited(&folder, "wharf-discard", &granted, &["--only", "W-DEST-001"]);
    assert!(code == 0, "{out}{err}");
}

#[test]
fn a_command_that_fails_half_way_ends_the_run_with_a_report_in_every_format() {
    let folder = Scratch::new().unwrap();
    let suite = "settings: { directory: /out, sync: false }\n\
                 grants: { directories: [ { host: '${SCRATCH}/out', guest: /out, access: read-write } ] }\n\
                 read:\n  command: echo no <such> database >&2; exit 3\n";
    let run = |output: &str| {
        let (code, out, err) = suited(&folder, "wharf-file", suite, &["--output", output]);
        assert!(code == 2 && err.contains("error: `read.command` of the suite file does not work"), "{err}");
        assert!(err.contains("conform.yaml:4:12") && err.contains("hint: mend it"), "{err}");
        out
    };
    let text = run("text");
    assert!(text.contains("ok      W-DEST-001") && text.contains("STOPPED W-DEST-010"), "{text}");
    assert!(text.contains("stopped at W-DEST-010") && !text.contains("W-DEST-011"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let report: Value = serde_json::from_str(&run("json")).unwrap();
    let cases = report["cases"].as_array().unwrap();
    let last = cases.last().unwrap();
    assert_eq!((last["id"].as_str(), last["outcome"].as_str()), (Some("W-DEST-010"), Some("stopped")), "{last}");
    assert!(last["because"].as_str().unwrap().contains("no <such> database"), "{last}");
    assert!(last["place"].as_str().unwrap().ends_with("conform.yaml:4:12"), "{last}");
    assert!(report["passed"].as_u64().unwrap() > 20 && cases.len() > 25, "{report}");
    assert!(report["error"]["what"].as_str().unwrap().contains("read.command"), "{report}");
    let xml = run("junit");
    assert!(xml.contains("errors=\"1\"") && xml.contains("<error message=\"`read.command`"), "{xml}");
    assert!(xml.contains("no &lt;such&gt; database") && xml.contains("W-DEST-001 ") && xml.ends_with("</testsuite>\n"), "{xml}");
    let page = run("html");
    assert!(page.contains("<details class=\"stopped\" open>") && page.contains("nothing was tried from there on"), "{page}");
}

#[test]
fn a_far_side_that_goes_away_half_way_ends_the_run_and_is_no_fault_of_the_component() {
    let folder = Scratch::new().unwrap();
    let suite = "settings: { url: 'http://${DB}/', patience: 1s, timeout: 1s }\n\
                 grants: { http: [ { to: 'http://${DB}', private: true } ] }\n";
    for (named, place) in [(true, "conform.yaml:3:"), (false, "conform.yaml:2:")] {
        let far = Far::start(|_| reply(200, "")).unwrap();
        let address = far.address().to_string();
        let suite = if named { format!("{suite}far: {{ DB: '{address}' }}\n") } else { suite.replace("${DB}", &address) };
        // It ends once records came for a while.
        let ends = std::thread::spawn(move || {
            while far.seen().len() < 10 {
                std::thread::sleep(Duration::from_millis(1));
            }
            far.kill();
        });
        let (code, out, err) = suited(&folder, "wharf-http", &suite, &[]);
        ends.join().unwrap();
        assert!(code == 2 && !out.contains("FAILED") && out.contains("ok      W-SETT-001"), "{out}{err}");
        assert!(out.contains("STOPPED W-") && out.contains("; stopped at W-"), "{out}{err}");
        assert_eq!(out.matches(place).count(), 1, "{out}");
        let named = if named { format!("the far side `DB` ({address})") } else { format!("the far side {address}") };
        let due = format!("error: {named} was there when the run began, and takes no connection any more");
        assert!(err.contains(&due) && err.contains(place) && err.contains("hint: see why it ended"), "{err}");
    }
}

#[test]
fn several_cases_can_be_named_and_their_list_stays_within_eighty_columns() {
    let discard = component("wharf-discard").unwrap();
    let arguments = [discard.to_str().unwrap(), "--only", "W-DEST-001,W-DEST-003", "--only", "W-DESC-001", "--output", "json"];
    let (code, out, _) = conform(&arguments);
    let report: Value = serde_json::from_str(&out).unwrap();
    let ids: Vec<&str> = report["cases"].as_array().unwrap().iter().map(|case| case["id"].as_str().unwrap()).collect();
    assert_eq!((code, ids), (0, vec!["W-DESC-001", "W-DEST-001", "W-DEST-003"]));
    let (code, list, _) = conform(&["--list", "--only", "W-DEST-001,W-DESC-001"]);
    assert_eq!((code, list.lines().filter(|line| line.starts_with("W-")).count()), (0, 2), "{list}");
    let (_, list, _) = conform(&["--list"]);
    assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
}

#[test]
fn what_a_connector_is_reads_well_at_eighty_columns() {
    for name in ["http", "postgres", "file", "mask"] {
        let component = component(&format!("wharf-{name}")).unwrap();
        let output = Command::new(program().unwrap()).arg("inspect").arg(&component).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.lines().count() > 20 && text.contains("\ndigest: sha256:"), "{text}");
        // A word that is wider alone stands on lines of its own.
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{name}: {text}");
    }
}
