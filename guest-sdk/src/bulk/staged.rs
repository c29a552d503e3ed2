//! The staged file of the upload in hand.

use std::io::{self, BufRead, Read};

use flate2::{Compression, bufread::GzEncoder};

use crate::sys;

/// Bytes that are asked of the host at a time.
const PIECE: u32 = 256 << 10;

/// A file of lines to hand to the far side.
#[derive(Clone, Debug)]
pub struct Upload {
    pub(crate) intent: String,
    pub(crate) action: u32,
    pub(crate) records: u32,
    pub(crate) bytes: u64,
    pub(crate) attempt: u32,
}

impl Upload {
    /// The idempotency key: the same whenever this file is sent, and of no other. It is on disk before the call.
    pub fn intent(&self) -> &str {
        &self.intent
    }

    /// Index into the actions of the [`Descriptor`](crate::Descriptor); 0 where there are none.
    pub fn action(&self) -> u32 {
        self.action
    }

    /// How many records, and lines.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Bytes of the file, a line break behind each line included.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// 1 the first time, one more each time that it is sent again.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The file, from its beginning.
    pub fn reader(&self) -> Staged {
        Staged::new()
    }

    /// When the file was made, after RFC 3339.
    pub fn created_at(&self) -> Option<String> {
        sys::context::get("created-at")
    }

    /// When it was first sent, after RFC 3339.
    pub fn first_attempt_at(&self) -> Option<String> {
        sys::context::get("first-attempt-at")
    }

    /// Number of the file within one firing of the schedule, from 0.
    pub fn part(&self) -> u32 {
        sys::context::get("part").and_then(|part| part.parse().ok()).unwrap_or(0)
    }
}

/// The staged file as a reader: a piece of it is in memory, whatever its size.
#[derive(Debug)]
pub struct Staged {
    /// Where in the file the piece ends.
    offset: u64,
    piece: Vec<u8>,
    at: usize,
}

impl Staged {
    pub(crate) fn new() -> Self {
        Self { offset: 0, piece: Vec::new(), at: 0 }
    }

    /// Its lines, one for each record in order, without their line breaks.
    pub fn lines(self) -> StagedLines {
        StagedLines { staged: self, line: Vec::new() }
    }

    /// The same bytes, compressed with gzip as they are read.
    pub fn gzip(self) -> impl Read {
        GzEncoder::new(self, Compression::default())
    }
}

impl Read for Staged {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Staged {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.piece.len() {
            self.piece = sys::staged::read(self.offset, PIECE).map_err(io::Error::other)?;
            self.offset += self.piece.len() as u64;
            self.at = 0;
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, bytes: usize) {
        self.at += bytes;
    }
}

/// The lines of a staged file, in one buffer, so that none allocates.
#[derive(Debug)]
pub struct StagedLines {
    staged: Staged,
    line: Vec<u8>,
}

impl StagedLines {
    /// The next line without its line break; `None` after the last.
    pub fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        if self.staged.read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        Ok(Some(self.line.strip_suffix(b"\n").unwrap_or(&self.line)))
    }
}
