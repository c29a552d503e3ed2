//! What one instance may connect to, which its look-ups add to.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use wasmtime_wasi::{WasiCtxBuilder, sockets::SocketAddrUse};

use super::{Sockets, Verdict};
use crate::{
    clock::Clock,
    config::TcpLimits,
    sandbox::{log::Log, usage::Event},
};

/// Addresses that names resolved to which an instance keeps; beyond, the oldest are forgotten and have to be looked up again.
const KEPT: usize = 1024;

/// An address, and the name that it was returned for.
type Returned = (IpAddr, Arc<str>);

/// What one instance may connect to at this moment. Clones share it.
#[derive(Clone, Debug)]
pub(in crate::sandbox) struct Dialer {
    pub(super) sockets: Sockets,
    /// What its look-ups returned, the newest last.
    returned: Arc<Mutex<VecDeque<Returned>>>,
    pub(super) limits: TcpLimits,
    pub(super) clock: Clock,
    pub(super) log: Log,
}

impl Dialer {
    pub(in crate::sandbox) fn new(sockets: Sockets, limits: TcpLimits, clock: Clock, log: Log) -> Self {
        Self { sockets, returned: Arc::default(), limits, clock, log }
    }

    /// Sets wasmtime's own switches: TCP where something is granted, and every use of an address asked for here.
    pub(in crate::sandbox) fn add_to(&self, wasi: &mut WasiCtxBuilder) {
        let dialer = self.clone();
        wasi.allow_tcp(!self.sockets.is_empty())
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .socket_addr_check(move |address, used| Box::pin(std::future::ready(dialer.check(address, used))));
    }

    fn check(&self, address: SocketAddr, used: SocketAddrUse) -> bool {
        let refused = |why: &str| {
            self.log.refused(Event::Refused, "tcp", address, why);
            false
        };
        match used {
            SocketAddrUse::TcpConnect => match self.connect(address) {
                Ok(()) => {
                    self.log.allowed(Event::ConnectAllowed, "tcp", address);
                    true
                }
                Err(why) => {
                    self.log.refused(Event::ConnectRefused, "tcp", address, why);
                    false
                }
            },
            // Asked for before every connection.
            SocketAddrUse::TcpBind if address.ip().is_unspecified() && address.port() == 0 => true,
            SocketAddrUse::TcpBind => refused("nothing is bound to an address"),
            SocketAddrUse::TcpListen => refused("nothing is listened on"),
            SocketAddrUse::TcpAccept => refused("nothing is accepted"),
            SocketAddrUse::UdpBind | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => {
                refused("no datagrams are sent or received")
            }
        }
    }

    /// Whether an address may be connected to.
    fn connect(&self, to: SocketAddr) -> Result<(), Verdict> {
        // The same address on another link is another host, and no grant names a link.
        if matches!(to, SocketAddr::V6(to) if to.scope_id() != 0) {
            return Err(Verdict::NotGranted);
        }
        if self.sockets.0.addresses.contains(&(to.ip(), to.port())) {
            return Ok(());
        }
        let returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        let names = returned.iter().filter(|(address, _)| *address == to.ip());
        let verdicts = names.map(|(_, name)| self.sockets.judge(name, to.ip(), to.port()));
        // One name's refusal does not bear on another's.
        verdicts.reduce(|one, other| one.or(other)).unwrap_or(Err(Verdict::NotGranted))
    }

    /// Keeps what a look-up of a granted name returned, and gives those of the addresses that may be connected to, on one port at the least.
    pub(super) fn keep(&self, name: &Arc<str>, found: Vec<IpAddr>) -> Vec<IpAddr> {
        let ports: Vec<u16> = self.sockets.0.names.get(&**name).into_iter().flatten().map(|(port, _)| *port).collect();
        let mut passed = Vec::new();
        // What carries an IPv4 address is not connected to as what it is.
        for address in found.into_iter().map(|address| address.to_canonical()).take(KEPT) {
            let verdicts = ports.iter().map(|port| self.sockets.judge(name, address, *port));
            match verdicts.reduce(Result::or).unwrap_or(Err(Verdict::NotGranted)) {
                Ok(()) => passed.push(address),
                Err(why) => self.log.refused(Event::LookupRefused, "look-up", format_args!("{name} at {address}"), why),
            }
        }
        let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        for address in &passed {
            returned.retain(|(known, of)| (known, of) != (address, name));
            returned.push_back((*address, name.clone()));
        }
        let excess = returned.len().saturating_sub(KEPT);
        returned.drain(..excess);
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::VirtualClock,
        config::TcpGrant,
        sandbox::{
            Scope, Usage,
            address::{Range, SystemResolver},
        },
    };

    fn grant(to: &str, private: bool) -> TcpGrant {
        TcpGrant { to: to.parse().unwrap(), private }
    }

