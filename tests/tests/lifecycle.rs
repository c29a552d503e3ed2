//! What destinations are told of their life: that a pipeline gained, changed or lost them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{fs, process::Stdio, thread, time::Duration};

use wharf_tests::{Scratch, component, host::Host};

/// A folder with a pipeline into a destination that writes down what it is told, and into one that does not.
fn folder(settings: &str, more: &str) -> Scratch {
    let scratch = Scratch::new().unwrap();
    fs::create_dir(scratch.path("out")).unwrap();
    scratch.write("records.txt", "a\nb\n").unwrap();
    file(&scratch, settings, more);
    scratch
}

fn file(scratch: &Scratch, settings: &str, more: &str) {
    let file = format!(
        "version: 1
pipelines:
  - id: shop
    source: {{ kind: file, path: 'records*.txt', format: lines }}
    destinations:
      - {{ id: other, component: {} }}
      - id: told
        component: {}
        settings: {{ {settings} }}
        grants: {{ directories: [ {{ host: out, guest: /out, access: read-write }} ] }}
        outage: {{ min-delay: 10ms, max-delay: 50ms }}
{more}",
        component("wharf-discard").unwrap().display(),
        component("guest-told").unwrap().display(),
    );
    scratch.write("shop.yaml", file).unwrap();
}

