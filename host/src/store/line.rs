//! Dead letters for others to read: as JSON documents, and as lines of a file.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufWriter, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use base64::{DecodeError, Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::{DeadLetter, KeptLetter};

/// A dead letter as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterDocument {
    /// Its number in the store; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// When it was given up, after RFC 3339.
    pub at: String,
    /// Whose it is.
    pub pipeline: String,
    /// The destination; `null` where it was given up for all of them.
    pub destination: Option<String>,
    /// The processor that gave it up; `null` where none did.
    #[serde(default)]
    pub processor: Option<String>,
    /// The action of the destination that it was for; `null` where the component names none, it was for none, or an earlier version of wharf did not say.
    #[serde(default)]
    pub action: Option<String>,
    /// What people call the place that it came from.
    pub label: String,
    /// With pipeline, sequence and ordinal, the record's key.
    pub partition: String,
    /// Where it stands there.
    pub sequence: u64,
    /// Which of several that a processor made of one.
    pub ordinal: u32,
    /// What kind of failure.
    pub kind: String,
    /// The far side's code.
    pub code: Option<String>,
    /// Why it was given up.
    pub message: String,
    /// Name and version of the connector.
    pub connector: Option<String>,
    /// How often it was handed over.
    pub attempts: u32,
    /// What was done to the entity; `null` where an earlier version of wharf kept no more of the record than key and `record`, and not which
    /// processor gave it up.
    #[serde(default)]
    pub operation: Option<String>,
    /// What identifies the entity; `null` where it is absent.
    pub key: Option<Payload>,
    /// The entity before its change; `null` where it is absent.
    #[serde(default)]
    pub before: Option<Payload>,
    /// The entity after its change, or the whole record; `null` where it is absent.
    pub record: Option<Payload>,
    /// Further values by name. One that is absent does not stand here.
    #[serde(default)]
    pub metadata: BTreeMap<String, Payload>,
    /// Media types, by what they are of: `key`, `before`, `record`; only those that are known.
    #[serde(default)]
    pub content_types: BTreeMap<String, String>,
}

/// Bytes in JSON: a text where they are one, else `{"base64": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Payload {
    /// UTF-8.
    Text(String),
    /// Anything else.
    Binary {
        /// The bytes.
        base64: String,
    },
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Binary { base64: STANDARD.encode(bytes) },
        }
    }
}

impl Payload {
    /// The bytes.
    pub fn into_bytes(self) -> Result<Bytes, DecodeError> {
        match self {
            Self::Text(text) => Ok(text.into()),
            Self::Binary { base64 } => STANDARD.decode(base64).map(Bytes::from),
        }
    }
}

impl LetterDocument {
    fn of(id: Option<i64>, pipeline: &str, letter: &DeadLetter) -> Self {
        let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(str::to_owned);
        let record = &letter.record;
        let types = record.content_types();
        // That of what is absent says nothing.
        let types = [
            ("key", record.key(), &types.key),
            ("before", record.before(), &types.before),
            ("record", record.after(), &types.after),
        ];
        let known = |(name, value, content_type): (&str, Option<&[u8]>, &Option<_>)| {
            value.and_then(|_| Some((name.to_owned(), text(content_type)?)))
        };
        Self {
            id,
            at: letter.at.to_string(),
            pipeline: pipeline.to_owned(),
            destination: text(&letter.destination),
            processor: text(&letter.processor),
            action: text(&letter.action),
            label: letter.label.to_string(),
            partition: letter.partition.to_string(),
            sequence: letter.sequence,
            ordinal: letter.ordinal,
            kind: letter.reason.kind.to_string(),
            code: text(&letter.reason.code),
            message: letter.reason.message.to_string(),
            connector: text(&letter.reason.connector),
            attempts: letter.attempts,
            operation: letter.whole.then(|| record.operation().name().to_owned()),
            key: record.key().map(Payload::from),
            before: record.before().map(Payload::from),
            record: record.after().map(Payload::from),
            metadata: record.metadata().map(|(name, value)| (name.to_owned(), Payload::from(value))).collect(),
            content_types: types.into_iter().filter_map(known).collect(),
        }
    }
}

impl From<&KeptLetter> for LetterDocument {
    fn from(kept: &KeptLetter) -> Self {
        Self::of(Some(kept.id), &kept.pipeline, &kept.letter)
    }
}

/// What each line of a copy begins with.
const BEGINNING: &[u8] = br#"{"at":""#;

/// Why letters cannot be added to what stands there already: it is something else.
///
/// # Errors
/// What the system says, and [`io::ErrorKind::AlreadyExists`] where its first line is no dead letter.
pub fn is_copy(path: &Path) -> io::Result<()> {
    // The longest line that is looked at; a record and its reason stand in it.
    const LONGEST: u64 = 64 << 20;
    let file = crate::given_file::open(path)?;
    let mut line = Vec::new();
    io::BufReader::new(file.take(LONGEST)).read_until(b'\n', &mut line)?;
    let letter = || serde_json::from_slice::<LetterDocument>(&line).is_ok();
    // A host that was killed may have left the beginning of its first.
    let begun = || !line.ends_with(b"\n") && (line.starts_with(BEGINNING) || BEGINNING.starts_with(&line));
    if line.is_empty() || letter() || begun() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "it holds something else"))
    }
}

/// Adds dead letters to a file, a line each. They are on disk when it returns; what another process left of a line stays a line of its own.
pub(super) fn append(path: &Path, pipeline: &str, letters: &[DeadLetter]) -> io::Result<()> {
    let file = open(path)?;
    let mut lines = BufWriter::new(&file);
    if !ends_in_a_line(&file)? {
        lines.write_all(b"\n")?;
    }
    for letter in letters {
        serde_json::to_writer(&mut lines, &LetterDocument::of(None, pipeline, letter))?;
        lines.write_all(b"\n")?;
    }
    lines.flush()?;
    file.sync_data()
}

/// A regular file and no link to one, which nobody else may read where it is made here. Waits for nobody.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW).bits().cast_signed();
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

fn ends_in_a_line(mut file: &File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::sync::Arc;

    use super::*;
    use crate::{record::Entity, store::Reason};

    #[test]
    fn letters_are_added_to_letters_and_to_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letters.ndjson");
        let reason = Reason { kind: "rejected".into(), code: None, message: "no".into(), connector: None };
        let letter = DeadLetter {
            destination: None,
            processor: None,
            action: None,
            partition: "p".into(),
            label: "p".into(),
            sequence: 1,
            ordinal: 0,
            record: Entity::default().into(),
            whole: true,
            reason: Arc::new(reason),
            attempts: 0,
            at: "2026-01-01T00:00:00Z".into(),
        };
        append(&path, "pipe", std::slice::from_ref(&letter)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        // Wherever a host was killed while it wrote its first.
        for length in 0..=whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            is_copy(&path).unwrap();
            append(&path, "pipe", std::slice::from_ref(&letter)).unwrap();
            let text = std::fs::read(&path).unwrap();
            assert!(text.ends_with(&whole) && text.len() <= length + 1 + whole.len(), "{length}");
        }
        for other in ["\n", "a line\n", "{", "{}\n", "{\"at\":\"2026", "{\"at\":\"2026\n", "[", "{\"id\":1"] {
            std::fs::write(&path, other).unwrap();
            assert_eq!(is_copy(&path).is_ok(), BEGINNING.starts_with(other.as_bytes()) || other == "{\"at\":\"2026", "{other:?}");
        }
    }
}
