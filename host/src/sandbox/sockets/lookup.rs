//! `wasi:sockets/ip-name-lookup`: the host's own, which knows granted names alone.

use std::{net::IpAddr, sync::Arc, task::Poll, vec};

use tokio::sync::oneshot;
use wasmtime::component::Resource;
use wasmtime_wasi::{
    async_trait,
    p2::{
        DynPollable, Pollable, SocketError, SocketResult,
        bindings::sockets::{
            ip_name_lookup::{self, ResolveAddressStream},
            network::{self, ErrorCode, IpAddress, Network},
        },
        subscribe,
    },
    sockets::WasiSocketsView,
};

use super::{Dialer, Host};
use crate::{
    clock::Deadline,
    config::HostName,
    sandbox::{output::printable, usage::Event},
};

/// Bytes of a name that are logged.
const SHOWN: usize = 253;

/// A look-up that was begun: what [`ResolveAddressStream`] stands for in the table.
pub(super) struct Lookup {
    name: Arc<str>,
    state: State,
}

enum State {
    UnderWay { answer: oneshot::Receiver<std::io::Result<Vec<IpAddr>>>, until: Deadline },
    Answered(std::io::Result<Vec<IpAddr>>),
    Late,
    Settled(Result<vec::IntoIter<IpAddr>, ErrorCode>),
}

impl Dialer {
    /// Begins a look-up.
    fn look_up(&self, name: &str) -> Result<Lookup, ErrorCode> {
        let shown = || printable(&name[..name.floor_char_boundary(SHOWN)], false).into_owned();
        let refused = |why: &str| self.log.refused(Event::LookupRefused, "look-up", shown(), why);
        // The interface gives an address back as it stands; one that is not granted is no use, and says nothing either.
        if let Some(address) = literal(name) {
            if !self.sockets.0.addresses.iter().any(|(granted, _)| *granted == address) {
                refused("not granted");
                return Err(ErrorCode::AccessDenied);
            }
            return Ok(Lookup { name: name.into(), state: State::Settled(Ok(vec![address].into_iter())) });
        }
        let host: Option<HostName> = name.parse().ok();
        let Some(name) = host.as_ref().and_then(HostName::name).filter(|name| self.sockets.0.names.contains_key(*name)) else {
            refused("not granted");
            return Err(ErrorCode::AccessDenied);
        };
        let name: Arc<str> = name.into();
        let Some(under_way) = self.log.usage().look_up(self.clock.elapsed(), self.limits.lookups) else {
            refused("too many a second or at once (limits.tcp.lookups)");
            return Err(ErrorCode::TemporaryResolverFailure);
        };
        self.log.allowed(Event::LookupAllowed, "look-up", &name);
        let (sender, answer) = oneshot::channel();
        let (resolver, asked) = (self.sockets.0.resolver.clone(), name.clone());
        // A task of its own, which nobody cuts short: the system's resolver cannot be, and what it holds counts until it is done.
        tokio::spawn(async move {
            let answer = resolver.addresses(&asked).await;
            drop(under_way);
            // Whoever asked may have gone away.
            let _gone = sender.send(answer);
        });
        Ok(Lookup { name, state: State::UnderWay { answer, until: Deadline::after(self.limits.lookup_time.duration()) } })
    }
}

/// An address written without a name, in the spelling that the interface has: an IPv6 one without brackets.
fn literal(name: &str) -> Option<IpAddr> {
    let address: IpAddr = name.parse().ok()?;
    Some(address.to_canonical())
}

impl Lookup {
    /// The next address; pending where there is no answer yet.
    fn next(&mut self, dialer: &Dialer) -> Poll<Result<Option<IpAddr>, ErrorCode>> {
        if let State::UnderWay { answer, until } = &mut self.state {
            self.state = match answer.try_recv() {
                Ok(answer) => State::Answered(answer),
                Err(oneshot::error::TryRecvError::Empty) if !until.passed() => return Poll::Pending,
                Err(_) => State::Late,
            };
        }
        if let State::Answered(_) | State::Late = &self.state {
            let answer = std::mem::replace(&mut self.state, State::Late);
            self.state = State::Settled(self.settle(answer, dialer));
        }
        Poll::Ready(match &mut self.state {
            State::Settled(Ok(addresses)) => Ok(addresses.next()),
            State::Settled(Err(code)) => Err(*code),
            State::UnderWay { .. } | State::Answered(_) | State::Late => return Poll::Pending,
        })
    }

    fn settle(&self, answer: State, dialer: &Dialer) -> Result<vec::IntoIter<IpAddr>, ErrorCode> {
        match answer {
            State::Answered(Ok(found)) if found.is_empty() => Err(ErrorCode::NameUnresolvable),
            State::Answered(Ok(found)) => match dialer.keep(&self.name, found) {
                passed if passed.is_empty() => Err(ErrorCode::AccessDenied),
                passed => Ok(passed.into_iter()),
            },
            State::Answered(Err(error)) => {
                tracing::debug!(name = &*self.name, %error, "a name could not be looked up");
                Err(ErrorCode::NameUnresolvable)
            }
            _ => {
                tracing::debug!(name = &*self.name, "a look-up took longer than it may (limits.tcp.lookup-time)");
                Err(ErrorCode::TemporaryResolverFailure)
            }
        }
    }
}

#[async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        if let State::UnderWay { answer, until } = &mut self.state {
            self.state = match tokio::time::timeout_at(until.instant(), answer).await {
                Ok(Ok(answer)) => State::Answered(answer),
                Ok(Err(_)) | Err(_) => State::Late,
            };
        }
    }
}

/// The handle that the interface knows, as what stands in the table.
fn own(stream: &Resource<ResolveAddressStream>) -> Resource<Lookup> {
    if stream.owned() { Resource::new_own(stream.rep()) } else { Resource::new_borrow(stream.rep()) }
}

impl ip_name_lookup::Host for Host {
    fn resolve_addresses(&mut self, network: Resource<Network>, name: String) -> SocketResult<Resource<ResolveAddressStream>> {
        self.in_time().map_err(SocketError::trap)?;
        self.table.get(&network)?;
        let lookup = self.dialer.look_up(&name)?;
        Ok(Resource::new_own(self.table.push(lookup)?.rep()))
    }
}

impl ip_name_lookup::HostResolveAddressStream for Host {
    fn resolve_next_address(&mut self, stream: Resource<ResolveAddressStream>) -> SocketResult<Option<IpAddress>> {
        match self.table.get_mut(&own(&stream))?.next(&self.dialer) {
            Poll::Ready(next) => Ok(next?.map(Into::into)),
            Poll::Pending => Err(ErrorCode::WouldBlock.into()),
        }
    }

    fn subscribe(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(&mut self.table, own(&stream))
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.table.delete(own(&stream))?;
        Ok(())
    }
}

/// What the other interfaces need of this one, as wasmtime has it.
impl network::Host for Host {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        self.sockets().network_error_code(error)
    }
}

impl network::HostNetwork for Host {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}
