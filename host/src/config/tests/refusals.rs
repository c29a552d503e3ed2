//! What is refused, and in which words.

use proptest::prelude::*;

use super::*;

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
            "p.yaml:8:9: unknown key `flavour` in a destination\nit may have `id`, `component`, `removed`, `api-version`, `settings`, `format`, `template`, `grants`, `limits`, `isolation`, `ordered`, `parallel`, `batch`, `rate`, `retry`, `outage`, `throttle`, `on-unknown`, `enabled`, `best-effort`, `routes`, `otherwise`, `actions`, `bulk` and `processors`",
        ),
        (
            rest("        bulk: { schedule: hourly }\n"),
            "p.yaml:8:27: `hourly` is not a schedule: it is `realtime`, `@every 1h`, or five fields of cron such as `0 3 * * *`\nwrite `0 * * * *` for that",
        ),
        (
            rest("        bulk: { schedule: sometimes }\n"),
            "p.yaml:8:27: `sometimes` is not a schedule: it is `realtime`, `@every 1h`, or five fields of cron such as `0 3 * * *`\nwrite `realtime`, `@every 15m`, or five fields of cron: minute, hour, day of the month, month, day of the week",
        ),
        (
            rest("        bulk: { schedule: 0 25 * * * }\n"),
            "p.yaml:8:27: `0 25 * * *` is not a schedule: `25` is no hour\nwrite `*`, or numbers from 0 to 23, as in `2`, `1,15`, `1-5` or `*/2`: `0 3 * * *` is every day at 3:00",
        ),
        (
            rest("        bulk: { time-zone: Europe/Berln }\n"),
            "p.yaml:8:28: there is no time zone `Europe/Berln`\ndid you mean `Europe/Berlin`?",
        ),
        (
            rest("        bulk: { schedule: '@every 1h', time-zone: UTC }\n"),
            "p.yaml:8:51: `time-zone` goes with a schedule of cron\nleave it out: the schedule names no time of day",
        ),
        (
            rest("        bulk: { poll: { min-delay: 2h } }\n"),
            "p.yaml:8:23: `poll` has a `min-delay` of 2h and a `max-delay` of 1h\nmake `max-delay` at least as long as `min-delay`; what is left out has its default",
        ),
        (
            rest("        limits: { Fuel_Per_Call: 1 }\n"),
            "p.yaml:8:19: unknown key `Fuel_Per_Call` in the limits block\ndid you mean `fuel-per-call`?",
        ),
        (
            source("{ kind: generator, cuont: 1 }"),
            "p.yaml:4:32: unknown key `cuont` in a generator source\ndid you mean `count`?",
        ),
        (
            source("{ kind: stdin, format: lines }\n    exact-batches: true"),
            "p.yaml:5:20: `exact-batches` with `kind: stdin`\nstandard input cannot be read again; leave `exact-batches` out, or read a file",
        ),
        (
            source("{ kind: dead-letters, of: p }"),
            "p.yaml:4:39: the pipeline `p` would read its own dead letters\nread those of a pipeline that reads something else",
        ),
        (
            source("{ kind: dead-letters, of: q }\n    exact-batches: true"),
            "p.yaml:4:39: there is no pipeline `q`\nname another pipeline of this file\np.yaml:5:20: `exact-batches` with `kind: dead-letters`\ndead letters may be removed before they are read again; leave `exact-batches` out",
        ),
        (source("{ kind: dead-letters, of: q }"), "p.yaml:4:39: there is no pipeline `q`\nname another pipeline of this file"),
        (
            source("{ kind: stdin, format: lines }")
                + "  - { id: q, source: { kind: stdin, format: lines }, destinations: [ { id: d, component: d.wasm } ] }\n",
            "p.yaml:8:22: the pipeline `q` reads standard input, and so does `p`\nthere is one, and each line of it would reach one of the two: give one pipeline both destinations",
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
        (
            source("{ kind: stdin, format: lines }\n    restart: on-failure"),
            "p.yaml:5:14: the pipeline `p` cannot be started again: its source is standard input\nleave `restart` out: what was read from standard input cannot be read again",
        ),
        (
            source("{ kind: generator, count: 1 }\n    restart: always"),
            "p.yaml:5:14: `restart` is `never`, `on-failure`, or a block of delays\nwrite `restart: on-failure`, or `restart: { max-delay: 1m }`",
        ),
        (
            source("{ kind: generator, count: 1 }\n    restart: { max-delays: 1m }"),
            "p.yaml:5:16: unknown key `max-delays` in the restart block\ndid you mean `max-delay`?",
        ),
        (
            source("{ kind: generator, count: 1 }\n    restart: { min-delay: 2m, max-delay: 1m }"),
            "p.yaml:5:14: `restart` has a `min-delay` of 2m and a `max-delay` of 1m\nmake `max-delay` at least as long as `min-delay`; what is left out has its default",
        ),
        (
            source("{ kind: generator, count: 1 }\n    restart: { max-delay: 5ms }"),
            "p.yaml:5:14: `restart` has a `min-delay` of 1s and a `max-delay` of 5ms\nmake `max-delay` at least as long as `min-delay`; what is left out has its default",
        ),
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
            rest("        limits: { fuel-per-call: 99999999999999999999 }\n"),
            "p.yaml:8:34: expected a whole number from 1 to 18446744073709551615, found `99999999999999999999`",
        ),
        (
            rest("        grants: { state: { bytes: 99999999999TiB } }\n"),
            "p.yaml:8:35: expected a size from 1KiB to 64GiB, such as `64MiB`, found `99999999999TiB`",
        ),
        (
            rest("        limits: { memory: 99999999999TiB }\n"),
            "p.yaml:8:27: expected a size from 1MiB to 4GiB, such as `64MiB`, found `99999999999TiB`",
        ),
        (
            rest("        retry: { min-delay: 999999999999d }\n"),
            "p.yaml:8:29: expected a duration from 1ms to 1d, such as `30s`, found `999999999999d`",
        ),
        (
            rest("        limits: { time: { write: 30 } }\n"),
            "p.yaml:8:34: expected a duration from 1ms to 1d, such as `30s`, found `30`",
        ),
        (
            rest("        limits: { fuel-per-call: 0 }\n"),
            "p.yaml:8:34: expected a whole number from 1 to 18446744073709551615, found `0`",
        ),
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
        (
            source("{ path: x }"),
            "p.yaml:4:13: missing key `kind` in a source\nit is one of `file`, `stdin`, `generator` and `dead-letters`",
        ),
        (
            source("{ kind: files }"),
            "p.yaml:4:21: expected `file`, `stdin`, `generator` or `dead-letters`, found `files`\ndid you mean `file`?",
        ),
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
             only a child process has a memory of its own to limit; leave one of the two out\np.yaml:3:12: expected at least one pipeline, found an empty list",
        ),
        (
            "version: 1\nprocess: { compile: there }\npipelines: []".into(),
            "p.yaml:2:21: expected `child` or `here`, found `there`\ndid you mean `here`?\np.yaml:3:12: expected at least one pipeline, found an empty list",
        ),
        (
            format!("process: {{ instances: 1 }}\n{}", rest("      - { id: e, component: e.wasm }\n")),
            "p.yaml:9:9: `process.instances` is 1, and each of 2 destinations needs one\nset it to 2 at the least",
        ),
        (
            "version: 1\nprocess: { instances: 0 }\npipelines: []".into(),
            "p.yaml:2:23: expected a whole number from 1 to 100000, found `0`\np.yaml:3:12: expected at least one pipeline, found an empty list",
        ),
        (
            source("{ kind: stdin, format: [csv] }"),
            "p.yaml:4:36: expected `json-lines`, `csv`, `opencdc` or `lines`, found a list",
        ),
        (source("{ kind: file, path: x.csv, follow: yes }"), "p.yaml:4:48: expected `true` or `false`, found `yes`"),
        (
            source("{ kind: generator, count: -1 }"),
            "p.yaml:4:39: expected a whole number from 0 to 18446744073709551615, found `-1`",
        ),
        // Shapes.
        (
            rest("        format: template\n"),
            "p.yaml:8:17: `format: template` without a `template`\n\
             add `template`, the text that a record becomes, such as `\"{{ /user/id }}\"`",
        ),
        (
            rest("        template: x\n"),
            "p.yaml:8:19: `template` without `format: template`\nadd `format: template`, or leave `template` out",
        ),
        (
            rest("        format: opencdc\n        template: x\n"),
            "p.yaml:9:19: `template` without `format: template`\nadd `format: template`, or leave `template` out",
        ),
        (
            rest("        format: debesium\n"),
            "p.yaml:8:17: expected `payload`, `opencdc`, `debezium`, `kafka-connect` or `template`, found `debesium`\n\
             did you mean `debezium`?",
        ),
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
        (
            rest("        grants: { tcp: [\"localhost:5432\"] }\n"),
            "p.yaml:8:25: this grant leads nowhere: the name stands for this machine, and its addresses are not public\nwrite it as `{ to: …, private: true }`",
        ),
        (
            rest("        grants: { http: [{ to: \"http://a.localhost:80\" }] }\n"),
            "p.yaml:8:26: this grant leads nowhere: the name stands for this machine, and its addresses are not public\nwrite it as `{ to: …, private: true }`",
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
            "p.yaml:8:28: expected a size from 8KiB to 16777215TiB, such as `64MiB`, found `1KiB`",
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
        (
            "a: *b".into(),
            "p.yaml:1:4: not valid YAML: while parsing node, found unknown anchor\ngive a block its name with `&NAME` before `*NAME` stands for it; text that begins with `*` or `&` needs quotes",
        ),
        (
            "a: \"b\n".into(),
            "p.yaml:1:4: not valid YAML: while scanning a quoted scalar, found unexpected end of stream\nclose the quote that begins here, and double a quote of the same kind that is meant as text",
        ),
        ("a: &a [*a]".into(), "p.yaml:1:8: an alias inside of what it stands for"),
    ] {
        refused(&text, expected);
    }
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_in_the_order_in_which_they_stand_there() {
    refused(
        "version: 1
shutdown-timout: 5s
defaults:
  all: { limits: { memroy: 1MiB } }
pipelines:
  - id: P
    window: 0
    source: { kind: generator, cuont: 1, seed: no }
    destinations:
      - id: d
        component: d.wasm
        setings: {}
        limits: { memory: 5GiB, time: { write: 30, opne: 1s } }
        grants: { directories: [ { host: x, guest: y }, { hots: x, guest: /z } ], tcp: [ a.example ] }
      - { id: d, componnet: e.wasm, parallel: \"${UNSET}\" }
      - { id: e }
      - { id: f }
",
        "p.yaml:2:1: unknown key `shutdown-timout` in a pipeline file\ndid you mean `shutdown-timeout`?
p.yaml:4:20: unknown key `memroy` in the limits block\ndid you mean `memory`?
p.yaml:6:9: expected an id: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`, a letter or digit first, found `P`
p.yaml:7:13: expected a whole number from 1 to 64, found `0`
p.yaml:8:32: unknown key `cuont` in a generator source\ndid you mean `count`?
p.yaml:8:48: expected a whole number from 0 to 18446744073709551615, found `no`
p.yaml:12:9: unknown key `setings` in a destination\ndid you mean `settings`?
p.yaml:13:27: expected a size from 1MiB to 4GiB, such as `64MiB`, found `5GiB`
p.yaml:13:48: expected a duration from 1ms to 1d, such as `30s`, found `30`
p.yaml:13:52: unknown key `opne` in the time block\ndid you mean `open`?
p.yaml:14:52: expected an absolute path such as `/data`, without `.`, `..` and a `/` at its end, found `y`
p.yaml:14:59: unknown key `hots` in a directory grant\ndid you mean `host`?
p.yaml:14:90: this grant names no port\nwrite it like `db.example.com:5432`
p.yaml:15:18: unknown key `componnet` in a destination\ndid you mean `component`?
p.yaml:15:47: the variable `UNSET` is not set\nset it, or give a default with `${UNSET:-default}`
p.yaml:16:9: missing key `component` in a destination
p.yaml:17:9: missing key `component` in a destination",
    );
}

#[test]
fn what_no_single_key_tells_is_told_at_once_too() {
    refused(
        "version: 1
pipelines:
  - { id: p, source: { kind: stdin, format: lines }, exact-batches: true, destinations: [ { id: d, component: d.wasm }, { id: d, component: d.wasm } ] }
  - { id: p, source: { kind: dead-letters, of: q }, destinations: [ { id: d, component: d.wasm, format: template } ] }
",
        "p.yaml:3:69: `exact-batches` with `kind: stdin`\nstandard input cannot be read again; leave `exact-batches` out, or read a file
p.yaml:3:127: the destination `d` stands here again, first on line 3\ngive each a name of its own
p.yaml:4:11: the pipeline `p` stands here again, first on line 3\ngive each a name of its own
p.yaml:4:48: there is no pipeline `q`\nname another pipeline of this file
p.yaml:4:105: `format: template` without a `template`\nadd `template`, the text that a record becomes, such as `\"{{ /user/id }}\"`",
    );
}

#[test]
fn mistakes_without_end_are_not_told_without_end() {
    let many = (0..1000).map(|n| format!("      - {{ id: d{n}, componnet: x }}\n")).collect::<String>();
    let told = refusal(&with(GENERATOR, &many));
    assert_eq!(told.matches("unknown key").count(), 20);
    assert!(
        told.ends_with(
            "more than 20 things are wrong, and only the first of them are told\nmend these, and have the file checked again"
        ),
        "{told}"
    );
}

#[test]
fn a_block_that_is_used_twice_is_told_of_once() {
    let limits = "        limits: &l { memroy: 1MiB }\n      - { id: e, component: e.wasm, limits: *l }\n";
    refused(&with(GENERATOR, limits), "p.yaml:8:22: unknown key `memroy` in the limits block\ndid you mean `memory`?");
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
    assert_eq!(parse(&text, "p.yaml", Path::new("/"), &long).unwrap_err().first().what(), "variables make the file too large");
    let text = with(GENERATOR, &format!("        settings: {{ x: \"{}\" }}\n", "${A}".repeat(20)));
    assert_eq!(parse(&text, "p.yaml", Path::new("/"), &long).unwrap_err().first().what(), "variables make this value too large");
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
fn all_mistakes_of_one_part_of_a_suite_are_told_at_once_and_a_far_side_is_no_grant() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conform.yaml");
    let text = "far: { a: nope }\ngrants: { http: [ { too: x, privat: true } ] }\nrefused: [ { settigns: {}, nmes: x } ]\n";
    std::fs::write(&path, text).unwrap();
    let read = SuiteText::load(&path).unwrap().read(&env);
    let told: Vec<String> = read.wrong.iter().map(|error| error.what().to_owned()).collect();
    let expected = [
        "this far side names no port",
        "unknown key `too` in an HTTP grant",
        "unknown key `privat` in an HTTP grant",
        "unknown key `settigns` in settings that have to be refused",
        "unknown key `nmes` in settings that have to be refused",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    let refusal = |path: &Path| {
        let error = load(path, &env).unwrap_err().first().clone();
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
