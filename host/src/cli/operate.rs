//! What the commands on a data directory have in common: they ask it, or the host that uses it.

use std::{
    io::{Write, stderr},
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use clap::Args;

use super::{Output, refusal::Refusal};
use crate::{
    clock::Clock,
    operate::{self, Answer, Refused, Request, socket::Client, spools::AtRest},
    store::{DataDir, DataDirError, SqliteStore},
};

/// Where to look, and for whom to print.
#[derive(Clone, Debug, Args)]
pub struct On {
    /// The folder that holds what outlives the process: `data-dir:` of the pipeline file, or `.wharf` beside it.
    #[arg(long, value_name = "FOLDER", default_value = ".wharf")]
    pub data_dir: PathBuf,
    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// How long a host may take from locking its data directory to answering, and the other way round.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a person is left without a word while a host has not answered.
const SILENCE: Duration = Duration::from_secs(2);

/// How often it is tried meanwhile.
const EVERY: Duration = Duration::from_millis(50);

/// A data directory that answers.
pub enum Desk {
    /// Nobody uses it: this process does.
    Own {
        /// The store in it, and its spools.
        spools: AtRest<SqliteStore>,
        /// Held for its lock.
        _data_dir: DataDir,
    },
    /// A host uses it, and answers.
    Host(tokio::sync::Mutex<Client>),
}

impl Desk {
    /// Opens a data directory that is there: itself where nobody uses it, else through the host that does.
    pub async fn open(path: &Path) -> Result<Self, Refusal> {
        let clock = Clock::system();
        loop {
            let path_too = path.to_owned();
            let opened = tokio::task::spawn_blocking(move || open(&path_too)).await;
            let error = match opened.map_err(|error| Refusal::new(error.to_string()))? {
                Ok((store, data_dir)) => {
                    let spools = AtRest::new(store, &data_dir.spools(), clock).await.map_err(refusal)?;
                    return Ok(Self::Own { spools, _data_dir: data_dir });
                }
                Err(Unopened::Refused(refusal)) => return Err(refusal),
                Err(Unopened::InUse(error)) => error,
            };
            // A host that is about to begin, or about to end, has the lock and no socket.
            match Client::connect(path).await {
                Ok(client) => return Ok(Self::Host(client.into())),
                Err(cause) if clock.elapsed() >= PATIENCE => {
                    let what = format!("{error}, and does not answer: {cause}");
                    let hint = "it may be starting or ending, or be another command: try again; any SQLite tool can look at wharf.db in it";
                    return Err(Refusal::with_hint(what, Some(hint.into())));
                }
                Err(_) => clock.sleep(EVERY).await,
            }
        }
    }

    /// Asks it.
    pub async fn ask(&self, request: Request) -> Result<Answer, Refusal> {
        let answer = match self {
            Self::Own { spools, .. } => operate::answer(request, &spools.store, spools).await,
            Self::Host(client) => {
                let mut client = client.lock().await;
                let (mut asked, clock) = (pin!(client.ask(request)), Clock::system());
                tokio::select! {
                    answer = &mut asked => answer,
                    () = clock.sleep(SILENCE) => {
                        // Who does not read it waits all the same.
                        let _told = writeln!(stderr(), "waiting for the host that uses the data directory to answer …");
                        asked.await
                    }
                }
            }
        };
        answer.map_err(refusal)
    }
}

fn refusal(refused: Refused) -> Refusal {
    Refusal::with_hint(refused.what, refused.hint)
}

/// Why a data directory was not opened.
enum Unopened {
    /// Somebody uses it.
    InUse(DataDirError),
    /// It cannot be.
    Refused(Refusal),
}

fn open(path: &Path) -> Result<(SqliteStore, DataDir), Unopened> {
    let refused = |what: String, hint: &str| Unopened::Refused(Refusal::with_hint(what, Some(hint.into())));
    let data_dir = match DataDir::existing(path) {
        Ok(data_dir) => data_dir,
        Err(error @ DataDirError::InUse { .. }) => return Err(Unopened::InUse(error)),
        Err(error) => return Err(refused(error.to_string(), error.hint())),
    };
    let store = SqliteStore::open(&data_dir.store()).map_err(|error| refused(error.to_string(), error.hint()))?;
    Ok((store, data_dir))
}

/// An answer to something else than was asked, which is nobody's but this program's fault.
pub fn astray() -> Refusal {
    Refusal::new("the answer is to another question; report this as a fault of wharf".into())
}
