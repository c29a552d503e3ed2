//! One file on its way from the first byte to the last.

use std::{
    fs::{File, Metadata},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Cuts, Portion, Reading, SourceError,
    compression::{Compression, Input, ReadError},
    identity::{Inode, Known, beginning},
    pace::Pace,
    records::{Progress, Records},
};
use crate::clock::Clock;

/// What all files of a source share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) pipeline: String,
    pub(super) reading: Reading,
    pub(super) compression: Compression,
    pub(super) following: bool,
    pub(super) known: Known,
    pub(super) pace: Pace,
    pub(super) clock: Clock,
    /// Portions that are to be made again, of partitions that were not come upon yet.
    pub(super) cuts: Cuts,
}

/// What a file has to give now.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "moved once a portion")]
pub(super) enum Turn {
    Portion(Portion),
    /// Nothing until the pace allows it.
    Paused,
    /// Nothing until the file grows.
    Waiting,
    /// Nothing any more.
    Done,
}

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) path: PathBuf,
    pub(super) inode: Inode,
    label: Arc<str>,
    /// To look at; reading goes through `input`.
    file: File,
    input: Input,
    records: Records,
    named: Option<Named>,
    resume: Resume,
    /// What makes the rest of it unreadable for good.
    broken: Option<String>,
    /// Nothing more is to be read from the input.
    pub(super) cut_off: bool,
    ended: bool,
}

#[derive(Debug)]
struct Named {
    name: String,
    number: u32,
    partition: Arc<str>,
}

/// How far the way to the checkpoint was gone.
#[derive(Clone, Copy, Debug)]
enum Resume {
    /// The checkpoint is not known yet.
    Unnamed,
    /// To this byte, once a header was read.
    To(u64),
    /// The byte before it is next.
    Before(u64),
    There,
}

impl Stream {
    /// Opens a file.
    pub(super) fn open(path: &Path, shared: &Shared) -> Result<Self, SourceError> {
        let label: Arc<str> = path.to_string_lossy().into();
        let io = |what| io_error(what, &label);
        let metadata = std::fs::metadata(path).map_err(io("cannot look at"))?;
        if !metadata.is_file() {
            // Opening a pipe would wait for whoever writes it.
            let reason = "not a regular file; a pipe is read through standard input".to_owned();
            return Err(SourceError::Format { path: label.to_string(), reason });
        }
        let file = File::open(path).map_err(io("cannot open"))?;
        let metadata: Metadata = file.metadata().map_err(io("cannot look at"))?;
        let reading = file.try_clone().map_err(io("cannot open"))?;
        let input = Input::new(reading, shared.compression).map_err(io("cannot read"))?;
        Ok(Self {
            path: path.to_owned(),
            inode: Inode::from(&metadata),
            records: Records::new(&shared.reading, label.clone()),
            label,
            file,
            input,
            named: None,
            resume: Resume::Unnamed,
            broken: None,
            cut_off: false,
            ended: false,
        })
    }

    /// Reads until there is a portion or a reason for none. `end` tells that the file grows no more.
    pub(super) fn turn(&mut self, end: bool, shared: &mut Shared) -> Result<Turn, SourceError> {
        let end = end || self.cut_off || self.input.is_packed();
        if !self.settle(end, shared)? {
            return Ok(if end { Turn::Done } else { Turn::Waiting });
        }
        loop {
            let now = shared.clock.elapsed();
            if self.records.due().is_some_and(|due| due <= now) {
                return self.cut(shared);
            }
            match self.records.advance(self.ended, now, &mut shared.pace).map_err(|reason| self.wrong(reason))? {
                Progress::Full => return self.cut(shared),
                Progress::Paused => return Ok(Turn::Paused),
                Progress::Starved if self.ended => return self.cut(shared),
                Progress::Starved => {}
            }
            match self.fill() {
                Ok(0) if end => self.ended = true,
                Ok(0) => return Ok(Turn::Waiting),
                Ok(_) => {}
                // What stands before the fault is sound; the fault comes up again behind it.
                Err(_) if !self.records.is_empty() => return self.cut(shared),
                Err(error) => return Err(error),
            }
        }
    }

    /// When a portion is to be cut though more may come.
    pub(super) fn due(&self) -> Option<std::time::Duration> {
        self.records.due()
    }

    /// The portion as it is now, or the end.
    pub(super) fn cut(&mut self, shared: &Shared) -> Result<Turn, SourceError> {
        let partition = self.named.as_ref().map(|named| &named.partition);
        let portion = partition.and_then(|partition| self.records.finish(&shared.pipeline, partition));
        Ok(portion.map_or(Turn::Done, Turn::Portion))
    }

    /// How long the file is, where its bytes are those of the stream.
    pub(super) fn length(&self) -> Result<Option<u64>, SourceError> {
        if self.input.is_packed() { Ok(None) } else { Ok(Some(self.metadata()?.len())) }
    }

    /// The file as it is now.
    pub(super) fn metadata(&self) -> Result<Metadata, SourceError> {
        self.file.metadata().map_err(io_error("cannot look at", &self.label))
    }

    /// Whether the file ends before what was read of it.
    pub(super) fn is_truncated(&self) -> Result<bool, SourceError> {
        Ok(self.length()?.is_some_and(|length| length < self.records.window.end()))
    }

    /// Notes how far it was read, for when it is opened again. `began_again` tells that what it holds then is something else.
    pub(super) fn leave(self, began_again: bool, known: &mut Known) {
        let Some(named) = self.named else { return };
        if began_again {
            known.renew(&named.name, named.number);
        }
        known.next.insert(named.partition.to_string(), self.records.window.offset());
    }

