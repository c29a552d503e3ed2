//! Directories: what a component may reach of the file system.
//!
//! **Threat.** `..`, absolute paths, links that lead out, one tree reachable with two sets of rights. **Answer.** A grant opens one
//! host directory and lays it at one guest path; wasmtime-wasi resolves every path below it and refuses what leaves it. Two grants
//! of one destination whose trees overlap are refused: through two views of one tree, a hard link or a rename carries a file from
//! the one into the other. An empty list grants nothing.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::config::{Access, Directory};

/// Directories as granted and found.
#[derive(Clone, Debug, Default)]
pub struct Directories(Vec<Granted>);

#[derive(Clone, Debug)]
struct Granted {
    host: PathBuf,
    guest: String,
    access: Access,
}

/// Why a directory cannot be granted.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// It is not there, or not to be opened.
    #[error("cannot open the directory {} that is granted as {guest}: {cause}", host.display())]
    Missing {
        /// The host's path.
        host: PathBuf,
        /// The guest's.
        guest: String,
        /// What came back.
        cause: io::Error,
    },
    /// Something else stands there.
    #[error("{} is granted as {guest} and is not a directory", host.display())]
    NotADirectory {
        /// The host's path.
        host: PathBuf,
        /// The guest's.
        guest: String,
    },
    /// Two grants at one place.
    #[error("two directories are granted as {guest}")]
    Twice {
        /// The guest's path.
        guest: String,
    },
    /// One tree by two ways.
    #[error("{} and {} are granted and are one tree", one.display(), other.display())]
    Overlap {
        /// The one.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
}

impl DirectoryError {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { cause, host, .. } if cause.kind() == io::ErrorKind::NotFound => {
                format!("make it with `mkdir -p {}`, or grant another", host.display())
            }
            Self::Missing { .. } => "let the user who runs wharf open it, or grant another".into(),
            Self::NotADirectory { .. } => "grant the directory that holds it".into(),
            Self::Twice { .. } => "give each grant a guest path of its own".into(),
            Self::Overlap { .. } => "grant directories of which none lies within another".into(),
        }
    }
}

impl Directories {
    /// Checks grants against the file system. The index of the grant that is wrong comes with the error.
    pub fn find<'a>(grants: impl IntoIterator<Item = &'a Directory>) -> Result<Self, (usize, DirectoryError)> {
        let mut found: Vec<Granted> = Vec::new();
        for (index, Directory { host, guest, access, .. }) in grants.into_iter().enumerate() {
            let missing = |cause| (index, DirectoryError::Missing { host: host.clone(), guest: guest.clone(), cause });
            // Opened where its links lead now; a link that is changed later changes nothing.
            let real = host.canonicalize().map_err(missing)?;
            if !real.metadata().map_err(missing)?.is_dir() {
                return Err((index, DirectoryError::NotADirectory { host: host.clone(), guest: guest.clone() }));
            }
            std::fs::read_dir(&real).map_err(missing)?;
            if found.iter().any(|other| other.guest == *guest) {
                return Err((index, DirectoryError::Twice { guest: guest.clone() }));
            }
            if let Some(other) = found.iter().find(|other| overlap(&other.host, &real)) {
                return Err((index, DirectoryError::Overlap { one: other.host.clone(), other: real }));
            }
            found.push(Granted { host: real, guest: guest.clone(), access: *access });
        }
        Ok(Self(found))
    }

    /// Whether the guest path lies in a granted directory that may be reached so.
    pub fn allow(&self, guest: &str, access: Access) -> bool {
        let writes = access == Access::ReadWrite;
        self.0
            .iter()
            .any(|granted| (!writes || granted.access == Access::ReadWrite) && Path::new(guest).starts_with(&granted.guest))
    }

    /// Opens them for one instance.
    pub(super) fn add_to(&self, wasi: &mut WasiCtxBuilder) -> Result<(), DirectoryError> {
        for Granted { host, guest, access } in &self.0 {
            let rights = match access {
                Access::ReadOnly => FsPerms::ReadOnly,
                Access::ReadWrite => FsPerms::ReadWrite,
            };
            wasi.preopened_dir(host, guest, rights).map_err(|cause| DirectoryError::Missing {
                host: host.clone(),
                guest: guest.clone(),
                cause: cause.downcast().unwrap_or_else(|cause| io::Error::other(format!("{cause:#}"))),
            })?;
        }
        Ok(())
    }
}

fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}
