//! The directory that holds the store, for one host at a time.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use thiserror::Error;

/// The file by whose lock a host holds the directory, and by which the directory is known as one.
const LOCK: &str = "lock";

/// A data directory that this process alone uses, until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// It cannot be made or opened.
    #[error("cannot use the data directory {}: {cause}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// What came back.
        cause: io::Error,
    },
    /// It holds what is not wharf's.
    #[error("{} holds other files than wharf's, and a data directory is wharf's alone", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// It is not there.
    #[error("there is no data directory {}", path.display())]
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// Somebody else has it.
    #[error("another wharf is using the data directory {}", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
}

impl DataDirError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unusable { cause, .. } if cause.kind() == io::ErrorKind::NotADirectory => {
                "a file is in its place, or in its way: name a folder with --data-dir or `data-dir:`, or move the file"
            }
            Self::Unusable { .. } => "name another with --data-dir, or let the user who runs wharf write to it",
            Self::Foreign { .. } => "name a folder that is empty or does not exist yet, such as .wharf in it",
            Self::Missing { .. } => "name it with --data-dir: `data-dir:` of the pipeline file, or `.wharf` beside it",
            Self::InUse { .. } => "stop the other one, or give this one a directory of its own with --data-dir",
        }
    }
}

impl DataDir {
    /// Opens a directory for this process alone; makes it where it does not exist. Nobody else may look into it, and git passes it over.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |cause| DataDirError::Unusable { path: path.to_owned(), cause };
        Self::could_be(path)?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(unusable)?;
        // Waits for nobody: a pipe has two ends.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let mut lock = File::options();
        let lock = lock.create(true).truncate(false).read(true).write(true).mode(0o600).custom_flags(flags);
        let lock = lock.open(path.join(LOCK)).map_err(unusable)?;
        if !lock.metadata().map_err(unusable)?.is_file() {
            return Err(unusable(io::Error::new(io::ErrorKind::InvalidInput, "its `lock` is not a regular file")));
        }
        let ignore = path.join(".gitignore");
        if !ignore.exists() {
            fs::write(&ignore, "*\n").map_err(unusable)?;
        }
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(cause)) => Err(unusable(cause)),
        }
    }

    /// Whether a directory could be opened, as far as it can be told without making or writing anything.
    ///
    /// # Errors
    /// Where something else is there, or a folder that cannot be looked into or is somebody's.
    pub fn could_be(path: &Path) -> Result<(), DataDirError> {
        let unusable = |cause| DataDirError::Unusable { path: path.to_owned(), cause };
        let mut entries = match fs::read_dir(path) {
            // It is made; what is in its way is not gone round.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found.map_err(unusable)?,
        };
        // A folder of somebody's is not to be closed to others, nor hidden from git. A copy may lack the lock, which holds nothing.
        if entries.next().is_some() && !path.join(LOCK).exists() && !Self::store_in(path).exists() {
            return Err(DataDirError::Foreign { path: path.to_owned() });
        }
        Ok(())
    }

    /// The same for a directory that was opened before; nothing is made where there is none.
    pub fn existing(path: &Path) -> Result<Self, DataDirError> {
        match path.read_dir().map(|mut entries| entries.next().is_some()) {
            Ok(true) => Self::open(path),
            Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
                Err(DataDirError::Unusable { path: path.to_owned(), cause })
            }
            Ok(false) | Err(_) => Err(DataDirError::Missing { path: path.to_owned() }),
        }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where instances' private directories are.
    pub fn scratch(&self) -> PathBuf {
        self.path.join("scratch")
    }

    /// Where the embedded store is.
    pub fn store(&self) -> PathBuf {
        Self::store_in(&self.path)
    }

    /// Where the embedded store is in a directory of this path.
    pub fn store_in(path: &Path) -> PathBuf {
        path.join("wharf.db")
    }

    /// The folder of the spools.
    pub fn spools(&self) -> PathBuf {
        Self::spools_in(&self.path)
    }

    /// The folder of the spools in a directory of this path.
    pub fn spools_in(path: &Path) -> PathBuf {
        path.join("spool")
    }

    /// The folder with what destinations were told of their lives.
    pub fn lifecycle(&self) -> PathBuf {
        self.path.join("lifecycle")
    }

    /// The folder of the connectors' state.
    pub fn state(&self) -> PathBuf {
        self.path.join("state")
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_data_directory_is_private_and_for_one_host_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/.wharf");
        let open = DataDir::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_to_string(path.join(".gitignore")).unwrap(), "*\n");
        assert!(matches!(DataDir::open(&path), Err(DataDirError::InUse { .. })));
        drop(open);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn a_data_directory_that_is_to_be_there_is_not_made() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join(".wharf");
        assert!(matches!(DataDir::existing(&path), Err(DataDirError::Missing { .. })));
        assert!(!path.exists());
        assert!(matches!(DataDir::existing(parent.path()), Err(DataDirError::Missing { .. })), "it is empty");
        DataDir::open(&path).unwrap();
        DataDir::existing(&path).unwrap();
        std::fs::write(parent.path().join("notes"), "mine").unwrap();
        assert!(matches!(DataDir::existing(parent.path()), Err(DataDirError::Foreign { .. })));
    }

    #[test]
    fn a_copy_that_lacks_its_lock_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(DataDir::store_in(folder.path()), "").unwrap();
        assert_eq!(DataDir::open(folder.path()).unwrap().path(), folder.path());
    }

    #[test]
    fn a_folder_of_somebody_elses_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes"), "mine").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(DataDir::open(folder.path()), Err(DataDirError::Foreign { .. })));
        assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o755);
        assert!(!folder.path().join(".gitignore").exists());
    }

    #[test]
    fn a_pipe_in_the_place_of_the_lock_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        mknodat(CWD, folder.path().join(LOCK), FileType::Fifo, Mode::from_bits_truncate(0o600), 0).unwrap();
        let refused = DataDir::open(folder.path()).unwrap_err();
        assert!(refused.to_string().ends_with("its `lock` is not a regular file"), "{refused}");
    }
}
