//! Events of `tracing`, carried into the host's log.

use std::{
    fmt::{self, Write as _},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use tracing_core::{
    Event, Interest, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Current, Id, Record},
};

use crate::sys::log as host;

/// To be called at the start of every call: sees to it that events arrive, and forgets what the host wanted to hear last time.
pub(crate) fn enter() {
    #[cfg(target_arch = "wasm32")]
    {
        static INSTALLED: std::sync::Once = std::sync::Once::new();
        INSTALLED.call_once(|| {
            // A connector that brought a subscriber of its own keeps it.
            let _ = tracing::subscriber::set_global_default(HostLog::new());
            crate::panics::install();
        });
        THRESHOLD.store(NOT_ASKED, Ordering::Relaxed);
    }
}

/// The level from which on the host keeps lines, in this call.
#[cfg(target_arch = "wasm32")]
static THRESHOLD: AtomicU8 = AtomicU8::new(NOT_ASKED);

const NOT_ASKED: u8 = u8::MAX;

/// Sends each event to the host with its fields and those of the spans around it. The host is asked once a call what it
/// wants to hear, and only where something is said, so that a line nobody reads costs a comparison.
#[derive(Debug)]
pub(crate) struct HostLog {
    #[cfg(not(target_arch = "wasm32"))]
    threshold: AtomicU8,
    spans: Mutex<Spans>,
}

impl HostLog {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(not(target_arch = "wasm32"))]
            threshold: AtomicU8::new(NOT_ASKED),
            spans: Mutex::default(),
        }
    }

    fn spans(&self) -> MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn threshold(&self) -> u8 {
        #[cfg(target_arch = "wasm32")]
        let known = &THRESHOLD;
        #[cfg(not(target_arch = "wasm32"))]
        let known = &self.threshold;
        match known.load(Ordering::Relaxed) {
            NOT_ASKED => {
                let threshold = severity_of(host::threshold());
                known.store(threshold, Ordering::Relaxed);
                threshold
            }
            threshold => threshold,
        }
    }
}

fn severity_of(level: host::Level) -> u8 {
    match level {
        host::Level::Trace => 0,
        host::Level::Debug => 1,
        host::Level::Info => 2,
        host::Level::Warn => 3,
        host::Level::Error => 4,
    }
}

fn level_of(level: &Level) -> host::Level {
    match *level {
        Level::TRACE => host::Level::Trace,
        Level::DEBUG => host::Level::Debug,
        Level::INFO => host::Level::Info,
        Level::WARN => host::Level::Warn,
        Level::ERROR => host::Level::Error,
    }
}

impl Subscriber for HostLog {
    /// Never for good: the host may want to hear more in the next call.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        severity_of(level_of(metadata.level())) >= self.threshold()
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut line = Line::default();
        attributes.record(&mut line);
        let mut spans = self.spans();
        let parent = match attributes.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if attributes.is_root() => None,
            None => spans.entered.last().copied(),
        };
        spans.insert(Span { metadata: attributes.metadata(), fields: line.fields, parent, handles: 1 })
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut line = Line::default();
        values.record(&mut line);
        if let Some(span) = self.spans().get(span.into_u64()) {
            span.fields.append(&mut line.fields);
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let mut spans = self.spans();
        let mut around = match event.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if event.is_root() => None,
            None => spans.entered.last().copied(),
        };
        while let Some(span) = around.and_then(|id| spans.get(id)) {
            // The inner one's fields hide those of the same name around it.
            for (name, value) in &span.fields {
                if !line.fields.iter().any(|(other, _)| other == name) {
                    line.fields.push((name.clone(), value.clone()));
                }
            }
            around = span.parent;
        }
        drop(spans);
        host::write(level_of(event.metadata().level()), &line.message, &line.fields);
    }

    fn enter(&self, span: &Id) {
        self.spans().entered.push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        let mut spans = self.spans();
        if let Some(at) = spans.entered.iter().rposition(|entered| *entered == span.into_u64()) {
            spans.entered.remove(at);
        }
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(span) = self.spans().get(id.into_u64()) {
            span.handles += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut spans = self.spans();
        let Some(span) = spans.get(id.into_u64()) else { return false };
        span.handles -= 1;
        let closed = span.handles == 0;
        if closed {
            spans.remove(id.into_u64());
        }
        closed
    }

    fn current_span(&self) -> Current {
        let mut spans = self.spans();
        let current = spans.entered.last().copied();
        match current.and_then(|id| Some((id, spans.get(id)?.metadata))) {
            Some((id, metadata)) => Current::new(Id::from_u64(id), metadata),
            None => Current::none(),
        }
    }
}

/// The spans that are alive, and those that are entered, the innermost last.
#[derive(Debug, Default)]
struct Spans {
    alive: Vec<Option<Span>>,
    entered: Vec<u64>,
}

#[derive(Debug)]
struct Span {
    metadata: &'static Metadata<'static>,
    fields: Vec<(String, String)>,
    parent: Option<u64>,
    handles: usize,
}

impl Spans {
    /// Ids count from 1, and are given again.
    fn insert(&mut self, span: Span) -> Id {
        let at = self.alive.iter().position(Option::is_none).unwrap_or_else(|| {
            self.alive.push(None);
            self.alive.len() - 1
        });
        self.alive[at] = Some(span);
        Id::from_u64(at as u64 + 1)
    }

    fn get(&mut self, id: u64) -> Option<&mut Span> {
        self.alive.get_mut(usize::try_from(id).ok()?.checked_sub(1)?)?.as_mut()
    }

    fn remove(&mut self, id: u64) {
        if let Some(place) = usize::try_from(id).ok().and_then(|id| self.alive.get_mut(id.checked_sub(1)?)) {
            *place = None;
        }
    }
}

/// What an event says.
#[derive(Default)]
struct Line {
    message: String,
    fields: Vec<(String, String)>,
}

impl Line {
    fn say(&mut self, field: &Field, value: impl fmt::Display) {
        match field.name() {
            "message" => {
                let _ = write!(self.message, "{value}");
            }
            name => self.fields.push((name.to_owned(), value.to_string())),
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.say(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.say(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.say(field, value);
    }
}
