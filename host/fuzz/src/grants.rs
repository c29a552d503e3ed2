//! What an operator grants, as texts: hosts, and folders as a component sees them.

use std::path::Path;

use url::{Host, Url};
use wharf::config::{self, HostName};

/// The first byte says what the others are.
pub fn holds(bytes: &[u8]) {
    let Some((kind, text)) = bytes.split_first() else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    match kind % 2 {
        0 => host(text),
        _ => guest(text),
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
    match Url::parse(&format!("http://{text}/")) {
        Ok(url) => same(&host, &url),
        // Not every name that begins so stands for one in other letters.
        Err(error) => assert!(shown.contains("xn--"), "{text:?}: {error}"),
    }
}

/// Another reader of URLs finds this host in it, and nothing that makes it another's.
fn same(host: &HostName, url: &Url) {
    assert!(url.username().is_empty() && url.password().is_none(), "{url}");
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
        Err(error) => assert!(error.what().chars().count() < 1000, "{:.300}", error.what()),
    }
}
