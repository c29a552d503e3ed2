//! The program's commands: a file each. They print, and do nothing else that the library could do.

mod actions;
mod bench;
mod build;
mod check;
mod checkpoints;
mod conform;
mod dead_letters;
mod dev;
mod explain;
mod graph;
mod inspect;
mod logging;
mod new;
mod numbers;
mod operate;
mod progress;
mod refusal;
mod report;
mod run;
mod schema;
mod stdout;
mod steer;
mod uploads;
mod wit;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    clock::Clock,
    config::{Compile, Process},
    connector::Loader,
    plan::Until,
    sandbox::{Compiler, Engine, cache::Cache, compile},
};

use self::{logging::LogFormat, refusal::Refusal, run::Options};

/// Runs destinations as sandboxed WebAssembly components.
///
/// Exit codes: 0 everything read was settled, or a clean stop on request; 1 stopped by an error, or ended with records pending;
/// 2 refused before running; 3 finished, with dead letters.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// What to write to the log, on standard error: error, warn, info, debug, trace, or rules such as `wharf::connector=debug`.
    /// Default: info; of `conform`, whose faults are made on purpose, error.
    #[arg(long, global = true, env = "WHARF_LOG", value_name = "LEVEL")]
    log: Option<String>,

    /// How the log is written.
    #[arg(long, global = true, env = "WHARF_LOG_FORMAT", value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the pipelines of a file, to the end of their sources or until Ctrl-C.
    ///
    /// A pipeline with destinations that take files by a schedule runs until Ctrl-C; with `--once`, until all is settled.
    ///
    /// The first Ctrl-C (or SIGTERM) stops reading, finishes what is in flight within `shutdown-timeout` and closes; a second one stops at
    /// once. SIGHUP reads the file again and swaps just the pipelines that changed. `wharf status` tells how it stands.
    Run {
        /// The pipeline file.
        pipeline: PathBuf,
        /// The folder for what must outlive the process, in place of `data-dir:` in the file.
        #[arg(long, value_name = "FOLDER")]
        data_dir: Option<PathBuf>,
        /// Where to answer `GET /metrics`, `/health/live` and `/health/ready`, such as `127.0.0.1:9600`; port 0 is any free one.
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<String>,
        /// Ends once all is settled that goes on by itself, also where destinations take files: those otherwise run until they are told to end.
        #[arg(long)]
        once: bool,
        /// Makes files at once, whatever the schedules of their destinations say.
        #[arg(long)]
        now: bool,
        /// What to print on standard output at the end.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Checks a pipeline file: all that can be known without running it.
    Check {
        /// The pipeline file.
        pipeline: PathBuf,
        /// Asks each destination, too, whether its far side is there and takes the credentials, where its component can be asked. Exit code 1
        /// where one is not.
        #[arg(long)]
        probe: bool,
        /// Tells of each value where it comes from: the file, its `defaults`, the environment, the connector, or the house. Secrets are not shown.
        #[arg(long)]
        explain: bool,
        /// What to print on standard output.
        #[arg(long, value_enum, default_value_t)]
        output: Checked,
    },
    /// Tells what a component is: who made it, its settings, guarantees, requests, imports and exports.
    Inspect {
        /// The component.
        component: PathBuf,
        /// What to print on standard output.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Tries whether a component keeps the contract, case by case, and says how to mend what does not.
    ///
    /// Exit code 0 where all cases passed or were skipped with a reason, 1 where one failed, 2 where none could be run.
    Conform(conform::Options),
    /// Shows how a running host stands: its pipelines and destinations, their counts, and why something is paused.
    Status {
        #[command(flatten)]
        on: operate::On,
    },
    /// Pauses a pipeline of a running host, or one destination of it, until `wharf resume`.
    ///
    /// Nothing more is handed over, and what is in flight is kept. Of a whole pipeline nothing more is read either. It stays so over a reload, and ends
    /// with the host.
    Pause {
        /// The pipeline, or the destination as PIPELINE/DESTINATION.
        #[arg(value_name = "PIPELINE[/DESTINATION]")]
        target: steer::Target,
        #[command(flatten)]
        on: operate::On,
    },
    /// Lets a paused pipeline or destination of a running host go on, whether a person paused it or it paused itself.
    Resume {
        /// The pipeline, or the destination as PIPELINE/DESTINATION.
        #[arg(value_name = "PIPELINE[/DESTINATION]")]
        target: steer::Target,
        #[command(flatten)]
        on: operate::On,
    },
    /// Has a running host read its pipeline file again, and swap just the pipelines that changed. SIGHUP does the same.
    Reload {
        #[command(flatten)]
        on: operate::On,
    },
    /// Looks at records that were given up, and removes them, also while a host runs; and sends them again.
    DeadLetters {
        #[command(subcommand)]
        command: dead_letters::Command,
    },
    /// Shows how far pipelines got, also while a host runs, and makes those begin anew that do not run.
    Checkpoints {
        #[command(subcommand)]
        command: checkpoints::Command,
    },
    /// Looks at uploads that are not settled, and decides about those that wait for a person, also while a host runs.
    Uploads {
        #[command(subcommand)]
        command: uploads::Uploads,
    },
    /// Looks at what waits in spools, and has it retried or given up, also while a host runs.
    Spool {
        #[command(subcommand)]
        command: uploads::Spool,
    },
    /// Prints the JSON Schema of the pipeline file.
    Schema,
    /// Writes a crate to begin with: a connector that builds, passes its own tests and runs.
    ///
    /// The SDK's sources are written beside it, in `sdk/`.
    New {
        /// Its folder, made where there is none. The last part is the connector's name: lower-case letters, digits and hyphens.
        name: PathBuf,
        /// What it is.
        #[arg(long, value_enum, default_value_t)]
        kind: new::Kind,
        /// The folder of the crate `wharf-sdk`, such as `guest-sdk` of a checkout, in place of the SDK that this program has.
        #[arg(long, value_name = "PATH")]
        sdk: Option<PathBuf>,
        /// What to print on standard output.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Builds the component of a connector's crate: cargo, with the right target and flags.
    ///
    /// Exit code 1 where it does not build, 2 where something is missing.
    Build {
        /// The crate's folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Builds as soon as can be, and not as small and fast as can be.
        #[arg(long)]
        quick: bool,
        /// What to print on standard output.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Builds the connectors of a pipeline and runs it, and does so again after each change of their sources or of the pipeline file.
    ///
    /// Logs come to the same terminal, until Ctrl-C. A component that lies in a crate's `target` folder is built of that crate; of any other
    /// the file itself is watched.
    Dev {
        /// The pipeline file.
        pipeline: PathBuf,
        /// The folder for what must outlive a run. Without it each run begins anew, with the first record of its source.
        #[arg(long, value_name = "FOLDER")]
        data_dir: Option<PathBuf>,
    },
    /// Measures a component: records a second, fuel and memory of a record, and what its start costs.
    ///
    /// Records are made up, and handed over one batch after another. Exit code 1 where the component fails at once or ends its instance.
    Bench(bench::Bench),
    /// Writes the contract, with the WASI packages that this host serves, for the tools of another language.
    ///
    /// In the folder stand `world.wit`, which is yours, and `deps/` with a folder for each package, as `wasm-tools`, `componentize-py` and `jco`
    /// read it.
    Wit {
        /// The folder, made where there is none.
        folder: PathBuf,
        /// Writes into a folder that is not empty: files of the same names are replaced, but for `world.wit`.
        #[arg(long)]
        force: bool,
        /// What to print on standard output.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

/// For whom to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For a person.
    #[default]
    Text,
    /// For a program: one JSON document, and nothing else on standard output.
    Json,
}

/// What to print of pipelines that were checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Checked {
    /// For a person.
    #[default]
    Text,
    /// For a program: one JSON document, and nothing else on standard output.
    Json,
    /// The pipelines as a graph, in the language of Graphviz: `wharf check FILE --output dot | dot -Tsvg`.
    Dot,
}

impl Checked {
    /// For whom a refusal is printed.
    fn output(self) -> Output {
        match self {
            Self::Json => Output::Json,
            Self::Text | Self::Dot => Output::Text,
        }
    }
}

impl Command {
    fn output(&self) -> Output {
        match self {
            Self::Run { output, .. } | Self::Inspect { output, .. } | Self::Wit { output, .. } => *output,
            Self::New { output, .. } | Self::Build { output, .. } => *output,
            Self::Check { output, .. } => output.output(),
            Self::Status { on } | Self::Pause { on, .. } | Self::Resume { on, .. } | Self::Reload { on } => on.output,
            Self::DeadLetters { command } => command.output(),
            Self::Checkpoints { command } => command.output(),
            Self::Uploads { command } => command.output(),
            Self::Spool { command } => command.output(),
            Self::Conform(options) => options.output(),
            Self::Bench(given) => given.output,
            Self::Dev { .. } => Output::Text,
            Self::Schema => Output::Json,
        }
    }
}

/// Everything read was settled, or a clean stop on request.
const SETTLED: u8 = 0;
/// Stopped by an error, or ended with records pending.
const STOPPED: u8 = 1;
/// Refused before running.
const REFUSED: u8 = 2;
/// Finished, with dead letters.
const DEAD_LETTERS: u8 = 3;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    // Before all else: a child that compiles has neither a log nor a runtime.
    if let Some(code) = compile::serve(std::env::args_os()) {
        return code;
    }
    let Arguments { command, log, log_format } = Arguments::parse();
    let output = command.output();
    let usual = if matches!(command, Command::Conform(_)) { "error" } else { "info" };
    let log = log.unwrap_or_else(|| usual.into());
    let format = log_format.to_possible_value().map(|format| format.get_name().to_owned()).unwrap_or_default();
    let logged = ["--log".to_owned(), log.clone(), "--log-format".to_owned(), format];
    let logging = match logging::start(&log, log_format, output == Output::Text) {
        Ok(logging) => logging,
        Err(refusal) => return ExitCode::from(refusal.print(output)),
    };
    let runtime = match crate::runtime::executor() {
        Ok(runtime) => runtime,
        Err(error) => return ExitCode::from(Refusal::new(format!("cannot start: {error}")).print(output)),
    };
    let done = runtime.block_on(async {
        match command {
            Command::Run { pipeline, data_dir, listen, once, now, output } => {
                let until = Until { settled: once, now };
                run::run(&pipeline, Options { data_dir, listen, until, output }, &logging).await
            }
            Command::Check { pipeline, probe, explain, output } => check::check(&pipeline, probe, explain, output).await,
            Command::Inspect { component, output } => inspect::inspect(&component, output).await,
            Command::Conform(options) => conform::conform(options).await,
            Command::Status { on } => steer::status(on).await,
            Command::Pause { target, on } => steer::steer(target, on, false).await,
            Command::Resume { target, on } => steer::steer(target, on, true).await,
            Command::Reload { on } => steer::reload(on).await,
            Command::DeadLetters { command } => command.run(&logging).await,
            Command::Checkpoints { command } => command.run().await,
            Command::Uploads { command } => command.run().await,
            Command::Spool { command } => command.run().await,
            Command::Schema => schema::schema(),
            Command::New { name, kind, sdk, output } => new::new(&name, kind, sdk.as_deref(), output),
            Command::Build { folder, quick, output } => build::build(&folder, quick, output),
            Command::Dev { pipeline, data_dir } => dev::dev(&pipeline, &dev::Options { data_dir, log: logged }).await,
            Command::Bench(given) => bench::bench(given).await,
            Command::Wit { folder, force, output } => wit::wit(&folder, force, output),
        }
    });
    // A thread that waits for standard input would keep the process for ever.
    runtime.shutdown_background();
    match done {
        Ok(code) => ExitCode::from(stdout::exit(code)),
        Err(refusal) => ExitCode::from(refusal.print(output)),
    }
}

/// What loads components: compiled code is kept where the user's caches are.
fn loader(clock: &Clock, process: Process) -> Result<Loader, Refusal> {
    let folder = Cache::usual_folder(crate::config::environment);
    let cache = match folder.as_deref().map(Cache::open) {
        Some(Ok(cache)) => Some(cache),
        Some(Err(error)) => {
            tracing::warn!("{error}; components are compiled in every run");
            None
        }
        None => None,
    };
    let compiler = match process.compile {
        Compile::Here => Compiler::Here,
        Compile::Child => Compiler::this_program().map_err(|error| Refusal::new(format!("cannot find this program: {error}")))?,
    };
    let loader = Engine::within(cache, compiler, process).and_then(|engine| Loader::new(engine, clock.clone()));
    loader.map_err(|error| Refusal::new(error.to_string()))
}
