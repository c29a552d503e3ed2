//! A destination with several actions, some written to at once, some when their time has come, and some given files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    process::Stdio,
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use wharf_tests::{Scratch, component, host::Host, long};

/// Records of each kind.
const EACH: u64 = 60;

const KINDS: [&str; 4] = ["note", "digest", "letter", "parcel"];

/// A folder with records of each kind, in turn, and a pipeline that has them go to their actions.
fn desk(source: &str, more: &str, odd: &str) -> Scratch {
    let scratch = Scratch::new().unwrap();
    fs::create_dir(scratch.path("out")).unwrap();
    let line = |number: u64| {
        let kind = KINDS[(number % 4) as usize];
        let says = if number / 4 == 7 { odd } else { "" };
        format!("{{\"kind\":\"{kind}\",\"number\":{number},\"says\":\"{says}\"}}\n")
    };
    scratch.write("records.ndjson", (0..EACH * 4).map(line).collect::<String>()).unwrap();
    let file = format!(
        "version: 1
pipelines:
  - id: office
    source: {{ kind: file, path: records.ndjson{source} }}
    batch: {{ records: 50 }}
    dead-letters: {{ window: 0 }}
    destinations:
      - id: desk
        component: {}
        grants: {{ directories: [ {{ host: out, guest: /out, access: read-write }} ] }}
        retry: {{ min-delay: 1ms, max-delay: 10ms }}
        outage: {{ min-delay: 1ms, max-delay: 50ms }}
        routes:
          - {{ when: {{ pointer: /kind, equals: digest }}, action: digest }}
          - {{ when: {{ pointer: /kind, equals: letter }}, action: letter }}
          - {{ when: {{ pointer: /kind, equals: parcel }}, action: parcel }}
{more}",
        component("guest-desk").unwrap().display()
    );
    scratch.write("office.yaml", file).unwrap();
    scratch
}

/// The numbers of the records that came to an action, in the order of their files' names.
fn came(scratch: &Scratch, kind: &str) -> Vec<u64> {
    let mut files: Vec<_> = fs::read_dir(scratch.path("out")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_string_lossy().split('-').next() == Some(kind));
    files.sort();
    let texts = files.iter().map(|path| fs::read_to_string(path).unwrap());
    let number = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["kind"], kind, "it went to another action");
        record["number"].as_u64().unwrap()
    };
    texts.flat_map(|text| text.lines().map(number).collect::<Vec<_>>()).collect()
}

