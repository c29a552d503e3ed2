//! What the pipeline file grants, held against what the connector asks for.

use super::error::PlanError;
use crate::{
    config::{self, Access, Place},
    connector::descriptor::Request,
    sandbox::{Directories, Grants},
};

/// Finds out what is granted. What cannot be is told with its place.
pub(super) fn granted(destination: &str, place: &Place, given: &config::Grants, errors: &mut Vec<PlanError>) -> Grants {
    let mut grants = Grants::default();
    match Directories::find(given.directories.iter().map(|grant| &grant.value)) {
        Ok(found) => grants.directories = found,
        Err((index, cause)) => {
            let place = given.directories.get(index).map_or(place, |grant| &grant.place).clone();
            errors.push(PlanError::Directory { destination: destination.to_owned(), place, cause });
        }
    }
    grants
}

/// What is short of a request.
pub(super) struct Short {
    /// What the connector asks for, in words.
    pub what: String,
    /// `not granted`, or what is short of it.
    pub how: &'static str,
    /// What to write into the pipeline file.
    pub remedy: String,
}

/// What a request lacks; `None` where it is granted. A kind of request that this host does not know is nobody's to grant.
pub(super) fn short(request: &Request, pattern: &str, grants: &Grants) -> Option<Result<Short, String>> {
    match request.capability.as_str() {
        "directory" => directory(pattern, &grants.directories).map(Ok),
        other => Some(Err(format!("{other} {pattern}"))),
    }
}

fn directory(guest: &str, granted: &Directories) -> Option<Short> {
    if granted.allow(guest, Access::ReadWrite) {
        return None;
    }
    let (how, remedy) = if granted.allow(guest, Access::ReadOnly) {
        ("granted for reading alone", format!("add `access: read-write` to the grant of {guest}"))
    } else {
        (
            "not granted",
            format!("add under `grants:`\n  directories:\n    - {{ host: PATH, guest: {guest}, access: read-write }}"),
        )
    };
    Some(Short { what: format!("the directory {guest}"), how, remedy })
}
