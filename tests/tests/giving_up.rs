//! What is given up of a spool: what is too old, belongs to a destination that was switched off, or to a run that was cancelled; and follow-ups, from a pipeline file to
//! the counts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wharf_tests::{Ran, Scratch, component, host::Host};

/// A folder with five records of two runs and a pipeline `run` that has them uploaded to a scripted far side.
fn scripted(settings: &str, more: &str) -> Scratch {
    let scratch = Scratch::new().unwrap();
    let record = |at: usize, run: &str| {
        json!({"operation": "create", "metadata": {"run-id": run}, "payload": {"after": {"value": at}}}).to_string()
    };
    let records: Vec<String> = ["a", "a", "b", "a", "b"].into_iter().enumerate().map(|(at, run)| record(at, run)).collect();
    scratch.write("records.ndjson", records.join("\n") + "\n").unwrap();
    fs::create_dir(scratch.path("journal")).unwrap();
    let file = format!(
        "version: 1
pipelines:
  - id: run
    source: {{ kind: file, path: records.ndjson, format: opencdc }}
    destinations:
      - id: leads
        component: {}
        settings: {settings}
        grants: {{ directories: [ {{ host: journal, guest: /journal, access: read-write }} ] }}
{more}      - {{ id: other, component: {} }}
",
        component("guest-uploads").unwrap().display(),
        component("wharf-discard").unwrap().display(),
    );
    scratch.write("run.yaml", file).unwrap();
    scratch
}

fn asked(scratch: &Scratch, arguments: &[&str]) -> Value {
    let ran = scratch.run(&[arguments, &["--output", "json"]].concat()).unwrap();
    assert!(matches!(ran.code, Some(0 | 3)), "{arguments:?}: {}", ran.stderr);
    ran.json().unwrap()
}

/// Kind and reason of the dead letters, with their number.
fn letters(scratch: &Scratch) -> Vec<(String, String)> {
    let letters = asked(scratch, &["dead-letters", "list"]);
    let text = |letter: &Value, name: &str| letter[name].as_str().unwrap_or_default().to_owned();
    let each = letters["dead_letters"].as_array().unwrap().iter();
    each.map(|letter| (text(letter, "kind"), text(letter, "message"))).collect()
}

#[test]
fn what_is_of_a_run_that_was_cancelled_is_given_up_and_the_rest_when_it_is_too_old() {
    let scratch = scripted("{}", "        bulk: { schedule: 0 0 1 1 *, spool: { max-age: 1h } }\n");
    let mut host = Host::start(&scratch, "run.yaml").unwrap();
    host.until(|host| Ok(host.status("run")?["destinations"][0]["pending"] == 5)).unwrap();
    assert_eq!(host.ask(&["spool", "discard", "run/leads", "--run", "none"]).unwrap()["done"], 0);
    assert_eq!(host.ask(&["spool", "discard", "run/leads", "--run", "a"]).unwrap()["done"], 3);
    host.until(|host| Ok(host.status("run")?["destinations"][0]["dead_lettered"] == 3)).unwrap();
    host.signal("TERM").unwrap();
    host.ended().unwrap();
    let cancelled = ("cancelled".to_owned(), "the run a was cancelled".to_owned());
    assert_eq!(letters(&scratch), vec![cancelled; 3]);
    let file = fs::read_to_string(scratch.path("run.yaml")).unwrap();
    scratch.write("run.yaml", file.replace("max-age: 1h", "max-age: 1s")).unwrap();
    let mut host = Host::start(&scratch, "run.yaml").unwrap();
    host.until(|host| Ok(host.status("run")?["destinations"][0]["dead_lettered"] == 2)).unwrap();
    host.signal("TERM").unwrap();
    host.ended().unwrap();
    let old = ("too-old".to_owned(), "it waited for longer than 1s (bulk.spool.max-age)".to_owned());
    assert_eq!(letters(&scratch)[3..], [old.clone(), old]);
    assert_eq!(asked(&scratch, &["spool", "status"])["spools"][0]["records"], json!({"discarded": 5}));
}