fn all(kind: usize) -> Vec<u64> {
    (0..EACH).map(|at| at * 4 + kind as u64).collect()
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

fn sorted_texts(texts: Vec<Option<&str>>) -> Vec<&str> {
    let mut texts: Vec<&str> = texts.into_iter().flatten().collect();
    texts.sort_unstable();
    texts
}

fn destination(summary: &Value) -> &Value {
    &summary["pipelines"][0]["destinations"][0]
}

#[test]
fn each_record_goes_to_the_action_of_its_route_and_the_accounts_add_up() {
    let scratch = desk("", "", "later");
    let ran = scratch.run(&["run", "office.yaml", "--once", "--now", "--output", "json"]).unwrap();
    let summary = ran.json().unwrap();
    let desk = destination(&summary);
    assert_eq!(ran.code, Some(0), "{}\n{desk:#}", ran.stderr);
    let total = EACH * 4;
    assert_eq!(
        (&desk["delivered"], &desk["pending"], &summary["pipelines"][0]["read"]),
        (&total.into(), &0.into(), &total.into())
    );
    // What is written keeps its order, also where one of them fails for now.
    assert_eq!((came(&scratch, "note"), came(&scratch, "digest")), (all(0), all(1)));
    assert_eq!((sorted(came(&scratch, "letter")), sorted(came(&scratch, "parcel"))), (all(2), all(3)));

    let again = scratch.run(&["run", "office.yaml", "--once", "--now", "--output", "json"]).unwrap();
    assert_eq!((again.code, &again.json().unwrap()["pipelines"][0]["read"]), (Some(0), &0.into()), "{}", again.stderr);
}

#[test]
fn what_an_action_rejects_is_a_dead_letter_whether_it_was_written_at_once_or_later() {
    let scratch = desk("", "", "refused");
    let ran = scratch.run(&["run", "office.yaml", "--once", "--now", "--output", "json"]).unwrap();
    let summary = ran.json().unwrap();
    let desk = destination(&summary);
    // What files are made of does not look at what a record says.
    let told = (&desk["delivered"], &desk["dead_lettered"], &desk["pending"]);
    assert_eq!((ran.code, told), (Some(3), (&(EACH * 4 - 2).into(), &2.into(), &0.into())), "{}\n{desk:#}", ran.stderr);
    let letters = scratch.run(&["dead-letters", "list", "--output", "json"]).unwrap().json().unwrap();
    let actions: Vec<_> = letters["dead_letters"].as_array().unwrap().iter().map(|letter| letter["action"].as_str()).collect();
    assert_eq!(sorted_texts(actions), ["digest", "note"], "{letters}");
    let shown = scratch.run(&["dead-letters", "list"]).unwrap().stdout;
    assert!(shown.contains(" desk/note ") && shown.contains(" desk/digest "), "{shown}");
    let id = letters["dead_letters"][0]["id"].to_string();
    let shown = scratch.run(&["dead-letters", "show", &id]).unwrap().stdout;
    assert!(shown.contains(&format!("\naction       {}\n", letters["dead_letters"][0]["action"].as_str().unwrap())), "{shown}");
    assert_eq!((came(&scratch, "note").len() as u64, came(&scratch, "digest").len() as u64), (EACH - 1, EACH - 1));
}

#[test]
fn what_is_given_up_on_its_way_into_a_spool_says_for_which_action_it_was() {
    let scratch = desk("", "        limits: { memory: 4MiB }\n", "");
    let long = "x".repeat(6 << 20);
    let says = |kind: &str, number: u64, says: &str| format!("{{\"kind\":\"{kind}\",\"number\":{number},\"says\":\"{says}\"}}\n");
    scratch.write("records.ndjson", says("parcel", 1, "") + &says("letter", 2, &long) + &says("note", 3, "")).unwrap();
    let ran = scratch.run(&["run", "office.yaml", "--once", "--now", "--output", "json"]).unwrap();
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let letters = scratch.run(&["dead-letters", "list", "--output", "json"]).unwrap().json().unwrap();
    let letter = &letters["dead_letters"][0];
    assert_eq!((&letter["kind"], &letter["action"]), (&"too-large".into(), &"letter".into()), "{}", ran.stderr);
    assert_eq!((came(&scratch, "note"), came(&scratch, "parcel")), (vec![3], vec![1]));
}

#[test]
fn each_action_keeps_to_its_own_schedule() {
    let more = "        actions:
          - { name: digest, schedule: 0 0 1 1 * }
          - { name: letter, schedule: realtime }
          - { name: parcel, schedule: 0 0 1 1 *, max-records: 60 }
";
    let scratch = desk("", more, "");
    let mut host = Host::start(&scratch, "office.yaml").unwrap();
    // Those of the digest alone wait for the first of January.
    host.until(|host| Ok(host.status("office")?["destinations"][0]["pending"] == EACH)).unwrap();
    host.until(|_| Ok(came(&scratch, "letter").len() as u64 == EACH && came(&scratch, "parcel").len() as u64 == EACH)).unwrap();
    assert_eq!((came(&scratch, "note"), came(&scratch, "digest").len()), (all(0), 0));
    host.signal("TERM").unwrap();
    host.ended().unwrap();
    let now = scratch.run(&["run", "office.yaml", "--once", "--now", "--output", "json"]).unwrap();
    assert_eq!((now.code, &destination(&now.json().unwrap())["delivered"]), (Some(0), &EACH.into()), "{}", now.stderr);
    assert_eq!(came(&scratch, "digest"), all(1));
}

#[test]
fn what_follows_a_record_goes_to_its_own_action_once_also_where_that_is_written_at_once() {
    let scratch = desk("", "", "thanks");
    let ran = scratch.run(&["run", "office.yaml", "--once", "--now", "--output", "json"]).unwrap();
    let summary = ran.json().unwrap();
    let desk = destination(&summary);
    assert_eq!(ran.code, Some(0), "{}\n{desk:#}", ran.stderr);
    // Of its record of each kind, the one that is a letter is followed by two.
    let told = (&desk["delivered"], &desk["pending"], &desk["follow_ups"]);
    assert_eq!(told, (&(EACH * 4 + 2).into(), &0.into(), &2.into()), "{desk:#}");
    let thanks = 7 * 4 + 2;
    for (at, kind) in [(0, "note"), (3, "parcel")] {
        assert_eq!(sorted(came(&scratch, kind)), sorted([all(at), vec![thanks]].concat()), "{kind}");
    }
}

/// What was told to an action: of which kind, what became of which number.
fn told(scratch: &Scratch, action: &str) -> Vec<(String, u64)> {
    let mut told = Vec::new();
    for entry in fs::read_dir(scratch.path("out")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().split('-').next() != Some(action) {
            continue;
        }
        for line in fs::read_to_string(path).unwrap().lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let says = record["says"].as_str().unwrap();
            if !says.contains("tell") {
                told.push((says.to_owned(), record["number"].as_u64().unwrap()));
            }
        }
    }
    told.sort();
    told
}

