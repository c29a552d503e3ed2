//! Where HTTP requests may go, as grants write it.
//!
//! **Threat.** What an operator reads as one place is another: `https://api.example.com@evil.example`, a path that reads as a bound and
//! is none, a `*` in the middle of a name. **Answer.** A pattern is a scheme, a host and a port, parsed once; whatever else stands in it
//! is refused with the reason. A request's own address goes through the same reader.

use std::{fmt, str::FromStr};

use thiserror::Error;

use super::host_name::{HostName, NotAHostName};

/// How HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port where none is written.
    pub const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl FromStr for Scheme {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Http, Self::Https].into_iter().find(|scheme| scheme.name() == text).ok_or(())
    }
}

/// Where one request goes: scheme, host, port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// How it is spoken.
    pub scheme: Scheme,
    /// To whom.
    pub host: HostName,
    /// At which port.
    pub port: u16,
}

impl Origin {
    /// Of a request: its scheme and its authority, `host` or `host:port`.
    ///
    /// # Errors
    /// Where there is more than one way to read it.
    pub fn new(scheme: &str, authority: &str) -> Result<Self, NotAPattern> {
        let scheme: Scheme = scheme.parse().map_err(|()| NotAPattern::Scheme)?;
        let (host, port) = split(authority)?;
        Ok(Self { scheme, host: host.parse()?, port: port.unwrap_or(scheme.port()) })
    }

    /// Host and port, as the `Host` header has them: without the port that goes with the scheme.
    pub fn authority(&self) -> String {
        match self.port == self.scheme.port() {
            true => self.host.to_string(),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.authority())
    }
}

/// Of a whole URL; what stands behind host and port is not looked at.
impl FromStr for Origin {
    type Err = NotAPattern;

    fn from_str(url: &str) -> Result<Self, NotAPattern> {
        let (scheme, rest) = url.split_once("://").ok_or(NotAPattern::Scheme)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        Self::new(&scheme.to_ascii_lowercase(), &rest[..end])
    }
}

/// Where requests may go: `scheme://host[:port]`, the host exact or `*.` and a name.
///
/// `*.example.com` stands for every name that ends with `.example.com`, however many labels are before it, and not for `example.com`
/// itself. A port that is left out is the scheme's. An address is granted as itself and matches no name.
///
/// ```
/// use wharf::config::{Origin, Pattern};
///
/// let pattern: Pattern = "https://*.example.com".parse()?;
/// assert!(pattern.fits(&"https://eu.api.example.com/v1/rows".parse::<Origin>()?));
/// assert!(!pattern.fits(&"https://example.com".parse::<Origin>()?));
/// assert!(!pattern.fits(&"https://api.example.com:8443".parse::<Origin>()?));
/// assert!("https://api.example.com/v1".parse::<Pattern>().is_err());
/// # Ok::<(), wharf::config::NotAPattern>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    scheme: Scheme,
    host: Hosts,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Hosts {
    One(HostName),
    /// All names that end with this one, which begins with a dot.
    Below(Box<str>),
}

impl Pattern {
    /// How it is spoken there.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The one host, where it is one.
    pub const fn host(&self) -> Option<&HostName> {
        match &self.host {
            Hosts::One(host) => Some(host),
            Hosts::Below(_) => None,
        }
    }

    /// The `host:port` of the one host, where it is one.
    pub fn one(&self) -> Option<String> {
        self.host().map(|host| format!("{host}:{}", self.port))
    }

    /// Whether a request may go there by this pattern.
    pub fn fits(&self, origin: &Origin) -> bool {
        let host = match &self.host {
            Hosts::One(host) => *host == origin.host,
            Hosts::Below(suffix) => {
                origin.host.name().is_some_and(|name| name.len() > suffix.len() && name.ends_with(suffix.as_ref()))
            }
        };
        host && self.scheme == origin.scheme && self.port == origin.port
    }

