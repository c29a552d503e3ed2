//! Addresses: which a component may connect to where only a name was granted.
//!
//! **Threat.** A granted name resolves to an address inside of the operator's network, or to one thing when it is checked and to another
//! when it is connected to. **Answer.** Every address that a name resolves to is looked at after resolution, the one that passes is
//! connected to and no other, and whatever is not plainly a public unicast address is refused unless the grant says otherwise.
//! Addresses that carry an IPv4 address within them are judged by that one as well.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use async_trait::async_trait;

/// Why an address is no public one. The registries are IANA's of special-purpose addresses (RFC 6890 and its successors).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Range {
    /// "This network": `0.0.0.0/8`, `::`.
    Unspecified,
    /// This machine.
    Loopback,
    /// Private use: RFC 1918, unique local IPv6 addresses (RFC 4193), site-local ones (RFC 3879).
    Private,
    /// Of this link alone, where clouds keep their metadata services.
    LinkLocal,
    /// A metadata service outside of the link-local range.
    Metadata,
    /// Shared by carriers' address translation: `100.64.0.0/10` (RFC 6598).
    CarrierGrade,
    /// Multicast and broadcast.
    Multicast,
    /// Documentation, benchmarks, protocols' own, and what nobody has.
    Reserved,
}

impl Range {
    /// What a person calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Metadata => "metadata",
            Self::CarrierGrade => "carrier-grade NAT",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The range that keeps an address from being a public one; `None` for a public one.
pub fn range(address: IpAddr) -> Option<Range> {
    match address {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => v6(address),
    }
}

fn v4(address: Ipv4Addr) -> Option<Range> {
    let [a, b, c, d] = address.octets();
    Some(match (a, b, c, d) {
        (0, ..) => Range::Unspecified,
        (127, ..) => Range::Loopback,
        (10, ..) | (172, 16..=31, ..) | (192, 168, ..) => Range::Private,
        (169, 254, ..) => Range::LinkLocal,
        (100, 100, 100, 200) | (168, 63, 129, 16) => Range::Metadata,
        (100, 64..=127, ..) => Range::CarrierGrade,
        (224..=239, ..) | (255, 255, 255, 255) => Range::Multicast,
        // Protocol assignments, documentation, 6to4 relays, benchmarks, and class E.
        (192, 0, 0 | 2, _) | (192, 88, 99, _) | (198, 18 | 19, ..) | (198, 51, 100, _) | (203, 0, 113, _) | (240..=255, ..) => {
            Range::Reserved
        }
        _ => return None,
    })
}

fn v6(address: Ipv6Addr) -> Option<Range> {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => return Some(Range::Unspecified),
        [0, 0, 0, 0, 0, 0, 0, 1] => return Some(Range::Loopback),
        // Mapped, translated (SIIT) and compatible addresses are the address that they carry, and never a way of their own to a public one.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] | [0, 0, 0, 0, 0, 0, high, low] => {
            return Some(v4(embedded(high, low)).unwrap_or(Range::Reserved));
        }
        // NAT64 (RFC 6052): public ones are in use where a network has no IPv4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => return v4(embedded(high, low)),
        // NAT64 for private use (RFC 8215).
        [0x64, 0xff9b, 1, ..] => return Some(Range::Private),
        // 6to4 (RFC 3056) and Teredo (RFC 4380), which nobody needs and which lead elsewhere.
        [0x2002, high, low, ..] => return Some(v4(embedded(high, low)).unwrap_or(Range::Reserved)),
        [0x2001, 0, .., high, low] => return Some(v4(embedded(!high, !low)).unwrap_or(Range::Reserved)),
        [0xfd00, 0xec2, ..] => return Some(Range::Metadata),
        [0xfd20, 0xce, ..] => return Some(Range::Metadata),
        _ => {}
    }
    Some(match segments[0] {
        0xfc00..=0xfdff | 0xfec0..=0xfeff => Range::Private,
        0xfe80..=0xfebf => Range::LinkLocal,
        0xff00..=0xffff => Range::Multicast,
        // Global unicast is 2000::/3, without what is set aside in it: protocol assignments and documentation.
        0x2001 if segments[1] < 0x200 || segments[1] == 0xdb8 => Range::Reserved,
        0x3fff if segments[1] < 0x1000 => Range::Reserved,
        0x2000..=0x3fff => return None,
        _ => Range::Reserved,
    })
}

/// Turns names into addresses. The host's own is the system's; tests bring others.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// All addresses of a name.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut found: Vec<IpAddr> = Vec::new();
        for address in tokio::net::lookup_host((name, 0)).await? {
            let address = address.ip();
            if !found.contains(&address) {
                found.push(address);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_unicast_addresses_are_public() {
        let cases = [
            ("93.184.216.34", None),
            ("1.1.1.1", None),
            ("100.63.255.255", None),
            ("100.128.0.0", None),
            ("172.15.0.1", None),
            ("172.32.0.1", None),
            ("2606:4700:4700::1111", None),
            ("64:ff9b::5db8:d822", None),
            ("0.0.0.0", Some(Range::Unspecified)),
            ("0.1.2.3", Some(Range::Unspecified)),
            ("127.0.0.1", Some(Range::Loopback)),
            ("127.255.255.254", Some(Range::Loopback)),
            ("10.0.0.1", Some(Range::Private)),
            ("172.16.0.1", Some(Range::Private)),
            ("172.31.255.255", Some(Range::Private)),
            ("192.168.1.1", Some(Range::Private)),
            ("169.254.169.254", Some(Range::LinkLocal)),
            ("168.63.129.16", Some(Range::Metadata)),
            ("100.100.100.200", Some(Range::Metadata)),
            ("100.64.0.1", Some(Range::CarrierGrade)),
            ("224.0.0.1", Some(Range::Multicast)),
            ("255.255.255.255", Some(Range::Multicast)),
            ("240.0.0.1", Some(Range::Reserved)),
            ("192.0.2.1", Some(Range::Reserved)),
            ("198.18.0.1", Some(Range::Reserved)),
            ("::", Some(Range::Unspecified)),
            ("::1", Some(Range::Loopback)),
            ("::127.0.0.1", Some(Range::Loopback)),
            ("::ffff:127.0.0.1", Some(Range::Loopback)),
            ("::ffff:169.254.169.254", Some(Range::LinkLocal)),
            ("::ffff:1.1.1.1", Some(Range::Reserved)),
            ("::ffff:0:a00:1", Some(Range::Private)),
            ("64:ff9b::a9fe:a9fe", Some(Range::LinkLocal)),
            ("64:ff9b::7f00:1", Some(Range::Loopback)),
            ("64:ff9b:1::a9fe:a9fe", Some(Range::Private)),
            ("2002:7f00:1::", Some(Range::Loopback)),
            ("2001:0:4136:e378:8000:63bf:5601:5601", Some(Range::LinkLocal)),
            ("fd00:ec2::254", Some(Range::Metadata)),
            ("fd20:ce::254", Some(Range::Metadata)),
            ("fc00::1", Some(Range::Private)),
            ("fec0::1", Some(Range::Private)),
            ("fe80::1", Some(Range::LinkLocal)),
            ("ff02::1", Some(Range::Multicast)),
            ("2001:db8::1", Some(Range::Reserved)),
            ("3fff::1", Some(Range::Reserved)),
            ("100::1", Some(Range::Reserved)),
            ("4000::1", Some(Range::Reserved)),
        ];
        for (address, expected) in cases {
            assert_eq!(range(address.parse().unwrap()), expected, "{address}");
        }
    }
}
