//! Files that are no components, that are damaged, that are made for another host, or that are made to be hard to read.

use std::{fs, sync::Arc, time::Duration};

use serde_json::json;
use wharf::{
    clock::Clock,
    config::{Interval, Limits},
    connector::Loader,
    sandbox::Engine,
};
use wharf_tests::Scratch;

use crate::{
    raw::Raw,
    row::{Animal, Row, delivers, refused},
};

/// The ordinary component of WebAssembly text, with a piece of the text replaced by another.
fn changed(changes: &[(&str, &str)]) -> Vec<u8> {
    let mut text = Raw::default().text();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

pub fn rows() -> Vec<Row> {
    let file = |name: &str, make: fn() -> Vec<u8>, outcome| {
        Row::new(name, Animal::File(make), outcome).limits(json!({"memory": "16MiB"}))
    };
    vec![
        file("an empty file", Vec::new, refused("is an empty file, not a WebAssembly component")),
        file("a core module", || wat::parse_str("(module)").unwrap(), refused("is a core WebAssembly module, not a component")),
        file("a native program", || fs::read("/proc/self/exe").unwrap()[..4096].to_vec(), refused("is an ELF file")),
        // What the host itself makes of a component is never taken from a file that a pipeline names.
        file(
            "compiled code",
            || Engine::new(None).unwrap().wasmtime().precompile_component(&Raw::default().component()).unwrap(),
            refused("is an ELF file (a native program, or compiled code), not a WebAssembly component"),
        ),
        file("nothing but a header", || b"\0asm\x0d\0\x01\0".to_vec(), refused("it exports nothing")),
        file("half a component", || Raw::default().component()[..2000].to_vec(), refused("is damaged: ")),
        file(
            "a newer minor version of the contract",
            || changed(&[("@0.1.0", "@0.2.0")]),
            refused("is made for wharf:connector 0.2.0; this host serves 0.1.0"),
        ),
        file(
            "an interface that no host has",
            || {
                Raw { beside: r#"(import "acme:gpu/compute@1.0.0" (instance (export "run" (func))))"#, ..Raw::default() }
                    .component()
            },
            refused("acme:gpu/compute@1.0.0"),
        ),
        file(
            "an interface of the contract that is none",
            || {
                Raw { beside: r#"(import "wharf:connector/root@0.1.0" (instance (export "run" (func))))"#, ..Raw::default() }
                    .component()
            },
            refused("wharf:connector/root@0.1.0"),
        ),
        file(
            "a function that its interface does not have",
            || {
                changed(&[(
                    r#"(import "wasi:random/random@0.2.0" (instance $random "#,
                    r#"(import "wasi:random/random@0.2.0" (instance $random (export "get-all" (func)) "#,
                )])
            },
            refused("get-all"),
        ),
        file(
            "a record with one more field",
            || {
                changed(&[
                    (r#"(field "attempt" u32)"#, r#"(field "attempt" u32) (field "extra" u32)"#),
                    (
                        "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)",
                        "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)",
                    ),
                ])
            },
            refused("animal.wasm: does not export what the contract names, as it names it: "),
        ),
        file(
            "no export of a destination",
            || {
                let text = Raw::default().text();
                let export = text.rfind("(export $wharf:connector/destination@0.1.0").unwrap();
                wat::parse_str(format!("{})", &text[..export])).unwrap()
            },
            refused("raw 1.2.3 is no destination, and this host runs write destinations alone"),
        ),
        // A newer patch of WASI than the host's own is the same interface.
        file("a newer patch of WASI", || changed(&[("wasi:random/random@0.2.0", "wasi:random/random@0.2.99")]), delivers("")),
    ]
}

/// Damage of every kind, some hundred times: each file is loaded, or refused with one line that a person can read.
#[test]
fn files_that_are_damaged_are_loaded_or_refused_in_one_line() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let loader = Loader::new(Engine::new(None).unwrap(), Clock::system()).unwrap();
    let folder = Scratch::new().unwrap();
    let time = Interval::from_millis(100);
    let mut limits = Limits::default();
    limits.time.describe = time;
    let limits = Arc::new(limits);
    let real = fs::read(wharf_tests::component("guest-bounded").unwrap()).unwrap();
    let (mut random, mut loaded, mut refused) = (Random(7), 0, 0);
    let many = if wharf_tests::long() { 5000 } else { 90 };
    for (original, count) in [(Raw::default().component(), 2 * many), (real, many / 3)] {
        for round in 0..count {
            let mut bytes = original.clone();
            match round % 3 {
                0 => bytes.truncate(random.below(original.len())),
                1 => bytes[random.below(original.len())] ^= 1 << random.below(8),
                // A length, often.
                _ => bytes[random.below(original.len())] = [0, 0x7f, 0x80, 0xff][random.below(4)],
            }
            let path = folder.write("damaged.wasm", &bytes).unwrap();
            let load = loader.load_within(&path, limits.clone());
            let came = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), load).await });
            match came.expect("neither loaded nor refused in a minute") {
                Ok(_) => loaded += 1,
                Err(error) => {
                    let told = error.to_string();
                    assert!(told.contains("damaged.wasm") && told.len() < 8 << 10, "round {round}: {told:?}");
                    assert!(!told.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "round {round}: {told:?}");
                    assert!(!told.contains("panicked"), "round {round}: {told}");
                    refused += 1;
                }
            }
        }
    }
    println!("{loaded} loaded and {refused} refused");
    assert!(loaded > 0 && refused > loaded / 10, "{loaded} loaded and {refused} refused");
}

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}
