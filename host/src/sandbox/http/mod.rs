//! HTTP: where requests may go, and the host's own way there.
//!
//! **Threat.** A request is the shortest way out of a sandbox: to the cloud's metadata service, into the operator's network, to whoever
//! the connector's author likes, with what it holds. **Answer.** A component sends nothing itself. It hands a request to the host, which
//! holds scheme, host and port against the grants, looks the name up, checks the addresses (`connect`), and speaks TLS and HTTP/1.1
//! itself; no proxy of the environment is asked, no redirect followed: what a component makes of one is another request. The patterns
//! of [`crate::config::Pattern`] say where to; of those that fit a request, the one that says most counts, alone.
//!
//! Headers that are the host's own a component cannot set (`headers`); what a grant adds it never sees (`credentials`). Everything is
//! bounded ([`crate::config::HttpLimits`]), and what a component asks for by way of time can only be less. Every attempt is a line of
//! the log, with method, host and port and never path or query, and is counted.

mod body;
mod connect;
mod credentials;
mod errors;
mod handover;
mod headers;
mod hooks;
mod pool;
mod timely;

use std::{io, path::PathBuf, sync::Arc};

use http::HeaderName;
use rustls::ClientConfig;
use thiserror::Error;
use wasmtime::component::Linker;

use super::{
    Host,
    address::{Range, Resolver, SystemResolver, range},
    roots,
    tokens::TokenSource,
};
use crate::config::{HttpGrant, Origin, Pattern, Scheme, Secret};

pub use self::credentials::{Credentials, Unreadable};
pub(super) use self::hooks::Hooks;

/// Puts the host's own in place of what the library has, which has to be linked already.
pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    errors::add_to_linker(linker)?;
    handover::add_to_linker(linker)?;
    timely::add_to_linker(linker)
}

/// Where requests may go. By default nowhere. Clones share it.
#[derive(Clone, Debug)]
pub struct Http {
    granted: Arc<[Granted]>,
    resolver: Arc<dyn Resolver>,
}

#[derive(Debug)]
struct Granted {
    to: Pattern,
    private: bool,
    credentials: Credentials,
    /// How TLS is spoken there; `None` where it is not.
    tls: Option<Arc<ClientConfig>>,
}

impl Default for Http {
    fn default() -> Self {
        Self { granted: Arc::default(), resolver: Arc::new(SystemResolver) }
    }
}

/// Why an HTTP grant cannot be.
#[derive(Debug, Error)]
pub enum HttpError {
    /// What a header holds cannot be had.
    #[error("the header `{name}` that is added to requests to {to}: {cause}")]
    Header {
        /// The grant.
        to: Pattern,
        /// Which header.
        name: HeaderName,
        /// Why not.
        cause: Unreadable,
    },
    /// A secret would pass where anybody can read it.
    #[error("headers are added to requests to {to}, which pass in the clear")]
    InTheClear {
        /// The grant.
        to: Pattern,
    },
    /// The file of roots cannot be read.
    #[error("the roots of {to}: cannot read {}: {cause}", path.display())]
    Roots {
        /// The grant.
        to: Pattern,
        /// The file.
        path: PathBuf,
        /// What came back.
        cause: String,
    },
    /// There is nothing that a server's certificate could be held against.
    #[error("{to}: this system has no root certificates: {cause}")]
    NoRoots {
        /// The grant.
        to: Pattern,
        /// What came back.
        cause: String,
    },
    /// Roots without TLS.
    #[error("roots are given for {to}, which is spoken without TLS")]
    RootsInTheClear {
        /// The grant.
        to: Pattern,
    },
}

