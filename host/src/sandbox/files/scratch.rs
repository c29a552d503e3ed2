//! A private directory of one instance, gone with it.
//!
//! It lies in the data directory, which nobody else may enter, under a name that nobody can foresee. It is removed when the instance ends,
//! however that ends; what a killed process left behind is removed by the next one. Removing follows no link, and what a component made is
//! never deeper than it can be removed.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tempfile::Builder;

/// Where the component sees it.
pub const GUEST: &str = "/scratch";

/// How often removing is tried where something was still being made there.
const TRIES: usize = 10;

/// A private directory. Dropping it removes it, on a thread that may block.
#[derive(Debug)]
pub struct Scratch(Option<Removed>);

/// A directory that goes when this does.
#[derive(Debug)]
struct Removed(PathBuf);

impl Scratch {
    /// Makes one in `parent`, or where temporary files go.
    pub fn new(parent: Option<&Path>) -> io::Result<Self> {
        let mut builder = Builder::new();
        builder.permissions(Permissions::from_mode(0o700));
        let made = match parent {
            Some(parent) => {
                DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
                builder.prefix("").tempdir_in(parent)
            }
            None => builder.prefix("wharf-scratch-").tempdir(),
        };
        // It is not left to its own drop, which blocks, and gives up where a call under way makes something in it meanwhile.
        Ok(Self(Some(Removed(made?.keep()))))
    }

    /// Its path, which has no links in it where its parent's has none.
    pub fn path(&self) -> io::Result<PathBuf> {
        self.0.as_ref().ok_or(io::ErrorKind::NotFound)?.0.canonicalize()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let removed = self.0.take();
        // Where the runtime ends before, the closure is dropped, and what it holds with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || drop(removed));
        }
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        for _ in 0..TRIES {
            match fs::remove_dir_all(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(directory = %self.0.display(), %error, "a scratch directory cannot be removed");
                    return;
                }
                _ => return,
            }
        }
    }
}

/// Removes what is left in the parent of scratch directories that no running instance has.
pub fn sweep(parent: &Path) -> io::Result<()> {
    match fs::remove_dir_all(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
