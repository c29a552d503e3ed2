//! `wasi:sockets/tcp-create-socket` and `udp-create-socket`: where sockets are counted, and where they are refused.

use wasmtime::component::Resource;
use wasmtime_wasi::{
    p2::{
        SocketResult, TcpSocket, UdpSocket,
        bindings::sockets::{
            network::{ErrorCode, IpAddressFamily},
            tcp_create_socket, udp_create_socket,
        },
    },
    sockets::WasiSocketsView,
};

use super::Host;
use crate::sandbox::usage::Event;

/// What all sockets of an instance are children of in its table, so that those that are held can be counted.
pub(in crate::sandbox) struct Open;

impl tcp_create_socket::Host for Host {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        if self.dialer.sockets.is_empty() {
            self.log.refused(Event::ConnectRefused, "tcp", "a socket", "not granted");
            return Err(ErrorCode::AccessDenied.into());
        }
        let parent = match &self.open_sockets {
            Some(parent) => Resource::<Open>::new_borrow(parent.rep()),
            None => {
                let parent = self.table.push(Open)?;
                let borrowed = Resource::new_borrow(parent.rep());
                self.open_sockets = Some(parent);
                borrowed
            }
        };
        if self.table.iter_children(&parent)?.count() >= self.dialer.limits.sockets as usize {
            self.log.refused(Event::ConnectRefused, "tcp", "a socket", "too many are open (limits.tcp.sockets)");
            return Err(ErrorCode::NewSocketLimit.into());
        }
        let socket = self.sockets().create_tcp_socket(family)?;
        self.table.add_child(Resource::<TcpSocket>::new_borrow(socket.rep()), parent)?;
        Ok(socket)
    }
}

impl udp_create_socket::Host for Host {
    async fn create_udp_socket(&mut self, _: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        self.log.refused(Event::Refused, "udp", "a socket", "no datagrams are sent or received");
        Err(ErrorCode::AccessDenied.into())
    }
}
