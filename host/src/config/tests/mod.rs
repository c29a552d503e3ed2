//! What the whole of this room promises.

mod docs;
mod layers;
mod processors;
mod providers;
mod refusals;
mod variables;

use std::path::{Path, PathBuf};

use super::*;

/// A right file, to be bent: `{source}` and `{rest}` of its one destination.
fn with(source: &str, rest: &str) -> String {
    format!(
        "version: 1\npipelines:\n  - id: p\n    source: {source}\n    destinations:\n      - id: d\n        component: d.wasm\n{rest}"
    )
}

const GENERATOR: &str = "{ kind: generator, count: 1 }";

fn env(name: &str) -> Option<String> {
    match name {
        "EMPTY" => Some(String::new()),
        "SECRET" => Some("s3cret: [".to_owned()),
        "SIX" => Some("6".to_owned()),
        _ => None,
    }
}

fn read(text: &str) -> Result<File, Mistakes> {
    parse(text, "p.yaml", Path::new("/etc/wharf"), &env)
}

/// Place, what and hint of all that is wrong, as a person would see them.
fn refusal(text: &str) -> String {
    let shown = |error: &ConfigError| match error.hint() {
        Some(hint) => format!("{error}\n{hint}"),
        None => error.to_string(),
    };
    read(text).expect_err("the file is refused").iter().map(shown).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(refusal(text), expected, "\n{text}");
}

#[test]
fn what_is_left_out_has_its_default() {
    let file = read(&with(GENERATOR, "")).unwrap();
    assert_eq!(file.data_dir(), Path::new("/etc/wharf/.wharf"));
    assert_eq!(file.process, Process::default());
    let pipeline = &file.pipelines[0];
    assert_eq!((pipeline.window, pipeline.batch), (4, Batch::default()));
    assert_eq!(
        pipeline.source.value,
        Source::Generator(Generator { count: 1, size: Size::from_bytes(250), rate: None, seed: 0, entities: None })
    );
    let destination = &pipeline.destinations[0];
    assert!(destination.settings.is_empty());
    assert!(destination.grants.directories.is_empty());
    assert_eq!(destination.limits, Limits::default());
}

#[test]
fn a_limit_that_is_given_leaves_the_others_as_they_are() {
    let limits = "        limits:\n          memory: 1GiB\n          time:\n            write: 5m\n";
    let file = read(&with(GENERATOR, limits)).unwrap();
    let expected = Limits {
        memory: Size::from_mib(1024),
        time: Times { write: Interval::from_secs(300), ..Times::default() },
        ..Limits::default()
    };
    assert_eq!(file.pipelines[0].destinations[0].limits, expected);
}

#[test]
fn what_a_process_may_spend_is_read_key_by_key() {
    let process = "process: { component-size: 1MiB, compile-time: 50ms, compile-memory: 64MiB, instances: 2 }\n";
    let file = read(&format!("{process}{}", with(GENERATOR, ""))).unwrap();
    let expected = Process {
        component_size: Size::from_mib(1),
        compile: Compile::Child,
        compile_time: Interval::from_millis(50),
        compile_memory: Size::from_mib(64),
        instances: 2,
    };
    assert_eq!(file.process, expected);
    let file = read(&format!("process: {{ compile: here }}\n{}", with(GENERATOR, ""))).unwrap();
    assert_eq!(file.process, Process { compile: Compile::Here, ..Process::default() });
}

