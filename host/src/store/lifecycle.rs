//! What a destination was told of its life: a small file for each, so that it is told again after a crash, with the same event.
//!
//! **Threat.** Whoever reads the data directory, or a copy of it, finds the secrets of a destination that was changed or deleted long ago. **Answer.** Settings are kept
//! without those that are secret; that one of these changed is seen by a salted digest of them.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The number of the format below.
const FORMAT: u64 = 1;

/// What a destination was told of its life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// The number of the format.
    pub format: u64,
    /// As what it knows itself; `None` where it was never told, or was deleted.
    pub known: Option<Kept>,
    /// What it is being told: it may have heard of it, and is told again until it has answered.
    pub due: Option<Due>,
}

/// What is kept of a destination's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Those that are not secret.
    pub settings: Vec<(String, String)>,
    /// A digest of those that are, with the salt.
    pub secrets: String,
    /// Random digits.
    pub salt: String,
    /// The version of the far side's interface.
    pub version: Option<String>,
}

/// Something that a destination is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// The same each time that it is told.
    pub event: String,
    /// What it is.
    pub what: Told,
    /// What holds then.
    pub after: Kept,
}

/// What a destination is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// A pipeline has it from now on.
    Created,
    /// Its settings changed.
    Updated,
    /// The pipeline has it no more.
    Deleted,
}

impl Told {
    /// The contract's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

impl Notes {
    /// Reads them; none where there is no such file. Blocks.
    ///
    /// # Errors
    /// Where the file cannot be read, or is of a later version of the host.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            read => read?,
        };
        let notes: Self = serde_json::from_slice(&text).map_err(io::Error::from)?;
        match notes.format {
            FORMAT => Ok(notes),
            other => {
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has the format {other}; this host reads {FORMAT}")))
            }
        }
    }

    /// Writes them; they are on disk when this returns. Blocks.
    ///
    /// # Errors
    /// Where they cannot be written; what was there before is there still.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let folder: PathBuf = path.parent().map(Path::to_owned).unwrap_or_default();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let text = serde_json::to_vec(&Self { format: FORMAT, ..self.clone() })?;
        let part = path.with_extension("part");
        let mut file = fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(&part)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        fs::File::open(&folder)?.sync_all()
    }
}

impl Kept {
    /// What is kept of some settings; `salt` is that of what they are held against, or one of their own.
    pub fn new(settings: Vec<(String, String)>, secrets: &[(&str, &str)], salt: Option<&str>, version: Option<&str>) -> Self {
        let salt = salt.map_or_else(|| format!("{:032x}", fastrand::u128(..)), str::to_owned);
        let mut digest = blake3::Hasher::new();
        for part in std::iter::once(salt.as_str()).chain(secrets.iter().flat_map(|(name, value)| [*name, *value])) {
            digest.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let secrets = digest.finalize().to_hex().to_string();
        Self { settings, secrets, salt, version: version.map(str::to_owned) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written_and_hold_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe/far.json");
        assert_eq!(Notes::read(&path).unwrap(), Notes::default());
        let kept = Kept::new(vec![("url".into(), "http://a".into())], &[("token", "hunter2")], None, Some("v1"));
        let due = Due { event: "e".into(), what: Told::Updated, after: kept.clone() };
        let notes = Notes { format: FORMAT, known: Some(kept.clone()), due: Some(due) };
        notes.write(&path).unwrap();
        assert_eq!(Notes::read(&path).unwrap(), notes);
        assert!(!fs::read_to_string(&path).unwrap().contains("hunter2"));
        let again = |token: &str, salt: Option<&str>| Kept::new(kept.settings.clone(), &[("token", token)], salt, Some("v1"));
        assert_eq!(again("hunter2", Some(&kept.salt)), kept);
        assert_ne!(again("hunter3", Some(&kept.salt)), kept, "another secret is a change");
        assert_ne!(again("hunter2", None).secrets, kept.secrets, "equal secrets of two destinations are not seen to be");
        fs::write(&path, r#"{"format": 2}"#).unwrap();
        assert!(Notes::read(&path).is_err());
    }
}
