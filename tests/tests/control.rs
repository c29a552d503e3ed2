//! A host that is operated while it runs: looked at, paused, resumed, reloaded, stopped.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
};

use serde_json::{Value, json};
use wharf_tests::{Scratch, component, host::Host};

/// A pipeline that follows a file of lines, a batch each record, to destinations that answer as their scripts say.
fn pipeline(scratch: &Scratch, id: &str, destinations: &[(&str, &str)]) -> Value {
    let component = component("guest-scripted").unwrap();
    let destination = |(name, script): &(&str, &str)| {
        let journal = format!("journals/{id}-{name}");
        fs::create_dir_all(scratch.path(&journal)).unwrap();
        let directory = json!({"host": journal, "guest": "/journal", "access": "read-write"});
        json!({"id": name, "component": component, "settings": {"script": script}, "grants": {"directories": [directory]}})
    };
    let source = json!({"kind": "file", "path": format!("{id}.txt"), "format": "lines", "follow": true, "poll": "10ms"});
    json!({
        "id": id,
        "source": source,
        "batch": {"records": 1, "delay": "0"},
        "dead-letters": {"window": 0},
        "checkpoint-interval": "0",
        "destinations": destinations.iter().map(destination).collect::<Vec<_>>(),
    })
}

fn write(scratch: &Scratch, pipelines: &[Value]) {
    let file = json!({"version": 1, "pipelines": pipelines});
    scratch.write("pipeline.yaml", file.to_string()).unwrap();
}

fn append(scratch: &Scratch, id: &str, lines: &str) {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(scratch.path(format!("{id}.txt"))).unwrap();
    file.write_all(lines.as_bytes()).unwrap();
}

/// The calls of one kind that a destination was given.
fn calls(scratch: &Scratch, destination: &str, kind: &str) -> Vec<String> {
    let journal = fs::read_to_string(scratch.path(format!("journals/{destination}/calls"))).unwrap_or_default();
    journal.lines().filter(|line| line.split(' ').next() == Some(kind)).map(str::to_owned).collect()
}

/// The records that a destination was handed, in order.
fn handed(scratch: &Scratch, destination: &str) -> String {
    let writes = calls(scratch, destination, "write");
    let records = writes.iter().map(|line| line.rsplit_once('[').unwrap().1.trim_end_matches(']'));
    records.collect::<Vec<_>>().join(",")
}

/// What refuses: error and hint as a person sees them.
fn refused(scratch: &Scratch, arguments: &[&str]) -> String {
    let ran = scratch.run(arguments).unwrap();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{}", ran.stderr);
    ran.stderr
}

