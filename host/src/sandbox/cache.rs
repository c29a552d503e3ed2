//! Compiled code, kept between runs.
//!
//! **Threat.** Whoever can write compiled code can run anything in the host: it is machine code, and loading it does not check what
//! it does. **Answer.** It is kept in a directory that belongs to the user who runs the host and that nobody else may enter;
//! another's is refused. Every file bears a digest of its content, so that one that was cut short or has rotted is compiled anew. A
//! file's name is the component's digest and a hash of the engine's version, configuration and target.

use std::{
    fs,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use thiserror::Error;
use wasmtime::component::Component;

/// Bytes of the digest that a file begins with.
const DIGEST: usize = 32;

/// A private directory of compiled components.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// Why a directory cannot hold compiled code.
#[derive(Debug, Error)]
pub enum CacheError {
    /// It cannot be made or looked at.
    #[error("cannot use {} for compiled components: {cause}", folder.display())]
    Unusable {
        /// Which.
        folder: PathBuf,
        /// What came back.
        cause: io::Error,
    },
    /// Somebody else could write into it.
    #[error("{} holds compiled components and is open to others (mode {mode:o}, owner {owner})", folder.display())]
    Open {
        /// Which.
        folder: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Who owns it.
        owner: u32,
    },
}

impl Cache {
    /// Uses a folder, and makes it where it does not exist.
    pub fn open(folder: &Path) -> Result<Self, CacheError> {
        let unusable = |cause| CacheError::Unusable { folder: folder.to_owned(), cause };
        let mut missing = fs::DirBuilder::new();
        missing.recursive(true).mode(0o700).create(folder).map_err(unusable)?;
        let found = fs::symlink_metadata(folder).map_err(unusable)?;
        if !found.is_dir() {
            return Err(unusable(io::ErrorKind::NotADirectory.into()));
        }
        // A file made now belongs to whoever runs the host.
        let probe = tempfile::NamedTempFile::new_in(folder).map_err(unusable)?;
        let me = probe.as_file().metadata().map_err(unusable)?.uid();
        let (mode, owner) = (found.permissions().mode() & 0o777, found.uid());
        if owner != me || mode & 0o077 != 0 {
            return Err(CacheError::Open { folder: folder.to_owned(), mode, owner });
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// Where the compiled code of all of a user's pipelines goes: `$WHARF_CACHE_DIR`, else `wharf` in `$XDG_CACHE_HOME`, else in
    /// `~/.cache`; `None` where no such place is known.
    pub fn usual_folder(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
        let given = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        given("WHARF_CACHE_DIR")
            .or_else(|| given("XDG_CACHE_HOME").map(|folder| folder.join("wharf")))
            .or_else(|| given("HOME").map(|home| home.join(".cache/wharf")))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The compiled component, where it is kept and whole.
    pub(super) fn get(&self, engine: &wasmtime::Engine, digest: &str) -> Option<Component> {
        let path = self.path(engine, digest);
        let kept = fs::read(&path).ok()?;
        let (expected, code) = kept.split_at_checked(DIGEST)?;
        if Sha256::digest(code)[..] != *expected {
            tracing::warn!(file = %path.display(), "compiled code is damaged; compiling again");
            return None;
        }
        // SAFETY: the code comes from a file in a directory that only the user who runs the host may write to (see `open`), under a name
        // and with a digest that only `put` gives, which writes what wasmtime compiled.
        match unsafe { Component::deserialize(engine, code) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(file = %path.display(), error = format!("{error:#}"), "compiled code does not fit; compiling again");
                None
            }
        }
    }

    /// Keeps compiled code. Where that fails, it is compiled again the next time.
    pub(super) fn put(&self, engine: &wasmtime::Engine, digest: &str, code: &[u8]) {
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(&Sha256::digest(code))?;
            file.write_all(code)?;
            file.persist(self.path(engine, digest))?;
            Ok(())
        };
        if let Err(error) = write() {
            tracing::warn!(folder = %self.folder.display(), %error, "compiled code cannot be kept");
        }
    }

    fn path(&self, engine: &wasmtime::Engine, digest: &str) -> PathBuf {
        // The hasher's keys are fixed, so that the name is the same in every run.
        let engine = BuildHasherDefault::<DefaultHasher>::default().hash_one(engine.precompile_compatibility_hash());
        self.folder.join(format!("{digest}-{engine:016x}.cwasm"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Engine;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    #[tokio::test]
    async fn compiled_code_is_kept_and_damaged_code_is_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("cache");
        let engine = Engine::new(Some(Cache::open(&folder).unwrap())).unwrap();
        engine.compile("abc", EMPTY.into()).await.unwrap();
        let kept = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let cache = Cache::open(&folder).unwrap();
        assert!(cache.get(engine.wasmtime(), "abc").is_some());
        assert!(cache.get(engine.wasmtime(), "abd").is_none());

        let mut bytes = fs::read(&kept).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&kept, &bytes).unwrap();
        assert!(cache.get(engine.wasmtime(), "abc").is_none());
        fs::write(&kept, &bytes[..7]).unwrap();
        assert!(cache.get(engine.wasmtime(), "abc").is_none());
        engine.compile("abc", EMPTY.into()).await.unwrap();
        assert!(cache.get(engine.wasmtime(), "abc").is_some());
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(Cache::open(folder.path()), Err(CacheError::Open { mode: 0o755, .. })));
    }

    #[test]
    fn the_usual_folder_is_the_first_that_is_given() {
        let folder = |given: &[(&str, &str)]| {
            let given: std::collections::HashMap<_, _> = given.iter().copied().collect();
            Cache::usual_folder(|name| given.get(name).map(|value| (*value).to_owned()))
        };
        assert_eq!(folder(&[("WHARF_CACHE_DIR", "/w"), ("HOME", "/h")]), Some("/w".into()));
        assert_eq!(folder(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]), Some("/x/wharf".into()));
        assert_eq!(folder(&[("XDG_CACHE_HOME", ""), ("HOME", "/h")]), Some("/h/.cache/wharf".into()));
        assert_eq!(folder(&[]), None);
    }
}
