//! The control socket: how commands reach the host that uses a data directory.
//!
//! **Threat.** Whoever reaches the socket operates the host: reads dead letters, removes them, pauses and reloads. And whoever may open it can send
//! anything, without an end, or nothing at all. **Answer.** It stands in the data directory, which is its owner's alone (0700), and is itself 0600: those
//! who reach it could read and write the store as well. No component is granted a directory that holds the data directory. A
//! request is one line of bounded length, read within a time; there are so many connections at once and no more; what is no request is
//! refused, and ends its own connection alone.

use std::{
    fs, io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use thiserror::Error;
use tokio::{
    io::BufReader,
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
};

use super::{Answer, Refused, Request, wire};
use crate::clock::Clock;

/// The socket's name in its data directory.
const NAME: &str = "control";

/// The longest path of a socket, in bytes: `sockaddr_un` has 108 for it on Linux and 104 elsewhere, with a zero byte at the end.
const LONGEST: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// How many connections there may be at once; others wait.
const CONNECTIONS: usize = 16;

/// How long a connection may take to begin: whoever connects has something to ask, and others wait for its place.
const BEGINNING: Duration = Duration::from_secs(1);

/// How long a connection may take to ask again, and to take what it is answered.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no control socket.
#[derive(Debug, Error)]
#[error("cannot open the control socket {}: {cause}", path.display())]
pub struct SocketError {
    /// Where it was to be.
    pub path: PathBuf,
    /// What came back.
    pub cause: io::Error,
}

/// Who answers.
pub trait Answers: Send + Sync + 'static {
    /// What is answered to a request.
    fn answer(&self, request: Request) -> BoxFuture<'_, Result<Answer, Refused>>;
}

/// A control socket; it is gone with this.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

/// An address by which a socket can be reached, whatever the length of its path.
struct Address {
    path: PathBuf,
    /// What the path leads through, open for as long as it is used.
    _folder: Option<fs::File>,
}

impl Address {
    fn of(folder: &Path) -> io::Result<Self> {
        let path = folder.join(NAME);
        if path.as_os_str().as_bytes().len() <= LONGEST {
            return Ok(Self { path, _folder: None });
        }
        if !cfg!(target_os = "linux") {
            let why = format!(
                "its path has more than {LONGEST} bytes, and there is no socket by a longer one: name a shorter data directory"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        // By the number of the open folder, any path is short.
        let folder = fs::File::open(folder)?;
        let path = format!("/proc/self/fd/{}/{NAME}", std::os::fd::AsRawFd::as_raw_fd(&folder)).into();
        Ok(Self { path, _folder: Some(folder) })
    }
}

impl Socket {
    /// Opens the socket of a data directory, whose lock this process holds: one that is there was left behind by a process that was killed.
    pub fn open(data_dir: &Path) -> Result<Self, SocketError> {
        let path = data_dir.join(NAME);
        let open = || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&Address::of(data_dir)?.path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        match open() {
            Ok(listener) => Ok(Self { listener, path }),
            Err(cause) => Err(SocketError { path, cause }),
        }
    }

    /// Answers whoever asks, without an end.
    pub async fn serve(self, answers: Arc<dyn Answers>, clock: Clock) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        // Those who are connected are let go where this is.
        let mut connections = JoinSet::new();
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            while connections.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (answers, clock) = (answers.clone(), clock.clone());
                    connections.spawn(async move {
                        if let Err(error) = converse(stream, &*answers, &clock).await {
                            tracing::debug!(%error, "a connection to the control socket ended early");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the control socket takes no connection for now");
                    clock.sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Whoever opens the next one removes what is left.
        let _removed = fs::remove_file(&self.path);
    }
}

/// Answers one connection until it asks no more.
async fn converse(stream: UnixStream, answers: &dyn Answers, clock: &Clock) -> io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    let mut patience = BEGINNING;
    loop {
        let line = match within(clock, patience, wire::read(&mut from, wire::REQUEST)).await {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(()),
            Err(error) => {
                let refused = Refused { what: format!("this is no request: {error}"), hint: None };
                // It may be gone.
                let _told = within(clock, PATIENCE, wire::write(&mut to, &wire::answered(Err(refused))?)).await;
                return Err(error);
            }
        };
        let request = wire::request(&line);
        let astray = request.is_err();
        let answer = match request {
            Ok(request) => answers.answer(request).await,
            Err(refused) => Err(refused),
        };
        within(clock, PATIENCE, wire::write(&mut to, &wire::answered(answer)?)).await?;
        patience = PATIENCE;
        if astray {
            return Ok(());
        }
    }
}

async fn within<T>(clock: &Clock, patience: Duration, done: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::select! {
        biased;
        done = done => done,
        () = clock.sleep(patience) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("it took longer than {patience:?}"))),
    }
}

/// A connection to the host that uses a data directory.
#[derive(Debug)]
pub struct Client(BufReader<UnixStream>);

impl Client {
    /// Connects to the host that uses a data directory.
    ///
    /// # Errors
    /// Where nobody listens there.
    pub async fn connect(data_dir: &Path) -> io::Result<Self> {
        let address = Address::of(data_dir)?;
        UnixStream::connect(&address.path).await.map(BufReader::new).map(Self)
    }

