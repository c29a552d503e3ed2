//! The hostile zoo: components that do everything to harm their host, each in a process of its own beside an honest connector.
//!
//! A row of the table says what an animal is, what it is kept under, and what must come of it: the words that a person is told, the
//! time it may take, and the memory by which the process may grow. In every row the honest connector, in another pipeline of the same
//! process, gets all of its records delivered, round after round for as long as the animal lives and once more when it is gone; no
//! file stays open, and memory comes back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cage;
mod cpu;
mod files;
mod given_back;
mod lifecycle;
mod memory;
mod output;
mod overdue;
mod process;
mod processing;
mod raw;
mod reach;
mod receipts;
mod row;
mod thousand;
mod values;
mod waiting;

use row::Row;

type Rows = fn() -> Vec<Row>;

/// The sections of the table.
const SECTIONS: &[(&str, Rows)] = &[
    ("cpu", cpu::rows),
    ("files", files::rows),
    ("lifecycle", lifecycle::rows),
    ("memory", memory::rows),
    ("output", output::rows),
    ("processing", processing::rows),
    ("reach", reach::rows),
    ("receipts", receipts::rows),
    ("values", values::rows),
    ("waiting", waiting::rows),
];

fn run(section: &str) {
    let (_, rows) = SECTIONS.iter().find(|(name, _)| *name == section).unwrap();
    cage::run_all(section, &rows());
}

#[test]
#[ignore = "runs one row in a process of its own: the tables start it"]
fn one_animal() {
    let task = process::task();
    let (section, index) = task.split_once(' ').unwrap();
    let (_, rows) = SECTIONS.iter().find(|(name, _)| *name == section).unwrap();
    cage::run(&rows()[index.parse::<usize>().unwrap()]);
}

#[test]
fn cpu_whatever_computes_without_end_is_stopped_in_every_call() {
    run("cpu");
}

#[test]
fn files_that_are_no_connectors_are_refused_with_words() {
    run("files");
}

#[test]
fn lifecycle_what_was_acknowledged_stays_and_the_rest_goes_to_a_fresh_instance() {
    run("lifecycle");
}

#[test]
fn memory_nobody_holds_more_memory_tables_or_handles_than_the_limits_say() {
    run("memory");
}

#[test]
fn output_no_flood_reaches_the_host() {
    run("output");
}

#[test]
fn processing_harms_nobody_and_a_wrong_answer_is_not_believed() {
    run("processing");
}

#[test]
fn reach_goes_no_further_than_what_is_granted() {
    run("reach");
}

#[test]
fn receipts_that_break_the_contract_are_never_taken_for_deliveries() {
    run("receipts");
}

#[test]
fn values_that_are_none_end_the_instance_that_hands_them_over() {
    run("values");
}

#[test]
fn waiting_takes_no_longer_than_a_call_may() {
    run("waiting");
}
