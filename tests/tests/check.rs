//! `wharf check` beyond what it refuses: the pipelines as a graph, and whether far sides are there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use wharf_tests::{Ran, Scratch, component, web::Web};

fn wasm(package: &str) -> String {
    component(package).unwrap().display().to_string()
}

/// What a graph says: its nodes with their labels, and its edges.
#[derive(Debug, Default)]
struct Graph {
    nodes: BTreeMap<String, String>,
    edges: BTreeSet<(String, String)>,
    clusters: Vec<String>,
}

/// Reads the language of Graphviz as far as it is used: `digraph ID { … }`, `subgraph ID { … }`, `ID [a=b, …];`, `ID -> ID [a=b, …];`
/// and `a=b;`, with quoted and plain ids. Panics where a text is none of these.
fn graph(text: &str) -> Graph {
    let tokens = tokens(text);
    let mut at = tokens.iter().map(String::as_str).peekable();
    assert_eq!([at.next(), at.next(), at.next()], [Some("digraph"), Some("wharf"), Some("{")]);
    let (mut graph, mut depth) = (Graph::default(), 1);
    while let Some(token) = at.next() {
        match token {
            "}" => {
                depth -= 1;
                continue;
            }
            "subgraph" => {
                graph.clusters.push(id(at.next().unwrap()));
                assert_eq!(at.next(), Some("{"));
                depth += 1;
                continue;
            }
            _ => {}
        }
        assert!(depth > 0, "something stands behind the graph: {token}");
        let first = id(token);
        let second = match at.peek() {
            Some(&"=") => {
                at.next();
                id(at.next().unwrap());
                assert_eq!(at.next(), Some(";"));
                continue;
            }
            Some(&"->") => {
                at.next();
                Some(id(at.next().unwrap()))
            }
            _ => None,
        };
        let mut attributes = BTreeMap::new();
        if at.peek() == Some(&"[") {
            at.next();
            loop {
                let name = id(at.next().unwrap());
                assert_eq!(at.next(), Some("="));
                attributes.insert(name, id(at.next().unwrap()));
                match at.next() {
                    Some(",") => {}
                    Some("]") => break,
                    other => panic!("{other:?} in the attributes of {first}"),
                }
            }
        }
        assert_eq!(at.next(), Some(";"));
        match second {
            Some(second) => assert!(graph.edges.insert((first, second)), "an edge stands twice"),
            None if first == "node" => {}
            None => assert!(graph.nodes.insert(first, attributes.remove("label").unwrap()).is_none(), "a node stands twice"),
        }
    }
    assert_eq!(depth, 0);
    for (from, to) in &graph.edges {
        assert!(graph.nodes.contains_key(from) && graph.nodes.contains_key(to), "{from} -> {to}");
    }
    graph
}

/// An id as it is meant: of a quoted string, what stands in it.
fn id(token: &str) -> String {
    let Some(quoted) = token.strip_prefix('"') else {
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{token} is no id");
        return token.to_owned();
    };
    let quoted = quoted.strip_suffix('"').unwrap();
    quoted.replace("\\\"", "\"").replace("\\n", "\n").replace("\\\\", "\\")
}

fn tokens(text: &str) -> Vec<String> {
    let (mut tokens, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                let mut escaped = false;
                let end = rest[1..].char_indices().find(|(_, c)| {
                    let ends = *c == '"' && !escaped;
                    escaped = *c == '\\' && !escaped;
                    ends
                });
                end.unwrap().0 + 2
            }
            '-' => 2,
            '{' | '}' | '[' | ']' | '=' | ',' | ';' => 1,
            _ => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
        };
        assert!(length > 0, "{rest}");
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    tokens
}