    fn dialer(grants: &[TcpGrant]) -> (Dialer, Arc<Usage>) {
        let (clock, usage) = (VirtualClock::new().clock(), Arc::new(Usage::default()));
        let log = Log::new(Scope::default(), usage.clone(), clock.clone(), 1000);
        let sockets = Sockets::granted(grants, Arc::new(SystemResolver));
        (Dialer::new(sockets, TcpLimits::default(), clock, log), usage)
    }

    fn addresses(of: &[&str]) -> Vec<IpAddr> {
        of.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn an_address_is_connected_to_only_where_it_is_granted_or_was_returned_for_a_granted_name() {
        let grants = [
            grant("db.example:5432", false),
            grant("in.example:1", true),
            grant("127.0.0.1:80", false),
            grant("[::1]:80", false),
        ];
        let (dialer, usage) = dialer(&grants);
        let connects = |to: &str| dialer.check(to.parse().unwrap(), SocketAddrUse::TcpConnect);
        assert!(connects("127.0.0.1:80") && connects("[::1]:80"));
        for refused in ["127.0.0.1:81", "127.0.0.2:80", "[::1%1]:80", "93.184.216.34:5432", "10.0.0.1:1"] {
            assert!(!connects(refused), "{refused}");
        }
        let (db, inner): (Arc<str>, Arc<str>) = ("db.example".into(), "in.example".into());
        let mixed = ["93.184.216.34", "10.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "2606:4700::1"];
        assert_eq!(dialer.keep(&db, addresses(&mixed)), addresses(&["93.184.216.34", "2606:4700::1"]));
        assert!(connects("93.184.216.34:5432") && connects("[2606:4700::1]:5432"));
        for refused in ["93.184.216.34:1", "10.0.0.1:5432", "127.0.0.1:5432", "169.254.169.254:5432", "10.0.0.1:1"] {
            assert!(!connects(refused), "{refused}");
        }
        // Of the private ones, those that lead to one host.
        let inner_ones = ["10.0.0.1", "127.0.0.1", "0.0.0.0", "224.0.0.1", "::"];
        assert_eq!(dialer.keep(&inner, addresses(&inner_ones)), addresses(&["10.0.0.1", "127.0.0.1"]));
        assert!(connects("10.0.0.1:1") && !connects("10.0.0.1:5432"));
        assert_eq!((usage.count(Event::ConnectAllowed), usage.count(Event::ConnectRefused)), (5, 11));
        assert_eq!(usage.count(Event::LookupRefused), 6);
    }

    #[test]
    fn a_name_may_lead_to_an_address_that_is_granted_itself() {
        let (dialer, _) =
            dialer(&[grant("db.example:5432", false), grant("10.0.0.1:5432", false), grant("db.example:80", false)]);
        assert_eq!(dialer.keep(&"db.example".into(), addresses(&["10.0.0.1", "10.0.0.2"])), addresses(&["10.0.0.1"]));
        assert!(dialer.connect("10.0.0.1:5432".parse().unwrap()).is_ok());
        assert_eq!(dialer.connect("10.0.0.1:80".parse().unwrap()), Err(Verdict::Range(Range::Private)));
    }

    #[test]
    fn what_names_resolved_to_is_kept_up_to_a_bound() {
        let (dialer, _) = dialer(&[grant("db.example:1", false)]);
        let name: Arc<str> = "db.example".into();
        for last in 0..=255_u8 {
            let found: Vec<IpAddr> = (0..8_u8).map(|block| IpAddr::from([93, 184, block, last])).collect();
            assert_eq!(dialer.keep(&name, found.clone()), found);
        }
        assert_eq!(dialer.returned.lock().unwrap().len(), KEPT);
        assert!(dialer.connect("93.184.7.255:1".parse().unwrap()).is_ok());
        assert_eq!(dialer.connect("93.184.0.0:1".parse().unwrap()), Err(Verdict::NotGranted));
    }

    #[test]
    fn nothing_is_listened_on_and_no_datagram_sent() {
        let (dialer, usage) = dialer(&[grant("0x.example:80", true), grant("127.0.0.1:80", false)]);
        use SocketAddrUse::{TcpAccept, TcpBind, TcpListen, UdpBind, UdpReceive, UdpSend};
        for (used, address) in [
            (TcpBind, "127.0.0.1:0"),
            (TcpBind, "0.0.0.0:80"),
            (TcpListen, "0.0.0.0:0"),
            (TcpAccept, "127.0.0.1:80"),
            (UdpBind, "0.0.0.0:0"),
            (UdpSend, "127.0.0.1:80"),
            (UdpReceive, "127.0.0.1:80"),
        ] {
            assert!(!dialer.check(address.parse().unwrap(), used), "{used:?}");
        }
        assert_eq!(usage.count(Event::Refused), 7);
        assert!(dialer.check("0.0.0.0:0".parse().unwrap(), TcpBind));
    }
}
