//! What lies under a destination's own block (`defaults`), and what lies over it (the environment).

use std::collections::BTreeMap;

use super::*;

struct Variables(BTreeMap<&'static str, &'static str>);

impl Environment for Variables {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| (*value).to_owned())
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().map(|name| (*name).to_owned()).collect()
    }
}

/// Two pipelines, with destinations whose names come near each other.
const FILE: &str = "version: 1
pipelines:
  - id: shop
    source: { kind: generator, count: 1 }
    destinations:
      - { id: crm, component: crm.wasm }
      - { id: the-archive, component: files.wasm }
      - { id: the.archive, component: files.wasm }
  - id: shop.a
    source: { kind: generator, count: 1 }
    destinations:
      - { id: b__c, component: crm.wasm }
  - id: shop-a__b
    source: { kind: generator, count: 1 }
    destinations:
      - { id: c, component: crm.wasm }
";

fn under(variables: &[(&'static str, &'static str)]) -> Result<File, String> {
    let env = Variables(variables.iter().copied().collect());
    parse_under(FILE, "p.yaml", Path::new("/"), &env).map_err(|error| match error.first().hint() {
        Some(hint) => format!("{error}\n{hint}"),
        None => error.to_string(),
    })
}

#[test]
fn a_variable_goes_to_the_destination_that_it_names() {
    let file = under(&[("WHARF__SHOP__CRM__API_KEY", "k"), ("WHARF_KEY_FILE", "/key"), ("PATH", "/bin")]).unwrap();
    let [pipeline, ..] = file.pipelines.as_slice() else { unreachable!() };
    let variable = &pipeline.destinations[0].environment[0];
    assert_eq!(
        (variable.name.as_str(), variable.key.as_str(), variable.value.expose()),
        ("WHARF__SHOP__CRM__API_KEY", "API_KEY", "k")
    );
    assert!(pipeline.destinations[1].environment.is_empty());
    assert!(!format!("{file:?}").contains("\"k\""), "its value is not shown");
    // It changes the pipeline that it is meant for, and no other.
    let other = under(&[("WHARF__SHOP__CRM__API_KEY", "l")]).unwrap();
    assert_ne!(other.pipelines[0].digest(), file.pipelines[0].digest());
    assert_eq!(other.pipelines[1].digest(), file.pipelines[1].digest());
}

#[test]
fn a_variable_that_names_nothing_or_two_things_is_refused() {
    let cases = [
        (
            "WHARF__SHOP__CRN__API_KEY",
            "the variable `WHARF__SHOP__CRN__API_KEY` names no destination of this file\ndid you mean `WHARF__SHOP__CRM__API_KEY`?",
        ),
        (
            "WHARF__SHOP__CRM__",
            "the variable `WHARF__SHOP__CRM__` names no destination of this file\nname the setting behind it: `WHARF__SHOP__CRM__KEY`",
        ),
        (
            "WHARF__LEVEL",
            "the variable `WHARF__LEVEL` names no destination of this file\nit is written WHARF__PIPELINE__DESTINATION__KEY, here \
             `WHARF__SHOP__CRM__KEY`, `WHARF__SHOP__THE_ARCHIVE__KEY`, `WHARF__SHOP__THE_ARCHIVE__KEY`, `WHARF__SHOP_A__B__C__KEY`, \
             `WHARF__SHOP_A__B__C__KEY`",
        ),
        (
            "WHARF__SHOP__THE_ARCHIVE__DIRECTORY",
            "the variable `WHARF__SHOP__THE_ARCHIVE__DIRECTORY` could mean `DIRECTORY` of shop/the-archive, and `DIRECTORY` of \
             shop/the.archive\nwrite the setting into the file, or give one of them another name",
        ),
        (
            "WHARF__SHOP_A__B__C__KEY",
            "the variable `WHARF__SHOP_A__B__C__KEY` could mean `KEY` of shop.a/b__c, and `KEY` of shop-a__b/c\nwrite the setting into \
             the file, or give one of them another name",
        ),
    ];
    for (name, told) in cases {
        assert_eq!(under(&[(name, "s3cret")]).unwrap_err(), told);
    }
}

/// A file with these defaults and this in its one destination.
fn layered(defaults: &str, rest: &str) -> String {
    with(GENERATOR, rest).replacen("version: 1\n", &format!("version: 1\ndefaults:\n{defaults}"), 1)
}

