//! What the pipeline file grants, held against what the connector asks for.

use std::sync::Arc;

use super::{
    error::{Part, PlanError},
    remedy::{Remedy, scalar},
};
use crate::{
    config::{self, Access, HostName, HostPort, Origin, Pattern, Place, Secret, Size},
    connector::{Opening, descriptor::Request},
    sandbox::{Broker, Directories, Grants, Http, Kept, Redactor, Sockets, State, TokenSource, Tokens, address::Resolver},
};

/// What grants are made with.
pub(super) struct Means<'a> {
    /// Looks up the names of hosts.
    pub resolver: &'a Arc<dyn Resolver>,
    /// What is the host's own.
    pub kept: &'a [Kept],
    /// Hands out access tokens.
    pub tokens: &'a Arc<Broker>,
}

/// Finds out what is granted. What cannot be is told with its place. `secrets` are what the settings hold.
pub(super) fn granted(
    part: &Part,
    place: &Place,
    given: &config::Grants,
    means: &Means<'_>,
    mut secrets: Vec<Secret>,
    errors: &mut Vec<PlanError>,
) -> Grants {
    let Means { resolver, kept, tokens } = *means;
    let mut grants = Grants::default();
    let found = Directories::find(given.directories.iter().map(|grant| &grant.value));
    let found = found.and_then(|found| found.apart_from(kept).map(|()| found));
    let found = found.and_then(|found| match given.scratch {
        Some(quota) => found.with_scratch(quota).map_err(|cause| (usize::MAX, cause)),
        None => Ok(found),
    });
    match found {
        Ok(found) => grants.directories = found,
        Err((index, cause)) => {
            let place = given.directories.get(index).map_or(place, |grant| &grant.place).clone();
            errors.push(PlanError::Directory { part: part.clone(), place, cause });
        }
    }
    grants.state = given.state.as_ref().map(State::granted);
    grants.sockets = Sockets::granted(given.tcp.iter().map(|grant| &grant.value), resolver.clone());
    let source: Arc<dyn TokenSource> = tokens.clone();
    match Http::open(given.http.iter().map(|grant| &grant.value), resolver.clone(), Some(&source), &mut secrets) {
        Ok(http) => grants.http = http,
        Err((index, cause)) => {
            let place = given.http.get(index).map_or(place, |grant| &grant.place).clone();
            errors.push(PlanError::Http { part: part.clone(), place, cause });
        }
    }
    grants.redactor = Redactor::new(secrets.iter().map(Secret::expose));
    grants.tokens = Tokens::granted(given.tokens.iter().map(ToString::to_string), source);
    grants
}

/// What a part is granted and one before it in the pipeline is granted as well, where it must not be.
pub(super) fn beside(
    part: &Part,
    place: &Place,
    opening: &Opening,
    given: &config::Grants,
    before: &[Directories],
) -> Option<PlanError> {
    let granted = &opening.grants.directories;
    let (index, cause) = before.iter().find_map(|other| granted.beside(other).err())?;
    let place = given.directories.get(index).map_or(place, |grant| &grant.place).clone();
    Some(PlanError::Directory { part: part.clone(), place, cause })
}

/// What is short of a request.
pub(super) struct Short {
    /// What the connector asks for, in words.
    pub what: String,
    /// `not granted`, or what is short of it.
    pub how: &'static str,
    /// What to write into the pipeline file.
    pub remedy: Remedy,
}

/// What a request lacks; `None` where it is granted. A kind of request that this host does not know is nobody's to grant.
pub(super) fn short(request: &Request, pattern: &str, grants: &Grants) -> Option<Result<Short, String>> {
    match request.capability.as_str() {
        "directory" => directory(pattern, &grants.directories).map(Ok),
        "token" => token(pattern, &grants.tokens).map(Ok),
        "state" => state(pattern, grants.state.as_ref()).map(Ok),
        "tcp" => tcp(pattern, &grants.sockets).map(Ok),
        "scratch" => scratch(pattern, &grants.directories).map(Ok),
        "http" => http(pattern, &grants.http),
        other => Some(Err(format!("{other} {pattern}"))),
    }
}

