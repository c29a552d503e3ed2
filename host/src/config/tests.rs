//! What the whole of this room promises.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use serde_json::{Map, Value};

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

fn read(text: &str) -> Result<File, ConfigError> {
    parse(text, "p.yaml", Path::new("/etc/wharf"), &env)
}

/// Place, what and hint of what is wrong, as a person would see them.
fn refusal(text: &str) -> String {
    let error = read(text).expect_err("the file is refused");
    match error.hint() {
        Some(hint) => format!("{error}\n{hint}"),
        None => error.to_string(),
    }
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
    let given = "dead-letters: { max-bytes: 64KiB, max-age: 30d, window: 100, tolerance: 100, copy-to: given-up.ndjson }";
    let expected = DeadLetters {
        max_bytes: Size::from_kib(64),
        max_age: Some(Interval::from_secs(30 * 86_400)),
        window: 100,
        tolerance: 100,
        copy_to: Some("/etc/wharf/given-up.ndjson".into()),
    };
    assert_eq!(read(&with(given)).unwrap().pipelines[0].dead_letters, expected);
    let unbound = read(&with("dead-letters: { tolerance: 5, window: 0 }")).unwrap().pipelines[0].dead_letters.clone();
    assert_eq!((unbound.window, unbound.tolerance, unbound.copy_to), (0, 5, None));

    let hint = "make `window` larger, or `tolerance` smaller; `window: 0` sets no bound";
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
    assert!(told.starts_with("p.yaml:5:32: expected a size of at least 64KiB"), "{told}");
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

/// A right file with one provider of tokens, and what its one destination is granted.
fn tokens(provider: &str, granted: &str) -> String {
    format!("tokens:\n  - {provider}\n{}", with(GENERATOR, &format!("        grants: {{ tokens: {granted} }}\n")))
}

const PROVIDER: &str =
    "{ id: crm, kind: client-credentials, token-url: 'https://x.example/t', client-id: us, client-secret: '${SECRET}' }";

#[test]
fn providers_of_tokens_are_read_and_their_secrets_not_shown() {
    let file = read(&tokens(PROVIDER, "[crm]")).unwrap();
    let TokenProvider { token_url, client_secret, auth, scopes, .. } = &file.tokens[0].value;
    assert_eq!((token_url.url().as_str(), *auth, scopes.len()), ("https://x.example/t", ClientAuth::Basic, 0));
    assert_eq!(client_secret.as_ref().map(|secret| &secret.value), Some(&SecretFrom::Text(Secret::new("s3cret: ["))));
    assert_eq!(file.pipelines[0].destinations[0].grants.tokens[0].as_str(), "crm");

    let provider = "{ id: ads, kind: refresh-token, token-url: 'http://[::1]:8080/t', client-id: us, refresh-token: { file: keys/r }, \
                    roots: ca.pem, auth: body, scopes: [a, 'b:c'], parameters: { audience: '${SECRET}' } }";
    let file = read(&tokens(provider, "[]")).unwrap();
    let TokenProvider { refresh_token, roots, auth, scopes, parameters, .. } = &file.tokens[0].value;
    assert_eq!(refresh_token.as_ref().map(|secret| &secret.value), Some(&SecretFrom::File("/etc/wharf/keys/r".into())));
    assert_eq!((roots.as_deref(), *auth), (Some(Path::new("/etc/wharf/ca.pem")), ClientAuth::Body));
    assert_eq!(scopes.iter().map(Scope::as_str).collect::<Vec<_>>(), ["a", "b:c"]);
    assert_eq!(parameters.iter().collect::<Vec<_>>(), [("audience", &Secret::new("s3cret: ["))]);
    assert!(!format!("{file:?}").contains("s3cret"));

    assert_eq!(file.key_file(), None);
    let key = |name: &str| (name == "WHARF_KEY_FILE").then(|| "/etc/key".to_owned());
    assert_eq!(parse(&with(GENERATOR, ""), "p.yaml", Path::new("/"), &key).unwrap().key_file(), Some(Path::new("/etc/key")));
}

#[test]
fn what_is_wrong_with_a_provider_of_tokens_is_told_with_its_line_and_without_its_secrets() {
    let bent = |from: &str, to: &str| tokens(&PROVIDER.replace(from, to), "[]");
    let address = "an address such as `https://login.example.com/token`, without user, password and fragment; `http` is for this machine alone";
    for url in
        ["http://x.example/t", "https://u:p@x.example/", "https://x.example/#f", "ftp://localhost/", "x.example", "https://"]
    {
        let text = bent("https://x.example/t", url);
        refused(&text, &format!("p.yaml:2:53: expected {address}, found `{url}`"));
    }
    for (text, expected) in [
        (tokens(PROVIDER, "[cmr]"), "p.yaml:10:28: destination d: there is no token provider `cmr`\ndid you mean `crm`?"),
        (tokens(PROVIDER, "[other]"), "p.yaml:10:28: destination d: there is no token provider `other`\nthere are `crm`"),
        (
            with(GENERATOR, "        grants: { tokens: [crm] }\n"),
            "p.yaml:8:28: destination d: there is no token provider `crm`\ndescribe it under `tokens:` at the top of the file",
        ),
        (
            tokens(PROVIDER, "[crm, crm]"),
            "p.yaml:10:33: the grant of tokens of `crm` stands here again, first on line 10\ngive each a name of its own",
        ),
        (
            tokens(&format!("{PROVIDER}\n  - {PROVIDER}"), "[]"),
            "p.yaml:3:11: the token provider `crm` stands here again, first on line 2\ngive each a name of its own",
        ),
        (
            bent(", client-secret: '${SECRET}'", ""),
            "p.yaml:2:5: missing key `client-secret` in a token provider of the kind `client-credentials`\n\
             give it as `${VARIABLE}`, or as `{ file: PATH }`",
        ),
        (
            bent("client-credentials", "refresh-token"),
            "p.yaml:2:5: missing key `refresh-token` in a token provider of the kind `refresh-token`\n\
             give the one that came with the consent, as `${VARIABLE}` or as `{ file: PATH }`",
        ),
        (
            bent("client-id", "refresh-token: '${SECRET}', client-id"),
            "p.yaml:2:5: `refresh-token` with `kind: client-credentials`\n\
             choose `kind: refresh-token`, or leave `refresh-token` out",
        ),
        (
            bent("client-credentials", "password"),
            "p.yaml:2:22: expected `client-credentials` or `refresh-token`, found `password`",
        ),
        (bent("${SECRET}", "${EMPTY}"), "p.yaml:2:106: the secret is empty\nis the variable empty?"),
        (bent("'${SECRET}'", "{ fiel: x }"), "p.yaml:2:108: unknown key `fiel` in a secret\ndid you mean `file`?"),
        (bent("'${SECRET}'", "['${SECRET}']"), "p.yaml:2:106: expected a secret (a mapping), found a list"),
        (
            bent("client-id", "parameters: { scope: x }, client-id"),
            "p.yaml:2:90: the field `scope` is the host's own, and no parameter",
        ),
        (
            bent("client-id", "scopes: ['${SECRET}'], client-id"),
            "p.yaml:2:85: expected a scope: visible ASCII characters without spaces, `\"` and `\\`, found `${SECRET}`",
        ),
    ] {
        refused(&text, expected);
    }
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
    assert_eq!(read(text).unwrap().pipelines[0].batch.records, 10);
}

#[test]
fn an_alias_stands_for_what_was_named() {
    let text = with(GENERATOR, "        limits: &few { memory: 8MiB }\n      - { id: e, component: e.wasm, limits: *few }\n");
    let file = read(&text).unwrap();
    let destinations = &file.pipelines[0].destinations;
    assert_eq!(destinations[1].limits, destinations[0].limits);
}

#[test]
fn variables_are_replaced_in_values() {
    let value = |written: &str| {
        let text = with(GENERATOR, &format!("        settings: {{ x: \"{written}\" }}\n"));
        read(&text).unwrap().pipelines[0].destinations[0].settings.get("x").unwrap().value().to_owned()
    };
    assert_eq!(value("a${SIX}b${SIX}"), "a6b6");
    assert_eq!(value("${SECRET}"), "s3cret: [");
    assert_eq!(value("${EMPTY}"), "");
    assert_eq!(value("${NONE:-x y}"), "x y");
    assert_eq!(value("${NONE:-}"), "");
    assert_eq!(value("${EMPTY:-x}"), "x");
    assert_eq!(value("${SIX:-x}"), "6");
    assert_eq!(value("$$ $${SIX} $SIX ^a$"), "$ ${SIX} $SIX ^a$");
    // What a variable holds is not read again.
    assert_eq!(interpolated("${A}", &|_| Some("${B} $$".into())), "${B} $$");
    assert_eq!(read(&with("{ kind: generator, count: \"${SIX}\" }", "")).unwrap().pipelines.len(), 1);
}

fn interpolated(written: &str, env: &dyn Fn(&str) -> Option<String>) -> String {
    let text = with(GENERATOR, &format!("        settings: {{ x: \"{written}\" }}\n"));
    let file = parse(&text, "p.yaml", Path::new("/"), env).unwrap();
    file.pipelines[0].destinations[0].settings.get("x").unwrap().value().to_owned()
}

#[test]
fn what_is_wrong_with_a_variable_names_it_and_its_line() {
    let setting = |value: &str| with(GENERATOR, &format!("        settings:\n          x: \"{value}\"\n"));
    refused(
        &setting("${NONE}"),
        "p.yaml:9:14: the variable `NONE` is not set\nset it, or give a default with `${NONE:-default}`",
    );
    refused(&setting("a${NONE"), "p.yaml:9:14: `${` without its `}`\nwrite `${NAME}` for a variable, `$$` for a dollar sign");
    let how = "write `${NAME}` or `${NAME:-default}`, and `$$` for a dollar sign";
    refused(&setting("${}"), &format!("p.yaml:9:14: `${{}}` does not name a variable\n{how}"));
    refused(&setting("${1A}"), &format!("p.yaml:9:14: `${{1A}}` does not name a variable\n{how}"));
    refused(&setting("${A-b}"), &format!("p.yaml:9:14: `${{A-b}}` does not name a variable\n{how}"));
    refused(
        &setting("${A:-${B}}"),
        "p.yaml:9:14: the default of the variable `A` holds a variable itself\na default is plain text, up to the first `}`",
    );
}

#[test]
fn what_a_variable_held_is_never_shown() {
    for text in [
        with("{ kind: generator, count: \"${SECRET}\" }", ""),
        with("{ kind: \"${SECRET}\", count: 1 }", ""),
        with("{ kind: generator, count: 1, size: \"${SECRET}\" }", ""),
        with("{ kind: stdin, format: \"${SECRET}\" }", ""),
        with("{ kind: file, path: \"${SECRET}\" }", ""),
        with("{ kind: file, path: x.json, key: \"${SECRET}\" }", ""),
        with("{ kind: file, path: x.json, follow: \"${SECRET}\" }", ""),
        with("\"${SECRET}\"", ""),
        with(GENERATOR, "        grants: { directories: [{ host: x, guest: \"${SECRET}\" }] }\n"),
        with(GENERATOR, "").replace("id: p", "id: \"${SECRET}\""),
        with(GENERATOR, "").replace("version: 1", "version: \"${SECRET}\""),
        with(GENERATOR, "").replace("version: 1", "version: \"${SIX}\""),
    ] {
        let message = refusal(&text);
        assert!(!message.contains("s3cret") && !message.contains("`6`"), "{message}");
    }
    refused(
        &with("{ kind: generator, count: \"${SECRET}\" }", ""),
        "p.yaml:4:39: expected a whole number of at least 0, found `${SECRET}`",
    );
}

#[test]
fn a_wrong_file_is_refused_with_the_line_and_what_to_do() {
    let source = |source: &str| with(source, "");
    let rest = |rest: &str| with(GENERATOR, rest);
    let bent = |from: &str, to: &str| with(GENERATOR, "").replace(from, to);
    for (text, expected) in [
        // Keys.
        (rest("        settigns: {}\n"), "p.yaml:8:9: unknown key `settigns` in a destination\ndid you mean `settings`?"),
        (
            rest("        flavour: 1\n"),
            "p.yaml:8:9: unknown key `flavour` in a destination\nit may have `id`, `component`, `settings`, `grants`, `limits` and `isolation`",
        ),
        (
            rest("        limits: { Fuel_Per_Call: 1 }\n"),
            "p.yaml:8:19: unknown key `Fuel_Per_Call` in the limits block\ndid you mean `fuel-per-call`?",
        ),
        (
            source("{ kind: generator, cuont: 1 }"),
            "p.yaml:4:32: unknown key `cuont` in a generator source\ndid you mean `count`?",
        ),
        (source("{ kind: stdin }"), "p.yaml:4:13: missing key `format` in a stdin source"),
        (source("{ kind: generator }"), "p.yaml:4:13: missing key `count` in a generator source"),
        (bent("id: d", "limits: {}"), "p.yaml:6:9: missing key `id` in a destination"),
        (bent("version: 1\n", ""), "p.yaml:1:1: missing key `version` in a pipeline file"),
        ("version: 1".into(), "p.yaml:1:1: missing key `pipelines` in a pipeline file"),
        (rest("        id: e\n"), "p.yaml:8:9: the key `id` stands here again, first on line 6\nkeep one of the two"),
        (
            rest("        <<: {}\n"),
            "p.yaml:8:9: merging with `<<` is not supported\nwrite the keys out, or give the whole block a name with `&` and use it again with `*`",
        ),
        (rest("        ? [a]\n        : b\n"), "p.yaml:8:11: a key must be plain text"),
        // Kinds of things.
        ("- a".into(), "p.yaml:1:1: expected a pipeline file (a mapping), found a list"),
        ("a".into(), "p.yaml:1:1: expected a pipeline file (a mapping), found `a`"),
        ("version: 1\npipelines: {}".into(), "p.yaml:2:12: expected a list, found a mapping"),
        ("version: 1\npipelines: []".into(), "p.yaml:2:12: expected at least one pipeline, found an empty list"),
        ("version: 1\npipelines:".into(), "p.yaml:2:1: expected a list, found nothing"),
        ("version: 1\npipelines: [x]".into(), "p.yaml:2:13: expected a pipeline (a mapping), found `x`"),
        (rest("        settings: x\n"), "p.yaml:8:19: expected the settings block (a mapping), found `x`"),
        (rest("        settings:\n"), "p.yaml:8:9: expected the settings block (a mapping), found nothing"),
        (
            rest("        settings:\n          a: ~\n"),
            "p.yaml:9:14: a setting has no value\nwrite `\"\"` for empty text, or leave the setting out",
        ),
        (rest("        limits:\n"), "p.yaml:8:9: expected the limits block (a mapping), found nothing"),
        (bent("component: d.wasm", "component:"), "p.yaml:7:9: expected a path, found nothing"),
        (bent("component: d.wasm", "component: ''"), "p.yaml:7:20: expected a path, found empty text"),
        (bent("component: d.wasm", "component: [d.wasm]"), "p.yaml:7:20: expected a path, found a list"),
        // Values.
        (bent("version: 1", "version: 2"), "p.yaml:1:10: the version `2` is not known\nthis host reads version 1"),
        (bent("version: 1", "version: one"), "p.yaml:1:10: expected `1`, found `one`"),
        (
            bent("id: d", "id: D"),
            "p.yaml:6:13: expected an id: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`, a letter or digit first, found `D`",
        ),
        (
            rest("        limits: { memory: 5GiB }\n"),
            "p.yaml:8:27: expected a size from 1MiB to 4GiB, such as `64MiB`, found `5GiB`",
        ),
        (
            rest("        limits: { time: { write: 30 } }\n"),
            "p.yaml:8:34: expected a duration from 1ms to 1d, such as `30s`, found `30`",
        ),
        (rest("        limits: { fuel-per-call: 0 }\n"), "p.yaml:8:34: expected a whole number of at least 1, found `0`"),
        (
            rest("        grants: { directories: [{ host: x, guest: x }] }\n"),
            "p.yaml:8:51: expected an absolute path such as `/data`, without `.`, `..` and a `/` at its end, found `x`",
        ),
        (
            rest("        grants: { directories: [{ host: x, guest: /a/../b }] }\n"),
            "p.yaml:8:51: expected an absolute path such as `/data`, without `.`, `..` and a `/` at its end, found `/a/../b`",
        ),
        (
            rest("        grants: { directories: [{ host: x, guest: /x, access: readonly }] }\n"),
            "p.yaml:8:63: expected `read-only` or `read-write`, found `readonly`\ndid you mean `read-only`?",
        ),
        (rest("        grants: { state: 16MiB }\n"), "p.yaml:8:26: expected a state grant (a mapping), found `16MiB`"),
        (rest("        grants: { state: {} }\n"), "p.yaml:8:26: missing key `bytes` in a state grant"),
        (
            rest("        grants: { state: { bytes: 1MiB, keys: 0 } }\n"),
            "p.yaml:8:47: expected a whole number from 1 to 10000000, found `0`",
        ),
        // Sources.
        (source("stdin"), "p.yaml:4:13: expected a source (a mapping), found `stdin`"),
        (source("{ path: x }"), "p.yaml:4:13: missing key `kind` in a source\nit is one of `file`, `stdin` and `generator`"),
        (source("{ kind: files }"), "p.yaml:4:21: expected `file`, `stdin` or `generator`, found `files`\ndid you mean `file`?"),
        (
            source("{ kind: file, path: x.txt }"),
            "p.yaml:4:33: the path's extension does not tell the format\ngive `format`: `json-lines`, `csv`, `opencdc` or `lines`",
        ),
        (source("{ kind: file, path: 'a/**b' }"), "p.yaml:4:33: expected a path or a pattern of paths, found `a/**b`"),
        (
            source("{ kind: file, path: x.csv, poll: 1s }"),
            "p.yaml:4:46: `poll` without `follow: true`\nadd `follow: true`, or leave `poll` out",
        ),
        (
            source("{ kind: stdin, format: lines, key: x }"),
            "p.yaml:4:48: `key` with `format: lines`\na line has no keys; leave `key` out",
        ),
        (
            source("{ kind: file, path: x.json, format: opencdc, key: /id }"),
            "p.yaml:4:63: `key` with `format: opencdc`\neach record brings its own key; leave `key` out",
        ),
        (
            source("{ kind: stdin, format: json-lines, key: id }"),
            "p.yaml:4:53: `key` is not a JSON pointer\nwrite it like `/user/id`, with `~0` for `~` and `~1` for `/`",
        ),
        (
            "version: 1\nprocess: { compile: here, compile-memory: 1GiB }\npipelines: []".into(),
            "p.yaml:2:43: `compile-memory` with `compile: here`\n\
             only a child process has a memory of its own to limit; leave one of the two out",
        ),
        (
            "version: 1\nprocess: { compile: there }\npipelines: []".into(),
            "p.yaml:2:21: expected `child` or `here`, found `there`\ndid you mean `here`?",
        ),
        (
            format!("process: {{ instances: 1 }}\n{}", rest("      - { id: e, component: e.wasm }\n")),
            "p.yaml:9:9: `process.instances` is 1, and each of 2 destinations needs one\nset it to 2 at the least",
        ),
        (
            "version: 1\nprocess: { instances: 0 }\npipelines: []".into(),
            "p.yaml:2:23: expected a whole number from 1 to 100000, found `0`",
        ),
        (
            source("{ kind: stdin, format: [csv] }"),
            "p.yaml:4:36: expected `json-lines`, `csv`, `opencdc` or `lines`, found a list",
        ),
        (source("{ kind: file, path: x.csv, follow: yes }"), "p.yaml:4:48: expected `true` or `false`, found `yes`"),
        (source("{ kind: generator, count: -1 }"), "p.yaml:4:39: expected a whole number of at least 0, found `-1`"),
        // More than one.
        (
            rest("      - { id: d, component: e.wasm }\n"),
            "p.yaml:8:15: the destination `d` stands here again, first on line 6\ngive each a name of its own",
        ),
        (
            rest("        settings: { a.b: 1, a: { b: 2 } }\n"),
            "p.yaml:8:34: the setting `a.b` stands here again, first on line 8\nkeep one of the two",
        ),
        (
            rest("        grants: { tcp: [db.example.com] }\n"),
            "p.yaml:8:25: this grant names no port\nwrite it like `db.example.com:5432`",
        ),
        (
            rest("        grants: { tcp: [{ to: \"127.1:80\" }] }\n"),
            "p.yaml:8:31: this grant names a host that ends with a number and is not an IPv4 address of four decimal numbers\nwrite it like `db.example.com:5432`",
        ),
        (rest("        grants: { tcp: [[]] }\n"), "p.yaml:8:25: expected a TCP grant (a mapping), found an empty list"),
        (
            rest("        grants: { tcp: [{ to: \"a:1\", privat: true }] }\n"),
            "p.yaml:8:38: unknown key `privat` in a TCP grant\ndid you mean `private`?",
        ),
        (
            rest("        grants: { tcp: [\"a:1\", { to: \"A:1\", private: true }] }\n"),
            "p.yaml:8:32: the TCP grant `a:1` stands here again, first on line 8\ngive each a name of its own",
        ),
        (
            rest("        grants: { directories: [{ host: x, guest: /x }, { host: y, guest: /x }] }\n"),
            "p.yaml:8:57: the directory of the guest `/x` stands here again, first on line 8\ngive each a name of its own",
        ),
        (
            rest("        grants: { directories: [{ host: x, guest: /x, quota: 1MiB }] }\n"),
            "p.yaml:8:33: `quota` bounds what is written, and `/x` is only read\nleave it out, or grant `access: read-write`",
        ),
        (
            rest("        grants: { scratch: 1KiB }\n"),
            "p.yaml:8:28: expected a size of at least 8KiB, such as `64MiB`, found `1KiB`",
        ),
        // YAML.
        (String::new(), "`p.yaml` is empty\nbegin it with `version: 1`"),
        ("# nothing\n".into(), "`p.yaml` is empty\nbegin it with `version: 1`"),
        ("version: 1\n\tpipelines: []".into(), "p.yaml:2:1: a tab is used for indentation\nindent with spaces"),
        ("pipelines:\n  - id: x\n \tsource: x\n".into(), "p.yaml:3:2: a tab is used for indentation\nindent with spaces"),
        ("pipelines:\n\t- id: x\n".into(), "p.yaml:2:1: a tab is used for indentation\nindent with spaces"),
        (
            "version: 1\n---\nversion: 1\n".into(),
            "p.yaml:2:1: a second document begins here\na pipeline file is one document: list all pipelines under one `pipelines`",
        ),
        (
            "version: !!int 1".into(),
            "p.yaml:1:10: a tag (`!…`) is not supported\nleave it out; a value is read as what its key asks for",
        ),
        ("a: &a [*a]".into(), "p.yaml:1:8: an alias inside of what it stands for"),
    ] {
        refused(&text, expected);
    }
}

#[test]
fn a_small_file_cannot_become_a_large_tree() {
    let mut laughs = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..12 {
        let before = level - 1;
        laughs += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", "));
    }
    assert!(refusal(&laughs).contains("p.yaml holds too much"), "{}", refusal(&laughs));

    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), vec!["*a"; 50].join(", "));
    assert!(refusal(&long).contains("p.yaml holds too much"), "{}", refusal(&long));

    let long = |_: &str| Some("x".repeat(1 << 20));
    let text = with(GENERATOR, &format!("        settings: {{ x: [{}] }}\n", vec!["\"${A}\""; 20].join(", ")));
    assert_eq!(parse(&text, "p.yaml", Path::new("/"), &long).unwrap_err().what(), "variables make the file too large");
    let text = with(GENERATOR, &format!("        settings: {{ x: \"{}\" }}\n", "${A}".repeat(20)));
    assert_eq!(parse(&text, "p.yaml", Path::new("/"), &long).unwrap_err().what(), "variables make this value too large");
}

