//! Which record a far side speaks of.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    io,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{Staged, Upload};

/// Bytes of a digest as it is kept.
const DIGEST: usize = size_of::<u64>();

/// Matches the rows that a far side names, when it tells what became of them, to the records of the file.
///
/// Far sides name rows by the number of the line ([`Rows::by_line`]), by the row itself ([`Rows::by_row`]), or by an id of the connector's
/// own ([`Rows::by_id`]). None of it is kept in memory between two calls. The first takes a few bytes of the handle; the others take
/// eleven for each record, and so have room in a handle up to some 6,000 records: beyond that they are built again when they are
/// needed, from [`Job::reader`](crate::Job::reader).
///
/// ```
/// use wharf_sdk::{Failure, Job, Receipt, Rows};
///
/// fn stats(job: &Job<()>, refused: &[&str]) -> Result<Receipt, Failure> {
///     let mut rows = Rows::by_row(job.reader()).map_err(|error| Failure::from_io("read the staged file", &error))?;
///     let mut receipt = Receipt::builder(job);
///     receipt.delivered(0..job.records());
///     for row in refused {
///         // Of two answers for one record the worse holds.
///         if let Some(record) = rows.take(row) {
///             receipt.failed(record, Failure::rejected("the far side refused the row"));
///         }
///     }
///     Ok(receipt.finish())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows(Kind);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Line { first: u64, records: u32 },
    Digest(Digests),
}

impl Rows {
    /// By the number of the line, where the first record's is `first`: 1, or 2 below a line of headings.
    pub fn by_line(upload: &Upload, first: u64) -> Self {
        Self(Kind::Line { first, records: upload.records() })
    }

    /// By the row itself, as it was staged.
    ///
    /// # Errors
    /// Where the staged file cannot be read.
    pub fn by_row(staged: Staged) -> io::Result<Self> {
        Self::by_id(staged, |line, id| id.extend_from_slice(line))
    }

    /// By what `id` makes of each line; it appends to an empty buffer.
    ///
    /// # Errors
    /// Where the staged file cannot be read.
    pub fn by_id(staged: Staged, mut id: impl FnMut(&[u8], &mut Vec<u8>)) -> io::Result<Self> {
        let (mut lines, mut buffer, mut digests) = (staged.lines(), Vec::new(), Vec::new());
        while let Some(line) = lines.next_line()? {
            buffer.clear();
            id(line, &mut buffer);
            digests.push(digest(&buffer));
        }
        Ok(Self(Kind::Digest(digests.into())))
    }

    /// The record on that line, where there is one. Of rows that go by anything else there is none.
    pub fn at_line(&self, line: u64) -> Option<u32> {
        let Kind::Line { first, records } = self.0 else { return None };
        let record = u32::try_from(line.checked_sub(first)?).ok()?;
        (record < records).then_some(record)
    }

    /// The record that this row or id is of. Where several are alike, each is given once, the first first; `None` after the last.
    pub fn take(&mut self, row: impl AsRef<[u8]>) -> Option<u32> {
        match &mut self.0 {
            Kind::Line { .. } => None,
            Kind::Digest(digests) => digests.records.get_mut(&digest(row.as_ref()))?.pop_front(),
        }
    }
}

/// The same in every instance of one component, which is all that is asked of it: an upload stays with the component that made it.
fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Records by the digests of their rows. What was taken is no more in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Digests {
    count: usize,
    records: HashMap<u64, VecDeque<u32>>,
}

impl From<Vec<u64>> for Digests {
    fn from(digests: Vec<u64>) -> Self {
        let mut records: HashMap<u64, VecDeque<u32>> = HashMap::with_capacity(digests.len());
        let count = digests.len();
        for (record, digest) in (0..).zip(digests) {
            records.entry(digest).or_default().push_back(record);
        }
        Self { count, records }
    }
}

/// As one text: a digest for each record, 0 for one that was taken.
impl Serialize for Digests {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = vec![0; self.count * DIGEST];
        for (digest, records) in &self.records {
            for record in records {
                let at = *record as usize * DIGEST;
                bytes[at..at + DIGEST].copy_from_slice(&digest.to_le_bytes());
            }
        }
        BASE64.encode(bytes).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Digests {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text).map_err(D::Error::custom)?;
        let (digests, rest) = bytes.as_chunks::<DIGEST>();
        if !rest.is_empty() {
            return Err(D::Error::custom("digests of rows that are cut short"));
        }
        Ok(digests.iter().map(|digest| u64::from_le_bytes(*digest)).collect::<Vec<_>>().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(lines: &[&str]) -> Rows {
        Rows(Kind::Digest(lines.iter().map(|line| digest(line.as_bytes())).collect::<Vec<_>>().into()))
    }

    #[test]
    fn rows_that_are_alike_are_given_once_each_and_survive_being_kept() {
        let mut kept = rows(&["a", "b", "a", "c"]);
        assert_eq!(kept.take("a"), Some(0));
        let mut found: Rows = serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap();
        assert_eq!([found.take("a"), found.take("a"), found.take("c"), found.take("d")], [Some(2), None, Some(3), None]);
    }

    #[test]
    fn six_thousand_rows_have_room_in_a_handle() {
        let lines: Vec<String> = (0..6000).map(|line| line.to_string()).collect();
        let rows = rows(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(serde_json::to_vec(&rows).unwrap().len() < super::super::HANDLE);
    }

    #[test]
    fn lines_are_counted_from_the_first_record() {
        let rows = Rows(Kind::Line { first: 2, records: 3 });
        assert_eq!([1, 2, 4, 5, u64::MAX].map(|line| rows.at_line(line)), [None, Some(0), Some(2), None, None]);
    }

    #[test]
    fn what_is_cut_short_is_no_list_of_rows() {
        let refused = serde_json::from_str::<Rows>(r#"{"digest":"AAAA"}"#).unwrap_err();
        assert!(refused.to_string().contains("cut short"), "{refused}");
    }
}
