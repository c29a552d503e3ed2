//! `wharf new`.

use std::path::Path;

use clap::ValueEnum;
use serde_json::json;

use super::{Output, SETTLED, refusal::Refusal, stdout};
use crate::kit::new::{self, Written};

/// What a new connector is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A destination that is written to.
    #[default]
    Write,
    /// A destination that takes files.
    Bulk,
    /// What changes records on their way.
    Processor,
}

/// Writes a crate to begin with.
pub fn new(folder: &Path, kind: Kind, sdk: Option<&Path>, output: Output) -> Result<u8, Refusal> {
    let kind = match kind {
        Kind::Write => new::Kind::Write,
        Kind::Bulk => new::Kind::Bulk,
        Kind::Processor => new::Kind::Processor,
    };
    let Written { name, component, files } = new::write(folder, kind, sdk)?;
    match output {
        Output::Json => stdout::document(&json!({"name": name, "folder": folder, "component": component, "files": files})),
        Output::Text => {
            let folder = folder.display();
            stdout::text(&format!("{name}: {files} files in {folder}\n  next: cd {folder} && cargo test && wharf build\n"));
        }
    }
    Ok(SETTLED)
}