fn directory(guest: &str, granted: &Directories) -> Option<Short> {
    if granted.allow(guest, Access::ReadWrite) {
        return None;
    }
    let only_read = granted.allow(guest, Access::ReadOnly);
    let guest = scalar(guest);
    let (how, remedy) = if only_read {
        ("granted for reading alone", Remedy::Words(format!("add `access: read-write` to the grant of {guest}")))
    } else {
        let entry = format!("{{ host: PATH, guest: {guest}, access: read-write }}");
        ("not granted", Remedy::Entry { list: "directories", entry, note: None })
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
        None => Some(Short { what, how: "not granted", remedy: Remedy::Key(format!("state: {{ bytes: {size} }}")) }),
        Some(granted) if asked.is_some_and(|asked| asked > granted.bytes()) => {
            let remedy = Remedy::Words(format!("raise `bytes` of the grant `state` to {size}"));
            Some(Short { what, how: "granted with less", remedy })
        }
        Some(_) => None,
    }
}

fn tcp(pattern: &str, granted: &Sockets) -> Option<Short> {
    let what = format!("TCP connections to {pattern}");
    match pattern.parse::<HostPort>() {
        Ok(to) if granted.allow(&to) => None,
        Ok(to) => {
            let (entry, note) = match to.host.name() {
                Some(_) if to.host.is_local() => (format!("{{ to: \"{to}\", private: true }}"), None),
                Some(_) => (format!("\"{to}\""), Some("where that leads into a private network: { to: …, private: true }")),
                None => (format!("\"{to}\""), None),
            };
            Some(Short { what, how: "not granted", remedy: Remedy::Entry { list: "tcp", entry, note } })
        }
        // A setting that was filled in, or the connector's own fault.
        Err(cause) => {
            let remedy = format!("correct the settings that it is made of, or ask the connector's author: it {cause}");
            Some(Short { what, how: "nothing that can be granted", remedy: Remedy::Words(remedy) })
        }
    }
}

/// A private directory, of at least so many bytes where the pattern is a size.
fn scratch(pattern: &str, granted: &Directories) -> Option<Short> {
    let wanted: Option<Size> = pattern.parse().ok();
    let size = wanted.map_or_else(|| "1GiB".to_owned(), |wanted| wanted.to_string());
    let (how, remedy) = match granted.scratch() {
        Some(granted) if wanted.is_none_or(|wanted| wanted <= granted) => return None,
        Some(_) => ("granted, but smaller", Remedy::Words(format!("raise the grant `scratch` to {size}"))),
        None => ("not granted", Remedy::Key(format!("scratch: {size}"))),
    };
    Some(Short { what: format!("a scratch directory of {size}"), how, remedy })
}

/// A request names a pattern, or a URL of which scheme, host and port count.
fn http(wanted: &str, granted: &Http) -> Option<Result<Short, String>> {
    let missing = |to: String, is_local: bool| {
        let entry = if is_local { format!("{{ to: '{to}', private: true }}") } else { format!("'{to}'") };
        let remedy = Remedy::Entry { list: "http", entry, note: None };
        Some(Ok(Short { what: format!("HTTP requests to {to}"), how: "not granted", remedy }))
    };
    match (wanted.parse::<Origin>(), wanted.parse::<Pattern>()) {
        (Ok(origin), _) if granted.allow(&origin) => None,
        (Ok(origin), _) => missing(origin.to_string(), origin.host.is_local()),
        (Err(_), Ok(pattern)) if granted.allow_all(&pattern) => None,
        (Err(_), Ok(pattern)) => missing(pattern.to_string(), pattern.host().is_some_and(HostName::is_local)),
        (Err(cause), Err(_)) => Some(Err(format!("HTTP requests to a place that {cause}"))),
    }
}

