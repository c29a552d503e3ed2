//! Names: made, moved and removed.
//!
//! Every function blocks, and does what it does to one plain name in a directory that was opened below the granted one.

use std::{
    fs::File,
    os::unix::fs::MetadataExt,
    path::{Component, Path},
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, linkat, mkdirat, readlinkat, renameat, symlinkat, unlinkat},
    io::Errno,
};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::{
    beneath::{self, Parent, parent},
    quota::{Held, NAME},
    root::{Denied, Root},
};

/// The rule of links.
const LINK: &str = "a link leads to what lies below its own directory: no absolute path, no `..`";

/// The rule of depth.
const DEEP: &str = "directories are made at most 64 deep, and not moved to where they would lie deeper";

/// The rule of two grants.
const ACROSS: &str = "each granted directory is a file system of its own";

/// Makes a directory.
pub(super) fn make_directory(root: &Root, at: &File, path: &str) -> Result<(), Denied> {
    root.writable()?;
    let Parent { directory, name, .. } = match parent(at, path) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) && path.trim_end_matches('/') == "." => {
            return Err(Errno::EXIST.into());
        }
        parent => parent?,
    };
    let _names = root.names();
    if beneath::depth(&root.directory, &directory)?.is_none_or(|depth| depth >= beneath::DEEPEST) {
        return Err(Denied::Refused(ErrorCode::NameTooLong, DEEP));
    }
    let room = root.name(NAME)?;
    mkdirat(&directory, name, Mode::from_raw_mode(0o777))?;
    room.keep();
    Ok(())
}

/// Removes an empty directory.
pub(super) fn remove_directory(root: &Root, at: &File, path: &str) -> Result<(), Denied> {
    root.writable()?;
    let Parent { directory, name, .. } = parent(at, path)?;
    let _names = root.names();
    unlinkat(&directory, name, AtFlags::REMOVEDIR)?;
    root.unname(NAME);
    Ok(())
}

/// Removes a file or a link.
pub(super) fn remove_file(root: &Root, at: &File, path: &str) -> Result<(), Denied> {
    root.writable()?;
    let Parent { directory, name, slash } = parent(at, path)?;
    if slash {
        return Err(Errno::NOTDIR.into());
    }
    let _names = root.names();
    let leaving = Leaving::find(root, &directory, name)?;
    unlinkat(&directory, name, AtFlags::empty())?;
    leaving.left(root);
    Ok(())
}

/// A grant, a directory of its, and a path from there.
pub(super) type Name<'a> = (&'a Arc<Root>, &'a File, &'a str);

/// The parents of a name that is there and of one that is to be, both below one grant that may be written.
fn both<'a>(from: Name<'a>, to: Name<'a>) -> Result<(&'a Root, Parent<'a>, Parent<'a>), Denied> {
    from.0.writable()?;
    to.0.writable()?;
    if !Arc::ptr_eq(from.0, to.0) {
        return Err(Denied::Refused(ErrorCode::CrossDevice, ACROSS));
    }
    Ok((from.0, parent(from.1, from.2)?, parent(to.1, to.2)?))
}

/// Moves a name, over another where there is one.
pub(super) fn rename(from: Name<'_>, to: Name<'_>) -> Result<(), Denied> {
    let (root, old, new) = both(from, to)?;
    let _names = root.names();
    let moved = Found::look(&old.directory, old.name)?;
    if (old.slash || new.slash) && !moved.is_directory {
        return Err(Errno::NOTDIR.into());
    }
    let elsewhere = beneath::id(&old.directory)? != beneath::id(&new.directory)?;
    if elsewhere && moved.is_directory {
        let (before, after) =
            (beneath::depth(&root.directory, &old.directory)?, beneath::depth(&root.directory, &new.directory)?);
        if after.is_none() || before.is_some_and(|before| after > Some(before)) {
            return Err(Denied::Refused(ErrorCode::NotPermitted, DEEP));
        }
    }
    if elsewhere && moved.is_link {
        leads_below(&link_target(&old)?)?;
    }
    let over = Leaving::find_some(root, &new.directory, new.name)?;
    renameat(&old.directory, old.name, &new.directory, new.name)?;
    // Two names of one file stay as they are.
    if let Some(over) = over.filter(|over| over.found.id != moved.id) {
        over.left(root);
    }
    Ok(())
}