#[test]
fn a_running_host_is_looked_at_and_answers_what_a_data_directory_answers() {
    let scratch = Scratch::new().unwrap();
    append(&scratch, "shop", "a\nb\nc\n");
    write(&scratch, &[pipeline(&scratch, "shop", &[("crm", ";0-1=rejected"), ("copy", "")])]);
    let mut host = Host::start(&scratch, "pipeline.yaml").unwrap();
    host.delivered("shop", 0, 2).unwrap();
    host.delivered("shop", 1, 3).unwrap();
    // One that is refused is given up once it is known that not all are.
    host.until(|host| Ok(host.status("shop")?["destinations"][0]["dead_lettered"] == 1)).unwrap();
    let socket = scratch.path(".wharf/control");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);

    let status = host.status("shop").unwrap();
    let crm = &status["destinations"][0];
    assert_eq!((&status["state"], &status["read"], &status["why"]), (&json!("running"), &json!(3), &json!(null)));
    assert_eq!((&crm["state"], &crm["dead_lettered"], &crm["pending"]), (&json!("open"), &json!(1), &json!(0)));
    let table = scratch.run(&["status"]).unwrap().stdout;
    assert!(table.contains("shop    running  20") && table.contains("  crm   open "), "{table}");
    assert!(table.contains("2 delivered, 0 pending, 1 dead letters (guest-scripted 0.1.0)\n"), "{table}");

    let letters = host.ask(&["dead-letters", "list"]).unwrap();
    assert_eq!((&letters["count"], &letters["dead_letters"][0]["record"]), (&json!(1), &json!("b")));
    assert_eq!(host.ask(&["dead-letters", "show", "1"]).unwrap()["record"], "b");
    assert_eq!(host.ask(&["checkpoints", "show", "shop"]).unwrap()["pipelines"][0]["checkpoints"][0]["next"], 6);
    let running = refused(&scratch, &["checkpoints", "reset", "shop"]);
    assert!(running.contains("error: pipeline shop is running, and would go on where it is"), "{running}");
    assert!(running.contains("\nhint: stop the host first; or take shop out"), "{running}");
    assert_eq!(host.ask(&["dead-letters", "purge", "--all"]).unwrap(), json!({"removed": 1}));
    assert!(refused(&scratch, &["dead-letters", "show", "1"]).contains("error: there is no dead letter 1\nhint: "));

    // Whoever sends anything else is told so, and harms nobody.
    for garbage in ["GET / HTTP/1.1\r\n\r\n".to_owned(), "{\"version\":1,\"request\":".repeat(100) + "\n", "[".repeat(1 << 17)] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        let _broken_off = stream.write_all(garbage.as_bytes());
        let mut answer = String::new();
        let _reset = stream.read_to_string(&mut answer);
        assert!(answer.is_empty() || answer.contains("\"refused\""), "{answer}");
    }
    append(&scratch, "shop", "d\n");
    host.delivered("shop", 0, 3).unwrap();

    host.signal("TERM").unwrap();
    let ran = host.ended().unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!socket.exists());
    let over = refused(&scratch, &["status"]);
    assert!(over.contains("error: no host is running on the data directory\nhint: start one with `wharf run`"), "{over}");
    assert_eq!(calls(&scratch, "shop-crm", "close").len(), 1);
}

#[test]
fn what_a_person_pauses_stays_paused_until_it_is_resumed() {
    let scratch = Scratch::new().unwrap();
    append(&scratch, "shop", "a\n");
    write(&scratch, &[pipeline(&scratch, "shop", &[("crm", ""), ("copy", "")])]);
    let mut host = Host::start(&scratch, "pipeline.yaml").unwrap();
    host.delivered("shop", 0, 1).unwrap();
    assert!(
        refused(&scratch, &["pause", "shoop"]).contains("error: this host has no pipeline shoop\nhint: did you mean `shop`?")
    );
    assert!(refused(&scratch, &["pause", "shop/crn"]).contains("has no destination crn\nhint: did you mean `crm`?"));

    assert_eq!(scratch.run(&["pause", "shop/crm"]).unwrap().stdout, "shop/crm: paused\n");
    assert_eq!(scratch.run(&["pause", "shop/crm"]).unwrap().stdout, "shop/crm: was paused by hand already\n");
    append(&scratch, "shop", "b\nc\n");
    host.delivered("shop", 1, 3).unwrap();
    let crm = &host.status("shop").unwrap()["destinations"][0];
    assert_eq!(
        (&crm["state"], &crm["why"], &crm["delivered"], &crm["again_ms"]),
        (&json!("paused"), &json!("paused by hand"), &json!(1), &json!(null))
    );
    assert!(crm["since"].as_str().unwrap().starts_with("20"));
    assert_eq!(scratch.run(&["resume", "shop/crm"]).unwrap().stdout, "shop/crm: resumed\n");
    host.delivered("shop", 0, 3).unwrap();
    assert_eq!(scratch.run(&["resume", "shop/crm"]).unwrap().stdout, "shop/crm: was not paused\n");

    // All of it: nothing is read either, and what is there is read once it goes on.
    assert_eq!(host.ask(&["pause", "shop"]).unwrap(), json!({"done": true}));
    append(&scratch, "shop", "d\n");
    let paused = host.status("shop").unwrap();
    assert_eq!((&paused["state"], &paused["why"], &paused["read"]), (&json!("paused"), &json!("paused by hand"), &json!(3)));
    assert_eq!(paused["destinations"][1]["state"], "paused");
    host.ask(&["resume", "shop"]).unwrap();
    host.delivered("shop", 0, 4).unwrap();
    host.delivered("shop", 1, 4).unwrap();
    assert_eq!(handed(&scratch, "shop-crm"), "a,b,c,d");
    assert_eq!(calls(&scratch, "shop-crm", "open").len(), 1, "it went on with its session");
    // One that is paused stops like any other.
    host.ask(&["pause", "shop"]).unwrap();
    host.signal("TERM").unwrap();
    assert_eq!(host.ended().unwrap().code, Some(0));
}

