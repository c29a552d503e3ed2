//! `cargo xtask demo`: a real file, delivered to a real component, and a look at what arrived.

use std::{fs, io::ErrorKind, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    build::build,
    shell::{checkout, run},
};

/// Runs the example from the beginning.
pub fn demo() -> Result<()> {
    let program = build(false)?;
    let examples = checkout().join("examples");
    let (data_dir, out) = (checkout().join("target/demo"), examples.join("out"));
    emptied(&data_dir)?;
    emptied(&out)?;
    println!("$ wharf run examples/earthquakes.yaml");
    run(Command::new(program)
        .current_dir(checkout())
        .arg("run")
        .arg(examples.join("earthquakes.yaml"))
        .arg("--data-dir")
        .arg(&data_dir))?;
    compared(&examples.join("data/earthquakes.ndjson"), &out)
}

/// Empties a folder of everything but what git ignores there on purpose.
fn emptied(folder: &Path) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("cannot list {}", folder.display()))?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.ends_with(".gitignore") {
            continue;
        }
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Holds what arrived against what was read: the same lines, byte for byte.
fn compared(read: &Path, out: &Path) -> Result<()> {
    let mut arrived = Vec::new();
    let mut files = 0;
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "ndjson") {
            files += 1;
            arrived.extend(fs::read(&path)?);
        }
    }
    let original = fs::read(read)?;
    let sorted = |bytes: &[u8]| {
        let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        lines.sort();
        lines
    };
    let lines = sorted(&arrived);
    ensure!(lines == sorted(&original), "what arrived in {} is not what was read from {}", out.display(), read.display());
    println!("examples/out: {} lines in {files} files, the same as were read, byte for byte", lines.len());
    Ok(())
}
