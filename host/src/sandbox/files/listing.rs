//! What is in a directory, read as it is asked for: however many names there are, the host holds a few at a time.

use std::{collections::VecDeque, fs::File};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorType, DirectoryEntry, ErrorCode};

use super::root::Denied;

/// Names that are read at a time.
const AT_A_TIME: usize = 32;

/// A directory that is being listed.
pub(super) struct Listing {
    /// `None` at the end, and while it is read.
    directory: Option<Dir>,
    entries: VecDeque<Result<DirectoryEntry, ErrorCode>>,
}

impl Listing {
    /// Begins. Blocks.
    pub fn open(directory: &File) -> Result<Self, Denied> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(directory, ".", flags, Mode::empty())?;
        Ok(Self { directory: Some(Dir::new(opened)?), entries: VecDeque::new() })
    }

    /// What was read before and not asked for yet.
    pub fn next(&mut self) -> Option<Result<DirectoryEntry, ErrorCode>> {
        self.entries.pop_front()
    }

    /// To read more elsewhere; `None` at the end.
    pub fn take(&mut self) -> Option<Dir> {
        self.directory.take()
    }

    /// Goes on with what was read.
    pub fn put(&mut self, (directory, entries): Read) {
        self.directory = directory;
        self.entries = entries;
    }
}

/// What was read, and the directory where there is more.
pub(super) type Read = (Option<Dir>, VecDeque<Result<DirectoryEntry, ErrorCode>>);

/// Reads some more names. Blocks.
pub(super) fn read(mut directory: Dir) -> Read {
    let mut entries = VecDeque::with_capacity(AT_A_TIME);
    while entries.len() < AT_A_TIME {
        match directory.read() {
            None => return (None, entries),
            Some(Err(error)) => {
                entries.push_back(Err(std::io::Error::from(error).into()));
                return (None, entries);
            }
            Some(Ok(entry)) => {
                let name = entry.file_name();
                if matches!(name.to_bytes(), b"." | b"..") {
                    continue;
                }
                let mut kind = entry.file_type();
                if kind == FileType::Unknown
                    && let Ok(at) = directory.fd()
                    && let Ok(found) = statat(at, name, AtFlags::SYMLINK_NOFOLLOW)
                {
                    kind = FileType::from_raw_mode(found.st_mode);
                }
                // A component's names are text.
                let entry = name.to_str().map_err(|_| ErrorCode::IllegalByteSequence);
                entries.push_back(entry.map(|name| DirectoryEntry { type_: described(kind), name: name.to_owned() }));
            }
        }
    }
    (Some(directory), entries)
}

fn described(kind: FileType) -> DescriptorType {
    match kind {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::Fifo => DescriptorType::Fifo,
        FileType::Socket => DescriptorType::Socket,
        FileType::Unknown => DescriptorType::Unknown,
    }
}
