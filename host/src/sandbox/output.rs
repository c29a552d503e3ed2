//! What a component writes to its standard output and error: lines of the log.
//!
//! **Threat.** Floods, endless lines, control characters that rewrite a terminal. **Answer.** A line is kept up to a bound and the rest
//! of it counted, lines come at a rate ([`super::log`]), control characters are escaped, and the last bytes of standard error are kept for the error in which a trap ends:
//! a panic's message, or a traceback, stands only there.

use std::{
    borrow::Cow,
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use super::log::Log;

/// Bytes that a component may hand over in one call.
const CHUNK: usize = 64 << 10;

/// Bytes of standard error that are kept for an error.
const TAIL: usize = 4 << 10;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// One of a component's two output streams; clones share it.
#[derive(Clone, Debug)]
pub struct Captured(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    stream: Stream,
    log: Log,
    /// The line so far, up to `limit` bytes.
    line: Vec<u8>,
    /// Bytes of the line that were not kept.
    cut: u64,
    limit: usize,
    tail: VecDeque<u8>,
}

impl Captured {
    /// Keeps at most `limit` bytes of a line.
    pub fn new(stream: Stream, log: Log, limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Lines { stream, log, line: Vec::new(), cut: 0, limit, tail: VecDeque::new() })))
    }

    /// Passes on a line that has not ended, and returns what was written last.
    pub fn finish(&self) -> Option<String> {
        let mut lines = self.lines();
        lines.end_of_line();
        let tail = Vec::from(std::mem::take(&mut lines.tail));
        let tail = lines.log.scope().redactor().ending(&tail, TAIL);
        // A traceback keeps its lines, none of which begins where a line of the log or of a report does.
        let tail = printable(String::from_utf8_lossy(&tail).trim(), true).replace('\n', "\n    | ");
        (!tail.is_empty()).then_some(tail)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn write(&mut self, bytes: &[u8]) {
        if self.stream == Stream::Error {
            // With enough before it to find a secret that begins there.
            let kept = TAIL + self.log.scope().redactor().longest();
            let last = &bytes[bytes.len().saturating_sub(kept)..];
            self.tail.extend(last);
            let excess = self.tail.len().saturating_sub(kept);
            self.tail.drain(..excess);
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            // With enough behind it to find a secret that ends there.
            let room = (self.limit + self.log.scope().redactor().longest()).saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            self.cut += text.len().saturating_sub(room) as u64;
            if ends {
                self.end_of_line();
            }
        }
    }

    fn end_of_line(&mut self) {
        let enabled = match self.stream {
            Stream::Output => tracing::enabled!(target: "wharf::stdout", tracing::Level::INFO),
            Stream::Error => tracing::enabled!(target: "wharf::stderr", tracing::Level::INFO),
        };
        if enabled && !self.line.is_empty() && self.log.admits() {
            let kept = self.log.scope().redactor().beginning(&self.line, self.limit);
            let text = String::from_utf8_lossy(&kept);
            let line = printable(text.trim_end_matches('\r'), false);
            let scope = self.log.scope();
            let (pipeline, destination, processor) = (scope.pipeline(), scope.destination(), scope.processor());
            let cut = self.cut + self.line.len().saturating_sub(self.limit) as u64;
            let cut = (cut > 0).then_some(cut);
            match self.stream {
                Stream::Output => tracing::info!(target: "wharf::stdout", pipeline, destination, processor, cut, "{line}"),
                Stream::Error => tracing::info!(target: "wharf::stderr", pipeline, destination, processor, cut, "{line}"),
            }
        }
        self.line.clear();
        self.cut = 0;
    }
}

/// What was written last need not have ended with a line.
impl Drop for Lines {
    fn drop(&mut self) {
        self.end_of_line();
    }
}

/// Text that cannot rewrite a terminal: control characters are escaped, and the marks that turn the direction of writing or end a line.
pub fn printable(text: &str, keep_lines: bool) -> Cow<'_, str> {
    let harmless = |c: char| {
        let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        !turns && (!c.is_control() || c == '\t' || (keep_lines && c == '\n'))
    };
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if harmless(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    Cow::Owned(shown)
}

/// What an engine says of a component, whose own names stand in it: harmless, and of a length that a person reads.
pub fn told(error: &wasmtime::Error) -> String {
    bounded(&format!("{error:#}"), 4 << 10)
}

/// A component's words on one line, harmless and of a length that a person reads.
pub fn bounded(text: &str, bytes: usize) -> String {
    let kept = &text[..text.floor_char_boundary(bytes)];
    let mut shown = printable(kept, false).into_owned();
    if kept.len() < text.len() {
        shown.push_str(" […]");
    }
    shown
}

impl IsTerminal for Captured {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Captured {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Captured {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.lines().write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK)
    }
}

#[async_trait]
impl Pollable for Captured {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Captured {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.lines().write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_standard_error_is_kept_and_made_harmless() {
        let clock = crate::clock::VirtualClock::new().clock();
        let log = Log::new(crate::sandbox::Scope::default(), Arc::default(), clock, 10);
        let error = Captured::new(Stream::Error, log, 16);
        for _ in 0..10_000 {
            error.lines().write(b"flood without an end ");
        }
        error.lines().write(b"\nthread panicked:\n\x1b[2Jno \xff\n");
        let tail = error.finish().unwrap();
        assert!(tail.ends_with("thread panicked:\n    | \\u{1b}[2Jno \u{fffd}"), "{tail}");
        assert!(tail.len() < TAIL + 64);
        let kept = error.lines().line.capacity();
        assert!(kept <= 64, "a line keeps no more than its bound: {kept}");
    }

    #[test]
    fn marks_that_turn_the_direction_of_writing_are_escaped() {
        assert_eq!(printable("a\u{202e}b\r\n", true), "a\\u{202e}b\\u{d}\n");
        assert!(matches!(printable("plain — tęxt\t", false), Cow::Borrowed(_)));
    }
}
