//! Files, one or many.

use std::{collections::VecDeque, path::PathBuf, time::Duration};

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::{
    Checkpoints, Cuts, Portion, Reading, Source, SourceError,
    compression::Compression,
    follow::Follow,
    identity::{Inode, Known},
    pace::Pace,
    paths::Paths,
    stream::{Shared, Stream, Turn},
};
use crate::clock::Clock;

/// What to read of the file system, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// A path, or a pattern with `*`, `?`, `[…]` and `**`. A file of exactly this name comes before any pattern.
    pub path: String,
    /// How the files are compressed.
    pub compression: Compression,
    /// Waits for more instead of ending, and looks for it so often. A compressed file is read once, as it is when it is found.
    pub follow: Option<Duration>,
    /// What the files are made of.
    pub reading: Reading,
}

/// Reads files: one after another in the order of their paths and each to its end, or all of them as they grow.
///
/// A partition is a file, whatever it is called: `file-<device>-<inode>-<digest of its beginning>`. Its beginning is the first line,
/// for CSV the first two, since every export of a table begins with the same header. A record's sequence is the place of its first
/// byte in the uncompressed file. A file that was truncated in place while it was followed, and began again with the same line, is
/// another partition, with a number behind its name.
///
/// Following, a file is read on under its old name for one interval more after another took its path over; then a last line without
/// a newline is a record.
///
/// Reading and unpacking is done on threads where it may block.
#[derive(Debug)]
pub struct FileSource {
    work: Work,
    clock: Clock,
}

#[derive(Debug)]
enum Work {
    Ready(Box<Worker>),
    /// A call that was dropped may have left it so; the next one waits on.
    Running(JoinHandle<(Box<Worker>, Result<Step, SourceError>)>),
    Asleep(Box<Worker>, Duration),
    Lost,
}

/// What came of a stretch of work that may block.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "moved once a portion")]
pub(super) enum Step {
    Portion(Portion),
    /// Nothing until then.
    Wait(Duration),
    End,
}

#[derive(Debug)]
struct Worker {
    shared: Shared,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Once(Box<Once>),
    Follow(Follow),
}

impl FileSource {
    /// Reads what the options name, from the checkpoints on. Looks at no file before the first read.
    pub fn new(options: FileOptions, pipeline: &str, checkpoints: Checkpoints, clock: Clock) -> Self {
        let shared = Shared {
            pipeline: pipeline.to_owned(),
            compression: options.compression,
            following: options.follow.is_some(),
            known: Known::new(checkpoints),
            pace: Pace::new(options.reading.rate),
            reading: options.reading,
            clock: clock.clone(),
            cuts: Cuts::new(),
        };
        let way = match options.follow {
            Some(poll) => Way::Follow(Follow::new(options.path, poll)),
            None => {
                Way::Once(Box::new(Once { paths: Paths::new(options.path, false), queue: None, current: None, seen: Vec::new() }))
            }
        };
        Self { work: Work::Ready(Box::new(Worker { shared, way })), clock }
    }

    /// Makes the portions again that were cut so. To be said before the first read.
    #[must_use]
    pub fn cut_as(mut self, cuts: Cuts) -> Self {
        if let Work::Ready(worker) = &mut self.work {
            worker.shared.cuts = cuts;
        }
        self
    }
}

#[async_trait]
impl Source for FileSource {
    async fn read(&mut self) -> Result<Option<Portion>, SourceError> {
        loop {
            self.work = match std::mem::replace(&mut self.work, Work::Lost) {
                Work::Ready(mut worker) => Work::Running(tokio::task::spawn_blocking(move || {
                    let step = worker.step();
                    (worker, step)
                })),
                other => other,
            };
            match &mut self.work {
                Work::Running(running) => match running.await {
                    Ok((worker, Ok(Step::Wait(until)))) => self.work = Work::Asleep(worker, until),
                    Ok((worker, step)) => {
                        self.work = Work::Ready(worker);
                        return Ok(match step? {
                            Step::Portion(portion) => Some(portion),
                            Step::Wait(_) | Step::End => None,
                        });
                    }
                    Err(error) => {
                        self.work = Work::Lost;
                        return Err(lost(std::io::Error::other(error)));
                    }
                },
                Work::Asleep(_, until) => {
                    let wait = until.saturating_sub(self.clock.elapsed());
                    self.clock.sleep(wait).await;
                    if let Work::Asleep(worker, _) = std::mem::replace(&mut self.work, Work::Lost) {
                        self.work = Work::Ready(worker);
                    }
                }
                Work::Ready(_) | Work::Lost => return Err(lost(std::io::Error::other("an earlier read failed"))),
            }
        }
    }

    fn rereads(&self) -> bool {
        true
    }
}

fn lost(cause: std::io::Error) -> SourceError {
    SourceError::Io { what: "cannot go on reading", path: "files".to_owned(), cause }
}

impl Worker {
    fn step(&mut self) -> Result<Step, SourceError> {
        match &mut self.way {
            Way::Once(once) => once.step(&mut self.shared),
            Way::Follow(follow) => follow.step(&mut self.shared),
        }
    }
}

/// One file after another, each to its end.
#[derive(Debug)]
struct Once {
    paths: Paths,
    queue: Option<VecDeque<PathBuf>>,
    current: Option<Stream>,
    /// Links may lead to the same file twice.
    seen: Vec<Inode>,
}

impl Once {
    fn step(&mut self, shared: &mut Shared) -> Result<Step, SourceError> {
        let mut queue = match self.queue.take() {
            Some(queue) => queue,
            None => self.paths.look()?.into(),
        };
        let step = self.go_on(&mut queue, shared);
        self.queue = Some(queue);
        step
    }

    fn go_on(&mut self, queue: &mut VecDeque<PathBuf>, shared: &mut Shared) -> Result<Step, SourceError> {
        loop {
            let stream = match &mut self.current {
                Some(stream) => stream,
                None => {
                    let Some(path) = queue.front() else { return Ok(Step::End) };
                    let stream = Stream::open(path, shared)?;
                    queue.pop_front();
                    if self.seen.contains(&stream.inode) {
                        continue;
                    }
                    self.seen.push(stream.inode);
                    self.current.insert(stream)
                }
            };
            match stream.turn(true, shared)? {
                Turn::Portion(portion) => return Ok(Step::Portion(portion)),
                Turn::Paused | Turn::Waiting => {
                    let next = shared.pace.next(shared.clock.elapsed());
                    return Ok(Step::Wait(stream.due().map_or(next, |due| due.min(next))));
                }
                Turn::Done => self.current = None,
            }
        }
    }
}
