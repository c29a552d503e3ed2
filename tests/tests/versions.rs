//! Versions of the far side's interface: which one a destination speaks, and what becomes of records that came for another.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;

use wharf_tests::{Scratch, component, host::Host};

/// A folder with three lines and a pipeline that has them uploaded. `more` stands in the destination.
fn folder(more: &str) -> Scratch {
    let scratch = Scratch::new().unwrap();
    fs::create_dir(scratch.path("out")).unwrap();
    scratch.write("records.txt", "a\nb\nc\n").unwrap();
    fs::copy(component("guest-versions").unwrap(), scratch.path("versions.wasm")).unwrap();
    file(&scratch, more);
    scratch
}

fn file(scratch: &Scratch, more: &str) {
    let file = format!(
        "version: 1
pipelines:
  - id: run
    source: {{ kind: file, path: 'records*.txt', format: lines }}
    destinations:
      - id: far
        component: versions.wasm
        grants: {{ directories: [ {{ host: out, guest: /out, access: read-write }} ] }}
        bulk: {{ schedule: 0 0 1 1 * }}
{more}"
    );
    scratch.write("wharf.yaml", file).unwrap();
}

/// The same component but for the name of one version, in the place of the other.
fn without(scratch: &Scratch, version: &str, instead: &str) {
    let mut bytes = fs::read(scratch.path("versions.wasm")).unwrap();
    let found: Vec<_> = (0..bytes.len() - version.len()).filter(|at| bytes[*at..].starts_with(version.as_bytes())).collect();
    assert!(!found.is_empty() && version.len() == instead.len());
    for at in found {
        bytes[at..at + version.len()].copy_from_slice(instead.as_bytes());
    }
    fs::write(scratch.path("versions.wasm"), bytes).unwrap();
}

/// Has the records taken into the spool, where they wait for a moment that is far away.
fn spooled(scratch: &Scratch) {
    let mut host = Host::start(scratch, "wharf.yaml").unwrap();
    host.until(|host| Ok(host.status("run")?["destinations"][0]["pending"] == 3)).unwrap();
    host.signal("TERM").unwrap();
    host.ended().unwrap();
    assert!(journal(scratch).is_empty());
}

