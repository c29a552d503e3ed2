//! One wasmtime engine for the whole process, with the clock tick that ends or yields long computations.

use std::{sync::Arc, thread, time::Duration};

use thiserror::Error;
use wasmtime::{Config, OptLevel, component::Component};

use super::cache::{Cache, CacheError};

/// How often computations are interrupted, to let others run and to look at their deadline.
pub const TICK: Duration = Duration::from_millis(10);

/// Stack that a component may use, in bytes.
pub(super) const STACK: usize = 512 << 10;

/// Stack of a call together with the host functions that it calls, in bytes.
const CALL_STACK: usize = 2 << 20;

/// Compiles components and holds what all instances share. Clones share one engine.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    cache: Option<Arc<Cache>>,
}

/// Why there is no engine, or no compiled component.
#[derive(Debug, Error)]
pub enum EngineError {
    /// wasmtime refused its configuration.
    #[error("cannot start the WebAssembly engine: {0:#}")]
    Start(wasmtime::Error),
    /// The thread that ticks could not be started.
    #[error("cannot start the engine's clock: {0}")]
    Ticker(std::io::Error),
    /// The place for compiled code cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The component is not valid, or uses what is switched off.
    #[error("{0:#}")]
    Compile(wasmtime::Error),
}

impl Engine {
    /// An engine that keeps compiled code in `cache`, or nowhere.
    pub fn new(cache: Option<Cache>) -> Result<Self, EngineError> {
        let engine = wasmtime::Engine::new(&configuration()).map_err(EngineError::Start)?;
        let ticking = engine.weak();
        thread::Builder::new()
            .name("wharf-tick".into())
            .spawn(move || {
                loop {
                    thread::sleep(TICK);
                    match ticking.upgrade() {
                        Some(engine) => engine.increment_epoch(),
                        None => break,
                    }
                }
            })
            .map_err(EngineError::Ticker)?;
        Ok(Self { engine, cache: cache.map(Arc::new) })
    }

    /// wasmtime's own.
    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// Compiles a component whose bytes were checked to be one, or takes its code from the cache. Takes long: not for the threads of an
    /// executor.
    pub fn compile(&self, digest: &str, bytes: &[u8]) -> Result<Component, EngineError> {
        if let Some(cache) = &self.cache
            && let Some(component) = cache.get(&self.engine, digest)
        {
            return Ok(component);
        }
        let component = Component::from_binary(&self.engine, bytes).map_err(EngineError::Compile)?;
        if let Some(cache) = &self.cache {
            match component.serialize() {
                Ok(code) => cache.put(&self.engine, digest, &code),
                Err(error) => tracing::warn!(digest, error = format!("{error:#}"), "compiled code cannot be kept"),
            }
        }
        Ok(component)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("cache", &self.cache).finish_non_exhaustive()
    }
}

/// Every knob that bears on safety is set here, whatever its default is.
fn configuration() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
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
        // Traps name the functions that they passed through.
        .generate_address_map(true);
    config
}
