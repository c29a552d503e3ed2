//! Which file it is, whatever its name.
//!
//! A partition is a file by device, inode and its beginning: a file that was renamed goes on as the same partition, and one that took
//! over a freed inode is another. A file that was truncated in place and began again with the same line is told apart by a number
//! behind its name, which counts how often that happened.

use std::{
    collections::{BTreeMap, HashMap},
    fs::Metadata,
    os::unix::fs::MetadataExt,
};

use memchr::memchr_iter;

use super::Checkpoints;

/// So much of a file's beginning tells it from others at most.
const TELLING_BYTES: usize = 64 << 10;

/// Device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Inode {
    device: u64,
    inode: u64,
}

impl From<&Metadata> for Inode {
    fn from(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl Inode {
    /// The name of the file that begins like this.
    pub(super) fn name(self, beginning: &[u8]) -> String {
        let digest = blake3::hash(beginning).to_hex();
        format!("{}{}", self.any_name(), &digest[..16])
    }

    /// What its name begins with, whatever the file does.
    pub(super) fn any_name(self) -> String {
        format!("file-{:x}-{:x}-", self.device, self.inode)
    }
}

/// The first `lines` lines without the last one's newline, where they are all there, or else what is there where nothing comes
/// behind it. 64 KiB are enough in any case.
pub(super) fn beginning(bytes: &[u8], lines: usize, end: bool) -> Option<&[u8]> {
    let first = &bytes[..bytes.len().min(TELLING_BYTES)];
    match memchr_iter(b'\n', first).nth(lines - 1) {
        Some(newline) => Some(&first[..newline]),
        None => (first.len() == TELLING_BYTES || (end && !first.is_empty())).then_some(first),
    }
}

/// What is known of partitions: how far each is settled, and how often it began again.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) next: Checkpoints,
    /// The least number that a name may bear now.
    renewed: HashMap<String, u32>,
}

/// A partition and where to go on in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) partition: String,
    pub(super) number: u32,
    pub(super) next: u64,
}

impl Known {
    pub(super) fn new(next: Checkpoints) -> Self {
        Self { next, renewed: HashMap::new() }
    }

    /// The partition that the file of this name is now: the one that began last.
    pub(super) fn place(&self, name: &str) -> Place {
        let numbers = numbers(&self.next, name);
        let number = self.renewed.get(name).copied().into_iter().chain(numbers).max().unwrap_or(0);
        let partition = numbered(name, number);
        let next = self.next.get(&partition).copied().unwrap_or(0);
        Place { partition, number, next }
    }

    /// The file of this name began again.
    pub(super) fn renew(&mut self, name: &str, after: u32) {
        self.renewed.insert(name.to_owned(), after + 1);
    }
}

fn numbered(name: &str, number: u32) -> String {
    if number == 0 { name.to_owned() } else { format!("{name}-{number}") }
}

/// Numbers that partitions of this name bear.
fn numbers<'a>(next: &'a BTreeMap<String, u64>, name: &'a str) -> impl Iterator<Item = u32> + 'a {
    let named = next.range(name.to_owned()..).map_while(move |(partition, _)| partition.strip_prefix(name));
    named.filter_map(|number| number.strip_prefix('-').and_then(|number| number.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_by_its_first_lines_as_soon_as_they_are_whole() {
        assert_eq!(beginning(b"a\nb\nc", 1, false), Some(&b"a"[..]));
        assert_eq!(beginning(b"a\nb\nc", 2, false), Some(&b"a\nb"[..]));
        assert_eq!(beginning(b"a\nb", 2, false), None);
        assert_eq!(beginning(b"a\nb", 2, true), Some(&b"a\nb"[..]));
        assert_eq!(beginning(b"", 1, true), None);
        let long = vec![b'x'; 100_000];
        assert_eq!(beginning(&long, 1, false).map(<[u8]>::len), Some(65_536));
        assert_eq!(beginning(&long[..70_000], 1, false), beginning(&long, 1, true));
    }

    #[test]
    fn a_partition_is_the_one_of_its_name_that_began_last() {
        let checkpoints = [("f-1", 5), ("f-1-1", 7), ("f-1-10", 9), ("f-12", 11)].map(|(name, next)| (name.to_owned(), next));
        let mut known = Known::new(checkpoints.into());
        assert_eq!(known.place("f-12"), Place { partition: "f-12".into(), number: 0, next: 11 });
        assert_eq!(known.place("f-3"), Place { partition: "f-3".into(), number: 0, next: 0 });
        let place = known.place("f-1");
        assert_eq!(place, Place { partition: "f-1-10".into(), number: 10, next: 9 });
        known.renew("f-1", place.number);
        assert_eq!(known.place("f-1"), Place { partition: "f-1-11".into(), number: 11, next: 0 });
    }
}
