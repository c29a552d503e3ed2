//! The log, on standard error, above the progress bars where there are any.

use std::io::{self, IsTerminal, Write};

use indicatif::{MultiProgress, ProgressDrawTarget};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use super::report::Refusal;

/// Where lines of the log and progress bars share a terminal.
pub struct Logging {
    /// Hidden where standard error is no terminal.
    pub bars: MultiProgress,
}

/// Starts the log.
pub fn start(rules: &str, bars: bool) -> Result<Logging, Refusal> {
    let filter = EnvFilter::try_new(rules).map_err(|error| {
        let hint = "write a level such as `info`, or rules such as `warn,wharf::connector=debug`";
        Refusal::with_hint(format!("`--log {rules}` cannot be understood: {error}"), Some(hint.into()))
    })?;
    let terminal = io::stderr().is_terminal();
    let target = if bars && terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bars = MultiProgress::with_draw_target(target);
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(AboveBars(bars.clone()))
        .with_ansi(terminal && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .try_init();
    started.map_err(|error| Refusal::new(format!("cannot start the log: {error}")))?;
    Ok(Logging { bars })
}

#[derive(Clone)]
struct AboveBars(MultiProgress);

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
