//! The few things that are done to files, as a trait: the tests put a disk behind it that fails and loses power.
//!
//! Every path is relative to the directory of the destination, with `/` between its parts.

use std::{
    fs, io,
    io::{Read, Seek, SeekFrom, Write},
    path::PathBuf,
};

/// What lies at a path, without following a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A file, with its length in bytes.
    File(u64),
    /// A directory, a symbolic link, a pipe …
    Other,
}

/// How a file is opened; always for reading and writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// It must be there.
    Existing,
    /// It is made where it is not there.
    Create,
    /// It is made, or emptied where it is there.
    Empty,
}

/// A directory and what lies below it.
pub trait Disk {
    /// An open file.
    type File: DiskFile;

    /// Makes a folder and those above it.
    fn make_folder(&self, path: &str) -> io::Result<()>;
    /// Opens a file for reading and writing.
    fn open(&self, path: &str, how: Open) -> io::Result<Self::File>;
    /// Looks without following a symbolic link.
    fn look(&self, path: &str) -> io::Result<Found>;
    /// Names of what lies directly in a folder, in no order.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
    /// Moves a file, over whatever file or link stands at `to`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file or a link.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Waits until names that came, went or moved in this folder are on disk; the empty path is the directory itself.
    fn sync_folder(&self, path: &str) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile {
    /// Writes all of `bytes` from `at` on.
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Reads at most `into.len()` bytes from `at` on; fewer only at the end of the file.
    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Cuts the file to this length.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Waits until what was written is on disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// A real directory.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The directory at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn at(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

impl Disk for Directory {
    type File = fs::File;

    fn make_folder(&self, path: &str) -> io::Result<()> {
        fs::create_dir_all(self.at(path))
    }

    fn open(&self, path: &str, how: Open) -> io::Result<fs::File> {
        fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(how != Open::Existing)
            .truncate(how == Open::Empty)
            .open(self.at(path))
    }

    fn look(&self, path: &str) -> io::Result<Found> {
        match fs::symlink_metadata(self.at(path)) {
            Ok(found) if found.is_file() => Ok(Found::File(found.len())),
            Ok(_) => Ok(Found::Other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) => Err(error),
        }
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.at(folder))? {
            // A name that is not text is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.at(path))
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        fs::File::open(self.at(path))?.sync_all()
    }
}

impl DiskFile for fs::File {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.seek(SeekFrom::Start(at))?;
        self.write_all(bytes)
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.seek(SeekFrom::Start(at))?;
        let mut read = 0;
        while read < into.len() {
            match self.read(&mut into[read..]) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
