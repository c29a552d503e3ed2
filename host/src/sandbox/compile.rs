//! Where a component becomes machine code.
//!
//! **Threat.** A component's bytes decide how long a compiler works and how much memory it takes, and a small file can ask for a lot of
//! both; one that finds a fault in the compiler can also end its process. wasmtime's own promises leave out what happens while
//! compiling. **Answer.** A component is compiled in a child process: the same program once more, which sets itself limits on
//! address space, processor time and open files, is given nothing but the component on its standard input (no argument but its limits,
//! nothing of the host's environment), hands the code back on its standard output, and is killed when its time is over. One
//! component is compiled at a time.
//!
//! **What it does not do.** What comes back is machine code, and the host runs it. A component that takes over the compiler in the
//! child can hand back whatever it likes, as it could in the host's own process. The child keeps time and memory of compiling, and
//! crashes of the compiler, away from the host; it does not make a subverted compiler harmless.

use std::{
    ffi::OsString,
    fmt,
    io::{self, Read, Write},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitCode, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use rlimit::Resource;
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::Semaphore,
};

use super::{
    engine::configuration,
    output::{printable, told},
};
use crate::config::{Process, Size};

/// The first argument with which the program starts itself to compile.
const COMMAND: &str = "compile-component";

/// What the child ends with where the component is not valid.
const INVALID: u8 = 65;

/// Threads that the child compiles with. Each takes address space of its own, which on a machine of many cores would be most of it.
const THREADS: u64 = 4;

/// Bytes of what the child says that are kept.
const SAID: usize = 4 << 10;

/// Where components are compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// In this process, where time is limited and memory is not.
    Here,
    /// In a child process: a program that calls [`serve`] first of all.
    Child(PathBuf),
}

impl Compiler {
    /// The running program, which then has to call [`serve`] first of all, as `wharf` does.
    pub fn this_program() -> io::Result<Self> {
        // The file may have been replaced since it was started; what runs may not be.
        let running = PathBuf::from("/proc/self/exe");
        Ok(Self::Child(if running.exists() { running } else { std::env::current_exe()? }))
    }
}

/// Why a component has no code.
#[derive(Debug, Error)]
pub enum CompileError {
    /// It is not valid, or uses what is switched off.
    #[error("{0}")]
    Invalid(String),
    /// It took too long.
    #[error("compiling took longer than {limit:?} (process.compile-time)")]
    Time {
        /// How long it may take.
        limit: Duration,
    },
    /// It needed too much memory.
    #[error("compiling needed more than {limit} of memory (process.compile-memory)")]
    Memory {
        /// How much it may need.
        limit: Size,
    },
    /// The compiler came to an end that is none of these.
    #[error("the compiler failed: {0}")]
    Failed(String),
    /// The child process could not be started.
    #[error("cannot start {}, which compiles: {cause}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What came back.
        cause: io::Error,
    },
}

impl CompileError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "build it again; a host compiles what WebAssembly 2.0 and WASI 0.2 toolchains make",
            Self::Time { .. } => "raise process.compile-time in the pipeline file, or ask the connector's author",
            Self::Memory { .. } => "raise process.compile-memory in the pipeline file, or ask the connector's author",
            Self::Failed(_) => "ask the connector's author; a component that breaks the compiler is not to be trusted",
            Self::Start { .. } => "see that the program may be executed, or set process.compile to `here`",
        }
    }
}

/// Compiles, one component at a time.
pub(super) struct Compiling {
    compiler: Compiler,
    time: Duration,
    memory: Size,
    turn: Arc<Semaphore>,
}

impl Compiling {
    pub(super) fn new(compiler: Compiler, process: &Process) -> Self {
        let (time, memory) = (process.compile_time.duration(), process.compile_memory);
        Self { compiler, time, memory, turn: Arc::new(Semaphore::new(1)) }
    }

    /// The machine code of a component, as wasmtime keeps it.
    pub(super) async fn compile(&self, engine: &wasmtime::Engine, bytes: Arc<[u8]>) -> Result<Vec<u8>, CompileError> {
        match &self.compiler {
            Compiler::Here => self.here(engine.clone(), bytes).await,
            Compiler::Child(program) => {
                // Whoever is before it is at work no longer than may be. The semaphore is never closed.
                let _turn = self.turn.acquire().await.map_err(failed)?;
                self.child(program, &bytes).await
            }
        }
    }

    /// A thread cannot be ended: one that takes too long is left behind, and keeps its turn until it is done.
    async fn here(&self, engine: wasmtime::Engine, bytes: Arc<[u8]>) -> Result<Vec<u8>, CompileError> {
        let turn = self.turn.clone();
        let compiled = async {
            let turn = turn.acquire_owned().await.map_err(failed)?;
            let compiled = tokio::task::spawn_blocking(move || {
                let compiled = engine.precompile_component(&bytes);
                drop(turn);
                compiled
            });
            compiled.await.map_err(failed)?.map_err(|error| CompileError::Invalid(told(&error)))
        };
        tokio::time::timeout(self.time, compiled).await.map_err(|_| CompileError::Time { limit: self.time })?
    }

