//! Conformance finds what is wrong with a component, and nothing else: for each fault of a mutant the cases that fail, exactly.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

mod mutant;
mod processors;
mod uploads;
mod writes;

#[test]
fn each_case_is_failed_by_a_mutant_and_no_fault_names_a_case_that_there_is_not() {
    let said = writes::said();
    let faults = [writes::FAULTS, uploads::FAULTS, processors::FAULTS].concat();
    let named: BTreeSet<&str> =
        faults.iter().map(|(_, cases)| *cases).chain(said.iter().map(|(.., cases)| *cases)).flatten().copied().collect();
    let all: BTreeSet<&str> = wharf::conformance::cases().map(|case| case.id).collect();
    assert_eq!(all.difference(&named).collect::<Vec<_>>(), [&""; 0], "cases that no fault fails");
    assert_eq!(named.difference(&all).collect::<Vec<_>>(), [&""; 0], "no such cases");
}

#[test]
fn a_test_of_a_connectors_own_is_one_line() {
    let discard = wharf_tests::component("wharf-discard").unwrap();
    wharf::conformance::assert(discard, wharf_tests::checkout().join("connectors/discard/conform.yaml"));
}

#[test]
#[should_panic(expected = "about.author is missing")]
fn a_component_that_does_not_conform_fails_such_a_test() {
    let scripted = wharf_tests::component("guest-scripted").unwrap();
    wharf::conformance::assert(scripted, wharf_tests::checkout().join("connectors/unwrap/conform.yaml"));
}
