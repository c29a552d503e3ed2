//! What a process may spend on components: compiling them in a child, and how many instances there are.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use wharf::{
    clock::Clock,
    config::{Interval, Limits, Process, Size, Times},
    connector::{Loader, Opening},
    record::BatchBuilder,
    sandbox::{CompileError, Compiler, Engine, EngineError},
};
use wharf_tests::{Scratch, component};

fn wharf() -> Compiler {
    Compiler::Child(PathBuf::from(env!("CARGO_BIN_EXE_wharf")))
}

async fn compiled(compiler: Compiler, process: Process, bytes: &[u8]) -> Result<(), CompileError> {
    let engine = Engine::within(None, compiler, process).unwrap();
    match engine.compile("digest", Arc::from(bytes)).await {
        Ok(_) => Ok(()),
        Err(EngineError::Compile(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// A component of one function after the other, each of which is long and jumps about.
fn laborious(functions: usize) -> Vec<u8> {
    let blocks = 300;
    let labels: String = (0..blocks).map(|label| format!(" {label}")).collect();
    let body = format!(
        "{}(br_table{labels} (local.get 0)){}",
        "(block ".repeat(blocks),
        "(local.set 0 (i32.mul (local.get 0) (i32.add (local.get 0) (i32.const 7)))))".repeat(blocks)
    );
    wat(&format!("(component (core module {}))", format!("(func (param i32) {body})").repeat(functions)))
}

#[tokio::test]
async fn what_a_child_compiles_is_what_the_host_compiles() {
    let bytes = fs::read(component("guest-sums").unwrap()).unwrap();
    let code = async |compiler| {
        let engine = Engine::within(None, compiler, Process::default()).unwrap();
        engine.compile("digest", bytes.as_slice().into()).await.unwrap().serialize().unwrap()
    };
    assert!(code(wharf()).await == code(Compiler::Here).await);

    let engine = Engine::within(None, wharf(), Process::default()).unwrap();
    let loader = Loader::new(engine, Clock::system()).unwrap();
    let connector = loader.load(&component("guest-sums").unwrap()).await.unwrap();
    assert_eq!(connector.descriptor.about.name, "guest-sums");
}

#[tokio::test]
async fn compiling_ends_with_its_time_wherever_it_is_done() {
    let process = Process { compile_time: Interval::from_millis(50), ..Process::default() };
    let bytes = laborious(400);
    for compiler in [wharf(), Compiler::Here] {
        let begun = Instant::now();
        let error = compiled(compiler, process, &bytes).await.unwrap_err();
        assert_eq!(error.to_string(), "compiling took longer than 50ms (process.compile-time)");
        assert_eq!(error.hint(), "raise process.compile-time in the pipeline file, or ask the connector's author");
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn compiling_in_a_child_ends_where_its_memory_does() {
    let process = Process { compile_memory: Size::from_mib(96), ..Process::default() };
    // One that takes much to hold, and one that takes much to compile.
    let large = wat(&format!("(component (core module (memory 2000) (data (i32.const 0) \"{}\")))", "x".repeat(100 << 20)));
    for bytes in [large, laborious(600)] {
        let error = compiled(wharf(), process, &bytes).await.unwrap_err();
        assert_eq!(error.to_string(), "compiling needed more than 96MiB of memory (process.compile-memory)");
    }
    // The same limit is enough for what is ordinary.
    compiled(wharf(), process, &fs::read(component("guest-sums").unwrap()).unwrap()).await.unwrap();
}

#[tokio::test]
async fn what_is_not_valid_is_told_in_the_compilers_words() {
    let bytes = wat("(component (core module (func (export \"f\") (result i32) (i64.const 1))))");
    let memory64 = wat("(component (core module (memory i64 1)))");
    for compiler in [wharf(), Compiler::Here] {
        let CompileError::Invalid(said) = compiled(compiler.clone(), Process::default(), &bytes).await.unwrap_err() else {
            panic!("not told as invalid");
        };
        assert!(said.contains("type mismatch: expected i32, found i64"), "{said}");
        let said = compiled(compiler, Process::default(), &memory64).await.unwrap_err().to_string();
        assert!(said.contains("memory64"), "{said}");
    }
}

#[tokio::test]
async fn a_compiler_that_crashes_floods_or_is_missing_is_an_error() {
    let scratch = Scratch::new().unwrap();
    let program = |name: &str, script: &str| {
        let path = scratch.path(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Compiler::Child(path)
    };
    let process = Process { compile_memory: Size::from_mib(64), ..Process::default() };
    let bytes = wat("(component)");
    let cases = [
        ("abort", "echo 'assertion \u{1b}[2Jfailed' >&2; kill -ABRT $$", "the compiler failed: signal: 6 (SIGABRT)"),
        ("fault", "kill -SEGV $$", "the compiler failed: signal: 11 (SIGSEGV)"),
        ("panics", "echo thread panicked >&2; exit 101", "the compiler failed: exit status: 101: thread panicked"),
        ("flood", "exec yes", "(process.compile-memory)"),
        ("much", "head -c 70000000 /dev/zero", "(process.compile-memory)"),
        ("hangs", "exec sleep 1000", "(process.compile-time)"),
        ("talks", "head -c 10000000 /dev/zero >&2; exit 9", "the compiler failed: exit status: 9"),
    ];
    for (name, script, expected) in cases {
        let process = Process { compile_time: Interval::from_secs(3), ..process };
        let error = compiled(program(name, script), process, &bytes).await.unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\u{1b}') && error.len() < 32 << 10, "{name}: {error:.1000}");
    }
    // What comes back and is no code is not run.
    let engine = Engine::within(None, program("wrong", "echo no code"), process).unwrap();
    let error = engine.compile("digest", bytes.as_slice().into()).await.unwrap_err().to_string();
    assert!(error.starts_with("the compiled code does not fit this host: "), "{error}");

    let error = compiled(Compiler::Child(scratch.path("missing")), process, &bytes).await.unwrap_err();
    assert!(matches!(error, CompileError::Start { .. }), "{error}");
}

#[tokio::test]
async fn the_child_is_told_nothing_of_the_host() {
    let scratch = Scratch::new().unwrap();
    let path = scratch.path("tells");
    fs::write(&path, "#!/bin/sh\n{ env; echo \"$@\"; pwd; ls -l /proc/self/fd | grep -c held; } >&2; exit 65\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    // An open file of the host's is not handed on.
    let held = fs::File::create(scratch.path("held")).unwrap();
    let error = compiled(Compiler::Child(path), Process::default(), &wat("(component)")).await.unwrap_err();
    drop(held);
    let CompileError::Invalid(said) = error else { panic!("{error}") };
    let own = ["MALLOC_ARENA_MAX=2", "RAYON_NUM_THREADS=4", "PWD=/", "compile-component 4294967296 60000"];
    let words: Vec<&str> = said.split("\\u{a}").filter(|line| !line.is_empty()).collect();
    assert!(own.iter().all(|line| words.contains(line)), "{said}");
    // Besides these: what the shell adds, the folder, and that no open file is called so.
    let shells = |line: &&&str| ["_=", "OLDPWD=", "SHLVL="].iter().any(|name| line.starts_with(name));
    let others: Vec<_> = words.iter().filter(|line| !own.contains(line) && !shells(line)).collect();
    assert_eq!(others, [&"/", &"0"], "{said}");
}

#[tokio::test]
async fn one_instance_more_than_there_may_be_waits_for_anothers_end() {
    let process = Process { instances: 1, ..Process::default() };
    let engine = Engine::within(None, Compiler::Here, process).unwrap();
    let loader = Loader::new(engine, Clock::system()).unwrap();
    // The instance that was asked who it is has ended.
    let connector = loader.load(&component("guest-faults").unwrap()).await.unwrap();
    let hurried = Limits { time: Times { open: Interval::from_millis(50), ..Times::default() }, ..Limits::default() };
    let hurried = Opening { limits: hurried.into(), ..Opening::default() };

    let first = connector.open(&Opening::default()).await.unwrap();
    let error = connector.open(&hurried).await.err().unwrap().to_string();
    assert_eq!(error, "open got no instance: waited 50ms for one of 1 instances in this process to end (process.instances)");

    let waiting = tokio::spawn({
        let connector = connector.clone();
        async move { connector.open(&Opening::default()).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!waiting.is_finished());
    first.close().await.unwrap().unwrap();
    drop(waiting.await.unwrap().unwrap());

    // One that has trapped is gone, whoever still holds its session.
    let settings = vec![("fault".to_owned(), "panic".to_owned())];
    let mut trapped = connector.open(&Opening { settings, ..Opening::default() }).await.unwrap();
    let mut batch = BatchBuilder::with_capacity(1, 1, false, None);
    batch.push(0, None, b"a").unwrap();
    assert!(trapped.write(&batch.finish("id", "partition".into()), 1).await.trouble.is_some());
    connector.open(&hurried).await.unwrap();
    drop(trapped);
}
