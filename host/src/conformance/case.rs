//! What a case is, and what comes of one.

use futures::future::BoxFuture;

use super::{error::ConformError, rig::Rig};
use crate::{config::Place, connector::binary::Outline};

/// How much a clause of the contract binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Whoever breaks it is not to be trusted.
    Must,
    /// Whoever breaks it has a reason, or a fault.
    Should,
}

impl Level {
    /// As `docs/contract.md` writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
        }
    }
}

/// What of the contract a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Every connector.
    Connector,
    /// What exports `destination`.
    Destination,
    /// What exports `bulk`.
    Bulk,
    /// What exports `processor`.
    Processor,
    /// What exports `probe`.
    Probe,
    /// What exports `lifecycle`.
    Lifecycle,
    /// What is a destination and imports `follow-ups`.
    FollowUps,
}

impl About {
    /// What a component lacks for it, in words; `None` where the case is about it.
    pub fn lacking(self, outline: &Outline) -> Option<String> {
        let exported = match self {
            Self::Connector => return None,
            Self::FollowUps => {
                let wanted = outline.wants("follow-ups") && !outline.offers("processor");
                return (!wanted).then(|| "it does not import `follow-ups`".into());
            }
            Self::Destination => "destination",
            Self::Bulk => "bulk",
            Self::Processor => "processor",
            Self::Probe => "probe",
            Self::Lifecycle => "lifecycle",
        };
        (!outline.offers(exported)).then(|| format!("it does not export `{exported}`"))
    }
}

/// One thing that is tried with a component.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name, which stays: `W-DEST-014`.
    pub id: &'static str,
    /// The number of its clause in `docs/contract.md`.
    pub clause: u32,
    /// How much that binds.
    pub level: Level,
    /// What it is about.
    pub about: About,
    /// What holds where it passes, in a line.
    pub title: &'static str,
    /// What to do where it fails.
    pub mend: &'static str,
    pub(super) run: fn(&Rig) -> BoxFuture<'_, Tried>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case").field("id", &self.id).field("clause", &self.clause).finish_non_exhaustive()
    }
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// What is due.
    Passed {
        /// What was done.
        did: String,
    },
    /// Something else.
    Failed {
        /// What was done.
        did: String,
        /// What was due.
        expected: String,
        /// What came.
        came: String,
        /// What to do, where that is another thing than what the case is about.
        mend: Option<&'static str>,
    },
    /// It was not run, or could not be exercised.
    Skipped {
        /// Why.
        why: String,
    },
    /// It could not be run, and nothing after it: what the suite file gives does not work, or is there no more.
    Stopped {
        /// Why.
        why: String,
        /// What to do.
        hint: Option<String>,
        /// Where it stands in the suite file.
        place: Option<Place>,
    },
}

/// What was done where it passed; otherwise why it did not.
pub(super) type Tried = Result<String, Stop>;

/// Why a case did not pass.
#[derive(Debug)]
pub(super) enum Stop {
    /// Something else came than was due.
    Failed { did: String, expected: String, came: String, mend: Option<&'static str> },
    /// It could not be exercised.
    Skipped(String),
    /// What the suite file gives does not work, so that nothing can be said of the component.
    Suite(ConformError),
}

impl Came {
    /// What came of a case.
    ///
    /// # Errors
    /// Where what the suite file gives does not work.
    pub(super) fn of(tried: Tried) -> Result<Self, ConformError> {
        match tried {
            Ok(did) => Ok(Self::Passed { did }),
            Err(Stop::Failed { did, expected, came, mend }) => Ok(Self::Failed { did, expected, came, mend }),
            Err(Stop::Skipped(why)) => Ok(Self::Skipped { why }),
            Err(Stop::Suite(error)) => Err(error),
        }
    }
}

/// Something else came than was due.
pub(super) fn failed(did: impl Into<String>, expected: impl Into<String>, came: impl Into<String>) -> Stop {
    Stop::Failed { did: did.into(), expected: expected.into(), came: came.into(), mend: None }
}

impl Stop {
    /// The same with something else to be done about it.
    pub(super) fn mended(self, other: Option<&'static str>) -> Self {
        match self {
            Self::Failed { did, expected, came, mend } => Self::Failed { did, expected, came, mend: other.or(mend) },
            stop => stop,
        }
    }
}

/// It could not be exercised.
pub(super) fn skipped(why: impl Into<String>) -> Stop {
    Stop::Skipped(why.into())
}

/// Fails unless nothing is wrong.
pub(super) fn unless(wrong: &[String], did: &str, expected: &str) -> Tried {
    if wrong.is_empty() { Ok(did.to_owned()) } else { Err(failed(did, expected, wrong.join("; "))) }
}