#[test]
fn depth_is_bounded_however_it_is_come_by() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    assert_eq!(refusal(&deep), "p.yaml:1:65: lists and mappings stand more than 64 deep in each other");
    let deep = (0..1000).map(|level| format!("{}a:\n", " ".repeat(level))).collect::<String>();
    assert_eq!(refusal(&deep), "p.yaml:65:65: lists and mappings stand more than 64 deep in each other");
    let mut chain = String::from("a0: &a0 [x]\n");
    for level in 1..100 {
        chain += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    assert!(refusal(&chain).contains("more than 64 deep"), "{}", refusal(&chain));
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    let refusal = |path: &Path| {
        let error = load(path, &env).unwrap_err();
        let shown = error.to_string().replace(&path.display().to_string(), "FILE");
        (shown, error.hint().map(str::to_owned))
    };
    assert_eq!(refusal(&path), ("there is no file `FILE`".into(), Some("correct the path of the pipeline file".into())));
    assert_eq!(refusal(folder.path()), ("`FILE` is a directory".into(), Some("name the pipeline file in it".into())));
    std::fs::write(&path, b"version: 1\nna\xc3\xafve \xff").unwrap();
    assert_eq!(refusal(&path), ("FILE:2:7: the file is not UTF-8".into(), Some("save it as UTF-8".into())));
    std::fs::write(&path, vec![b' '; (1 << 20) + 1]).unwrap();
    assert_eq!(refusal(&path), ("`FILE` is larger than 1MiB".into(), Some("is it a pipeline file?".into())));
    std::fs::write(&path, "").unwrap();
    assert_eq!(refusal(&path).0, "`FILE` is empty");
    std::fs::write(&path, format!("\u{feff}{}", with(GENERATOR, "").replace('\n', "\r\n"))).unwrap();
    let file = load(&path, &env).unwrap();
    assert_eq!(file.pipelines[0].destinations[0].component.value, folder.path().join("d.wasm"));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let _refused_or_not = load::decode(&bytes, "p.yaml").is_ok();
        let _refused_or_not = read(&String::from_utf8_lossy(&bytes)).is_ok();
    }

    #[test]
    fn no_yaml_makes_the_reader_panic(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "version: 1\n", "pipelines:\n", "  - id: p\n", "    source: ", "{ kind: stdin, format: csv }", "\n", "\t", " ", "  ",
                "- ", "? ", ": ", "&a ", "*a", "[", "]", "{", "}", ", ", "|\n", ">-\n", "'", "\"", "\\", "#", "---\n", "...\n", "!!str ",
                "${SIX}", "${", "$$", "%YAML 1.2\n", "@", "`", "é", "\u{feff}", "\u{0}", "\r", "kind", "settings", "limits", "x",
                "    destinations:\n", "      - id: d\n", "        component: d\n", "        settings: ", "        limits: ",
            ]),
            0..40,
        ),
    ) {
        let _refused_or_not = read(&pieces.concat()).is_ok();
    }
}

