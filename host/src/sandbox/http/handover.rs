//! What is handed over with a request is given back.
//!
//! **Threat.** The library reads the options that come with a request and keeps their place in the table of handles for good, though the component has given them
//! away: after `limits.handles` requests a component that did nothing wrong would be ended. **Answer.** The place is freed with the request.

use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::{
    WasiHttpView as _,
    p2::bindings::http::{
        outgoing_handler::Host as _,
        types::{Host as _, OutgoingRequest, RequestOptions},
    },
};

use crate::sandbox::Host;

/// Puts it in place of the library's own, which has to be linked already.
pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    type Given = (Resource<OutgoingRequest>, Option<Resource<RequestOptions>>);
    linker.allow_shadowing(true);
    linker.instance("wasi:http/outgoing-handler@0.2.12")?.func_wrap(
        "handle",
        |mut store: wasmtime::StoreContextMut<'_, Host>, (request, options): Given| {
            let http = &mut store.data_mut().http();
            let place = options.as_ref().map(Resource::rep);
            let came = http.handle(request, options);
            if let Some(place) = place {
                http.table.delete(Resource::<RequestOptions>::new_own(place))?;
            }
            Ok((match came {
                Ok(future) => Ok(future),
                Err(error) => Err(http.convert_error_code(error)?),
            },))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
