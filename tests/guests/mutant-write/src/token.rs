//! The access token that a mutant shows its far side.

use std::fs;

use crate::{
    bindings::wharf::connector::{
        tokens,
        types::{Failure, FailureKind},
    },
    shared::{KEPT, failure},
};

/// The one that it is given, or for a fault the first that it was ever given.
pub fn shown(fault: &str) -> Result<String, Failure> {
    let kept = format!("{KEPT}/token");
    if fault == "keeps-its-token"
        && let Ok(token) = fs::read_to_string(&kept)
    {
        return Ok(token);
    }
    let token = tokens::get("crm").map_err(|refusal| failure(FailureKind::Fatal, format!("no token: {refusal:?}")))?;
    if fault == "keeps-its-token" {
        fs::write(kept, &token).expect("keeps the token");
    }
    Ok(token)
}
