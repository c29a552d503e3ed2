//! The root certificates that an operator gives for a far side.

use std::{io, path::Path};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::given_file;

/// The most bytes of a file of certificates: a system's whole bundle has a quarter of a mebibyte.
const LARGEST: u64 = 4 << 20;

/// The root certificates of a PEM file, at least one.
///
/// # Errors
///
/// As [`given_file::read`], and [`io::ErrorKind::InvalidData`] where it holds something else.
pub fn read(path: &Path) -> io::Result<RootCertStore> {
    let not = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let bytes = given_file::read(path, LARGEST)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| not(error.to_string()))?;
        roots.add(certificate).map_err(|error| not(error.to_string()))?;
    }
    if roots.is_empty() { Err(not("there is no certificate in it".into())) } else { Ok(roots) }
}
