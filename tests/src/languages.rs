//! The examples in other languages, built as they say, once for each state of their sources.

use std::{
    collections::hash_map::DefaultHasher,
    fs::{self, File},
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{
    Ran, Scratch, checkout,
    far::{Far, reply},
    program, target,
};

/// An example under `examples/`: its folder, and how its sources end. What it is built with stands in `build` and a file beside that.
struct Example {
    folder: &'static str,
    extension: &'static str,
    tools: &'static str,
}

const PYTHON: Example = Example { folder: "python", extension: "py", tools: "requirements.txt" };
const JAVASCRIPT: Example = Example { folder: "javascript", extension: "js", tools: "package.json" };

/// The component of `examples/python`, whose files are first changed by `edit`, which gets each file's name and text.
///
/// It is built anew only where anything that it is made of has changed. The tools are installed under the target folder.
///
/// # Errors
/// Where it does not build.
pub fn python(edit: impl Fn(&str, String) -> String) -> Result<PathBuf> {
    PYTHON.component(edit)
}

/// That of `examples/javascript`, likewise.
///
/// # Errors
/// Where it does not build.
pub fn javascript(edit: impl Fn(&str, String) -> String) -> Result<PathBuf> {
    JAVASCRIPT.component(edit)
}

/// Runs the records of a file through such a component to a URL, tried again at once, with a token and with one dead letter in a hundred allowed.
///
/// # Errors
/// Where it does not run.
pub fn run(scratch: &Scratch, component: &Path, records: &Path, url: &str, grant: &str) -> Result<Ran> {
    let file = json!({"version": 1, "pipelines": [{
        "id": "p",
        "source": {"kind": "file", "path": records},
        "dead-letters": {"window": 100, "tolerance": 1},
        "destinations": [{
            "id": "there",
            "component": component,
            "settings": {"url": url, "token": "sesame"},
            "batch": {"records": 200},
            "outage": {"max-attempts": 2, "max-delay": "10ms", "min-delay": "1ms"},
            "retry": {"max-delay": "10ms", "min-delay": "1ms"},
            "grants": {"http": [{"to": grant, "private": true}]},
        }],
    }]});
    scratch.write("p.yaml", file.to_string())?;
    scratch.run(&["run", "p.yaml", "--output", "json"])
}

/// Runs the records of a file through such a component to where nothing is granted, and to where a server was and is gone.
///
/// # Errors
/// Where it does not run.
pub fn denied_and_gone(scratch: &Scratch, component: &Path, records: &Path) -> Result<(Ran, Ran)> {
    let far = Far::start(|_| reply(200, ""))?;
    let url = format!("http://{}", far.address());
    let denied = run(scratch, component, records, &url, "http://127.0.0.1:9")?;
    far.kill();
    Ok((denied, run(scratch, component, records, &url, &url)?))
}

impl Example {
    fn component(&self, edit: impl Fn(&str, String) -> String) -> Result<PathBuf> {
        let example = checkout().join("examples").join(self.folder);
        let scratch = Scratch::new()?;
        let mut hasher = DefaultHasher::new();
        for (name, text) in files(&example.join("src"), self.extension)? {
            let text = edit(&name, text);
            (&name, &text).hash(&mut hasher);
            scratch.write(&format!("src/{name}"), text)?;
        }
        for folder in [checkout().join("wit"), checkout().join("host/src/kit/wasi")] {
            files(&folder, "wit")?.hash(&mut hasher);
        }
        for file in ["build", self.tools, "../../host/src/kit/wit.rs"] {
            fs::read(example.join(file)).with_context(|| file.to_owned())?.hash(&mut hasher);
        }
        let work = target()?.join(self.folder);
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
            let script = example.join("build");
            let mut build = Command::new(&script);
            build.arg(&fresh).env("WORK", &work).env("SOURCE", scratch.path("src")).env("PATH", std::env::join_paths(path)?);
            let output = build.stdin(Stdio::null()).output().with_context(|| format!("cannot run {}", script.display()))?;
            ensure!(output.status.success(), "{}:\n{}", script.display(), String::from_utf8_lossy(&output.stderr));
            fs::rename(&fresh, &built)?;
        }
        Ok(built)
    }
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
