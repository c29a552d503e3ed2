//! Conformance finds what is wrong with a component, and nothing else: for each fault of a mutant the cases that fail, exactly.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use wharf::conformance::About;

mod hostile;
mod mutant;
mod processors;
mod said;
mod uploads;
mod writes;

/// The cases that faults of a kind fail.
fn failed_by(faults: &[mutant::Fault]) -> BTreeSet<&'static str> {
    let said = said::said(&writes::descriptor(), "bulk");
    let said = said.iter().flat_map(|(.., cases)| *cases);
    faults.iter().flat_map(|(_, cases)| *cases).chain(said).copied().collect()
}

#[test]
fn each_case_is_failed_by_a_mutant_and_no_fault_names_a_case_that_there_is_not() {
    let named = failed_by(&[writes::FAULTS, uploads::FAULTS, processors::FAULTS].concat());
    let all: BTreeSet<&str> = wharf::conformance::cases().map(|case| case.id).collect();
    assert_eq!(all.difference(&named).collect::<Vec<_>>(), [&""; 0], "cases that no fault fails");
    assert_eq!(named.difference(&all).collect::<Vec<_>>(), [&""; 0], "no such cases");
}

/// The line of a connector's own test, for a connector of the checkout.
fn conforms(name: &str) {
    let component = wharf_tests::component(&format!("wharf-{name}")).unwrap();
    wharf::conformance::assert(component, wharf_tests::checkout().join(format!("connectors/{name}/conform.yaml")));
}

#[test]
fn each_case_that_every_connector_has_is_failed_by_a_mutant_of_each_kind() {
    let every = wharf::conformance::cases().filter(|case| case.about == About::Connector).map(|case| case.id);
    let every: BTreeSet<&str> = every.collect();
    for (kind, faults) in [("write", writes::FAULTS), ("bulk", uploads::FAULTS), ("processor", processors::FAULTS)] {
        assert_eq!(every.difference(&failed_by(faults)).collect::<Vec<_>>(), [&""; 0], "cases that no {kind} mutant fails");
    }
}

#[test]
fn a_test_of_a_connectors_own_is_one_line() {
    conforms("discard");
}

#[test]
fn it_is_the_same_line_for_a_processor() {
    conforms("filter");
}

#[test]
fn it_is_the_same_line_with_a_directory_behind_it() {
    conforms("file");
}

#[test]
fn it_is_the_same_line_for_what_takes_files() {
    conforms("bulk-file");
}

#[test]
fn it_is_the_same_line_with_a_far_side_that_goes_away() {
    conforms("http");
}

/// A suite file that gives nothing.
fn empty(folder: &wharf_tests::Scratch) -> std::path::PathBuf {
    folder.write("conform.yaml", "version: 1\n").unwrap()
}

#[test]
#[should_panic(expected = "about.author is missing")]
fn a_component_that_does_not_conform_fails_such_a_test() {
    let folder = wharf_tests::Scratch::new().unwrap();
    wharf::conformance::assert(wharf_tests::component("guest-scripted").unwrap(), empty(&folder));
}

#[test]
#[should_panic(expected = "`url` is required and not set")]
fn a_suite_that_is_wrong_fails_such_a_test_with_all_that_is_wrong() {
    let folder = wharf_tests::Scratch::new().unwrap();
    wharf::conformance::assert(wharf_tests::component("wharf-http").unwrap(), empty(&folder));
}
