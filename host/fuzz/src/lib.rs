//! What must hold of whatever is given to a parser: a module for each, with `holds(bytes)`, which panics where it does not.
//!
//! The fuzzer's targets call these, and so does `tests/corpus.rs` of the host, which replays what the fuzzer has kept.

pub mod component;
pub mod descriptor;
pub mod grants;
pub mod pipeline;
pub mod receipt;
pub mod records;

/// That a person can read a message: some words, in one line, without what rewrites a terminal.
fn readable(message: &str, longest: usize) {
    assert!(!message.is_empty(), "it says nothing");
    assert!(message.chars().count() <= longest, "{} characters: {message:.300}", message.chars().count());
    assert!(!message.contains(char::is_control), "{message:?}");
}