/// A desk whose records all have something told of them, and what is told in the end of that: to `parcel` and to `letter`.
fn telling(source: &str) -> (Scratch, [Vec<(String, u64)>; 2]) {
    telling_with(source, "")
}

fn telling_with(source: &str, more: &str) -> (Scratch, [Vec<(String, u64)>; 2]) {
    let scratch = desk(source, more, "");
    let (mut lines, mut parcels, mut letters) = (String::new(), Vec::new(), Vec::new());
    for number in 0..EACH * 4 {
        let kind = KINDS[(number % 4) as usize];
        let says = ["tell", "tell refused", "tell later"][(number / 4 % 3) as usize];
        lines.push_str(&format!("{{\"kind\":\"{kind}\",\"number\":{number},\"says\":\"{says}\"}}\n"));
        let became = if says.ends_with("refused") { "discarded" } else { "succeeded" };
        parcels.push((format!("{became} {kind}"), number));
        letters.extend(says.ends_with("later").then(|| (format!("failed {kind}"), number)));
    }
    scratch.write("records.ndjson", lines).unwrap();
    parcels.sort();
    letters.sort();
    (scratch, [parcels, letters])
}

#[test]
fn whatever_becomes_of_a_record_is_followed_once_whether_it_is_written_at_once_or_later_or_uploaded() {
    let (scratch, [parcels, letters]) = telling("");
    let ran = scratch.run(&["run", "office.yaml", "--once", "--now", "--output", "json"]).unwrap();
    let summary = ran.json().unwrap();
    let desk = destination(&summary);
    assert_eq!(ran.code, Some(3), "{}\n{desk:#}", ran.stderr);
    assert_eq!((told(&scratch, "parcel"), told(&scratch, "letter")), (parcels.clone(), letters.clone()), "{desk:#}");
    let follow_ups = (parcels.len() + letters.len()) as u64;
    let refused = EACH * 4 / 3;
    let figures = (&desk["follow_ups"], &desk["delivered"], &desk["dead_lettered"], &desk["pending"]);
    let expected = (&follow_ups.into(), &(EACH * 4 - refused + follow_ups).into(), &refused.into(), &0.into());
    assert_eq!(figures, expected, "{desk:#}");
    let stands = scratch.run(&["spool", "status", "--output", "json"]).unwrap().json().unwrap();
    let spool = &stands["spools"][0];
    let left = (&spool["follow_ups"], &spool["promised"], &spool["promised_bytes"]);
    assert_eq!(left, (&0.into(), &0.into(), &0.into()), "{spool:#}");
}