#[test]
fn a_destination_that_paused_itself_says_why_and_is_resumed_by_hand() {
    let scratch = Scratch::new().unwrap();
    append(&scratch, "shop", "a\nb\n");
    write(&scratch, &[pipeline(&scratch, "shop", &[("crm", "fail=fatal")])]);
    let mut host = Host::start(&scratch, "pipeline.yaml").unwrap();
    host.until(|host| Ok(host.status("shop")?["destinations"][0]["state"] == "paused")).unwrap();
    let crm = &host.status("shop").unwrap()["destinations"][0];
    assert_eq!((&crm["delivered"], &crm["pending"]), (&json!(0), &json!(2)));
    assert!(crm["why"].as_str().unwrap().starts_with("fatal: told to"), "{crm}");
    assert!((1..=300_000).contains(&crm["again_ms"].as_u64().unwrap()), "{crm}");
    host.ask(&["resume", "shop/crm"]).unwrap();
    host.delivered("shop", 0, 2).unwrap();
    assert_eq!(handed(&scratch, "shop-crm"), "a,a,b");
}

#[test]
fn a_reload_swaps_just_the_pipelines_that_changed() {
    let scratch = Scratch::new().unwrap();
    let copied = scratch.path("scripted.wasm");
    fs::copy(component("guest-scripted").unwrap(), &copied).unwrap();
    let ids = ["same", "settings", "component", "removed"];
    for id in ids {
        append(&scratch, id, "a\nb\n");
    }
    let mut pipelines: Vec<Value> = ids.iter().map(|id| pipeline(&scratch, id, &[("out", "")])).collect();
    pipelines[2]["destinations"][0]["component"] = json!(copied);
    write(&scratch, &pipelines);
    let mut host = Host::start(&scratch, "pipeline.yaml").unwrap();
    for id in ids {
        host.delivered(id, 0, 2).unwrap();
    }
    // What says the same is the same, however it is written.
    let file = json!({"pipelines": pipelines, "version": 1, "shutdown-timeout": "60s"});
    scratch.write("pipeline.yaml", format!("# The same.\n{file:#}")).unwrap();
    let same = host.ask(&["reload"]).unwrap();
    assert_eq!((&same["unchanged"], &same["changed"]), (&json!(ids), &json!([])));

    // A file that is wrong changes nothing, whoever asks.
    scratch.write("pipeline.yaml", file.to_string().replace("\"source\"", "\"soruce\"")).unwrap();
    let wrong = refused(&scratch, &["reload"]);
    assert!(
        wrong.contains("error: the pipeline file is refused, and everything goes on as it was: unknown key `soruce`"),
        "{wrong}"
    );
    assert!(wrong.contains("  at pipeline.yaml:1:") && wrong.contains("hint: did you mean `source`?"), "{wrong}");
    host.signal("HUP").unwrap();
    host.until(|host| Ok(host.log().contains("not reloaded: the pipeline file is refused"))).unwrap();
    let process = json!({"version": 1, "process": {"instances": 77}, "pipelines": pipelines});
    scratch.write("pipeline.yaml", process.to_string()).unwrap();
    let told = refused(&scratch, &["reload"]);
    assert!(told.contains("the block `process` changed, which holds for the whole life of a host"), "{told}");
    assert!(told.contains("\n  at pipeline.yaml:1:"), "{told}");
    let elsewhere = json!({"version": 1, "data-dir": "elsewhere", "pipelines": pipelines});
    scratch.write("pipeline.yaml", elsewhere.to_string()).unwrap();
    let told = refused(&scratch, &["reload"]);
    assert!(told.contains("`data-dir` changed, which holds for the whole life of a host"), "{told}");
    assert!(told.contains("\n  at pipeline.yaml:1:2"), "the key's own column: {told}");
    let mut from_stdin = pipelines.clone();
    from_stdin[1]["source"] = json!({"kind": "stdin", "format": "lines"});
    write(&scratch, &from_stdin);
    // It is another source too, which comes first.
    assert!(refused(&scratch, &["reload"]).contains("everything goes on as it was: pipeline settings read file "));
    from_stdin[1]["id"] = json!("new");
    write(&scratch, &from_stdin);
    assert!(refused(&scratch, &["reload"]).contains("pipeline new reads standard input, which can only begin with the host"));
    for id in ids {
        append(&scratch, id, "c\n");
        host.delivered(id, 0, 3).unwrap();
        assert_eq!(calls(&scratch, &format!("{id}-out"), "open").len(), 1, "{id} goes on with its session");
    }

    // Paused by hand, over the reload.
    host.ask(&["pause", "settings"]).unwrap();
    pipelines[1]["destinations"][0]["settings"]["script"] = json!("0-$");
    pipelines[3] = pipeline(&scratch, "added", &[("out", "")]);
    append(&scratch, "added", "a\n");
    write(&scratch, &pipelines);
    // A section of the component that only names something: another file, and the same connector.
    let mut bytes = fs::read(&copied).unwrap();
    bytes.extend([0, 5, 4, b'n', b'o', b't', b'e']);
    fs::write(&copied, bytes).unwrap();
    host.signal("HUP").unwrap();
    host.until(|host| {
        Ok(host.log().contains("reloaded: changed settings, component; started added; removed removed; unchanged same"))
    })
    .unwrap();
    host.delivered("added", 0, 1).unwrap();
    for id in ["same", "component"] {
        append(&scratch, id, "d\n");
    }
    host.delivered("same", 0, 4).unwrap();
    // Its counts are those of the pipeline as it is now.
    host.delivered("component", 0, 1).unwrap();
    append(&scratch, "settings", "d\n");
    let settings = host.status("settings").unwrap();
    assert_eq!((&settings["state"], &settings["read"]), (&json!("paused"), &json!(0)));
    host.ask(&["resume", "settings"]).unwrap();
    host.delivered("settings", 0, 1).unwrap();
    for (id, sessions) in [("same", 1), ("settings", 2), ("component", 2), ("removed", 1), ("added", 1)] {
        let name = format!("{id}-out");
        let expected = match id {
            "removed" => "a,b,c",
            "added" => "a",
            _ => "a,b,c,d",
        };
        assert_eq!((calls(&scratch, &name, "open").len(), &*handed(&scratch, &name)), (sessions, expected), "{id}");
    }
    assert_eq!(calls(&scratch, "removed-out", "close").len(), 1);
    let status = host.ask(&["status"]).unwrap();
    let known: Vec<&Value> = status["pipelines"].as_array().unwrap().iter().map(|pipeline| &pipeline["id"]).collect();
    assert_eq!(known, ["same", "settings", "component", "added"]);
    host.signal("TERM").unwrap();
    let ran = host.ended().unwrap();
    assert_eq!((ran.code, ran.json().unwrap()["pipelines"].as_array().unwrap().len()), (Some(0), 4), "{}", ran.stderr);
}

