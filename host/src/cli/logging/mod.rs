//! The log, on standard error, above the progress bars where there are any.

mod fields;
mod line;

use std::io::{self, IsTerminal, Write as _};

use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressDrawTarget};
use tracing::{Event, Subscriber, span};
use tracing_subscriber::{
    EnvFilter, Layer,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use self::{fields::Fields, line::Line};
use super::refusal::Refusal;

/// For whom the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For a person.
    #[default]
    Text,
    /// For a program: each line is a JSON object.
    Json,
}

/// Where lines of the log and progress bars share a terminal.
pub struct Logging {
    /// Hidden where standard error is no terminal.
    pub bars: MultiProgress,
}

/// Starts the log.
pub fn start(rules: &str, format: LogFormat, bars: bool) -> Result<Logging, Refusal> {
    let filter = EnvFilter::try_new(rules).map_err(|error| {
        let hint = "write a level such as `info`, or rules such as `warn,wharf::connector=debug`";
        Refusal::with_hint(format!("`--log {rules}` cannot be understood: {error}"), Some(hint.into()))
    })?;
    let terminal = io::stderr().is_terminal();
    // Lines for a program and bars for a person have nothing to do with each other.
    let bars = bars && terminal && format == LogFormat::Text;
    let bars = MultiProgress::with_draw_target(if bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
    let colours = terminal && format == LogFormat::Text && std::env::var_os("NO_COLOR").is_none();
    let log = Log { bars: bars.clone(), format, colours };
    let started = tracing_subscriber::registry().with(filter).with(log).try_init();
    started.map_err(|error| Refusal::new(format!("cannot start the log: {error}")))?;
    Ok(Logging { bars })
}

/// Writes a line for each event, with what the calls around it say of it.
struct Log {
    bars: MultiProgress,
    format: LogFormat,
    colours: bool,
}

impl<S> Layer<S> for Log
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        // The innermost knows best.
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(around) = span.extensions().get::<Fields>() {
                fields.fill_in(around);
            }
        }
        let line = Line { metadata: event.metadata(), fields: &fields };
        let written = match self.format {
            LogFormat::Text => line.text(self.colours),
            LogFormat::Json => line.json(),
        };
        // Who closed standard error does not want it.
        let _closed = self.bars.suspend(|| io::stderr().lock().write_all(written.as_bytes()));
    }
}