#[test]
fn a_record_whose_call_fails_as_a_whole_has_failed_for_what_is_to_follow() {
    for word in ["stumbles", "traps"] {
        let scratch = desk("", "", "");
        // The first has the others untried by the call that adds what is to follow them; with the second comes what fails as a whole.
        let says = ["tell later", &format!("tell {word}"), "tell", "nothing"];
        let line = |(number, says): (usize, &&str)| format!("{{\"kind\":\"note\",\"number\":{number},\"says\":\"{says}\"}}\n");
        scratch.write("records.ndjson", says.iter().enumerate().map(line).collect::<String>()).unwrap();
        let ran = scratch.run(&["run", "office.yaml", "--once", "--now", "--output", "json"]).unwrap();
        assert_eq!(ran.code, Some(0), "{word}: {}", ran.stderr);
        let all = |became: &str| (0..3).map(|number| (format!("{became} note"), number)).collect::<Vec<_>>();
        let told = (told(&scratch, "letter"), told(&scratch, "parcel"));
        assert_eq!(told, (all("failed"), all("succeeded")), "{word}: {}", ran.stderr);
        assert_eq!(came(&scratch, "note"), [0, 1, 2, 3], "{word}");
    }
}

#[test]
fn a_host_tells_of_follow_ups_while_it_runs() {
    // They wait for the first of January, and so does a record that has come to no end before its own.
    let more = "        actions:
          - { name: digest, schedule: realtime }
          - { name: letter, schedule: 0 0 1 1 * }
          - { name: parcel, schedule: 0 0 1 1 * }
";
    let (scratch, _) = telling_with("", more);
    let mut host = Host::start(&scratch, "office.yaml").unwrap();
    // Of notes and digests, which are written: each is delivered or given up, and a third fails before.
    let born = EACH * 2 + EACH * 2 / 3;
    host.until(|host| Ok(host.status("office")?["destinations"][0]["follow_ups"] == born)).unwrap();
    let stands = scratch.run(&["spool", "status", "--output", "json"]).unwrap().json().unwrap();
    let spool = &stands["spools"][0];
    let expected = (&(born + EACH * 2).into(), &born.into());
    assert_eq!((&spool["records"]["waiting"], &spool["follow_ups"]), expected, "{spool:#}");
    let words = scratch.run(&["spool", "status"]).unwrap().stdout;
    assert!(words.contains(&format!("{born} of the records are follow-ups")), "{words}");
    let words = scratch.run(&["status"]).unwrap().stdout;
    assert!(words.contains(&format!("{born} follow-ups")), "{words}");
    let metrics = host.metrics().unwrap();
    let of = r#"{pipeline="office",destination="desk"}"#;
    for sample in [format!("wharf_follow_ups_total{of} {born}"), format!("wharf_follow_ups_cut_total{of} 0")] {
        assert!(metrics.lines().any(|line| line == sample), "{sample} is not in {metrics}");
    }
    host.signal("TERM").unwrap();
    host.ended().unwrap();
}

#[test]
fn a_host_that_is_killed_has_each_outcome_followed_once() {
    let kills = if long() { 40 } else { 5 };
    let (scratch, [parcels, letters]) = telling(", rate: 200");
    assert_eq!(scratch.run(&["check", "office.yaml"]).unwrap().code, Some(0));
    for _ in 0..kills {
        let wharf = scratch.wharf(&["run", "office.yaml", "--once", "--now"]);
        let mut host = wharf.unwrap().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(100 + RandomState::new().build_hasher().finish() % 800));
        host.kill().unwrap();
        host.wait().unwrap();
    }
    let ran = scratch.run(&["run", "office.yaml", "--once", "--now", "--output", "json"]).unwrap();
    assert!(matches!(ran.code, Some(0 | 3)), "{}", ran.stderr);
    // A file that is uploaded again takes its own place: what is there twice was born twice.
    assert_eq!((told(&scratch, "parcel"), told(&scratch, "letter")), (parcels, letters), "{}", ran.stderr);
    let left = scratch.run(&["run", "office.yaml", "--once", "--now", "--output", "json"]).unwrap().json().unwrap();
    assert_eq!((&destination(&left)["follow_ups"], &destination(&left)["pending"]), (&0.into(), &0.into()), "{left:#}");
}

