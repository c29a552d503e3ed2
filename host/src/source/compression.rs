//! Plain, gzip and zstd files as one kind of input.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
};

use flate2::bufread::MultiGzDecoder;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As its first bytes tell: gzip or zstd where they are the one's or the other's, else not at all.
    #[default]
    Detect,
    /// Not at all.
    Plain,
    /// gzip, of any number of members.
    Gzip,
    /// zstd, of any number of frames.
    Zstd,
}

/// A file opened for reading.
pub(super) enum Input {
    Plain(File),
    Packed { kind: &'static str, reader: Box<dyn Read + Send> },
}

/// Why nothing more can be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The operating system said no.
    Io(io::Error),
    /// What is there is not what it should be.
    Corrupt(String),
}

impl Input {
    pub(super) fn new(mut file: File, compression: Compression) -> io::Result<Self> {
        let compression = match compression {
            Compression::Detect => detect(&mut file)?,
            told => told,
        };
        let packed = |kind, reader| Self::Packed { kind, reader };
        Ok(match compression {
            Compression::Gzip => packed("gzip", Box::new(MultiGzDecoder::new(BufReader::with_capacity(64 << 10, file)))),
            Compression::Zstd => packed("zstd", Box::new(zstd::Decoder::new(file)?)),
            Compression::Plain | Compression::Detect => Self::Plain(file),
        })
    }

    /// Whether the stream's bytes are not those of the file.
    pub(super) fn is_packed(&self) -> bool {
        matches!(self, Self::Packed { .. })
    }

    /// Goes to a byte of the stream, where that can be done without reading.
    pub(super) fn seek(&mut self, to: u64) -> io::Result<bool> {
        match self {
            Self::Plain(file) => file.seek(SeekFrom::Start(to)).map(|_| true),
            Self::Packed { .. } => Ok(false),
        }
    }

    /// Reads as much as comes at once; 0 bytes at the end.
    pub(super) fn read(&mut self, room: &mut [u8]) -> Result<usize, ReadError> {
        loop {
            let read = match self {
                Self::Plain(file) => file.read(room),
                Self::Packed { reader, .. } => reader.read(room),
            };
            match (read, &self) {
                (Ok(count), _) => return Ok(count),
                (Err(error), _) if error.kind() == io::ErrorKind::Interrupted => {}
                // What a decoder says itself has no number of the operating system's.
                (Err(error), Self::Packed { kind, .. }) if error.raw_os_error().is_none() => {
                    return Err(ReadError::Corrupt(match error.kind() {
                        io::ErrorKind::UnexpectedEof => format!("the {kind} data ends too soon: the file is cut off"),
                        _ => format!("not sound {kind} data: {error}"),
                    }));
                }
                (Err(error), _) => return Err(ReadError::Io(error)),
            }
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "plain",
            Self::Packed { kind, .. } => kind,
        })
    }
}

fn detect(file: &mut File) -> io::Result<Compression> {
    let mut first = Vec::with_capacity(4);
    file.take(4).read_to_end(&mut first)?;
    file.rewind()?;
    Ok(match *first {
        [0x1f, 0x8b, 8, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
        _ => Compression::Plain,
    })
}
