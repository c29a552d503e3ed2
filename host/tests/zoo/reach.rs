//! Reaching for what is not granted: files, addresses, state. Every trick and every spelling that the host's own tests try stands in
//! `tests/destinations`; here is one of each kind, beside a neighbour.

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::row::{Animal, Outcome, Row, ends};

fn guest(name: &str, guest: &'static str, settings: Value, words: &'static [&'static str]) -> Row {
    Row::new(name, Animal::Guest(guest, settings), Outcome::Each(words))
}

pub fn rows() -> Vec<Row> {
    let nothing = ["No such file", "Permission denied", "failed to lookup", "HttpRequestDenied", "NotGranted"];
    let intruder = |name, words| guest(name, "guest-intruder", json!({}), words);
    let caller = |name, words| guest(name, "guest-caller", json!({}), words);
    let dialer = |name, words| guest(name, "guest-dialer", json!({"to": "nowhere.test:1"}), words);
    let keeper = |name, words| guest(name, "guest-keeper", json!({}), words);
    let directories = json!({"directories": [{"host": "granted", "guest": "/granted", "access": "read-write"}]});
    let long = format!("read /granted/{}", "n".repeat(5000));
    vec![
        intruder("everything, and nothing is granted", Vec::from(nothing).leak()).lines(&[
            "read /etc/passwd",
            "list /",
            "write /tmp/x",
            "tcp 127.0.0.1:80",
            "tcp 169.254.169.254:80",
            "listen 127.0.0.1:0",
            "udp 127.0.0.1:0",
            "look-up localhost:80",
            "http localhost",
            "state x",
            "token x",
        ]),
        // `out` and `etc` are links that lead outside, made by the host.
        intruder("out of a directory", &["os error"]).grants(directories).lines(&[
            "read /granted/../secret",
            "read /granted/a/../../secret",
            "read /granted//../secret",
            "read /granted/./../secret",
            "read /granted/out",
            "read /granted/out/",
            "read /granted/out/.",
            "write /granted/out",
            "read /granted/etc/passwd",
            "read /granted/etc/../secret",
            "list /granted/etc",
            "list /granted/..",
            "read /etc/passwd",
            r"read \\?\C:\secret",
            "read CON",
            "rename /granted/out /granted/../moved",
            "link /granted/out /granted/hard",
            "remove /granted/../secret",
            &long,
        ]),
        caller("every spelling of an address", &["Denied", "Invalid", "Prohibited", "not an address"])
            .grants(json!({"http": ["http://allowed.test", "http://*.below.test"]}))
            .lines(&[
                "http://127.0.0.1/",
                "http://localhost./",
                "http://0.0.0.0/",
                "http://[::]/",
                "http://[::ffff:169.254.169.254]/",
                "http://[64:ff9b::a9fe:a9fe]/",
                "http://2852039166/",
                "http://0x7f.1/",
                "http://017700000001/",
                "http://169.254.169.254/latest",
                "http://[fd00:ec2::254]/",
                "http://metadata.google.internal/",
                "http://100.64.0.1/",
                "http://224.0.0.1/",
                "http://255.255.255.255/",
                "http://allowed.test.evil.test/",
                "http://evilallowed.test/",
                "http://below.test/",
                "http://allowed.test:8080/",
                "https://allowed.test/",
            ]),
        caller("a granted name with a private address", &["DestinationIpProhibited", "HttpRequestDenied"])
            .grants(json!({"http": ["http://inside.test"]}))
            .lines(&["http://inside.test/"]),
        dialer("sockets, and none is granted", &["ccess", "denied", "Permission", "lookup", "Denied"]).lines(&[
            "connect 127.0.0.1:80",
            "connect 169.254.169.254:80",
            "connect [::1]:80",
            "connect [::ffff:127.0.0.1]:80",
            "bind 0.0.0.0:0",
            "bind-listen 127.0.0.1:0",
            "udp 0.0.0.0:0",
            "resolve localhost",
            "resolve 127.0.0.1",
        ]),
        keeper("giant state", &["OverQuota"]).grants(json!({"state": {"bytes": "64KiB", "keys": 10}})).lines(&[
            "fill a 65537",
            "fill a 20000000",
            "long 100000",
        ]),
        Row::new(
            "a swap that never comes out",
            Animal::Guest("guest-keeper", json!({})),
            ends("took longer than 100ms (limits.time.write)"),
        )
        .grants(json!({"state": {"bytes": "64KiB", "keys": 10}}))
        .limits(json!({"fuel-per-call": u64::MAX, "time": {"write": "100ms"}}))
        .lines(&["spin a"]),
        Row::new(
            "a server that never answers",
            Animal::Guest("guest-caller", json!({})),
            ends("took longer than 200ms (limits.time.write)"),
        )
        .limits(json!({"time": {"write": "200ms"}}))
        .served(|| {
            served(|mut stream| {
                // Until the other side gives up.
                let _gone = stream.read_to_end(&mut Vec::new());
            })
        }),
        Row::new(
            "a server that drips",
            Animal::Guest("guest-caller", json!({})),
            ends("took longer than 200ms (limits.time.write) | ConnectionTerminated"),
        )
        .limits(json!({"time": {"write": "200ms"}}))
        .served(|| {
            served(|mut stream| {
                let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nx: ");
                while stream.write_all(b"x").is_ok() {
                    thread::sleep(Duration::from_millis(20));
                }
            })
        }),
        Row::new("a body without an end", Animal::Guest("guest-caller", json!({})), Outcome::Each(&["HttpResponseBodySize"]))
            .limits(json!({"time": {"write": "2000ms"}}))
            .served(|| {
                served(|mut stream| {
                    let _request = stream.read(&mut [0; 4096]);
                    let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
                    let piece = [b"8000\r\n", &[b'x'; 0x8000][..], b"\r\n"].concat();
                    while stream.write_all(&piece).is_ok() {}
                })
            }),
    ]
}

/// A server of this process: gives the grant for it and what to ask of it.
fn served(serve: fn(std::net::TcpStream)) -> (Value, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            thread::spawn(move || serve(stream));
        }
    });
    (json!({"http": [url]}), vec![format!("{url}/")])
}
