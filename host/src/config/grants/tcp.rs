//! Where TCP connections may go.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use crate::config::{
    HostName, NotAHostName,
    bounded::{short_or_long, told},
    fault::Refusal,
};

/// A port of a host that a component may connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpGrant {
    /// Host and port.
    pub to: HostPort,
    /// Whether the name may lead to an address that is no public one. A granted address is let through in any case.
    pub private: bool,
}

/// A host and a port, written `db.example.com:5432`, `192.0.2.1:5432` or `[2001:db8::1]:5432`.
///
/// ```
/// use wharf::config::HostPort;
///
/// let to: HostPort = "DB.example.com:5432".parse()?;
/// assert_eq!(to.to_string(), "db.example.com:5432");
/// # Ok::<(), wharf::config::NotAHostPort>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// The host: one, and never a pattern of several.
    pub host: HostName,
    /// The port, which is not 0.
    pub port: u16,
}

/// What is wrong with a text that should be a host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotAHostPort {
    /// The host.
    #[error("names a host that {0}")]
    Host(NotAHostName),
    /// No port stands behind the host, and no protocol gives one.
    #[error("names no port")]
    NoPort,
    /// What stands behind the last colon.
    #[error("names a port that is no number from 1 to 65535")]
    Port,
    /// It is a URL.
    #[error("is a URL and not a host and a port")]
    Url,
}

impl FromStr for HostPort {
    type Err = NotAHostPort;

    fn from_str(text: &str) -> Result<Self, NotAHostPort> {
        if text.contains("://") {
            return Err(NotAHostPort::Url);
        }
        let (host, port) = text.rsplit_once(':').filter(|_| !text.ends_with(']')).ok_or(NotAHostPort::NoPort)?;
        let host = host.parse().map_err(NotAHostPort::Host)?;
        // What a number is parsed from may begin with a plus sign or zeros.
        let plain = !port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| plain).ok_or(NotAHostPort::Port)?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What was given may be a variable's, so it is not quoted.
fn host_port(text: &str) -> Result<HostPort, Refusal> {
    named("this grant", text)
}

fn named(noun: &str, text: &str) -> Result<HostPort, Refusal> {
    text.parse().map_err(|cause| Refusal::new(format!("{noun} {cause}")).with_hint("write it like `db.example.com:5432`"))
}

/// A far side of a suite, which grants nothing by itself.
pub(in crate::config) struct FarSide(pub(in crate::config) HostPort);

impl<'de> Deserialize<'de> for FarSide {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        told(deserializer, "a host and a port, such as `db.example.com:5432`", |text| named("this far side", text).map(Self))
    }
}

impl<'de> Deserialize<'de> for HostPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        told(deserializer, "a host and a port, such as `db.example.com:5432`", host_port)
    }
}

/// The long form.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a TCP grant")]
#[schemars(rename = "TcpGrant")]
struct Written {
    /// Where to: `host:port`, the host a name or an address, an IPv6 one within brackets.
    #[schemars(with = "String")]
    to: HostPort,
    /// Whether the name may lead to addresses that are not public: loopback, private, link-local and the like.
    #[serde(default)]
    private: bool,
}

impl TcpGrant {
    fn read(Written { to, private }: Written) -> Result<Self, Refusal> {
        leads_somewhere(&to.host, private)?;
        Ok(Self { to, private })
    }
}

/// A name of this machine itself leads to no public address, and thus nowhere.
pub(super) fn leads_somewhere(host: &HostName, private: bool) -> Result<(), Refusal> {
    if host.is_local() && !private {
        return Err(Refusal::new("this grant leads nowhere: the name stands for this machine, and its addresses are not public")
            .with_hint("write it as `{ to: …, private: true }`"));
    }
    Ok(())
}

impl<'de> Deserialize<'de> for TcpGrant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The short form is the host and the port alone.
        let short = |text: &str| Self::read(Written { to: host_port(text)?, private: false });
        short_or_long(deserializer, "a TCP grant", short, Self::read)
    }
}

impl JsonSchema for TcpGrant {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TcpGrantOrHostPort".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, generator.subschema_for::<Written>()] })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_host_and_a_port_are_read_in_one_spelling() {
        let read = |text: &str| text.parse::<HostPort>().map(|to| to.to_string());
        for (text, shown) in [
            ("localhost:5432", "localhost:5432"),
            ("DB.example.com:1", "db.example.com:1"),
            ("127.0.0.1:65535", "127.0.0.1:65535"),
            ("[2001:db8::1]:443", "[2001:db8::1]:443"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(shown), "{text}");
        }
    }

    #[test]
    fn a_host_and_a_port_in_another_spelling_are_refused_with_the_reason() {
        let host = |cause| NotAHostPort::Host(cause);
        for (text, reason) in [
            ("", NotAHostPort::NoPort),
            ("db.example.com", NotAHostPort::NoPort),
            ("[::1]", NotAHostPort::NoPort),
            ("db.example.com:", NotAHostPort::Port),
            ("db.example.com:0", NotAHostPort::Port),
            ("db.example.com:00080", NotAHostPort::Port),
            ("db.example.com:+80", NotAHostPort::Port),
            ("db.example.com:65536", NotAHostPort::Port),
            ("db.example.com:80-90", NotAHostPort::Port),
            ("db.example.com:*", NotAHostPort::Port),
            ("db.example.com:８０", NotAHostPort::Port),
            ("db.example.com:80/x", NotAHostPort::Port),
            ("tcp://db.example.com:80", NotAHostPort::Url),
            (":80", host(NotAHostName::Empty)),
            ("*.example.com:80", host(NotAHostName::Character('*'))),
            ("user@db.example.com:80", host(NotAHostName::Character('@'))),
            ("db.example.com.:80", host(NotAHostName::TrailingDot)),
            ("2130706433:80", host(NotAHostName::Number)),
            ("0x7f.1:80", host(NotAHostName::Number)),
            ("::1:80", host(NotAHostName::Unbracketed("::1".parse().unwrap()))),
            ("[fe80::1%eth0]:80", host(NotAHostName::Zone)),
            ("[::ffff:127.0.0.1]:80", host(NotAHostName::Mapped("127.0.0.1".parse().unwrap()))),
            ("0.0.0.0:80", host(NotAHostName::NotOneHost("an unspecified address"))),
        ] {
            assert_eq!(text.parse::<HostPort>(), Err(reason), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_host_and_a_port_in_one_spelling_or_is_refused(text in r"\PC*|[\[\]0-9a-fx:.%A-Z+*-]{0,24}|[a-z0-9.-]{1,12}:[0-9]{1,6}") {
            if let Ok(to) = text.parse::<HostPort>() {
                prop_assert_eq!(to.to_string(), text.to_ascii_lowercase());
                prop_assert_eq!(to.to_string().parse(), Ok(to));
            }
        }
    }
}
