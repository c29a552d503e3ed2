//! The commit log: entries of a checksum and what was true when they were written.
//!
//! An entry is `WJ1\n`, its length and the CRC-32 of length and items as four bytes each, little endian, then its items. It is written in one piece
//! and waited for before the next is begun, so that only the last can be torn.

const MAGIC: &[u8; 4] = b"WJ1\n";
const HEAD: usize = 12;
const ABSENT: u64 = u64::MAX;

/// One thing that an entry tells. A later one about the same thing replaces an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A file beside the journal, with its length; `None` where there is none, and it is about to be made.
    File(&'a str, Option<u64>),
    /// What was written of a partition.
    Partition(&'a str, Counts),
}

/// The index of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number in the names of its files.
    pub id: u32,
    /// Entries of the ascending file.
    pub ascending: u64,
    /// Entries of the file of late ones.
    pub late: u64,
}

/// Builds an entry in `buffer`, which it empties first.
pub fn write<'a>(buffer: &mut Vec<u8>, items: impl Iterator<Item = Item<'a>>) {
    buffer.clear();
    buffer.extend_from_slice(&[0; HEAD]);
    for item in items {
        match item {
            Item::File(name, length) => {
                buffer.push(1);
                buffer.extend_from_slice(&length.unwrap_or(ABSENT).to_le_bytes());
                text(buffer, name);
            }
            Item::Partition(name, counts) => {
                buffer.push(2);
                buffer.extend_from_slice(&counts.id.to_le_bytes());
                buffer.extend_from_slice(&counts.ascending.to_le_bytes());
                buffer.extend_from_slice(&counts.late.to_le_bytes());
                text(buffer, name);
            }
        }
    }
    let length = (buffer.len() - HEAD) as u32;
    let sum = sum(length, &buffer[HEAD..]);
    buffer[..4].copy_from_slice(MAGIC);
    buffer[4..8].copy_from_slice(&length.to_le_bytes());
    buffer[8..HEAD].copy_from_slice(&sum.to_le_bytes());
}

fn text(buffer: &mut Vec<u8>, text: &str) {
    buffer.extend_from_slice(&(text.len() as u32).to_le_bytes());
    buffer.extend_from_slice(text.as_bytes());
}

/// What a log holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents<'a> {
    /// The items of all whole entries, in order.
    pub items: Vec<Item<'a>>,
    /// Where the last of these entries begins.
    pub last: usize,
    /// Where it ends.
    pub end: usize,
}

/// Reads all whole entries.
///
/// What follows the last whole entry is a torn one, unless another whole one stands behind it: then the log was damaged, the
/// position of which is the error.
pub fn read(log: &[u8]) -> Result<Contents<'_>, usize> {
    let mut contents = Contents::default();
    while let Some((payload, end)) = entry(log, contents.end) {
        let mut rest = payload;
        while !rest.is_empty() {
            contents.items.push(item(&mut rest).ok_or(contents.end)?);
        }
        (contents.last, contents.end) = (contents.end, end);
    }
    let behind = log.get(contents.end + 1..).unwrap_or_default();
    let whole = memchr::memmem::find_iter(behind, MAGIC).any(|found| entry(behind, found).is_some());
    if whole { Err(contents.end) } else { Ok(contents) }
}

fn entry(log: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let head = log.get(at..at + HEAD)?;
    if &head[..4] != MAGIC {
        return None;
    }
    let mut head = &head[4..];
    let (length, expected) = (u32_of(&mut head)?, u32_of(&mut head)?);
    let next = (at + HEAD).checked_add(length as usize)?;
    let payload = log.get(at + HEAD..next)?;
    (sum(length, payload) == expected).then_some((payload, next))
}

/// The length counts, so that a head of zeros is not taken for an entry without items.
fn sum(length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

fn item<'a>(rest: &mut &'a [u8]) -> Option<Item<'a>> {
    let (kind, after) = rest.split_first()?;
    *rest = after;
    match kind {
        1 => {
            let length = u64_of(rest)?;
            Some(Item::File(text_of(rest)?, (length != ABSENT).then_some(length)))
        }
        2 => {
            let counts = Counts { id: u32_of(rest)?, ascending: u64_of(rest)?, late: u64_of(rest)? };
            Some(Item::Partition(text_of(rest)?, counts))
        }
        _ => None,
    }
}

fn u32_of(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_le_bytes(*number))
}

fn u64_of(rest: &mut &[u8]) -> Option<u64> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u64::from_le_bytes(*number))
}

fn text_of<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = u32_of(rest)? as usize;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (Vec<u8>, Vec<Item<'static>>, usize) {
        let first = vec![Item::File("a.ndjson", None), Item::File("b.ndjson", Some(7))];
        let second = vec![Item::File("a.ndjson", Some(12)), Item::Partition("p/0", Counts { id: 3, ascending: 9, late: 1 })];
        let (mut log, mut entry) = (Vec::new(), Vec::new());
        write(&mut entry, first.iter().cloned());
        log.extend_from_slice(&entry);
        let before_last = log.len();
        write(&mut entry, second.iter().cloned());
        log.extend_from_slice(&entry);
        (log, [first, second].concat(), before_last)
    }

    #[test]
    fn what_was_written_is_read() {
        let (log, items, before_last) = log();
        assert_eq!(read(&log), Ok(Contents { items, last: before_last, end: log.len() }));
        assert_eq!(read(&[]), Ok(Contents::default()));
    }

    #[test]
    fn a_torn_tail_is_left_out_wherever_it_was_torn() {
        let (log, items, before_last) = log();
        let first = || Ok(Contents { items: items[..2].to_vec(), last: 0, end: before_last });
        for cut in before_last..log.len() {
            assert_eq!(read(&log[..cut]), first());
            // A file system may have made room and not written into it.
            let mut zeros = log[..cut].to_vec();
            zeros.resize(log.len() + 100, 0);
            assert_eq!(read(&zeros), first());
        }
    }

    #[test]
    fn damage_before_a_whole_entry_is_not_taken_for_a_torn_tail() {
        let (whole, _, before_last) = log();
        for at in 0..before_last {
            let mut log = whole.clone();
            log[at] ^= 1;
            assert_eq!(read(&log), Err(0), "byte {at}");
        }
    }
}