#[test]
fn a_run_that_ends_once_all_is_settled_ends_after_what_is_given_up_and_not_before() {
    let scratch = scripted("{}", "        bulk: { schedule: 0 0 1 1 *, spool: { max-age: 1s } }\n");
    let ran = scratch.run(&["run", "run.yaml", "--once", "--output", "json"]).unwrap();
    let leads = &ran.json().unwrap()["pipelines"][0]["destinations"][0];
    assert_eq!((ran.code, &leads["dead_lettered"], &leads["pending"]), (Some(3), &json!(5), &json!(0)), "{}", ran.stderr);
    assert_eq!(asked(&scratch, &["spool", "status"])["spools"][0]["records"], json!({"discarded": 5}));

    let scratch = scripted("{}", "        bulk: { schedule: 0 0 1 1 * }\n");
    let once = scratch.wharf(&["run", "run.yaml", "--once", "--output", "json"]).unwrap().stdout(Stdio::piped()).spawn().unwrap();
    let waits = || asked(&scratch, &["spool", "status"])["spools"][0]["records"]["waiting"] == 5;
    let end = Instant::now() + Duration::from_secs(60);
    while !scratch.path(".wharf/control").exists() || !waits() {
        assert!(Instant::now() < end, "they never wait");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(asked(&scratch, &["spool", "discard", "run/leads", "--all"])["done"], 5);
    let ran: Ran = once.wait_with_output().unwrap().into();
    let leads = &ran.json().unwrap()["pipelines"][0]["destinations"][0];
    assert_eq!((ran.code, &leads["dead_lettered"], &leads["pending"]), (Some(3), &json!(5), &json!(0)));
}

#[test]
fn what_is_left_for_a_destination_that_is_switched_off_is_given_up_and_for_one_that_is_gone_is_kept() {
    // Three are in an upload that never ends, two wait for another try.
    let scratch = scripted(
        "{ upload: '0-2=transient ~2-5', poll: 'again=3600000' }",
        "        retry: { min-delay: 1d, max-delay: 1d }\n        bulk: { schedule: realtime }\n",
    );
    let mut host = Host::start(&scratch, "run.yaml").unwrap();
    host.until(|host| Ok(host.ask(&["spool", "status"])?["spools"][0]["records"] == json!({"failed": 2, "uploading": 3})))
        .unwrap();
    host.signal("TERM").unwrap();
    host.ended().unwrap();
    let file = fs::read_to_string(scratch.path("run.yaml")).unwrap();
    // One that is renamed by mistake costs nothing.
    scratch.write("run.yaml", file.replace("id: leads", "id: renamed")).unwrap();
    let refused = scratch.run(&["run", "run.yaml", "--once"]).unwrap();
    assert!(refused.code == Some(2) && refused.stderr.contains("wharf checkpoints discard run leads"), "{}", refused.stderr);
    assert_eq!(scratch.run(&["checkpoints", "discard", "run", "leads"]).unwrap().code, Some(0));
    let ran = scratch.run(&["run", "run.yaml", "--once", "--now"]).unwrap();
    assert!(ran.stderr.contains("the pipeline has no such destination any more, and its spool has records"), "{}", ran.stderr);
    assert!(ran.stderr.contains("wharf spool discard run/leads --all"), "{}", ran.stderr);
    let of_leads = |scratch: &Scratch| asked(scratch, &["spool", "status", "run/leads"])["spools"][0]["records"].clone();
    assert_eq!(of_leads(&scratch), json!({"failed": 2, "uploading": 3}));
    scratch.write("run.yaml", file.replace("id: leads", "id: leads\n        enabled: false")).unwrap();
    let checked = scratch.run(&["check", "run.yaml"]).unwrap();
    assert!(
        checked.stdout.contains("  leads: switched off; what is in its spool is given up with the next start\n"),
        "{}",
        checked.stdout
    );
    assert_eq!(asked(&scratch, &["check", "run.yaml"])["pipelines"][0]["switched_off"], json!(["leads"]));
    let ran = scratch.run(&["run", "run.yaml", "--once", "--output", "json"]).unwrap();
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let summary = &ran.json().unwrap()["pipelines"][0];
    assert_eq!(summary["destinations"].as_array().map(Vec::len), Some(1));
    let off = json!([{"id": "leads", "dead_lettered": 5, "reason": "its destination is switched off (enabled: false)"}]);
    assert_eq!(summary["switched_off"], off);
    let again = scratch.run(&["run", "run.yaml", "--once", "--output", "json"]).unwrap();
    assert_eq!((again.code, &again.json().unwrap()["pipelines"][0]["switched_off"]), (Some(0), &json!([])), "{}", again.stderr);
    assert_eq!(of_leads(&scratch), json!({"discarded": 5}));
    let told = letters(&scratch);
    let away = told.iter().filter(|(_, why)| why.contains("whether that took effect is not known")).count();
    assert!(told.len() == 5 && away == 3 && told.iter().all(|(kind, _)| kind == "switched-off"), "{told:?}");
    assert!(asked(&scratch, &["uploads", "list"])["uploads"].as_array().unwrap().is_empty());
    // A second start finds nothing to give up.
    asked(&scratch, &["run", "run.yaml", "--once"]);
    assert_eq!(letters(&scratch).len(), 5);
    let off =
        file.replace("id: leads", "id: leads\n        enabled: false").replace("{ id: other,", "{ id: other, enabled: false,");
    scratch.write("off.yaml", off).unwrap();
    let refused = scratch.run(&["check", "off.yaml"]).unwrap();
    assert!(
        refused.code == Some(2) && refused.stderr.contains("all destinations of the pipeline `run` are switched off"),
        "{}",
        refused.stderr
    );
}

#[test]
fn one_that_left_the_file_is_missed_after_a_crash_as_long_as_its_spool_has_records() {
    let scratch = scripted("{}", "        bulk: { schedule: 0 0 1 1 * }\n");
    let mut host = Host::start(&scratch, "run.yaml").unwrap();
    host.until(|host| Ok(host.status("run")?["destinations"][0]["pending"] == 5)).unwrap();
    // The source is at its end by then.
    thread::sleep(Duration::from_secs(1));
    let file = fs::read_to_string(scratch.path("run.yaml")).unwrap();
    let (head, rest) = file.split_once("      - id: leads").unwrap();
    let other = rest.split_once("      - { id: other").unwrap().1;
    scratch.write("run.yaml", format!("{head}      - {{ id: other{other}")).unwrap();
    let gone = "destination leads of pipeline run is not in this file any more";
    let reload = scratch.run(&["reload"]).unwrap();
    assert!(reload.code != Some(0) && reload.stderr.contains(gone), "{}", reload.stderr);
    host.signal("KILL").unwrap();
    drop(host);
    for command in ["run", "check"] {
        let refused = scratch.run(&[command, "run.yaml"]).unwrap();
        assert!(refused.code == Some(2) && refused.stderr.contains(gone), "{command}: {}", refused.stderr);
    }
    let moved = scratch.run(&["checkpoints", "move", "run", "leads", "new"]).unwrap();
    assert!(moved.code != Some(0) && moved.stderr.contains("5 records in the spool of run/leads"), "{}", moved.stderr);
    assert_eq!(asked(&scratch, &["spool", "discard", "run/leads", "--all"])["done"], 5);
    let ran = scratch.run(&["run", "run.yaml"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}