#[test]
fn pipelines_are_drawn_with_all_that_records_go_through() {
    let scratch = Scratch::new().unwrap();
    // The name has what could end a string, and what Graphviz takes for an escape.
    let name = r#"a "quoted" \N name.csv"#;
    scratch.write(name, "id\n1\n").unwrap();
    let [select, mask, discard, caller] = ["wharf-select", "wharf-mask", "wharf-discard", "guest-caller"].map(wasm);
    let file = format!(
        "version: 1
pipelines:
  - id: shop
    source: {{ kind: file, path: '{name}', key: id }}
    dead-letters: {{ copy-to: letters.ndjson }}
    processors:
      - id: slim
        component: {select}
        settings: {{ keep: [/id] }}
        when: {{ pointer: /type, in: [\"a\\\"b\", c] }}
    destinations:
      - {{ id: out, component: {discard}, parallel: 3, best-effort: true }}
      - id: source
        component: {caller}
        processors: [ {{ id: hidden, component: {mask}, settings: {{ redact: [/id] }} }} ]
  - id: other
    source: {{ kind: generator, count: 1 }}
    destinations: [ {{ id: out, component: {discard} }} ]
"
    );
    scratch.write("shop.yaml", file).unwrap();
    let drawn = scratch.run(&["check", "shop.yaml", "--output", "dot"]).unwrap();
    assert_eq!(drawn.code, Some(0), "{}", drawn.stderr);
    let Graph { nodes, edges, clusters } = graph(&drawn.stdout);
    assert_eq!(clusters, ["cluster_shop", "cluster_other"]);
    let source = &nodes["shop/source"];
    assert!(source.starts_with("file\n/") && source.ends_with(&format!("/{name}")), "{source}");
    assert_eq!(nodes["shop/processor/slim"], "slim\nselect 0.1.0\nwhen /type is one of [\"a\\\"b\", \"c\"]");
    assert_eq!(nodes["shop/destination/out"], "out\ndiscard 0.1.0\n3 instances\nbest effort");
    assert_eq!(nodes["shop/destination/source/processor/hidden"], "hidden\nmask 0.1.0");
    let expected = [
        ("shop/source", "shop/processor/slim"),
        ("shop/processor/slim", "shop/destination/out"),
        ("shop/processor/slim", "shop/destination/source/processor/hidden"),
        ("shop/destination/source/processor/hidden", "shop/destination/source"),
        ("other/source", "other/destination/out"),
        ("shop/dead-letters", "shop/dead-letters/copy"),
        ("other/destination/out", "other/dead-letters"),
        ("shop/source", "shop/dead-letters"),
        ("shop/processor/slim", "shop/dead-letters"),
        ("shop/destination/out", "shop/dead-letters"),
        ("shop/destination/source", "shop/dead-letters"),
        ("shop/destination/source/processor/hidden", "shop/dead-letters"),
    ];
    let expected: BTreeSet<_> = expected.into_iter().map(|(from, to)| (from.to_owned(), to.to_owned())).collect();
    assert_eq!(edges, expected);
    assert_eq!(nodes.len(), 10);
    assert_eq!(scratch.run(&["check", "shop.yaml", "--output", "dot"]).unwrap().stdout, drawn.stdout, "the same each time");
}

/// A pipeline to a destination that sends what its records say, and asks `probe` whether its far side is there.
fn probed(scratch: &Scratch, granted: &str, probe: &str) {
    let [caller, discard] = ["guest-caller", "wharf-discard"].map(wasm);
    let file = format!(
        "version: 1
pipelines:
  - id: web
    source: {{ kind: file, path: records.txt, format: lines }}
    destinations:
      - id: caller
        component: {caller}
        settings: {{ probe: '{probe}' }}
        grants: {{ http: [ {granted} ] }}
        outage: {{ min-delay: 20ms, max-delay: 200ms }}
      - {{ id: plain, component: {discard} }}
"
    );
    scratch.write("web.yaml", file).unwrap();
    scratch.write("records.txt", format!("{probe} remark\n").repeat(3)).unwrap();
}

#[test]
fn far_sides_are_asked_whether_they_are_there_within_what_is_granted() {
    let scratch = Scratch::new().unwrap();
    let web = Web::start(Web::free()).unwrap();
    let (url, nobody) = (web.url(), format!("http://{}", Web::free()));
    let none = "  plain: has no probe: whether its far side is there is not known\n";
    let cases = [
        (&url, format!("{url}/200"), 0, "reachable", "  caller: reachable (".to_owned()),
        (&url, format!("{url}/401"), 1, "unreachable", format!("  caller: NOT reachable: unauthorized: GET {url}/401: 401\n")),
        (&url, format!("{url}/503"), 1, "unreachable", format!("  caller: NOT reachable: transient: GET {url}/503: 503 ")),
        (&nobody, format!("{nobody}/200"), 1, "unreachable", "  caller: NOT reachable: transient: GET ".to_owned()),
        // It is granted another server alone.
        (&nobody, format!("{url}/200"), 1, "unreachable", format!("{url}/200: ErrorCode::HttpRequestDenied\n")),
    ];
    for (granted, probe, code, state, told) in cases {
        probed(&scratch, granted, &probe);
        let text = scratch.run(&["check", "web.yaml", "--probe"]).unwrap();
        assert_eq!(text.code, Some(code), "{probe}: {}{}", text.stdout, text.stderr);
        assert!(text.stdout.contains(&told) && text.stdout.contains(none), "{probe}: {}", text.stdout);
        let json = scratch.run(&["check", "web.yaml", "--probe", "--output", "json"]).unwrap();
        let destinations = &json.json().unwrap()["pipelines"][0]["destinations"];
        assert_eq!((json.code, &destinations[0]["probe"]["state"]), (Some(code), &state.into()), "{destinations}");
        assert_eq!(destinations[1]["probe"], serde_json::json!({"state": "none"}));
    }
    assert_eq!(web.asked(), 6, "three were granted, and each was asked twice");
    assert!(!scratch.path(".wharf").exists(), "nothing is written");
    let unasked = scratch.run(&["check", "web.yaml", "--output", "json"]).unwrap().json().unwrap();
    assert_eq!(unasked["pipelines"][0]["destinations"][0].get("probe"), None);
    let drawn = scratch.run(&["check", "web.yaml", "--probe", "--output", "dot"]).unwrap();
    assert_eq!((drawn.code, &*drawn.stdout), (Some(2), ""));
}

#[test]
fn a_far_side_that_says_nothing_is_asked_for_as_long_as_its_limit_says() {
    let scratch = Scratch::new().unwrap();
    // It takes connections, and never answers.
    let mute = std::net::TcpListener::bind(Web::free()).unwrap();
    let url = format!("http://{}", mute.local_addr().unwrap());
    probed(&scratch, &url, &format!("{url}/200"));
    let file = std::fs::read_to_string(scratch.path("web.yaml")).unwrap();
    scratch
        .write("web.yaml", file.replace("        outage:", "        limits: { time: { probe: 300ms } }\n        outage:"))
        .unwrap();
    let asked = scratch.run(&["check", "web.yaml", "--probe"]).unwrap();
    assert_eq!(asked.code, Some(1), "{}", asked.stderr);
    let told = "  caller: NOT reachable: probe ended its instance: took longer than 300ms (limits.time.probe)\n";
    assert!(asked.stdout.contains(told), "{}", asked.stdout);
}

#[test]
fn a_run_waits_for_a_far_side_that_comes_up_late() {
    let scratch = Scratch::new().unwrap();
    let address = Web::free();
    let url = format!("http://{address}");
    probed(&scratch, &url, &format!("{url}/200"));
    let mut wharf = scratch.wharf(&["run", "web.yaml", "--output", "json"]).unwrap();
    let mut running = wharf.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(running.stderr.take().unwrap()).lines().map(Result::unwrap);
    // Twice: it goes on asking.
    for _ in 0..2 {
        let said = log.by_ref().find(|line| line.contains("the far side is not there: ")).unwrap();
        assert!(said.contains("GET http://") && said.contains("destination=caller"), "{said}");
    }
    let web = Web::start(address).unwrap();
    let rest = std::thread::spawn(move || log.collect::<Vec<_>>().join("\n"));
    let mut ran = Ran::from(running.wait_with_output().unwrap());
    ran.stderr = rest.join().unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let destination = &ran.json().unwrap()["pipelines"][0]["destinations"][0];
    let counts = ["delivered", "dead_lettered", "pending"].map(|count| destination[count].as_u64().unwrap());
    assert_eq!(counts, [3, 0, 0], "{destination}");
    // Once for the probe, and once for each record: who has been there once is not asked again.
    assert_eq!(web.asked(), 4);
}

#[test]
fn a_run_that_waits_for_a_far_side_says_so_without_records_and_stops_when_it_is_asked_to() {
    for (records, code, pending) in [("", 0, 0), ("one\ntwo\n", 1, 2)] {
        let scratch = Scratch::new().unwrap();
        let url = format!("http://{}", Web::free());
        probed(&scratch, &url, &format!("{url}/200"));
        let file = std::fs::read_to_string(scratch.path("web.yaml")).unwrap();
        scratch.write("web.yaml", file.replace("kind: file, path: records.txt", "kind: stdin")).unwrap();
        let mut wharf = scratch.wharf(&["run", "web.yaml", "--output", "json"]).unwrap();
        let mut running = wharf.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = running.stdin.take().unwrap();
        input.write_all(records.as_bytes()).unwrap();
        let mut log = BufReader::new(running.stderr.take().unwrap()).lines().map(Result::unwrap);
        let words =
            if records.is_empty() { "waits for destination caller: the far side is not there: " } else { "to be sent again: " };
        assert!(log.any(|line| line.contains(words)));
        assert!(Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap().success());
        let rest = std::thread::spawn(move || log.collect::<Vec<_>>().join("\n"));
        let ran = Ran::from(running.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(code), "{}", rest.join().unwrap());
        assert_eq!(ran.json().unwrap()["pipelines"][0]["destinations"][0]["pending"], pending);
    }
}
