//! What an operator grants, as texts: hosts, ports, patterns of HTTP addresses, and folders as a component sees them.

use std::path::Path;

use url::{Host, Url};
use wharf::config::{self, HostName, HostPort, Origin, Pattern};

/// The first byte says what the others are.
pub fn holds(bytes: &[u8]) {
    let Some((kind, text)) = bytes.split_first() else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    match kind % 6 {
        0 => host(text),
        1 => guest(text),
        2 => host_and_port(text),
        3 => pattern(text),
        4 => origin(text),
        _ => {
            if let Some((pattern, url)) = text.split_once('\n') {
                fits(pattern, url);
            }
        }
    }
}

/// A host has one spelling, and whoever else reads URLs reads the same host.
fn host(text: &str) {
    let host: HostName = match text.parse() {
        Ok(host) => host,
        Err(error) => return super::readable(&error.to_string(), 200),
    };
    let shown = host.to_string();
    assert_eq!(shown, text.to_ascii_lowercase(), "put right silently");
    assert_eq!(shown.parse().as_ref(), Ok(&host));
    assert!(host.name().is_some() != host.address().is_some());
    same(&host, 80, &format!("http://{text}/"));
}

fn host_and_port(text: &str) {
    let to: HostPort = match text.parse() {
        Ok(to) => to,
        Err(error) => return super::readable(&error.to_string(), 250),
    };
    assert_eq!(to.to_string(), text.to_ascii_lowercase(), "put right silently");
    assert_ne!(to.port, 0);
    same(&to.host, to.port, &format!("http://{text}/"));
}

/// A pattern is read again as it is shown, and fits what it names and nothing beside.
fn pattern(text: &str) {
    let pattern: Pattern = match text.parse() {
        Ok(pattern) => pattern,
        Err(error) => return super::readable(&error.to_string(), 250),
    };
    let shown = pattern.to_string();
    assert_eq!(shown.parse().as_ref(), Ok(&pattern));
    assert!(pattern.covers(&pattern));
    let named = shown.replacen("://*.", "://a.", 1);
    // One more label may make a name longer than a name may be.
    if let Ok(origin) = named.parse::<Origin>() {
        assert!(pattern.fits(&origin), "{shown} does not fit {named}");
        let (scheme, rest) = named.split_once("://").expect("it has a scheme");
        let other = if scheme == "http" { "https" } else { "http" };
        assert!(format!("{other}://{rest}").parse().is_ok_and(|other| !pattern.fits(&other)), "{shown} fits {other} too");
    }
    if let Some(host) = pattern.host() {
        same(host, pattern_port(&shown), text);
    } else {
        let above = shown.replacen("://*.", "://", 1);
        assert!(above.parse().is_ok_and(|above| !pattern.fits(&above)), "{shown} fits {above}");
    }
}

fn pattern_port(shown: &str) -> u16 {
    shown.parse::<Origin>().map(|origin| origin.port).expect("what names one host is an address too")
}

/// The address of a request is what everybody else takes it for.
fn origin(url: &str) {
    let origin: Origin = match url.parse() {
        Ok(origin) => origin,
        Err(error) => return super::readable(&error.to_string(), 250),
    };
    assert_eq!(origin.to_string().parse().as_ref(), Ok(&origin));
    same(&origin.host, origin.port, url);
}

/// A pattern fits a request as whoever compares label by label would say.
fn fits(pattern: &str, url: &str) {
    let (Ok(read), Ok(origin)) = (pattern.parse::<Pattern>(), url.parse::<Origin>()) else { return };
    let shown = read.to_string();
    let (scheme, rest) = shown.split_once("://").expect("it has a scheme");
    let (host, port) = match rest.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())) {
        Some((host, port)) => (host, port.parse().expect("a port")),
        None => (rest, if scheme == "http" { 80 } else { 443 }),
    };
    let at = origin.host.to_string();
    let hosts = match host.strip_prefix("*.") {
        None => host == at,
        Some(above) => {
            let (above, labels): (Vec<&str>, Vec<&str>) = (above.split('.').collect(), at.split('.').collect());
            origin.host.address().is_none() && labels.len() > above.len() && labels.ends_with(&above)
        }
    };
    let expected = hosts && port == origin.port && scheme == origin.scheme.name();
    assert_eq!(read.fits(&origin), expected, "{shown} and {origin}");
}

/// Another reader of URLs finds this host and port in it, and no user.
fn same(host: &HostName, port: u16, text: &str) {
    let url = match Url::parse(text) {
        Ok(url) => url,
        // Not every name that begins so stands for one in other letters.
        Err(error) => return assert!(text.to_ascii_lowercase().contains("xn--"), "{text:?}: {error}"),
    };
    assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    assert_eq!(url.port_or_known_default(), Some(port), "{url}");
    match (url.host(), host.address()) {
        (Some(Host::Domain(name)), None) => assert_eq!(host.name(), Some(name)),
        (Some(Host::Ipv4(address)), Some(own)) => assert_eq!(own, address),
        (Some(Host::Ipv6(address)), Some(own)) => assert_eq!(own, address),
        (other, _) => panic!("{host} is {other:?} to others"),
    }
}

/// A folder as a component sees it is absolute, and names nothing above itself.
fn guest(text: &str) {
    let quoted = serde_json::Value::from(text);
    let file = format!(
        r#"{{"version": 1, "pipelines": [{{"id": "p", "source": {{"kind": "generator", "count": 1}}, "destinations":
            [{{"id": "d", "component": "d.wasm", "grants": {{"directories": [{{"host": "h", "guest": {quoted}}}]}}}}]}}]}}"#
    );
    // A `$` stands for a variable, and there is none.
    match config::parse(&file, "p.yaml", Path::new("/"), &|_| None) {
        Ok(file) => {
            let guest = &file.pipelines[0].destinations[0].grants.directories[0].guest;
            assert!(guest.starts_with('/') && !guest.contains('\0'), "{guest:?}");
            assert!(
                guest == "/" || guest[1..].split('/').all(|part| !part.is_empty() && part != "." && part != ".."),
                "{guest:?}"
            );
        }
        Err(mistakes) => {
            mistakes.iter().for_each(|error| assert!(error.what().chars().count() < 1000, "{:.300}", error.what()));
        }
    }
}