    /// Whether this pattern fits whatever the other fits.
    pub fn covers(&self, other: &Self) -> bool {
        let hosts = match (&self.host, &other.host) {
            (Hosts::One(host), Hosts::One(other)) => host == other,
            (Hosts::One(_), Hosts::Below(_)) => false,
            (Hosts::Below(suffix), Hosts::One(other)) => other.name().is_some_and(|name| name.ends_with(suffix.as_ref())),
            (Hosts::Below(suffix), Hosts::Below(other)) => other.ends_with(suffix.as_ref()),
        };
        hosts && self.scheme == other.scheme && self.port == other.port
    }

    /// Greater for the pattern that says more, of those that fit one request.
    pub fn exactness(&self) -> usize {
        match &self.host {
            Hosts::One(_) => usize::MAX,
            Hosts::Below(suffix) => suffix.len(),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.name())?;
        match &self.host {
            Hosts::One(host) => host.fmt(f)?,
            Hosts::Below(suffix) => write!(f, "*{suffix}")?,
        }
        if self.port == self.scheme.port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// What is wrong with a text that should be a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotAPattern {
    /// It begins with something else.
    #[error("begins neither with `https://` nor with `http://`")]
    Scheme,
    /// A user before the host makes one host look like another.
    #[error("has an `@`: what stands before it is a user and not a host")]
    User,
    /// A pattern reaches no further than the port.
    #[error("has a `{0}`: a grant is of a scheme, a host and a port, and bounds no path, query or fragment")]
    Path(char),
    /// The port is none.
    #[error("has a port that is no number from 1 to 65535 in plain digits")]
    Port,
    /// A `*` elsewhere than where it may be.
    #[error("has a `*` elsewhere than as the whole first part of a name, before at least two others")]
    Wildcard,
    /// The host is none.
    #[error("{}", host(.0))]
    Host(#[from] NotAHostName),
}

fn host(cause: &NotAHostName) -> String {
    match cause {
        NotAHostName::Empty => "names no host".to_owned(),
        other => format!("names a host that {other}"),
    }
}

impl FromStr for Pattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let (scheme, rest) = text.split_once("://").ok_or(NotAPattern::Scheme)?;
        let scheme: Scheme = scheme.parse().map_err(|()| NotAPattern::Scheme)?;
        let (host, port) = split(rest)?;
        let host = match host.strip_prefix('*') {
            Some(suffix) => {
                // Behind the star stands a name of at least two labels: `*.com` would be half of the world.
                let name: HostName =
                    suffix.strip_prefix('.').ok_or(NotAPattern::Wildcard)?.parse().map_err(|cause| match cause {
                        NotAHostName::Character('*') | NotAHostName::Empty => NotAPattern::Wildcard,
                        cause => cause.into(),
                    })?;
                let name = name.name().filter(|name| name.contains('.')).ok_or(NotAPattern::Wildcard)?;
                Hosts::Below(format!(".{name}").into())
            }
            None if host.contains('*') => return Err(NotAPattern::Wildcard),
            None => Hosts::One(host.parse()?),
        };
        Ok(Self { scheme, host, port: port.unwrap_or(scheme.port()) })
    }
}

