//! Directories: what a component may reach of the file system.
//!
//! **Threat.** One tree reachable with two sets of rights; a grant of the host's own files. **Answer.** A grant opens one host directory and
//! lays it at one guest path; [`files`] confines every path to it. Two grants of one destination whose trees overlap are
//! refused, by whatever path or mount they are reached: through two views of one tree, a hard link or a rename carries a file from the one
//! into the other. So are two destinations of one pipeline of which one may change what the other reads. What is the kernel's or the
//! host's own is granted to nobody. An empty list grants nothing.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

use super::{
    files::{
        self, Root, Tree,
        scratch::{self, Scratch},
    },
    mounts::{self, Mounts, Part},
};
use crate::config::{Access, Directory, Size};

/// Directories as granted and found.
#[derive(Clone, Debug, Default)]
pub struct Directories {
    granted: Vec<Granted>,
    scratch: Option<Private>,
}

#[derive(Clone, Debug)]
struct Granted {
    /// Without links.
    host: PathBuf,
    guest: String,
    access: Access,
    parts: Vec<Part>,
    tree: Arc<Tree>,
}

/// A private directory for each instance.
#[derive(Clone, Debug)]
struct Private {
    quota: Size,
    /// Where it is made; where temporary files go without one.
    parent: Option<PathBuf>,
}

/// What the host itself keeps. No component is granted a directory that holds it, nor one in it, unless it may be read: then none that
/// may be changed.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The path, which need not exist yet.
    pub path: PathBuf,
    /// What it is.
    pub what: &'static str,
    /// Whether it may be read.
    pub readable: bool,
}

/// Why a directory cannot be granted.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// It is not there, or not to be opened.
    #[error("cannot open the directory {} that is granted as {guest}: {cause}", host.display())]
    Missing {
        /// The host's path.
        host: PathBuf,
        /// The guest's.
        guest: String,
        /// What came back.
        cause: io::Error,
    },
    /// Something else stands there.
    #[error("{} is granted as {guest} and is not a directory", host.display())]
    NotADirectory {
        /// The host's path.
        host: PathBuf,
        /// The guest's.
        guest: String,
    },
    /// Two grants at one place.
    #[error("two directories are granted as {guest}")]
    Twice {
        /// The guest's path.
        guest: String,
    },
    /// One tree by two ways.
    #[error("{} and {} are granted and are one tree", one.display(), other.display())]
    Overlap {
        /// The one.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// One tree for two destinations, of which one may change it.
    #[error("{} is granted to another destination of this pipeline as well (by {}), and {why}", one.display(), other.display())]
    Shared {
        /// The one.
        one: PathBuf,
        /// The other.
        other: PathBuf,
        /// What is wrong with that.
        why: &'static str,
    },
    /// Files of the kernel's.
    #[error("{} is granted as {guest} and holds what is no file ({})", host.display(), found.display())]
    Kernels {
        /// The host's path.
        host: PathBuf,
        /// The guest's.
        guest: String,
        /// What it is in, or holds.
        found: PathBuf,
    },
    /// Files of the host's own.
    #[error("{} is granted as {guest} and is or holds {what} ({})", host.display(), kept.display())]
    Kept {
        /// The host's path.
        host: PathBuf,
        /// The guest's.
        guest: String,
        /// What it is.
        what: &'static str,
        /// The host's own path.
        kept: PathBuf,
    },
    /// The kernel cannot hold a path to a directory.
    #[error("directories cannot be granted here: the kernel does not confine paths (openat2): {0}")]
    Unconfined(io::Error),
    /// A private directory cannot be made.
    #[error("cannot make a scratch directory: {0}")]
    Scratch(io::Error),
}

impl DirectoryError {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { cause, host, .. } if cause.kind() == io::ErrorKind::NotFound => {
                format!("make it with `mkdir -p {}`, or grant another", host.display())
            }
            Self::Missing { .. } => "let the user who runs wharf open it, or grant another".into(),
            Self::NotADirectory { .. } => "grant the directory that holds it".into(),
            Self::Twice { .. } => "give each grant a guest path of its own".into(),
            Self::Overlap { .. } => "grant directories of which none lies within another".into(),
            Self::Shared { .. } => {
                "grant each destination a directory of its own, or the one to be read to both for reading alone".into()
            }
            Self::Kernels { .. } => "grant a directory of files".into(),
            Self::Kept { .. } => "grant a directory beside it, which holds what the component needs and nothing else".into(),
            Self::Unconfined(_) => "run it on Linux 5.6 or later, where no seccomp filter forbids openat2".into(),
            Self::Scratch(_) => "see that the data directory can be written to and has room".into(),
        }
    }
}

