//! The schema and the manual say the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::*;

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

const DOCS: &str = include_str!("../../../../docs/pipelines.md");

#[test]
fn every_key_stands_in_the_docs_with_its_default() {
    let headings = [
        ("File", "## The file"),
        ("Process", "### `process`"),
        ("Defaults", "### `defaults`"),
        ("DefaultsOfAll", "#### `defaults.all`"),
        ("DefaultsOfConnector", "#### `defaults.connectors`"),
        ("Pipeline", "## A pipeline"),
        ("TokenProvider", "## A token provider"),
        ("Batch", "### `batch`"),
        ("DeadLetters", "### `dead-letters`"),
        ("Restart", "### `restart`"),
        ("Source file", "### `kind: file`"),
        ("Source stdin", "### `kind: stdin`"),
        ("Source generator", "### `kind: generator`"),
        ("Source dead-letters", "### `kind: dead-letters`"),
        ("Processor", "## A processor"),
        ("When", "#### `when`"),
        ("Destination", "## A destination"),
        ("Handed", "### A destination's `batch`"),
        ("Rate", "### `rate`"),
        ("Retry", "### `retry` and `outage`"),
        ("Throttle", "### `throttle`"),
        ("Route", "### `routes`"),
        ("Action", "### `actions`"),
        ("Bulk", "### `bulk`"),
        ("Poll", "#### `poll`"),
        ("SpoolKeys", "#### `spool`"),
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
    const PAGE: &str = include_str!("../../../../docs/grants-and-limits.md");
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
