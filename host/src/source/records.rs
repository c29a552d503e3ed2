//! From bytes to portions, whatever the bytes come from.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    Portion, Reading,
    building::Building,
    format::{Item, Parser, is_empty_row},
    lines::Frame,
    pace::Pace,
    window::Window,
};

/// What is kept of a record that is too large.
const KEPT: usize = 64 << 10;

/// What is kept of something that is no record: all of it, unless it is too large.
fn kept_of(content: &[u8], max_record_bytes: usize) -> &[u8] {
    if content.len() > max_record_bytes { &content[..KEPT.min(max_record_bytes)] } else { content }
}

/// No record may be larger, whatever the options say: as JSON a row takes six times its bytes at most and its header as much again,
/// and a column holds 4 GiB.
const LARGEST_RECORD: usize = 256 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why [`Records::advance`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It needs more bytes.
    Starved,
    /// The portion is to be cut.
    Full,
    /// The pace allows no record now.
    Paused,
}

/// Takes bytes in at one end and gives portions out at the other.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) window: Window,
    parser: Parser,
    building: Building,
    /// What was scanned and not taken yet.
    frame: Option<Frame>,
    /// A record that is too large, whose end has not come yet.
    large: Option<Large>,
    label: Arc<str>,
    max_record_bytes: usize,
}

#[derive(Debug)]
struct Large {
    sequence: u64,
    kept: Bytes,
}

impl Records {
    pub(super) fn new(reading: &Reading, label: Arc<str>) -> Self {
        let format = &reading.format;
        Self {
            window: Window::new(reading.chunk_bytes),
            parser: Parser::new(format),
            building: Building::new(&reading.cut, format.is_keyed(), format.content_type()),
            frame: None,
            large: None,
            label,
            max_record_bytes: reading.max_record_bytes.clamp(1, LARGEST_RECORD),
        }
    }

    /// Makes the portions again that ended at these places.
    pub(super) fn end_at(&mut self, ends: VecDeque<u64>) {
        self.building.end_at(ends);
    }

    /// Where the next stretch begins: while a record that is too large goes by, before it.
    fn next(&self) -> u64 {
        self.large.as_ref().map_or(self.window.offset(), |large| large.sequence)
    }

    /// Reads the header, where there is one to read; false where it is not there yet. Fails where it is wrong.
    pub(super) fn read_header(&mut self, end: bool) -> Result<bool, String> {
        while let Some(rows) = self.parser.awaits_header() {
            let bytes = self.window.bytes();
            if self.window.offset() == 0 && !bytes.is_empty() {
                if bytes.starts_with(BYTE_ORDER_MARK) {
                    self.window.consume(BYTE_ORDER_MARK.len());
                    continue;
                }
                if BYTE_ORDER_MARK.starts_with(bytes) && !end {
                    return Ok(false);
                }
            }
            let Some(frame) = rows.scan.scan(bytes, end) else {
                return if bytes.len() > self.max_record_bytes { Err(self.too_large("the header")) } else { Ok(false) };
            };
            if !is_empty_row(&bytes[..frame.content]) {
                rows.read_header(&bytes[..frame.content])?;
            }
            rows.scan.reset();
            self.window.consume(frame.whole);
        }
        Ok(true)
    }

    /// Makes records of the bytes in the window. `end` tells that none come behind them. Fails where a header is wrong, each time.
    pub(super) fn advance(&mut self, end: bool, now: Duration, pace: &mut Pace) -> Result<Progress, String> {
        if self.building.is_full() {
            return Ok(Progress::Full);
        }
        if !self.read_header(end)? {
            return Ok(Progress::Starved);
        }
        pace.refill(now);
        loop {
            if self.building.ends_at(self.next()) {
                return Ok(Progress::Full);
            }
            let Some(frame) = self.frame.take().or_else(|| self.parser.scan(self.window.bytes(), end)) else {
                self.let_go_of_what_is_too_large();
                if !end || self.large.is_none() {
                    return Ok(Progress::Starved);
                }
                // The last of it was let go of before it was known to be the last.
                self.frame = Some(Frame { content: 0, whole: 0 });
                continue;
            };
            match self.take(frame, now, pace) {
                Some(stopped) => {
                    self.frame = Some(frame);
                    return Ok(stopped);
                }
                None => {
                    self.window.consume(frame.whole);
                    self.parser.reset();
                }
            }
            if self.building.is_full() {
                return Ok(Progress::Full);
            }
        }
    }

