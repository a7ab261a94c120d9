//! Which certificate authorities are trusted.
//!
//! Decided here: the system's trust store, and nothing that we bring along. On macOS and Windows the system itself judges a certificate; elsewhere
//! its authorities are read where OpenSSL looks for them (`SSL_CERT_FILE` and `SSL_CERT_DIR` go before), once, when the first connection is
//! made (crate `rustls-platform-verifier`). `network.ca` adds authorities to them, for a company whose proxy shows certificates of its own; it
//! takes none away. A demo tenant's own authority (`cloud.ca`) stands alone, with `network.ca` beside it.

use reqwest::Certificate;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// Authorities from a PEM file, each known to be usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorities(Vec<CertificateDer<'static>>);

/// Why a file cannot be used. Says nothing of what stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthoritiesError {
    /// It has no certificate, or is no PEM.
    #[error("it holds no certificate in PEM")]
    None,
    /// One of its certificates is damaged.
    #[error("its certificate number {0} cannot be read")]
    Broken(usize),
}

impl Authorities {
    /// Those in the text of a PEM file.
    ///
    /// # Errors
    ///
    /// When there is none, or one of them cannot be used.
    pub fn read(pem: &str) -> Result<Self, AuthoritiesError> {
        let mut all = Vec::new();
        for (before, one) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
            let broken = || AuthoritiesError::Broken(before + 1);
            let one = one.map_err(|_| broken())?.into_owned();
            RootCertStore::empty().add(one.clone()).map_err(|_| broken())?;
            all.push(one);
        }
        if all.is_empty() { Err(AuthoritiesError::None) } else { Ok(Self(all)) }
    }

    /// The same as the client takes them.
    pub(super) fn certificates(&self) -> Result<Vec<Certificate>, reqwest::Error> {
        self.0.iter().map(|one| Certificate::from_der(one)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHORITY: &str = include_str!("authority_for_tests.pem");

    #[test]
    fn a_file_is_used_whole_or_not_at_all() {
        assert_eq!(Authorities::read(AUTHORITY).unwrap().0.len(), 1);
        assert_eq!(Authorities::read(&format!("# a company\n{AUTHORITY}\n{AUTHORITY}")).unwrap().0.len(), 2);
        for empty in ["", "\n", "not a certificate", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            assert_eq!(Authorities::read(empty), Err(AuthoritiesError::None), "{empty}");
        }
        let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(Authorities::read(damaged), Err(AuthoritiesError::Broken(1)));
        assert_eq!(Authorities::read(&format!("{AUTHORITY}{damaged}")), Err(AuthoritiesError::Broken(2)), "nothing is left out silently");
    }
}
