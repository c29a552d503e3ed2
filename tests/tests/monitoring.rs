//! What a run tells over HTTP, to whoever scrapes and watches it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use wharf_tests::{
    Ran, Scratch, component,
    web::{Answered, Web, ask},
};

/// A run that listens.
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    address: SocketAddr,
    log: std::thread::JoinHandle<String>,
}

impl Running {
    fn start(scratch: &Scratch) -> Self {
        let mut wharf = scratch.wharf(&["run", "watched.yaml", "--output", "json", "--listen", "127.0.0.1:0"]).unwrap();
        let mut child = wharf.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let said = log.find_map(|line| line.split_once("metrics and health at http://").map(|(_, address)| address.to_owned()));
        let log = std::thread::spawn(move || log.collect::<Vec<_>>().join("\n"));
        let input = child.stdin.take();
        Self { child, input, address: said.unwrap().parse().unwrap(), log }
    }

    fn get(&self, path: &str) -> Answered {
        ask(self.address, "GET", path).unwrap()
    }

    fn ready(&self) -> (u16, serde_json::Value) {
        let Answered { status, body, .. } = self.get("/health/ready");
        (status, serde_json::from_str(&body).unwrap())
    }

    fn end(mut self) -> Ran {
        drop(self.input.take());
        let mut ran = Ran::from(self.child.wait_with_output().unwrap());
        ran.stderr = self.log.join().unwrap();
        ran
    }
}

/// Waits until something is so, and no longer than two minutes.
fn until<T>(what: &str, mut so: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(so) = so() {
            return so;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "it never came to be that {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Metrics as they are told: kinds by family, and values by sample.
struct Metrics {
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    /// Reads the text format; panics where a line is not of it, a sample stands outside of its family, or one stands twice.
    fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'));
        let (mut kinds, mut samples) = (BTreeMap::new(), BTreeMap::new());
        let mut family = "";
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                family = help.split_once(' ').unwrap().0;
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(name, family);
                assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} stands twice");
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let name = sample.split_once('{').map_or(sample, |(name, _)| name);
                let histogram = ["_bucket", "_sum", "_count"].iter().any(|suffix| name.strip_suffix(suffix) == Some(family));
                assert!(name == family || kinds[family] == "histogram" && histogram, "{line} below {family}");
                assert!(samples.insert(sample.to_owned(), value.parse().unwrap()).is_none(), "{sample} stands twice");
            }
        }
        Self { kinds, samples }
    }

    fn value(&self, sample: &str) -> f64 {
        *self.samples.get(sample).unwrap_or_else(|| panic!("there is no {sample} in {:#?}", self.samples.keys()))
    }
}

fn wasm(package: &str) -> String {
    component(package).unwrap().display().to_string()
}

