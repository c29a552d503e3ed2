//! Helpers for the tests of the whole program: real components, built from the checkout, and the program as people run it.

pub mod far;
pub mod host;
#[path = "../vendors/imports.rs"]
pub mod imports;
pub mod issuer;
pub mod json;
pub mod languages;
pub mod page;
pub mod postgres;
pub mod web;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// The checkout's own folder.
pub fn checkout() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// Whether the full counts of kills, cases and seeds are due, as `cargo xtask test --long` asks.
pub fn long() -> bool {
    std::env::var_os("WHARF_TEST_LONG").is_some()
}

/// The program, built as it stands.
///
/// # Errors
/// Where it does not build.
pub fn program() -> Result<PathBuf> {
    static BUILT: OnceLock<Mutex<Option<PathBuf>>> = OnceLock::new();
    let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = &*built {
        return Ok(program.clone());
    }
    cargo(&["build", "--workspace", "--bin", "wharf"])?;
    let program = target()?.join("debug/wharf");
    *built = Some(program.clone());
    Ok(program)
}

/// A component of the checkout, built as it stands: a connector (`wharf-file`) or a test's guest (`guest-loops`).
///
/// # Errors
/// Where it does not build.
pub fn component(package: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Mutex<HashMap<String, PathBuf>>> = OnceLock::new();
    let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(component) = built.get(package) {
        return Ok(component.clone());
    }
    cargo(&["build", "--target", "wasm32-wasip2", "--profile", "component", "--package", package])?;
    let component = target()?.join("wasm32-wasip2/component").join(format!("{}.wasm", package.replace('-', "_")));
    built.insert(package.to_owned(), component.clone());
    Ok(component)
}

fn cargo(arguments: &[&str]) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output = cargo.current_dir(checkout()).args(arguments).output().context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo {}:\n{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Where cargo builds: the folder that holds the running test, up to its profile's.
///
/// # Errors
/// Where the test does not stand in one.
pub fn target() -> Result<PathBuf> {
    let test = std::env::current_exe().context("cannot find this test's own file")?;
    let profile = test.ancestors().find(|folder| folder.ends_with("debug") || folder.ends_with("release"));
    let target = profile.and_then(Path::parent).context("this test does not stand in a target folder")?;
    Ok(target.to_owned())
}

/// Where all tests keep compiled components.
///
/// # Errors
/// Where the running test does not stand in a target folder.
pub fn cache() -> Result<PathBuf> {
    Ok(target()?.join("test-cache"))
}

/// A folder of a test's own, with a pipeline file and what belongs to it; gone at the end.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// An empty folder.
    ///
    /// # Errors
    /// Where none can be made.
    pub fn new() -> Result<Self> {
        Ok(Self { folder: TempDir::with_prefix("wharf-")? })
    }

    /// A path in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and makes the folders that it stands in.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, content)?;
        Ok(path)
    }

    /// The program with these arguments, in this folder, with a cache of compiled components that all tests share, to be run.
    ///
    /// # Errors
    /// Where the program does not build.
    pub fn wharf(&self, arguments: &[&str]) -> Result<Command> {
        let mut wharf = Command::new(program()?);
        wharf.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null()).env_remove("WHARF_LOG");
        wharf.env("WHARF_CACHE_DIR", cache()?);
        Ok(wharf)
    }

    /// Runs the program to its end.
    ///
    /// # Errors
    /// Where the program does not build or start.
    pub fn run(&self, arguments: &[&str]) -> Result<Ran> {
        Ok(self.wharf(arguments)?.output()?.into())
    }
}

/// What the program printed and how it ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ran {
    /// Standard output as the one JSON document that it is.
    ///
    /// # Errors
    /// Where it is not one.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON document:\n{}\n{}", self.stdout, self.stderr))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
