//! Files that an operator names for the host itself: the pipeline file, components, secrets, keys, certificates.
//!
//! **Threat.** A name leads to a pipe that nobody writes to, or to a device without an end, and whoever asked waits, or takes memory, for
//! ever. **Answer.** Opening waits for nobody, and what is opened is looked at: a regular file is read, up to a bound, and nothing else.

use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::OFlags;

/// Opens a regular file to be read, without waiting. Blocks only as disks do.
///
/// # Errors
///
/// What the system says, [`io::ErrorKind::IsADirectory`], and [`io::ErrorKind::InvalidInput`] for what is neither.
pub fn open(path: &Path) -> io::Result<std::fs::File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    match () {
        () if found.is_file() => Ok(file),
        () if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        () => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// All bytes of a regular file, at most so many.
///
/// # Errors
///
/// As [`open`], and [`io::ErrorKind::FileTooLarge`].
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_pipe_a_device_a_folder_and_a_large_file_are_refused_and_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        mknodat(CWD, path("pipe"), FileType::Fifo, Mode::from_bits_truncate(0o600), 0).unwrap();
        std::fs::write(path("file"), "12345").unwrap();
        let kind = |path: &Path| read(path, 4).unwrap_err().kind();
        assert_eq!(kind(&path("pipe")), io::ErrorKind::InvalidInput);
        assert_eq!(kind(Path::new("/dev/zero")), io::ErrorKind::InvalidInput);
        assert_eq!(kind(folder.path()), io::ErrorKind::IsADirectory);
        assert_eq!(kind(&path("none")), io::ErrorKind::NotFound);
        assert_eq!(kind(&path("file")), io::ErrorKind::FileTooLarge);
        assert_eq!(read(&path("file"), 5).unwrap(), b"12345");
    }
}
