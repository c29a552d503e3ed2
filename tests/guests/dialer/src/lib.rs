//! A destination that connects, listens and looks up what its records tell it to, and gives up each with what came of it.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket},
};

use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Parameters, Receipt, export_destination};

/// What it asks to be granted.
#[derive(Debug, Parameters)]
pub struct Config {
    /// A host and a port.
    #[allow(dead_code, reason = "the host reads it")]
    to: String,
}

/// Tries things, and keeps the connections that it is told to hold.
#[derive(Debug)]
pub struct Dialer {
    held: Vec<TcpStream>,
}

impl Destination for Dialer {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Connects to what it is told to.").order(wharf_sdk::Order::Batch).request("tcp", "{to}", "to talk to it")
    }

    fn open(_: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self { held: Vec::new() })
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        let mut receipt = Receipt::builder(batch);
        for record in batch {
            let told = String::from_utf8_lossy(record.after().unwrap_or_default()).into_owned();
            let mut words = told.split(' ');
            let (what, on) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let came = self.attempt(what, on, words.next().unwrap_or_default());
            receipt.failed(record, Failure::rejected(came.unwrap_or_else(|error| error)));
        }
        Ok(receipt.finish())
    }
}

impl Dialer {
    fn attempt(&mut self, what: &str, on: &str, amount: &str) -> Result<String, String> {
        let shown = |error: std::io::Error| error.to_string();
        let amount: usize = amount.parse().unwrap_or(1);
        match what {
            "greet" => greet(TcpStream::connect(on).map_err(shown)?).map_err(shown),
            "hold" => {
                for held in 0..amount {
                    match TcpStream::connect(on) {
                        Ok(stream) => self.held.push(stream),
                        Err(error) => return Err(format!("{held} held, then {error}")),
                    }
                }
                Ok(format!("{amount} held"))
            }
            "let-go" => {
                self.held.clear();
                Ok("none held".to_owned())
            }
            "wait" => {
                let mut stream = TcpStream::connect(on).map_err(shown)?;
                stream.read(&mut [0]).map(|_| "answered".to_owned()).map_err(shown)
            }
            "look-up" => {
                let found: Vec<String> = on.to_socket_addrs().map_err(shown)?.map(|address| address.ip().to_string()).collect();
                Ok(found.join(","))
            }
            "listen" => TcpListener::bind(on).map(|_| "listening".to_owned()).map_err(shown),
            "udp" => UdpSocket::bind(on).map(|_| "bound".to_owned()).map_err(shown),
            #[cfg(target_os = "wasi")]
            "resolve" => raw::resolve(on),
            #[cfg(target_os = "wasi")]
            "resolve-many" => raw::resolve_many(on, amount),
            #[cfg(target_os = "wasi")]
            "connect" => raw::connect(on.parse().map_err(|_| "no address".to_owned())?),
            #[cfg(target_os = "wasi")]
            "bind" => raw::bind(on.parse().map_err(|_| "no address".to_owned())?),
            #[cfg(target_os = "wasi")]
            "bind-listen" => raw::listen(on.parse().map_err(|_| "no address".to_owned())?),
            _ => Err(format!("told to {what}, and cannot")),
        }
    }
}

fn greet(mut stream: TcpStream) -> std::io::Result<String> {
    stream.write_all(b"hello\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The interfaces themselves: they say more than the standard library lets through.
#[cfg(target_os = "wasi")]
mod raw {
    use std::net::SocketAddr;

    use wasip2::sockets::{
        instance_network::instance_network,
        ip_name_lookup::{ResolveAddressStream, resolve_addresses},
        network::{ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress},
        tcp::TcpSocket,
        tcp_create_socket::create_tcp_socket,
    };

    fn told(code: ErrorCode) -> String {
        code.name().to_owned()
    }

    fn all(stream: &ResolveAddressStream) -> Result<String, String> {
        stream.subscribe().block();
        let mut found = Vec::new();
        while let Some(address) = stream.resolve_next_address().map_err(told)? {
            found.push(match address {
                IpAddress::Ipv4((a, b, c, d)) => std::net::Ipv4Addr::new(a, b, c, d).to_string(),
                IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => std::net::Ipv6Addr::new(a, b, c, d, e, f, g, h).to_string(),
            });
        }
        Ok(found.join(","))
    }

    pub fn resolve(name: &str) -> Result<String, String> {
        all(&resolve_addresses(&instance_network(), name).map_err(told)?)
    }

    pub fn resolve_many(name: &str, amount: usize) -> Result<String, String> {
        let network = instance_network();
        let mut under_way = Vec::new();
        for begun in 0..amount {
            match resolve_addresses(&network, name) {
                Ok(stream) => under_way.push(stream),
                Err(code) => return Err(format!("{begun} begun, then {}", told(code))),
            }
        }
        Ok(format!("{amount} begun"))
    }

    fn socket(address: SocketAddr) -> Result<(TcpSocket, IpSocketAddress), String> {
        let (family, address) = match address {
            SocketAddr::V4(address) => {
                let [a, b, c, d] = address.ip().octets();
                (IpAddressFamily::Ipv4, IpSocketAddress::Ipv4(Ipv4SocketAddress { port: address.port(), address: (a, b, c, d) }))
            }
            SocketAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h] = address.ip().segments();
                let address = Ipv6SocketAddress {
                    port: address.port(),
                    flow_info: address.flowinfo(),
                    address: (a, b, c, d, e, f, g, h),
                    scope_id: address.scope_id(),
                };
                (IpAddressFamily::Ipv6, IpSocketAddress::Ipv6(address))
            }
        };
        Ok((create_tcp_socket(family).map_err(told)?, address))
    }

    pub fn connect(address: SocketAddr) -> Result<String, String> {
        let (socket, address) = socket(address)?;
        socket.start_connect(&instance_network(), address).map_err(told)?;
        socket.subscribe().block();
        socket.finish_connect().map(|_| "connected".to_owned()).map_err(told)
    }

    pub fn bind(address: SocketAddr) -> Result<String, String> {
        let (socket, address) = socket(address)?;
        socket.start_bind(&instance_network(), address).map_err(told)?;
        socket.finish_bind().map(|()| "bound".to_owned()).map_err(told)
    }

    pub fn listen(address: SocketAddr) -> Result<String, String> {
        let (socket, address) = socket(address)?;
        socket.start_bind(&instance_network(), address).map_err(told)?;
        socket.finish_bind().map_err(told)?;
        socket.start_listen().map_err(told)?;
        socket.finish_listen().map(|()| "listening".to_owned()).map_err(told)
    }
}

export_destination!(Dialer);