    /// Asks it, and waits for as long as it takes to answer.
    pub async fn ask(&mut self, request: Request) -> Result<Answer, Refused> {
        let gone = |error: io::Error| Refused {
            what: format!("the host that uses the data directory does not answer: {error}"),
            hint: Some("it may have ended meanwhile: ask again".into()),
        };
        let line = wire::asked(request).map_err(gone)?;
        wire::write(&mut self.0, &line).await.map_err(gone)?;
        match wire::read(&mut self.0, wire::ANSWER).await.map_err(gone)? {
            Some(line) => wire::answer(&line),
            None => Err(gone(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::clock::VirtualClock;

    struct Echo;

    impl Answers for Echo {
        fn answer(&self, request: Request) -> BoxFuture<'_, Result<Answer, Refused>> {
            Box::pin(async move {
                match request {
                    Request::ShowDeadLetter { id } => Ok(Answer::Removed(id.unsigned_abs())),
                    _ => Err(Refused { what: "no".into(), hint: None }),
                }
            })
        }
    }

    /// A folder with a socket that is served, and the clock that it goes by.
    fn served() -> (tempfile::TempDir, VirtualClock, tokio::task::JoinHandle<()>) {
        let (folder, time) = (tempfile::tempdir().unwrap(), VirtualClock::new());
        let served = tokio::spawn(Socket::open(folder.path()).unwrap().serve(Arc::new(Echo), time.clock()));
        (folder, time, served)
    }

    async fn asks(folder: &Path) {
        let mut client = Client::connect(folder).await.unwrap();
        assert_eq!(client.ask(Request::ShowDeadLetter { id: 7 }).await, Ok(Answer::Removed(7)));
        assert_eq!(client.ask(Request::Status).await.unwrap_err().what, "no");
        assert_eq!(client.ask(Request::ShowDeadLetter { id: 8 }).await, Ok(Answer::Removed(8)));
    }

    #[tokio::test]
    async fn what_is_asked_is_answered_and_the_socket_goes_with_its_host() {
        let (folder, _time, served) = served();
        let path = folder.path().join(NAME);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        asks(folder.path()).await;
        served.abort();
        assert!(served.await.unwrap_err().is_cancelled());
        assert!(!path.exists());
        assert!(Client::connect(folder.path()).await.is_err());
    }

    #[tokio::test]
    async fn what_a_killed_process_left_behind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        std::mem::forget(Socket::open(folder.path()).unwrap());
        let _served = tokio::spawn(Socket::open(folder.path()).unwrap().serve(Arc::new(Echo), VirtualClock::new().clock()));
        asks(folder.path()).await;
    }

    #[tokio::test]
    async fn a_path_that_is_longer_than_that_of_a_socket_can_be_is_reached_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("x".repeat(120)).join("y".repeat(200));
        fs::create_dir_all(&long).unwrap();
        let served = Socket::open(&long).unwrap();
        assert_eq!(fs::metadata(long.join(NAME)).unwrap().permissions().mode() & 0o777, 0o600);
        let _served = tokio::spawn(served.serve(Arc::new(Echo), VirtualClock::new().clock()));
        asks(&long).await;
    }

    #[tokio::test]
    async fn garbage_is_refused_and_harms_nobody() {
        let (folder, _time, _served) = served();
        let path = folder.path().join(NAME);
        for (garbage, told) in [
            (b"GET / HTTP/1.1\r\n".to_vec(), "this is no request or answer"),
            (b"{\"version\": 9}\n".to_vec(), "version 9 of the control socket"),
            (vec![b'['; 60_000].into_iter().chain([b'\n']).collect(), "this is no request or answer"),
            (vec![b'x'; wire::REQUEST + 1], "a line has more than 65536 bytes"),
            (b"\n".to_vec(), "this is no request or answer"),
        ] {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            stream.write_all(&garbage).await.unwrap();
            let mut answer = String::new();
            // What it sent beyond what was read makes the far end break off.
            let _reset = stream.read_to_string(&mut answer).await;
            assert!(answer.contains(told) || garbage.len() > wire::REQUEST, "{answer}");
        }
        asks(folder.path()).await;
    }

    #[tokio::test]
    async fn those_who_say_nothing_keep_their_places_for_a_time_and_no_longer() {
        let (folder, time, _served) = served();
        let path = folder.path().join(NAME);
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS + 4 {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            stream.write_all(b"{\"version\":").await.unwrap();
            silent.push(stream);
        }
        time.sleepers(CONNECTIONS).await;
        let asking = tokio::spawn({
            let folder = folder.path().to_owned();
            async move { asks(&folder).await }
        });
        time.advance(BEGINNING);
        // Those four that waited before it have their time too.
        while !asking.is_finished() {
            time.advance(BEGINNING);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        asking.await.unwrap();
        let mut told = String::new();
        silent[0].read_to_string(&mut told).await.unwrap();
        assert!(told.contains("it took longer than 1s"), "{told}");
    }
}
