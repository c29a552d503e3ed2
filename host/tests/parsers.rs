//! The parsers that take a stranger's bytes or an operator's strings, given what the fuzzer has kept and what chance makes of it.
//!
//! What has to hold stands in `fuzz/src`, which the fuzzer's own targets share.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::{fs, path::Path};

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 6] = [
    ("component", targets::component::holds),
    ("descriptor", targets::descriptor::holds),
    ("grants", targets::grants::holds),
    ("pipeline", targets::pipeline::holds),
    ("receipt", targets::receipt::holds),
    ("records", targets::records::holds),
];

/// What the fuzzer has kept for a target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "{} was not read", folder.display());
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The same cases in every run.
fn runner() -> TestRunner {
    let cases = if wharf_tests::long() { 100_000 } else { 1000 };
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

#[test]
fn what_the_fuzzer_has_kept_holds() {
    for (target, holds) in TARGETS {
        for bytes in corpus(target) {
            holds(&bytes);
        }
    }
}

#[test]
fn whatever_bytes_a_parser_is_given_holds() {
    for (target, holds) in TARGETS {
        let mut runner = runner();
        let bytes = prop::collection::vec(any::<u8>(), 0..400);
        runner.run(&bytes, |bytes| (holds(&bytes), Ok(())).1).unwrap_or_else(|error| panic!("{target}: {error}"));
    }
}

/// One change to some bytes.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// What stands here comes again there.
    Repeat(Index, usize, Index),
    /// From here on, what another one has from there on.
    Splice(Index, Index, Index),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), prop::collection::vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), 1..20usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (at(), 1..60usize, at()).prop_map(|(from, count, to)| Change::Repeat(from, count, to)),
        (at(), at(), at()).prop_map(|(at, other, from)| Change::Splice(at, other, from)),
        at().prop_map(Change::Cut),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change], corpus: &[Vec<u8>]) -> Vec<u8> {
    for change in changes {
        // Behind the last byte is a place too.
        let at = |index: &Index| index.index(bytes.len() + 1);
        match change {
            Change::Flip(index, bit) => {
                let at = at(index);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
            }
            Change::Set(index, byte) => {
                let at = at(index);
                bytes.iter_mut().skip(at).take(1).for_each(|other| *other = *byte);
            }
            Change::Insert(index, more) => {
                let at = at(index);
                bytes.splice(at..at, more.iter().copied());
            }
            Change::Remove(index, count) => {
                let at = at(index);
                bytes.drain(at..(at + count).min(bytes.len()));
            }
            Change::Repeat(from, count, to) => {
                let (from, to) = (at(from), at(to));
                let again = bytes[from..(from + count).min(bytes.len())].to_vec();
                bytes.splice(to..to, again);
            }
            Change::Splice(index, other, from) => {
                let at = at(index);
                let other = &corpus[other.index(corpus.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
            }
            Change::Cut(index) => {
                let at = at(index);
                bytes.truncate(at);
            }
        }
    }
    bytes
}

#[test]
fn what_is_nearly_right_holds_too() {
    for (target, holds) in TARGETS {
        let corpus = corpus(target);
        let cases = (any::<Index>(), prop::collection::vec(change(), 1..5));
        let mut runner = runner();
        let ran = runner.run(&cases, |(index, changes)| {
            holds(&changed(corpus[index.index(corpus.len())].clone(), &changes, &corpus));
            Ok(())
        });
        ran.unwrap_or_else(|error| panic!("{target}: {error}"));
    }
}
