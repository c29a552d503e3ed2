use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use super::*;
use crate::config::Manners;

/// A clause of the contract.
struct Clause {
    level: String,
    /// The functions that it speaks of, such as `bulk.poll`.
    of: Vec<String>,
}

/// The clauses of the contract, by number.
fn clauses() -> BTreeMap<u32, Clause> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/contract.md")).unwrap();
    let mut clauses = BTreeMap::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, number, level @ ("MUST" | "SHOULD"), _, of, _] = cells[..] {
            let number = number.parse().unwrap_or_else(|_| panic!("{line}"));
            let of = of.split(", ").filter(|of| !of.is_empty()).map(|of| of.trim_matches('`').to_owned()).collect();
            let clause = Clause { level: level.to_owned(), of };
            assert!(clauses.insert(number, clause).is_none(), "clause {number} stands twice");
        }
        assert!(cells.len() < 3 || cells.len() == 6, "{line}");
    }
    clauses
}

/// Every function that a component exports or imports in any world of `wit/`, or may export beside one, as a clause names it.
fn functions() -> BTreeSet<String> {
    use wit_parser::{FunctionKind, Resolve, UnresolvedPackageGroup, WorldItem};
    let mut resolve = Resolve::new();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let package = resolve.push_group(UnresolvedPackageGroup::parse_dir(&wit).unwrap()).unwrap();
    // A function that stands in a world itself would be in no interface.
    for (name, world) in &resolve.worlds {
        let mut items = world.imports.values().chain(world.exports.values());
        assert!(items.all(|item| matches!(item, WorldItem::Interface { .. } | WorldItem::Type { .. })), "{name:?}");
    }
    let mut functions = BTreeSet::new();
    for (interface, id) in &resolve.packages[package].interfaces {
        for function in resolve.interfaces[*id].functions.values() {
            let resource = matches!(function.kind, FunctionKind::Static(_) | FunctionKind::Method(_));
            assert!(resource || function.kind == FunctionKind::Freestanding, "{interface} {}", function.name);
            functions.insert(format!("{interface}.{}", function.item_name()));
        }
    }
    functions
}

#[test]
fn every_function_of_the_contract_is_named_by_a_clause() {
    let functions = functions();
    assert!(functions.contains("bulk.poll") && functions.contains("state.swap") && functions.contains("lifecycle.deleted"));
    let named: BTreeSet<String> = clauses().into_values().flat_map(|clause| clause.of).collect();
    assert_eq!(functions.difference(&named).collect::<Vec<_>>(), [&""; 0], "functions of wit/ that no clause names");
    assert_eq!(named.difference(&functions).collect::<Vec<_>>(), [&""; 0], "named by a clause, and not in wit/");
}

#[test]
fn every_clause_has_a_case_and_every_case_its_clause() {
    let clauses = clauses();
    assert!(clauses.len() > 30, "{}", clauses.len());
    for case in cases() {
        assert_eq!(
            clauses.get(&case.clause).map(|clause| &*clause.level),
            Some(case.level.name()),
            "{} and clause {}",
            case.id,
            case.clause
        );
    }
    for number in clauses.keys() {
        assert!(cases().any(|case| case.clause == *number), "clause {number} has no case");
    }
}

#[test]
fn ids_are_distinct_and_have_one_shape() {
    let mut seen = std::collections::HashSet::new();
    for case in cases() {
        assert!(seen.insert(case.id), "{} stands twice", case.id);
        let parts: Vec<&str> = case.id.split('-').collect();
        assert!(matches!(parts[..], ["W", group, number] if group.len() == 4 && number.len() == 3), "{}", case.id);
        assert!(!case.title.is_empty() && !case.mend.is_empty() && !case.title.ends_with('.'), "{}", case.id);
    }
}

fn report(came: Came) -> Report {
    let case = cases().next().unwrap();
    let outcome = Outcome { case, came, took: Duration::from_millis(1) };
    Report { component: "a<b>.wasm".into(), title: "odd 1.0.0".into(), outcomes: vec![outcome] }
}

#[test]
fn a_report_stays_within_eighty_columns_and_a_component_writes_no_markup() {
    let came = format!("<script>alert('1')</script> \u{1b}[2J {} {}", "x".repeat(200), "word ".repeat(40));
    let report = report(Came::Failed { did: "asked".into(), expected: "less".into(), came, mend: None });
    let text = line(&report.outcomes[0]);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("to mend") && text.contains("MUST 1 of the contract"));
    for page in [html(&report), junit(&report)] {
        assert!(!page.contains("<script>") && !page.contains('\u{1b}') && page.contains("&lt;script&gt;"), "{page}");
    }
    let document = json(&report);
    assert_eq!((document["failed"].as_u64(), document["cases"][0]["outcome"].as_str()), (Some(1), Some("failed")));
}

#[test]
fn what_was_not_exercised_is_no_pass() {
    let report = report(Came::Skipped { why: "nothing to read back with".into() });
    assert_eq!((report.passed(), report.failed(), report.skipped()), (0, 0, 1));
    assert!(line(&report.outcomes[0]).contains("because   nothing to read back with"));
    // Why is seen without a click.
    assert!(html(&report).contains("<i>nothing to read back with</i></summary>"), "{}", html(&report));
    assert!(junit(&report).contains("<skipped message=\"nothing to read back with\"/>"));
}

#[test]
fn every_key_of_the_suite_file_stands_in_its_page_with_its_default() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        for key in cells[1].split(", ") {
            rows.insert(key.trim_matches('`').to_owned(), cells[2].trim_matches('`').to_owned());
        }
    }
    let schema = schemars::schema_for!(crate::config::Suite).to_value();
    let keys = |pointer: &str| schema.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut due: Vec<String> =
        keys("/properties").into_iter().filter(|key| !["read", "faults", "manners"].contains(&&**key)).collect();
    for (name, block) in [("read", "Read"), ("faults", "Faults"), ("manners", "Manners")] {
        due.extend(keys(&format!("/$defs/{block}/properties")).into_iter().map(|key| format!("{name}.{key}")));
    }
    due.sort();
    assert_eq!(rows.keys().cloned().collect::<Vec<_>>(), due);
    let Manners { memory, fuel_per_record, time, stall, growth, batches } = Manners::default();
    for (key, default) in [
        ("memory", memory.to_string()),
        ("fuel-per-record", fuel_per_record.to_string()),
        ("time", time.to_string()),
        ("stall", stall.to_string()),
        ("growth", growth.to_string()),
        ("batches", batches.to_string()),
    ] {
        assert_eq!(rows[&format!("manners.{key}")], default, "{key}");
    }
}
