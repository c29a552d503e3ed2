//! Calls of the host, without an end: short ones, and such as have it do much for little fuel.

use std::hint::black_box;

use wasip2::{
    cli::{
        environment::{get_arguments, get_environment},
        stdout::get_stdout,
    },
    clocks::monotonic_clock::subscribe_duration,
    filesystem::{
        preopens::get_directories,
        types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags},
    },
    http::types::{Fields, Method, OutgoingRequest, Scheme},
    io::poll::poll,
    random::{insecure, random},
    sockets::{
        instance_network::instance_network, ip_name_lookup::resolve_addresses, network::IpAddressFamily,
        tcp_create_socket::create_tcp_socket,
    },
};

/// Does it, with so many bytes a call or entries of a list where it is done at length. False where it is none of these.
pub fn act(act: &str, amount: u64) -> bool {
    let bytes = || vec![b'x'; amount as usize];
    let text = || "x".repeat(amount as usize);
    let request = || OutgoingRequest::new(Fields::new());
    match act {
        "handles" => again(get_stdout),
        "requests" => again(request),
        "sockets" => again(|| create_tcp_socket(IpAddressFamily::Ipv4)),
        "environment" => again(|| (get_environment(), get_arguments())),
        "random-at-length" => again(|| random::get_random_bytes(amount)),
        "insecure-at-length" => again(|| insecure::get_insecure_random_bytes(amount)),
        "poll-at-length" => {
            let ready = subscribe_duration(0);
            let many = vec![&ready; amount as usize];
            again(|| poll(&many))
        }
        "write-at-length" => {
            let (stdout, bytes) = (get_stdout(), bytes());
            again(|| (stdout.check_write(), stdout.write(&bytes)))
        }
        "write-and-flush-at-length" => {
            let (stdout, bytes) = (get_stdout(), bytes());
            again(|| stdout.blocking_write_and_flush(&bytes))
        }
        "zeroes-at-length" => {
            let stdout = get_stdout();
            again(|| (stdout.check_write(), stdout.write_zeroes(amount)))
        }
        "from-list-at-length" => {
            let entries = [("x y".to_owned(), bytes())];
            again(|| Fields::from_list(&entries))
        }
        "get-at-length" => {
            let (fields, name) = (Fields::new(), text());
            again(|| fields.get(&name))
        }
        "has-at-length" => {
            let (fields, name) = (Fields::new(), text());
            again(|| fields.has(&name))
        }
        "set-at-length" => {
            let (fields, values) = (Fields::new(), [bytes()]);
            again(|| fields.set("x y", &values))
        }
        "append-at-length" => {
            let (fields, value) = (Fields::new(), bytes());
            again(|| fields.append("x y", &value))
        }
        "delete-at-length" => {
            let (fields, name) = (Fields::new(), text());
            again(|| fields.delete(&name))
        }
        "method-at-length" => {
            let (request, method) = (request(), Method::Other(text()));
            again(|| request.set_method(&method))
        }
        "path-at-length" => {
            let (request, path) = (request(), text());
            again(|| request.set_path_with_query(Some(&path)))
        }
        "scheme-at-length" => {
            let (request, scheme) = (request(), Scheme::Other(text()));
            again(|| request.set_scheme(Some(&scheme)))
        }
        "authority-at-length" => {
            let (request, authority) = (request(), text());
            again(|| request.set_authority(Some(&authority)))
        }
        "look-up-at-length" => {
            let (network, name) = (instance_network(), text());
            again(|| resolve_addresses(&network, &name))
        }
        // What is asked of the wrong kind of thing never gets to the disk.
        "open-at-length" => {
            let (file, path) = (file(), text());
            again(|| file.open_at(PathFlags::empty(), &path, OpenFlags::empty(), DescriptorFlags::READ))
        }
        "write-file-at-length" => {
            let (directory, bytes) = (directory(), bytes());
            again(|| directory.write(&bytes, 0))
        }
        "link-at-length" => {
            let (directory, path) = (directory(), text());
            again(|| directory.link_at(PathFlags::SYMLINK_FOLLOW, &path, &directory, "new"))
        }
        "stat-at-length" => {
            let (directory, path) = (directory(), text());
            again(|| directory.stat_at(PathFlags::empty(), &path))
        }
        _ => false,
    }
}

fn again<T>(mut call: impl FnMut() -> T) -> bool {
    loop {
        black_box(call());
    }
}

#[expect(clippy::expect_used, reason = "a connector that traps tells that the test is wrong")]
fn directory() -> Descriptor {
    get_directories().pop().expect("no directory is granted").0
}

#[expect(clippy::expect_used, reason = "a connector that traps tells that the test is wrong")]
fn file() -> Descriptor {
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    directory().open_at(PathFlags::empty(), "file", OpenFlags::CREATE, flags).expect("no file can be made")
}