/// A connector asks for the tokens of a provider by the name that the operator is to give it, or of any.
fn token(provider: &str, granted: &Tokens) -> Option<Short> {
    let is_name = provider.parse::<config::Id>().is_ok();
    let is_granted = if is_name { granted.of(provider).is_some() } else { !granted.is_empty() };
    if is_granted {
        return None;
    }
    let (what, name) = match is_name {
        true => (format!("access tokens of {provider}"), provider),
        false => ("access tokens".to_owned(), "NAME"),
    };
    Some(Short { what, how: "not granted", remedy: Remedy::Token(name.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines where nothing else is granted and there is no provider.
    fn lines(remedy: Remedy) -> String {
        crate::plan::remedy::told(&[remedy], "destination", &config::Grants::default(), &[])
    }

    #[test]
    fn what_is_short_of_a_request_for_scratch_comes_with_the_lines_to_write() {
        let request = Request { capability: "scratch".into(), pattern: String::new(), reason: String::new() };
        let short = |pattern: &str, granted: Option<u64>| {
            let directories = Directories::default();
            let directories = granted.map_or(Ok(Directories::default()), |mib| directories.with_scratch(Size::from_mib(mib)));
            let grants = Grants { directories: directories.unwrap(), ..Grants::default() };
            short(&request, pattern, &grants).map(|short| {
                let Short { what, how, remedy } = short.unwrap();
                format!("{what}: {how}: {}", lines(remedy))
            })
        };
        let paste = "write in the destination\n  grants:\n    scratch:";
        assert_eq!(short("", None), Some(format!("a scratch directory of 1GiB: not granted: {paste} 1GiB")));
        assert_eq!(short("64MiB", None), Some(format!("a scratch directory of 64MiB: not granted: {paste} 64MiB")));
        assert_eq!(
            short("64MiB", Some(63)),
            Some("a scratch directory of 64MiB: granted, but smaller: raise the grant `scratch` to 64MiB".into())
        );
        for (pattern, granted) in [("64MiB", 64), ("", 1), ("64MiB", 65)] {
            assert_eq!(short(pattern, Some(granted)), None);
        }
    }

    #[test]
    fn what_is_short_of_a_request_for_state_comes_with_the_lines_to_write() {
        let request = Request { capability: "state".into(), pattern: String::new(), reason: String::new() };
        let short = |pattern: &str, granted: Option<u64>| {
            let grant = |mib| State::granted(&config::State { bytes: Size::from_mib(mib), keys: 1 });
            let grants = Grants { state: granted.map(grant), ..Grants::default() };
            short(&request, pattern, &grants).map(|short| {
                let Short { what, how, remedy } = short.unwrap();
                format!("{what}: {how}: {}", lines(remedy))
            })
        };
        let paste = "not granted: write in the destination\n  grants:\n    state: { bytes:";
        assert_eq!(short("", None), Some(format!("durable state: {paste} 1MiB }}")));
        assert_eq!(short("16MiB", None), Some(format!("16MiB of state: {paste} 16MiB }}")));
        let raise = "16MiB of state: granted with less: raise `bytes` of the grant `state` to 16MiB";
        assert_eq!(short("16MiB", Some(15)).as_deref(), Some(raise));
        for (pattern, granted) in [("16MiB", 16), ("", 1), ("16MiB", 17)] {
            assert_eq!(short(pattern, Some(granted)), None);
        }
    }

    #[test]
    fn what_is_short_of_a_request_for_tokens_comes_with_the_lines_to_write() {
        let request = Request { capability: "token".into(), pattern: String::new(), reason: String::new() };
        let short = |pattern: &str, granted: &[&str]| {
            let broker = Arc::new(Broker::default());
            let tokens = Tokens::granted(granted.iter().map(ToString::to_string), broker);
            short(&request, pattern, &Grants { tokens, ..Grants::default() }).map(Result::unwrap)
        };
        let crm = short("crm", &["sales"]).unwrap();
        assert_eq!((crm.what.as_str(), crm.how), ("access tokens of crm", "not granted"));
        let described = "write in the destination\n  grants:\n    tokens:\n      - crm\nadd at the top of the file\n  tokens:\n    - { id: crm,";
        assert!(lines(crm.remedy).starts_with(described));
        let any = short("", &[]).unwrap();
        assert_eq!(any.what, "access tokens");
        assert!(lines(any.remedy).contains("      - NAME\n"));
        for (pattern, granted) in [("crm", "crm"), ("", "crm"), ("No Name", "crm")] {
            assert!(short(pattern, &[granted]).is_none());
        }
    }
}
