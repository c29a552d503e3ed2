//! A granted directory as one instance has it.

use std::{
    fs::File,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::io::Errno;
use wasmtime_wasi::{FsPerms, p2::bindings::filesystem::types::ErrorCode};

use super::quota::{Full, Held, Quota};
use crate::config::Access;

/// What all instances of a destination share of a granted directory.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Tree {
    /// Without one there is no bound.
    pub(super) quota: Option<Arc<Quota>>,
    /// Held while names are moved about, so that what was found out about them holds.
    names: Mutex<()>,
}

impl Tree {
    /// With a quota in bytes, or without.
    pub fn new(quota: Option<u64>) -> Self {
        Self { quota: quota.map(|limit| Arc::new(Quota::new(limit))), names: Mutex::default() }
    }

    /// Whether there is a bound.
    pub fn bounded(&self) -> bool {
        self.quota.is_some()
    }
}

/// A granted directory, opened for one instance. What is in it is reached through this and by no path of the host's.
#[derive(Debug)]
pub(in crate::sandbox) struct Root {
    /// The directory.
    pub directory: Arc<File>,
    /// Where the component sees it.
    pub guest: String,
    /// Whether the component may change what is in it.
    pub access: Access,
    /// What is shared.
    pub tree: Arc<Tree>,
}

impl Root {
    pub(super) fn rights(&self) -> FsPerms {
        match self.access {
            Access::ReadOnly => FsPerms::ReadOnly,
            Access::ReadWrite => FsPerms::ReadWrite,
        }
    }

    /// Fails where nothing may be changed.
    pub(super) fn writable(&self) -> Result<(), Denied> {
        match self.access {
            Access::ReadOnly => Err(Denied::Refused(ErrorCode::NotPermitted, "the directory is granted for reading alone")),
            Access::ReadWrite => Ok(()),
        }
    }

    /// Nobody else moves names about while this lives. Blocks.
    pub(super) fn names(&self) -> MutexGuard<'_, ()> {
        self.tree.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes room for a name, which is given back unless what is returned is kept. Blocks.
    pub(super) fn name(&self, bytes: u64) -> Result<Name<'_>, Denied> {
        if let Some(quota) = &self.tree.quota {
            quota.name(bytes, &self.directory)?;
        }
        Ok(Name { root: self, bytes })
    }

    /// Gives back the room of a name.
    pub(super) fn unname(&self, bytes: u64) {
        if let Some(quota) = &self.tree.quota {
            quota.unname(bytes);
        }
    }

    /// Holds a regular file, where there is a quota. Blocks.
    pub(super) fn hold(&self, file: &Arc<File>) -> io::Result<Option<Arc<Held>>> {
        let Some(quota) = &self.tree.quota else {
            return Ok(None);
        };
        Held::new(quota.clone(), self.directory.clone(), file.clone()).map(|held| Some(held.into()))
    }
}

/// Room taken for a name.
pub(super) struct Name<'a> {
    root: &'a Root,
    bytes: u64,
}

impl Name<'_> {
    /// The name is there.
    pub fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Name<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.root.unname(self.bytes);
        }
    }
}

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Denied {
    /// The kernel's answer.
    Io(io::Error),
    /// A rule of the sandbox: what the component is told, and the rule.
    Refused(ErrorCode, &'static str),
}

impl From<io::Error> for Denied {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::XDEV) => Self::Refused(ErrorCode::NotPermitted, "the path leads out of the directory"),
            _ => Self::Io(error),
        }
    }
}

impl From<Errno> for Denied {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

impl From<Full> for Denied {
    fn from(_: Full) -> Self {
        Self::Refused(ErrorCode::InsufficientSpace, FULL)
    }
}

/// The rule of a quota.
pub(super) const FULL: &str = "the quota is used up";