/// Host and port of what stands behind the scheme.
fn split(authority: &str) -> Result<(&str, Option<u16>), NotAPattern> {
    if authority.contains('@') {
        return Err(NotAPattern::User);
    }
    if let Some(mark) = authority.chars().find(|c| matches!(c, '/' | '\\' | '?' | '#')) {
        return Err(NotAPattern::Path(mark));
    }
    let port = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').and_then(|(_, behind)| behind.strip_prefix(':')),
        // With more colons than one it is an IPv6 address without its brackets, which the host's own reader tells.
        None => authority.split_once(':').map(|(_, port)| port).filter(|port| !port.contains(':')),
    };
    let Some(port) = port else {
        return Ok((authority, None));
    };
    let host = &authority[..authority.len() - port.len() - 1];
    let plain = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    match port.parse() {
        Ok(number) if plain => Ok((host, Some(number))),
        _ => Err(NotAPattern::Port),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits(pattern: &str, url: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().fits(&url.parse().unwrap())
    }

    #[test]
    fn a_pattern_has_one_meaning_and_shows_it() {
        for (text, shown) in [
            ("https://api.example.com", "https://api.example.com"),
            ("https://API.Example.com", "https://api.example.com"),
            ("https://api.example.com:443", "https://api.example.com"),
            ("http://api.example.com:443", "http://api.example.com:443"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("https://*.Example.com:8443", "https://*.example.com:8443"),
            ("https://*.xn--bcher-kva.example", "https://*.xn--bcher-kva.example"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]"),
        ] {
            let pattern = text.parse::<Pattern>().map(|pattern| pattern.to_string());
            assert_eq!(pattern.as_deref(), Ok(shown), "{text}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_no_pattern_and_says_why() {
        use NotAHostName as Host;
        let host = NotAPattern::Host;
        for (text, reason) in [
            ("", NotAPattern::Scheme),
            ("api.example.com", NotAPattern::Scheme),
            ("//api.example.com", NotAPattern::Scheme),
            ("https:/api.example.com", NotAPattern::Scheme),
            ("HTTPS://api.example.com", NotAPattern::Scheme),
            (" https://api.example.com", NotAPattern::Scheme),
            ("ftp://api.example.com", NotAPattern::Scheme),
            ("file:///etc/passwd", NotAPattern::Scheme),
            ("unix://run/x.sock", NotAPattern::Scheme),
            ("*://api.example.com", NotAPattern::Scheme),
            ("https://", host(Host::Empty)),
            ("https://:443", host(Host::Empty)),
            ("http://allowed@evil", NotAPattern::User),
            ("http://allowed:pass@evil", NotAPattern::User),
            ("https://api.example.com/", NotAPattern::Path('/')),
            ("https://api.example.com/v1", NotAPattern::Path('/')),
            ("https://api.example.com\\v1", NotAPattern::Path('\\')),
            ("https://api.example.com?x", NotAPattern::Path('?')),
            ("https://api.example.com#x", NotAPattern::Path('#')),
            ("https://api.example.com:", NotAPattern::Port),
            ("https://api.example.com:0", NotAPattern::Port),
            ("https://api.example.com:0443", NotAPattern::Port),
            ("https://api.example.com:+443", NotAPattern::Port),
            ("https://api.example.com:65536", NotAPattern::Port),
            ("https://api.example.com:https", NotAPattern::Port),
            ("https://api.example.com:4*3", NotAPattern::Port),
            ("https://[::1]:", NotAPattern::Port),
            ("https://*", NotAPattern::Wildcard),
            ("https://*.", NotAPattern::Wildcard),
            ("https://*.com", NotAPattern::Wildcard),
            ("https://*example.com", NotAPattern::Wildcard),
            ("https://api.*.com", NotAPattern::Wildcard),
            ("https://api.example.*", NotAPattern::Wildcard),
            ("https://*.*.example.com", NotAPattern::Wildcard),
            ("https://a*.example.com", NotAPattern::Wildcard),
            ("https://*.127.0.0.1", NotAPattern::Wildcard),
            ("https://*.[::1]", NotAPattern::Wildcard),
            ("https://*.0.0.1", host(Host::Number)),
            ("https://*.example.com.", host(Host::TrailingDot)),
            ("https://api.example.com.", host(Host::TrailingDot)),
            ("http://localhost.", host(Host::TrailingDot)),
            ("https://api..example.com", host(Host::Label)),
            ("https://.example.com", host(Host::Label)),
            ("https://bücher.example", host(Host::NotAscii)),
            ("https://exаmple.com", host(Host::NotAscii)),
            ("http://2852039166", host(Host::Number)),
            ("http://0x7f.1", host(Host::Number)),
            ("http://0x7f000001", host(Host::Number)),
            ("http://017700000001", host(Host::Number)),
            ("http://127.1", host(Host::Number)),
            ("http://127.0.0.01", host(Host::Number)),
            ("http://::1", host(Host::Unbracketed("::1".parse().unwrap()))),
            ("http://::1:80", host(Host::Unbracketed("::1:80".parse().unwrap()))),
            ("http://[::1%eth0]", host(Host::Zone)),
            ("http://[::1%25eth0]:80", host(Host::Zone)),
            ("http://[0:0::1]", host(Host::Spelling("::1".parse().unwrap()))),
            ("http://[::ffff:169.254.169.254]", host(Host::Mapped("169.254.169.254".parse().unwrap()))),
            ("http://[::]", host(Host::NotOneHost("the unspecified address"))),
            ("http://0.0.0.0", host(Host::NotOneHost("an unspecified address"))),
            ("http://[::1", host(Host::Brackets)),
            ("http://[::1]80", host(Host::Brackets)),
            ("http://api.example.com evil", host(Host::Character(' '))),
            ("http://api.example.com\r\n", host(Host::Character('\r'))),
            ("http://api%2eexample.com", host(Host::Character('%'))),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(reason), "{text:?}");
        }
    }

    #[test]
    fn a_pattern_fits_its_own_scheme_host_and_port_alone() {
        let exact = "https://api.example.com";
        for (url, expected) in [
            ("https://api.example.com/any/path?query", true),
            ("https://API.EXAMPLE.COM:443", true),
            ("http://api.example.com", false),
            ("http://api.example.com:443", false),
            ("https://api.example.com:8443", false),
            ("https://api.example.com.evil.example", false),
            ("https://evilapi.example.com", false),
            ("https://example.com", false),
        ] {
            assert_eq!(fits(exact, url), expected, "{url}");
        }
        let below = "https://*.example.com";
        for (url, expected) in [
            ("https://api.example.com", true),
            ("https://a.b.c.example.com", true),
            ("https://example.com", false),
            ("https://evilexample.com", false),
            ("https://api.example.com.evil.example", false),
            ("https://api.example.org", false),
        ] {
            assert_eq!(fits(below, url), expected, "{url}");
        }
        assert!(fits("http://127.0.0.1:80", "http://127.0.0.1"));
        assert!(!fits("http://127.0.0.1", "http://localhost"));
        assert!(!fits("http://localhost", "http://127.0.0.1"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_pattern_that_shows_itself_or_is_refused(
            text in r"\PC*|(https?://)[\[\]0-9a-fx:.%A-Z_*@/-]{0,24}|https?://(\*\.)?[a-z0-9]{1,5}(\.[a-z0-9-]{1,5}){0,3}(:[0-9]{0,6})?"
        ) {
            if let Ok(pattern) = text.parse::<Pattern>() {
                let shown = pattern.to_string();
                prop_assert_eq!(shown.parse::<Pattern>(), Ok(pattern.clone()));
                // What is shown is what was written, but for upper case and a port that goes without saying.
                let written = text.to_ascii_lowercase();
                prop_assert!(written == shown || written == format!("{shown}:{}", pattern.scheme().port()), "{} {}", written, shown);
            }
        }

        #[test]
        fn what_a_pattern_fits_is_what_was_written(
            host in r"[a-z]{1,3}(\.[a-z]{1,3}){0,3}", other in r"[a-z]{1,3}(\.[a-z]{1,3}){0,4}", port in 1..3u16, asked in 1..3u16, star: bool,
        ) {
            let written = if star { format!("https://*.{host}:{port}") } else { format!("https://{host}:{port}") };
            if let Ok(pattern) = written.parse::<Pattern>() {
                let origin: Origin = format!("https://{other}:{asked}/path").parse().unwrap();
                let named = if star { other.ends_with(&format!(".{host}")) } else { other == host };
                prop_assert_eq!(pattern.fits(&origin), named && port == asked);
            }
        }
    }
}
