//! What a component may open: files and directories, and nothing else.
//!
//! **Threat.** A FIFO blocks whoever opens it until somebody opens its other end, some devices do things when they are opened, and
//! somebody may put one in a file's place between a look and the opening. **Answer.** It is looked at first, through a descriptor that
//! opens nothing (`O_PATH`), and then opened so that nothing blocks (`O_NONBLOCK`), and what was opened is looked at again. A file is cut
//! short after that, and not by opening it.

use std::{fs::File, os::unix::fs::FileTypeExt, sync::Arc};

use rustix::{
    fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
};
use wasmtime_wasi::{
    OpenMode,
    filesystem::{self, Descriptor, Dir},
    p2::bindings::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags},
};

use super::{
    beneath,
    quota::{Held, NAME},
    root::{Denied, Root},
};

/// The rule of kinds.
const KIND: &str = "it is neither a file nor a directory";

/// What was opened, and what holds it where there is a quota.
pub(super) type Opened = (Descriptor, Option<Arc<Held>>);

/// Opens, and makes, a file or a directory. Blocks.
pub(super) fn open(
    root: &Root,
    at: &File,
    links: PathFlags,
    path: &str,
    how: OpenFlags,
    flags: DescriptorFlags,
) -> Result<Opened, Denied> {
    let synchronous =
        DescriptorFlags::FILE_INTEGRITY_SYNC | DescriptorFlags::DATA_INTEGRITY_SYNC | DescriptorFlags::REQUESTED_WRITE_SYNC;
    if flags.intersects(synchronous) {
        return Err(Errno::NOTSUP.into());
    }
    let making = how.contains(OpenFlags::CREATE);
    let cutting = how.contains(OpenFlags::TRUNCATE);
    if how.contains(OpenFlags::DIRECTORY) && (making || cutting || how.contains(OpenFlags::EXCLUSIVE)) {
        return Err(Errno::INVAL.into());
    }
    let writing = making || cutting || flags.contains(DescriptorFlags::WRITE);
    let reading = flags.contains(DescriptorFlags::READ) || !flags.contains(DescriptorFlags::WRITE);
    if writing {
        root.writable()?;
    }
    let (access, mode) = match (reading, writing) {
        (true, true) => (OFlags::RDWR, OpenMode::READ | OpenMode::WRITE),
        (false, true) => (OFlags::WRONLY, OpenMode::WRITE),
        _ => (OFlags::RDONLY, OpenMode::READ),
    };
    let follow = if links.contains(PathFlags::SYMLINK_FOLLOW) { OFlags::empty() } else { OFlags::NOFOLLOW };
    let directory = if how.contains(OpenFlags::DIRECTORY) { OFlags::DIRECTORY } else { OFlags::empty() };
    let flags = access | follow | directory | OFlags::NONBLOCK | OFlags::NOCTTY;

    // A name that is not there now is not made by another of the same destination before it is made here.
    let _names = making.then(|| root.names());
    let there = match look(at, path, follow) {
        Ok(()) => true,
        Err(Denied::Io(error)) if making && Errno::from_io_error(&error) == Some(Errno::NOENT) => false,
        Err(error) => return Err(error),
    };
    let opened = if making {
        let only = if how.contains(OpenFlags::EXCLUSIVE) { OFlags::EXCL } else { OFlags::empty() };
        let room = if there { None } else { Some(root.name(NAME)?) };
        let opened = beneath::open(at, path, flags | OFlags::CREATE | only, Mode::from_raw_mode(0o666))?;
        if let Some(room) = room {
            room.keep();
        }
        opened
    } else {
        beneath::open(at, path, flags, Mode::empty())?
    };
    let found = opened.metadata()?;
    if found.is_dir() {
        return Ok((Descriptor::Dir(Dir::new(opened, root.rights(), mode, false)), None));
    }
    if !found.is_file() {
        return Err(Denied::Refused(ErrorCode::NotPermitted, KIND));
    }
    fcntl_setfl(&opened, fcntl_getfl(&opened)? - OFlags::NONBLOCK)?;
    let opened = filesystem::File::new(opened, root.rights(), mode, false);
    let held = root.hold(&opened.file)?;
    if cutting {
        opened.file.set_len(0)?;
        if let Some(held) = &held {
            held.settle();
        }
    }
    Ok((Descriptor::File(opened), held))
}

/// Fails where something stands there that is not to be opened.
fn look(at: &File, path: &str, follow: OFlags) -> Result<(), Denied> {
    let kind = beneath::open(at, path, OFlags::PATH | follow, Mode::empty())?.metadata()?.file_type();
    if kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device() {
        return Err(Denied::Refused(ErrorCode::NotPermitted, KIND));
    }
    Ok(())
}

/// Opens to set times: what may be read, for that and nothing else. Blocks.
pub(super) fn set_times(root: &Root, at: &File, path: &str, times: std::fs::FileTimes) -> Result<(), Denied> {
    root.writable()?;
    let (opened, _held) = open(root, at, PathFlags::SYMLINK_FOLLOW, path, OpenFlags::empty(), DescriptorFlags::READ)?;
    match opened {
        Descriptor::File(file) => file.file.set_times(times)?,
        Descriptor::Dir(directory) => directory.dir.set_times(times)?,
    }
    Ok(())
}