#[test]
fn a_secret_in_a_file_is_a_part_of_the_pipeline_that_is_granted_it() {
    let scratch = Scratch::new().unwrap();
    scratch.write("key", "first\n").unwrap();
    let mut keyed = pipeline(&scratch, "keyed", &[("out", "")]);
    keyed["destinations"][0]["grants"]["http"] = json!([{"to": "https://example.com", "headers": {"x-key": {"file": "key"}}}]);
    for id in ["keyed", "other"] {
        append(&scratch, id, "a\n");
    }
    write(&scratch, &[keyed, pipeline(&scratch, "other", &[("out", "")])]);
    let mut host = Host::start(&scratch, "pipeline.yaml").unwrap();
    host.delivered("keyed", 0, 1).unwrap();
    scratch.write("key", "second\n").unwrap();
    let reloaded = host.ask(&["reload"]).unwrap();
    assert_eq!((&reloaded["changed"], &reloaded["unchanged"]), (&json!(["keyed"]), &json!(["other"])));
    assert_eq!(host.ask(&["reload"]).unwrap()["unchanged"], json!(["keyed", "other"]));
    assert!(!host.log().contains("second"));
}

#[test]
fn a_pipeline_that_ended_in_an_error_is_started_again_by_a_reload() {
    let scratch = Scratch::new().unwrap();
    for id in ["strict", "other"] {
        append(&scratch, id, "a\n");
    }
    let mut strict = pipeline(&scratch, "strict", &[("out", "0-1=rejected")]);
    strict["dead-letters"] = json!({});
    write(&scratch, &[strict, pipeline(&scratch, "other", &[("out", "")])]);
    let mut host = Host::start(&scratch, "pipeline.yaml").unwrap();
    host.until(|host| Ok(host.status("strict")?["state"] == "ended")).unwrap();
    let ended = host.status("strict").unwrap();
    assert!(ended["why"].as_str().unwrap().contains("this was one too many"), "{ended}");
    assert!(refused(&scratch, &["pause", "strict"]).contains("`wharf reload` starts it again"));
    let reloaded = host.ask(&["reload"]).unwrap();
    assert_eq!((&reloaded["started"], &reloaded["unchanged"]), (&json!(["strict"]), &json!(["other"])));
    host.delivered("strict", 0, 1).unwrap();
    host.signal("TERM").unwrap();
    assert_eq!(host.ended().unwrap().code, Some(0));
}