impl HttpError {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Header { cause: Unreadable::NoProvider(_), .. } => "declare it under `tokens`, or correct its name".into(),
            Self::Header { .. } => "let the file hold the value alone, on one line, readable for the user who runs wharf".into(),
            Self::InTheClear { .. } => {
                "grant it with `https://`, or leave the headers out; in the clear only this machine is written to".into()
            }
            Self::Roots { .. } => "name a file with one or more certificates in PEM".into(),
            Self::NoRoots { .. } => {
                "install the system's certificates (`ca-certificates`), or name a file of your own under `roots`".into()
            }
            Self::RootsInTheClear { .. } => "leave `roots` out, or grant it with `https://`".into(),
        }
    }
}

impl Http {
    /// Makes ready what is granted: reads files, and notes what is secret of it. The index of the grant that is wrong comes with the
    /// error. Names are looked up by `resolver` whenever a request goes there; `tokens` hands out those that are named.
    pub fn open<'a>(
        grants: impl IntoIterator<Item = &'a HttpGrant>,
        resolver: Arc<dyn Resolver>,
        tokens: Option<&Arc<dyn TokenSource>>,
        secrets: &mut Vec<Secret>,
    ) -> Result<Self, (usize, HttpError)> {
        let open = |(index, grant)| Granted::open(grant, tokens, secrets).map_err(|error| (index, error));
        let granted = grants.into_iter().enumerate().map(open).collect::<Result<_, _>>()?;
        Ok(Self { granted, resolver })
    }

    /// Whether a request may go there.
    pub fn allow(&self, origin: &Origin) -> bool {
        self.find(origin).is_some()
    }

    /// Whether a request may go wherever the pattern leads: it is granted itself, or another that stands for all of it.
    pub fn allow_all(&self, pattern: &Pattern) -> bool {
        self.granted.iter().any(|granted| granted.to.covers(pattern))
    }

    /// The grant that counts for a request, and its place.
    fn find(&self, origin: &Origin) -> Option<(usize, &Granted)> {
        let fitting = self.granted.iter().enumerate().filter(|(_, granted)| granted.to.fits(origin));
        fitting.max_by_key(|(_, granted)| granted.to.exactness())
    }
}

impl Granted {
    fn open(grant: &HttpGrant, tokens: Option<&Arc<dyn TokenSource>>, secrets: &mut Vec<Secret>) -> Result<Self, HttpError> {
        let HttpGrant { to, private, headers, roots } = grant;
        let tls = match (to.scheme(), roots) {
            (Scheme::Http, Some(_)) => return Err(HttpError::RootsInTheClear { to: to.clone() }),
            (Scheme::Http, None) => None,
            (Scheme::Https, roots) => Some(tls(to, roots.as_ref())?),
        };
        // A name may lead to this machine, which shows when it is looked up; all but `localhost` are refused here already.
        let local = to.host().is_some_and(|host| match host.address() {
            Some(address) => range(address) == Some(Range::Loopback),
            None => host.name() == Some("localhost"),
        });
        if !headers.is_empty() && to.scheme() == Scheme::Http && !local {
            return Err(HttpError::InTheClear { to: to.clone() });
        }
        let headers: Vec<_> = headers.iter().map(|header| header.value.clone()).collect();
        let unreadable = |(name, cause)| HttpError::Header { to: to.clone(), name, cause };
        let credentials = Credentials::read(&headers, tokens, secrets).map_err(unreadable)?;
        Ok(Self { to: to.clone(), private: *private, credentials, tls })
    }
}

fn tls(to: &Pattern, roots: Option<&PathBuf>) -> Result<Arc<ClientConfig>, HttpError> {
    let roots = match roots {
        None => connect::system_roots().map_err(|cause| HttpError::NoRoots { to: to.clone(), cause })?,
        Some(path) => {
            let unreadable = |cause: io::Error| HttpError::Roots { to: to.clone(), path: path.clone(), cause: cause.to_string() };
            Arc::new(roots::read(path).map_err(unreadable)?)
        }
    };
    connect::tls(roots).map_err(|cause| HttpError::NoRoots { to: to.clone(), cause: cause.to_string() })
}