#[test]
fn a_dead_letter_goes_back_to_its_action_and_a_follow_up_to_the_one_that_it_was_born_for() {
    // A letter is followed by a note, which is refused. Notes that are read go elsewhere.
    let notes = "          - { when: { pointer: /kind, equals: note }, action: digest }\n";
    let scratch = desk("", notes, "thanks refused");
    let actions = || -> Vec<(String, String, (u64, u64))> {
        let letters = scratch.run(&["dead-letters", "list", "--output", "json"]).unwrap().json().unwrap();
        let told = |letter: &Value| {
            let text = |name: &str| letter[name].as_str().unwrap().to_owned();
            (
                text("action"),
                text("partition").split("file").next().unwrap().to_owned(),
                (letter["id"].as_u64().unwrap(), letter["attempts"].as_u64().unwrap()),
            )
        };
        let mut all: Vec<_> = letters["dead_letters"].as_array().unwrap().iter().map(told).collect();
        all.sort();
        all
    };
    let ran = scratch.run(&["run", "office.yaml", "--once", "--now", "--output", "json"]).unwrap();
    let first = actions();
    let named: Vec<_> = first.iter().map(|(action, partition, _)| (&**action, &**partition)).collect();
    // A note and a digest as they were read, both of which are routed to one action, and what follows the letter.
    assert_eq!((ran.code, named), (Some(3), vec![("digest", ""), ("digest", ""), ("note", "follow-up/note/")]), "{}", ran.stderr);
    let again = scratch.run(&["dead-letters", "replay", "office.yaml", "--output", "json"]).unwrap();
    assert_eq!(again.code, Some(3), "{}", again.stderr);
    let second = actions();
    let named =
        |all: &[(String, String, (u64, u64))]| all.iter().map(|(action, of, _)| (action.clone(), of.clone())).collect::<Vec<_>>();
    assert_eq!(named(&second), named(&first), "each was refused by the same action as before");
    // What waits in a queue again is given up anew, and has a number of its own then.
    assert!(second.iter().zip(&first).all(|(now, then)| now.2 > then.2), "{first:?} {second:?}");
}