/// Gives a file one more name.
pub(super) fn link(from: Name<'_>, to: Name<'_>) -> Result<(), Denied> {
    let (root, old, new) = both(from, to)?;
    if old.slash || new.slash {
        return Err(Errno::NOTDIR.into());
    }
    let _names = root.names();
    let found = Found::look(&old.directory, old.name)?;
    if found.is_link {
        leads_below(&link_target(&old)?)?;
    }
    let room = root.name(found.name_counts())?;
    linkat(&old.directory, old.name, &new.directory, new.name, AtFlags::empty())?;
    room.keep();
    Ok(())
}

/// Makes a symbolic link.
pub(super) fn symlink(root: &Root, at: &File, target: &str, path: &str) -> Result<(), Denied> {
    root.writable()?;
    leads_below(target)?;
    let Parent { directory, name, slash } = parent(at, path)?;
    if slash {
        return Err(Errno::NOTDIR.into());
    }
    // A link of the host's own that leads out is no way out for others either.
    match beneath::open(&directory, target, OFlags::PATH, Mode::empty()) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::XDEV) => {
            return Err(Denied::Refused(ErrorCode::NotPermitted, LINK));
        }
        _ => {}
    }
    let _names = root.names();
    let room = root.name(NAME + target.len() as u64)?;
    symlinkat(target, &directory, name)?;
    room.keep();
    Ok(())
}

/// Whether a link with this target leads down from where it is, wherever it is moved to.
fn leads_below(target: &str) -> Result<(), Denied> {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    match Path::new(target).components().all(plain) {
        true => Ok(()),
        false => Err(Denied::Refused(ErrorCode::NotPermitted, LINK)),
    }
}

fn link_target(link: &Parent<'_>) -> Result<String, Denied> {
    let target = readlinkat(&link.directory, link.name, Vec::new())?;
    // What is no text may be anything.
    Ok(target.into_string().unwrap_or_else(|_| "..".into()))
}

/// What a name stands for.
struct Found {
    id: beneath::Id,
    file: Arc<File>,
    is_directory: bool,
    is_link: bool,
    is_file: bool,
    bytes: u64,
}

impl Found {
    fn look(directory: &File, name: &str) -> Result<Self, Denied> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = Arc::new(File::from(rustix::fs::openat(directory, name, flags, Mode::empty())?));
        let found = file.metadata()?;
        let kind = found.file_type();
        Ok(Self {
            id: (found.dev(), found.ino()),
            file,
            is_directory: kind.is_dir(),
            is_link: kind.is_symlink(),
            is_file: kind.is_file(),
            bytes: found.len(),
        })
    }
}

impl Found {
    /// What one name of it counts; a link's target counts with each.
    fn name_counts(&self) -> u64 {
        NAME + if self.is_link { self.bytes } else { 0 }
    }
}

/// Something whose name goes. A file is held until it is gone, so that what it counts is given back where everything is: at its end.
struct Leaving {
    found: Found,
    _held: Option<Arc<Held>>,
}

impl Leaving {
    fn find(root: &Root, directory: &File, name: &str) -> Result<Self, Denied> {
        let found = Found::look(directory, name)?;
        let held = if found.is_file { root.hold(&found.file)? } else { None };
        Ok(Self { found, _held: held })
    }

    fn find_some(root: &Root, directory: &File, name: &str) -> Result<Option<Self>, Denied> {
        match Self::find(root, directory, name) {
            Ok(found) => Ok(Some(found)),
            Err(Denied::Io(error)) if Errno::from_io_error(&error) == Some(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn left(self, root: &Root) {
        root.unname(self.found.name_counts());
    }
}
