//! Files of lines, kept byte for byte until their uploads are settled.
//!
//! **Threat.** A name that leads elsewhere, a link in the place of a file, a file that is half there after a crash. **Answer.** Names are the host's own and plain; the
//! directory is opened once and every file beneath it by that name alone, without following links. A file has its name once all of it is on
//! disk, and what no upload names is removed at the start.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    os::{fd::OwnedFd, unix::fs::DirBuilderExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{AtFlags, Mode, OFlags};

use super::BulkError;
use crate::sandbox::Staged;

/// What the name of a file ends in once it is whole.
const WHOLE: &str = ".lines";

/// And what before.
const PART: &str = ".part";

/// The staged files of one action.
#[derive(Clone, Debug)]
pub struct Staging {
    folder: Arc<OwnedFd>,
    path: Arc<Path>,
}

impl Staging {
    /// Opens a folder, and makes it where it does not exist; nobody else may use it. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> Result<Self, BulkError> {
        let failed = |cause| BulkError::Staging { doing: "open the folder of", path: path.to_owned(), cause };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        Ok(Self { folder: Arc::new(folder), path: path.into() })
    }

    /// Removes what none of these names. Blocks.
    pub(super) fn keep_only(&self, names: &HashSet<Arc<str>>) -> Result<(), BulkError> {
        let failed = |cause| BulkError::Staging { doing: "look for", path: self.path.to_path_buf(), cause };
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if let Some(name) = name.to_str().filter(|name| !names.contains(*name)) {
                self.remove(name)?;
            }
        }
        Ok(())
    }

    /// Begins a file. Blocks.
    pub(super) fn begin(&self, intent: &str) -> Result<Writing, BulkError> {
        let name = format!("{intent}{PART}");
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = self.at(&name, flags, Mode::RUSR | Mode::WUSR).map_err(|cause| self.failed("make", &name, cause))?;
        Ok(Writing { staging: self.clone(), file: BufWriter::with_capacity(256 << 10, file), intent: intent.into(), bytes: 0 })
    }

    /// A file to be lent to a call. Blocks.
    pub(super) fn lend(&self, name: &str, bytes: u64) -> Result<Staged, BulkError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let open = || {
            let file = self.at(name, flags, Mode::empty())?;
            let found = file.metadata()?;
            match found.is_file() && found.len() == bytes {
                true => Ok(Staged::new(file, bytes)),
                false => Err(io::Error::new(io::ErrorKind::InvalidData, "it is not what was staged")),
            }
        };
        open().map_err(|cause| self.failed("read", name, cause))
    }

    /// Removes a file; one that is gone is removed. Blocks.
    pub(super) fn remove(&self, name: &str) -> Result<(), BulkError> {
        match rustix::fs::unlinkat(&*self.folder, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(self.failed("remove", name, error.into())),
        }
    }

    fn at(&self, name: &str, flags: OFlags, mode: Mode) -> io::Result<File> {
        if name.contains('/') || name.starts_with('.') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a name that is no name of a staged file"));
        }
        Ok(rustix::fs::openat(&*self.folder, name, flags, mode)?.into())
    }

    fn failed(&self, doing: &'static str, name: &str, cause: io::Error) -> BulkError {
        let path: PathBuf = self.path.join(name);
        BulkError::Staging { doing, path, cause }
    }
}

/// A file in the making. It is removed where it is not finished.
#[derive(Debug)]
pub(super) struct Writing {
    staging: Staging,
    file: BufWriter<File>,
    intent: String,
    bytes: u64,
}

impl Writing {
    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a line, and a line break behind it.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<(), BulkError> {
        let written = self.file.write_all(line).and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|cause| self.staging.failed("write", &format!("{}{PART}", self.intent), cause))?;
        self.bytes += line.len() as u64 + 1;
        Ok(())
    }

    /// Has all of it on disk, and gives it its name.
    pub(super) fn finish(mut self) -> Result<(Arc<str>, u64), BulkError> {
        let (part, whole) = (format!("{}{PART}", self.intent), format!("{}{WHOLE}", self.intent));
        let folder = &*self.staging.folder;
        let done = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        let done = done.and_then(|()| Ok(rustix::fs::renameat(folder, &part, folder, &whole)?));
        let done = done.and_then(|()| Ok(rustix::fs::fsync(folder)?));
        done.map_err(|cause| self.staging.failed("write", &part, cause))?;
        Ok((whole.into(), self.bytes))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // Where it was finished there is nothing of that name; what cannot be removed is at the next start.
        let _removed = self.staging.remove(&format!("{}{PART}", self.intent));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_has_its_name_once_all_of_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("staging");
        let staging = Staging::open(&path).unwrap();
        let names = || fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        let mut writing = staging.begin("one").unwrap();
        writing.line(b"a").unwrap();
        assert_eq!(names(), ["one.part"]);
        drop(writing);
        assert!(names().is_empty());
        let mut writing = staging.begin("one").unwrap();
        writing.line(b"a").unwrap();
        writing.line(b"").unwrap();
        let (name, bytes) = writing.finish().unwrap();
        assert_eq!((&*name, bytes, names()), ("one.lines", 3, vec!["one.lines".into()]));
        assert_eq!(staging.lend(&name, bytes).unwrap().read(0, 9).await.unwrap(), b"a\n\n");
        assert!(staging.lend(&name, bytes + 1).is_err(), "it is shorter than it was");
        staging.keep_only(&HashSet::from([name.clone()])).unwrap();
        assert_eq!(names().len(), 1);
        staging.keep_only(&HashSet::new()).unwrap();
        staging.remove(&name).unwrap();
        assert!(names().is_empty());
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        let staging = Staging::open(&folder.path().join("staging")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret"), folder.path().join("staging/link.lines")).unwrap();
        for name in ["link.lines", "../secret", "/etc/hostname", ".."] {
            assert!(staging.lend(name, 6).is_err(), "{name}");
        }
        assert!(staging.begin("../secret").is_err());
    }
}
