//! `wharf build`.

use std::path::Path;

use serde_json::json;

use super::{Output, SETTLED, STOPPED, numbers::grouped, refusal::Refusal, stdout};
use crate::kit::build::{self, Built, Effort};

/// Builds a component.
pub fn build(folder: &Path, quick: bool, output: Output) -> Result<u8, Refusal> {
    let Built { component, size, name, version } = match build::build(folder, if quick { Effort::Quick } else { Effort::Shipped })
    {
        Ok(built) => built,
        Err(trouble) if trouble.is_failure() => {
            let _code = Refusal::from(trouble).print(output);
            return Ok(STOPPED);
        }
        Err(trouble) => return Err(trouble.into()),
    };
    match output {
        Output::Json => {
            stdout::document(&json!({"name": name, "version": version, "component": component, "size": size}));
        }
        Output::Text => {
            stdout::text(&format!("{name} {version}: {} ({} bytes)\n", component.display(), grouped(size)));
        }
    }
    Ok(SETTLED)
}