    async fn child(&self, program: &PathBuf, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
        let mut child = self.start(program).map_err(|cause| CompileError::Start { program: program.clone(), cause })?;
        let ended = tokio::time::timeout(self.time, Self::talk(&mut child, bytes, self.memory)).await;
        let Ok(ended) = ended else {
            child.kill().await.map_err(failed)?;
            return Err(CompileError::Time { limit: self.time });
        };
        let (code, said, status) = ended.map_err(failed)?;
        match status.code() {
            // It is no longer read then, which ends it.
            _ if code.len() as u64 > self.memory.bytes() => Err(CompileError::Memory { limit: self.memory }),
            Some(0) => Ok(code),
            Some(code) if code == i32::from(INVALID) => Err(CompileError::Invalid(said)),
            _ => Err(self.ended(status, &said)),
        }
    }

    fn start(&self, program: &PathBuf) -> io::Result<Child> {
        let millis = u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX);
        Command::new(program)
            .arg0("wharf")
            .args([COMMAND, &self.memory.bytes().to_string(), &millis.to_string()])
            .env_clear()
            // Every further arena would take 64 MiB of address space.
            .env("MALLOC_ARENA_MAX", "2")
            .env("RAYON_NUM_THREADS", THREADS.to_string())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    /// Gives it the component, and takes what it says, within bounds.
    async fn talk(child: &mut Child, bytes: &[u8], most: Size) -> io::Result<(Vec<u8>, String, ExitStatus)> {
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let give = async {
            if let Some(mut stdin) = stdin {
                // A child that has ended no longer reads; its end says why.
                let _given = stdin.write_all(bytes).await;
            }
        };
        let take = async {
            let mut code = Vec::new();
            if let Some(stdout) = stdout {
                stdout.take(most.bytes().saturating_add(1)).read_to_end(&mut code).await?;
            }
            io::Result::Ok(code)
        };
        let listen = async {
            let mut said = Vec::new();
            if let Some(mut stderr) = stderr {
                (&mut stderr).take(SAID as u64).read_to_end(&mut said).await?;
                // What it says beyond that is read all the same, so that it does not wait to be heard.
                tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
            }
            io::Result::Ok(said)
        };
        let ((), code, said) = tokio::join!(give, take, listen);
        let (code, said) = (code?, said?);
        let said = printable(String::from_utf8_lossy(&said).trim(), false).into_owned();
        Ok((code, said, child.wait().await?))
    }

    /// What an end that is no result tells.
    fn ended(&self, status: ExitStatus, said: &str) -> CompileError {
        const XCPU: i32 = 24;
        // What the standard library says when memory or a thread is refused; tests hold the words.
        let short = ["memory allocation of", "os error 12", "os error 11", "out of memory", "Cannot allocate memory"];
        match status.signal() {
            Some(XCPU) => CompileError::Time { limit: self.time },
            _ if short.iter().any(|words| said.contains(words)) => CompileError::Memory { limit: self.memory },
            _ if said.is_empty() => CompileError::Failed(status.to_string()),
            _ => CompileError::Failed(format!("{status}: {said}")),
        }
    }
}

impl fmt::Debug for Compiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.compiler.fmt(f)
    }
}

fn failed(error: impl fmt::Display) -> CompileError {
    CompileError::Failed(error.to_string())
}

/// Compiles, where the process was started to do so: a program that [`Compiler::Child`] names calls this before all else, with its
/// arguments, and ends with what it gives.
///
/// It limits itself to so many bytes of address space and so many milliseconds of processor time for each of its threads, reads a
/// component from standard input, and writes its code to standard output. What goes wrong is said on standard error.
pub fn serve(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != COMMAND {
        return None;
    }
    let mut number = || arguments.next().and_then(|argument| argument.to_str()?.parse::<u64>().ok());
    let (Some(memory), Some(millis)) = (number(), number()) else {
        return Some(said(1, &"this is for the host alone: it is given a number of bytes and one of milliseconds"));
    };
    let bytes = limit(memory, Duration::from_millis(millis)).and_then(|()| {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => return Some(said(1, &error)),
    };
    let compiled = wasmtime::Engine::new(&configuration()).and_then(|engine| engine.precompile_component(&bytes));
    Some(match compiled {
        Err(error) => said(INVALID, &format_args!("{error:#}")),
        Ok(code) => match io::stdout().write_all(&code).and_then(|()| io::stdout().flush()) {
            Err(error) => said(1, &error),
            Ok(()) => ExitCode::SUCCESS,
        },
    })
}

fn said(code: u8, what: &dyn fmt::Display) -> ExitCode {
    // Where nobody listens, nobody has to be told.
    let _said = writeln!(io::stderr(), "{what}");
    code.into()
}

/// Limits this process for good.
fn limit(memory: u64, time: Duration) -> io::Result<()> {
    // The host kills it by the wall's clock; this is for a host that is no more.
    let seconds = time.as_secs().saturating_add(1).saturating_mul(THREADS);
    for (resource, most) in [
        (Resource::AS, memory),
        (Resource::CPU, seconds),
        (Resource::CORE, 0),
        (Resource::FSIZE, 0),
        // The three it has; nothing else can be opened.
        (Resource::NOFILE, 3),
    ] {
        // An operator's own limit may be lower.
        let (_, hard) = resource.get()?;
        let most = most.min(hard);
        resource.set(most, most)?;
    }
    Ok(())
}
