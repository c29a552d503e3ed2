//! What it does when it is told of its life: it posts a line, once for each event, and notes in `/kept` which events were dealt with.

use std::{fs, io::Write as _, net::TcpStream};

use super::{
    KEPT, Mutant,
    exports::wharf::connector::lifecycle::{Failure, Guest, Settings},
    failure, read_status, setting,
};
use crate::bindings::wharf::connector::types::FailureKind;

impl Guest for Mutant {
    fn created(event: String, settings: Settings) -> Result<(), Failure> {
        let fault = setting(&settings, "fault");
        if fault == "stays-deleted" && fs::exists(format!("{KEPT}/deleted")).unwrap_or_default() {
            return Err(failure(FailureKind::Rejected, "it was deleted"));
        }
        told(&event, &settings)
    }

    fn updated(event: String, before: Settings, after: Settings) -> Result<(), Failure> {
        let (fault, known) = (setting(&after, "fault"), |name: &str| before.iter().any(|(own, _)| own == name));
        assert!(fault != "wants-old-secrets" || known("token"), "the token from before");
        assert!(fault != "wants-old-settings" || known("address"), "the address from before");
        if fault == "refuses-updates" {
            return Err(failure(FailureKind::Rejected, "it stays as it is"));
        }
        told(&event, &after)
    }

    fn deleted(event: String, settings: Settings) -> Result<(), Failure> {
        told(&event, &settings)?;
        if setting(&settings, "fault") == "stays-deleted" {
            fs::write(format!("{KEPT}/deleted"), "").expect("notes its end");
        }
        Ok(())
    }
}

fn told(event: &str, settings: &Settings) -> Result<(), Failure> {
    let (fault, address) = (setting(settings, "fault"), setting(settings, "address"));
    let done = format!("{KEPT}/event-{event}");
    if fault != "takes-each-for-new" && fs::exists(&done).unwrap_or_default() {
        return match fault.as_str() {
            "told-once" => Err(failure(FailureKind::Rejected, "it was told already")),
            _ => Ok(()),
        };
    }
    if fault == "notes-events-first" {
        fs::write(&done, "").expect("notes the event");
    }
    let posted = post(&address).map_err(|error| {
        assert!(fault != "unwraps-events" || !error.to_string().contains("denied"), "called `unwrap` on {error}");
        let kind = if fault == "gone-is-fatal-to-events" { FailureKind::Fatal } else { FailureKind::Transient };
        failure(kind, format!("posting to {address}: {error}"))
    });
    match posted? {
        401 if fault == "unauthorized-is-rejected" => return Err(failure(FailureKind::Rejected, "status 401")),
        401 => return Err(failure(FailureKind::Unauthorized, "the server says 401")),
        429 if fault == "throttled-is-transient" => return Err(failure(FailureKind::Transient, "status 429")),
        429 => return Err(failure(FailureKind::Throttled, "the server says 429")),
        _ => {}
    }
    fs::write(done, "").map_err(|error| failure(FailureKind::Transient, format!("noting the event: {error}")))
}

/// Posts a line. Gives the status.
fn post(address: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\nConnection: close\r\n\r\n{\"a\":1}")?;
    read_status(&mut stream)?.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}