#[test]
fn what_a_run_does_can_be_scraped_and_agrees_with_its_summary() {
    let scratch = Scratch::new().unwrap();
    let [flood, poison, select] = ["guest-flood", "guest-poison", "wharf-select"].map(wasm);
    std::fs::create_dir(scratch.path("journal")).unwrap();
    let file = format!(
        "version: 1
pipelines:
  - id: watched
    source: {{ kind: stdin, format: lines }}
    batch: {{ delay: 10ms }}
    dead-letters: {{ window: 0 }}
    processors: [ {{ id: slim, component: {select}, settings: {{ keep: [/id] }}, when: {{ pointer: /id, exists: true }} }} ]
    destinations:
      - {{ id: flood, component: {flood} }}
      - id: fussy
        component: {poison}
        settings: {{ every: 3 }}
        grants: {{ directories: [ {{ host: journal, guest: /journal, access: read-write }} ] }}
"
    );
    scratch.write("watched.yaml", file).unwrap();
    let mut running = Running::start(&scratch);
    assert_eq!(running.get("/health/live").status, 200);
    running.input.as_mut().unwrap().write_all(b"figures\n{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n").unwrap();
    let flood = "{pipeline=\"watched\",destination=\"flood\"}";
    let metrics = until("all is delivered", || {
        let answer = running.get("/metrics");
        assert!(answer.head.contains("text/plain; version=0.0.4"), "{}", answer.head);
        let metrics = Metrics::read(&answer.body);
        let done = metrics.samples.get(&format!("wharf_records_delivered_total{flood}")) == Some(&4.0)
            && metrics.samples.get("wharf_records_pending{pipeline=\"watched\",destination=\"fussy\"}") == Some(&0.0)
            && metrics.samples.contains_key("wharf_dead_letters{pipeline=\"watched\",destination=\"fussy\"}");
        done.then_some(metrics)
    });
    for (sample, expected) in [
        ("wharf_records_read_total{pipeline=\"watched\"}", 4.0),
        ("wharf_records_delivered_total{pipeline=\"watched\",destination=\"fussy\"}", 3.0),
        ("wharf_records_dead_lettered_total{pipeline=\"watched\",destination=\"fussy\"}", 1.0),
        ("wharf_dead_letters{pipeline=\"watched\",destination=\"fussy\"}", 1.0),
        ("wharf_pipeline_state{pipeline=\"watched\",state=\"running\"}", 1.0),
        ("wharf_pipeline_state{pipeline=\"watched\",state=\"ended\"}", 0.0),
        ("wharf_lag_seconds{pipeline=\"watched\",destination=\"flood\"}", 0.0),
        ("wharf_destination_paused{pipeline=\"watched\",destination=\"flood\"}", 0.0),
        ("wharf_instances{pipeline=\"watched\",destination=\"flood\"}", 1.0),
        ("wharf_component_info{pipeline=\"watched\",processor=\"slim\",connector=\"select 0.1.0\"}", 1.0),
        // The guest's own, as the summary has them too.
        ("wharf_connector_count_total{pipeline=\"watched\",destination=\"flood\",name=\"rows\"}", 5.0),
        ("wharf_connector_gauge{pipeline=\"watched\",destination=\"flood\",name=\"depth\"}", -2.5),
        ("wharf_connector_observations_total{pipeline=\"watched\",destination=\"flood\",name=\"took_ms\"}", 3.0),
        ("wharf_connector_observed_max{pipeline=\"watched\",destination=\"flood\",name=\"took_ms\"}", 4.0),
    ] {
        assert_eq!(metrics.value(sample), expected, "{sample}");
    }
    // Each write was timed and its fuel counted, of the processor too.
    for (call, of) in [("write", "destination=\"flood\""), ("process", "processor=\"slim\"")] {
        for figure in ["wharf_call_seconds", "wharf_call_fuel"] {
            let count = metrics.value(&format!("{figure}_count{{pipeline=\"watched\",{of},call=\"{call}\"}}"));
            let last = metrics.value(&format!("{figure}_bucket{{pipeline=\"watched\",{of},call=\"{call}\",le=\"+Inf\"}}"));
            let sum = metrics.value(&format!("{figure}_sum{{pipeline=\"watched\",{of},call=\"{call}\"}}"));
            assert!(count >= 1.0 && count == last && sum > 0.0, "{figure} of {call}: {count} {last} {sum}");
        }
    }
    let memory = metrics.value(&format!("wharf_instance_memory_bytes{flood}"));
    assert!(memory >= 65536.0 && memory <= metrics.value(&format!("wharf_instance_memory_limit_bytes{flood}")), "{memory}");

    let manual = std::fs::read_to_string(wharf_tests::checkout().join("docs/operating.md")).unwrap();
    let table = manual.lines().skip_while(|line| !line.starts_with("| metric | kind |")).skip(2);
    let documented: BTreeMap<String, String> = table
        .map_while(|row| {
            let (name, rest) = row.strip_prefix("| `")?.split_once("` | ")?;
            Some((name.to_owned(), rest.split_once(" | ")?.0.to_owned()))
        })
        .collect();
    assert_eq!(metrics.kinds, documented);
    assert_eq!(running.ready().0, 200);

    let ran = running.end();
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let summary = &ran.json().unwrap()["pipelines"][0];
    assert_eq!((&summary["read"], &summary["destinations"][0]["delivered"]), (&4.into(), &4.into()));
    assert_eq!(summary["processors"][0]["id"], "slim");
    assert!(summary["processors"][0]["usage"]["fuel_per_record"].as_u64().unwrap() > 0);
}