#[test]
fn a_host_that_is_killed_loses_nothing_of_any_action() {
    let kills = if long() { 30 } else { 4 };
    let scratch = desk(", rate: 200", "", "later");
    assert_eq!(scratch.run(&["check", "office.yaml"]).unwrap().code, Some(0));
    for _ in 0..kills {
        let wharf = scratch.wharf(&["run", "office.yaml", "--once", "--now"]);
        let mut host = wharf.unwrap().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(100 + RandomState::new().build_hasher().finish() % 800));
        host.kill().unwrap();
        host.wait().unwrap();
    }
    let ran = scratch.run(&["run", "office.yaml", "--once", "--now", "--output", "json"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for (at, kind) in KINDS.iter().enumerate() {
        // What it had not noted when it was killed may come twice.
        let mut came = sorted(came(&scratch, kind));
        came.dedup();
        assert_eq!(came, all(at), "{kind}");
    }
}

/// The component with some of its actions' names put in the place of others, of the same length, wherever they stand in it.
fn renamed(scratch: &Scratch, names: &[(&str, &str)]) {
    let mut bytes = fs::read(component("guest-desk").unwrap()).unwrap();
    let mut found = vec![0; names.len()];
    let mut at = 0;
    while at < bytes.len() {
        let here = names.iter().position(|(from, _)| bytes[at..].starts_with(from.as_bytes()));
        if let Some((which, (from, to))) = here.map(|which| (which, names[which])) {
            bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
            found[which] += 1;
            at += from.len();
        } else {
            at += 1;
        }
    }
    assert!(found.iter().all(|count| *count > 0), "{found:?}");
    fs::write(scratch.path("desk.wasm"), bytes).unwrap();
    let described = scratch.run(&["inspect", "desk.wasm", "--output", "json"]).unwrap();
    let told = described.stdout;
    assert!(names.iter().all(|(_, to)| told.contains(&format!("\"{to}\""))), "{told} {}", described.stderr);
    let file = fs::read_to_string(scratch.path("office.yaml")).unwrap();
    scratch.write("office.yaml", file.replace(&component("guest-desk").unwrap().display().to_string(), "desk.wasm")).unwrap();
}

/// All but notes wait for the first of January.
const NEW_YEAR: &str = "        actions:
          - { name: digest, schedule: 0 0 1 1 * }
          - { name: letter, schedule: 0 0 1 1 * }
          - { name: parcel, schedule: 0 0 1 1 * }
";

/// Has the records of all actions but one wait in the spool.
fn waiting() -> Scratch {
    let scratch = desk("", NEW_YEAR, "");
    let mut host = Host::start(&scratch, "office.yaml").unwrap();
    host.until(|host| Ok(host.status("office")?["destinations"][0]["pending"] == EACH * 3)).unwrap();
    host.signal("TERM").unwrap();
    host.ended().unwrap();
    scratch
}

#[test]
fn what_waits_for_an_action_goes_to_the_one_of_its_name_where_a_later_component_has_it_in_another_place() {
    let scratch = waiting();
    renamed(&scratch, &[("digest", "parcel"), ("letter", "digest"), ("parcel", "letter")]);
    let ran = scratch.run(&["run", "office.yaml", "--once", "--now", "--output", "json"]).unwrap();
    assert_eq!((ran.code, &destination(&ran.json().unwrap())["delivered"]), (Some(0), &(EACH * 3).into()), "{}", ran.stderr);
    // It looks at each that it is what the file's name says.
    for (at, kind) in KINDS.iter().enumerate() {
        assert_eq!(sorted(came(&scratch, kind)), all(at), "{kind}");
    }
}

#[test]
fn a_later_component_without_an_action_that_something_waits_for_is_refused_with_what_to_do() {
    let scratch = waiting();
    renamed(&scratch, &[("parcel", "packet")]);
    let file = fs::read_to_string(scratch.path("office.yaml")).unwrap();
    scratch
        .write("office.yaml", file.replace("name: parcel", "name: packet").replace("action: parcel", "action: packet"))
        .unwrap();
    for command in [&["check", "office.yaml"][..], &["run", "office.yaml", "--once", "--now"]] {
        let refused = scratch.run(command).unwrap();
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        for told in [
            "60 records in its spool are for the action `parcel`, which guest-desk 0.1.0 does not have",
            "at office.yaml:8:9",
            "`wharf spool discard office/desk --action parcel --data-dir ",
        ] {
            assert!(refused.stderr.contains(told), "{told}: {}", refused.stderr);
        }
    }
    let wrong = scratch.run(&["spool", "records", "office/desk", "--action", "parsel"]).unwrap();
    assert!(wrong.code == Some(2) && wrong.stderr.contains("did you mean `parcel`?"), "{}", wrong.stderr);
    let records =
        scratch.run(&["spool", "records", "office/desk", "--action", "parcel", "--output", "json"]).unwrap().json().unwrap();
    assert!(records["records"].as_array().unwrap().iter().all(|records| records["action"] == "parcel"), "{records}");
    let discarded = scratch.run(&["spool", "discard", "office/desk", "--action", "parcel", "--output", "json"]).unwrap();
    assert_eq!((discarded.code, &discarded.json().unwrap()["done"]), (Some(0), &EACH.into()), "{}", discarded.stderr);
    let ran = scratch.run(&["run", "office.yaml", "--once", "--now", "--output", "json"]).unwrap();
    assert_eq!((ran.code, &destination(&ran.json().unwrap())["delivered"]), (Some(0), &(EACH * 2).into()), "{}", ran.stderr);
    assert_eq!((came(&scratch, "digest"), sorted(came(&scratch, "letter")), came(&scratch, "parcel")), (all(1), all(2), vec![]));
}

#[test]
fn check_tells_of_routes_actions_and_schedules() {
    let more = "        otherwise: filter
        actions:
          - { name: letter, schedule: 0 3 * * *, time-zone: Europe/Berlin, ordered: true }
          - { name: digest, ordered: false }
";
    let scratch = desk("", more, "");
    let told = scratch.run(&["inspect", component("guest-desk").unwrap().to_str().unwrap()]).unwrap().stdout;
    assert!(
        told.contains("digest (write, @every 1h) A line by the hour.") && told.contains("parcel (bulk, @every 1h) A file"),
        "{told}"
    );
    let checked = scratch.run(&["check", "office.yaml"]).unwrap();
    let expected = "office: ready, to desk (guest-desk 0.1.0)
  desk: action note: written, realtime, in order
  desk: action digest: written, @every 1h, in no order
  desk: action letter: files, 0 3 * * * Europe/Berlin, in order
  desk: action parcel: files, @every 1h, in no order
  desk: to digest when /kind is \"digest\"
  desk: to letter when /kind is \"letter\"
  desk: to parcel when /kind is \"parcel\"
  desk: otherwise filtered
";
    assert_eq!((checked.code, &*checked.stdout), (Some(0), expected), "{}", checked.stderr);

    let told = scratch.run(&["check", "office.yaml", "--output", "json"]).unwrap().json().unwrap();
    let desk = &told["pipelines"][0]["destinations"][0];
    assert_eq!(desk["otherwise"], json!({"kind": "filter", "action": null}));
    assert_eq!(desk["routes"][1], json!({"when": "/kind is \"letter\"", "action": "letter"}));
    let letter =
        json!({"name": "letter", "delivery": "bulk", "schedule": "0 3 * * *", "time_zone": "Europe/Berlin", "ordered": true});
    assert_eq!(desk["actions"][2], letter);
    let note = json!({"name": "note", "delivery": "write", "schedule": "realtime", "time_zone": null, "ordered": true});
    assert_eq!(desk["actions"][0], note);

    let drawn = scratch.run(&["check", "office.yaml", "--output", "dot"]).unwrap().stdout;
    for line in [
        r#""office/destination/desk/action/letter" [label="letter\nfiles, 0 3 * * * Europe/Berlin, in order", shape=component];"#,
        r#""office/destination/desk" -> "office/destination/desk/action/letter" [label="when /kind is \"letter\""];"#,
        r#""office/destination/desk" -> "office/destination/desk/filtered" [label="otherwise"];"#,
    ] {
        assert!(drawn.lines().any(|drawn| drawn.trim() == line), "{line}\n{drawn}");
    }
    let refused = desk_of("        ordered: false\n        actions: [ { name: note, ordered: true } ]\n");
    assert!(refused.contains("`ordered` does nothing for the action `note`"), "{refused}");
    assert!(
        refused.lines().any(|line| line.starts_with("  at office.yaml:") && line.ends_with(":34")),
        "the key's own column: {refused}"
    );
}

fn desk_of(more: &str) -> String {
    desk("", more, "").run(&["check", "office.yaml"]).unwrap().stderr
}

#[test]
fn records_go_by_what_is_done_to_their_entity_and_what_one_was_made_into_adds_up() {
    let scratch = Scratch::new().unwrap();
    fs::create_dir(scratch.path("out")).unwrap();
    // Each makes as many as its list has; of those the odd ones go nowhere.
    let line = |number: u64| {
        let operation = ["create", "update", "delete"][(number % 3) as usize];
        let parts: Vec<String> = (0..number % 4).map(|part| format!("{{\"n\":{number},\"odd\":{}}}", part % 2)).collect();
        let (payload, none) = (format!("{{\"parts\":[{}]}}", parts.join(",")), "null".to_owned());
        let (before, after) = if operation == "delete" { (payload, none) } else { (none, payload) };
        format!(
            "{{\"position\":\"\",\"operation\":\"{operation}\",\"metadata\":{{}},\"key\":null,\"payload\":{{\"before\":{before},\"after\":{after}}}}}\n"
        )
    };
    scratch.write("records.ndjson", (0..120).map(line).collect::<String>()).unwrap();
    let file = format!(
        "version: 1
pipelines:
  - id: office
    source: {{ kind: file, path: records.ndjson, format: opencdc }}
    batch: {{ records: 17 }}
    processors:
      - {{ id: parts, component: {}, settings: {{ pointer: /parts }} }}
    destinations:
      - id: desk
        component: {}
        grants: {{ directories: [ {{ host: out, guest: /out, access: read-write }} ] }}
        routes:
          - {{ when: {{ operation: delete }}, action: parcel }}
          - {{ when: {{ all: [ {{ operation: update }}, {{ pointer: /odd, equals: 0 }} ] }}, action: note }}
          - {{ when: {{ pointer: /odd, equals: 0 }}, action: letter }}
        otherwise: filter
",
        component("wharf-explode").unwrap().display(),
        component("guest-desk").unwrap().display()
    );
    scratch.write("office.yaml", file).unwrap();
    let ran = scratch.run(&["run", "office.yaml", "--once", "--now", "--output", "json"]).unwrap();
    let summary = ran.json().unwrap();
    let (read, desk) = (&summary["pipelines"][0]["read"], destination(&summary));
    assert_eq!((ran.code, read.as_u64()), (Some(0), Some(120)), "{}\n{desk:#}", ran.stderr);
    let lines = |kind: &str| -> u64 {
        let files = fs::read_dir(scratch.path("out")).unwrap().map(|entry| entry.unwrap().path());
        let of = files.filter(|path| path.file_name().unwrap().to_string_lossy().split('-').next() == Some(kind));
        of.map(|path| fs::read_to_string(path).unwrap().lines().count() as u64).sum()
    };
    // Of the parts of a record those at even places stay.
    let even = |operation: u64| {
        (0..120_u64).filter(|number| number % 3 == operation).map(|number| (number % 4).div_ceil(2)).sum::<u64>()
    };
    assert_eq!((lines("letter"), lines("note")), (even(0), even(1)));
    let count = |name: &str| desk[name].as_u64().unwrap();
    assert_eq!((count("pending"), count("dead_lettered"), count("unknown")), (0, 0, 0), "{desk:#}");
    // What was made and goes somewhere is delivered; what was read, and nothing of it goes anywhere, is filtered.
    assert_eq!((count("delivered"), count("filtered")), (even(0) + even(1) + 40, 20), "{desk:#}");
    let again = scratch.run(&["run", "office.yaml", "--once", "--now", "--output", "json"]).unwrap();
    assert_eq!((again.code, &again.json().unwrap()["pipelines"][0]["read"]), (Some(0), &0.into()), "{}", again.stderr);
}

#[test]
fn an_action_that_there_is_not_and_keys_that_do_nothing_are_refused_with_their_place() {
    for (more, told) in [
        ("        actions: [ { name: parsel } ]\n", "has no action `parsel`"),
        ("        actions: [ { name: parcel }, { name: parcel } ]\n", "the action `parcel` stands there twice"),
        ("        actions: [ { name: note, max-records: 5 } ]\n", "`max-records` does nothing for the action `note`"),
        (
            "        actions: [ { name: digest, schedule: realtime, time-zone: UTC } ]\n",
            "`time-zone` goes with a schedule of cron",
        ),
        ("        parallel: 2\n", "`parallel` does nothing"),
    ] {
        let scratch = desk("", more, "");
        let refused = scratch.run(&["check", "office.yaml"]).unwrap();
        let place = "at office.yaml:";
        assert!(refused.code == Some(2) && refused.stderr.contains(told) && refused.stderr.contains(place), "{}", refused.stderr);
    }
    let hint = desk("", "        actions: [ { name: parsel } ]\n", "").run(&["check", "office.yaml"]).unwrap().stderr;
    assert!(hint.contains("did you mean `parcel`?"), "{hint}");
}
