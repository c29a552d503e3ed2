//! Where lines end.

use memchr::memchr;

/// A line or a row that lies whole in the window, counted from its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes without the newline.
    pub(super) content: usize,
    /// Bytes with it, where there is one.
    pub(super) whole: usize,
}

/// Finds the end of a line and looks at no byte twice.
#[derive(Debug, Default)]
pub(super) struct LineScan {
    seen: usize,
}

impl LineScan {
    /// The line at the beginning of `bytes`; `None` where it goes on behind them. `end` tells that nothing comes behind.
    pub(super) fn scan(&mut self, bytes: &[u8], end: bool) -> Option<Frame> {
        if let Some(at) = memchr(b'\n', &bytes[self.seen..]) {
            let content = self.seen + at;
            return Some(Frame { content, whole: content + 1 });
        }
        self.seen = bytes.len();
        (end && !bytes.is_empty()).then_some(Frame { content: bytes.len(), whole: bytes.len() })
    }

    /// How many bytes of an unfinished line were looked at, which the window may let go of now.
    pub(super) fn let_go(&mut self) -> usize {
        std::mem::take(&mut self.seen)
    }
}

/// A line as text formats have it.
pub(super) fn without_carriage_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
