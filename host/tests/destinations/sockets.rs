//! What a component reaches by TCP: what is granted by name and port, at addresses that were looked up for it, and nothing else.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use wharf::sandbox::address::Resolver;

use crate::trial::{Trial, destination};

/// Answers as it is told to, one answer after another and the last for ever; a name without answers is never answered.
#[derive(Debug, Default)]
struct Names {
    answers: Mutex<HashMap<&'static str, VecDeque<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    fn new(answers: &[(&'static str, &[&[&str]])]) -> Arc<Self> {
        let address = |address: &&str| address.parse().unwrap();
        let answer = |answer: &&[&str]| answer.iter().map(address).collect();
        let answers = answers.iter().map(|(name, answers)| (*name, answers.iter().map(answer).collect())).collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

#[async_trait]
impl Resolver for Names {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let answer = match self.answers.lock().unwrap().get_mut(name) {
            None => return Err(io::ErrorKind::NotFound.into()),
            Some(answers) if answers.len() > 1 => answers.pop_front(),
            Some(answers) => answers.front().cloned(),
        };
        match answer {
            Some(answer) => Ok(answer),
            None => std::future::pending().await,
        }
    }
}

/// A server that says who it is, for as long as anybody connects.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// `None` where this machine has no such address.
    fn start(at: &str) -> Option<Self> {
        let listener = TcpListener::bind((at.parse::<IpAddr>().unwrap(), 0)).ok()?;
        let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = connections.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                counted.fetch_add(1, SeqCst);
                // On a thread of its own: some of them say nothing.
                thread::spawn(move || {
                    let mut hello = [0; 6];
                    if stream.read_exact(&mut hello).is_ok() && hello == *b"hello\n" {
                        let _gone = stream.write_all(b"this is the server");
                    }
                });
            }
        });
        Some(Self { address, connections })
    }

    fn loopback() -> Self {
        Self::start("127.0.0.1").unwrap()
    }

    fn port(&self) -> u16 {
        self.address.port()
    }
}

fn dialer(to: &str, tcp: Value, limits: Value) -> Value {
    let mut dialer = destination("dialer", "guest-dialer", json!({"to": to}));
    dialer["grants"] = json!({"tcp": tcp});
    dialer["limits"] = limits;
    dialer
}

/// Tries each thing, in order and in one instance; gives what came of it.
async fn tried(trial: &Trial, dialer: &Value, attempts: &[&str]) -> Vec<String> {
    trial.append(attempts);
    let ran = trial.run(std::slice::from_ref(dialer)).await;
    assert_eq!(ran.error, "");
    let mut letters = trial.dead_letters().await;
    assert_eq!(letters.len(), attempts.len());
    letters.sort_by_key(|letter| letter.sequence);
    letters.into_iter().map(|letter| letter.reason.message.to_string()).collect()
}

fn with_names(names: &Arc<Names>) -> Trial {
    let mut trial = Trial::new([""; 0]);
    trial.resolver = names.clone();
    trial
}

