//! A file's output stream, which asks the quota before it writes.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags, pwritev2};
use tokio::task::JoinHandle;
use wasmtime_wasi::{
    async_trait,
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

use super::{
    quota::{Full, Growing, Held},
    refusals::Refusals,
    root::{Denied, FULL},
    slots::Slots,
};

/// Bytes that a component may hand over in one call.
const CHUNK: usize = 64 << 10;

/// Writes that an instance may leave under way at once, each of which keeps up to [`CHUNK`] of the host's memory.
const UNDER_WAY: usize = 64;

/// Where a stream writes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Position {
    /// From an offset on.
    At(u64),
    /// At the file's end, wherever that is by then.
    End,
}

/// What the streams of one instance share.
#[derive(Clone)]
pub(super) struct Writing {
    pub slots: Slots,
    pub refusals: Arc<Refusals>,
    under_way: Arc<AtomicUsize>,
}

impl Writing {
    pub fn new(refusals: Refusals) -> Self {
        Self { slots: Slots::default(), refusals: refusals.into(), under_way: Arc::default() }
    }
}

/// The stream.
pub(super) struct Writer {
    file: Arc<File>,
    held: Option<Arc<Held>>,
    position: Position,
    writing: Writing,
    state: State,
}

enum State {
    Ready,
    Waiting(JoinHandle<io::Result<()>>, u64),
    Failed(io::Error),
    Closed,
}

/// One write of those that an instance has under way.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Writer {
    pub fn new(file: Arc<File>, held: Option<Arc<Held>>, position: Position, writing: Writing) -> Self {
        Self { file, held, position, writing, state: State::Ready }
    }

    /// The work of one write, for a thread that may block.
    fn work(&self, bytes: Bytes) -> impl FnOnce() -> io::Result<()> + Send + 'static {
        let (file, held, position) = (self.file.clone(), self.held.clone(), self.position);
        let refusals = self.writing.refusals.clone();
        move || write_all(&file, held.as_ref(), position, &bytes, &refusals)
    }

    fn wrote(&mut self, result: io::Result<()>, length: u64) {
        self.state = match result {
            Ok(()) => {
                if let Position::At(position) = &mut self.position {
                    *position += length;
                }
                State::Ready
            }
            Err(error) => State::Failed(error),
        };
    }

    async fn wait(&mut self) {
        if let State::Waiting(task, length) = &mut self.state {
            let length = *length;
            let result = task.await.unwrap_or_else(|error| Err(io::Error::other(error)));
            self.wrote(result, length);
        }
    }

    /// Fails where the stream cannot go on; a failure is told once.
    fn usable(&mut self) -> StreamResult<()> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Failed(error) => Err(StreamError::LastOperationFailed(error.into())),
            State::Closed => Err(StreamError::Closed),
            state => {
                self.state = state;
                Ok(())
            }
        }
    }
}

#[async_trait]
impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.usable()?;
        if matches!(self.state, State::Waiting(..)) || bytes.len() > CHUNK {
            return Err(StreamError::trap("wrote more than check-write allowed"));
        }
        let under_way = self.writing.under_way.clone();
        if under_way.fetch_add(1, Relaxed) >= UNDER_WAY {
            under_way.fetch_sub(1, Relaxed);
            self.writing.refusals.note("write", "", "too many writes are under way");
            self.state = State::Failed(Errno::NOMEM.into());
            return Ok(());
        }
        let length = bytes.len() as u64;
        let work = self.work(bytes);
        let under_way = UnderWay(under_way);
        let work = move || {
            let _under_way = under_way;
            work()
        };
        let task = match self.writing.slots.try_take() {
            Some(slot) => tokio::task::spawn_blocking(move || {
                let _slot = slot;
                work()
            }),
            None => {
                let slots = self.writing.slots.clone();
                tokio::spawn(async move { slots.run(work).await.unwrap_or_else(|| Err(io::Error::other("abandoned"))) })
            }
        };
        self.state = State::Waiting(task, length);
        Ok(())
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.wait().await;
        self.usable()?;
        let length = bytes.len() as u64;
        let result = self.writing.slots.run(self.work(bytes)).await;
        self.wrote(result.unwrap_or_else(|| Err(io::Error::other("abandoned"))), length);
        self.usable()
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.usable()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.usable()?;
        Ok(if matches!(self.state, State::Ready) { CHUNK } else { 0 })
    }

    async fn cancel(&mut self) {
        self.wait().await;
    }
}

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        self.wait().await;
    }
}

/// Writes all, or fails. Blocks.
fn write_all(file: &File, held: Option<&Arc<Held>>, position: Position, bytes: &[u8], refusals: &Refusals) -> io::Result<()> {
    let growing = room(held, position, bytes.len() as u64).map_err(|Full| {
        refusals.note("write", "", FULL);
        io::Error::from(Errno::NOSPC)
    })?;
    let written = match position {
        Position::At(at) => file.write_all_at(bytes, at),
        Position::End => append(file, bytes),
    };
    match (&written, growing) {
        (Err(_), Some(growing)) => growing.failed(),
        (_, growing) => drop(growing),
    }
    written
}

/// As much as the file takes at an offset. Blocks.
pub(super) fn write_some(file: &File, held: Option<&Arc<Held>>, at: u64, bytes: &[u8]) -> Result<usize, Denied> {
    let growing = room(held, Position::At(at), bytes.len() as u64)?;
    let written = file.write_at(bytes, at);
    match (&written, growing) {
        (Ok(all), growing) if *all == bytes.len() => drop(growing),
        (_, Some(growing)) => growing.failed(),
        (_, None) => {}
    }
    Ok(written?)
}

/// Takes room for what is to be written, where there is a quota.
fn room(held: Option<&Arc<Held>>, position: Position, length: u64) -> Result<Option<Growing>, Full> {
    let growing = held.filter(|_| length > 0).map(|held| match position {
        Position::At(at) => held.grow(at.saturating_add(length)),
        Position::End => held.append(length),
    });
    growing.transpose()
}

fn append(file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match pwritev2(file, &[io::IoSlice::new(bytes)], 0, ReadWriteFlags::APPEND) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
