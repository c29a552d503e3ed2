//! A destination that tries every way out of its sandbox, and says which were open.

use std::{env, fs, io, io::Read as _, net};

use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Receipt, export_destination, state, tokens};

/// Tries what a record names, and answers with a remark where it worked and with a rejection where it did not.
#[derive(Debug)]
pub struct Intruder;

impl Destination for Intruder {
    type Config = ();

    fn describe() -> Descriptor {
        Descriptor::new("Tries every way out of its sandbox.").order(wharf_sdk::Order::Batch)
    }

    fn open((): (), _: Context) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        let mut receipt = Receipt::builder(batch);
        for record in batch {
            let told = String::from_utf8_lossy(record.after().unwrap_or_default()).into_owned();
            let mut words = told.split(' ');
            let (what, on) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            match attempt(what, on, words.next().unwrap_or_default()) {
                Ok(found) => receipt.warned(record, found),
                Err(refused) => receipt.failed(record, Failure::rejected(refused)),
            }
        }
        Ok(receipt.finish())
    }
}

fn attempt(what: &str, on: &str, to: &str) -> Result<String, String> {
    let done = |result: io::Result<()>| result.map(|()| "done".to_owned()).map_err(|error| error.to_string());
    let shown = |error: io::Error| error.to_string();
    match what {
        "read" => fs::read_to_string(on).map_err(shown),
        "write" => done(fs::write(on, "intruded")),
        "append" => done(fs::OpenOptions::new().append(true).open(on).map(drop)),
        "truncate" => done(fs::OpenOptions::new().write(true).truncate(true).open(on).map(drop)),
        "make" => done(fs::create_dir(on)),
        "remove" => done(fs::remove_file(on)),
        "rename" => done(fs::rename(on, to)),
        "link" => done(fs::hard_link(on, to)),
        #[cfg(target_os = "wasi")]
        "symlink" => symlink(on, to),
        "list" => {
            let entries: io::Result<Vec<_>> = fs::read_dir(on).and_then(Iterator::collect);
            let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
            let mut names: Vec<_> = entries.map_err(shown)?.iter().map(name).collect();
            names.sort();
            Ok(names.join(","))
        }
        "environment" => Ok(format!("{} variables, {} arguments", env::vars_os().count(), env::args_os().count())),
        "stdin" => io::stdin().read_to_end(&mut Vec::new()).map(|bytes| format!("{bytes} bytes")).map_err(shown),
        "tcp" => net::TcpStream::connect(on).map(|_| "connected".into()).map_err(shown),
        "listen" => net::TcpListener::bind(on).map(|_| "listening".into()).map_err(shown),
        "udp" => net::UdpSocket::bind(on).map(|_| "bound".into()).map_err(shown),
        "look-up" => net::ToSocketAddrs::to_socket_addrs(on).map(|found| format!("{} addresses", found.count())).map_err(shown),
        "state" => state::get(on).map(|_| "read".into()).map_err(|error| format!("{error:?}")),
        "token" => tokens::get(on).map(|_| "got".into()).map_err(|error| format!("{error:?}")),
        #[cfg(target_os = "wasi")]
        "preopens" => Ok(format!("{} directories", wasip2::filesystem::preopens::get_directories().len())),
        #[cfg(target_os = "wasi")]
        "http" => http(on),
        _ => Err(format!("told to {what}, and cannot")),
    }
}

/// The standard library makes links on nightly toolchains alone.
#[cfg(target_os = "wasi")]
fn symlink(target: &str, at: &str) -> Result<String, String> {
    let directories = wasip2::filesystem::preopens::get_directories();
    let (directory, path) = directories.iter().find(|(_, path)| at.starts_with(path.as_str())).ok_or("no such directory")?;
    let at = at.trim_start_matches(path.as_str()).trim_start_matches('/');
    directory.symlink_at(target, at).map(|()| "done".into()).map_err(|error| format!("{error:?}"))
}

#[cfg(target_os = "wasi")]
fn http(authority: &str) -> Result<String, String> {
    use wasip2::http::{
        outgoing_handler::handle,
        types::{Fields, OutgoingRequest},
    };
    let request = OutgoingRequest::new(Fields::new());
    let set = request.set_authority(Some(authority)).and_then(|()| request.set_path_with_query(Some("/")));
    set.map_err(|()| "not an address".to_owned())?;
    let response = handle(request, None).map_err(|error| format!("{error:?}"))?;
    response.subscribe().block();
    match response.get() {
        Some(Ok(Ok(response))) => Ok(format!("status {}", response.status())),
        Some(Ok(Err(error))) => Err(format!("{error:?}")),
        other => Err(format!("{other:?}")),
    }
}

export_destination!(Intruder);