#[tokio::test]
async fn what_is_granted_is_connected_to_by_name_and_by_address() {
    let (server, other) = (Server::loopback(), Server::loopback());
    let (port, closed) = (server.port(), other.port());
    let names = Names::new(&[("db.test", &[&["127.0.0.1"]])]);
    let trial = with_names(&names);
    let by_name = format!("DB.test:{port}");
    let granted = json!([{"to": by_name, "private": true}, format!("127.0.0.1:{port}")]);
    let attempts = [
        format!("greet 127.0.0.1:{port}"),
        format!("greet db.test:{port}"),
        format!("greet Db.Test:{port}"),
        format!("greet db.test:{closed}"),
        format!("greet 127.0.0.1:{closed}"),
    ];
    let attempts: Vec<&str> = attempts.iter().map(String::as_str).collect();
    let answers = tried(&trial, &dialer(&by_name, granted, json!({})), &attempts).await;
    let denied = "Permission denied (os error 2)";
    assert_eq!(answers, ["this is the server", "this is the server", "this is the server", denied, denied]);
    assert_eq!((server.connections.load(SeqCst), other.connections.load(SeqCst)), (3, 0));
    let log = trial.log();
    let of = "pipeline=\"trial\" destination=\"dialer\"";
    for line in [
        &format!("INFO wharf::sandbox::log: allowed {of} capability=\"look-up\" what=db.test"),
        &format!("INFO wharf::sandbox::log: allowed {of} capability=\"tcp\" what=127.0.0.1:{port}"),
        &format!("WARN wharf::sandbox::log: refused: not granted {of} capability=\"tcp\" what=127.0.0.1:{closed}"),
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

#[tokio::test]
async fn an_ipv6_address_that_is_granted_is_connected_to() {
    let Some(server) = Server::start("::1") else {
        eprintln!("this machine has no IPv6 loopback address: connecting to one is not tried");
        return;
    };
    let to = format!("[::1]:{}", server.port());
    let attempts = [format!("greet {to}"), format!("connect [::1%1]:{}", server.port())];
    let trial = Trial::new([""; 0]);
    let answers = tried(&trial, &dialer(&to, json!([to]), json!({})), &[&attempts[0], &attempts[1]]).await;
    assert_eq!(answers, ["this is the server", "access-denied"]);
}

#[tokio::test]
async fn no_address_passes_for_a_name() {
    let server = Server::loopback();
    let port = server.port();
    let names = Names::new(&[("db.test", &[&["127.0.0.1"]])]);
    let trial = with_names(&names);
    let to = format!("db.test:{port}");
    let attempts = [
        // Nothing was looked up yet.
        (format!("connect 127.0.0.1:{port}"), "access-denied"),
        (format!("connect [::1]:{port}"), "access-denied"),
        (format!("connect 0.0.0.0:{port}"), "invalid-argument"),
        (format!("connect [::]:{port}"), "invalid-argument"),
        (format!("connect [::ffff:127.0.0.1]:{port}"), "invalid-argument"),
        (format!("connect [::127.0.0.1]:{port}"), "invalid-argument"),
        ("connect 127.0.0.1:0".to_owned(), "invalid-argument"),
        ("connect 169.254.169.254:80".to_owned(), "access-denied"),
        ("connect [::ffff:169.254.169.254]:80".to_owned(), "invalid-argument"),
        ("connect [64:ff9b::a9fe:a9fe]:80".to_owned(), "access-denied"),
        ("connect [fd00:ec2::254]:80".to_owned(), "access-denied"),
        ("connect [fe80::1%1]:80".to_owned(), "access-denied"),
        ("connect 100.64.0.1:80".to_owned(), "access-denied"),
        ("connect 10.0.0.1:80".to_owned(), "access-denied"),
        ("connect 93.184.216.34:80".to_owned(), "access-denied"),
        ("connect 224.0.0.1:80".to_owned(), "invalid-argument"),
        ("connect 255.255.255.255:80".to_owned(), "invalid-argument"),
        // Looked up, and not for this port.
        ("resolve db.test".to_owned(), "127.0.0.1"),
        ("connect 127.0.0.1:1".to_owned(), "access-denied"),
        (format!("connect 127.0.0.2:{port}"), "access-denied"),
        (format!("connect 127.0.0.1:{port}"), "connected"),
    ];
    let told: Vec<&str> = attempts.iter().map(|(attempt, _)| attempt.as_str()).collect();
    let answers = tried(&trial, &dialer(&to, json!([{"to": to, "private": true}]), json!({})), &told).await;
    for ((attempt, expected), answer) in attempts.iter().zip(answers) {
        assert_eq!(answer, *expected, "{attempt}");
    }
    assert_eq!(server.connections.load(SeqCst), 1);
}

#[tokio::test]
async fn only_granted_names_are_looked_up() {
    let names = Names::new(&[("db.test", &[&["93.184.216.34"]])]);
    let trial = with_names(&names);
    let long = format!("resolve {}.db.test", ["secret"; 30].join("."));
    let attempts = [
        "resolve db.test",
        "resolve DB.TEST",
        "resolve c2VjcmV0.db.test",
        &long,
        "resolve db.test.evil.test",
        "resolve evildb.test",
        "resolve test",
        "resolve db.test.",
        "resolve localhost",
        "resolve localhost.",
        "resolve metadata.google.internal",
        "resolve 127.0.0.1",
        "resolve ::1",
        "resolve [::1]",
        "resolve ::ffff:169.254.169.254",
        "resolve fe80::1%1",
        "resolve 2852039166",
        "resolve 0x7f.1",
        "resolve 017700000001",
        "resolve 169.254.169.254",
        "resolve db.test:5432",
        "resolve db.test/x",
        "resolve ｄb.test",
        "resolve ",
        "resolve 192.0.2.9",
        "resolve 192.0.2.10",
    ];
    let granted = json!(["db.test:5432", "192.0.2.9:1"]);
    let answers = tried(&trial, &dialer("db.test:5432", granted, json!({})), &attempts).await;
    for (attempt, answer) in attempts.iter().zip(&answers) {
        let expected = match *attempt {
            "resolve db.test" | "resolve DB.TEST" => "93.184.216.34",
            "resolve 192.0.2.9" => "192.0.2.9",
            _ => "access-denied",
        };
        assert_eq!(answer, expected, "{attempt}");
    }
    assert_eq!(names.asked(), ["db.test", "db.test"], "nobody else was told of any name");
    assert!(trial.log().contains("capability=\"look-up\" what=c2VjcmV0.db.test\n"), "{}", trial.log());
}

#[tokio::test]
async fn a_name_that_leads_into_the_operators_network_is_refused_unless_that_is_granted() {
    let server = Server::loopback();
    let port = server.port();
    let mixed: &[&str] = &["10.1.2.3", "93.184.216.34", "127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "64:ff9b::a9fe:a9fe"];
    let inner: &[&str] = &["127.0.0.1", "169.254.169.254", "::1"];
    let answers = [("mixed.test", &[mixed][..]), ("inner.test", &[inner]), ("nowhere.test", &[&[]])];
    let names = Names::new(&answers);
    let trial = with_names(&names);
    let grants = json!([format!("mixed.test:{port}"), format!("inner.test:{port}"), "nowhere.test:1"]);
    let connect = format!("connect 127.0.0.1:{port}");
    let attempts = ["resolve mixed.test", "resolve inner.test", &connect, "resolve nowhere.test"];
    let answers = tried(&trial, &dialer("nowhere.test:1", grants, json!({})), &attempts).await;
    assert_eq!(answers, ["93.184.216.34", "access-denied", "access-denied", "name-unresolvable"]);
    assert_eq!(server.connections.load(SeqCst), 0);
    let told = "refused: a link-local address, and neither it nor `private: true` is granted pipeline=";
    assert!(trial.log().contains(told) && trial.log().contains("what=mixed.test at 169.254.169.254\n"), "{}", trial.log());

    // The address itself is granted, for one port.
    let trial = with_names(&names);
    let grants = json!([format!("inner.test:{port}"), format!("127.0.0.1:{port}"), "inner.test:1"]);
    let attempts = ["resolve inner.test", &connect, "connect 127.0.0.1:1", "connect 169.254.169.254:1"];
    let answers = tried(&trial, &dialer("inner.test:1", grants, json!({})), &attempts).await;
    assert_eq!(answers, ["127.0.0.1", "connected", "access-denied", "access-denied"]);
}

#[tokio::test]
async fn a_name_that_changes_leads_only_to_what_was_returned_and_passed() {
    let server = Server::start("127.0.0.2");
    let Some(server) = server else {
        // Not every system has all of 127.0.0.0/8.
        eprintln!("this machine has no 127.0.0.2: a name that changes is not tried");
        return;
    };
    let port = server.port();
    let names = Names::new(&[
        ("db.test", &[&["127.0.0.1"], &["127.0.0.2"]]),
        ("public.test", &[&["93.184.216.34"], &["127.0.0.2"], &["127.0.0.2"]]),
    ]);
    let trial = with_names(&names);
    let grants = json!([{"to": format!("db.test:{port}"), "private": true}, "public.test:1", format!("public.test:{port}")]);
    let connect = format!("connect 127.0.0.2:{port}");
    let attempts = [
        "resolve public.test",
        "resolve public.test",
        &connect,
        "resolve db.test",
        &connect,
        "resolve db.test",
        &connect,
        "connect 127.0.0.2:1",
    ];
    let answers = tried(&trial, &dialer("public.test:1", grants, json!({})), &attempts).await;
    let (denied, connected) = ("access-denied", "connected");
    assert_eq!(answers, ["93.184.216.34", denied, denied, "127.0.0.1", denied, "127.0.0.2", connected, denied]);
    assert_eq!(server.connections.load(SeqCst), 1);
}

#[tokio::test]
async fn nothing_is_listened_on_bound_to_or_sent_without_a_connection() {
    let trial = Trial::new([""; 0]);
    let attempts = [
        "listen 127.0.0.1:0",
        "listen 0.0.0.0:0",
        "udp 127.0.0.1:0",
        "udp 0.0.0.0:0",
        "bind 127.0.0.1:0",
        "bind 127.0.0.1:8080",
        "bind 0.0.0.0:8080",
        "bind-listen 0.0.0.0:0",
        // The port is one that nobody is told of, and nothing is listened on.
        "bind 0.0.0.0:0",
    ];
    let answers = tried(&trial, &dialer("127.0.0.1:8080", json!(["127.0.0.1:8080"]), json!({})), &attempts).await;
    let os = "Permission denied (os error 2)";
    let denied = "access-denied";
    assert_eq!(answers, [os, os, os, os, denied, denied, denied, denied, "bound"]);
    let log = trial.log();
    for line in [
        "refused: nothing is bound to an address",
        "refused: nothing is listened on",
        "refused: no datagrams are sent or received",
        "what=127.0.0.1:8080\n",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

#[tokio::test]
async fn sockets_and_look_ups_are_bounded() {
    let server = Server::loopback();
    let to = format!("127.0.0.1:{}", server.port());
    let trial = Trial::new([""; 0]);
    let (hold, greet) = (format!("hold {to} 5"), format!("greet {to}"));
    let limits = json!({"tcp": {"sockets": 3}});
    let answers = tried(&trial, &dialer(&to, json!([to]), limits), &[&hold, &greet, "let-go", &greet]).await;
    let full = "No file descriptors available (os error 33)";
    assert_eq!(answers, [&format!("3 held, then {full}"), full, "none held", "this is the server"]);
    assert!(trial.log().contains("refused: too many are open (limits.tcp.sockets)"), "{}", trial.log());

    // Answered or not, so many a second; the clock stands still.
    let names = Names::new(&[("db.test", &[&["93.184.216.34"]]), ("silent.test", &[])]);
    let trial = with_names(&names);
    let limits = json!({"tcp": {"lookups": 4, "lookup-time": "50ms"}});
    let attempts = ["resolve silent.test", "resolve db.test", "resolve-many db.test 9", "resolve db.test"];
    let granted = json!(["db.test:1", "silent.test:1"]);
    let answers = tried(&trial, &dialer("db.test:1", granted, limits), &attempts).await;
    let late = "temporary-resolver-failure";
    assert_eq!(answers, [late, "93.184.216.34", &format!("2 begun, then {late}"), late]);
    assert_eq!(names.asked().len(), 4);
    assert!(trial.log().contains("too many a second or at once (limits.tcp.lookups)"), "{}", trial.log());
}

/// A listener whose queue is full, so that nothing more is answered there.
async fn black_hole() -> (tokio::net::TcpListener, Vec<tokio::net::TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let to = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(connected) = tokio::time::timeout(Duration::from_millis(500), tokio::net::TcpStream::connect(to)).await {
        queued.push(connected.unwrap());
    }
    (listener, queued)
}

#[tokio::test]
async fn a_connection_that_is_never_made_ends_with_the_calls_time() {
    let (listener, _queued) = black_hole().await;
    let to = listener.local_addr().unwrap().to_string();
    let trial = Trial::new([format!("greet {to}")]);
    trial.run(&[dialer(&to, json!([to]), json!({"time": {"write": "300ms"}}))]).await;
    assert!(trial.log().contains("took longer than 300ms (limits.time.write)"), "{}", trial.log());
}

#[tokio::test]
async fn an_instance_that_ends_takes_its_connections_with_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        let mut ends = Vec::new();
        loop {
            let accepted = tokio::time::timeout(Duration::from_secs(2), listener.accept()).await;
            let Ok(accepted) = accepted else { return ends };
            let (mut stream, _) = accepted.unwrap();
            // It says nothing, and so hears nothing until the other side is gone.
            ends.push(tokio::io::AsyncReadExt::read(&mut stream, &mut [0]).await.is_ok_and(|read| read > 0));
        }
    });
    let trial = Trial::new([format!("wait {to}")]);
    trial.run(&[dialer(&to, json!([to]), json!({"time": {"write": "300ms"}}))]).await;
    assert!(trial.log().contains("took longer than 300ms (limits.time.write)"), "{}", trial.log());
    let ends = server.await.unwrap();
    assert!(!ends.is_empty() && ends.iter().all(|said_something| !said_something), "{ends:?}");
}

#[tokio::test]
async fn a_connection_that_is_asked_for_and_not_granted_is_told_with_what_to_write() {
    let trial = Trial::new(["x"]);
    for (to, granted, expected) in [
        (
            "DB.test:5432",
            json!(["db.test:5433", "test:5432"]),
            "asks for TCP connections to DB.test:5432 (to talk to it), which is not granted",
        ),
        ("db.test", json!([]), "asks for TCP connections to db.test (to talk to it), which is nothing that can be granted"),
    ] {
        let refused = trial.start(&[dialer(to, granted, json!({}))]).await.err().unwrap();
        assert!(refused.contains(expected), "{refused}");
    }
    assert!(trial.start(&[dialer("DB.test:5432", json!(["db.test:5432"]), json!({}))]).await.is_ok());
}