#[test]
fn what_may_be_given_up_is_read_key_by_key() {
    let with = |block: &str| with(GENERATOR, "").replace("    destinations", &format!("    {block}\n    destinations"));
    let pipeline = read(&with("checkpoint-interval: 0")).unwrap().pipelines[0].value.clone();
    assert_eq!((pipeline.dead_letters, pipeline.checkpoint_interval), (DeadLetters::default(), Interval::from_millis(0)));
    let given = "dead-letters: { max-bytes: 64KiB, max-age: 30d, window: 100, tolerance: 99, copy-to: given-up.ndjson }";
    let expected = DeadLetters {
        max_bytes: Size::from_kib(64),
        max_age: Some(Interval::from_secs(30 * 86_400)),
        window: 100,
        tolerance: 99,
        copy_to: None,
    };
    let mut read_so = read(&with(given)).unwrap().pipelines[0].dead_letters.clone();
    let copy = read_so.copy_to.take().unwrap();
    assert_eq!((copy.value, copy.place.line), ("/etc/wharf/given-up.ndjson".into(), 5));
    assert_eq!(read_so, expected);
    let unbound = read(&with("dead-letters: { window: 0 }")).unwrap().pipelines[0].dead_letters.clone();
    assert_eq!((unbound.window, unbound.tolerance, unbound.copy_to), (0, 0, None));
    refused(
        &with("dead-letters: { window: 0, tolerance: 5 }"),
        "p.yaml:5:43: `window: 0` sets no bound, and `tolerance` lets 5 be given up\nleave out `tolerance`, or say of how many records: `window: 100`",
    );

    let hint = "make `window` larger, or `tolerance` smaller; `window: 0` without `tolerance` sets no bound";
    refused(
        &with("dead-letters: { window: 10, tolerance: 11 }"),
        &format!("p.yaml:5:44: of the last 10 records, `tolerance` lets 11 be given up\n{hint}"),
    );
    refused(
        &with("dead-letters:\n      tolerance: 2"),
        &format!("p.yaml:6:18: of the last 1 records, `tolerance` lets 2 be given up\n{hint}"),
    );
    let told = refusal(&with("dead-letters: { window: 1000001 }"));
    assert!(told.starts_with("p.yaml:5:29: expected a whole number from 0 to 1000000"), "{told}");
    let told = refusal(&with("dead-letters: { max-bytes: 1KiB }"));
    assert!(told.starts_with("p.yaml:5:32: expected a size from 64KiB to 16777215TiB"), "{told}");
}

#[test]
fn settings_are_flat_and_stay_the_text_that_was_written() {
    let settings = "        settings:
          code: 007
          on: true
          big: 1e3
          word: 'null'
          token: ${SECRET}
          hosts: [a, b]
          tls: { verify: no, names: [x] }
          none: []
";
    let file = read(&with(GENERATOR, settings)).unwrap();
    let settings = &file.pipelines[0].destinations[0].settings;
    let flat: Vec<_> = settings.iter().map(|(name, setting)| (name, setting.value(), setting.place().line)).collect();
    let expected = [
        ("big", "1e3", 11),
        ("code", "007", 9),
        ("hosts.0", "a", 14),
        ("hosts.1", "b", 14),
        ("on", "true", 10),
        ("tls.names.0", "x", 15),
        ("tls.verify", "no", 15),
        ("token", "s3cret: [", 13),
        ("word", "null", 12),
    ];
    assert_eq!(flat, expected);
    let token = settings.get("token").unwrap();
    assert_eq!(token.written(), "${SECRET}");
    assert_eq!((token.name_place().to_string(), token.place().to_string()), ("p.yaml:13:11".into(), "p.yaml:13:18".into()));
    assert!(!format!("{file:?}").contains("s3cret"));
}

#[test]
fn paths_count_from_the_folder_of_the_file() {
    let grants = "        grants: { directories: [{ host: out, guest: /out, access: read-write }, { host: /srv, guest: / }] }\n";
    let text = format!("data-dir: state\n{}", with("{ kind: file, path: in/*.csv.gz }", grants));
    let file = parse(&text, "p.yaml", Path::new("/etc/wh[a]rf"), &env).unwrap();
    assert_eq!(file.data_dir(), Path::new("/etc/wh[a]rf/state"));
    let Source::File(source) = &file.pipelines[0].source.value else { panic!("a file source") };
    assert_eq!(source.path.value, PathOrGlob::Glob("/etc/wh[[]a[]]rf/in/*.csv.gz".into()));
    assert_eq!((source.format, source.compression), (Format::Csv, Compression::Auto));
    assert_eq!((source.follow, source.poll), (false, Interval::from_millis(250)));
    let destination = &file.pipelines[0].destinations[0];
    assert_eq!(destination.component.value, PathBuf::from("/etc/wh[a]rf/d.wasm"));
    let directories: Vec<_> = destination.grants.directories.iter().map(|at| at.value.clone()).collect();
    let directory = |host: &str, guest: &str, access| Directory { host: host.into(), guest: guest.into(), access, quota: None };
    assert_eq!(directories, [directory("/etc/wh[a]rf/out", "/out", Access::ReadWrite), directory("/srv", "/", Access::ReadOnly)]);
}

