//! Open files, of which only so many are kept.

use std::{collections::HashMap, io};

use super::disk::{Disk, Open};

/// The most that stay open; hosts and operating systems count them.
const MOST: usize = 64;

/// Open files by path; the one that was not used for longest is closed to make room.
pub struct Handles<F> {
    open: HashMap<String, (F, u64)>,
    turn: u64,
}

impl<F> Default for Handles<F> {
    fn default() -> Self {
        Self { open: HashMap::new(), turn: 0 }
    }
}

impl<F> Handles<F> {
    /// The file at `path`, opened if it is not open.
    pub fn get<D: Disk<File = F>>(&mut self, disk: &D, path: &str, how: Open) -> io::Result<&mut F> {
        self.turn += 1;
        if how == Open::Empty || !self.open.contains_key(path) {
            self.open.remove(path);
            if self.open.len() >= MOST {
                let oldest = self.open.iter().min_by_key(|(_, (_, turn))| *turn).map(|(path, _)| path.clone());
                oldest.and_then(|path| self.open.remove(&path));
            }
            self.open.insert(path.to_owned(), (disk.open(path, how)?, self.turn));
        }
        let (file, turn) = self.open.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
        *turn = self.turn;
        Ok(file)
    }

    /// Closes a file that was removed, replaced or moved.
    pub fn forget(&mut self, path: &str) {
        self.open.remove(path);
    }

    /// Closes all.
    pub fn clear(&mut self) {
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Directory, DiskFile};

    #[test]
    fn only_so_many_files_stay_open() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Directory::new(folder.path());
        let mut handles = Handles::default();
        for round in 0..3 {
            for file in 0..MOST as u64 * 2 {
                handles.get(&disk, &file.to_string(), Open::Create).unwrap().write_at(round, b"x").unwrap();
                assert!(handles.open.len() <= MOST);
            }
        }
        assert_eq!(std::fs::read(folder.path().join("17")).unwrap(), b"xxx");
    }
}
