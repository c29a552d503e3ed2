//! HTTP: linked, and refused.
//!
//! Components made from JavaScript import all of `wasi:http` whether they use it or not, so the import is never read as a request.
//! There is no grant for it: every request is answered with the interface's own word for that, and noted.

use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::host::Scope;

/// Refuses every request, and says so in the log.
#[derive(Debug)]
pub struct Refuse(pub(super) Scope);

type Transfer = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Refuse {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _done: Transfer,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Transfer), Error>> + Send> {
        // The authority alone: a path or a query may hold a secret.
        let to = request.uri().authority().map_or("nowhere", |authority| authority.host()).to_owned();
        tracing::warn!(
            pipeline = self.0.pipeline(),
            destination = self.0.destination(),
            connector = self.0.connector(),
            to = to.escape_debug().to_string(),
            "HTTP request refused: not granted"
        );
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}