impl Directories {
    /// Checks grants against the file system. The index of the grant that is wrong comes with the error.
    pub fn find<'a>(grants: impl IntoIterator<Item = &'a Directory>) -> Result<Self, (usize, DirectoryError)> {
        let mut found: Vec<Granted> = Vec::new();
        // Without the list of what is mounted, paths alone tell what overlaps.
        let mounts = Mounts::read().unwrap_or_default();
        for (index, Directory { host, guest, access, quota }) in grants.into_iter().enumerate() {
            files::supported().map_err(|cause| (index, DirectoryError::Unconfined(cause)))?;
            let missing = |cause| (index, DirectoryError::Missing { host: host.clone(), guest: guest.clone(), cause });
            // Opened where its links lead now; a link that is changed later changes nothing.
            let real = host.canonicalize().map_err(missing)?;
            if !real.metadata().map_err(missing)?.is_dir() {
                return Err((index, DirectoryError::NotADirectory { host: host.clone(), guest: guest.clone() }));
            }
            if let Some(found) = mounts.of_the_kernel(&real) {
                return Err((index, DirectoryError::Kernels { host: host.clone(), guest: guest.clone(), found }));
            }
            files::open_real(&real).map_err(missing)?;
            if found.iter().any(|other| other.guest == *guest) {
                return Err((index, DirectoryError::Twice { guest: guest.clone() }));
            }
            let parts = mounts.parts(&real);
            if let Some(other) = found.iter().find(|other| overlap(&other.parts, &parts)) {
                return Err((index, DirectoryError::Overlap { one: other.host.clone(), other: real }));
            }
            let tree = Arc::new(Tree::new(quota.map(Size::bytes)));
            found.push(Granted { host: real, guest: guest.clone(), access: *access, parts, tree });
        }
        Ok(Self { granted: found, scratch: None })
    }

    /// Adds a private directory for each instance, of so many bytes. It is made where temporary files go unless
    /// [`scratch_in`](Self::scratch_in) says where.
    pub fn with_scratch(mut self, quota: Size) -> Result<Self, DirectoryError> {
        files::supported().map_err(DirectoryError::Unconfined)?;
        if self.granted.iter().any(|granted| granted.guest == scratch::GUEST) {
            return Err(DirectoryError::Twice { guest: scratch::GUEST.into() });
        }
        self.scratch = Some(Private { quota, parent: None });
        Ok(self)
    }

    /// Says where private directories are made.
    pub fn scratch_in(&mut self, parent: &Path) {
        if let Some(scratch) = &mut self.scratch {
            scratch.parent = Some(parent.to_owned());
        }
    }

    /// How many bytes may stand in a private directory; `None` where there is none.
    pub fn scratch(&self) -> Option<Size> {
        self.scratch.as_ref().map(|scratch| scratch.quota)
    }

    /// Whether the guest path lies in a granted directory that may be reached so.
    pub fn allow(&self, guest: &str, access: Access) -> bool {
        let writes = access == Access::ReadWrite;
        self.granted
            .iter()
            .any(|granted| (!writes || granted.access == Access::ReadWrite) && Path::new(guest).starts_with(&granted.guest))
    }

    /// Refuses what the host keeps for itself. The index of the grant that is wrong comes with the error.
    pub fn apart_from(&self, kept: &[Kept]) -> Result<(), (usize, DirectoryError)> {
        let mounts = Mounts::read().unwrap_or_default();
        for Kept { path, what, readable } in kept {
            let real = mounts::real(path);
            // What is mounted below a folder that may be read is no part of what that folder holds itself.
            let kept = if *readable { vec![mounts.own(&real)] } else { mounts.parts(&real) };
            let any = |granted: &Granted, wrong: fn(&Part, &Part) -> bool| {
                granted.parts.iter().any(|part| kept.iter().any(|kept| wrong(part, kept)))
            };
            let wrong = |granted: &Granted| match readable {
                true => granted.access == Access::ReadWrite && any(granted, Part::holds),
                false => any(granted, Part::overlaps),
            };
            if let Some(index) = self.granted.iter().position(wrong) {
                let Granted { host, guest, .. } = &self.granted[index];
                let (host, guest) = (host.clone(), guest.clone());
                return Err((index, DirectoryError::Kept { host, guest, what, kept: path.clone() }));
            }
        }
        Ok(())
    }

    /// Refuses what another destination of the pipeline is granted as well, unless neither may change it, or both may and neither has a
    /// quota there. The index of the grant that is wrong comes with the error.
    pub fn beside(&self, other: &Self) -> Result<(), (usize, DirectoryError)> {
        for (index, one) in self.granted.iter().enumerate() {
            for other in other.granted.iter().filter(|other| overlap(&one.parts, &other.parts)) {
                let why = match (one.access, other.access) {
                    (Access::ReadOnly, Access::ReadOnly) => continue,
                    (Access::ReadWrite, Access::ReadWrite) if !one.tree.bounded() && !other.tree.bounded() => continue,
                    (Access::ReadWrite, Access::ReadWrite) => "a quota counts what one destination writes",
                    _ => "one of the two may change what the other may only read",
                };
                return Err((index, DirectoryError::Shared { one: one.host.clone(), other: other.host.clone(), why }));
            }
        }
        Ok(())
    }

    /// Opens them for one instance.
    pub(super) fn open(&self) -> Result<(Vec<Root>, Option<Scratch>), DirectoryError> {
        let mut roots = Vec::with_capacity(self.granted.len() + 1);
        for Granted { host, guest, access, tree, .. } in &self.granted {
            // No link is followed here: where one stands now, somebody has put it there since.
            let directory = files::open_real(host).map_err(|cause| DirectoryError::Missing {
                host: host.clone(),
                guest: guest.clone(),
                cause,
            })?;
            roots.push(Root { directory: directory.into(), guest: guest.clone(), access: *access, tree: tree.clone() });
        }
        let mut made = None;
        if let Some(Private { quota, parent }) = &self.scratch {
            let scratch = Scratch::new(parent.as_deref()).map_err(DirectoryError::Scratch)?;
            let directory = scratch.path().and_then(|path| files::open_real(&path)).map_err(DirectoryError::Scratch)?;
            let tree = Arc::new(Tree::new(Some(quota.bytes())));
            roots.push(Root { directory: directory.into(), guest: scratch::GUEST.into(), access: Access::ReadWrite, tree });
            made = Some(scratch);
        }
        Ok((roots, made))
    }
}

fn overlap(one: &[Part], other: &[Part]) -> bool {
    one.iter().any(|part| other.iter().any(|other| part.overlaps(other)))
}
