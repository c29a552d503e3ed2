//! `cargo xtask build`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::shell::{cargo, checkout, printed, run};

const TARGET: &str = "wasm32-wasip2";

/// Builds the program and every connector, and gives the program's path.
pub fn build(release: bool) -> Result<PathBuf> {
    ensure_target()?;
    let mut program = cargo();
    // With the features that the tests need too, so that nothing large is built twice.
    program.args(["build", "--workspace", "--bin", "wharf"]);
    if release {
        program.arg("--release");
    }
    run(&mut program)?;
    let target = target_folder()?;
    connectors(&target)?;
    Ok(target.join(if release { "release" } else { "debug" }).join("wharf"))
}

/// Builds every connector into the checkout's own `target/connectors`, wherever cargo builds: there the examples look.
fn connectors(target: &Path) -> Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(checkout().join("connectors")).context("cannot list connectors/")? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    let mut components = cargo();
    components.args(["build", "--target", TARGET, "--profile", "component"]);
    for name in &names {
        components.args(["--package", &format!("wharf-{name}")]);
    }
    run(&mut components)?;
    let into = checkout().join("target/connectors");
    fs::create_dir_all(&into).with_context(|| format!("cannot make {}", into.display()))?;
    for name in names {
        let built = target.join(TARGET).join("component").join(format!("wharf_{}.wasm", name.replace('-', "_")));
        let placed = into.join(format!("{name}.wasm"));
        fs::copy(&built, &placed).with_context(|| format!("cannot copy {} to {}", built.display(), placed.display()))?;
    }
    Ok(())
}

/// Sees that what components are built with is there: the standard library, and a compiler of what of a connector is in C.
pub fn ensure_target() -> Result<()> {
    if Command::new("clang").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        bail!(
            "clang is missing, which compiles to WebAssembly what of a connector is in C; on Debian `apt-get install clang` installs it"
        );
    }
    let libraries =
        printed(Command::new("rustc").current_dir(checkout()).args(["--print", "target-libdir", "--target", TARGET]))?;
    if Path::new(libraries.trim()).exists() {
        return Ok(());
    }
    let added = run(Command::new("rustup").current_dir(checkout()).args(["target", "add", TARGET]));
    if added.is_err() {
        bail!("the Rust target {TARGET} is missing; `rustup target add {TARGET}` installs it");
    }
    Ok(())
}

/// Where cargo builds, which `CARGO_TARGET_DIR` may name.
fn target_folder() -> Result<PathBuf> {
    let metadata = printed(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("cargo metadata printed no JSON")?;
    metadata["target_directory"].as_str().map(PathBuf::from).context("cargo metadata names no target folder")
}