#[test]
fn an_extension_tells_the_format() {
    let told = |path: &str| Format::of(Path::new(path));
    for path in ["a.ndjson", "a.jsonl", "b/a.json", "*.json.gz", "a.ndjson.zst"] {
        assert_eq!(told(path), Some(Format::JsonLines), "{path}");
    }
    assert_eq!(told("a.csv"), Some(Format::Csv));
    for path in ["a", "a.gz", "a.txt", "*", "csv", "a.csv.bz2"] {
        assert_eq!(told(path), None, "{path}");
    }
}

#[test]
fn json_is_yaml_too() {
    let text = r#"{"version": 1, "pipelines": [{"id": "p", "source": {"kind": "stdin", "format": "csv", "key": "user"},
        "batch": {"records": 10}, "destinations": [{"id": "d", "component": "d.wasm"}]}]}"#;
    assert_eq!(read(text).unwrap().pipelines[0].batch.records, Some(10));
}

#[test]
fn an_alias_stands_for_what_was_named() {
    let text = with(GENERATOR, "        limits: &few { memory: 8MiB }\n      - { id: e, component: e.wasm, limits: *few }\n");
    let file = read(&text).unwrap();
    let destinations = &file.pipelines[0].destinations;
    assert_eq!(destinations[1].limits, destinations[0].limits);
}

#[test]
fn what_an_http_grant_holds_is_not_shown() {
    let granted = |entry: &str| with(GENERATOR, &format!("        grants:\n          http:\n            - {entry}\n"));
    let file =
        read(&granted("{ to: https://api.example.com, headers: { X-Key: '${SECRET}', x-file: { file: key, prefix: Key } } }"))
            .unwrap();
    assert!(!format!("{file:?}").contains("s3cret"));
    let grant = &file.pipelines[0].destinations[0].grants.http[0];
    assert_eq!(grant.headers[0].name, "x-key");
    assert_eq!(grant.headers[1].value.value, HeaderFrom::File("/etc/wharf/key".into()));
    for (entry, expected) in [
        ("'${SECRET}'", "this grant begins neither with `https://` nor with `http://`"),
        ("https://a.example.com/v1", "this grant has a `/`: a grant is of a scheme, a host and a port"),
        ("{ to: https://a.example.com, headers: { x: '${EMPTY}' } }", "the header has no value"),
        ("{ to: https://a.example.com, headers: { x: \"${SECRET}\\n\" } }", "the header has a value that no header can have"),
        ("{ to: https://a.example.com, headers: { Host: x } }", "the header `host` is the host's own, and cannot be added"),
        ("{ to: https://a.example.com, headers: { x: y, X: z } }", "the header `x` stands here again"),
        ("{ to: https://a.example.com, headers: { x: { prefix: y } } }", "an added header has either `file` or `token`"),
        ("{ to: https://a.example.com, header: { x: y } }", "unknown key `header` in an HTTP grant"),
        (
            "https://a.example.com\n            - https://A.example.com:443",
            "the HTTP grant `https://a.example.com` stands here again",
        ),
    ] {
        let told = refusal(&granted(entry));
        assert!(told.contains(expected) && told.starts_with("p.yaml:") && !told.contains("s3cret"), "{entry}: {told}");
    }
}

#[test]
fn what_is_wrong_with_a_list_stands_where_the_nearest_of_it_does() {
    let rest = "        settings:\n          key: [event]\n          hosts:\n            - { name: a }\n";
    let file = read(&with(GENERATOR, rest)).unwrap();
    let settings = &file.pipelines[0].destinations[0].settings;
    let line = |name: &str| settings.place_of(name).map(|place| (place.line, place.column));
    assert_eq!(line("key.0"), Some((9, 17)));
    assert_eq!(line("key"), Some((9, 17)), "a list has no name of its own");
    assert_eq!((line("hosts.0.name"), line("hosts.0.port"), line("hosts")), (Some((11, 17)), Some((11, 17)), Some((11, 17))));
    assert_eq!((line("other"), line("ke")), (None, None));
}
