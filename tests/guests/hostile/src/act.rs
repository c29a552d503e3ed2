//! What harms a host, whatever a component is called for: destination and processor share this source.

#[cfg(target_os = "wasi")]
#[path = "at_length.rs"]
mod at_length;

use std::{fs, hint::black_box, io::Write as _, mem};

use wharf_sdk::{metrics, state, tokens, tracing};

/// Does it, so much of it where it can be more or less. Nothing where it is no act.
#[expect(clippy::panic, reason = "that is a fault")]
pub fn act(act: &str, amount: u64) {
    match act {
        "panic" => panic!("told to panic"),
        "exit" => std::process::exit(0),
        "loop" => loop {
            black_box(amount);
        },
        "churn" => loop {
            black_box(vec![1_u8; amount as usize]);
        },
        // Cheap calls of the host, without an end: little is computed.
        "log" => loop {
            tracing::error!("again");
        },
        "count" => loop {
            metrics::count("again", 1);
        },
        "cardinality" => {
            for number in 0..amount {
                metrics::gauge(&format!("figure-{number}"), 1.0);
            }
        }
        "ask-for-state" => loop {
            black_box(state::get("x").is_ok());
        },
        "ask-for-state-at-length" => {
            let value = vec![b'x'; amount as usize];
            loop {
                black_box(state::put("x", &value).is_ok());
            }
        }
        "ask-for-tokens" => loop {
            black_box(tokens::get("x").is_ok());
        },
        // Output.
        "one-line" => {
            let piece = "o".repeat(64 << 10);
            for _ in 0..amount {
                print!("{piece}");
            }
        }
        "lines" => {
            for line in 0..amount {
                println!("line {line} \u{1b}[2J");
            }
        }
        "lines-without-end" => loop {
            println!("again");
        },
        "noise" => {
            let bytes: Vec<u8> = (0..1024_u32).map(|byte| (byte * 7) as u8).collect();
            for _ in 0..amount {
                let _written = std::io::stderr().write_all(&bytes);
            }
        }
        // Memory.
        "grow" => {
            let mut kept = Vec::new();
            loop {
                kept.push(black_box(vec![1_u8; 64 << 10]));
            }
        }
        "keep" => mem::forget(black_box(vec![1_u8; amount as usize])),
        // Files of a granted folder.
        "keep-files" => {
            for number in 0..amount {
                if let Ok(file) = fs::File::create(format!("/granted/{}", number % 100)) {
                    mem::forget(file);
                }
            }
        }
        "write-files" => loop {
            let _written = fs::write("/granted/file", vec![1_u8; 64 << 10]);
        },
        #[cfg(target_os = "wasi")]
        _ if at_length::act(act, amount) => {}
        #[cfg(target_os = "wasi")]
        _ => host::act(act, amount),
        #[cfg(not(target_os = "wasi"))]
        _ => {}
    }
}

/// What takes the host's own interfaces.
#[cfg(target_os = "wasi")]
mod host {
    use std::{hint::black_box, mem};

    use wasip2::{
        cli::stdout::get_stdout,
        clocks::{
            monotonic_clock::{now, subscribe_duration},
            wall_clock,
        },
        http::types::{Fields, Method, OutgoingRequest},
        io::poll::{Pollable, poll},
        random::{insecure, random},
    };

    pub fn act(act: &str, amount: u64) {
        match act {
            "clock" => loop {
                black_box((now(), wall_clock::now()));
            },
            "random" => loop {
                black_box((random::get_random_u64(), insecure::get_insecure_random_u64()));
            },
            // 0 stands for the most that can be asked for.
            "random-bytes" => drop(random::get_random_bytes(if amount == 0 { u64::MAX } else { amount })),
            "random-bytes-without-end" => loop {
                black_box(random::get_random_bytes(amount));
            },
            // Waiting.
            "sleep" => subscribe_duration(u64::MAX).block(),
            "timer-spin" => loop {
                subscribe_duration(0).block();
            },
            "ready-spin" => loop {
                black_box(subscribe_duration(0).ready());
            },
            "poll-nothing" => drop(poll(&[])),
            "poll-many" => {
                let pollable = subscribe_duration(u64::MAX);
                let many = vec![&pollable; amount as usize];
                drop(poll(&many));
            }
            "poll-different" => {
                let many: Vec<Pollable> = (0..amount).map(|_| subscribe_duration(u64::MAX)).collect();
                drop(poll(&many.iter().collect::<Vec<_>>()));
            }
            "wait-for-input" => wasip2::cli::stdin::get_stdin().subscribe().block(),
            // Handles that are never dropped, forged, or dropped twice.
            "keep-pollables" => keep(amount, || subscribe_duration(1)),
            "keep-streams" => keep(amount, get_stdout),
            "keep-fields" => keep(amount, Fields::new),
            "keep-full-fields" => keep(amount, || {
                let fields = Fields::new();
                let _appended = fields.append("x", &[b'x'; 20 << 10]);
                fields
            }),
            "keep-full-requests" => {
                let method = Method::Other("x".repeat(1 << 20));
                let (path, authority) = (format!("/{}", "x".repeat(60 << 10)), "x".repeat(60 << 10));
                keep(amount, || {
                    let request = OutgoingRequest::new(Fields::new());
                    let _set = (request.set_method(&method), request.set_authority(Some(&authority)));
                    let _set = request.set_path_with_query(Some(&path));
                    request
                });
            }
            "forge" => drop(forged::<Pollable>(amount as u32)),
            "use-a-forged-one" => {
                let pollable = forged::<Pollable>(amount as u32);
                pollable.block();
            }
            "of-another-kind" => {
                let fields = mem::ManuallyDrop::new(Fields::new());
                let pollable = forged::<Pollable>(fields.handle());
                pollable.block();
            }
            "drop-twice" => {
                let pollable = subscribe_duration(1);
                drop(forged::<Pollable>(pollable.handle()));
                drop(pollable);
            }
            _ => {}
        }
    }

    fn keep<T>(amount: u64, make: impl Fn() -> T) {
        for _ in 0..amount {
            mem::forget(make());
        }
    }

    /// A handle that nobody gave.
    fn forged<T: Forged>(handle: u32) -> T {
        T::forge(handle)
    }

    trait Forged {
        fn forge(handle: u32) -> Self;
    }

    impl Forged for Pollable {
        fn forge(handle: u32) -> Self {
            // SAFETY: there is none, which is what is tried here: the host has to find out.
            unsafe { Self::from_handle(handle) }
        }
    }
}
