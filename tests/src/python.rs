//! Components in Python, built as their example says, once for each state of their sources.

use std::{
    collections::hash_map::DefaultHasher,
    fs::{self, File},
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{Scratch, checkout, program, target};

/// The example's component, whose files are first changed by `edit`, which gets each file's name and text.
///
/// It is built anew only where anything that it is made of has changed. The tools are installed under the target folder.
///
/// # Errors
/// Where it does not build.
pub fn component(edit: impl Fn(&str, String) -> String) -> Result<PathBuf> {
    let example = checkout().join("examples/python");
    let scratch = Scratch::new()?;
    let mut hasher = DefaultHasher::new();
    for (name, text) in files(&example.join("src"), "py")? {
        let text = edit(&name, text);
        (&name, &text).hash(&mut hasher);
        scratch.write(&format!("src/{name}"), text)?;
    }
    for folder in [checkout().join("wit"), checkout().join("host/src/kit/wasi")] {
        files(&folder, "wit")?.hash(&mut hasher);
    }
    for file in ["build", "requirements.txt", "../../host/src/kit/wit.rs"] {
        fs::read(example.join(file)).with_context(|| file.to_owned())?.hash(&mut hasher);
    }
    let work = target()?.join("python");
    fs::create_dir_all(&work)?;
    let built = work.join(format!("{:016x}.wasm", hasher.finish()));
    // Tests of several processes may want the same.
    let lock = File::create(work.join("lock"))?;
    lock.lock()?;
    if !built.exists() {
        let fresh = work.join("fresh.wasm");
        let program = program()?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = program.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path));
        let mut build = Command::new(example.join("build"));
        build.arg(&fresh).env("WORK", &work).env("SOURCE", scratch.path("src")).env("PATH", std::env::join_paths(path)?);
        let output = build.stdin(Stdio::null()).output().context("cannot run examples/python/build")?;
        ensure!(output.status.success(), "examples/python/build:\n{}", String::from_utf8_lossy(&output.stderr));
        fs::rename(&fresh, &built)?;
    }
    Ok(built)
}

/// The files of a folder that end so, in order: name and text.
fn files(folder: &Path, extension: &str) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|other| other == extension) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((name, fs::read_to_string(&path)?));
        }
    }
    files.sort();
    Ok(files)
}
