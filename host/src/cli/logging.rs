//! The log, on standard error, above the progress bars where there are any.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

use indicatif::{MultiProgress, ProgressDrawTarget};
use tracing::{Event, Subscriber, field::Visit};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields, MakeWriter,
        format::{Format, Full, Writer},
    },
    registry::LookupSpan,
};

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
        .event_format(Lines(Format::default().with_target(false)))
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

/// Lines that a component wrote to its standard output stand as they are, behind whose they are; all else is a line of the log.
struct Lines(Format<Full>);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if event.metadata().target() != "wharf::stdout" {
            return self.0.format_event(context, writer, event);
        }
        let mut output = Output::default();
        event.record(&mut output);
        let Output { pipeline, destination, line, cut } = output;
        write!(writer, "{pipeline}/{destination} | {line}")?;
        if cut > 0 {
            write!(writer, " […{cut} bytes]")?;
        }
        writeln!(writer)
    }
}

/// A line of standard output, and whose it is.
#[derive(Default)]
struct Output {
    pipeline: String,
    destination: String,
    line: String,
    cut: u64,
}

impl Visit for Output {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.line = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        match field.name() {
            "pipeline" => self.pipeline = value.to_owned(),
            "destination" => self.destination = value.to_owned(),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        if field.name() == "cut" {
            self.cut = value;
        }
    }
}
