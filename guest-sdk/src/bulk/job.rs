//! An upload that the far side works on, as it is found again.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Staged, Upload};
use crate::{Failure, Span};

/// The most bytes that a handle may have: what the contract says.
pub(crate) const HANDLE: usize = 64 << 10;

/// An upload that the far side works on: the author's handle, and which records are still to be settled. Both were in the handle that the
/// host kept; the instance that made it may be long gone.
///
/// A [`Receipt`](crate::Receipt) can be built for it as for a batch. Only records that are still to be settled stand in it, so that
/// `Receipt::all(job)` is right whatever else was in the file.
#[derive(Clone, Debug)]
pub struct Job<H> {
    pub(super) handle: H,
    pub(super) records: u32,
    pub(super) working: Vec<Span>,
}

/// As it crosses the boundary.
#[derive(Serialize, Deserialize)]
struct Kept<H> {
    /// Records of the file.
    n: u32,
    /// Start and length of each run that is worked on, each start counted from the end of the run before.
    w: Vec<(u32, u32)>,
    h: H,
}

impl<H> Job<H> {
    /// What the connector handed out with the upload, or replaced it with.
    pub fn handle(&self) -> &H {
        &self.handle
    }

    /// How many records the file has; records are counted from its first.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Those that are still to be settled.
    pub fn working(&self) -> &[Span] {
        &self.working
    }

    /// The staged file, from its beginning: it is kept byte for byte until the upload is settled.
    pub fn reader(&self) -> Staged {
        Staged::new()
    }

    /// As the host keeps it.
    pub(super) fn keep(handle: &H, records: u32, working: &[Span]) -> Result<Vec<u8>, Failure>
    where
        H: Serialize,
    {
        let mut end = 0;
        let runs = working.iter().map(|span| (span.start - std::mem::replace(&mut end, span.end), span.len()));
        let kept = Kept { n: records, w: runs.collect(), h: handle };
        // The upload took effect: what becomes of it is not known without its handle.
        let kept = serde_json::to_vec(&kept).map_err(|error| Failure::uncertain(format!("keep the handle: {error}")))?;
        match kept.len() {
            0..=HANDLE => Ok(kept),
            bytes => Err(Failure::uncertain(format!("keep the handle: it has {bytes} bytes, and {HANDLE} are the most"))),
        }
    }

    pub(crate) fn found(kept: &[u8]) -> Result<Self, Failure>
    where
        H: DeserializeOwned,
    {
        let kept: Kept<H> = serde_json::from_slice(kept)
            .map_err(|error| Failure::rejected(format!("the handle is none that this connector made: {error}")))?;
        let mut end = 0_u32;
        let spans = kept.w.into_iter().map(|(gap, len)| {
            let start = end.saturating_add(gap);
            end = start.saturating_add(len);
            Span { start, end }
        });
        Ok(Self { handle: kept.h, records: kept.n, working: spans.collect() })
    }
}

impl Upload {
    /// All of its records.
    pub(super) fn all(&self) -> Span {
        (0..self.records).into()
    }
}
