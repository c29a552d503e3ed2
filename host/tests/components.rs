//! Files that are made to wear out whoever reads them: each is refused in a sentence, within a bounded time and a bounded memory, before
//! anything is compiled.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "zoo/raw.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod raw;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fs,
    sync::Arc,
    time::Instant,
};

use proptest::{
    prelude::Rng,
    test_runner::{RngAlgorithm, TestRng},
};
use wharf::{
    clock::Clock,
    config::{Interval, Limits, Process, Size, Times},
    connector::{Connector, LoadError, Loader, binary::outline},
    sandbox::{Compiler, Engine, Scope},
};
use wharf_tests::{Scratch, component, long};

/// Counts what a thread allocates, to tell the most that it held at once.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.get().wrapping_add(layout.size());
        HELD.set(held);
        MOST.set(MOST.get().max(held));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // What another thread has allocated may be given back by this one.
        HELD.set(HELD.get().saturating_sub(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(content.len()), content].concat()
}

/// A section that lists so many times the same.
fn list(id: u8, count: usize, entry: &[u8]) -> Vec<u8> {
    section(id, &[leb(count), entry.repeat(count)].concat())
}

fn of_module(sections: &[Vec<u8>]) -> Vec<u8> {
    [COMPONENT, &section(1, &[MODULE, &sections.concat()].concat())].concat()
}

fn of_component(sections: &[Vec<u8>]) -> Vec<u8> {
    [COMPONENT, &sections.concat()].concat()
}

fn custom(name: &str, bytes: usize) -> Vec<u8> {
    section(0, &[&leb(name.len())[..], name.as_bytes(), &vec![0; bytes]].concat())
}

/// A function that declares so many variables, in groups.
fn function(locals: &[usize], code: usize) -> Vec<u8> {
    let groups: Vec<u8> = locals.iter().flat_map(|count| [leb(*count), vec![0x7f]].concat()).collect();
    let body = [leb(locals.len()), groups, vec![0x01; code], vec![0x0b]].concat();
    [leb(body.len()), body].concat()
}

fn functions(count: usize, body: &[u8]) -> Vec<u8> {
    of_module(&[list(1, 1, b"\x60\0\0"), list(3, count, b"\0"), list(10, count, body)])
}

#[test]
fn a_file_that_is_made_to_wear_out_its_reader_is_refused_in_a_sentence() {
    let types = |depth: usize, kind: u8| {
        // A type that declares one type, and so on.
        of_component(&[section(7, &[&[1][..], &[kind, 1, 1].repeat(depth), &[kind, 0]].concat())])
    };
    let mut nested = COMPONENT.to_vec();
    for _ in 0..1000 {
        nested = [COMPONENT, &section(4, &nested)].concat();
    }
    let export = |name: &str| [&[0][..], &leb(name.len()), name.as_bytes(), &[5, 0, 0]].concat();
    let whole = fs::read(component("guest-sums").unwrap()).unwrap();
    let engine = Engine::new(None).unwrap();
    let native = engine.wasmtime().precompile_component(&whole).unwrap();
    let cases = [
        ("a function of 50 MB", functions(1, &function(&[], 50 << 20)), "has more than 2097152 bytes of code in one function"),
        ("a million functions", functions(1_000_000, &function(&[], 0)), "has more than 200000 functions"),
        ("variables", functions(1000, &function(&[50_000; 4], 0)), "has more than 10000000 local variables"),
        ("a million types", of_module(&[list(1, 1_000_000, b"\x60\0\0")]), "has more than 200000 types"),
        (
            "a million types in a group",
            of_module(&[section(1, &[&[1, 0x4e][..], &leb(1_000_000), &b"\x60\0\0".repeat(1_000_000)].concat())]),
            "has more than 200000 types",
        ),
        (
            "a million imports",
            of_module(&[list(1, 1, b"\x60\0\0"), list(2, 1_000_000, b"\x01a\0\0\0")]),
            "has more than 200000 imports of its modules",
        ),
        ("a million exports", of_module(&[list(7, 1_000_000, b"\x01a\0\0")]), "has more than 200000 exports of its modules"),
        (
            "a million globals",
            of_module(&[list(6, 1_000_001, b"\x7f\0\x41\0\x0b")]),
            "has more than 1000000 entries in its sections",
        ),
        ("tables", of_module(&[list(4, 100_000, b"\x70\0\x01")]), "has more than 256 tables"),
        ("memories", of_module(&[list(5, 100_000, b"\0\x01")]), "has more than 256 memories"),
        ("names", of_component(&[list(11, 100_000, &export("a"))]), "has more than 1000 imports and exports"),
        (
            "a long name",
            of_component(&[list(11, 1, &export(&"a".repeat(99_999)))]),
            "has more than 1000 bytes in the name of an import or export",
        ),
        ("a million empty sections", of_component(&[custom("", 0).repeat(1_000_000)]), "has more than 100000 sections"),
        ("names of functions", of_module(&[custom("name", 50 << 20)]), "has more than 16777216 bytes of names of functions"),
        ("components in components", nested, "has more than 32 levels of components and types in each other"),
        ("instance types", types(5_000_000, 0x42), "has more than 32 levels of components and types in each other"),
        ("component types", types(5_000_000, 0x41), "has more than 32 levels of components and types in each other"),
        (
            "producers",
            of_component(&[custom("producers", 50 << 20)]),
            "is made for no version of wharf:connector (it exports nothing)",
        ),
        ("a length of 4 GiB", of_component(&[b"\0\xff\xff\xff\xff\x0f\x01a".to_vec()]), "is damaged: unexpected end"),
        ("a count of 4 G", of_module(&[section(1, b"\xff\xff\xff\xff\x0f")]), "is damaged: "),
        ("a module", [MODULE, &list(1, 1, b"\x60\0\0")].concat(), "is a core WebAssembly module, not a component"),
        ("compiled code", native, "is an ELF file (a native program, or compiled code), not a WebAssembly component"),
        ("a program", fs::read(std::env::current_exe().unwrap()).unwrap(), "is an ELF file"),
        ("a zip archive", b"PK\x03\x04".repeat(1000), "is a zip archive, not a WebAssembly component"),
    ];
    for (name, bytes, expected) in cases {
        let (held, begun) = (HELD.get(), Instant::now());
        MOST.set(held);
        let refusal = outline(&bytes).unwrap_err();
        let (took, grown) = (begun.elapsed(), MOST.get().saturating_sub(held));
        let said = refusal.to_string();
        assert!(said.starts_with(expected) && said.len() < 400, "{name}: {said:.400}");
        assert!(refusal.hint().len() > 20, "{name}");
        assert!(took.as_secs() < 10, "{name} took {took:?}");
        // A group of a million types is read as one entry.
        assert!(grown < 128 << 20, "{name} took {grown} bytes");
    }
}

