//! Names and addresses of hosts, as grants write them.
//!
//! **Threat.** One host has many spellings: `127.1`, `0x7f000001`, `2130706433` and `LOCALHOST.` lead to where `127.0.0.1` leads, and what
//! compares one spelling while something else resolves another is got around. **Answer.** There is one spelling of each host here. What
//! readers of addresses disagree about is refused, with what is wrong with it, and is never put right silently.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use thiserror::Error;

/// The most bytes of a name: what DNS takes (RFC 1035, 2.3.4), without the dot of the root.
const LONGEST: usize = 253;

/// The most bytes between two dots.
const LONGEST_LABEL: usize = 63;

/// A host: a name in lower-case ASCII, or an address in its canonical spelling, an IPv6 one within brackets.
///
/// ```
/// use wharf::config::HostName;
///
/// let host: HostName = "DB.example.com".parse()?;
/// assert_eq!(host.name(), Some("db.example.com"));
/// let host: HostName = "[2001:db8::1]".parse()?;
/// assert_eq!(host.to_string(), "[2001:db8::1]");
/// assert!("127.1".parse::<HostName>().is_err());
/// # Ok::<(), wharf::config::NotAHostName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Kind);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Name(Box<str>),
    Address(IpAddr),
}

impl HostName {
    /// The name, where it is none of an address.
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Kind::Name(name) => Some(name),
            Kind::Address(_) => None,
        }
    }

    /// The address, where it is one.
    pub const fn address(&self) -> Option<IpAddr> {
        match self.0 {
            Kind::Name(_) => None,
            Kind::Address(address) => Some(address),
        }
    }

    /// Whether it is a name that stands for this machine itself (RFC 6761, 6.3), whose addresses are not public.
    pub fn is_local(&self) -> bool {
        self.name().is_some_and(|name| name == "localhost" || name.ends_with(".localhost"))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Name(name) => f.write_str(name),
            Kind::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Kind::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// What is wrong with a text that should be a host.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotAHostName {
    /// There is nothing.
    #[error("names no host")]
    Empty,
    /// It has other letters than ASCII ones, and several names look alike.
    #[error("has letters that are not ASCII; write the name as `xn--…`")]
    NotAscii,
    /// A name's dot at its end makes another spelling of the same host.
    #[error("ends with a dot; leave it out")]
    TrailingDot,
    /// Its last part is a number, and it is no IPv4 address of four decimal numbers.
    #[error("ends with a number and is not an IPv4 address of four decimal numbers")]
    Number,
    /// An IPv6 address without brackets.
    #[error("is an IPv6 address without brackets; write `[{0}]`")]
    Unbracketed(Ipv6Addr),
    /// Brackets, and what is in them is no IPv6 address.
    #[error("has brackets and no IPv6 address in them")]
    Brackets,
    /// An address of one link alone.
    #[error("has a zone id, which no address of a grant has")]
    Zone,
    /// An IPv6 address in another spelling than its canonical one (RFC 5952).
    #[error("is not how the address is spelled; write `[{0}]`")]
    Spelling(Ipv6Addr),
    /// An IPv6 address that stands for an IPv4 one.
    #[error("stands for an IPv4 address; write `{0}`")]
    Mapped(Ipv4Addr),
    /// Nothing can be connected to there.
    #[error("is {0}, which no single host has")]
    NotOneHost(&'static str),
    /// Between two dots stand none, more than 63 bytes, or a hyphen at an end.
    #[error("has a part that is empty, longer than 63 bytes, or begins or ends with a hyphen")]
    Label,
    /// A byte that no name has.
    #[error("has `{}`, which no name of a host has", .0.escape_debug())]
    Character(char),
    /// Longer than DNS takes.
    #[error("is longer than 253 bytes")]
    TooLong,
}

impl FromStr for HostName {
    type Err = NotAHostName;

    fn from_str(text: &str) -> Result<Self, NotAHostName> {
        let kind = match text.strip_prefix('[') {
            Some(rest) => Kind::Address(v6(rest.strip_suffix(']').ok_or(NotAHostName::Brackets)?)?),
            None => bare(text)?,
        };
        Ok(Self(kind))
    }
}

/// What stands between brackets.
fn v6(text: &str) -> Result<IpAddr, NotAHostName> {
    if text.contains('%') {
        return Err(NotAHostName::Zone);
    }
    let address: Ipv6Addr = text.parse().map_err(|_| NotAHostName::Brackets)?;
    if let Some(address) = address.to_ipv4_mapped() {
        return Err(NotAHostName::Mapped(address));
    }
    if address.to_string() != text.to_ascii_lowercase() {
        return Err(NotAHostName::Spelling(address));
    }
    match address {
        _ if address.is_unspecified() => Err(NotAHostName::NotOneHost("the unspecified address")),
        _ if address.is_multicast() => Err(NotAHostName::NotOneHost("a multicast address")),
        _ => Ok(address.into()),
    }
}

/// What stands without brackets.
fn bare(text: &str) -> Result<Kind, NotAHostName> {
    if text.is_empty() {
        return Err(NotAHostName::Empty);
    }
    if !text.is_ascii() {
        return Err(NotAHostName::NotAscii);
    }
    if text.contains(':') {
        // A zone id is told of once the brackets are there.
        let address = text.split('%').next().unwrap_or_default();
        return Err(address.parse().map_or(NotAHostName::Character(':'), NotAHostName::Unbracketed));
    }
    if let Some(wrong) = text.chars().find(|c| !matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.')) {
        return Err(NotAHostName::Character(wrong));
    }
    if text.len() > 1 && text.ends_with('.') {
        return Err(NotAHostName::TrailingDot);
    }
    if text.len() > LONGEST {
        return Err(NotAHostName::TooLong);
    }
    if text
        .split('.')
        .any(|label| label.is_empty() || label.len() > LONGEST_LABEL || label.starts_with('-') || label.ends_with('-'))
    {
        return Err(NotAHostName::Label);
    }
    // Where the last part is a number, readers of URLs take the whole for an IPv4 address, in any of its spellings.
    if text.rsplit('.').next().is_some_and(is_number) {
        let address: Ipv4Addr = text.parse().map_err(|_| NotAHostName::Number)?;
        return match address {
            // All of "this network": some systems take it for themselves.
            _ if address.octets()[0] == 0 => Err(NotAHostName::NotOneHost("an unspecified address")),
            _ if address.is_multicast() => Err(NotAHostName::NotOneHost("a multicast address")),
            _ if address.is_broadcast() => Err(NotAHostName::NotOneHost("the broadcast address")),
            _ => Ok(Kind::Address(address.into())),
        };
    }
    Ok(Kind::Name(text.to_ascii_lowercase().into()))
}

/// What counts as a number at the end of a host: digits, or hexadecimal ones after `0x` (WHATWG URL, "ends in a number").
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    label.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_host_has_one_spelling() {
        let read = |text: &str| text.parse::<HostName>().map(|host| host.to_string());
        for (text, shown) in [
            ("localhost", "localhost"),
            ("DB-1.Example.com", "db-1.example.com"),
            ("my_db", "my_db"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("1e100.net", "1e100.net"),
            ("0x7f.example", "0x7f.example"),
            ("192.0.2.1", "192.0.2.1"),
            ("127.0.0.1", "127.0.0.1"),
            ("169.254.169.254", "169.254.169.254"),
            ("[::1]", "[::1]"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("[64:ff9b::a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(shown), "{text}");
        }
        assert_eq!("127.0.0.1".parse::<HostName>().unwrap().address(), Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!("localhost".parse::<HostName>().unwrap().address(), None);
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused_with_the_reason() {
        let long = format!("{}.example", ["a"; 124].join("."));
        let label = format!("{}.example", "a".repeat(64));
        for (text, reason) in [
            ("", NotAHostName::Empty),
            (".", NotAHostName::Label),
            ("localhost.", NotAHostName::TrailingDot),
            ("127.0.0.1.", NotAHostName::TrailingDot),
            ("a..example", NotAHostName::Label),
            (".example", NotAHostName::Label),
            ("-a.example", NotAHostName::Label),
            ("a-.example", NotAHostName::Label),
            (&label, NotAHostName::Label),
            (&long, NotAHostName::TooLong),
            ("bücher.example", NotAHostName::NotAscii),
            ("ｅxample.com", NotAHostName::NotAscii),
            ("example。com", NotAHostName::NotAscii),
            ("2852039166", NotAHostName::Number),
            ("0x7f.1", NotAHostName::Number),
            ("0x7f000001", NotAHostName::Number),
            ("0X7F000001", NotAHostName::Number),
            ("0x", NotAHostName::Number),
            ("017700000001", NotAHostName::Number),
            ("127.1", NotAHostName::Number),
            ("0177.0.0.1", NotAHostName::Number),
            ("127.0.0.01", NotAHostName::Number),
            ("256.0.0.1", NotAHostName::Number),
            ("1.2.3.4.5", NotAHostName::Number),
            ("example.1", NotAHostName::Number),
            ("0.0.0.0", NotAHostName::NotOneHost("an unspecified address")),
            ("0.0.0.1", NotAHostName::NotOneHost("an unspecified address")),
            ("224.0.0.1", NotAHostName::NotOneHost("a multicast address")),
            ("255.255.255.255", NotAHostName::NotOneHost("the broadcast address")),
            ("::1", NotAHostName::Unbracketed(Ipv6Addr::LOCALHOST)),
            ("fe80::1%eth0", NotAHostName::Unbracketed("fe80::1".parse().unwrap())),
            ("[fe80::1%eth0]", NotAHostName::Zone),
            ("[fe80::1%25eth0]", NotAHostName::Zone),
            ("[0:0:0:0:0:0:0:1]", NotAHostName::Spelling(Ipv6Addr::LOCALHOST)),
            ("[2001:0db8::1]", NotAHostName::Spelling("2001:db8::1".parse().unwrap())),
            ("[::ffff:169.254.169.254]", NotAHostName::Mapped(Ipv4Addr::new(169, 254, 169, 254))),
            ("[::ffff:7f00:1]", NotAHostName::Mapped(Ipv4Addr::LOCALHOST)),
            ("[::]", NotAHostName::NotOneHost("the unspecified address")),
            ("[ff02::1]", NotAHostName::NotOneHost("a multicast address")),
            ("[127.0.0.1]", NotAHostName::Brackets),
            ("[::1", NotAHostName::Brackets),
            ("[]", NotAHostName::Brackets),
            ("[v1.a]", NotAHostName::Brackets),
            ("*.example.com", NotAHostName::Character('*')),
            ("allowed@evil.example", NotAHostName::Character('@')),
            ("example.com/x", NotAHostName::Character('/')),
            ("example.com?", NotAHostName::Character('?')),
            ("ex%61mple.com", NotAHostName::Character('%')),
            ("exa mple.com", NotAHostName::Character(' ')),
            ("example.com\0", NotAHostName::Character('\0')),
            ("example.com:80", NotAHostName::Character(':')),
        ] {
            assert_eq!(text.parse::<HostName>(), Err(reason), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_host_with_one_spelling_or_is_refused(text in r"\PC*|[\[\]0-9a-fx:.%A-Z_*-]{0,20}|\[[0-9a-f:.]{0,30}\]") {
            if let Ok(host) = text.parse::<HostName>() {
                prop_assert_eq!(host.to_string(), text.to_ascii_lowercase());
                prop_assert_eq!(host.to_string().parse(), Ok(host));
            }
        }

        #[test]
        fn every_address_of_one_host_is_read_as_it_is_shown(address: IpAddr) {
            let shown = match address {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => format!("[{address}]"),
            };
            match shown.parse::<HostName>() {
                Ok(host) => prop_assert_eq!((host.address(), host.to_string()), (Some(address), shown)),
                Err(NotAHostName::NotOneHost(_) | NotAHostName::Mapped(_)) => {}
                Err(other) => prop_assert!(false, "{}: {}", shown, other),
            }
        }
    }
}