fn run(scratch: &Scratch) -> String {
    let ran = scratch.run(&["run", "shop.yaml"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.stderr
}

/// The lines of the journal since it was looked at last, each event's id for itself.
fn journal(scratch: &Scratch) -> Vec<(String, String)> {
    let text = fs::read_to_string(scratch.path("out/journal")).unwrap_or_default();
    let _gone = fs::remove_file(scratch.path("out/journal"));
    let line = |line: &str| {
        let mut words: Vec<&str> = line.split(' ').collect();
        let event = if words.len() > 2 { words.remove(1) } else { "" };
        (words.join(" "), event.to_owned())
    };
    text.lines().map(line).collect()
}

fn told(scratch: &Scratch) -> Vec<String> {
    journal(scratch).into_iter().map(|(line, _)| line).collect()
}

/// What is kept of it on disk.
fn kept(scratch: &Scratch) -> String {
    fs::read_to_string(scratch.path(".wharf/lifecycle/shop/told.json")).unwrap()
}

#[test]
fn a_destination_is_told_that_it_is_created_changed_and_deleted_once_each() {
    let scratch = folder("topic: a, token: hunter2", "");
    run(&scratch);
    assert_eq!(told(&scratch), ["created topic=a token=hunter2", "open", "write 2"]);
    run(&scratch);
    assert!(!told(&scratch).iter().any(|line| line.contains("topic")), "it was told");

    file(&scratch, "topic: b, token: hunter2", "");
    run(&scratch);
    assert_eq!(told(&scratch)[0], "updated topic=b token=hunter2 before topic=a");
    // That a secret changed is seen, and not what it was.
    file(&scratch, "topic: b, token: hunter3", "");
    run(&scratch);
    assert_eq!(told(&scratch)[0], "updated topic=b token=hunter3 before topic=b");
    assert!(!kept(&scratch).contains("hunter"), "{}", kept(&scratch));

    // One that is only left out is not deleted.
    let whole = fs::read_to_string(scratch.path("shop.yaml")).unwrap();
    let without = whole.split("      - id: told").next().unwrap();
    scratch.write("shop.yaml", without).unwrap();
    run(&scratch);
    assert!(told(&scratch).is_empty());

    file(&scratch, "topic: b, token: hunter3", "        removed: true\n");
    scratch.write("records-2.txt", "c\n").unwrap();
    run(&scratch);
    assert_eq!(told(&scratch), ["deleted topic=b token=hunter3"], "and it gets no records");
    run(&scratch);
    assert!(told(&scratch).is_empty(), "it was told");

    // It may come back.
    file(&scratch, "topic: b, token: hunter3", "");
    run(&scratch);
    assert_eq!(told(&scratch)[0], "created topic=b token=hunter3");
}

#[test]
fn what_was_not_answered_is_told_again_with_the_same_event() {
    for act in ["transient;transient;", "trap;"] {
        let scratch = folder("topic: a", "");
        scratch.write("out/then", act).unwrap();
        run(&scratch);
        let lines = journal(&scratch);
        let created: Vec<_> = lines.iter().filter(|(line, _)| line.starts_with("created")).collect();
        assert_eq!(created.len(), act.matches(';').count() + 1, "{lines:?}");
        assert!(created.iter().all(|(_, event)| *event == created[0].1 && event.len() == 32), "{created:?}");
        assert_eq!(lines[created.len()].0, "open", "it is opened once it has answered");
        file(&scratch, "topic: b", "");
        run(&scratch);
        assert_ne!(journal(&scratch)[0].1, created[0].1, "another event has another id");
    }
}

#[test]
fn a_host_that_is_killed_between_the_call_and_its_note_tells_it_again() {
    let scratch = folder("topic: a", "");
    let events = |what: &str| -> Vec<String> {
        let text = fs::read_to_string(scratch.path("out/journal")).unwrap_or_default();
        text.lines().filter(|line| line.starts_with(what)).map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect()
    };
    let killed_at = |what: &str| {
        // It has heard of it, and its answer does not come.
        scratch.write("out/then", "wait;").unwrap();
        let before = events(what).len();
        let mut host = scratch.wharf(&["run", "shop.yaml"]).unwrap().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Not before it has read its script: what is left of that would be for the next run.
        while events(what).len() == before || !fs::read_to_string(scratch.path("out/then")).unwrap().is_empty() {
            assert!(host.try_wait().unwrap().is_none(), "it ended and was not told: {what}");
            thread::sleep(Duration::from_millis(20));
        }
        host.kill().unwrap();
        host.wait().unwrap();
    };
    killed_at("created");
    killed_at("created");
    // Settings that change meanwhile are told behind it.
    file(&scratch, "topic: b", "");
    run(&scratch);
    let created = events("created");
    assert!(created.len() == 3 && created.iter().all(|event| *event == created[0]), "{created:?}");
    assert_eq!(events("updated").len(), 1);

    file(&scratch, "topic: c", "");
    // Without a record for it the run may end before it is told, and leave that to the next.
    scratch.write("records-2.txt", "c\n").unwrap();
    killed_at("updated");
    run(&scratch);
    let updated = events("updated");
    assert!(updated.len() == 3 && updated[1] == updated[2] && updated[0] != updated[1], "{updated:?}");

    file(&scratch, "topic: c", "        removed: true\n");
    killed_at("deleted");
    run(&scratch);
    let deleted = events("deleted");
    assert!(deleted.len() == 2 && deleted[0] == deleted[1], "{deleted:?}");
}

#[test]
fn a_call_that_does_harm_ends_its_instance_and_nothing_else() {
    let limits = "        limits: { memory: 32MiB, time: { created: 1s, updated: 1s, deleted: 1s } }\n";
    for act in ["loop;", "memory;", "flood;"] {
        // One that says too much has used up its share of the log, which is short of what became of it, too.
        let says = |log: &str, what: &str| act == "flood;" || log.contains(&format!("{what} ended its instance"));
        let scratch = folder("topic: a", limits);
        scratch.write("out/then", act).unwrap();
        let log = run(&scratch);
        assert!(says(&log, "created"), "{act} {log:.2000}");
        assert_eq!(told(&scratch), ["created topic=a token=none", "created topic=a token=none", "open", "write 2"], "{act}");

        for (what, settings, more) in
            [("updated", "topic: b", String::new()), ("deleted", "topic: b", "        removed: true\n".to_owned())]
        {
            file(&scratch, settings, &format!("{limits}{more}"));
            scratch.write("out/then", act).unwrap();
            scratch.write(&format!("records-{what}.txt"), "c\n").unwrap();
            let log = run(&scratch);
            assert!(says(&log, what), "{act} {log:.2000}");
            let lines = told(&scratch);
            assert_eq!(lines.iter().filter(|line| line.starts_with(what)).count(), 2, "{act} {lines:?}");
        }
    }
}

#[test]
fn a_fatal_answer_pauses_the_destination_and_not_the_pipeline() {
    let scratch = folder("topic: a", "        best-effort: true\n");
    scratch.write("out/then", "fatal;".repeat(20)).unwrap();
    let ran = scratch.run(&["run", "shop.yaml", "--output", "json"]).unwrap();
    let destinations = ran.json().unwrap()["pipelines"][0]["destinations"].clone();
    assert_eq!((&destinations[0]["id"], &destinations[0]["delivered"]), (&"other".into(), &2.into()), "{destinations}");
    assert_eq!(destinations[1]["delivered"], 0, "{destinations}");
    assert!(ran.stderr.contains("created: the script says so"), "{}", ran.stderr);
    assert!(told(&scratch).iter().all(|line| line.starts_with("created")), "no session was opened");
}

#[test]
fn what_a_removed_destination_is_owed_is_decided_about_first() {
    let scratch = folder("topic: a", "");
    scratch.write("out/then", "fatal;".repeat(20)).unwrap();
    let ran = scratch.run(&["run", "shop.yaml"]).unwrap();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    file(&scratch, "topic: a", "        removed: true\n");
    let refused = scratch.run(&["run", "shop.yaml"]).unwrap();
    assert!(refused.code == Some(2) && refused.stderr.contains("told"), "{}", refused.stderr);
}

#[test]
fn what_waits_in_the_spool_of_a_removed_destination_is_decided_about_first() {
    let bulk = "        bulk: { schedule: 0 0 1 1 * }\n";
    let scratch = folder("topic: a", bulk);
    let mut host = Host::start(&scratch, "shop.yaml").unwrap();
    host.until(|host| Ok(host.status("shop")?["destinations"][1]["pending"] == 2)).unwrap();
    let removed = format!("{bulk}        removed: true\n");
    file(&scratch, "topic: a", &removed);
    // A reload refuses it, and so does a start after a crash.
    let refusals = [scratch.run(&["reload"]).unwrap(), {
        host.signal("KILL").unwrap();
        drop(host);
        scratch.run(&["run", "shop.yaml", "--once", "--now"]).unwrap()
    }];
    for refused in refusals {
        assert!(matches!(refused.code, Some(1 | 2)), "{}", refused.stderr);
        for due in
            ["destination told is removed, and 2 records in its spool have reached no end", "wharf spool discard shop/told --all"]
        {
            assert!(refused.stderr.contains(due), "{due}: {}", refused.stderr);
        }
    }
    let refused = scratch.run(&["check", "shop.yaml"]).unwrap();
    assert!(refused.code == Some(2) && refused.stderr.contains("shop.yaml:7:9"), "{}", refused.stderr);
    told(&scratch);

    let ran = scratch.run(&["spool", "discard", "shop/told", "--all"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    run(&scratch);
    assert_eq!(told(&scratch), ["deleted topic=a token=none"]);
}

#[test]
fn a_pipeline_of_which_all_destinations_are_removed_reads_nothing_and_tells_them() {
    let scratch = folder("topic: a", "");
    run(&scratch);
    told(&scratch);
    file(&scratch, "topic: a", "        removed: true\n");
    let text = fs::read_to_string(scratch.path("shop.yaml")).unwrap();
    let all = text.replace("{ id: other,", "{ id: other, removed: true,");
    scratch.write("shop.yaml", &all).unwrap();
    // What it read may be gone by then.
    let (file_read, away) = (scratch.path("records.txt"), scratch.path("away"));
    fs::rename(&file_read, &away).unwrap();
    let checked = scratch.run(&["check", "shop.yaml"]).unwrap();
    let expected = "shop: ready, and reads nothing: all of its destinations are removed\n  other: removed; it is not told, since it does not ask to be\n  \
                    told: removed, and told so\n";
    assert_eq!((checked.code, &*checked.stdout), (Some(0), expected), "{}", checked.stderr);
    let checked = scratch.run(&["check", "shop.yaml", "--output", "json"]).unwrap().json().unwrap();
    assert_eq!(checked["pipelines"][0]["removed"], serde_json::json!(["other", "told"]));
    run(&scratch);
    assert_eq!(told(&scratch), ["deleted topic=a token=none"]);
    // Nothing was taken for dealt with: who comes later gets all of it.
    fs::write(&away, "a\nb\nc\n").unwrap();
    fs::rename(&away, &file_read).unwrap();
    run(&scratch);
    assert!(told(&scratch).is_empty(), "it was told");
    file(&scratch, "topic: a", "");
    run(&scratch);
    assert_eq!(told(&scratch), ["created topic=a token=none", "open", "write 1"]);
}

#[test]
fn one_that_takes_files_is_told_as_well() {
    let bulk = "        bulk: { schedule: '@every 1h' }\n";
    let scratch = folder("topic: a", bulk);
    let run = |scratch: &Scratch| {
        let ran = scratch.run(&["run", "shop.yaml", "--once", "--now"]).unwrap();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    };
    run(&scratch);
    assert_eq!(told(&scratch), ["created topic=a token=none", "upload 2"]);
    // Whether there is something to upload or not.
    file(&scratch, "topic: b", bulk);
    run(&scratch);
    assert_eq!(told(&scratch), ["updated topic=b token=none before topic=a"]);
    run(&scratch);
    assert!(told(&scratch).is_empty(), "it was told");
    // One that does not answer holds up its files until it has, and nothing else.
    file(&scratch, "topic: c", bulk);
    scratch.write("records-2.txt", "c\n").unwrap();
    scratch.write("out/then", "transient;trap;").unwrap();
    run(&scratch);
    let lines = journal(&scratch);
    let updated: Vec<_> = lines.iter().filter(|(line, _)| line.starts_with("updated")).collect();
    assert!(updated.len() == 3 && updated.iter().all(|(_, event)| *event == updated[0].1), "{lines:?}");
    assert_eq!(lines.last().unwrap().0, "upload 1", "{lines:?}");

    file(&scratch, "topic: c", &format!("{bulk}        removed: true\n"));
    scratch.write("records-3.txt", "d\n").unwrap();
    run(&scratch);
    assert_eq!(told(&scratch), ["deleted topic=c token=none"]);
}

#[test]
fn a_running_host_tells_what_a_reload_brings() {
    for more in ["", "        bulk: { schedule: realtime }\n"] {
        let scratch = folder("topic: a", more);
        let following = |scratch: &Scratch| {
            let text = fs::read_to_string(scratch.path("shop.yaml")).unwrap();
            scratch.write("shop.yaml", text.replace("format: lines }", "format: lines, follow: true }")).unwrap();
        };
        let whole = fs::read_to_string(scratch.path("shop.yaml")).unwrap();
        let without = whole.split("      - id: told").next().unwrap();
        scratch.write("shop.yaml", without).unwrap();
        following(&scratch);
        let mut host = Host::start(&scratch, "shop.yaml").unwrap();
        let lifecycle = |scratch: &Scratch| -> Vec<String> {
            let text = fs::read_to_string(scratch.path("out/journal")).unwrap_or_default();
            let words = |line: &str| {
                line.split(' ').enumerate().filter(|(at, _)| *at != 1).map(|(_, word)| word.to_owned()).collect::<Vec<_>>()
            };
            text.lines().filter(|line| line.contains("topic=")).map(|line| words(line).join(" ")).collect()
        };
        let mut expected: Vec<&str> = Vec::new();
        for (settings, removed, event) in [
            ("topic: a", "", "created topic=a token=none"),
            ("topic: b", "", "updated topic=b token=none before topic=a"),
            ("topic: b", "        removed: true\n", "deleted topic=b token=none"),
            ("topic: b", "", "created topic=b token=none"),
        ] {
            file(&scratch, settings, &format!("{more}{removed}"));
            following(&scratch);
            host.ask(&["reload"]).unwrap();
            expected.push(event);
            host.until(|_| Ok(lifecycle(&scratch).len() >= expected.len())).unwrap();
            assert_eq!(lifecycle(&scratch), expected);
            // One that is owed records cannot be removed.
            host.until(|host| {
                let status = host.status("shop")?;
                Ok(status["destinations"].as_array().into_iter().flatten().all(|one| one["pending"] == 0))
            })
            .unwrap();
            // The same file once more tells nothing.
            assert_eq!(host.ask(&["reload"]).unwrap()["unchanged"], serde_json::json!(["shop"]));
        }
        host.signal("TERM").unwrap();
        host.ended().unwrap();
        assert_eq!(lifecycle(&scratch), expected);
    }
}
