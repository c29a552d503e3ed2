//! Components that have uploads: an upload is polled with the component that made its file, whatever the pipeline file names by then.
//!
//! **Threat.** A component is replaced while its uploads are worked on, and the new one cannot read the handles of the old one. **Answer.** A copy is kept under
//! its digest, from before its first upload until the last of them is released; what is loaded from it has that digest, or is not used.

use std::{
    collections::HashSet,
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};

use crate::{
    bulk::BulkError,
    connector::{Connector, Opening},
};

/// Copies of components, by digest.
#[derive(Clone, Debug)]
pub(super) struct Components(PathBuf);

impl Components {
    /// In a folder of their own.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.0.join(format!("{digest}.wasm"))
    }

    /// Keeps a copy, which is on disk when it returns.
    pub async fn keep(&self, connector: &Connector) -> Result<(), BulkError> {
        let (folder, from, digest) = (self.0.clone(), connector.path.clone(), connector.digest.clone());
        let to = self.path(&digest);
        blocking(move || {
            if to.exists() {
                return Ok(());
            }
            let failed = |doing, path: &Path| {
                let path = path.to_owned();
                move |cause| BulkError::Component { doing, path, cause }
            };
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed("keep", &to))?;
            let bytes = fs::read(&from).map_err(failed("read", &from))?;
            if hex(&Sha256::digest(&bytes)) != digest {
                let cause = io::Error::new(io::ErrorKind::InvalidData, "it changed since it was loaded");
                return Err(failed("read", &from)(cause));
            }
            let part = to.with_extension("part");
            let write = || {
                let mut file = fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(&part)?;
                file.write_all(&bytes)?;
                file.sync_all()?;
                fs::rename(&part, &to)?;
                fs::File::open(&folder)?.sync_all()
            };
            write().map_err(failed("keep", &to))
        })
        .await
    }

    /// Removes all but these.
    pub async fn keep_only(&self, digests: HashSet<Arc<str>>) -> Result<(), BulkError> {
        let folder = self.0.clone();
        let kept: HashSet<PathBuf> = digests.iter().map(|digest| self.path(digest)).collect();
        blocking(move || {
            let remove = || {
                for entry in fs::read_dir(&folder)? {
                    let path = entry?.path();
                    if !kept.contains(&path) {
                        fs::remove_file(path)?;
                    }
                }
                Ok(())
            };
            remove().map_err(|cause| BulkError::Component {
                doing: "remove those not needed any more from",
                path: folder.clone(),
                cause,
            })
        })
        .await
    }

    /// Loads one, in the way of another.
    pub async fn load(&self, digest: &Arc<str>, like: &Connector, opening: &Opening) -> Result<Connector, BulkError> {
        let path = self.path(digest);
        let failed = |why: String| BulkError::Component { doing: "load", path: path.clone(), cause: io::Error::other(why) };
        let loader = like.loader().map_err(|error| failed(error.to_string()))?;
        let loaded = loader.load_within(&path, opening.limits.clone(), &opening.scope).await;
        let connector = loaded.map_err(|error| failed(error.to_string()))?;
        match *connector.digest == **digest {
            true => Ok(connector),
            false => Err(failed("it is not the component that it was".into())),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn blocking<R: Send + 'static>(work: impl FnOnce() -> Result<R, BulkError> + Send + 'static) -> Result<R, BulkError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| BulkError::Ended(error.to_string()))?
}
