//! What a pipeline under work is made of, and what of it has changed.
//!
//! A component that cargo builds is known by where it lies: in a `target` folder, whose crate, or one crate of whose workspace, makes a component of
//! that name. Its sources are watched, with those of the crates beside it that it stands on. Any other component is watched itself: whoever builds it
//! writes it anew. What a run writes is never watched, or else each run would be the cause of the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::SystemTime,
};

use serde_json::Value;

use crate::config;

/// A pipeline file, and what its components are built of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The pipeline file.
    pub file: PathBuf,
    /// The folders of crates whose components it names, each with the folders whose sources it is built of.
    pub crates: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// Components that are built elsewhere.
    pub others: BTreeSet<PathBuf>,
}

/// How files stand: when each was last written, and its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<PathBuf, (Option<SystemTime>, u64)>);

/// What is between two looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The crates that have to be built anew.
    pub crates: BTreeSet<PathBuf>,
    /// A file that changed, for a person.
    pub file: Option<PathBuf>,
}

impl Parts {
    /// Reads a pipeline file. Where it cannot be read, it alone is watched, with what was known before.
    pub fn of(file: &Path, before: &Self) -> Self {
        let Ok(read) = config::load(file, &config::OwnEnvironment) else {
            return Self { file: file.to_owned(), ..before.clone() };
        };
        let mut parts = Self { file: file.to_owned(), ..Self::default() };
        let components: BTreeSet<PathBuf> =
            read.pipelines.iter().flat_map(|pipeline| pipeline.components()).map(|part| part.component.value.clone()).collect();
        for component in components {
            match made_by(&component) {
                Some(folder) if parts.crates.contains_key(&folder) => {}
                Some(folder) => {
                    let mut sources = BTreeSet::new();
                    collect(&folder, &mut sources);
                    parts.crates.insert(folder, sources);
                }
                None => drop(parts.others.insert(component)),
            }
        }
        parts
    }

    /// How its files stand.
    pub fn look(&self) -> Snapshot {
        let mut seen = BTreeMap::new();
        note(&self.file, &mut seen);
        self.others.iter().for_each(|component| note(component, &mut seen));
        for folder in self.crates.values().flatten() {
            for name in ["Cargo.toml", "build.rs"] {
                note(&folder.join(name), &mut seen);
            }
            for name in ["src", "wit"] {
                within(&folder.join(name), &mut seen);
            }
        }
        Snapshot(seen)
    }

    /// What changed from one look to another; `None` where nothing did.
    pub fn changes(&self, before: &Snapshot, now: &Snapshot) -> Option<Changes> {
        let paths: BTreeSet<&PathBuf> = before.0.keys().chain(now.0.keys()).collect();
        let changed: Vec<&PathBuf> = paths.into_iter().filter(|path| before.0.get(*path) != now.0.get(*path)).collect();
        let file = (*changed.first()?).clone();
        // The pipeline file may lie in a crate's folder, and is none of its sources.
        let source = |path: &&PathBuf| **path != self.file && !self.others.contains(*path);
        let touched = |folders: &BTreeSet<PathBuf>| {
            let sources = changed.iter().copied().filter(source);
            sources.into_iter().any(|path| folders.iter().any(|folder| path.starts_with(folder)))
        };
        let crates = self.crates.iter().filter(|(_, sources)| touched(sources)).map(|(folder, _)| folder.clone()).collect();
        Some(Changes { crates, file: Some(file) })
    }
}

fn note(path: &Path, seen: &mut BTreeMap<PathBuf, (Option<SystemTime>, u64)>) {
    if let Ok(found) = fs::metadata(path) {
        seen.insert(path.to_owned(), (found.modified().ok(), found.len()));
    }
}

fn within(folder: &Path, seen: &mut BTreeMap<PathBuf, (Option<SystemTime>, u64)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => within(&entry.path(), seen),
            Ok(_) => note(&entry.path(), seen),
            Err(_) => {}
        }
    }
}

