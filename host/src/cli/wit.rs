//! `wharf wit`.

use std::path::Path;

use serde_json::json;

use super::{Output, SETTLED, refusal::Refusal, stdout};
use crate::kit::wit;

/// Writes the contract for another language's tools.
pub fn wit(folder: &Path, force: bool, output: Output) -> Result<u8, Refusal> {
    let written = wit::write(folder, force)?;
    match output {
        Output::Json => {
            let packages: Vec<_> =
                written.packages.iter().map(|(name, version)| json!({"name": name, "version": version})).collect();
            let worlds: Vec<_> = wit::WORLDS.iter().map(|(name, _)| name).collect();
            stdout::document(&json!({"folder": folder, "packages": packages, "worlds": worlds, "world_kept": written.kept}));
        }
        Output::Text => {
            let named: Vec<_> = written.packages.iter().map(|(name, version)| format!("{name}@{version}")).collect();
            let kept = if written.kept { " (kept as it was)" } else { "" };
            let mut text = format!("{}: world.wit{kept}, and in deps/ {}\n", folder.display(), named.join(", "));
            for (name, summary) in wit::WORLDS {
                text.push_str(&format!("  {name}: {summary}\n"));
            }
            stdout::text(&text);
        }
    }
    Ok(SETTLED)
}
