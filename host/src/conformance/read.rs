//! Reads back what was delivered, and runs the commands of a suite file.

use std::{io, path::Path, process::Stdio, time::Duration};

use tokio::process::Command;

/// How long a command of a suite file may take.
const COMMAND: Duration = Duration::from_secs(60);

/// What a command of the suite file printed on standard output; it runs in the suite file's folder.
///
/// # Errors
/// Where it cannot be run, takes too long, or ends with another code than 0: what it printed on standard error.
pub(super) async fn command(line: &str, folder: &Path, variables: &[(String, String)]) -> Result<Vec<u8>, String> {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(line).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let output = tokio::time::timeout(COMMAND, command.output()).await;
    let output = output.map_err(|_| format!("`{line}` took longer than {} s", COMMAND.as_secs()))?;
    let output = output.map_err(|error| format!("`{line}` cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(match said.trim() {
        "" => format!("`{line}` ended with {}, and said nothing", output.status),
        said => format!("`{line}` ended with {}: {said}", output.status),
    })
}

/// The lines of all files of a folder whose names fit, in order of name.
///
/// # Errors
/// What the system says, naming the path.
pub(super) fn directory(folder: &Path, files: Option<&str>) -> Result<Vec<Vec<u8>>, String> {
    let told = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", folder.display());
    let pattern = files.map(glob::Pattern::new).transpose().map_err(|error| told(&error))?;
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| told(&error))? {
        let entry = entry.map_err(|error| told(&error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let hidden = name.starts_with('.') && pattern.is_none();
        if entry.path().is_file() && !hidden && pattern.as_ref().is_none_or(|pattern| pattern.matches(&name)) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    let mut records = Vec::new();
    for path in paths {
        records.extend(lines(&std::fs::read(&path).map_err(|error| told(&error))?));
    }
    Ok(records)
}

/// Removes all that a folder holds; it is made where it is not there.
///
/// # Errors
/// What the system says.
pub(super) fn empty(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { std::fs::remove_dir_all(entry.path())? } else { std::fs::remove_file(entry.path())? }
    }
    Ok(())
}

/// What stands between line breaks; a last line that is empty is none.
pub(super) fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines
}

/// Whether two records are one: byte for byte, or as JSON.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    one == other || json(one).is_some_and(|one| Some(one) == json(other))
}