    /// Puts a line or row where it belongs; where it has to wait, why.
    fn take(&mut self, frame: Frame, now: Duration, pace: &mut Pace) -> Option<Progress> {
        let Self { window, parser, building, large, label, max_record_bytes, .. } = self;
        let sequence = large.as_ref().map_or(window.offset(), |large| large.sequence);
        let content = &window.bytes()[..frame.content];
        let item = if large.is_some() || content.len() > *max_record_bytes {
            Item::Unreadable(format!(
                "larger than {max_record_bytes} bytes, of which the first {} are kept",
                KEPT.min(*max_record_bytes)
            ))
        } else {
            parser.item(content)
        };
        let size = match &item {
            Item::Blank => return None,
            Item::Line { key, line } => line.len() + key.map_or(0, <[u8]>::len),
            Item::Row { size, .. } => *size,
            Item::Cdc { line, .. } => line.len(),
            Item::Unreadable(_) => large.as_ref().map_or_else(|| kept_of(content, *max_record_bytes), |large| &large.kept).len(),
        };
        let fits = match &item {
            Item::Cdc { reader, line } => building.takes(&reader.record(line, sequence), reader.metadata()),
            _ => true,
        };
        if !fits || !building.has_room(size) {
            return Some(Progress::Full);
        }
        if !pace.take() {
            return Some(Progress::Paused);
        }
        let cause = match item {
            Item::Line { key, line } => {
                building.push_with(now, sequence, key, |data| data.extend_from_slice(line)).err().map(|full| full.to_string())
            }
            Item::Row { rows, row, .. } => {
                let write = |data: &mut Vec<u8>| rows.pieces(row, |piece| data.extend_from_slice(piece));
                building.push_with(now, sequence, rows.key(), write).err().map(|full| full.to_string())
            }
            Item::Cdc { reader, line } => {
                let record = reader.record(line, sequence);
                building.push_record(now, &record, reader.metadata()).err().map(|no_room| no_room.to_string())
            }
            Item::Unreadable(cause) => Some(cause),
            Item::Blank => None,
        };
        if let Some(cause) = cause {
            let kept = match large.take() {
                Some(large) => large.kept,
                None => Bytes::copy_from_slice(kept_of(content, *max_record_bytes)),
            };
            building.push_unreadable(now, sequence, kept, format!("{label}, byte {sequence}: {cause}"));
        }
        None
    }

    /// Keeps the beginning of a record that is too large and lets go of the rest as it comes.
    fn let_go_of_what_is_too_large(&mut self) {
        let bytes = self.window.bytes();
        if self.large.is_none() && bytes.len() > self.max_record_bytes {
            let kept = Bytes::copy_from_slice(kept_of(bytes, self.max_record_bytes));
            self.large = Some(Large { sequence: self.window.offset(), kept });
        }
        if self.large.is_some() {
            let seen = self.parser.let_go();
            self.window.consume(seen);
        }
    }

    fn too_large(&self, what: &str) -> String {
        format!("{what} is larger than {} bytes", self.max_record_bytes)
    }

    /// Whether there is neither record nor anything else to hand out.
    pub(super) fn is_empty(&self) -> bool {
        self.building.is_empty()
    }

    /// When the portion is to be cut at the latest; `None` while it is empty.
    pub(super) fn due(&self) -> Option<Duration> {
        self.building.due()
    }

    /// The portion, cut here; `None` where nothing is in it.
    pub(super) fn finish(&mut self, pipeline: &str, partition: &Arc<str>) -> Option<Portion> {
        let next = self.next();
        self.building.finish(pipeline, partition, &self.label, next)
    }
}