/// The folder of the crate that makes a component, by where that lies.
fn made_by(component: &Path) -> Option<PathBuf> {
    let target = component.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == "target"))?;
    let manifest = target.parent()?.join("Cargo.toml");
    let stem = component.file_stem()?.to_str()?;
    let document = metadata(&manifest)?;
    let makes = |package: &&Value| {
        let targets = package["targets"].as_array().into_iter().flatten();
        targets.into_iter().any(|target| {
            let component = target["crate_types"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "cdylib"));
            component && target["name"].as_str().is_some_and(|name| name.replace('-', "_") == stem)
        })
    };
    let package = document["packages"].as_array()?.iter().find(makes)?;
    Path::new(package["manifest_path"].as_str()?).parent().map(Path::to_owned)
}

/// The folders that a crate is built of: its own, and those of the crates that it names by their paths.
fn collect(folder: &Path, sources: &mut BTreeSet<PathBuf>) {
    if !sources.insert(folder.to_owned()) {
        return;
    }
    let manifest = folder.join("Cargo.toml");
    let Some(document) = metadata(&manifest) else { return };
    let packages = document["packages"].as_array().into_iter().flatten();
    let own = packages.filter(|package| package["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest));
    for dependency in own.flat_map(|package| package["dependencies"].as_array()).flatten() {
        if let Some(path) = dependency["path"].as_str() {
            collect(Path::new(path), sources);
        }
    }
}

fn metadata(manifest: &Path) -> Option<Value> {
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(manifest);
    let output = cargo.current_dir(manifest.parent()?).stdin(Stdio::null()).output().ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_crate_is_built_anew_for_its_sources_and_those_that_it_stands_on() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        let package = |name: &str, more: &str| format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n{more}\n[workspace]\n");
        let lib = "[lib]\ncrate-type = [\"cdylib\"]\n[dependencies]\nhelps = { path = \"../helps\" }\n";
        written(&root.join("one/Cargo.toml"), &package("one", lib));
        written(&root.join("one/src/lib.rs"), "");
        written(&root.join("helps/Cargo.toml"), &package("helps", ""));
        written(&root.join("helps/src/deep/er.rs"), "");
        written(&root.join("helps/src/lib.rs"), "");
        written(&root.join("other.wasm"), "");
        written(&root.join("in.txt"), "");
        let component = |path: &str| format!("      - id: d{}\n        component: {path}\n", path.len());
        let file = root.join("one/p.yaml");
        let text = format!(
            "version: 1\npipelines:\n  - id: p\n    source: {{ kind: file, path: ../in.txt, format: lines }}\n    destinations:\n{}{}",
            component("target/wasm32-wasip2/release/one.wasm"),
            component("../other.wasm")
        );
        written(&file, &text);

        config::load(&file, &config::OwnEnvironment).unwrap();
        let parts = Parts::of(&file, &Parts::default());
        let one = root.join("one");
        assert_eq!(parts.crates, BTreeMap::from([(one.clone(), [one.clone(), root.join("helps")].into())]));
        assert_eq!(parts.others.len(), 1);
        let other = parts.others.first().unwrap();
        assert!(other.ends_with("other.wasm"));
        let before = parts.look();
        assert_eq!(parts.changes(&before, &parts.look()), None);

        // What a run or a build leaves behind is of no account.
        written(&one.join("target/x.rs"), "x");
        written(&one.join("out/x.txt"), "x");
        assert_eq!(parts.changes(&before, &parts.look()), None);

        let built = |crates: &[&PathBuf], file: &Path| {
            Some(Changes { crates: crates.iter().map(|path| (*path).clone()).collect(), file: Some(file.to_owned()) })
        };
        let deep = root.join("helps/src/deep/er.rs");
        written(&deep, "fn new() {}");
        assert_eq!(parts.changes(&before, &parts.look()), built(&[&one], &deep));
        let before = parts.look();
        written(&root.join("other.wasm"), "longer");
        assert_eq!(parts.changes(&before, &parts.look()), built(&[], other));

        // The pipeline file, which lies in the crate's folder: nothing is to be built for it.
        let before = parts.look();
        written(&file, &format!("{text}\n"));
        assert_eq!(parts.changes(&before, &parts.look()), built(&[], &file));

        // One that is half-written keeps what was known.
        written(&file, "version: [");
        let still = Parts::of(&file, &parts);
        assert_eq!(still, parts);
        assert!(still.changes(&before, &still.look()).is_some());
    }
}
