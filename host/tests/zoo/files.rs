//! Files that are no components, that are damaged, that are made for another host, or that are made to be hard to read.

use std::{fs, sync::Arc, time::Duration};

use serde_json::json;
use wharf::{
    clock::Clock,
    config::{Interval, Limits},
    connector::Loader,
    sandbox::{Engine, Scope},
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
            refused("raw 1.2.3 is no destination, where a destination is due"),
        ),
        file(
            "66 MiB",
            || with_section(0, &[b"\x04bomb", &vec![0; 66 << 20][..]].concat()),
            refused("bytes, and a component may have 64MiB (process.component-size)"),
        ),
        // Nobody looks into what has no meaning; it counts as bytes of the file alone.
        file(
            "60 MiB of a section without a meaning",
            || with_section(0, &[b"\x04bomb", &vec![0; 60 << 20][..]].concat()),
            delivers(""),
        )
        .growth(200),
        file(
            "10,000 sections without a meaning",
            || [Raw::default().component(), b"\0\x05\x04bomb".repeat(10_000)].concat(),
            delivers(""),
        ),
        file(
            "a thousand components in each other",
            || with_section(4, &nested(1000)),
            refused("more than 32 levels of components"),
        ),
        file(
            "a hundred thousand components in each other",
            || with_section(4, &nested(100_000)),
            refused("more than 32 levels of components"),
        ),
        file(
            "a million and one types",
            || with_section(1, &module(1, &many(1_000_001, b"\x60\0\0"))),
            refused("has more than 200000 types"),
        )
        .growth(200),
        file(
            "a million and one imports",
            || with_section(1, &module(2, &many(1_000_001, b"\0\0\x03\x7f\0"))),
            refused("has more than 200000 imports of its modules"),
        )
        .growth(200),
        file("a million and one functions", || with_section(1, &functions(1_000_001)), refused("has more than 200000 functions"))
            .growth(200),
        file(
            "a function of 50 MB",
            || with_section(1, &one_function(50_000_000)),
            refused("has more than 2097152 bytes of code in one function"),
        )
        .growth(200),
        file(
            "a number of types that is not there",
            || with_section(1, &module(1, &number(u32::MAX))),
            refused("is damaged: unexpected end"),
        ),
        file(
            "a name of 1 MB",
            || with_section(1, &module(7, &[number(1), number(1_000_000), vec![b'x'; 1_000_000], vec![3, 0]].concat())),
            refused(""),
        ),
        // A newer patch of WASI than the host's own is the same interface.
        file("a newer patch of WASI", || changed(&[("wasi:random/random@0.2.0", "wasi:random/random@0.2.99")]), delivers("")),
    ]
}

/// The ordinary component with one more section.
fn with_section(id: u8, content: &[u8]) -> Vec<u8> {
    let mut component = Raw::default().component();
    component.push(id);
    component.extend(number(content.len() as u32));
    component.extend(content);
    component
}

/// A core module of one section.
fn module(id: u8, content: &[u8]) -> Vec<u8> {
    [b"\0asm\x01\0\0\0", &[id][..], &number(content.len() as u32), content].concat()
}

/// A list of so many of the same.
fn many(count: u32, one: &[u8]) -> Vec<u8> {
    [number(count), one.repeat(count as usize)].concat()
}

/// A core module of so many functions that do nothing.
fn functions(count: u32) -> Vec<u8> {
    let sections = [(1_u8, many(1, b"\x60\0\0")), (3, many(count, b"\0")), (10, many(count, b"\x02\0\x0b"))];
    let section = |(id, content): &(u8, Vec<u8>)| [&[*id][..], &number(content.len() as u32), content].concat();
    [b"\0asm\x01\0\0\0".to_vec(), sections.iter().flat_map(section).collect()].concat()
}

/// A core module with one function of so many instructions that do nothing.
fn one_function(instructions: u32) -> Vec<u8> {
    let body = [vec![0], vec![1; instructions as usize], vec![0x0b]].concat();
    let code = [number(1), number(body.len() as u32), body].concat();
    let sections = [(1_u8, many(1, b"\x60\0\0")), (3, many(1, b"\0")), (10, code)];
    let section = |(id, content): &(u8, Vec<u8>)| [&[*id][..], &number(content.len() as u32), content].concat();
    [b"\0asm\x01\0\0\0".to_vec(), sections.iter().flat_map(section).collect()].concat()
}

/// Empty components, each in the next.
fn nested(depth: usize) -> Vec<u8> {
    const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";
    (0..depth).fold(HEADER.to_vec(), |inner, _| [HEADER, &[4], &number(inner.len() as u32), &inner].concat())
}

/// A number as files of WebAssembly have it: LEB128.
fn number(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
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
            let scope = Scope::default();
            let load = loader.load_within(&path, limits.clone(), &scope);
            let came = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), load).await });
            match came.expect("neither loaded nor refused in a minute") {
                Ok(_) => loaded += 1,
                Err(error) => {
                    let told = error.to_string();
                    assert!(told.contains("damaged.wasm") && told.len() < 8 << 10, "round {round}: {told:?}");
                    assert!(!told.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "round {round}: {told:?}");
                    // What is left of a component may say so of itself.
                    let hosts = told.split("; it had written: ").next().unwrap();
                    assert!(!hosts.contains("panicked"), "round {round}: {told}");
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
