//! How many threads of the host work on files for components at once.
//!
//! **Threat.** File operations block a thread each. A component that has many streams at work, or a hundred components on a slow disk,
//! take all threads there are, and the host's own store and everybody else's files wait. **Answer.** Each instance has at most
//! [`AN_INSTANCE`] threads at a time and all of them together [`ALL`], fewer than the runtime has; who waits is served in turn. The
//! place is kept until the thread is free, also where the call was given up before.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use wasmtime_wasi::{
    async_trait,
    p2::{DynInputStream, InputStream, Pollable, StreamResult},
};

/// Threads that one instance may keep.
const AN_INSTANCE: usize = 4;

/// Threads that all instances together may keep; a tokio runtime has 512 of the kind.
const ALL: usize = 256;

/// Bytes that an instance's stream reads ahead where it does not wait for them: what each handle may make the host hold.
const AHEAD: usize = 4 << 10;

static EVERYBODY: Semaphore = Semaphore::const_new(ALL);

/// The places of one instance.
#[derive(Clone, Debug)]
pub(super) struct Slots(Arc<Semaphore>);

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _own: Option<OwnedSemaphorePermit>,
    _shared: Option<SemaphorePermit<'static>>,
}

impl Default for Slots {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AN_INSTANCE)))
    }
}

impl Slots {
    /// Waits for a place.
    pub async fn take(&self) -> Slot {
        // Neither is ever closed.
        let own = self.0.clone().acquire_owned().await.ok();
        Slot { _own: own, _shared: EVERYBODY.acquire().await.ok() }
    }

    /// A place, where one is free.
    pub fn try_take(&self) -> Option<Slot> {
        let own = self.0.clone().try_acquire_owned().ok()?;
        Some(Slot { _own: Some(own), _shared: Some(EVERYBODY.try_acquire().ok()?) })
    }

    /// Runs what blocks on a thread for that. `None` where it panicked or the runtime is ending.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let slot = self.take().await;
        let done = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work()
        });
        done.await.ok()
    }
}

/// A file's stream that reads when there is a place for it.
pub(super) struct Reader {
    inner: DynInputStream,
    slots: Slots,
    /// Kept while a read may be under way.
    slot: Option<Slot>,
}

impl Reader {
    pub fn new(inner: DynInputStream, slots: Slots) -> Self {
        Self { inner, slots, slot: None }
    }
}

#[async_trait]
impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<bytes::Bytes> {
        if self.slot.is_none() {
            self.slot = self.slots.try_take();
        }
        if self.slot.is_none() {
            return Ok(bytes::Bytes::new());
        }
        let read = self.inner.read(size.min(AHEAD));
        if read.as_ref().map_or(true, |bytes| !bytes.is_empty()) {
            self.slot = None;
        }
        read
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<bytes::Bytes> {
        if self.slot.is_none() {
            self.slot = Some(self.slots.take().await);
        }
        let read = self.inner.blocking_read(size).await;
        self.slot = None;
        read
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
        self.slot = None;
    }
}

#[async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {
        if self.slot.is_none() {
            self.slot = Some(self.slots.take().await);
        }
        self.inner.ready().await;
        self.slot = None;
    }
}
