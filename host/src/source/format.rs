//! How a stream of bytes divides into records.

use std::num::NonZeroU64;

use memchr::memchr;

use super::{
    Cut, Pointer,
    csv::Rows,
    lines::{Frame, LineScan, without_carriage_return},
    opencdc::OpenCdc,
};
use crate::record::json::Checker;

/// What a file or a stream is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON value a line, which is the record as it stands. Lines of nothing but white space are passed over.
    JsonLines {
        /// Where in the value its key is. A string counts with its text, a number as it is written, anything else as JSON; null is
        /// no key.
        key: Option<Pointer>,
    },
    /// Comma-separated values with a header; a row is a JSON object of strings. Empty lines are passed over.
    Csv {
        /// The column that is the key.
        key: Option<String>,
    },
    /// An OpenCDC record a line, in JSON, with operation, key, both payloads and metadata. Lines of nothing but white space are passed
    /// over.
    OpenCdc,
    /// A line is a record, byte for byte without its `\n`, an empty one too.
    Lines,
}

/// How a stream is read, whether it is a file or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What it is made of.
    pub format: Format,
    /// When a batch is cut. More than 512 MiB are never cut into one.
    pub cut: Cut,
    /// What is larger is no record, and of it only the first 64 KiB are kept. Bounds what a reader holds in memory besides a batch;
    /// 64 MiB by default, 256 MiB at most.
    pub max_record_bytes: usize,
    /// So many records a second at most.
    pub rate: Option<NonZeroU64>,
    /// How many bytes are read at a time; 256 KiB by default.
    pub chunk_bytes: usize,
}

impl Reading {
    /// With the defaults for everything else.
    pub fn new(format: Format, cut: Cut) -> Self {
        Self { format, cut, max_record_bytes: 64 << 20, rate: None, chunk_bytes: 256 << 10 }
    }
}

impl Format {
    pub(super) fn is_keyed(&self) -> bool {
        matches!(self, Self::JsonLines { key: Some(_) } | Self::Csv { key: Some(_) })
    }

    /// That of all records; `None` where each has its own.
    pub(super) fn content_type(&self) -> Option<&'static str> {
        match self {
            Self::JsonLines { .. } | Self::Csv { .. } => Some("application/json"),
            Self::OpenCdc => None,
            Self::Lines => Some("text/plain"),
        }
    }

    /// How many lines tell one file from another. Every export of a table begins with the same header.
    pub(super) fn telling_lines(&self) -> usize {
        if matches!(self, Self::Csv { .. }) { 2 } else { 1 }
    }
}

/// Divides a stream, on buffers that it keeps.
#[derive(Debug)]
pub(super) enum Parser {
    JsonLines { scan: LineScan, checker: Checker },
    Csv(Box<Rows>),
    OpenCdc { scan: LineScan, reader: Box<OpenCdc> },
    Lines(LineScan),
}

/// What a line or a row is.
pub(super) enum Item<'a> {
    /// Passed over.
    Blank,
    /// A record as it stands.
    Line { key: Option<&'a [u8]>, line: &'a [u8] },
    /// A record that is yet to be written, of so many bytes.
    Row { rows: &'a Rows, row: &'a [u8], size: usize },
    /// A record with all that belongs to it, and its line.
    Cdc { reader: &'a OpenCdc, line: &'a [u8] },
    /// None, for this reason.
    Unreadable(String),
}

impl Parser {
    pub(super) fn new(format: &Format) -> Self {
        match format {
            Format::JsonLines { key } => Self::JsonLines { scan: LineScan::default(), checker: Checker::new(key.clone()) },
            Format::Csv { key } => Self::Csv(Box::new(Rows::new(key.clone()))),
            Format::OpenCdc => Self::OpenCdc { scan: LineScan::default(), reader: Box::default() },
            Format::Lines => Self::Lines(LineScan::default()),
        }
    }

    /// The line or row at the beginning of `bytes`; `None` where it goes on behind them.
    pub(super) fn scan(&mut self, bytes: &[u8], end: bool) -> Option<Frame> {
        match self {
            Self::JsonLines { scan, .. } | Self::OpenCdc { scan, .. } | Self::Lines(scan) => scan.scan(bytes, end),
            Self::Csv(rows) => rows.scan.scan(bytes, end),
        }
    }

    /// How many bytes of an unfinished line or row the window may let go of now; it can only be passed over then.
    pub(super) fn let_go(&mut self) -> usize {
        match self {
            Self::JsonLines { scan, .. } | Self::OpenCdc { scan, .. } | Self::Lines(scan) => scan.let_go(),
            Self::Csv(rows) => rows.scan.let_go(),
        }
    }

    /// Begins the next line or row.
    pub(super) fn reset(&mut self) {
        match self {
            Self::JsonLines { scan, .. } | Self::OpenCdc { scan, .. } | Self::Lines(scan) => drop(scan.let_go()),
            Self::Csv(rows) => rows.scan.reset(),
        }
    }

    /// Where a header is still to be read.
    pub(super) fn awaits_header(&mut self) -> Option<&mut Rows> {
        match self {
            Self::Csv(rows) if !rows.has_header() => Some(rows),
            _ => None,
        }
    }

    /// What the line or row scanned last is.
    pub(super) fn item<'a>(&'a mut self, content: &'a [u8]) -> Item<'a> {
        match self {
            Self::JsonLines { checker, .. } => {
                let line = without_carriage_return(content);
                if is_white(line) {
                    return Item::Blank;
                }
                match checker.check(line) {
                    Ok(key) => Item::Line { key, line },
                    Err(reason) => Item::Unreadable(reason),
                }
            }
            Self::OpenCdc { reader, .. } => {
                let line = without_carriage_return(content);
                if is_white(line) {
                    return Item::Blank;
                }
                match reader.read(line) {
                    Ok(()) => Item::Cdc { reader, line },
                    Err(reason) => Item::Unreadable(reason),
                }
            }
            Self::Csv(_) if is_empty_row(content) => Item::Blank,
            Self::Csv(rows) => match rows.check(content) {
                Ok(size) => Item::Row { rows, row: content, size },
                Err(reason) => Item::Unreadable(reason),
            },
            Self::Lines(_) => Item::Line { key: None, line: content },
        }
    }
}

/// Whether a line has nothing but what JSON takes for white space.
fn is_white(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace) && memchr(b'\x0c', line).is_none()
}

pub(super) fn is_empty_row(row: &[u8]) -> bool {
    without_carriage_return(row).is_empty()
}