#[test]
fn it_only_tells_and_nobody_keeps_it_from_others() {
    let scratch = Scratch::new().unwrap();
    let discard = wasm("wharf-discard");
    let file = format!(
        "version: 1
pipelines:
  - {{ id: watched, source: {{ kind: stdin, format: lines }}, destinations: [ {{ id: out, component: {discard} }} ] }}
"
    );
    scratch.write("watched.yaml", file).unwrap();
    let running = Running::start(&scratch);
    // Those who say nothing, or half of it, hold no more than their own connection.
    let silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(running.address).unwrap()).collect();
    silent.iter().for_each(|mut stream| stream.write_all(b"GET /metrics HTTP/1.1\r\nhost").unwrap());
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let refused = ask(running.address, method, "/metrics").unwrap();
        assert!(refused.status == 405 && refused.head.to_lowercase().contains("allow: get, head"), "{refused:?}");
    }
    let Answered { status, body, head } = ask(running.address, "HEAD", "/metrics").unwrap();
    assert!(status == 200 && body.is_empty() && head.contains("nosniff"), "{head}");
    assert_eq!(running.get("/").status, 404);
    assert_eq!(running.get("/metrics/").status, 404);
    // A head without an end is given up on.
    let mut endless = TcpStream::connect(running.address).unwrap();
    let line = format!("x-more: {}\r\n", "y".repeat(1000));
    endless.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    let gone = (0..100_000).any(|_| endless.write_all(line.as_bytes()).is_err());
    assert!(gone, "a hundred megabytes of headers were taken");
    assert_eq!(running.get("/health/live").status, 200);

    let taken = running.address.to_string();
    let second = scratch.run(&["run", "watched.yaml", "--data-dir", "second", "--listen", &taken, "--output", "json"]).unwrap();
    assert_eq!(second.code, Some(2));
    let what = second.json().unwrap()["error"]["what"].as_str().unwrap().to_owned();
    assert!(what.starts_with(&format!("cannot listen at {taken} (--listen): ")), "{what}");
    assert!(!scratch.path("second").exists(), "nothing ran");
    for address in ["nonsense", "127.0.0.1", "127.0.0.1:99999", "203.0.113.1:9600"] {
        let refused = scratch.run(&["run", "watched.yaml", "--data-dir", "second", "--listen", address]).unwrap();
        assert_eq!(refused.code, Some(2), "{address}: {}", refused.stderr);
    }
    drop(silent);
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn health_says_which_destination_waits_or_is_paused_and_why() {
    let scratch = Scratch::new().unwrap();
    let [caller, discard] = ["guest-caller", "wharf-discard"].map(wasm);
    let address = Web::free();
    let url = format!("http://{address}");
    let file = format!(
        "version: 1
pipelines:
  - id: watched
    source: {{ kind: stdin, format: lines }}
    destinations:
      - id: caller
        component: {caller}
        settings: {{ probe: '{url}/200' }}
        grants: {{ http: [ {url} ] }}
        outage: {{ min-delay: 20ms, max-delay: 100ms }}
      - {{ id: out, component: {discard} }}
  - {{ id: other, source: {{ kind: generator, count: 5 }}, destinations: [ {{ id: out, component: {discard} }} ] }}
"
    );
    scratch.write("watched.yaml", file).unwrap();
    let running = Running::start(&scratch);
    let told = until("it waits", || {
        let (status, told) = running.ready();
        (status == 503 && told["pipelines"][0]["destinations"][0]["why"].is_string()).then_some(told)
    });
    let destinations = &told["pipelines"][0]["destinations"];
    let why = destinations[0]["why"].as_str().unwrap();
    assert!(why.starts_with("waits: the far side is not there: transient: GET http://"), "{why}");
    assert_eq!((&destinations[0]["ready"], &destinations[1]["ready"]), (&false.into(), &true.into()));
    let waits = "wharf_destination_waiting{pipeline=\"watched\",destination=\"caller\"}";
    assert_eq!(Metrics::read(&running.get("/metrics").body).value(waits), 1.0);
    Web::start(address).unwrap();
    // One that has come to its end is well.
    let told = until("it is ready", || {
        let (status, told) = running.ready();
        (status == 200 && told["pipelines"][1]["state"] == "ended").then_some(told)
    });
    assert_eq!(told["ready"], true, "{told}");
    let states: BTreeSet<&str> =
        told["pipelines"].as_array().unwrap().iter().map(|pipeline| pipeline["state"].as_str().unwrap()).collect();
    assert_eq!(states, BTreeSet::from(["ended", "running"]));
    assert_eq!(Metrics::read(&running.get("/metrics").body).value(waits), 0.0);
    assert!(Command::new("kill").args(["-INT", &running.child.id().to_string()]).status().unwrap().success());
    assert_eq!(running.end().code, Some(0));
}
