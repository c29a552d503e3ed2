//! Names, values and parts of requests, looked at no longer than a call has time ([`crate::sandbox::timely`]).
//!
//! A request keeps what it is given, so that its parts are bounded here too: the library takes a method of any length, and an authority of
//! 64 KiB.

use wasmtime::component::{ComponentNamedList, Lift, Linker, LinkerInstance, Lower, Resource};
use wasmtime_wasi_http::{
    FieldMap, WasiHttpCtxView, WasiHttpView,
    p2::{
        HeaderResult,
        bindings::http::types::{HeaderError, Host as _, HostFields, HostOutgoingRequest, Method, OutgoingRequest, Scheme},
    },
};

use crate::sandbox::Host;

/// Bytes of a method; the longest that anybody has registered has 17.
const METHOD: usize = 64;

/// Bytes of an authority: a name has 253 at most, and what may stand around it few.
const AUTHORITY: usize = 1 << 10;

/// Puts these in place of the library's own, which have to be linked already.
pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let types = &mut linker.instance("wasi:http/types@0.2.12")?;
    fields(types)?;
    requests(types)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn fields(types: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    type Fields = Resource<FieldMap>;
    timely(types, "[static]fields.from-list", |http, (entries,): (Vec<(String, Vec<u8>)>,)| {
        let made = http.from_list(entries);
        answer(http, made)
    })?;
    timely(types, "[method]fields.get", |http, (fields, name): (Fields, String)| Ok((http.get(fields, name)?,)))?;
    timely(types, "[method]fields.has", |http, (fields, name): (Fields, String)| Ok((http.has(fields, name)?,)))?;
    timely(types, "[method]fields.set", |http, (fields, name, values): (Fields, String, Vec<Vec<u8>>)| {
        let set = http.set(fields, name, values);
        answer(http, set)
    })?;
    timely(types, "[method]fields.delete", |http, (fields, name): (Fields, String)| {
        let deleted = http.delete(fields, name);
        answer(http, deleted)
    })?;
    timely(types, "[method]fields.append", |http, (fields, name, value): (Fields, String, Vec<u8>)| {
        let appended = http.append(fields, name, value);
        answer(http, appended)
    })?;
    timely(types, "[method]fields.entries", |http, (fields,): (Fields,)| Ok((http.entries(fields)?,)))?;
    timely(types, "[method]fields.clone", |http, (fields,): (Fields,)| Ok((HostFields::clone(http, fields)?,)))
}

fn requests(types: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    type Request = Resource<OutgoingRequest>;
    timely(types, "[method]outgoing-request.set-method", |http, (request, method): (Request, Method)| {
        if matches!(&method, Method::Other(name) if name.len() > METHOD) {
            return Ok((Err(()),));
        }
        Ok((http.set_method(request, method)?,))
    })?;
    timely(types, "[method]outgoing-request.set-path-with-query", |http, (request, path): (Request, Option<String>)| {
        Ok((http.set_path_with_query(request, path)?,))
    })?;
    timely(types, "[method]outgoing-request.set-scheme", |http, (request, scheme): (Request, Option<Scheme>)| {
        Ok((http.set_scheme(request, scheme)?,))
    })?;
    timely(types, "[method]outgoing-request.set-authority", |http, (request, authority): (Request, Option<String>)| {
        if authority.as_ref().is_some_and(|authority| authority.len() > AUTHORITY) {
            return Ok((Err(()),));
        }
        Ok((http.set_authority(request, authority)?,))
    })
}

/// One function of an interface that looks at the deadline first.
fn timely<P, R>(
    interface: &mut LinkerInstance<'_, Host>,
    name: &str,
    call: impl Fn(&mut WasiHttpCtxView<'_>, P) -> wasmtime::Result<R> + Send + Sync + 'static,
) -> wasmtime::Result<()>
where
    P: ComponentNamedList + Lift + 'static,
    R: ComponentNamedList + Lower + 'static,
{
    interface.func_wrap(name, move |mut store: wasmtime::StoreContextMut<'_, Host>, given: P| {
        let host = store.data_mut();
        host.in_time()?;
        call(&mut host.http(), given)
    })
}

/// What the interface has for it.
fn answer<T>(http: &mut WasiHttpCtxView<'_>, came: HeaderResult<T>) -> wasmtime::Result<(Result<T, HeaderError>,)> {
    Ok((match came {
        Ok(done) => Ok(done),
        Err(error) => Err(http.convert_header_error(error)?),
    },))
}
