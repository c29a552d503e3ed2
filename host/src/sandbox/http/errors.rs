//! What a component is told of a body that broke off.
//!
//! **Threat.** The words for people that `wasi:io` has for an error hold the host's own backtrace where one is taken: paths of the machine,
//! and what the host is made of. **Answer.** A component gets the error's one line, and of an HTTP body the interface's own code, which the
//! library knows for what a component sends and not for what it receives.

use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::{WasiView, p2::bindings::io::error::Error as IoError};
use wasmtime_wasi_http::{Error, p2::bindings::http::types::ErrorCode};

use crate::sandbox::Host;

/// Puts both in place of the library's own, which have to be linked already.
pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance("wasi:io/error@0.2.12")?.func_wrap(
        "[method]error.to-debug-string",
        |mut store: wasmtime::StoreContextMut<'_, Host>, (error,): (Resource<IoError>,)| {
            let host = store.data_mut();
            let told = host.ctx().table.get(&error)?.to_string();
            Ok((host.scope.redactor().text(&told).into_owned(),))
        },
    )?;
    linker.instance("wasi:http/types@0.2.12")?.func_wrap(
        "http-error-code",
        |mut store: wasmtime::StoreContextMut<'_, Host>, (error,): (Resource<IoError>,)| {
            let error = store.data_mut().ctx().table.get(&error)?;
            Ok((error.downcast_ref::<ErrorCode>().cloned().or_else(|| error.downcast_ref().and_then(code)),))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The code of what a body can end with.
fn code(error: &Error) -> Option<ErrorCode> {
    Some(match error {
        Error::HttpResponseBodySize(size) => ErrorCode::HttpResponseBodySize(*size),
        Error::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
        Error::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        Error::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        Error::HttpProtocolError => ErrorCode::HttpProtocolError,
        _ => return None,
    })
}
