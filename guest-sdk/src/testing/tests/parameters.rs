//! What a struct declares, and what it reads.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::{
    Parameters, Secret, Settings, Size,
    parameters::{Kind, Parameter},
    testing::rules,
};

#[derive(Debug, Parameters)]
struct Config {
    /// Where to write,
    /// by its address.
    ///
    /// Not part of the summary.
    #[parameter(pattern = "https?://.+", length(8..=100))]
    url: String,
    #[parameter(secret)]
    user: Option<String>,
    password: Option<Secret>,
    #[parameter(default = 1.5, min = -1, max = 2.5)]
    ratio: f64,
    #[parameter(default = -3)]
    offset: i16,
    #[parameter(default = "1MiB", min = "1KiB")]
    chunk_size: Size,
    #[parameter(default = "30s", max = "1h")]
    timeout: Duration,
    #[parameter(default = "fast", rename = "mode")]
    how: Mode,
    #[parameter(one_of("a", "b"), length(..=2))]
    tags: Vec<String>,
    #[parameter(required)]
    headers: BTreeMap<String, String>,
    tables: HashMap<String, Table>,
    retry: Retry,
    tls: Option<Tls>,
    /// A field that is called like what the generated code uses.
    settings: Option<bool>,
    r#type: Option<u8>,
}

#[derive(Debug, PartialEq, Parameters)]
enum Mode {
    Fast,
    #[parameter(rename = "safe")]
    VerySafe,
}

#[derive(Debug, PartialEq, Parameters)]
struct Table {
    key: String,
    #[parameter(default = 10)]
    rows: u32,
}

#[derive(Debug, Parameters)]
struct Retry {
    #[parameter(default = 5, min = 1)]
    max_attempts: u32,
}

#[derive(Debug, PartialEq, Parameters)]
struct Tls {
    ca: String,
    #[parameter(default = true)]
    verify: bool,
}

const RIGHT: [(&str, &str); 2] = [("url", "https://x"), ("headers.a-b", "1")];

fn declared(name: &str) -> Parameter {
    Config::declare().into_iter().find(|parameter| parameter.name == name).unwrap()
}

/// As a host does it: defaults filled in, rules held, and only then read.
fn read(settings: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let (settings, problems) = rules::settle(&Config::declare(), &Settings::from_iter(settings.iter().copied()));
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    match problems.is_empty() {
        true => Ok(Config::read(&settings).unwrap()),
        false => Err(problems),
    }
}

#[test]
fn every_field_is_declared_by_its_name_its_documentation_and_its_type() {
    let url = declared("url");
    assert_eq!((url.summary.as_str(), url.kind, url.required), ("Where to write, by its address.", Kind::String, true));
    assert_eq!(
        (url.rules.pattern.as_deref(), url.rules.min_length, url.rules.max_length),
        (Some("https?://.+"), Some(8), Some(100))
    );
    assert!(declared("user").secret && declared("password").secret && !declared("password").required);
    assert_eq!((declared("ratio").kind, declared("ratio").rules.min.as_deref()), (Kind::Float, Some("-1")));
    assert_eq!((declared("offset").default.as_deref(), declared("offset").rules.max.as_deref()), (Some("-3"), Some("32767")));
    assert_eq!(declared("chunk-size").default.as_deref(), Some("1MiB"));
    assert_eq!(declared("mode").rules.one_of, ["fast", "safe"]);
    assert_eq!((declared("tags").kind, declared("tags").rules.max_length), (Kind::List, Some(2)));
    assert_eq!((declared("tags.*").rules.one_of.len(), declared("tags.*").rules.max_length), (2, None));
    assert!(declared("headers").required && !declared("headers.*").required && !declared("tags").required);
    assert!(declared("tables.*.key").required && !declared("tables.*.rows").required);
    assert_eq!(declared("retry.max-attempts").default.as_deref(), Some("5"));
    assert_eq!((declared("tls.ca").required, declared("tls.verify").default), (false, None));
    assert_eq!(declared("type").rules.max.as_deref(), Some("255"));
    assert_eq!(rules::unsound(&Config::declare()), []);
}