#[tokio::test]
async fn a_file_that_is_too_large_or_no_file_is_not_read() {
    let scratch = Scratch::new().unwrap();
    let loader = Loader::new(Engine::new(None).unwrap(), Clock::system()).unwrap();
    let path = scratch.path("large.wasm");
    fs::File::create(&path).unwrap().set_len(100_000_000).unwrap();
    let error = loader.load(&path).await.unwrap_err();
    assert!(matches!(error, LoadError::TooLarge { size: 100_000_000, .. }), "{error}");
    assert!(
        error.to_string().ends_with("has 100000000 bytes, and a component may have 64MiB (process.component-size)"),
        "{error}"
    );
    for special in ["/dev/zero", "/dev/tty"] {
        let error = loader.load(special.as_ref()).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot read the component {special}: ")), "{error}");
    }
}

/// One that compiles in a moment.
fn small() -> (Scratch, Vec<u8>) {
    (Scratch::new().unwrap(), raw::Raw::default().component())
}

/// Everything from the file to the descriptor. What is still a component may be one of anything, so it gets little time.
async fn load(loader: &Loader, scratch: &Scratch, bytes: &[u8]) -> Result<Connector, LoadError> {
    let path = scratch.path("changed.wasm");
    fs::write(&path, bytes).unwrap();
    let time = Times { describe: Interval::from_millis(500), ..Times::default() };
    let limits = Limits { memory: Size::from_mib(16), fuel_per_call: 10_000_000, time, ..Limits::default() };
    loader.load_within(&path, Arc::new(limits), &Scope::default()).await
}

#[tokio::test]
async fn a_component_that_is_cut_at_any_64th_is_refused_or_no_destination() {
    let loader = Loader::new(Engine::new(None).unwrap(), Clock::system()).unwrap();
    let (scratch, bytes) = small();
    load(&loader, &scratch, &bytes).await.unwrap();
    for part in 0..64 {
        match load(&loader, &scratch, &bytes[..bytes.len() * part / 64]).await {
            // What is cut between two sections is a component of what stands before, and lacks what comes last.
            Ok(connector) => assert!(!connector.outline.offers("destination"), "{part}"),
            Err(error) => {
                let error = error.to_string();
                assert!(error.starts_with('/') && error.len() < 1000 && !error.contains('\0'), "{part}: {error}");
            }
        }
    }
    let large = fs::read(component("wharf-file").unwrap()).unwrap();
    outline(&large).unwrap();
    for part in 0..64 {
        outline(&large[..large.len() * part / 64]).unwrap_err();
    }
}

#[tokio::test]
async fn a_component_with_a_bit_flipped_is_loaded_or_refused_and_never_the_end_of_the_host() {
    let loader = Loader::new(Engine::new(None).unwrap(), Clock::system()).unwrap();
    let (scratch, bytes) = small();
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let (mut loaded, mut refused) = (0, 0);
    for _ in 0..if long() { 20_000 } else { 600 } {
        let mut flipped = bytes.clone();
        for _ in 0..1 + random.next_u32() % 3 {
            let at = random.next_u32() as usize % (bytes.len() * 8);
            flipped[at / 8] ^= 1 << (at % 8);
        }
        match load(&loader, &scratch, &flipped).await {
            Ok(_) => loaded += 1,
            Err(error) => {
                refused += 1;
                assert!(error.to_string().len() < 40_000, "{error:.1000}");
            }
        }
    }
    assert!(loaded > 0 && refused > 100, "{loaded} loaded, {refused} refused");
    // The same host goes on.
    load(&loader, &scratch, &bytes).await.unwrap();
}

/// Components in which each starts ten of the one before: a small file of a great many instances.
fn multiplying(levels: usize) -> Vec<u8> {
    let mut text = "(component $c0 (core module $m (memory 1)) (core instance (instantiate $m)))".to_owned();
    for level in 1..=levels {
        let start = format!("(instance (instantiate $c{}))", level - 1);
        text += &format!("(component $c{level} {})", start.repeat(10));
    }
    wat::parse_str(format!("(component {text} (instance (instantiate $c{levels})))")).unwrap()
}

#[tokio::test]
async fn instances_that_multiply_end_with_the_child_that_compiles_them() {
    let process = Process { compile_memory: Size::from_mib(256), compile_time: Interval::from_secs(20), ..Process::default() };
    let engine = Engine::within(None, Compiler::Child(env!("CARGO_BIN_EXE_wharf").into()), process).unwrap();
    let error = engine.compile("digest", multiplying(9).into()).await.err().unwrap().to_string();
    assert!(error.contains("process.compile-") || error.contains("exceeds"), "{error}");
}
