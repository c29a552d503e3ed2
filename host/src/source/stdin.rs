//! A stream that is read once, such as standard input.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{
    Portion, Reading, Source, SourceError,
    pace::Pace,
    records::{Progress, Records},
};
use crate::clock::Clock;

/// How many chunks may be on their way.
const CHUNKS: usize = 2;

/// How long what was read takes to come to be handed over: whoever has nothing by then waits for input. It passes on the system's own clock, whatever the
/// source goes by.
const HANDING_OVER: Duration = Duration::from_millis(50);

/// Reads a stream to its end on a thread of its own.
///
/// The stream cannot be read again, so that its partition, `stdin-<run>`, is this run's alone. A thread that waits for input stays
/// until some comes or the process ends: nothing ends a read of standard input.
#[derive(Debug)]
pub struct StdinSource {
    pipeline: String,
    partition: Arc<str>,
    chunks: mpsc::Receiver<io::Result<Vec<u8>>>,
    /// Chunks go back to be filled again.
    emptied: mpsc::Sender<Vec<u8>>,
    /// Whether nothing more is to be taken in.
    draining: Arc<AtomicBool>,
    records: Records,
    pace: Pace,
    clock: Clock,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    Ended,
    /// It goes on, and is read no further.
    Drained,
    Failed(io::ErrorKind, String),
}

impl StdinSource {
    /// Reads `input`, in a run of this name.
    pub fn new(
        input: impl Read + Send + 'static,
        reading: &Reading,
        pipeline: &str,
        run: &str,
        clock: Clock,
    ) -> Result<Self, SourceError> {
        let (filled, chunks) = mpsc::channel(CHUNKS);
        let (emptied, returned) = mpsc::channel(CHUNKS + 2);
        let size = reading.chunk_bytes.max(1);
        let draining = Arc::new(AtomicBool::new(false));
        let enough = draining.clone();
        std::thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || pump(input, size, &filled, returned, &enough))
            .map_err(|cause| SourceError::Io { what: "cannot start a thread to read", path: "stdin".to_owned(), cause })?;
        Ok(Self {
            pipeline: pipeline.to_owned(),
            partition: format!("stdin-{run}").into(),
            chunks,
            emptied,
            draining,
            records: Records::new(reading, "stdin".into()),
            pace: Pace::new(reading.rate),
            clock,
            state: State::Open,
        })
    }

    /// Takes in what the thread that reads has handed over.
    fn take(&mut self, chunk: Option<io::Result<Vec<u8>>>) {
        match chunk {
            Some(Ok(chunk)) => {
                self.records.window.extend(&chunk);
                // The thread may have ended; then nobody wants it back.
                let _unwanted = self.emptied.try_send(chunk);
            }
            Some(Err(error)) => self.state = State::Failed(error.kind(), error.to_string()),
            // The thread that was told to read no more did not see the end.
            None if self.draining.load(Relaxed) => self.state = State::Drained,
            None => self.state = State::Ended,
        }
    }

    fn cut(&mut self) -> Option<Portion> {
        self.records.finish(&self.pipeline, &self.partition)
    }
}

#[async_trait]
impl Source for StdinSource {
    async fn read(&mut self) -> Result<Option<Portion>, SourceError> {
        loop {
            let now = self.clock.elapsed();
            let due = self.records.due();
            if due.is_some_and(|due| due <= now) {
                return Ok(self.cut());
            }
            let progress = self.records.advance(matches!(self.state, State::Ended), now, &mut self.pace);
            match progress.map_err(|reason| SourceError::Format { path: "stdin".to_owned(), reason })? {
                Progress::Full => return Ok(self.cut()),
                Progress::Paused => {
                    let next = self.pace.next(now);
                    let until = self.records.due().map_or(next, |due| due.min(next));
                    self.clock.sleep(until.saturating_sub(now)).await;
                    continue;
                }
                Progress::Starved => {}
            }
            match &self.state {
                State::Open => {}
                State::Ended | State::Drained => return Ok(self.cut()),
                State::Failed(kind, reason) => {
                    let cause = io::Error::new(*kind, reason.clone());
                    let failed = SourceError::Io { what: "cannot read", path: "stdin".to_owned(), cause };
                    return self.cut().map(Some).ok_or(failed);
                }
            }
            if self.draining.load(Relaxed) {
                match tokio::time::timeout(HANDING_OVER, self.chunks.recv()).await {
                    Ok(chunk) => self.take(chunk),
                    // The rest of a line that was begun never comes.
                    Err(_nothing) => self.state = State::Drained,
                }
                continue;
            }
            // With a portion begun, for no longer than it may wait.
            let chunk = match self.records.due() {
                None => self.chunks.recv().await,
                Some(due) => tokio::select! {
                    biased;
                    chunk = self.chunks.recv() => chunk,
                    () = self.clock.sleep(due.saturating_sub(now)) => continue,
                },
            };
            self.take(chunk);
        }
    }

    fn rereads(&self) -> bool {
        false
    }

    fn drain(&mut self) {
        self.draining.store(true, Relaxed);
    }
}

/// Hands chunks over until the input ends or nobody wants them.
fn pump(
    mut input: impl Read,
    size: usize,
    filled: &mpsc::Sender<io::Result<Vec<u8>>>,
    mut returned: mpsc::Receiver<Vec<u8>>,
    enough: &AtomicBool,
) {
    while !enough.load(Relaxed) {
        let mut chunk = returned.try_recv().unwrap_or_default();
        chunk.resize(size, 0);
        let read = loop {
            match input.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let (message, last) = match read {
            Ok(0) => return,
            Ok(count) => {
                chunk.truncate(count);
                (Ok(chunk), false)
            }
            Err(error) => (Err(error), true),
        };
        if filled.blocking_send(message).is_err() || last {
            return;
        }
    }
}
