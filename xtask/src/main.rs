//! `cargo xtask`: what needs more than one cargo call.

mod build;
mod demo;
mod fuzz;
mod lint;
mod shell;
mod test;

use std::process::ExitCode;

use clap::Parser;

/// What needs more than one cargo call.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Builds the program, and every connector as target/connectors/NAME.wasm.
    Build {
        /// Optimised, as target/release/wharf.
        #[arg(long)]
        release: bool,
    },
    /// Delivers a real file to a connector, and looks at what arrived.
    Demo,
    /// Looks for inputs that a parser of the host's gets wrong: see host/fuzz/README.md.
    Fuzz {
        /// One target rather than all.
        target: Option<String>,
        /// How long for each.
        #[arg(long, default_value_t = 600)]
        seconds: u32,
    },
    /// Checks the formatting, the lints and the documentation.
    Lint,
    /// Runs every check and every test.
    Test {
        /// With the full counts of kills, cases and seeds.
        #[arg(long)]
        long: bool,
    },
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Build { release } => build::build(release).map(drop),
        Task::Demo => demo::demo(),
        Task::Fuzz { target, seconds } => fuzz::fuzz(target.as_deref(), seconds),
        Task::Lint => lint::lint(),
        Task::Test { long } => test::test(long),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
