//! A component built of a crate: cargo, with the right target and flags, and whatever is missing explained.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use super::Trouble;
use crate::connector::binary;

/// What components are compiled to.
pub const TARGET: &str = "wasm32-wasip2";

/// How thoroughly to build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// As it is shipped: one unit, linked as a whole, without what only a debugger reads. Names stay, for backtraces.
    #[default]
    Shipped,
    /// As soon as can be, for the next look at it.
    Quick,
}

/// A component that was built.
#[derive(Debug, PartialEq, Eq)]
pub struct Built {
    /// Where it is.
    pub component: PathBuf,
    /// Its bytes.
    pub size: u64,
    /// The crate's name.
    pub name: String,
    /// The crate's version.
    pub version: String,
}

/// Builds the crate of a folder. What cargo has to say goes to standard error.
///
/// # Errors
/// Where there is no crate, or it makes no component; where cargo or its target is missing; where it does not compile, or is no connector.
pub fn build(folder: &Path, effort: Effort) -> Result<Built, Trouble> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.exists() {
        return Err(Trouble::hint_of(
            format!("there is no Cargo.toml in {}", folder.display()),
            "name the folder of a connector's crate; `wharf new NAME` writes one",
        ));
    }
    let manifest =
        manifest.canonicalize().map_err(|error| Trouble::new(format!("cannot read {}: {error}", manifest.display())))?;
    let folder = manifest.parent().unwrap_or(folder);
    let (name, version) = package(folder, &manifest)?;
    target_is_there(folder)?;

    let mut cargo = Command::new("cargo");
    cargo.current_dir(folder).args([
        "build",
        "--lib",
        "--release",
        "--target",
        TARGET,
        "--message-format",
        "json-render-diagnostics",
    ]);
    cargo.arg("--manifest-path").arg(&manifest);
    let settings = match effort {
        Effort::Shipped => ["lto=true", "codegen-units=1", "strip=\"debuginfo\"", "incremental=false"],
        Effort::Quick => ["lto=false", "codegen-units=16", "strip=\"debuginfo\"", "incremental=true"],
    };
    for setting in settings {
        cargo.args(["--config", &format!("profile.release.{setting}")]);
    }
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(no_cargo)?;
    if !output.status.success() {
        return Err(Trouble::failed(format!("{name} {version} does not build"), "mend what cargo says above"));
    }
    let component = artifact(&output.stdout, &manifest).ok_or_else(|| {
        Trouble::failed(format!("cargo built {name} {version}, and names no component"), "look at what cargo says above")
    })?;
    let bytes = fs::read(&component).map_err(|error| Trouble::new(format!("cannot read {}: {error}", component.display())))?;
    if let Err(cause) = binary::outline(&bytes) {
        return Err(Trouble::failed(format!("{} {cause}", component.display()), cause.hint()));
    }
    Ok(Built { component, size: bytes.len() as u64, name, version })
}

/// Name and version of the package that a manifest is of, which has to make a component.
fn package(folder: &Path, manifest: &Path) -> Result<(String, String), Trouble> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(folder).args(["metadata", "--no-deps", "--format-version", "1"]).arg("--manifest-path").arg(manifest);
    let output = ran(&mut cargo)?;
    let document: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| Trouble::new(format!("cannot read what cargo says: {error}")))?;
    let packages: Vec<&Value> = document["packages"].as_array().into_iter().flatten().collect();
    let is = |package: &&&Value| package["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest);
    let Some(package) = packages.iter().find(is) else {
        let named: Vec<String> = packages.iter().filter_map(|package| Some(format!("`{}`", package["name"].as_str()?))).collect();
        return Err(Trouble::hint_of(
            format!("{} is a workspace and no crate", manifest.display()),
            format!("name the folder of one of its crates: {}", named.join(", ")),
        ));
    };
    let text = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
    let kinds = package["targets"].as_array().into_iter().flatten().flat_map(|target| target["crate_types"].as_array());
    if !kinds.flatten().any(|kind| kind == "cdylib") {
        return Err(Trouble::hint_of(
            format!("the crate {} makes no component: it is no `cdylib`", text("name")),
            format!("write in {}\n  [lib]\n  crate-type = [\"cdylib\", \"rlib\"]", manifest.display()),
        ));
    }
    Ok((text("name"), text("version")))
}

/// The standard library for the target has to be installed.
fn target_is_there(folder: &Path) -> Result<(), Trouble> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(folder).args(["--print", "target-libdir", "--target", TARGET]);
    let output = ran(&mut rustc)?;
    let libraries = String::from_utf8_lossy(&output.stdout);
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    Err(Trouble::hint_of(
        format!("the Rust target {TARGET} is not installed"),
        format!(
            "`rustup target add {TARGET}` installs it; in rust-toolchain.toml, `targets = [\"{TARGET}\"]` has it installed for everybody"
        ),
    ))
}

/// Runs a short-lived tool to its end, silently.
fn ran(command: &mut Command) -> Result<Output, Trouble> {
    let output = command.stdin(Stdio::null()).output().map_err(no_cargo)?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Trouble::failed(format!("cargo does not understand the crate: {}", said.trim()), "mend what it says"))
}

fn no_cargo(error: io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::NotFound => Trouble::hint_of(
            "cargo and rustc, which build the component, are not on the PATH",
            "install Rust with rustup, or open a new shell where it was just installed",
        ),
        _ => Trouble::new(format!("cannot run cargo: {error}")),
    }
}

/// The component among what cargo says that it made.
fn artifact(messages: &[u8], manifest: &Path) -> Option<PathBuf> {
    let messages = messages.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let made = messages.filter(|message| {
        message["reason"] == "compiler-artifact"
            && message["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest)
    });
    let files = made.flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default());
    files
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}
