//! What the pipeline file grants, held against what the connector asks for.

use std::sync::Arc;

use super::error::PlanError;
use crate::{
    config::{self, Access, HostPort, Place, Size},
    connector::descriptor::Request,
    sandbox::{Directories, Grants, Sockets, State, address::Resolver},
};

/// Finds out what is granted. What cannot be is told with its place.
pub(super) fn granted(
    destination: &str,
    place: &Place,
    given: &config::Grants,
    resolver: &Arc<dyn Resolver>,
    errors: &mut Vec<PlanError>,
) -> Grants {
    let mut grants = Grants::default();
    match Directories::find(given.directories.iter().map(|grant| &grant.value)) {
        Ok(found) => grants.directories = found,
        Err((index, cause)) => {
            let place = given.directories.get(index).map_or(place, |grant| &grant.place).clone();
            errors.push(PlanError::Directory { destination: destination.to_owned(), place, cause });
        }
    }
    grants.state = given.state.as_ref().map(State::granted);
    grants.sockets = Sockets::granted(given.tcp.iter().map(|grant| &grant.value), resolver.clone());
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
        "state" => state(pattern, grants.state.as_ref()).map(Ok),
        "tcp" => tcp(pattern, &grants.sockets).map(Ok),
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

/// A connector asks for so many bytes, or for none in particular.
fn state(pattern: &str, granted: Option<&State>) -> Option<Short> {
    let asked: Option<Size> = pattern.parse().ok();
    let what = match asked {
        Some(size) => format!("{size} of state"),
        None => "durable state".to_owned(),
    };
    let size = asked.unwrap_or(Size::from_mib(1));
    match granted {
        None => Some(Short { what, how: "not granted", remedy: format!("add under `grants:`\n  state: {{ bytes: {size} }}") }),
        Some(granted) if asked.is_some_and(|asked| asked > granted.bytes()) => {
            Some(Short { what, how: "granted with less", remedy: format!("raise `bytes` of the grant `state` to {size}") })
        }
        Some(_) => None,
    }
}

fn tcp(pattern: &str, granted: &Sockets) -> Option<Short> {
    let what = format!("TCP connections to {pattern}");
    match pattern.parse::<HostPort>() {
        Ok(to) if granted.allow(&to) => None,
        Ok(to) => {
            let private = "a name that leads into a private network is granted as `{ to: …, private: true }`";
            Some(Short { what, how: "not granted", remedy: format!("add under `grants:`\n  tcp:\n    - \"{to}\"\n{private}") })
        }
        // A setting that was filled in, or the connector's own fault.
        Err(cause) => {
            let remedy = format!("correct the settings that it is made of, or ask the connector's author: it {cause}");
            Some(Short { what, how: "nothing that can be granted", remedy })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_of_a_request_for_state_comes_with_the_lines_to_write() {
        let request = Request { capability: "state".into(), pattern: String::new(), reason: String::new() };
        let short = |pattern: &str, granted: Option<u64>| {
            let grant = |mib| State::granted(&config::State { bytes: Size::from_mib(mib), keys: 1 });
            let grants = Grants { state: granted.map(grant), ..Grants::default() };
            short(&request, pattern, &grants).map(|short| {
                let Short { what, how, remedy } = short.unwrap();
                format!("{what}: {how}: {remedy}")
            })
        };
        let lines = "not granted: add under `grants:`\n  state: { bytes:";
        assert_eq!(short("", None), Some(format!("durable state: {lines} 1MiB }}")));
        assert_eq!(short("16MiB", None), Some(format!("16MiB of state: {lines} 16MiB }}")));
        let raise = "16MiB of state: granted with less: raise `bytes` of the grant `state` to 16MiB";
        assert_eq!(short("16MiB", Some(15)).as_deref(), Some(raise));
        for (pattern, granted) in [("16MiB", 16), ("", 1), ("16MiB", 17)] {
            assert_eq!(short(pattern, Some(granted)), None);
        }
    }
}
