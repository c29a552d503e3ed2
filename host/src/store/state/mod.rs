//! Durable state of connectors: values by key, a set of them for each destination of a pipeline.

mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;

use super::StoreError;

pub use sqlite::SqliteState;

/// The longest key, in bytes. The shortest has one.
pub const LONGEST_KEY: usize = 512;

/// Keeps the state of destinations, each apart from all others.
pub trait StateStore: Send + Sync {
    /// The state of one destination. Nothing is opened before it is used; all that is handed out for one destination is one.
    fn of(&self, pipeline: &str, destination: &str) -> Arc<dyn Entries>;
}

/// How much a destination may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes, over all keys and values together.
    pub bytes: u64,
    /// Keys.
    pub keys: u64,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is made, and on disk.
    Made,
    /// Something else than expected stood there; nothing was changed.
    Other,
    /// There is no room for it; nothing was changed. A change that leaves less than there was always has room.
    OverQuota,
}

/// The state of one destination.
///
/// A change is made whole or not at all, and is on disk against the end of the machine when it returns. A call whose future is dropped is
/// either made before every later call or not at all: what somebody gave up waiting for never comes after what followed.
#[async_trait]
pub trait Entries: Send + Sync + std::fmt::Debug {
    /// What stands under a key.
    async fn get(&self, key: String) -> Result<Option<Vec<u8>>, StoreError>;

    /// Sets what stands under a key, whatever stood there.
    async fn put(&self, key: String, value: Vec<u8>, quota: Quota) -> Result<Change, StoreError>;

    /// Sets or removes what stands under a key where `expected` stands there, `None` meaning no entry.
    async fn swap(
        &self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        quota: Quota,
    ) -> Result<Change, StoreError>;

    /// Keys that begin with `prefix` and come after `after`, in order of their UTF-8 bytes: at most `count`, and as many as have `bytes`
    /// together, but always the first.
    async fn keys(&self, prefix: String, after: String, count: u32, bytes: u64) -> Result<Vec<String>, StoreError>;
}
