//! What stands in a directory.

use std::{collections::HashSet, fs::File};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};

use super::{beneath::Id, quota::NAME};

/// How deep a directory is looked into. What a component makes is never so deep.
const DEEPEST: usize = 256;

/// Counts the names in a directory and the bytes of its files, each file once, without those that `skip` names.
///
/// No link is followed. What cannot be opened counts by its name alone; what lies deeper than
/// [`DEEPEST`] counts as more than there is room for.
pub(super) fn bytes(root: &File, skip: impl Fn(Id) -> bool) -> u64 {
    let mut total: u64 = 0;
    let mut linked: HashSet<Id> = HashSet::new();
    let mut open: Vec<Dir> = Dir::read_from(root).into_iter().collect();
    while let Some(directory) = open.last_mut() {
        let Some(entry) = directory.read() else {
            open.pop();
            continue;
        };
        let Ok(entry) = entry else {
            open.pop();
            continue;
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Ok(at) = directory.fd() else {
            continue;
        };
        total = total.saturating_add(NAME);
        if let Ok(found) = statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
            let id = (found.st_dev, found.st_ino);
            match FileType::from_raw_mode(found.st_mode) {
                FileType::Directory => {
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    if let Ok(below) = openat(at, name, flags, Mode::empty()).and_then(Dir::new) {
                        if open.len() >= DEEPEST {
                            return u64::MAX;
                        }
                        open.push(below);
                    }
                }
                FileType::RegularFile => {
                    let again = found.st_nlink > 1 && !linked.insert(id);
                    if !again && !skip(id) {
                        total = total.saturating_add(u64::try_from(found.st_size).unwrap_or_default());
                    }
                }
                FileType::Symlink => total = total.saturating_add(u64::try_from(found.st_size).unwrap_or_default()),
                _ => {}
            }
        }
    }
    total
}