#[test]
fn a_destination_goes_before_its_connector_and_that_before_all() {
    let defaults = "  all:
    retry: { max-attempts: 3, max-delay: 30s, min-delay: 2s }
    limits: { memory: 32MiB, time: { write: 5s } }
  connectors:
    d:
      retry: { max-attempts: 4, max-delay: 40s }
      settings: { url: http://a, tls: { verify: 'true', roots: r }, hosts: [a, b] }
      rate: { records: 5 }
      ordered: false
";
    let rest = "        retry: { max-attempts: 5 }
        settings: { tls.verify: 'false', hosts: [c] }
        limits: { memory: 64MiB }
";
    let file = read(&layered(defaults, rest)).unwrap();
    let destination = &file.pipelines[0].destinations[0];
    let retry = destination.retry;
    assert_eq!(retry.max_attempts, Some(5));
    assert_eq!((retry.max_delay, retry.min_delay), (Some(Interval::from_secs(40)), Some(Interval::from_secs(2))));
    assert_eq!(destination.limits.memory, Size::from_mib(64));
    assert_eq!(destination.limits.time.write, Interval::from_secs(5));
    assert_eq!((destination.ordered, destination.rate.records), (Some(false), Some(5)));
    let settings: Vec<_> = destination.settings.iter().map(|(name, setting)| (name, setting.value())).collect();
    assert_eq!(settings, [("hosts.0", "c"), ("tls.roots", "r"), ("tls.verify", "false"), ("url", "http://a")]);

    let explained = file.explained_destination(0, 0);
    let from = |key: &str| {
        let row = explained.iter().find(|row| row.key == key).unwrap();
        (row.value.clone().unwrap(), row.origin.clone())
    };
    let at = |line, column| Place { file: "p.yaml".into(), line, column };
    assert_eq!(from("retry.max-attempts"), ("5".into(), ValueOrigin::Written(at(18, 32))));
    assert_eq!(from("retry.max-delay"), ("40s".into(), ValueOrigin::Defaults(at(8, 44), Some("d".into()))));
    assert_eq!(from("retry.min-delay"), ("2s".into(), ValueOrigin::Defaults(at(4, 58), None)));
    assert_eq!(from("limits.handles"), ("4096".into(), ValueOrigin::House));
    assert_eq!(from("throttle.max-delay"), ("1h".into(), ValueOrigin::House));
}

#[test]
fn what_is_wrong_with_defaults_is_told_where_it_stands() {
    refused(
        &layered("  connectors:\n    dd: { ordered: false }\n", ""),
        "p.yaml:4:5: no destination has a component `dd.wasm`\ndid you mean `d`?",
    );
    refused(
        &layered("  all: { settings: { a: b } }\n", ""),
        "p.yaml:3:10: unknown key `settings` in the defaults of all destinations\nit may have `limits`, `batch`, `retry`, `outage`, `throttle` and `on-unknown`",
    );
    let told = refusal(&layered("  connectors: { d: { grants: { tcp: [ 'a:1' ] } } }\n", ""));
    assert!(told.starts_with("p.yaml:3:22: unknown key `grants` in the defaults of a connector"), "{told}");
    let told = refusal(&layered("  connectors: { d: { parallel: 65 } }\n", ""));
    assert!(told.starts_with("p.yaml:3:32: ") && told.contains("64"), "{told}");
    let told = refusal(&layered("  all: { retry: { max-atempts: 1 } }\n", ""));
    assert!(told.contains("did you mean `max-attempts`?"), "{told}");
}

#[test]
fn no_explanation_shows_what_is_in_a_header() {
    let rest = "        grants:
          http:
            - to: https://a.example.com
              headers: { authorization: Bearer s3cret, x-key: '${SECRET}', x-file: { file: key.txt } }
";
    let file = read(&with(GENERATOR, rest)).unwrap();
    let explained = file.explained_destination(0, 0);
    assert!(!format!("{explained:?}").contains("s3cret"));
    let shown = |key: &str| explained.iter().find(|row| row.key == key).unwrap().value.clone();
    assert_eq!(shown("grants.http.0.headers.authorization"), None);
    assert_eq!(shown("grants.http.0.headers.x-file.file"), Some("key.txt".into()));
}