/// The blocks of the schema by name, each with its keys; the kinds of source are blocks of their own.
fn blocks(schema: &Value) -> Vec<(String, &Map<String, Value>)> {
    let mut blocks = vec![("File".to_owned(), schema["properties"].as_object().unwrap())];
    for (name, block) in schema["$defs"].as_object().unwrap() {
        if let Some(keys) = block["properties"].as_object() {
            blocks.push((name.clone(), keys));
        }
        for kind in block["oneOf"].as_array().into_iter().flatten() {
            if let Some(keys) = kind["properties"].as_object() {
                blocks.push((format!("{name} {}", keys["kind"]["const"].as_str().unwrap()), keys));
            }
        }
    }
    blocks
}

#[test]
fn every_key_of_the_schema_is_described() {
    let schema = schema();
    assert!(blocks(&schema).len() > 10);
    for (block, keys) in blocks(&schema) {
        for (key, value) in keys {
            let description = value["description"].as_str().unwrap_or_default();
            assert!(description.ends_with('.') && !description.contains('\n'), "{block}.{key}: {description:?}");
            assert_ne!(value.get("default"), Some(&Value::Null), "{block}.{key}");
        }
    }
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

const DOCS: &str = include_str!("../../../docs/pipelines.md");

#[test]
fn every_key_stands_in_the_docs_with_its_default() {
    let headings = [
        ("File", "## The file"),
        ("Process", "### `process`"),
        ("Pipeline", "## A pipeline"),
        ("TokenProvider", "## A token provider"),
        ("Batch", "### `batch`"),
        ("DeadLetters", "### `dead-letters`"),
        ("Source file", "### `kind: file`"),
        ("Source stdin", "### `kind: stdin`"),
        ("Source generator", "### `kind: generator`"),
        ("Destination", "## A destination"),
        ("Grants", "### `grants`"),
        ("Directory", "#### `directories`"),
        ("State", "#### `state`"),
        ("TcpGrant", "#### `tcp`"),
        ("HttpGrant", "#### `http`"),
        ("AddedHeader", "##### An added header"),
        ("Limits", "### `limits`"),
        ("Times", "#### `time`"),
        ("TcpLimits", "#### `limits.tcp`"),
        ("HttpLimits", "#### `limits.http`"),
    ];
    let schema = schema();
    let blocks: BTreeMap<_, _> = blocks(&schema).into_iter().collect();
    assert_eq!(blocks.len(), headings.len());
    for (block, heading) in headings {
        let (_, section) = DOCS.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
        let section = section.split("\n#").next().unwrap();
        let rows: BTreeMap<&str, &str> =
            section.lines().filter_map(|row| Some((row.strip_prefix("| `")?.split_once('`')?.0, row))).collect();
        let keys = blocks[block];
        let names: BTreeSet<&str> = keys.keys().map(String::as_str).collect();
        assert_eq!(rows.keys().copied().collect::<BTreeSet<_>>(), names, "{heading}");
        for (key, value) in keys {
            let shown = match value.get("default") {
                Some(Value::String(text)) => format!("| `{text}` |"),
                Some(Value::Object(_)) | None => continue,
                Some(other) => format!("| `{other}` |"),
            };
            assert!(rows[key.as_str()].contains(&shown), "{heading} {key} {shown}");
            for bound in ["minimum", "maximum"].into_iter().filter_map(|bound| value.get(bound)?.as_u64()).filter(|n| *n > 0) {
                assert!(rows[key.as_str()].contains(&bound.to_string()), "{heading} {key} {bound}");
            }
        }
    }
}

/// The page for whoever decides has a row for every grant and every limit, with the same default.
#[test]
fn every_grant_and_limit_stands_in_their_own_page_with_its_default() {
    const PAGE: &str = include_str!("../../../docs/grants-and-limits.md");
    let schema = schema();
    let blocks: BTreeMap<_, _> = blocks(&schema).into_iter().collect();
    let grants = [
        ("Grants", ""),
        ("Directory", "directories."),
        ("State", "state."),
        ("TcpGrant", "tcp."),
        ("HttpGrant", "http."),
        ("AddedHeader", "http.headers."),
    ];
    let sections: [(&str, &[(&str, &str)]); 3] = [
        ("\n## Grants\n", &grants[..]),
        ("\n## Limits\n", &[("Limits", ""), ("Times", "time."), ("TcpLimits", "tcp."), ("HttpLimits", "http.")]),
        ("\n### For the process\n", &[("Process", "")]),
    ];
    for (heading, of) in sections {
        let section = PAGE.split_once(heading).unwrap().1.split("\n#").next().unwrap();
        let rows: BTreeMap<&str, &str> =
            section.lines().filter_map(|row| Some((row.strip_prefix("| `")?.split_once('`')?.0, row))).collect();
        let mut known = BTreeSet::new();
        for (block, prefix) in of {
            for (key, value) in blocks[*block] {
                let key = format!("{prefix}{key}");
                // A block that has rows of its own needs none itself.
                let row = match rows.get(&*key) {
                    Some(row) => *row,
                    None if rows.keys().any(|row| row.starts_with(&format!("{key}."))) => continue,
                    None => panic!("no row for {key}"),
                };
                let shown = match value.get("default") {
                    Some(Value::String(text)) => format!("| `{text}` |"),
                    Some(Value::Number(number)) => format!("| `{number}` |"),
                    _ => String::new(),
                };
                assert!(row.contains(&shown), "{key} {shown}");
                known.insert(key);
            }
        }
        let strays: Vec<_> = rows.keys().filter(|row| !known.contains(**row)).collect();
        assert!(strays.is_empty(), "{heading}: {strays:?}");
    }
}

#[test]
fn every_example_in_the_docs_is_right() {
    let env = |name: &str| Some(format!("the {name}"));
    let examples: Vec<&str> = DOCS.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() > 5);
    for example in examples {
        if let Err(error) = parse(example, "docs.yaml", Path::new("/"), &env) {
            panic!("{error}\n{example}");
        }
    }
}
