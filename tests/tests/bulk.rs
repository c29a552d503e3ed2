//! Destinations that take files, from a pipeline file to the files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use wharf_tests::{
    Scratch, checkout, component,
    host::{Host, peak_memory},
    long,
};

/// Records in the example.
const EVENTS: u64 = 1707;

const MILLION: u64 = 1_000_000;

/// A folder with the earthquakes and a pipeline that has them uploaded as files.
fn earthquakes(bulk: &str, source: &str) -> Scratch {
    let scratch = Scratch::new().unwrap();
    let events = fs::read(checkout().join("examples/data/earthquakes.ndjson")).unwrap();
    scratch.write("earthquakes.ndjson", events).unwrap();
    fs::create_dir(scratch.path("out")).unwrap();
    let file = format!(
        "version: 1
pipelines:
  - id: earthquakes
    source: {{ kind: file, path: earthquakes.ndjson, key: /id{source} }}
    batch: {{ records: 100 }}
    destinations:
      - id: files
        component: {}
        grants: {{ directories: [ {{ host: out, guest: /out, access: read-write }} ] }}
        bulk: {bulk}
",
        component("wharf-bulk-file").unwrap().display()
    );
    scratch.write("earthquakes.yaml", file).unwrap();
    scratch
}

/// The lines of all files that arrived, in the order of their names, and how many files there are.
fn arrived(scratch: &Scratch) -> (Vec<String>, usize) {
    let mut files: Vec<_> = fs::read_dir(scratch.path("out")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'));
    files.sort();
    let lines = files.iter().flat_map(|path| fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>());
    (lines.collect(), files.len())
}

fn sent(scratch: &Scratch) -> Vec<String> {
    fs::read_to_string(scratch.path("earthquakes.ndjson")).unwrap().lines().map(str::to_owned).collect()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn every_event_arrives_in_a_file_and_the_accounts_add_up() {
    let scratch = earthquakes("{ schedule: '@every 1h', max-records: 1707 }", "");
    let ran = scratch.run(&["run", "earthquakes.yaml", "--once", "--output", "json"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let destination = &ran.json().unwrap()["pipelines"][0]["destinations"][0];
    assert_eq!((&destination["delivered"], &destination["pending"]), (&EVENTS.into(), &0.into()), "{destination}");
    assert_eq!(destination["spool"], serde_json::json!({"before": 0, "known": 0, "pending": 0}));
    assert_eq!(arrived(&scratch), (sent(&scratch), 1), "all of it in one file, since it was made when all was there");

    let again = scratch.run(&["run", "earthquakes.yaml", "--once", "--output", "json"]).unwrap();
    assert_eq!((again.code, &again.json().unwrap()["pipelines"][0]["read"]), (Some(0), &0.into()), "{}", again.stderr);
    assert_eq!(arrived(&scratch).1, 1);
}

#[test]
fn records_wait_for_the_schedule_until_told_otherwise() {
    let scratch = earthquakes("{ schedule: 0 0 1 1 *, time-zone: Europe/Berlin }", "");
    let mut host = Host::start(&scratch, "earthquakes.yaml").unwrap();
    // All was taken, the source is at its end, and the host runs on.
    host.until(|host| Ok(host.status("earthquakes")?["destinations"][0]["pending"] == EVENTS)).unwrap();
    assert_eq!(host.status("earthquakes").unwrap()["state"], "running");
    assert_eq!(arrived(&scratch).1, 0);
    host.signal("TERM").unwrap();
    let ended = host.ended().unwrap();
    let destination = &ended.json().unwrap()["pipelines"][0]["destinations"][0];
    assert_eq!((ended.code, &destination["pending"]), (Some(1), &EVENTS.into()), "{}", ended.stderr);
    // What is no success is told as an error, with what becomes of it.
    let told = "error: pipeline earthquakes was stopped with records pending: ";
    assert!(
        ended.stderr.contains(told) && ended.stderr.contains("\nhint: the next start goes on with them, from the spool;"),
        "{}",
        ended.stderr
    );

    // Of what is in the spool nothing is read again.
    let now = scratch.run(&["run", "earthquakes.yaml", "--once", "--now", "--output", "json"]).unwrap();
    let summary = &now.json().unwrap()["pipelines"][0];
    assert_eq!((now.code, &summary["read"], &summary["carried"]), (Some(0), &0.into(), &0.into()), "{}", now.stderr);
    assert_eq!(summary["destinations"][0]["delivered"], EVENTS);
    assert_eq!(summary["destinations"][0]["spool"]["before"], EVENTS);
    assert_eq!(sorted(arrived(&scratch).0), sorted(sent(&scratch)));
}

/// The value of a sample, by its name and labels.
fn sample(metrics: &str, of: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(of))?;
    Some(line.trim().parse().unwrap())
}

#[test]
fn metrics_and_status_tell_what_is_in_a_spool_and_when_it_goes_out() {
    let scratch = earthquakes("{ schedule: 0 0 1 1 *, spool: { max-bytes: 64MiB } }", "");
    let mut host = Host::start(&scratch, "earthquakes.yaml").unwrap();
    host.until(|host| Ok(host.status("earthquakes")?["destinations"][0]["pending"] == EVENTS)).unwrap();
    // What is told of a spool is no older than a few seconds.
    let waiting = r#"wharf_spool_records{pipeline="earthquakes",destination="files",state="waiting"}"#;
    host.until(|host| Ok(sample(&host.metrics()?, waiting) == Some(EVENTS as f64))).unwrap();
    let metrics = host.metrics().unwrap();
    let of = |name: &str| sample(&metrics, &format!("{name}{{pipeline=\"earthquakes\",destination=\"files\"}}")).unwrap();
    assert_eq!(of("wharf_spool_limit_bytes"), f64::from(64 << 20));
    let status = scratch.run(&["spool", "status", "--output", "json"]).unwrap().json().unwrap();
    assert_eq!(status["spools"][0]["bytes"].as_f64(), Some(of("wharf_spool_bytes")), "{status:#}");
    assert!((0.0..600.0).contains(&of("wharf_spool_oldest_seconds")), "{metrics}");
    assert!((0.0..=366.0 * 86_400.0).contains(&of("wharf_spool_next_seconds")), "{metrics}");
    let held = r#"wharf_uploads{pipeline="earthquakes",destination="files",state="held"}"#;
    assert_eq!(sample(&metrics, held), Some(0.0), "{metrics}");
    let next = host.status("earthquakes").unwrap()["destinations"][0]["next"].as_str().map(str::to_owned).unwrap();
    assert!(next.ends_with("-01-01T00:00:00.000Z"), "{next}");
    host.signal("TERM").unwrap();
    let ended = host.ended().unwrap();
    assert_eq!(ended.json().unwrap()["pipelines"][0]["destinations"][0]["next"], next, "{}", ended.stderr);
}

#[test]
fn a_spool_that_is_gone_or_another_is_refused_until_a_person_says_that_it_is_lost() {
    let scratch = earthquakes("{ schedule: 0 0 1 1 * }", "");
    let mut host = Host::start(&scratch, "earthquakes.yaml").unwrap();
    host.until(|host| Ok(host.status("earthquakes")?["destinations"][0]["pending"] == EVENTS)).unwrap();
    let running = scratch.run(&["spool", "lost", "earthquakes/files"]).unwrap();
    assert!(running.code == Some(2) && running.stderr.contains("is there, and not lost"), "{}", running.stderr);
    host.signal("TERM").unwrap();
    host.ended().unwrap();
    let spool = scratch.path(".wharf/spool/earthquakes/files");
    let (own, new) = (scratch.path("own"), scratch.path("new"));
    fs::rename(&spool, &own).unwrap();
    let refused = |what: &str| {
        for command in [&["check", "earthquakes.yaml"][..], &["run", "earthquakes.yaml", "--once", "--now"]] {
            let refused = scratch.run(command).unwrap();
            assert!(refused.code == Some(2) && refused.stderr.contains(what), "{what}: {}", refused.stderr);
            assert!(refused.stderr.contains("`wharf spool lost earthquakes/files --data-dir "), "{}", refused.stderr);
        }
    };
    refused("its spool is gone");
    assert!(!spool.join("spool.db").exists(), "nothing takes its place");
    assert_eq!(asked(&scratch, &["spool", "lost", "earthquakes/files"])["done"], 1);
    let none = scratch.run(&["spool", "lost", "earthquakes/files"]).unwrap();
    assert!(none.code == Some(2) && none.stderr.contains("has had no spool"), "{}", none.stderr);
    assert_eq!(asked(&scratch, &["run", "earthquakes.yaml", "--once", "--now"])["pipelines"][0]["read"], 0);
    // The one that it had first is another by now.
    fs::rename(&spool, &new).unwrap();
    fs::rename(&own, &spool).unwrap();
    refused("there is another spool in the place of its own");
    assert_eq!(asked(&scratch, &["spool", "lost", "earthquakes/files"])["done"], 1);
    let ran = asked(&scratch, &["run", "earthquakes.yaml", "--once", "--now"]);
    assert_eq!(ran["pipelines"][0]["destinations"][0]["delivered"], EVENTS, "{ran}");
}

#[test]
fn a_run_to_the_end_says_what_it_waits_for() {
    let scratch = earthquakes("{ schedule: 0 0 1 1 * }", "");
    let log = fs::File::create(scratch.path("log")).unwrap();
    let wharf = scratch.wharf(&["run", "earthquakes.yaml", "--once"]);
    let mut host = wharf.unwrap().stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let told = |line: &str| line.contains("-01-01T00:00:00.000Z, when the schedule has what is in its spool go out");
    for _ in 0..600 {
        if fs::read_to_string(scratch.path("log")).unwrap().lines().any(told) {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    host.kill().unwrap();
    host.wait().unwrap();
    let log = fs::read_to_string(scratch.path("log")).unwrap();
    assert_eq!(log.lines().filter(|line| told(line)).count(), 1, "{log}");
}

#[test]
fn a_host_that_is_killed_again_and_again_delivers_every_event_once() {
    let kills = if long() { 50 } else { 5 };
    // Slow enough that kills meet it at all stages.
    let scratch = earthquakes("{ schedule: realtime }", ", rate: 1000");
    assert_eq!(scratch.run(&["check", "earthquakes.yaml"]).unwrap().code, Some(0));
    for _ in 0..kills {
        let wharf = scratch.wharf(&["run", "earthquakes.yaml", "--once"]);
        let mut host = wharf.unwrap().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(100 + RandomState::new().build_hasher().finish() % 1200));
        host.kill().unwrap();
        host.wait().unwrap();
    }
    let ran = scratch.run(&["run", "earthquakes.yaml", "--once", "--output", "json"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let summary = &ran.json().unwrap()["pipelines"][0];
    let destination = &summary["destinations"][0];
    let count = |of: &serde_json::Value| of.as_u64().unwrap();
    let came = count(&summary["read"]) + count(&summary["carried"]) + count(&destination["spool"]["before"]);
    assert_eq!(came, count(&destination["delivered"]) + count(&destination["spool"]["known"]), "{summary}");
    assert_eq!(destination["pending"], 0);
    assert!(sorted(arrived(&scratch).0) == sorted(sent(&scratch)), "what arrived is not what was read, each once");
}

#[test]
fn what_does_nothing_for_files_is_refused_and_so_are_files_for_who_takes_none() {
    let scratch = earthquakes("{ schedule: realtime }", "");
    let file = fs::read_to_string(scratch.path("earthquakes.yaml")).unwrap();
    let check = |file: &str| {
        scratch.write("wrong.yaml", file).unwrap();
        let checked = scratch.run(&["check", "wrong.yaml"]).unwrap();
        assert_eq!(checked.code, Some(2), "{}", checked.stdout);
        checked.stderr
    };
    for key in ["parallel: 2", "rate: { records: 5 }", "isolation: batch", "best-effort: true"] {
        let told = check(&file.replace("        bulk:", &format!("        {key}\n        bulk:")));
        let name = key.split(':').next().unwrap();
        // It stands where the block of files stood, a line above that.
        let line = 1 + file.lines().position(|line| line.starts_with("        bulk:")).unwrap();
        let told_so = format!("`{name}` does nothing where records go out as files\n  at wrong.yaml:{line}:9\n");
        assert!(told.contains(&told_so), "{told}");
    }
    let other = component("wharf-discard").unwrap().display().to_string();
    let told = check(&file.replace(&component("wharf-bulk-file").unwrap().display().to_string(), &other));
    assert!(told.contains("discard 0.1.0 takes records as they come, and no files") && told.contains("wrong.yaml:10:"), "{told}");
}

/// A folder with five lines and a pipeline `run` that has them uploaded to a scripted far side.
fn scripted(settings: &str, bulk: &str, more: &str) -> Scratch {
    let scratch = Scratch::new().unwrap();
    scratch.write("records.txt", "a\nb\nc\nd\ne\n").unwrap();
    fs::create_dir(scratch.path("journal")).unwrap();
    let file = format!(
        "version: 1
pipelines:
  - id: run
    source: {{ kind: file, path: records.txt, format: lines }}
    destinations:
      - id: leads
        component: {}
        settings: {settings}
        grants: {{ directories: [ {{ host: journal, guest: /journal, access: read-write }} ] }}
        bulk: {bulk}
{more}",
        component("guest-uploads").unwrap().display()
    );
    scratch.write("run.yaml", file).unwrap();
    scratch
}

fn asked(scratch: &Scratch, arguments: &[&str]) -> Value {
    let ran = scratch.run(&[arguments, &["--output", "json"]].concat()).unwrap();
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.stderr);
    ran.json().unwrap()
}

#[test]
fn an_upload_that_waits_for_a_person_is_shown_and_abandoned() {
    let scratch = scripted("{ poll: fail=rejected }", "{ schedule: realtime }", "");
    let ran = scratch.run(&["run", "run.yaml", "--once", "--output", "json"]).unwrap();
    let destination = &ran.json().unwrap()["pipelines"][0]["destinations"][0];
    assert_eq!((ran.code, &destination["pending"]), (Some(1), &5.into()), "{}", ran.stderr);
    let held = ran.stderr.lines().find(|line| line.contains("it waits for a person")).unwrap();
    assert!(["run", "leads", "load"].iter().all(|word| held.contains(&format!("\"{word}\""))), "{held}");
    let listed = &asked(&scratch, &["uploads", "list"])["uploads"][0];
    assert_eq!((&listed["id"], &listed["state"], &listed["open"]), (&1.into(), &"held".into(), &5.into()), "{listed}");
    assert!(listed["reason"].as_str().unwrap().starts_with("rejected: "), "{listed}");
    let shown = scratch.run(&["uploads", "show", "run/leads", "1"]).unwrap();
    assert!(
        shown.stdout.contains("state        held\n") && shown.stdout.contains("records      5, of them 5 not settled\n"),
        "{}",
        shown.stdout
    );
    for (wrong, told) in [
        (["uploads", "abandon", "run/leads", "7"], "run/leads has no upload 7"),
        (["uploads", "abandon", "run/lead", "1"], "did you mean `run/leads`?"),
        (["uploads", "abandon", "run", "1"], "name the destination as PIPELINE/DESTINATION"),
    ] {
        let refused = scratch.run(&wrong).unwrap();
        assert!(refused.code == Some(2) && refused.stderr.contains(told), "{}", refused.stderr);
    }
    assert_eq!(asked(&scratch, &["uploads", "abandon", "run/leads", "1"])["done"], 1);
    let letters = asked(&scratch, &["dead-letters", "list", "--kind", "abandoned"]);
    assert_eq!(letters["dead_letters"].as_array().map(Vec::len), Some(5), "{letters}");
    let again = scratch.run(&["run", "run.yaml", "--once", "--output", "json"]).unwrap();
    assert_eq!((again.code, &again.json().unwrap()["pipelines"][0]["destinations"][0]["pending"]), (Some(0), &0.into()));
    assert!(asked(&scratch, &["uploads", "list"])["uploads"].as_array().unwrap().is_empty());
}

#[test]
fn of_what_an_upload_gives_up_the_log_has_the_first_five() {
    let rejected: Vec<String> = (0..8).map(|line| format!("{line}-{}=rejected", line + 1)).collect();
    let scratch = scripted(&format!("{{ poll: '{}' }}", rejected.join(" ")), "{ schedule: realtime }", "");
    scratch.write("records.txt", "a\nb\nc\nd\ne\nf\ng\nh\n").unwrap();
    let ran = scratch.run(&["run", "run.yaml", "--once", "--now", "--output", "json", "--log-format", "json"]).unwrap();
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert_eq!(ran.json().unwrap()["pipelines"][0]["destinations"][0]["dead_lettered"], 8);
    let events = ran.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let given: Vec<Value> =
        events.filter(|event| event["message"].as_str().unwrap_or_default().starts_with("given up: rejected: ")).collect();
    for event in &given {
        let whose = ["pipeline", "destination", "action"].map(|field| event[field].as_str().unwrap_or_default());
        assert_eq!((whose, &event["records"]), (["run", "leads", "load"], &1.into()), "{event}");
    }
    let first: Vec<_> = given.iter().map(|event| event["sequence"].as_u64()).collect();
    // Each line is of two bytes.
    assert_eq!(first, (0..5).map(|line| Some(line * 2)).collect::<Vec<_>>(), "{}", ran.stderr);
}

#[test]
fn a_destination_that_an_upload_paused_is_paused_in_the_summary_and_says_when_it_is_tried_again() {
    let scratch = scripted("{ poll: fail=fatal }", "{ schedule: realtime }", "");
    let ran = scratch.run(&["run", "run.yaml", "--once", "--now", "--output", "json", "--log-format", "json"]).unwrap();
    let destination = &ran.json().unwrap()["pipelines"][0]["destinations"][0];
    assert_eq!((ran.code, &destination["pending"]), (Some(1), &5.into()), "{}", ran.stderr);
    assert!(destination["paused"].as_str().unwrap_or_default().starts_with("fatal: "), "{destination:#}");
    let events = ran.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told: Vec<String> = events.filter_map(|event| event["message"].as_str().map(str::to_owned)).collect();
    assert!(told.iter().any(|line| line.starts_with("paused, to be tried again in 300s: fatal: ")), "{told:#?}");
    // A pause of five minutes has begun just before.
    let again = told.iter().find_map(|line| line.split_once("; tried again in ")).unwrap().1;
    let seconds: f64 = again.trim_end_matches('s').parse().unwrap();
    assert!(seconds > 60.0, "{again}");
}

/// No file may grow any more, as on a disk that is full; then it may again.
#[test]
fn uploads_that_cannot_be_noted_have_their_pipeline_stall_until_they_can() {
    let polls = vec!["again=1000"; 500].join(";");
    let scratch = scripted(&format!("{{ poll: {polls} }}"), "{ schedule: realtime }", "");
    let wharf = scratch.wharf(&["run", "run.yaml", "--output", "json"]).unwrap();
    // Who ignores the signal is told by the call, as of a full disk.
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#]).arg(wharf.get_program()).args(wharf.get_args());
    limited.current_dir(scratch.path("")).env_remove("WHARF_LOG").env("WHARF_CACHE_DIR", wharf_tests::cache().unwrap());
    let running = limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(running.id().cast_signed()).unwrap();
    let until = |so: &dyn Fn(&Value) -> bool| {
        for _ in 0..2400 {
            let status = scratch.run(&["status", "--output", "json"]).unwrap();
            let pipeline = status.json().unwrap_or_default()["pipelines"][0].clone();
            if so(&pipeline) {
                return pipeline;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("it never came to be");
    };
    // Nothing is left that its own store has to keep.
    until(&|pipeline| pipeline["state"] == "running" && pipeline["destinations"][0]["pending"] == 5);
    until(&|_| asked(&scratch, &["uploads", "list"])["uploads"][0]["state"] == "working");
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: Some(1), maximum: None }).unwrap();
    let stalled = until(&|pipeline| pipeline["why"].is_string());
    let why = stalled["why"].as_str().unwrap();
    assert!(why.starts_with("stalled: cannot ") && why.contains("spool.db"), "{stalled:#}");
    assert!(stalled["hint"].as_str().unwrap().contains("make room in the data directory"), "{stalled:#}");
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
    until(&|pipeline| pipeline["state"] == "running" && pipeline["why"].is_null());
    kill_process(pid, Signal::TERM).unwrap();
    let ended = wharf_tests::Ran::from(running.wait_with_output().unwrap());
    assert!(ended.stderr.contains("uploads go on in"), "{}", ended.stderr);
}

#[test]
fn what_a_running_host_holds_is_asked_for_again_and_what_failed_is_retried_when_a_person_says_so() {
    let retry = "        retry: { min-delay: 1d, max-delay: 1d }\n";
    let scratch = scripted("{ upload: '0-2=transient ~2-5', poll: fail=rejected }", "{ schedule: realtime }", retry);
    let mut host = Host::start(&scratch, "run.yaml").unwrap();
    host.until(|host| Ok(host.ask(&["uploads", "list"])?["uploads"][0]["state"] == "held")).unwrap();
    let status = host.ask(&["spool", "status"]).unwrap();
    assert_eq!(status["spools"][0]["records"], serde_json::json!({"failed": 2, "uploading": 3}), "{status}");
    let records = host.ask(&["spool", "records", "run/leads"]).unwrap();
    let failed = &records["records"][0];
    assert_eq!((&failed["start"], &failed["end"], &failed["attempts"]), (&0.into(), &2.into(), &1.into()), "{records}");
    assert_eq!((&records["records"][1]["state"], &records["records"][1]["upload"]), (&"uploading".into(), &1.into()));
    // What is in an upload can only be decided about with it.
    assert_eq!(host.ask(&["spool", "discard", "run/leads", "--state", "uploading"]).unwrap()["done"], 0);
    assert_eq!(host.ask(&["uploads", "ask", "run/leads", "1"]).unwrap()["done"], 1);
    host.delivered("run", 0, 3).unwrap();
    assert_eq!(host.ask(&["spool", "retry", "run/leads"]).unwrap()["done"], 2);
    host.delivered("run", 0, 5).unwrap();
    host.signal("TERM").unwrap();
    assert_eq!(host.ended().unwrap().code, Some(0));

    // What begins anew is taken anew, although the spool has had it.
    asked(&scratch, &["checkpoints", "reset", "run"]);
    let again = asked(&scratch, &["run", "run.yaml", "--once"]);
    let (read, destination) = (&again["pipelines"][0]["read"], &again["pipelines"][0]["destinations"][0]);
    assert_eq!((read, &destination["delivered"], &destination["spool"]["known"]), (&5.into(), &5.into(), &0.into()), "{again}");
}

#[test]
fn what_waits_is_given_up_and_sent_again_from_the_dead_letters() {
    let scratch = scripted("{}", "{ schedule: 0 0 1 1 * }", "");
    let mut host = Host::start(&scratch, "run.yaml").unwrap();
    host.until(|host| Ok(host.status("run")?["destinations"][0]["pending"] == 5)).unwrap();
    let refused = scratch.run(&["spool", "discard", "run/leads"]).unwrap();
    assert!(
        refused.code == Some(2) && refused.stderr.contains("which records are to be given up is not said"),
        "{}",
        refused.stderr
    );
    assert_eq!(host.ask(&["spool", "discard", "run/leads", "--state", "waiting"]).unwrap()["done"], 5);
    host.until(|host| Ok(host.status("run")?["destinations"][0]["dead_lettered"] == 5)).unwrap();
    host.signal("TERM").unwrap();
    host.ended().unwrap();
    let replayed = scratch.run(&["dead-letters", "replay", "run.yaml", "--output", "json"]).unwrap();
    let destination = &replayed.json().unwrap()["pipelines"][0]["destinations"][0];
    assert_eq!(
        (replayed.code, &destination["delivered"], &destination["pending"]),
        (Some(0), &5.into(), &0.into()),
        "{}",
        replayed.stderr
    );
    assert!(asked(&scratch, &["dead-letters", "list"])["dead_letters"].as_array().unwrap().is_empty());
}

#[test]
fn an_upload_stays_with_the_component_that_made_it_when_another_takes_its_place() {
    let scratch = scripted("{ poll: again=1000;again=1000 }", "{ schedule: realtime }", "");
    let component = fs::read(component("guest-uploads").unwrap()).unwrap();
    scratch.write("leads.wasm", &component).unwrap();
    let file = fs::read_to_string(scratch.path("run.yaml")).unwrap();
    let line = file.lines().find(|line| line.trim_start().starts_with("component:")).unwrap();
    scratch.write("run.yaml", file.replace(line, "        component: leads.wasm")).unwrap();
    let mut host = Host::start(&scratch, "run.yaml").unwrap();
    host.until(|host| Ok(host.ask(&["uploads", "list"])?["uploads"][0]["state"] == "working")).unwrap();
    host.signal("TERM").unwrap();
    host.ended().unwrap();
    let digest = || {
        let told = asked(&scratch, &["inspect", "leads.wasm"]);
        told["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned()
    };
    let first = digest();
    let upload = &asked(&scratch, &["uploads", "list"])["uploads"][0];
    assert_eq!(upload["component"], first, "{upload}");

    // The same with a custom section behind it: another digest.
    scratch.write("leads.wasm", [component.as_slice(), b"\x00\x05\x04more"].concat()).unwrap();
    let second = digest();
    assert_ne!(first, second);
    let copies = || {
        let copies = fs::read_dir(scratch.path(".wharf/spool/run/leads/components")).unwrap();
        let mut copies: Vec<_> = copies.map(|copy| copy.unwrap().file_name().into_string().unwrap()).collect();
        copies.sort();
        copies
    };
    let named = |digest: &str| format!("{digest}.wasm");
    let ran = asked(&scratch, &["run", "run.yaml", "--once"]);
    assert_eq!(ran["pipelines"][0]["destinations"][0]["delivered"], 5, "{ran}");
    let mut both = vec![named(&first), named(&second)];
    both.sort();
    assert_eq!(copies(), both);
    // Nothing is left that it is kept for.
    asked(&scratch, &["run", "run.yaml", "--once"]);
    assert_eq!(copies(), [named(&second)]);
}

#[test]
fn a_spool_that_is_full_has_the_source_wait_and_says_so() {
    let scratch = earthquakes("{ schedule: 0 0 1 1 *, spool: { max-bytes: 64KiB } }", "");
    let mut host = Host::start(&scratch, "earthquakes.yaml").unwrap();
    host.until(|host| Ok(host.status("earthquakes")?["destinations"][0]["state"] == "waiting")).unwrap();
    let status = host.status("earthquakes").unwrap();
    let (destination, read) = (&status["destinations"][0], status["read"].as_u64().unwrap());
    let why = destination["why"].as_str().unwrap();
    assert!(why.contains("spool.db would take ") && why.ends_with(" bytes, and may take 64KiB"), "{why}");
    assert!(read < EVENTS && destination["pending"] == read, "{status}");
    host.signal("TERM").unwrap();
    assert_eq!(host.ended().unwrap().code, Some(1));
    let now = asked(&scratch, &["run", "earthquakes.yaml", "--once", "--now"]);
    let destination = &now["pipelines"][0]["destinations"][0];
    assert_eq!((&destination["pending"], &destination["spool"]["pending"]), (&0.into(), &0.into()), "{now}");
    assert!(sorted(arrived(&scratch).0) == sorted(sent(&scratch)), "what arrived is not what was read, each once");
}

#[test]
fn a_million_records_go_into_the_spool_and_out_again_in_little_memory() {
    let scratch = Scratch::new().unwrap();
    fs::create_dir(scratch.path("out")).unwrap();
    let file = format!(
        "version: 1
pipelines:
  - id: million
    source: {{ kind: generator, count: 1000000, size: 250 }}
    destinations:
      - id: files
        component: {}
        grants: {{ directories: [ {{ host: out, guest: /out, access: read-write }} ] }}
        bulk: {{ schedule: 0 0 1 1 * }}
",
        component("wharf-bulk-file").unwrap().display()
    );
    scratch.write("million.yaml", file).unwrap();
    // All of it goes in, and then all of it out.
    let mut host = Host::start(&scratch, "million.yaml").unwrap();
    host.until(|host| Ok(host.status("million")?["destinations"][0]["pending"] == MILLION)).unwrap();
    let taking = host.peak_memory().unwrap();
    host.signal("TERM").unwrap();
    let ended = host.ended().unwrap();
    assert_eq!(ended.json().unwrap()["pipelines"][0]["destinations"][0]["pending"], MILLION, "{}", ended.stderr);

    let out = fs::File::create(scratch.path("stdout")).unwrap();
    let mut wharf = scratch.wharf(&["run", "million.yaml", "--once", "--now", "--output", "json"]).unwrap();
    let mut host = wharf.stdout(out).stderr(Stdio::null()).spawn().unwrap();
    let mut giving = 0;
    while host.try_wait().unwrap().is_none() {
        giving = peak_memory(host.id()).unwrap_or(giving);
        thread::sleep(Duration::from_millis(20));
    }
    let summary: Value = serde_json::from_slice(&fs::read(scratch.path("stdout")).unwrap()).unwrap();
    let destination = &summary["pipelines"][0]["destinations"][0];
    assert_eq!((&destination["delivered"], &destination["spool"]["before"]), (&MILLION.into(), &MILLION.into()), "{destination}");
    assert_eq!(arrived(&scratch).0.len() as u64, MILLION);
    for most in [taking, giving] {
        assert!(most > 0 && most <= 200 << 20, "it took {} MiB", most >> 20);
    }
}
