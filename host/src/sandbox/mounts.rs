//! Which directories are the same one, seen at two places.
//!
//! **Threat.** One tree is granted twice, for reading and for writing, by paths that have nothing in common: through a link, or through a
//! bind mount. **Answer.** Links are resolved, and every mount tells of which file system it shows which part: two directories are
//! compared by that, together with all that is mounted below them.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

/// What is mounted where, as the kernel lists it (`proc(5)`, `mountinfo`).
#[derive(Debug, Default)]
pub(super) struct Mounts(Vec<Mount>);

#[derive(Debug)]
struct Mount {
    device: String,
    /// What of the file system it shows.
    part: PathBuf,
    /// Where it shows it.
    at: PathBuf,
    kind: String,
}

/// A directory, by its file system and the path in that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    device: String,
    path: PathBuf,
}

impl Part {
    /// Whether the other lies in it, or is it.
    pub fn holds(&self, other: &Self) -> bool {
        self.device == other.device && other.path.starts_with(&self.path)
    }

    /// Whether one lies in the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.holds(other) || other.holds(self)
    }
}

/// File systems whose files are the kernel's own switches, or other processes.
const OF_THE_KERNEL: [&str; 17] = [
    "proc",
    "sysfs",
    "devtmpfs",
    "devpts",
    "cgroup",
    "cgroup2",
    "securityfs",
    "debugfs",
    "tracefs",
    "bpf",
    "configfs",
    "efivarfs",
    "pstore",
    "binfmt_misc",
    "fusectl",
    "selinuxfs",
    "nsfs",
];

/// Directories that hold such, whatever is mounted there.
const KERNEL_PATHS: [&str; 3] = ["/proc", "/sys", "/dev"];

impl Mounts {
    /// What this process sees mounted.
    pub fn read() -> io::Result<Self> {
        fs::read_to_string("/proc/self/mountinfo").map(|text| Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mount = |line: &str| -> Option<Mount> {
            let (fields, kind) = line.split_once(" - ")?;
            let mut fields = fields.split(' ').skip(2);
            let device = fields.next()?.to_owned();
            let (part, at) = (unescaped(fields.next()?), unescaped(fields.next()?));
            let kind = kind.split(' ').next()?.to_owned();
            Some(Mount { device, part, at, kind })
        };
        Self(text.lines().filter_map(mount).collect())
    }

    /// What a real path shows: itself, and what is mounted below it.
    pub fn parts(&self, real: &Path) -> Vec<Part> {
        let below = |mount: &&Mount| mount.at != real && mount.at.starts_with(real);
        let parts = self.0.iter().filter(below).map(|mount| Part { device: mount.device.clone(), path: mount.part.clone() });
        parts.chain([self.own(real)]).collect()
    }

    /// What a real path shows itself.
    pub fn own(&self, real: &Path) -> Part {
        match self.mount(real) {
            Some(mount) => {
                let inside = real.strip_prefix(&mount.at).unwrap_or(Path::new(""));
                Part { device: mount.device.clone(), path: mount.part.join(inside) }
            }
            None => Part { device: String::new(), path: real.to_owned() },
        }
    }

    /// The mount that a path is on: of those with the longest path the last, which hides the others.
    fn mount(&self, real: &Path) -> Option<&Mount> {
        let over = self.0.iter().filter(|mount| real.starts_with(&mount.at));
        over.max_by_key(|mount| mount.at.components().count())
    }

    /// What of the kernel's a real path is in or holds.
    pub fn of_the_kernel(&self, real: &Path) -> Option<PathBuf> {
        let path = KERNEL_PATHS.iter().map(Path::new).find(|path| real.starts_with(path) || path.starts_with(real));
        let kernels = |mount: &&Mount| OF_THE_KERNEL.contains(&mount.kind.as_str());
        let on = self.mount(real).filter(kernels);
        let holds = || self.0.iter().filter(kernels).find(|mount| mount.at.starts_with(real));
        path.map(Path::to_owned).or_else(|| on.or_else(holds).map(|mount| mount.at.clone()))
    }
}

/// `\040` and the like stand for bytes that would part fields.
fn unescaped(field: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let octal = (byte == b'\\').then(|| after.get(..3)).flatten().and_then(|digits| str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &after[3..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// Where a path leads, also where its end does not exist yet.
pub(super) fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut missing = PathBuf::new();
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            return if missing.as_os_str().is_empty() { real } else { real.join(missing) };
        }
        if let Some(Component::Normal(name)) = ancestor.components().next_back() {
            missing = if missing.as_os_str().is_empty() { name.into() } else { Path::new(name).join(missing) };
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
2 1 0:5 / /proc rw - proc proc rw
3 1 8:1 /srv/a/sub /mnt/c rw,relatime - ext4 /dev/sda1 rw
4 1 8:2 / /srv/b\\040c rw - xfs /dev/sdb rw
5 1 8:1 /srv/e /srv/d/inner rw - ext4 /dev/sda1 rw
6 1 0:30 / /srv/box/dev rw - devtmpfs none rw
";

    #[test]
    fn one_tree_is_one_wherever_it_is_mounted() {
        let mounts = Mounts::parse(MOUNTS);
        let overlap = |one: &str, other: &str| {
            let (one, other) = (mounts.parts(Path::new(one)), mounts.parts(Path::new(other)));
            one.iter().any(|part| other.iter().any(|other| part.overlaps(other)))
        };
        for (one, other) in [
            ("/srv/a", "/srv/a/sub"),
            ("/srv/a", "/mnt/c"),
            ("/srv/a/sub/below", "/mnt/c"),
            ("/mnt/c/x", "/srv/a/sub/x/y"),
            ("/srv/d", "/srv/e/f"),
            ("/srv/b c/x", "/srv"),
        ] {
            assert!(overlap(one, other) && overlap(other, one), "{one} and {other}");
        }
        for (one, other) in
            [("/srv/a", "/srv/ab"), ("/srv/a/other", "/mnt/c"), ("/srv/b c/srv/a", "/srv/a"), ("/srv/d/x", "/srv/e")]
        {
            assert!(!overlap(one, other) && !overlap(other, one), "{one} and {other}");
        }
    }

    #[test]
    fn what_is_the_kernels_is_known_by_its_path_and_by_its_kind() {
        let mounts = Mounts::parse(MOUNTS);
        for (path, expected) in [
            ("/", Some("/proc")),
            ("/proc/self/fd", Some("/proc")),
            ("/dev/shm", Some("/dev")),
            ("/srv/box", Some("/srv/box/dev")),
            ("/srv/box/dev/x", Some("/srv/box/dev")),
            ("/srv/a", None),
            ("/srv/process", None),
        ] {
            assert_eq!(mounts.of_the_kernel(Path::new(path)).as_deref(), expected.map(Path::new), "{path}");
        }
    }

    #[test]
    fn a_path_that_does_not_exist_yet_is_real_up_to_there() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(".", there.join("link")).unwrap();
        assert_eq!(real(&there.join("link/new/er")), there.join("new/er"));
        assert_eq!(real(&there.join("link")), there);
    }
}
