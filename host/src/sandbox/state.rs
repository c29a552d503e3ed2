//! Durable state: what a component keeps across instances and runs.
//!
//! **Threat.** A component fills the disk, asks for so many keys that the host's memory goes, reads what another keeps, or holds up
//! whoever uses the store beside it. **Answer.** It has a quota on bytes and keys, and a file of its own, in which nobody else's keys
//! stand. What is over the quota is refused before it is copied; an answer of keys is as long as one call may hand over and no
//! longer. Whatever goes wrong with the disk is an answer, and the path of the file is not in it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use crate::{
    config::{self, Size},
    store::{
        StateStore, StoreError,
        state::{Change, Entries, LONGEST_KEY, Quota},
    },
};

/// The most keys that one call answers with.
const MOST_KEYS: u32 = 10_000;

/// A granted state. Clones share it.
#[derive(Clone, Debug)]
pub struct State {
    quota: Quota,
    /// `None` until it is said where the entries are kept.
    entries: Option<Arc<dyn Entries>>,
    /// Pipeline and destination, for the log.
    of: Arc<(String, String)>,
    /// Whether it was told that something is wrong with the store.
    told: Arc<AtomicBool>,
}

/// Why nothing is kept or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateRefusal {
    /// There is no room for it, or the key is empty or longer than [`LONGEST_KEY`].
    OverQuota,
    /// The store cannot do it.
    Unavailable(String),
}

impl State {
    /// What is granted, kept nowhere yet.
    pub fn granted(grant: &config::State) -> Self {
        Self {
            quota: Quota { bytes: grant.bytes.bytes(), keys: grant.keys.into() },
            entries: None,
            of: Arc::default(),
            told: Arc::default(),
        }
    }

    /// Says where the entries of its destination are kept.
    pub fn keep_in(&mut self, store: &dyn StateStore, pipeline: &str, destination: &str) {
        self.entries = Some(store.of(pipeline, destination));
        self.of = Arc::new((pipeline.into(), destination.into()));
    }

    /// How many bytes it may keep.
    pub fn bytes(&self) -> Size {
        Size::from_bytes(self.quota.bytes)
    }

    /// What stands under a key.
    pub async fn get(&self, key: String) -> Result<Option<Vec<u8>>, StateRefusal> {
        match is_key(&key) {
            true => self.heard(self.entries()?.get(key).await),
            // Nothing can stand there.
            false => Ok(None),
        }
    }

    /// Sets what stands under a key.
    pub async fn put(&self, key: String, value: Vec<u8>) -> Result<(), StateRefusal> {
        self.fits(&key, &value)?;
        match self.heard(self.entries()?.put(key, value, self.quota).await)? {
            Change::Made => Ok(()),
            Change::Other | Change::OverQuota => Err(StateRefusal::OverQuota),
        }
    }

    /// Sets or removes what stands under a key where `expected` stands there; false where something else does.
    pub async fn swap(&self, key: String, expected: Option<Vec<u8>>, value: Option<Vec<u8>>) -> Result<bool, StateRefusal> {
        if !is_key(&key) {
            return match (expected, value) {
                (Some(_), _) => Ok(false),
                (None, None) => Ok(true),
                (None, Some(_)) => Err(StateRefusal::OverQuota),
            };
        }
        if let Some(value) = &value {
            self.fits(&key, value)?;
        }
        match self.heard(self.entries()?.swap(key, expected, value, self.quota).await)? {
            Change::Made => Ok(true),
            Change::Other => Ok(false),
            Change::OverQuota => Err(StateRefusal::OverQuota),
        }
    }

    /// Keys with this prefix after `after`, in order, at most `limit` and at most so many bytes of them. There may be more behind the last
    /// unless there is none at all.
    pub async fn keys(&self, prefix: String, after: String, limit: u32, bytes: Size) -> Result<Vec<String>, StateRefusal> {
        let entries = self.entries()?;
        if prefix.len() > LONGEST_KEY {
            return Ok(Vec::new());
        }
        self.heard(entries.keys(prefix, after, limit.min(MOST_KEYS), bytes.bytes()).await)
    }

    fn entries(&self) -> Result<&dyn Entries, StateRefusal> {
        self.entries.as_deref().ok_or_else(|| StateRefusal::Unavailable("this host has no store".into()))
    }

    /// The log has all of what went wrong, once until it goes right again; a component is not told where the host keeps its files.
    fn heard<T>(&self, answer: Result<T, StoreError>) -> Result<T, StateRefusal> {
        let error = match answer {
            Ok(answer) => {
                self.told.store(false, Relaxed);
                return Ok(answer);
            }
            Err(error) => error,
        };
        if !self.told.swap(true, Relaxed) {
            let (pipeline, destination) = &*self.of;
            tracing::error!(%pipeline, %destination, %error, "a connector's state is unavailable");
        }
        Err(StateRefusal::Unavailable(match error {
            StoreError::Engine { cause, .. } => cause,
            StoreError::Format { .. } => "it was written by another version of the host".into(),
            // What is said of dead letters is not said of state.
            other => other.to_string(),
        }))
    }

    /// Whether an entry could be kept if it were the only one.
    fn fits(&self, key: &str, value: &[u8]) -> Result<(), StateRefusal> {
        let bytes = (key.len() + value.len()) as u64;
        if is_key(key) && bytes <= self.quota.bytes { Ok(()) } else { Err(StateRefusal::OverQuota) }
    }
}

fn is_key(key: &str) -> bool {
    (1..=LONGEST_KEY).contains(&key.len())
}
