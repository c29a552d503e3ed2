//! Compiled code, kept between runs.
//!
//! **Threat.** Whoever can write compiled code can run anything in the host: it is machine code, and loading it does not check what
//! it does. **Answer.** It is kept in a directory that belongs to the user who runs the host and that nobody else may enter, below
//! none in which others may put another in its place; any other is refused. A file in it that belongs to somebody else, or that others may
//! write to, is passed over. Every file bears a digest of its name and content, so that one that was cut short, has rotted or is another
//! component's is compiled anew; it is read once, and what was checked is what is loaded. A file's name is the component's digest and a hash of the engine's version,
//! configuration and target.

use std::{
    fs::{self, File},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    io::{self, Read, Write},
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
    /// Who runs the host.
    owner: u32,
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
    /// Somebody else could put another in its place.
    #[error("{} holds compiled components, and everybody may change what is in {} (mode {mode:o})", folder.display(), above.display())]
    Replaceable {
        /// Which.
        folder: PathBuf,
        /// The folder above it.
        above: PathBuf,
        /// That folder's permission bits.
        mode: u32,
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
        // Through links, to where it is.
        let folder = fs::canonicalize(folder).map_err(unusable)?;
        for above in folder.ancestors().skip(1) {
            const STICKY: u32 = 0o1000;
            let mode = fs::metadata(above).map_err(unusable)?.permissions().mode();
            if mode & 0o002 != 0 && mode & STICKY == 0 {
                return Err(CacheError::Replaceable { folder: folder.clone(), above: above.to_owned(), mode: mode & 0o7777 });
            }
        }
        Ok(Self { folder, owner: me })
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
        let mut file = File::open(&path).ok()?;
        let found = file.metadata().ok()?;
        if !found.is_file() || found.uid() != self.owner || found.permissions().mode() & 0o022 != 0 {
            tracing::warn!(file = %path.display(), "compiled code that others may have written; compiling again");
            return None;
        }
        let mut kept = Vec::new();
        file.read_to_end(&mut kept).ok()?;
        let (expected, code) = kept.split_at_checked(DIGEST)?;
        if seal(&path, code)[..] != *expected {
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
            let path = self.path(engine, digest);
            file.write_all(&seal(&path, code))?;
            file.write_all(code)?;
            file.persist(path)?;
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

/// What a file begins with.
fn seal(path: &Path, code: &[u8]) -> [u8; DIGEST] {
    let name = path.file_name().unwrap_or_default();
    Sha256::new().chain_update(name.as_encoded_bytes()).chain_update([0]).chain_update(code).finalize().into()
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

    #[tokio::test]
    async fn code_that_others_may_have_written_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("cache");
        let engine = Engine::new(Some(Cache::open(&folder).unwrap())).unwrap();
        engine.compile("abc", EMPTY.into()).await.unwrap();
        let kept = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let cache = Cache::open(&folder).unwrap();
        assert!(cache.get(engine.wasmtime(), "abc").is_some());
        fs::set_permissions(&kept, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(cache.get(engine.wasmtime(), "abc").is_none());
        fs::set_permissions(&kept, fs::Permissions::from_mode(0o600)).unwrap();
        // As if somebody else ran the host.
        let others = Cache { folder: cache.folder.clone(), owner: cache.owner + 1 };
        assert!(others.get(engine.wasmtime(), "abc").is_none());
        // One component's code under another's name.
        assert!(cache.get(engine.wasmtime(), "abc").is_some());
        fs::copy(&kept, kept.with_file_name(kept.file_name().unwrap().to_str().unwrap().replace("abc", "abd"))).unwrap();
        assert!(cache.get(engine.wasmtime(), "abd").is_none());
    }

    #[test]
    fn a_folder_that_others_may_replace_is_refused() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("cache");
        Cache::open(&folder).unwrap();
        fs::set_permissions(above.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(Cache::open(&folder), Err(CacheError::Replaceable { mode: 0o777, .. })));
        // In a sticky one, such as /tmp, nobody replaces what is another's.
        fs::set_permissions(above.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        Cache::open(&folder).unwrap();
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
