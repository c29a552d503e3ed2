//! What `wharf dead-letters` and `wharf checkpoints` have in common.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Output, report::Refusal};
use crate::{
    operate::{self, Answer, Request},
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

/// A data directory that answers.
pub struct Desk {
    store: SqliteStore,
    /// Held for its lock.
    _data_dir: DataDir,
}

impl Desk {
    /// Opens a data directory that is there and that nobody uses.
    pub async fn open(path: &Path) -> Result<Self, Refusal> {
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            let data_dir = DataDir::existing(&path).map_err(|error| {
                let hint = match error {
                    DataDirError::InUse { .. } => "stop it first; meanwhile any SQLite tool can look at wharf.db in it",
                    ref error => error.hint(),
                };
                Refusal::with_hint(error.to_string(), Some(hint.into()))
            })?;
            let store = SqliteStore::open(&data_dir.store());
            let store = store.map_err(|error| Refusal::with_hint(error.to_string(), Some(error.hint().into())))?;
            Ok(Self { store, _data_dir: data_dir })
        });
        opened.await.map_err(|error| Refusal::new(error.to_string()))?
    }

    /// Asks it.
    pub async fn ask(&self, request: Request) -> Result<Answer, Refusal> {
        operate::answer(request, &self.store).await.map_err(|refused| Refusal::with_hint(refused.what, refused.hint))
    }
}

/// An answer to something else than was asked, which is nobody's but this program's fault.
pub fn astray() -> Refusal {
    Refusal::new("the answer is to another question; report this as a fault of wharf".into())
}
