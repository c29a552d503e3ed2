//! TCP connections: to granted hosts and ports, and nothing else of the network.
//!
//! **Threat.** A component connects to whatever answers: the operator's own network, a metadata service, another tenant; it listens; it
//! carries data out in the names that it looks up; it has a name that it may use resolve to an address that it may not. **Answer.**
//!
//! - A connection goes to an address and port that were granted as such, or to an address that a look-up of a granted name returned *to
//!   this instance*, and then to the ports that were granted with that name. What was checked is what is connected to: nothing resolves a
//!   name between the two.
//! - Names are looked up by the host (`lookup`), and only those that are granted, whole: a label in front of one makes another name. Of what
//!   a name resolves to, addresses that are not public are left out unless the grant says otherwise ([`super::address`]).
//! - Listening, accepting and UDP are refused always. So is binding to an address; an unspecified one without a port, which is what every
//!   connection begins from, is nothing that anybody can reach.
//! - Sockets that are held and look-ups are bounded. Every attempt is a line of the log, within its rate, and a count.

mod dialer;
mod lookup;
mod open;

pub(super) use self::{dialer::Dialer, open::Open};

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::Arc,
};

use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::p2::bindings::sockets::{ip_name_lookup, tcp_create_socket, udp_create_socket};

use super::{
    address::{Range, Resolver, SystemResolver, range},
    host::Host,
};
use crate::config::{HostPort, TcpGrant};

/// Hosts and ports that are granted.
#[derive(Clone, Debug)]
pub struct Sockets(Arc<Granted>);

#[derive(Debug)]
struct Granted {
    /// By name, the ports, and for each whether addresses that are not public are let through.
    names: BTreeMap<Box<str>, BTreeMap<u16, bool>>,
    addresses: BTreeSet<(IpAddr, u16)>,
    resolver: Arc<dyn Resolver>,
}

/// None, and were there any, they would be looked up with the system's resolver.
impl Default for Sockets {
    fn default() -> Self {
        Self::granted([], Arc::new(SystemResolver))
    }
}

impl Sockets {
    /// What these grants come to. Names are looked up with the resolver.
    pub fn granted<'a>(grants: impl IntoIterator<Item = &'a TcpGrant>, resolver: Arc<dyn Resolver>) -> Self {
        let mut granted = Granted { names: BTreeMap::new(), addresses: BTreeSet::new(), resolver };
        for TcpGrant { to: HostPort { host, port }, private } in grants {
            if let Some(address) = host.address() {
                granted.addresses.insert((address, *port));
            } else if let Some(name) = host.name() {
                granted.names.entry(name.into()).or_default().insert(*port, *private);
            }
        }
        Self(Arc::new(granted))
    }

    /// Whether anything is granted.
    pub fn is_empty(&self) -> bool {
        self.0.names.is_empty() && self.0.addresses.is_empty()
    }

    /// Whether connections to a host and port are granted.
    pub fn allow(&self, to: &HostPort) -> bool {
        match (to.host.name(), to.host.address()) {
            (Some(name), _) => self.0.names.get(name).is_some_and(|ports| ports.contains_key(&to.port)),
            (_, Some(address)) => self.0.addresses.contains(&(address, to.port)),
            (None, None) => false,
        }
    }

    /// What keeps an address, to which a granted name resolves, from being connected to on a port of that name.
    fn judge(&self, name: &str, address: IpAddr, port: u16) -> Result<(), Verdict> {
        let private = self.0.names.get(name).and_then(|ports| ports.get(&port)).ok_or(Verdict::NotGranted)?;
        match range(address) {
            None => Ok(()),
            Some(_) if self.0.addresses.contains(&(address, port)) => Ok(()),
            // Nobody is reached there by one address alone.
            Some(range @ (Range::Unspecified | Range::Multicast)) => Err(Verdict::Range(range)),
            Some(_) if *private => Ok(()),
            Some(range) => Err(Verdict::Range(range)),
        }
    }
}

/// Why an address is not to be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    NotGranted,
    Range(Range),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGranted => f.write_str("not granted"),
            Self::Range(range) => write!(f, "a {range} address, and neither it nor `private: true` is granted"),
        }
    }
}

/// Puts the host's own in the place of what wasmtime offers: look-ups of names, and the making of sockets. `linker` has wasmtime's.
pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    ip_name_lookup::add_to_linker::<Host, HasSelf<Host>>(linker, |host| host)?;
    tcp_create_socket::add_to_linker::<Host, HasSelf<Host>>(linker, |host| host)?;
    udp_create_socket::add_to_linker::<Host, HasSelf<Host>>(linker, |host| host)?;
    linker.allow_shadowing(false);
    Ok(())
}
