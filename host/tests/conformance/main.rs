//! Conformance finds what is wrong with a component, and nothing else: for each fault of a mutant the cases that fail, exactly.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod mutant;
mod processors;
mod uploads;
mod writes;

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