#[test]
fn what_is_in_flight_for_longer_than_the_shutdown_timeout_is_left_and_told() {
    let scratch = Scratch::new().unwrap();
    append(&scratch, "slow", "a\nb\n");
    append(&scratch, "quick", "a\n");
    let slow = pipeline(&scratch, "slow", &[("out", ";sleep=3600000 0-1")]);
    let file =
        json!({"version": 1, "shutdown-timeout": "200ms", "pipelines": [slow, pipeline(&scratch, "quick", &[("out", "")])]});
    scratch.write("pipeline.yaml", file.to_string()).unwrap();
    let mut host = Host::start(&scratch, "pipeline.yaml").unwrap();
    host.delivered("quick", 0, 1).unwrap();
    host.until(|_| Ok(calls(&scratch, "slow-out", "write").len() == 2)).unwrap();
    host.signal("TERM").unwrap();
    let ran = host.ended().unwrap();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("stopped at once, since shutdown-timeout (200ms) is over: pending are 1 of out"),
        "{}",
        ran.stderr
    );
    let pipelines = &ran.json().unwrap()["pipelines"];
    assert_eq!(
        (&pipelines[0]["destinations"][0]["pending"], &pipelines[0]["destinations"][0]["delivered"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(calls(&scratch, "quick-out", "close").len(), 1);
    // Nothing is lost.
    let mut host = Host::start(&scratch, "pipeline.yaml").unwrap();
    host.delivered("slow", 0, 1).unwrap();
    assert_eq!(handed(&scratch, "slow-out"), "a,b,b");
}

#[test]
fn a_processor_that_hangs_does_not_keep_a_host_from_stopping() {
    let scratch = Scratch::new().unwrap();
    let hangs = json!({
        "id": "hangs",
        "component": component("guest-hostile-processor").unwrap(),
        "settings": {"act": "sleep"},
        "limits": {"time": {"transform": "1h"}},
    });
    append(&scratch, "before", "a\nb\n");
    append(&scratch, "own", "a\nb\n");
    let mut before = pipeline(&scratch, "before", &[("out", "")]);
    before["processors"] = json!([hangs]);
    let mut own = pipeline(&scratch, "own", &[("out", ""), ("other", "")]);
    own["destinations"][0]["processors"] = json!([hangs]);
    let file = json!({"version": 1, "shutdown-timeout": "200ms", "pipelines": [before, own]});
    scratch.write("pipeline.yaml", file.to_string()).unwrap();
    let mut host = Host::start(&scratch, "pipeline.yaml").unwrap();
    host.delivered("own", 1, 2).unwrap();
    host.until(|host| Ok(host.status("before")?["read"].as_u64() >= Some(1))).unwrap();
    host.signal("TERM").unwrap();
    let ran = host.ended().unwrap();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let told = |whose: &str| {
        ran.stderr.contains(&format!("stopped at once, since shutdown-timeout (200ms) is over: pending are {whose}"))
    };
    assert!(told("2 of out"), "{}", ran.stderr);
    let pipelines = &ran.json().unwrap()["pipelines"];
    // Nothing is read ahead of what all destinations have before them.
    for (pipeline, destination, read, delivered) in [(0, 0, 1, 0), (1, 0, 2, 0), (1, 1, 2, 2)] {
        let counts = &pipelines[pipeline]["destinations"][destination];
        assert_eq!((&pipelines[pipeline]["read"], &counts["delivered"]), (&json!(read), &json!(delivered)), "{counts}");
        assert_eq!(counts["pending"], json!(read - delivered), "{counts}");
    }

    // Nothing is lost.
    write(&scratch, &[pipeline(&scratch, "before", &[("out", "")]), pipeline(&scratch, "own", &[("out", ""), ("other", "")])]);
    let mut host = Host::start(&scratch, "pipeline.yaml").unwrap();
    host.delivered("before", 0, 2).unwrap();
    host.delivered("own", 0, 2).unwrap();
    assert_eq!((handed(&scratch, "before-out").as_str(), handed(&scratch, "own-out").as_str()), ("a,b", "a,b"));
}

#[test]
fn a_run_with_nothing_left_but_what_is_paused_ends_with_1_and_names_it() {
    let scratch = Scratch::new().unwrap();
    append(&scratch, "shop", "a\nb\n");
    let mut finite = pipeline(&scratch, "shop", &[("crm", "fail=fatal"), ("copy", "")]);
    finite["source"] = json!({"kind": "file", "path": "shop.txt", "format": "lines"});
    write(&scratch, &[finite]);
    let ran = scratch.run(&["run", "pipeline.yaml", "--output", "json"]).unwrap();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let document = ran.json().unwrap();
    let what = document["error"]["what"].as_str().unwrap();
    assert!(what.starts_with("destination crm (guest-scripted 0.1.0): fatal: told to"), "{what}");
    let destinations = &document["pipelines"][0]["destinations"];
    assert_eq!((&destinations[0]["pending"], &destinations[1]["delivered"]), (&json!(2), &json!(2)));
}

#[test]
fn a_pipeline_that_is_to_be_restarted_goes_on_and_the_run_ends_well() {
    let scratch = Scratch::new().unwrap();
    append(&scratch, "strict", "a\nb\n");
    let mut strict = pipeline(&scratch, "strict", &[("out", ";0-1=rejected")]);
    strict["source"] = json!({"kind": "file", "path": "strict.txt", "format": "lines"});
    strict["dead-letters"] = json!({});
    strict["restart"] = json!({"min-delay": "1ms"});
    write(&scratch, &[strict]);
    let ran = scratch.run(&["run", "pipeline.yaml", "--output", "json"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let pipeline = &ran.json().unwrap()["pipelines"][0];
    let out = &pipeline["destinations"][0];
    assert_eq!((&pipeline["restarts"], &pipeline["read"], &pipeline["carried"]), (&json!(1), &json!(2), &json!(1)));
    assert_eq!((&out["delivered"], &out["pending"], &out["left"]), (&json!(2), &json!(0), &json!(1)));
    assert!(ran.stderr.contains("ended in an error, to be started again in"), "{}", ran.stderr);
}
