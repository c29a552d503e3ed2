//! One wasmtime engine for the whole process.
//!
//! Fuel does two things: it bounds what a call may compute, and it cuts long computations into slices, after each of which other tasks
//! run and a call that is past its deadline ends. wasmtime has a second way to do the latter, a count of epochs that a thread advances
//! and compiled code compares in every round of every loop; `docs/benchmarks.md` has what that costs on top of fuel. A slice
//! of fuel is also much shorter than an epoch can be, so that connectors that compute leave their neighbours' timers and sockets in time.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use thiserror::Error;
use tokio::sync::Semaphore;
use wasmtime::{Config, OptLevel, WasmBacktraceDetails, component::Component};

use super::{
    cache::{Cache, CacheError},
    compile::{CompileError, Compiler, Compiling},
};
use crate::config::Process;

/// Fuel after which a computation lets others run and its deadline is looked at: about a tenth of a millisecond's worth of ordinary
/// instructions, and some 20 ms where every one of them misses the caches.
pub const SLICE: u64 = 200_000;

/// Stack that a component may use, in bytes.
pub(super) const STACK: usize = 512 << 10;

/// Stack of a call together with the host functions that it calls, in bytes.
const CALL_STACK: usize = 2 << 20;

/// Compiles components and holds what all instances share. Clones share one engine.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    metered: bool,
    cache: Option<Arc<Cache>>,
    compiling: Arc<Compiling>,
    compilations: Arc<Compilations>,
    process: Arc<Process>,
    /// One permit for each instance that there may be.
    seats: Arc<Semaphore>,
}

/// How components came by their code so far.
#[derive(Debug, Default)]
pub struct Compilations {
    compiled: AtomicU64,
    kept: AtomicU64,
}

impl Compilations {
    /// How many were compiled.
    pub fn compiled(&self) -> u64 {
        self.compiled.load(Relaxed)
    }

    /// How many had been compiled before, and were in the cache.
    pub fn kept(&self) -> u64 {
        self.kept.load(Relaxed)
    }
}

/// Why there is no engine, or no compiled component.
#[derive(Debug, Error)]
pub enum EngineError {
    /// wasmtime refused its configuration.
    #[error("cannot start the WebAssembly engine: {0:#}")]
    Start(wasmtime::Error),
    /// The place for compiled code cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The component has no code.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// What was compiled cannot be loaded.
    #[error("the compiled code does not fit this host: {0:#}")]
    Code(wasmtime::Error),
}

impl Engine {
    /// An engine that keeps compiled code in `cache`, or nowhere; it compiles in this process, and all else is by default.
    pub fn new(cache: Option<Cache>) -> Result<Self, EngineError> {
        Self::within(cache, Compiler::Here, Process::default())
    }

    /// The same, with a compiler and what the process may spend on components.
    pub fn within(cache: Option<Cache>, compiler: Compiler, process: Process) -> Result<Self, EngineError> {
        Self::made(&configuration(), true, cache, compiler, process)
    }

    /// An engine that counts no fuel, whose instances have no bound on memory: what the limits cost is measured against it, and it is for
    /// nothing else.
    #[doc(hidden)]
    pub fn unmetered() -> Result<Self, EngineError> {
        Self::made(configuration().consume_fuel(false), false, None, Compiler::Here, Process::default())
    }

    fn made(
        config: &Config,
        metered: bool,
        cache: Option<Cache>,
        compiler: Compiler,
        process: Process,
    ) -> Result<Self, EngineError> {
        let engine = wasmtime::Engine::new(config).map_err(EngineError::Start)?;
        Ok(Self {
            engine,
            metered,
            cache: cache.map(Arc::new),
            compiling: Arc::new(Compiling::new(compiler, &process)),
            compilations: Arc::default(),
            seats: Arc::new(Semaphore::new(process.instances as usize)),
            process: Arc::new(process),
        })
    }

    /// How components came by their code so far.
    pub fn compilations(&self) -> &Arc<Compilations> {
        &self.compilations
    }

    /// The folder in which compiled code is kept, where it is.
    pub fn compiled(&self) -> Option<&Path> {
        self.cache.as_deref().map(Cache::folder)
    }

    /// wasmtime's own.
    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// What the process may spend on components.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Whether instances are limited, as all are but those of a benchmark.
    pub(super) fn metered(&self) -> bool {
        self.metered
    }

    /// For the starts of instances: a permit for each that there may be at once.
    pub(super) fn seats(&self) -> &Arc<Semaphore> {
        &self.seats
    }

    /// Compiles a component whose bytes were checked to be one and have this digest, or takes its code from the cache.
    pub async fn compile(&self, digest: &str, bytes: Arc<[u8]>) -> Result<Component, EngineError> {
        let kept = self.aside({
            let (cache, engine, digest) = (self.cache.clone(), self.engine.clone(), digest.to_owned());
            move || cache.and_then(|cache| cache.get(&engine, &digest))
        });
        if let Some(component) = kept.await? {
            self.compilations.kept.fetch_add(1, Relaxed);
            return Ok(component);
        }
        let code = self.compiling.compile(&self.engine, bytes).await?;
        self.compilations.compiled.fetch_add(1, Relaxed);
        let loaded = self.aside({
            let (cache, engine, digest) = (self.cache.clone(), self.engine.clone(), digest.to_owned());
            move || {
                // SAFETY: the code was made by wasmtime, here or in the child process that was started to make it, and came over a pipe
                // that nobody else holds. What that leaves open stands in `compile`.
                let component = unsafe { Component::deserialize(&engine, &code) }.map_err(EngineError::Code)?;
                if let Some(cache) = cache {
                    cache.put(&engine, &digest, &code);
                }
                Ok(component)
            }
        });
        loaded.await?
    }

    /// Runs what takes long and does not wait, away from the threads of the executor.
    async fn aside<R: Send + 'static>(&self, run: impl FnOnce() -> R + Send + 'static) -> Result<R, EngineError> {
        let done = tokio::task::spawn_blocking(run).await;
        done.map_err(|error| CompileError::Failed(error.to_string()).into())
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("cache", &self.cache).finish_non_exhaustive()
    }
}

/// Every knob that bears on safety is set here, whatever its default is. What compiles has the same; a knob that takes address space
/// when an engine is made does not belong here.
pub(super) fn configuration() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(false)
        .max_wasm_stack(STACK)
        .async_stack_size(CALL_STACK)
        // A stack goes from one tenant to the next only in a pool; zeroed all the same, since it is cheap beside a call.
        .async_stack_zeroing(true)
        .cranelift_opt_level(OptLevel::Speed)
        // The contract's exports are synchronous, and a call costs a quarter without it.
        .concurrency_support(false)
        .wasm_component_model(true)
        .wasm_simd(true)
        .wasm_relaxed_simd(true)
        // The same answer on every machine.
        .relaxed_simd_deterministic(true)
        .wasm_bulk_memory(true)
        .wasm_multi_memory(true)
        .wasm_tail_call(true)
        // What C and C++ toolchains of today use for longjmp and exceptions.
        .wasm_exceptions(true)
        // What no toolchain of a connector needs, and where faults have been found.
        .wasm_memory64(false)
        .wasm_gc(false)
        .wasm_stack_switching(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .shared_memory(false)
        // Traps name the functions that they passed through, and no lines: what a component says of those is not read, whatever the
        // environment asks for.
        .generate_address_map(true)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        // For debuggers of other people alone; registering it takes longer the more components there are.
        .native_unwind_info(false);
    config
}