#[test]
fn defaults_are_filled_in_and_sections_are_absent_where_nothing_is_given() {
    let config = read(&RIGHT).unwrap();
    assert_eq!(
        (config.ratio, config.offset, config.chunk_size, config.timeout),
        (1.5, -3, Size::mib(1), Duration::from_secs(30))
    );
    assert_eq!((config.how, config.retry.max_attempts, config.tls), (Mode::Fast, 5, None));
    assert_eq!((config.settings, config.r#type, config.user, config.password), (None, None, None, None));
    assert!(config.tags.is_empty() && config.tables.is_empty());
    assert_eq!(config.headers["a-b"], "1");
    assert_eq!(config.url, "https://x");
}

#[test]
fn lists_maps_and_sections_are_read_by_their_segments() {
    let mut settings = RIGHT.to_vec();
    settings.extend([("tags.0", "b"), ("tags.1", "a"), ("tables.orders.key", "id"), ("tables.users.key", "uid")]);
    settings.extend([("tables.users.rows", "3"), ("tls.ca", "pem"), ("settings", "true"), ("mode", "safe")]);
    let config = read(&settings).unwrap();
    assert_eq!(config.tags, ["b", "a"]);
    assert_eq!(config.tables["orders"], Table { key: "id".into(), rows: 10 });
    assert_eq!(config.tables["users"], Table { key: "uid".into(), rows: 3 });
    assert_eq!(config.tls, Some(Tls { ca: "pem".into(), verify: true }));
    assert_eq!((config.settings, config.how), (Some(true), Mode::VerySafe));
}

#[test]
fn a_list_is_in_the_order_of_its_numbers() {
    let settings = (0..12).map(|index| (format!("list.{index}"), index.to_string()));

    #[derive(Parameters)]
    struct Listed {
        list: Vec<u32>,
    }

    assert_eq!(Listed::read(&Settings::from_iter(settings)).unwrap().list, (0..12).collect::<Vec<_>>());
    let problems = Listed::read(&Settings::from_iter([("list.first", "1")])).map(|read| read.list).unwrap_err();
    assert_eq!(problems[0].to_string(), "`list.first` should be numbered, as entries of a list are");
}

#[test]
fn the_host_tells_every_problem_by_the_parameter() {
    let settings = [
        ("url", "ftp://xyzzy"),
        ("ratio", "3"),
        ("offset", "40000"),
        ("chunk-size", "1B"),
        ("timeout", "2h"),
        ("mode", "slow"),
        ("tags.0", "c"),
        ("tables.orders.rows", "x"),
        ("retry.max-attempts", "0"),
        ("retry.max-attempt", "1"),
    ];
    let expected = [
        "`url` is `ftp://xyzzy`: does not match `https?://.+`",
        "`ratio` is `3`: above 2.5",
        "`offset` is `40000`: above 32767",
        "`chunk-size` is `1B`: below 1KiB",
        "`timeout` is `2h`: above 1h",
        "`mode` is `slow`: not one of fast, safe",
        "`tags.0` is `c`: not one of a, b",
        "`headers` has 0 entries, and needs at least 1",
        "`tables.orders.key` is required",
        "`tables.orders.rows` is `x`: not a whole number",
        "`retry.max-attempts` is `0`: below 1",
        "`retry.max-attempt` is not a parameter of this connector",
    ];
    assert_eq!(read(&settings).unwrap_err(), expected);
}

#[test]
fn a_struct_read_without_a_host_tells_every_problem_and_shows_no_secret() {
    #[derive(Debug, Parameters)]
    #[allow(dead_code, reason = "read by nothing but the derived code")]
    struct Pins {
        #[parameter(secret)]
        pin: u16,
        count: u8,
        missing: String,
    }

    let problems = Pins::read(&Settings::from_iter([("pin", "hunter2"), ("count", "256")])).unwrap_err();
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        "`pin` is not a whole number from 0 to 65535",
        "`count` is `256`: not a whole number from 0 to 255",
        "`missing` is required",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn declarations_that_break_their_own_rules_are_found() {
    #[derive(Parameters)]
    #[allow(dead_code, reason = "declared and never read")]
    struct Unsound {
        #[parameter(default = 5, max = 3)]
        a: u32,
        #[parameter(pattern = "(")]
        b: String,
        #[parameter(min = "soon")]
        c: Duration,
    }

    let problems: Vec<String> = rules::unsound(&Unsound::declare()).iter().map(|problem| problem.parameter.clone()).collect();
    assert_eq!(problems, ["a", "b", "c"]);
}