fn journal(scratch: &Scratch) -> Vec<String> {
    let mut lines: Vec<String> =
        fs::read_to_string(scratch.path("out/journal")).unwrap_or_default().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_destination_speaks_the_version_that_is_named_and_else_the_connectors_own_choice() {
    let scratch = folder("");
    let inspected = scratch.run(&["inspect", "versions.wasm"]).unwrap().stdout;
    let listed = "versions of the far side: 2020-old (deprecated from 2021-06-30), 2024-now (default), 2022-ending (deprecated from 2999-12-31)";
    // On more than one line of a terminal.
    let words = inspected.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(listed) && inspected.lines().all(|line| line.chars().count() <= 80), "{inspected}");
    let ran = scratch.run(&["run", "wharf.yaml", "--once", "--now"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stderr.contains("deprecated"), "{}", ran.stderr);
    assert_eq!(journal(&scratch), ["2024-now 2024-now a", "2024-now 2024-now b", "2024-now 2024-now c"]);

    let scratch = folder("        api-version: 2020-old\n");
    let ran = scratch.run(&["run", "wharf.yaml", "--once", "--now"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(journal(&scratch)[0], "2020-old 2020-old a");
    let told = "destination far: guest-versions 0.1.0 speaks the version `2020-old` of its far side, which is deprecated since \
                2021-06-30; name another in the destination (`api-version`): `2024-now`, `2022-ending`";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    let checked = scratch.run(&["check", "wharf.yaml"]).unwrap();
    assert!(checked.code == Some(0) && checked.stdout.contains(told), "{}", checked.stdout);
    let checked = scratch.run(&["check", "wharf.yaml", "--output", "json"]).unwrap();
    assert_eq!(checked.json().unwrap()["remarks"][0], told);

    file(&scratch, "        api-version: 2022-ending\n");
    let checked = scratch.run(&["check", "wharf.yaml"]).unwrap();
    let told = "which will be deprecated from 2999-12-31 on; name another in the destination (`api-version`): `2024-now`\n";
    assert!(checked.code == Some(0) && checked.stdout.contains(told), "{}", checked.stdout);
}

#[test]
fn a_version_that_is_not_listed_is_refused_with_its_line_and_the_nearest() {
    let scratch = folder("        api-version: 2020-odl\n");
    let checked = scratch.run(&["check", "wharf.yaml"]).unwrap();
    assert_eq!(checked.code, Some(2), "{}", checked.stdout);
    let told = "error: destination far: guest-versions 0.1.0 does not speak the version `2020-odl` of its far side\n  \
                at wharf.yaml:10:22\nhint: did you mean `2020-old`?\n";
    assert!(checked.stderr.contains(told), "{}", checked.stderr);
    file(&scratch, "        api-version: seven\n");
    let checked = scratch.run(&["check", "wharf.yaml"]).unwrap();
    assert!(checked.stderr.contains("hint: it lists `2020-old`, `2024-now`, `2022-ending`\n"), "{}", checked.stderr);

    // One that lists none has none to choose from.
    let discard = component("wharf-discard").unwrap().display().to_string();
    let text = fs::read_to_string(scratch.path("wharf.yaml")).unwrap();
    let text = text.replace("versions.wasm", &discard).replace("        bulk: { schedule: 0 0 1 1 * }\n", "");
    scratch.write("wharf.yaml", text).unwrap();
    let checked = scratch.run(&["check", "wharf.yaml"]).unwrap();
    assert!(checked.stderr.contains("hint: leave out `api-version`: this connector lists no versions\n"), "{}", checked.stderr);
}

#[test]
fn what_is_in_the_spool_keeps_the_version_that_it_came_with() {
    let scratch = folder("        api-version: 2020-old\n");
    spooled(&scratch);
    let records = scratch.run(&["spool", "records", "run/far", "--data-dir", ".wharf", "--output", "json"]).unwrap();
    assert_eq!(records.json().unwrap()["records"][0]["version"], "2020-old", "{}", records.stdout);

    file(&scratch, "        api-version: 2024-now\n");
    scratch.write("records-2.txt", "d\n").unwrap();
    let ran = scratch.run(&["run", "wharf.yaml", "--once", "--now"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(journal(&scratch), ["2020-old 2020-old a", "2020-old 2020-old b", "2020-old 2020-old c", "2024-now 2024-now d"]);
}

#[test]
fn what_came_for_a_version_that_is_gone_waits_and_it_is_told_what_to_do() {
    let scratch = folder("        api-version: 2020-old\n");
    spooled(&scratch);
    without(&scratch, "2020-old", "2030-new");
    file(&scratch, "");
    let told = "run/far: 3 records in the spool came for the version `2020-old` of the far side, which guest-versions 0.1.0 does not speak";
    let checked = scratch.run(&["check", "wharf.yaml"]).unwrap();
    assert!(checked.code == Some(0) && checked.stdout.contains(told), "{}\n{}", checked.stdout, checked.stderr);
    let ran = scratch.run(&["run", "wharf.yaml", "--once", "--now"]).unwrap();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("paused, to be tried again in ")
            && ran.stderr.contains("`wharf spool discard run/far --batch NUMBER`"),
        "{}",
        ran.stderr
    );
    assert!(journal(&scratch).is_empty());

    // A component that speaks it has them delivered.
    without(&scratch, "2030-new", "2020-old");
    let ran = scratch.run(&["run", "wharf.yaml", "--once", "--now"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(journal(&scratch), ["2020-old 2020-old a", "2020-old 2020-old b", "2020-old 2020-old c"]);

    // Or they are given up.
    let scratch = folder("        api-version: 2020-old\n");
    spooled(&scratch);
    without(&scratch, "2020-old", "2030-new");
    file(&scratch, "");
    let gone = scratch.run(&["spool", "discard", "run/far", "--batch", "1", "--data-dir", ".wharf"]).unwrap();
    assert_eq!(gone.code, Some(0), "{}", gone.stderr);
    let ran = scratch.run(&["run", "wharf.yaml", "--once", "--now"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}
