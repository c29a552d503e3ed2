//! Paths below a directory.
//!
//! The kernel resolves them (`openat2` with `RESOLVE_BENEATH`): whatever `..`, an absolute path or a link leads out of the directory
//! fails there, also where somebody swaps a directory for a link while it is resolved. What is done to a name is done to the one
//! plain name in the directory that was opened for it, which no call follows.

use std::{fs::File, io, os::unix::fs::MetadataExt, path::Path};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat2},
    io::Errno,
};

/// Which file of the machine, by device and inode.
pub(super) type Id = (u64, u64);

/// How often a path is tried that could not be resolved because something was renamed meanwhile.
const TRIES: usize = 128;

/// How deep a component may make directories in a granted one.
pub(super) const DEEPEST: u32 = 64;

/// Opens a path below a directory, and never anything else. A path that leads out fails with `EXDEV`.
pub(super) fn open(directory: &File, path: &str, flags: OFlags, mode: Mode) -> io::Result<File> {
    resolved(directory, path, flags, mode, ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS)
}

/// Opens a directory of the host by a path without links, for listing and for paths below it.
pub(super) fn open_real(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS);
    Ok(opened?.into())
}

/// Whether this kernel resolves paths so, and lets this process ask for it.
pub(super) fn supported() -> io::Result<()> {
    openat2(CWD, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::BENEATH).map(drop).map_err(io::Error::from)
}

fn resolved(directory: &File, path: &str, flags: OFlags, mode: Mode, resolve: ResolveFlags) -> io::Result<File> {
    let mut tries = 0;
    loop {
        match openat2(directory, path, flags | OFlags::CLOEXEC, mode, resolve) {
            Ok(opened) => return Ok(opened.into()),
            // Something was renamed or mounted while `..` was resolved.
            Err(Errno::AGAIN) if tries < TRIES => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// The directory that a name is in, and the name.
pub(super) struct Parent<'a> {
    /// Opened to resolve names in, and for nothing else.
    pub directory: File,
    /// A plain name: no `/`, not `.` and not `..`.
    pub name: &'a str,
    /// Whether a `/` followed it, which only a directory's may.
    pub slash: bool,
}

/// Opens the directory that the last name of a path is in. Fails with `EINVAL` where the path ends in no plain name.
pub(super) fn parent<'a>(directory: &File, path: &'a str) -> io::Result<Parent<'a>> {
    if path.is_empty() {
        return Err(Errno::NOENT.into());
    }
    let trimmed = path.trim_end_matches('/');
    let (folder, name) = match trimmed.rsplit_once('/') {
        Some((folder, name)) => (&trimmed[..folder.len() + 1], name),
        None => (".", trimmed),
    };
    if name == ".." || path.starts_with('/') {
        // Whether or not it would come out inside: nothing that is done to a name is done to that one.
        return Err(Errno::XDEV.into());
    }
    if matches!(name, "" | ".") {
        return Err(Errno::INVAL.into());
    }
    if name.contains('\0') {
        return Err(Errno::INVAL.into());
    }
    let directory = open(directory, folder, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    Ok(Parent { directory, name, slash: trimmed.len() < path.len() })
}

/// How deep below `root` a directory lies: 0 for itself. `None` where it is deeper than [`DEEPEST`] or not below it.
pub(super) fn depth(root: &File, directory: &File) -> io::Result<Option<u32>> {
    let root = id(root)?;
    if id(directory)? == root {
        return Ok(Some(0));
    }
    let up = |from: &File| -> io::Result<File> {
        let opened = rustix::fs::openat(from, "..", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(opened.into())
    };
    let mut at = up(directory)?;
    for depth in 1..=DEEPEST {
        if id(&at)? == root {
            return Ok(Some(depth));
        }
        at = up(&at)?;
    }
    Ok(None)
}

/// Which file this is.
pub(super) fn id(file: &File) -> io::Result<Id> {
    let found = file.metadata()?;
    Ok((found.dev(), found.ino()))
}
