//! What can go wrong with files, and what the host should do about it.

use std::{fmt, io};

/// A file operation that failed, or files that are not as they must be.
#[derive(Debug)]
pub enum Trouble {
    /// The operating system, or the host's sandbox, refused.
    Refused {
        /// What was tried, such as "appending 300 bytes to `/out/a.ndjson`".
        trying: String,
        /// What came back.
        error: io::Error,
    },
    /// Something lies there that must not be touched.
    InTheWay {
        /// The path as the guest sees it.
        path: String,
    },
    /// Another destination gives its files the same names.
    Shared {
        /// Its journal.
        path: String,
        /// How both name their files.
        name: String,
    },
    /// The journal cannot be believed.
    Damaged {
        /// The path as the guest sees it.
        path: String,
        /// What is wrong with it.
        what: String,
    },
}

/// Whether it helps to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It may succeed later: a full disk, a fault of the device.
    Again,
    /// An operator must change something first.
    Operator,
}

impl Trouble {
    /// Whether it helps to try again.
    pub fn remedy(&self) -> Remedy {
        use io::ErrorKind as Kind;
        match self {
            Self::Refused { error, .. } => match error.kind() {
                Kind::PermissionDenied
                | Kind::ReadOnlyFilesystem
                | Kind::NotFound
                | Kind::NotADirectory
                | Kind::IsADirectory
                | Kind::CrossesDevices
                | Kind::Unsupported
                | Kind::InvalidInput => Remedy::Operator,
                _ => Remedy::Again,
            },
            Self::InTheWay { .. } | Self::Shared { .. } | Self::Damaged { .. } => Remedy::Operator,
        }
    }

    /// The error's own name, such as `StorageFull`, where it has one.
    pub fn code(&self) -> Option<String> {
        let Self::Refused { error, .. } = self else { return None };
        let name = format!("{:?}", error.kind());
        (!matches!(name.as_str(), "Other" | "Uncategorized")).then_some(name)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { trying, error } => {
                // The number after the words is one of the sandbox, and another thing to whoever looks it up at the host.
                let error = error.to_string();
                let words = error.split_once(" (os error ").map_or(error.as_str(), |(words, _)| words);
                write!(formatter, "{trying}: {words}")?;
                match self.remedy() {
                    Remedy::Operator => formatter.write_str(
                        "; hint: see that the directory is there and may be written to, and grant it read-write: `grants: { directories: [ { host: …, guest: …, access: read-write } ] }`",
                    ),
                    // What a component is told of a full disk is often no more than that there was an error.
                    Remedy::Again => formatter.write_str("; hint: see that the host's disk has room left, and is well"),
                }
            }
            Self::InTheWay { path } => write!(
                formatter,
                "writing to `{path}`: it is not a file but a directory, a symbolic link or the like, which is not followed; hint: move it away, or change `name`"
            ),
            Self::Shared { path, name } => write!(
                formatter,
                "opening the journal: the destination of `{path}` names its files `{name}` too, and each would cut off what the other writes; hint: put something of its own into each `name`, or give each a directory; where that destination is no more, remove `{path}`"
            ),
            Self::Damaged { path, what } => write!(
                formatter,
                "reading the journal `{path}`: {what}; nothing was changed. hint: put it back from a backup, or remove its folder, after which records that were written before and come again are written twice"
            ),
        }
    }
}

impl std::error::Error for Trouble {}

/// Adds what was tried to an error that does not say it.
pub trait Trying<T> {
    /// `trying` is called only where the operation failed.
    fn trying(self, trying: impl FnOnce() -> String) -> Result<T, Trouble>;
}

impl<T> Trying<T> for io::Result<T> {
    fn trying(self, trying: impl FnOnce() -> String) -> Result<T, Trouble> {
        self.map_err(|error| Trouble::Refused { trying: trying(), error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_the_sandbox_is_told() {
        let trouble = Trouble::Refused { trying: "making `/out`".to_owned(), error: io::Error::from_raw_os_error(5) };
        assert!(!trouble.to_string().contains("os error"), "{trouble}");
        assert!(trouble.to_string().starts_with("making `/out`: "), "{trouble}");
    }

    #[test]
    fn a_full_disk_is_worth_another_try_and_a_missing_grant_is_not() {
        for (kind, remedy) in [
            (io::ErrorKind::StorageFull, Remedy::Again),
            (io::ErrorKind::QuotaExceeded, Remedy::Again),
            (io::ErrorKind::Other, Remedy::Again),
            (io::ErrorKind::PermissionDenied, Remedy::Operator),
            (io::ErrorKind::ReadOnlyFilesystem, Remedy::Operator),
            (io::ErrorKind::NotFound, Remedy::Operator),
        ] {
            let trouble = Trouble::Refused { trying: "making `/out`".to_owned(), error: kind.into() };
            assert_eq!(trouble.remedy(), remedy, "{kind:?}");
            assert_eq!(trouble.to_string().contains("grant it read-write"), remedy == Remedy::Operator);
        }
    }
}