    /// Finds out which partition the file is and goes to its checkpoint; false where the file must grow first.
    fn settle(&mut self, end: bool, shared: &mut Shared) -> Result<bool, SourceError> {
        loop {
            match self.resume {
                Resume::Unnamed => {
                    let lines = shared.reading.format.telling_lines();
                    match beginning(self.records.window.bytes(), lines, self.ended) {
                        Some(beginning) => {
                            let name = self.inode.name(beginning);
                            self.resume = Resume::To(self.name(name, shared)?);
                        }
                        None if self.ended => return Ok(false),
                        None => {
                            if !self.grow(end)? {
                                return Ok(false);
                            }
                        }
                    }
                }
                Resume::To(0) => self.resume = Resume::There,
                Resume::To(next) => {
                    if self.records.read_header(self.ended).map_err(|reason| self.wrong(reason))? {
                        self.resume = if next <= self.records.window.offset() { Resume::There } else { Resume::Before(next) };
                    } else if self.ended || !self.grow(end)? {
                        return Ok(false);
                    }
                }
                Resume::Before(next) => {
                    if !self.skip(next, end)? {
                        return Ok(false);
                    }
                    self.resume = Resume::There;
                }
                Resume::There => return Ok(true),
            }
        }
    }

    /// Takes the name; where to go on.
    fn name(&mut self, name: String, shared: &mut Shared) -> Result<u64, SourceError> {
        let mut place = shared.known.place(&name);
        if let Some(length) = self.length()?.filter(|length| *length < place.next) {
            if !shared.following {
                return Err(self.too_short(place.next, length, &place.partition));
            }
            shared.known.renew(&name, place.number);
            place = shared.known.place(&name);
        }
        let mut ends = shared.cuts.remove(&place.partition).unwrap_or_default();
        // What it does not hold any more would be waited for.
        let length = self.length()?.unwrap_or(u64::MAX);
        ends.retain(|end| *end <= length);
        self.records.end_at(ends);
        self.named = Some(Named { name, number: place.number, partition: place.partition.into() });
        Ok(place.next)
    }

    /// Goes on at `next`, behind the end of a line; false where the file must grow before it can be told whether it is one.
    fn skip(&mut self, next: u64, end: bool) -> Result<bool, SourceError> {
        let before = next - 1;
        if self.records.window.end() < before && self.input.seek(before).map_err(io_error("cannot read", &self.label))? {
            self.records.window.move_to(before);
        }
        loop {
            let window = &mut self.records.window;
            let far = usize::try_from(before.saturating_sub(window.offset())).unwrap_or(usize::MAX);
            window.consume(far.min(window.bytes().len()));
            let at_end = self.ended;
            match (window.offset() == before, window.bytes()) {
                (true, [b'\n', ..]) => window.consume(1),
                // A last line without a newline was a record; now it has one.
                (true, [_, b'\n', ..]) => window.consume(2),
                (true, [_]) if at_end => window.consume(1),
                (true, [_, b'\r', b'\n', ..]) => window.consume(1),
                (true, [_, other, ..]) if *other != b'\r' || at_end || window.bytes().len() > 2 => {
                    return Err(self.rewritten(next));
                }
                (_, bytes) if at_end => {
                    let (length, partition) = (window.offset() + bytes.len() as u64, self.partition());
                    return Err(self.too_short(next, length, &partition));
                }
                _ => {
                    if !self.grow(end)? {
                        return Ok(false);
                    }
                    continue;
                }
            }
            return Ok(true);
        }
    }

    /// Reads on; false where nothing comes and the file may still grow. At its end, notes that.
    fn grow(&mut self, end: bool) -> Result<bool, SourceError> {
        if self.fill()? > 0 {
            return Ok(true);
        }
        self.ended = end;
        Ok(end)
    }

    fn fill(&mut self) -> Result<usize, SourceError> {
        if let Some(reason) = &self.broken {
            return Err(self.wrong(reason.clone()));
        }
        if self.cut_off {
            return Ok(0);
        }
        match self.input.read(self.records.window.room()) {
            Ok(count) => {
                self.records.window.filled(count);
                Ok(count)
            }
            Err(ReadError::Io(cause)) => Err(io_error("cannot read", &self.label)(cause)),
            Err(ReadError::Corrupt(cause)) => {
                let reason = format!("{cause}, behind byte {} of what it unpacks to", self.records.window.end());
                self.broken = Some(reason.clone());
                Err(self.wrong(reason))
            }
        }
    }

    fn partition(&self) -> String {
        self.named.as_ref().map_or_else(String::new, |named| named.partition.to_string())
    }

    fn wrong(&self, reason: String) -> SourceError {
        SourceError::Format { path: self.label.to_string(), reason }
    }

    fn changed(&self, reason: String) -> SourceError {
        SourceError::Rewritten { path: self.label.to_string(), reason }
    }

    fn too_short(&self, next: u64, length: u64, partition: &str) -> SourceError {
        self.changed(format!(
            "it ends at byte {length}, before its checkpoint at byte {next}: it was truncated or rewritten in place; to read it from \
             its beginning, remove the checkpoint of its partition {partition}"
        ))
    }

    fn rewritten(&self, next: u64) -> SourceError {
        self.changed(format!(
            "its checkpoint at byte {next} is now in the middle of a line: it was rewritten in place, or its last line went on after it \
             was read; to read it from its beginning, remove the checkpoint of its partition {}",
            self.partition()
        ))
    }
}

pub(super) fn io_error<'a>(what: &'static str, path: &'a str) -> impl Fn(io::Error) -> SourceError + Copy + 'a {
    move |cause| SourceError::Io { what, path: path.to_owned(), cause }
}
