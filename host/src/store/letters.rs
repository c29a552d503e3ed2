//! Records that were given up, and how many of them are kept for how long.

use std::{fmt, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::record::Record;

/// A record that was given up.
///
/// What many have in common they share, and the record is a place in the batch that it came in: giving up a batch costs no more
/// memory than a few words a record.
///
/// Where it was given up tells where it is to be sent again from: at the entrance of that processor or, where none gave it up, of the destination. The
/// record is as it stood there, and so is its ordinal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The destination that it could not be delivered to; `None` where it was given up for all of them: by the source, which could not read it, or by
    /// a processor of the pipeline.
    pub destination: Option<Arc<str>>,
    /// The processor that gave it up, by its id.
    pub processor: Option<Arc<str>>,
    /// The destination's action that it was for, by its name; `None` where the component names none, or it was for none.
    pub action: Option<Arc<str>>,
    /// Where it came from.
    pub partition: Arc<str>,
    /// What people call that.
    pub label: Arc<str>,
    /// Where it stands there.
    pub sequence: u64,
    /// Which of several that a processor made of one.
    pub ordinal: u32,
    /// The record with all that belongs to it. Of a line that the source could not read, `after` has its bytes.
    pub record: Record,
    /// Whether that is all of it. An earlier version of wharf kept no more than key and `after`, and not which processor gave it up.
    pub whole: bool,
    /// Why it was given up.
    pub reason: Arc<Reason>,
    /// How often it was handed over.
    pub attempts: u32,
    /// When it was given up, after RFC 3339.
    pub at: Arc<str>,
}

/// All that [`Reason::kind`] may be.
pub const KINDS: [&str; 18] = [
    "rejected",
    "too-large",
    "limit",
    "trapped",
    "transient",
    "uncertain",
    "unknown",
    "breach",
    "missed",
    "unrouted",
    "unreadable",
    "throttled",
    "unauthorized",
    "fatal",
    "abandoned",
    "too-old",
    "switched-off",
    "cancelled",
];

/// Why records were given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What kind of failure, one of [`KINDS`].
    pub kind: Arc<str>,
    /// The far side's code.
    pub code: Option<Arc<str>>,
    /// What was tried and what came back, for a person.
    pub message: Arc<str>,
    /// Name and version of the connector.
    pub connector: Option<Arc<str>>,
}

/// As the log has it.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)?;
        match &self.code {
            Some(code) => write!(f, " (code {code})"),
            None => Ok(()),
        }
    }
}

/// A dead letter as it stands in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLetter {
    /// A number that no other dead letter of the store has or will have; a later one has a larger number.
    pub id: i64,
    /// Whose it is.
    pub pipeline: Arc<str>,
    /// What was given up, and why.
    pub letter: DeadLetter,
}

/// What holds for the dead letters of a pipeline while they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// The most bytes that those of one destination may take, and those that were given up for all of them; `None` for no bound.
    pub max_bytes: Option<u64>,
    /// A file to which each is written too.
    pub copy_to: Option<PathBuf>,
}

/// Which dead letters. By default all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LetterFilter {
    /// Those of this pipeline.
    pub pipeline: Option<String>,
    /// Those of this destination; those that were given up for all of them where it is empty.
    pub destination: Option<String>,
    /// Those of this kind.
    pub kind: Option<String>,
    /// Those given up at this moment or later: after RFC 3339, in UTC, to the millisecond.
    pub since: Option<String>,
    /// Those given up before this moment.
    pub before: Option<String>,
    /// The one with this number.
    pub id: Option<i64>,
}

/// How many dead letters there are, and what they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LetterTotals {
    /// How many.
    pub letters: u64,
    /// What they take, as it counts against [`Keeping::max_bytes`]: the record of each and 256 bytes, text and code of each
    /// different reason and 256 bytes, and what the records of a batch have in common, once, and 256 bytes.
    pub bytes: u64,
}

impl std::iter::Sum for LetterTotals {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self { letters: sum.letters + one.letters, bytes: sum.bytes + one.bytes })
    }
}

/// Dead letters that were sent again, of one stretch: what does not stand among those that are given up anew is done with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Their numbers in the store.
    pub ids: Vec<i64>,
}

/// Where in the order of replay a letter of a pipeline stands. The default is before all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayPlace {
    partition: String,
    sequence: i64,
    ordinal: u32,
    destination: String,
    processor: String,
}

impl KeptLetter {
    /// Its place in the order of replay.
    pub fn place(&self) -> ReplayPlace {
        let DeadLetter { partition, sequence, ordinal, destination, processor, .. } = &self.letter;
        let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
        let (destination, processor) = (text(destination), text(processor));
        ReplayPlace { partition: partition.to_string(), sequence: *sequence as i64, ordinal: *ordinal, destination, processor }
    }
}

impl ReplayPlace {
    pub(super) fn parts(&self) -> (&str, i64, u32, &str, &str) {
        (&self.partition, self.sequence, self.ordinal, &self.destination, &self.processor)
    }
}

/// Looks at dead letters and removes them.
///
/// What is read comes in pieces of bounded memory: as many as were asked for, or fewer that have some MiB together, but always the
/// first. There are no more where a piece is empty.
#[async_trait]
pub trait LetterStore: Send + Sync {
    /// Letters that come after one, by number: oldest first, at most `most`.
    async fn letters(&self, filter: &LetterFilter, after: i64, most: u32) -> Result<Vec<KeptLetter>, StoreError>;

    /// How many there are.
    async fn count_letters(&self, filter: &LetterFilter) -> Result<u64, StoreError>;

    /// What a pipeline's come to: by destination, an empty one for those that were given up for all of them.
    async fn letter_totals(&self, pipeline: &str) -> Result<Vec<(String, LetterTotals)>, StoreError>;

    /// The largest number that a letter has; 0 where there is none.
    async fn last_letter(&self) -> Result<i64, StoreError>;

    /// Letters of one pipeline in the order in which their records were read: by partition, sequence, ordinal, destination and processor, at most
    /// `most`, and those that come after a place and have a number up to `upto`. The filter's own pipeline is not looked at.
    async fn letters_to_replay(
        &self,
        pipeline: &str,
        filter: &LetterFilter,
        after: &ReplayPlace,
        upto: i64,
        most: u32,
    ) -> Result<Vec<KeptLetter>, StoreError>;

    /// Removes letters, and gives how many there were.
    async fn remove_letters(&self, filter: &LetterFilter) -> Result<u64, StoreError>;

    /// Removes letters by number, such as those that were delivered after all, and gives how many there were: all of them or, on failure, none.
    async fn remove_letters_by_id(&self, ids: Vec<i64>) -> Result<u64, StoreError>;
}
